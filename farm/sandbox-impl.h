/* What the files of farm/ know of a sandbox and of each other. Not for web/. */
#pragma once

#include "base/id.h"
#include "base/list.h"
#include "base/qdbus.h"
#include "base/worker.h"
#include "display/display.h"
#include "farm/farm.h"
#include "farm/identity.h"
#include "farm/image.h"
#include "farm/inside.h"
#include "farm/layout.h"
#include "farm/keys.h"
#include "farm/lineage.h"
#include "farm/sandbox.h"
#include "farm/stock.h"
#include "hypervisor/disk.h"
#include "hypervisor/guest-args.h"
#include "hypervisor/guest.h"
#include "hypervisor/jail.h"
#include "input/input.h"

/* What a sandbox holds of its key's and the host's limits. */
struct charge {
    int64_t cpus, memory_mib, disk_mib;
};

#define IDENTITY_PARTS 4

/* What the guest is still to be told (farm/identity.h). */
struct identity {
    int due, told, wanted;
    bool is_late;
    struct identity_call {
        struct sandbox *sandbox;
        const struct part *part;
        bool is_running;
        int64_t sent_us;
        int n_sent;
    } calls[IDENTITY_PARTS];
    struct timer *timer;
    void (*done)(void *data);
    void *data;
};

/* What happens when nobody uses a sandbox for a while. */
enum idle_action { IDLE_NOTHING, IDLE_HIBERNATE, IDLE_DELETE, IDLE_ACTION_COUNT };

struct idle {
    enum idle_action action;
    int64_t after_us;
    int64_t used_us; /* when the last use ended; monotonic */
    int n_uses;      /* under way */
    struct timer *timer;
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
    json_t *request;           /* metadata, entrypoint: shown as they came; env: never shown */
    char image_name[64], image_hash[72];
    int64_t created_us, expires_us; /* wall clock; expires 0: never */
    struct charge charge;
    enum machine_network network;
    struct machine_shape shape;
    uint16_t lifted[CHECKPOINT_HELD_MAX]; /* was down where its state comes from; its guest may not have taken
                                           * the releases yet */
    size_t n_lifted;
    int settle_ms;             /* of an image without an agent: its screen stands still when it is up */
    bool signals_up;           /* the image tells when its desktop is up */
    int width, height;         /* asked for at the start, native pixels */
    uid_t uid;                 /* of the jail, as root */
    char *dir;

    struct lineage lineage;
    struct checkpoint *asleep; /* what a hibernation made, until the guest has gone into it */
    bool sleeps_paused;        /* it was paused when it began to hibernate */
    struct list wakers;
    struct idle idle;
    bool is_hidden;            /* the farm's own: a template is being baked in it */

    struct timer *lease;
    struct list deleters; /* who waits for the end */

    struct guest *guest; /* NULL before the start and after the end */
    bool must_begin;     /* an earlier daemon had begun to start it */
    bool is_adopted;     /* started by an earlier daemon, QMP not up yet */
    enum sandbox_state adopted_state; /* what the earlier daemon wrote last */

    enum inside_kind agent_kind;
    struct agent *agent; /* the one to use; NULL while there is no connection to one */
    struct inside_link links[INSIDE_LINKS];
    struct identity identity;

    struct display *display;
    struct qdbus *console; /* QEMU's D-Bus connection, shared by the display's source */
    struct timer *reconnect;
    bool is_connecting;
    bool has_early_console; /* made while the guest waits for its state; the screen is not attached yet */

    struct input *input;
    struct keymap *keymap;
    struct layout layout;
    bool is_reset_due;   /* what the guest holds is unknown; it cannot be told while it stands still */
    struct list held_input; /* waits until a checkpoint is taken */
    struct timer *latch; /* releases keys that were left held */
    struct display_observer observer;

    struct list ops;          /* every operation under way */
    struct list up_waiters;   /* of those, the ones that wait for the desktop to be up */
    struct op *batch;         /* the one that plays input, or NULL */
    struct helper_call *key_count; /* a question under way, or NULL */
    struct typing *typing; /* a text that goes by the guest's desktop, also while it is being ended; or NULL */
    struct list waiting;      /* batches that wait for it, in order */
    struct control *control;  /* who looks and who acts; NULL before the first who looks */
    struct jobs *jobs;        /* commands in the guest; NULL before the first */
    struct shells *shells;    /* likewise */
    struct terminals *terminals; /* NULL before the first */
    struct vnc *vnc; /* NULL before the first viewer or port */
    struct ocr *ocr; /* NULL before the screen was first read */
    struct recording *recording; /* NULL while it is not recorded; then recorder is set too */
    struct recorder *recorder;
};

/* --- sandbox.c ---------------------------------------------------------------------------------- */

/* A listed sandbox in PENDING with everything but its guest. request is the create body, borrowed. */
struct sandbox *sandbox_new(struct farm *farm, const char *id, const json_t *request);
/* Starts the guest; on failure the sandbox is to be unlisted and unreferenced by the caller. */
int sandbox_start(struct sandbox *self, const struct image *image, struct error *err);
/* The first half: its directory, screen and journal entry; no guest. */
int sandbox_prepare(struct sandbox *self, struct error *err);
/* The second: starts the guest; origin NULL: by power-on. */
int sandbox_start_guest(struct sandbox *self, const struct image *image,
                        const struct machine_origin *origin, struct error *err);
/* Takes over a guest that somebody else started, and its uid; the guest's
 * directory takes the place of the sandbox's, which is empty. On failure it is still the caller's. */
