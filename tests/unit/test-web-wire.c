/* web/: what is parsed from bytes: heads of HTTP messages, frames of WebSockets, queries. */
#include "base/util.h"
#include "web/body-end.h"
#include "web/head.h"
#include "web/target.h"
#include "web/ws-frame.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* --- Heads ------------------------------------------------------------------------------------ */

static int parse(struct head *head, const char *text)
{
    return head_parse_request(head, text, strlen(text));
}

Test(head, of_a_request)
{
    static const char text[] = "GET /a?b=c HTTP/1.1\r\nHost: localhost:7070\r\nX-Empty:\r\n"
                               "Connection: keep-alive, Upgrade\r\nupgrade:\twebsocket \r\n\r\nrest";
    struct head head;
    char host[32];
    cr_assert(eq(int, parse(&head, text), 0));
    cr_assert(eq(sz, head.size, sizeof text - 1 - 4));
    cr_assert(span_is(head.method, "GET"));
    cr_assert(span_is(head.target, "/a?b=c"));
    cr_assert(eq(int, head.minor, 1));
    cr_assert(span_copy(head_find(&head, "HOST"), host, sizeof host));
    cr_assert(eq(str, host, "localhost:7070"));
    cr_assert(eq(sz, head_find(&head, "x-empty").size, 0));
    cr_assert(head_lists(&head, "connection", "upgrade"));
    cr_assert(head_lists(&head, "upgrade", "websocket"));
    cr_assert(not(head_lists(&head, "connection", "close")));
}

Test(head, that_is_not_whole_or_not_one)
{
    static const struct {
        const char *text;
        int result;
    } rows[] = {
        { "", HEAD_MORE },
        { "GET / HTTP/1.1\r\n", HEAD_MORE },
        { "GET / HTTP/1.1\r\nHost: x\r", HEAD_MORE },
        { "GET / HTTP/1.1\r\n\r\n", 0 },
        { "GET / HTTP/1.1\n\n", -EPROTO },
        { "GET  / HTTP/1.1\r\n\r\n", -EPROTO },
        { "GET / HTTP/1.1 \r\n\r\n", -EPROTO },
        { "GET / HTTP/2.0\r\n\r\n", -EPROTO },
        { "GET /\x01 HTTP/1.1\r\n\r\n", -EPROTO },
        { "G\xc3T / HTTP/1.1\r\n\r\n", -EPROTO },
        { "GET / HTTP/1.1\r\nHost : x\r\n\r\n", -EPROTO },
        { "GET / HTTP/1.1\r\nA: 1\r\n b\r\n\r\n", -EPROTO },
        { "GET / HTTP/1.1\r\nA: \x7f\r\n\r\n", -EPROTO },
        { "GET / HTTP/1.1\r\nA: b\rc\r\n\r\n", -EPROTO },
        { "GET / HTTP/1.1\r\n: b\r\n\r\n", -EPROTO },
        { "GET / HTTP/1.1\r\nnothing\r\n\r\n", -EPROTO },
        { "\r\nGET / HTTP/1.1\r\n\r\n", -EPROTO },
    };
    struct head head;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        cr_assert(eq(int, parse(&head, rows[i].text), rows[i].result), "%zu: %s", i, rows[i].text);
}

Test(head, with_too_many_fields)
{
    static char text[HEAD_FIELDS_MAX * 8 + 64] = "GET / HTTP/1.1\r\n";
    struct head head;
    for (int i = 0; i < HEAD_FIELDS_MAX; i++)
        strcat(text, "A: b\r\n");
    strcat(text, "\r\n");
    cr_assert(eq(int, parse(&head, text), 0));
    memcpy(text + strlen(text) - 2, "A: b\r\n\r\n", 9);
    cr_assert(eq(int, parse(&head, text), -EPROTO));
}

Test(head, of_an_answer)
{
    static const struct {
        const char *text;
        int result, status;
    } rows[] = {
        { "HTTP/1.1 200 OK\r\n\r\n", 0, 200 },
        { "HTTP/1.0 404 Not Found\n\n", 0, 404 },
        { "HTTP/1.1 204 \r\n\r\n", 0, 204 },
        { "HTTP/1.1 304\r\n\r\n", 0, 304 },
        { "HTTP/1.1 20\r\n\r\n", -EPROTO, 0 },
        { "HTTP/1.1 999 x\r\n\r\n", -EPROTO, 0 },
        { "HTTP/1.1 099 x\r\n\r\n", -EPROTO, 0 },
        { "SSH-2.0-OpenSSH_9.2\r\n", -EPROTO, 0 },
        { "HTTP/1.1 200 OK", HEAD_MORE, 0 },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct head head;
        int r = head_parse_answer(&head, rows[i].text, strlen(rows[i].text));
        cr_assert(eq(int, r, rows[i].result), "%s", rows[i].text);
        if (r == 0)
            cr_assert(eq(int, head.status, rows[i].status));
    }
}

