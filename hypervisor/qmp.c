/* A QMP peer sends one JSON object per line: first {"QMP": …}, then {"return"|"error", "id"} for
 * each of our commands, and {"event"} at any time. Ids here are numbers that grow; an answer with
 * an id that we do not know (its command timed out) is dropped.
 *
 * Out: a list of messages, each with at most one descriptor, which must travel with the first byte
 * of its message. In: one buffer that is never longer than a line may be.
 *
 * Callbacks may free the object. Every place that runs one holds a reference and looks at is_freed
 * afterwards. A failure found inside qmp_execute is answered in the next turn of the loop.
 *
 * Cost: an answer is found by walking the pending list from its oldest entry, which QEMU answers
 * first: O(1) in practice, at most QMP_COMMANDS_MAX. */
#define LOG_MODULE "qmp"
#include "hypervisor/qmp.h"

#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define READ_SIZE 65536
#define TURN_READS 16 /* then the loop goes round */
#define FDS_IN_MAX 8  /* QEMU never sends any; what comes is closed */

struct command {
    struct list link;
    int64_t id;
    int64_t deadline_us, timeout_us; /* the deadline is set when the command may go out */
    char name[48];
    bool is_internal; /* qmp_capabilities: goes out before the others */
    struct error err; /* set: fails in the next turn */
    qmp_done_fn done;
    void *data;
};

struct message {
    struct list link;
    struct buf text;
    size_t sent;
    int fd;
};

struct qmp {
    int fd;
    struct watch *watch;
    struct timer *timer;
    struct defer *defer;
    struct qmp_ops ops;
    void *data;
    int64_t last_id;
    struct list commands; /* unanswered, oldest first */
    struct list out;      /* messages; they wait for is_ready, except for the first */
    struct buf in;
    size_t n_commands, n_queued_bytes;
    bool has_greeting, is_ready, is_closed, is_freed;
    int refs;
};

static struct message *message_free(struct message *message)
{
    if (message) {
        list_remove(&message->link);
        util_close_ptr(&message->fd);
        buf_deinit(&message->text);
        free(message);
    }
    return NULL;
}

static void unref(struct qmp *self)
{
    if (--self->refs > 0)
        return;
    watch_free(self->watch);
    timer_free(self->timer);
    defer_free(self->defer);
    while (!list_empty(&self->out))
        message_free(list_first(&self->out, struct message, link));
    util_close_ptr(&self->fd);
    buf_deinit(&self->in);
    free(self);
}

static void answer(struct qmp *self, struct command *command, json_t *result,
                   const struct error *err)
{
    list_remove(&command->link);
    self->n_commands--;
    if (command->done)
        command->done(command->data, result, err);
    free(command);
}

static void answer_all(struct qmp *self, const struct error *err)
{
    /* A callback may give new commands; those are not of this round. */
    struct list round = LIST_INIT(round);
    while (!list_empty(&self->commands)) {
        struct list *first = self->commands.next;
        list_remove(first);
        list_append(&round, first);
    }
    while (!list_empty(&round)) {
        struct command *command = list_first(&round, struct command, link);
        struct error one = command->err.is_set ? command->err : *err;
        answer(self, command, NULL, &one);
    }
}

/* Ends the connection. The caller holds a reference. */
static void close_connection(struct qmp *self, const struct error *why)
{
    if (self->is_closed)
        return;
    self->is_closed = true;
    self->is_ready = false;
    self->watch = watch_free(self->watch);
    timer_stop(self->timer);
    while (!list_empty(&self->out))
        message_free(list_first(&self->out, struct message, link));
    util_close_ptr(&self->fd);
    self->fd = -1;
    struct error gone;
    error_set(&gone, ERROR_GUEST_GONE, "the connection to QEMU ended");
    answer_all(self, &gone);
    if (!self->is_freed && self->ops.on_closed)
        self->ops.on_closed(self->data, why);
}

static void breach(struct qmp *self, const char *what)
{
    struct error err;
    error_set(&err, ERROR_GUEST_FAILED, "QMP: %s", what);
    close_connection(self, &err);
}

static void arm_timer(struct qmp *self)
{
    struct command *command;
    int64_t first = INT64_MAX;
    list_for_each(command, &self->commands, link)
        if (command->deadline_us)
            first = MIN(first, command->deadline_us);
    if (first == INT64_MAX)
        timer_stop(self->timer);
    else
        timer_start(self->timer, first - clock_now_us());
}

