/* What a display knows of its blinkers: carets, a clock's colon, looping spinners.
 *
 * It sees every change while the display is held, and every injected input. For each change it says
 * which pixels count as change and which only belong to something that blinks on its own.
 * settle-history.c opens with the model. Pure: time is passed in. */
#pragma once

#include "display/frame.h"

/* One changed tile. counted holds the pixels that changed and count: bit x of counted[y]. */
struct tile_change {
    int index;   /* in the frame's table */
    bool counts; /* any bit of counted set */
    uint64_t counted[TILE_SIZE];
};

struct settle_history;

struct settle_history *settle_history_new(void);
struct settle_history *settle_history_free(struct settle_history *self);

/* Something was injected at this moment (a press, a release, a motion: each of them). */
void settle_history_input(struct settle_history *self, int64_t now_us);
/* Forgets all; the size of the screen is another. */
void settle_history_reset(struct settle_history *self);
/* Nobody looks from here on, and again from here on: the time between does not age anything. */
void settle_history_pause(struct settle_history *self, int64_t now_us);
void settle_history_resume(struct settle_history *self, int64_t now_us);

/* Tile number index changed from old to new at now_us. old NULL (its pixels are not known): all of
 * it counts. Fills ret. */
void settle_history_feed(struct settle_history *self, int index, const struct tile *old,
                         const struct tile *new, int64_t now_us, struct tile_change *ret);
/* Blinkers known at this moment, and bytes held. For tests and metrics. */
int settle_history_n_blinkers(const struct settle_history *self, int64_t now_us);
size_t settle_history_bytes(const struct settle_history *self);
