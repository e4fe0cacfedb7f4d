#include "cli/when.h"

#include <errno.h>
#include <string.h>

#define AHEAD_MAX_S (10LL * 366 * 86400)

static int64_t unit_s(const char *unit)
{
    static const struct {
        const char *name;
        int64_t seconds;
    } units[] = { { "", 1 }, { "s", 1 }, { "m", 60 }, { "h", 3600 }, { "d", 86400 } };
    for (size_t i = 0; i < ARRAY_LEN(units); i++)
        if (strcmp(unit, units[i].name) == 0)
            return units[i].seconds;
    return 0;
}

int when_parse(const char *text, int64_t now_wall_us, char out[CLOCK_RFC3339_MAX],
               struct error *err)
{
    char *end;
    int64_t at;
    errno = 0;
    long long count = strtoll(text, &end, 10);
    int64_t unit = end == text ? 0 : unit_s(end);
    if (unit == 0 && clock_parse(text, &at) == 0) {
        clock_format(at, out);
        return 0;
    }
    if (unit == 0 || errno || count <= 0 || count > AHEAD_MAX_S / unit)
        return error_set(err, ERROR_BAD_VALUE,
                         "\"%.40s\" is neither a time from now (90, 30m, 2h, 7d) nor a date", text);
    clock_format(now_wall_us + count * unit * 1000000, out);
    return 0;
}
