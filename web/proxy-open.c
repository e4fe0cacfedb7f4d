/* Who may have a connection to a guest's port, and the way in for browsers.
 *
 * In path and header mode, and for tunnels, the request is one to us: the guard and the key are
 * those of any request. In host mode it is one to another origin: its Host has been recognised,
 * pages of other sites may link to it but not send to it, and a browser shows the cookie that a
 * link (web/ticket.h) was turned into at LOGIN_PATH. Authorization there belongs to the guest's
 * program, unless it is a key of ours. */
#include "web/proxy.h"

#include "base/clock.h"
#include "farm/farm.h"
#include "farm/sandbox.h"
#include "web/caller.h"
#include "web/intake.h"
#include "web/proxy-head.h"
#include "web/request.h"
#include "web/route.h"
#include "web/server.h"
#include "web/ticket.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define LOGIN_PATH "/.deskfarm/login"
#define KEY_SHOWN "Bearer df_"

/* --- Host mode -------------------------------------------------------------------------------- */

static int check_site(const struct request *request, const struct head *head, struct error *err)
{
    const char *site = request->fetch_site;
    bool is_link = span_is(head_find(head, "sec-fetch-mode"), "navigate") &&
                   (strcmp(request->method, "GET") == 0 || request->is_head);
    bool is_near = !*site || strcmp(site, "same-origin") == 0 || strcmp(site, "none") == 0;
    if (*request->origin && !guard_origin_is_own(request->origin, request->host))
        return error_set(err, ERROR_BAD_ORIGIN, "the Origin header names another site");
    if (!is_near && !is_link)
        return error_set(err, ERROR_BAD_ORIGIN, "a page of another site sent this request");
    return 0;
}

/* The secret behind the cookie of this port, unless a key of ours is shown. */
static void find_pass(struct request *request, const struct head *head, struct proxy_way *way)
{
    char cookies[4096], id[64];
    struct span shown = head_find(head, "authorization");
    way->has_own_secret = shown.size > strlen(KEY_SHOWN) &&
                          strncasecmp(shown.at, KEY_SHOWN, strlen(KEY_SHOWN)) == 0;
    request->session[0] = 0;
    if (way->has_own_secret)
        return;
    struct span key = head_find(head, "open-sandbox-api-key");
    if (!span_copy(key, request->secret, sizeof request->secret) || key.size > 0)
        return;
    if (!span_copy(head_find(head, "cookie"), cookies, sizeof cookies) ||
        !guard_cookie(cookies, PROXY_COOKIE, id, sizeof id))
        return;
    const struct ticket_scope *scope =
        tickets_use(request->web->tickets, TICKET_COOKIE, id, way->to.id, way->to.port,
                    clock_now_us());
    snprintf(request->secret, sizeof request->secret, "%s", scope ? scope->secret : "");
}

/* Where a login goes on to: a path of this origin, and nothing that a browser reads as another. */
static const char *next_path(const char *to)
{
    bool is_path = to[0] == '/' && to[1] != '/' && to[1] != '\\';
    return is_path ? to : "/";
}

static void log_in(struct request *request, const struct port_address *to)
{
    struct api_pair pairs[8];
    char text[2048], id[TICKET_CHARS + 1];
    struct error err = { 0 };
    const char *ticket = "", *next = "/";
    int64_t now_us = clock_now_us();
    int n = target_pairs(request->raw_query ? request->raw_query : "", text, sizeof text, pairs, 8);
    for (int i = 0; i < n; i++) {
        if (strcmp(pairs[i].name, "ticket") == 0)
            ticket = pairs[i].value;
        else if (strcmp(pairs[i].name, "to") == 0)
            next = next_path(pairs[i].value);
    }
    const struct ticket_scope *scope =
        tickets_use(request->web->tickets, TICKET_LINK, ticket, to->id, to->port, now_us);
    if (!scope) {
        error_set(&err, ERROR_UNAUTHORIZED,
                  "this link is spent or too old; ask the desktop's page for another");
        request_answer_error(request, &err);
        return;
    }
    tickets_add(request->web->tickets, TICKET_COOKIE, scope, now_us, id);
    request_add_header(request, "Set-Cookie",
                       PROXY_COOKIE "=%s; Path=/; HttpOnly; SameSite=Lax; Max-Age=%d", id,
                       TICKET_COOKIE_S);
    request_add_header(request, "Location", "%s", next);
    request_answer_empty(request, 303);
}

/* --- All modes -------------------------------------------------------------------------------- */

static int check_guard(const struct request *request, struct error *err)
{
    struct guard_facts facts = {
        .is_unix = request->conn->is_unix, .is_upgrade = request->is_upgrade,
        .host = request->host, .origin = request->origin, .fetch_site = request->fetch_site,
        .content_type = request->content_type,
    };
    return guard_check(&request->web->hosts, &facts, err);
}

static int check_role(struct request *request, const struct port_address *to, struct error *err)
{
    caller_identify(request);
    if (request->who.role >= ROLE_OPERATOR)
        return 0;
    if (request->who.role != ROLE_NONE)
        return error_set(err, ERROR_FORBIDDEN,
                         "a guest's ports need the role operator; this key has %s",
                         role_name(request->who.role));
    if (to->mode == PORT_HOST)
        return error_set(err, ERROR_UNAUTHORIZED,
                         "open this port by a link from the desktop's page, or send an API key as "
                         "OPEN-SANDBOX-API-KEY");
    return caller_refuse(request, err);
}

