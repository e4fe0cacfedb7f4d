/* Decides when a screen has settled after an input. Pure: no loop, no clock; time is passed in.
 *
 *            first counted change            quiet_us without one
 *   WAITING -----------------------> MOVING ----------------------> SETTLED
 *      | first_us without one           | max_us after the input
 *      v                                v
 *   NO_EFFECT                        TIMED_OUT
 *
 * The clock starts at the injection of the (last) input. NO_EFFECT never comes before first_us.
 * Masked pixels do not count, nor do blinkers (display/settle-history.h). */
#pragma once

#include "display/display.h"

#include <pixman.h>

#define SETTLE_FIRST_US 1000000
#define SETTLE_QUIET_US 300000
#define SETTLE_MAX_US 5000000
#define SETTLE_MASKS_MAX 32
/* More changed rectangles than this become the rectangle around them all. */
#define SETTLE_RECTS_MAX 64

struct settle_params {
    int64_t first_us, quiet_us, max_us; /* first and quiet are cut to max */
    struct rect masks[SETTLE_MASKS_MAX]; /* framebuffer pixels; may stick out */
    int n_masks;
};
#define SETTLE_PARAMS_DEFAULT                                                                      \
    { .first_us = SETTLE_FIRST_US, .quiet_us = SETTLE_QUIET_US, .max_us = SETTLE_MAX_US }

enum settle_state {
    SETTLE_WAITING, /* no counted change yet */
    SETTLE_MOVING,  /* changes came, the last less than quiet_us ago */
    SETTLE_SETTLED,
    SETTLE_TIMED_OUT,
    SETTLE_NO_EFFECT,
    SETTLE_STATE_COUNT
};
/* "waiting", "moving", "settled", "timed_out", "no_effect". */
const char *settle_state_name(enum settle_state state);

struct settle {
    struct settle_params params;
    int64_t start_us;            /* of the injection */
    int64_t input_us;            /* of the latest injection; the time limits count from here */
    enum settle_state state;
    int64_t first_us, last_us;   /* of counted changes; 0 before the first */
    int64_t ended_us;            /* when the end state was reached by the rules above; 0 before */
    int64_t quiet_from_us;       /* MOVING: quiet is counted from here */
    pixman_region32_t changed;   /* framebuffer pixels; per tile the box around what counted */
};

/* After an input that was injected at injected_us. */
void settle_init(struct settle *self, const struct settle_params *params, int64_t injected_us);
/* Without an input: settled when nothing counted for quiet_us. last_us is when the last counted
 * change came that is known (display_last_change_us), now_us when none is. It begins MOVING. */
void settle_init_quiet(struct settle *self, const struct settle_params *params, int64_t last_us,
                       int64_t now_us);
/* Other limits and masks for the same input, from here on; what counted so far stays. */
void settle_set_params(struct settle *self, const struct settle_params *params);
/* The same input goes on: another event of it (the release of a click) was injected at now_us.
 * Changes so far keep counting; the limits count, and the screen must stay quiet, from here on.
 * Nothing happens after the end. */
void settle_input(struct settle *self, int64_t now_us);
void settle_deinit(struct settle *self);

/* A published frame. One captured before the start, or after the end, is ignored. */
void settle_feed(struct settle *self, const struct frame_update *update);
/* Moves on to now_us and returns the state. */
enum settle_state settle_advance(struct settle *self, int64_t now_us);
static inline bool settle_is_done(const struct settle *self)
{
    return self->state >= SETTLE_SETTLED;
}
/* When settle_advance has something to do, unless a frame comes before; INT64_MAX when done. */
int64_t settle_wake_us(const struct settle *self);
/* The changed rectangles; *ret_n of them. Valid until the next feed. */
const pixman_box32_t *settle_rects(struct settle *self, int *ret_n);
