/* The client of one QEMU's machine protocol: greeting, ids, events, time limits, descriptors.
 *
 * QEMU is not trusted. A line has at most QMP_LINE_MAX bytes and JSON_DEPTH_MAX levels; what breaks
 * that, or is no QMP, closes the connection. What we queue is bounded too. Every command is
 * answered exactly once: by QEMU, by its time limit (timeout), by the end of the connection
 * (guest_gone) or by qmp_free (cancelled, inside that call). Answers never come inside
 * qmp_execute. */
#pragma once

#include "base/error.h"
#include "base/json.h"
#include "base/loop.h"

#define QMP_LINE_MAX (1024 * 1024)
#define QMP_COMMANDS_MAX 256             /* unanswered at once */
#define QMP_QUEUE_MAX (4 * 1024 * 1024)  /* bytes not yet written */
#define QMP_TIMEOUT_US 10000000

struct qmp;

/* Callbacks on the loop; each may free the qmp. Any may be NULL. */
struct qmp_ops {
    /* Capabilities are negotiated: commands go out. Commands given before wait for this. */
    void (*on_ready)(void *data);
    /* name and args (an object, never NULL) are borrowed. */
    void (*on_event)(void *data, const char *name, const json_t *args);
    /* The connection ended or was closed for a breach; pending commands have been answered. Runs
     * once, not after qmp_free. */
    void (*on_closed)(void *data, const struct error *why);
};

/* result is borrowed, NULL on failure; err is NULL on success. An error that QEMU answered has the
 * code guest_failed and the text "QMP command: description". */
typedef void (*qmp_done_fn)(void *data, json_t *result, const struct error *err);

/* Takes over fd, a connected non-blocking stream socket, also on failure. */
int qmp_new(struct qmp **ret, struct loop *loop, int fd, const struct qmp_ops *ops, void *data,
            struct error *err);
/* Takes NULL, returns NULL. */
struct qmp *qmp_free(struct qmp *self);
bool qmp_is_ready(const struct qmp *self);

/* args may be NULL and is stolen; done may be NULL. */
void qmp_execute(struct qmp *self, const char *command, json_t *args, qmp_done_fn done, void *data);
/* The same with a descriptor sent along (getfd, add-fd); fd is taken over, always. */
void qmp_execute_fd(struct qmp *self, const char *command, json_t *args, int fd, qmp_done_fn done,
                    void *data);
/* The same with a time limit of its own. */
void qmp_execute_timeout(struct qmp *self, const char *command, json_t *args, int64_t timeout_us,
                         qmp_done_fn done, void *data);

/* What the socket delivered. Called by the object itself; public for the fuzz target. */
void qmp_feed(struct qmp *self, const void *data, size_t size);
