/* What the farm keeps beside its sandboxes: checkpoints, templates and the RAM below them. Not for
 * web/. */
#pragma once

#include "base/id.h"
#include "base/list.h"
#include "base/loop.h"

struct farm_stock {
    struct list checkpoints; /* struct checkpoint, listed ones; a reference each */
    struct list bases;       /* struct ram_base; not references */
    struct list bakes;       /* struct bake, under way */
    struct list bake_failures; /* machines that no template could be baked of */
    struct list transfers;   /* struct transfer: checkpoints being read or written */
    struct list forks;       /* struct fork, under way */
    struct list exports, imports; /* under way */
    struct list leaving;     /* struct leaving: guests that were taken from their sandbox */
    struct list spares;      /* struct spare: the pool */
    int pool_size;           /* spares per template */
    struct flatten *flatten; /* the merge under way, or NULL */
    struct timer *flatten_timer;
    char unmergeable[64][ID_MAX]; /* last layers of what could not be merged */
    size_t n_unmergeable;
    struct timer *refill;
    struct timer *sweep;
    int n_busy;              /* saves and stores under way: nothing is swept */
};

/* Lets go of all that is under way, at the daemon's end. */
void fork_free_all(struct farm_stock *self);
void checkpoint_cut_off_all(struct farm_stock *self);
void export_cut_off_all(struct farm_stock *self);
void import_cut_off_all(struct farm_stock *self);
void bake_free_all(struct farm_stock *self);
