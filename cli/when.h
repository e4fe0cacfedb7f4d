/* Points in time as people write them. */
#pragma once

#include "base/clock.h"
#include "base/error.h"

/* "90", "90s", "30m", "2h", "7d" from now, or RFC 3339. */
int when_parse(const char *text, int64_t now_wall_us, char out[CLOCK_RFC3339_MAX],
               struct error *err);
