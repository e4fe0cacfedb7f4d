/* Connections to TCP ports of guests: HTTP/1.1 and WebSocket in three modes, and tunnels of bytes.
 * web/target.h says how a request asks for one.
 *
 * The daemon is the only way to a guest's port. Whoever may operate the sandbox may use all of its
 * ports; to a browser each port is an origin of its own in host mode (login by web/ticket.h), or a
 * document without an origin in path mode. The connection to the guest is made by its agent, to
 * 127.0.0.1 and, when nothing listens there, to ::1. */
#pragma once

#include "web/head.h"
#include "web/listener.h"
#include "web/target.h"

#define PROXY_PER_SANDBOX 128 /* open at once; the agent has 256 channels for everything */
#define PROXY_PER_KEY 256
#define PROXY_IDLE_S 900      /* an HTTP exchange without a byte either way */

struct proxy;
struct request;
struct web;

/* Takes a connection whose request is for a guest's port: head was parsed from what is still to be
 * read from its socket. */
void proxy_open(struct conn *conn, const struct head *head, const struct port_address *to);

/* --- Between proxy-open.c, which decides, and proxy.c, which relays --------------------------- */

struct agent;
struct proxy_way;

/* How many are open to that sandbox, for that key; NULL: any. */
int proxy_count(const struct web *web, const char *sandbox, const char *owner);
/* Begins to connect. text is what the guest gets first. The request is answered in the end. */
void proxy_start(struct request *request, const struct proxy_way *way, struct agent *agent,
                 const struct buf *text);
