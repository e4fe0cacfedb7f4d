/* The name of an image that a client was given: which frame, how large, which part of the screen.
 *
 *     f<frame>-<w>x<h>                  the whole frame, drawn w x h pixels large
 *     f<frame>-<w>x<h>-<x>,<y>,<w>,<h>  a region of it, in framebuffer pixels
 *
 * A client that sends an id back with coordinates gets them mapped from that very image. Pure. */
#pragma once

#include "display/rect.h"

#define IMAGE_ID_MAX 80
#define IMAGE_ID_SIZE_MAX 16384

struct image_id {
    int64_t frame;      /* > 0 */
    int width, height;  /* image pixels, 1..IMAGE_ID_SIZE_MAX */
    bool has_region;
    struct rect region; /* framebuffer pixels; used when has_region */
};

void image_id_format(const struct image_id *self, char out[IMAGE_ID_MAX]);
/* Strict: digits without sign or leading zeros, no space, nothing after the end. Returns -EINVAL
 * for anything else, and for numbers out of bounds. Takes any bytes before the final NUL. */
int image_id_parse(const char *text, struct image_id *ret);

/* Image pixel (ix, iy) -> framebuffer pixel: the one that holds the centre of the image pixel,
 *     floor(region.x + (ix + 0.5) * region.w / width)
 * computed in integers, so exact; with an unscaled image it is ix itself. region is the image's
 * region, or the whole frame. Coordinates outside the image are clamped to its edge first. Returns
 * 0, or IMAGE_ID_OUTSIDE when it had to clamp. */
enum { IMAGE_ID_OUTSIDE = 1 };
int image_id_map(int width, int height, struct rect region, int64_t ix, int64_t iy, int *ret_fx,
                 int *ret_fy);
