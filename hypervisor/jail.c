/* What a jailed process sees: its program, the shared libraries, QEMU's firmware, the image's own
 * files, all read-only; an empty root, a minimal /dev, a /proc of its own PID namespace. No network
 * (unless asked for), no directory of the daemon, no other process.
 *
 * As root the uid changes before bwrap: bwrap as root would leave kernel uid 0. QEMU can make no
 * further user namespace; pasta must, and keeps the host's network. A device node that lies in a
 * private directory is put over /dev/net/tun by a first bwrap that is still root, in a mount
 * namespace of its own, since the second could not reach it.
 *
 * Limits: QEMU's own seccomp filter is set by QEMU (-sandbox). Nothing here bounds memory, see
 * hypervisor/cgroup.h. */
#include "hypervisor/jail.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define NOFILE_MAX 1024
#define NPROC_MAX 512 /* vCPUs, at most 64 I/O threads, display; per uid and user namespace */
#define MEMLOCK_MAX 65536

/* Host files that are shown at their own path when they exist. */
static const char *const common_files[] = {
    "/usr/lib/x86_64-linux-gnu", /* libraries; in qemu/ QEMU's modules, ui-dbus.so among them */
    "/lib64",                    /* the dynamic loader */
};
static const char *const qemu_files[] = {
    "/usr/share/qemu",    /* option ROMs that are QEMU's own, linuxboot */
    "/usr/share/seabios", /* BIOS and VGA BIOS; /usr/share/qemu points here */
    "/usr/share/OVMF",
};

static void show(struct argv *out, const char *how, const char *from, const char *to)
{
    argv_add(out, how);
    argv_add(out, from);
    argv_add(out, to);
}

static void show_all(struct argv *out, const char *const *files, size_t n)
{
    for (size_t i = 0; i < n; i++)
        show(out, "--ro-bind-try", files[i], files[i]);
}

static void change_uid(const struct jail_spec *spec, struct argv *out)
{
    argv_add(out, "setpriv");
    argv_addf(out, "--reuid=%u", (unsigned)spec->uid);
    argv_addf(out, "--regid=%u", (unsigned)spec->uid);
    if (spec->with_kvm && spec->kvm_gid)
        argv_addf(out, "--groups=%u", (unsigned)spec->kvm_gid);
    else
        argv_add(out, "--clear-groups");
    argv_add(out, "--inh-caps=-all");
    argv_add(out, "--");
}

static void limit(const struct jail_spec *spec, struct argv *out)
{
    argv_add(out, "prlimit");
    argv_add(out, "--core=0:0");
    argv_addf(out, "--nofile=%lld", (long long)spec->n_files_max);
    argv_addf(out, "--nproc=%lld", (long long)spec->n_threads_max);
    argv_addf(out, "--memlock=%lld", (long long)spec->locked_bytes_max);
    argv_addf(out, "--fsize=%lld", (long long)spec->file_bytes_max);
    argv_add(out, "--");
}

static void unshare(const struct jail_spec *spec, struct argv *out)
{
    static const char *const closed[] = { "--unshare-all", "--disable-userns", "--cap-drop", "ALL",
                                          NULL };
    static const char *const networked[] = { "--unshare-ipc", "--unshare-pid", "--unshare-uts",
                                             "--unshare-cgroup-try", NULL };
    argv_add(out, "--unshare-user");
    argv_add_all(out, spec->for_network ? networked : closed);
    argv_add(out, "--new-session");
    argv_add(out, "--clearenv");
    argv_add(out, "--as-pid-1");
    if (spec->info_fd >= 0) {
        argv_add(out, "--info-fd");
        argv_addf(out, "%d", spec->info_fd);
    }
    if (spec->block_fd >= 0) {
        argv_add(out, "--block-fd");
        argv_addf(out, "%d", spec->block_fd);
    }
}

