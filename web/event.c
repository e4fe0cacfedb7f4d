/* Text is written straight into the stream's buffer: validated, escaped and copied in one pass, run
 * by run. A byte becomes at most six ("\u0001"). */
#include "web/event.h"

#include "base/clock.h"

#include <stdio.h>
#include <string.h>

#define REPLACEMENT "\xef\xbf\xbd"

enum event_format event_format(const char *accept)
{
    bool wants_lines =
        strstr(accept, "application/x-ndjson") || strstr(accept, "application/jsonl");
    return wants_lines && !strstr(accept, "text/event-stream") ? EVENT_LINES : EVENT_SSE;
}

const char *event_content_type(enum event_format format)
{
    return format == EVENT_LINES ? "application/x-ndjson" : "text/event-stream";
}

static void begin(struct buf *out, enum event_format format)
{
    if (format == EVENT_SSE)
        buf_puts(out, "data: ");
}

static void end(struct buf *out, enum event_format format)
{
    buf_puts(out, format == EVENT_SSE ? "\n\n" : "\n");
}

void event_json(struct buf *out, enum event_format format, json_t *event)
{
    begin(out, format);
    json_write(event, out);
    end(out, format);
    json_decref(event);
}

/* --- Text ---------------------------------------------------------------------------------------
 */

/* The range of the second byte, after a first one that begins a character of n bytes (Unicode,
 * table 3-7). 0: it begins none. */
static int lead(uint8_t c, uint8_t *low, uint8_t *high)
{
    *low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
    *high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
    if (c >= 0xc2 && c <= 0xdf)
        return 2;
    if (c >= 0xe0 && c <= 0xef)
        return 3;
    return c >= 0xf0 && c <= 0xf4 ? 4 : 0;
}

/* Looks at a character that does not begin in ASCII. Returns its size; 0 when its end is
 * missing; or minus the number of bytes that are no character. */
static int measure(const uint8_t *at, size_t size)
{
    uint8_t low, high;
    int n = lead(at[0], &low, &high);
    if (n == 0)
        return -1;
    for (int i = 1; i < n; i++) {
        if ((size_t)i >= size)
            return 0;
        if (at[i] < low || at[i] > high)
            return -i;
        low = 0x80;
        high = 0xbf;
    }
    return n;
}

static void escape(struct buf *out, uint8_t c)
{
    static const char short_ones[] = { ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't', ['\b'] = 'b',
                                       ['\f'] = 'f', ['"'] = '"',  ['\\'] = '\\' };
    if (c < sizeof short_ones && short_ones[c])
        buf_append(out, (const char[]){ '\\', short_ones[c] }, 2);
    else
        buf_printf(out, "\\u%04x", c);
}

static bool is_plain(uint8_t c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

/* Writes what is whole. Returns how many bytes are left at the end, at most three. */
static size_t write_text(struct buf *out, const uint8_t *bytes, size_t size, bool *ret_is_lossy)
{
    size_t run = 0, at = 0;
    while (at < size) {
        if (is_plain(bytes[at])) {
            at++;
            continue;
        }
        int n = bytes[at] < 0x80 ? -1 : measure(bytes + at, size - at);
        if (n > 0) {
            at += (size_t)n;
            continue;
        }
        buf_append(out, bytes + run, at - run);
        if (n == 0)
            return size - at;
        if (bytes[at] < 0x80) {
            escape(out, bytes[at]);
        } else {
            buf_puts(out, REPLACEMENT);
            *ret_is_lossy = true;
        }
        at += (size_t)-n;
        run = at;
    }
    buf_append(out, bytes + run, at - run);
    return 0;
}

/* Completes the character that was begun, or gives it up. Returns how many bytes it took. */
static size_t write_tail(struct buf *out, struct event_tail *tail, const uint8_t *bytes,
                         size_t size, bool *ret_is_lossy)
{
    uint8_t joined[sizeof tail->bytes + 1];
    size_t held = tail->size;
    memcpy(joined, tail->bytes, held);
    size_t n = held;
    int found = 0;
    /* Byte by byte: what follows the character is not looked at twice. */
    while (found == 0 && n - held < size && n < sizeof joined) {
        joined[n] = bytes[n - held];
        n++;
        found = measure(joined, n);
    }
    if (found == 0) {
        memcpy(tail->bytes, joined, n);
        tail->size = (uint8_t)n;
        return n - held;
    }
    tail->size = 0;
    if (found > 0) {
        buf_append(out, joined, (size_t)found);
        return (size_t)found - held;
    }
    /* What was held is a valid beginning, so the invalid part is that and perhaps more. */
    buf_puts(out, REPLACEMENT);
    *ret_is_lossy = true;
    return (size_t)-found - held;
}

static void hold(struct event_tail *tail, const uint8_t *bytes, size_t size)
{
    memcpy(tail->bytes, bytes, size);
    tail->size = (uint8_t)size;
}

void event_output(struct buf *out, enum event_format format, const char *type,
                  struct event_tail *tail, const uint8_t *bytes, size_t size, bool is_last)
{
    size_t before = out->size;
    bool is_lossy = false;
    begin(out, format);
    buf_printf(out, "{\"type\":\"%s\",\"text\":\"", type);
    size_t text = out->size;
    if (tail->size) {
        size_t used = write_tail(out, tail, bytes, size, &is_lossy);
        bytes += used;
        size -= used;
    }
    if (size > 0) {
        size_t left = write_text(out, bytes, size, &is_lossy);
        hold(tail, bytes + size - left, left);
    }
    if (is_last && tail->size) {
        tail->size = 0;
        is_lossy = true;
        buf_puts(out, REPLACEMENT);
    }
    if (out->size == text) {
        out->size = before;
        return;
    }
    buf_printf(out, "\",\"timestamp\":%lld%s}", (long long)(clock_wall_us() / 1000),
               is_lossy ? ",\"lossy\":true" : "");
    end(out, format);
}
