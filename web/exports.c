#include "web/exports.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/id.h"
#include "base/list.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define SWEEP_US 60000000

struct exports {
    struct loop *loop;
    struct worker_pool *pool;
    char *dir;
    struct list all;
    int n;
    struct timer *sweep;
};

/* Counted by the list and by the work under way. */
struct export_job {
    struct list link;
    struct exports *owner; /* NULL: deleted */
    char id[ID_MAX], recording[ID_MAX], key[ID_MAX];
    bool is_admin;
    char *source, *path;
    struct export_params params;
    struct export_progress progress;
    struct error err;
    int result;
    bool is_done;
    int64_t done_us, bytes;
};

static void job_free(struct export_job *self)
{
    if (self->path)
        unlink(self->path);
    free(self->source);
    free(self->path);
    free(self);
}

static void forget(struct export_job *self)
{
    list_remove(&self->link);
    self->owner->n--;
    self->owner = NULL;
    self->progress.is_cancelled = true;
    if (self->is_done)
        job_free(self);
}

static void handle_sweep(void *data)
{
    struct exports *self = data;
    struct export_job *job, *next;
    list_for_each_safe(job, next, &self->all, link)
        if (job->is_done && clock_now_us() > job->done_us + EXPORTS_KEPT_US)
            forget(job);
    if (self->n > 0)
        timer_start(self->sweep, SWEEP_US);
}

struct exports *exports_new(struct loop *loop, struct worker_pool *pool, const char *dir)
{
    struct exports *self = calloc(1, sizeof *self);
    if (!self)
        return NULL;
    self->loop = loop;
    self->pool = pool;
    list_init(&self->all);
    self->dir = strdup(dir);
    self->sweep = timer_new(loop, handle_sweep, self);
    fs_remove_tree(dir, NULL);
    if (!self->dir || !self->sweep || fs_mkdirs(dir, 0700, NULL) < 0)
        return exports_free(self);
    return self;
}

struct exports *exports_free(struct exports *self)
{
    if (!self)
        return NULL;
    while (!list_empty(&self->all))
        forget(list_first(&self->all, struct export_job, link));
    timer_free(self->sweep);
    free(self->dir);
    free(self);
    return NULL;
}

static void work(void *data)
{
    struct export_job *self = data;
    self->result = export_run(&self->params, &self->progress, &self->err);
}

static void done(void *data)
{
    struct export_job *self = data;
    struct stat st;
    self->is_done = true;
    self->done_us = clock_now_us();
    if (!self->owner) {
        job_free(self);
        return;
    }
    if (self->result == 0 && stat(self->path, &st) == 0)
        self->bytes = st.st_size;
}

struct export_job *exports_start(struct exports *self, const struct principal *who, const char *recording,
                                 const char *dir, enum export_format format, bool has_overlay, struct error *err)
{
    if (self->n >= EXPORTS_MAX) {
        error_set(err, ERROR_QUOTA, "%d exports are under way or kept; delete one, or wait an hour", self->n);
        return NULL;
    }
    struct export_job *job = calloc(1, sizeof *job);
    if (!job) {
        error_set(err, ERROR_INTERNAL, "out of memory");
        return NULL;
    }
    id_new("ex-", job->id);
    list_init(&job->link);
    snprintf(job->recording, sizeof job->recording, "%s", recording);
    snprintf(job->key, sizeof job->key, "%s", who->key_id);
    job->source = strdup(dir);
    job->path = fs_join(self->dir, job->id);
    job->params = (struct export_params){ job->source, job->path, format, has_overlay };
    if (!job->source || !job->path || worker_submit(self->pool, WORK_BULK, work, done, job) < 0) {
        job_free(job);
        error_set(err, ERROR_INTERNAL, "out of memory");
        return NULL;
    }
    job->owner = self;
    list_append(&self->all, &job->link);
    self->n++;
    timer_start(self->sweep, SWEEP_US);
    return job;
}

struct export_job *exports_find(struct exports *self, const struct principal *who, const char *id, struct error *err)
{
    struct export_job *job;
    list_for_each(job, &self->all, link)
        if (strcmp(job->id, id) == 0 && (who->role == ROLE_ADMIN || strcmp(job->key, who->key_id) == 0))
            return job;
    error_set(err, ERROR_NOT_FOUND, "no export %.40s, or not any more", id);
    return NULL;
}

json_t *export_job_json(const struct export_job *self)
{
    const char *state = !self->is_done ? "running" : self->result < 0 ? "failed" : "done";
    json_t *out = json_pack("{ss ss ss ss sf sI}", "id", self->id, "recording", self->recording, "format",
                            export_format_name(self->params.format), "state", state, "progress",
                            (double)self->progress.permille / 1000, "bytes", (json_int_t)self->bytes);
    if (self->is_done && self->result < 0)
        json_object_set_new(out, "error", json_pack("{ss ss}", "code", error_code_name(self->err.code), "message",
                                                    self->err.message));
    return out;
}

bool export_job_file(const struct export_job *self, const char **ret_path, char name[96], const char **ret_mime,
                     int64_t *ret_bytes)
{
    if (!self->is_done || self->result < 0)
        return false;
    snprintf(name, 96, "%s%s", self->recording, export_format_suffix(self->params.format));
    *ret_path = self->path;
    *ret_mime = export_format_mime(self->params.format);
    *ret_bytes = self->bytes;
    return true;
}

void export_job_delete(struct export_job *self)
{
    forget(self);
}
