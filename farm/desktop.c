/* Screen and input of a running guest.
 *
 * QEMU gives one D-Bus connection per display. It is made when the guest's QMP is up, made again
 * RECONNECT_US after it was lost, and the display's source rides on it. Input goes by QMP, whose
 * client belongs to the guest and may come and go; a command without it fails and the action with
 * it. The display object lives as long as the sandbox, so frame ids and blinkers outlast a
 * reconnect. */
#define LOG_MODULE "desktop"
#include "base/clock.h"
#include "base/log.h"
#include "display/source-qemu.h"
#include "farm/batch.h"
#include "farm/control.h"
#include "farm/key-count.h"
#include "farm/recording.h"
#include "farm/sandbox-impl.h"
#include "farm/typing.h"
#include "input/sink-qmp.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define RECONNECT_US 200000
/* Keys that an action left held (key_down, button_down) are released when no batch comes for so
 * long: an agent may think for a while between button_down and button_up, a dead one may not hold
 * a key for ever. */
#define LATCH_US 120000000
/* A USB keyboard is polled every 10 ms. Firmware has a clock of 10 ms, and emulated it is often late. */
#define USB_BURST 4
#define USB_KVM_US 12000
#define USB_TCG_US 20000

/* --- Input --------------------------------------------------------------------------------------- */

struct submission {
    sink_qmp_done_fn done;
    void *data;
    struct list link;  /* of those that wait; then with arguments */
    json_t *arguments;
};

static void handle_submitted(void *data, json_t *result, const struct error *err)
{
    struct submission *job = data;
    if (err)
        log_debug("input: %s", err->message);
    job->done(job->data, err ? NULL : result);
    free(job);
}

static void send_command(struct sandbox *self, struct qmp *qmp, const char *command, json_t *arguments,
                         struct submission *job)
{
    if (strcmp(command, "input-send-event") == 0) {
        display_input(self->display, clock_now_us());
        if (self->batch)
            batch_injected(self->batch);
    }
    qmp_execute(qmp, command, arguments, handle_submitted, job);
}

/* A guest that stands still loses its input: while a checkpoint is taken, input waits. The input
 * object waits for answers, so little gathers. */
static int submit(void *data, const char *command, json_t *arguments, sink_qmp_done_fn done,
                  void *done_data)
{
    struct sandbox *self = data;
    struct qmp *qmp = self->guest ? guest_qmp(self->guest) : NULL;
    struct submission *job = qmp ? malloc(sizeof *job) : NULL;
    if (!job) {
        json_decref(arguments);
        return qmp ? -ENOMEM : -ENOTCONN;
    }
    *job = (struct submission){ .done = done, .data = done_data };
    if (guest_is_saving(self->guest) && strcmp(command, "input-send-event") == 0) {
        job->arguments = arguments;
        list_append(&self->held_input, &job->link);
        return 0;
    }
    send_command(self, qmp, command, arguments, job);
    return 0;
}

void desktop_send_held(struct sandbox *self)
{
    struct qmp *qmp = self->guest ? guest_qmp(self->guest) : NULL;
    while (!list_empty(&self->held_input)) {
        struct submission *job = list_first(&self->held_input, struct submission, link);
        list_remove(&job->link);
        if (qmp) {
            send_command(self, qmp, "input-send-event", steal_ptr(&job->arguments), job);
            continue;
        }
        json_decref(job->arguments);
        job->done(job->data, NULL);
        free(job);
    }
}

static void handle_latch_end(void *data)
{
    struct sandbox *self = data;
    if (self->input && !self->batch && input_n_held(self->input) > 0) {
        log_info("%s: releasing %zu keys that nobody came back for", self->id, input_n_held(self->input));
        input_release_all(self->input);
    }
}

void desktop_watch_latches(struct sandbox *self)
{
    if (self->input && input_n_held(self->input) > 0)
        timer_start(self->latch, LATCH_US);
    else
        timer_stop(self->latch);
}

int desktop_set_layout(struct sandbox *self, const char *layout, struct error *err)
{
    struct keymap *keymap = NULL;
    char name[sizeof self->layout.name];
    const char *variant = layout_split(layout, name);
    int r = keymap_new(&keymap, name, variant, err);
    if (r < 0)
        return r;
    keymap_unref(self->keymap);
    self->keymap = keymap;
    if (layout != self->layout.name)
        snprintf(self->layout.name, sizeof self->layout.name, "%s", layout);
    if (self->input)
        input_set_keymap(self->input, keymap);
    return 0;
}

