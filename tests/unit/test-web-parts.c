/* web/: what is taken apart as it comes: chunks, forms, ranges, output. Each input is fed whole and
 * cut at every place, which must make no difference. */
#include "base/buf.h"
#include "web/chunks.h"
#include "web/event.h"
#include "web/multipart.h"
#include "web/range.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <string.h>

/* --- The chunked coding --------------------------------------------------------------------------- */

/* What the coded text holds, fed in pieces of at most step bytes; "!" when it is refused, "…" at the
 * end when more is expected. */
static const char *decode_chunks(const char *coded, size_t step, struct buf *out)
{
    struct chunks chunks = { 0 };
    const uint8_t *at = (const uint8_t *)coded;
    size_t left = strlen(coded);
    while (left > 0 && chunks.state != CHUNKS_END) {
        const uint8_t *piece;
        size_t n, size = MIN(left, step);
        ssize_t used = chunks_next(&chunks, at, size, &piece, &n);
        if (used < 0)
            return "!";
        buf_append(out, piece, n);
        at += used;
        left -= (size_t)used;
    }
    if (chunks.state != CHUNKS_END)
        buf_puts(out, "…");
    return buf_str(out);
}

Test(chunks, holds_what_was_put_in)
{
    static const struct {
        const char *coded, *text;
    } rows[] = {
        { "0\r\n\r\n", "" },
        { "5\r\nhello\r\n0\r\n\r\n", "hello" },
        { "2\r\nab\r\n00000003\r\ncde\r\n0\r\n\r\n", "abcde" },
        { "A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n", "01234567890123456789" },
        { "3;name=\"value\"\r\nabc\r\n0;last\r\n\r\n", "abc" },
        { "3\nabc\n0\n\n", "abc" },
        { "1\r\nx\r\n0\r\nTrailer: a\r\nOther: b\r\n\r\n", "x" },
        { "4\r\n\r\n\r\n\r\n0\r\n\r\n", "\r\n\r\n" },
        { "5\r\nhel", "hel…" },
        { "", "…" },
        { "x\r\n", "!" },
        { "\r\n", "!" },
        { "-1\r\n", "!" },
        { "5hello", "!" },
        { "3\r\nabcd\r\n", "!" },
        { "ffffffffffffffffff\r\n", "!" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (size_t step = 1; step <= strlen(rows[i].coded) + 1; step++) {
            auto_buf struct buf out = BUF_INIT;
            cr_assert(eq(str, (char *)decode_chunks(rows[i].coded, step, &out), (char *)rows[i].text),
                      "%s in steps of %zu", rows[i].coded, step);
        }
}

Test(chunks, lines_and_trailers_have_an_end)
{
    char line[CHUNKS_LINE_MAX + 64] = "1;";
    memset(line + 2, 'x', sizeof line - 3);
    auto_buf struct buf out = BUF_INIT;
    cr_assert(eq(str, (char *)decode_chunks(line, sizeof line, &out), "!"));
    auto_buf struct buf trailers = BUF_INIT;
    buf_puts(&trailers, "0\r\n");
    while (trailers.size < CHUNKS_TRAILER_MAX + 64)
        buf_puts(&trailers, "Name: value\r\n");
    auto_buf struct buf second = BUF_INIT;
    cr_assert(eq(str, (char *)decode_chunks(buf_str(&trailers), 4096, &second), "!"));
}

/* --- Forms ---------------------------------------------------------------------------------------- */

static int note_part(void *data, const char *name)
{
    return buf_printf(data, "[%s:", name);
}

static int note_data(void *data, const uint8_t *bytes, size_t size)
{
    return buf_append(data, bytes, size);
}

static int note_end(void *data)
{
    return buf_puts(data, "]");
}

static const struct multipart_ops noting = { note_part, note_data, note_end };

/* "[name:content]" per part, "!" when it is refused, "…" at the end when more is expected. */
static const char *parse_form(const char *body, size_t step, struct buf *out)
{
    struct multipart form;
    cr_assert(eq(int, multipart_init(&form, "multipart/form-data; boundary=xx", &noting, out), 0));
    size_t size = strlen(body);
    for (size_t at = 0; at < size; at += step)
        if (multipart_feed(&form, (const uint8_t *)body + at, MIN(step, size - at)) < 0)
            return "!";
    if (!multipart_is_complete(&form))
        buf_puts(out, "…");
    return buf_str(out);
}

#define PART(name) "Content-Disposition: form-data; name=\"" name "\"\r\n\r\n"

Test(multipart, holds_its_parts)
{
    static const struct {
        const char *body, *parts;
    } rows[] = {
        { "--xx\r\n" PART("a") "hello\r\n--xx--\r\n", "[a:hello]" },
        { "--xx\r\n" PART("a") "1\r\n--xx\r\n" PART("b") "2\r\n--xx--", "[a:1][b:2]" },
        { "--xx\r\n" PART("a") "\r\n--xx--", "[a:]" },
        { "preamble\r\n--xx\r\n" PART("a") "1\r\n--xx--epilogue", "[a:1]" },
        { "--xx  \r\n" PART("a") "1\r\n--xx--", "[a:1]" },
        { "--xx\r\nContent-Type: text/plain\r\nCONTENT-DISPOSITION: form-data; filename=\"n; name=x\"; "
          "name=\"file\"\r\n\r\n1\r\n--xx--", "[file:1]" },
        { "--xx\r\n\r\nno headers\r\n--xx--", "[:no headers]" },
        /* What looks like a boundary and is none. */
        { "--xx\r\n" PART("a") "\r\n--x\r\n--\r\r\n-xx--\r\n\r\n--xx--", "[a:\r\n--x\r\n--\r\r\n-xx--\r\n]" },
        { "--xx\r\n" PART("a") "--xx\n--xx--\r\n--xx--", "[a:--xx\n--xx--]" },
        { "--xx\r\n" PART("a") "\r\r\r\n\r\n--xx--", "[a:\r\r\r\n]" },
        /* Cut short. */
        { "", "…" },
        { "--xx\r\n", "…" },
        { "--xx\r\n" PART("a") "1\r\n--x", "[a:1…" },
        /* No form. */
        { "--xx\rx", "!" },
        { "--xxx", "!" },
        { "--xx\r\n" PART("a") "1\r\n--xx!", "!" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (size_t step = 1; step <= strlen(rows[i].body) + 1; step++) {
            auto_buf struct buf out = BUF_INIT;
            cr_assert(eq(str, (char *)parse_form(rows[i].body, step, &out), (char *)rows[i].parts),
                      "%s in steps of %zu", rows[i].body, step);
        }
}

static int stop_at_end(void *data)
{
    buf_puts(data, "]");
    return 1;
}

Test(multipart, stops_behind_a_part)
{
    static const struct multipart_ops stopping = { note_part, note_data, stop_at_end };
    static const char body[] = "--xx\r\n" PART("a") "1\r\n--xx\r\n" PART("b") "2\r\n--xx--";
    auto_buf struct buf out = BUF_INIT;
    struct multipart form;
    multipart_init(&form, "multipart/form-data; boundary=\"xx\"", &stopping, &out);
    ssize_t used = multipart_feed(&form, (const uint8_t *)body, sizeof body - 1);
    cr_assert(eq(str, (char *)buf_str(&out), "[a:1]"));
    cr_assert(lt(int, (int)used, (int)sizeof body - 1));
    used += multipart_feed(&form, (const uint8_t *)body + used, sizeof body - 1 - (size_t)used);
    cr_assert(eq(str, (char *)buf_str(&out), "[a:1][b:2]"));
    used += multipart_feed(&form, (const uint8_t *)body + used, sizeof body - 1 - (size_t)used);
    cr_assert(multipart_is_complete(&form));
    cr_assert(eq(int, (int)used, (int)sizeof body - 1));
}

Test(multipart, needs_a_good_boundary)
{
    static const char *const bad[] = {
        "", "multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=\"",
        "multipart/form-data; boundary=\"abc", "multipart/form-data; xboundary=abc",
        "multipart/form-data; boundary=0123456789012345678901234567890123456789012345678901234567890123456789x",
    };
    struct multipart form;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        cr_assert(lt(int, multipart_init(&form, bad[i], &noting, NULL), 0), "%s", bad[i]);
    cr_assert(eq(int, multipart_init(&form, "multipart/form-data; charset=x; BOUNDARY=abc", &noting, NULL), 0));
}

Test(multipart, headers_have_an_end)
{
    auto_buf struct buf body = BUF_INIT, out = BUF_INIT;
    buf_puts(&body, "--xx\r\n");
    while (body.size < MULTIPART_HEADERS_MAX + 64)
        buf_puts(&body, "Name: value\r\n");
    cr_assert(eq(str, (char *)parse_form(buf_str(&body), 4096, &out), "!"));
}

/* --- Ranges --------------------------------------------------------------------------------------- */

Test(range, of_a_hundred_bytes)
{
    static const struct {
        const char *header;
        int what;
        int first, length;
    } rows[] = {
        { "", RANGE_WHOLE, 0, 0 },
        { "bytes=0-9", RANGE_PART, 0, 10 },
        { "bytes=0-0", RANGE_PART, 0, 1 },
        { "BYTES= 10-19 ", RANGE_PART, 10, 10 },
        { "bytes=90-", RANGE_PART, 90, 10 },
        { "bytes=90-1000", RANGE_PART, 90, 10 },
        { "bytes=-10", RANGE_PART, 90, 10 },
        { "bytes=-1000", RANGE_PART, 0, 100 },
        { "bytes=0-", RANGE_PART, 0, 100 },
        { "bytes=99-99999999999999999999999999", RANGE_PART, 99, 1 },
        { "bytes=100-", RANGE_OUTSIDE, 0, 0 },
        { "bytes=99999999999999999999999999-", RANGE_OUTSIDE, 0, 0 },
        { "bytes=-0", RANGE_OUTSIDE, 0, 0 },
        { "bytes=0-1,5-6", RANGE_WHOLE, 0, 0 },
        { "bytes=9-5", RANGE_WHOLE, 0, 0 },
        { "bytes=-", RANGE_WHOLE, 0, 0 },
        { "bytes=", RANGE_WHOLE, 0, 0 },
        { "bytes=x-y", RANGE_WHOLE, 0, 0 },
        { "bytes=1", RANGE_WHOLE, 0, 0 },
        { "lines=1-2", RANGE_WHOLE, 0, 0 },
        { "?", RANGE_WHOLE, 0, 0 },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int64_t first = 0, length = 0;
        int what = range_parse(rows[i].header, 100, &first, &length);
        cr_assert(eq(int, what, rows[i].what), "%s", rows[i].header);
        cr_assert(eq(int, (int)first, rows[i].first), "%s", rows[i].header);
        cr_assert(eq(int, (int)length, rows[i].length), "%s", rows[i].header);
    }
    int64_t first, length;
    cr_assert(eq(int, range_parse("bytes=0-", 0, &first, &length), RANGE_OUTSIDE));
}

/* --- Output as events ----------------------------------------------------------------------------- */

/* All texts of the events, and "lossy" in the end when one of them is. */
static const char *read_texts(const struct buf *events, struct buf *out)
{
    bool is_lossy = false;
    const char *line = (const char *)events->data, *end = line + events->size;
    while (line < end) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        cr_assert_not_null(stop);
        json_error_t why;
        auto_json json_t *event = json_loadb(line, (size_t)(stop - line), JSON_ALLOW_NUL, &why);
        cr_assert_not_null(event, "%.*s: %s", (int)(stop - line), line, why.text);
        const json_t *text = json_object_get(event, "text");
        cr_assert(gt(sz, json_string_length(text), 0));
        buf_append(out, json_string_value(text), json_string_length(text));
        is_lossy |= json_is_true(json_object_get(event, "lossy"));
        line = stop + 1;
    }
    return buf_puts(out, is_lossy ? "lossy" : "") < 0 ? "" : buf_str(out);
}

static const char *send_output(const char *bytes, size_t size, size_t step, struct buf *out)
{
    auto_buf struct buf events = BUF_INIT;
    struct event_tail tail = { 0 };
    for (size_t at = 0; at < size; at += step)
        event_output(&events, EVENT_LINES, "stdout", &tail, (const uint8_t *)bytes + at, MIN(step, size - at), false);
    event_output(&events, EVENT_LINES, "stdout", &tail, NULL, 0, true);
    return read_texts(&events, out);
}

#define NO "\xef\xbf\xbd"

Test(event, texts_are_the_output)
{
    static const struct {
        const char *bytes, *text;
    } rows[] = {
        { "", "" },
        { "plain\n", "plain\n" },
        { "\"quoted\" \\ \t\r\n\b\f \x01\x1f\x7f", "\"quoted\" \\ \t\r\n\b\f \x01\x1f\x7f" },
        { "é € 😀 \xf4\x8f\xbf\xbf\xed\x9f\xbf", "é € 😀 \xf4\x8f\xbf\xbf\xed\x9f\xbf" },
        /* Unicode's own example of maximal parts (table 3-8). */
        { "a\xf1\x80\x80\xe1\x80\xc2" "b\x80" "c\x80\xbf" "d", "a" NO NO NO "b" NO "c" NO NO "dlossy" },
        { "\xc0\xaf\xe0\x80\xbf\xf0\x81\x82" "A", NO NO NO NO NO NO NO NO "Alossy" },
        { "\xed\xa0\x80", NO NO NO "lossy" },
        { "\xf4\x91\xff", NO NO NO "lossy" },
        { "\xf5\xff", NO NO "lossy" },
        { "cut \xf0\x9f\x98", "cut " NO "lossy" },
        { "\xe2\x82\xe2\x82\xac", NO "€lossy" },
        { "\xe2\x82\n", NO "\nlossy" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (size_t step = 1; step <= strlen(rows[i].bytes) + 1; step++) {
            auto_buf struct buf out = BUF_INIT;
            cr_assert(eq(str, (char *)send_output(rows[i].bytes, strlen(rows[i].bytes), step, &out), (char *)rows[i].text),
                      "row %zu in steps of %zu", i, step);
        }
}

Test(event, a_zero_byte_is_a_character)
{
    auto_buf struct buf out = BUF_INIT;
    send_output("a\0b", 3, 3, &out);
    cr_assert(eq(int, memcmp(out.data, "a\0b", 3), 0));
}

Test(event, is_told_in_the_format_that_was_asked_for)
{
    static const struct {
        const char *accept;
        enum event_format format;
    } rows[] = {
        { "", EVENT_SSE }, { "*/*", EVENT_SSE }, { "text/event-stream", EVENT_SSE },
        { "application/x-ndjson", EVENT_LINES }, { "application/x-ndjson, text/event-stream", EVENT_SSE },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        cr_assert(eq(int, event_format(rows[i].accept), rows[i].format), "%s", rows[i].accept);
    auto_buf struct buf out = BUF_INIT;
    event_json(&out, EVENT_SSE, json_pack("{s:s}", "type", "ping"));
    event_json(&out, EVENT_LINES, json_pack("{s:s}", "type", "ping"));
    cr_assert(eq(str, (char *)buf_str(&out), "data: {\"type\":\"ping\"}\n\n{\"type\":\"ping\"}\n"));
}