static void show_files(const struct jail_spec *spec, struct argv *out)
{
    show_all(out, common_files, ARRAY_LEN(common_files));
    argv_add(out, "--symlink");
    argv_add(out, "usr/lib");
    argv_add(out, "/lib");
    if (!spec->for_network && !spec->is_bare)
        show_all(out, qemu_files, ARRAY_LEN(qemu_files));
    for (size_t i = 0; i < spec->n_binds; i++)
        show(out, "--ro-bind", spec->binds[i].from, spec->binds[i].to);
    argv_add(out, "--proc");
    argv_add(out, "/proc");
    argv_add(out, "--dev");
    argv_add(out, "/dev");
    if (spec->with_kvm)
        show(out, "--dev-bind", "/dev/kvm", "/dev/kvm");
    if (spec->for_network) {
        show(out, "--dev-bind", "/dev/net/tun", "/dev/net/tun");
        argv_add(out, "--dir"); /* passt moves its root to an empty file system made there */
        argv_add(out, "/tmp");
    }
    if (spec->scratch) {
        argv_add(out, "--size");
        argv_addf(out, "%d", JAIL_SCRATCH_BYTES);
        argv_add(out, "--tmpfs");
        argv_add(out, spec->scratch);
    }
    if (spec->resolv_fd) {
        argv_add(out, "--ro-bind-data");
        argv_addf(out, "%d", spec->resolv_fd);
        argv_add(out, "/etc/resolv.conf");
    }
    argv_add(out, "--chdir");
    argv_add(out, "/");
}

void jail_args(const struct jail_spec *spec, struct argv *out)
{
    if (spec->tun) {
        argv_add(out, "bwrap");
        show(out, "--dev-bind", "/", "/");
        show(out, "--dev-bind", spec->tun, "/dev/net/tun");
        argv_add(out, "--");
    }
    limit(spec, out);
    if (spec->uid)
        change_uid(spec, out);
    argv_add(out, "bwrap");
    unshare(spec, out);
    show_files(spec, out);
    argv_add(out, "--");
}

pid_t jail_parse_info(const char *text, size_t size)
{
    static const char key[] = "\"child-pid\":";
    if (size > JAIL_INFO_MAX || memchr(text, 0, size))
        return -EPROTO;
    if (!memchr(text, '}', size))
        return size == JAIL_INFO_MAX ? -EPROTO : 0;
    const char *at = memmem(text, size, key, sizeof key - 1);
    if (!at)
        return -EPROTO;
    int64_t pid = 0;
    for (at += sizeof key - 1; *at == ' '; at++)
        ;
    for (; *at >= '0' && *at <= '9' && pid <= INT32_MAX; at++)
        pid = pid * 10 + (*at - '0');
    return pid > 1 && pid <= INT32_MAX ? (pid_t)pid : -EPROTO;
}

void jail_fill_limits(struct jail_spec *spec, int64_t file_bytes)
{
    const struct {
        __rlimit_resource_t what;
        int64_t *to, value;
    } rows[] = {
        { RLIMIT_NOFILE, &spec->n_files_max, NOFILE_MAX },
        { RLIMIT_NPROC, &spec->n_threads_max, NPROC_MAX },
        { RLIMIT_MEMLOCK, &spec->locked_bytes_max, MEMLOCK_MAX },
        { RLIMIT_FSIZE, &spec->file_bytes_max, file_bytes },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct rlimit now;
        bool is_lower = getrlimit(rows[i].what, &now) == 0 && now.rlim_max < (rlim_t)rows[i].value;
        *rows[i].to = is_lower ? (int64_t)now.rlim_max : rows[i].value;
    }
}

gid_t jail_kvm_gid(void)
{
    struct stat st;
    if (stat("/dev/kvm", &st) < 0 || (st.st_mode & 0006) == 0006 || (st.st_mode & 0060) != 0060)
        return 0;
    return st.st_gid;
}

bool jail_needs_uid(void)
{
    return geteuid() == 0;
}
