/* Asks the agent in the guest, FREEZE_US long at most; who is not answered in time thaws in any case
 * (hypervisor/qga-facts.c), and the guest is saved as it runs.
 *
 * What it is for. A checkpoint has the guest's memory and needs none of it. Frozen, its disk is whole
 * without the memory too: what programs wrote is there, and on Windows what databases hold back.
 *
 * What comes out of such a checkpoint is frozen, and is thawed as soon as its agent is spoken to.
 *
 * Windows holds still for 10 s. When thawing says that this is over, the save took too long, and the
 * checkpoint counts as not frozen. */
#define LOG_MODULE "freeze"
#include "farm/freeze.h"

#include "base/log.h"
#include "farm/sandbox-impl.h"

#include <stdio.h>

#define FREEZE_US 9000000
#define THAW_US 5000000

struct freeze {
    struct sandbox *sandbox;
    struct agent_call *call;
    struct defer *defer;
    freeze_fn done;
    void *data;
    bool is_frozen, was_frozen; /* now; while the guest was saved */
    struct error err;
};

static void finish(void *data)
{
    struct freeze *self = data;
    freeze_fn done = self->done;
    self->done = NULL;
    if (done)
        done(self->data);
}

static void handle_end(void *data, const json_t *result maybe_unused, const struct error *err)
{
    struct freeze *self = data;
    self->call = NULL;
    self->is_frozen = !self->is_frozen && !err;
    self->was_frozen = !err;
    if (err) {
        self->err = *err;
        log_warn("%s: is saved without its file systems held still: %s", self->sandbox->id, err->message);
    }
    defer_request(self->defer); /* not from inside the agent, which may be going */
}

static void ask(struct freeze *self, const char *op, int64_t limit_us)
{
    static const struct agent_call_ops ops = { .on_end = handle_end };
    struct agent *agent = sandbox_agent(self->sandbox, &self->err);
    if (agent)
        self->call = agent_call_new(agent, json_pack("{ss}", "op", op), &ops, self, limit_us);
    if (agent && !self->call)
        error_set(&self->err, ERROR_BUSY, "too much is running in this guest");
    if (self->call)
        return;
    self->was_frozen = false;
    defer_request(self->defer);
}

struct freeze *freeze_new(struct sandbox *sandbox, freeze_fn done, void *data)
{
    struct freeze *self = calloc(1, sizeof *self);
    if (!self)
        return NULL;
    self->sandbox = sandbox_ref(sandbox);
    self->done = done;
    self->data = data;
    self->defer = defer_new(farm_loop(sandbox->farm), finish, self);
    if (!self->defer)
        return freeze_free(self);
    ask(self, "freeze", FREEZE_US);
    return self;
}

void freeze_thaw(struct freeze *self, freeze_fn done, void *data)
{
    self->done = done;
    self->data = data;
    if (self->is_frozen)
        ask(self, "thaw", THAW_US);
    else
        defer_request(self->defer);
}

void freeze_json(const struct freeze *self, json_t *to)
{
    json_object_set_new(to, "frozen", json_boolean(self->was_frozen));
    if (!self->was_frozen)
        json_object_set_new(to, "freeze_error", json_string(self->err.message));
}

struct freeze *freeze_free(struct freeze *self)
{
    if (!self)
        return NULL;
    self->done = NULL;
    self->call = agent_call_cancel(self->call);
    if (self->is_frozen) {
        struct agent *agent = sandbox_agent(self->sandbox, NULL);
        if (agent)
            agent_call_new(agent, json_pack("{ss}", "op", "thaw"), NULL, NULL, THAW_US);
    }
    defer_free(self->defer);
    sandbox_unref(self->sandbox);
    free(self);
    return NULL;
}
