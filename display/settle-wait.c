#include "display/settle-wait.h"

#include "base/clock.h"

struct settle_wait {
    struct display *display;
    struct display_observer observer;
    struct timer *timer;
    struct settle settle;
    settle_wait_fn fn;
    void *data;
    bool is_busy;      /* in handle_timer: a cancel there waits */
    bool is_cancelled;
    bool is_lost;
};

static void destroy(struct settle_wait *self)
{
    display_unobserve(&self->observer);
    timer_free(self->timer);
    settle_deinit(&self->settle);
    free(self);
}

static void leave(struct settle_wait *self)
{
    display_unobserve(&self->observer);
    if (self->display)
        display_release(self->display);
    self->display = NULL;
}

static void handle_timer(void *data)
{
    struct settle_wait *self = data;
    self->is_busy = true;
    /* What has arrived but waits for its pace belongs to the time before now. */
    if (self->display)
        display_flush(self->display);
    self->is_busy = false;
    if (self->is_cancelled) {
        destroy(self);
        return;
    }
    settle_advance(&self->settle, clock_now_us());
    if (!self->is_lost && !settle_is_done(&self->settle)) {
        timer_start(self->timer, settle_wake_us(&self->settle) - clock_now_us());
        return;
    }
    leave(self);
    self->fn(self->data, &self->settle, self->is_lost && !settle_is_done(&self->settle));
    destroy(self);
}

/* A frame may come after the end and before the timer that was to see it: then it has ended, and
 * the timer must fire at once. */
static void wake_later(struct settle_wait *self)
{
    if (self->is_busy)
        return;
    bool is_done = settle_is_done(&self->settle);
    timer_start(self->timer, is_done ? 0 : settle_wake_us(&self->settle) - clock_now_us());
}

static void handle_frame(void *data, const struct frame_update *update)
{
    struct settle_wait *self = data;
    settle_feed(&self->settle, update);
    wake_later(self);
}

static void handle_lost(void *data, const struct error *why maybe_unused)
{
    struct settle_wait *self = data;
    self->is_lost = true;
    leave(self);
    timer_start(self->timer, 0);
}

static const struct display_observer_ops observer_ops = {
    .frame = handle_frame, .lost = handle_lost,
};

struct settle_wait *settle_wait_start(struct display *display, const struct settle_params *params,
                                      int64_t injected_us, settle_wait_fn fn, void *data)
{
    struct settle_wait *self = calloc(1, sizeof *self);
    if (!self)
        return NULL;
    self->timer = timer_new(display_loop(display), handle_timer, self);
    if (!self->timer) {
        free(self);
        return NULL;
    }
    self->display = display;
    self->fn = fn;
    self->data = data;
    int64_t now = clock_now_us();
    int64_t watched = display_watched_since_us(display);
    /* Quiet that nobody watched is not known to be quiet. */
    int64_t last = watched ? MAX(watched, display_last_change_us(display)) : now;
    if (injected_us)
        settle_init(&self->settle, params, injected_us);
    else
        settle_init_quiet(&self->settle, params, last, now);
    display_observe(display, &self->observer, &observer_ops, self);
    display_hold(display);
    timer_start(self->timer, settle_wake_us(&self->settle) - now);
    return self;
}

void settle_wait_input(struct settle_wait *self, int64_t now_us)
{
    settle_input(&self->settle, now_us);
    wake_later(self);
}

void settle_wait_set_params(struct settle_wait *self, const struct settle_params *params)
{
    settle_set_params(&self->settle, params);
    wake_later(self);
}

struct settle_wait *settle_wait_cancel(struct settle_wait *self)
{
    if (!self)
        return NULL;
    leave(self);
    self->is_cancelled = true;
    if (!self->is_busy)
        destroy(self);
    return NULL;
}
