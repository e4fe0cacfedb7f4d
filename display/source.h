/* Where guest pixels come from. A source pushes what it has into its sink, on the loop.
 *
 * States: stopped -> start -> running -> stop -> stopped. While running the first thing pushed is a
 * scanout or a disable. After lost() the source is stopped; whoever owns it may start it again. */
#pragma once

#include "base/error.h"
#include "display/cursor.h"
#include "display/framebuffer.h"

/* Callbacks into the display. Pixels are borrowed and unchecked: the sink checks them. */
struct source_sink {
    /* A new surface with all its pixels; also sent for a full redraw of the same size. */
    void (*scanout)(void *data, const struct pixels *pixels);
    void (*update)(void *data, int x, int y, const struct pixels *pixels);
    /* The screen is off. */
    void (*disable)(void *data);
    void (*cursor_move)(void *data, int x, int y, bool is_visible);
    /* argb as for cursor_shape_new. */
    void (*cursor_define)(void *data, int width, int height, int hot_x, int hot_y, const void *argb,
                          size_t size);
    /* No more pixels will come. Nothing is freed; stop() and free() stay legal, also in here. */
    void (*lost)(void *data, const struct error *why);
};

struct source;

struct source_impl {
    const char *name;
    int (*start)(struct source *self, struct error *err);
    void (*stop)(struct source *self);
    void (*free)(struct source *self);
    /* Asks the guest for another size; NULL when the source cannot. The answer is a scanout. */
    int (*resize)(struct source *self, int width, int height, struct error *err);
};

/* First member of every source. */
struct source {
    const struct source_impl *impl;
    const struct source_sink *sink; /* set by display_attach */
    void *sink_data;
};

static inline struct source *source_free(struct source *self)
{
    if (self)
        self->impl->free(self);
    return NULL;
}
