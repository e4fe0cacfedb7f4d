/* The shell reads its lines from a pipe. Each caller's are one word of an eval, whose input is
 * /dev/null, so nothing that they run can read what comes after them. Behind them the shell
 * prints a mark, to stdout with the exit status and to stderr: when both have come, so has all
 * output. The mark is random, so no output can hold it by chance; a caller who makes his lines
 * print it has only fooled himself.
 *
 * "command" in front of eval keeps a shell that is no bash from ending at a syntax error.
 *
 * What programs that were left running print while nobody's lines run is dropped. */
#include "farm/shell.h"

#include "base/clock.h"
#include "base/id.h"
#include "farm/recording.h"
#include "farm/sandbox-impl.h"
#include "hypervisor/agent.h"

#include <stdio.h>
#include <string.h>

#define RS '\036'
#define STOP_US 5000000 /* from the interruption to the end of the shell */
#define START_US 20000000
#define SIGNAL_BASE 128

struct shells {
    struct sandbox *sandbox;
    struct list all;
    int n;
};

struct shell {
    struct list link;
    struct shells *shells;
    char id[ID_MAX];
    struct agent_call *call;
    struct buf input; /* what the guest has no credit for yet */
    struct timer *timer;

    bool is_starting, is_running, is_stopping, is_late;
    const struct shell_ops *ops; /* NULL: nobody listens */
    void *data;
    int64_t began_us;
    struct shell_finder finders[2]; /* of stdout and stderr */
    size_t given;                   /* of the piece at hand */
    enum agent_stream stream;       /* of it */
};

/* --- The mark -----------------------------------------------------------------------------------
 */

/* A RS is the mark's first byte and no other, so a new one can only begin where one does not
 * match. */
void shell_find_mark(struct shell_finder *self, const uint8_t *bytes, size_t size,
                     void (*give)(void *data, const uint8_t *bytes, size_t size), void *data)
{
    size_t at = 0, run = 0, held = self->is_found || self->in_number ? 0 : self->matched;
    while (at < size && !self->is_found) {
        uint8_t c = bytes[at];
        if (self->in_number) {
            self->is_found = c == RS;
            if (c >= '0' && c <= '9')
                self->number = (self->number * 10 + c - '0') & 0xffff;
            run = ++at;
            continue;
        }
        if (c == (uint8_t)self->mark[self->matched]) {
            at++;
            if (++self->matched < SHELL_MARK)
                continue;
            if (at - run > SHELL_MARK - held)
                give(data, bytes + run, at - run - (SHELL_MARK - held));
            self->in_number = true;
            run = at;
            held = 0;
            continue;
        }
        if (self->matched == 0) {
            at++;
            continue;
        }
        if (held)
            give(data, (const uint8_t *)self->mark, held);
        held = self->matched = 0;
    }
    if (self->is_found) /* what comes behind it is nobody's */
        return;
    size_t open = self->in_number ? 0 : self->matched - held;
    if (!self->in_number && at - run > open)
        give(data, bytes + run, at - run - open);
}

static void new_mark(struct shell *self)
{
    uint8_t random[16];
    char mark[SHELL_MARK + 1];
    id_random(random, sizeof random);
    mark[0] = RS;
    for (size_t i = 0; i < sizeof random; i++)
        snprintf(mark + 1 + 2 * i, 3, "%02x", random[i]);
    mark[SHELL_MARK - 1] = ':';
    for (int i = 0; i < 2; i++) {
        self->finders[i] = (struct shell_finder){ 0 };
        memcpy(self->finders[i].mark, mark, SHELL_MARK);
    }
}

/* --- The object ---------------------------------------------------------------------------------
 */

static void destroy(struct shell *self)
{
    list_remove(&self->link);
    self->shells->n--;
    agent_call_cancel(self->call);
    timer_free(self->timer);
    buf_deinit(&self->input);
    free(self);
}

/* Ends the lines of a caller, who is told. The shell is gone too when is_over. */
static void end_lines(struct shell *self, int exit_code, const char *text,
                      const struct error *why, bool is_over)
{
    const struct shell_ops *ops = self->ops;
    void *data = self->data;
    int64_t duration_us = clock_now_us() - self->began_us;
    self->ops = NULL;
    self->is_running = self->is_stopping = false;
    timer_stop(self->timer);
    if (is_over)
        destroy(self);
    if (ops && why)
        ops->on_failed(data, why);
    else if (ops)
        ops->on_done(data, exit_code, text, duration_us);
}

