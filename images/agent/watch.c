/* watch: changes below a directory, a line of output each, until the host closes the channel.
 *
 *   {"op": "watch", "path": "/src", "recursive": true}
 *      → {"type": "ready"}, then {"type": "create" | "write" | "remove" | "rename" | "permissions",
 *        "path"}; {"type": "overflow"} when some were lost, and the reader must look itself
 *
 * A rename tells both names, one event each. Runs in a child that blocks on inotify; a reader that
 * is slow holds it up, and the kernel's own queue then overflows, which is told. At most
 * WATCHES_MAX directories; beyond them "overflow" is told once. New directories are watched as they come; what
 * was made in them before that is told too. */
#include "images/agent/files.h"
#include "images/agent/ops.h"

#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>

#define WATCHES_MAX 8192
#define WALK_FDS 32
#define MASK (IN_CREATE | IN_CLOSE_WRITE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ATTRIB)

static struct {
    int fd;
    bool is_recursive, is_telling;
    char *paths[WATCHES_MAX]; /* by watch descriptor, which count from 1 */
} watch;

static void tell(const char *type, const char *path)
{
    json_t *event = json_pack("{s:s}", "type", type);
    if (path)
        files_set_text(event, "path", path, strlen(path));
    work_line(event);
}

static void add(const char *path)
{
    int wd = inotify_add_watch(watch.fd, path, MASK | IN_ONLYDIR | IN_DONT_FOLLOW | IN_EXCL_UNLINK);
    if (wd < 0)
        return;
    if (wd >= WATCHES_MAX) {
        inotify_rm_watch(watch.fd, wd);
        tell("overflow", path);
        return;
    }
    free(watch.paths[wd]);
    watch.paths[wd] = strdup(path);
}

static int add_one(const char *path, const struct stat *info maybe_unused, int type,
                   struct FTW *where)
{
    if (type == FTW_D)
        add(path);
    if (watch.is_telling && where->level > 0)
        tell("create", path);
    return type == FTW_D && where->level > 0 && !watch.is_recursive ? FTW_SKIP_SUBTREE
                                                                     : FTW_CONTINUE;
}

static void add_tree(const char *path)
{
    if (watch.is_recursive)
        nftw(path, add_one, WALK_FDS, FTW_PHYS | FTW_ACTIONRETVAL);
    else
        add(path);
}

static const char *event_type(uint32_t mask)
{
    return mask & IN_CREATE                      ? "create"
           : mask & IN_DELETE                    ? "remove"
           : mask & (IN_MOVED_FROM | IN_MOVED_TO) ? "rename"
           : mask & IN_ATTRIB                    ? "permissions"
                                                 : "write";
}

static void handle_event(const struct inotify_event *event)
{
    char path[PATH_MAX];
    if (event->mask & IN_Q_OVERFLOW) {
        tell("overflow", NULL);
        return;
    }
    if (event->wd < 1 || event->wd >= WATCHES_MAX || !watch.paths[event->wd])
        return;
    if (event->mask & IN_IGNORED) {
        free(watch.paths[event->wd]);
        watch.paths[event->wd] = NULL;
        return;
    }
    if (event->len == 0)
        return; /* the directory itself; its parent tells */
    int n = snprintf(path, sizeof path, "%s/%s", watch.paths[event->wd], event->name);
    if (n < 0 || (size_t)n >= sizeof path)
        return;
    tell(event_type(event->mask), path);
    if (watch.is_recursive && event->mask & IN_ISDIR && event->mask & (IN_CREATE | IN_MOVED_TO))
        add_tree(path);
}

int watch_run(struct work *work)
{
    static char events[65536] __attribute__((aligned(8)));
    struct stat info;
    const char *path = work_path(work, "path");
    auto_free char *real = path ? realpath(path, NULL) : NULL;
    if (!path)
        return 1;
    if (!real || stat(real, &info) < 0)
        return work_errno(work, errno, "%s", path);
    if (!S_ISDIR(info.st_mode))
        return work_errno(work, ENOTDIR, "%s", path);
    watch.is_recursive = json_get_bool(work->request, "recursive", false);
    watch.fd = inotify_init1(IN_CLOEXEC);
    if (watch.fd < 0)
        return work_errno(work, errno, "inotify");
    add_tree(real);
    watch.is_telling = true;
    tell("ready", NULL);
    for (;;) {
        ssize_t n = read(watch.fd, events, sizeof events);
        if (n < 0 && errno != EINTR)
            return work_errno(work, errno, "inotify");
        for (char *at = events; at < events + n;) {
            const struct inotify_event *event = (const struct inotify_event *)(const void *)at;
            handle_event(event);
            at += sizeof *event + event->len;
        }
    }
}
