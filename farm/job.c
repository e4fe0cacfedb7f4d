/* The log is a buffer that is cut back to JOB_LOG_MAX when it is half as long again, so a byte
 * is moved once or less on average and a job holds 1.5 times that at most.
 *
 * Which shell: cmd.exe on Windows; else bash, as callers of this protocol expect, where the guest has one that works. The
 * first command of a sandbox tries that beforehand, and the sandbox remembers. */
#include "farm/job.h"

#include "base/clock.h"
#include "base/id.h"
#include "farm/recording.h"
#include "farm/sandbox-impl.h"
#include "hypervisor/agent.h"

#include <stdio.h>
#include <string.h>

#define ESCALATE_US 2000000
#define TRY_US 5000000
#define SIGNAL_BASE 128

struct jobs {
    struct sandbox *sandbox;
    struct list all; /* oldest first */
    int n_running, n_background, n_ended;
    size_t log_bytes; /* of those that have ended */
    const char *shell; /* NULL: not tried yet */
};

struct job {
    struct list link;
    struct jobs *jobs;
    char id[ID_MAX];
    bool is_background, is_running, is_told, is_trying;
    json_t *request; /* to the agent, while it may be needed again */
    char *content;
    struct agent_call *call;
    const struct job_ops *ops; /* NULL: nobody listens */
    void *data;
    struct timer *timer; /* of job_interrupt */
    int step;            /* next signal of it */
    int64_t started_us, finished_us; /* wall clock */
    int64_t duration_us;
    int64_t exit_code; /* -1: not known */
    char text[ERROR_MESSAGE_MAX];
    struct buf log;
    int64_t log_from; /* where it begins in the output */
};

static struct job *destroy(struct job *self)
{
    struct jobs *jobs = self->jobs;
    list_remove(&self->link);
    agent_call_cancel(self->call);
    if (self->is_running) {
        jobs->n_running--;
        jobs->n_background -= self->is_background;
    } else {
        jobs->n_ended--;
        jobs->log_bytes -= self->log.size;
    }
    timer_free(self->timer);
    json_decref(self->request);
    free(self->content);
    buf_deinit(&self->log);
    free(self);
    return NULL;
}

/* Forgets the oldest that have ended, so many as are too many. */
static void trim(struct jobs *self)
{
    struct job *job, *next;
    list_for_each_safe (job, next, &self->all, link) {
        if (self->n_ended <= JOBS_KEPT_MAX && self->log_bytes <= JOBS_LOG_MAX)
            return;
        if (!job->is_running)
            destroy(job);
    }
}

static struct jobs *jobs_of(struct sandbox *sandbox)
{
    if (!sandbox->jobs) {
        struct jobs *self = calloc(1, sizeof *self);
        if (!self)
            return NULL;
        self->sandbox = sandbox;
        list_init(&self->all);
        sandbox->jobs = self;
    }
    return sandbox->jobs;
}

static void tell_end(struct job *self, const struct error *why);

struct jobs *jobs_free(struct jobs *self)
{
    struct error gone = { 0 };
    if (!self)
        return NULL;
    error_set(&gone, ERROR_GUEST_GONE, "the sandbox is gone");
    while (!list_empty(&self->all)) {
        struct job *job = list_first(&self->all, struct job, link);
        const struct job_ops *ops = job->ops;
        void *data = job->data;
        destroy(job);
        if (ops && ops->on_end)
            ops->on_end(data, &gone);
    }
    free(self);
    return NULL;
}

/* --- The end ------------------------------------------------------------------------------------
 */

static void keep_result(struct job *self, const json_t *result)
{
    int64_t signo = json_get_int(result, "signal", 0);
    int64_t status = json_get_int(result, "exit", 0);
    self->duration_us = json_get_int(result, "duration_us", 0);
    /* Of Windows it has 32 bits. */
    self->exit_code = signo ? SIGNAL_BASE + CLAMP(signo, 0, 127) : CLAMP(status, 0, (int64_t)UINT32_MAX);
    if (json_get_bool(result, "timed_out", false))
        snprintf(self->text, sizeof self->text, "ended because its time was over");
    else if (signo)
        snprintf(self->text, sizeof self->text, "signal %d (%s)", (int)signo,
                 strsignal((int)signo));
    else if (status)
        snprintf(self->text, sizeof self->text, "exit status %lld", (long long)self->exit_code);
}

