/* Decodes the H.264 of one video region (docs/stream.md, "Video"). For workers. */
#pragma once

#include "base/util.h"

struct film;

/* width, height: of the region. NULL when there is no decoder. */
struct film *film_new(int width, int height);
struct film *film_free(struct film *self);
/* One access unit into width x height pixels (0xffRRGGBB) at out, stride pixels per row. -EPROTO when
 * it is none, or its picture is smaller; out is as it was then. */
int film_decode(struct film *self, const uint8_t *unit, size_t size, int width, int height,
                uint32_t *out, int stride);
