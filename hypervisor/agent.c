/* A session over one socket, and at most AGENT_CHANNELS calls in it, by channel number.
 *
 * Bounds. The queue out grows by REQUEST, CONTROL and DATA only below OUT_HIGH; CREDIT waits too
 * (it stays owed). CLOSE and EOF come once per REQUEST. A new session throws the queue away. In:
 * the decoder's buffer. DATA goes to the caller as it comes and is not kept here.
 *
 * A call that was cancelled or timed out keeps its channel until the guest has ended it, without
 * its caller: what still comes is dropped and gives no credit. If the END does not come, the agent is
 * taken for broken and a new session is begun.
 *
 * Callbacks may free the agent. Every place that runs one holds a reference and looks at is_freed
 * before it touches anything again. Calls are freed after on_end and nowhere else.
 *
 * Cost: a chunk is copied once by the kernel into the decoder's buffer and not by us; a credit
 * frame per quarter of a window. */
#define LOG_MODULE "agent"
#include "hypervisor/agent.h"

#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define OUT_HIGH (256 * 1024)
#define TURN_READS 4
#define HELLO_AGAIN_US 1000000
#define HELLO_AGAIN_MAX_US 8000000

struct agent_call {
    struct agent *agent;
    uint16_t channel;
    struct agent_credit credit;
    const struct agent_call_ops *ops; /* NULL: the caller is gone */
    void *data;
    char op[24];
    int64_t deadline_us; /* 0: none */
    int64_t timeout_us;
    struct error err; /* set: ends on the next turn */
    bool is_open;     /* the guest has been asked */
    bool is_closed;   /* CLOSE is out */
    bool wants_write, has_eof;
    bool seen_eof[AGENT_STREAM_COUNT];
};

struct agent {
    int fd;
    struct watch *watch;
    struct timer *timer;
    struct defer *defer;
    struct agent_ops ops;
    void *data;
    struct agent_call *calls[AGENT_CHANNELS + 1];
    struct buf out;
    size_t out_sent;
    int64_t hello_us, hello_again_us, hello_wait_us; /* sent; send again at; doubling */
    uint64_t noise_base;
    size_t n_knock_bytes;
    unsigned n_hellos; /* unanswered */
    uint16_t last_channel;
    bool is_ready, is_closed, is_freed, wants_session;
    int refs;
    struct agent_inbox inbox;
};

static size_t queued(const struct agent *self)
{
    return self->out.size - self->out_sent;
}

static void unref(struct agent *self)
{
    if (--self->refs > 0)
        return;
    watch_free(self->watch);
    timer_free(self->timer);
    defer_free(self->defer);
    util_close_ptr(&self->fd);
    buf_deinit(&self->out);
    free(self);
}

/* --- Ends ------------------------------------------------------------------------------------ */

/* Frees the call and tells its caller. */
static void end_call(struct agent *self, struct agent_call *call, const json_t *result,
                     const struct error *err)
{
    const struct agent_call_ops *ops = call->ops;
    void *data = call->data;
    self->calls[call->channel] = NULL;
    free(call);
    if (ops && ops->on_end)
        ops->on_end(data, result, err);
}

