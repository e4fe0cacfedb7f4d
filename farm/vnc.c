/* A sandbox's VNC viewers.
 *
 * Pixels and the protocol are the helper's (stream/vnc/); what a viewer in control does is checked
 * here, turned into keys of the guest (vnc-input.c) and handed to it by the viewer's seat
 * (farm/control.h). VNC knows no taking and giving back of control, so a press takes it when nobody has
 * it, neither a person nor an agent's batch, and IDLE_US without an event gives it back; input of a
 * viewer that has no control is dropped. A viewer whose events wait too long is not read until they are
 * taken.
 *
 * Nobody connected: no process, no listener at the display. */
#define LOG_MODULE "vnc"
#include "base/log.h"
#include "base/process.h"
#include "farm/vnc-impl.h"

#include <errno.h>
#include <string.h>
#include <sys/wait.h>

#define LIVE_HIGH (LIVE_EVENTS_MAX / 2)
#define LIVE_LOW (LIVE_EVENTS_MAX / 4)
#define IDLE_US 10000000

/* --- A viewer ----------------------------------------------------------------------------------- */

/* Its viewer is gone already, and control that is given back is told of. */
static void free_seat(struct vnc_seat *self)
{
    self->viewer = NULL;
    list_remove(&self->link);
    seat_deinit(&self->seat);
    timer_free(self->idle);
    if (self->pasting)
        op_cancel(self->pasting);
    free(self);
}

static void handle_changed(void *data, bool is_mine, enum control_holder holder maybe_unused,
                           const char *name maybe_unused)
{
    struct vnc_seat *self = data;
    if (!is_mine)
        vnc_seat_forget(self);
    if (!is_mine && self->viewer)
        vnc_viewer_pause(self->viewer, false);
}

static void handle_taken(void *data, uint64_t id maybe_unused, int64_t at_us maybe_unused)
{
    struct vnc_seat *self = data;
    if (live_depth(self->seat.live) < LIVE_LOW)
        vnc_viewer_pause(self->viewer, false);
}

static void handle_copied(void *data, struct bytes *text)
{
    struct vnc_seat *self = data;
    if (self->viewer)
        vnc_viewer_set_clipboard(self->viewer, text);
}

static void handle_idle(void *data)
{
    struct vnc_seat *self = data;
    if (vnc_seat_holds(self))
        timer_start(self->idle, IDLE_US);
    else
        seat_give_back(&self->seat);
}

/* A guest that stands still takes nothing. */
static bool takes_input(const struct vnc_seat *self)
{
    enum sandbox_state state = self->vnc->sandbox->state;
    return state == SANDBOX_RUNNING || state == SANDBOX_PENDING;
}

/* Whether an event may go to the guest; a press may make it so. */
static bool is_in_control(struct vnc_seat *self, bool is_press)
{
    if (is_press && self->vnc->sandbox->state == SANDBOX_HIBERNATED)
        sandbox_wake(self->vnc->sandbox, NULL);
    if (!takes_input(self) || (is_press && seat_take(&self->seat, false, NULL) < 0) ||
        !seat_is_control(&self->seat))
        return false;
    timer_start(self->idle, IDLE_US);
    return true;
}

static void hold_back(struct vnc_seat *self)
{
    if (self->seat.live && live_depth(self->seat.live) > LIVE_HIGH)
        vnc_viewer_pause(self->viewer, true);
}

static void handle_key(void *data, unsigned qnum, uint32_t keysym, bool is_down)
{
    struct vnc_seat *self = data;
    if (is_in_control(self, is_down))
        vnc_seat_key(self, qnum, keysym, is_down);
    hold_back(self);
}

static void handle_pointer(void *data, unsigned mask, int x, int y)
{
    struct vnc_seat *self = data;
    if (is_in_control(self, mask & ~self->mask))
        vnc_seat_pointer(self, mask, x, y);
    hold_back(self);
}

static void handle_resize(void *data, int width, int height)
{
    struct vnc_seat *self = data;
    struct error err = { 0 };
    if (!is_in_control(self, true) || seat_resize(&self->seat, width, height, &err) < 0)
        vnc_viewer_refuse_size(self->viewer);
}

