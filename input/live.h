/* What a person does with keyboard and pointer, handed to the guest as it happens.
 *
 * Beside actions (input/input.h), which are planned: an event here has happened already. Events go
 * out in their order, as fast as the guest takes them; moves that wait for it become one. Changes of
 * buttons are kept apart as those of actions are. What was pressed through one of these objects is
 * released with it.
 *
 * Nothing here knows who may act: that is the caller's rule. */
#pragma once

#include "input/input.h"

/* Events that wait. Above half of it ask the person's side to hold back. */
#define LIVE_EVENTS_MAX 256

enum live_kind {
    LIVE_KEY,    /* code is an evdev code; is_down */
    LIVE_BUTTON, /* code is an enum button; is_down */
    LIVE_MOVE,   /* fx, fy: native pixels; outside is moved to the edge */
    LIVE_WHEEL,  /* code is an enum wheel_axis; notches, positive is down or right */
};

struct live_event {
    enum live_kind kind;
    uint64_t id; /* the caller's; told when the guest has it */
    uint16_t code;
    bool is_down;
    int fx, fy, notches;
};

struct live;

/* All events up to and with id are the guest's since at_us (monotonic). May feed, may not free. */
typedef void (*live_taken_fn)(void *data, uint64_t id, int64_t at_us);

/* taken may be NULL. input must outlive it. NULL when memory is short. */
struct live *live_new(struct loop *loop, struct input *input, live_taken_fn taken, void *data);
/* Drops what waits and releases what it pressed. Takes NULL, returns NULL. */
struct live *live_free(struct live *self);

/* LIVE_FULL: LIVE_EVENTS_MAX wait already and this one was dropped. Codes that no guest's keyboard has
 * are ignored. */
enum { LIVE_FULL = 1 };
int live_feed(struct live *self, const struct live_event *event);
/* Number of events that wait. */
size_t live_depth(const struct live *self);
/* Drops what waits and lets go of all that it pressed (the person's window lost its focus). */
void live_release(struct live *self);
