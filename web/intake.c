#include "web/intake.h"

#include "base/clock.h"
#include "web/proxy.h"
#include "web/request.h"
#include "web/route.h"
#include "web/server.h"
#include "web/target.h"

#include <errno.h>
#include <libwebsockets.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#define LINGER_S 2

/* --- Taking a connection ---------------------------------------------------------------------- */

void conn_take(struct conn *self, const struct conn_taker *taker, void *data)
{
    self->taker = taker;
    self->taken = data;
    lws_set_timeout(self->lws, NO_PENDING_TIMEOUT, 0);
    lws_rx_flow_control(self->lws, 0);
}

void conn_forget(struct conn *self)
{
    const struct conn_taker *taker = self->taker;
    self->taker = NULL;
    if (taker && taker->on_gone)
        taker->on_gone(self->taken);
}

void conn_kill(struct conn *self)
{
    self->taker = NULL;
    conn_drop_use(self);
    watch_set(self->watch, 0);
    lws_set_timeout(self->lws, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_SYNC);
}

/* What a peer still sends is dropped until it closes, or for LINGER_S. */
static void drain(void *data, int events maybe_unused)
{
    static char rest[65536]; /* of the loop thread */
    struct conn *self = data;
    ssize_t n = recv(self->fd, rest, sizeof rest, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        conn_kill(self);
}

void conn_end(struct conn *self)
{
    static const struct conn_taker drainer = { .on_socket = drain };
    conn_take(self, &drainer, self);
    conn_drop_use(self);
    shutdown(self->fd, SHUT_WR);
    lws_set_timeout(self->lws, PENDING_TIMEOUT_USER_OK, LINGER_S);
    watch_set(self->watch, WATCH_READ);
}

void conn_resume(struct conn *self)
{
    self->taker = NULL;
    conn_drop_use(self);
    lws_set_timeout(self->lws, PENDING_TIMEOUT_HTTP_KEEPALIVE_IDLE, self->web->limits.idle_s);
    server_await_request(self);
}

/* --- A request out of a head ------------------------------------------------------------------ */

/* A value that is too long becomes "?", which is no valid value of any header read here. */
static void copy(const struct head *head, const char *name, char *out, size_t size)
{
    if (!span_copy(head_find(head, name), out, size))
        strcpy(out, "?");
}

static void copy_credentials(struct request *self, const struct head *head)
{
    char text[REQUEST_SECRET_MAX + 8], cookie[4096];
    copy(head, "authorization", text, sizeof text);
    if (strncasecmp(text, "Bearer ", 7) == 0)
        strncpy(self->secret, text + 7, sizeof self->secret - 1);
    copy(head, "open-sandbox-api-key", text, sizeof text);
    if (!*self->secret)
        strncpy(self->secret, text, sizeof self->secret - 1);
    copy(head, "x-execd-access-token", text, sizeof text);
    if (!*self->secret)
        strncpy(self->secret, text, sizeof self->secret - 1);
    explicit_bzero(text, sizeof text);
    copy(head, "cookie", cookie, sizeof cookie);
    if (!guard_cookie(cookie, SESSION_COOKIE, self->session, sizeof self->session))
        self->session[0] = 0;
}

static void copy_target(struct request *self, const struct head *head)
{
    struct span path = target_before(head->target, '?');
    if (target_decode(path, false, self->path, sizeof self->path) < 0)
        strcpy(self->path, "?");
    size_t skip = MIN(path.size + 1, head->target.size);
    self->raw_query = strndup(head->target.at + skip, head->target.size - skip);
}

/* The bytes were there a moment ago. */
static bool take_head(struct conn *conn, size_t size)
{
    static char bytes[GUARD_HEAD_MAX];
    lws_set_timeout(conn->lws, NO_PENDING_TIMEOUT, 0);
    return recv(conn->fd, bytes, size, MSG_DONTWAIT) == (ssize_t)size;
}

struct request *intake_request(struct conn *conn, const struct head *head)
{
    struct request *self = take_head(conn, head->size)
                               ? request_new_bare(conn->web, conn, conn->lws) : NULL;
    if (!self) {
        conn_kill(conn);
        return NULL;
    }
    self->is_taken = self->must_close = true;
    if (!span_copy(head->method, self->method, sizeof self->method))
        strcpy(self->method, "?");
    self->is_head = span_is(head->method, "HEAD");
    copy_target(self, head);
    copy_credentials(self, head);
    copy(head, "host", self->host, sizeof self->host);
    copy(head, "origin", self->origin, sizeof self->origin);
    copy(head, "accept", self->accept, sizeof self->accept);
    copy(head, "content-type", self->content_type, sizeof self->content_type);
    copy(head, "sec-fetch-site", self->fetch_site, sizeof self->fetch_site);
    copy(head, "sec-websocket-key", self->ws_key, sizeof self->ws_key);
    copy(head, "sec-websocket-version", self->ws_version, sizeof self->ws_version);
    copy(head, "sec-websocket-protocol", self->ws_protocols, sizeof self->ws_protocols);
    self->is_upgrade = head_lists(head, "connection", "upgrade");
    return self;
}

/* --- Looking ---------------------------------------------------------------------------------- */

/* Wakes when more than size bytes are there. libwebsockets times how long a head may take, from the
 * connection's beginning or from here. */
static int wait_for_more(struct conn *conn, size_t size)
{
    int more = (int)size + 1;
    /* A unix socket wakes for any byte, which would be without end; its clients send heads whole.
     * */
    if (conn->is_unix || conn->n_seen == size ||
        setsockopt(conn->fd, SOL_SOCKET, SO_RCVLOWAT, &more, sizeof more) < 0)
        return 0;
    if (conn->n_seen == 0)
        lws_set_timeout(conn->lws, PENDING_TIMEOUT_USER_OK, conn->web->limits.header_s);
    conn->n_seen = size;
    return INTAKE_WAIT;
}

static void stop_waiting(struct conn *conn)
{
    if (conn->n_seen > 0)
        setsockopt(conn->fd, SOL_SOCKET, SO_RCVLOWAT, &(int){ 1 }, sizeof(int));
    conn->n_seen = 0;
}

/* Runs the row of its path. */
static void take_websocket(struct conn *conn, const struct head *head)
{
    struct request *request = intake_request(conn, head);
    if (!request)
        return;
    route_begin(request);
    if (!request->refused.is_set && (request->route >= API_COUNT ||
                                     !(api_table[request->route].flags & API_WEBSOCKET)))
        error_set(&request->refused, ERROR_NOT_FOUND, "there is no WebSocket at this path");
    route_run(request);
}

int intake_look(struct conn *conn, const char *bytes, size_t size)
{
    static struct head head; /* of the loop thread */
    int r = head_parse_request(&head, bytes, size);
    if (r == HEAD_MORE && wait_for_more(conn, size) == INTAKE_WAIT)
        return INTAKE_WAIT;
    stop_waiting(conn);
    if (r != 0)
        return 0;
    struct port_address to;
    if (target_port(&head, conn->web->proxy_domain, &to) < 0 || to.mode != PORT_NONE) {
        proxy_open(conn, &head, &to);
        return INTAKE_OURS;
    }
    if (head_lists(&head, "connection", "upgrade") && head_lists(&head, "upgrade", "websocket")) {
        take_websocket(conn, &head);
        return INTAKE_OURS;
    }
    return 0;
}
