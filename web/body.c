/* libwebsockets hands over what it read: at most BODY_PIECE_MAX bytes at once, and of a chunked
 * body the chunks as they are. A paused body is one that libwebsockets may not read; what it had
 * read is handed over all the same.
 *
 * A caller must send RATE_MIN bytes a second after the first GRACE_US, on average and pauses
 * left out: a connection cannot be held for ever by a byte now and then. libwebsockets ends one
 * that sends nothing for its own time limit. */
#include "web/body.h"

#include "base/clock.h"
#include "web/request.h"
#include "web/server.h"

#include <libwebsockets.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#define RATE_MIN 4096
#define GRACE_US ((int64_t)60 * 1000000)
#define STALL_S 30

/* A caller that asks first waits for this. */
static void say_continue(struct request *request)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    char expect[32] = "";
    lws_hdr_copy(request->lws, expect, sizeof expect, WSI_TOKEN_HTTP_EXPECT);
    if (strcasecmp(expect, "100-continue") == 0 &&
        send(request->conn->fd, text, sizeof text - 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        request->must_close = true;
}

static void go_on(struct request *request)
{
    watch_set(request->conn->watch, 0);
    lws_set_timeout(request->lws, PENDING_TIMEOUT_HTTP_CONTENT, STALL_S);
    lws_rx_flow_control(request->lws, 1);
}

void body_read(struct request *request, const struct body_ops *ops, void *data)
{
    struct body *self = &request->body_in;
    self->ops = ops;
    self->data = data;
    request->state = REQUEST_READING;
    /* Where a chunked body ends libwebsockets does not know; nor what would come after it. */
    request->must_close |= request->is_chunked;
    if (!request->is_chunked && request->length == 0) {
        body_finish(request);
        return;
    }
    say_continue(request);
    go_on(request);
}

/* libwebsockets sets its time limit anew when it has handed over a piece: behind the reader who
 * pauses there. So it is taken off on the next turn. */
static void hush(void *data)
{
    struct request *request = data;
    if (request->state == REQUEST_READING && request->body_in.is_paused)
        lws_set_timeout(request->lws, NO_PENDING_TIMEOUT, 0);
}

void body_deinit(struct body *self)
{
    self->hush = defer_free(self->hush);
}

void body_pause(struct request *request)
{
    struct body *self = &request->body_in;
    if (request->state != REQUEST_READING || self->is_paused)
        return;
    self->is_paused = true;
    self->since_us = clock_now_us();
    if (!self->hush)
        self->hush = defer_new(request->web->loop, hush, request);
    if (self->hush)
        defer_request(self->hush);
    lws_rx_flow_control(request->lws, 0);
    watch_set(request->conn->watch, WATCH_GONE);
}

void body_resume(struct request *request)
{
    struct body *self = &request->body_in;
    if (request->state != REQUEST_READING || !self->is_paused)
        return;
    self->is_paused = false;
    self->paused_us += clock_now_us() - self->since_us;
    go_on(request);
}

void body_finish(struct request *request)
{
    struct body *self = &request->body_in;
    if (request->state != REQUEST_READING)
        return;
    self->is_complete = true;
    request->state = REQUEST_HANDLING;
    lws_set_timeout(request->lws, NO_PENDING_TIMEOUT, 0);
    lws_rx_flow_control(request->lws, 0);
    watch_set(request->conn->watch, WATCH_GONE);
    self->ops->on_end(self->data);
}

static bool is_too_slow(const struct request *request)
{
    const struct body *self = &request->body_in;
    int64_t spent_us = clock_now_us() - request->began_us - self->paused_us;
    return spent_us > GRACE_US && self->received < (spent_us - GRACE_US) / 1000000 * RATE_MIN;
}

static int feed_chunks(struct request *request, const uint8_t *bytes, size_t size)
{
    struct body *self = &request->body_in;
    while (size > 0 && request->state == REQUEST_READING) {
        const uint8_t *piece;
        size_t n;
        ssize_t used = chunks_next(&self->chunks, bytes, size, &piece, &n);
        if (used < 0)
            return -1;
        if (n > 0)
            self->ops->on_piece(self->data, piece, n);
        bytes += used;
        size -= (size_t)used;
        if (self->chunks.state == CHUNKS_END) {
            body_finish(request);
            return 0;
        }
    }
    return 0;
}

int body_feed(struct request *request, const uint8_t *bytes, size_t size)
{
    struct body *self = &request->body_in;
    self->received += (int64_t)size;
    if (is_too_slow(request))
        return -1;
    if (request->is_chunked)
        return feed_chunks(request, bytes, size);
    self->ops->on_piece(self->data, bytes, size);
    return 0;
}
