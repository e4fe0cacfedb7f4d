/* Output is taken line by line: none longer than LINE_BYTES_MAX, OUTPUT_BYTES_MAX in all. */
#include "web/inside.h"

#include "hypervisor/agent.h"
#include "web/execd.h"
#include "web/server.h"

#include <string.h>

#define LINE_BYTES_MAX 65536
#define OUTPUT_BYTES_MAX ((size_t)8 << 20)
#define STEP_US 120000000

/* --- One ----------------------------------------------------------------------------------------
 */

struct ask {
    struct request *request;
    struct agent_call *call;
    inside_answer_fn answer;
};

static void handle_answer(void *data, const json_t *result, const struct error *err)
{
    auto_free struct ask *self = data;
    if (err)
        request_answer_error(self->request, err);
    else
        self->answer(self->request, result);
}

static void handle_ask_gone(void *data)
{
    auto_free struct ask *self = data;
    agent_call_cancel(self->call);
}

void inside_ask(struct request *request, json_t *op, int64_t timeout_us, inside_answer_fn answer)
{
    static const struct agent_call_ops ops = { .on_end = handle_answer };
    struct error err = { 0 };
    auto_json json_t *owned = op;
    struct sandbox *sandbox = execd_sandbox(request);
    if (!sandbox)
        return;
    struct agent *agent = sandbox_agent(sandbox, &err);
    auto_free struct ask *self = agent ? calloc(1, sizeof *self) : NULL;
    if (self) {
        *self = (struct ask){ .request = request, .answer = answer };
        self->call = agent_call_new(agent, json_incref(owned), &ops, self, timeout_us);
    }
    if (!self || !self->call) {
        if (agent)
            error_set(&err, ERROR_BUSY, "too much is running in this guest");
        request_answer_error(request, &err);
        return;
    }
    request_on_gone(request, handle_ask_gone, steal_ptr(&self));
}

/* --- Several ------------------------------------------------------------------------------------
 */

struct steps {
    struct inside_steps base;
    struct agent_call *call;
    struct defer *defer;
    struct error err; /* of a line: ends it all when the operation has ended */
    struct buf line;
    size_t n_output;
    bool skips; /* a line that was too long */
};

static void steps_free(struct steps *self)
{
    agent_call_cancel(self->call);
    defer_free(self->defer);
    buf_deinit(&self->line);
    json_decref(self->base.items);
    json_decref(self->base.result);
    sandbox_unref(self->base.sandbox);
    free(self);
}

static void handle_steps_gone(void *data)
{
    steps_free(data);
}

static void fail(struct steps *self, const struct error *err)
{
    request_answer_error(self->base.request, err);
    steps_free(self);
}

static void take_line(struct steps *self)
{
    auto_json json_t *object = NULL;
    if (!self->skips && self->line.size > 0 && !self->err.is_set &&
        json_parse_object((const char *)self->line.data, self->line.size, &object, &self->err) == 0)
        self->base.ops->line(&self->base, object, &self->err);
    self->line.size = 0;
    self->skips = false;
}

static void handle_data(void *data, enum agent_stream stream maybe_unused, const uint8_t *bytes,
                        size_t size)
{
    struct steps *self = data;
    size_t all = size;
    self->n_output += size;
    if (self->n_output > OUTPUT_BYTES_MAX) {
        error_set(&self->err, ERROR_TOO_LARGE, "the guest's answer is larger than %zu bytes",
                  OUTPUT_BYTES_MAX);
        fail(self, &self->err);
        return;
    }
    while (size > 0) {
        const uint8_t *end = memchr(bytes, '\n', size);
        size_t n = end ? (size_t)(end - bytes) : size;
        if (self->line.size + n > LINE_BYTES_MAX)
            self->skips = true;
        else if (!self->skips)
            buf_append(&self->line, bytes, n);
        if (end)
            take_line(self);
        n += end != NULL;
        bytes += n;
        size -= n;
    }
    agent_call_consumed(self->call, all);
}

static void step(void *data);

static void handle_end(void *data, const json_t *result, const struct error *err)
{
    struct steps *self = data;
    const struct inside_steps_ops *ops = self->base.ops;
    self->call = NULL;
    if (err && (!ops->failed || ops->failed(&self->base, err) < 0)) {
        fail(self, err);
        return;
    }
    if (!err && ops->done && !self->err.is_set)
        ops->done(&self->base, result, &self->err);
    if (self->err.is_set)
        fail(self, &self->err);
    else
        defer_request(self->defer); /* not from inside the agent's turn: many steps, one stack */
}

static void step(void *data)
{
    static const struct agent_call_ops with_lines = {
        .on_data = handle_data,
        .on_end = handle_end,
    };
    static const struct agent_call_ops without = { .on_end = handle_end };
    struct steps *self = data;
    struct error err = { 0 };
    json_t *op = self->base.ops->next(&self->base);
    if (!op) {
        self->base.ops->answer(&self->base);
        steps_free(self);
        return;
    }
    struct agent *agent = sandbox_agent(self->base.sandbox, &err);
    if (agent)
        self->call = agent_call_new(agent, json_incref(op),
                                    self->base.ops->line ? &with_lines : &without, self, STEP_US);
    json_decref(op);
    if (agent && !self->call)
        error_set(&err, ERROR_BUSY, "too much is running in this guest");
    if (!self->call)
        fail(self, &err);
}

json_t *inside_item(const struct inside_steps *self)
{
    return json_array_get(self->items, self->index);
}

void inside_run(struct request *request, const struct inside_steps_ops *ops, json_t *items,
                json_t *result)
{
    struct error err = { 0 };
    auto_json json_t *owned = result, *owned_items = items;
    struct sandbox *sandbox = execd_sandbox(request);
    struct steps *self = sandbox ? calloc(1, sizeof *self) : NULL;
    if (!sandbox)
        return;
    if (self)
        self->defer = defer_new(request->web->loop, step, self);
    if (!self || !self->defer) {
        free(self);
        error_set(&err, ERROR_INTERNAL, "out of memory");
        request_answer_error(request, &err);
        return;
    }
    self->base = (struct inside_steps){ .request = request,
                                        .sandbox = sandbox_ref(sandbox),
                                        .ops = ops,
                                        .items = steal_ptr(&owned_items),
                                        .result = steal_ptr(&owned) };
    request_on_gone(request, handle_steps_gone, self);
    step(self);
}
