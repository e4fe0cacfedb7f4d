/* VNC viewers over HTTP: ports for desktop viewers, and RFB over a WebSocket for noVNC.
 *
 * The WebSocket's payload is RFB as it is. One end of a socket pair goes to the viewer's process in the
 * VNC helper; here messages are written to the other end and what comes from it is sent as messages.
 * Nothing is queued: while the browser takes nothing the pair is not read, and while the helper takes
 * nothing the browser is not. */
#include "base/clock.h"
#include "base/sock.h"
#include "farm/farm.h"
#include "farm/sandbox.h"
#include "farm/vnc.h"
#include "web/caller.h"
#include "web/route.h"
#include "web/server.h"
#include "web/ticket.h"
#include "web/websocket.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define MESSAGE_MAX ((size_t)2 << 20) /* a clipboard, and a few keys behind it */
#define PIECE_MAX 65536

struct relay {
    struct websocket *socket;
    int fd;
    struct watch *watch;
    struct buf in;    /* of the browser, not yet taken by the helper */
    bool wants_read;  /* the browser takes more than has come */
};

static void free_relay(struct relay *self)
{
    watch_free(self->watch);
    util_close_ptr(&self->fd);
    buf_deinit(&self->in);
    free(self);
}

static void watch_pair(struct relay *self)
{
    watch_set(self->watch, (self->wants_read ? WATCH_READ : 0) | (self->in.size ? WATCH_WRITE : 0));
}

static void end(struct relay *self, int code, const char *reason)
{
    websocket_close(self->socket, code, reason);
    free_relay(self);
}

static bool next_packet(void *data, struct websocket_packet *packet)
{
    struct relay *self = data;
    int n_ready = 0;
    ioctl(self->fd, FIONREAD, &n_ready);
    struct bytes *bytes = bytes_new((size_t)CLAMP(n_ready, 1, PIECE_MAX));
    ssize_t n = bytes ? recv(self->fd, bytes->data, bytes->size, MSG_DONTWAIT) : -1;
    if (n > 0) {
        packet->parts[0] = (struct websocket_part){ bytes, 0, (size_t)n };
        packet->n_parts = 1;
        return true;
    }
    bytes_unref(bytes);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        self->wants_read = true;
        watch_pair(self);
    } else {
        end(self, WS_NORMAL, "the desktop closed");
    }
    return false;
}

/* False: the relay is gone. */
static bool write_pair(struct relay *self)
{
    while (self->in.size > 0) {
        ssize_t n = send(self->fd, self->in.data, self->in.size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno != EAGAIN && errno != EINTR) {
            end(self, WS_NORMAL, "the desktop closed");
            return false;
        }
        if (n < 0)
            break;
        buf_consume(&self->in, (size_t)n);
    }
    websocket_pause(self->socket, self->in.size > 0);
    watch_pair(self);
    return true;
}

static void handle_pair(void *data, int events)
{
    struct relay *self = data;
    if (events & WATCH_WRITE && !write_pair(self))
        return;
    if (events & WATCH_READ) {
        self->wants_read = false;
        watch_pair(self);
        websocket_wake(self->socket);
    }
}

static void on_message(void *data, bool is_text, const uint8_t *bytes, size_t size)
{
    struct relay *self = data;
    if (is_text || buf_append(&self->in, bytes, size) < 0)
        end(self, is_text ? WS_PROTOCOL_ERROR : WS_TOO_LARGE, "binary messages, please");
    else
        write_pair(self);
}

static void on_closed(void *data, int code maybe_unused)
{
    free_relay(data);
}

/* --- Who it is --------------------------------------------------------------------------------- */

struct entry {
    struct principal who;
    bool can_control;
};

/* A ticket stands for the key that made it, as long as that is good. */
static int enter_by_ticket(struct request *self, const char *ticket, struct entry *ret, struct error *err)
{
    struct web *web = self->web;
    const char *id = json_get_string(self->path_values, "id", "");
    const struct ticket_scope *scope = NULL;
    for (int control = 0; control < 2 && !scope; control++) {
        scope = tickets_use(web->tickets, control ? TICKET_VNC_CONTROL : TICKET_VNC_VIEW, ticket, id, 0,
                            clock_now_us());
        ret->can_control = control;
    }
    bool is_good = scope != NULL;
    if (is_good && keys_exist(farm_keys(web->farm)))
        is_good = keys_authenticate(farm_keys(web->farm), scope->secret, &ret->who) == 0;
    else
        ret->who = (struct principal){ .role = ROLE_ADMIN };
    if (is_good && ret->can_control && ret->who.role < ROLE_OPERATOR)
        is_good = false;
    return is_good ? 0 : error_set(err, ERROR_UNAUTHORIZED, "the ticket was used, is too old, or never was one");
}

