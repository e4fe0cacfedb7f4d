/* Retention: a worker lists all segments and removes the oldest while one is too old or all are too
 * many bytes; never one that is being written, nor the last of a running recording. The loop then
 * forgets recordings that have ended and of which nothing is left. */
#define LOG_MODULE "recording"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "farm/recording-impl.h"
#include "stream/index.h"
#include "stream/recorder.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#define PERIOD_US 60000000
#define SOON_US 500000
#define DAY_US ((int64_t)86400000000)

struct sweep_item {
    char id[ID_MAX];
    char *dir;
    int current;   /* segment that is being written; 0: none */
    int64_t bytes; /* of the others */
    int n_left;
};

struct sweep_file {
    struct sweep_item *item;
    int number;
    int64_t bytes, changed_us;
};

struct sweep_job {
    struct recordings *owner; /* NULL: gone */
    char *root;
    struct recording_limits limits;
    struct sweep_item *items;
    int n_items;
    struct sweep_file *files;
    int n_files, capacity;
    int n_removed;
};

/* --- On a worker ------------------------------------------------------------------------------ */

static void add_file(struct sweep_job *self, struct sweep_item *item, int number, const struct stat *st)
{
    if (self->n_files == self->capacity) {
        int capacity = MAX(self->capacity * 2, 64);
        struct sweep_file *files = realloc(self->files, (size_t)capacity * sizeof *files);
        if (!files)
            return;
        self->files = files;
        self->capacity = capacity;
    }
    self->files[self->n_files++] = (struct sweep_file){
        item, number, st->st_size, (int64_t)st->st_mtim.tv_sec * 1000000 + st->st_mtim.tv_nsec / 1000,
    };
}

static void list_files(struct sweep_job *self, struct sweep_item *item)
{
    DIR *dir = opendir(item->dir);
    struct dirent *entry;
    struct stat st;
    while (dir && (entry = readdir(dir))) {
        char *end;
        long number = strtol(entry->d_name, &end, 10);
        if (end == entry->d_name || fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        if (strcmp(end, SEGMENT_SUFFIX) == 0) {
            item->n_left++;
            item->bytes += number == item->current ? 0 : st.st_size;
            add_file(self, item, (int)number, &st);
        } else {
            item->bytes += st.st_size;
        }
    }
    if (dir)
        closedir(dir);
}

static int compare_age(const void *a, const void *b)
{
    const struct sweep_file *x = a, *y = b;
    if (x->changed_us != y->changed_us)
        return x->changed_us < y->changed_us ? -1 : 1;
    return (x->number > y->number) - (x->number < y->number);
}

static int64_t max_bytes(const struct sweep_job *self)
{
    struct statvfs st;
    int64_t bytes = (self->limits.max_mib ? self->limits.max_mib : RECORDING_MAX_MIB) << 20;
    if (!self->limits.max_mib && statvfs(self->root, &st) == 0)
        bytes = MIN(bytes, (int64_t)st.f_blocks * (int64_t)st.f_frsize / 5);
    return bytes;
}

static void remove_file(struct sweep_job *self, const struct sweep_file *file)
{
    char path[4096];
    static const char *const suffixes[] = { INDEX_SUFFIX, SEGMENT_SUFFIX };
    for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
        snprintf(path, sizeof path, "%s/%06d%s", file->item->dir, file->number, suffixes[i]);
        unlink(path);
    }
    file->item->n_left--;
    file->item->bytes -= file->bytes;
    self->n_removed++;
}

static void work_sweep(void *data)
{
    struct sweep_job *self = data;
    int64_t total = 0, limit = max_bytes(self);
    int64_t oldest_us = self->limits.days ? clock_wall_us() - self->limits.days * DAY_US : 0;
    for (int i = 0; i < self->n_items; i++)
        list_files(self, &self->items[i]);
    for (int i = 0; i < self->n_files; i++)
        total += self->files[i].bytes;
    if (self->n_files > 0)
        qsort(self->files, (size_t)self->n_files, sizeof *self->files, compare_age);
    for (int i = 0; i < self->n_files; i++) {
        const struct sweep_file *file = &self->files[i];
        bool is_over = total > limit || file->changed_us < oldest_us;
        if (!is_over || file->number == file->item->current || (file->item->current && file->item->n_left == 1))
            continue;
        total -= file->bytes;
        remove_file(self, file);
    }
    for (int i = 0; i < self->n_items; i++)
        if (self->items[i].n_left == 0 && !self->items[i].current)
            fs_remove_tree(self->items[i].dir, NULL);
}

/* --- On the loop ------------------------------------------------------------------------------ */

static void job_free(struct sweep_job *self)
{
    for (int i = 0; i < self->n_items; i++)
        free(self->items[i].dir);
    free(self->items);
    free(self->files);
    free(self->root);
    free(self);
}

static struct recording *find(struct recordings *self, const char *id)
{
    struct recording *it;
    list_for_each(it, &self->all, link)
        if (strcmp(it->id, id) == 0)
            return it;
    return NULL;
}

static void done_sweep(void *data)
{
    struct sweep_job *job = data;
    struct recordings *self = job->owner;
    for (int i = 0; self && i < job->n_items; i++) {
        struct recording *it = find(self, job->items[i].id);
        if (!it)
            continue;
        it->bytes = job->items[i].bytes;
        if (job->items[i].n_left == 0 && !it->sandbox && it->ended_us)
            recordings_forget(self, it);
    }
    if (self && job->n_removed > 0)
        log_info("%d segments went by age or size", job->n_removed);
    job_free(job);
    if (!self)
        return;
    self->job = NULL;
    timer_start(self->sweep, self->is_wanted ? SOON_US : PERIOD_US);
    self->is_wanted = false;
}

static void fill(struct sweep_job *job, struct recordings *self)
{
    struct recording *it;
    list_for_each(it, &self->all, link) {
        struct sweep_item *item = &job->items[job->n_items];
        int64_t size;
        snprintf(item->id, sizeof item->id, "%s", it->id);
        item->dir = farm_path(self->farm, "recordings", it->id, "");
        if (it->sandbox)
            item->current = recorder_segment(it->sandbox->recorder, &size);
        job->n_items += item->dir != NULL;
    }
}

static void handle_sweep(void *data)
{
    struct recordings *self = data;
    int n = 0;
    struct recording *it;
    if (self->job)
        return;
    list_for_each(it, &self->all, link)
        n++;
    struct sweep_job *job = calloc(1, sizeof *job);
    if (job) {
        *job = (struct sweep_job){ .owner = self, .limits = self->limits };
        job->items = calloc((size_t)n + 1, sizeof *job->items);
        job->root = farm_path(self->farm, "recordings", "", "");
    }
    if (job && job->items && job->root) {
        fill(job, self);
        if (worker_submit(farm_pool(self->farm), WORK_BULK, work_sweep, done_sweep, job) == 0) {
            self->job = job;
            return;
        }
    }
    if (job)
        job_free(job);
    timer_start(self->sweep, PERIOD_US);
}

void sweep_recordings_request(struct recordings *self)
{
    if (self->job)
        self->is_wanted = true;
    else
        timer_start(self->sweep, SOON_US);
}

int sweep_recordings_begin(struct recordings *self, struct error *err)
{
    self->sweep = timer_new(farm_loop(self->farm), handle_sweep, self);
    if (!self->sweep)
        return error_errno(err, ENOMEM, "opening the recordings");
    timer_start(self->sweep, SOON_US);
    return 0;
}

void sweep_recordings_end(struct recordings *self)
{
    timer_free(self->sweep);
    if (self->job)
        self->job->owner = NULL;
}
