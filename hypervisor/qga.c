/* A connection to the QEMU guest agent: one command at a time, a line of JSON each way.
 *
 * The agent knows no ids, so an answer belongs to the command that is out, and commands wait in
 * line. Synchronisation: a byte 0xff makes the guest drop what it had of a line; it answers
 * guest-sync-delimited with 0xff and the number that we drew, and what came before belongs to
 * somebody else's time. That is done at the start, repeated until an agent answers (the guest may
 * boot), and done again when a command is not answered within QGA_ANSWER_US: then the calls end.
 *
 * Bounds: a line of QGA_LINE_MAX; of longer ones nothing is kept and the command fails (too_large),
 * and after QGA_SKIP_MAX bytes the connection is closed. AGENT_NOISE_MAX bytes that answer nothing; AGENT_QUEUE_MAX out, beyond one command.
 * Parsing the longest line takes a few milliseconds of the loop. */
#define LOG_MODULE "qga"
#include "hypervisor/qga.h"

#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "hypervisor/windows.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define DELIMITER 0xff
#define SYNC_AGAIN_US 1000000
#define SYNC_AGAIN_MAX_US 8000000
#define TURN_READS 16
#define READ_BYTES 65536

struct command {
    struct list link;
    json_t *request;
    struct qga_call *call; /* NULL: nobody waits */
    qga_done_fn done;
    void (*own_done)(struct qga *self, const json_t *ret); /* one of our own; NULL when it failed */
};

static struct qga *of(const struct agent *agent)
{
    return container_of((struct agent *)(uintptr_t)agent, struct qga, agent);
}

static void command_free(struct command *command)
{
    list_remove(&command->link);
    json_decref(command->request);
    free(command);
}

static void unref(struct qga *self)
{
    if (--self->refs > 0)
        return;
    watch_free(self->watch);
    timer_free(self->timer);
    defer_free(self->defer);
    util_close_ptr(&self->fd);
    buf_deinit(&self->in);
    buf_deinit(&self->out);
    json_decref(self->info);
    json_decref(self->os);
    free(self);
}

/* --- Out ------------------------------------------------------------------------------------- */

static size_t queued(const struct qga *self)
{
    return self->out.size - self->out_sent;
}

static void send_line(struct qga *self, const json_t *request)
{
    if (self->out_sent == self->out.size)
        self->out.size = self->out_sent = 0;
    if (json_write(request, &self->out) == 0)
        buf_append(&self->out, "\n", 1);
    defer_request(self->defer);
}

/* A frozen guest agent refuses all but these, so the others wait until it is thawed. */
static void put_freezing_first(struct qga *self)
{
    struct command *command;
    list_for_each(command, &self->commands, link) {
        if (strncmp(json_get_string(command->request, "execute", ""), "guest-fsfreeze-", 15) != 0)
            continue;
        list_remove(&command->link);
        list_append(self->commands.next, &command->link); /* in front of the first */
        return;
    }
}

static bool may_ask(const struct qga *self)
{
    const struct command *first = list_empty(&self->commands) ? NULL
                                                              : list_first(&self->commands, struct command, link);
    return first && (!self->is_frozen ||
                     strncmp(json_get_string(first->request, "execute", ""), "guest-fsfreeze-", 15) == 0);
}

/* Sends the first in line, if none is on its way. */
static void ask(struct qga *self)
{
    if (!self->is_synced || self->is_asked)
        return;
    if (self->is_frozen)
        put_freezing_first(self);
    if (!may_ask(self))
        return;
    struct command *command = list_first(&self->commands, struct command, link);
    self->is_asked = true;
    self->answer_us = clock_now_us() + QGA_ANSWER_US;
    send_line(self, command->request);
}

static int add_command(struct qga *self, const char *name, json_t *args, struct command **ret)
{
    struct command *command = calloc(1, sizeof *command);
    json_t *request = json_pack("{s:s}", "execute", name);
    if (args && request)
        json_object_set_new(request, "arguments", args);
    else
        json_decref(args);
    if (!command || !request || self->is_closed) {
        json_decref(request);
        free(command);
        return -ENOMEM;
    }
    command->request = request;
    list_append(&self->commands, &command->link);
    defer_request(self->defer);
    *ret = command;
    return 0;
}

int qga_command(struct qga *self, const char *name, json_t *args, struct qga_call *call,
                qga_done_fn done)
{
    struct command *command;
    int r = add_command(self, name, args, &command);
    if (r == 0) {
        command->call = call;
        command->done = done;
    }
    return r;
}

int qga_own_command(struct qga *self, const char *name, void (*done)(struct qga *self, const json_t *ret))
{
    struct command *command;
    int r = add_command(self, name, NULL, &command);
    if (r == 0)
        command->own_done = done;
    return r;
}

