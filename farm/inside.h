/* What a sandbox has inside its guest: the agent there, and what later calls need of it. Not for
 * web/, which uses sandbox_agent. */
#pragma once

#include "hypervisor/agent.h"

struct sandbox;

/* Who answers in the guest, by the image's word; INSIDE_ANY: whoever does. */
enum inside_kind { INSIDE_ANY, INSIDE_NONE, INSIDE_DESKFARM, INSIDE_QEMU, INSIDE_KIND_COUNT };

/* A connection to one of the guest's ports, for as long as the guest lives. */
struct inside_link {
    struct sandbox *sandbox;
    struct agent *agent; /* NULL while there is none */
    struct timer *retry;
    int64_t retry_us;
    int held_fd; /* connected, and nobody talks there; -1 */
};

/* The first that is ready is used. */
enum { INSIDE_LINK_DESKFARM, INSIDE_LINK_QEMU, INSIDE_LINKS };

const char *inside_kind_name(enum inside_kind kind); /* "any", "none", "deskfarm", "qemu" */
/* Unknown names are any: an image may be newer than the daemon. */
enum inside_kind inside_kind_parse(const char *name);

int inside_init(struct sandbox *self, struct error *err);
void inside_deinit(struct sandbox *self);
/* QMP is up: connects, and again by itself until inside_disconnect. Before a state is loaded, if
 * one is; the guest counts as standing still until inside_set_paused. */
void inside_connect(struct sandbox *self);
/* The guest is gone, or is being ended. */
void inside_disconnect(struct sandbox *self);
/* The guest stands still, or runs again. */
void inside_set_paused(struct sandbox *self, bool is_paused);
/* "absent": the image has none. "waiting": it has not answered. "ready". */
const char *inside_state_name(const struct sandbox *self);
