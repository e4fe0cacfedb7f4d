/* One `input-send-event` per event: QEMU ends each command with a report, so every key change is a
 * report of its own and a position changes in x and y at once. A command takes QEMU about 0.1 ms.
 *
 * QEMU answers when its device has the event, not when the guest does: a virtio device whose guest
 * has left it no buffers (a ring of 64; a key change takes two) drops the report and says nothing.
 * So events wait in an outbox and go out only while buffers are known to be free. When they run
 * short, the event ring of each virtio input device is read (`x-query-virtio-queue-element`,
 * 0.3 ms): buffers made available minus buffers used is the room. A guest that is slow is waited
 * for; one that has fetched nothing for RING_WAIT_MS fails the flushes under way and loses what the
 * outbox holds. A ring that cannot be read (no driver yet: QEMU's PS/2 devices take the events)
 * holds nobody up, nor does a QEMU without that command.
 *
 * A flush behind a button ends when the guest's driver has taken the events: its rings are as full of
 * buffers again as they ever were. From then on time counts between two changes of a button, which a
 * guest that stood still would else see closer together than its libinput lets pass. After
 * RING_WAIT_MS the flush ends all the same.
 *
 * The queue of a USB device cannot be read at all. There the sink counts time: as many events may be in
 * it as a burst has, and the guest takes one per interval; it polls at least that often. A guest that does
 * not run for as long as the rest of the queue lasts loses events, and nobody hears of it.
 *
 * What is behind the guest's driver is out of sight here: its kernel keeps 64 events for its X server, and drops
 * all when that does not run for so long (input/reader.h).
 *
 * The tablet may be bound to a display (see sink_qmp_new); its events then carry that name. QEMU's
 * virtio tablet has no horizontal wheel. Horizontal notches go out without a display's name and so
 * reach a PS/2 mouse beside a bound tablet; without one QEMU drops them. */
#include "input/sink-qmp.h"

#include "base/clock.h"
#include "base/list.h"
#include "input/pointer.h"
#include "input/qnum.h"

#include <string.h>

enum {
    RINGS_MAX = 4,
    RING_ROOM = 32, /* buffers that stay free: what a guest finds when it runs again has to fit in its own queue */
    ROOM_LEAST = 4, /* of the others, before more events go out */
    RING_POLL_MS = 3,
    RING_WAIT_MS = 3000,
    OUTBOX_MAX = 4096,   /* events; a reset has about 150 */
    ON_THE_WAY_MAX = 36, /* commands */
};

/* An event that waits to be sent, or (without arguments) a flush among them. */
struct item {
    struct list link;
    json_t *arguments;
    int n_buffers;
    int n_queued; /* entries in the queue of a USB device */
    bool is_sent;
    bool is_button;    /* a flush: waits until the guest has taken a button */
    int64_t asked_us;  /* since when it does; 0: not yet */
    sink_done_fn done;
    void *data;
};

struct sink_qmp {
    struct sink sink;
    char *device;
    sink_qmp_submit_fn submit;
    void *submit_data;
    struct defer *advance;
    struct timer *poll;
    struct list items; /* sent events that are not answered, and all that waits */
    size_t n_items;
    uint64_t n_submitted, n_answered; /* commands of all kinds */
    bool is_failed;                   /* a command failed: QMP is gone or input-send-event is */
    bool is_freed;                    /* waits for its answers */

    int burst;
    int64_t interval_us;   /* 0: not paced */
    int64_t drained_us;    /* when the queue is empty */

    bool has_listed_rings;
    char *rings[RINGS_MAX]; /* QOM paths of virtio input devices */
    int n_rings;
    int n_asked;           /* rings whose answer is missing */
    int room;              /* buffers that may be used, as far as known */
    int64_t full_since_us; /* 0: not full */
    int most[RINGS_MAX];   /* buffers that a ring ever had free: all of them */
    bool is_taken;         /* all rings had as many when they were asked last */
    bool has_button;       /* a button was sent since the last flush */
};

static struct item *first_item(struct sink_qmp *self)
{
    return list_empty(&self->items) ? NULL : list_first(&self->items, struct item, link);
}

/* Skips flushes that wait for the guest: events behind them go out meanwhile. */
static struct item *first_sent(struct sink_qmp *self)
{
    struct item *item;
    list_for_each(item, &self->items, link)
    {
        if (item->is_sent)
            return item;
    }
    return NULL;
}