static void handle_thawed(struct qga *self, const json_t *ret)
{
    self->is_frozen = false;
    if (!ret) /* what it is now is seen at the beginning of a session */
        self->wants_session = true;
}

void qga_thaw(struct qga *self)
{
    self->is_frozen = true;
    if (qga_own_command(self, "guest-fsfreeze-thaw", handle_thawed) < 0)
        self->is_frozen = false;
}

void qga_drop_commands(struct qga *self, const struct qga_call *call)
{
    struct command *command, *next;
    list_for_each_safe(command, next, &self->commands, link) {
        if (command->call != call)
            continue;
        command->call = NULL;
        command->done = NULL;
        /* One that is on its way will be answered. */
        if (!self->is_asked || command->link.prev != &self->commands)
            command_free(command);
    }
}

bool qga_has_command(const struct qga *self, const char *name)
{
    return json_is_true(json_object_get(self->info, name));
}

/* --- Sessions -------------------------------------------------------------------------------- */

static void close_connection(struct qga *self, const struct error *why)
{
    if (self->is_closed)
        return;
    self->is_closed = true;
    self->is_ready = self->is_synced = self->is_asked = false;
    self->watch = watch_free(self->watch);
    timer_stop(self->timer);
    util_close_ptr(&self->fd);
    self->fd = -1;
    buf_deinit(&self->out);
    self->out_sent = 0;
    struct error gone;
    error_set(&gone, ERROR_GUEST_GONE, "the connection to the guest's agent ended");
    qga_call_end_all(self, &gone);
    if (!self->is_freed && self->ops.on_closed)
        self->ops.on_closed(self->data, why);
}

void qga_breach(struct qga *self, const char *what)
{
    struct error err;
    error_set(&err, ERROR_GUEST_FAILED, "the QEMU guest agent: %s", what);
    close_connection(self, &err);
}

static void send_sync(struct qga *self)
{
    uint8_t delimiter = DELIMITER;
    uint32_t id;
    id_random(&id, sizeof id);
    self->sync_id = id >> 1; /* positive, and exact in every parser */
    auto_json json_t *request = json_pack("{s:s, s:{s:I}}", "execute", "guest-sync-delimited",
                                          "arguments", "id", (json_int_t)self->sync_id);
    buf_append(&self->out, &delimiter, 1);
    send_line(self, request);
    self->sync_us = clock_now_us() + self->sync_wait_us;
    self->sync_wait_us = MIN(self->sync_wait_us * 2, (int64_t)SYNC_AGAIN_MAX_US);
}

static void begin_session(struct qga *self)
{
    bool was_ready = self->is_ready;
    self->is_ready = self->is_synced = self->is_asked = false;
    self->is_skipping = self->wants_session = self->is_frozen = self->was_thawed = false;
    self->in.size = self->in_seen = self->n_noise = self->n_skipped = 0;
    self->out.size = self->out_sent = 0;
    self->sync_wait_us = SYNC_AGAIN_US;
    struct error gone;
    error_set(&gone, ERROR_GUEST_GONE, "the QEMU guest agent is being spoken to anew");
    self->refs++;
    qga_call_end_all(self, &gone);
    while (!list_empty(&self->commands))
        command_free(list_first(&self->commands, struct command, link));
    if (!self->is_freed && !self->is_closed) {
        send_sync(self);
        if (was_ready && self->ops.on_lost)
            self->ops.on_lost(self->data);
    }
    unref(self);
}

static void handle_synced(struct qga *self)
{
    self->is_synced = true;
    self->n_noise = 0;
    qga_hello(self);
}

/* --- In -------------------------------------------------------------------------------------- */

