/* What a person's hand did in a recording: keys, pointer, wheel (docs/stream.md, "In a recording"). For workers. */
#pragma once

#include "replay/reading.h"

enum hand_kind { HAND_KEY, HAND_MOVE, HAND_BUTTON, HAND_WHEEL };

struct hand_event {
    int64_t at_us;
    enum hand_kind kind;
    bool is_down;
    int code;   /* evdev code of a key; number of a button, 0 is the left one */
    int x, y;   /* native pixels; not of a key */
    int dx, dy; /* of the wheel, in 1/120 notch; right and down are positive */
};

struct hand {
    struct hand_event *events; /* ascending in time */
    size_t n, capacity;
};

/* All of a recording. A segment that cannot be read is left out. -ENOMEM. */
int hand_read(struct hand *self, const struct reading *reading);
void hand_deinit(struct hand *self);

/* False: the record is no such event. */
bool hand_parse(const struct record *record, int64_t at_us, struct hand_event *ret);

/* Name of a key on a US keyboard, as pynput and pyautogui write it: "a", "ctrl_l", "enter"; NULL when it has
 * none. */
const char *hand_key_name(int code);