static bool waits_for_button(struct sink_qmp *self)
{
    const struct item *item = first_item(self);
    return item && item->asked_us > 0;
}

static void item_free(struct sink_qmp *self, struct item *item)
{
    list_remove(&item->link);
    json_decref(item->arguments);
    free(item);
    self->n_items--;
}

static void destroy(struct sink_qmp *self)
{
    for (int i = 0; i < self->n_rings; i++)
        free(self->rings[i]);
    free(self->device);
    free(self);
}

/* Counts an answer. False: the sink is gone. */
static bool take_answer(struct sink_qmp *self)
{
    self->n_answered++;
    if (!self->is_freed)
        return true;
    if (self->n_answered == self->n_submitted)
        destroy(self);
    return false;
}

/* Takes the arguments. */
static void command(struct sink_qmp *self, const char *name, json_t *arguments,
                    sink_qmp_done_fn done)
{
    if (self->is_failed) {
        json_decref(arguments);
    } else if (self->submit(self->submit_data, name, arguments, done, self) < 0) {
        self->is_failed = true;
        defer_request(self->advance);
    } else {
        self->n_submitted++;
    }
}

/* --- Rings ------------------------------------------------------------------------------------ */

static void handle_devices(void *data, const json_t *result)
{
    struct sink_qmp *self = data;
    if (!take_answer(self))
        return;
    self->n_asked = 0;
    for (size_t i = 0; i < json_array_size(result) && self->n_rings < RINGS_MAX; i++) {
        const json_t *device = json_array_get(result, i);
        const char *path = json_get_string(device, "path", NULL);
        char *copy = path && strcmp(json_get_string(device, "name", ""), "virtio-input") == 0
                         ? strndup(path, 256)
                         : NULL;
        if (copy)
            self->rings[self->n_rings++] = copy;
    }
    defer_request(self->advance);
}

/* Indexes count upwards and wrap at 16 bits (virtio 1.2, 2.7.6 and 2.7.8). */
static void handle_ring(void *data, const json_t *result)
{
    struct sink_qmp *self = data;
    if (!take_answer(self))
        return;
    const json_t *available = json_object_get(result, "avail"),
                 *used = json_object_get(result, "used");
    if (available && used) {
        uint16_t room = (uint16_t)(json_get_int(available, "idx", 0) -
                                   json_get_int(used, "idx", 0));
        int *most = &self->most[self->n_rings - self->n_asked];
        *most = MAX(*most, room);
        self->is_taken &= room == *most;
        self->room = MIN(self->room, room - RING_ROOM);
    }
    if (--self->n_asked == 0 && self->room < ROOM_LEAST) {
        if (self->full_since_us == 0)
            self->full_since_us = clock_now_us();
        timer_start(self->poll, RING_POLL_MS * 1000);
    } else if (self->n_asked == 0) {
        self->full_since_us = 0;
        if (!self->is_taken && waits_for_button(self))
            timer_start(self->poll, RING_POLL_MS * 1000);
    }
    defer_request(self->advance);
}

static void list_rings(struct sink_qmp *self)
{
    self->has_listed_rings = true;
    self->n_asked = 1;
    command(self, "x-query-virtio", NULL, handle_devices);
}

static void ask_rings(struct sink_qmp *self)
{
    /* A ring that cannot be read does not lower it. */
    self->room = RING_ROOM;
    self->is_taken = true;
    self->n_asked = self->n_rings;
    for (int i = 0; i < self->n_rings; i++)
        command(self, "x-query-virtio-queue-element",
                json_pack("{s:s, s:i}", "path", self->rings[i], "queue", 0), handle_ring);
}

/* Whether the queue of a USB device has room; looks again later when it has not. */
static bool is_in_time(struct sink_qmp *self)
{
    int64_t wait_us = self->drained_us - clock_now_us() - (self->burst - 1) * self->interval_us;
    if (wait_us <= 0)
        return true;
    timer_start(self->poll, wait_us);
    return false;
}

static bool is_drained(struct sink_qmp *self)
{
    int64_t wait_us = self->drained_us - clock_now_us();
    if (wait_us > 0)
        timer_start(self->poll, wait_us);
    return wait_us <= 0;
}

static void count_time(struct sink_qmp *self, int n)
{
    self->drained_us = MAX(self->drained_us, clock_now_us()) + n * self->interval_us;
}

