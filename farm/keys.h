/* API keys: who may do what, and how much. Keys are 160 random bits, shown once, stored as SHA-256
 * (they are not passwords: a slow hash would only slow the daemon). */
#pragma once

#include "base/error.h"
#include "base/id.h"
#include "base/json.h"

/* Each role may do all that the ones before it may. */
enum role {
    ROLE_NONE,     /* not known to us: only /healthz and /readyz */
    ROLE_VIEWER,   /* read: list, get, screenshots */
    ROLE_OPERATOR, /* create, act, delete its own sandboxes */
    ROLE_ADMIN,    /* everybody's sandboxes, keys, drain */
};

const char *role_name(enum role role);
int role_parse(const char *name, enum role *ret);

/* What a key's sandboxes may hold together. 0: no limit of its own. */
struct key_limits {
    int64_t sandboxes, cpus, memory_mib, disk_mib;
};

/* Who is calling. key_id "" is the local caller on a daemon that has no keys: an admin. */
struct principal {
    enum role role;
    char key_id[ID_MAX];
    struct key_limits limits;
};

struct journal;
struct keys;

int keys_new(struct keys **ret, struct journal *journal, struct error *err);
struct keys *keys_free(struct keys *self);
/* False: callers on loopback or the unix socket need none and are admins. */
bool keys_exist(const struct keys *self);
/* Finds the key that this secret is of. Compares in constant time. Positive 1: no such key. */
int keys_authenticate(struct keys *self, const char *secret, struct principal *ret);
/* {"id","name","role","limits","created_at","key":"df_…"}: the only time that the secret is shown. */
int keys_add(struct keys *self, const char *name, enum role role, const struct key_limits *limits,
             json_t **ret, struct error *err);
int keys_remove(struct keys *self, const char *id, struct error *err);
/* What the key of that id may hold; zeroes when there is none. */
void keys_limits(const struct keys *self, const char *id, struct key_limits *ret);
/* {"items":[…]} without secrets. */
json_t *keys_list(struct keys *self);
