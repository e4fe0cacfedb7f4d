/* Whom a request acts as. */
#pragma once

#include "base/json.h"

#include <sys/types.h>

#define USER_GROUPS_MAX 64

struct user {
    bool is_other; /* not whom the agent runs as: change to it */
    uid_t uid;
    gid_t gid;
    gid_t groups[USER_GROUPS_MAX];
    int n_groups;
    char name[64], home[256], shell[128];
};

/* "user": a name or a uid (absent: the agent's own), "group": a gid that replaces the user's.
 * Returns -ENOENT for a name that /etc/passwd lacks. A uid without an entry is good; its home is "/". */
int user_find(const json_t *request, struct user *ret);
/* In a child: becomes it, for good. */
int user_become(const struct user *self);
/* Ids of a name or a number in a request's field; -1 for none, -ENOENT for an unknown name. */
int64_t user_id(const json_t *value);
int64_t group_id(const json_t *value);
/* The name of an id, or NULL. Valid until the next call. */
const char *user_name(uid_t uid);
const char *group_name(gid_t gid);