/* Whether n buffers may be used; finds out when that is not known, and advances later then. */
static bool has_room(struct sink_qmp *self, int n)
{
    if (self->n_asked > 0 || timer_is_active(self->poll) ||
        self->n_submitted - self->n_answered >= ON_THE_WAY_MAX)
        return false;
    if (self->interval_us > 0)
        return is_in_time(self);
    if (!self->has_listed_rings) {
        list_rings(self);
        return false;
    }
    if (self->n_rings == 0 || (self->full_since_us == 0 && self->room >= n))
        return true;
    ask_rings(self);
    return false;
}

/* --- The outbox ------------------------------------------------------------------------------- */

/* Answers come in order, so the first event on the way is the one that was answered. */
static void handle_sent(void *data, const json_t *result)
{
    struct sink_qmp *self = data;
    if (!take_answer(self))
        return;
    struct item *item = first_sent(self);
    if (item)
        item_free(self, item);
    self->is_failed |= !result;
    defer_request(self->advance);
}

static void send_items(struct sink_qmp *self)
{
    struct item *item;
    list_for_each(item, &self->items, link)
    {
        if (item->is_sent || !item->arguments)
            continue;
        if (self->is_failed || !has_room(self, item->n_buffers))
            return;
        item->is_sent = true;
        self->room -= item->n_buffers;
        count_time(self, item->n_queued);
        command(self, "input-send-event", json_incref(item->arguments), handle_sent);
    }
}

/* Drops what waits, so that the flushes come first. */
static void drop_items(struct sink_qmp *self)
{
    struct item *item, *next;
    list_for_each_safe(item, next, &self->items, link)
    {
        if (item->arguments && (!item->is_sent || self->is_failed))
            item_free(self, item);
    }
}

/* Whether a flush may end. Asks the rings when that is not known, and advances later then. */
static bool is_over(struct sink_qmp *self, struct item *flush)
{
    if (!flush->is_button || (self->n_rings == 0 && self->interval_us == 0))
        return true;
    if (self->n_asked > 0 || timer_is_active(self->poll))
        return false;
    if (self->interval_us > 0)
        return is_drained(self);
    bool is_asked = flush->asked_us > 0;
    if (!is_asked)
        flush->asked_us = clock_now_us();
    else if (self->is_taken || clock_now_us() - flush->asked_us > RING_WAIT_MS * 1000)
        return true;
    ask_rings(self);
    return false;
}

static void handle_advance(void *data)
{
    struct sink_qmp *self = data;
    bool is_stuck = self->full_since_us > 0 &&
                    clock_now_us() - self->full_since_us > RING_WAIT_MS * 1000;
    bool ok = !self->is_failed && !is_stuck;
    if (!ok)
        drop_items(self);
    send_items(self);
    struct item *item = first_item(self);
    /* How full the rings were when nothing waited says nothing about the next event. */
    if (!item)
        self->full_since_us = 0;
    if (!item || item->arguments || (ok && !is_over(self, item)))
        return;
    sink_done_fn done = item->done;
    void *done_data = item->data;
    item_free(self, item);
    if (!list_empty(&self->items))
        defer_request(self->advance);
    else if (is_stuck)
        self->full_since_us = self->room = 0; /* the next event looks again */
    /* May free the sink. */
    if (done)
        done(done_data, ok);
}

static struct item *add_item(struct sink_qmp *self)
{
    struct item *item = self->n_items < OUTBOX_MAX ? calloc(1, sizeof *item) : NULL;
    if (!item)
        return NULL;
    list_append(&self->items, &item->link);
    self->n_items++;
    defer_request(self->advance);
    return item;
}

/* One report of the events in the array, which is taken. */
static struct item *send_report(struct sink_qmp *self, json_t *events, const char *device)
{
    json_t *arguments = json_pack("{s:o}", "events", events);
    /* What failed has been told, and QEMU may listen again: after a pause, or a lost connection. */
    if (self->n_items == 0 && self->n_answered == self->n_submitted) {
        self->is_failed = false;
        self->n_asked = 0;
    }
    struct item *item = arguments ? add_item(self) : NULL;
    if (!item) {
        json_decref(arguments);
        self->is_failed = true;
        return NULL;
    }
    if (device)
        json_object_set_new(arguments, "device", json_string(device));
    item->arguments = arguments;
    item->n_buffers = (int)json_array_size(events) + 1;
    item->n_queued = 1;
    return item;
}

