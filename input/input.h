/* The input of one sandbox: plays actions into a sink over time and owns what is held down.
 *
 * One action at a time; order and leases are the caller's. A plan (input/plan.h) is made first, so
 * an action that cannot be carried out whole injects nothing. Then its steps run with their pauses,
 * each counted from when the guest took the events before it. Everything an action pressed is
 * released when it ends, fails or is cancelled, last press first; only key_down and button_down
 * outlive their action, until key_up, button_up, release_all, input_release_all or input_reset. Two
 * changes of buttons are kept 30 ms apart, within an action and between two: libinput takes faster
 * ones for a switch that bounces and drops them. */
#pragma once

#include "base/loop.h"
#include "input/action.h"
#include "input/keymap.h"
#include "input/reader.h"
#include "input/space.h"

struct input;

/* CLOCK_MONOTONIC microseconds (base/clock.h). Injected: when the guest's device took the action's
 * first and last event; both 0 when the action has none (wait, cursor_position). */
struct input_result {
    int64_t queued_us, injected_first_us, injected_last_us;
    bool has_point;      /* the pointer's place is known: where the action left it */
    int fx, fy;          /* native pixels */
    size_t n_characters; /* type: characters that arrived, also when it failed half-way */
    size_t n_entered;    /* of these, those that the layout lacks (input/entry.h) */
};

/* err is NULL when the action was carried out; else cancelled (input_cancel), guest_gone (the
 * guest does not take input any more) or timeout (it takes input and does not read it). Both pointers are borrowed. May call
 * input_play; may not call input_free. */
typedef void (*input_done_fn)(void *data, const struct input_result *result,
                              const struct error *err);

/* Takes the sink over, also on failure. The layout starts as keymap (a reference is taken), the
 * screen as unknown: set it before pointer actions. */
int input_new(struct input **ret, struct loop *loop, struct sink *sink, struct keymap *keymap,
              struct error *err);
/* Releases nothing in the guest (it may be gone): call input_release_all before, when it matters.
 * No done callback runs. */
struct input *input_free(struct input *self);

/* Who can say what the guest has read of its keyboard, if anybody can; see input/reader.h. */
void input_set_reader(struct input *self, reader_ask_fn ask, void *data);
/* The answer to a question, and that there will be none: is_stuck when the guest does not answer in time, which
 * ends a text that waits for it with timeout; else it is typed by time. */
void input_answer(struct input *self, const struct reader_answer *answer);
void input_no_answer(struct input *self, bool is_stuck);
/* The layout that the guest has now. */
void input_set_keymap(struct input *self, struct keymap *keymap);
/* A new scanout in native pixels. QEMU's tablet keeps its axis value, so the remembered pointer is
 * scaled with the screen. 0, 0: no screen. */
void input_set_screen(struct input *self, int width, int height);
/* Somebody else moved the pointer (a person's viewer), or nobody knows where it is. */
void input_set_pointer(struct input *self, int fx, int fy);
void input_forget_pointer(struct input *self);
/* False while it is unknown. */
bool input_pointer(const struct input *self, int *ret_fx, int *ret_fy);

/* Starts an action for which action_is_played; action and space are not needed after the return.
 * 0: done will run exactly once from the loop. Negative: err says why (see plan_action; not_ready
 * without a screen; busy while another is under way), nothing was injected, done will not run. */
int input_play(struct input *self, const struct action *action, const struct space *space,
               input_done_fn done, void *data, struct error *err);
bool input_is_busy(const struct input *self);
/* Stops the action under way, releases what it holds; its done runs soon with cancelled. */
void input_cancel(struct input *self);

/* Cancels, then releases every key and button that is known to be down, latched ones too. */
void input_release_all(struct input *self);
/* What the guest holds is unknown (the daemon restarted, a checkpoint was restored): cancels, then
 * releases every key and button there is, which takes about 50 ms; until then input_play answers
 * busy. The pointer's place is forgotten. */
void input_reset(struct input *self);
/* The same when what may be down is known, from input_held of whom the guest's state comes from. A USB keyboard
 * takes only so many events in a second. */
void input_lift(struct input *self, const uint16_t *held, size_t n);
/* What is down, in the order of the presses (input/held.h); returns how many, at most max. */
size_t input_held(const struct input *self, uint16_t *ret, size_t max);
/* Whether the guest's keyboard has a key, by its evdev code. */
bool (*input_key_test(const struct input *self))(uint16_t code);
/* Number of keys and buttons that are down. */
size_t input_n_held(const struct input *self);
