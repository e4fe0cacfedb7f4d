/* Appending to a segment's file, on workers. One write at a time; what comes meanwhile gathers and
 * goes with the next. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/worker.h"

/* A recording's files are synced to the disk this long after a write at the latest. */
#define SEGMENT_SYNC_US 5000000
/* Bytes of the file system that are left to others: guests write to it too, and one that cannot stops. */
#define SEGMENT_RESERVE ((int64_t)32 << 20)

struct segment;

struct segment_ops {
    /* All bytes up to this offset are with the kernel: they outlive the daemon. */
    void (*written)(void *data, int64_t size);
    /* The file could not be written. It ends with the last whole append that was told written;
     * nothing further is taken. */
    void (*failed)(void *data, const struct error *err);
};

/* Creates path, which must not exist. The file is empty. NULL with err on failure. */
struct segment *segment_new(struct loop *loop, struct worker_pool *pool, const char *path,
                            const struct segment_ops *ops, void *data, struct error *err);
/* Writes what was appended, in this call; returns 0, or why it could not. No callback runs. Then the
 * index is made and the file synced, on a worker. Takes NULL. */
int segment_close(struct segment *self, struct error *err);

/* Where entries go; call segment_flush when they are whole. */
struct buf *segment_buf(struct segment *self);
/* Begins to write, in order. Nothing is written before the next turn of the loop. */
void segment_flush(struct segment *self);
/* Bytes that were appended so far, written or not. */
int64_t segment_size(const struct segment *self);
/* Of these, written. */
int64_t segment_written(const struct segment *self);
