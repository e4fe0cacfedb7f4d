/* Time in microseconds: one unit for the whole tree. */
#pragma once

#include "base/util.h"

/* CLOCK_MONOTONIC; never zero. The clock of every frame, action and timer. */
int64_t clock_now_us(void);
/* CLOCK_REALTIME, microseconds since 1970. */
int64_t clock_wall_us(void);

#define CLOCK_RFC3339_MAX 32
/* Writes "2026-01-02T03:04:05.678Z". */
void clock_format(int64_t wall_us, char out[CLOCK_RFC3339_MAX]);
/* Reads RFC 3339 (fraction optional, "Z" or an offset). Returns -EINVAL when it is none. */
int clock_parse(const char *text, int64_t *ret_wall_us);
