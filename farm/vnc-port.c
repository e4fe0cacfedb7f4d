/* Ports for desktop viewers. TCP ports are on loopback only: VNC's password is eight characters and
 * the rest of the connection is in the clear, so what comes from elsewhere is to come through a tunnel.
 * A unix socket belongs to the daemon's user, which is as good as a password. After a wrong password
 * the port lets nobody in for DENIED_US: 40 random bits cannot be tried at that rate. */
#define LOG_MODULE "vnc"
#include "base/fs.h"
#include "base/id.h"
#include "base/log.h"
#include "base/sock.h"
#include "farm/vnc-impl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define DENIED_US 1000000
#define BACKLOG 8
#define SEND_BYTES (256 * 1024) /* what the kernel keeps for a viewer that is slow */

struct vnc_port *vnc_port_free(struct vnc_port *self)
{
    if (!self)
        return NULL;
    list_remove(&self->link);
    watch_free(self->watch);
    timer_free(self->timer);
    util_close_ptr(&self->fd);
    if (self->is_unix && self->address)
        unlink(self->address);
    free(self->address);
    explicit_bzero(self->password, sizeof self->password);
    free(self);
    return NULL;
}

static void handle_socket(void *data, int events maybe_unused)
{
    struct vnc_port *self = data;
    struct error err = { 0 };
    int fd = accept4(self->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
        /* No descriptors are left: one that is given back does not wake us. */
        if (errno == EMFILE || errno == ENFILE)
            vnc_port_slow_down(self);
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &(int){ SEND_BYTES }, sizeof(int));
    if (self->vnc->sandbox->state == SANDBOX_HIBERNATED)
        sandbox_wake(self->vnc->sandbox, NULL);
    const struct sandbox_viewer viewer = { .fd = fd, .can_control = self->can_control, .password = self->password };
    if (vnc_add(self->vnc, &viewer, self, &err) < 0)
        log_info("%s: a VNC viewer was turned away: %s", self->vnc->sandbox->id, err.message);
}

static void handle_timer(void *data)
{
    struct vnc_port *self = data;
    watch_set(self->watch, WATCH_READ);
}

void vnc_port_slow_down(struct vnc_port *self)
{
    watch_set(self->watch, 0);
    timer_start(self->timer, DENIED_US);
}

static int listen_tcp(struct vnc_port *self, int port, struct error *err)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                                   .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t size = sizeof address;
    self->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (self->fd < 0)
        return error_errno(err, errno, "creating a socket");
    setsockopt(self->fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
    if (bind(self->fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(self->fd, BACKLOG) < 0 ||
        getsockname(self->fd, (struct sockaddr *)&address, &size) < 0)
        return errno == EADDRINUSE || errno == EACCES
                   ? error_set(err, ERROR_CONFLICT, "port %d of 127.0.0.1 cannot be listened on: %s", port, strerror(errno))
                   : error_errno(err, errno, "listening on 127.0.0.1:%d", port);
    if (asprintf(&self->address, "127.0.0.1:%d", ntohs(address.sin_port)) < 0) {
        self->address = NULL;
        return error_errno(err, ENOMEM, "opening a VNC port");
    }
    return 0;
}

static int listen_unix(struct vnc_port *self, struct error *err)
{
    char name[ID_MAX + 8], id[ID_MAX];
    const char *dir = self->vnc->sandbox->dir;
    id_new("vnc_", id);
    snprintf(name, sizeof name, "%s.sock", id);
    self->fd = sock_listen(dir, name, err);
    if (self->fd < 0)
        return self->fd;
    self->address = fs_join(dir, name);
    if (!self->address || chmod(self->address, 0600) < 0)
        return error_errno(err, self->address ? errno : ENOMEM, "opening a VNC port");
    return 0;
}

static void choose_password(struct vnc_port *self, const json_t *request)
{
    char id[ID_MAX];
    id_new("", id);
    const char *given = json_get_string(request, "password", self->is_unix ? "" : id);
    snprintf(self->password, sizeof self->password, "%.*s", VNC_PASSWORD_MAX, given);
}

int vnc_port_new(struct vnc *vnc, const json_t *request, struct vnc_port **ret, struct error *err)
{
    struct vnc_port *self = calloc(1, sizeof *self);
    if (!self)
        return error_errno(err, ENOMEM, "opening a VNC port");
    *self = (struct vnc_port){ .vnc = vnc, .fd = -1 };
    list_append(&vnc->ports, &self->link);
    self->is_unix = strcmp(json_get_string(request, "listen", "tcp"), "unix") == 0;
    self->can_control = strcmp(json_get_string(request, "role", "control"), "control") == 0;
    choose_password(self, request);
    int r = self->is_unix ? listen_unix(self, err) : listen_tcp(self, (int)json_get_int(request, "port", 0), err);
    if (r == 0) {
        struct loop *loop = farm_loop(vnc->sandbox->farm);
        self->watch = watch_new(loop, self->fd, handle_socket, self);
        self->timer = timer_new(loop, handle_timer, self);
        if (!self->watch || !self->timer)
            r = error_errno(err, ENOMEM, "opening a VNC port");
    }
    if (r < 0) {
        vnc_port_free(self);
        return r;
    }
    watch_set(self->watch, WATCH_READ);
    *ret = self;
    return 0;
}
