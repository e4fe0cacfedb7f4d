#include "web/range.h"

#include <string.h>
#include <strings.h>

#define DIGITS_MAX 18

/* -1: no number. */
static int64_t take_number(const char **at)
{
    size_t n = strspn(*at, "0123456789");
    int64_t value = n ? 0 : -1;
    for (size_t i = 0; i < n; i++)
        value = n <= DIGITS_MAX ? value * 10 + ((*at)[i] - '0') : INT64_MAX;
    *at += n;
    return value;
}

int range_parse(const char *header, int64_t size, int64_t *ret_first, int64_t *ret_length)
{
    if (strncasecmp(header, "bytes=", 6) != 0)
        return RANGE_WHOLE;
    const char *at = header + 6 + strspn(header + 6, " ");
    int64_t first = take_number(&at);
    if (*at++ != '-')
        return RANGE_WHOLE;
    int64_t last = take_number(&at);
    at += strspn(at, " ");
    if (*at || (first < 0 && last < 0) || (first >= 0 && last >= 0 && last < first))
        return RANGE_WHOLE;
    if (first < 0) { /* the last bytes */
        first = last >= size ? 0 : size - last;
        last = last == 0 ? -1 : size - 1;
    } else if (last < 0 || last >= size) {
        last = size - 1;
    }
    if (first >= size || last < first)
        return RANGE_OUTSIDE;
    *ret_first = first;
    *ret_length = last - first + 1;
    return RANGE_PART;
}
