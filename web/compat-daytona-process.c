/* Daytona's process/execute: a command to its end, its output as one text. Stdout and stderr come
 * together, as they do there. A command that says more than OUTPUT_MAX is ended: its callers hold the
 * text whole. */
#include "web/compat-daytona.h"

#include "farm/recording.h"
#include "hypervisor/agent.h"
#include "web/event.h"
#include "web/route.h"
#include "web/server.h"

#include <string.h>

#define OUTPUT_MAX ((size_t)16 << 20)

struct execute {
    struct request *request;
    struct sandbox *sandbox;
    struct agent_call *call;
    struct buf output;
};

static void execute_free(struct execute *self)
{
    agent_call_cancel(self->call);
    sandbox_unref(self->sandbox);
    buf_deinit(&self->output);
    free(self);
}

static void handle_gone(void *data)
{
    execute_free(data);
}

static void fail(struct execute *self, const struct error *err)
{
    request_answer_error(self->request, err);
    execute_free(self);
}

static void handle_data(void *data, enum agent_stream stream maybe_unused, const uint8_t *bytes,
                        size_t size)
{
    struct execute *self = data;
    struct error err = { 0 };
    if (buf_append(&self->output, bytes, size) < 0) {
        error_set(&err, ERROR_TOO_LARGE, "the command wrote more than %zu bytes; it was ended",
                  OUTPUT_MAX);
        fail(self, &err);
        return;
    }
    agent_call_consumed(self->call, size);
}

/* The output as JSON text: what is no UTF-8 is replaced. */
static json_t *output_json(const struct buf *output)
{
    auto_buf struct buf line = BUF_INIT;
    auto_json json_t *event = NULL;
    struct event_tail tail = { 0 };
    json_t *text = json_stringn(output->size ? (const char *)output->data : "", output->size);
    if (text)
        return text;
    event_output(&line, EVENT_LINES, "stdout", &tail, output->data, output->size, true);
    if (json_parse_object(buf_str(&line), line.size, &event, NULL) < 0)
        return json_string("");
    return json_incref(json_object_get(event, "text"));
}

static void handle_end(void *data, const json_t *result, const struct error *why)
{
    struct execute *self = data;
    struct error err = { 0 };
    self->call = NULL;
    int number = (int)json_get_int(result, "signal", 0);
    recording_exec_ended(self->sandbox, result);
    if (!why && json_get_bool(result, "timed_out", false)) {
        error_set(&err, ERROR_TIMEOUT, "the command ran into its timeout and was ended");
        why = &err;
    }
    if (why) {
        fail(self, why);
        return;
    }
    json_int_t code = number ? 128 + number : (json_int_t)json_get_int(result, "exit", 0);
    request_answer_json(
        self->request, 200,
        json_pack("{s:I,s:o}", "exitCode", code, "result", output_json(&self->output)));
    execute_free(self);
}

static json_t *make_request(const struct sandbox *sandbox, const json_t *body)
{
    json_t *env = json_object();
    json_t *out = json_pack("{s:s,s:O,s:o}", "op", "exec", "command",
                            json_object_get(body, "command"), "env", env);
    const char *cwd = json_get_string(body, "cwd", "");
    int64_t timeout_s = json_get_int(body, "timeout", 0);
    if (sandbox_env(sandbox))
        json_object_update(env, (json_t *)(uintptr_t)sandbox_env(sandbox));
    if (json_is_object(json_object_get(body, "envs")))
        json_object_update(env, json_object_get(body, "envs"));
    if (*cwd)
        json_object_set_new(out, "cwd", json_string(cwd));
    if (timeout_s > 0)
        json_object_set_new(out, "timeout_us", json_integer(timeout_s * 1000000));
    return out;
}

void handle_daytona_execute(struct request *request)
{
    static const struct agent_call_ops ops = { .on_data = handle_data, .on_end = handle_end };
    struct error err = { 0 };
    struct sandbox *sandbox = daytona_find(request, &err);
    struct agent *agent = sandbox ? sandbox_agent(sandbox, &err) : NULL;
    struct execute *self = agent ? calloc(1, sizeof *self) : NULL;
    if (self) {
        *self = (struct execute){ .request = request,
                                  .sandbox = sandbox_ref(sandbox),
                                  .output = { .limit = OUTPUT_MAX } };
        recording_exec(sandbox, request->body);
        self->call = agent_call_new(agent, make_request(sandbox, request->body), &ops, self, 0);
        request_on_gone(request, handle_gone, self);
    }
    if (self && self->call)
        return;
    if (!err.is_set)
        error_set(&err, ERROR_INTERNAL, "out of memory");
    request_answer_error(request, &err);
    if (self)
        execute_free(self);
}

/* Commands begin in the home directory of the agent's own user. */
static void answer_directory(struct request *request)
{
    if (daytona_sandbox(request))
        request_answer_json(request, 200, json_pack("{s:s}", "dir", "/root"));
}

void handle_daytona_home(struct request *request)
{
    answer_directory(request);
}

void handle_daytona_work_dir(struct request *request)
{
    answer_directory(request);
}