static void tell_end(struct job *self, const struct error *why)
{
    const struct job_ops *ops = self->ops;
    struct jobs *jobs = self->jobs;
    self->ops = NULL;
    self->is_running = false;
    self->finished_us = clock_wall_us();
    jobs->n_running--;
    jobs->n_background -= self->is_background;
    jobs->n_ended++;
    recording_event(jobs->sandbox, "exec_ended", json_pack("{ss sI}", "id", self->id, "exit", (json_int_t)self->exit_code));
    jobs->log_bytes += self->log.size;
    if (self->timer)
        timer_stop(self->timer);
    json_decref(self->request);
    self->request = NULL;
    if (why)
        snprintf(self->text, sizeof self->text, "%s", why->message);
    if (ops && ops->on_end)
        ops->on_end(self->data, why);
    trim(jobs);
}

static int call_agent(struct job *self, struct error *err);

/* The trial is over: with what works, the command itself. An agent that is gone says so again. */
static void handle_tried(struct job *self, const json_t *result)
{
    struct error err = { 0 };
    bool has_bash = result && json_get_int(result, "exit", -1) == 0;
    self->is_trying = false;
    self->jobs->shell = has_bash ? "/bin/bash" : "/bin/sh";
    if (call_agent(self, &err) < 0)
        tell_end(self, &err);
}

/* Not every agent says so of its own accord. */
static void tell_running(struct job *self)
{
    if (self->is_told)
        return;
    self->is_told = true;
    if (self->ops && self->ops->on_running)
        self->ops->on_running(self->data);
}

static void handle_end(void *data, const json_t *result, const struct error *err)
{
    struct job *self = data;
    self->call = NULL;
    if (self->is_trying) {
        handle_tried(self, result);
        return;
    }
    if (result)
        tell_running(self);
    if (result)
        keep_result(self, result);
    tell_end(self, err);
}

/* --- Output -------------------------------------------------------------------------------------
 */

static void handle_event(void *data, const json_t *event)
{
    struct job *self = data;
    if (json_object_get(event, "pid") && !self->is_trying)
        tell_running(self);
}

static void keep_output(struct job *self, const uint8_t *bytes, size_t size)
{
    buf_append(&self->log, bytes, size);
    self->log.failed = false;
    if (self->log.size > JOB_LOG_MAX + JOB_LOG_MAX / 2) {
        size_t dropped = self->log.size - JOB_LOG_MAX;
        buf_consume(&self->log, dropped);
        self->log_from += (int64_t)dropped;
    }
}

static void handle_data(void *data, enum agent_stream stream, const uint8_t *bytes, size_t size)
{
    struct job *self = data;
    if (self->is_trying) {
        job_consumed(self, size);
        return;
    }
    tell_running(self);
    if (self->is_background)
        keep_output(self, bytes, size);
    else if (self->ops && self->ops->on_output) {
        self->ops->on_output(self->data, stream, bytes, size);
        return;
    }
    job_consumed(self, size);
}

/* --- Starting -----------------------------------------------------------------------------------
 */

static json_t *merge_env(struct sandbox *sandbox, const json_t *request)
{
    json_t *env = json_object();
    const json_t *of_sandbox = sandbox_env(sandbox), *own = json_object_get(request, "envs");
    if (of_sandbox)
        json_object_update(env, (json_t *)(uintptr_t)of_sandbox);
    if (own)
        json_object_update(env, (json_t *)(uintptr_t)own);
    return env;
}

static void copy_id(json_t *to, const char *name, const json_t *from, const char *key)
{
    json_t *value = json_object_get(from, key);
    if (json_is_integer(value))
        json_object_set(to, name, value);
}

