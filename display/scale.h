/* Resampling of 0xffRRGGBB pixels. Separable: each axis has its own filter.
 *
 * Smaller: a destination pixel is the average of the source area it covers, edge pixels by their
 * share. Larger: bilinear between pixel centres. Equal: copied. Rounded to nearest; at most 1 off
 * from exact arithmetic. Cost: one pass over the source, one over the result. */
#pragma once

#include "base/util.h"

/* Strides in pixels; sizes 1..8192. -ENOMEM when memory is short. */
int scale_pixels(const uint32_t *from, int from_width, int from_height, int from_stride,
                 uint32_t *to, int to_width, int to_height, int to_stride);