static int check_limits(struct request *request, const struct port_address *to, struct error *err)
{
    const struct web *web = request->web;
    if (proxy_count(web, to->id, NULL) >= PROXY_PER_SANDBOX)
        return error_set(err, ERROR_QUOTA, "%d connections to ports of this sandbox are open",
                         PROXY_PER_SANDBOX);
    if (*request->who.key_id && proxy_count(web, NULL, request->who.key_id) >= PROXY_PER_KEY)
        return error_set(err, ERROR_QUOTA, "%d connections to ports of guests are open by this key",
                         PROXY_PER_KEY);
    return 0;
}

static int check_message(const struct request *request, const struct head *head,
                         struct proxy_way *way, struct error *err)
{
    const struct port_address *to = &way->to;
    if (to->mode == PORT_NONE)
        return error_set(err, ERROR_BAD_VALUE,
                         "a guest's port is named by a sandbox's id and a number from 1 to 65535");
    if (head_body(head, false, request->is_head, &way->body, &way->length) < 0 ||
        head_count(head, "host") > 1)
        return error_set(err, ERROR_BAD_VALUE, "the headers contradict each other");
    if (to->mode == PORT_TUNNEL && !head_lists(head, "upgrade", "deskfarm-tcp"))
        return error_set(err, ERROR_BAD_VALUE,
                         "this path is a tunnel: send Connection: Upgrade, Upgrade: deskfarm-tcp");
    if (to->mode != PORT_TUNNEL && to->mode != PORT_PATH &&
        (to->port == PORT_EXECD || to->port == PORT_EGRESS))
        return error_set(err, ERROR_UNSUPPORTED,
                         "port %d is answered by the daemon at /v1/sandboxes/%s/proxy/%d only",
                         to->port, to->id, to->port);
    return 0;
}

/* The sandbox to connect to, or NULL with why not. */
static struct sandbox *check(struct request *request, const struct head *head, struct proxy_way *way,
                           struct error *err)
{
    const struct port_address *to = &way->to;
    bool is_host = to->mode == PORT_HOST;
    if (is_host)
        find_pass(request, head, way);
    int r = is_host ? check_site(request, head, err) : check_guard(request, err);
    if (r == 0)
        r = check_message(request, head, way, err);
    if (r == 0)
        r = check_role(request, to, err);
    struct sandbox *sandbox =
        r == 0 ? farm_find(request->web->farm, &request->who, to->id, err) : NULL;
    return sandbox && check_limits(request, to, err) == 0 ? sandbox : NULL;
}

static void fill_way(struct proxy_way *way, const struct request *request, const struct head *head)
{
    const struct conn *conn = request->conn;
    bool is_four = IN6_IS_ADDR_V4MAPPED(&conn->peer);
    const void *address = is_four ? (const void *)&conn->peer.s6_addr[12] : &conn->peer;
    if (!conn->is_unix)
        inet_ntop(is_four ? AF_INET : AF_INET6, address, way->peer, sizeof way->peer);
    snprintf(way->host, sizeof way->host, "%s", request->host);
    way->is_https = conn->is_local && span_is(head_find(head, "x-forwarded-proto"), "https");
    way->keeps_open = head->minor == 1 && !head_lists(head, "connection", "close");
    way->is_upgrade = head_lists(head, "connection", "upgrade") && head_count(head, "upgrade") == 1;
}

/* What is to go to the guest once it is awake. */
struct proxy_wait {
    struct proxy_way way;
    size_t size;
    uint8_t text[];
};

static struct proxy_wait *wait_new(const struct proxy_way *way, const struct buf *text)
{
    struct proxy_wait *self = text->failed ? NULL : malloc(sizeof *self + text->size);
    if (!self)
        return NULL;
    self->way = *way;
    self->size = text->size;
    if (text->size)
        memcpy(self->text, text->data, text->size);
    return self;
}

static void handle_awake(struct request *request)
{
    struct error err = { 0 };
    struct proxy_wait *wait = request->resume_data;
    const struct buf text = { .data = wait->text, .size = wait->size };
    struct agent *agent = sandbox_agent(request->used, &err);
    if (agent)
        proxy_start(request, &wait->way, agent, &text);
    else
        request_answer_error(request, &err);
}

void proxy_open(struct conn *conn, const struct head *head, const struct port_address *to)
{
    struct error err = { 0 };
    struct proxy_way way = { .to = *to };
    auto_buf struct buf text = BUF_INIT;
    struct request *request = intake_request(conn, head);
    if (!request)
        return;
    request->route = to->mode == PORT_TUNNEL ? API_SANDBOX_TUNNEL : API_SANDBOX_PROXY;
    request->state = REQUEST_HANDLING;
    if (to->mode == PORT_HOST && strcmp(request->path, LOGIN_PATH) == 0) {
        log_in(request, to);
        return;
    }
    fill_way(&way, request, head);
    struct sandbox *sandbox = check(request, head, &way, &err);
    if (sandbox && to->mode != PORT_TUNNEL)
        proxy_write_request(head, &way, &text);
    if (sandbox && !(request->resume_data = wait_new(&way, &text)))
        error_set(&err, ERROR_INTERNAL, "out of memory");
    if (!sandbox || !request->resume_data) {
        request_answer_error(request, &err);
        return;
    }
    watch_set(conn->watch, WATCH_GONE);
    route_use(request, sandbox, handle_awake);
}

/* Rows of the table for what does not come to a handler, unless libwebsockets has read it together
 * with the request before. */
static void answer_elsewhere(struct request *self)
{
    struct error err;
    error_set(&err, ERROR_NOT_FOUND,
              "send this request by itself, not behind one that is not answered yet");
    request_answer_error(self, &err);
}

void handle_sandbox_proxy(struct request *self)
{
    answer_elsewhere(self);
}

void handle_sandbox_tunnel(struct request *self)
{
    answer_elsewhere(self);
}
