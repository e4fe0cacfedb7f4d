/* Output of a guest as events: each must be a line of JSON, whatever the bytes are. The first byte
 * says how large the pieces are. A Range header too, as it is small. */
#include "web/event.h"
#include "web/range.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_lines(const struct buf *events)
{
    const char *line = (const char *)events->data, *end = line + events->size;
    while (line < end) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        json_t *event = stop ? json_loadb(line, (size_t)(stop - line), JSON_ALLOW_NUL, NULL) : NULL;
        if (!event)
            abort();
        json_decref(event);
        line = stop + 1;
    }
}

static void check_range(const uint8_t *data, size_t size)
{
    char header[128] = "";
    memcpy(header, data, MIN(size, sizeof header - 1));
    int64_t first, length;
    if (range_parse(header, 1000, &first, &length) == RANGE_PART &&
        (first < 0 || length < 1 || first + length > 1000))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    auto_buf struct buf events = BUF_INIT;
    struct event_tail tail = { 0 };
    size_t step = size ? data[0] % 64u + 1 : 1;
    for (size_t at = 1; at < size; at += step)
        event_output(&events, EVENT_LINES, "stdout", &tail, data + at, MIN(step, size - at), false);
    event_output(&events, EVENT_LINES, "stdout", &tail, NULL, 0, true);
    check_lines(&events);
    check_range(data, size);
    return 0;
}
