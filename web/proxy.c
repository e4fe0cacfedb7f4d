/* One connection of a caller joined to one of a guest's port, both ways, until both are done.
 *
 *   connecting  the agent connects; nothing is read from the caller. Failure is answered as JSON.
 *   waiting     the request goes out; the guest's answer has not begun. Failure is answered, too.
 *   relaying    the answer's head is through; bytes pass as they are. Failure cuts the connection.
 *
 * A tunnel skips waiting: its 101 is ours. Bounds. To the guest: READ_BYTES that its agent did not
 * take, and then the caller is not read. From the guest: what the agent's credit allows
 * (AGENT_WINDOW), given back as the caller's socket takes the bytes. An answer's head has at most
 * HEAD_MAX bytes.
 *
 * Either direction may end first, and the other goes on. In HTTP the exchange is over when the
 * answer's body is whole, or when the guest has ended its side: it was told "Connection: close".
 * Then the caller's connection awaits the next request, if both bodies ended where they said. */
#include "web/proxy.h"

#include "base/clock.h"
#include "hypervisor/agent.h"
#include "web/body-end.h"
#include "web/proxy-head.h"
#include "web/request.h"
#include "web/server.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define READ_BYTES 65536
#define HEAD_MAX 32768
#define CONNECT_US ((int64_t)10 * 1000000)

struct proxy {
    struct list link; /* of web->proxies */
    struct web *web;
    struct conn *conn;
    struct request *request; /* until it is answered by the guest */
    struct agent *agent;     /* while connecting: for the second try. Not owned */
    struct agent_call *call; /* NULL: the guest's side has ended */
    struct proxy_way way;
    char owner[ID_MAX]; /* the key it counts for */
    struct timer *timer;

    struct buf up;     /* to the guest, not yet taken */
    struct buf answer; /* from the guest: a head that is not whole */
    struct buf down;   /* to the caller, not yet taken */
    size_t down_free;  /* bytes at its front that cost no credit */
    struct body_end up_end, down_end; /* HTTP: of the request's and the answer's body */
    bool is_connected, is_relaying, tried_six;
    bool caller_eof, told_eof, guest_eof;
    bool has_next;   /* the caller's next bytes are another request's */
    bool keeps_open; /* the caller's connection goes on afterwards */
    int64_t moved_us;
};

static void free_proxy(struct proxy *self)
{
    list_remove(&self->link);
    self->web->metrics.port_connections--;
    agent_call_cancel(self->call);
    timer_free(self->timer);
    buf_deinit(&self->up);
    buf_deinit(&self->answer);
    buf_deinit(&self->down);
    free(self);
}

/* Cuts the caller's connection. self is gone. */
static void cut(struct proxy *self)
{
    struct conn *conn = self->conn;
    free_proxy(self);
    conn_kill(conn);
}

/* All is through. self is gone. */
static void finish(struct proxy *self)
{
    struct conn *conn = self->conn;
    free_proxy(self);
    conn_end(conn);
}

/* The same, and the caller's next request is awaited. self is gone. */
static void finish_request(struct proxy *self)
{
    struct conn *conn = self->conn;
    free_proxy(self);
    conn_resume(conn);
}

/* Answers instead of the guest, if it is not too late. self is gone. */
static void fail(struct proxy *self, const struct error *err)
{
    struct request *request = self->request;
    if (!request) {
        cut(self);
        return;
    }
    self->conn->taker = NULL;
    free_proxy(self);
    request_answer_error(request, err);
}

static void watch_socket(struct proxy *self)
{
    bool wants_read = self->is_connected && self->call && !self->caller_eof && !self->has_next &&
                      self->up.size == 0;
    watch_set(self->conn->watch,
              (wants_read ? WATCH_READ : 0) | (self->down.size ? WATCH_WRITE : 0));
}

/* --- To the caller ---------------------------------------------------------------------------- */

/* The caller's socket took bytes off the front of down. */
static void sent(struct proxy *self, size_t n)
{
    size_t is_free = MIN(n, self->down_free);
    self->down_free -= is_free;
    self->moved_us = clock_now_us();
    self->web->metrics.sent_bytes += n;
    buf_consume(&self->down, n);
    if (self->call && n > is_free)
        agent_call_consumed(self->call, n - is_free);
}

