/* The guest's pointer as its display device reports it: a shape and a place. */
#pragma once

#include "base/error.h"
#include "display/rect.h"

#include <stdatomic.h>

#define CURSOR_SIZE_MAX 512

/* Counted, immutable. */
struct cursor_shape {
    _Atomic int refs;
    uint64_t hash; /* over size, hotspot and pixels */
    int width, height;
    int hot_x, hot_y;  /* the pixel that points, inside the shape */
    uint32_t pixels[]; /* ARGB8888 in host order, alpha premultiplied */
};

/* Checks everything. Guests disagree on alpha: pixels with a colour above their alpha can only be
 * straight, and then the whole shape is taken so and multiplied; else it is premultiplied already
 * (Linux). A hotspot outside is moved to the edge. size is in bytes. */
int cursor_shape_new(struct cursor_shape **ret, int width, int height, int hot_x, int hot_y,
                     const void *argb, size_t size, struct error *err);
struct cursor_shape *cursor_shape_ref(struct cursor_shape *self);
struct cursor_shape *cursor_shape_unref(struct cursor_shape *self);

struct cursor {
    struct cursor_shape *shape; /* NULL until one was defined */
    int x, y;                   /* framebuffer pixels, of the shape's top left corner; any value */
    bool is_visible;
};

/* The pixel that the cursor points at. False when it is hidden or has no shape. */
bool cursor_point(const struct cursor *self, int *ret_x, int *ret_y);
/* What the cursor covers inside region, framebuffer pixels; empty when nothing. */
struct rect cursor_covers(const struct cursor *self, struct rect region);
/* Draws it over pixels that show region (0xffRRGGBB, stride_px pixels per row), clipped. */
void cursor_draw(const struct cursor *self, uint32_t *pixels, int stride_px, struct rect region);
