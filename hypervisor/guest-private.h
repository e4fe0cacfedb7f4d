/* The guest object as its own files see it: guest.c (life, QMP, the end), guest-start.c (making and
 * adopting a process), guest-sockets.c (connections, facts). Nobody else includes this. */
#pragma once

#include "hypervisor/argv.h"
#include "hypervisor/guest.h"
#include "hypervisor/jailed.h"
#include "hypervisor/ram-layer.h"
#include "hypervisor/tpm.h"

#define GUEST_OVERLAYS_MAX 64 /* that one QEMU has open, of those that saves froze */

struct save;
struct restore;

struct guest {
    const struct guest_host *host;
    char *dir, *name;
    uid_t uid;
    enum machine_network network;
    enum guest_state state;
    struct guest_ops ops;
    void *data;

    struct argv qemu_args, bind_paths; /* what the start needs later; then empty */
    struct machine_spec spec;          /* strings live in bind_paths; for the start only */
    struct machine_origin origin;      /* likewise */
    int64_t file_bytes;
    int64_t beside[RAM_BESIDE_MAX]; /* memories of devices that a save takes with the RAM; 0: none */

    struct jailed *jailed;
    struct qmp *qmp;
    struct net *net;
    struct tpm *tpm;           /* NULL: it has none, or has lost it */
    bool is_awaiting_tpm;      /* the guest has ended but for that */
    int end_status;            /* QEMU's, meanwhile */
    int qmp_listen_fd, ram_fd, words_fd;
    struct timer *timer;       /* start limit, then steps of the power-off */
    struct timer *reconnect_timer;
    struct save *save;         /* under way, or NULL */
    struct restore *restore;
    char cgroup[CGROUP_NAME_MAX];
    char node[32];             /* top of the disk's chain; "" without a disk */
    int n_overlays;            /* made for this process, used or not */
    int rebased_at, n_low;     /* overlay below which layers came last, and how many (hypervisor/rebase.c) */
    struct defer *end_defer;   /* reports an end that was found inside a call */
    int64_t reconnect_us;
    struct error failure;      /* why it ended, when we know more than QEMU says */
    bool is_restored;          /* its RAM is private, above a sealed memfd */
    bool is_waiting;           /* for its state */
    bool cannot_save;          /* a device of it has no state that could be saved */
    bool has_lost_tpm;         /* and with that the state of it */
    bool was_ready, is_up, is_stop_wanted, is_powered_off, is_quit_sent, is_disk_pending, is_freed,
        is_adopted;
};

/* For both ways to begin: no process yet. NULL when memory is short. */
struct guest *guest_new(const struct guest_host *host, const char *name, const char *dir,
                        const struct guest_ops *ops, void *data);
/* Frees what is left of a freed guest once the worker has answered. */
void guest_destroy(struct guest *self);
/* Connects to QMP and limits how long the answer may take. */
void guest_await_qmp(struct guest *self);
/* Ends a guest that has no process yet, in the next turn. err NULL: it was stopped as asked. */
void guest_end_early(struct guest *self, const struct error *err);
void guest_handle_jail_exit(void *data, int status, const struct error *err);
void guest_handle_tpm_end(void *data, const char *why);
void guest_handle_net_change(void *data, bool is_up, const char *why);
/* The guest is being freed: no answer follows. */
void save_cut_off(struct save *self);
void restore_cut_off(struct restore *self);
void restore_handle_resume(struct restore *self);
/* The process has ended. */
void restore_handle_end(struct restore *self, const struct error *err);