static bool is_stream(const struct proxy *self)
{
    return self->way.to.mode == PORT_TUNNEL || (self->is_relaying && self->way.is_upgrade);
}

/* All of the guest's bytes are out. False: self is gone. */
static bool end_down(struct proxy *self)
{
    bool is_whole = body_end_is_reached(&self->down_end) && body_end_is_reached(&self->up_end);
    if (self->call && is_stream(self)) {
        shutdown(self->conn->fd, SHUT_WR);
        return true;
    }
    if (self->keeps_open && is_whole && self->up.size == 0 && !self->caller_eof)
        finish_request(self);
    else
        finish(self);
    return false;
}

/* Sends what is queued and ends what is over. False: self is gone. */
static bool flush(struct proxy *self)
{
    while (self->down.size > 0) {
        ssize_t n =
            send(self->conn->fd, self->down.data, self->down.size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno != EAGAIN && errno != EINTR) {
            cut(self);
            return false;
        }
        if (n < 0)
            break;
        sent(self, (size_t)n);
    }
    if (self->down.size == 0 && self->guest_eof && !end_down(self))
        return false;
    watch_socket(self);
    return true;
}

/* How many of these bytes are the body's; what a guest sends behind it does not pass. */
static size_t pass_down(struct proxy *self, const uint8_t *bytes, size_t size)
{
    ssize_t n = body_end_pass(&self->down_end, bytes, size);
    if (n < 0) {
        /* Its chunks are malformed: the caller may see for itself. */
        self->down_end.kind = HEAD_BODY_UNTIL_CLOSE;
        self->keeps_open = false;
        return size;
    }
    self->guest_eof |= body_end_is_reached(&self->down_end);
    return (size_t)n;
}

/* Bytes of the body. What the socket takes at once is not copied. */
static void relay_down(struct proxy *self, const uint8_t *bytes, size_t given)
{
    size_t size = pass_down(self, bytes, given);
    ssize_t n = self->down.size
                    ? 0
                    : send(self->conn->fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    size_t done = n > 0 ? (size_t)n : 0;
    self->moved_us = clock_now_us();
    self->web->metrics.sent_bytes += done;
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        cut(self);
        return;
    }
    if (done > 0)
        agent_call_consumed(self->call, done);
    if (done < size && buf_append(&self->down, bytes + done, size - done) < 0)
        cut(self);
    else if (self->guest_eof)
        flush(self);
    else
        watch_socket(self);
}

/* From here on bytes pass as they are; those in rest, which cost no credit any more, first. */
static void begin_relay(struct proxy *self, int status, const uint8_t *rest, size_t size)
{
    struct request *request = steal_ptr(&self->request);
    self->is_relaying = true;
    /* What the guest did not agree to switch to stays HTTP. */
    self->way.is_upgrade &= status == 101;
    self->has_next &= !self->way.is_upgrade;
    buf_append(&self->down, rest, pass_down(self, rest, size));
    self->down_free = self->down.size;
    request_hand_over(request, status);
}

/* --- From the guest --------------------------------------------------------------------------- */

static void fail_answer(struct proxy *self, const char *what)
{
    struct error err;
    error_set(&err, ERROR_BAD_ANSWER, "port %d of the guest: %s", self->way.to.port, what);
    fail(self, &err);
}

/* Decides by the last head how the body will end, and what becomes of the caller's connection. */
static void expect_body(struct proxy *self, const struct head *head)
{
    struct body_end *end = &self->down_end;
    if (head->status == 101 ||
        head_body(head, true, self->request->is_head, &end->kind, &end->left) < 0)
        end->kind = HEAD_BODY_UNTIL_CLOSE;
    self->keeps_open = self->way.keeps_open && end->kind != HEAD_BODY_UNTIL_CLOSE &&
                       self->up_end.kind != HEAD_BODY_UNTIL_CLOSE;
}

