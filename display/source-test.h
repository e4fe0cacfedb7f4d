/* A generated screen, for tests and benchmarks. Everything is pushed at once, by the caller. */
#pragma once

#include "display/source.h"

/* The pixel (x, y) of the pattern: every pixel of a 256x256 block has a colour of its own. */
static inline uint32_t source_test_pixel(int x, int y)
{
    return 0xff000000u | (uint32_t)(x & 255) << 16 | (uint32_t)(y & 255) << 8 |
           (uint32_t)(((x >> 8) * 37 + (y >> 8) * 59) & 255);
}

struct source *source_test_new(int width, int height);
/* The screen's own pixels, width per row; change them, then say where. Valid until the next
 * source_test_resize. */
uint32_t *source_test_pixels(struct source *source);
/* Pushes an update with rect's pixels; nothing while the source is stopped. */
void source_test_update(struct source *source, struct rect rect);
/* Fills and pushes. */
void source_test_fill(struct source *source, struct rect rect, uint32_t colour);
void source_test_disable(struct source *source);
void source_test_lose(struct source *source);
/* The pattern again in another size, and a scanout. */
void source_test_resize(struct source *source, int width, int height);
void source_test_cursor(struct source *source, int x, int y, bool is_visible);
void source_test_define(struct source *source, int width, int height, int hot_x, int hot_y,
                        const uint32_t *argb);
bool source_test_is_running(const struct source *source);
