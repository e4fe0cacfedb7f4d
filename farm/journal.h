/* The journal: what must survive the daemon, in SQLite (WAL).
 *
 * Writes are made on the loop: without a sync each takes tens of microseconds, and WAL keeps the
 * database whole when the daemon is killed. What costs an fsync, the checkpoint of the WAL, runs on a
 * bulk worker with a connection of its own. After a power loss the last writes may be missing; the
 * guests are then gone as well. */
#pragma once

#include "base/error.h"
#include "base/json.h"
#include "base/worker.h"

struct journal;

/* Opens or creates dir/journal.db and brings its schema up to date. A newer schema than ours is
 * refused with bad_config. */
int journal_new(struct journal **ret, const char *dir, struct worker_pool *pool, struct error *err);
struct journal *journal_free(struct journal *self);

/* Documents by kind ("sandbox", "key") and id. doc is borrowed. */
int journal_put(struct journal *self, const char *kind, const char *id, const json_t *doc,
                struct error *err);
int journal_remove(struct journal *self, const char *kind, const char *id, struct error *err);
/* Calls fn for each document of a kind in the order of their creation; doc is borrowed. */
int journal_each(struct journal *self, const char *kind,
                 void (*fn)(void *data, const char *id, const json_t *doc), void *data,
                 struct error *err);
