/* Calls of a session with deskfarm-agent.
 *
 * A call that was cancelled or timed out keeps its channel until the guest has ended it, without
 * its caller: what still comes is dropped and gives no credit. If the END does not come, the agent
 * is taken for broken and a new session is begun.
 *
 * Callbacks may free the agent. Every place that runs one holds a reference and looks at is_freed
 * before it touches anything again. Calls are freed after on_end and nowhere else. */
#include "hypervisor/agent-private.h"

#include "base/clock.h"

#include <errno.h>
#include <string.h>

/* --- Ends ------------------------------------------------------------------------------------ */

/* Frees the call and tells its caller. */
static void end_call(struct session *self, struct call *call, const json_t *result,
                     const struct error *err)
{
    const struct agent_call_ops *ops = call->ops;
    void *data = call->data;
    self->calls[call->channel] = NULL;
    free(call);
    if (ops && ops->on_end)
        ops->on_end(data, result, err);
}

void call_end_all(struct session *self, const struct error *err)
{
    /* A callback may make new calls; those are not of this round. */
    struct call *round[AGENT_CHANNELS + 1];
    memcpy(round, self->calls, sizeof round);
    memset(self->calls, 0, sizeof self->calls);
    /* One that is cancelled by another's callback now only forgets its caller. */
    for (int i = 1; i <= AGENT_CHANNELS; i++)
        if (round[i])
            round[i]->is_open = round[i]->is_closed = true;
    for (int i = 1; i <= AGENT_CHANNELS; i++) {
        struct call *call = round[i];
        if (!call)
            continue;
        struct error one = call->err.is_set ? call->err : *err;
        const struct agent_call_ops *ops = call->ops;
        void *data = call->data;
        call->ops = NULL;
        if (ops && ops->on_end)
            ops->on_end(data, NULL, &one);
        free(call);
    }
}

/* Its END is awaited, but not for long. */
static void send_close(struct call *call)
{
    struct session *self = call->session;
    call->timeout_us = AGENT_END_US;
    call->deadline_us = clock_now_us() + AGENT_END_US;
    if (!call->is_closed && session_put(self, AGENT_CLOSE, call->channel, NULL, 0) < 0)
        session_want(self);
    call->is_closed = true;
}

static void close_call(struct call *call)
{
    call->ops = NULL;
    call->err.is_set = false;
    send_close(call);
}

/* Ends a call for its caller, who may free the agent. */
static void fail_call(struct session *self, struct call *call)
{
    struct error err = call->err;
    const struct agent_call_ops *ops = call->ops;
    void *data = call->data;
    if (!call->is_open) {
        end_call(self, call, NULL, &err);
        return;
    }
    close_call(call);
    if (ops && ops->on_end)
        ops->on_end(data, NULL, &err);
}

static void check_call(struct session *self, struct call *call, int64_t now_us)
{
    if (!call->err.is_set && (!call->deadline_us || call->deadline_us > now_us))
        return;
    if (!call->ops && call->is_open) {
        call->deadline_us = 0;
        session_want(self); /* it was told to end, and did not */
        return;
    }
    if (!call->err.is_set)
        error_set(&call->err, ERROR_TIMEOUT, "the guest's agent: %s: not done within %lld ms",
                  call->op, (long long)(call->timeout_us / 1000));
    fail_call(self, call);
}

void call_check_time(struct session *self, int64_t now_us)
{
    for (int i = 1; i <= AGENT_CHANNELS && !self->is_freed; i++)
        if (self->calls[i])
            check_call(self, self->calls[i], now_us);
}

/* --- Credit ---------------------------------------------------------------------------------- */

static void give_credit(struct call *call)
{
    struct session *self = call->session;
    uint8_t payload[4];
    if (!call->ops || !call->is_open || call->is_closed || session_queued(self) >= SESSION_OUT_HIGH)
        return;
    uint32_t amount = agent_credit_give(&call->credit);
    if (amount == 0)
        return;
    agent_wire_put_u32(payload, amount);
    session_put(self, AGENT_CREDIT, call->channel, payload, sizeof payload);
}

void call_resume_all(struct session *self)
{
    for (int i = 1; i <= AGENT_CHANNELS && !self->is_freed; i++) {
        if (session_queued(self) >= SESSION_OUT_HIGH)
            return;
        struct call *call = self->calls[i];
        if (!call || !call->ops)
            continue;
        give_credit(call);
        if (!call->wants_write || agent_credit_room(&call->credit) == 0)
            continue;
        call->wants_write = false;
        if (call->ops->on_writable)
            call->ops->on_writable(call->data);
    }
}

