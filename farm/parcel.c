#include "farm/parcel.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

#define CHUNK ((size_t)1 << 20)
#define MANIFEST "manifest.json"
#define HASHES "hashes.json"
#define LEVEL "1" /* of zstd: RAM is mostly zeroes and text; more costs much and saves little */

static void write_hash(XXH3_state_t *state, char ret[17])
{
    snprintf(ret, 17, "%016llx", (unsigned long long)XXH3_64bits_digest(state));
}

static const uint8_t zeroes[65536];

static void hash_zeroes(XXH3_state_t *state, int64_t n)
{
    for (; n > 0; n -= (int64_t)sizeof zeroes)
        XXH3_64bits_update(state, zeroes, (size_t)MIN(n, (int64_t)sizeof zeroes));
}

/* --- Writing ------------------------------------------------------------------------------------ */

static int fail_write(struct archive *archive, struct error *err)
{
    int code = archive_errno(archive);
    if (code == ENOSPC)
        return error_set(err, ERROR_DISK_FULL, "writing the file: no space is left");
    return error_set(err, ERROR_INTERNAL, "writing the file: %s", archive_error_string(archive));
}

static int write_text(struct archive *archive, const char *name, const char *text, struct error *err)
{
    struct archive_entry *entry = archive_entry_new();
    archive_entry_set_pathname(entry, name);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_size(entry, (int64_t)strlen(text));
    int r = archive_write_header(archive, entry);
    archive_entry_free(entry);
    if (r < ARCHIVE_OK || archive_write_data(archive, text, strlen(text)) < 0)
        return fail_write(archive, err);
    return 0;
}

/* Where there is data, so that holes are not stored. */
static void add_sparse(struct archive_entry *entry, int fd, int64_t size)
{
    for (off_t at = 0; at < size;) {
        off_t data = lseek(fd, at, SEEK_DATA);
        off_t end = data < 0 ? -1 : lseek(fd, data, SEEK_HOLE);
        if (end < 0)
            break;
        archive_entry_sparse_add_entry(entry, data, MIN(end, (off_t)size) - data);
        at = end;
    }
}

static int write_data(struct archive *archive, int fd, int64_t size, XXH3_state_t *hash, struct error *err)
{
    auto_free uint8_t *chunk = malloc(CHUNK);
    if (!chunk)
        return error_errno(err, ENOMEM, "writing the file");
    for (int64_t at = 0; at < size;) {
        ssize_t n = pread(fd, chunk, (size_t)MIN((int64_t)CHUNK, size - at), at);
        if (n <= 0)
            return error_errno(err, n < 0 ? errno : EIO, "reading a checkpoint's file");
        XXH3_64bits_update(hash, chunk, (size_t)n);
        if (archive_write_data(archive, chunk, (size_t)n) < 0)
            return fail_write(archive, err);
        at += n;
    }
    return 0;
}

static int write_file(struct archive *archive, const struct parcel_file *file, json_t *hashes, struct error *err)
{
    struct stat st;
    char text[17];
    auto_fd int fd = open(file->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        return error_errno(err, errno, "opening %s", file->path);
    XXH3_state_t *hash = XXH3_createState();
    struct archive_entry *entry = archive_entry_new();
    XXH3_64bits_reset(hash);
    archive_entry_set_pathname(entry, file->name);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0600);
    archive_entry_set_size(entry, st.st_size);
    add_sparse(entry, fd, st.st_size);
    int r = archive_write_header(archive, entry) < ARCHIVE_OK ? fail_write(archive, err) : 0;
    archive_entry_free(entry);
    if (r == 0)
        r = write_data(archive, fd, st.st_size, hash, err);
    write_hash(hash, text);
    XXH3_freeState(hash);
    json_object_set_new(hashes, file->name, json_string(text));
    return r;
}

int parcel_write(int fd, const char *manifest, const struct parcel_file *files, size_t n_files,
                 struct error *err)
{
    auto_json json_t *hashes = json_object();
    struct archive *archive = archive_write_new();
    if (!archive || !hashes)
        return error_errno(err, ENOMEM, "writing the file");
    archive_write_add_filter_zstd(archive);
    archive_write_set_filter_option(archive, "zstd", "compression-level", LEVEL);
    archive_write_set_format_pax_restricted(archive);
    int r = archive_write_open_fd(archive, fd) < ARCHIVE_OK ? fail_write(archive, err) : 0;
    if (r == 0)
        r = write_text(archive, MANIFEST, manifest, err);
    for (size_t i = 0; r == 0 && i < n_files; i++)
        r = write_file(archive, &files[i], hashes, err);
    auto_free char *text = json_dumps(hashes, JSON_COMPACT | JSON_SORT_KEYS);
    if (r == 0)
        r = text ? write_text(archive, HASHES, text, err) : error_errno(err, ENOMEM, "writing the file");
    if (r == 0 && archive_write_close(archive) < ARCHIVE_OK)
        r = fail_write(archive, err);
    archive_write_free(archive);
    return r;
}

/* --- Reading ------------------------------------------------------------------------------------ */

static int fail_read(struct archive *archive, struct error *err)
{
    const char *why = archive_error_string(archive);
    return error_set(err, ERROR_BAD_VALUE, "this is no whole export of a checkpoint: %.200s", why ? why : "it is cut");
}

