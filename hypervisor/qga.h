/* The agent interface over the QEMU guest agent's protocol, for guests that have only that one.
 * qga.c is the connection, the calls are in qga-call.c; agent_new_qga is in hypervisor/agent.h.
 * Internal to hypervisor/, but for the fuzz target.
 *
 * Sources: QEMU's documents interop/qemu-ga.rst and interop/qemu-ga-ref (7.2). */
#pragma once

#include "base/list.h"
#include "hypervisor/agent-private.h"

#define QGA_LINE_MAX (2 * 1024 * 1024) /* of an answer; holds 1.5 MB of a command's output */
#define QGA_SKIP_MAX (64 * 1024 * 1024) /* of an answer that is too long; two outputs of 16 MiB fit */
#define QGA_INPUT_MAX (1024 * 1024)    /* of a command, which gets it as a whole */
#define QGA_ARGS_MAX 1024
#define QGA_CHUNK 49152                /* bytes of a file per command */
#define QGA_CALLS_MAX 64
#define QGA_ANSWER_US 10000000         /* a command must be answered within */

struct qga;
struct qga_call;

/* The answer to a command: ret is what it returns, borrowed, NULL on failure. */
typedef void (*qga_done_fn)(struct qga_call *call, const json_t *ret, const struct error *err);

/* --- qga.c: the connection -------------------------------------------------------------------- */

struct qga {
    struct agent agent;
    struct loop *loop;
    int fd;
    struct watch *watch;
    struct timer *timer;
    struct defer *defer;
    struct agent_ops ops;
    void *data;
    struct list calls;
    size_t n_calls;
    struct list commands; /* the first is on its way once is_asked */
    json_t *info;         /* names of the commands that the guest has enabled */
    json_t *os;           /* what guest-get-osinfo says; NULL: nothing */
    char release[32];     /* of the guest agent */
    struct buf in, out;
    size_t out_sent, in_seen; /* of in: bytes that hold no line end */
    size_t n_noise, n_skipped;
    int64_t sync_id, sync_us, sync_wait_us; /* the one that is out; when it is sent again */
    int64_t answer_us;                      /* until when the command on its way must be answered */
    int64_t paused_us;
    bool is_skipping; /* a line that is too long, up to its end */
    bool is_synced, is_ready, is_asked, is_closed, is_freed, wants_session;
    bool is_windows;
    bool is_frozen; /* file systems are, or are about to be: only thawing is asked for */
    bool was_thawed; /* at the beginning of this session */
    int refs;
};

/* Puts a command behind the others; args is stolen and may be NULL. done is told once, unless the
 * call ends first: then the answer is dropped. call may be NULL: nobody is told. */
int qga_command(struct qga *self, const char *name, json_t *args, struct qga_call *call,
                qga_done_fn done);
/* Forgets who waits. */
void qga_drop_commands(struct qga *self, const struct qga_call *call);
bool qga_has_command(const struct qga *self, const char *name);
/* What a guest's message means; guest_failed: not known. */
enum error_code qga_text_code(const char *text);
/* Puts a command behind the others for the object itself; ret is NULL when it failed. */
int qga_own_command(struct qga *self, const char *name, void (*done)(struct qga *self, const json_t *ret));
/* Ends the connection: the guest breaks the rules. */
void qga_breach(struct qga *self, const char *what);
/* Lets the guest write again, behind whatever is under way. */
void qga_thaw(struct qga *self);
/* What the socket delivered, and what number the guest must answer; for the fuzz target. */
void qga_feed(struct agent *self, const void *data, size_t size);
void qga_set_sync(struct agent *self, int64_t id);

/* --- qga-hello.c: the beginning of a session --------------------------------------------------- */

/* The two ends have found each other: learns who is there, then tells on_ready. */
void qga_hello(struct qga *self);

/* --- qga-call.c: what the operations of deskfarm-agent are there ------------------------------- */

struct agent_call *qga_call_new(struct agent *agent, json_t *request,
                                const struct agent_call_ops *ops, void *data, int64_t timeout_us);
size_t qga_call_write(struct agent_call *call, const void *bytes, size_t size);
void qga_call_eof(struct agent_call *call);
int qga_call_control(struct agent_call *call, json_t *word);
void qga_call_consumed(struct agent_call *call, size_t size);
struct agent_call *qga_call_cancel(struct agent_call *call);
void qga_call_end_all(struct qga *self, const struct error *err);
/* The next moment at which a call wants a turn, 0 for none; and the turn itself. */
int64_t qga_call_next_us(const struct qga *self);
void qga_call_check_time(struct qga *self, int64_t now_us);
/* The guest stood still for so long. */
void qga_call_shift(struct qga *self, int64_t us);
/* Names of the operations that this guest can do. New reference. */
json_t *qga_call_ops(const struct qga *self);
