/* The file: "DFRIX", three zero bytes, u32 version, u32 count, u64 size of the segment, u64 first and
 * last time, then per entry u64 time, u64 frame, u32 offset, u8 type, u8 flags, u16 0, and at the end
 * CRC-32C of all of it. 24 bytes for a frame: an hour of steady work has a quarter of a megabyte. */
#include "stream/index.h"

#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <isa-l.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define VERSION 1
#define HEAD 40
#define ENTRY 24

static const uint8_t magic[8] = { 'D', 'F', 'R', 'I', 'X' };

void index_deinit(struct index *self)
{
    free(self->entries);
    *self = (struct index){ 0 };
}

static void add(struct index *self, const struct index_entry *entry)
{
    if (self->n == self->capacity) {
        size_t capacity = MAX(self->capacity * 2, (size_t)256);
        struct index_entry *entries = realloc(self->entries, capacity * sizeof *entries);
        if (!entries) {
            self->failed = true;
            return;
        }
        self->entries = entries;
        self->capacity = capacity;
    }
    self->entries[self->n++] = *entry;
}

static void add_passed(struct index *self, const struct record *record, uint32_t offset)
{
    for (uint32_t at = 0; at + RECORD_PASSED_SIZE <= record->size; at += RECORD_PASSED_SIZE)
        add(self, &(struct index_entry){ (int64_t)record_get_u64(record->payload + at + 8),
                                         (int64_t)record_get_u64(record->payload + at), offset,
                                         record->type, record->flags });
}

static void add_record(struct index *self, const struct record *record, int64_t time_us,
                       uint32_t offset)
{
    struct index_entry entry = { time_us, 0, offset, record->type, record->flags };
    if (record->type == RECORD_FRAME && record->size >= 32) {
        entry.frame = (int64_t)record_get_u64(record->payload);
        entry.time_us = (int64_t)record_get_u64(record->payload + 16);
        add(self, &entry);
    } else if (record->type == RECORD_SCREEN && record->flags & RECORD_SCREEN_BEGIN &&
               record->size >= 12) {
        entry.frame = (int64_t)((uint64_t)record_get_u16(record->payload + 8) << 32 |
                                record_get_u16(record->payload + 10));
        add(self, &entry);
    } else if (record->type == RECORD_PASSED) {
        add_passed(self, record, offset);
    } else if (record->type >= RECORD_META) {
        add(self, &entry);
    }
}

void index_scan(struct index *self, const uint8_t *data, size_t size)
{
    const uint8_t *at = data;
    size_t left = (size_t)MIN((int64_t)size, SEGMENT_BYTES_MAX);
    struct record record;
    int64_t time_us;
    if (record_read_file_header(&at, &left) < 0)
        return;
    self->size = at - data;
    while (!self->failed) {
        uint32_t offset = (uint32_t)(at - data);
        if (record_read_entry(&at, &left, &time_us, &record) != 0)
            break;
        if (!self->first_us)
            self->first_us = time_us;
        self->last_us = time_us;
        self->size = at - data;
        add_record(self, &record, time_us, offset);
    }
}

static uint32_t checksum(const uint8_t *data, size_t size)
{
    return ~crc32_iscsi((unsigned char *)(uintptr_t)data, (int)size, ~0u);
}

void index_write(const struct index *self, struct buf *out)
{
    size_t start = out->size;
    uint8_t *at = buf_reserve(out, HEAD + self->n * ENTRY + 4);
    if (!at)
        return;
    uint8_t *begin = at;
    memcpy(at, magic, sizeof magic);
    at = record_put_u32(record_put_u32(at + sizeof magic, VERSION), (uint32_t)self->n);
    at = record_put_u64(at, (uint64_t)self->size);
    at = record_put_u64(record_put_u64(at, (uint64_t)self->first_us), (uint64_t)self->last_us);
    for (size_t i = 0; i < self->n; i++) {
        const struct index_entry *e = &self->entries[i];
        at = record_put_u64(record_put_u64(at, (uint64_t)e->time_us), (uint64_t)e->frame);
        at = record_put_u32(at, e->offset);
        *at++ = e->type;
        *at++ = e->flags;
        at = record_put_u16(at, 0);
    }
    record_put_u32(at, checksum(begin, (size_t)(at - begin)));
    out->size = start + HEAD + self->n * ENTRY + 4;
}

