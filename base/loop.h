/* The event loop: libuv behind objects that are freed at once.
 *
 * One thread owns the loop and every object of the daemon. A uv handle closes late; the objects
 * here hide that: after x_free() the callback never runs again and the owner may go away.
 * Nothing here is safe from another thread; workers answer through base/worker.h. */
#pragma once

#include "base/util.h"

#include <uv.h>

struct loop {
    uv_loop_t uv;
};

int loop_init(struct loop *self);
/* Runs pending closes, then frees the loop. All objects on it must have been freed; says so when some were not. */
void loop_deinit(struct loop *self);
/* Runs until loop_stop. */
void loop_run(struct loop *self);
void loop_stop(struct loop *self);
/* One turn; blocks for an event when wait is true. For tests. */
void loop_turn(struct loop *self, bool wait);

typedef void (*loop_fn)(void *data);

/* A one-shot timer that can be armed again. */
struct timer;
struct timer *timer_new(struct loop *loop, loop_fn fn, void *data);
/* Arms (or re-arms) it: fn runs once after delay_us, rounded up to milliseconds. */
void timer_start(struct timer *self, int64_t delay_us);
void timer_stop(struct timer *self);
bool timer_is_active(const struct timer *self);
struct timer *timer_free(struct timer *self);

/* Watches a file descriptor that stays its owner's; free the watch before closing it. WATCH_GONE: the
 * peer of a stream socket has closed its end, told without reading what it sent before. */
enum { WATCH_READ = UV_READABLE, WATCH_WRITE = UV_WRITABLE, WATCH_GONE = UV_DISCONNECT };
typedef void (*watch_fn)(void *data, int events);
struct watch;
struct watch *watch_new(struct loop *loop, int fd, watch_fn fn, void *data);
/* events: WATCH_READ | WATCH_WRITE | WATCH_GONE, level-triggered; 0 pauses. An error shows as readable. */
void watch_set(struct watch *self, int events);
struct watch *watch_free(struct watch *self);

/* Runs fn on the next turn of the loop; several wishes before it runs count as one. */
struct defer;
struct defer *defer_new(struct loop *loop, loop_fn fn, void *data);
void defer_request(struct defer *self);
struct defer *defer_free(struct defer *self);