int sandbox_use_guest(struct sandbox *self, struct guest *guest, uid_t uid, struct error *err);
/* Takes the guest away (NULL when there is none): screen, agent and operations let go of it. */
struct guest *sandbox_take_guest(struct sandbox *self, const struct error *why);
/* Puts it together again from its journal document. Positive 1: its guest is gone; the sandbox is
 * kept as FAILED. */
int sandbox_adopt(struct sandbox *self, const json_t *doc);
/* One that sandbox_adopt left so (must_begin) is started again. */
void sandbox_begin_again(struct sandbox *self);
/* The journal's document. New reference. */
json_t *sandbox_document(const struct sandbox *self);
/* The guest says that its desktop is up, and it has the sandbox's keyboard layout. */
bool sandbox_is_up(const struct sandbox *self);
/* Takes it out of the farm's list and journal, ends its operations. */
void sandbox_unlist(struct sandbox *self);

void sandbox_set_state(struct sandbox *self, enum sandbox_state state, const char *reason,
                       const char *message);
/* Ends all operations under way. */
void sandbox_fail_ops(struct sandbox *self, const struct error *err);

/* --- fork.c ------------------------------------------------------------------------------------- */

/* Of disk, that checkpoints under way may take (farm/quota.h). */
int64_t fork_reserved_mib(struct farm *farm, const char *owner);
/* Chains may be shorter: saves that waited for that begin. is_over: nothing is left to be merged. */
void fork_handle_flattened(struct farm *farm, bool is_over);

/* --- pause.c ------------------------------------------------------------------------------------ */

/* QMP of an adopted guest is up and its state is RUNNING: puts it where before says it was. */
void pause_adopt(struct sandbox *self, enum sandbox_state before);

/* --- hibernate.c -------------------------------------------------------------------------------- */

/* done runs when the guest runs and knows what it missed, or is gone. NULL when memory is short. */
struct waker *waker_add(struct sandbox *sandbox, waker_fn done, void *data);
/* Its guest runs again and knows what it missed: whoever waited for that is told. */
void hibernate_handle_awake(struct sandbox *self);
/* Waking failed; it goes on hibernating. False when it was not waking. */
bool hibernate_handle_failed(struct sandbox *self, const struct error *err);
/* The guest ended by itself while it was being hibernated or woken. */
void hibernate_handle_end(struct sandbox *self);
void hibernate_deinit(struct sandbox *self);
/* From the journal. Positive 1: it hibernates; 0: it does not. */
int hibernate_adopt(struct sandbox *self, enum sandbox_state before);
/* The sandbox goes: what it slept in goes with it, and whoever waits is told err. */
void hibernate_forget(struct sandbox *self, const struct error *err);

/* --- use.c -------------------------------------------------------------------------------------- */

int use_init(struct sandbox *self, struct error *err);
void use_deinit(struct sandbox *self);
json_t *use_json(const struct sandbox *self); /* for the journal and the API; null: nothing is chosen */
void use_read(struct sandbox *self, const json_t *idle);

/* --- desktop.c: screen and input of a running guest ---------------------------------------------- */

int desktop_init(struct sandbox *self, struct error *err);
void desktop_deinit(struct sandbox *self);
/* Connects to QEMU's display; tries again by itself until the guest ends. */
void desktop_connect(struct sandbox *self);
/* Releases what may be down in the guest: of a state that was restored, what was down where it comes from. */
void desktop_lift_keys(struct sandbox *self, const struct checkpoint_machine *from);
/* The guest is gone: no screen any more. */
void desktop_disconnect(struct sandbox *self);
/* The guest runs again after it was saved, or is gone: input that waited goes to it, or fails. */
void desktop_send_held(struct sandbox *self);
int desktop_set_layout(struct sandbox *self, const char *layout, struct error *err);
/* After a batch: keys left held are released when nobody comes back for them in LATCH_US. */
void desktop_watch_latches(struct sandbox *self);
json_t *desktop_screen_json(const struct sandbox *self);
json_t *desktop_cursor_json(const struct sandbox *self);

/* --- farm.c ---------------------------------------------------------------------------------------- */

struct loop *farm_loop(struct farm *self);
const struct guest_host *farm_guest_host(struct farm *self);
const struct host_facts *farm_host_facts(const struct farm *self);
enum accel farm_accel(const struct farm *self);
const struct key_limits *farm_limits(const struct farm *self);
/* 0 when the guests' memory can be read and written: what checkpoints, forks and restores need. */
int farm_check_memory(const struct farm *self, struct error *err);
struct farm_stock *farm_stock(struct farm *self);
struct list *farm_sandboxes(struct farm *self);
struct journal *farm_journal(struct farm *self);
struct recordings *farm_recordings_of(struct farm *self);
/* STATE-DIR/FOLDER/ID + SUFFIX, allocated. */
char *farm_path(struct farm *self, const char *folder, const char *id, const char *suffix);
int64_t farm_linger_us(const struct farm *self);
void farm_add(struct farm *self, struct sandbox *sandbox);
void farm_remove(struct farm *self, struct sandbox *sandbox);
/* Writes the sandbox's document; logs a failure that nobody can be told. */
int farm_store(struct farm *self, struct sandbox *sandbox, struct error *err);

/* Counters for /metrics. */
struct farm_counters {
    int64_t created, deleted, failed, adopted, stills, batches, actions, ignored_fields;
    int64_t agent_sessions, agent_closed;
    int64_t ocr_parts, ocr_helpers; /* read so far; running now */
};
struct farm_counters *farm_counters(struct farm *self);