enum error_code qga_text_code(const char *text)
{
    static const struct {
        const char *text;
        enum error_code code;
    } table[] = {
        { "No such file", ERROR_NOT_FOUND }, { "ermission denied", ERROR_FORBIDDEN },
        { "No space left", ERROR_DISK_FULL }, { "Is a directory", ERROR_BAD_VALUE },
        { "cannot overwrite directory", ERROR_BAD_VALUE }, { "Not a directory", ERROR_NOT_FOUND },
        { "Read-only file system", ERROR_FORBIDDEN },
        { "File exists", ERROR_CONFLICT }, { "Directory not empty", ERROR_CONFLICT },
        { "has not been found", ERROR_GUEST_GONE }, /* a handle: the agent was started again */
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (strstr(text, table[i].text))
            return table[i].code;
    return windows_message_code(text);
}

static enum error_code code_of(const json_t *error)
{
    if (strcmp(json_get_string(error, "class", ""), "CommandNotFound") == 0)
        return ERROR_UNSUPPORTED;
    return qga_text_code(json_get_string(error, "desc", ""));
}

/* Tells who waits for the command that is out, and sends the next. */
static void answer(struct qga *self, const json_t *ret, const struct error *err)
{
    struct command *command = list_first(&self->commands, struct command, link);
    struct qga_call *call = command->call;
    qga_done_fn done = command->done;
    void (*own_done)(struct qga *self, const json_t *ret) = command->own_done;
    self->is_asked = false;
    command_free(command);
    if (done)
        done(call, ret, err);
    else if (own_done)
        own_done(self, ret);
}

static void handle_answer(struct qga *self, const json_t *object)
{
    const json_t *error = json_object_get(object, "error"), *ret = json_object_get(object, "return");
    struct command *command = list_first(&self->commands, struct command, link);
    const char *name = json_get_string(command->request, "execute", "");
    struct error err;
    if (ret && !error) {
        answer(self, ret, NULL);
        return;
    }
    agent_guest_error(&err, name, code_of(error),
                      json_get_string(error, "desc", "neither a result nor an error"));
    answer(self, NULL, &err);
}

static void handle_too_long(struct qga *self)
{
    struct error err;
    self->is_skipping = false;
    self->n_skipped = 0;
    if (!self->is_asked)
        return;
    error_set(&err, ERROR_TOO_LARGE, "the QEMU guest agent's answer has more than %d bytes",
              QGA_LINE_MAX);
    answer(self, NULL, &err);
}

static void handle_line(struct qga *self, const char *text, size_t size)
{
    auto_json json_t *object = NULL;
    const char *start = memrchr(text, DELIMITER, size);
    if (start) {
        size -= (size_t)(start + 1 - text);
        text = start + 1;
    }
    bool is_good = json_parse_object(text, size, &object, NULL) == 0;
    if (!self->is_synced && start && is_good &&
        json_get_int(object, "return", -1) == self->sync_id)
        handle_synced(self);
    else if (self->is_synced && self->is_asked && is_good)
        handle_answer(self, object);
    else
        self->n_noise += size + 1;
}

/* Takes lines out of the input. */
static void handle_input(struct qga *self)
{
    size_t used = 0;
    const uint8_t *end;
    if (self->in.size == 0)
        return;
    while (!self->is_closed && !self->is_freed &&
           (end = memchr(self->in.data + used + self->in_seen, '\n',
                         self->in.size - used - self->in_seen))) {
        size_t size = (size_t)(end - self->in.data) - used;
        self->in_seen = 0;
        if (self->is_skipping)
            handle_too_long(self);
        else
            handle_line(self, (const char *)self->in.data + used, size);
        used += size + 1;
    }
    if (self->is_closed || self->is_freed)
        return;
    buf_consume(&self->in, MIN(used, self->in.size));
    self->in_seen = self->in.size;
    if (self->in.size >= QGA_LINE_MAX || (self->is_skipping && self->in.size > 0)) {
        *(self->is_asked ? &self->n_skipped : &self->n_noise) += self->in.size;
        self->is_skipping = true;
        self->in.size = self->in_seen = 0;
    }
    if (self->n_noise > AGENT_NOISE_MAX || self->n_skipped > QGA_SKIP_MAX)
        qga_breach(self, "too much that means nothing");
}

void qga_feed(struct agent *agent, const void *data, size_t size)
{
    struct qga *self = of(agent);
    self->refs++;
    for (size_t at = 0; at < size && !self->is_closed && !self->is_freed; at += READ_BYTES) {
        buf_append(&self->in, (const uint8_t *)data + at, MIN(size - at, (size_t)READ_BYTES));
        handle_input(self);
    }
    unref(self);
}

void qga_set_sync(struct agent *agent, int64_t id)
{
    of(agent)->sync_id = id;
}

static void read_some(struct qga *self)
{
    for (int i = 0; i < TURN_READS && !self->is_closed && !self->is_freed; i++) {
        void *at = buf_reserve(&self->in, READ_BYTES);
        ssize_t n = at ? recv(self->fd, at, READ_BYTES, MSG_DONTWAIT) : -1;
        if (n < 0 && at && errno == EINTR)
            continue;
        if (n < 0 && at && errno == EAGAIN)
            return;
        if (n <= 0) {
            qga_breach(self, !at ? "memory is short" : n < 0 ? strerror(errno) : "it is gone");
            return;
        }
        self->in.size += (size_t)n;
        handle_input(self);
    }
}

static void write_out(struct qga *self)
{
    while (queued(self) > 0) {
        ssize_t n = send(self->fd, self->out.data + self->out_sent, queued(self),
                         MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0) {
            qga_breach(self, strerror(errno));
            return;
        }
        self->out_sent += (size_t)n;
    }
    watch_set(self->watch, WATCH_READ | (queued(self) ? WATCH_WRITE : 0));
}

/* --- Turns ----------------------------------------------------------------------------------- */

static void check_time(struct qga *self)
{
    int64_t now_us = clock_now_us();
    if (self->paused_us)
        return;
    if (self->is_closed)
        qga_call_check_time(self, now_us); /* new ones end with its failure */
    else if (self->wants_session || (self->is_asked && now_us >= self->answer_us))
        begin_session(self);
    else if (!self->is_synced && now_us >= self->sync_us && queued(self) == 0)
        send_sync(self);
    if (!self->is_freed && !self->is_closed)
        qga_call_check_time(self, now_us);
}

static void arm_timer(struct qga *self)
{
    int64_t first = qga_call_next_us(self);
    int64_t own = self->is_asked ? self->answer_us : !self->is_synced ? self->sync_us : 0;
    if (own && (!first || own < first))
        first = own;
    if (first && !self->paused_us)
        timer_start(self->timer, MAX(first - clock_now_us(), (int64_t)0));
    else
        timer_stop(self->timer);
}

static void take_turn(struct qga *self)
{
    if (!self->is_freed)
        check_time(self);
    if (!self->is_freed && !self->is_closed)
        ask(self);
    if (!self->is_freed && !self->is_closed)
        write_out(self);
    if (!self->is_freed && !self->is_closed)
        arm_timer(self);
}

static void handle_turn(void *data)
{
    struct qga *self = data;
    self->refs++;
    if (!self->is_freed && !self->is_closed)
        read_some(self); /* after a stall of ours: what has arrived is not late */
    take_turn(self);
    unref(self);
}

static void handle_socket(void *data, int events)
{
    struct qga *self = data;
    self->refs++;
    if (events & WATCH_READ)
        read_some(self);
    take_turn(self);
    unref(self);
}

/* --- The object ------------------------------------------------------------------------------ */

static struct agent *free_qga(struct agent *agent)
{
    struct qga *self = of(agent);
    if (self->is_freed)
        return NULL;
    self->is_freed = true;
    struct error err;
    error_set(&err, ERROR_CANCELLED, "the connection to the guest's agent was closed");
    self->refs++;
    qga_call_end_all(self, &err);
    while (!list_empty(&self->commands))
        command_free(list_first(&self->commands, struct command, link));
    self->watch = watch_free(self->watch);
    timer_stop(self->timer);
    self->refs--; /* the one of this function; the creator's goes now */
    unref(self);
    return NULL;
}

static bool is_ready(const struct agent *agent)
{
    return of(agent)->is_ready;
}

static bool is_windows(const struct agent *agent)
{
    return of(agent)->is_ready && of(agent)->is_windows;
}

static void restart(struct agent *agent)
{
    struct qga *self = of(agent);
    if (self->is_closed)
        return;
    self->wants_session = true;
    defer_request(self->defer);
}

static void set_paused(struct agent *agent, bool is_paused)
{
    struct qga *self = of(agent);
    if (is_paused == (self->paused_us != 0))
        return;
    int64_t now_us = clock_now_us();
    if (!is_paused) {
        self->answer_us += now_us - self->paused_us;
        self->sync_us += now_us - self->paused_us;
        qga_call_shift(self, now_us - self->paused_us);
    }
    self->paused_us = is_paused ? now_us : 0;
    defer_request(self->defer);
}

int agent_new_qga(struct agent **ret, struct loop *loop, int fd, const struct agent_ops *ops,
                  void *data, struct error *err)
{
    static const struct agent_backend backend = {
        .takes_whole_input = true, .free = free_qga, .is_ready = is_ready, .is_windows = is_windows, .restart = restart, .set_paused = set_paused,
        .call_new = qga_call_new, .call_write = qga_call_write, .call_eof = qga_call_eof,
        .call_control = qga_call_control, .call_consumed = qga_call_consumed,
        .call_cancel = qga_call_cancel,
    };
    struct qga *self = calloc(1, sizeof *self);
    if (!self) {
        close(fd);
        return error_errno(err, ENOMEM, "connecting to the QEMU guest agent");
    }
    self->agent.backend = &backend;
    self->loop = loop;
    self->fd = fd;
    self->refs = 1;
    self->data = data;
    if (ops)
        self->ops = *ops;
    self->in.limit = QGA_LINE_MAX + 2 * READ_BYTES;
    list_init(&self->calls);
    list_init(&self->commands);
    self->watch = watch_new(loop, fd, handle_socket, self);
    self->timer = timer_new(loop, handle_turn, self);
    self->defer = defer_new(loop, handle_turn, self);
    if (!self->watch || !self->timer || !self->defer) {
        unref(self);
        return error_errno(err, ENOMEM, "connecting to the QEMU guest agent");
    }
    watch_set(self->watch, WATCH_READ);
    begin_session(self);
    *ret = &self->agent;
    return 0;
}
