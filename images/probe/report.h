/* report.h: JSON lines to the host. */
#ifndef PROBE_REPORT_H
#define PROBE_REPORT_H

#include <jansson.h>
#include <stdint.h>

/* Puts the serial port into raw mode. Returns its descriptor, or -1 with errno set. */
int report_open(const char *path);

/* CLOCK_MONOTONIC in microseconds. The X server's event times are the same clock in
 * milliseconds. */
int64_t report_now_us(void);

/* Sends one line in one write(), with "n" and "t_us" added. Takes over `event`; NULL (an
 * allocation that failed) is ignored. */
void report(json_t *event);

/* Tells the host that the screen is there: opens a port of the machine, for ever. A machine without
 * that port is none the worse. */
void report_up(void);

#endif