int index_read(struct index *self, const uint8_t *data, size_t size, int64_t segment_size)
{
    if (size < HEAD + 4 || memcmp(data, magic, sizeof magic) != 0 ||
        record_get_u32(data + 8) != VERSION || (int64_t)record_get_u64(data + 16) != segment_size)
        return -EPROTO;
    size_t n = record_get_u32(data + 12);
    if ((size - HEAD - 4) % ENTRY != 0 || (size - HEAD - 4) / ENTRY != n ||
        checksum(data, size - 4) != record_get_u32(data + size - 4))
        return -EPROTO;
    self->size = segment_size;
    self->first_us = (int64_t)record_get_u64(data + 24);
    self->last_us = (int64_t)record_get_u64(data + 32);
    for (const uint8_t *at = data + HEAD; n > 0; n--, at += ENTRY)
        add(self, &(struct index_entry){ (int64_t)record_get_u64(at),
                                         (int64_t)record_get_u64(at + 8), record_get_u32(at + 16),
                                         at[20], at[21] });
    return self->failed ? -ENOMEM : 0;
}

/* --- Files ------------------------------------------------------------------------------------ */

int segment_read(const char *path, int64_t offset, int64_t size, struct buf *out,
                 struct error *err)
{
    struct stat st;
    auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT)
        return error_set(err, ERROR_NOT_FOUND, "this part of the recording is gone");
    if (fd < 0 || fstat(fd, &st) < 0)
        return error_errno(err, errno, "opening a segment");
    if (st.st_size > SEGMENT_BYTES_MAX)
        return error_set(err, ERROR_TOO_LARGE, "a segment of %lld bytes", (long long)st.st_size);
    int64_t left = MAX((int64_t)st.st_size - offset, 0);
    left = size < 0 ? left : MIN(left, size);
    uint8_t *at = left > 0 ? buf_reserve(out, (size_t)left) : NULL;
    if (left > 0 && !at)
        return error_errno(err, ENOMEM, "reading a segment");
    while (left > 0) {
        ssize_t n = pread(fd, at, (size_t)left, offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_errno(err, errno, "reading a segment");
        if (n == 0)
            break;
        at += n;
        offset += n;
        left -= n;
        out->size += (size_t)n;
    }
    return 0;
}

static char *index_path(const char *path)
{
    char *out = NULL;
    int n = (int)(strlen(path) - strlen(SEGMENT_SUFFIX));
    return asprintf(&out, "%.*s" INDEX_SUFFIX, n, path) < 0 ? NULL : out;
}

static int load_file(struct index *self, const char *path, int64_t segment_size)
{
    auto_buf struct buf text = BUF_INIT;
    auto_free char *file = index_path(path);
    if (!file || fs_read(file, (size_t)SEGMENT_BYTES_MAX, &text, NULL) < 0)
        return -ENOENT;
    return index_read(self, text.data, text.size, segment_size);
}

int index_load(struct index *self, const char *path, struct error *err)
{
    struct stat st;
    *self = (struct index){ 0 };
    if (stat(path, &st) == 0 && load_file(self, path, st.st_size) == 0)
        return 0;
    index_deinit(self);
    auto_buf struct buf data = BUF_INIT;
    int r = segment_read(path, 0, -1, &data, err);
    if (r < 0)
        return r;
    index_scan(self, data.data, data.size);
    return self->failed ? error_errno(err, ENOMEM, "reading a segment") : 0;
}

int index_save(const char *path, struct error *err)
{
    auto_index struct index index = { 0 };
    auto_buf struct buf data = BUF_INIT, out = BUF_INIT;
    auto_free char *file = index_path(path);
    int r = file ? segment_read(path, 0, -1, &data, err)
                 : error_errno(err, ENOMEM, "writing an index");
    if (r < 0)
        return r;
    index_scan(&index, data.data, data.size);
    if (index.size != (int64_t)data.size || index.failed || data.size == 0)
        return 0; /* a pass tells more than a file could */
    index_write(&index, &out);
    return out.failed ? error_errno(err, ENOMEM, "writing an index")
                      : fs_write_atomic(file, out.data, out.size, 0600, err);
}