static json_t *agent_request(struct job *self, const json_t *request)
{
    json_t *argv = json_object_get(request, "argv");
    json_t *out = json_pack("{s:s,s:o,s:b}", "op", "exec", "env",
                            merge_env(self->jobs->sandbox, request), "keep", self->is_background);
    const char *cwd = json_get_string(request, "cwd", "");
    int64_t timeout_ms = json_get_int(request, "timeout", 0);
    if (argv)
        json_object_set(out, "argv", argv);
    else
        json_object_set_new(
            out, "argv", json_pack("[s,s,s]", "", "-c", json_get_string(request, "command", "")));
    if (*cwd)
        json_object_set_new(out, "cwd", json_string(cwd));
    if (timeout_ms > 0)
        json_object_set_new(out, "timeout_us", json_integer(timeout_ms * 1000));
    copy_id(out, "user", request, "uid");
    copy_id(out, "group", request, "gid");
    if (json_object_get(request, "rlimits"))
        json_object_set(out, "rlimits", json_object_get(request, "rlimits"));
    return out;
}

/* A command whose shell is not known yet makes that known first. */
static json_t *next_request(struct job *self, const struct agent *agent)
{
    json_t *argv = json_object_get(self->request, "argv");
    bool is_command = !*json_string_value(json_array_get(argv, 0));
    if (!is_command)
        return json_incref(self->request);
    if (agent_is_windows(agent)) { /* its cmd.exe */
        json_t *request = json_copy(self->request);
        json_object_set(request, "command", json_array_get(argv, 2));
        json_object_del(request, "argv");
        return request;
    }
    if (self->jobs->shell) {
        json_array_set_new(argv, 0, json_string(self->jobs->shell));
        return json_incref(self->request);
    }
    self->is_trying = true;
    return json_pack("{s:s,s:[s,s,s],s:i}", "op", "exec", "argv", "/bin/bash", "-c", ":",
                     "timeout_us", TRY_US);
}

static int call_agent(struct job *self, struct error *err)
{
    static const struct agent_call_ops ops = {
        .on_event = handle_event,
        .on_data = handle_data,
        .on_end = handle_end,
    };
    struct agent *agent = sandbox_agent(self->jobs->sandbox, err);
    if (!agent)
        return -1;
    self->call = agent_call_new(agent, next_request(self, agent), &ops, self, 0);
    return self->call ? 0 : error_set(err, ERROR_BUSY, "too much is running in this guest");
}

static char *copy_content(const json_t *request)
{
    const char *command = json_get_string(request, "command", NULL);
    if (!command)
        command = json_string_value(json_array_get(json_object_get(request, "argv"), 0));
    size_t size = command ? strlen(command) : 0;
    if (size > JOB_CONTENT_MAX)
        size = JOB_CONTENT_MAX;
    /* Not in the middle of a character. */
    while (command && size > 0 && (command[size] & 0xc0) == 0x80)
        size--;
    return strndup(command ? command : "", size);
}

static int check_room(const struct jobs *jobs, bool is_background, struct error *err)
{
    if (jobs->n_running < JOBS_RUNNING_MAX &&
        (!is_background || jobs->n_background < JOBS_RUNNING_MAX / 2))
        return 0;
    return error_set(err, ERROR_BUSY, "%d commands are running in this sandbox", jobs->n_running);
}

static struct job *new_job(struct jobs *jobs, const json_t *request)
{
    struct job *self = calloc(1, sizeof *self);
    if (!self)
        return NULL;
    id_new("cmd-", self->id);
    self->jobs = jobs;
    self->is_running = true;
    self->is_background = json_get_bool(request, "background", false);
    self->started_us = clock_wall_us();
    self->exit_code = -1;
    self->content = copy_content(request);
    self->request = agent_request(self, request);
    list_append(&jobs->all, &self->link);
    jobs->n_running++;
    jobs->n_background += self->is_background;
    return self->content && self->request ? self : destroy(self);
}

