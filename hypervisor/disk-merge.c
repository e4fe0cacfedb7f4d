/* A cluster of the disk is what the topmost layer that knows it says: data, or zeroes. The tables of one
 * layer that are in memory are L1 and one L2 at a time, 320 KiB for 16 TiB; the new file is written in
 * one pass: header and L1 first, data and L2 as they come, reference counts at the end.
 *
 * Format: QEMU's docs/interop/qcow2.txt. Refused: other cluster sizes, backing names, encryption,
 * compression, snapshots, external data, and every feature bit that is not known here. */
#include "hypervisor/disk-merge.h"

#include "hypervisor/machine.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define CLUSTER_BITS 16
#define CLUSTER ((int64_t)1 << CLUSTER_BITS)
#define L2_ENTRIES (CLUSTER / 8)
#define L2_BYTES (CLUSTER * L2_ENTRIES) /* of the disk */
#define BLOCK_ENTRIES (CLUSTER / 2)     /* reference counts of 16 bits */
#define HEADER_BYTES 104
#define COPIED (UINT64_C(1) << 63)
#define COMPRESSED (UINT64_C(1) << 62)
#define ZERO UINT64_C(1)
#define OFFSET UINT64_C(0x00fffffffffffe00)

struct layer {
    int fd;
    int64_t size;
    uint64_t *l1; /* in host order */
    uint64_t l2[L2_ENTRIES];
    bool has_l2;
};

struct merge {
    struct layer *layers; /* bottom first */
    size_t n_layers;
    int64_t disk_bytes, n_l1;
    int fd;
    int64_t end; /* of the new file, clusters */
    uint64_t *l1;
    uint64_t l2[L2_ENTRIES];
    uint8_t cluster[CLUSTER];
};

static uint32_t get32(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return be32toh(value);
}