static void end_all(struct agent *self, const struct error *err)
{
    /* A callback may make new calls; those are not of this round. */
    struct agent_call *round[AGENT_CHANNELS + 1];
    memcpy(round, self->calls, sizeof round);
    memset(self->calls, 0, sizeof self->calls);
    /* One that is cancelled by another's callback now only forgets its caller. */
    for (int i = 1; i <= AGENT_CHANNELS; i++)
        if (round[i])
            round[i]->is_open = round[i]->is_closed = true;
    for (int i = 1; i <= AGENT_CHANNELS; i++) {
        struct agent_call *call = round[i];
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

static void close_connection(struct agent *self, const struct error *why)
{
    if (self->is_closed)
        return;
    self->is_closed = true;
    self->is_ready = false;
    self->watch = watch_free(self->watch);
    timer_stop(self->timer);
    util_close_ptr(&self->fd);
    self->fd = -1;
    buf_deinit(&self->out);
    self->out_sent = 0;
    struct error gone;
    error_set(&gone, ERROR_GUEST_GONE, "the connection to the guest's agent ended");
    end_all(self, &gone);
    if (!self->is_freed && self->ops.on_closed)
        self->ops.on_closed(self->data, why);
}

static void breach(struct agent *self, const char *what)
{
    struct error err;
    error_set(&err, ERROR_GUEST_FAILED, "the guest's agent: %s", what);
    close_connection(self, &err);
}

/* --- Out ------------------------------------------------------------------------------------- */

static uint8_t *reserve(struct agent *self, size_t size)
{
    if (self->out_sent && self->out_sent >= self->out.size / 2) {
        buf_consume(&self->out, self->out_sent);
        self->out_sent = 0;
    }
    uint8_t *at = self->is_closed ? NULL : buf_reserve(&self->out, size);
    self->out.failed = false;
    return at;
}

static int put(struct agent *self, enum agent_type type, uint16_t channel, const void *payload,
               size_t size)
{
    struct agent_frame frame = { .type = type, .stream = AGENT_STDIN, .channel = channel,
                                 .length = (uint32_t)size, .session = self->inbox.session,
                                 .payload = payload };
    uint8_t *at = reserve(self, AGENT_OVERHEAD + size);
    if (!at)
        return -ENOMEM;
    self->out.size += agent_wire_encode(at, &frame);
    defer_request(self->defer);
    return 0;
}

static void arm_timer(struct agent *self)
{
    int64_t first = self->is_ready && !self->wants_session ? 0 : self->hello_again_us;
    for (int i = 1; i <= AGENT_CHANNELS; i++) {
        int64_t deadline_us = self->calls[i] ? self->calls[i]->deadline_us : 0;
        if (deadline_us && (!first || deadline_us < first))
            first = deadline_us;
    }
    if (first)
        timer_start(self->timer, MAX(first - clock_now_us(), 0));
    else
        timer_stop(self->timer);
}

/* Says HELLO, again or for the first time in this session. */
static void hello(struct agent *self)
{
    uint8_t *zeros = reserve(self, AGENT_FLUSH);
    if (!zeros)
        return;
    memset(zeros, 0, AGENT_FLUSH);
    self->out.size += AGENT_FLUSH;
    put(self, AGENT_HELLO, 0, NULL, 0);
    self->n_hellos++;
    self->hello_us = clock_now_us();
    self->hello_again_us = self->hello_us + self->hello_wait_us;
    self->hello_wait_us = MIN(self->hello_wait_us * 2, HELLO_AGAIN_MAX_US);
    arm_timer(self);
}

static void begin_session(struct agent *self)
{
    bool was_ready = self->is_ready;
    uint64_t session = 0;
    while (session == 0)
        id_random(&session, sizeof session);
    self->wants_session = self->is_ready = false;
    self->inbox.session = session;
    self->noise_base = self->inbox.n_skipped;
    self->n_knock_bytes = 0;
    self->out.size = self->out_sent = 0;
    self->n_hellos = 0;
    self->hello_wait_us = HELLO_AGAIN_US;
    hello(self);
    struct error gone;
    error_set(&gone, ERROR_GUEST_GONE, "the guest's agent began a new session");
    end_all(self, &gone);
    if (was_ready && !self->is_freed && self->ops.on_lost)
        self->ops.on_lost(self->data);
}

/* Not inside a callback's caller, and not too often. */
static void want_session(struct agent *self)
{
    if (self->is_closed || self->wants_session)
        return;
    self->wants_session = true;
    self->hello_again_us = MAX(self->hello_us + AGENT_KNOCK_US, clock_now_us());
    defer_request(self->defer);
}

static void give_credit(struct agent_call *call)
{
    struct agent *self = call->agent;
    uint8_t payload[4];
    if (!call->ops || !call->is_open || call->is_closed || queued(self) >= OUT_HIGH)
        return;
    uint32_t amount = agent_credit_give(&call->credit);
    if (amount == 0)
        return;
    agent_wire_put_u32(payload, amount);
    put(self, AGENT_CREDIT, call->channel, payload, sizeof payload);
}

/* There is room again: what waited for it goes on. */
static void resume(struct agent *self)
{
    for (int i = 1; i <= AGENT_CHANNELS && queued(self) < OUT_HIGH && !self->is_freed; i++) {
        struct agent_call *call = self->calls[i];
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

static void write_out(struct agent *self)
{
    while (!self->is_closed && queued(self) > 0) {
        ssize_t n = send(self->fd, self->out.data + self->out_sent, queued(self),
                         MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0) {
            breach(self, strerror(errno));
            return;
        }
        self->out_sent += (size_t)n;
    }
    if (self->is_closed)
        return;
    if (queued(self) == 0)
        self->out.size = self->out_sent = 0;
    watch_set(self->watch, WATCH_READ | (queued(self) ? WATCH_WRITE : 0));
}

/* --- Time ------------------------------------------------------------------------------------ */

static void close_call(struct agent_call *call)
{
    struct agent *self = call->agent;
    call->ops = NULL;
    call->err.is_set = false;
    call->deadline_us = clock_now_us() + AGENT_END_US;
    if (!call->is_closed && put(self, AGENT_CLOSE, call->channel, NULL, 0) < 0)
        want_session(self);
    call->is_closed = true;
}

/* Ends a call for its caller, who may free the agent. */
static void fail_call(struct agent *self, struct agent_call *call)
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

static void check_call(struct agent *self, struct agent_call *call, int64_t now_us)
{
    if (!call->err.is_set && (!call->deadline_us || call->deadline_us > now_us))
        return;
    if (!call->ops && call->is_open) {
        call->deadline_us = 0;
        want_session(self); /* it was told to end, and did not */
        return;
    }
    if (!call->err.is_set)
        error_set(&call->err, ERROR_TIMEOUT, "the guest's agent: %s: not done within %lld ms",
                  call->op, (long long)(call->timeout_us / 1000));
    fail_call(self, call);
}

static void handle_time(struct agent *self)
{
    int64_t now_us = clock_now_us();
    for (int i = 1; i <= AGENT_CHANNELS && !self->is_freed; i++)
        if (self->calls[i])
            check_call(self, self->calls[i], now_us);
    if (self->is_freed || self->is_closed)
        return;
    if (self->wants_session && self->hello_again_us <= now_us)
        begin_session(self);
    else if (!self->is_ready && self->hello_again_us <= now_us && queued(self) == 0)
        hello(self);
    else if (!self->is_ready && self->hello_again_us <= now_us)
        self->hello_again_us = now_us + HELLO_AGAIN_US; /* the last is not out yet */
}

/* One turn's work after callbacks and frames: ends, sends, arms. */
static void settle(struct agent *self)
{
    handle_time(self);
    if (!self->is_freed && !self->is_closed)
        write_out(self);
    if (!self->is_freed && !self->is_closed)
        resume(self);
    if (!self->is_freed && !self->is_closed)
        arm_timer(self);
}

static void handle_defer(void *data)
{
    struct agent *self = data;
    self->refs++;
    settle(self);
    unref(self);
}

/* --- In -------------------------------------------------------------------------------------- */

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
        { "refused", ERROR_NOT_READY },
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (strcmp(table[i].name, name) == 0)
            return table[i].code;
    return ERROR_GUEST_FAILED;
}

/* The guest's words go into answers and logs: one line, no control characters. */
static void guest_error(struct error *err, const char *op, const json_t *error)
{
    error_set(err, code_of(json_get_string(error, "code", "")), "in the guest: %s: %s", op,
              json_get_string(error, "message", "an error without a message"));
    for (char *at = err->message; *at; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            *at = ' ';
}

static json_t *parse(struct agent *self, const struct agent_frame *frame)
{
    json_t *object = NULL;
    if (json_parse_object((const char *)frame->payload, frame->length, &object, NULL) < 0)
        breach(self, "no JSON object where one belongs");
    return object;
}

static void handle_end(struct agent *self, struct agent_call *call, const struct agent_frame *frame)
{
    auto_json json_t *result = parse(self, frame);
    if (!result)
        return;
    const json_t *error = json_object_get(result, "error");
    if (!error) {
        end_call(self, call, result, NULL);
        return;
    }
    struct error err;
    guest_error(&err, call->op, error);
    end_call(self, call, NULL, &err);
}

static void handle_event(struct agent *self, struct agent_call *call,
                         const struct agent_frame *frame)
{
    auto_json json_t *event = parse(self, frame);
    if (!event || !call->ops)
        return;
    const struct agent_call_ops *ops = call->ops;
    agent_credit_consumed(&call->credit, frame->length + AGENT_OVERHEAD);
    give_credit(call);
    if (ops->on_event)
        ops->on_event(call->data, event);
}

static void handle_data(struct agent_call *call, const struct agent_frame *frame)
{
    if (!call->ops)
        return;
    agent_credit_consumed(&call->credit, AGENT_OVERHEAD);
    if (call->ops->on_data)
        call->ops->on_data(call->data, (enum agent_stream)frame->stream, frame->payload,
                           frame->length);
    else
        agent_call_consumed(call, frame->length);
}

static void handle_eof(struct agent_call *call, const struct agent_frame *frame)
{
    call->seen_eof[frame->stream] = true;
    if (call->ops && call->ops->on_eof)
        call->ops->on_eof(call->data, (enum agent_stream)frame->stream);
}

static void handle_credit(struct agent_call *call)
{
    if (!call->ops || !call->wants_write || queued(call->agent) >= OUT_HIGH)
        return;
    call->wants_write = false;
    if (call->ops->on_writable)
        call->ops->on_writable(call->data);
}

static void handle_welcome(struct agent *self, const struct agent_frame *frame)
{
    if (self->n_hellos == 0) {
        breach(self, "a second welcome");
        return;
    }
    self->n_hellos--;
    if (self->is_ready || self->wants_session)
        return;
    auto_json json_t *welcome = parse(self, frame);
    if (!welcome)
        return;
    self->is_ready = true;
    log_debug("ready");
    if (self->ops.on_ready)
        self->ops.on_ready(self->data, welcome);
}

/* The agent has been started. Before its WELCOME it may have missed our HELLO. */
static void handle_knock(struct agent *self)
{
    self->n_knock_bytes += AGENT_OVERHEAD;
    if (self->is_ready)
        want_session(self);
    else
        self->hello_again_us = MIN(self->hello_again_us,
                                   MAX(self->hello_us + AGENT_KNOCK_US, clock_now_us()));
}

/* Whether the frame obeys the rules of its channel; accounts for it. */
static const char *check_frame(struct agent_call *call, const struct agent_frame *frame)
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

static void handle_call_frame(struct agent *self, const struct agent_frame *frame)
{
    struct agent_call *call = self->calls[frame->channel];
    const char *fault = check_frame(call, frame);
    if (fault)
        breach(self, fault);
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

static void handle_frame(struct agent *self, const struct agent_frame *frame)
{
    if (frame->type == AGENT_KNOCK)
        handle_knock(self);
    else if (frame->type == AGENT_WELCOME)
        handle_welcome(self, frame);
    else if (self->is_ready)
        handle_call_frame(self, frame);
    else
        breach(self, "a frame before the welcome");
}

static void handle_frames(struct agent *self)
{
    struct agent_frame frame;
    while (!self->is_closed && !self->is_freed && agent_inbox_next(&self->inbox, &frame))
        handle_frame(self, &frame);
    uint64_t noise = self->inbox.n_skipped - self->noise_base + self->n_knock_bytes;
    if (!self->is_closed && !self->is_freed && noise > AGENT_NOISE_MAX)
        breach(self, "too much that means nothing");
}

void agent_feed(struct agent *self, const void *data, size_t size)
{
    const uint8_t *from = data;
    self->refs++;
    while (size > 0 && !self->is_closed && !self->is_freed) {
        size_t room;
        uint8_t *at = agent_inbox_space(&self->inbox, &room);
        size_t n = MIN(room, size);
        memcpy(at, from, n);
        agent_inbox_added(&self->inbox, n);
        from += n;
        size -= n;
        handle_frames(self);
    }
    unref(self);
}

static void read_some(struct agent *self)
{
    for (int i = 0; i < TURN_READS && !self->is_closed && !self->is_freed; i++) {
        size_t room;
        uint8_t *at = agent_inbox_space(&self->inbox, &room);
        ssize_t n = recv(self->fd, at, room, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            breach(self, n < 0 ? strerror(errno) : "it is gone");
            return;
        }
        agent_inbox_added(&self->inbox, (size_t)n);
        handle_frames(self);
    }
}

static void handle_socket(void *data, int events)
{
    struct agent *self = data;
    self->refs++;
    if (events & WATCH_READ)
        read_some(self);
    if (!self->is_freed && !self->is_closed)
        settle(self);
    unref(self);
}

/* --- The object ------------------------------------------------------------------------------ */

int agent_new(struct agent **ret, struct loop *loop, int fd, const struct agent_ops *ops,
              void *data, struct error *err)
{
    struct agent *self = calloc(1, sizeof *self);
    if (!self) {
        close(fd);
        return error_errno(err, ENOMEM, "connecting to the guest's agent");
    }
    self->fd = fd;
    self->refs = 1;
    self->out.limit = 2 * AGENT_QUEUE_MAX; /* half of it may have been sent */
    self->data = data;
    if (ops)
        self->ops = *ops;
    agent_inbox_init(&self->inbox, AGENT_GUEST, 0);
    self->watch = watch_new(loop, fd, handle_socket, self);
    self->timer = timer_new(loop, handle_defer, self);
    self->defer = defer_new(loop, handle_defer, self);
    if (!self->watch || !self->timer || !self->defer) {
        unref(self);
        return error_errno(err, ENOMEM, "connecting to the guest's agent");
    }
    watch_set(self->watch, WATCH_READ);
    begin_session(self);
    *ret = self;
    return 0;
}

struct agent *agent_free(struct agent *self)
{
    if (!self || self->is_freed)
        return NULL;
    self->is_freed = true;
    struct error err;
    error_set(&err, ERROR_CANCELLED, "the connection to the guest's agent was closed");
    self->refs++;
    end_all(self, &err);
    self->watch = watch_free(self->watch);
    timer_stop(self->timer);
    unref(self);
    unref(self);
    return NULL;
}

bool agent_is_ready(const struct agent *self)
{
    return self->is_ready && !self->wants_session;
}

void agent_restart(struct agent *self)
{
    want_session(self);
}

void agent_set_session(struct agent *self, uint64_t session)
{
    self->inbox.session = session;
}

/* --- Calls ----------------------------------------------------------------------------------- */

/* The channel after the last one used, so that a number rests before it is used again. */
static uint16_t free_channel(struct agent *self)
{
    for (int i = 0; i < AGENT_CHANNELS; i++) {
        self->last_channel = (uint16_t)(self->last_channel % AGENT_CHANNELS + 1);
        if (!self->calls[self->last_channel])
            return self->last_channel;
    }
    return 0;
}

/* Asks the guest, or leaves in err why not. */
static void open_call(struct agent_call *call, const json_t *request)
{
    struct agent *self = call->agent;
    auto_buf struct buf text = { .limit = AGENT_PAYLOAD_MAX };
    if (self->is_closed)
        error_set(&call->err, ERROR_GUEST_GONE, "the connection to the guest's agent ended");
    else if (!agent_is_ready(self))
        error_set(&call->err, ERROR_NOT_READY, "the guest's agent has not answered yet");
    else if (!request || json_write(request, &text) < 0)
        error_set(&call->err, ERROR_TOO_LARGE, "%s: a request has at most %d bytes", call->op,
                  AGENT_PAYLOAD_MAX);
    else if (queued(self) >= OUT_HIGH)
        error_set(&call->err, ERROR_BUSY, "%s: the guest's agent does not read", call->op);
    else if (put(self, AGENT_REQUEST, call->channel, text.data, text.size) < 0)
        error_errno(&call->err, ENOMEM, "%s", call->op);
    else
        call->is_open = true;
    defer_request(self->defer);
}

struct agent_call *agent_call_new(struct agent *agent, json_t *request,
                                  const struct agent_call_ops *ops, void *data, int64_t timeout_us)
{
    auto_json json_t *owned = request;
    uint16_t channel = agent->is_freed ? 0 : free_channel(agent);
    struct agent_call *call = channel ? calloc(1, sizeof *call) : NULL;
    if (!call)
        return NULL;
    static const struct agent_call_ops none;
    call->agent = agent;
    call->channel = channel;
    call->ops = ops ? ops : &none;
    call->data = data;
    call->timeout_us = timeout_us;
    call->deadline_us = timeout_us ? clock_now_us() + timeout_us : 0;
    agent_credit_init(&call->credit);
    strncpy(call->op, json_get_string(owned, "op", "?"), sizeof call->op - 1);
    agent->calls[channel] = call;
    open_call(call, owned);
    return call;
}

size_t agent_call_write(struct agent_call *self, const void *bytes, size_t size)
{
    const uint8_t *from = bytes;
    size_t done = 0, room;
    if (!self->is_open || self->is_closed || self->has_eof || self->agent->is_closed)
        return 0;
    while (done < size && queued(self->agent) < OUT_HIGH &&
           (room = agent_credit_room(&self->credit)) > 0) {
        size_t n = MIN(room, size - done);
        if (put(self->agent, AGENT_DATA, self->channel, from + done, n) < 0)
            break;
        agent_credit_sent(&self->credit, (uint32_t)n);
        done += n;
    }
    self->wants_write = done < size;
    return done;
}

void agent_call_eof(struct agent_call *self)
{
    if (!self->is_open || self->is_closed || self->has_eof)
        return;
    self->has_eof = true;
    if (put(self->agent, AGENT_EOF, self->channel, NULL, 0) < 0)
        want_session(self->agent);
}

int agent_call_control(struct agent_call *self, json_t *word)
{
    auto_json json_t *owned = word;
    auto_buf struct buf text = { .limit = AGENT_PAYLOAD_MAX };
    if (!owned || json_write(owned, &text) < 0)
        return -EINVAL;
    if (!self->is_open || self->is_closed || queued(self->agent) >= OUT_HIGH)
        return -EAGAIN;
    return put(self->agent, AGENT_CONTROL, self->channel, text.data, text.size);
}

void agent_call_consumed(struct agent_call *self, size_t size)
{
    agent_credit_consumed(&self->credit, (uint32_t)MIN(size, (size_t)AGENT_WINDOW));
    give_credit(self);
}

struct agent_call *agent_call_cancel(struct agent_call *self)
{
    if (!self || !self->ops)
        return NULL;
    struct agent *agent = self->agent;
    if (self->is_open) {
        close_call(self);
    } else {
        agent->calls[self->channel] = NULL;
        free(self);
    }
    return NULL;
}
