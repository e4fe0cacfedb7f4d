/* What of the clipboard can be told without one. */
#pragma once

#include "base/util.h"

#include <string.h>

/* By its signature. */
static inline bool clipboard_is_png(const void *data, size_t size)
{
    return size > 8 && memcmp(data, "\x89PNG\r\n\x1a\n", 8) == 0;
}