static void handle_pasted(void *data, struct answer *answer)
{
    struct vnc_seat *self = data;
    self->pasting = NULL;
    if (answer->err.is_set)
        log_debug("%s: the clipboard: %s", self->vnc->sandbox->id, answer->err.message);
    json_decref(answer->body);
    bytes_unref(answer->image);
}

/* Viewers send their clipboard when it changes, or the window is entered: the last one counts. */
static void handle_cut(void *data, const uint8_t *text, size_t size)
{
    struct vnc_seat *self = data;
    struct sandbox *sandbox = self->vnc->sandbox;
    struct error err = { 0 };
    auto_json json_t *params = json_pack("{s:s%}", "text", (const char *)text, size);
    bool is_others = !seat_is_control(&self->seat) && control_is_taken(sandbox->control, NULL);
    if (!params || sandbox->batch || is_others)
        return;
    if (self->pasting)
        op_cancel(self->pasting);
    self->pasting = sandbox_clipboard_set(sandbox, params, handle_pasted, self, &err);
    if (!self->pasting)
        log_debug("%s: the clipboard: %s", sandbox->id, err.message);
}

static void handle_greeted(void *data)
{
    struct vnc_seat *self = data;
    log_info("%s: a VNC viewer %s", self->vnc->sandbox->id,
             vnc_viewer_can_control(self->viewer) ? "is in control" : "watches");
}

static void handle_denied(void *data)
{
    struct vnc_seat *self = data;
    struct vnc_port *port;
    log_info("%s: a VNC viewer did not know the password", self->vnc->sandbox->id);
    list_for_each(port, &self->vnc->ports, link) if (port == self->port) vnc_port_slow_down(port);
}

static void handle_gone(void *data, const char *why)
{
    struct vnc_seat *self = data;
    log_info("%s: a VNC viewer is gone: %s", self->vnc->sandbox->id, why);
    free_seat(self);
}

int vnc_add(struct vnc *self, const struct sandbox_viewer *viewer, const struct vnc_port *port, struct error *err)
{
    static const struct vnc_viewer_ops ops = {
        .greeted = handle_greeted, .denied = handle_denied, .key = handle_key, .pointer = handle_pointer,
        .cut = handle_cut, .resize = handle_resize, .gone = handle_gone,
    };
    static const struct seat_ops seat_ops = { .changed = handle_changed, .taken = handle_taken,
                                             .copied = handle_copied };
    struct vnc_seat *seat = calloc(1, sizeof *seat);
    if (seat)
        seat->idle = timer_new(farm_loop(self->sandbox->farm), handle_idle, seat);
    if (!seat || !seat->idle) {
        free(seat);
        close(viewer->fd);
        return error_errno(err, ENOMEM, "adding a VNC viewer");
    }
    seat->vnc = self;
    seat->port = port;
    list_append(&self->seats, &seat->link);
    if (viewer->can_control && seat_init(&seat->seat, self->sandbox, "a VNC viewer", &seat_ops, seat, err) < 0) {
        free_seat(seat);
        close(viewer->fd);
        return -ENOMEM;
    }
    struct vnc_viewer_spec spec = {
        .fd = viewer->fd, .can_control = viewer->can_control, .password = viewer->password,
        .name = self->sandbox->id, .ops = &ops, .data = seat,
    };
    int r = vnc_export_add(self->export, &spec, &seat->viewer, err);
    if (r < 0)
        free_seat(seat);
    return r;
}

/* --- The sandbox's ------------------------------------------------------------------------------ */

static int handle_start(void *data, int fd, struct error *err)
{
    return vnc_helper_start(data, fd, err);
}

static void handle_crashed(void *data, int status)
{
    struct vnc *self = data;
    char how[64];
    process_status_text(status, how, sizeof how);
    if (status)
        log_warn("%s: the process of a VNC viewer ended with %s", self->sandbox->id, how);
    else
        log_warn("%s: the VNC helper is gone, and its viewers with it", self->sandbox->id);
}