/* The next command whose time is over, or that failed when it was given. */
static struct command *find_failed(struct qmp *self, int64_t now_us)
{
    struct command *command;
    list_for_each(command, &self->commands, link) {
        if (command->err.is_set)
            return command;
        if (command->deadline_us && command->deadline_us <= now_us) {
            error_set(&command->err, ERROR_TIMEOUT, "QMP %s: no answer within %lld ms",
                      command->name, (long long)(command->timeout_us / 1000));
            return command;
        }
    }
    return NULL;
}

static void handle_timer(void *data)
{
    struct qmp *self = data;
    struct command *command;
    int64_t now_us = clock_now_us();
    self->refs++;
    while (!self->is_freed && (command = find_failed(self, now_us))) {
        struct error err = command->err;
        answer(self, command, NULL, &err);
    }
    if (!self->is_freed && !self->is_closed)
        arm_timer(self);
    unref(self);
}

/* --- Out ------------------------------------------------------------------------------------- */

static ssize_t send_some(int sock, const struct message *message)
{
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(int))];
    } control = { 0 };
    struct iovec iov = { message->text.data + message->sent, message->text.size - message->sent };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
    if (message->fd >= 0) {
        msg.msg_control = control.space;
        msg.msg_controllen = sizeof control.space;
        struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(sizeof message->fd);
        memcpy(CMSG_DATA(cmsg), &message->fd, sizeof message->fd);
    }
    ssize_t n;
    do
        n = sendmsg(sock, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

static void write_out(struct qmp *self)
{
    bool wants_write = false;
    while (!list_empty(&self->out)) {
        struct message *message = list_first(&self->out, struct message, link);
        ssize_t n = send_some(self->fd, message);
        if (n == -EAGAIN) {
            wants_write = true;
            break;
        }
        if (n < 0) {
            breach(self, strerror((int)-n));
            return;
        }
        util_close_ptr(&message->fd);
        message->fd = -1;
        message->sent += (size_t)n;
        self->n_queued_bytes -= (size_t)n;
        if (message->sent == message->text.size)
            message_free(message);
    }
    watch_set(self->watch, WATCH_READ | (wants_write ? WATCH_WRITE : 0));
}

static int write_command(const struct command *command, json_t *args, struct buf *text)
{
    auto_json json_t *object = json_pack("{s:s, s:I}", "execute", command->name, "id",
                                         (json_int_t)command->id);
    if (!object || (args && json_object_set(object, "arguments", args) < 0))
        return -ENOMEM;
    int r = json_write(object, text);
    return r < 0 ? r : buf_append(text, "\n", 1);
}

/* Puts the command's text on the queue. */
static int enqueue(struct qmp *self, struct command *command, json_t *args, int *fd)
{
    if (self->is_closed)
        return error_set(&command->err, ERROR_GUEST_GONE, "the connection to QEMU ended");
    if (self->n_commands >= QMP_COMMANDS_MAX)
        return error_set(&command->err, ERROR_BUSY, "QMP: %d commands are not answered yet",
                         QMP_COMMANDS_MAX);
    struct message *message = calloc(1, sizeof *message);
    if (!message)
        return error_errno(&command->err, ENOMEM, "QMP %s", command->name);
    message->fd = -1;
    message->text.limit = QMP_QUEUE_MAX;
    list_init(&message->link);
    int r = write_command(command, args, &message->text);
    if (r < 0 || self->n_queued_bytes + message->text.size > QMP_QUEUE_MAX) {
        message_free(message);
        return error_set(&command->err, ERROR_BUSY, "QMP %s: too much is waiting to be sent",
                         command->name);
    }
    message->fd = steal_fd(fd);
    self->n_queued_bytes += message->text.size;
    list_append(command->is_internal ? self->out.next : &self->out, &message->link);
    return 0;
}

static void execute(struct qmp *self, const char *name, json_t *args, int fd, int64_t timeout_us,
                    bool is_internal, qmp_done_fn done, void *data)
{
    auto_json json_t *owned_args = args;
    auto_fd int owned_fd = fd;
    struct command *command = self->is_freed ? NULL : calloc(1, sizeof *command);
    if (!command) {
        /* The cases that answer inside the call: qmp_free is under way, or there is no memory to
         * remember it. */
        struct error err;
        error_set(&err, ERROR_CANCELLED, "QMP %s: the sandbox is being closed", name);
        if (done)
            done(data, NULL, &err);
        return;
    }
    command->id = ++self->last_id;
    command->is_internal = is_internal;
    command->timeout_us = timeout_us;
    command->done = done;
    command->data = data;
    strncpy(command->name, name, sizeof command->name - 1);
    bool may_go = self->is_ready || is_internal;
    if (enqueue(self, command, owned_args, &owned_fd) == 0 && may_go)
        command->deadline_us = clock_now_us() + timeout_us;
    list_append(&self->commands, &command->link);
    self->n_commands++;
    defer_request(self->defer);
}

/* Sends and answers what qmp_execute left for later. */
static void handle_defer(void *data)
{
    struct qmp *self = data;
    self->refs++;
    if (self->is_ready)
        write_out(self);
    if (!self->is_freed)
        handle_timer(self);
    unref(self);
}

void qmp_execute(struct qmp *self, const char *command, json_t *args, qmp_done_fn done, void *data)
{
    execute(self, command, args, -1, QMP_TIMEOUT_US, false, done, data);
}

void qmp_execute_fd(struct qmp *self, const char *command, json_t *args, int fd, qmp_done_fn done,
                    void *data)
{
    execute(self, command, args, fd, QMP_TIMEOUT_US, false, done, data);
}

void qmp_execute_timeout(struct qmp *self, const char *command, json_t *args, int64_t timeout_us,
                         qmp_done_fn done, void *data)
{
    execute(self, command, args, -1, timeout_us, false, done, data);
}

/* --- In -------------------------------------------------------------------------------------- */

static void handle_capabilities(void *data, json_t *result maybe_unused, const struct error *err)
{
    struct qmp *self = data;
    if (self->is_closed || self->is_freed)
        return;
    if (err) {
        breach(self, err->message);
        return;
    }
    self->is_ready = true;
    struct command *command;
    list_for_each(command, &self->commands, link)
        command->deadline_us = clock_now_us() + command->timeout_us;
    defer_request(self->defer);
    if (self->ops.on_ready)
        self->ops.on_ready(self->data);
}

static void greet(struct qmp *self, const json_t *object)
{
    if (!json_object_get(object, "QMP")) {
        breach(self, "no greeting");
        return;
    }
    self->has_greeting = true;
    execute(self, "qmp_capabilities", NULL, -1, QMP_TIMEOUT_US, true, handle_capabilities, self);
    /* Only this one may go before the answer; the others stay behind it on the list. */
    struct message *first = list_first(&self->out, struct message, link);
    if (list_empty(&self->out))
        return;
    ssize_t n = send_some(self->fd, first);
    if (n != (ssize_t)first->text.size) {
        breach(self, "the peer does not read");
        return;
    }
    self->n_queued_bytes -= (size_t)n;
    message_free(first);
}

static struct command *find_command(struct qmp *self, const json_t *id)
{
    struct command *command;
    list_for_each(command, &self->commands, link)
        if (json_is_integer(id) && command->id == json_integer_value(id) && !command->err.is_set)
            return command;
    return NULL;
}

static void handle_answer(struct qmp *self, json_t *object)
{
    struct command *command = find_command(self, json_object_get(object, "id"));
    if (!command || !command->deadline_us)
        return; /* it timed out, or was never sent */
    json_t *result = json_object_get(object, "return");
    if (result) {
        answer(self, command, result, NULL);
        return;
    }
    struct error err;
    const json_t *error = json_object_get(object, "error");
    error_set(&err, ERROR_GUEST_FAILED, "QMP %s: %s", command->name,
              json_get_string(error, "desc", "an error without a description"));
    answer(self, command, NULL, &err);
}

static void handle_event(struct qmp *self, const json_t *object)
{
    auto_json json_t *empty = json_object();
    const char *name = json_get_string(object, "event", NULL);
    const json_t *args = json_object_get(object, "data");
    if (!json_is_object(args))
        args = empty;
    if (name && args && self->ops.on_event)
        self->ops.on_event(self->data, name, args);
}

static void handle_line(struct qmp *self, const char *line, size_t size)
{
    auto_json json_t *object = NULL;
    struct error err = { 0 };
    if (size == 0 || (size == 1 && line[0] == '\r'))
        return;
    if (json_parse_object(line, size, &object, &err) < 0)
        breach(self, err.message);
    else if (!self->has_greeting)
        greet(self, object);
    else if (json_object_get(object, "event"))
        handle_event(self, object);
    else
        handle_answer(self, object);
}

void qmp_feed(struct qmp *self, const void *data, size_t size)
{
    if (size == 0)
        return;
    self->refs++;
    if (!self->is_closed && buf_append(&self->in, data, size) < 0)
        breach(self, "out of memory");
    size_t at = 0, searched = self->in.size - MIN(size, self->in.size);
    while (!self->is_closed && !self->is_freed) {
        size_t from = MAX(at, searched);
        const uint8_t *end = memchr(self->in.data + from, '\n', self->in.size - from);
        if (!end)
            break;
        size_t n = (size_t)(end - self->in.data) - at;
        handle_line(self, (const char *)self->in.data + at, n);
        at += n + 1;
    }
    if (!self->is_closed && !self->is_freed) {
        buf_consume(&self->in, at);
        if (self->in.size > QMP_LINE_MAX)
            breach(self, "a line is longer than 1 MiB");
    }
    unref(self);
}

/* Reads once. What comes as descriptors is closed: nobody asked for any. */
static ssize_t receive(int sock, void *out, size_t size)
{
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(FDS_IN_MAX * sizeof(int))];
    } control;
    struct iovec iov = { out, size };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.space,
                          .msg_controllen = sizeof control.space };
    ssize_t n;
    do
        n = recvmsg(sock, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t i = 0; i < (c->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            close(fd);
        }
    }
    return n;
}

