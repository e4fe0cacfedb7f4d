/* The queue is one buffer of framed bytes: a piece is a chunk, with the size of eight digits
 * that was left free for it when the piece began. So a piece that is put together in place is
 * not copied again before the kernel takes it.
 *
 * What was sent stays at the front of the buffer until it is half of it; then the rest moves up.
 * Each byte moves once or less on average.
 *
 * While nothing is queued the socket is only watched for the caller's going away. */
#include "web/stream.h"

#include "base/clock.h"
#include "web/server.h"

#include <errno.h>
#include <libwebsockets.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define TURN_MAX ((size_t)512 * 1024) /* bytes per turn of the loop: others are waiting too */
#define STALL_S 30
#define CHUNK_HEAD 10 /* "0000abcd\r\n" */

struct stream {
    struct request *request;
    const struct stream_ops *ops; /* NULL: the writer has ended */
    void *data;
    struct buf queue;
    size_t sent;      /* of the queue */
    size_t piece;     /* where the open piece begins in the queue */
    int64_t left;     /* of the announced length; -1: not announced */
    bool is_chunked, is_silent, has_ended, is_cut, wants_room;
    /* Of a request whose answer is wrapped: nothing is sent, all of it is the answer in the end. */
    bool is_collected;
    int status;
    char content_type[80];
    struct defer *overflow;
};

static const struct stream_ops no_ops;

/* --- Collected ---------------------------------------------------------------------------------- */

static void free_collected(struct stream *self)
{
    defer_free(self->overflow);
    buf_deinit(&self->queue);
    free(self);
}

static void handle_collected_gone(void *data)
{
    struct stream *self = data;
    const struct stream_ops *ops = self->ops;
    void *writer = self->data;
    free_collected(self);
    if (ops && ops->on_gone)
        ops->on_gone(writer);
}

/* In a turn of its own: the writer is at work when too much has come. */
static void handle_overflow(void *data)
{
    struct stream *self = data;
    struct request *request = self->request;
    struct error err = { 0 };
    error_set(&err, ERROR_TOO_LARGE, "the answer has more than %zu bytes", STREAM_COLLECT_MAX);
    request->on_gone = NULL;
    handle_collected_gone(self);
    request_answer_error(request, &err);
}

static bool collect(struct stream *self, int status, const char *content_type)
{
    self->overflow = defer_new(self->request->web->loop, handle_overflow, self);
    if (!self->overflow)
        return false;
    self->is_collected = true;
    self->status = status;
    snprintf(self->content_type, sizeof self->content_type, "%s", content_type ? content_type : "");
    self->queue.limit = STREAM_COLLECT_MAX;
    request_on_gone(self->request, handle_collected_gone, self);
    return true;
}

static void answer_collected(struct stream *self)
{
    struct request *request = self->request;
    struct error err = { 0 };
    struct bytes *bytes = bytes_copy(self->queue.data, self->queue.size);
    int status = self->status;
    bool is_cut = self->is_cut || self->queue.failed || !bytes;
    char type[sizeof self->content_type];
    memcpy(type, self->content_type, sizeof type);
    request->on_gone = NULL;
    free_collected(self);
    if (!is_cut) {
        request_answer_bytes(request, status, *type ? type : NULL, bytes);
        return;
    }
    bytes_unref(bytes);
    error_set(&err, ERROR_GUEST_FAILED, "the answer did not come whole");
    request_answer_error(request, &err);
}

struct stream *stream_new(struct request *request, int status, const char *content_type,
                          int64_t length, const struct stream_ops *ops, void *data)
{
    struct stream *self = request->state == REQUEST_WRITING ? NULL : calloc(1, sizeof *self);
    if (!self)
        return NULL;
    self->request = request;
    self->ops = ops ? ops : &no_ops;
    self->data = data;
    self->queue.limit = STREAM_MAX + STREAM_HIGH;
    self->left = length;
    self->is_silent = request->is_head;
    if (request->wrap && collect(self, status, content_type))
        return self;
    self->is_chunked = length < 0 && !request->is_http10;
    if (length < 0 && !self->is_chunked)
        request->must_close = true;
    request_answer_stream(request, status, content_type, length, self->is_chunked, self,
                          &self->queue);
    return self;
}

size_t stream_queued(const struct stream *self)
{
    return self->queue.size - self->sent;
}

bool stream_is_full(const struct stream *self)
{
    return stream_queued(self) >= STREAM_HIGH && !self->is_collected;
}

/* --- Writing ------------------------------------------------------------------------------------
 */

