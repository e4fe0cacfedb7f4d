/* What an action comes down to: a list of events and pauses, worked out before anything is sent.
 *
 * Planning is pure: an action that names a point outside the screen, a key or character that the
 * layout lacks fails here, and the guest saw nothing of it. Presses and releases in a plan are
 * balanced except for button_down/up and key_down/up. Pointer actions without coordinates happen
 * where the pointer is, known or not. */
#pragma once

#include "input/action.h"
#include "input/keymap.h"
#include "input/space.h"

enum step_kind {
    STEP_KEY,      /* code, is_down */
    STEP_BUTTON,   /* code is an enum button */
    STEP_MOVE,     /* fx, fy */
    STEP_WHEEL,    /* code is an enum wheel_axis, value in notches */
    STEP_PAUSE,    /* value in milliseconds, counted after everything before was taken */
    STEP_LATCH,    /* what was pressed (code, see input/held.h) outlives the action */
    STEP_UNLATCH,  /* ends such a hold (code likewise) */
    STEP_CLEAR,    /* release_all */
    STEP_CHARACTER /* type: a character has arrived; code is its enum text_route */
};

struct step {
    uint8_t kind;
    bool is_down;
    uint16_t code;
    union {
        struct {
            int16_t fx, fy;
        };
        int32_t value;
    };
};

/* Steps of one action; at most PLAN_STEPS_MAX. */
enum { PLAN_STEPS_MAX = 1 << 20 };

struct plan {
    struct step *steps;
    size_t n_steps, capacity;
    size_t n_characters;
    int64_t pause_ms; /* sum of its pauses */
};

/* What planning reads besides the action. */
struct plan_context {
    const struct keymap *keymap;
    const struct space *space;
    bool has_pointer; /* the guest's pointer is known to be at fx, fy */
    int fx, fy;
    double wheel_rest[2]; /* notches left over, per enum wheel_axis; updated by scroll */
    bool (*has_key)(uint16_t code); /* NULL: every key of the keymap */
};

/* Fills ret; on failure it is empty. The context's wheel_rest is changed on success only. Errors:
 * outside_screen, untypable (a character or key that the layout lacks), not_ready (no screen),
 * conflict (cursor_position while nobody knows it), bad_value (a move, drag or text that would take
 * longer than ACTION_WAIT_MAX_MS). */
int plan_action(struct plan *ret, const struct action *action, struct plan_context *context,
                struct error *err);
void plan_deinit(struct plan *self);
int plan_add(struct plan *self, struct step step);
