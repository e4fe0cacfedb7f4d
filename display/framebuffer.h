/* The moving framebuffer of one console: a memfd of XRGB8888 rows that updates are copied into.
 *
 * Only the loop writes it. The VNC helper maps the memfd read-only; everybody else reads frames. */
#pragma once

#include "base/error.h"
#include "display/frame.h"

/* Pixels as a source hands them over: borrowed, unchecked. */
struct pixels {
    const void *data;
    size_t size;      /* bytes at data */
    uint32_t width, height;
    uint32_t stride;  /* bytes per row */
    uint32_t format;  /* pixman_format_code_t */
};

/* Checks that format is one that framebuffer_write converts, that width and height lie in
 * 1..FRAME_SIZE_MAX and their XRGB size within FRAME_BYTES_MAX, that stride holds a row and that
 * size holds all rows. Takes any values. Errors: unsupported (format), guest_failed (the rest). */
int pixels_check(const struct pixels *pixels, struct error *err);

struct framebuffer {
    int fd; /* memfd, sealed against a change of size */
    int width, height;
    int stride; /* bytes */
    size_t size; /* bytes */
    int64_t epoch;
    uint32_t *pixels; /* mapped */
};

/* All black. Errors: internal, and guest_failed for a size out of bounds. */
int framebuffer_new(struct framebuffer **ret, int width, int height, int64_t epoch,
                    struct error *err);
struct framebuffer *framebuffer_free(struct framebuffer *self);

/* Copies pixels to (x, y), converting to 0xffRRGGBB. Checks everything; a rectangle that sticks out
 * is refused, not clipped. x and y may have any value. */
int framebuffer_write(struct framebuffer *self, int x, int y, const struct pixels *pixels,
                      struct error *err);
