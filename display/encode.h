/* Pixels to files. Pure, for workers. pixels are 0xffRRGGBB, rows without gaps. NULL when memory is
 * short or the library refuses. */
#pragma once

#include "base/buf.h"

/* RGB8, no alpha, not interlaced. */
struct bytes *encode_png(const uint32_t *pixels, int width, int height);
/* quality 1..100; see display/still.h for the chroma subsampling. */
struct bytes *encode_jpeg(const uint32_t *pixels, int width, int height, int quality);
/* quality 100 is lossless. */
struct bytes *encode_webp(const uint32_t *pixels, int width, int height, int quality);
