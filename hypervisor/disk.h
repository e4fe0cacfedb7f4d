/* Disk overlays: qcow2 files that hold what a guest changed, above an immutable base.
 *
 * An overlay carries no backing name: QEMU's block graph and the journal say what lies below. So a
 * fresh one depends on its size only, and is written directly: header, refcounts and an empty L1
 * table, 256 KiB in 64 KiB clusters for sizes up to 4 TiB, most of it holes. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/worker.h"

#define DISK_ROUND_BYTES (1024 * 1024)

/* Rounds up to whole MiB; sizes beyond MACHINE_DISK_BYTES_MAX are bad_value. */
int disk_round(int64_t bytes, int64_t *ret, struct error *err);

/* The bytes of an empty qcow2 (version 3) of that virtual size. Pure. */
int disk_empty_qcow2(int64_t bytes, struct buf *out);

/* err is NULL on success. */
typedef void (*disk_done_fn)(void *data, const struct error *err);

/* Creates path (mode 0600, must not exist) on a bulk worker and answers on the loop. When the file
 * system has less than DISK_FREE_MIN bytes left, or is full, disk_full; nothing is left behind
 * then. path is copied. On a negative return done never runs. */
#define DISK_FREE_MIN (64 * 1024 * 1024)
int disk_create_overlay(struct worker_pool *pool, const char *path, int64_t bytes,
                        disk_done_fn done, void *data, struct error *err);
/* The same at once, on the calling thread. */
int disk_create_overlay_now(const char *path, int64_t bytes, struct error *err);
