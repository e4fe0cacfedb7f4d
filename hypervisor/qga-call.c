/* Operations of deskfarm-agent, as far as the QEMU guest agent can do them.
 *
 * A call is a chain of commands, one at a time: each answer decides what is asked next. Bytes for
 * the caller are kept here and handed out as its credit allows, at most what one answer holds;
 * reading a file stops until they are taken.
 *
 * Here: a call's life and its bytes, the table of operations, and the small ones among them.
 * Programs are in qga-run.c, commands in qga-exec.c, files in qga-file.c, facts and freezing in
 * qga-facts.c. What the guest agent lacks is done by programs of the guest: qga-linux.c, and scripts of
 * Windows. */
#include "hypervisor/qga-call.h"

#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define OUT_CHUNK AGENT_CHUNK
#define CLOCK_SLACK_US 2000000

static struct qga_call *of(struct agent_call *call)
{
    return container_of(call, struct qga_call, call);
}

static void unref(struct qga_call *self)
{
    if (--self->refs > 0)
        return;
    json_decref(self->request);
    json_decref(self->result);
    buf_deinit(&self->out[0]);
    buf_deinit(&self->out[1]);
    buf_deinit(&self->in);
    json_decref(self->facts);
    free(self->temp);
    free(self);
}

/* --- Ends ------------------------------------------------------------------------------------ */

/* What it leaves in the guest is put away; its caller is told unless it has gone. */
void qga_call_end(struct qga_call *self, const json_t *result, const struct error *err)
{
    const struct agent_call_ops *ops = self->ops;
    if (self->is_ended)
        return;
    self->is_ended = true;
    list_remove(&self->link);
    self->qga->n_calls--;
    qga_drop_commands(self->qga, self);
    if (self->pid && !self->result)
        qga_call_signal(self, "KILL");
    if (self->handle >= 0)
        qga_command(self->qga, "guest-file-close", json_pack("{s:I}", "handle", self->handle), NULL,
                    NULL);
    if (self->temp)
        qga_file_clean(self);
    if (self->wants_thaw)
        qga_thaw(self->qga);
    if (ops && ops->on_end)
        ops->on_end(self->data, result, err);
    unref(self);
}

void qga_call_fail(struct qga_call *self, enum error_code code, const char *what)
{
    struct error err;
    error_set(&err, code, "%s: %s", self->name, what);
    qga_call_end(self, NULL, &err);
}

void qga_call_end_all(struct qga *self, const struct error *err)
{
    struct list round = LIST_INIT(round);
    while (!list_empty(&self->calls)) { /* a callback may make new ones */
        struct list *link = self->calls.next;
        list_remove(link);
        list_append(&round, link);
    }
    while (!list_empty(&round)) {
        struct qga_call *call = list_first(&round, struct qga_call, link);
        struct error one = call->err.is_set ? call->err : *err;
        call->pid = 0; /* nobody can be asked any more */
        call->handle = -1;
        call->wants_thaw = false;
        free(call->temp);
        call->temp = NULL;
        qga_call_end(call, NULL, &one);
    }
}

bool qga_call_is_clean(const char *text)
{
    return strlen(text) > 0 && strlen(text) <= 64 && text[0] != '-' && !strchr(text, '/');
}

/* --- Commands -------------------------------------------------------------------------------- */

/* The call outlives what its answer brings about. */
static void handle_answer(struct qga_call *self, const json_t *ret, const struct error *err)
{
    self->refs++;
    self->next(self, ret, err);
    unref(self);
}

/* The next of the chain. */
void qga_call_ask(struct qga_call *self, const char *name, json_t *args, qga_done_fn done)
{
    self->is_asking = true;
    self->next = done;
    if (qga_command(self->qga, name, args, self, handle_answer) < 0)
        qga_call_fail(self, ERROR_INTERNAL, "memory is short");
}

/* Begins each answer's function. False: the call has ended. */
bool qga_call_take(struct qga_call *self, const struct error *err)
{
    self->is_asking = false;
    if (err)
        qga_call_end(self, NULL, err);
    return !err;
}