static void make_space(struct stream *self)
{
    if (self->sent == 0 || self->sent < self->queue.size / 2)
        return;
    buf_consume(&self->queue, self->sent);
    self->sent = 0;
}

struct buf *stream_begin_piece(struct stream *self)
{
    make_space(self);
    if (self->is_chunked)
        buf_append(&self->queue, "00000000\r\n", CHUNK_HEAD);
    self->piece = self->queue.size;
    return &self->queue;
}

/* Counts the piece against what was announced, and cuts off what is too much. */
static size_t account(struct stream *self, size_t size)
{
    if (self->left < 0)
        return size;
    size_t good = (size_t)MIN((int64_t)size, self->left);
    self->left -= (int64_t)good;
    return good;
}

static void close_chunk(struct stream *self, size_t size)
{
    char head[CHUNK_HEAD + 1];
    if (size == 0) {
        /* An empty chunk would be the last one. */
        self->queue.size = self->piece - CHUNK_HEAD;
        return;
    }
    snprintf(head, sizeof head, "%08zx\r\n", size);
    memcpy(self->queue.data + self->piece - CHUNK_HEAD, head, CHUNK_HEAD);
    buf_append(&self->queue, "\r\n", 2);
}

void stream_end_piece(struct stream *self)
{
    if (self->is_collected) {
        account(self, self->queue.size - self->piece);
        if (self->queue.failed)
            defer_request(self->overflow);
        return;
    }
    if (self->queue.failed) { /* told when it is to be sent */
        watch_set(self->request->conn->watch, WATCH_WRITE);
        return;
    }
    size_t size = account(self, self->queue.size - self->piece);
    self->queue.size = self->piece + (self->is_silent ? 0 : size);
    if (self->is_chunked)
        close_chunk(self, self->is_silent ? 0 : size);
    self->wants_room |= stream_queued(self) >= STREAM_LOW;
    if (stream_queued(self) > 0)
        watch_set(self->request->conn->watch, WATCH_WRITE);
}

void stream_write(struct stream *self, const void *bytes, size_t size)
{
    buf_append(stream_begin_piece(self), bytes, size);
    stream_end_piece(self);
}

static void finish(struct stream *self)
{
    self->ops = NULL;
    self->has_ended = true;
    if (self->is_collected) {
        answer_collected(self);
        return;
    }
    watch_set(self->request->conn->watch, WATCH_WRITE);
}

void stream_end(struct stream *self)
{
    if (self->left > 0 && !self->is_silent)
        self->is_cut = true;
    if (self->is_chunked && !self->is_silent)
        buf_append(&self->queue, "0\r\n\r\n", 5);
    finish(self);
}

void stream_cut(struct stream *self)
{
    self->is_cut = true;
    finish(self);
}

/* --- Out to the socket --------------------------------------------------------------------------
 */

static void tell_room(struct stream *self)
{
    if (!self->wants_room || stream_queued(self) >= STREAM_LOW || !self->ops)
        return;
    self->wants_room = false;
    if (self->ops->on_room)
        self->ops->on_room(self->data);
}

static void watch(struct stream *self)
{
    bool is_idle = stream_queued(self) == 0 && !self->has_ended;
    watch_set(self->request->conn->watch, is_idle ? WATCH_GONE : WATCH_WRITE);
    if (is_idle)
        lws_set_timeout(self->request->lws, NO_PENDING_TIMEOUT, 0);
}

int stream_send(struct stream *self)
{
    size_t size = MIN(stream_queued(self), TURN_MAX);
    if (self->queue.failed || (size == 0 && !self->has_ended))
        return -1; /* too much was queued; or nothing was to be sent, so this is the caller's end */
    ssize_t n = size == 0 ? 0
                          : send(self->request->conn->fd, self->queue.data + self->sent, size,
                                 MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    self->sent += (size_t)n;
    self->request->web->metrics.sent_bytes += (uint64_t)n;
    if (stream_queued(self) == 0 && self->has_ended)
        return self->is_cut ? -1 : 1;
    if (stream_queued(self) == 0)
        self->queue.size = self->sent = 0;
    lws_set_timeout(self->request->lws, PENDING_TIMEOUT_HTTP_CONTENT, STALL_S);
    watch(self);
    tell_room(self); /* may write, or end */
    return 0;
}

struct stream *stream_free(struct stream *self)
{
    if (!self)
        return NULL;
    const struct stream_ops *ops = self->ops;
    void *data = self->data;
    buf_deinit(&self->queue);
    free(self);
    if (ops && ops->on_gone)
        ops->on_gone(data);
    return NULL;
}
