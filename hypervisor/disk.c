/* An empty qcow2 version 3 file (QEMU's docs/interop/qcow2.txt), all numbers big-endian:
 *
 *   cluster 0            header, 104 bytes
 *   cluster 1            refcount table, one entry: the block in cluster 2
 *   cluster 2            refcount block, 16-bit counts: one for each cluster of this file
 *   cluster 3 …          L1 table, zeroes: nothing is allocated
 *
 * With 64 KiB clusters one L1 entry covers 512 MiB, so the table of 16 TiB has 32768 entries, 4
 * clusters. */
#include "hypervisor/disk.h"

#include "hypervisor/machine.h"

#include "base/fs.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define CLUSTER_BITS 16
#define CLUSTER (1 << CLUSTER_BITS)
#define L1_ENTRY_BYTES (INT64_C(512) << 20)

int disk_round(int64_t bytes, int64_t *ret, struct error *err)
{
    if (bytes < 1 || bytes > MACHINE_DISK_BYTES_MAX)
        return error_set(err, ERROR_BAD_VALUE, "a disk of %lld bytes: it must be 1 to %lld",
                         (long long)bytes, (long long)MACHINE_DISK_BYTES_MAX);
    *ret = (bytes + DISK_ROUND_BYTES - 1) / DISK_ROUND_BYTES * DISK_ROUND_BYTES;
    return 0;
}

static void put32(uint8_t *at, uint32_t value)
{
    value = htobe32(value);
    memcpy(at, &value, sizeof value);
}

static void put64(uint8_t *at, uint64_t value)
{
    value = htobe64(value);
    memcpy(at, &value, sizeof value);
}

int disk_empty_qcow2(int64_t bytes, struct buf *out)
{
    uint32_t l1_entries = (uint32_t)((bytes + L1_ENTRY_BYTES - 1) / L1_ENTRY_BYTES);
    uint32_t l1_clusters = (uint32_t)((l1_entries * 8 + CLUSTER - 1) / CLUSTER);
    uint32_t n_clusters = 3 + MAX(l1_clusters, 1u);
    uint8_t *file = buf_reserve(out, (size_t)n_clusters * CLUSTER);
    if (!file)
        return -ENOMEM;
    out->size += (size_t)n_clusters * CLUSTER;
    memset(file, 0, (size_t)n_clusters * CLUSTER);
    memcpy(file, "QFI\xfb", 4);
    put32(file + 4, 3);               /* version */
    put32(file + 20, CLUSTER_BITS);
    put64(file + 24, (uint64_t)bytes);
    put32(file + 36, l1_entries);
    put64(file + 40, 3 * CLUSTER);    /* L1 table */
    put64(file + 48, CLUSTER);        /* refcount table */
    put32(file + 56, 1);              /* its clusters */
    put32(file + 96, 4);              /* refcounts have 1 << 4 bits */
    put32(file + 100, 104);           /* header length */
    put64(file + CLUSTER, 2 * CLUSTER);
    for (uint32_t i = 0; i < n_clusters; i++)
        file[2 * CLUSTER + 2 * i + 1] = 1;
    return 0;
}

/* Writes what is not zero and leaves holes. */
static int write_sparse(int fd, const struct buf *file)
{
    static const uint8_t zero[4096];
    for (size_t at = 0; at < file->size; at += sizeof zero) {
        if (memcmp(file->data + at, zero, sizeof zero) == 0)
            continue;
        ssize_t n = pwrite(fd, file->data + at, sizeof zero, (off_t)at);
        if (n != (ssize_t)sizeof zero)
            return n < 0 ? -errno : -ENOSPC;
    }
    return ftruncate(fd, (off_t)file->size) < 0 ? -errno : 0;
}

int disk_create_overlay_now(const char *path, int64_t bytes, struct error *err)
{
    auto_buf struct buf file = BUF_INIT;
    if (disk_empty_qcow2(bytes, &file) < 0)
        return error_errno(err, ENOMEM, "creating disk %s", path);
    auto_fd int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_errno(err, errno, "creating disk %s", path);
    int64_t free_bytes = fs_free_bytes(path);
    int r = free_bytes >= 0 && free_bytes < DISK_FREE_MIN ? -ENOSPC : write_sparse(fd, &file);
    if (r < 0) {
        unlink(path);
        return error_errno(err, -r, "creating disk %s", path);
    }
    return 0;
}

struct creation {
    char *path;
    int64_t bytes;
    disk_done_fn done;
    void *data;
    struct error err;
    int result;
};

static void work_create(void *data)
{
    struct creation *self = data;
    self->result = disk_create_overlay_now(self->path, self->bytes, &self->err);
}

static void handle_created(void *data)
{
    struct creation *self = data;
    self->done(self->data, self->result < 0 ? &self->err : NULL);
    free(self->path);
    free(self);
}

int disk_create_overlay(struct worker_pool *pool, const char *path, int64_t bytes,
                        disk_done_fn done, void *data, struct error *err)
{
    struct creation *self = calloc(1, sizeof *self);
    char *copy = strdup(path);
    if (self && copy) {
        *self = (struct creation){ .path = copy, .bytes = bytes, .done = done, .data = data };
        /* A pool that goes away answers without having worked. */
        self->result = error_set(&self->err, ERROR_CANCELLED, "creating disk %s", path);
        if (worker_submit(pool, WORK_BULK, work_create, handle_created, self) == 0)
            return 0;
    }
    free(copy);
    free(self);
    return error_errno(err, ENOMEM, "creating disk %s", path);
}
