/* Changing files. Each runs in a child as the chosen user.
 *
 *   {"op": "write", "path", "mode", "owner", "group_owner", "parents": true} and the bytes as input
 *                                  → {"size"}. Whole or not at all; without EOF nothing is written
 *   {"op": "mkdir", "path", "mode", "parents": true}   → {}; one that is there is good with parents
 *   {"op": "move", "from", "to", "overwrite": true}    → {}
 *   {"op": "remove", "path", "recursive": false}       → {"count"}
 *   {"op": "permissions", "path", "mode", "owner", "group_owner", "recursive": false} → {"count"}
 *
 * Nothing follows a link below the path that was given. */
#include "images/agent/files.h"
#include "images/agent/ops.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define WALK_FDS 32

/* --- Whole files ------------------------------------------------------------------------------ */

/* Without a name where the file system can do that: what is killed then leaves nothing behind. */
static int open_temporary(struct new_file *self)
{
    char dir[PATH_MAX];
    snprintf(dir, sizeof dir, "%s", self->path);
    char *slash = strrchr(dir, '/');
    slash[slash == dir] = '\0';
    self->fd = open(dir, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0644);
    self->has_name = false;
    if (self->fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL))
        return self->fd;
    self->has_name = true;
    self->fd = open(self->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
    return self->fd;
}

int new_file_open(struct new_file *self, const char *path, struct work *work)
{
    struct stat old;
    uint32_t random = 0;
    if (getrandom(&random, sizeof random, 0) < 0)
        random = (uint32_t)getpid();
    /* Through a link to where it points, as writing in place would. */
    if (!realpath(path, self->path))
        snprintf(self->path, sizeof self->path, "%s", path);
    int n = snprintf(self->temporary, sizeof self->temporary, "%s.%08x.part", self->path, random);
    if (n < 0 || (size_t)n >= sizeof self->temporary)
        return work_errno(work, ENAMETOOLONG, "%s", path);
    if (open_temporary(self) < 0)
        return work_errno(work, errno, "%s", path);
    if (stat(self->path, &old) < 0)
        return 0;
    if (!S_ISREG(old.st_mode)) {
        new_file_drop(self);
        return work_errno(work, S_ISDIR(old.st_mode) ? EISDIR : EINVAL, "%s", path);
    }
    /* Another's file that we may replace becomes ours, as an editor would have it. */
    if (fchown(self->fd, old.st_uid, old.st_gid) < 0 && errno != EPERM)
        return work_errno(work, errno, "%s", path);
    fchmod(self->fd, old.st_mode & 07777);
    return 0;
}

void new_file_drop(struct new_file *self)
{
    if (self->fd >= 0)
        close(self->fd);
    if (self->has_name)
        unlink(self->temporary);
    self->fd = -1;
    self->has_name = false;
}

static int give_name(struct new_file *self)
{
    char path[64];
    if (self->has_name)
        return 0;
    snprintf(path, sizeof path, "/proc/self/fd/%d", self->fd);
    int r = linkat(AT_FDCWD, path, AT_FDCWD, self->temporary, AT_SYMLINK_FOLLOW);
    self->has_name = r == 0;
    return r;
}

int new_file_commit(struct new_file *self, struct work *work)
{
    if (fsync(self->fd) < 0 || give_name(self) < 0 || rename(self->temporary, self->path) < 0) {
        int err = errno;
        new_file_drop(self);
        return work_errno(work, err, "%s", self->path);
    }
    close(self->fd);
    self->fd = -1;
    return 0;
}

static int make_parents(char *path, mode_t mode)
{
    for (char *at = strchr(path + 1, '/'); at; at = strchr(at + 1, '/')) {
        *at = '\0';
        int r = mkdir(path, mode);
        *at = '/';
        if (r < 0 && errno != EEXIST && errno != EROFS && errno != EACCES)
            return -errno;
    }
    return 0;
}

/* "mode", "owner", "group_owner"; absent ones stay. */
struct permissions {
    int64_t mode, uid, gid;
};

static int get_permissions(struct work *work, struct permissions *ret)
{
    ret->mode = json_get_int(work->request, "mode", -1);
    ret->uid = user_id(json_object_get(work->request, "owner"));
    ret->gid = group_id(json_object_get(work->request, "group_owner"));
    if (ret->mode < -1 || ret->mode > 07777 || ret->uid < -1 || ret->gid < -1)
        return work_fail(work, "bad_value", "mode: 0 to 07777; owner, group_owner: known ones");
    return 0;
}

static int set_permissions(int fd, const struct permissions *want)
{
    if ((want->uid >= 0 || want->gid >= 0) && fchown(fd, (uid_t)want->uid, (gid_t)want->gid) < 0)
        return -errno;
    if (want->mode >= 0 && fchmod(fd, (mode_t)want->mode) < 0)
        return -errno;
    return 0;
}

