/* The first serial port: a line of JSON in, a line of JSON out. Polled; it is taken from
 * the firmware's drivers. */
#pragma once

#include <efi.h>

void port_init(void);
/* The next whole line, or NULL. Valid until the next call. Longer ones are dropped. */
const char *port_read_line(void);
void port_write(const char *text);

/* A report is begun, gets fields, and ends: then it goes out with its number "n". Text is not escaped. */
void report_begin(const char *ev);
void report_int(const char *key, INT64 value);
void report_bool(const char *key, BOOLEAN value);
void report_text(const char *key, const char *value);
/* JSON that is there already; key NULL: the rest of a value that was begun. */
void report_raw(const char *key, const char *value);
void report_end(void);