/* --- Output ---------------------------------------------------------------------------------- */

bool qga_call_is_delivered(const struct qga_call *self, int i)
{
    return self->out_at[i] == self->out[i].size;
}

static void deliver_stream(struct qga_call *self, int i)
{
    while (!self->is_ended && !qga_call_is_delivered(self, i) && self->n_unread < AGENT_WINDOW) {
        size_t n = MIN(self->out[i].size - self->out_at[i], (size_t)OUT_CHUNK);
        n = MIN(n, AGENT_WINDOW - self->n_unread);
        const uint8_t *at = self->out[i].data + self->out_at[i];
        self->out_at[i] += n;
        if (self->ops->on_data) {
            self->n_unread += n;
            self->ops->on_data(self->data, i ? AGENT_STDERR : AGENT_STDOUT, at, n);
        }
    }
    if (self->is_ended || !qga_call_is_delivered(self, i))
        return;
    buf_consume(&self->out[i], self->out_at[i]);
    self->out_at[i] = 0;
    if (!self->result || self->has_eof[i] || (i && !self->has_second))
        return;
    self->has_eof[i] = true;
    if (self->ops->on_eof)
        self->ops->on_eof(self->data, i ? AGENT_STDERR : AGENT_STDOUT);
}

/* Hands out what the caller may have, and ends when that was all. Runs with a reference held, as
 * everything here that is not the interface. */
void qga_call_deliver(struct qga_call *self)
{
    for (int i = 0; i < 2 && !self->is_ended; i++)
        deliver_stream(self, i);
    if (!self->is_ended && self->result && qga_call_is_delivered(self, 0) && qga_call_is_delivered(self, 1)) {
        auto_json json_t *result = json_incref(self->result);
        qga_call_end(self, result, NULL);
    }
}

int qga_call_append(struct qga_call *self, int i, const json_t *ret, const char *key)
{
    const json_t *text = json_object_get(ret, key);
    if (!json_is_string(text))
        return 0;
    return buf_append_base64_text(&self->out[i], json_string_value(text), json_string_length(text));
}

/* --- Small ones ------------------------------------------------------------------------------ */

static void handle_pong(struct qga_call *self, const json_t *ret maybe_unused,
                        const struct error *err)
{
    if (!qga_call_take(self, err))
        return;
    self->result = json_object();
    qga_call_deliver(self);
}

static void ping_begin(struct qga_call *self)
{
    qga_call_ask(self, "guest-ping", NULL, handle_pong);
}

static void handle_name(struct qga_call *self, const json_t *ret, const struct error *err)
{
    if (!qga_call_take(self, err))
        return;
    self->result = json_pack("{s:s}", "name", json_get_string(ret, "host-name", ""));
    qga_call_deliver(self);
}

static void hostname_begin(struct qga_call *self)
{
    if (json_object_get(self->request, "name"))
        qga_call_fail(self, ERROR_UNSUPPORTED, "the QEMU guest agent sets no host name");
    else
        qga_call_ask(self, "guest-get-host-name", NULL, handle_name);
}

static void handle_time_after(struct qga_call *self, const json_t *ret, const struct error *err)
{
    if (!qga_call_take(self, err))
        return;
    int64_t wish_us = json_get_int(self->request, "wall_us", 0);
    int64_t after_us = json_is_integer(ret) ? json_integer_value(ret) / 1000 : 0;
    if (wish_us > 0 && (after_us < wish_us || after_us - wish_us > CLOCK_SLACK_US)) {
        qga_call_fail(self, ERROR_GUEST_FAILED, "the clock could not be set");
        return;
    }
    self->result = json_pack("{s:I, s:I}", "before_us", (json_int_t)(self->size ? self->size : after_us),
                             "after_us", (json_int_t)after_us);
    qga_call_deliver(self);
}

