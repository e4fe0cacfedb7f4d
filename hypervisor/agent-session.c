/* A session with deskfarm-agent over one socket, and at most AGENT_CHANNELS calls in it, by channel
 * number (agent-call.c).
 *
 * Bounds. The queue out grows by REQUEST, CONTROL and DATA only below OUT_HIGH; CREDIT waits too
 * (it stays owed). CLOSE and EOF come once per REQUEST. A new session throws the queue away. In:
 * the decoder's buffer. DATA goes to the caller as it comes and is not kept here.
 *
 * Cost: a chunk is copied once by the kernel into the decoder's buffer and not by us; a credit
 * frame per quarter of a window. */
#define LOG_MODULE "agent"
#include "hypervisor/agent-private.h"

#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define TURN_READS 4
#define HELLO_AGAIN_US 250000
#define HELLO_AGAIN_MAX_US 8000000

size_t session_queued(const struct session *self)
{
    return self->out.size - self->out_sent;
}

static void unref(struct session *self)
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

static void close_connection(struct session *self, const struct error *why)
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
    call_end_all(self, &gone);
    if (!self->is_freed && self->ops.on_closed)
        self->ops.on_closed(self->data, why);
}

void session_breach(struct session *self, const char *what)
{
    struct error err;
    error_set(&err, ERROR_GUEST_FAILED, "the guest's agent: %s", what);
    close_connection(self, &err);
}

/* --- Out ------------------------------------------------------------------------------------- */

static uint8_t *reserve(struct session *self, size_t size)
{
    if (self->out_sent && self->out_sent >= self->out.size / 2) {
        buf_consume(&self->out, self->out_sent);
        self->out_sent = 0;
    }
    uint8_t *at = self->is_closed ? NULL : buf_reserve(&self->out, size);
    self->out.failed = false;
    return at;
}

int session_put(struct session *self, enum agent_type type, uint16_t channel, const void *payload,
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

static void arm_timer(struct session *self)
{
    int64_t first = self->is_ready && !self->wants_session ? 0 : self->hello_again_us;
    for (int i = 1; i <= AGENT_CHANNELS; i++) {
        int64_t deadline_us = self->calls[i] ? self->calls[i]->deadline_us : 0;
        if (deadline_us && (!first || deadline_us < first))
            first = deadline_us;
    }
    if (first && !self->paused_us)
        timer_start(self->timer, MAX(first - clock_now_us(), 0));
    else
        timer_stop(self->timer);
}

/* Says HELLO, after as many zeros. */
static void hello(struct session *self, size_t n_zeros)
{
    uint8_t *zeros = reserve(self, n_zeros);
    if (!zeros)
        return;
    memset(zeros, 0, n_zeros);
    self->out.size += n_zeros;
    session_put(self, AGENT_HELLO, 0, NULL, 0);
    self->n_hellos++;
    self->hello_us = clock_now_us();
    self->hello_again_us = self->hello_us + self->hello_wait_us;
    self->hello_wait_us = MIN(self->hello_wait_us * 2, HELLO_AGAIN_MAX_US);
    arm_timer(self);
}

static void begin_session(struct session *self)
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
    hello(self, AGENT_FLUSH);
    struct error gone;
    error_set(&gone, ERROR_GUEST_GONE, "the guest's agent began a new session");
    call_end_all(self, &gone);
    if (was_ready && !self->is_freed && self->ops.on_lost)
        self->ops.on_lost(self->data);
}

void session_want(struct session *self)
{
    if (self->is_closed || self->wants_session)
        return;
    self->wants_session = true;
    self->hello_again_us = MAX(self->hello_us + AGENT_KNOCK_US, clock_now_us());
    defer_request(self->defer);
}

static void write_out(struct session *self)
{
    while (!self->is_closed && session_queued(self) > 0) {
        ssize_t n = send(self->fd, self->out.data + self->out_sent, session_queued(self),
                         MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0) {
            session_breach(self, strerror(errno));
            return;
        }
        self->out_sent += (size_t)n;
    }
    if (self->is_closed)
        return;
    if (session_queued(self) == 0)
        self->out.size = self->out_sent = 0;
    watch_set(self->watch, WATCH_READ | (session_queued(self) ? WATCH_WRITE : 0));
}

/* --- Time ------------------------------------------------------------------------------------ */

static void handle_time(struct session *self)
{
    int64_t now_us = clock_now_us();
    if (self->paused_us)
        return;
    call_check_time(self, now_us);
    if (self->is_freed || self->is_closed)
        return;
    if (self->wants_session && self->hello_again_us <= now_us)
        begin_session(self);
    else if (!self->is_ready && self->hello_again_us <= now_us && session_queued(self) == 0)
        hello(self, AGENT_FRAME_MAX);
    else if (!self->is_ready && self->hello_again_us <= now_us)
        self->hello_again_us = now_us + HELLO_AGAIN_US; /* the last is not out yet */
}

/* One turn's work after callbacks and frames: ends, sends, arms. */
static void settle(struct session *self)
{
    handle_time(self);
    if (!self->is_freed && !self->is_closed)
        write_out(self);
    if (!self->is_freed && !self->is_closed)
        call_resume_all(self);
    if (!self->is_freed && !self->is_closed)
        arm_timer(self);
}

