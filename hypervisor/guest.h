/* One guest: one QEMU process in its jail, with its QMP connection, overlay, RAM and network.
 *
 * QEMU outlives the daemon. What a later daemon needs to find it again is guest_identity() (for the
 * journal) and the guest's directory; guest_adopt() puts the object together again. Nobody above
 * this file knows that the guest is a QEMU, except for what is said with guest_qmp(). */
#pragma once

#include "base/error.h"
#include "base/json.h"
#include "base/worker.h"
#include "hypervisor/cgroup.h"
#include "hypervisor/machine.h"
#include "hypervisor/net.h"
#include "hypervisor/qmp.h"

/* States and who changes them:
 *
 *   STARTING   from guest_start or guest_adopt until the QMP connection is ready. Overlay and
 *              jail are made in here. guest_kill works; everything else waits or answers not_ready.
 *   RUNNING    QMP is up and the virtual CPUs run. All calls are allowed.
 *   PAUSED     QMP is up, the CPUs stand still (somebody sent `stop`, or the host's disk is full).
 *   STOPPING   guest_power_off or guest_kill was called, or QEMU said it shuts down.
 *   ENDED      the process is gone and on_ended ran. Only guest_free is left.
 *
 *   STARTING -> RUNNING | ENDED; RUNNING <-> PAUSED; any -> STOPPING -> ENDED; any -> ENDED. A lost
 *   QMP connection of a living QEMU is connected again after 100 ms; the state stays. A QEMU that
 *   does not answer within 30 s of guest_start or guest_adopt is killed: FAILED. */
enum guest_state {
    GUEST_STARTING,
    GUEST_RUNNING,
    GUEST_PAUSED,
    GUEST_STOPPING,
    GUEST_ENDED,
    GUEST_STATE_COUNT,
};

const char *guest_state_name(enum guest_state state); /* "starting", … */

enum guest_end {
    GUEST_END_POWERED_OFF, /* the guest's operating system switched the machine off */
    GUEST_END_STOPPED,     /* we told QEMU to quit, or killed it, as asked */
    GUEST_END_FAILED,      /* it could not be started, or died by itself */
};

#define GUEST_WORDS_BYTES 65536 /* what is kept of QEMU's standard error, from its beginning */

struct guest;

/* Callbacks on the loop, never inside the call that caused them, none after guest_free. Each may
 * free the guest. Any may be NULL. */
struct guest_ops {
    /* QMP is up for the first time: RUNNING (or PAUSED, after an adoption). The identity is
     * complete from here on. */
    void (*on_ready)(void *data);
    /* A QMP event, borrowed. States are up to date when it comes. */
    void (*on_event)(void *data, const char *name, const json_t *args);
    /* The process is gone. err holds guest_failed and a text with status and last words when why is
     * FAILED (or the code of what failed before QEMU, e.g. disk_full), else it is not set. */
    void (*on_ended)(void *data, enum guest_end why, const struct error *err);
    /* The guest says that its desktop is up (see guest_is_up), or takes that back. */
    void (*on_up)(void *data, bool is_up);
    /* The network came up or went down; why is "" when it is up. */
    void (*on_network)(void *data, bool is_up, const char *why);
};

/* What is the same for all guests of a daemon. Borrowed: outlives the guests. */
struct guest_host {
    struct loop *loop;
    struct worker_pool *pool;
    struct cgroup_root *cgroups; /* NULL: none on this host */
    const char *qemu;            /* NULL: qemu-system-x86_64, looked up in PATH */
    enum net_egress egress;
};

/* Starts a guest. dir is its own directory, mode 0700, the daemon's; it gets qmp.sock,
 * console.sock, agent.sock, qga.sock, net.sock and overlay.qcow2, and belongs to the guest until
 * guest_free. When the overlay exists already it is used. uid: as root a number that no other guest
 * has (JAIL_UID_FIRST + n), else ignored. dir and spec are copied or used up before this returns.
 *
 * What is wrong at once (a bad spec, no QEMU, no bwrap) fails here: guest_failed "starting QEMU:
 * …". What turns out later comes by on_ended. */
int guest_start(struct guest **ret, const struct guest_host *host, const struct machine_spec *spec,
                const char *dir, uid_t uid, const struct guest_ops *ops, void *data,
                struct error *err);

/* Finds a guest again that an earlier daemon started. on_ready comes when QMP is up. guest_gone
 * when the process does not run any more. */
int guest_adopt(struct guest **ret, const struct guest_host *host, const json_t *identity,
                const char *dir, const struct guest_ops *ops, void *data, struct error *err);

