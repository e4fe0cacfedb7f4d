/* Logged-in browsers: a random id in a cookie stands for an API key. Kept in memory only; a restart
 * of the daemon logs everybody out. At most SESSIONS_MAX; the oldest goes first. */
#pragma once

#include "base/util.h"

#define SESSIONS_MAX 256
#define SESSION_HOURS 12
#define SESSION_ID_CHARS 40
#define SESSION_SECRET_MAX 256
#define SESSION_COOKIE "deskfarm"

struct sessions;

struct sessions *sessions_new(void);
struct sessions *sessions_free(struct sessions *self);
/* Starts a session for a key's secret at now_us (monotonic). Fails when the secret is too long. */
int sessions_add(struct sessions *self, const char *secret, int64_t now_us,
                 char ret_id[SESSION_ID_CHARS + 1]);
/* The secret behind an id, or NULL when there is none or it is too old. Whether the key is still
 * good is asked of the keys on each request, so removing a key ends its sessions. */
const char *sessions_find(struct sessions *self, const char *id, int64_t now_us);
void sessions_remove(struct sessions *self, const char *id);
