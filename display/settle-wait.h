/* A settle that runs by itself: observes a display, keeps the timer, answers once.
 *
 * It holds the display meanwhile. When the screen is lost or the display freed it answers early,
 * with the state it had (WAITING or MOVING) and is_lost set. */
#pragma once

#include "display/settle.h"

struct settle_wait;

/* settle belongs to the wait and lives until the call returns. The wait is over and gone: do not
 * cancel it. Never called from within settle_wait_start. */
typedef void (*settle_wait_fn)(void *data, struct settle *settle, bool is_lost);

/* After an input injected at injected_us; 0: there was none, wait for quiet only (with what
 * display_last_change_us knows). NULL when memory is short. Start it before or right after the
 * injection, in the same turn of the loop. */
struct settle_wait *settle_wait_start(struct display *display, const struct settle_params *params,
                                      int64_t injected_us, settle_wait_fn fn, void *data);
/* Another event of the same input was injected (settle_input). */
void settle_wait_input(struct settle_wait *self, int64_t now_us);
/* Other limits from here on (settle_set_params). */
void settle_wait_set_params(struct settle_wait *self, const struct settle_params *params);
/* fn will not be called. Takes NULL, returns NULL. */
struct settle_wait *settle_wait_cancel(struct settle_wait *self);
