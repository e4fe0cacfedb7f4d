#include "web/task.h"

struct task {
    struct request *request;
    struct sandbox *sandbox;
    struct op *op;
    task_show_fn show;
    int variant;
};

static struct task *task_free(struct task *self)
{
    sandbox_unref(self->sandbox);
    free(self);
    return NULL;
}

static void handle_gone(void *data)
{
    struct task *self = data;
    op_cancel(self->op);
    task_free(self);
}

static void handle_done(void *data, struct answer *answer)
{
    struct task *self = data;
    self->show(self->request, answer, self->variant);
    json_decref(answer->body);
    bytes_unref(answer->image);
    task_free(self);
}

int task_start(struct request *request, struct sandbox *sandbox, task_start_fn start,
               const json_t *params, task_show_fn show, int variant, struct error *err)
{
    struct task *self = calloc(1, sizeof *self);
    if (!self)
        return error_set(err, ERROR_INTERNAL, "out of memory");
    *self = (struct task){
        .request = request, .sandbox = sandbox_ref(sandbox), .show = show, .variant = variant
    };
    self->op = start(sandbox, params, handle_done, self, err);
    if (!self->op) {
        task_free(self);
        return -1;
    }
    request_on_gone(request, handle_gone, self);
    return 0;
}
