/* A second client, written from docs/stream.md: paints messages into pixels. For tests and
 * benchmarks; it asserts that the server keeps the protocol. */
#pragma once

#include "display/frame.h"
#include "stream/record.h"
#include "stream/tile-code.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <turbojpeg.h>

#define CANVAS_KEPT_MAX 4096

struct canvas_tile {
    uint64_t hash;
    uint32_t pixels[TILE_SIZE * TILE_SIZE];
};

struct canvas {
    int width, height, screen;
    uint64_t epoch;
    uint32_t *pixels;
    int kept_max, n_kept; /* newest first */
    struct canvas_tile **kept;
    /* Of the last message. */
    bool has_frame, is_exact;
    uint64_t frame_id, captured_us, input;
    /* Since the start. */
    int n_frames, n_copies, n_jpegs, n_tiles, n_refs, n_solids, n_pictures, n_shapes, n_pongs;
    int role, holder, refused;
    int n_units, n_keys, n_video_ends, region; /* region: 0 when none is open */
    uint64_t pong, picture_id;
    int picture_width, picture_height;
    int cursor_x, cursor_y;
    bool cursor_visible, is_welcome;
    char clipboard[64];
};

static void canvas_init(struct canvas *self, int kept_max)
{
    *self = (struct canvas){ .kept_max = kept_max };
    self->kept = calloc((size_t)kept_max + 1, sizeof *self->kept);
}

static void canvas_deinit(struct canvas *self)
{
    for (int i = 0; i < self->n_kept; i++)
        free(self->kept[i]);
    free(self->kept);
    free(self->pixels);
}

static struct rect canvas_tile_rect(const struct canvas *self, int index)
{
    int columns = frame_columns(self->width);
    int x = index % columns * TILE_SIZE, y = index / columns * TILE_SIZE;
    assert(y < self->height);
    return (struct rect){ x, y, MIN(TILE_SIZE, self->width - x), MIN(TILE_SIZE, self->height - y) };
}

static void canvas_paint(struct canvas *self, struct rect r, const uint32_t *pixels, int stride)
{
    assert(rect_fits(r, self->width, self->height));
    for (int y = 0; y < r.h; y++)
        memcpy(self->pixels + (size_t)(r.y + y) * (size_t)self->width + r.x, pixels + y * stride,
               (size_t)r.w * 4);
}

/* Makes the tile the newest; its pixels when it is there. */
static struct canvas_tile *canvas_use(struct canvas *self, uint64_t hash)
{
    for (int i = 0; i < self->n_kept; i++)
        if (self->kept[i]->hash == hash) {
            struct canvas_tile *tile = self->kept[i];
            memmove(self->kept + 1, self->kept, (size_t)i * sizeof *self->kept);
            return self->kept[0] = tile;
        }
    return NULL;
}

static void canvas_keep(struct canvas *self, uint64_t hash, const uint32_t *pixels)
{
    struct canvas_tile *tile = canvas_use(self, hash);
    if (self->kept_max == 0 || tile)
        return;
    if (self->n_kept == self->kept_max)
        free(self->kept[--self->n_kept]);
    memmove(self->kept + 1, self->kept, (size_t)self->n_kept++ * sizeof *self->kept);
    tile = self->kept[0] = malloc(sizeof *tile);
    tile->hash = hash;
    memcpy(tile->pixels, pixels, sizeof tile->pixels);
}

static void canvas_code(struct canvas *self, const struct record *r)
{
    static uint32_t pixels[TILE_SIZE * TILE_SIZE];
    struct rect at = canvas_tile_rect(self, r->number);
    enum tile_code code = r->type == RECORD_TRUE            ? TILE_TRUE
                          : r->flags & RECORD_PALETTE_GREY ? TILE_GREY_PALETTE
                                                           : TILE_PALETTE;
    int good = tile_code_decode(code, r->payload + 8, r->size - 8, at.w, at.h, pixels);
    assert(good == 0);
    canvas_paint(self, at, pixels, at.w);
    canvas_keep(self, record_get_u64(r->payload), pixels);
    self->n_tiles++;
}

