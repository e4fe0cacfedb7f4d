/* The connections to the agents in a guest, for as long as the guest lives: to deskfarm-agent, to
 * the QEMU guest agent, or to both when the image does not say which it has. Then deskfarm-agent is
 * used as soon as it answers, and until then the other.
 *
 * A connection is made when QMP is up, also for a guest that an earlier daemon started, and made
 * again after it ended: RETRY_US later, doubling to RETRY_MAX_US while no agent answers in between,
 * so that a guest that breaks the rules on purpose costs one HELLO each few seconds. The guest may
 * boot, or have no agent at all: the connection waits, and costs a timer.
 *
 * The link that this guest's agent is not on is connected too, and nobody talks there: the QEMU guest agent
 * looks ten times a second for a host while its port has none, which wakes an idle guest for nothing.
 *
 * A guest that is made from a state is connected before the state is loaded. It may have been saved
 * in the middle of a buffer of the port; QEMU 7.2 sends the rest as soon as it is loaded, and when
 * nobody is connected then, it sends nothing from that port ever again (virtio-console throttles the
 * port, and only a connection that ends lets go of that). What comes of it is of an old session. */
#define LOG_MODULE "inside"
#include "farm/inside.h"

#include "base/log.h"
#include "farm/sandbox-impl.h"

#include <errno.h>
#include <string.h>

#define RETRY_US 200000
#define RETRY_MAX_US 5000000

static const char *const kind_names[] = {
    [INSIDE_ANY] = "any", [INSIDE_NONE] = "none", [INSIDE_DESKFARM] = "deskfarm",
    [INSIDE_QEMU] = "qemu",
};
_Static_assert(ARRAY_LEN(kind_names) == INSIDE_KIND_COUNT, "one name per kind");

const char *inside_kind_name(enum inside_kind kind)
{
    return kind_names[kind];
}

enum inside_kind inside_kind_parse(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(kind_names); i++)
        if (strcmp(kind_names[i], name) == 0)
            return (enum inside_kind)i;
    return INSIDE_ANY;
}

/* Whether a guest of that kind may have who answers on that link. */
static bool may_have(enum inside_kind kind, int link)
{
    if (kind == INSIDE_ANY)
        return true;
    return kind == (link == INSIDE_LINK_QEMU ? INSIDE_QEMU : INSIDE_DESKFARM);
}

/* The one to use: the first that answers, else the first that is connected. */
static void choose(struct sandbox *self)
{
    self->agent = NULL;
    for (int i = INSIDE_LINKS - 1; i >= 0; i--)
        if (self->links[i].agent)
            self->agent = self->links[i].agent;
    for (int i = INSIDE_LINKS - 1; i >= 0; i--)
        if (self->links[i].agent && agent_is_ready(self->links[i].agent))
            self->agent = self->links[i].agent;
}

static void retry(struct inside_link *link)
{
    timer_start(link->retry, link->retry_us);
    link->retry_us = MIN(link->retry_us * 2, (int64_t)RETRY_MAX_US);
}

static void handle_agent_ready(void *data, const json_t *welcome)
{
    struct inside_link *link = data;
    struct sandbox *self = link->sandbox;
    log_debug("%s: the %s agent is ready (%s)", self->id, json_get_string(welcome, "backend", "own"),
              json_get_string(welcome, "release", "?"));
    link->retry_us = RETRY_US;
    farm_counters(self->farm)->agent_sessions++;
    choose(self);
    if (self->agent == link->agent)
        identity_agent_ready(self);
    if (self->guest && (!self->signals_up || guest_is_up(self->guest)))
        layout_desktop_is_up(self);
}

static void handle_agent_lost(void *data)
{
    struct inside_link *link = data;
    log_debug("%s: the agent begins anew", link->sandbox->id);
    choose(link->sandbox);
}

static void handle_agent_closed(void *data, const struct error *why)
{
    struct inside_link *link = data;
    struct sandbox *self = link->sandbox;
    log_info("%s: %s", self->id, why->message);
    farm_counters(self->farm)->agent_closed++;
    link->agent = agent_free(link->agent);
    choose(self);
    if (self->guest)
        retry(link);
}

