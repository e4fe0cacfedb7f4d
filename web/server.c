/* libwebsockets on the daemon's loop. It parses HTTP/1 and reads the sockets; everything that is
 * policy is elsewhere: web/listener.c accepts, web/route.c decides, web/request.c answers.
 *
 * The callback below is a dispatcher: one line per reason. libwebsockets knows the connection as
 * its opaque pointer. HTTP/2 is refused. What is not a plain request of the API or a page never gets
 * to it (web/intake.c). */
#define LOG_MODULE "web"
#include "web/server.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "web/consumed.h"
#include "web/intake.h"
#include "web/request.h"
#include "web/route.h"
#include "web/ticket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libwebsockets.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define BODY_TOTAL_US ((int64_t)60 * 1000000)
#define HEADER_BYTES_MAX 16384
#define LINGER_S 2

static struct conn *conn_of(struct lws *lws)
{
    return lws_get_opaque_user_data(lws);
}

/* --- Events of a connection ----------------------------------------------------------------------
 */

static int handle_headers(struct lws *lws)
{
    struct conn *conn = conn_of(lws);
    if (!conn || conn->request)
        return -1;
    watch_set(conn->watch, 0);
    struct request *request = request_new(conn->web, conn, lws);
    if (!request)
        return -1;
    route_begin(request);
    if (request->must_close || !request->has_length || request->length == 0 ||
        route_takes_pieces(request))
        route_run(request);
    return 0;
}

static int handle_body(struct lws *lws, const void *data, size_t size)
{
    struct conn *conn = conn_of(lws);
    struct request *request = conn ? conn->request : NULL;
    if (!request)
        return -1;
    if (request->state != REQUEST_READING)
        return 0;
    conn->web->metrics.received_bytes += size;
    if (request->body_in.ops)
        return body_feed(request, data, size);
    /* libwebsockets times the gaps between pieces; this bounds them all together. */
    if (clock_now_us() - request->began_us > BODY_TOTAL_US)
        return -1;
    if (request->refused.is_set)
        return 0;
    return buf_append(&request->raw, data, size) < 0 ? -1 : 0;
}

static int handle_body_end(struct lws *lws)
{
    struct conn *conn = conn_of(lws);
    struct request *request = conn ? conn->request : NULL;
    if (!request || request->is_lingering)
        return -1;
    if (request->state != REQUEST_READING)
        request->body_in.is_complete = true;
    else if (request->body_in.ops)
        body_finish(request);
    else
        route_run(request);
    return 0;
}

/* Tells a connection that is about to end why. What it sent is taken in, or the kernel would reset
 * it before it has read that. */
