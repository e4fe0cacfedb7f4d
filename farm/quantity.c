#include "farm/quantity.h"

#include <errno.h>
#include <string.h>

static const struct {
    const char *suffix;
    double factor;
} suffixes[] = {
    { "", 1 },    { "m", 1e-3 },         { "k", 1e3 },           { "K", 1e3 },
    { "M", 1e6 }, { "G", 1e9 },          { "T", 1e12 },          { "Ki", 1024.0 },
    { "Mi", 1048576.0 }, { "Gi", 1073741824.0 }, { "Ti", 1099511627776.0 },
};

int quantity_parse(const char *text, double *ret)
{
    /* Digits with one point: strtod alone would take "inf", "0x1p3" and spaces. */
    size_t digits = strspn(text, "0123456789.");
    if (digits == 0 || digits > 20 || text[0] == '.')
        return -EINVAL;
    char *end;
    double value = strtod(text, &end);
    if (end != text + digits)
        return -EINVAL;
    for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
        if (strcmp(end, suffixes[i].suffix) == 0) {
            *ret = value * suffixes[i].factor;
            return *ret <= 1e18 ? 0 : -EINVAL;
        }
    }
    return -EINVAL;
}

int64_t quantity_round_up(double amount, int64_t step)
{
    int64_t size = step;
    while ((double)size < amount && size < INT64_MAX / 4)
        size *= 2;
    return size;
}