static int connect_fd(struct inside_link *link, struct error *err)
{
    struct sandbox *self = link->sandbox;
    return link == &self->links[INSIDE_LINK_QEMU] ? guest_qga_connect(self->guest, err)
                                                  : guest_agent_connect(self->guest, err);
}

static void connect_link(struct inside_link *link)
{
    static const struct agent_ops ops = { .on_ready = handle_agent_ready,
                                          .on_lost = handle_agent_lost,
                                          .on_closed = handle_agent_closed };
    struct error err = { 0 };
    struct sandbox *self = link->sandbox;
    bool is_qemu = link == &self->links[INSIDE_LINK_QEMU];
    if (!self->guest || link->agent)
        return;
    int fd = connect_fd(link, &err);
    int r = fd < 0 ? fd : (is_qemu ? agent_new_qga : agent_new)(&link->agent, farm_loop(self->farm), fd,
                                                                &ops, link, &err);
    if (r < 0) {
        log_debug("%s: %s", self->id, err.message);
        retry(link);
    } else if (self->state == SANDBOX_PAUSED || self->lineage.origin) {
        agent_set_paused(link->agent, true);
    }
    choose(self);
}

static void hold_link(struct inside_link *link)
{
    if (link->sandbox->guest && link->held_fd < 0)
        link->held_fd = connect_fd(link, NULL);
}

static void handle_retry(void *data)
{
    connect_link(data);
}

int inside_init(struct sandbox *self, struct error *err)
{
    for (int i = 0; i < INSIDE_LINKS; i++) {
        struct inside_link *link = &self->links[i];
        link->sandbox = self;
        link->retry_us = RETRY_US;
        link->held_fd = -1;
        link->retry = timer_new(farm_loop(self->farm), handle_retry, link);
        if (!link->retry)
            return error_errno(err, ENOMEM, "making a sandbox");
    }
    return 0;
}

void inside_deinit(struct sandbox *self)
{
    inside_disconnect(self);
    for (int i = 0; i < INSIDE_LINKS; i++)
        self->links[i].retry = timer_free(self->links[i].retry);
}

void inside_disconnect(struct sandbox *self)
{
    layout_forget(self);
    self->agent = NULL;
    for (int i = 0; i < INSIDE_LINKS; i++) {
        if (self->links[i].retry)
            timer_stop(self->links[i].retry);
        self->links[i].agent = agent_free(self->links[i].agent);
        if (self->links[i].sandbox)
            util_close_ptr(&self->links[i].held_fd);
        self->links[i].held_fd = -1;
    }
}

void inside_connect(struct sandbox *self)
{
    for (int i = 0; i < INSIDE_LINKS; i++)
        if (may_have(self->agent_kind, i))
            connect_link(&self->links[i]);
        else if (self->agent_kind != INSIDE_NONE)
            hold_link(&self->links[i]);
}

void inside_set_paused(struct sandbox *self, bool is_paused)
{
    for (int i = 0; i < INSIDE_LINKS; i++)
        if (self->links[i].agent)
            agent_set_paused(self->links[i].agent, is_paused);
}

const char *inside_state_name(const struct sandbox *self)
{
    if (self->agent_kind == INSIDE_NONE)
        return "absent";
    return self->agent && agent_is_ready(self->agent) ? "ready" : "waiting";
}

struct agent *sandbox_agent(struct sandbox *self, struct error *err)
{
    if (self->agent_kind == INSIDE_NONE)
        error_set(err, ERROR_UNSUPPORTED, "image %s has no agent in the guest", self->image_name);
    else if (self->state == SANDBOX_PAUSED || self->state == SANDBOX_PAUSING)
        error_set(err, ERROR_CONFLICT, "sandbox %s is paused; resume it first", self->id);
    else if (!self->guest && self->state != SANDBOX_PENDING)
        error_set(err, ERROR_GUEST_GONE, "the guest of sandbox %s has ended", self->id);
    else if (self->state == SANDBOX_STOPPING)
        error_set(err, ERROR_GUEST_GONE, "sandbox %s is being deleted", self->id);
    else if (!self->agent || !agent_is_ready(self->agent))
        error_set(err, ERROR_NOT_READY, "the agent of sandbox %s has not answered yet", self->id);
    else
        return self->agent;
    return NULL;
}

const json_t *sandbox_env(const struct sandbox *self)
{
    return json_object_get(self->request, "env");
}
