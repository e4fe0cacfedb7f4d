/* Looking at files: stat, list, read. Each runs in a child as the chosen user.
 *
 *   {"op": "stat", "path": "/x", "follow": true}            → one entry
 *   {"op": "list", "path": "/x", "depth": 1, "limit": 10000} → a line of output per entry; then
 *                                                  {"count", "truncated"}
 *   {"op": "read", "path": "/x", "offset": 0, "length": n}   → the bytes; then {"size", "sent"}
 *
 * An entry: path, type (file, directory, link, fifo, socket, device), size, mode (permission bits),
 * uid, gid, owner, group, mtime_us, and target for a link. A name that is no UTF-8 is shown with
 * the odd bytes replaced, and "lossy": true. */
#include "images/agent/files.h"

#include "base/file-type.h"
#include "images/agent/ops.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <string.h>

#define LIST_DEPTH_MAX 64
#define LIST_MAX 1000000
#define WALK_FDS 32

/* nftw takes no data of ours; a child does one thing. */
static struct {
    int depth;
    int64_t limit, count;
    bool is_truncated;
} list;

bool files_set_text(json_t *object, const char *key, const char *bytes, size_t size)
{
    json_t *text = json_stringn(bytes, size);
    if (text)
        return json_object_set_new(object, key, text) == 0;
    auto_free char *plain = strndup(bytes, size);
    for (char *at = plain; at && *at; at++)
        if ((unsigned char)*at >= 0x80)
            *at = '?';
    json_object_set_new(object, key, json_string(plain ? plain : ""));
    return json_object_set_new(object, "lossy", json_true()) == 0;
}

json_t *files_entry(const char *path, const struct stat *info)
{
    json_t *entry = json_object();
    const char *owner = user_name(info->st_uid), *group = group_name(info->st_gid);
    char target[PATH_MAX];
    files_set_text(entry, "path", path, strlen(path));
    json_object_set_new(entry, "type", json_string(file_type_name(info->st_mode)));
    json_object_set_new(entry, "size", json_integer(info->st_size));
    json_object_set_new(entry, "mode", json_integer(info->st_mode & 07777));
    json_object_set_new(entry, "uid", json_integer(info->st_uid));
    json_object_set_new(entry, "gid", json_integer(info->st_gid));
    json_object_set_new(entry, "owner", owner ? json_string(owner) : json_null());
    json_object_set_new(entry, "group", group ? json_string(group) : json_null());
    json_object_set_new(entry, "mtime_us", json_integer(info->st_mtim.tv_sec * (json_int_t)1000000 +
                                                        info->st_mtim.tv_nsec / 1000));
    ssize_t n = S_ISLNK(info->st_mode) ? readlink(path, target, sizeof target) : -1;
    if (n >= 0)
        files_set_text(entry, "target", target, (size_t)n);
    return entry;
}

int files_stat(struct work *work)
{
    struct stat info;
    const char *path = work_path(work, "path");
    if (!path)
        return 1;
    if ((json_get_bool(work->request, "follow", true) ? stat(path, &info) : lstat(path, &info)) < 0)
        return work_errno(work, errno, "%s", path);
    return work_result(work, files_entry(path, &info));
}

static int list_one(const char *path, const struct stat *info, int type, struct FTW *where)
{
    if (where->level == 0 || type == FTW_NS)
        return FTW_CONTINUE;
    if (list.count >= list.limit) {
        list.is_truncated = true;
        return FTW_STOP;
    }
    list.count++;
    work_line(files_entry(path, info));
    return type == FTW_D && where->level >= list.depth ? FTW_SKIP_SUBTREE : FTW_CONTINUE;
}

int files_list(struct work *work)
{
    struct stat info;
    const char *path = work_path(work, "path");
    if (!path)
        return 1;
    if (stat(path, &info) < 0)
        return work_errno(work, errno, "%s", path);
    if (!S_ISDIR(info.st_mode))
        return work_errno(work, ENOTDIR, "%s", path);
    if (access(path, R_OK | X_OK) < 0)
        return work_errno(work, errno, "%s", path);
    list.depth = (int)CLAMP(json_get_int(work->request, "depth", 1), 1, LIST_DEPTH_MAX);
    list.limit = CLAMP(json_get_int(work->request, "limit", 10000), 1, LIST_MAX);
    /* The path itself may be a link; what it holds is not followed. */
    auto_free char *real = realpath(path, NULL);
    if (!real || nftw(real, list_one, WALK_FDS, FTW_PHYS | FTW_ACTIONRETVAL) < 0)
        return work_errno(work, errno, "%s", path);
    return work_result(work, json_pack("{s:I, s:b}", "count", (json_int_t)list.count, "truncated",
                                       list.is_truncated));
}

/* --- Reading --------------------------------------------------------------------------------- */

static int send_range(struct work *work, int fd, const char *path, int64_t length, int64_t *sent)
{
    static char chunk[65536];
    while (*sent < length) {
        ssize_t n = read(fd, chunk, (size_t)MIN(length - *sent, (int64_t)sizeof chunk));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return work_errno(work, errno, "reading %s", path);
        if (n == 0)
            return 0;
        work_write(chunk, (size_t)n);
        *sent += n;
    }
    return 0;
}

int files_read(struct work *work)
{
    struct stat info;
    const char *path = work_path(work, "path");
    int64_t offset = json_get_int(work->request, "offset", 0), sent = 0;
    int64_t length = json_get_int(work->request, "length", INT64_MAX);
    if (!path)
        return 1;
    /* O_NONBLOCK: a fifo without a writer must not hold the child. */
    auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || fstat(fd, &info) < 0)
        return work_errno(work, errno, "%s", path);
    if (S_ISDIR(info.st_mode))
        return work_errno(work, EISDIR, "%s", path);
    if (offset < 0 || length < 0 || (offset > 0 && lseek(fd, offset, SEEK_SET) < 0))
        return work_fail(work, "bad_value", "offset or length is outside the file");
    int r = send_range(work, fd, path, length, &sent);
    if (r != 0)
        return r;
    return work_result(work, json_pack("{s:I, s:I}", "size", (json_int_t)info.st_size, "sent",
                                       (json_int_t)sent));
}