/* Kills the QEMU that belongs to dir, if there is one. For a daemon that was killed between the
 * start of a guest and on_ready, so that its journal has no identity. Found by asking the kernel
 * who listens on qmp.sock. Returns true when there was one. */
bool guest_end_orphan(const char *dir);

/* What guest_adopt needs: a flat object for the journal. New reference; NULL before the process is
 * known. It changes when the network restarts, which matters little: an adoption then restarts
 * it. */
json_t *guest_identity(const struct guest *self);

/* Forgets the guest without touching its process. Takes NULL, returns NULL. Pending QMP commands
 * are answered with cancelled inside this call. */
struct guest *guest_free(struct guest *self);

/* Presses the power button, waits grace_ms, tells QEMU to quit, waits 2 s, kills. on_ended follows.
 * grace_ms 0 skips the button. Calling again with a shorter time shortens the wait. */
void guest_power_off(struct guest *self, int grace_ms);
/* SIGKILL at once. on_ended follows with GUEST_END_STOPPED. */
void guest_kill(struct guest *self);

enum guest_state guest_get_state(const struct guest *self);
/* From here on somebody else is told. The guest has no call under way. */
void guest_set_ops(struct guest *self, const struct guest_ops *ops, void *data);
/* Renames the guest's directory; one of that name must not exist or be empty. Its sockets and files go
 * along. */
int guest_move(struct guest *self, const char *dir, struct error *err);
/* Its RAM is private, above an origin's. */
bool guest_is_restored(const struct guest *self);
/* A guest_save is under way. */
bool guest_is_saving(const struct guest *self);
/* Connects the network of a guest that was restored. on_network follows. */
void guest_open_network(struct guest *self);
/* The block node that the guest writes; its file is NODE.qcow2 in the guest's directory. "" without
 * a disk. */
const char *guest_disk_node(const struct guest *self);
/* Closes the host's addresses anew in the guest's network, which loses its connections. */
void guest_restart_network(struct guest *self, const char *why);
/* Whether a program in the guest holds the port GUEST_READY_PORT open (hypervisor/guest-args.h): the
 * image's way to say that the desktop is painted. Guests that do not know it stay false. */
bool guest_is_up(const struct guest *self);
/* QEMU's pid as this process sees it; 0 while it is not known. */
pid_t guest_pid(const struct guest *self);
/* NULL while there is no connection. Borrowed; gone with the next turn of the loop. */
struct qmp *guest_qmp(struct guest *self);

/* A pair of connected sockets of which one may be handed to QEMU as a D-Bus peer: fds[0] ours,
 * fds[1] for QEMU. A plain socketpair will not do: GDBus wants a peer with a pid, and ours does not
 * exist in QEMU's PID namespace. This pair is made on QEMU's own listening socket, so QEMU sees
 * itself. Needs the QMP connection to be up (not_ready otherwise). About 0.03 ms. Close-on-exec,
 * non-blocking; the caller owns both. */
int guest_socket_pair(struct guest *self, int fds[2], struct error *err);

/* fd is the caller's; -1 on failure, with err set. */
typedef void (*guest_socket_fn)(void *data, int fd, const struct error *err);
/* Makes such a pair, gives QEMU its end by add_client @dbus-display, and answers with ours: speak
 * D-Bus on it, as the client. A second call replaces the first one's connection in QEMU. done runs
 * exactly once, never inside this call. */
void guest_dbus_socket(struct guest *self, guest_socket_fn done, void *data);

/* Connects to the guest's serial console, or to the port of its agent. One client at a time: QEMU
 * answers a second one when the first has gone. Returns a descriptor. */
int guest_console_connect(struct guest *self, struct error *err);
int guest_agent_connect(struct guest *self, struct error *err);
/* The port of the QEMU guest agent. */
int guest_qga_connect(struct guest *self, struct error *err);

/* Bytes of host memory that are the process's own (RssAnon + RssShmem of /proc/PID/status). */
int64_t guest_memory_bytes(const struct guest *self);
/* What its threads have computed so far, or would have had they been let: time on a processor and in line for
 * one, microseconds. Negative when unknown. */
int64_t guest_busy_us(const struct guest *self);
/* Reads a page of the guest's RAM from outside the jail, as checkpoints will. */
int guest_check_memory_access(struct guest *self, struct error *err);
/* The RAM's memfd. Borrowed. */
int guest_ram_fd(const struct guest *self);
/* What QEMU wrote to standard error so far: the last whole lines that fit, control characters
 * replaced. Always terminated. */
void guest_last_words(const struct guest *self, char *out, size_t size);
