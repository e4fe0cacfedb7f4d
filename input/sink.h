/* Where input events go: one interface, one implementation per way into a guest.
 *
 * One sink carries everything of one sandbox, keys and pointer alike: two ways in would have no
 * order between them. Events are queued by the calls below and go out in that order at flush; a
 * sink may send them earlier, never later. Every key and button change reaches the guest as an
 * event report of its own. Nothing here remembers what is down: that is input/held.h. */
#pragma once

#include "base/util.h"

/* Order of the names in the vocabulary (input/action.h). */
enum button { BUTTON_LEFT, BUTTON_RIGHT, BUTTON_MIDDLE, BUTTON_BACK, BUTTON_FORWARD, BUTTON_COUNT };
enum wheel_axis { WHEEL_VERTICAL, WHEEL_HORIZONTAL };

struct sink;

/* ok is false when the guest or the way to it is gone: nothing more will arrive. */
typedef void (*sink_done_fn)(void *data, bool ok);

struct sink_ops {
    void (*key)(struct sink *self, uint16_t code, bool is_down);
    void (*button)(struct sink *self, enum button button, bool is_down);
    void (*move)(struct sink *self, int fx, int fy, int width, int height);
    void (*wheel)(struct sink *self, enum wheel_axis axis, int notches);
    void (*flush)(struct sink *self, sink_done_fn done, void *data);
    void (*free)(struct sink *self);
};

/* Implementations embed this as their first member. */
struct sink {
    const struct sink_ops *ops;
    bool (*has_key)(uint16_t code); /* whether the guest's keyboard has it (input/qnum.h) */
    uint64_t n_keys;                /* changes of keys that went in */
};

/* code: evdev code (KEY_A …). One that the way into the guest cannot carry is dropped; the plan
 * (input/plan.h) never holds one. */
static inline void sink_key(struct sink *self, uint16_t code, bool is_down)
{
    self->n_keys++;
    self->ops->key(self, code, is_down);
}

static inline void sink_button(struct sink *self, enum button button, bool is_down)
{
    self->ops->button(self, button, is_down);
}

/* Native pixels of a scanout of width x height; x and y change in one report. */
static inline void sink_move(struct sink *self, int fx, int fy, int width, int height)
{
    self->ops->move(self, fx, fy, width, height);
}

/* Whole notches; positive is down or right, as in the vocabulary. */
static inline void sink_wheel(struct sink *self, enum wheel_axis axis, int notches)
{
    self->ops->wheel(self, axis, notches);
}

/* done (may be NULL) runs from the loop, never inside this call, when the guest's devices took all
 * events queued so far: for QEMU, after it answered, and behind a button after the guest's driver
 * fetched them as far as that can be seen. Several flushes may be under way; they are done in order. After sink_free
 * no done runs. */
static inline void sink_flush(struct sink *self, sink_done_fn done, void *data)
{
    self->ops->flush(self, done, data);
}

static inline struct sink *sink_free(struct sink *self)
{
    if (self)
        self->ops->free(self);
    return NULL;
}
