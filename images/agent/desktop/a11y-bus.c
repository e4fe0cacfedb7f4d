/* Two connections: to the session's bus, where org.a11y.Bus tells the address of the
 * accessibility bus (and starts it), and to that bus. Either may be missing for a while after the
 * session began. */
#include "images/agent/desktop/a11y-bus.h"

#include "base/clock.h"
#include "base/util.h"
#include "images/agent/desktop/alarm.h"
#include "images/agent/loop.h"

#include <fcntl.h>

#define RETRY_US 1000000
#define ADDRESS_US 20000000

static struct wire {
    sd_bus *bus;
    struct source source;
} session = { .source.fd = -1 }, a11y = { .source.fd = -1 };
static bool is_ready, is_asking;
static struct alarm retry;

static void handle_wire(void *data maybe_unused, uint32_t events maybe_unused)
{
    /* a11y_bus_turn reads it, before every wait. */
}

static void close_wire(struct wire *self)
{
    source_close(&self->source);
    self->bus = sd_bus_close_unref(self->bus);
}

static void handle_retry(void *data maybe_unused)
{
    a11y_bus_open();
}

static void fail(void)
{
    is_ready = is_asking = false;
    close_wire(&a11y);
    close_wire(&session);
    alarm_set(&retry, RETRY_US, handle_retry, NULL);
}

static void handle_failure(void *data maybe_unused)
{
    fail();
}

static int connect_a11y(const char *address)
{
    int r = sd_bus_new(&a11y.bus);
    if (r >= 0)
        r = sd_bus_set_address(a11y.bus, address);
    if (r >= 0)
        r = sd_bus_set_bus_client(a11y.bus, 1);
    return r < 0 ? r : sd_bus_start(a11y.bus);
}

static int handle_address(sd_bus_message *message, void *data maybe_unused,
                          sd_bus_error *error maybe_unused)
{
    const char *address;
    is_asking = false;
    if (sd_bus_message_is_method_error(message, NULL) ||
        sd_bus_message_read(message, "s", &address) < 0 || connect_a11y(address) < 0)
        alarm_set(&retry, 0, handle_failure, NULL);
    return 0;
}

/* Programs look at this when they start, some also later. */
static void say_enabled(void)
{
    sd_bus_message *message = NULL;
    int r = sd_bus_message_new_method_call(session.bus, &message, "org.a11y.Bus", "/org/a11y/bus",
                                           "org.freedesktop.DBus.Properties", "Set");
    if (r >= 0)
        r = sd_bus_message_append(message, "ssv", "org.a11y.Status", "IsEnabled", "b", 1);
    if (r >= 0)
        sd_bus_message_set_expect_reply(message, 0);
    if (r >= 0)
        sd_bus_send(session.bus, message, NULL);
    sd_bus_message_unref(message);
}

static int ask_address(void)
{
    sd_bus_message *message = NULL;
    int r = sd_bus_open_user(&session.bus);
    if (r < 0)
        return r;
    say_enabled();
    r = sd_bus_message_new_method_call(session.bus, &message, "org.a11y.Bus", "/org/a11y/bus",
                                       "org.a11y.Bus", "GetAddress");
    if (r >= 0)
        r = sd_bus_call_async(session.bus, NULL, message, handle_address, NULL, ADDRESS_US);
    sd_bus_message_unref(message);
    is_asking = r >= 0;
    return r;
}

/* Programs list their objects in one go only while somebody listens to some event of theirs. This
 * one is rare, and its sending costs nothing where nobody has a match for it. */
static void listen_to_something(void)
{
    sd_bus_message *message = NULL;
    int r =
        sd_bus_message_new_method_call(a11y.bus, &message, A11Y_REGISTRY,
                                       "/org/a11y/atspi/registry", A11Y_REGISTRY, "RegisterEvent");
    if (r >= 0)
        r = sd_bus_message_append(message, "sass", "Document:LoadComplete", 0, "");
    if (r >= 0)
        sd_bus_message_set_expect_reply(message, 0);
    if (r >= 0)
        sd_bus_send(a11y.bus, message, NULL);
    sd_bus_message_unref(message);
}

void a11y_bus_open(void)
{
    alarm_stop(&retry);
    if (!a11y.bus && !is_asking && ask_address() < 0)
        fail();
}

sd_bus *a11y_bus(void)
{
    return is_ready ? a11y.bus : NULL;
}

unsigned a11y_bus_tag(void)
{
    sd_id128_t id;
    return a11y.bus && sd_bus_get_bus_id(a11y.bus, &id) >= 0
               ? (unsigned)id.bytes[0] << 8 | id.bytes[1]
               : 0;
}

/* Reads and writes what it can; how long it may wait, -1: for an event. Its descriptor changes
 * while it connects. */
static int turn(struct wire *self, int64_t *wait_us)
{
    uint64_t until;
    int r = 0;
    if (!self->bus)
        return 0;
    while ((r = sd_bus_process(self->bus, NULL)) > 0)
        ;
    if (r < 0 || !self->bus || sd_bus_is_open(self->bus) <= 0)
        return -1;
    int events = sd_bus_get_events(self->bus);
    if (self->source.fd < 0)
        source_open(&self->source, fcntl(sd_bus_get_fd(self->bus), F_DUPFD_CLOEXEC, 3), handle_wire,
                    self);
    source_set(&self->source, events < 0 ? EPOLLIN : (uint32_t)events);
    if (sd_bus_get_timeout(self->bus, &until) >= 0 && until != UINT64_MAX) {
        int64_t left_us = MAX((int64_t)until - clock_now_us(), 0);
        *wait_us = *wait_us < 0 ? left_us : MIN(*wait_us, left_us);
    }
    return 0;
}

int64_t a11y_bus_turn(void)
{
    int64_t wait_us = -1;
    if (turn(&session, &wait_us) < 0 || turn(&a11y, &wait_us) < 0) {
        fail();
        return -1;
    }
    bool was_ready = is_ready;
    is_ready = a11y.bus && sd_bus_is_ready(a11y.bus) > 0;
    if (is_ready && !was_ready)
        listen_to_something();
    return wait_us;
}
