#include "display/source-test.h"

#include <pixman.h>

struct source_test {
    struct source base;
    int width, height;
    uint32_t *pixels;
    bool is_running;
};

static struct source_test *from(struct source *source)
{
    return container_of(source, struct source_test, base);
}

static void push_scanout(struct source_test *self)
{
    struct pixels pixels = { self->pixels, (size_t)self->width * (size_t)self->height * 4,
                             (uint32_t)self->width, (uint32_t)self->height,
                             (uint32_t)self->width * 4, PIXMAN_x8r8g8b8 };
    if (self->is_running)
        self->base.sink->scanout(self->base.sink_data, &pixels);
}

static int start(struct source *source, struct error *err maybe_unused)
{
    struct source_test *self = from(source);
    self->is_running = true;
    push_scanout(self);
    return 0;
}

static void stop(struct source *source)
{
    from(source)->is_running = false;
}

static void destroy(struct source *source)
{
    struct source_test *self = from(source);
    free(self->pixels);
    free(self);
}

static int resize(struct source *source, int width, int height, struct error *err maybe_unused)
{
    source_test_resize(source, width, height);
    return 0;
}

static const struct source_impl impl = {
    .name = "test", .start = start, .stop = stop, .free = destroy, .resize = resize,
};

struct source *source_test_new(int width, int height)
{
    struct source_test *self = calloc(1, sizeof *self);
    if (!self)
        return NULL;
    self->base.impl = &impl;
    source_test_resize(&self->base, width, height);
    return self->pixels ? &self->base : source_free(&self->base);
}

uint32_t *source_test_pixels(struct source *source)
{
    return from(source)->pixels;
}

void source_test_update(struct source *source, struct rect rect)
{
    struct source_test *self = from(source);
    size_t skip = (size_t)rect.y * (size_t)self->width + (size_t)rect.x;
    size_t size = ((size_t)(rect.h - 1) * (size_t)self->width + (size_t)rect.w) * 4;
    struct pixels pixels = { self->pixels + skip, size, (uint32_t)rect.w, (uint32_t)rect.h,
                             (uint32_t)self->width * 4, PIXMAN_x8r8g8b8 };
    if (self->is_running)
        source->sink->update(source->sink_data, rect.x, rect.y, &pixels);
}

void source_test_fill(struct source *source, struct rect rect, uint32_t colour)
{
    struct source_test *self = from(source);
    for (int y = rect.y; y < rect.y + rect.h; y++)
        for (int x = rect.x; x < rect.x + rect.w; x++)
            self->pixels[y * self->width + x] = colour;
    source_test_update(source, rect);
}

void source_test_disable(struct source *source)
{
    if (from(source)->is_running)
        source->sink->disable(source->sink_data);
}

void source_test_lose(struct source *source)
{
    struct error err = { 0 };
    error_set(&err, ERROR_GUEST_GONE, "the test source was lost");
    from(source)->is_running = false;
    source->sink->lost(source->sink_data, &err);
}

void source_test_resize(struct source *source, int width, int height)
{
    struct source_test *self = from(source);
    free(self->pixels);
    self->pixels = malloc((size_t)width * (size_t)height * 4);
    self->width = width;
    self->height = height;
    for (int y = 0; self->pixels && y < height; y++)
        for (int x = 0; x < width; x++)
            self->pixels[y * width + x] = source_test_pixel(x, y);
    if (self->pixels)
        push_scanout(self);
}

void source_test_cursor(struct source *source, int x, int y, bool is_visible)
{
    if (from(source)->is_running)
        source->sink->cursor_move(source->sink_data, x, y, is_visible);
}

void source_test_define(struct source *source, int width, int height, int hot_x, int hot_y,
                        const uint32_t *argb)
{
    if (from(source)->is_running)
        source->sink->cursor_define(source->sink_data, width, height, hot_x, hot_y, argb,
                                    (size_t)width * (size_t)height * 4);
}

bool source_test_is_running(const struct source *source)
{
    return container_of(source, struct source_test, base)->is_running;
}
