#include "hypervisor/ram.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

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
