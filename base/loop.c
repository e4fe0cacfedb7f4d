/* libuv handles live until their close callback has run. Each object here is one allocation with
 * the handle inside; free() closes the handle, forgets the callback, and the memory goes when
 * libuv is done with it. */
#define LOG_MODULE "loop"
#include "base/loop.h"
#include "base/log.h"

struct timer {
    uv_timer_t uv;
    loop_fn fn;
    void *data;
};

struct watch {
    uv_poll_t uv;
    watch_fn fn;
    void *data;
    int events;
};

struct defer {
    uv_timer_t uv; /* a timer of 0 ms: runs in the next turn and costs nothing when not asked */
    loop_fn fn;
    void *data;
};

int loop_init(struct loop *self)
{
    return uv_loop_init(&self->uv);
}

static void handle_open(uv_handle_t *uv, void *data)
{
    int *n = data;
    *n += !uv_is_closing(uv);
}

void loop_deinit(struct loop *self)
{
    int n_open = 0;
    uv_walk(&self->uv, handle_open, &n_open);
    if (n_open > 0)
        log_error("%d handles are still open: what owns them was not freed", n_open);
    while (uv_loop_close(&self->uv) == UV_EBUSY && uv_run(&self->uv, UV_RUN_NOWAIT))
        ;
    uv_loop_close(&self->uv);
}

void loop_run(struct loop *self)
{
    uv_run(&self->uv, UV_RUN_DEFAULT);
}

void loop_stop(struct loop *self)
{
    uv_stop(&self->uv);
}

void loop_turn(struct loop *self, bool wait)
{
    uv_run(&self->uv, wait ? UV_RUN_ONCE : UV_RUN_NOWAIT);
}

static void handle_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void handle_timer(uv_timer_t *uv)
{
    struct timer *self = uv->data;
    self->fn(self->data);
}

struct timer *timer_new(struct loop *loop, loop_fn fn, void *data)
{
    struct timer *self = calloc(1, sizeof *self);
    if (!self)
        return NULL;
    uv_timer_init(&loop->uv, &self->uv);
    self->uv.data = self;
    self->fn = fn;
    self->data = data;
    return self;
}

void timer_start(struct timer *self, int64_t delay_us)
{
    /* libuv counts from the time cached at the start of this turn, which may be long ago. */
    uv_update_time(self->uv.loop);
    uv_timer_start(&self->uv, handle_timer, delay_us <= 0 ? 0 : (uint64_t)(delay_us + 999) / 1000, 0);
}

void timer_stop(struct timer *self)
{
    uv_timer_stop(&self->uv);
}

bool timer_is_active(const struct timer *self)
{
    return uv_is_active((const uv_handle_t *)&self->uv);
}

struct timer *timer_free(struct timer *self)
{
    if (self)
        uv_close((uv_handle_t *)&self->uv, handle_closed);
    return NULL;
}

static void handle_poll(uv_poll_t *uv, int status, int events)
{
    struct watch *self = uv->data;
    /* An error condition is found by whoever reads next. */
    self->fn(self->data, status < 0 ? WATCH_READ : events);
}

struct watch *watch_new(struct loop *loop, int fd, watch_fn fn, void *data)
{
    struct watch *self = calloc(1, sizeof *self);
    if (!self)
        return NULL;
    if (uv_poll_init(&loop->uv, &self->uv, fd) < 0) {
        free(self);
        return NULL;
    }
    self->uv.data = self;
    self->fn = fn;
    self->data = data;
    return self;
}

void watch_set(struct watch *self, int events)
{
    if (events == self->events)
        return;
    self->events = events;
    if (events)
        uv_poll_start(&self->uv, events, handle_poll);
    else
        uv_poll_stop(&self->uv);
}

struct watch *watch_free(struct watch *self)
{
    if (self)
        uv_close((uv_handle_t *)&self->uv, handle_closed);
    return NULL;
}

static void handle_defer(uv_timer_t *uv)
{
    struct defer *self = uv->data;
    self->fn(self->data);
}

struct defer *defer_new(struct loop *loop, loop_fn fn, void *data)
{
    struct defer *self = calloc(1, sizeof *self);
    if (!self)
        return NULL;
    uv_timer_init(&loop->uv, &self->uv);
    self->uv.data = self;
    self->fn = fn;
    self->data = data;
    return self;
}

void defer_request(struct defer *self)
{
    if (!uv_is_active((uv_handle_t *)&self->uv))
        uv_timer_start(&self->uv, handle_defer, 0, 0);
}

struct defer *defer_free(struct defer *self)
{
    if (self)
        uv_close((uv_handle_t *)&self->uv, handle_closed);
    return NULL;
}
