/* Templates, checkpoints and forks. What was begun goes on when its caller goes away; only the answer
 * is then nobody's. */
#include "farm/fork.h"
#include "farm/sandbox.h"
#include "farm/tree.h"
#include "web/route.h"
#include "web/server.h"

/* A request and the work that will answer it. Freed by the work. */
struct wait {
    struct request *request; /* NULL once the caller has gone */
    int status;
};

static void handle_gone(void *data)
{
    ((struct wait *)data)->request = NULL;
}

static void handle_done(void *data, const json_t *result, const struct error *err)
{
    struct wait *self = data;
    if (self->request && err)
        request_answer_error(self->request, err);
    else if (self->request)
        request_answer_json(self->request, self->status, json_deep_copy(result));
    free(self);
}

static struct wait *wait_new(struct request *request, int status)
{
    struct wait *self = calloc(1, sizeof *self);
    if (self)
        *self = (struct wait){ request, status };
    return self;
}

/* r is what the start of the work returned. */
static void wait_begin(struct wait *self, int r, const struct error *err)
{
    if (r == 0) {
        request_on_gone(self->request, handle_gone, self);
        return;
    }
    request_answer_error(self->request, err);
    free(self);
}

static struct wait *begin(struct request *request, int status)
{
    struct error err;
    struct wait *self = wait_new(request, status);
    if (!self) {
        error_set(&err, ERROR_INTERNAL, "out of memory");
        request_answer_error(request, &err);
    }
    return self;
}

static const char *id_of(const struct request *request)
{
    return json_get_string(request->path_values, "id", "");
}

static struct sandbox *find(struct request *request)
{
    struct error err = { 0 };
    struct sandbox *sandbox = farm_find(request->web->farm, &request->who, id_of(request), &err);
    if (!sandbox)
        request_answer_error(request, &err);
    return sandbox;
}

static void answer(struct request *request, json_t *body, const struct error *err)
{
    if (body)
        request_answer_json(request, 200, body);
    else
        request_answer_error(request, err);
}

void handle_sandbox_fork(struct request *request)
{
    struct error err = { 0 };
    struct sandbox *sandbox = find(request);
    struct wait *wait = sandbox ? begin(request, 201) : NULL;
    if (wait)
        wait_begin(wait, sandbox_fork(request->web->farm, &request->who, sandbox, request->body, handle_done,
                                      wait, &err), &err);
}

void handle_sandbox_checkpoint(struct request *request)
{
    struct error err = { 0 };
    struct sandbox *sandbox = find(request);
    struct wait *wait = sandbox ? begin(request, 201) : NULL;
    if (wait)
        wait_begin(wait, sandbox_checkpoint(sandbox, request->body, handle_done, wait, &err), &err);
}

void handle_sandbox_restore(struct request *request)
{
    struct error err = { 0 };
    struct sandbox *sandbox = find(request);
    struct wait *wait = sandbox ? begin(request, 200) : NULL;
    if (wait)
        wait_begin(wait, sandbox_restore(request->web->farm, &request->who, sandbox, request->body,
                                         handle_done, wait, &err), &err);
}

void handle_sandbox_checkpoints(struct request *request)
{
    struct sandbox *sandbox = find(request);
    if (sandbox)
        answer(request, farm_checkpoints(request->web->farm, &request->who, sandbox_id(sandbox), false), NULL);
}

void handle_checkpoint_list(struct request *request)
{
    answer(request, farm_checkpoints(request->web->farm, &request->who, NULL, false), NULL);
}

void handle_checkpoint_get(struct request *request)
{
    struct error err = { 0 };
    answer(request, farm_checkpoint(request->web->farm, &request->who, id_of(request), &err), &err);
}

void handle_checkpoint_create(struct request *request)
{
    struct error err = { 0 };
    struct sandbox *sandbox = NULL;
    if (farm_create_from(request->web->farm, &request->who, id_of(request), request->body, &sandbox, &err) < 0) {
        request_answer_error(request, &err);
        return;
    }
    request_add_header(request, "Location", "/v1/sandboxes/%s", sandbox_id(sandbox));
    request_answer_json(request, 202, sandbox_json(sandbox));
}

void handle_checkpoint_fork(struct request *request)
{
    struct error err = { 0 };
    struct wait *wait = begin(request, 201);
    if (wait)
        wait_begin(wait, farm_fork_checkpoint(request->web->farm, &request->who, id_of(request), request->body,
                                              handle_done, wait, &err), &err);
}

void handle_checkpoint_delete(struct request *request)
{
    struct error err = { 0 };
    if (farm_delete_checkpoint(request->web->farm, &request->who, id_of(request), &err) < 0)
        request_answer_error(request, &err);
    else
        request_answer_empty(request, 204);
}

void handle_template_list(struct request *request)
{
    answer(request, farm_checkpoints(request->web->farm, &request->who, NULL, true), NULL);
}

void handle_template_bake(struct request *request)
{
    struct error err = { 0 };
    struct wait *wait = begin(request, 201);
    if (wait)
        wait_begin(wait, farm_bake(request->web->farm, &request->who, request->body, handle_done, wait, &err),
                   &err);
}

void handle_template_set(struct request *request)
{
    struct error err = { 0 };
    answer(request, farm_set_template(request->web->farm, &request->who, id_of(request), request->body, &err),
           &err);
}

void handle_tree(struct request *request)
{
    answer(request, farm_tree(request->web->farm, &request->who), NULL);
}