/* Copies the input into the file. */
static int take_input(struct work *work, struct new_file *file, int64_t *ret_size)
{
    static char chunk[65536];
    for (;;) {
        ssize_t n = read(STDIN_FILENO, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return work_errno(work, errno, "reading the input");
        if (n == 0)
            return 0;
        for (ssize_t done = 0, m; done < n; done += m)
            if ((m = write(file->fd, chunk + done, (size_t)(n - done))) < 0)
                return work_errno(work, errno, "writing %s", file->path);
        *ret_size += n;
    }
}

/* A host that goes away closes our input, which looks like its end. The agent kills the child
 * first, so what was cut off is never committed, and its unnamed file goes with it. */
int files_write(struct work *work)
{
    struct permissions want;
    struct new_file file;
    int64_t size = 0;
    const char *path = work_path(work, "path");
    if (!path || get_permissions(work, &want) != 0)
        return 1;
    auto_free char *copy = strdup(path);
    if (copy && json_get_bool(work->request, "parents", true) && make_parents(copy, 0755) < 0)
        return work_errno(work, errno, "making directories for %s", path);
    if (new_file_open(&file, path, work) != 0)
        return 1;
    int r = take_input(work, &file, &size);
    if (r == 0 && (r = set_permissions(file.fd, &want)) < 0)
        r = work_errno(work, -r, "%s", path);
    if (r != 0) {
        new_file_drop(&file);
        return r;
    }
    if (new_file_commit(&file, work) != 0)
        return 1;
    return work_result(work, json_pack("{s:I}", "size", (json_int_t)size));
}

/* --- Names ----------------------------------------------------------------------------------- */

int files_mkdir(struct work *work)
{
    const char *path = work_path(work, "path");
    mode_t mode = (mode_t)json_get_int(work->request, "mode", 0755) & 07777;
    bool has_parents = json_get_bool(work->request, "parents", true);
    struct stat info;
    auto_free char *copy = path ? strdup(path) : NULL;
    if (!copy)
        return 1;
    int r = has_parents ? make_parents(copy, 0755) : 0;
    if (r < 0)
        return work_errno(work, -r, "%s", path);
    if (mkdir(path, mode) < 0) {
        int err = errno;
        if (err != EEXIST || !has_parents || stat(path, &info) < 0 || !S_ISDIR(info.st_mode))
            return work_errno(work, err, "%s", path);
    } else if (chmod(path, mode) < 0) {
        return work_errno(work, errno, "%s", path);
    }
    return work_result(work, json_object());
}

int files_move(struct work *work)
{
    const char *from = work_path(work, "from");
    const char *to = from ? work_path(work, "to") : NULL;
    if (!to)
        return 1;
    bool may_replace = json_get_bool(work->request, "overwrite", true);
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, may_replace ? 0 : RENAME_NOREPLACE) == 0)
        return work_result(work, json_object());
    if (errno != EXDEV)
        return work_errno(work, errno, "%s", from);
    /* Between file systems: the program that copies everything about a file. */
    execl("/bin/mv", "mv", may_replace ? "-fT" : "-nT", "--", from, to, (char *)NULL);
    return work_errno(work, errno, "starting mv");
}

/* nftw takes no data of ours; a child does one thing. */
static struct {
    struct permissions want;
    int64_t count;
    int err;
} walk;

static int remove_one(const char *path, const struct stat *info maybe_unused, int type,
                      struct FTW *where maybe_unused)
{
    if ((type == FTW_DP || type == FTW_D || type == FTW_DNR ? rmdir(path) : unlink(path)) < 0) {
        walk.err = errno;
        return 1;
    }
    walk.count++;
    return 0;
}

int files_remove(struct work *work)
{
    struct stat info;
    const char *path = work_path(work, "path");
    if (!path)
        return 1;
    if (lstat(path, &info) < 0)
        return work_errno(work, errno, "%s", path);
    bool is_tree = S_ISDIR(info.st_mode) && json_get_bool(work->request, "recursive", false);
    if (is_tree) {
        if (nftw(path, remove_one, WALK_FDS, FTW_PHYS | FTW_DEPTH | FTW_MOUNT) != 0)
            return work_errno(work, walk.err ? walk.err : errno, "%s", path);
    } else if (remove_one(path, &info, S_ISDIR(info.st_mode) ? FTW_D : FTW_F, NULL) != 0) {
        return work_errno(work, walk.err, "%s", path);
    }
    return work_result(work, json_pack("{s:I}", "count", (json_int_t)walk.count));
}

static int permit_one(const char *path, const struct stat *info maybe_unused, int type,
                      struct FTW *where)
{
    /* Below the top, links stay as they are: what they point at was not asked for. */
    if (type == FTW_SL && where && where->level > 0)
        return 0;
    auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY |
                                    (where && where->level > 0 ? O_NOFOLLOW : 0));
    int r = fd < 0 ? -errno : set_permissions(fd, &walk.want);
    if (fd < 0 && errno == EACCES) /* unreadable, yet ours to change */
        r = (walk.want.mode < 0 || chmod(path, (mode_t)walk.want.mode) == 0) &&
                    ((walk.want.uid < 0 && walk.want.gid < 0) ||
                     lchown(path, (uid_t)walk.want.uid, (gid_t)walk.want.gid) == 0)
                ? 0
                : -errno;
    if (r < 0) {
        walk.err = -r;
        return 1;
    }
    walk.count++;
    return 0;
}

int files_permissions(struct work *work)
{
    const char *path = work_path(work, "path");
    if (!path || get_permissions(work, &walk.want) != 0)
        return 1;
    bool is_tree = json_get_bool(work->request, "recursive", false);
    int r = is_tree ? nftw(path, permit_one, WALK_FDS, FTW_PHYS | FTW_DEPTH | FTW_MOUNT)
                    : permit_one(path, NULL, FTW_F, NULL);
    if (r != 0)
        return work_errno(work, walk.err ? walk.err : errno, "%s", path);
    return work_result(work, json_pack("{s:I}", "count", (json_int_t)walk.count));
}
