#include "hypervisor/cgroup.h"

#include "base/buf.h"
#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define NAMES_MAX 100
#define CPU_PERIOD_US 100000

struct cgroup_root {
    int dir_fd; /* the group under which guests get theirs */
};

/* Where the v2 hierarchy is mounted, in order of preference. */
static const char *const mounts[] = { "/sys/fs/cgroup", "/sys/fs/cgroup/unified" };
static const char *const controllers[] = { "memory", "cpu", "pids" };

static int write_file(int dir_fd, const char *group, const char *file, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", group, file);
    auto_fd int fd = openat(dir_fd, path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

static bool has_word(const char *text, const char *word)
{
    size_t n = strlen(word);
    for (const char *at = text; (at = strstr(at, word)); at += n) {
        bool starts = at == text || at[-1] == ' ';
        if (starts && (at[n] == 0 || at[n] == ' ' || at[n] == '\n'))
            return true;
    }
    return false;
}

static bool has_controllers(int dir_fd)
{
    char text[512];
    auto_fd int fd = openat(dir_fd, "cgroup.controllers", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (n < 0)
        return false;
    text[n] = 0;
    for (size_t i = 0; i < ARRAY_LEN(controllers); i++)
        if (!has_word(text, controllers[i]))
            return false;
    return true;
}

/* The path of our own v2 group: the line "0::/path" of /proc/self/cgroup. */
static int own_group(char *out, size_t size)
{
    auto_buf struct buf text = BUF_INIT;
    if (fs_read("/proc/self/cgroup", 65536, &text, NULL) < 0)
        return -ENOENT;
    const char *at = strstr(buf_str(&text), "0::/");
    if (!at || (at != buf_str(&text) && at[-1] != '\n'))
        return -ENOENT;
    at += 3;
    int n = snprintf(out, size, "%.*s", (int)strcspn(at, "\n"), at);
    return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

/* A group that has controllers enabled for its children may hold no process itself, so we move into
 * a child "daemon" first. */
static int delegate(int dir_fd)
{
    char pid[16];
    if (mkdirat(dir_fd, "daemon", 0755) < 0 && errno != EEXIST)
        return -errno;
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    int r = write_file(dir_fd, "daemon", "cgroup.procs", pid);
    if (r == 0)
        r = write_file(dir_fd, ".", "cgroup.subtree_control", "+memory +cpu +pids");
    if (r < 0) {
        write_file(dir_fd, ".", "cgroup.procs", pid);
        unlinkat(dir_fd, "daemon", AT_REMOVEDIR);
    }
    return r;
}

struct cgroup_root *cgroup_root_new(char fact[160])
{
    char group[512], path[600];
    int dir_fd = -1;
    if (own_group(group, sizeof group) < 0) {
        snprintf(fact, 160, "no cgroup v2: guests are limited by rlimits only");
        return NULL;
    }
    for (size_t i = 0; i < ARRAY_LEN(mounts) && dir_fd < 0; i++) {
        snprintf(path, sizeof path, "%s%s", mounts[i], group);
        dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (dir_fd >= 0 && !has_controllers(dir_fd)) {
            close(dir_fd);
            dir_fd = -1;
        }
    }
    struct cgroup_root *self = calloc(1, sizeof *self);
    int r = dir_fd < 0 ? -ENOENT : !self ? -ENOMEM : delegate(dir_fd);
    if (r < 0) {
        snprintf(fact, 160, "no delegated cgroup v2 with memory, cpu and pids (%s): guests are "
                 "limited by rlimits only", strerror(-r));
        util_close_ptr(&dir_fd);
        free(self);
        return NULL;
    }
    snprintf(fact, 160, "guests are limited by cgroups below %.100s", group);
    self->dir_fd = dir_fd;
    return self;
}

struct cgroup_root *cgroup_root_free(struct cgroup_root *self)
{
    if (self) {
        close(self->dir_fd);
        free(self);
    }
    return NULL;
}

int64_t cgroup_guest_memory(int memory_mib)
{
    return ((int64_t)memory_mib * 5 / 4 + 192) << 20;
}

/* One that is empty is what an earlier daemon left behind. */
static int make_dir(struct cgroup_root *self, const char *wish, char ret_name[CGROUP_NAME_MAX])
{
    for (int i = 1; i <= NAMES_MAX; i++) {
        if (i == 1)
            snprintf(ret_name, CGROUP_NAME_MAX, "%s", wish);
        else
            snprintf(ret_name, CGROUP_NAME_MAX, "%.48s-%d", wish, i);
        unlinkat(self->dir_fd, ret_name, AT_REMOVEDIR);
        if (mkdirat(self->dir_fd, ret_name, 0755) == 0)
            return 0;
        if (errno != EEXIST)
            break;
    }
    return -errno;
}

int cgroup_create(struct cgroup_root *self, const char *wish, const struct cgroup_limits *limits,
                  char name[CGROUP_NAME_MAX], struct error *err)
{
    char memory[32], weight[32], cpu[48], pids[32];
    snprintf(memory, sizeof memory, "%lld", (long long)limits->memory_bytes);
    snprintf(weight, sizeof weight, "%d", limits->cpu_weight);
    if (limits->cpus > 0)
        snprintf(cpu, sizeof cpu, "%lld %d", (long long)limits->cpus * CPU_PERIOD_US,
                 CPU_PERIOD_US);
    else
        snprintf(cpu, sizeof cpu, "max %d", CPU_PERIOD_US);
    snprintf(pids, sizeof pids, "%d", limits->pids);
    const struct {
        const char *file, *value;
    } rows[] = {
        { "memory.max", memory },
        { "cpu.weight", weight },
        { "cpu.max", cpu },
        { "pids.max", pids },
    };
    int r = make_dir(self, wish, name);
    if (r < 0)
        return error_errno(err, -r, "creating cgroup %s", name);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        r = write_file(self->dir_fd, name, rows[i].file, rows[i].value);
        if (r < 0)
            return error_errno(err, -r, "setting %s of cgroup %s", rows[i].file, name);
    }
    return 0;
}

int cgroup_add(struct cgroup_root *self, const char *name, pid_t pid, struct error *err)
{
    char text[16];
    snprintf(text, sizeof text, "%d", (int)pid);
    int r = write_file(self->dir_fd, name, "cgroup.procs", text);
    return r < 0 ? error_errno(err, -r, "moving process %d into cgroup %s", (int)pid, name) : 0;
}

void cgroup_remove(struct cgroup_root *self, const char *name)
{
    unlinkat(self->dir_fd, name, AT_REMOVEDIR);
}
