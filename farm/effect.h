/* What an action did, as far as it can be seen from outside the guest. */
#pragma once

#include "base/json.h"

#include <stdbool.h>

/* Times are CLOCK_MONOTONIC microseconds; 0: never. */
struct effect {
    int64_t begin_us;         /* its first event went to the guest */
    int64_t first_us, last_us; /* of the changes of the screen since, until the next action that sends any */
    int64_t n_tiles;          /* tiles that changed, each as often as it did; blinkers are none */
};

void effect_begin(struct effect *self, int64_t now_us);
/* n_tiles of the frame captured then changed, and count. */
void effect_damage(struct effect *self, int64_t captured_us, int n_tiles);

/* Completes the result of an action that has ended: "effect", and what it rests on. until_us: how long it
 * was watched. is_failed: it did not come to its end.
 *
 *   confirmed          the screen changed after it; or the focused window said that it had read the text;
 *                      or it only looks or waits, and has what it wanted
 *   no_visible_effect  it was carried out, and nothing changed while it was watched
 *   partial            it failed after its first event
 *   refused            nothing of it was sent */
void effect_put(const struct effect *self, json_t *result, int64_t until_us, bool is_failed);
