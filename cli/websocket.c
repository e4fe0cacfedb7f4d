/* The daemon's messages are at most MESSAGE_MAX. The accept key of the handshake is not compared: it
 * guards servers that know no WebSocket against being taken for one, and the daemon's 101 comes only
 * from an operation that is one. */
#include "cli/websocket.h"

#include <curl/curl.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define MESSAGE_MAX ((size_t)8 << 20)
#define READ_BYTES 65536
#define READ_TURNS 64

enum opcode { CONTINUATION = 0, TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10 };

struct websocket {
    struct connection *connection;
    websocket_fn fn;
    void *data;
    struct buf out, in, message;
    bool is_text, is_in_message, is_closed;
};

int websocket_open(struct websocket **ret, struct cli *cli, struct request *request,
                   const char *protocol, websocket_fn fn, void *data)
{
    uint8_t key[16];
    auto_buf struct buf headers = BUF_INIT;
    struct websocket *self = calloc(1, sizeof *self);
    if (!self || getrandom(key, sizeof key, 0) != sizeof key) {
        free(self);
        return cli_fail(cli, CLI_FAILED, "internal", "out of memory");
    }
    buf_puts(&headers, "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ");
    buf_append_base64(&headers, key, sizeof key);
    buf_printf(&headers, "\r\nSec-WebSocket-Protocol: %s\r\n", protocol);
    *self = (struct websocket){ .fn = fn, .data = data, .message = { .limit = MESSAGE_MAX } };
    self->in.limit = MESSAGE_MAX + 2 * READ_BYTES;
    int status = connection_open(&self->connection, cli, request, "websocket", buf_str(&headers));
    if (status == CLI_OK)
        *ret = self;
    else
        websocket_free(self);
    return status;
}

struct websocket *websocket_free(struct websocket *self)
{
    if (!self)
        return NULL;
    connection_free(self->connection);
    buf_deinit(&self->out);
    buf_deinit(&self->in);
    buf_deinit(&self->message);
    free(self);
    return NULL;
}

int websocket_fd(const struct websocket *self)
{
    return connection_fd(self->connection);
}

short websocket_events(const struct websocket *self)
{
    return (short)(POLLIN | (self->out.size ? POLLOUT : 0));
}

size_t websocket_queued(const struct websocket *self)
{
    return self->out.size;
}

/* --- Out -------------------------------------------------------------------------------------- */

/* A client masks what it sends, so that no cache on the way takes it for something else. */
static int append_frame(struct websocket *self, enum opcode opcode, const uint8_t *bytes,
                        size_t size)
{
    uint8_t head[14] = { (uint8_t)(0x80 | opcode) }, mask[4];
    size_t n = 2;
    if (size < 126) {
        head[1] = (uint8_t)size;
    } else {
        size_t width = size < 65536 ? 2 : 8;
        head[1] = width == 2 ? 126 : 127;
        for (size_t i = 0; i < width; i++)
            head[n++] = (uint8_t)((uint64_t)size >> 8 * (width - 1 - i));
    }
    head[1] |= 0x80;
    if (getrandom(mask, sizeof mask, 0) != sizeof mask)
        return -EIO;
    memcpy(head + n, mask, sizeof mask);
    if (buf_append(&self->out, head, n + 4) < 0 || buf_append(&self->out, bytes, size) < 0)
        return -ENOMEM;
    uint8_t *payload = self->out.data + self->out.size - size;
    for (size_t i = 0; i < size; i++)
        payload[i] ^= mask[i & 3];
    return 0;
}

int websocket_send(struct websocket *self, bool is_text, const void *bytes, size_t size)
{
    return append_frame(self, is_text ? TEXT : BINARY, bytes, size);
}

static int flush(struct websocket *self)
{
    while (self->out.size) {
        ssize_t n = connection_write(self->connection, self->out.data, self->out.size);
        if (n == -EAGAIN)
            return 0;
        if (n < 0)
            return (int)n;
        buf_consume(&self->out, (size_t)n);
    }
    return 0;
}

/* --- In --------------------------------------------------------------------------------------- */

struct frame {
    bool is_last;
    enum opcode opcode;
    size_t head, size;
};

/* 0: more bytes are needed. */
static int parse(const uint8_t *in, size_t n, struct frame *ret)
{
    if (n < 2)
        return 0;
    size_t width = (in[1] & 127) == 126 ? 2 : (in[1] & 127) == 127 ? 8 : 0;
    if (in[0] & 0x70 || in[1] & 0x80)
        return -EPROTO;
    if (n < 2 + width)
        return 0;
    uint64_t size = width ? 0 : in[1];
    for (size_t i = 0; i < width; i++)
        size = size << 8 | in[2 + i];
    if (size > MESSAGE_MAX)
        return -EPROTO;
    *ret = (struct frame){
        .is_last = in[0] & 0x80, .opcode = in[0] & 15, .head = 2 + width, .size = (size_t)size
    };
    return n >= ret->head + ret->size;
}

static int take_data(struct websocket *self, const struct frame *frame, const uint8_t *payload)
{
    bool is_first = frame->opcode != CONTINUATION;
    if (is_first == self->is_in_message)
        return -EPROTO;
    if (is_first)
        self->is_text = frame->opcode == TEXT;
    self->is_in_message = !frame->is_last;
    if (is_first && frame->is_last) {
        self->fn(self->data, self->is_text, payload, frame->size);
        return 0;
    }
    if (buf_append(&self->message, payload, frame->size) < 0)
        return -EPROTO;
    if (frame->is_last) {
        self->fn(self->data, self->is_text, self->message.data, self->message.size);
        self->message.size = 0;
    }
    return 0;
}

static int take(struct websocket *self, const struct frame *frame, const uint8_t *payload)
{
    switch (frame->opcode) {
    case CONTINUATION:
    case TEXT:
    case BINARY: return take_data(self, frame, payload);
    case PING: return append_frame(self, PONG, payload, frame->size);
    case PONG: return 0;
    case CLOSE:
        self->is_closed = true;
        return append_frame(self, CLOSE, payload, MIN(frame->size, (size_t)2));
    default: return -EPROTO;
    }
}

static int take_frames(struct websocket *self)
{
    struct frame frame;
    size_t at = 0;
    int r = 0;
    while (!self->is_closed && (r = parse(self->in.data + at, self->in.size - at, &frame)) > 0) {
        r = take(self, &frame, self->in.data + at + frame.head);
        if (r < 0)
            return r;
        at += frame.head + frame.size;
    }
    buf_consume(&self->in, at);
    return r;
}

int websocket_service(struct websocket *self)
{
    static uint8_t bytes[READ_BYTES];
    int r = flush(self);
    for (int i = 0; r == 0 && !self->is_closed && i < READ_TURNS; i++) {
        ssize_t n = connection_read(self->connection, bytes, sizeof bytes);
        if (n == -EAGAIN)
            break;
        if (n <= 0)
            return n < 0 ? (int)n : -EPIPE;
        r = buf_append(&self->in, bytes, (size_t)n) < 0 ? -EPROTO : take_frames(self);
    }
    if (r >= 0)
        r = flush(self);
    return r < 0 ? r : self->is_closed ? WEBSOCKET_CLOSED : 0;
}
