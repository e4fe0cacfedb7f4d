/* A write is a job on a latency worker with its bytes, their offset and a descriptor of its own. So
 * the owner may go while one is under way: it writes the same bytes to the same place again and does
 * not wait. A failed write cuts the file back to where it began, so a segment always ends with a
 * whole entry, even on a full disk. Full is what leaves less than SEGMENT_RESERVE; the last bytes of a
 * segment that ends are written all the same. */
#include "stream/segment.h"

#include "base/clock.h"
#include "stream/index.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

struct write {
    struct segment *owner; /* NULL: gone */
    int fd;                /* its own */
    int64_t offset;
    struct buf bytes;
    int result;
};

struct segment {
    struct loop *loop;
    struct worker_pool *pool;
    const struct segment_ops *ops;
    void *data;
    char *path;
    int fd;
    int64_t offset;        /* of the next write */
    int64_t written;
    struct buf buf;        /* not yet under way */
    struct write *write;   /* under way */
    struct defer *turn;
    struct timer *sync;
    bool is_failed;
};

static int write_at(int fd, const uint8_t *data, size_t size, int64_t offset)
{
    for (size_t done = 0; done < size;) {
        ssize_t n = pwrite(fd, data + done, size - done, offset + (int64_t)done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            int r = n < 0 ? -errno : -EIO;
            /* Nothing of a torn write may stay. */
            if (ftruncate(fd, offset) < 0)
                return r;
            return r;
        }
        done += (size_t)n;
    }
    return 0;
}

static bool has_room(int fd, size_t size)
{
    struct statvfs st;
    return fstatvfs(fd, &st) < 0 || (int64_t)st.f_bavail * (int64_t)st.f_frsize - (int64_t)size >= SEGMENT_RESERVE;
}

static void work_write(void *data)
{
    struct write *job = data;
    job->result = has_room(job->fd, job->bytes.size)
                      ? write_at(job->fd, job->bytes.data, job->bytes.size, job->offset)
                      : -ENOSPC;
}

static void done_write(void *data)
{
    struct write *job = data;
    struct segment *self = job->owner;
    int64_t end = job->offset + (int64_t)job->bytes.size;
    int result = job->result;
    buf_deinit(&job->bytes);
    close(job->fd);
    free(job);
    if (!self)
        return;
    self->write = NULL;
    if (result < 0) {
        struct error err = { 0 };
        self->is_failed = true;
        self->offset = self->written;
        error_errno(&err, -result, "recording");
        self->ops->failed(self->data, &err);
        return;
    }
    self->written = end;
    if (!timer_is_active(self->sync))
        timer_start(self->sync, SEGMENT_SYNC_US);
    if (self->buf.size > 0)
        defer_request(self->turn);
    self->ops->written(self->data, end);
}

static void fail(struct segment *self, int errnum)
{
    struct error err = { 0 };
    self->is_failed = true;
    error_errno(&err, errnum, "recording");
    self->ops->failed(self->data, &err);
}

static void handle_turn(void *data)
{
    struct segment *self = data;
    if (self->write || self->is_failed || self->buf.size == 0)
        return;
    if (self->buf.failed) {
        fail(self, ENOMEM);
        return;
    }
    struct write *job = calloc(1, sizeof *job);
    int fd = job ? fcntl(self->fd, F_DUPFD_CLOEXEC, 3) : -1;
    if (fd < 0) {
        free(job);
        fail(self, job ? errno : ENOMEM);
        return;
    }
    *job = (struct write){ .owner = self, .fd = fd, .offset = self->offset, .bytes = self->buf };
    self->buf = (struct buf)BUF_INIT;
    self->offset += (int64_t)job->bytes.size;
    self->write = job;
    if (worker_submit(self->pool, WORK_LATENCY, work_write, done_write, job) < 0) {
        job->result = -ENOMEM;
        done_write(job);
    }
}

/* --- Syncing ---------------------------------------------------------------------------------- */

struct sync {
    int fd;
    char *path; /* complete: its index is made; or NULL */
};

static void work_sync(void *data)
{
    struct sync *job = data;
    fdatasync(job->fd);
    if (job->path)
        index_save(job->path, NULL);
}

static void done_sync(void *data)
{
    struct sync *job = data;
    close(job->fd);
    free(job->path);
    free(job);
}

/* Takes fd and path. */
static void submit_sync(struct worker_pool *pool, int fd, char *path)
{
    struct sync *job = fd >= 0 ? malloc(sizeof *job) : NULL;
    if (job) {
        *job = (struct sync){ fd, path };
        if (worker_submit(pool, WORK_BULK, work_sync, done_sync, job) == 0)
            return;
    }
    free(job);
    free(path);
    if (fd >= 0)
        close(fd);
}

static void handle_sync(void *data)
{
    struct segment *self = data;
    submit_sync(self->pool, fcntl(self->fd, F_DUPFD_CLOEXEC, 3), NULL);
}

/* --- Life ------------------------------------------------------------------------------------- */

static struct segment *destroy(struct segment *self)
{
    if (!self)
        return NULL;
    if (self->write)
        self->write->owner = NULL;
    defer_free(self->turn);
    timer_free(self->sync);
    buf_deinit(&self->buf);
    if (self->fd >= 0)
        close(self->fd);
    free(self->path);
    free(self);
    return NULL;
}

struct segment *segment_new(struct loop *loop, struct worker_pool *pool, const char *path,
                            const struct segment_ops *ops, void *data, struct error *err)
{
    struct segment *self = calloc(1, sizeof *self);
    if (self) {
        *self = (struct segment){ .loop = loop, .pool = pool, .ops = ops, .data = data, .fd = -1 };
        self->path = strdup(path);
        self->turn = defer_new(loop, handle_turn, self);
        self->sync = timer_new(loop, handle_sync, self);
    }
    if (!self || !self->path || !self->turn || !self->sync) {
        error_errno(err, ENOMEM, "beginning a segment");
        return destroy(self);
    }
    self->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (self->fd < 0) {
        error_errno(err, errno, "creating %s", path);
        return destroy(self);
    }
    return self;
}

int segment_close(struct segment *self, struct error *err)
{
    int r = 0;
    if (!self)
        return 0;
    if (self->write && !self->is_failed)
        r = write_at(self->fd, self->write->bytes.data, self->write->bytes.size, self->write->offset);
    if (r == 0 && !self->is_failed && self->buf.size > 0)
        r = write_at(self->fd, self->buf.data, self->buf.size, self->offset);
    submit_sync(self->pool, steal_fd(&self->fd), steal_ptr(&self->path));
    destroy(self);
    return r < 0 ? error_errno(err, -r, "recording") : 0;
}

struct buf *segment_buf(struct segment *self)
{
    return &self->buf;
}

void segment_flush(struct segment *self)
{
    defer_request(self->turn);
}

int64_t segment_size(const struct segment *self)
{
    return self->offset + (int64_t)self->buf.size;
}

int64_t segment_written(const struct segment *self)
{
    return self->written;
}
