/* The bytes of a WebSocket, both ways, on a socket that libwebsockets holds open but never reads.
 *
 * Its own WebSocket role was tried and measured first. It wants room for the header in front of
 * each payload, copies what the socket does not take at once (a whole frame of the live view per
 * slow viewer), and stops sending while a peer may not be read. Here a packet's buffers go to
 * sendmsg as they are: 0.1 ms instead of 0.6 ms for a packet of 1 MB, 0.4 instead of 6 when the
 * peer is slow.
 *
 * Out: one item at a time, a packet or a control frame, and a Pong goes before the next packet. Of
 * many Pings the last is answered (RFC 6455, 5.5.3). In: at most READ_BYTES per turn; a message is
 * kept until it is whole, at most message_max bytes and a header.
 *
 * Closing. We close: Close is sent after the item that is under way, then CLOSE_US remain for the
 * peer's. The peer closes: the owner is told, the Close goes back. A breach: the owner is told, the
 * code goes out. In each case what the peer sends after that is read and dropped, so that the
 * kernel does not reset the connection before our last words are read. */
#include "web/websocket.h"

#include "base/clock.h"
#include "base/loop.h"
#include "web/request.h"
#include "web/server.h"

#include <errno.h>
#include <libwebsockets.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define READ_BYTES 65536
#define WRITE_TURN_MAX ((size_t)512 * 1024)
#define CLOSE_US ((int64_t)5 * 1000000)
#define KEPT_BYTES 65536 /* an input buffer larger than this is freed when it is empty */

struct websocket {
    struct conn *conn; /* NULL: gone */
    struct metrics *metrics;
    const struct websocket_ops *ops; /* NULL: nobody is told anything any more */
    void *data;
    size_t message_max;
    struct timer *timer;
    struct defer *defer;

    struct buf in;      /* bytes of frames that are not whole */
    struct buf message; /* what came of a message in several frames */
    bool is_in_message, is_text, is_paused;
    bool seen_close; /* the peer's Close; or what it sends does not count any more */

    struct websocket_packet packet; /* under way, with its header or a whole control frame: */
    uint8_t head[WS_HEADER_MAX + WS_CONTROL_MAX];
    size_t head_size, sent, size; /* size: of all; 0: nothing is under way */
    bool wants_packet, wants_ping, wants_pong;
    uint8_t pong[WS_CONTROL_MAX];
    size_t pong_size;
    int close_code; /* 0: open */
    char close_reason[WEBSOCKET_REASON_MAX + 1];
    bool is_closing_item, is_close_sent;

    int64_t heard_us, sent_us, closed_us;
    bool is_pinged; /* since heard_us */
    int depth;      /* callbacks and calls under way; freed by the last */
};

static void drop_packet(struct websocket *self)
{
    for (size_t i = 0; i < self->packet.n_parts; i++)
        bytes_unref(self->packet.parts[i].bytes);
    self->packet.n_parts = 0;
    self->size = self->sent = self->head_size = 0;
}

static void leave(struct websocket *self)
{
    if (--self->depth > 0 || self->conn)
        return;
    drop_packet(self);
    self->metrics->websockets--;
    timer_free(self->timer);
    defer_free(self->defer);
    buf_deinit(&self->in);
    buf_deinit(&self->message);
    free(self);
}

static void tell_closed(struct websocket *self, int code)
{
    const struct websocket_ops *ops = self->ops;
    self->ops = NULL;
    if (ops && ops->on_closed)
        ops->on_closed(self->data, code);
}

/* The connection ends now. */
static void end(struct websocket *self, int code)
{
    struct conn *conn = steal_ptr(&self->conn);
    if (conn)
        conn_end(conn);
    tell_closed(self, code);
}

static void watch_socket(struct websocket *self)
{
    bool wants_write = self->size || self->wants_packet || self->wants_ping || self->wants_pong ||
                       (self->close_code && !self->is_close_sent);
    int events = (wants_write ? WATCH_WRITE : 0) | (self->is_paused ? WATCH_GONE : WATCH_READ);
    if (self->conn)
        watch_set(self->conn->watch, events);
}

/* --- Out -------------------------------------------------------------------------------------- */

static void begin_control(struct websocket *self, enum ws_opcode opcode, const void *payload,
                          size_t size)
{
    self->head_size = ws_frame_header(self->head, opcode, size);
    memcpy(self->head + self->head_size, payload, size);
    self->head_size += size;
    self->size = self->head_size;
}

