/* A call on the QEMU guest agent, as the files of its operations see it. Internal to qga-call.c,
 * qga-exec.c and qga-file.c. */
#pragma once

#include "hypervisor/qga.h"

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
    bool is_started, is_killed;
    int64_t handle; /* of a file in the guest; -1: none */
    int64_t left, size, n_done;
};

/* One operation, and how it goes on. */
struct op {
    const char *name;
    const char *needs; /* a command of the guest agent */
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
/* By its name without SIG, to the process of the call. */
void qga_call_signal(struct qga_call *self, const char *name);
/* Whether a word can be given to a program of the guest: not empty, no option, no path. */
bool qga_call_is_clean(const char *text);

/* --- qga-exec.c -------------------------------------------------------------------------------- */

void qga_exec_begin(struct qga_call *self);
void qga_exec_go_on(struct qga_call *self);
void qga_exec_tick(struct qga_call *self, int64_t now_us);

/* --- qga-file.c -------------------------------------------------------------------------------- */

void qga_file_read(struct qga_call *self);
void qga_file_read_on(struct qga_call *self);
void qga_file_write(struct qga_call *self);
void qga_file_write_on(struct qga_call *self);