static void handle_defer(void *data)
{
    struct session *self = data;
    self->refs++;
    settle(self);
    unref(self);
}

/* --- In -------------------------------------------------------------------------------------- */

json_t *session_parse(struct session *self, const struct agent_frame *frame)
{
    json_t *object = NULL;
    if (json_parse_object((const char *)frame->payload, frame->length, &object, NULL) < 0)
        session_breach(self, "no JSON object where one belongs");
    return object;
}

static void handle_welcome(struct session *self, const struct agent_frame *frame)
{
    if (self->n_hellos == 0) {
        session_breach(self, "a second welcome");
        return;
    }
    self->n_hellos--;
    if (self->is_ready || self->wants_session)
        return;
    auto_json json_t *welcome = session_parse(self, frame);
    if (!welcome)
        return;
    self->is_ready = true;
    log_debug("ready");
    if (self->ops.on_ready)
        self->ops.on_ready(self->data, welcome);
}

/* The agent has been started. Before its WELCOME it may have missed our HELLO. */
static void handle_knock(struct session *self)
{
    self->n_knock_bytes += AGENT_OVERHEAD;
    if (self->is_ready)
        session_want(self);
    else
        self->hello_again_us = MIN(self->hello_again_us,
                                   MAX(self->hello_us + AGENT_KNOCK_US, clock_now_us()));
}

static void handle_frame(struct session *self, const struct agent_frame *frame)
{
    if (frame->type == AGENT_KNOCK)
        handle_knock(self);
    else if (frame->type == AGENT_WELCOME)
        handle_welcome(self, frame);
    else if (self->is_ready)
        call_handle_frame(self, frame);
    else
        session_breach(self, "a frame before the welcome");
}

static void handle_frames(struct session *self)
{
    struct agent_frame frame;
    while (!self->is_closed && !self->is_freed && agent_inbox_next(&self->inbox, &frame))
        handle_frame(self, &frame);
    uint64_t noise = self->inbox.n_skipped - self->noise_base + self->n_knock_bytes;
    if (!self->is_closed && !self->is_freed && noise > AGENT_NOISE_MAX)
        session_breach(self, "too much that means nothing");
}

void agent_feed(struct agent *agent, const void *data, size_t size)
{
    struct session *self = container_of(agent, struct session, agent);
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

static void read_some(struct session *self)
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
            session_breach(self, n < 0 ? strerror(errno) : "it is gone");
            return;
        }
        agent_inbox_added(&self->inbox, (size_t)n);
        handle_frames(self);
    }
}

static void handle_socket(void *data, int events)
{
    struct session *self = data;
    self->refs++;
    if (events & WATCH_READ)
        read_some(self);
    if (!self->is_freed && !self->is_closed)
        settle(self);
    unref(self);
}

/* --- The object ------------------------------------------------------------------------------ */

static struct session *of(const struct agent *agent)
{
    return container_of((struct agent *)(uintptr_t)agent, struct session, agent);
}

static struct agent *free_session(struct agent *agent)
{
    struct session *self = of(agent);
    if (self->is_freed)
        return NULL;
    self->is_freed = true;
    struct error err;
    error_set(&err, ERROR_CANCELLED, "the connection to the guest's agent was closed");
    self->refs++;
    call_end_all(self, &err);
    self->watch = watch_free(self->watch);
    timer_stop(self->timer);
    self->refs--; /* the one of this function; the creator's goes now */
    unref(self);
    return NULL;
}

static bool is_ready(const struct agent *agent)
{
    const struct session *self = of(agent);
    return self->is_ready && !self->wants_session;
}

static void restart(struct agent *agent)
{
    session_want(of(agent));
}

/* Everything that waits for the guest waits as much longer. */
static void set_paused(struct agent *agent, bool is_paused)
{
    struct session *self = of(agent);
    if (is_paused == (self->paused_us != 0))
        return;
    int64_t now_us = clock_now_us(), spent_us = now_us - self->paused_us;
    self->paused_us = is_paused ? now_us : 0;
    if (is_paused) {
        timer_stop(self->timer);
        return;
    }
    self->hello_again_us += spent_us;
    for (int i = 1; i <= AGENT_CHANNELS; i++)
        if (self->calls[i] && self->calls[i]->deadline_us)
            self->calls[i]->deadline_us += spent_us;
    defer_request(self->defer);
}

int agent_new(struct agent **ret, struct loop *loop, int fd, const struct agent_ops *ops,
              void *data, struct error *err)
{
    static const struct agent_backend backend = {
        .free = free_session, .is_ready = is_ready, .restart = restart, .set_paused = set_paused,
        .call_new = call_new, .call_write = call_write, .call_eof = call_eof,
        .call_control = call_control, .call_consumed = call_consumed, .call_close = call_close, .call_cancel = call_cancel,
    };
    struct session *self = calloc(1, sizeof *self);
    if (!self) {
        close(fd);
        return error_errno(err, ENOMEM, "connecting to the guest's agent");
    }
    self->agent.backend = &backend;
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
    *ret = &self->agent;
    return 0;
}

void agent_set_session(struct agent *agent, uint64_t session)
{
    of(agent)->inbox.session = session;
}
