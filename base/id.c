#include "base/id.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

void id_random(void *out, size_t size)
{
    uint8_t *at = out;
    while (size > 0) {
        ssize_t n = getrandom(at, MIN(size, (size_t)256), 0);
        if (n <= 0)
            continue; /* only EINTR can happen, before the first boot's seeding */
        at += n;
        size -= (size_t)n;
    }
}

void id_new(const char *prefix, char out[ID_MAX])
{
    static const char digits[] = "abcdefghijklmnopqrstuvwxyz234567";
    uint8_t random[ID_RANDOM_CHARS];
    id_random(random, sizeof random);
    int n = snprintf(out, ID_MAX, "%.8s", prefix);
    for (size_t i = 0; i < ID_RANDOM_CHARS; i++)
        out[n++] = digits[random[i] & 31];
    out[n] = 0;
}

bool id_is_valid(const char *text)
{
    size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-_");
    return n > 0 && n < ID_MAX && !text[n];
}
