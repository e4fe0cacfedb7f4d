/* Sessions: a shell that callers give lines to, one after the other. */
#include "farm/shell.h"
#include "web/execd.h"
#include "web/execution.h"
#include "web/route.h"
#include "web/server.h"

/* A caller and the shell that works for it. */
struct visit {
    struct request *request; /* of one that waits for a new shell */
    struct execution *execution; /* of one that runs lines */
    struct shell *shell;
};

static void handle_gone(void *data)
{
    auto_free struct visit *self = data;
    shell_leave(self->shell);
}

/* --- A new one ----------------------------------------------------------------------------------
 */

static void drop_output(void *data, enum agent_stream stream maybe_unused,
                        const uint8_t *bytes maybe_unused, size_t size)
{
    struct visit *self = data;
    shell_consumed(self->shell, size);
}

static void handle_started(void *data, int exit_code maybe_unused, const char *text maybe_unused,
                           int64_t duration_us maybe_unused)
{
    auto_free struct visit *self = data;
    request_answer_json(self->request, 200,
                        json_pack("{s:s}", "session_id", shell_id(self->shell)));
}

static void handle_not_started(void *data, const struct error *why)
{
    auto_free struct visit *self = data;
    request_answer_error(self->request, why);
}

void handle_session_create(struct request *self)
{
    static const struct shell_ops ops = {
        .on_output = drop_output,
        .on_done = handle_started,
        .on_failed = handle_not_started,
    };
    struct error err = { 0 };
    struct sandbox *sandbox = execd_sandbox(self);
    if (!sandbox)
        return;
    auto_free struct visit *visit = calloc(1, sizeof *visit);
    if (visit)
        visit->request = self;
    else
        error_set(&err, ERROR_INTERNAL, "out of memory");
    if (!visit || shell_start(&visit->shell, sandbox, json_get_string(self->body, "cwd", ""), &ops,
                              visit, &err) < 0)
        request_answer_error(self, &err);
    else
        request_on_gone(self, handle_gone, steal_ptr(&visit));
}

/* --- Lines --------------------------------------------------------------------------------------
 */

static void handle_consumed(void *data, size_t size)
{
    struct visit *self = data;
    shell_consumed(self->shell, size);
}

static void handle_output(void *data, enum agent_stream stream, const uint8_t *bytes, size_t size)
{
    struct visit *self = data;
    execution_output(self->execution, stream, bytes, size);
}

static void handle_done(void *data, int exit_code, const char *text, int64_t duration_us)
{
    auto_free struct visit *self = data;
    execution_end(self->execution, exit_code, text, duration_us);
}

static void handle_failed(void *data, const struct error *why)
{
    auto_free struct visit *self = data;
    execution_fail(self->execution, why);
}

static int run(struct request *request, struct shell *shell, struct error *err)
{
    static const struct execution_ops execution_ops = {
        .on_consumed = handle_consumed,
        .on_gone = handle_gone,
    };
    static const struct shell_ops shell_ops = {
        .on_output = handle_output,
        .on_done = handle_done,
        .on_failed = handle_failed,
    };
    auto_free struct visit *self = calloc(1, sizeof *self);
    if (!self)
        return error_set(err, ERROR_INTERNAL, "out of memory");
    if (shell_run(shell, request->body, &shell_ops, self, err) < 0)
        return -1;
    self->shell = shell;
    self->execution = execution_new(request, &execution_ops, self);
    if (!self->execution || execution_begin(self->execution, shell_id(shell)) < 0) {
        shell_leave(shell);
        return error_set(err, ERROR_INTERNAL, "out of memory");
    }
    steal_ptr(&self);
    return 0;
}

void handle_session_run(struct request *self)
{
    struct error err = { 0 };
    struct sandbox *sandbox = execd_sandbox(self);
    struct shell *shell =
        sandbox ? shell_find(sandbox, json_get_string(self->path_values, "session", ""), &err)
                : NULL;
    if (sandbox && (!shell || run(self, shell, &err) < 0))
        request_answer_error(self, &err);
}

void handle_session_delete(struct request *self)
{
    struct error err = { 0 };
    struct sandbox *sandbox = execd_sandbox(self);
    if (!sandbox)
        return;
    struct shell *shell =
        shell_find(sandbox, json_get_string(self->path_values, "session", ""), &err);
    if (!shell) {
        request_answer_error(self, &err);
        return;
    }
    shell_end(shell);
    request_answer_empty(self, 200);
}