static int enter(struct request *self, struct entry *ret, struct error *err)
{
    const char *ticket = json_get_string(self->query, "ticket", NULL);
    const char *role = json_get_string(self->query, "role", NULL);
    if (ticket)
        return enter_by_ticket(self, ticket, ret, err);
    ret->who = self->who;
    if (self->who.role < ROLE_VIEWER)
        return caller_refuse(self, err);
    ret->can_control = role ? strcmp(role, "control") == 0 : self->who.role >= ROLE_OPERATOR;
    if (ret->can_control && self->who.role < ROLE_OPERATOR)
        return error_set(err, ERROR_FORBIDDEN, "role=control needs a key of the role operator; this key has %s",
                         role_name(self->who.role));
    return 0;
}

static struct sandbox *find(struct request *self, const struct principal *who, struct error *err)
{
    return farm_find(self->web->farm, who, json_get_string(self->path_values, "id", ""), err);
}

static struct relay *new_relay(struct loop *loop, int fd)
{
    struct relay *self = calloc(1, sizeof *self);
    if (!self) {
        close(fd);
        return NULL;
    }
    self->fd = fd;
    self->in.limit = 2 * MESSAGE_MAX;
    self->watch = watch_new(loop, fd, handle_pair, self);
    if (self->watch)
        return self;
    free_relay(self);
    return NULL;
}

/* Pairs the WebSocket to be with a viewer of the sandbox. */
static int connect_relay(struct request *self, const struct entry *entry, struct sandbox *sandbox,
                         struct relay **ret, struct error *err)
{
    int fds[2];
    int r = sock_pair(fds, err);
    if (r < 0)
        return r;
    const struct sandbox_viewer viewer = { .fd = fds[1], .can_control = entry->can_control };
    *ret = new_relay(self->web->loop, fds[0]);
    if (!*ret) {
        close(fds[1]);
        return error_errno(err, ENOMEM, "connecting a VNC viewer");
    }
    r = sandbox_vnc_add(sandbox, &viewer, err);
    if (r < 0)
        free_relay(*ret);
    return r;
}

void handle_vnc(struct request *self)
{
    static const struct websocket_ops ops = { next_packet, on_message, on_closed };
    struct error err = { 0 };
    struct entry entry = { .can_control = false };
    struct relay *relay = NULL;
    struct sandbox *sandbox = enter(self, &entry, &err) == 0 ? find(self, &entry.who, &err) : NULL;
    if (sandbox && !self->is_upgrade)
        error_set(&err, ERROR_BAD_VALUE, "this is a WebSocket; connect to it by one");
    if (err.is_set || connect_relay(self, &entry, sandbox, &relay, &err) < 0) {
        request_answer_error(self, &err);
        return;
    }
    struct websocket_config config = { .ops = &ops, .data = relay, .message_max = MESSAGE_MAX, .protocol = "binary" };
    relay->socket = websocket_accept(self, &config);
    if (relay->socket)
        websocket_wake(relay->socket);
    else
        free_relay(relay); /* its viewer goes with it */
}

/* --- Ports ------------------------------------------------------------------------------------- */

static void open_link(struct request *self, struct sandbox *sandbox)
{
    char id[TICKET_CHARS + 1];
    struct ticket_scope scope = { .port = 0 };
    const char *secret = caller_secret(self), *role = json_get_string(self->body, "role", "control");
    strncpy(scope.secret, secret ? secret : "", sizeof scope.secret - 1);
    strncpy(scope.sandbox, sandbox_id(sandbox), sizeof scope.sandbox - 1);
    tickets_add(self->web->tickets, strcmp(role, "control") == 0 ? TICKET_VNC_CONTROL : TICKET_VNC_VIEW, &scope,
                clock_now_us(), id);
    explicit_bzero(scope.secret, sizeof scope.secret);
    request_answer_json(self, 201,
                        json_pack("{ss so ss sn si}", "listen", "websocket", "address",
                                  json_sprintf("/v1/sandboxes/%s/vnc?ticket=%s", sandbox_id(sandbox), id),
                                  "role", role, "password", "expires_in_s", TICKET_LINK_S));
}

void handle_desktop_vnc_open(struct request *self)
{
    struct error err = { 0 };
    json_t *opened = NULL;
    struct sandbox *sandbox = find(self, &self->who, &err);
    if (sandbox && strcmp(json_get_string(self->body, "listen", ""), "websocket") == 0)
        open_link(self, sandbox);
    else if (!sandbox || sandbox_vnc_open(sandbox, self->body, &opened, &err) < 0)
        request_answer_error(self, &err);
    else
        request_answer_json(self, 201, opened);
}

void handle_desktop_vnc_list(struct request *self)
{
    struct error err = { 0 };
    struct sandbox *sandbox = find(self, &self->who, &err);
    if (sandbox)
        request_answer_json(self, 200, sandbox_vnc_json(sandbox));
    else
        request_answer_error(self, &err);
}

void handle_desktop_vnc_close(struct request *self)
{
    struct error err = { 0 };
    struct sandbox *sandbox = find(self, &self->who, &err);
    if (!sandbox) {
        request_answer_error(self, &err);
        return;
    }
    sandbox_vnc_close(sandbox);
    request_answer_empty(self, 204);
}