static void read_in(struct qmp *self)
{
    static uint8_t chunk[READ_SIZE]; /* the loop thread's own */
    for (int i = 0; i < TURN_READS && !self->is_closed && !self->is_freed; i++) {
        ssize_t n = receive(self->fd, chunk, sizeof chunk);
        if (n == -EAGAIN)
            return;
        if (n == 0)
            breach(self, "QEMU closed the connection");
        else if (n < 0)
            breach(self, strerror((int)-n));
        else
            qmp_feed(self, chunk, (size_t)n);
    }
}

static void handle_watch(void *data, int events)
{
    struct qmp *self = data;
    self->refs++;
    if (events & WATCH_READ)
        read_in(self);
    if ((events & WATCH_WRITE) && self->is_ready && !self->is_freed)
        write_out(self);
    unref(self);
}

/* --- Life ------------------------------------------------------------------------------------ */

int qmp_new(struct qmp **ret, struct loop *loop, int fd, const struct qmp_ops *ops, void *data,
            struct error *err)
{
    struct qmp *self = calloc(1, sizeof *self);
    if (!self) {
        close(fd);
        return error_errno(err, ENOMEM, "connecting to QEMU");
    }
    self->fd = fd;
    self->refs = 1;
    self->ops = *ops;
    self->data = data;
    list_init(&self->commands);
    list_init(&self->out);
    self->in.limit = QMP_LINE_MAX + 2 * READ_SIZE;
    self->watch = watch_new(loop, fd, handle_watch, self);
    self->timer = timer_new(loop, handle_timer, self);
    self->defer = defer_new(loop, handle_defer, self);
    if (!self->watch || !self->timer || !self->defer) {
        unref(self);
        return error_errno(err, ENOMEM, "connecting to QEMU");
    }
    watch_set(self->watch, WATCH_READ);
    *ret = self;
    return 0;
}

struct qmp *qmp_free(struct qmp *self)
{
    if (!self)
        return NULL;
    self->is_freed = true;
    self->is_closed = true;
    self->is_ready = false;
    self->ops = (struct qmp_ops){ 0 };
    self->watch = watch_free(self->watch);
    timer_stop(self->timer);
    struct error err;
    error_set(&err, ERROR_CANCELLED, "the sandbox is being closed");
    answer_all(self, &err);
    unref(self);
    return NULL;
}

bool qmp_is_ready(const struct qmp *self)
{
    return self->is_ready;
}
