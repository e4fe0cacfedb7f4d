/* Commands: run, interrupt, look at. */
#include "base/log.h"
#include "farm/job.h"
#include "web/execd.h"
#include "web/execution.h"
#include "web/route.h"
#include "web/server.h"

#include <stdio.h>
#include <string.h>

/* A command and the caller who follows it. */
struct run {
    struct execution *execution;
    struct job *job;
};

static void handle_gone(void *data)
{
    struct run *self = data;
    job_leave(self->job);
    free(self);
}

static void handle_consumed(void *data, size_t size)
{
    struct run *self = data;
    job_consumed(self->job, size);
}

/* In the background that is all that the caller waits for. */
static void handle_running(void *data)
{
    struct run *self = data;
    struct error err = { 0 };
    bool is_background = job_is_background(self->job);
    if (execution_begin(self->execution, job_id(self->job)) < 0) {
        error_set(&err, ERROR_INTERNAL, "out of memory");
        job_leave(self->job);
        execution_fail(self->execution, &err);
        free(self);
    } else if (is_background) {
        job_leave(self->job);
        execution_end(self->execution, 0, "", 0);
        free(self);
    }
}

static void handle_output(void *data, enum agent_stream stream, const uint8_t *bytes, size_t size)
{
    struct run *self = data;
    execution_output(self->execution, stream, bytes, size);
}

static void handle_end(void *data, const struct error *why)
{
    struct run *self = data;
    if (why)
        execution_fail(self->execution, why);
    else
        execution_end(self->execution, job_exit_code(self->job), job_exit_text(self->job),
                      job_duration_us(self->job));
    free(self);
}

static int check_run(const json_t *body, struct error *err)
{
    const json_t *command = json_object_get(body, "command"), *argv = json_object_get(body, "argv");
    if (!command == !argv)
        return error_set(err, ERROR_BAD_VALUE, "command: give either command or argv");
    if (argv && !*json_string_value(json_array_get(argv, 0)))
        return error_set(err, ERROR_BAD_VALUE, "argv[0]: is empty");
    if (json_object_get(body, "gid") && !json_object_get(body, "uid"))
        return error_set(err, ERROR_BAD_VALUE, "gid: needs a uid beside it");
    return 0;
}

static int start(struct request *request, struct sandbox *sandbox, struct error *err)
{
    static const struct execution_ops execution_ops = {
        .on_consumed = handle_consumed,
        .on_gone = handle_gone,
    };
    static const struct job_ops job_ops = {
        .on_running = handle_running,
        .on_output = handle_output,
        .on_end = handle_end,
    };
    auto_free struct run *self = calloc(1, sizeof *self);
    if (!self)
        return error_set(err, ERROR_INTERNAL, "out of memory");
    if (job_start(&self->job, sandbox, request->body, &job_ops, self, err) < 0)
        return -1;
    self->execution = execution_new(request, &execution_ops, self);
    if (!self->execution) {
        job_leave(self->job);
        return error_set(err, ERROR_INTERNAL, "out of memory");
    }
    steal_ptr(&self);
    return 0;
}

void handle_command_run(struct request *self)
{
    struct error err = { 0 };
    struct sandbox *sandbox = execd_sandbox(self);
    if (sandbox && (check_run(self->body, &err) < 0 || start(self, sandbox, &err) < 0))
        request_answer_error(self, &err);
}

/* The command of the path or the query, or NULL: then the request is answered. */
static struct job *find_job(struct request *self, const json_t *values, const char *key)
{
    struct error err = { 0 };
    struct sandbox *sandbox = execd_sandbox(self);
    struct job *job =
        sandbox ? job_find(sandbox, json_get_string(values, key, ""), &err) : NULL;
    if (sandbox && !job)
        request_answer_error(self, &err);
    return job;
}

void handle_command_interrupt(struct request *self)
{
    struct job *job = find_job(self, self->query, "id");
    if (!job)
        return;
    job_interrupt(job);
    request_answer_empty(self, 200);
}

void handle_command_status(struct request *self)
{
    struct job *job = find_job(self, self->path_values, "command");
    if (job)
        request_answer_json(self, 200, job_status(job));
}

/* The bytes as they are: a caller who wants text decodes the whole of it. */
void handle_command_logs(struct request *self)
{
    struct error err = { 0 };
    struct job *job = find_job(self, self->path_values, "command");
    if (!job)
        return;
    if (!job_is_background(job)) {
        error_set(&err, ERROR_CONFLICT,
                  "the output of a command in the foreground went to its caller; it is not kept");
        request_answer_error(self, &err);
        return;
    }
    const uint8_t *bytes;
    int64_t cursor = json_get_int(self->query, "cursor", 0), from;
    size_t size = job_log(job, cursor, &bytes, &from);
    request_add_header(self, "EXECD-COMMANDS-TAIL-CURSOR", "%lld",
                       (long long)(from + (int64_t)size));
    if (from > cursor)
        request_add_header(self, "X-Deskfarm-Dropped", "%lld", (long long)(from - cursor));
    request_answer_bytes(self, 200, "text/plain; charset=utf-8", bytes_copy(bytes, size));
}
