/* Several commands given at once, answered together: QEMU runs them in order, so only the last
 * answer has to be waited for. A command that fails does not keep the later ones from running. */
#pragma once

#include "hypervisor/qmp.h"

struct qmp_batch;

/* err is the first failure, NULL when there was none. Never inside qmp_batch_end; like the answers
 * of a qmp it may come inside qmp_free. */
typedef void (*qmp_batch_fn)(void *data, const struct error *err);

/* NULL when memory is short; then nothing is sent. Borrowed qmp. */
struct qmp_batch *qmp_batch_begin(struct qmp *qmp, qmp_batch_fn done, void *data);
/* args is stolen, also by a NULL batch. fd is taken over; -1 for none. */
void qmp_batch_add(struct qmp_batch *self, const char *command, json_t *args);
void qmp_batch_add_fd(struct qmp_batch *self, const char *command, json_t *args, int fd);
/* Nothing follows; the batch ends by itself. At least one command was added. */
void qmp_batch_end(struct qmp_batch *self);
