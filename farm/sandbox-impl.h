/* What the files of farm/ know of a sandbox and of each other. Not for web/. */
#pragma once

#include "base/id.h"
#include "base/list.h"
#include "base/qdbus.h"
#include "base/worker.h"
#include "display/display.h"
#include "farm/image.h"
#include "farm/keys.h"
#include "farm/sandbox.h"
#include "hypervisor/disk.h"
#include "hypervisor/guest-args.h"
#include "hypervisor/guest.h"
#include "hypervisor/jail.h"
#include "input/input.h"

/* What a sandbox holds of its key's and the host's limits. */
struct charge {
    int64_t cpus, memory_mib, disk_mib;
};

struct sandbox {
    int refs;
    struct farm *farm;
    struct list link; /* in the farm, in order of creation */
    bool is_listed;   /* still in the farm: not deleted */

    char id[ID_MAX], owner[ID_MAX]; /* owner: a key's id, or "" */
    enum sandbox_state state;
    char reason[32];
    char message[ERROR_MESSAGE_MAX];
    json_t *request;           /* metadata, entrypoint: shown as they came */
    char image_name[64], image_hash[72];
    int64_t created_us, expires_us; /* wall clock; expires 0: never */
    struct charge charge;
    enum machine_network network;
    bool signals_up;           /* the image tells when its desktop is up */
    int width, height;         /* asked for at the start, native pixels */
    uid_t uid;                 /* of the jail, as root */
    char *dir;

    struct timer *lease;
    struct list deleters; /* who waits for the end */

    struct guest *guest; /* NULL before the start and after the end */
    bool is_adopted;     /* started by an earlier daemon, QMP not up yet */

    struct display *display;
    struct qdbus *console; /* QEMU's D-Bus connection, shared by the display's source */
    struct timer *reconnect;
    bool is_connecting;

    struct input *input;
    struct keymap *keymap;
    char layout[32];
    struct timer *latch; /* releases keys that were left held */
    struct display_observer observer;

    struct list ops;          /* every operation under way */
    struct list up_waiters;   /* of those, the ones that wait for the desktop to be up */
    struct op *batch;         /* the one that plays input, or NULL */
    struct list waiting;      /* batches that wait for it, in order */
};

/* --- sandbox.c ---------------------------------------------------------------------------------- */

/* A listed sandbox in PENDING with everything but its guest. request is the create body, borrowed. */
struct sandbox *sandbox_new(struct farm *farm, const char *id, const json_t *request);
/* Starts the guest; on failure the sandbox is to be unlisted and unreferenced by the caller. */
int sandbox_start(struct sandbox *self, const struct image *image, struct error *err);
/* Puts it together again from its journal document. Positive 1: its guest is gone; the sandbox is
 * kept as FAILED. */
int sandbox_adopt(struct sandbox *self, const json_t *doc);
/* The journal's document. New reference. */
json_t *sandbox_document(const struct sandbox *self);
/* Takes it out of the farm's list and journal, ends its operations. */
void sandbox_unlist(struct sandbox *self);

/* --- desktop.c: screen and input of a running guest ---------------------------------------------- */

int desktop_init(struct sandbox *self, struct error *err);
void desktop_deinit(struct sandbox *self);
/* Connects to QEMU's display; tries again by itself until the guest ends. */
void desktop_connect(struct sandbox *self);
/* The guest is gone: no screen any more. */
void desktop_disconnect(struct sandbox *self);
int desktop_set_layout(struct sandbox *self, const char *layout, struct error *err);
/* After a batch: keys left held are released when nobody comes back for them in LATCH_US. */
void desktop_watch_latches(struct sandbox *self);
json_t *desktop_screen_json(const struct sandbox *self);
json_t *desktop_cursor_json(const struct sandbox *self);

/* --- farm.c ---------------------------------------------------------------------------------------- */

struct loop *farm_loop(struct farm *self);
struct worker_pool *farm_pool(struct farm *self);
const struct guest_host *farm_guest_host(struct farm *self);
enum accel farm_accel(const struct farm *self);
int64_t farm_linger_us(const struct farm *self);
void farm_add(struct farm *self, struct sandbox *sandbox);
void farm_remove(struct farm *self, struct sandbox *sandbox);
/* Writes the sandbox's document; logs a failure that nobody can be told. */
int farm_store(struct farm *self, struct sandbox *sandbox, struct error *err);

/* Counters for /metrics. */
struct farm_counters {
    int64_t created, deleted, failed, adopted, stills, batches, actions, ignored_fields;
};
struct farm_counters *farm_counters(struct farm *self);