/* --- Frames ---------------------------------------------------------------------------------- */

static enum error_code code_of(const char *name)
{
    static const struct {
        const char *name;
        enum error_code code;
    } table[] = {
        { "not_found", ERROR_NOT_FOUND }, { "forbidden", ERROR_FORBIDDEN },
        { "exists", ERROR_CONFLICT }, { "bad_value", ERROR_BAD_VALUE },
        { "bad_json", ERROR_BAD_JSON }, { "disk_full", ERROR_DISK_FULL },
        { "too_large", ERROR_TOO_LARGE }, { "unsupported", ERROR_UNSUPPORTED },
        { "busy", ERROR_BUSY }, { "timeout", ERROR_TIMEOUT }, { "cancelled", ERROR_CANCELLED },
        { "refused", ERROR_NOT_READY }, { "not_ready", ERROR_NOT_READY },
        { "untypable", ERROR_UNTYPABLE },
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (strcmp(table[i].name, name) == 0)
            return table[i].code;
    return ERROR_GUEST_FAILED;
}

static void handle_end(struct session *self, struct call *call, const struct agent_frame *frame)
{
    auto_json json_t *result = session_parse(self, frame);
    if (!result)
        return;
    const json_t *error = json_object_get(result, "error");
    if (!error) {
        end_call(self, call, result, NULL);
        return;
    }
    struct error err;
    agent_guest_error(&err, call->op, code_of(json_get_string(error, "code", "")),
                      json_get_string(error, "message", "an error without a message"));
    end_call(self, call, NULL, &err);
}

static void handle_event(struct session *self, struct call *call,
                         const struct agent_frame *frame)
{
    auto_json json_t *event = session_parse(self, frame);
    if (!event || !call->ops)
        return;
    const struct agent_call_ops *ops = call->ops;
    agent_credit_consumed(&call->credit, frame->length + AGENT_OVERHEAD);
    give_credit(call);
    if (ops->on_event)
        ops->on_event(call->data, event);
}

static void handle_data(struct call *call, const struct agent_frame *frame)
{
    if (!call->ops)
        return;
    agent_credit_consumed(&call->credit, AGENT_OVERHEAD);
    if (call->ops->on_data)
        call->ops->on_data(call->data, (enum agent_stream)frame->stream, frame->payload,
                           frame->length);
    else
        call_consumed(&call->agent_call, frame->length);
}

static void handle_eof(struct call *call, const struct agent_frame *frame)
{
    call->seen_eof[frame->stream] = true;
    if (call->ops && call->ops->on_eof)
        call->ops->on_eof(call->data, (enum agent_stream)frame->stream);
}

static void handle_credit(struct call *call)
{
    if (!call->ops || !call->wants_write || session_queued(call->session) >= SESSION_OUT_HIGH)
        return;
    call->wants_write = false;
    if (call->ops->on_writable)
        call->ops->on_writable(call->data);
}

/* Whether the frame obeys the rules of its channel; accounts for it. */
static const char *check_frame(struct call *call, const struct agent_frame *frame)
{
    if (!call || !call->is_open)
        return "a frame for a channel that is not open";
    if ((frame->type == AGENT_DATA || frame->type == AGENT_EVENT) &&
        agent_credit_received(&call->credit, frame->length) < 0)
        return "more output than was allowed";
    if ((frame->type == AGENT_DATA || frame->type == AGENT_EOF) && call->seen_eof[frame->stream])
        return "output after its end";
    if (frame->type == AGENT_CREDIT &&
        agent_credit_granted(&call->credit, agent_wire_get_u32(frame->payload)) < 0)
        return "more credit than a window has";
    return NULL;
}

void call_handle_frame(struct session *self, const struct agent_frame *frame)
{
    struct call *call = self->calls[frame->channel];
    const char *fault = check_frame(call, frame);
    if (fault)
        session_breach(self, fault);
    else if (frame->type == AGENT_END)
        handle_end(self, call, frame);
    else if (frame->type == AGENT_EVENT)
        handle_event(self, call, frame);
    else if (frame->type == AGENT_DATA)
        handle_data(call, frame);
    else if (frame->type == AGENT_EOF)
        handle_eof(call, frame);
    else
        handle_credit(call);
}

/* --- The interface --------------------------------------------------------------------------- */

/* The channel after the last one used, so that a number rests before it is used again. */
static uint16_t free_channel(struct session *self)
{
    for (int i = 0; i < AGENT_CHANNELS; i++) {
        self->last_channel = (uint16_t)(self->last_channel % AGENT_CHANNELS + 1);
        if (!self->calls[self->last_channel])
            return self->last_channel;
    }
    return 0;
}

/* Asks the guest, or leaves in err why not. */
static void open_call(struct call *call, const json_t *request)
{
    struct session *self = call->session;
    auto_buf struct buf text = { .limit = AGENT_PAYLOAD_MAX };
    if (self->is_closed)
        error_set(&call->err, ERROR_GUEST_GONE, "the connection to the guest's agent ended");
    else if (!agent_is_ready(&self->agent))
        error_set(&call->err, ERROR_NOT_READY, "the guest's agent has not answered yet");
    else if (!request || json_write(request, &text) < 0)
        error_set(&call->err, ERROR_TOO_LARGE, "%s: a request has at most %d bytes", call->op,
                  AGENT_PAYLOAD_MAX);
    else if (session_queued(self) >= SESSION_OUT_HIGH)
        error_set(&call->err, ERROR_BUSY, "%s: the guest's agent does not read", call->op);
    else if (session_put(self, AGENT_REQUEST, call->channel, text.data, text.size) < 0)
        error_errno(&call->err, ENOMEM, "%s", call->op);
    else
        call->is_open = true;
    defer_request(self->defer);
}

struct agent_call *call_new(struct agent *agent, json_t *request, const struct agent_call_ops *ops,
                            void *data, int64_t timeout_us)
{
    auto_json json_t *owned = request;
    struct session *self = container_of(agent, struct session, agent);
    uint16_t channel = self->is_freed ? 0 : free_channel(self);
    struct call *call = channel ? calloc(1, sizeof *call) : NULL;
    if (!call)
        return NULL;
    call->agent_call.agent = agent;
    call->session = self;
    call->channel = channel;
    call->ops = ops;
    call->data = data;
    call->timeout_us = timeout_us;
    call->deadline_us = timeout_us ? clock_now_us() + timeout_us : 0;
    agent_credit_init(&call->credit);
    strncpy(call->op, json_get_string(owned, "op", "?"), sizeof call->op - 1);
    self->calls[channel] = call;
    open_call(call, owned);
    return &call->agent_call;
}

static struct call *of(struct agent_call *call)
{
    return container_of(call, struct call, agent_call);
}

size_t call_write(struct agent_call *call, const void *bytes, size_t size)
{
    struct call *self = of(call);
    const uint8_t *from = bytes;
    size_t done = 0, room;
    if (!self->is_open || self->is_closed || self->has_eof || self->session->is_closed)
        return 0;
    while (done < size && session_queued(self->session) < SESSION_OUT_HIGH &&
           (room = agent_credit_room(&self->credit)) > 0) {
        size_t n = MIN(MIN(room, size - done), (size_t)AGENT_HOST_CHUNK);
        if (session_put(self->session, AGENT_DATA, self->channel, from + done, n) < 0)
            break;
        agent_credit_sent(&self->credit, (uint32_t)n);
        done += n;
    }
    self->wants_write = done < size;
    return done;
}

void call_eof(struct agent_call *call)
{
    struct call *self = of(call);
    if (!self->is_open || self->is_closed || self->has_eof)
        return;
    self->has_eof = true;
    if (session_put(self->session, AGENT_EOF, self->channel, NULL, 0) < 0)
        session_want(self->session);
}

int call_control(struct agent_call *call, json_t *word)
{
    struct call *self = of(call);
    auto_json json_t *owned = word;
    auto_buf struct buf text = { .limit = AGENT_PAYLOAD_MAX };
    if (!owned || json_write(owned, &text) < 0)
        return -EINVAL;
    if (!self->is_open || self->is_closed || session_queued(self->session) >= SESSION_OUT_HIGH)
        return -EAGAIN;
    return session_put(self->session, AGENT_CONTROL, self->channel, text.data, text.size);
}

void call_consumed(struct agent_call *call, size_t size)
{
    struct call *self = of(call);
    agent_credit_consumed(&self->credit, (uint32_t)MIN(size, (size_t)AGENT_WINDOW));
    give_credit(self);
}

void call_close(struct agent_call *call)
{
    struct call *self = of(call);
    if (self->is_open && !self->is_closed)
        send_close(self);
}

struct agent_call *call_cancel(struct agent_call *call)
{
    struct call *self = of(call);
    if (!self->ops)
        return NULL;
    struct session *session = self->session;
    if (self->is_open) {
        close_call(self);
    } else {
        session->calls[self->channel] = NULL;
        free(self);
    }
    return NULL;
}
