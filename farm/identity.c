/* Parts that are due are told at once, each by a request of its own, so that one write to the guest
 * holds them all. The clock is told again until it was taken within CLOCK_NEAR_US. A part stays due when the agent's session ends first; an agent that refuses or
 * lacks one is logged and not asked again. */
#define LOG_MODULE "identity"
#include "farm/identity.h"

#include "base/clock.h"
#include "base/log.h"
#include "farm/sandbox-impl.h"

#include <stdio.h>

#define CALL_US 10000000
#define ENTROPY_BYTES 32
#define CLOCK_NEAR_US 40000 /* a clock that was set by an older time than this is set again */
#define CLOCK_TRIES 5

static json_t *clock_request(const struct sandbox *self maybe_unused)
{
    return json_pack("{ss sI}", "op", "clock", "wall_us", (json_int_t)clock_wall_us());
}

static json_t *hostname_request(const struct sandbox *self)
{
    return json_pack("{ss ss}", "op", "hostname", "name", self->id);
}

static json_t *entropy_request(const struct sandbox *self maybe_unused)
{
    uint8_t bytes[ENTROPY_BYTES];
    char hex[2 * ENTROPY_BYTES + 1];
    id_random(bytes, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
    return json_pack("{ss ss}", "op", "entropy", "hex", hex);
}

static json_t *reset_request(const struct sandbox *self maybe_unused)
{
    return json_pack("{ss}", "op", "reset");
}

static const struct part {
    int bit;
    const char *name;
    json_t *(*request)(const struct sandbox *self);
} parts[] = {
    { IDENTITY_CLOCK, "clock", clock_request },
    { IDENTITY_HOSTNAME, "hostname", hostname_request },
    { IDENTITY_ENTROPY, "entropy", entropy_request },
    { IDENTITY_CONNECTIONS, "connections", reset_request },
};
_Static_assert(ARRAY_LEN(parts) == IDENTITY_PARTS, "one place per part");

static void report(struct sandbox *self)
{
    void (*done)(void *data) = self->identity.done;
    timer_stop(self->identity.timer);
    self->identity.done = NULL;
    if (done)
        done(self->identity.data);
}

static void handle_end(void *data, const json_t *result, const struct error *err);

static void tell_part(struct identity_call *call)
{
    static const struct agent_call_ops ops = { .on_end = handle_end };
    call->sent_us = clock_now_us();
    call->n_sent++;
    call->is_running = agent_call_new(call->sandbox->agent, call->part->request(call->sandbox), &ops, call, CALL_US);
}

/* The time was right when it was sent; a guest that waits for a processor takes it late. */
static bool is_stale(const struct identity_call *call)
{
    return call->part->bit == IDENTITY_CLOCK && clock_now_us() - call->sent_us > CLOCK_NEAR_US &&
           call->n_sent < CLOCK_TRIES;
}

static void handle_answer(struct identity_call *call, const json_t *result maybe_unused,
                          const struct error *err)
{
    struct sandbox *self = call->sandbox;
    call->is_running = false;
    if (err && err->code == ERROR_CANCELLED)
        return; /* we let go */
    if (!err && is_stale(call) && self->agent && agent_is_ready(self->agent)) {
        tell_part(call);
        return;
    }
    if (!err || err->code != ERROR_GUEST_GONE)
        self->identity.due &= ~call->part->bit;
    if (!err)
        self->identity.told |= call->part->bit;
    if (err)
        log_info("%s: %s: %s", self->id, call->part->name, err->message);
    if (!self->identity.due)
        report(self);
}

static void handle_end(void *data, const json_t *result, const struct error *err)
{
    handle_answer(data, result, err);
}

static void tell(struct sandbox *self)
{
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        struct identity_call *call = &self->identity.calls[i];
        if (!(self->identity.due & parts[i].bit) || call->is_running)
            continue;
        *call = (struct identity_call){ .sandbox = self, .part = &parts[i] };
        tell_part(call);
    }
}

static void handle_timer(void *data)
{
    ((struct sandbox *)data)->identity.is_late = true;
    report(data);
}

json_t *identity_json(const struct sandbox *self)
{
    const struct identity *identity = &self->identity;
    json_t *out = identity->wanted ? json_object() : json_null();
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        int bit = parts[i].bit;
        bool is_due = (identity->due & bit) && !identity->is_late && self->agent_kind != INSIDE_NONE;
        if (identity->wanted & bit)
            json_object_set_new(out, parts[i].name, json_string(identity->told & bit ? "done"
                                                                : is_due            ? "due"
                                                                                    : "not_done"));
    }
    return out;
}

void identity_refresh(struct sandbox *self, int what, long wait_us, void (*done)(void *data),
                      void *data)
{
    self->identity.due |= what;
    self->identity.wanted |= what;
    self->identity.told &= ~what;
    self->identity.is_late = false;
    self->identity.done = done;
    self->identity.data = data;
    if (!self->identity.timer)
        self->identity.timer = timer_new(farm_loop(self->farm), handle_timer, self);
    if (self->agent && agent_is_ready(self->agent))
        tell(self);
    if (self->identity.timer)
        timer_start(self->identity.timer, wait_us);
}

void identity_agent_ready(struct sandbox *self)
{
    if (self->identity.due)
        tell(self);
}

void identity_forget(struct sandbox *self)
{
    self->identity.due = self->identity.wanted = self->identity.told = 0;
    self->identity.done = NULL;
    self->identity.timer = timer_free(self->identity.timer);
}