static void canvas_kept(struct canvas *self, const struct record *r)
{
    struct rect at = canvas_tile_rect(self, r->number);
    struct canvas_tile *tile = canvas_use(self, record_get_u64(r->payload));
    assert(tile);
    canvas_paint(self, at, tile->pixels, at.w);
    self->n_refs++;
}

static void canvas_solid(struct canvas *self, const struct record *r)
{
    uint32_t pixels[TILE_SIZE];
    for (int i = 0; i < TILE_SIZE; i++)
        pixels[i] = 0xff000000u | record_get_u32(r->payload);
    for (int i = r->number; i <= r->number + r->flags; i++)
        canvas_paint(self, canvas_tile_rect(self, i), pixels, 0);
    self->n_solids++;
}

static void canvas_jpeg(struct canvas *self, const struct record *r)
{
    struct rect first = canvas_tile_rect(self, r->number);
    int last = r->number + (r->payload[1] - 1) * frame_columns(self->width) + r->payload[0] - 1;
    struct rect at = rect_union(first, canvas_tile_rect(self, last));
    uint32_t *pixels = malloc((size_t)at.w * (size_t)at.h * 4);
    tjhandle tj = tjInitDecompress();
    int good = tjDecompress2(tj, r->payload + 4, r->size - 4, (uint8_t *)pixels, at.w, 0, at.h,
                             TJPF_BGRA, 0);
    assert(good == 0);
    tjDestroy(tj);
    canvas_paint(self, at, pixels, at.w);
    free(pixels);
    self->n_jpegs++;
}

static void canvas_copy(struct canvas *self, const struct record *r)
{
    const uint8_t *p = r->payload;
    struct rect from = { record_get_u16(p), record_get_u16(p + 2), record_get_u16(p + 8),
                         record_get_u16(p + 10) };
    struct rect to = { record_get_u16(p + 4), record_get_u16(p + 6), from.w, from.h };
    assert(rect_fits(from, self->width, self->height));
    uint32_t *pixels = malloc((size_t)from.w * (size_t)from.h * 4);
    for (int y = 0; y < from.h; y++)
        memcpy(pixels + y * from.w, self->pixels + (from.y + y) * self->width + from.x,
               (size_t)from.w * 4);
    canvas_paint(self, to, pixels, from.w);
    free(pixels);
    self->n_copies++;
}

static void canvas_screen(struct canvas *self, const struct record *r)
{
    self->screen = r->flags;
    if (record_get_u64(r->payload) == self->epoch)
        return;
    self->epoch = record_get_u64(r->payload);
    self->width = record_get_u16(r->payload + 8);
    self->height = record_get_u16(r->payload + 10);
    free(self->pixels);
    self->pixels = malloc((size_t)self->width * (size_t)self->height * 4);
    for (int i = 0; i < self->width * self->height; i++)
        self->pixels[i] = 0xff000000u;
}

static void canvas_frame(struct canvas *self, const struct record *r)
{
    assert(r->size == 32 && record_get_u64(r->payload + 8) == self->epoch);
    self->has_frame = true;
    self->is_exact = r->flags & RECORD_FRAME_EXACT;
    self->frame_id = record_get_u64(r->payload);
    self->captured_us = record_get_u64(r->payload + 16);
    self->input = record_get_u64(r->payload + 24);
    self->n_frames++;
}

static void canvas_shape(struct canvas *self, const struct record *r)
{
    int n = record_get_u16(r->payload) * record_get_u16(r->payload + 2);
    uint32_t *pixels = malloc((size_t)n * 4);
    int good = tile_code_decode_true(r->payload + 8, r->size - 8, pixels, n);
    assert(good == 0);
    free(pixels);
    self->n_shapes++;
}

static void canvas_picture(struct canvas *self, const struct record *r)
{
    self->picture_id = record_get_u64(r->payload);
    self->picture_width = record_get_u16(r->payload + 16);
    self->picture_height = record_get_u16(r->payload + 18);
    self->n_pictures++;
}