/* Takes heads off the answer: interim ones pass, the last begins the relay. */
static void take_heads(struct proxy *self)
{
    static struct head head; /* of the loop thread */
    size_t at = 0;
    int r = 0;
    while (!self->is_relaying) {
        const char *text = (const char *)self->answer.data + at;
        r = head_parse_answer(&head, text, self->answer.size - at);
        if (r != 0 || (head.status == 101 && !self->way.is_upgrade))
            break;
        at += head.size;
        bool is_last = head.status >= 200 || head.status == 101;
        if (is_last)
            expect_body(self, &head);
        proxy_write_answer(&head, &self->way, self->keeps_open, &self->down);
        if (is_last)
            begin_relay(self, head.status, self->answer.data + at, self->answer.size - at);
    }
    if (!self->is_relaying && r != HEAD_MORE) {
        fail_answer(self, "its answer is not HTTP/1");
        return;
    }
    if (self->is_relaying)
        buf_deinit(&self->answer);
    else
        buf_consume(&self->answer, at);
    self->down_free = self->down.size;
    flush(self);
}

static void on_data(void *data, enum agent_stream stream maybe_unused, const uint8_t *bytes,
                    size_t size)
{
    struct proxy *self = data;
    if (self->is_relaying && self->guest_eof)
        return;
    if (self->is_relaying) {
        relay_down(self, bytes, size);
        return;
    }
    agent_call_consumed(self->call, size);
    if (buf_append(&self->answer, bytes, size) < 0)
        fail_answer(self, "the head of its answer is too large");
    else
        take_heads(self);
}

static void on_eof(void *data, enum agent_stream stream maybe_unused)
{
    struct proxy *self = data;
    self->guest_eof = true;
    if (!self->is_relaying)
        fail_answer(self, "it ended the connection without an answer");
    else
        flush(self);
}

/* --- To the guest ----------------------------------------------------------------------------- */

static void pump_up(struct proxy *self)
{
    if (!self->call)
        return;
    if (self->up.size > 0)
        buf_consume(&self->up, agent_call_write(self->call, self->up.data, self->up.size));
    if (self->caller_eof && self->up.size == 0 && !self->told_eof) {
        agent_call_eof(self->call);
        self->told_eof = true;
    }
}

/* How much of what the caller sends belongs to this request; 0: what comes is another. */
static size_t readable(const struct proxy *self)
{
    if (is_stream(self) || self->up_end.kind == HEAD_BODY_UNTIL_CLOSE)
        return READ_BYTES;
    return self->up_end.kind == HEAD_BODY_LENGTH ? MIN((size_t)READ_BYTES, self->up_end.left) : 0;
}

static void read_caller(struct proxy *self)
{
    static uint8_t bytes[READ_BYTES]; /* of the loop thread */
    size_t size = readable(self);
    ssize_t n = recv(self->conn->fd, bytes, size ? size : 1, MSG_DONTWAIT | (size ? 0 : MSG_PEEK));
    if (n > 0 && size == 0) {
        self->has_next = true;
        watch_socket(self);
        return;
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n < 0) {
        cut(self);
        return;
    }
    self->moved_us = clock_now_us();
    self->web->metrics.received_bytes += (uint64_t)n;
    self->caller_eof = n == 0;
    if (!is_stream(self))
        body_end_pass(&self->up_end, bytes, (size_t)n);
    size_t done = n > 0 ? agent_call_write(self->call, bytes, (size_t)n) : 0;
    buf_append(&self->up, bytes + done, (size_t)n - done);
    if (self->up.failed) {
        cut(self);
        return;
    }
    pump_up(self);
    flush(self);
}

static void on_writable(void *data)
{
    struct proxy *self = data;
    pump_up(self);
    watch_socket(self);
}

static void on_socket(void *data, int events)
{
    struct proxy *self = data;
    if (events & WATCH_WRITE && !flush(self))
        return;
    if (events & WATCH_READ && self->call && !self->caller_eof && self->up.size == 0)
        read_caller(self);
}

/* --- Connecting ------------------------------------------------------------------------------- */

static void on_event(void *data, const json_t *event)
{
    struct proxy *self = data;
    if (self->is_connected || !json_get_bool(event, "connected", false))
        return;
    self->is_connected = true;
    if (self->way.to.mode == PORT_TUNNEL) {
        buf_puts(&self->down, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
                              "Upgrade: deskfarm-tcp\r\n\r\n");
        begin_relay(self, 101, NULL, 0);
    }
    pump_up(self);
    flush(self);
}

static int connect_guest(struct proxy *self, const char *host);