bool vnc_has_viewers(const struct vnc *self)
{
    return self && !list_empty(&self->seats);
}

struct vnc *vnc_free(struct vnc *self)
{
    struct vnc_helper *helper, *next;
    if (!self)
        return NULL;
    while (!list_empty(&self->ports))
        vnc_port_free(list_first(&self->ports, struct vnc_port, link));
    self->export = vnc_export_free(self->export);
    while (!list_empty(&self->seats))
        free_seat(list_first(&self->seats, struct vnc_seat, link));
    list_for_each_safe(helper, next, &self->helpers, link) vnc_helper_free(helper);
    free(self);
    return NULL;
}

static struct vnc *get(struct sandbox *sandbox, struct error *err)
{
    static const struct vnc_export_ops ops = { .start = handle_start, .crashed = handle_crashed };
    if (!sandbox->guest) {
        bool is_coming = sandbox->state == SANDBOX_PENDING;
        error_set(err, is_coming ? ERROR_NOT_READY : ERROR_GUEST_GONE, "sandbox %s is %s", sandbox->id,
                  sandbox_state_name(sandbox->state));
        return NULL;
    }
    if (sandbox->vnc)
        return sandbox->vnc;
    struct vnc *self = calloc(1, sizeof *self);
    if (self) {
        self->sandbox = sandbox;
        list_init(&self->seats);
        list_init(&self->ports);
        list_init(&self->helpers);
        self->export = vnc_export_new(farm_loop(sandbox->farm), sandbox->display, &ops, self);
    }
    if (!self || !self->export) {
        vnc_free(self);
        error_errno(err, ENOMEM, "preparing VNC");
        return NULL;
    }
    return sandbox->vnc = self;
}

int sandbox_vnc_add(struct sandbox *self, const struct sandbox_viewer *viewer, struct error *err)
{
    struct vnc *vnc = get(self, err);
    if (vnc)
        return vnc_add(vnc, viewer, NULL, err);
    close(viewer->fd);
    return -EINVAL;
}

static json_t *port_json(const struct vnc_port *port)
{
    return json_pack("{ss ss ss}", "listen", port->is_unix ? "unix" : "tcp", "address", port->address,
                     "role", port->can_control ? "control" : "view");
}

int sandbox_vnc_open(struct sandbox *self, const json_t *request, json_t **ret, struct error *err)
{
    struct vnc *vnc = get(self, err);
    struct vnc_port *port;
    size_t n = 0;
    if (!vnc)
        return -EINVAL;
    list_for_each(port, &vnc->ports, link) n++;
    if (n >= VNC_PORTS_MAX)
        return error_set(err, ERROR_QUOTA, "sandbox %s has %d VNC ports already", self->id, VNC_PORTS_MAX);
    int r = vnc_port_new(vnc, request, &port, err);
    if (r < 0)
        return r;
    *ret = port_json(port);
    json_object_set_new(*ret, "password", *port->password ? json_string(port->password) : json_null());
    return 0;
}

json_t *sandbox_vnc_json(const struct sandbox *self)
{
    json_t *viewers = json_array(), *ports = json_array();
    struct vnc_seat *seat;
    struct vnc_port *port;
    if (self->vnc) {
        list_for_each(seat, &self->vnc->seats, link) json_array_append_new(
            viewers, json_pack("{ss}", "role", vnc_viewer_can_control(seat->viewer) ? "control" : "view"));
        list_for_each(port, &self->vnc->ports, link) json_array_append_new(ports, port_json(port));
    }
    return json_pack("{so so}", "viewers", viewers, "ports", ports);
}

void sandbox_vnc_close(struct sandbox *self)
{
    if (!self->vnc)
        return;
    while (!list_empty(&self->vnc->ports))
        vnc_port_free(list_first(&self->vnc->ports, struct vnc_port, link));
    while (!list_empty(&self->vnc->seats)) {
        struct vnc_seat *seat = list_first(&self->vnc->seats, struct vnc_seat, link);
        vnc_viewer_close(seat->viewer);
        free_seat(seat);
    }
}
