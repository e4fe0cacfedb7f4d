/* The log is one buffer that is cut back to TERMINAL_LOG when it is half as long again: a byte is
 * moved once or less on average, and a terminal holds 1.5 times that at most. Offsets count from
 * the terminal's beginning, over all programs that ran in it.
 *
 * Credit. Bytes cost the agent's credit from when they come until the viewer has taken them, so a
 * viewer that does not read stops the program, as a terminal does. Without a viewer they are free
 * at once. Input that the agent does not take is refused; nothing is kept here. */
#include "farm/terminal.h"

#include "base/id.h"
#include "base/list.h"
#include "farm/recording.h"
#include "farm/sandbox-impl.h"
#include "hypervisor/agent.h"

#include <stdio.h>
#include <string.h>

#define SIGNAL_BASE 128

struct terminals {
    struct list all;
    int n;
};

struct terminal {
    struct list link;
    struct terminals *terminals;
    struct sandbox *sandbox;
    char id[ID_MAX];
    char *command, *cwd, *user; /* NULL: none */
    int columns, rows;
    struct agent_call *call; /* NULL: idle */
    const struct terminal_ops *ops; /* NULL: no viewer */
    void *data;
    struct buf log;
    int64_t end;   /* offset behind the log */
    bool has_run;
    int64_t taken; /* up to where credit has been given back */
};

static const struct terminal_ops no_ops;

/* --- The log ---------------------------------------------------------------------------------- */

static void give_back(struct terminal *self, int64_t offset)
{
    if (self->call && offset > self->taken)
        agent_call_consumed(self->call, (size_t)(offset - self->taken));
    self->taken = MAX(self->taken, offset);
}

static void on_data(void *data, enum agent_stream stream maybe_unused, const uint8_t *bytes,
                    size_t size)
{
    struct terminal *self = data;
    if (self->log.size + size > TERMINAL_LOG + TERMINAL_LOG / 2)
        buf_consume(&self->log, self->log.size + size - TERMINAL_LOG);
    /* Short of memory: what was forgotten is older than what is kept. */
    if (buf_append(&self->log, bytes, size) < 0)
        buf_deinit(&self->log);
    self->end += (int64_t)size;
    if (!self->ops)
        give_back(self, self->end);
    else if (self->ops->on_output)
        self->ops->on_output(self->data);
}

size_t terminal_read(const struct terminal *self, int64_t offset, const uint8_t **ret_bytes,
                     int64_t *ret_from)
{
    int64_t begin = self->end - (int64_t)self->log.size;
    *ret_from = CLAMP(offset, begin, self->end);
    *ret_bytes = self->log.data + (*ret_from - begin);
    return (size_t)(self->end - *ret_from);
}

void terminal_taken(struct terminal *self, int64_t offset)
{
    give_back(self, MIN(offset, self->end));
}

/* --- The program ------------------------------------------------------------------------------ */

static void tell_end(struct terminal *self, int code, const struct error *why)
{
    const struct terminal_ops *ops = self->ops;
    self->ops = NULL;
    give_back(self, self->end);
    if (ops && ops->on_end)
        ops->on_end(self->data, code, why);
}

static void on_end(void *data, const json_t *result, const struct error *err)
{
    struct terminal *self = data;
    int64_t signo = json_get_int(result, "signal", 0);
    int64_t status = json_get_int(result, "exit", 0);
    self->call = NULL;
    self->taken = self->end;
    recording_event(self->sandbox, "terminal_ended", json_pack("{ss si}", "id", self->id, "exit",
                                                               err ? -1 : (int)(status & 255)));
    int code = err     ? -1
               : signo ? SIGNAL_BASE + (int)CLAMP(signo, 0, 127)
                       : (int)(status & 255);
    tell_end(self, code, err);
}

static void on_writable(void *data)
{
    struct terminal *self = data;
    if (self->ops && self->ops->on_writable)
        self->ops->on_writable(self->data);
}

static json_t *make_request(const struct terminal *self)
{
    /* A guest may have a bash that does not run, such as a link to a shell without that name. */
    static const char script[] =
        "/bin/bash -c : 2>/dev/null && exec /bin/bash -c \"$1\"; exec /bin/sh -c \"$1\"";
    json_t *request = json_pack("{s:s,s:i,s:i,s:s*,s:s*,s:O*}", "op", "pty", "columns",
                                self->columns, "rows", self->rows, "cwd", self->cwd, "user",
                                self->user, "env", sandbox_env(self->sandbox));
    if (self->command)
        json_object_set_new(request, "argv", json_pack("[s,s,s,s,s]", "/bin/sh", "-c", script,
                                                       "sh", self->command));
    return request;
}

static int start(struct terminal *self, struct error *err)
{
    static const struct agent_call_ops ops = { .on_data = on_data, .on_writable = on_writable,
                                               .on_end = on_end };
    struct agent *agent = sandbox_agent(self->sandbox, err);
    if (!agent)
        return -1;
    self->call = agent_call_new(agent, make_request(self), &ops, self, 0);
    if (!self->call)
        return error_set(err, ERROR_QUOTA, "too much is going on in this guest");
    self->has_run = true;
    recording_event(self->sandbox, "terminal", json_pack("{ss ss*}", "id", self->id, "command", self->command));
    return 0;
}

