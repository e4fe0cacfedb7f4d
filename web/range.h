/* The Range header of a request (RFC 9110 section 14), as a pure function. One range of bytes is
 * understood; of several, or of another unit, the whole is sent, as the RFC allows. */
#pragma once

#include "base/util.h"

enum {
    RANGE_WHOLE = 0,   /* no range, or none that is understood */
    RANGE_PART = 1,    /* *ret_first and *ret_length say which; length is at least 1 */
    RANGE_OUTSIDE = 2, /* nothing of it is there: 416 */
};

/* header: "" when absent. size: of what there is. */
int range_parse(const char *header, int64_t size, int64_t *ret_first, int64_t *ret_length);
