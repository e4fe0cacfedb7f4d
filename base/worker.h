/* The worker pool: work that may take long runs on a thread and answers on the loop.
 *
 * Two classes. WORK_LATENCY is for what somebody waits for now (stills, encoding). WORK_BULK is for
 * disk, page copies, SQLite, spawns; its threads run at a lower priority, so a bulk job of one
 * desktop is not felt on another. A job gets immutable input, touches nothing that the loop owns,
 * and its done callback runs on the loop. The only locks of the daemon are in here and in the log. */
#pragma once

#include "base/loop.h"

enum work_class { WORK_LATENCY, WORK_BULK, WORK_CLASS_COUNT };

typedef void (*work_fn)(void *data);

struct worker_pool;

/* n_latency and n_bulk threads; 0 takes the default (one per CPU, and 2). */
struct worker_pool *worker_pool_new(struct loop *loop, int n_latency, int n_bulk);
/* Waits for the work under way, drops work that has not begun (its done callback still runs, so
 * that memory is freed), and frees the pool. */
struct worker_pool *worker_pool_free(struct worker_pool *self);

/* Runs work(data) on a thread, then done(data) on the loop. Jobs of a class start in order.
 * Returns -ENOMEM and runs neither when memory is short. */
int worker_submit(struct worker_pool *self, enum work_class class, work_fn work, work_fn done,
                  void *data);
/* Jobs waiting or running. For metrics. */
int worker_depth(const struct worker_pool *self, enum work_class class);
