/* input.h: what the X server delivers, as reports. */
#ifndef PROBE_INPUT_H
#define PROBE_INPUT_H

#include "probe.h"

#include <jansson.h>

enum input_kind {
    INPUT_NONE,
    INPUT_KEY_PRESS, /* not a repeat */
    INPUT_BUTTON_PRESS,
};

/* Selects events on the window. Returns false when the server lacks XI2 or XKB. */
bool input_init(void);

/* Reports one event if it is an input event; says what a waiting on_input command may start on. */
enum input_kind input_handle(XEvent *event);

/* Adds "keys" and "buttons" to the reply: what the server holds down now. */
void input_add_held(json_t *reply);

/* Loads a layout into the server. Returns false when the layout does not exist. */
bool input_set_layout(const char *layout, const char *variant);

/* Whether motion is reported; on at first. */
void input_report_motion(bool on);

#endif
