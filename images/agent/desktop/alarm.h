/* One-shot timers of deskfarm-desktop. A list: there are a few at a time. */
#pragma once

#include "base/list.h"

#include <stdint.h>

/* Plain memory inside its owner; zero is a stopped one. */
struct alarm {
    struct list link;
    int64_t at_us;
    void (*fn)(void *data);
    void *data;
};

/* Sets it anew if it is set. */
void alarm_set(struct alarm *self, int64_t delay_us, void (*fn)(void *data), void *data);
void alarm_stop(struct alarm *self);
/* Runs what is due, and says how long until the next (-1: none). */
int64_t alarms_turn(void);