struct shells *shells_free(struct shells *self)
{
    struct error gone = { 0 };
    if (!self)
        return NULL;
    error_set(&gone, ERROR_GUEST_GONE, "the sandbox is gone");
    while (!list_empty(&self->all))
        end_lines(list_first(&self->all, struct shell, link), 0, "", &gone, true);
    free(self);
    return NULL;
}

/* --- From the guest -----------------------------------------------------------------------------
 */

static void give_output(void *data, const uint8_t *bytes, size_t size)
{
    struct shell *self = data;
    if (!self->ops)
        return;
    self->given += size;
    self->ops->on_output(self->data, self->stream, bytes, size);
}

static void handle_data(void *data, enum agent_stream stream, const uint8_t *bytes, size_t size)
{
    struct shell *self = data;
    struct shell_finder *finder = &self->finders[stream == AGENT_STDERR];
    self->given = 0;
    self->stream = stream;
    if (self->is_running)
        shell_find_mark(finder, bytes, size, give_output, self);
    if (size > self->given)
        agent_call_consumed(self->call, size - self->given);
    if (!self->is_running || !self->finders[0].is_found || !self->finders[1].is_found)
        return;
    char text[64] = "";
    int status = self->finders[0].number;
    self->is_starting = false;
    if (self->is_late)
        snprintf(text, sizeof text, "ended because its time was over");
    else if (status)
        snprintf(text, sizeof text, "exit status %d", status);
    end_lines(self, status, text, NULL, false);
}

static void handle_writable(void *data)
{
    struct shell *self = data;
    buf_consume(&self->input, agent_call_write(self->call, self->input.data, self->input.size));
}

static void handle_end(void *data, const json_t *result, const struct error *err)
{
    struct shell *self = data;
    struct error failed = { 0 };
    char text[96];
    int signo = (int)json_get_int(result, "signal", 0) & 127;
    int status = signo ? SIGNAL_BASE + signo : (int)json_get_int(result, "exit", 0) & 255;
    self->call = NULL;
    if (signo)
        snprintf(text, sizeof text, "the shell was ended by signal %d", signo);
    else
        snprintf(text, sizeof text, "the shell ended with exit status %d", status);
    if (!err && self->is_starting) {
        error_set(&failed, ERROR_GUEST_FAILED, "starting a session: %s", text);
        err = &failed;
    }
    end_lines(self, status, text, err, true);
}

/* --- Time ---------------------------------------------------------------------------------------
 */

/* First it is asked to stop, then it has to. */
static void handle_time(void *data)
{
    struct shell *self = data;
    struct error err = { 0 };
    if (self->is_running && !self->is_stopping) {
        self->is_stopping = self->is_late = true;
        agent_call_control(self->call, json_pack("{s:s}", "signal", "INT"));
        timer_start(self->timer, STOP_US);
        return;
    }
    error_set(&err, ERROR_TIMEOUT,
              "the session did not come back from an interruption and was ended");
    end_lines(self, 0, "", &err, true);
}

/* --- To the guest -------------------------------------------------------------------------------
 */

static void put_quoted(struct buf *out, const char *text)
{
    buf_puts(out, "'");
    for (const char *at = text; *at;) {
        size_t n = strcspn(at, "'");
        buf_append(out, at, n);
        at += n;
        if (*at++ == '\'')
            buf_puts(out, "'\\''");
        else
            break;
    }
    buf_puts(out, "'");
}

static void put_eval(struct buf *out, const char *command)
{
    buf_puts(out, "command eval ");
    put_quoted(out, command);
    buf_puts(out, " </dev/null; __status=$?; ");
}

/* The mark's first byte is written as an escape: a shell that repeats its lines (set -x) does
 * not print the mark by that. */
static void put_marks(struct shell *self, struct buf *out)
{
    const char *mark = self->finders[0].mark + 1;
    buf_printf(out,
               "printf '\\036%%s%%d\\036' %.*s \"$__status\"; "
               "printf '\\036%%s0\\036' %.*s >&2\n",
               SHELL_MARK - 1, mark, SHELL_MARK - 1, mark);
}

static void put_lines(struct shell *self, const char *command, const char *cwd, struct buf *out)
{
    if (*cwd) {
        buf_puts(out, "__directory=$PWD; if cd -- ");
        put_quoted(out, cwd);
        buf_puts(out, "; then ");
        put_eval(out, command);
        buf_puts(out, "cd -- \"$__directory\"; else __status=1; fi; ");
    } else {
        put_eval(out, command);
    }
    put_marks(self, out);
}

static void send_lines(struct shell *self, const char *command, const char *cwd,
                       const struct shell_ops *ops, void *data)
{
    self->ops = ops;
    self->data = data;
    self->is_running = true;
    self->is_stopping = self->is_late = false;
    self->began_us = clock_now_us();
    new_mark(self);
    put_lines(self, command, cwd, &self->input);
    handle_writable(self);
}

