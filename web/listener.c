/* A listener accepts at most ACCEPTS_PER_TURN sockets per turn of the loop, so a flood of
 * connections does not starve the guests' pixels. When descriptors run out it rests for REST_US
 * instead of spinning on a socket that stays readable. */
#include "web/listener.h"

#include "farm/sandbox.h"

#include "base/fs.h"
#include "base/sock.h"
#include "web/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <libwebsockets.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define ACCEPTS_PER_TURN 16
#define REST_US 100000
#define BACKLOG 128

struct listener {
    struct list link;
    struct web *web;
    int fd;
    bool is_unix;
    char *path; /* of the unix socket, removed at the end */
    struct watch *watch;
    struct timer *rest;
};

static struct in6_addr peer_address(const struct sockaddr_storage *from)
{
    struct in6_addr out = { 0 };
    if (from->ss_family == AF_INET6) {
        out = ((const struct sockaddr_in6 *)from)->sin6_addr;
    } else if (from->ss_family == AF_INET) {
        out.s6_addr[10] = out.s6_addr[11] = 0xff;
        memcpy(&out.s6_addr[12], &((const struct sockaddr_in *)from)->sin_addr, 4);
    }
    return out;
}

static int count_peer(const struct web *web, const struct conn *like)
{
    int n = 0;
    const struct conn *conn;
    list_for_each (conn, &web->conns, link)
        n += conn->is_unix == like->is_unix &&
             memcmp(&conn->peer, &like->peer, sizeof like->peer) == 0;
    return n;
}

void conn_drop_use(struct conn *self)
{
    if (self->used)
        sandbox_end_use(self->used);
    self->used = NULL;
}

void conn_free(struct conn *self)
{
    conn_drop_use(self);
    if (!list_empty(&self->link))
        self->web->n_conns--;
    list_remove(&self->link);
    watch_free(self->watch);
    if (self->fd >= 0)
        close(self->fd);
    free(self);
}

static bool has_room(const struct web *web, const struct conn *conn)
{
    return web->n_conns < web->limits.connections &&
           count_peer(web, conn) < web->limits.connections_per_address;
}

bool listener_has(const struct web *web, const struct conn *wanted)
{
    const struct conn *conn;
    list_for_each (conn, &web->conns, link) {
        if (conn == wanted)
            return true;
    }
    return false;
}

/* NULL when a limit is reached or memory or descriptors are short. */
static struct conn *conn_new(struct listener *listener, int fd, const struct sockaddr_storage *from)
{
    struct web *web = listener->web;
    struct conn *self = calloc(1, sizeof *self);
    if (!self)
        return NULL;
    list_init(&self->link);
    self->web = web;
    self->is_unix = listener->is_unix;
    self->peer = peer_address(from);
    self->is_local = listener->is_unix || guard_is_loopback(&self->peer);
    self->fd = has_room(web, self) ? fcntl(fd, F_DUPFD_CLOEXEC, 3) : -1;
    self->watch = self->fd < 0 ? NULL : watch_new(web->loop, self->fd, server_handle_socket, self);
    if (!self->watch) {
        conn_free(self);
        return NULL;
    }
    list_append(&web->conns, &self->link);
    web->n_conns++;
    return self;
}

/* Takes fd over. */
static void adopt(struct listener *self, int fd, const struct sockaddr_storage *from)
{
    struct web *web = self->web;
    struct conn *conn = conn_new(self, fd, from);
    if (!conn) {
        web->metrics.refused_connections++;
        close(fd);
        return;
    }
    if (!self->is_unix)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
    lws_adopt_desc_t desc = {
        .vh = web->vhost, .type = LWS_ADOPT_HTTP | LWS_ADOPT_SOCKET, .fd.sockfd = fd, .opaque = conn
    };
    /* A failed adoption closes fd, and may or may not have told us about the end of its connection.
     */
    struct lws *lws = lws_adopt_descriptor_vhost_via_info(&desc);
    if (!listener_has(web, conn))
        return;
    if (!lws) {
        conn_free(conn);
        return;
    }
    conn->lws = lws;
    server_await_request(conn);
}

