/* Heads of HTTP messages on their way to a guest's port and back, as pure functions.
 *
 * To the guest: nothing that is ours. Keys, and in path and header mode all cookies, stay here;
 * hop-by-hop fields end here; X-Forwarded-* say who asked for what. One request per connection to
 * the guest ("Connection: close"), whatever becomes of the caller's.
 *
 * From the guest: in path and header mode the answer would be on our own origin. There it is a
 * sandboxed document of no origin, sets no cookie and cannot speak for us in any other field. In
 * host mode it is on an origin of its own; only a cookie's Domain goes, which would reach others.
 * */
#pragma once

#include "base/buf.h"
#include "web/target.h"

#define PROXY_COOKIE "deskfarm-port" /* of host mode; see web/ticket.h */

struct proxy_way {
    struct port_address to;
    char peer[64];        /* who asks, numeric; "" when it came over the unix socket */
    char host[256];       /* the Host that was asked for */
    bool is_upgrade;      /* the guest may switch to another protocol */
    bool has_own_secret;  /* Authorization was a key of ours */
    bool is_https;        /* a proxy in front of us says so */
    bool keeps_open;      /* the caller's connection may go on afterwards */
    enum head_body body;  /* of the request */
    uint64_t length;
};

/* Appends the request as the guest gets it. */
void proxy_write_request(const struct head *head, const struct proxy_way *way, struct buf *out);
/* Appends the answer as the caller gets it; keeps_open: its connection goes on afterwards. */
void proxy_write_answer(const struct head *head, const struct proxy_way *way, bool keeps_open,
                        struct buf *out);
