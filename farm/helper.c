/* Input goes as the guest takes it, output is collected up to HELPER_OUTPUT_MAX: an answer is one
 * document or one clipboard. */
#include "farm/helper.h"

#include "farm/sandbox.h"
#include "hypervisor/agent.h"

#include <stdio.h>

struct helper_call {
    struct agent_call *call;
    struct bytes *input;
    size_t sent;
    struct buf output;
    helper_done_fn done;
    void *data;
};

static struct helper_call *helper_call_free(struct helper_call *self)
{
    bytes_unref(self->input);
    buf_deinit(&self->output);
    free(self);
    return NULL;
}

static void handle_data(void *data, enum agent_stream stream, const uint8_t *bytes, size_t size)
{
    struct helper_call *self = data;
    if (stream == AGENT_STDOUT)
        buf_append(&self->output, bytes, size);
    agent_call_consumed(self->call, size);
}

static void handle_writable(void *data)
{
    struct helper_call *self = data;
    size_t left = self->input->size - self->sent;
    if (left == 0)
        return;
    self->sent += agent_call_write(self->call, self->input->data + self->sent, left);
    if (self->sent == self->input->size)
        agent_call_eof(self->call);
}

static void handle_end(void *data, const json_t *result, const struct error *err)
{
    struct helper_call *self = data;
    struct error too_large = { 0 };
    if (!err && self->output.failed) {
        error_set(&too_large, ERROR_TOO_LARGE, "the guest answered more than %d bytes",
                  HELPER_OUTPUT_MAX);
        err = &too_large;
    }
    self->done(self->data, err ? NULL : result, &self->output, err);
    helper_call_free(self);
}

struct helper_call *helper_call_new(struct sandbox *sandbox, const char *name, json_t *request,
                                    struct bytes *input, int64_t timeout_us, helper_done_fn done,
                                    void *data, struct error *err)
{
    static const struct agent_call_ops ops = { .on_data = handle_data,
                                               .on_writable = handle_writable,
                                               .on_end = handle_end };
    auto_json json_t *owned = request;
    char op[64];
    struct agent *agent = sandbox_agent(sandbox, err);
    struct helper_call *self = agent ? calloc(1, sizeof *self) : NULL;
    if (!agent)
        return NULL;
    snprintf(op, sizeof op, "desktop.%s", name);
    if (self && json_object_set_new(owned, "op", json_string(op)) == 0) {
        *self = (struct helper_call){ .input = input ? bytes_ref(input) : NULL,
                                      .done = done,
                                      .data = data,
                                      .output.limit = HELPER_OUTPUT_MAX };
        self->call = agent_call_new(agent, json_incref(owned), &ops, self, timeout_us);
    }
    if (!self || !self->call) {
        if (self)
            helper_call_free(self);
        error_set(err, ERROR_BUSY, "too much is running in this guest");
        return NULL;
    }
    if (input && input->size > 0)
        handle_writable(self);
    else
        agent_call_eof(self->call);
    return self;
}

void helper_call_close(struct helper_call *self)
{
    agent_call_close(self->call);
}

struct helper_call *helper_call_cancel(struct helper_call *self)
{
    if (!self)
        return NULL;
    agent_call_cancel(self->call);
    return helper_call_free(self);
}
