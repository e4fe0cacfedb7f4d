/* What a guest must be told after it stood still or became another: the time, its name, fresh
 * randomness, and that its connections are another's. From outside only its generation id and its keys can be changed; the rest is the
 * agent's. Not for web/. */
#pragma once

#include "base/json.h"

struct sandbox;

enum identity_part {
    IDENTITY_CLOCK = 1 << 0,   /* the guest's clock fell behind by the time it was stopped */
    IDENTITY_HOSTNAME = 1 << 1, /* its host name becomes the sandbox's id */
    IDENTITY_ENTROPY = 1 << 2, /* its kernel's generator is reseeded from 32 bytes of the host */
    IDENTITY_CONNECTIONS = 1 << 3, /* TCP connections to the outside, which were made before, are reset */
};

/* Has these parts (or'ed) told. done runs once, later: when the agent has answered for all that was
 * due, or wait_us passed; then what is left is told when an agent answers. A second call takes the
 * place of the first's done. */
void identity_refresh(struct sandbox *self, int parts, long wait_us, void (*done)(void *data),
                      void *data);
/* The agent begins to answer: tells what is due. */
void identity_agent_ready(struct sandbox *self);
/* What came of it: {"clock","hostname","entropy","connections"}, the last of a guest with a network; each "done",
 * "due" (the agent has not answered yet) or "not_done" (it did not in time, lacks it, or there is none); null for
 * a guest that was never told. */
json_t *identity_json(const struct sandbox *self);
/* The guest is gone: nothing is due. done does not run. */
void identity_forget(struct sandbox *self);
