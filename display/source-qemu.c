/* Two connections are involved. The console connection is the owner's: on it we call
 * RegisterListener with a descriptor. The listener connection is ours: QEMU calls Scanout, Update,
 * Disable, MouseSet and CursorDefine on it, without waiting for replies. QEMU authenticates the
 * listener before it answers anything else, so the loop must not stall in between.
 *
 * Every message is copied into the framebuffer by the sink before the handler returns, so the
 * socket drains as fast as the loop turns; nobody's encoder is waited for. What arrives is checked
 * by the sink (display/framebuffer.h); bad arguments are counted there and answered like good ones,
 * since QEMU ignores replies.
 *
 * QEMU 7.2 says Scanout only when it redraws a whole surface. A VGA in text mode redraws line by
 * line, also after a change of size, and so never tells the new one. The console's Width and Height
 * properties do: when they differ from the last scanout, updates are dropped (they belong to
 * another surface), and if no scanout follows within RESYNC_US the listener is registered anew.
 * Properties come on the other connection, so they may also be late: then what was dropped belonged
 * to the surface that is shown, and the listener is registered anew as well.
 *
 * A VGA is drawn by the clock of its listeners, so it has an old picture for a new one. There, QEMU is asked
 * to draw first, and the listener is registered when it has.
 *
 * D-Bus limits an array to 64 MiB, so a scanout beyond 16 million pixels cannot come this way; a
 * resize to one is refused, and a guest that sets such a mode by itself loses its listener. */
#define LOG_MODULE "source-qemu"
#include "display/source-qemu.h"

#include "base/log.h"
#include "display/watchdog.h"

#include <errno.h>
#include <string.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>

#define CONSOLE_PATH "/org/qemu/Display1/Console_0"
#define CONSOLE_INTERFACE "org.qemu.Display1.Console"
#define LISTENER_PATH "/org/qemu/Display1/Listener"
#define LISTENER_INTERFACE "org.qemu.Display1.Listener"
#define DBUS_ARRAY_MAX ((int64_t)64 << 20)
#define RESYNC_US 50000

/* A redraw that was asked for. The answer may come when the source has no more use for it. */
struct redraw {
    struct source_qemu *source; /* NULL then */
};

struct source_qemu {
    struct source base;
    struct source_qemu_config config;
    struct qdbus *listener; /* NULL while stopped */
    struct redraw *redraw;     /* before the listener is opened; NULL: none */
    sd_bus_slot *registration; /* the RegisterListener call under way */
    struct timer *tick;
    struct watchdog watchdog;
    sd_bus_slot *properties; /* watches the console's */
    struct timer *resync;
    uint32_t width, height;           /* as the properties say; 0 until they change */
    uint32_t shown_width, shown_height; /* of the last scanout */
    bool has_dropped;                   /* updates, since then */
    int n_recycled;
};

static struct source_qemu *from(struct source *source)
{
    return container_of(source, struct source_qemu, base);
}

/* True when the last scanout is not the surface that QEMU has now. */
static bool is_outdated(const struct source_qemu *self)
{
    return self->width && self->height && self->shown_width &&
           (self->width != self->shown_width || self->height != self->shown_height);
}

static int handle_scanout(sd_bus_message *m, void *data, sd_bus_error *e maybe_unused)
{
    struct source_qemu *self = data;
    struct pixels p = { 0 };
    int r = sd_bus_message_read(m, "uuuu", &p.width, &p.height, &p.stride, &p.format);
    if (r >= 0)
        r = sd_bus_message_read_array(m, 'y', &p.data, &p.size);
    if (r < 0)
        return r;
    self->shown_width = p.width;
    self->shown_height = p.height;
    self->has_dropped = false;
    self->base.sink->scanout(self->base.sink_data, &p);
    if (is_outdated(self))
        timer_start(self->resync, RESYNC_US);
    return sd_bus_reply_method_return(m, "");
}

static int handle_update(sd_bus_message *m, void *data, sd_bus_error *e maybe_unused)
{
    struct source_qemu *self = data;
    struct pixels p = { 0 };
    int x, y, w, h;
    int r = sd_bus_message_read(m, "iiiiuu", &x, &y, &w, &h, &p.stride, &p.format);
    if (r >= 0)
        r = sd_bus_message_read_array(m, 'y', &p.data, &p.size);
    if (r < 0)
        return r;
    /* A negative size becomes a huge one, which the sink refuses. */
    p.width = (uint32_t)w;
    p.height = (uint32_t)h;
    if (is_outdated(self))
        self->has_dropped = true;
    else
        self->base.sink->update(self->base.sink_data, x, y, &p);
    return sd_bus_reply_method_return(m, "");
}

static int handle_disable(sd_bus_message *m, void *data, sd_bus_error *e maybe_unused)
{
    struct source_qemu *self = data;
    self->base.sink->disable(self->base.sink_data);
    return sd_bus_reply_method_return(m, "");
}

