/* An MP4 file: H.264, one sample per frame, each at its own time. For workers. */
#pragma once

#include "base/error.h"

struct movie;

/* Creates path. width, height: of the picture, pixels. NULL with err on failure. */
struct movie *movie_new(const char *path, int width, int height, struct error *err);
/* pixels: 0xffRRGGBB, from_width x from_height, drawn in the middle of a black picture; what does not fit
 * is cut off. time_us counts from the beginning; one that is not later than the last is made so. */
int movie_add(struct movie *self, const uint32_t *pixels, int from_width, int from_height, int64_t time_us,
              struct error *err);
/* Completes the file; the last frame lasts until end_us. Frees self in any case. */
int movie_end(struct movie *self, int64_t end_us, struct error *err);
/* Without completing it. Takes NULL. */
void movie_cancel(struct movie *self);