static uint64_t get64(const uint8_t *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return be64toh(value);
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

/* What lies behind the end of a file reads as zeroes. */
static int read_at(int fd, void *to, size_t size, int64_t at, struct error *err)
{
    size_t n = 0;
    while (n < size) {
        ssize_t got = pread(fd, (uint8_t *)to + n, size - n, at + (int64_t)n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_errno(err, errno, "reading a disk layer");
        if (got == 0)
            break;
        n += (size_t)got;
    }
    memset((uint8_t *)to + n, 0, size - n);
    return 0;
}

static int write_at(int fd, const void *from, size_t size, int64_t at, struct error *err)
{
    for (size_t n = 0; n < size;) {
        ssize_t put = pwrite(fd, (const uint8_t *)from + n, size - n, at + (int64_t)n);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return error_errno(err, errno, "writing a disk layer");
        n += (size_t)put;
    }
    return 0;
}

/* --- Layers ------------------------------------------------------------------------------------- */

static int refuse(struct error *err, const char *what)
{
    return error_set(err, ERROR_BAD_VALUE, "a disk layer has %s", what);
}

static int check_header(const struct merge *self, const struct layer *layer, const uint8_t *header,
                        struct error *err)
{
    if (memcmp(header, "QFI\xfb", 4) != 0 || get32(header + 4) != 3)
        return refuse(err, "no qcow2 header of version 3");
    if (get64(header + 8) || get32(header + 16))
        return refuse(err, "a backing name");
    if (get32(header + 20) != CLUSTER_BITS || get64(header + 24) != (uint64_t)self->disk_bytes)
        return refuse(err, "another size");
    if (get32(header + 32) || get32(header + 60))
        return refuse(err, "encryption or snapshots");
    if (get64(header + 72) & ~UINT64_C(1) || get32(header + 96) != 4) /* bit 0: dirty counts, not read here */
        return refuse(err, "features that are not known");
    uint64_t l1_at = get64(header + 40);
    if (get32(header + 36) < (uint32_t)self->n_l1 || l1_at % CLUSTER || !l1_at ||
        l1_at > (uint64_t)layer->size)
        return refuse(err, "its tables somewhere else");
    return 0;
}

static int open_layer(struct merge *self, struct layer *layer, const char *path, struct error *err)
{
    uint8_t header[HEADER_BYTES];
    struct stat st;
    layer->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (layer->fd < 0 || fstat(layer->fd, &st) < 0)
        return error_errno(err, errno, "opening %s", path);
    layer->size = st.st_size;
    layer->l1 = malloc((size_t)self->n_l1 * 8);
    if (!layer->l1)
        return error_errno(err, ENOMEM, "merging disk layers");
    int r = read_at(layer->fd, header, sizeof header, 0, err);
    if (r == 0)
        r = check_header(self, layer, header, err);
    if (r == 0)
        r = read_at(layer->fd, layer->l1, (size_t)self->n_l1 * 8, (int64_t)get64(header + 40), err);
    for (int64_t i = 0; r == 0 && i < self->n_l1; i++)
        layer->l1[i] = be64toh(layer->l1[i]);
    return r;
}

static int check_offset(const struct layer *layer, uint64_t at, struct error *err)
{
    if (at % CLUSTER || at > (uint64_t)layer->size)
        return refuse(err, "a cluster outside of the file");
    return 0;
}

static int load_l2(struct layer *layer, int64_t index, struct error *err)
{
    uint64_t at = layer->l1[index] & OFFSET;
    layer->has_l2 = at != 0;
    if (!at)
        return 0;
    int r = check_offset(layer, at, err);
    if (r == 0)
        r = read_at(layer->fd, layer->l2, CLUSTER, (int64_t)at, err);
    for (size_t i = 0; r == 0 && i < L2_ENTRIES; i++)
        layer->l2[i] = be64toh(layer->l2[i]);
    return r;
}

/* --- The new file ------------------------------------------------------------------------------- */

/* Positive 1: no layer knows the cluster. */
static int merge_cluster(struct merge *self, size_t j, struct error *err)
{
    for (size_t i = self->n_layers; i-- > 0;) {
        struct layer *layer = &self->layers[i];
        uint64_t entry = layer->has_l2 ? layer->l2[j] : 0, at = entry & OFFSET;
        if (entry & COMPRESSED)
            return refuse(err, "compressed clusters");
        if (entry & ZERO) {
            self->l2[j] = htobe64(ZERO);
            return 0;
        }
        if (!at)
            continue;
        int r = check_offset(layer, at, err);
        if (r == 0)
            r = read_at(layer->fd, self->cluster, CLUSTER, (int64_t)at, err);
        if (r == 0)
            r = write_at(self->fd, self->cluster, CLUSTER, self->end * CLUSTER, err);
        self->l2[j] = htobe64((uint64_t)(self->end++ * CLUSTER) | COPIED);
        return r;
    }
    return 1;
}

static int merge_table(struct merge *self, int64_t index, struct error *err)
{
    bool is_used = false;
    int r = 0;
    memset(self->l2, 0, sizeof self->l2);
    for (size_t i = 0; r == 0 && i < self->n_layers; i++)
        r = load_l2(&self->layers[i], index, err);
    for (size_t j = 0; r >= 0 && j < L2_ENTRIES; j++) {
        r = merge_cluster(self, j, err);
        is_used |= r == 0;
    }
    if (r < 0 || !is_used)
        return MIN(r, 0);
    self->l1[index] = htobe64((uint64_t)(self->end * CLUSTER) | COPIED);
    return write_at(self->fd, self->l2, CLUSTER, self->end++ * CLUSTER, err);
}

/* Each cluster of the file is used once. */
static int write_counts(struct merge *self, uint8_t *header, struct error *err)
{
    int64_t n_blocks = 0, n_table = 0;
    for (int64_t before = -1; before != n_blocks + n_table;) {
        before = n_blocks + n_table;
        n_blocks = (self->end + before + BLOCK_ENTRIES - 1) / BLOCK_ENTRIES;
        n_table = (n_blocks * 8 + CLUSTER - 1) / CLUSTER;
    }
    int64_t table_at = self->end, block_at = table_at + n_table, total = block_at + n_blocks;
    auto_free uint8_t *table = calloc((size_t)n_table, CLUSTER);
    if (!table)
        return error_errno(err, ENOMEM, "merging disk layers");
    int r = 0;
    for (int64_t b = 0; r == 0 && b < n_blocks; b++) {
        memset(self->cluster, 0, CLUSTER);
        for (int64_t i = 0; i < BLOCK_ENTRIES && b * BLOCK_ENTRIES + i < total; i++)
            self->cluster[2 * i + 1] = 1;
        put64(table + 8 * b, (uint64_t)((block_at + b) * CLUSTER));
        r = write_at(self->fd, self->cluster, CLUSTER, (block_at + b) * CLUSTER, err);
    }
    put64(header + 48, (uint64_t)(table_at * CLUSTER));
    put32(header + 56, (uint32_t)n_table);
    return r == 0 ? write_at(self->fd, table, (size_t)(n_table * CLUSTER), table_at * CLUSTER, err) : r;
}

static int write_all(struct merge *self, struct error *err)
{
    uint8_t header[HEADER_BYTES] = { 0 };
    int64_t n_l1_clusters = (self->n_l1 * 8 + CLUSTER - 1) / CLUSTER;
    self->end = 1 + n_l1_clusters;
    int r = 0;
    for (int64_t i = 0; r == 0 && i < self->n_l1; i++)
        r = merge_table(self, i, err);
    if (r == 0)
        r = write_counts(self, header, err);
    if (r == 0)
        r = write_at(self->fd, self->l1, (size_t)self->n_l1 * 8, CLUSTER, err);
    memcpy(header, "QFI\xfb", 4);
    put32(header + 4, 3);
    put32(header + 20, CLUSTER_BITS);
    put64(header + 24, (uint64_t)self->disk_bytes);
    put32(header + 36, (uint32_t)self->n_l1);
    put64(header + 40, CLUSTER);
    put32(header + 96, 4);
    put32(header + 100, HEADER_BYTES);
    if (r == 0)
        r = write_at(self->fd, header, sizeof header, 0, err);
    if (r == 0 && fdatasync(self->fd) < 0)
        r = error_errno(err, errno, "writing a disk layer");
    return r;
}

static void merge_deinit(struct merge *self)
{
    for (size_t i = 0; self->layers && i < self->n_layers; i++) {
        util_close_ptr(&self->layers[i].fd);
        free(self->layers[i].l1);
    }
    free(self->layers);
    free(self->l1);
    util_close_ptr(&self->fd);
    free(self);
}

int disk_merge(const char *const *layers, size_t n_layers, int64_t disk_bytes, const char *to,
               struct error *err)
{
    struct merge *self = calloc(1, sizeof *self);
    if (!self || disk_bytes < 1 || disk_bytes > MACHINE_DISK_BYTES_MAX) {
        free(self);
        return error_set(err, ERROR_INTERNAL, "merging disk layers: no memory, or no disk");
    }
    self->fd = -1;
    self->disk_bytes = disk_bytes;
    self->n_l1 = (disk_bytes + L2_BYTES - 1) / L2_BYTES;
    self->layers = calloc(n_layers, sizeof *self->layers);
    self->l1 = calloc((size_t)self->n_l1, 8);
    int r = self->layers && self->l1 ? 0 : error_errno(err, ENOMEM, "merging disk layers");
    for (size_t i = 0; r == 0 && i < n_layers; i++, self->n_layers++)
        self->layers[i].fd = -1;
    for (size_t i = 0; r == 0 && i < n_layers; i++)
        r = open_layer(self, &self->layers[i], layers[i], err);
    if (r == 0) {
        self->fd = open(to, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0400);
        r = self->fd < 0 ? error_errno(err, errno, "creating %s", to) : write_all(self, err);
        if (r < 0 && self->fd >= 0)
            unlink(to);
    }
    merge_deinit(self);
    return r;
}
