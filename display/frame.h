/* A frame: what the screen showed at one moment, counted and immutable.
 *
 * It is a table of tiles, TILE_SIZE x TILE_SIZE pixels each, row by row from the top left. A tile
 * that did not change is the same object in both frames. Any thread that holds a reference may
 * read; nobody writes after frame_new's builder is done. */
#pragma once

#include "display/rect.h"

#include <stdatomic.h>

#define TILE_SIZE 64
/* A guest may not make a framebuffer wider, higher or larger than this. */
#define FRAME_SIZE_MAX 8192
#define FRAME_BYTES_MAX ((size_t)128 << 20)

/* Pixels are 0xffRRGGBB in host order (XRGB8888 with the X byte always 255). A tile at the right or
 * bottom edge is stored whole too; what lies outside the frame is 0. */
struct tile {
    _Atomic int refs;
    uint64_t hash; /* XXH3, 64 bits, over all of pixels */
    uint32_t pixels[TILE_SIZE * TILE_SIZE];
};

struct tile *tile_new(void); /* pixels and hash not set; NULL when memory is short */
struct tile *tile_ref(struct tile *self);
struct tile *tile_unref(struct tile *self);

struct frame {
    _Atomic int refs;
    int64_t id;          /* grows with every change; see display/display.h */
    int64_t epoch;       /* changes when the size does */
    int width, height;   /* pixels */
    int64_t captured_us; /* clock_now_us when its newest update arrived */
    int columns, rows;   /* of tiles */
    struct tile *tiles[]; /* rows * columns; never NULL */
};

static inline int frame_columns(int width)
{
    return (width + TILE_SIZE - 1) / TILE_SIZE;
}

/* A frame whose table is filled by the caller, who owns it until it is shared: all entries are
 * NULL, or references to base's tiles when base (of the same size) is given. -> NULL when the size
 * is out of bounds or memory is short. */
struct frame *frame_new(int width, int height, const struct frame *base);
struct frame *frame_ref(struct frame *self);
/* Takes NULL, returns NULL. Safe from any thread. */
struct frame *frame_unref(struct frame *self);

static inline void frame_unref_ptr(struct frame **p)
{
    frame_unref(*p);
}
#define auto_frame __attribute__((cleanup(frame_unref_ptr)))

static inline int frame_n_tiles(const struct frame *self)
{
    return self->columns * self->rows;
}

/* The part of the frame that tile number index covers, in framebuffer pixels. */
struct rect frame_tile_rect(const struct frame *self, int index);

/* Copies region into out, stride_px pixels per row. region must fit the frame. Meant for workers;
 * one copy, about 1 ms for 1280x800. */
void frame_read(const struct frame *self, struct rect region, uint32_t *out, int stride_px);

/* Writes the numbers of the tiles that differ into out (room for frame_n_tiles(new)), ascending,
 * and returns how many. Frames of different size, or a NULL old, differ in every tile. */
int frame_diff(const struct frame *old, const struct frame *new, int *out);