static void begin_close(struct websocket *self)
{
    uint8_t payload[WS_CONTROL_MAX];
    size_t n = strlen(self->close_reason);
    payload[0] = (uint8_t)(self->close_code >> 8);
    payload[1] = (uint8_t)self->close_code;
    memcpy(payload + 2, self->close_reason, n);
    self->is_closing_item = true;
    begin_control(self, WS_CLOSE, payload, self->close_code == WS_NO_CODE ? 0 : n + 2);
}

static bool begin_packet(struct websocket *self)
{
    self->packet = (struct websocket_packet){ 0 };
    if (!self->ops || !self->ops->next_packet ||
        !self->ops->next_packet(self->data, &self->packet))
        return false;
    size_t payload = 0;
    for (size_t i = 0; i < self->packet.n_parts; i++)
        payload += self->packet.parts[i].size;
    self->head_size =
        ws_frame_header(self->head, self->packet.is_text ? WS_TEXT : WS_BINARY, payload);
    self->size = self->head_size + payload;
    return true;
}

/* Takes the next thing to send. False: there is none. */
static bool begin_item(struct websocket *self)
{
    if (self->wants_pong && !self->is_close_sent) {
        self->wants_pong = false;
        begin_control(self, WS_PONG, self->pong, self->pong_size);
    } else if (self->close_code && !self->is_close_sent) {
        begin_close(self);
    } else if (self->wants_ping && !self->close_code) {
        self->wants_ping = false;
        begin_control(self, WS_PING, "", 0);
    } else if (self->wants_packet && !self->close_code) {
        self->wants_packet = begin_packet(self);
    }
    return self->size > 0;
}

static void end_item(struct websocket *self)
{
    drop_packet(self);
    if (self->is_closing_item) {
        self->is_closing_item = false;
        self->is_close_sent = true;
        self->closed_us = clock_now_us();
    }
}