Test(head, tells_where_the_body_ends)
{
    static const struct {
        const char *fields;
        int result;
        enum head_body body;
        uint64_t length;
    } rows[] = {
        { "", 0, HEAD_BODY_NONE, 0 },
        { "Content-Length: 12\r\n", 0, HEAD_BODY_LENGTH, 12 },
        { "Transfer-Encoding: Chunked\r\n", 0, HEAD_BODY_CHUNKED, 0 },
        { "Content-Length: 1\r\nContent-Length: 1\r\n", -EPROTO, 0, 0 },
        { "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", -EPROTO, 0, 0 },
        { "Transfer-Encoding: gzip, chunked\r\n", -EPROTO, 0, 0 },
        { "Content-Length: -1\r\n", -EPROTO, 0, 0 },
        { "Content-Length: +1\r\n", -EPROTO, 0, 0 },
        { "Content-Length: 1, 1\r\n", -EPROTO, 0, 0 },
        { "Content-Length: 99999999999999999999\r\n", -EPROTO, 0, 0 },
        { "Content-Length:\r\n", -EPROTO, 0, 0 },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct head head;
        enum head_body body;
        uint64_t length;
        char text[256];
        snprintf(text, sizeof text, "POST / HTTP/1.1\r\n%s\r\n", rows[i].fields);
        cr_assert(eq(int, parse(&head, text), 0));
        int r = head_body(&head, false, false, &body, &length);
        cr_assert(eq(int, r, rows[i].result), "%s", rows[i].fields);
        if (r == 0)
            cr_assert(body == rows[i].body && length == rows[i].length, "%s", rows[i].fields);
    }
}

/* --- Bodies ----------------------------------------------------------------------------------- */

Test(body_end, is_where_the_head_says)
{
    static const struct {
        struct body_end end;
        const char *bytes;
        ssize_t own; /* how many are the body's; -1: malformed */
        bool is_reached;
    } rows[] = {
        { { .kind = HEAD_BODY_NONE }, "next", 0, true },
        { { .kind = HEAD_BODY_LENGTH, .left = 3 }, "abcnext", 3, true },
        { { .kind = HEAD_BODY_LENGTH, .left = 3 }, "ab", 2, false },
        { { .kind = HEAD_BODY_LENGTH }, "next", 0, true },
        { { .kind = HEAD_BODY_UNTIL_CLOSE }, "abc", 3, false },
        { { .kind = HEAD_BODY_CHUNKED }, "3\r\nabc\r\n0\r\n\r\nnext", 13, true },
        { { .kind = HEAD_BODY_CHUNKED }, "3\r\nabc\r\n0\r\nA: b\r\n\r\nnext", 19, true },
        { { .kind = HEAD_BODY_CHUNKED }, "3\r\nabc\r\n", 8, false },
        { { .kind = HEAD_BODY_CHUNKED }, "x\r\n", -1, false },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct body_end whole = rows[i].end, bits = rows[i].end;
        const uint8_t *bytes = (const uint8_t *)rows[i].bytes;
        ssize_t n = body_end_pass(&whole, bytes, strlen(rows[i].bytes));
        cr_assert(eq(int, (int)MAX(n, -1), (int)rows[i].own), "row %zu", i);
        cr_assert(eq(int, body_end_is_reached(&whole), rows[i].is_reached), "row %zu", i);
        ssize_t all = 0, one = 1;
        for (; bytes[all] && one > 0; all += one > 0 ? one : 0)
            one = body_end_pass(&bits, bytes + all, 1);
        cr_assert(eq(int, (int)(one < 0 ? -1 : all), (int)rows[i].own), "row %zu, bit by bit", i);
    }
}

/* --- Queries ---------------------------------------------------------------------------------- */

Test(target, splits_a_query)
{
    struct api_pair pairs[4];
    char text[64];
    cr_assert(eq(int, target_pairs("a=1&&b=x%20y+z&c&=d", text, sizeof text, pairs, 4), 4));
    cr_assert(eq(str, (char *)pairs[0].name, "a"));
    cr_assert(eq(str, (char *)pairs[1].value, "x y z"));
    cr_assert(eq(str, (char *)pairs[2].name, "c"));
    cr_assert(eq(str, (char *)pairs[2].value, ""));
    cr_assert(eq(str, (char *)pairs[3].value, "d"));
    cr_assert(eq(int, target_pairs("", text, sizeof text, pairs, 4), 0));
    cr_assert(eq(int, target_pairs("a=%", text, sizeof text, pairs, 4), -1));
    cr_assert(eq(int, target_pairs("a=%4", text, sizeof text, pairs, 4), -1));
    cr_assert(eq(int, target_pairs("a=%zz", text, sizeof text, pairs, 4), -1));
    cr_assert(eq(int, target_pairs("a=%00", text, sizeof text, pairs, 4), -1));
    cr_assert(eq(int, target_pairs("a&b&c&d&e", text, sizeof text, pairs, 4), -1));
    cr_assert(eq(int, target_pairs("a=0123456789", text, 12, pairs, 4), -1));
}