/* An error may only mean that the guest has no hardware clock to set as well: its time tells. */
static void handle_time_set(struct qga_call *self, const json_t *ret maybe_unused,
                            const struct error *err maybe_unused)
{
    self->is_asking = false;
    qga_call_ask(self, "guest-get-time", NULL, handle_time_after);
}

static void handle_time_before(struct qga_call *self, const json_t *ret, const struct error *err)
{
    if (!qga_call_take(self, err))
        return;
    int64_t wish_us = json_get_int(self->request, "wall_us", 0);
    self->size = json_is_integer(ret) ? json_integer_value(ret) / 1000 : 0;
    qga_call_ask(self, "guest-set-time", json_pack("{s:I}", "time", (json_int_t)(wish_us * 1000)),
        handle_time_set);
}

static void clock_begin(struct qga_call *self)
{
    int64_t wish_us = json_get_int(self->request, "wall_us", 0);
    if (wish_us < 0 || wish_us > INT64_MAX / 1000)
        qga_call_fail(self, ERROR_BAD_VALUE, "wall_us: no time");
    else
        qga_call_ask(self, "guest-get-time", NULL, wish_us ? handle_time_before : handle_time_after);
}

/* --- The table ------------------------------------------------------------------------------- */

static void begin_on_file(struct qga_call *self)
{
    if (self->qga->is_windows)
        qga_script_begin(self);
    else
        qga_linux_begin(self);
}

static const struct op ops_table[] = {
    { "ping", "guest-ping", QGA_ANYWHERE, ping_begin, NULL, false },
    { "exec", "guest-exec", QGA_ANYWHERE, qga_exec_begin, qga_exec_go_on, true },
    { "read", "guest-file-open", QGA_ANYWHERE, qga_file_read, qga_file_read_on, false },
    { "write", "guest-file-open", QGA_ANYWHERE, qga_file_write, qga_file_write_on, true },
    { "clock", "guest-get-time", QGA_ANYWHERE, clock_begin, NULL, false },
    { "hostname", "guest-get-host-name", QGA_ANYWHERE, hostname_begin, NULL, false },
    { "facts", "guest-info", QGA_ANYWHERE, qga_facts_begin, NULL, false },
    { "freeze", "guest-fsfreeze-freeze", QGA_ANYWHERE, qga_freeze_begin, NULL, false },
    { "thaw", "guest-fsfreeze-thaw", QGA_ANYWHERE, qga_thaw_begin, NULL, false },
    { "stat", "guest-exec", QGA_ANYWHERE, begin_on_file, NULL, false },
    { "list", "guest-exec", QGA_WINDOWS, qga_script_begin, NULL, false },
    { "mkdir", "guest-exec", QGA_ANYWHERE, begin_on_file, NULL, false },
    { "move", "guest-exec", QGA_ANYWHERE, begin_on_file, NULL, false },
    { "remove", "guest-exec", QGA_ANYWHERE, begin_on_file, NULL, false },
    { "permissions", "guest-exec", QGA_WINDOWS, qga_script_begin, NULL, false },
    { "metrics", "guest-exec", QGA_WINDOWS, qga_script_begin, NULL, false },
    { "desktop.launch", "guest-exec", QGA_WINDOWS, qga_script_begin, NULL, false },
    { "desktop.clipboard.get", "guest-exec", QGA_WINDOWS, qga_script_begin, NULL, false },
    { "desktop.clipboard.set", "guest-exec", QGA_WINDOWS, qga_script_begin, qga_script_go_on, true },
};

static bool can_do(const struct qga *qga, const struct op *op)
{
    if (op->where != QGA_ANYWHERE && qga->is_windows != (op->where == QGA_WINDOWS))
        return false;
    return qga_has_command(qga, op->needs);
}

json_t *qga_call_ops(const struct qga *self)
{
    json_t *list = json_array();
    for (size_t i = 0; i < ARRAY_LEN(ops_table); i++)
        if (can_do(self, &ops_table[i]))
            json_array_append_new(list, json_string(ops_table[i].name));
    return list;
}

