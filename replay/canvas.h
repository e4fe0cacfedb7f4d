/* The screen of a recording at one moment: takes its records one after the other and paints them, as
 * a browser does (docs/stream.md). For workers; one canvas, one thread.
 *
 * Nothing that a file holds makes it read or write outside, or grow beyond the largest screen and
 * CANVAS_KEPT tiles. */
#pragma once

#include "display/rect.h"
#include "stream/record.h"

#define CANVAS_KEPT 1024 /* as the recorder (stream/recorder.h) */

struct canvas;

struct canvas *canvas_new(void);
struct canvas *canvas_free(struct canvas *self);
/* -EPROTO: a record that no recorder writes; the picture may be painted in part. -ENOMEM. Records
 * without pixels are skipped. */
int canvas_apply(struct canvas *self, const struct record *record);

struct canvas_state {
    int width, height;        /* 0: no screen yet */
    const uint32_t *pixels;   /* 0xffRRGGBB, rows without gaps; borrowed until the next record */
    int64_t frame, epoch, captured_us;
    bool is_exact;            /* the pixels are that frame's */
    bool is_on;               /* the guest showed something */
};
struct canvas_state canvas_state(const struct canvas *self);

struct canvas_cursor {
    int x, y; /* of the shape's hot spot */
    bool is_visible;
};
struct canvas_cursor canvas_cursor(const struct canvas *self);
/* Draws the pointer's shape into out, a copy of the pixels. */
void canvas_draw_cursor(const struct canvas *self, uint32_t *out);
