#include "input/sink-dbus.h"

#include "base/list.h"
#include "input/qnum.h"

#define PATH "/org/qemu/Display1/Console_0"
#define KEYBOARD "org.qemu.Display1.Keyboard"
#define MOUSE "org.qemu.Display1.Mouse"

/* Buttons of org.qemu.Display1.Mouse. */
enum { DBUS_WHEEL_UP = 3, DBUS_WHEEL_DOWN = 4, DBUS_WHEEL_LEFT = 7, DBUS_WHEEL_RIGHT = 8 };

struct flush {
    struct list link;
    struct sink_dbus *sink;
    sd_bus_slot *slot; /* the property read that is on the way; NULL: it could not be sent */
    bool is_answered, ok;
    sink_done_fn done;
    void *data;
};

struct sink_dbus {
    struct sink sink;
    struct qdbus *bus;
    struct defer *advance;
    struct list flushes;
};

/* A call whose reply nobody wants. Failure shows in the next flush. */
static void call(struct sink_dbus *self, const char *interface, const char *member, uint32_t a,
                 int64_t b)
{
    sd_bus_message *message = NULL;
    int r = sd_bus_message_new_method_call(qdbus_bus(self->bus), &message, NULL, PATH, interface,
                                           member);
    if (r >= 0)
        r = sd_bus_message_append(message, "u", a);
    if (r >= 0 && b >= 0)
        r = sd_bus_message_append(message, "u", (uint32_t)b);
    if (r >= 0)
        r = sd_bus_message_set_expect_reply(message, false);
    if (r >= 0)
        sd_bus_send(qdbus_bus(self->bus), message, NULL);
    sd_bus_message_unref(message);
    qdbus_kick(self->bus);
}

static void dbus_key(struct sink *sink, uint16_t code, bool is_down)
{
    struct sink_dbus *self = container_of(sink, struct sink_dbus, sink);
    uint16_t qnum = qnum_from_evdev(code);
    if (qnum > 0)
        call(self, KEYBOARD, is_down ? "Press" : "Release", qnum, -1);
}

static void dbus_button(struct sink *sink, enum button button, bool is_down)
{
    static const uint32_t numbers[] = { 0, 2, 1, 5, 6 };
    struct sink_dbus *self = container_of(sink, struct sink_dbus, sink);
    call(self, MOUSE, is_down ? "Press" : "Release", numbers[button], -1);
}

static void dbus_move(struct sink *sink, int fx, int fy, int width, int height)
{
    struct sink_dbus *self = container_of(sink, struct sink_dbus, sink);
    call(self, MOUSE, "SetAbsPosition", (uint32_t)CLAMP(fx + 1, 0, MAX(width - 1, 0)),
         CLAMP(fy + 1, 0, MAX(height - 1, 0)));
}

static void dbus_wheel(struct sink *sink, enum wheel_axis axis, int notches)
{
    struct sink_dbus *self = container_of(sink, struct sink_dbus, sink);
    uint32_t button = axis == WHEEL_VERTICAL ? (notches < 0 ? DBUS_WHEEL_UP : DBUS_WHEEL_DOWN)
                                             : (notches < 0 ? DBUS_WHEEL_LEFT : DBUS_WHEEL_RIGHT);
    for (int i = 0; i < abs(notches); i++) {
        call(self, MOUSE, "Press", button, -1);
        call(self, MOUSE, "Release", button, -1);
    }
}

static void handle_advance(void *data)
{
    struct sink_dbus *self = data;
    if (list_empty(&self->flushes))
        return;
    struct flush *flush = list_first(&self->flushes, struct flush, link);
    if (!flush->is_answered)
        return;
    sink_done_fn done = flush->done;
    void *done_data = flush->data;
    bool ok = flush->ok;
    list_remove(&flush->link);
    sd_bus_slot_unref(flush->slot);
    free(flush);
    if (!list_empty(&self->flushes))
        defer_request(self->advance);
    /* May free the sink. */
    if (done)
        done(done_data, ok);
}

static int handle_answer(sd_bus_message *message, void *data, sd_bus_error *error maybe_unused)
{
    struct flush *flush = data;
    flush->is_answered = true;
    flush->ok = !sd_bus_message_is_method_error(message, NULL);
    defer_request(flush->sink->advance);
    return 0;
}

static void dbus_flush(struct sink *sink, sink_done_fn done, void *data)
{
    struct sink_dbus *self = container_of(sink, struct sink_dbus, sink);
    struct flush *flush = calloc(1, sizeof *flush);
    if (!flush)
        return;
    flush->sink = self;
    flush->done = done;
    flush->data = data;
    list_append(&self->flushes, &flush->link);
    int r = sd_bus_call_method_async(qdbus_bus(self->bus), &flush->slot, NULL, PATH,
                                     "org.freedesktop.DBus.Properties", "Get", handle_answer, flush,
                                     "ss", KEYBOARD, "Modifiers");
    flush->is_answered = r < 0;
    qdbus_kick(self->bus);
    defer_request(self->advance);
}

static void dbus_free(struct sink *sink)
{
    struct sink_dbus *self = container_of(sink, struct sink_dbus, sink);
    struct flush *flush, *next;
    list_for_each_safe(flush, next, &self->flushes, link)
    {
        list_remove(&flush->link);
        sd_bus_slot_unref(flush->slot);
        free(flush);
    }
    defer_free(self->advance);
    free(self);
}

static const struct sink_ops dbus_ops = {
    .key = dbus_key,
    .button = dbus_button,
    .move = dbus_move,
    .wheel = dbus_wheel,
    .flush = dbus_flush,
    .free = dbus_free,
};

struct sink *sink_dbus_new(struct loop *loop, struct qdbus *bus)
{
    struct sink_dbus *self = calloc(1, sizeof *self);
    if (!self)
        return NULL;
    self->sink.ops = &dbus_ops;
    self->sink.has_key = qnum_has;
    self->bus = bus;
    list_init(&self->flushes);
    self->advance = defer_new(loop, handle_advance, self);
    if (!self->advance) {
        free(self);
        return NULL;
    }
    return &self->sink;
}