static void on_end(void *data, const json_t *result maybe_unused, const struct error *err)
{
    struct proxy *self = data;
    self->call = NULL;
    self->guest_eof = true;
    struct error told = err ? *err : (struct error){ 0 };
    bool is_refused = err && !self->is_connected && err->code == ERROR_NOT_READY;
    if (is_refused && !self->tried_six) {
        self->tried_six = true;
        self->guest_eof = false;
        if (connect_guest(self, "::1") == 0)
            return;
    }
    if (is_refused)
        error_set(&told, ERROR_PORT_CLOSED, "nothing listens on port %d of the guest",
                  self->way.to.port);
    if (!self->is_relaying && told.is_set)
        fail(self, &told);
    else if (!self->is_relaying)
        fail_answer(self, "it ended the connection without an answer");
    else if (err && !body_end_is_reached(&self->down_end))
        cut(self);
    else
        flush(self);
}

static int connect_guest(struct proxy *self, const char *host)
{
    static const struct agent_call_ops ops = { .on_event = on_event, .on_data = on_data,
                                               .on_eof = on_eof, .on_writable = on_writable,
                                               .on_end = on_end };
    json_t *request = json_pack("{s:s,s:i,s:s,s:I}", "op", "tcp", "port", self->way.to.port, "host",
                                host, "timeout_us", (json_int_t)CONNECT_US);
    self->call = agent_call_new(self->agent, request, &ops, self, 0);
    return self->call ? 0 : -ENOMEM;
}

/* --- The object ------------------------------------------------------------------------------- */

static void on_gone(void *data)
{
    free_proxy(data);
}

static void handle_time(void *data)
{
    struct proxy *self = data;
    if (!(self->is_relaying && is_stream(self)) &&
        clock_now_us() - self->moved_us > (int64_t)PROXY_IDLE_S * 1000000) {
        struct error err;
        error_set(&err, ERROR_TIMEOUT, "port %d of the guest did not answer within %d s",
                  self->way.to.port, PROXY_IDLE_S);
        fail(self, &err);
        return;
    }
    timer_start(self->timer, (int64_t)PROXY_IDLE_S * 100000);
}

void proxy_start(struct request *request, const struct proxy_way *way, struct agent *agent,
                 const struct buf *text)
{
    static const struct conn_taker taker = { on_socket, on_gone };
    struct error err = { 0 };
    struct web *web = request->web;
    struct proxy *self = calloc(1, sizeof *self);
    if (self) {
        *self = (struct proxy){ .web = web, .conn = request->conn, .request = request,
                                .agent = agent, .way = *way, .moved_us = clock_now_us() };
        /* Where a request's chunks end is not looked for: its connection does not go on. */
        self->up_end = (struct body_end){ .left = way->length,
                                          .kind = way->body == HEAD_BODY_CHUNKED
                                                      ? HEAD_BODY_UNTIL_CLOSE
                                                      : way->body };
        self->down_end.kind = HEAD_BODY_UNTIL_CLOSE;
        self->answer.limit = HEAD_MAX + AGENT_FRAME_MAX;
        self->timer = timer_new(web->loop, handle_time, self);
        memcpy(self->owner, request->who.key_id, sizeof self->owner);
        list_append(&web->proxies, &self->link);
        web->metrics.port_connections++;
        web->metrics.port_connections_total++;
        buf_append(&self->up, text->data, text->size);
    }
    if (!self || !self->timer || self->up.failed || connect_guest(self, "127.0.0.1") < 0) {
        error_set(&err, ERROR_QUOTA, "too many connections into this guest");
        if (self)
            free_proxy(self);
        request_answer_error(request, &err);
        return;
    }
    conn_take(request->conn, &taker, self);
    watch_set(request->conn->watch, 0);
    timer_start(self->timer, (int64_t)PROXY_IDLE_S * 100000);
}

int proxy_count(const struct web *web, const char *sandbox, const char *owner)
{
    int n = 0;
    const struct proxy *proxy;
    list_for_each (proxy, &web->proxies, link)
        n += (!sandbox || strcmp(proxy->way.to.id, sandbox) == 0) &&
             (!owner || strcmp(proxy->owner, owner) == 0);
    return n;
}