/* What is left of the item, as far as one call takes it. */
static ssize_t send_some(struct websocket *self)
{
    struct iovec parts[WEBSOCKET_PARTS_MAX + 1];
    size_t n = 0, skip = self->sent;
    if (skip < self->head_size)
        parts[n++] = (struct iovec){ self->head + skip, self->head_size - skip };
    skip -= MIN(skip, self->head_size);
    for (size_t i = 0; i < self->packet.n_parts; i++) {
        const struct websocket_part *part = &self->packet.parts[i];
        size_t done = MIN(skip, part->size);
        skip -= done;
        if (done < part->size)
            parts[n++] = (struct iovec){ part->bytes->data + part->offset + done,
                                         part->size - done };
    }
    struct msghdr message = { .msg_iov = parts, .msg_iovlen = n };
    return sendmsg(self->conn->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void write_some(struct websocket *self)
{
    for (size_t done = 0; self->conn && done < WRITE_TURN_MAX;) {
        bool is_new = self->size == 0;
        if (is_new && (!begin_item(self) || !self->conn))
            return;
        ssize_t n = send_some(self);
        if (n < 0 && errno != EAGAIN && errno != EINTR) {
            end(self, WS_LOST);
            return;
        }
        if (is_new || n > 0)
            self->sent_us = clock_now_us();
        if (n < 0)
            return;
        self->metrics->sent_bytes += (uint64_t)n;
        done += (size_t)n;
        self->sent += (size_t)n;
        if (self->sent == self->size)
            end_item(self);
    }
}

/* --- In --------------------------------------------------------------------------------------- */

/* No more of the peer's frames count; ours ends with code. */
static void begin_closing(struct websocket *self, int code, const char *reason)
{
    if (self->close_code)
        return;
    self->close_code = code;
    self->closed_us = clock_now_us();
    snprintf(self->close_reason, sizeof self->close_reason, "%s", reason);
}

static void breach(struct websocket *self, int code)
{
    begin_closing(self, code, "");
    self->seen_close = true;
    tell_closed(self, code);
}

static void deliver(struct websocket *self, bool is_text, const uint8_t *bytes, size_t size)
{
    if (is_text && !ws_text_is_valid(bytes, size))
        breach(self, WS_BAD_TEXT);
    else if (self->ops && self->ops->on_message)
        self->ops->on_message(self->data, is_text, bytes, size);
}

static void take_data(struct websocket *self, const struct ws_frame *frame, const uint8_t *payload)
{
    bool is_first = frame->opcode != WS_CONTINUATION;
    size_t size = (size_t)frame->length;
    if (is_first == self->is_in_message) {
        breach(self, WS_PROTOCOL_ERROR);
        return;
    }
    if (is_first)
        self->is_text = frame->opcode == WS_TEXT;
    if (is_first && frame->is_last) {
        deliver(self, self->is_text, payload, size);
        return;
    }
    self->is_in_message = !frame->is_last;
    if (buf_append(&self->message, payload, size) < 0) {
        breach(self, WS_TOO_LARGE);
    } else if (frame->is_last) {
        deliver(self, self->is_text, self->message.data, self->message.size);
        buf_deinit(&self->message);
        self->message = (struct buf){ .limit = self->message_max };
    }
}

static void take_close(struct websocket *self, const uint8_t *payload, size_t size)
{
    int code = ws_close_code(payload, size);
    self->seen_close = true;
    begin_closing(self, code, "");
    tell_closed(self, code);
}

static void take_frame(struct websocket *self, const struct ws_frame *frame, uint8_t *payload)
{
    size_t size = (size_t)frame->length;
    ws_frame_unmask(payload, size, frame->mask);
    if (frame->opcode < WS_CLOSE) {
        if (!self->close_code)
            take_data(self, frame, payload);
    } else if (frame->opcode == WS_CLOSE) {
        take_close(self, payload, size);
    } else if (frame->opcode == WS_PING) {
        memcpy(self->pong, payload, size);
        self->pong_size = size;
        self->wants_pong = true;
    }
}

/* Takes whole frames off the front of bytes and returns how much they were. */
static size_t take_frames(struct websocket *self, uint8_t *bytes, size_t size)
{
    size_t at = 0;
    struct ws_frame frame;
    while (self->conn && !self->seen_close && !self->is_paused) {
        int r = ws_frame_parse(&frame, bytes + at, size - at);
        if (r == WS_MORE)
            break;
        if (r < 0 || frame.length > self->message_max) {
            breach(self, r < 0 ? WS_PROTOCOL_ERROR : WS_TOO_LARGE);
            break;
        }
        if (frame.header + frame.length > size - at)
            break;
        take_frame(self, &frame, bytes + at + frame.header);
        at += frame.header + (size_t)frame.length;
    }
    return self->seen_close ? size : at;
}

static void take_kept(struct websocket *self)
{
    buf_consume(&self->in, take_frames(self, self->in.data, self->in.size));
    if (self->in.size == 0 && self->in.capacity > KEPT_BYTES)
        buf_deinit(&self->in), self->in.limit = self->message_max + WS_HEADER_MAX + READ_BYTES;
}

static void read_some(struct websocket *self)
{
    static uint8_t bytes[READ_BYTES]; /* of the loop thread */
    ssize_t n = recv(self->conn->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        end(self, WS_LOST);
        return;
    }
    self->metrics->received_bytes += (uint64_t)n;
    self->heard_us = clock_now_us();
    self->is_pinged = false;
    size_t taken = self->in.size ? 0 : take_frames(self, bytes, (size_t)n);
    if (taken < (size_t)n && buf_append(&self->in, bytes + taken, (size_t)n - taken) < 0)
        breach(self, WS_TOO_LARGE);
    else if (taken == 0)
        take_kept(self);
}

/* --- Events ----------------------------------------------------------------------------------- */

static void settle(struct websocket *self)
{
    if (self->conn && self->is_close_sent && self->seen_close)
        end(self, self->close_code);
    watch_socket(self);
}

static void on_socket(void *data, int events)
{
    struct websocket *self = data;
    self->depth++;
    if (events & WATCH_GONE && self->is_paused)
        end(self, WS_LOST);
    if (self->conn && events & WATCH_READ)
        read_some(self);
    if (self->conn)
        write_some(self);
    settle(self);
    leave(self);
}

static void on_gone(void *data)
{
    struct websocket *self = data;
    self->depth++;
    self->conn = NULL;
    tell_closed(self, WS_LOST);
    leave(self);
}

static const struct conn_taker taker = { on_socket, on_gone };

static void handle_defer(void *data)
{
    struct websocket *self = data;
    self->depth++;
    take_kept(self);
    if (self->conn)
        write_some(self);
    settle(self);
    leave(self);
}

static bool is_overdue(const struct websocket *self, int64_t now_us)
{
    bool is_stalled = self->size && now_us - self->sent_us > (int64_t)WEBSOCKET_STALL_S * 1000000;
    bool is_silent = self->is_pinged && !self->is_paused &&
                     now_us - self->heard_us > (int64_t)2 * WEBSOCKET_PING_S * 1000000;
    return is_stalled || is_silent || (self->close_code && now_us - self->closed_us > CLOSE_US);
}

static void handle_time(void *data)
{
    struct websocket *self = data;
    int64_t now_us = clock_now_us();
    self->depth++;
    if (is_overdue(self, now_us)) {
        end(self, WS_LOST);
    } else if (!self->is_pinged &&
               now_us - self->heard_us > (int64_t)WEBSOCKET_PING_S * 1000000) {
        self->is_pinged = self->wants_ping = true;
    }
    watch_socket(self);
    if (self->conn)
        timer_start(self->timer, self->close_code ? CLOSE_US : (int64_t)WEBSOCKET_PING_S * 500000);
    leave(self);
}

/* --- The object ------------------------------------------------------------------------------- */

void websocket_wake(struct websocket *self)
{
    self->wants_packet = true;
    watch_socket(self);
}

void websocket_pause(struct websocket *self, bool is_paused)
{
    self->is_paused = is_paused;
    if (!is_paused)
        defer_request(self->defer);
    watch_socket(self);
}

struct websocket *websocket_close(struct websocket *self, int code, const char *reason)
{
    if (!self)
        return NULL;
    self->ops = NULL;
    self->is_paused = false;
    begin_closing(self, code, reason);
    timer_start(self->timer, CLOSE_US);
    watch_socket(self);
    return NULL;
}

static int check_handshake(struct request *request, struct error *err)
{
    if (!request->is_upgrade)
        return error_set(err, ERROR_BAD_VALUE, "this path is a WebSocket: send Upgrade: websocket");
    if (strcmp(request->ws_version, "13") != 0)
        return error_set(err, ERROR_BAD_VALUE, "only version 13 of WebSocket is spoken here");
    if (strlen(request->ws_key) != 24 || strcmp(request->ws_key + 22, "==") != 0)
        return error_set(err, ERROR_BAD_VALUE, "Sec-WebSocket-Key is not 16 bytes in base64");
    return 0;
}

/* Whether the client's list of subprotocols names this one. */
static bool offers(const char *list, const char *protocol)
{
    size_t n = strlen(protocol);
    for (const char *at = list; *at; at += strcspn(at, ","), at += *at == ',') {
        at += strspn(at, " \t");
        size_t size = strcspn(at, ", \t");
        if (size == n && memcmp(at, protocol, n) == 0)
            return true;
    }
    return false;
}

static void write_welcome(const struct request *request, const char *protocol, struct buf *out)
{
    char text[80];
    uint8_t digest[20];
    int n = snprintf(text, sizeof text, "%s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", request->ws_key);
    lws_SHA1((const unsigned char *)text, (size_t)n, digest);
    buf_puts(out, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                  "Connection: Upgrade\r\nSec-WebSocket-Accept: ");
    buf_append_base64(out, digest, sizeof digest);
    buf_puts(out, "\r\n");
    if (protocol && offers(request->ws_protocols, protocol))
        buf_printf(out, "Sec-WebSocket-Protocol: %s\r\n", protocol);
    buf_puts(out, "\r\n");
}

static struct websocket *new(struct conn *conn, const struct websocket_config *config)
{
    struct websocket *self = calloc(1, sizeof *self);
    if (!self)
        return NULL;
    self->ops = config->ops;
    self->data = config->data;
    self->metrics = &conn->web->metrics;
    self->metrics->websockets++;
    self->message_max = config->message_max;
    self->in.limit = config->message_max + WS_HEADER_MAX + READ_BYTES;
    self->message.limit = config->message_max;
    self->heard_us = self->sent_us = clock_now_us();
    self->timer = timer_new(conn->web->loop, handle_time, self);
    self->defer = defer_new(conn->web->loop, handle_defer, self);
    if (self->timer && self->defer)
        return self;
    self->depth = 1;
    leave(self);
    return NULL;
}

struct websocket *websocket_accept(struct request *request, const struct websocket_config *config)
{
    struct error err = { 0 };
    struct conn *conn = request->conn;
    auto_buf struct buf text = BUF_INIT;
    if (check_handshake(request, &err) < 0) {
        request_answer_error(request, &err);
        return NULL;
    }
    struct websocket *self = new(conn, config);
    write_welcome(request, config->protocol, &text);
    /* The connection is idle: its socket takes a few bytes, or the peer is no good. */
    if (!self || text.failed ||
        send(conn->fd, text.data, text.size, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)text.size) {
        error_set(&err, ERROR_INTERNAL, "opening the WebSocket");
        request_answer_error(request, &err);
        if (self)
            self->depth = 1, leave(self);
        return NULL;
    }
    request_hand_over(request, 101);
    self->conn = conn;
    conn_take(conn, &taker, self);
    setsockopt(conn->fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &(int){ WEBSOCKET_KERNEL_BYTES },
               sizeof(int));
    timer_start(self->timer, (int64_t)WEBSOCKET_PING_S * 500000);
    watch_socket(self);
    return self;
}
