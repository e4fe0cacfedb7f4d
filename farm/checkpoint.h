/* A checkpoint: RAM, devices and disk of a guest at one moment, from which any number of guests can
 * be made. A template is a checkpoint that was baked from an image; a live fork goes through one that
 * is never stored.
 *
 * Parts: a ram_base and perhaps a layer above it; the device state; the chain of frozen overlays
 * above the image's disk. Files lie in the state directory: checkpoints/ID.state, checkpoints/ID.ram,
 * ram/BASE.ram, layers/LAYER.qcow2. What no listed checkpoint and no sandbox names is swept away
 * (farm/sweep.h); there are no counters on disk that could drift. Not for web/. */
#pragma once

#include "base/json.h"
#include "base/list.h"
#include "farm/inside.h"
#include "farm/keys.h"
#include "farm/ram-base.h"
#include "hypervisor/host-facts.h"
#include "hypervisor/machine.h"
#include "hypervisor/ram-layer.h"
#include "hypervisor/save.h"

struct farm;
struct sandbox;

#define CHECKPOINT_STATE_MAX SAVE_STATE_MAX
#define CHECKPOINT_NAME_MAX 63
#define CHECKPOINT_HELD_MAX 32

/* Frozen overlays above a base disk by id, bottom first. */
struct chain {
    char ids[GUEST_LAYERS_MAX][ID_MAX];
    size_t n;
};

json_t *chain_json(const struct chain *self);
/* Ids that are none, and more than fit, are left out. */
void chain_read(struct chain *self, const json_t *array);
/* -ENOSPC when it is full. */
int chain_add(struct chain *self, const char *id);

/* What a machine must be like to take the state. */
struct checkpoint_machine {
    char image_name[64], image_hash[72], layout[32];
    int cpus, memory_mib, width, height;
    int64_t disk_mib; /* 0: no disk */
    enum machine_network network;
    enum inside_kind agent;
    enum accel accel;
    struct machine_shape shape;
    bool signals_up;
    uint16_t held[CHECKPOINT_HELD_MAX]; /* keys and buttons that were down (input/held.h) */
    size_t n_held;
};

/* A state of the one loads into the other. */
bool checkpoint_machine_serves(const struct checkpoint_machine *self, const struct checkpoint_machine *wanted);

struct checkpoint {
    int refs;
    struct farm *farm;
    struct list link; /* of the farm, while is_listed */
    bool is_listed, is_template;
    bool is_hidden; /* what a sandbox hibernates in */
    char id[ID_MAX], owner[ID_MAX], name[CHECKPOINT_NAME_MAX + 1];
    char sandbox[ID_MAX]; /* whose state it is */
    char parent[ID_MAX];  /* the checkpoint that this sandbox came from; "" */
    int64_t created_us, used_us;
    int64_t bytes;      /* of devices and pages, stored */
    int64_t disk_bytes; /* of the layer that was frozen for it */
    struct checkpoint_machine machine;
    struct ram_base *base;
    bool has_layer;
    struct ram_layer *layer; /* NULL: none, or not in memory */
    int state_fd;            /* -1: not in memory */
    struct chain chain;
    struct guest_save_times times;
    struct host_facts host; /* where it was taken */
    int pool_size;        /* of a template: spares that are wanted; -1: as the daemon's setting says */
    bool wants_spares;    /* of a template: it was used (farm/pool.h) */
    int n_spare_failures; /* in a row */
};

/* Of a sandbox that was just saved: takes what it needs out of saved, and freezes the overlay in the
 * sandbox's own chain. NULL with err. One reference. */
struct checkpoint *checkpoint_take(struct sandbox *sandbox, struct guest_saved *saved,
                                   struct error *err);
/* Gives the overlay that a guest writes a second name in layers/, whose id is written to layer. The guest
 * must stand still and not write on. */
int checkpoint_link_overlay(struct sandbox *sandbox, char layer[ID_MAX], struct error *err);
/* A save that failed may have frozen the overlay all the same. */
int checkpoint_freeze(struct sandbox *sandbox, const char *frozen, struct error *err);
void checkpoint_machine_of(const struct sandbox *sandbox, struct checkpoint_machine *ret);
struct checkpoint *checkpoint_ref(struct checkpoint *self);
struct checkpoint *checkpoint_unref(struct checkpoint *self);

typedef void (*checkpoint_fn)(void *data, const struct error *err);
/* Writes and syncs its files on a bulk worker, then lists it. The checkpoint is held meanwhile. done
 * runs once, never inside. */
void checkpoint_store(struct checkpoint *self, checkpoint_fn done, void *data);
/* Has its parts in memory when done runs, without an error. */
void checkpoint_load(struct checkpoint *self, checkpoint_fn done, void *data);

/* What the journal says of it. New reference. */
json_t *checkpoint_document(const struct checkpoint *self);
void checkpoint_read_host(struct host_facts *host, const json_t *doc);
/* Puts it into the farm's list as the journal has it. */
void checkpoint_adopt(struct farm *farm, const char *id, const json_t *doc);
/* conflict when its state does not load on this host. */
int checkpoint_check_host(const struct checkpoint *self, struct error *err);
/* Spares of a template, from now on and kept; -1: as the daemon's setting says. */
int checkpoint_set_pool(struct checkpoint *self, int size, struct error *err);
/* Takes it off the list and out of the journal; its files go with the next sweep. conflict while a
 * template's bake goes on. */
void checkpoint_delete(struct checkpoint *self);

/* Takes its parts out of memory; its files have them. RAM that others share stays. */
void checkpoint_forget(struct checkpoint *self);
/* NULL when there is none. Borrowed. */
struct checkpoint *checkpoint_find_any(struct farm *farm, const char *id);
struct checkpoint *checkpoint_find_hidden(struct farm *farm, const char *id);

/* {"id","name","sandbox","parent","image","created_at","bytes","template",…} */
json_t *checkpoint_json(const struct checkpoint *self);
/* NULL with not_found. Borrowed. */
struct checkpoint *checkpoint_find(struct farm *farm, const struct principal *who, const char *id,
                                   struct error *err);
/* A template of that machine, or NULL. Borrowed. */
struct checkpoint *checkpoint_find_template(struct farm *farm, const struct checkpoint_machine *machine);
