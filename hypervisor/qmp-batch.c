#include "hypervisor/qmp-batch.h"

struct qmp_batch {
    struct qmp *qmp;
    qmp_batch_fn done;
    void *data;
    int n_open; /* unanswered, and one until qmp_batch_end */
    struct error err;
};

static void close_one(struct qmp_batch *self)
{
    if (--self->n_open > 0)
        return;
    self->done(self->data, self->err.is_set ? &self->err : NULL);
    free(self);
}

static void handle_answer(void *data, json_t *result maybe_unused, const struct error *err)
{
    struct qmp_batch *self = data;
    if (err && !self->err.is_set)
        self->err = *err;
    close_one(self);
}

struct qmp_batch *qmp_batch_begin(struct qmp *qmp, qmp_batch_fn done, void *data)
{
    struct qmp_batch *self = calloc(1, sizeof *self);
    if (self)
        *self = (struct qmp_batch){ .qmp = qmp, .done = done, .data = data, .n_open = 1 };
    return self;
}

void qmp_batch_add(struct qmp_batch *self, const char *command, json_t *args)
{
    qmp_batch_add_fd(self, command, args, -1);
}

void qmp_batch_add_fd(struct qmp_batch *self, const char *command, json_t *args, int fd)
{
    if (!self) {
        json_decref(args);
        util_close_ptr(&fd);
        return;
    }
    self->n_open++;
    if (fd >= 0)
        qmp_execute_fd(self->qmp, command, args, fd, handle_answer, self);
    else
        qmp_execute(self->qmp, command, args, handle_answer, self);
}

void qmp_batch_end(struct qmp_batch *self)
{
    close_one(self);
}