void desktop_lift_keys(struct sandbox *self, const struct checkpoint_machine *from)
{
    if (self->shape.input != INPUT_USB) {
        input_reset(self->input);
        return;
    }
    self->n_lifted = from ? from->n_held : 0;
    for (size_t i = 0; i < self->n_lifted; i++)
        self->lifted[i] = from->held[i];
    input_lift(self->input, self->lifted, self->n_lifted);
}

/* --- Screen -------------------------------------------------------------------------------------- */

static void handle_frame(void *data, const struct frame_update *update)
{
    struct sandbox *self = data;
    if (update->is_new_epoch)
        input_set_screen(self->input, update->frame->width, update->frame->height);
}

static void handle_source_lost(void *data, const struct error *why)
{
    struct sandbox *self = data;
    log_debug("%s: display lost: %s", self->id, why ? why->message : "");
    if (self->guest)
        timer_start(self->reconnect, RECONNECT_US);
}

static void handle_reconnect(void *data)
{
    desktop_connect(data);
}

int desktop_init(struct sandbox *self, struct error *err)
{
    static const struct display_ops display_ops = { .lost = handle_source_lost };
    static const struct display_observer_ops observer_ops = { .frame = handle_frame };
    struct loop *loop = farm_loop(self->farm);
    self->reconnect = timer_new(loop, handle_reconnect, self);
    self->latch = timer_new(loop, handle_latch_end, self);
    self->display = display_new(loop, farm_pool(self->farm), &display_ops, self);
    if (!self->reconnect || !self->latch || !self->display)
        return error_errno(err, ENOMEM, "making a display");
    if (farm_linger_us(self->farm) >= 0)
        display_set_linger(self->display, farm_linger_us(self->farm));
    int r = desktop_set_layout(self, *self->layout.name ? self->layout.name : "us", err);
    struct sink *sink = r == 0 ? sink_qmp_new(loop, GUEST_DEVICE_GPU, submit, self) : NULL;
    if (!sink)
        return r < 0 ? r : error_errno(err, ENOMEM, "making an input");
    if (self->shape.input == INPUT_USB)
        sink_qmp_set_usb(sink, USB_BURST, farm_accel(self->farm) == ACCEL_KVM ? USB_KVM_US : USB_TCG_US);
    r = input_new(&self->input, loop, sink, self->keymap, err);
    if (r < 0)
        return r;
    key_count_init(self);
    display_observe(self->display, &self->observer, &observer_ops, self);
    return 0;
}

void desktop_deinit(struct sandbox *self)
{
    desktop_disconnect(self);
    self->control = control_free(self->control);
    desktop_send_held(self); /* there is no guest: they fail */
    display_unobserve(&self->observer);
    key_count_stop(self);
    self->typing = typing_free(self->typing);
    self->input = input_free(self->input);
    self->display = display_free(self->display);
    self->keymap = keymap_unref(self->keymap);
    self->reconnect = timer_free(self->reconnect);
    self->latch = timer_free(self->latch);
}

void desktop_disconnect(struct sandbox *self)
{
    if (self->reconnect)
        timer_stop(self->reconnect);
    if (self->display)
        display_detach(self->display);
    self->console = qdbus_free(self->console);
    self->is_connecting = self->has_early_console = false;
}

static void handle_console_closed(void *data, int why)
{
    struct sandbox *self = data;
    log_debug("%s: display connection closed: %s", self->id, strerror(-why));
    display_detach(self->display);
    self->console = qdbus_free(self->console);
    if (self->guest)
        timer_start(self->reconnect, RECONNECT_US);
}

static int make_pair(void *data, int ret_fds[2], struct error *err)
{
    struct sandbox *self = data;
    if (!self->guest)
        return error_set(err, ERROR_GUEST_GONE, "the guest has ended");
    return guest_socket_pair(self->guest, ret_fds, err);
}

static int64_t read_memory(void *data)
{
    struct sandbox *self = data;
    return self->guest ? guest_memory_bytes(self->guest) : -1;
}

struct refresh {
    void (*done)(void *data);
    void *data;
};

static void handle_refreshed(void *data, json_t *result maybe_unused, const struct error *err maybe_unused)
{
    struct refresh refresh = *(struct refresh *)data;
    free(data);
    refresh.done(refresh.data); /* if it could not: then with what there is */
}