int job_start(struct job **ret, struct sandbox *sandbox, const json_t *request,
              const struct job_ops *ops, void *data, struct error *err)
{
    struct jobs *jobs = jobs_of(sandbox);
    if (!jobs)
        return error_set(err, ERROR_INTERNAL, "out of memory");
    if (check_room(jobs, json_get_bool(request, "background", false), err) < 0)
        return -1;
    struct job *self = new_job(jobs, request);
    if (!self)
        return error_set(err, ERROR_INTERNAL, "out of memory");
    self->ops = ops;
    self->data = data;
    if (call_agent(self, err) < 0) {
        destroy(self);
        return -1;
    }
    recording_event(sandbox, "exec", json_pack("{ss ss sb}", "id", self->id, "command", self->content,
                                                 "background", self->is_background));
    *ret = self;
    return 0;
}

/* --- Looking at it ------------------------------------------------------------------------------
 */

struct job *job_find(struct sandbox *sandbox, const char *id, struct error *err)
{
    struct job *job;
    if (sandbox->jobs) {
        list_for_each (job, &sandbox->jobs->all, link) {
            if (strcmp(job->id, id) == 0)
                return job;
        }
    }
    error_set(err, ERROR_NOT_FOUND, "there is no such command in this sandbox, or not any more");
    return NULL;
}

const char *job_id(const struct job *self)
{
    return self->id;
}

bool job_is_background(const struct job *self)
{
    return self->is_background;
}

int64_t job_exit_code(const struct job *self)
{
    return self->exit_code;
}

const char *job_exit_text(const struct job *self)
{
    return self->text;
}

int64_t job_duration_us(const struct job *self)
{
    return self->duration_us;
}

static json_t *time_json(int64_t wall_us)
{
    char text[CLOCK_RFC3339_MAX];
    if (!wall_us)
        return json_null();
    clock_format(wall_us, text);
    return json_string(text);
}

json_t *job_status(const struct job *self)
{
    json_t *error = *self->text ? json_string(self->text) : NULL;
    return json_pack("{s:s,s:s,s:b,s:o,s:o*,s:o,s:o}", "id", self->id, "content", self->content,
                     "running", self->is_running, "exit_code",
                     self->exit_code < 0 ? json_null() : json_integer(self->exit_code), "error",
                     error, "started_at", time_json(self->started_us), "finished_at",
                     time_json(self->finished_us));
}

size_t job_log(const struct job *self, int64_t cursor, const uint8_t **ret_bytes,
               int64_t *ret_from)
{
    int64_t end = self->log_from + (int64_t)self->log.size;
    *ret_from = CLAMP(cursor, self->log_from, end);
    *ret_bytes = end > *ret_from ? self->log.data + (*ret_from - self->log_from) : NULL;
    return (size_t)(end - *ret_from);
}

/* --- Acting on it -------------------------------------------------------------------------------
 */

void job_consumed(struct job *self, size_t size)
{
    if (self->call)
        agent_call_consumed(self->call, size);
}

void job_leave(struct job *self)
{
    self->ops = NULL;
    if (self->is_background || !self->call)
        return;
    self->call = agent_call_cancel(self->call);
    snprintf(self->text, sizeof self->text, "ended because its caller went away");
    tell_end(self, NULL);
}

static void escalate(void *data)
{
    struct job *self = data;
    static const char *const signals[] = { "INT", "TERM", "KILL" };
    if (!self->call || (size_t)self->step >= ARRAY_LEN(signals))
        return;
    agent_call_control(self->call, json_pack("{s:s}", "signal", signals[self->step++]));
    timer_start(self->timer, ESCALATE_US);
}

void job_interrupt(struct job *self)
{
    if (!self->is_running || self->step > 0)
        return;
    if (!self->timer)
        self->timer = timer_new(farm_loop(self->jobs->sandbox->farm), escalate, self);
    if (self->timer)
        escalate(self);
}
