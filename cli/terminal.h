/* The terminal that we were started in, and signals as something to poll for. There is one of each
 * per process. */
#pragma once

#include "base/util.h"

/* From here on signals that ask us to end, and changes of the terminal's size, are read below. is_raw:
 * keys go where they are sent, without an echo, if stdin is a terminal. */
void terminal_start(bool is_raw);
/* As it was before. */
void terminal_stop(void);
/* Becomes readable when there is a signal. */
int terminal_signals(void);
/* The next one, or 0. */
int terminal_next_signal(void);
/* False: there is no terminal. */
bool terminal_size(int *ret_columns, int *ret_rows);
