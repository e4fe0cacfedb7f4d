#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

char *fs_join(const char *dir, const char *name)
{
    char *path = NULL;
    return asprintf(&path, "%s/%s", dir, name) < 0 ? NULL : path;
}

int fs_mkdirs(const char *path, unsigned mode, struct error *err)
{
    auto_free char *copy = strdup(path);
    if (!copy)
        return error_errno(err, ENOMEM, "creating %s", path);
    for (char *p = copy + 1;; p++) {
        if (*p != '/' && *p)
            continue;
        char end = *p;
        *p = 0;
        if (mkdir(copy, mode) < 0 && errno != EEXIST)
            return error_errno(err, errno, "creating directory %s", copy);
        *p = end;
        if (!end)
            return 0;
    }
}

int fs_read(const char *path, size_t limit, struct buf *out, struct error *err)
{
    auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_errno(err, errno, "opening %s", path);
    for (;;) {
        void *at = buf_reserve(out, 16384);
        if (!at)
            return error_errno(err, ENOMEM, "reading %s", path);
        ssize_t n = read(fd, at, 16384);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_errno(err, errno, "reading %s", path);
        if (n == 0)
            return 0;
        out->size += (size_t)n;
        if (out->size > limit)
            return error_errno(err, EFBIG, "reading %s", path);
    }
}

static int write_all(int fd, const void *data, size_t size)
{
    const char *at = data;
    while (size > 0) {
        ssize_t n = write(fd, at, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        at += n;
        size -= (size_t)n;
    }
    return fsync(fd) < 0 ? -errno : 0;
}

int fs_write_atomic(const char *path, const void *data, size_t size, unsigned mode,
                    struct error *err)
{
    auto_free char *temp = NULL;
    if (asprintf(&temp, "%s.tmp.%d", path, (int)getpid()) < 0)
        return error_errno(err, ENOMEM, "writing %s", path);
    auto_fd int fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0)
        return error_errno(err, errno, "creating %s", temp);
    int r = write_all(fd, data, size);
    if (r == 0 && rename(temp, path) < 0)
        r = -errno;
    if (r < 0) {
        unlink(temp);
        return error_errno(err, -r, "writing %s", path);
    }
    return 0;
}

static int remove_entry(const char *path, const struct stat *st maybe_unused, int kind maybe_unused,
                        struct FTW *ftw maybe_unused)
{
    return remove(path) < 0 && errno != ENOENT ? -1 : 0;
}

int fs_remove_tree(const char *path, struct error *err)
{
    if (nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS) < 0 && errno != ENOENT)
        return error_errno(err, errno, "removing %s", path);
    return 0;
}

int64_t fs_free_bytes(const char *path)
{
    struct statvfs st;
    if (statvfs(path, &st) < 0)
        return -errno;
    return (int64_t)st.f_bavail * (int64_t)st.f_frsize;
}
