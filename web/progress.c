/* The stream begins with the first notification, so a call that ends before is answered in JSON. From then on
 * the request counts as being written. */
#include "web/progress.h"

#include "base/clock.h"
#include "web/event.h"
#include "web/server.h"
#include "web/stream.h"

#include <string.h>

#define EVERY_US 1000000

struct progress {
    struct request *request;
    json_t *token;
    struct timer *timer;
    struct stream *stream;
    int64_t began_us;
    double total_s; /* 0: unknown */
};

static void handle_gone(void *data)
{
    struct progress *self = data;
    self->stream = NULL;
    timer_stop(self->timer);
}

/* What belongs to the operation stays: its answer is still to be wrapped, and it is to be told when the caller
 * goes away. */
static bool begin(struct progress *self)
{
    static const struct stream_ops ops = { .on_gone = handle_gone };
    struct request *request = self->request;
    request_wrap_fn wrap = steal_ptr(&request->wrap);
    loop_fn on_gone = request->on_gone;
    self->stream = stream_new(request, 200, event_content_type(EVENT_SSE), -1, &ops, self);
    request->wrap = wrap;
    request->on_gone = on_gone;
    return self->stream != NULL;
}

static void write_message(struct progress *self, json_t *message)
{
    event_json(stream_begin_piece(self->stream), EVENT_SSE, message);
    stream_end_piece(self->stream);
}

static void handle_tick(void *data)
{
    struct progress *self = data;
    double passed_s = (double)(clock_now_us() - self->began_us) / 1e6;
    if (!self->request->wrap || (!self->stream && !begin(self)))
        return;
    json_t *params = json_pack("{sO sf}", "progressToken", self->token, "progress", passed_s);
    if (self->total_s > 0)
        json_object_set_new(params, "total", json_real(self->total_s));
    if (!stream_is_full(self->stream))
        write_message(self, json_pack("{ss ss sO}", "jsonrpc", "2.0", "method", "notifications/progress", "params", params));
    json_decref(params);
    timer_start(self->timer, EVERY_US);
}

struct progress *progress_new(struct request *request, const json_t *params)
{
    const json_t *token = json_object_get(json_object_get(params, "_meta"), "progressToken");
    bool is_token = json_is_string(token) || json_is_integer(token);
    if (!is_token || !strstr(request->accept, "text/event-stream"))
        return NULL;
    struct progress *self = calloc(1, sizeof *self);
    if (!self)
        return NULL;
    self->request = request;
    self->began_us = clock_now_us();
    self->total_s = (double)json_get_int(json_object_get(params, "arguments"), "max_ms", 0) / 1e3;
    self->timer = timer_new(request->web->loop, handle_tick, self);
    if (!self->timer)
        return progress_free(self);
    self->token = json_incref((json_t *)(uintptr_t)token);
    timer_start(self->timer, EVERY_US);
    return self;
}

bool progress_finish(struct progress *self, json_t *message)
{
    if (!self || !self->stream)
        return false;
    timer_stop(self->timer);
    if (message)
        write_message(self, message);
    stream_end(steal_ptr(&self->stream));
    return true;
}

struct progress *progress_free(struct progress *self)
{
    if (self) {
        timer_free(self->timer);
        json_decref(self->token);
        free(self);
    }
    return NULL;
}
