/* Credit goes back to whoever produces the output while the stream has room: what is in the
 * stream's queue is at most what the producer may send without it, six times (web/event.c) at
 * worst. */
#include "web/execution.h"

#include "base/agent-wire.h"
#include "base/clock.h"
#include "web/event.h"
#include "web/server.h"
#include "web/stream.h"

#include <stdio.h>

#define PING_US 10000000

struct execution {
    struct request *request;
    struct stream *stream; /* NULL: not begun */
    const struct execution_ops *ops;
    void *data;
    enum event_format format;
    struct event_tail tails[2]; /* of stdout and stderr */
    size_t owed;                /* output that was taken in and not given back as consumed */
    struct timer *ping;
};

static void destroy(struct execution *self)
{
    timer_free(self->ping);
    free(self);
}

static void handle_gone(void *data)
{
    struct execution *self = data;
    const struct execution_ops *ops = self->ops;
    void *owner = self->data;
    destroy(self);
    ops->on_gone(owner);
}

static void give_back(struct execution *self)
{
    size_t owed = self->owed;
    self->owed = 0;
    if (owed)
        self->ops->on_consumed(self->data, owed);
}

static void handle_room(void *data)
{
    give_back(data);
}

static void send_event(struct execution *self, json_t *event)
{
    json_object_set_new(event, "timestamp", json_integer(clock_wall_us() / 1000));
    event_json(stream_begin_piece(self->stream), self->format, event);
    stream_end_piece(self->stream);
}

static void handle_ping(void *data)
{
    struct execution *self = data;
    if (stream_queued(self->stream) == 0)
        send_event(self, json_pack("{s:s,s:s}", "type", "ping", "text", "pong"));
    timer_start(self->ping, PING_US);
}

struct execution *execution_new(struct request *request, const struct execution_ops *ops,
                                void *data)
{
    struct execution *self = calloc(1, sizeof *self);
    if (!self)
        return NULL;
    self->request = request;
    self->ops = ops;
    self->data = data;
    self->format = event_format(request->accept);
    self->ping = timer_new(request->web->loop, handle_ping, self);
    if (!self->ping) {
        free(self);
        return NULL;
    }
    request_on_gone(request, handle_gone, self);
    return self;
}

int execution_begin(struct execution *self, const char *id)
{
    static const struct stream_ops ops = { .on_room = handle_room, .on_gone = handle_gone };
    /* Proxies on the way must not gather events. */
    request_add_header(self->request, "X-Accel-Buffering", "no");
    self->stream = stream_new(self->request, 200, event_content_type(self->format), -1, &ops, self);
    if (!self->stream)
        return -1;
    send_event(self, json_pack("{s:s,s:s}", "type", "init", "text", id));
    timer_start(self->ping, PING_US);
    return 0;
}

static void write_output(struct execution *self, int stream, const uint8_t *bytes, size_t size,
                         bool is_last)
{
    bool is_err = stream == AGENT_STDERR;
    event_output(stream_begin_piece(self->stream), self->format, is_err ? "stderr" : "stdout",
                 &self->tails[is_err], bytes, size, is_last);
    stream_end_piece(self->stream);
}

void execution_output(struct execution *self, int stream, const uint8_t *bytes, size_t size)
{
    if (!self->stream)
        return;
    write_output(self, stream, bytes, size, false);
    self->owed += size;
    if (!stream_is_full(self->stream))
        give_back(self);
}

static void flush(struct execution *self)
{
    write_output(self, AGENT_STDOUT, NULL, 0, true);
    write_output(self, AGENT_STDERR, NULL, 0, true);
}

static void send_error(struct execution *self, const char *value, const char *text)
{
    /* A message may have been cut inside a character. */
    json_t *line = json_string(text);
    send_event(self, json_pack("{s:s,s:{s:s,s:s,s:[o]}}", "type", "error", "error", "ename",
                               "CommandExecError", "evalue", value, "traceback",
                               line ? line : json_string("(not UTF-8)")));
}

void execution_end(struct execution *self, int64_t exit_code, const char *text, int64_t duration_us)
{
    char value[24];
    snprintf(value, sizeof value, "%lld", (long long)exit_code);
    flush(self);
    if (exit_code != 0)
        send_error(self, value, text);
    else
        send_event(self, json_pack("{s:s,s:I}", "type", "execution_complete", "execution_time",
                                   (json_int_t)(duration_us / 1000)));
    stream_end(self->stream);
    destroy(self);
}

void execution_fail(struct execution *self, const struct error *err)
{
    if (!self->stream) {
        request_answer_error(self->request, err);
    } else {
        flush(self);
        send_error(self, err->message, err->message);
        stream_end(self->stream);
    }
    destroy(self);
}
