/* How a browser comes to the origin of a guest's port: by a link that works once, soon, and turns
 * into a cookie of that origin. Either stands for the key of whoever made the link, at one port of
 * one sandbox. Kept in memory only; at most TICKETS_MAX, the oldest goes first. */
#pragma once

#include "base/id.h"

#define TICKETS_MAX 1024
#define TICKET_CHARS 40
#define TICKET_LINK_S 60
#define TICKET_COOKIE_S (12 * 3600)

/* The last two let a VNC viewer in (port 0), like a link once. */
enum ticket_kind { TICKET_LINK, TICKET_COOKIE, TICKET_VNC_VIEW, TICKET_VNC_CONTROL };

struct tickets;

/* What one is for. secret is "" while the daemon has no keys. */
struct ticket_scope {
    char secret[256], sandbox[ID_MAX];
    int port;
};

struct tickets *tickets_new(void);
struct tickets *tickets_free(struct tickets *self);
void tickets_add(struct tickets *self, enum ticket_kind kind, const struct ticket_scope *scope,
                 int64_t now_us, char ret_id[TICKET_CHARS + 1]);
/* What id stands for at this port, or NULL; borrowed until the next call. A link is spent by it. */
const struct ticket_scope *tickets_use(struct tickets *self, enum ticket_kind kind, const char *id,
                                       const char *sandbox, int port, int64_t now_us);
