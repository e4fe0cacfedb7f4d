/* screen.h: the screen's size, and following it when the host changes the display. */
#ifndef PROBE_SCREEN_H
#define PROBE_SCREEN_H

#include <stdbool.h>

/* Starts listening for display changes. Returns a descriptor to poll, or -1 with errno set. */
int screen_listen(void);

/* Reads what is waiting on the descriptor; true when a display changed. */
bool screen_changed(void);

/* Sets the preferred mode of the first output, if it is not set yet, and makes the
 * window fit. Returns true when the size is another one now. */
bool screen_follow(void);

#endif
