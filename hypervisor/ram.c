#include "hypervisor/ram.h"

#include "base/buf.h"
#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define HEAP_BYTES (UINT64_C(64) << 20)
#define CANDIDATES_MAX 8
#define MAPS_MAX (4 << 20)
#define MEMFD_PREFIX "deskfarm-ram-" /* as it shows in /proc/PID/maps, to be found again */

int ram_create(const char *name, int64_t bytes, struct error *err)
{
    char label[64];
    snprintf(label, sizeof label, MEMFD_PREFIX "%s", name);
    auto_fd int fd = memfd_create(label, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return error_errno(err, errno, "creating %lld bytes of guest RAM", (long long)bytes);
    if (ftruncate(fd, bytes) < 0 || fchmod(fd, 0666) < 0)
        return error_errno(err, errno, "sizing %lld bytes of guest RAM", (long long)bytes);
    return steal_fd(&fd);
}

int ram_find_mapping(pid_t pid, struct ram_mapping *ret, struct error *err)
{
    char path[64], line[4352];
    snprintf(path, sizeof path, "/proc/%d/maps", (int)pid);
    FILE *f = fopen(path, "re");
    if (!f)
        return error_errno(err, errno, "opening %s", path);
    *ret = (struct ram_mapping){ 0 };
    while (fgets(line, sizeof line, f)) {
        unsigned long long start, end;
        if (!strstr(line, "/memfd:" MEMFD_PREFIX) || sscanf(line, "%llx-%llx", &start, &end) != 2)
            continue;
        if (end - start > ret->end - ret->start)
            *ret = (struct ram_mapping){ start, end };
    }
    fclose(f);
    if (ret->end == 0)
        return error_set(err, ERROR_GUEST_FAILED, "process %d maps no guest RAM", (int)pid);
    return 0;
}

/* One line of /proc/PID/maps. */
struct line {
    unsigned long long start, end;
    char mode[5];
    bool is_anonymous;
};

static bool parse_line(const char *text, struct line *ret)
{
    unsigned long long offset;
    unsigned major, minor;
    unsigned long inode;
    char mode[5];
    if (sscanf(text, "%llx-%llx %4s %llx %x:%x %lu", &ret->start, &ret->end, mode, &offset, &major, &minor, &inode) != 7)
        return false;
    memcpy(ret->mode, mode, sizeof mode);
    size_t n = strcspn(text, "\n");
    ret->is_anonymous = inode == 0 && !memchr(text, '[', n) && !memchr(text, '/', n);
    return true;
}

/* A thread's heap is followed by a fence too: what it may still grow into. glibc aligns it to what it reserves. It
 * grows through multiples of 132 KiB, and the flash of a UEFI's variables has 528. */
static bool is_heap(const struct line *memory, const struct line *fence)
{
    return memory->start % HEAP_BYTES == 0 && fence->end - memory->start >= HEAP_BYTES;
}

int ram_match_beside(const char *maps, int64_t bytes, struct ram_mapping *ret, int max)
{
    struct line line, before = { 0 };
    int n = 0;
    for (const char *at = maps; *at; at += strcspn(at, "\n"), at += *at == '\n') {
        if (!parse_line(at, &line))
            continue;
        bool has_fence = before.end == line.start && strcmp(line.mode, "---p") == 0 && line.is_anonymous;
        if (has_fence && !is_heap(&before, &line) && before.is_anonymous && strcmp(before.mode, "rw-p") == 0 &&
            (int64_t)(before.end - before.start) == bytes) {
            if (n < max)
                ret[n] = (struct ram_mapping){ before.start, before.end };
            n++;
        }
        before = line;
    }
    return n;
}

/* A flash of UEFI variables begins as a firmware volume does (UEFI Platform Initialization, volume 3). */
static bool is_flash(int mem_fd, const struct ram_mapping *mapping)
{
    char head[44] = "";
    return pread(mem_fd, head, sizeof head, (off_t)mapping->start) == sizeof head && memcmp(head + 40, "_FVH", 4) == 0;
}

/* Memory of QEMU's own may have the size of a device's by chance. */
static int keep_flash(pid_t pid, struct ram_mapping *candidates, int n)
{
    char path[64];
    int n_kept = 0;
    snprintf(path, sizeof path, "/proc/%d/mem", (int)pid);
    auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
    for (int i = 0; fd >= 0 && i < n; i++)
        if (is_flash(fd, &candidates[i]))
            candidates[n_kept++] = candidates[i];
    return n_kept == 1 ? 1 : n;
}

int ram_find_beside(pid_t pid, int64_t bytes, struct ram_mapping *ret, struct error *err)
{
    char path[64];
    auto_buf struct buf maps = BUF_INIT;
    snprintf(path, sizeof path, "/proc/%d/maps", (int)pid);
    int r = fs_read(path, MAPS_MAX, &maps, err);
    if (r < 0)
        return r;
    struct ram_mapping found[CANDIDATES_MAX];
    int n = ram_match_beside(buf_str(&maps), bytes, found, CANDIDATES_MAX);
    if (n > 1 && n <= CANDIDATES_MAX)
        n = keep_flash(pid, found, n);
    if (n == 1) {
        *ret = found[0];
        return 0;
    }
    return error_set(err, ERROR_GUEST_FAILED, "process %d has %d mappings of %lld bytes that could be a device's "
                     "memory, and not one", (int)pid, n, (long long)bytes);
}

int ram_check_capabilities(uint64_t effective, struct error *err)
{
    const bool may_trace = effective & (UINT64_C(1) << 19), may_override = effective & (UINT64_C(1) << 1);
    if (may_trace && may_override)
        return 0;
    return error_set(err, ERROR_UNSUPPORTED, "checkpoints, forks and hibernation read the guests' memory, and this "
                     "daemon lacks %s%s%s: add it to CapabilityBoundingSet of its service unit, or run it as an "
                     "ordinary user", may_trace ? "" : "CAP_SYS_PTRACE", may_trace || may_override ? "" : " and ",
                     may_override ? "" : "CAP_DAC_OVERRIDE");
}

int ram_check_privilege(struct error *err)
{
    unsigned long long effective = 0;
    char line[256];
    FILE *f = geteuid() == 0 ? fopen("/proc/self/status", "re") : NULL;
    if (!f)
        return 0;
    bool is_known = false;
    while (!is_known && fgets(line, sizeof line, f))
        is_known = sscanf(line, "CapEff: %llx", &effective) == 1;
    fclose(f);
    return is_known ? ram_check_capabilities(effective, err) : 0;
}

int ram_check_access(pid_t pid, struct error *err)
{
    struct ram_mapping mapping;
    int r = ram_find_mapping(pid, &mapping, err);
    if (r < 0)
        return r;
    char path[64], page[4096];
    snprintf(path, sizeof path, "/proc/%d/mem", (int)pid);
    auto_fd int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return error_errno(err, errno, "opening %s", path);
    ssize_t n = pread(fd, page, sizeof page, (off_t)mapping.start);
    if (n != (ssize_t)sizeof page)
        return error_errno(err, n < 0 ? errno : EIO, "reading the RAM of process %d", (int)pid);
    return 0;
}
