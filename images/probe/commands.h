/* commands.h: JSON lines from the host. */
#ifndef PROBE_COMMANDS_H
#define PROBE_COMMANDS_H

#include "input.h"

/* Reads what has arrived on the serial port and runs every complete line. */
void commands_read(int fd);

/* Starts the steps of a waiting on_input command if `kind` is what it waits for. */
void commands_on_input(enum input_kind kind);

/* Forgets a waiting on_input command. */
void commands_disarm(void);

#endif