static void refuse(struct conn *conn, const struct error *err)
{
    char text[512], rest[4096];
    char body[256];
    snprintf(body, sizeof body, "{\"code\":\"%s\",\"message\":\"%s\"}\n",
             error_code_name(err->code), err->message);
    int n =
        snprintf(text, sizeof text,
                 "HTTP/1.1 %d Refused\r\nConnection: close\r\nContent-Type: application/json\r\n"
                 "Content-Length: %zu\r\n\r\n%s",
                 error_code_status(err->code), strlen(body), body);
    for (int i = 0; i < 16 && recv(conn->fd, rest, sizeof rest, MSG_DONTWAIT) > 0; i++)
        ;
    if (send(conn->fd, text, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        log_debug("refusing a connection: %s", strerror(errno));
    metrics_count(&conn->web->metrics, ROUTE_UNKNOWN, error_code_status(err->code), 0);
}

/* A request begins. libwebsockets drops some without an answer, so this looks first, without taking
 * the bytes; what may pass is then read by it. */
static void look_at_head(struct conn *conn)
{
    static char head[GUARD_HEAD_MAX]; /* of the loop thread */
    struct error err = { 0 };
    ssize_t n = recv(conn->fd, head, sizeof head, MSG_PEEK | MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    watch_set(conn->watch, 0);
    if (n > 0 && guard_check_head(head, (size_t)n, &err) < 0) {
        refuse(conn, &err);
        lws_set_timeout(conn->lws, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_SYNC);
        return;
    }
    int taken = n > 0 ? intake_look(conn, head, (size_t)n) : 0;
    if (taken == INTAKE_WAIT)
        watch_set(conn->watch, WATCH_READ);
    if (taken != 0)
        return;
    size_t request = n > 0 ? guard_request_size(head, (size_t)n) : 0;
    conn->due = request ? consumed_bytes(conn->fd) + request : 0;
    lws_rx_flow_control(conn->lws, 1);
}

void server_await_request(struct conn *conn)
{
    lws_rx_flow_control(conn->lws, 0);
    watch_set(conn->watch, WATCH_READ);
}

/* The answer is out before its request is in. Closing now would make the kernel throw away what the
 * caller has not read yet of the answer; so what it still sends is taken in and dropped for a
 * while, until it closes too. */
static void linger(struct request *request)
{
    request->is_lingering = true;
    watch_set(request->conn->watch, 0);
    shutdown(request->conn->fd, SHUT_WR);
    lws_set_timeout(request->lws, PENDING_TIMEOUT_USER_OK, LINGER_S);
    lws_rx_flow_control(request->lws, 1);
}

/* With a transaction complete libwebsockets wants to hear that the socket is writable, and hears
 * nothing while its reading is held back: the loop would turn for as long as the connection is
 * idle. So it is told now. */
static void say_writable(struct lws *lws)
{
    struct lws_pollfd event = { .fd = lws_get_socket_fd(lws),
                                .events = LWS_POLLOUT,
                                .revents = LWS_POLLOUT };
    lws_rx_flow_control(lws, 1);
    lws_service_fd(lws_get_context(lws), &event);
}

/* The answer is out: the connection may read its next request, or ends. */
static void finish(struct request *request)
{
    struct conn *conn = request->conn;
    struct web *web = conn->web;
    struct lws *lws = request->lws;
    bool must_close = request->must_close;
    if (request->is_taken) {
        request_free(request);
        conn_end(conn);
        return;
    }
    if (request_has_rest(request)) {
        linger(request);
        return;
    }
    /* Otherwise libwebsockets holds bytes of the next request already and must go on reading. */
    bool has_read_no_more = consumed_bytes(conn->fd) == conn->due;
    request_free(request);
    lws_set_timeout(lws, NO_PENDING_TIMEOUT, 0);
    if (must_close || !has_read_no_more)
        lws_rx_flow_control(lws, 1);
    if (must_close || lws_http_transaction_completed(lws))
        lws_set_timeout(lws, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_SYNC);
    else if (has_read_no_more) {
        say_writable(lws);
        if (listener_has(web, conn))
            server_await_request(conn);
    } else
        lws_callback_on_writable(lws); /* makes it look at what it holds */
}

void server_handle_socket(void *data, int events)
{
    struct conn *conn = data;
    struct request *request = conn->request;
    if (conn->taker) {
        conn->taker->on_socket(conn->taken, events);
        return;
    }
    if (!request) {
        look_at_head(conn);
        return;
    }
    int r = request->state == REQUEST_WRITING ? request_write(request) : -1;
    if (r < 0)
        lws_set_timeout(request->lws, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_SYNC);
    else if (r > 0)
        finish(request);
}

static int handle_closed(struct lws *lws)
{
    struct conn *conn = conn_of(lws);
    if (conn)
        request_free(conn->request);
    return 0;
}

static int handle_destroyed(struct lws *lws)
{
    struct conn *conn = conn_of(lws);
    if (conn) {
        lws_set_opaque_user_data(lws, NULL);
        conn_forget(conn);
        request_free(conn->request);
        conn_free(conn);
    }
    return 0;
}

/* No operation upgrades yet, and an upgrade is where a page of another site would come in. */
static int refuse_upgrade(struct lws *lws)
{
    struct conn *conn = conn_of(lws);
    struct request *request = conn && !conn->request ? request_new(conn->web, conn, lws) : NULL;
    if (!request)
        return -1;
    struct guard_facts facts = { .is_unix = conn->is_unix,
                                 .is_upgrade = true,
                                 .host = request->host,
                                 .origin = request->origin,
                                 .fetch_site = request->fetch_site,
                                 .content_type = "" };
    struct error err = { 0 };
    if (guard_check(&conn->web->hosts, &facts, &err) == 0)
        error_set(&err, ERROR_NOT_FOUND, "there is no WebSocket at this path");
    request->state = REQUEST_WRITING;
    request_free(request);
    refuse(conn, &err);
    return -1;
}

static int handle_event(struct lws *lws, enum lws_callback_reasons reason, void *user maybe_unused,
                        void *in, size_t size)
{
    switch (reason) {
    case LWS_CALLBACK_HTTP: return handle_headers(lws);
    case LWS_CALLBACK_HTTP_BODY: return handle_body(lws, in, size);
    case LWS_CALLBACK_HTTP_BODY_COMPLETION: return handle_body_end(lws);
    case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE: return refuse_upgrade(lws);
    case LWS_CALLBACK_CLOSED_HTTP: return handle_closed(lws);
    case LWS_CALLBACK_WSI_DESTROY: return handle_destroyed(lws);
    default: return 0;
    }
}

/* --- Starting and ending -------------------------------------------------------------------------
 */

static void log_line(int level, const char *line)
{
    log_debug("%s %.*s", lws_get_library_version(), (int)strcspn(line, "\n"), line);
    (void)level;
}

static struct web_limits fill_limits(struct web_limits given)
{
    return (struct web_limits){
        .connections = given.connections ? given.connections : 512,
        .connections_per_address =
            given.connections_per_address ? given.connections_per_address : 256,
        .requests = given.requests ? given.requests : 1024,
        .body_bytes = given.body_bytes ? given.body_bytes : (size_t)8 << 20,
        .idle_s = given.idle_s ? given.idle_s : 60,
        .header_s = given.header_s ? given.header_s : 20,
    };
}

static const char **copy_list(const char *const *list)
{
    size_t n = 0;
    while (list && list[n])
        n++;
    const char **copy = calloc(n + 1, sizeof *copy);
    for (size_t i = 0; copy && i < n; i++)
        copy[i] = strdup(list[i]);
    return copy;
}

static void free_list(const char *const *list)
{
    for (const char *const *at = list; at && *at; at++)
        free((char *)*at);
    free((void *)list);
}

static const char *const default_addresses[] = { "127.0.0.1", NULL };

static void fill_hosts(struct web *self, const struct web_config *config)
{
    const char *const *addresses = config->addresses ? config->addresses : default_addresses;
    self->hosts.names = copy_list(config->hosts);
    self->hosts.addresses = copy_list(addresses);
    for (; *addresses; addresses++)
        self->hosts.any_address |=
            strcmp(*addresses, "0.0.0.0") == 0 || strcmp(*addresses, "::") == 0;
}

static int create_context(struct web *self, struct error *err)
{
    static const struct lws_protocols protocols[] = { { .name = "http", .callback = handle_event },
                                                      { .name = NULL } };
    void *loops[1] = { &self->loop->uv };
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN_SERVER,
        .vhost_name = "api",
        .protocols = protocols,
        .options = LWS_SERVER_OPTION_LIBUV,
        .foreign_loops = loops,
        .max_http_header_data2 = HEADER_BYTES_MAX,
        .pt_serv_buf_size = BODY_PIECE_MAX,
        .max_http_header_pool2 = (unsigned)self->limits.connections,
        .keepalive_timeout = self->limits.idle_s,
        .timeout_secs = (unsigned)self->limits.header_s,
        .timeout_secs_ah_idle = (unsigned)self->limits.header_s,
        .user = self,
    };
    lws_set_log_level(LLL_ERR | LLL_WARN, log_line);
    self->lws = lws_create_context(&info);
    self->vhost = self->lws ? lws_get_vhost_by_name(self->lws, "api") : NULL;
    if (!self->vhost)
        return error_set(err, ERROR_INTERNAL, "starting libwebsockets");
    return 0;
}

static int listen_all(struct web *self, const struct web_config *config, struct error *err)
{
    const char *const *addresses = config->addresses ? config->addresses : default_addresses;
    self->port = *addresses ? config->port : 0;
    int r = 0;
    for (; r == 0 && *addresses; addresses++)
        r = listener_new_tcp(self, *addresses, &self->port, err);
    if (r == 0 && config->socket_dir)
        r = listener_new_unix(self, config->socket_dir, err);
    return r;
}

int web_new(struct web **ret, const struct web_config *config, struct farm *farm, struct loop *loop,
            struct error *err)
{
    struct web *self = calloc(1, sizeof *self);
    if (!self)
        return error_set(err, ERROR_INTERNAL, "out of memory");
    self->farm = farm;
    self->loop = loop;
    self->limits = fill_limits(config->limits);
    list_init(&self->listeners);
    list_init(&self->conns);
    list_init(&self->proxies);
    fill_hosts(self, config);
    self->ui_dir = config->ui_dir ? strdup(config->ui_dir) : NULL;
    self->proxy_domain = config->proxy_domain ? strdup(config->proxy_domain) : NULL;
    self->tickets = tickets_new();
    auto_free char *exports_dir = config->socket_dir ? fs_join(config->socket_dir, "exports") : NULL;
    if (exports_dir)
        self->exports = exports_new(loop, farm_pool(farm), exports_dir);
    self->reruns = reruns_new(loop, farm);
    self->sessions = sessions_new();
    self->idempotency = idempotency_new();
    int r = self->tickets && self->reruns && self->sessions && self->idempotency && self->hosts.names && self->hosts.addresses
                ? listen_all(self, config, err)
                : error_set(err, ERROR_INTERNAL, "out of memory");
    if (r == 0)
        r = create_context(self, err);
    if (r < 0) {
        web_free(self);
        return r;
    }
    *ret = self;
    return 0;
}

int web_port(const struct web *self)
{
    return self->port;
}

/* libwebsockets closes its handles on the loop: the first call begins that, the second, after the
 * loop has turned, frees the rest. */
static void destroy_context(struct web *self)
{
    if (!self->lws)
        return;
    lws_context_destroy(self->lws);
    for (int i = 0; i < 100; i++)
        loop_turn(self->loop, false);
    lws_context_destroy(self->lws);
}

struct web *web_free(struct web *self)
{
    if (!self)
        return NULL;
    listener_free_all(self);
    struct conn *conn;
    list_for_each (conn, &self->conns, link) {
        conn_forget(conn);
        request_free(conn->request);
    }
    destroy_context(self);
    while (!list_empty(&self->conns))
        conn_free(list_first(&self->conns, struct conn, link));
    tickets_free(self->tickets);
    free(self->proxy_domain);
    exports_free(self->exports);
    reruns_free(self->reruns);
    sessions_free(self->sessions);
    idempotency_free(self->idempotency);
    bytes_unref(self->openapi);
    free_list(self->hosts.names);
    free_list(self->hosts.addresses);
    free(self->ui_dir);
    free(self);
    return NULL;
}
