/* Which keys and buttons of a guest are down.
 *
 * The one place that knows: presses and releases pass through here to the sink. A key can be held
 * by the action under way (counted, so that a chord may name a key twice) and be latched by key_down
 * or button_down. It goes down at the first of these and up at the last. Pressing twice or
 * releasing what is up is swallowed. */
#pragma once

#include "input/sink.h"

#include <linux/input-event-codes.h>

enum { HELD_KEYS = KEY_MICMUTE + 1, HELD_COUNT = HELD_KEYS + BUTTON_COUNT };

struct held {
    uint8_t n_holds[HELD_COUNT]; /* by the action under way */
    bool is_latched[HELD_COUNT];
    uint16_t order[HELD_COUNT]; /* what is down, in the order of the presses */
    size_t n_down;
};

/* A held thing: an evdev code or a button. */
static inline uint16_t held_key(uint16_t code)
{
    return code;
}

static inline uint16_t held_button(enum button button)
{
    return (uint16_t)(HELD_KEYS + button);
}

void held_press(struct held *self, struct sink *sink, uint16_t what);
void held_release(struct held *self, struct sink *sink, uint16_t what);
/* Turns the action's hold into one that outlives it, or ends such a hold. */
void held_latch(struct held *self, uint16_t what);
void held_unlatch(struct held *self, struct sink *sink, uint16_t what);
/* Releases what the action under way holds, last press first; latched keys stay. Returns how many
 * it held. */
size_t held_release_action(struct held *self, struct sink *sink);
/* Releases everything, last press first. */
void held_release_all(struct held *self, struct sink *sink);
bool held_is_down(const struct held *self, uint16_t what);
