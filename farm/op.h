/* The frame of every desktop operation: it holds the display, is known to its sandbox, and is
 * answered once, cancelled once, or failed when the sandbox ends. */
#pragma once

#include "base/list.h"
#include "base/loop.h"
#include "farm/sandbox.h"

struct op_impl {
    /* Runs in the turn after op_start. */
    void (*begin)(struct op *self);
    /* Stops whatever is under way; no callback of it may come after. Called once, before the end.
     * is_aborted: the operation did not reach its own end. */
    void (*stop)(struct op *self, bool is_aborted);
    /* Frees what the implementation holds, not self. */
    void (*deinit)(struct op *self);
    bool is_blind; /* does not need the screen */
    bool runs_paused; /* only looks: allowed while the guest stands still */
};

/* First member of every operation, which is one allocation. */
struct op {
    struct list link; /* sandbox->ops */
    const struct op_impl *impl;
    struct sandbox *sandbox; /* a reference */
    answer_fn done;
    void *data;
    struct defer *defer;
    const struct error *why; /* of a failure, while stop runs; NULL */
    struct timer *timer; /* the implementation's, made on first use by op_after */
    void (*on_timer)(struct op *self);
    json_t *body; /* what the answer says; always an object */
    struct barrier *barrier; /* what the answer names is being recorded: it waits */
    struct answer *waiting;  /* then */
};

/* size is the implementation's, zeroed. NULL with err set when the sandbox has no desktop (guest_gone,
 * not_ready) or memory is short. Nothing runs before op_start. */
struct op *op_new(size_t size, const struct op_impl *impl, struct sandbox *sandbox, answer_fn done,
                  void *data, struct error *err);
struct op *op_start(struct op *self);
/* Frees one that was never started. Takes NULL, returns NULL. */
struct op *op_drop(struct op *self);

/* One of these ends it; self is gone after the call. The image may be NULL and is borrowed. */
void op_finish(struct op *self, struct answer *answer);
void op_fail(struct op *self, const struct error *err);

/* Runs fn(self) after delay_us; one timer per operation, armed anew by each call. */
void op_after(struct op *self, int64_t delay_us, void (*fn)(struct op *self));
void op_no_timer(struct op *self);
