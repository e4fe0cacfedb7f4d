/* sd-bus wants to be called when its socket is ready, when its timeout passes, and after each
 * queued message. One turn handles at most TURN_MESSAGES messages, so a QEMU that floods us shares
 * the loop with everybody else; the rest follows in the next turn. */
#include "base/qdbus.h"

#include "base/clock.h"

#include <errno.h>
#include <poll.h>

#define TURN_MESSAGES 64

struct qdbus {
    sd_bus *bus;
    struct watch *watch;
    struct timer *timer;
    struct defer *defer;
    qdbus_closed_fn on_closed;
    void *data;
    int depth; /* calls of process() under way: a free inside a callback waits for them */
    bool is_freed;
};

static void destroy(struct qdbus *self)
{
    watch_free(self->watch);
    timer_free(self->timer);
    defer_free(self->defer);
    if (self->bus) {
        sd_bus_close(self->bus);
        sd_bus_unref(self->bus);
    }
    free(self);
}

static void update_watch(struct qdbus *self)
{
    int events = sd_bus_get_events(self->bus);
    watch_set(self->watch, (events & POLLIN ? WATCH_READ : 0) | (events & POLLOUT ? WATCH_WRITE : 0));
    uint64_t until;
    if (sd_bus_get_timeout(self->bus, &until) > 0 && until != UINT64_MAX)
        timer_start(self->timer, (int64_t)until - clock_now_us());
    else
        timer_stop(self->timer);
}

static void process(struct qdbus *self)
{
    int r = 1;
    self->depth++;
    for (int i = 0; i < TURN_MESSAGES && r > 0 && !self->is_freed; i++)
        r = sd_bus_process(self->bus, NULL);
    self->depth--;
    if (self->is_freed) {
        if (self->depth == 0)
            destroy(self);
        return;
    }
    if (r < 0) {
        watch_set(self->watch, 0);
        timer_stop(self->timer);
        if (self->on_closed)
            self->on_closed(self->data, r);
        return;
    }
    if (r > 0)
        defer_request(self->defer);
    update_watch(self);
}

static void handle_watch(void *data, int events maybe_unused)
{
    process(data);
}

static void handle_turn(void *data)
{
    process(data);
}

int qdbus_new(struct qdbus **ret, struct loop *loop, int fd, int (*setup)(sd_bus *bus, void *data),
              qdbus_closed_fn on_closed, void *data, struct error *err)
{
    struct qdbus *self = calloc(1, sizeof *self);
    if (!self) {
        close(fd);
        return error_errno(err, ENOMEM, "connecting to the display bus");
    }
    int r = sd_bus_new(&self->bus);
    if (r >= 0)
        r = sd_bus_set_fd(self->bus, fd, fd);
    if (r < 0) {
        close(fd);
        destroy(self);
        return error_errno(err, -r, "connecting to the display bus");
    }
    self->watch = watch_new(loop, fd, handle_watch, self);
    self->timer = timer_new(loop, handle_turn, self);
    self->defer = defer_new(loop, handle_turn, self);
    r = self->watch && self->timer && self->defer ? 0 : -ENOMEM;
    if (r >= 0)
        r = sd_bus_set_trusted(self->bus, true);
    if (r >= 0)
        r = sd_bus_negotiate_fds(self->bus, true);
    if (r >= 0 && setup)
        r = setup(self->bus, data);
    if (r >= 0)
        r = sd_bus_start(self->bus);
    if (r < 0) {
        destroy(self);
        return error_errno(err, -r, "connecting to the display bus");
    }
    self->on_closed = on_closed;
    self->data = data;
    update_watch(self);
    defer_request(self->defer);
    *ret = self;
    return 0;
}

sd_bus *qdbus_bus(struct qdbus *self)
{
    return self->bus;
}

void qdbus_kick(struct qdbus *self)
{
    defer_request(self->defer);
}

int qdbus_fd(const struct qdbus *self)
{
    return sd_bus_get_fd(self->bus);
}

struct qdbus *qdbus_free(struct qdbus *self)
{
    if (!self)
        return NULL;
    self->on_closed = NULL;
    self->is_freed = true;
    if (self->depth == 0)
        destroy(self);
    return NULL;
}
