/* One table: kind, id, a JSON document, in order of creation. The daemon reads it once, at its
 * start, and keeps everything it needs in memory; nothing is ever queried by content, so the
 * documents need no columns. The schema's number is SQLite's user_version. */
#define LOG_MODULE "journal"
#include "farm/journal.h"

#include "base/fs.h"
#include "base/log.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#define SCHEMA_VERSION 1
#define CHECKPOINT_WRITES 256 /* writes between two checkpoints of the WAL */

struct journal {
    sqlite3 *db;
    sqlite3_stmt *put, *remove, *each;
    struct worker_pool *pool;
    char *path;
    int n_writes;
};

/* A checkpoint of the WAL under way; it needs nothing of the journal but the path. */
struct checkpoint {
    char *path;
};

static int fail(struct journal *self, struct error *err, const char *doing)
{
    int code = sqlite3_errcode(self->db);
    if (code == SQLITE_FULL)
        return error_set(err, ERROR_DISK_FULL, "%s: %s", doing, sqlite3_errmsg(self->db));
    return error_set(err, ERROR_INTERNAL, "%s: %s", doing, sqlite3_errmsg(self->db));
}

static int read_version(struct journal *self)
{
    sqlite3_stmt *stmt = NULL;
    int version = -1;
    if (sqlite3_prepare_v2(self->db, "PRAGMA user_version", -1, &stmt, NULL) == SQLITE_OK &&
        sqlite3_step(stmt) == SQLITE_ROW)
        version = sqlite3_column_int(stmt, 0);
    sqlite3_finalize(stmt);
    return version;
}

static int open_database(struct journal *self, struct error *err)
{
    static const char schema[] =
        "CREATE TABLE IF NOT EXISTS document (seq INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT "
        "NULL, id TEXT NOT NULL, doc TEXT NOT NULL, UNIQUE (kind, id)); PRAGMA user_version = 1";
    if (sqlite3_open_v2(self->path, &self->db,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL))
        return fail(self, err, "opening the journal");
    sqlite3_busy_timeout(self->db, 1000);
    if (sqlite3_exec(self->db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
                               "PRAGMA wal_autocheckpoint = 0", NULL, NULL, NULL))
        return fail(self, err, "opening the journal");
    int version = read_version(self);
    if (version > SCHEMA_VERSION)
        return error_set(err, ERROR_CONFIG, "opening %s: it was written by a newer deskfarmd (schema %d)",
                         self->path, version);
    if (sqlite3_exec(self->db, schema, NULL, NULL, NULL))
        return fail(self, err, "creating the journal");
    if (sqlite3_prepare_v2(self->db, "INSERT INTO document (kind, id, doc) VALUES (?, ?, ?) ON "
                                     "CONFLICT (kind, id) DO UPDATE SET doc = excluded.doc", -1,
                           &self->put, NULL) ||
        sqlite3_prepare_v2(self->db, "DELETE FROM document WHERE kind = ? AND id = ?", -1,
                           &self->remove, NULL) ||
        sqlite3_prepare_v2(self->db, "SELECT id, doc FROM document WHERE kind = ? ORDER BY seq", -1,
                           &self->each, NULL))
        return fail(self, err, "preparing the journal");
    return 0;
}

int journal_new(struct journal **ret, const char *dir, struct worker_pool *pool, struct error *err)
{
    struct journal *self = calloc(1, sizeof *self);
    if (self)
        self->path = fs_join(dir, "journal.db");
    if (!self || !self->path) {
        journal_free(self);
        return error_errno(err, ENOMEM, "opening the journal");
    }
    self->pool = pool;
    int r = open_database(self, err);
    if (r < 0) {
        journal_free(self);
        return r;
    }
    *ret = self;
    return 0;
}

struct journal *journal_free(struct journal *self)
{
    if (self) {
        sqlite3_finalize(self->put);
        sqlite3_finalize(self->remove);
        sqlite3_finalize(self->each);
        sqlite3_close(self->db);
        free(self->path);
        free(self);
    }
    return NULL;
}

static void work_checkpoint(void *data)
{
    struct checkpoint *job = data;
    sqlite3 *db = NULL;
    if (sqlite3_open_v2(job->path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK)
        sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    sqlite3_close(db);
}

static void done_checkpoint(void *data)
{
    struct checkpoint *job = data;
    free(job->path);
    free(job);
}

static void count_write(struct journal *self)
{
    if (++self->n_writes < CHECKPOINT_WRITES || !self->pool)
        return;
    struct checkpoint *job = calloc(1, sizeof *job);
    if (job)
        job->path = strdup(self->path);
    if (!job || !job->path || worker_submit(self->pool, WORK_BULK, work_checkpoint, done_checkpoint, job))
        free(job);
    self->n_writes = 0;
}

static int run(struct journal *self, sqlite3_stmt *stmt, struct error *err, const char *doing)
{
    int r = sqlite3_step(stmt) == SQLITE_DONE ? 0 : fail(self, err, doing);
    sqlite3_reset(stmt);
    sqlite3_clear_bindings(stmt);
    if (r == 0)
        count_write(self);
    return r;
}

int journal_put(struct journal *self, const char *kind, const char *id, const json_t *doc,
                struct error *err)
{
    auto_buf struct buf text = BUF_INIT;
    if (json_write(doc, &text) < 0)
        return error_errno(err, ENOMEM, "writing the journal");
    sqlite3_bind_text(self->put, 1, kind, -1, SQLITE_STATIC);
    sqlite3_bind_text(self->put, 2, id, -1, SQLITE_STATIC);
    sqlite3_bind_text(self->put, 3, (const char *)text.data, (int)text.size, SQLITE_STATIC);
    return run(self, self->put, err, "writing the journal");
}

int journal_remove(struct journal *self, const char *kind, const char *id, struct error *err)
{
    sqlite3_bind_text(self->remove, 1, kind, -1, SQLITE_STATIC);
    sqlite3_bind_text(self->remove, 2, id, -1, SQLITE_STATIC);
    return run(self, self->remove, err, "removing from the journal");
}

int journal_each(struct journal *self, const char *kind,
                 void (*fn)(void *data, const char *id, const json_t *doc), void *data,
                 struct error *err)
{
    int r;
    sqlite3_bind_text(self->each, 1, kind, -1, SQLITE_STATIC);
    while ((r = sqlite3_step(self->each)) == SQLITE_ROW) {
        const char *id = (const char *)sqlite3_column_text(self->each, 0);
        const char *text = (const char *)sqlite3_column_text(self->each, 1);
        auto_json json_t *doc = NULL;
        struct error bad = { 0 };
        if (json_parse_object(text, strlen(text), &doc, &bad) < 0)
            log_warn("skipping the %s %s: %s", kind, id, bad.message);
        else
            fn(data, id, doc);
    }
    r = r == SQLITE_DONE ? 0 : fail(self, err, "reading the journal");
    sqlite3_reset(self->each);
    return r;
}
