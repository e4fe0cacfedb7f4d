/* How often a test does what it does: all of it with ./check --full, a part of it otherwise. */
#pragma once

#include <stdlib.h>

static inline int count_of(int full, int reduced)
{
    return getenv("DESKFARM_FULL") ? full : reduced;
}
