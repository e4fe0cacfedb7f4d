/* A call on the QEMU guest agent, as the files of its operations see it. Internal to qga-*.c. */
#pragma once

#include "hypervisor/qga.h"

/* A program has ended; status is what guest-exec-status said. */
typedef void (*qga_exit_fn)(struct qga_call *call, const json_t *status);

struct qga_call {
    struct agent_call call;
    struct qga *qga;
    struct list link;
    const struct agent_call_ops *ops;
    void *data;
    const struct op *op;
    char name[24];
    json_t *request;
    int64_t deadline_us, timeout_us; /* of the caller; 0: none */
    struct error err;                /* set: ends on the next turn */
    int refs;
    bool is_begun, is_ended, wants_turn;

    struct buf out[2]; /* for the caller */
    size_t out_at[2], n_unread;
    bool has_eof[2], has_second;
    json_t *result; /* set: ends when the caller has all of out */

    struct buf in; /* from the caller */
    bool has_in_eof, wants_write;

    bool is_asking; /* a command is out or in line; its answer goes to next */
    qga_done_fn next;

    int64_t pid, started_us, poll_us, poll_at_us, kill_at_us;
    bool feeds_program; /* the call's input is the program's, and not a file's */
    bool is_started, is_killed, is_wrapped; /* wrapped: by a script, see WINDOWS_NOT_STARTED */
    void (*on_start)(struct qga_call *self);
    qga_exit_fn on_exit;
    qga_done_fn on_script;
    int64_t handle; /* of a file in the guest; -1: none */
    int64_t left, size, n_done;
    char *temp; /* the file that is being written, until it has its name */
    bool has_parents;   /* they were made */
    bool wants_thaw;    /* file systems are being frozen, and nobody is told how that ended */
    json_t *facts;
    struct error why; /* the file could not be opened; it is being asked why */
};

enum qga_where { QGA_ANYWHERE, QGA_LINUX, QGA_WINDOWS };

/* One operation, and how it goes on. */
struct op {
    const char *name;
    const char *needs; /* a command of the guest agent */
    enum qga_where where;
    void (*begin)(struct qga_call *self);
    /* Input or room has come; NULL: the operation takes none. */
    void (*go_on)(struct qga_call *self);
    bool has_input;
};

/* --- qga-call.c ------------------------------------------------------------------------------- */

/* Ends the call and tells its caller; result or err, both borrowed. self may be gone after it. */
void qga_call_end(struct qga_call *self, const json_t *result, const struct error *err);
void qga_call_fail(struct qga_call *self, enum error_code code, const char *what);
/* Sends the next command of the chain; args is stolen. next gets the answer and begins with take. */
void qga_call_ask(struct qga_call *self, const char *name, json_t *args, qga_done_fn next);
/* False: the command failed, and the call has ended. */
bool qga_call_take(struct qga_call *self, const struct error *err);
/* Appends base64 of an answer to what goes to the caller. i: 0 stdout, 1 stderr. Negative when the
 * text is none or memory is short. */
int qga_call_append(struct qga_call *self, int i, const json_t *ret, const char *key);
/* Hands out what the caller has room for, and ends the call when result is set and that was all. */
void qga_call_deliver(struct qga_call *self);
bool qga_call_is_delivered(const struct qga_call *self, int i);
/* Whether a word can be given to a program of the guest: not empty, no option, no path. */
bool qga_call_is_clean(const char *text);

/* --- qga-run.c --------------------------------------------------------------------------------- */

/* Runs a program, with the call's input if feeds_program; args (stolen) are those of guest-exec. on_start may be
 * NULL. */
void qga_run(struct qga_call *self, json_t *args, void (*on_start)(struct qga_call *self), qga_exit_fn on_exit);
void qga_run_tick(struct qga_call *self, int64_t now_us);
/* Runs a script of a Windows guest (hypervisor/windows-script.h): done gets its result, and out[0] what it
 * sent. The call ends when there is no such script. */
void qga_script(struct qga_call *self, const char *op, const json_t *request, qga_done_fn done);
/* An operation that is one script. */
void qga_script_begin(struct qga_call *self);
void qga_script_go_on(struct qga_call *self);
/* By its name without SIG, to the process of the call. -EINVAL: the guest knows none of that name. */
int qga_call_signal(struct qga_call *self, const char *name);

/* --- qga-linux.c ------------------------------------------------------------------------------- */

void qga_linux_begin(struct qga_call *self);

/* --- qga-exec.c -------------------------------------------------------------------------------- */

void qga_exec_begin(struct qga_call *self);
void qga_exec_go_on(struct qga_call *self);
void qga_exec_tick(struct qga_call *self, int64_t now_us);

/* --- qga-file.c -------------------------------------------------------------------------------- */

void qga_file_read(struct qga_call *self);
void qga_file_read_on(struct qga_call *self);
void qga_file_write(struct qga_call *self);
void qga_file_write_on(struct qga_call *self);
/* The call has ended: what was written of a file without a name goes. */
void qga_file_clean(struct qga_call *self);

/* --- qga-facts.c ------------------------------------------------------------------------------- */

void qga_facts_begin(struct qga_call *self);
void qga_freeze_begin(struct qga_call *self);
void qga_thaw_begin(struct qga_call *self);