/* --- Starting -----------------------------------------------------------------------------------
 */

/* The interruption is for what the shell runs, not for itself. */
static const char begin[] = "if command -v bash >/dev/null 2>&1 && bash -c : 2>/dev/null; "
                            "then exec bash --noprofile --norc; else exec sh; fi";

static int open_shell(struct shell *self, const char *cwd, struct error *err)
{
    static const struct agent_call_ops ops = {
        .on_data = handle_data,
        .on_writable = handle_writable,
        .on_end = handle_end,
    };
    struct sandbox *sandbox = self->shells->sandbox;
    struct agent *agent = sandbox_agent(sandbox, err);
    if (!agent)
        return -1;
    if (agent_takes_whole_input(agent))
        return error_set(err, ERROR_UNSUPPORTED, "this guest has only the QEMU guest agent, which hands a program its "
                         "input as a whole: there are commands, and no sessions");
    json_t *env = (json_t *)(uintptr_t)sandbox_env(sandbox);
    json_t *request = json_pack("{s:s,s:[s,s,s],s:b,s:O*}", "op", "exec", "argv", "/bin/sh", "-c",
                                begin, "stdin", 1, "env", env);
    if (*cwd)
        json_object_set_new(request, "cwd", json_string(cwd));
    self->call = agent_call_new(agent, request, &ops, self, 0);
    return self->call ? 0 : error_set(err, ERROR_BUSY, "too much is running in this guest");
}

static struct shells *shells_of(struct sandbox *sandbox)
{
    if (!sandbox->shells) {
        struct shells *self = calloc(1, sizeof *self);
        if (!self)
            return NULL;
        self->sandbox = sandbox;
        list_init(&self->all);
        sandbox->shells = self;
    }
    return sandbox->shells;
}

int shell_start(struct shell **ret, struct sandbox *sandbox, const char *cwd,
                const struct shell_ops *ops, void *data, struct error *err)
{
    struct shells *shells = shells_of(sandbox);
    if (shells && shells->n >= SHELLS_MAX)
        return error_set(err, ERROR_BUSY, "a sandbox has at most %d sessions", SHELLS_MAX);
    struct shell *self = shells ? calloc(1, sizeof *self) : NULL;
    if (!self)
        return error_set(err, ERROR_INTERNAL, "out of memory");
    self->shells = shells;
    self->is_starting = true;
    list_append(&shells->all, &self->link);
    shells->n++;
    id_new("ses-", self->id);
    self->timer = timer_new(farm_loop(sandbox->farm), handle_time, self);
    int r = self->timer ? open_shell(self, cwd, err)
                        : error_set(err, ERROR_INTERNAL, "out of memory");
    if (r < 0) {
        destroy(self);
        return r;
    }
    send_lines(self, "trap : INT", "", ops, data);
    timer_start(self->timer, START_US);
    *ret = self;
    return 0;
}

int shell_run(struct shell *self, const json_t *request, const struct shell_ops *ops, void *data,
              struct error *err)
{
    int64_t timeout_ms = json_get_int(request, "timeout", 0);
    if (self->is_running)
        return error_set(err, ERROR_BUSY, "the session is running something else");
    recording_event(self->shells->sandbox, "exec", json_pack("{ss ss}", "session", self->id, "command",
                                                     json_get_string(request, "command", "")));
    send_lines(self, json_get_string(request, "command", ""), json_get_string(request, "cwd", ""),
               ops, data);
    if (timeout_ms > 0)
        timer_start(self->timer, timeout_ms * 1000);
    return 0;
}

struct shell *shell_find(struct sandbox *sandbox, const char *id, struct error *err)
{
    struct shell *shell;
    if (sandbox->shells) {
        list_for_each (shell, &sandbox->shells->all, link) {
            if (strcmp(shell->id, id) == 0)
                return shell;
        }
    }
    error_set(err, ERROR_NOT_FOUND, "there is no such session in this sandbox, or not any more");
    return NULL;
}

const char *shell_id(const struct shell *self)
{
    return self->id;
}

void shell_consumed(struct shell *self, size_t size)
{
    if (self->call)
        agent_call_consumed(self->call, size);
}

void shell_leave(struct shell *self)
{
    self->ops = NULL;
    if (!self->is_stopping)
        handle_time(self);
}

void shell_end(struct shell *self)
{
    struct error gone = { 0 };
    error_set(&gone, ERROR_CANCELLED, "the session was deleted");
    end_lines(self, 0, "", &gone, true);
}
