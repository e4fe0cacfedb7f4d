/* What a request asks for, as pure functions: paths and queries out of a request line. */
#pragma once

#include "api/validate.h"
#include "web/head.h"

/* What is before the first c, or all of it. */
struct span target_before(struct span text, char c);
/* Decodes percent escapes (and, in a query, '+') into out as a string. Returns its length, or -1: a
 * bad escape, a NUL, or it does not fit. */
int target_decode(struct span text, bool is_query, char *out, size_t size);
/* Splits a query into decoded pairs, whose text goes to text. Returns their number, or -1 when it
 * is malformed, has more than max pairs or does not fit. */
int target_pairs(const char *query, char *text, size_t size, struct api_pair *pairs, int max);

/* --- Ports of guests -------------------------------------------------------------------------- */

/* How a request says that it is for a port of a guest. */
enum port_mode {
    PORT_NONE,
    PORT_PATH,   /* /v1/sandboxes/ID/proxy/PORT/…: on our own origin */
    PORT_HOST,   /* Host: PORT-ID.localhost, or below the configured domain: an origin of its own */
    PORT_HEADER, /* OpenSandbox-Ingress-To: ID-PORT */
    PORT_TUNNEL, /* /v1/sandboxes/ID/tcp/PORT with Upgrade: deskfarm-tcp: bytes, not HTTP */
};

struct port_address {
    enum port_mode mode;
    char id[32]; /* of the sandbox; well-formed (id_is_valid) */
    int port;    /* 1 to 65535 */
    size_t prefix; /* PORT_PATH: how much of the target comes before the guest's own path */
};

#define PORT_EXECD 44772  /* not the guest's: operations of ours, below the path of PORT_PATH */
#define PORT_EGRESS 18080
#define PORT_DESKTOP 6080 /* not the guest's: the page of the desktop */

/* Fills ret; mode PORT_NONE when the request is for us. domain: NULL, or the one below which each
 * port has a name. Ports that are not the guest's are ours in path mode. -EINVAL: it is meant for a
 * guest and malformed. */
int target_port(const struct head *head, const char *domain, struct port_address *ret);