static struct item *send_event(struct sink_qmp *self, json_t *event, const char *device)
{
    return send_report(self, json_pack("[o]", event), device);
}

/* --- Events ----------------------------------------------------------------------------------- */

static void qmp_key(struct sink *sink, uint16_t code, bool is_down)
{
    struct sink_qmp *self = container_of(sink, struct sink_qmp, sink);
    uint16_t qnum = qnum_from_evdev(code);
    if (qnum == 0)
        return;
    struct item *item = send_event(
        self,
        json_pack("{s:s, s:{s:b, s:{s:s, s:i}}}", "type", "key", "data", "down", is_down, "key", "type", "number",
                  "data", qnum),
        self->device);
    if (item)
        item->n_queued = qnum_scancodes(code);
}

static void send_button(struct sink_qmp *self, const char *name, bool is_down, const char *device)
{
    send_event(
        self,
        json_pack("{s:s, s:{s:b, s:s}}", "type", "btn", "data", "down", is_down, "button", name),
        device);
}

static void qmp_button(struct sink *sink, enum button button, bool is_down)
{
    static const char *const names[] = { "left", "right", "middle", "side", "extra" };
    struct sink_qmp *self = container_of(sink, struct sink_qmp, sink);
    self->has_button = true;
    send_button(self, names[button], is_down, self->device);
}

static json_t *axis_event(const char *axis, int value)
{
    return json_pack("{s:s, s:{s:s, s:i}}", "type", "abs", "data", "axis", axis, "value", value);
}

static void qmp_move(struct sink *sink, int fx, int fy, int width, int height)
{
    struct sink_qmp *self = container_of(sink, struct sink_qmp, sink);
    send_report(self,
                json_pack("[o, o]", axis_event("x", pointer_axis(fx, width)),
                          axis_event("y", pointer_axis(fy, height))),
                self->device);
}

static void qmp_wheel(struct sink *sink, enum wheel_axis axis, int notches)
{
    struct sink_qmp *self = container_of(sink, struct sink_qmp, sink);
    const char *name = axis == WHEEL_VERTICAL ? (notches < 0 ? "wheel-up" : "wheel-down")
                                              : (notches < 0 ? "wheel-left" : "wheel-right");
    const char *device = axis == WHEEL_VERTICAL ? self->device : NULL;
    for (int i = 0; i < abs(notches); i++) {
        send_button(self, name, true, device);
        send_button(self, name, false, device);
    }
}

static void qmp_flush(struct sink *sink, sink_done_fn done, void *data)
{
    struct sink_qmp *self = container_of(sink, struct sink_qmp, sink);
    struct item *item = add_item(self);
    if (!item)
        return;
    item->done = done;
    item->data = data;
    item->is_button = self->has_button;
    self->has_button = false;
}

static void qmp_free(struct sink *sink)
{
    struct sink_qmp *self = container_of(sink, struct sink_qmp, sink);
    struct item *item, *next;
    list_for_each_safe(item, next, &self->items, link) item_free(self, item);
    defer_free(self->advance);
    timer_free(self->poll);
    self->is_freed = true;
    if (self->n_answered == self->n_submitted)
        destroy(self);
}

static const struct sink_ops qmp_ops = {
    .key = qmp_key,
    .button = qmp_button,
    .move = qmp_move,
    .wheel = qmp_wheel,
    .flush = qmp_flush,
    .free = qmp_free,
};

struct sink *sink_qmp_new(struct loop *loop, const char *device, sink_qmp_submit_fn submit,
                          void *data)
{
    struct sink_qmp *self = calloc(1, sizeof *self);
    if (!self)
        return NULL;
    self->sink.ops = &qmp_ops;
    self->sink.has_key = qnum_has;
    list_init(&self->items);
    self->submit = submit;
    self->submit_data = data;
    self->advance = defer_new(loop, handle_advance, self);
    self->poll = timer_new(loop, handle_advance, self);
    self->device = device ? strdup(device) : NULL;
    if (!self->advance || !self->poll || (device && !self->device)) {
        qmp_free(&self->sink);
        return NULL;
    }
    return &self->sink;
}

void sink_qmp_set_usb(struct sink *sink, int burst, int64_t interval_us)
{
    struct sink_qmp *self = container_of(sink, struct sink_qmp, sink);
    self->burst = burst;
    self->interval_us = interval_us;
    sink->has_key = qnum_usb_has;
}