static int read_text(struct archive *archive, struct archive_entry *entry, json_t **ret, struct error *err)
{
    int64_t size = archive_entry_size(entry);
    if (size <= 0 || size > PARCEL_TEXT_MAX)
        return error_set(err, ERROR_BAD_VALUE, "%.80s has %lld bytes", archive_entry_pathname(entry),
                         (long long)size);
    auto_free char *text = malloc((size_t)size);
    if (!text)
        return error_errno(err, ENOMEM, "reading the file");
    if (archive_read_data(archive, text, (size_t)size) != size)
        return fail_read(archive, err);
    return json_parse_object(text, (size_t)size, ret, err);
}

static int write_block(int fd, const uint8_t *bytes, size_t size, int64_t at, struct error *err)
{
    for (size_t n = 0; n < size;) {
        ssize_t put = pwrite(fd, bytes + n, size - n, at + (int64_t)n);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return error_errno(err, errno, "writing the checkpoint");
        n += (size_t)put;
    }
    return 0;
}

/* What the archive leaves out is a hole. */
static int read_data(struct archive *archive, int fd, int64_t size, XXH3_state_t *hash, struct error *err)
{
    const void *bytes;
    size_t n;
    int64_t at, next = 0;
    for (;;) {
        int r = archive_read_data_block(archive, &bytes, &n, &at);
        if (r == ARCHIVE_EOF)
            break;
        if (r < ARCHIVE_OK)
            return fail_read(archive, err);
        if (at < next || (int64_t)n > size - at)
            return error_set(err, ERROR_BAD_VALUE, "a file in it is longer than it says");
        r = fd >= 0 ? write_block(fd, bytes, n, at, err) : 0;
        if (r < 0)
            return r;
        hash_zeroes(hash, at - next);
        XXH3_64bits_update(hash, bytes, n);
        next = at + (int64_t)n;
    }
    hash_zeroes(hash, size - next);
    if (fd >= 0 && (ftruncate(fd, size) < 0 || fdatasync(fd) < 0))
        return error_errno(err, errno, "writing the checkpoint");
    return 0;
}

static int read_file(struct archive *archive, struct archive_entry *entry, const struct parcel_ops *ops,
                     void *data, json_t *hashes, struct error *err)
{
    const char *name = archive_entry_pathname(entry);
    int64_t limit = 0, size = archive_entry_size(entry);
    char text[17];
    if (json_object_get(hashes, name) || json_object_size(hashes) >= PARCEL_FILES_MAX)
        return error_set(err, ERROR_BAD_VALUE, "it holds too many files");
    if (!*name || json_object_set_new(hashes, name, json_null()) < 0)
        return error_set(err, ERROR_BAD_VALUE, "it holds a file of no proper name");
    auto_fd int fd = -1;
    int r = ops->open_file(data, name, &fd, &limit, err);
    if (r < 0)
        return r;
    if (size < 0 || size > limit)
        return error_set(err, ERROR_BAD_VALUE, "%.80s has %lld bytes and may have %lld", name, (long long)size,
                         (long long)limit);
    XXH3_state_t *hash = XXH3_createState();
    XXH3_64bits_reset(hash);
    r = read_data(archive, fd, size, hash, err);
    write_hash(hash, text);
    XXH3_freeState(hash);
    json_object_set_new(hashes, name, json_string(text));
    return r;
}

static int read_all(struct archive *archive, const struct parcel_ops *ops, void *data, struct error *err)
{
    struct archive_entry *entry;
    auto_json json_t *manifest = NULL, *wanted = NULL, *hashes = json_object();
    while (!wanted) {
        int r = archive_read_next_header(archive, &entry);
        if (r < ARCHIVE_OK)
            return fail_read(archive, err);
        const char *name = archive_entry_pathname(entry);
        if (!name || strlen(name) >= PARCEL_NAME_MAX || archive_entry_filetype(entry) != AE_IFREG)
            return error_set(err, ERROR_BAD_VALUE, "it holds something else than files");
        if (!manifest && strcmp(name, MANIFEST) != 0)
            return error_set(err, ERROR_BAD_VALUE, "this is no export of a checkpoint: it does not begin with "
                             MANIFEST);
        if (!manifest) {
            r = read_text(archive, entry, &manifest, err);
            if (r == 0)
                r = ops->on_manifest(data, manifest, err);
        } else if (strcmp(name, HASHES) == 0) {
            r = read_text(archive, entry, &wanted, err);
        } else {
            r = read_file(archive, entry, ops, data, hashes, err);
        }
        if (r < 0)
            return r;
    }
    return json_equal(wanted, hashes) ? 0
                                      : error_set(err, ERROR_BAD_VALUE, "the file is damaged: a hash differs");
}

int parcel_read(int fd, const struct parcel_ops *ops, void *data, struct error *err)
{
    struct archive *archive = archive_read_new();
    if (!archive)
        return error_errno(err, ENOMEM, "reading the file");
    archive_read_support_filter_zstd(archive);
    archive_read_support_format_tar(archive);
    int r = archive_read_open_fd(archive, fd, CHUNK) < ARCHIVE_OK ? fail_read(archive, err)
                                                                  : read_all(archive, ops, data, err);
    archive_read_free(archive);
    return r;
}

int parcel_hash(const char *path, char ret[17], struct error *err)
{
    auto_free uint8_t *chunk = malloc(CHUNK);
    auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
    XXH3_state_t *hash = XXH3_createState();
    ssize_t n = -1;
    if (fd >= 0 && chunk && hash) {
        XXH3_64bits_reset(hash);
        while ((n = read(fd, chunk, CHUNK)) > 0)
            XXH3_64bits_update(hash, chunk, (size_t)n);
        write_hash(hash, ret);
    }
    int code = errno;
    XXH3_freeState(hash);
    return n == 0 ? 0 : error_errno(err, code, "reading %s", path);
}