/* Units are not decoded; the pixels become what no screen shows. */
static void canvas_video(struct canvas *self, const struct record *r)
{
    const uint8_t *p = r->payload;
    struct rect at = { record_get_u16(p), record_get_u16(p + 2), record_get_u16(p + 4),
                       record_get_u16(p + 6) };
    uint32_t *grey = malloc((size_t)at.w * 4);
    assert(r->size > 16 && p[12] == 0 && p[13] == 0 && (p[14] == 1 || (p[14] == 0 && p[15] == 1)));
    assert(self->region == r->number || r->flags & RECORD_VIDEO_KEY);
    for (int x = 0; x < at.w; x++)
        grey[x] = 0xff7f7f7e;
    canvas_paint(self, at, grey, 0);
    free(grey);
    self->region = r->number;
    self->n_units++;
    self->n_keys += r->flags & RECORD_VIDEO_KEY;
}

static void canvas_video_end(struct canvas *self, const struct record *r)
{
    assert(self->region == r->number);
    self->region = 0;
    self->n_video_ends++;
}

static void canvas_state(struct canvas *self, const struct record *r)
{
    if (r->type == RECORD_CURSOR) {
        self->cursor_x = (int)record_get_u32(r->payload);
        self->cursor_y = (int)record_get_u32(r->payload + 4);
        self->cursor_visible = r->flags & RECORD_CURSOR_VISIBLE;
    } else if (r->type == RECORD_ROLE) {
        self->role = r->flags;
        self->holder = r->payload[0];
    } else if (r->type == RECORD_PONG) {
        self->pong = record_get_u64(r->payload);
        self->n_pongs++;
    } else if (r->type == RECORD_CLIPBOARD) {
        snprintf(self->clipboard, sizeof self->clipboard, "%.*s", (int)r->size,
                 (const char *)r->payload);
    } else if (r->type == RECORD_REFUSED) {
        self->refused = r->flags;
    }
}

static void canvas_record(struct canvas *self, const struct record *r)
{
    static void (*const paint[])(struct canvas *, const struct record *) = {
        [RECORD_SCREEN] = canvas_screen,      [RECORD_FRAME] = canvas_frame,
        [RECORD_SOLID] = canvas_solid,        [RECORD_PALETTE] = canvas_code,
        [RECORD_TRUE] = canvas_code,          [RECORD_KEPT] = canvas_kept,
        [RECORD_JPEG] = canvas_jpeg,          [RECORD_COPY] = canvas_copy,
        [RECORD_VIDEO] = canvas_video,        [RECORD_VIDEO_END] = canvas_video_end,
        [RECORD_CURSOR_SHAPE] = canvas_shape, [RECORD_PICTURE] = canvas_picture,
        [RECORD_CURSOR] = canvas_state,       [RECORD_ROLE] = canvas_state,
        [RECORD_PONG] = canvas_state,         [RECORD_CLIPBOARD] = canvas_state,
        [RECORD_REFUSED] = canvas_state,
    };
    self->is_welcome |= r->type == RECORD_WELCOME;
    if (r->type < ARRAY_LEN(paint) && paint[r->type])
        paint[r->type](self, r);
}

/* Paints a message of the server. */
static void canvas_apply(struct canvas *self, const uint8_t *data, size_t size)
{
    struct record record;
    int r;
    self->has_frame = false;
    while ((r = record_next(&data, &size, &record)) == 0)
        canvas_record(self, &record);
    assert(r == RECORD_END);
}

/* Whether the canvas is frame to the pixel. */
static bool canvas_equals(const struct canvas *self, const struct frame *frame)
{
    if (!frame || self->width != frame->width || self->height != frame->height)
        return false;
    struct rect all = { 0, 0, frame->width, frame->height };
    size_t size = (size_t)frame->width * (size_t)frame->height * 4;
    uint32_t *pixels = malloc(size);
    frame_read(frame, all, pixels, frame->width);
    bool is_equal = memcmp(pixels, self->pixels, size) == 0;
    free(pixels);
    return is_equal;
}