static const struct op *find_op(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(ops_table); i++)
        if (strcmp(ops_table[i].name, name) == 0)
            return &ops_table[i];
    return NULL;
}

/* Why that operation is not to be had: a sentence for who asked. */
static const char *lack(const struct qga *qga, const struct op *op, const char *name)
{
    static const struct {
        const char *name, *why;
    } table[] = {
        { "pty", "it has no terminals; a command gets its input as a whole" },
        { "tar", "it hands output over at the end only, which is no way for archives; files go one by one" },
        { "tcp", "it makes no connections; what listens in the guest is not reached through it" },
        { "watch", "it does not tell of changes; list the directory again" },
        { "search", "it does not search; run a command that does" },
        { "replace", "it does not edit; read the file and write it" },
        { "entropy", "it passes no randomness on; the guest has a virtio-rng" },
        { "reset", "it ends no connections" },
    };
    if (op && !qga_has_command(qga, op->needs) && (op->where == QGA_ANYWHERE || qga->is_windows))
        return "the guest has switched off the command that this needs";
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (strcmp(table[i].name, name) == 0)
            return table[i].why;
    if (strncmp(name, "desktop.", 8) == 0)
        return qga->is_windows ? "of a Windows desktop only programs and the clipboard are reached from within; "
                                 "what is shown is found on the screen"
                               : "it knows no desktop; deskfarm-agent and deskfarm-desktop do";
    return "it cannot do that";
}

/* --- Time ------------------------------------------------------------------------------------ */

/* At once, whatever the time is. */
static bool is_due(const struct qga_call *self)
{
    return self->err.is_set || !self->is_begun || self->wants_turn;
}

int64_t qga_call_next_us(const struct qga *self)
{
    struct qga_call *call;
    int64_t first = 0;
    list_for_each(call, &self->calls, link) {
        const int64_t times[] = { call->deadline_us, call->poll_at_us, call->kill_at_us,
                                  is_due(call) ? 1 : 0 };
        for (size_t i = 0; i < ARRAY_LEN(times); i++)
            if (times[i] && (!first || times[i] < first))
                first = times[i];
    }
    return first;
}

static void check_call(struct qga_call *self, int64_t now_us)
{
    self->wants_turn = false;
    if (self->err.is_set) {
        qga_call_end(self, NULL, &self->err);
    } else if (self->deadline_us && now_us >= self->deadline_us) {
        qga_call_fail(self, ERROR_TIMEOUT, "not done in time");
    } else if (!self->is_begun) {
        self->is_begun = true;
        self->op->begin(self);
    } else if (self->pid) {
        qga_exec_tick(self, now_us);
        qga_run_tick(self, now_us);
    }
}

void qga_call_check_time(struct qga *self, int64_t now_us)
{
    /* A callback may end any call, so each turn looks for the next that is due. */
    for (;;) {
        struct qga_call *call, *due = NULL;
        list_for_each(call, &self->calls, link)
            if (!due && (is_due(call) || (call->deadline_us && now_us >= call->deadline_us) ||
                         (call->poll_at_us && now_us >= call->poll_at_us) ||
                         (call->kill_at_us && now_us >= call->kill_at_us)))
                due = call;
        if (!due || self->is_freed)
            return;
        due->refs++;
        check_call(due, now_us);
        if (!due->is_ended && due->op->go_on)
            due->op->go_on(due);
        if (!due->is_ended)
            qga_call_deliver(due);
        unref(due);
    }
}

void qga_call_shift(struct qga *self, int64_t us)
{
    struct qga_call *call;
    list_for_each(call, &self->calls, link) {
        int64_t *const times[] = { &call->deadline_us, &call->poll_at_us, &call->kill_at_us };
        for (size_t i = 0; i < ARRAY_LEN(times); i++)
            if (*times[i])
                *times[i] += us;
    }
}

/* --- The interface --------------------------------------------------------------------------- */