static int handle_mouse_set(sd_bus_message *m, void *data, sd_bus_error *e maybe_unused)
{
    struct source_qemu *self = data;
    int x, y, on;
    int r = sd_bus_message_read(m, "iii", &x, &y, &on);
    if (r < 0)
        return r;
    self->base.sink->cursor_move(self->base.sink_data, x, y, on != 0);
    return sd_bus_reply_method_return(m, "");
}

static int handle_cursor_define(sd_bus_message *m, void *data, sd_bus_error *e maybe_unused)
{
    struct source_qemu *self = data;
    int w, h, hot_x, hot_y;
    const void *argb;
    size_t size;
    int r = sd_bus_message_read(m, "iiii", &w, &h, &hot_x, &hot_y);
    if (r >= 0)
        r = sd_bus_message_read_array(m, 'y', &argb, &size);
    if (r < 0)
        return r;
    self->base.sink->cursor_define(self->base.sink_data, w, h, hot_x, hot_y, argb, size);
    return sd_bus_reply_method_return(m, "");
}

static const sd_bus_vtable listener_vtable[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_METHOD("Scanout", "uuuuay", "", handle_scanout, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("Update", "iiiiuuay", "", handle_update, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("Disable", "", "", handle_disable, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("MouseSet", "iii", "", handle_mouse_set, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("CursorDefine", "iiiiay", "", handle_cursor_define, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_VTABLE_END,
};

static int add_vtable(sd_bus *bus, void *data)
{
    return sd_bus_add_object_vtable(bus, NULL, LISTENER_PATH, LISTENER_INTERFACE, listener_vtable,
                                    data);
}

static void close_listener(struct source_qemu *self)
{
    if (self->redraw)
        self->redraw->source = NULL;
    self->redraw = NULL;
    self->registration = sd_bus_slot_unref(self->registration);
    self->properties = sd_bus_slot_unref(self->properties);
    self->listener = qdbus_free(self->listener);
    self->width = self->height = self->shown_width = self->shown_height = 0;
    self->has_dropped = false;
    timer_stop(self->tick);
    timer_stop(self->resync);
}

static void lose(struct source_qemu *self, struct error *err)
{
    error_wrap(err, "listening to the guest's display");
    close_listener(self);
    self->base.sink->lost(self->base.sink_data, err);
}

static void handle_closed(void *data, int why)
{
    struct error err = { 0 };
    error_set(&err, ERROR_GUEST_GONE, "QEMU closed the connection (%s)", strerror(-why));
    lose(data, &err);
}

static int handle_registered(sd_bus_message *m, void *data, sd_bus_error *e maybe_unused)
{
    struct source_qemu *self = data;
    self->registration = sd_bus_slot_unref(self->registration);
    const sd_bus_error *why = sd_bus_message_get_error(m);
    if (why) {
        struct error err = { 0 };
        error_set(&err, ERROR_GUEST_FAILED, "QEMU refused the listener: %s",
                  why->message ? why->message : why->name);
        lose(self, &err);
    }
    return 0;
}

static int read_property(struct source_qemu *self, sd_bus_message *m)
{
    const char *name;
    int r = sd_bus_message_read(m, "s", &name);
    if (r < 0)
        return r;
    uint32_t *value = strcmp(name, "Width") == 0    ? &self->width
                      : strcmp(name, "Height") == 0 ? &self->height
                                                    : NULL;
    return value ? sd_bus_message_read(m, "v", "u", value) : sd_bus_message_skip(m, "v");
}

static int handle_properties(sd_bus_message *m, void *data, sd_bus_error *e maybe_unused)
{
    struct source_qemu *self = data;
    int r = sd_bus_message_skip(m, "s");
    if (r >= 0)
        r = sd_bus_message_enter_container(m, 'a', "{sv}");
    while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
        r = read_property(self, m);
        if (r >= 0)
            r = sd_bus_message_exit_container(m);
    }
    if (is_outdated(self))
        timer_start(self->resync, RESYNC_US);
    else if (self->has_dropped)
        timer_start(self->resync, 0);
    return 0;
}

static int open_listener(struct source_qemu *self, struct error *err)
{
    int pair[2] = { -1, -1 };
    int r = self->config.pair(self->config.data, pair, err);
    if (r < 0)
        return r;
    auto_fd int theirs = pair[1];
    r = qdbus_new(&self->listener, self->config.loop, pair[0], add_vtable, handle_closed, self,
                  err);
    if (r < 0)
        return r;
    /* The message holds a duplicate of the descriptor. */
    r = sd_bus_call_method_async(qdbus_bus(self->config.console), &self->registration, NULL,
                                 CONSOLE_PATH, CONSOLE_INTERFACE, "RegisterListener",
                                 handle_registered, self, "h", theirs);
    if (r >= 0)
        r = sd_bus_match_signal(qdbus_bus(self->config.console), &self->properties, NULL,
                                CONSOLE_PATH, "org.freedesktop.DBus.Properties",
                                "PropertiesChanged", handle_properties, self);
    if (r < 0) {
        close_listener(self);
        return error_set(err, ERROR_GUEST_GONE, "calling QEMU's display: %s", strerror(-r));
    }
    qdbus_kick(self->config.console);
    watchdog_init(&self->watchdog);
    timer_start(self->tick, WATCHDOG_TICK_US);
    return 0;
}

static void handle_redrawn(void *data)
{
    struct redraw *redraw = data;
    struct source_qemu *self = redraw->source;
    struct error err = { 0 };
    free(redraw);
    if (!self)
        return;
    self->redraw = NULL;
    if (open_listener(self, &err) < 0)
        lose(self, &err);
}

static int begin(struct source_qemu *self, struct error *err)
{
    if (!self->config.refresh)
        return open_listener(self, err);
    struct redraw *redraw = calloc(1, sizeof *redraw);
    if (!redraw)
        return error_errno(err, ENOMEM, "listening to the guest's display");
    redraw->source = self;
    if (self->config.refresh(self->config.data, handle_redrawn, redraw) < 0) {
        free(redraw);
        return open_listener(self, err);
    }
    self->redraw = redraw;
    return 0;
}

static void reopen_listener(struct source_qemu *self)
{
    close_listener(self);
    struct error err = { 0 };
    if (begin(self, &err) < 0)
        lose(self, &err);
}

static void handle_resync(void *data)
{
    struct source_qemu *self = data;
    if (is_outdated(self) || self->has_dropped)
        reopen_listener(self);
}

static void handle_tick(void *data)
{
    struct source_qemu *self = data;
    int unread = 0;
    if (ioctl(qdbus_fd(self->listener), SIOCINQ, &unread) < 0)
        unread = 0;
    int64_t rss = self->config.rss_anon ? self->config.rss_anon(self->config.data) : -1;
    if (!watchdog_tick(&self->watchdog, unread, rss)) {
        timer_start(self->tick, WATCHDOG_TICK_US);
        return;
    }
    log_debug("recycling a listener: %d bytes unread, QEMU holds %lld", unread, (long long)rss);
    self->n_recycled++;
    reopen_listener(self);
}

static int start(struct source *source, struct error *err)
{
    int r = begin(from(source), err);
    if (r < 0)
        error_wrap(err, "listening to the guest's display");
    return r;
}

static void stop(struct source *source)
{
    close_listener(from(source));
}

static void destroy(struct source *source)
{
    struct source_qemu *self = from(source);
    close_listener(self);
    timer_free(self->tick);
    timer_free(self->resync);
    free(self);
}

static int resize(struct source *source, int width, int height, struct error *err)
{
    struct source_qemu *self = from(source);
    if (self->config.is_fixed)
        return error_set(err, ERROR_UNSUPPORTED, "this guest's display (a VGA) cannot ask it for a size: the guest's "
                         "own settings do");
    if ((int64_t)width * height * 4 > DBUS_ARRAY_MAX - 4096)
        return error_set(err, ERROR_BAD_VALUE, "%dx%d is more than 16 million pixels", width,
                         height);
    /* 96 dots per inch, so that guests keep their scale at 1. */
    unsigned mm_x = (unsigned)width * 254 / 960, mm_y = (unsigned)height * 254 / 960;
    int r = sd_bus_call_method_async(qdbus_bus(self->config.console), NULL, NULL, CONSOLE_PATH,
                                     CONSOLE_INTERFACE, "SetUIInfo", NULL, NULL, "qqiiuu", mm_x,
                                     mm_y, 0, 0, (uint32_t)width, (uint32_t)height);
    if (r < 0)
        return error_set(err, ERROR_GUEST_GONE, "calling QEMU's display: %s", strerror(-r));
    qdbus_kick(self->config.console);
    return 0;
}

static const struct source_impl impl = {
    .name = "qemu", .start = start, .stop = stop, .free = destroy, .resize = resize,
};

struct source *source_qemu_new(const struct source_qemu_config *config)
{
    struct source_qemu *self = calloc(1, sizeof *self);
    if (!self)
        return NULL;
    self->base.impl = &impl;
    self->config = *config;
    self->tick = timer_new(config->loop, handle_tick, self);
    self->resync = timer_new(config->loop, handle_resync, self);
    if (!self->tick || !self->resync) {
        timer_free(self->tick);
        timer_free(self->resync);
        free(self);
        return NULL;
    }
    return &self->base;
}

int source_qemu_recycled(const struct source *source)
{
    return container_of(source, struct source_qemu, base)->n_recycled;
}
