/* The interface: each call goes to the backend that made the object. */
#include "hypervisor/agent-private.h"

struct agent *agent_free(struct agent *self)
{
    return self ? self->backend->free(self) : NULL;
}

bool agent_is_ready(const struct agent *self)
{
    return self->backend->is_ready(self);
}

bool agent_is_windows(const struct agent *self)
{
    return self->backend->is_windows && self->backend->is_windows(self);
}

bool agent_takes_whole_input(const struct agent *self)
{
    return self->backend->takes_whole_input;
}

void agent_restart(struct agent *self)
{
    self->backend->restart(self);
}

void agent_set_paused(struct agent *self, bool is_paused)
{
    self->backend->set_paused(self, is_paused);
}

struct agent_call *agent_call_new(struct agent *agent, json_t *request,
                                  const struct agent_call_ops *ops, void *data, int64_t timeout_us)
{
    static const struct agent_call_ops none;
    return agent->backend->call_new(agent, request, ops ? ops : &none, data, timeout_us);
}

size_t agent_call_write(struct agent_call *self, const void *bytes, size_t size)
{
    return self->agent->backend->call_write(self, bytes, size);
}

void agent_call_eof(struct agent_call *self)
{
    self->agent->backend->call_eof(self);
}

int agent_call_control(struct agent_call *self, json_t *word)
{
    return self->agent->backend->call_control(self, word);
}

void agent_call_consumed(struct agent_call *self, size_t size)
{
    self->agent->backend->call_consumed(self, size);
}

void agent_call_close(struct agent_call *self)
{
    if (self->agent->backend->call_close)
        self->agent->backend->call_close(self);
}

struct agent_call *agent_call_cancel(struct agent_call *self)
{
    return self ? self->agent->backend->call_cancel(self) : NULL;
}

void agent_guest_error(struct error *err, const char *op, enum error_code code, const char *text)
{
    error_set(err, code, "in the guest: %s: %s", op, text);
    for (char *at = err->message; *at; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            *at = ' ';
}