struct agent_call *qga_call_new(struct agent *agent, json_t *request,
                                const struct agent_call_ops *ops, void *data, int64_t timeout_us)
{
    struct qga *qga = container_of(agent, struct qga, agent);
    struct qga_call *self = qga->is_freed || qga->n_calls >= QGA_CALLS_MAX ? NULL
                                                                           : calloc(1, sizeof *self);
    if (!self) {
        json_decref(request);
        return NULL;
    }
    self->call.agent = agent;
    self->qga = qga;
    self->ops = ops;
    self->data = data;
    self->request = request;
    self->timeout_us = timeout_us;
    self->deadline_us = timeout_us ? clock_now_us() + timeout_us : 0;
    self->handle = -1;
    self->refs = 1;
    self->in.limit = QGA_INPUT_MAX;
    snprintf(self->name, sizeof self->name, "%s", json_get_string(request, "op", "?"));
    const struct op *op = find_op(self->name);
    self->op = op && can_do(qga, op) ? op : NULL;
    list_append(&qga->calls, &self->link);
    qga->n_calls++;
    if (qga->is_closed)
        error_set(&self->err, ERROR_GUEST_GONE, "the connection to the guest's agent ended");
    else if (!qga->is_ready)
        error_set(&self->err, ERROR_NOT_READY, "the guest's agent has not answered yet");
    else if (!self->op)
        error_set(&self->err, ERROR_UNSUPPORTED,
                  "%s: this guest has only the QEMU guest agent: %s", self->name, lack(qga, op, self->name));
    defer_request(qga->defer);
    return &self->call;
}

/* exec takes its input as a whole; a file's goes on as there is room. */
size_t qga_call_write(struct agent_call *call, const void *bytes, size_t size)
{
    struct qga_call *self = of(call);
    if (!self->op || !self->op->has_input || self->has_in_eof || self->is_ended)
        return 0;
    bool is_file = self->op->begin == qga_file_write;
    size_t limit = is_file ? AGENT_WINDOW : QGA_INPUT_MAX;
    size_t n = MIN(size, limit - MIN(limit, self->in.size));
    if (buf_append(&self->in, bytes, n) < 0)
        n = 0;
    self->wants_write = n < size;
    if (n < size && !is_file && !self->err.is_set)
        error_set(&self->err, ERROR_TOO_LARGE,
                  "%s: the QEMU guest agent takes at most %d bytes of input", self->name,
                  QGA_INPUT_MAX);
    self->wants_turn = true;
    defer_request(self->qga->defer);
    return n;
}

void qga_call_eof(struct agent_call *call)
{
    struct qga_call *self = of(call);
    self->has_in_eof = self->wants_turn = true;
    defer_request(self->qga->defer);
}

int qga_call_control(struct agent_call *call, json_t *word)
{
    static const char *const names[] = { [1] = "HUP", [2] = "INT", [3] = "QUIT", [9] = "KILL",
                                         [10] = "USR1", [12] = "USR2", [15] = "TERM",
                                         [18] = "CONT", [19] = "STOP" };
    struct qga_call *self = of(call);
    auto_json json_t *owned = word;
    const json_t *signal = json_object_get(owned, "signal");
    const char *name = json_string_value(signal);
    size_t number = json_is_integer(signal) ? (size_t)json_integer_value(signal) : 0;
    if (number < ARRAY_LEN(names) && names[number])
        name = names[number];
    if (name && strncmp(name, "SIG", 3) == 0)
        name += 3;
    if (!name || !qga_call_is_clean(name))
        return -EINVAL;
    if (!self->pid || self->result)
        return -EAGAIN;
    return qga_call_signal(self, name);
}

void qga_call_consumed(struct agent_call *call, size_t size)
{
    struct qga_call *self = of(call);
    self->n_unread -= MIN(size, self->n_unread);
    self->wants_turn = true;
    defer_request(self->qga->defer);
}

struct agent_call *qga_call_cancel(struct agent_call *call)
{
    struct qga_call *self = of(call);
    self->ops = NULL;
    if (!self->is_ended)
        qga_call_end(self, NULL, NULL);
    return NULL;
}