size_t terminal_write(struct terminal *self, const void *bytes, size_t size)
{
    return self->call ? agent_call_write(self->call, bytes, size) : size;
}

void terminal_resize(struct terminal *self, int columns, int rows)
{
    self->columns = CLAMP(columns, 1, 4096);
    self->rows = CLAMP(rows, 1, 4096);
    if (self->call)
        agent_call_control(self->call, json_pack("{s:i,s:i}", "columns", self->columns, "rows",
                                                 self->rows));
}

void terminal_signal(struct terminal *self, const char *name)
{
    if (self->call)
        agent_call_control(self->call, json_pack("{s:s}", "signal", name));
}

/* --- The viewer ------------------------------------------------------------------------------- */

int terminal_attach(struct terminal *self, const struct terminal_ops *ops, void *data,
                    struct error *err)
{
    struct error taken_over;
    error_set(&taken_over, ERROR_CONFLICT, "another viewer took the terminal over");
    if (self->ops)
        tell_end(self, -1, &taken_over);
    int r = self->call ? 0 : start(self, err);
    if (r < 0)
        return r;
    self->ops = ops ? ops : &no_ops;
    self->data = data;
    return 0;
}

void terminal_detach(struct terminal *self)
{
    self->ops = NULL;
    give_back(self, self->end);
}

/* --- The object ------------------------------------------------------------------------------- */

static struct terminals *terminals_of(struct sandbox *sandbox)
{
    if (!sandbox->terminals)
        sandbox->terminals = calloc(1, sizeof *sandbox->terminals);
    if (sandbox->terminals && !sandbox->terminals->all.next)
        list_init(&sandbox->terminals->all);
    return sandbox->terminals;
}

static void destroy(struct terminal *self)
{
    if (self->link.next) {
        list_remove(&self->link);
        self->terminals->n--;
    }
    agent_call_cancel(self->call);
    buf_deinit(&self->log);
    free(self->command);
    free(self->cwd);
    free(self->user);
    free(self);
}

static bool copy(char **ret, const char *text)
{
    *ret = text && *text ? strdup(text) : NULL;
    return !text || !*text || *ret;
}

/* Makes room: the oldest that has ended, and that nobody looks at, goes. */
static void trim(struct terminals *self)
{
    struct terminal *terminal;
    if (self->n < TERMINALS_MAX)
        return;
    list_for_each (terminal, &self->all, link) {
        if (!terminal->call && !terminal->ops && terminal->has_run) {
            destroy(terminal);
            return;
        }
    }
}

int terminal_new(struct terminal **ret, struct sandbox *sandbox, const char *command,
                 const char *cwd, const char *user, struct error *err)
{
    struct terminals *all = terminals_of(sandbox);
    if (all)
        trim(all);
    if (all && all->n >= TERMINALS_MAX)
        return error_set(err, ERROR_QUOTA, "the sandbox has %d terminals; delete one first",
                         TERMINALS_MAX);
    struct terminal *self = all ? calloc(1, sizeof *self) : NULL;
    if (!self)
        return error_set(err, ERROR_INTERNAL, "out of memory");
    if (!copy(&self->command, command) || !copy(&self->cwd, cwd) || !copy(&self->user, user)) {
        destroy(self);
        return error_set(err, ERROR_INTERNAL, "out of memory");
    }
    self->terminals = all;
    self->sandbox = sandbox;
    self->columns = 80;
    self->rows = 24;
    self->log.limit = 2 * TERMINAL_LOG;
    id_new("pty-", self->id);
    list_append(&all->all, &self->link);
    all->n++;
    *ret = self;
    return 0;
}

struct terminal *terminal_find(struct sandbox *sandbox, const char *id, struct error *err)
{
    struct terminal *self;
    struct terminals *all = sandbox->terminals;
    if (all) {
        list_for_each (self, &all->all, link) {
            if (strcmp(self->id, id) == 0)
                return self;
        }
    }
    error_set(err, ERROR_NOT_FOUND, "sandbox %s has no terminal %s", sandbox->id, id);
    return NULL;
}

void terminal_delete(struct terminal *self)
{
    struct error gone;
    error_set(&gone, ERROR_GUEST_GONE, "the terminal was deleted");
    agent_call_cancel(steal_ptr(&self->call));
    tell_end(self, -1, &gone);
    destroy(self);
}

const char *terminal_id(const struct terminal *self)
{
    return self->id;
}

bool terminal_is_running(const struct terminal *self)
{
    return self->call;
}

bool terminal_has_viewer(const struct terminal *self)
{
    return self->ops;
}

int64_t terminal_offset(const struct terminal *self)
{
    return self->end;
}

struct terminals *terminals_free(struct terminals *self)
{
    if (!self)
        return NULL;
    while (!list_empty(&self->all))
        terminal_delete(list_first(&self->all, struct terminal, link));
    free(self);
    return NULL;
}
