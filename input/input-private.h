/* What input/live.c needs of an input. */
#pragma once

#include "base/list.h"
#include "input/input.h"
#include "input/plan.h"
#include "input/sink.h"

/* Carries out one step that takes no time, outside of any plan. */
void input_inject(struct input *self, const struct step *step);
/* How long this step has to wait for the change of a button before it, in microseconds; not positive:
 * not at all. What was injected since the last flush counts as changed just now. */
int64_t input_wait_us(const struct input *self, const struct step *step);
/* A flush under way. On a list of the input, whose end frees it: no done runs then. */
struct input_flush {
    struct list link;
    void *owner; /* NULL: nobody waits any more */
    uint64_t id;
};

/* Flushes what was injected; call input_note_taken in done. */
void input_flush(struct input *self, sink_done_fn done, void *data);
/* The same, with a new object as data, which done takes off its list and frees. NULL when memory is
 * short: nothing was flushed. */
struct input_flush *input_flush_new(struct input *self, sink_done_fn done, void *owner, uint64_t id);
void input_note_taken(struct input *self);
/* False while no size of the screen is known. */
bool input_screen(const struct input *self, int *ret_width, int *ret_height);