/* --- Frames ----------------------------------------------------------------------------------- */

Test(ws_frame, of_a_client)
{
    static const struct {
        const char *bytes;
        size_t size;
        int result;
        uint64_t length;
    } rows[] = {
        { "\x82\x80....", 6, 0, 0 },
        { "\x81\x83....", 6, 0, 3 },
        { "\x82\xfe\x00\x7e....", 8, 0, 126 },
        { "\x82\xff\x00\x00\x00\x00\x00\x01\x00\x00....", 14, 0, 65536 },
        { "\x82", 1, WS_MORE, 0 },
        { "\x82\x83...", 5, WS_MORE, 0 },
        { "\x82\xff\x00\x00\x00\x00\x00\x01\x00\x00...", 13, WS_MORE, 0 },
        { "\x82\x03", 2, -EPROTO, 0 },                       /* not masked */
        { "\xc2\x80....", 6, -EPROTO, 0 },                   /* a reserved bit */
        { "\x83\x80....", 6, -EPROTO, 0 },                   /* no such opcode */
        { "\x09\x80....", 6, -EPROTO, 0 },                   /* a Ping in pieces */
        { "\x89\xfe\x00\x7e....", 8, -EPROTO, 0 },           /* a Ping that is too long */
        { "\x82\xfe\x00\x7d....", 8, -EPROTO, 0 },           /* a length in the wrong form */
        { "\x82\xff\x00\x00\x00\x00\x00\x00\xff\xff....", 14, -EPROTO, 0 },
        { "\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff....", 14, -EPROTO, 0 }, /* huge */
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct ws_frame frame;
        int r = ws_frame_parse(&frame, (const uint8_t *)rows[i].bytes, rows[i].size);
        cr_assert(eq(int, r, rows[i].result), "row %zu", i);
        if (r == 0)
            cr_assert(frame.length == rows[i].length && frame.header == rows[i].size, "row %zu", i);
    }
}

Test(ws_frame, mask_is_undone_at_any_size)
{
    static const uint8_t mask[4] = { 1, 2, 3, 4 };
    for (size_t n = 0; n < 40; n++) {
        uint8_t bytes[40];
        for (size_t i = 0; i < n; i++)
            bytes[i] = (uint8_t)(i * 7) ^ mask[i % 4];
        ws_frame_unmask(bytes, n, mask);
        for (size_t i = 0; i < n; i++)
            cr_assert(eq(int, bytes[i], (uint8_t)(i * 7)));
    }
}

Test(ws_frame, header_of_the_server)
{
    uint8_t out[WS_HEADER_MAX];
    cr_assert(eq(sz, ws_frame_header(out, WS_TEXT, 125), 2));
    cr_assert(out[0] == 0x81 && out[1] == 125);
    cr_assert(eq(sz, ws_frame_header(out, WS_BINARY, 126), 4));
    cr_assert(out[1] == 126 && out[2] == 0 && out[3] == 126);
    cr_assert(eq(sz, ws_frame_header(out, WS_BINARY, 1 << 20), 10));
    cr_assert(out[1] == 127 && out[7] == 0x10 && out[8] == 0 && out[9] == 0);
}

Test(ws_frame, text_is_utf8)
{
    static const struct {
        const char *text;
        bool is_valid;
    } rows[] = {
        { "", true }, { "a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", true }, { "\xc3", false },
        { "\x80", false }, { "\xc0\x80", false }, { "\xe0\x80\x80", false },
        { "\xed\xa0\x80", false }, { "\xf4\x90\x80\x80", false }, { "\xff", false },
        { "\xf0\x9f\x98", false }, { "\xe2\x28\xa1", false },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        cr_assert(eq(int, ws_text_is_valid((const uint8_t *)rows[i].text, strlen(rows[i].text)),
                     rows[i].is_valid), "row %zu", i);
}

Test(ws_frame, close_codes)
{
    static const struct {
        const char *payload;
        size_t size;
        int code;
    } rows[] = {
        { "", 0, WS_NO_CODE },          { "\x03\xe8", 2, 1000 },       { "\x0f\xa1", 2, 4001 },
        { "\x03", 1, WS_PROTOCOL_ERROR }, { "\x03\xed", 2, WS_PROTOCOL_ERROR },
        { "\x03\xee", 2, WS_PROTOCOL_ERROR }, { "\x00\x00", 2, WS_PROTOCOL_ERROR },
        { "\x03\xe8\xff", 3, WS_PROTOCOL_ERROR }, { "\x03\xe8ok", 4, 1000 },
        { "\x13\x88", 2, WS_PROTOCOL_ERROR },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        cr_assert(eq(int, ws_close_code((const uint8_t *)rows[i].payload, rows[i].size),
                     rows[i].code), "row %zu", i);
}
