/* A form in pieces. The first line is the Content-Type, the first byte of it the pieces' size. */
#include "web/multipart.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What parts hold, together, can be no more than what came. */
static int take(void *data, const uint8_t *bytes, size_t size)
{
    size_t *left = data;
    if (size > *left)
        abort();
    *left -= size;
    return size > 0 && bytes[0] == 0xff ? -1 : 0;
}

static int begin(void *data maybe_unused, const char *name)
{
    return strlen(name) >= MULTIPART_NAME_MAX ? (abort(), 0) : 0;
}

static int stop(void *data maybe_unused)
{
    return 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct multipart_ops ops = { begin, take, stop };
    char type[256] = "";
    const uint8_t *end = memchr(data, '\n', size);
    size_t line = end ? (size_t)(end - data) : size;
    memcpy(type, data, MIN(line, sizeof type - 1));
    size_t left = size, step = size ? data[0] % 64u + 1 : 1;
    struct multipart form;
    if (!end || multipart_init(&form, type, &ops, &left) < 0)
        return 0;
    for (size_t at = line + 1; at < size;) {
        size_t room = MIN(step, size - at);
        ssize_t used = multipart_feed(&form, data + at, room);
        if (used < 0)
            return 0;
        if ((size_t)used > room)
            abort();
        at += (size_t)used;
    }
    return 0;
}
