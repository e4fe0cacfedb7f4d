/* Pixels to files. Pure, for workers. NULL when memory is short or the library refuses. */
#pragma once

#include "base/buf.h"

/* A picture that is read from top to bottom in bands, so that nobody has to hold it whole. */
struct encode_rows {
    int width, height;
    /* count rows from y on, 0xffRRGGBB without gaps: in scratch, which has room for them, or
     * wherever they lie. */
    const uint32_t *(*read)(const struct encode_rows *self, int y, int count, uint32_t *scratch);
    const void *data;
};

/* Of a picture that lies in memory, rows without gaps. */
struct encode_rows encode_rows_of(const uint32_t *pixels, int width, int height);

/* RGB8, no alpha, not interlaced. */
struct bytes *encode_png(const struct encode_rows *rows);
/* quality 1..100; see display/still.h for the chroma subsampling. */
struct bytes *encode_jpeg(const struct encode_rows *rows, int quality);
/* quality 100 is lossless. pixels are 0xffRRGGBB, rows without gaps: the library wants them all. */
struct bytes *encode_webp(const uint32_t *pixels, int width, int height, int quality);
