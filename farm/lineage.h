/* Where a sandbox comes from, and its way from a checkpoint to a running guest:
 *
 *   lineage_start  the checkpoint's parts are brought into memory, a QEMU is started on its RAM
 *   on_ready       that QEMU waits: disk, RAM and devices are given to it
 *   restored       the sandbox is RUNNING; screen and agent are connected
 *   told           the agent knows time, name and randomness, or did not answer in time: the network
 *                  opens
 *
 * Not for web/. */
#pragma once

#include "farm/checkpoint.h"
#include "hypervisor/guest.h"
#include "hypervisor/restore.h"

/* err NULL: it runs. Runs once, never inside lineage_start; not when the sandbox is freed. */
typedef void (*lineage_fn)(void *data, struct sandbox *sandbox, const struct error *err);

struct lineage {
    struct checkpoint *origin; /* being restored from; NULL once it runs */
    struct ram_base *base;     /* its private pages lie above this one; NULL: it was powered on */
    struct chain chain;        /* frozen overlays between the image's disk and its own overlay */
    char parent[ID_MAX];       /* the sandbox that it was forked from; "" */
    char checkpoint[ID_MAX];   /* the template or checkpoint that it came from; "" */
    char sleep[ID_MAX];        /* the hidden checkpoint that it hibernates in; "" */
    bool is_unconfirmed;       /* child of a fork that has not been answered yet */
    size_t n_known;            /* layers of the chain that its QEMU shows already */
    lineage_fn done;
    void *data;
    int64_t begin_us, start_us, running_us; /* asked for, QEMU ready, restored; monotonic */
    struct guest_restore_times times;
    bool is_pooled; /* its QEMU was started in advance */
};

void lineage_deinit(struct sandbox *self);
/* The sandbox is prepared (sandbox_prepare) and has no guest. done may be NULL. */
void lineage_start(struct sandbox *self, struct checkpoint *checkpoint, lineage_fn done, void *data);
/* Writes down that it is going to be: lineage_start follows. */
void lineage_intend(struct sandbox *self, struct checkpoint *checkpoint);
/* It cannot be: the sandbox is FAILED, or hibernates on, and whoever waits is told. */
void lineage_fail(struct sandbox *self, const struct error *err);
/* Its guest waits for the state. */
void lineage_handle_ready(struct sandbox *self);
/* Its guest is gone. */
void lineage_handle_end(struct sandbox *self, const struct error *err);

/* Parts with the guest (NULL: there is none), which is killed, its directory and its uid; why is told
 * to whoever waits for it. */
int lineage_part(struct sandbox *self, const struct error *why, struct error *err);

/* Where the time of the last restore went; running_us is not 0. */
json_t *lineage_times_json(const struct sandbox *self);

json_t *lineage_json(const struct sandbox *self); /* for the journal */
void lineage_read(struct sandbox *self, const json_t *doc);
/* QMP of an adopted guest is up: overlays that were frozen just before the daemon died join the
 * chain, and RAM that it maps is shared again. */
void lineage_adopt(struct sandbox *self);