/* A picture that goes nowhere: QEMU draws its display for it. */
static int refresh(void *data, void (*done)(void *done_data), void *done_data)
{
    struct sandbox *self = data;
    struct qmp *qmp = self->guest ? guest_qmp(self->guest) : NULL;
    struct refresh *job = qmp ? malloc(sizeof *job) : NULL;
    if (!job)
        return -ENOTCONN;
    *job = (struct refresh){ done, done_data };
    qmp_execute(qmp, "screendump", json_pack("{ss}", "filename", "/dev/null"), handle_refreshed, job);
    return 0;
}

static int attach(struct sandbox *self, struct error *err)
{
    const bool is_vga = self->shape.display == DISPLAY_VGA;
    struct source_qemu_config config = {
        .loop = farm_loop(self->farm),
        .console = self->console,
        .pair = make_pair,
        .rss_anon = read_memory,
        .refresh = is_vga ? refresh : NULL,
        .is_fixed = is_vga,
        .data = self,
    };
    struct source *source = source_qemu_new(&config);
    if (!source)
        return error_errno(err, ENOMEM, "attaching the display");
    return display_attach(self->display, source, err);
}

static void lose_console(struct sandbox *self, const char *why)
{
    log_debug("%s: connecting the display: %s", self->id, why);
    display_detach(self->display);
    self->console = qdbus_free(self->console);
    if (self->guest)
        timer_start(self->reconnect, RECONNECT_US);
}

/* What a guest shows before it has its state is not its screen. */
static bool is_waiting(const struct sandbox *self)
{
    return self->lineage.origin && !self->lineage.running_us;
}

static void handle_socket(void *data, int fd, const struct error *socket_err)
{
    struct sandbox *self = data;
    struct error err = { 0 };
    self->is_connecting = false;
    int r = fd < 0 ? fd
                   : qdbus_new(&self->console, farm_loop(self->farm), fd, NULL, handle_console_closed, self,
                               &err);
    self->has_early_console = r == 0 && is_waiting(self);
    if (r == 0 && !self->has_early_console)
        r = attach(self, &err);
    if (r < 0)
        lose_console(self, fd < 0 ? socket_err->message : err.message);
}

void desktop_connect(struct sandbox *self)
{
    struct error err = { 0 };
    if (!self->guest || self->is_connecting)
        return;
    recording_begin(self);
    if (self->has_early_console && self->console) {
        self->has_early_console = false;
        if (attach(self, &err) < 0)
            lose_console(self, err.message);
        return;
    }
    display_detach(self->display);
    self->console = qdbus_free(self->console);
    self->is_connecting = true;
    guest_dbus_socket(self->guest, handle_socket, self);
}

json_t *desktop_screen_json(const struct sandbox *self)
{
    const struct frame *frame = display_frame(self->display);
    return frame ? json_pack("{si si}", "width", frame->width, "height", frame->height) : json_null();
}

json_t *desktop_cursor_json(const struct sandbox *self)
{
    const struct cursor *cursor = display_cursor(self->display);
    int x, y;
    bool has_point = input_pointer(self->input, &x, &y);
    if (!has_point)
        has_point = cursor_point(cursor, &x, &y);
    if (!has_point)
        return json_null();
    return json_pack("{si si sb sb}", "x", x, "y", y, "visible", cursor->is_visible, "in_frame",
                     profile_draws_cursor(&self->shape));
}

json_t *sandbox_display_json(struct sandbox *self)
{
    static const char *const screens[] = {
        [DISPLAY_UNKNOWN] = "unknown", [DISPLAY_OFF] = "off", [DISPLAY_ON] = "on",
    };
    struct frame_geometry geometry = { 0 };
    int64_t id = display_frame_id(self->display);
    /* Nobody may be looking: then this is what the screen was when somebody last did. */
    if (!id || display_geometry(self->display, id, &geometry) != 0)
        geometry = (struct frame_geometry){ .width = self->width, .height = self->height };
    json_t *up = !self->signals_up ? json_null() : json_boolean(sandbox_is_up(self));
    return json_pack("{si si ss sb so ss sI sI ss so}", "width", geometry.width, "height", geometry.height,
                     "screen", screens[display_screen(self->display)], "ready", self->console != NULL,
                     "up", up, "agent", inside_state_name(self), "frame", (json_int_t)id, "epoch",
                     (json_int_t)geometry.epoch, "layout", self->layout.name, "cursor", desktop_cursor_json(self));
}
