/* Who may talk to us at all: the rules against hostile web pages, as pure functions.
 *
 * A page of another site can make a browser on this machine send requests here. What stops it:
 *   Host     must name us, so a domain that was rebound to 127.0.0.1 is refused
 *   Origin   when present must be our own; so must Sec-Fetch-Site be same-origin or none
 *   type     a body must be JSON, which a form of another site cannot send without asking first,
 *            and asking (CORS preflight) is never answered; or what the operation takes, where
 *            Origin and Sec-Fetch-Site, which every browser sends with a form, are the guard */
#pragma once

#include "base/error.h"

#include <netinet/in.h>

#define GUARD_HOST_MAX 256

struct guard_hosts {
    const char *const *names; /* configured, lower case, NULL-terminated; NULL: none */
    bool any_address; /* bound to a wildcard: any address literal is us (none can be rebound) */
    const char *const *addresses; /* bound ones, NULL-terminated */
};

/* Writes the name or address of a Host header in lower case, without port and brackets. False when
 * the header is not well formed. */
bool guard_split_host(const char *host, char out[GUARD_HOST_MAX]);
/* Whether a Host header names us: loopback names, bound addresses, configured names; any port. */
bool guard_host_is_ours(const struct guard_hosts *hosts, const char *host);

/* Whether an Origin header is what a browser calls the page at this Host, which was checked before. */
bool guard_origin_is_own(const char *origin, const char *host);

/* What the guard needs of a request. Absent headers are "". */
struct guard_facts {
    bool is_unix;    /* over the unix socket: no browser gets there with a foreign Host */
    bool is_page;    /* a page or its parts: following a link from elsewhere is fine */
    bool is_upgrade; /* WebSocket */
    bool has_body;
    const char *host, *origin, *fetch_site, *content_type;
    const char *wanted_type; /* of the body; NULL: application/json. "*": any */
};

/* Refuses with bad_host, bad_origin or media_type. */
int guard_check(const struct guard_hosts *hosts, const struct guard_facts *facts,
                struct error *err);

/* Whether an address is on loopback: ::1, or 127.0.0.0/8 as a mapped address. */
bool guard_is_loopback(const struct in6_addr *address);

/* The bytes with which a request begins, as far as they have come: refuses what the HTTP parser
 * would drop without an answer. 0 says nothing about the rest. */
#define GUARD_HEAD_MAX 16384
int guard_check_head(const char *head, size_t size, struct error *err);
/* The size of the request that begins here, headers and body; 0 when the headers have not all come.
 */
size_t guard_request_size(const char *head, size_t size);

/* Headers of every answer, as "name: value\r\n" lines. */
extern const char guard_headers[];
/* More for pages. */
extern const char guard_page_headers[];

/* Finds cookie name in a Cookie header; false when it is absent or does not fit. */
bool guard_cookie(const char *header, const char *name, char *out, size_t size);