static void handle_rested(void *data)
{
    struct listener *self = data;
    watch_set(self->watch, WATCH_READ);
}

static void handle_readable(void *data, int events maybe_unused)
{
    struct listener *self = data;
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        struct sockaddr_storage from = { 0 };
        socklen_t size = sizeof from;
        int fd = accept4(self->fd, (struct sockaddr *)&from, &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            adopt(self, fd, &from);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
            watch_set(self->watch, 0);
            timer_start(self->rest, REST_US);
            return;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            return;
        }
    }
}

struct listener *listener_free(struct listener *self)
{
    if (!self)
        return NULL;
    list_remove(&self->link);
    watch_free(self->watch);
    timer_free(self->rest);
    if (self->fd >= 0)
        close(self->fd);
    if (self->path)
        unlink(self->path);
    free(self->path);
    free(self);
    return NULL;
}

void listener_free_all(struct web *web)
{
    while (!list_empty(&web->listeners))
        listener_free(list_first(&web->listeners, struct listener, link));
}

/* Takes fd and path over; path is NULL for TCP. */
static int start(struct web *web, int fd, char *path, struct error *err)
{
    struct listener *self = calloc(1, sizeof *self);
    if (!self) {
        close(fd);
        free(path);
        return error_set(err, ERROR_INTERNAL, "out of memory");
    }
    *self = (struct listener){ .web = web, .fd = fd, .is_unix = path != NULL, .path = path };
    list_append(&web->listeners, &self->link);
    self->watch = watch_new(web->loop, fd, handle_readable, self);
    self->rest = timer_new(web->loop, handle_rested, self);
    if (!self->watch || !self->rest) {
        listener_free(self);
        return error_set(err, ERROR_INTERNAL, "watching a listening socket");
    }
    watch_set(self->watch, WATCH_READ);
    return 0;
}

static int parse_address(const char *address, int port, struct sockaddr_storage *ret,
                         socklen_t *ret_size)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;
    memset(ret, 0, sizeof *ret);
    if (inet_pton(AF_INET, address, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)port);
        *ret_size = sizeof *v4;
        return 0;
    }
    if (inet_pton(AF_INET6, address, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)port);
        *ret_size = sizeof *v6;
        return 0;
    }
    return -EINVAL;
}

static int bound_port(int fd)
{
    struct sockaddr_storage at = { 0 };
    socklen_t size = sizeof at;
    getsockname(fd, (struct sockaddr *)&at, &size);
    return ntohs(at.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&at)->sin6_port
                                          : ((struct sockaddr_in *)&at)->sin_port);
}

int listener_new_tcp(struct web *web, const char *address, int *port, struct error *err)
{
    struct sockaddr_storage at;
    socklen_t size = 0;
    if (*port < 0 || *port > 65535)
        return error_set(err, ERROR_CONFIG, "port %d is outside 0 to 65535", *port);
    if (parse_address(address, *port, &at, &size) < 0)
        return error_set(err, ERROR_CONFIG, "listening: \"%s\" is no numeric address", address);
    auto_fd int fd = socket(at.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return error_errno(err, errno, "listening on %s", address);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
    if (at.ss_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &(int){ 1 }, sizeof(int));
    if (bind(fd, (struct sockaddr *)&at, size) < 0 || listen(fd, BACKLOG) < 0)
        return error_errno(err, errno, "listening on %s port %d", address, *port);
    *port = bound_port(fd);
    return start(web, steal_fd(&fd), NULL, err);
}

int listener_new_unix(struct web *web, const char *dir, struct error *err)
{
    /* The directory is the daemon's own and the umask is set at start; the mode is set again
     * because connecting to this socket makes an admin while there are no keys. */
    mode_t mask = umask(0177);
    int fd = sock_listen(dir, "api.sock", err);
    umask(mask);
    return fd < 0 ? fd : start(web, fd, fs_join(dir, "api.sock"), err);
}
