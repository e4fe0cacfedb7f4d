/* What differs between two frames: where, and how much of it a person would see. Pure. */
#pragma once

#include "display/past.h"

#include <pixman.h>

#define DIFFERENCE_RECTS_MAX 64 /* more become the rectangle around them all */

/* Adds to out, framebuffer pixels, where now differs from then inside region: to the pixel (a box per
 * tile) when then's pixels are there, else to the tile. Frames of different size differ everywhere. */
void difference_rects(const struct past_frame *then, const struct frame *now, struct rect region,
                     pixman_region32_t *out);

/* How much of it is seen, 0 (the same) to 1. */
struct difference {
    double changed; /* share of the pixels that are not equal */
    double seen;    /* 1 - SSIM, see difference.c */
    double color;   /* mean distance of the changed pixels' colours, 0..1 */
};
/* Frames of the same size. For workers: 10 ms for a screen of 1280x800 that is wholly another; what
 * is the same tile costs nothing. */
void difference_measure(const struct frame *then, const struct frame *now, struct difference *ret);
