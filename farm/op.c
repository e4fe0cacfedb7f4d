#include "farm/op.h"

#include "farm/sandbox-impl.h"
#include "stream/recorder.h"

#include <errno.h>

static void handle_begin(void *data)
{
    struct op *self = data;
    self->impl->begin(self);
}

static int check_state(const struct sandbox *sandbox, bool runs_paused, struct error *err)
{
    switch (sandbox->state) {
    case SANDBOX_PENDING:
    case SANDBOX_RUNNING:
        return 0;
    case SANDBOX_PAUSING:
    case SANDBOX_PAUSED:
    case SANDBOX_RESUMING:
    case SANDBOX_HIBERNATING:
    case SANDBOX_HIBERNATED:
    case SANDBOX_WAKING:
        return runs_paused ? 0
                           : error_set(err, ERROR_CONFLICT, "sandbox %s is %s; resume it first",
                                       sandbox->id, sandbox_state_name(sandbox->state));
    default:
        return error_set(err, ERROR_GUEST_GONE, "sandbox %s is %s%s%s", sandbox->id,
                         sandbox_state_name(sandbox->state), *sandbox->message ? ": " : "",
                         sandbox->message);
    }
}

struct op *op_new(size_t size, const struct op_impl *impl, struct sandbox *sandbox, answer_fn done,
                  void *data, struct error *err)
{
    if (check_state(sandbox, impl->runs_paused, err) < 0)
        return NULL;
    struct op *self = calloc(1, size);
    if (self) {
        self->defer = defer_new(farm_loop(sandbox->farm), handle_begin, self);
        self->body = json_object();
    }
    if (!self || !self->defer || !self->body) {
        error_errno(err, ENOMEM, "starting an operation");
        if (self) {
            defer_free(self->defer);
            json_decref(self->body);
            free(self);
        }
        return NULL;
    }
    self->impl = impl;
    self->sandbox = sandbox_ref(sandbox);
    self->done = done;
    self->data = data;
    list_init(&self->link);
    return self;
}

struct op *op_start(struct op *self)
{
    list_append(&self->sandbox->ops, &self->link);
    if (!self->impl->is_blind)
        display_hold(self->sandbox->display);
    defer_request(self->defer);
    return self;
}

static void destroy(struct op *self)
{
    list_remove(&self->link);
    barrier_cancel(self->barrier);
    if (self->waiting)
        bytes_unref(self->waiting->image);
    free(self->waiting);
    defer_free(self->defer);
    timer_free(self->timer);
    if (self->impl->deinit)
        self->impl->deinit(self);
    json_decref(self->body);
    sandbox_unref(self->sandbox);
    free(self);
}

struct op *op_drop(struct op *self)
{
    if (self)
        destroy(self);
    return NULL;
}

static void give(struct op *self, struct answer *answer)
{
    answer->body = json_incref(self->body);
    bytes_ref(answer->image);
    self->done(self->data, answer);
    destroy(self);
}

static void handle_recorded(void *data, bool is_written maybe_unused)
{
    struct op *self = data;
    struct answer answer = *self->waiting;
    self->barrier = NULL;
    give(self, &answer);
}

/* What the answer names is in the recording before the caller has it. A full disk holds nobody up. */
static bool wait_for_recording(struct op *self, const struct answer *answer)
{
    if (self->impl->is_blind || !self->sandbox->recorder)
        return false;
    self->waiting = malloc(sizeof *self->waiting);
    if (!self->waiting)
        return false;
    *self->waiting = *answer;
    bytes_ref(answer->image);
    self->barrier = recorder_barrier(self->sandbox->recorder, handle_recorded, self);
    return self->barrier != NULL;
}

static void end(struct op *self, struct answer *answer, bool is_aborted)
{
    /* Off the list first: what stop does may end other operations. */
    list_remove(&self->link);
    /* One that ends before its first turn must not begin while its answer waits for the recording. */
    self->defer = defer_free(self->defer);
    self->impl->stop(self, is_aborted);
    op_no_timer(self);
    if (!self->impl->is_blind)
        display_release(self->sandbox->display);
    if (!answer)
        destroy(self);
    else if (!wait_for_recording(self, answer))
        give(self, answer);
}

void op_finish(struct op *self, struct answer *answer)
{
    end(self, answer, false);
}

void op_fail(struct op *self, const struct error *err)
{
    struct answer answer = { .err = *err };
    answer.err.is_set = true;
    self->why = &answer.err;
    end(self, &answer, true);
}

void op_cancel(struct op *self)
{
    if (self && self->waiting)
        destroy(self);
    else if (self)
        end(self, NULL, true);
}

static void handle_timer(void *data)
{
    struct op *self = data;
    self->on_timer(self);
}

void op_after(struct op *self, int64_t delay_us, void (*fn)(struct op *self))
{
    if (!self->timer)
        self->timer = timer_new(farm_loop(self->sandbox->farm), handle_timer, self);
    self->on_timer = fn;
    if (self->timer)
        timer_start(self->timer, delay_us);
}

void op_no_timer(struct op *self)
{
    if (self->timer)
        timer_stop(self->timer);
}
