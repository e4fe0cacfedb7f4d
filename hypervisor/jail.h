/* The jail around one QEMU: bubblewrap with every namespace unshared, as root with a uid of its
 * own through setpriv first. Arguments are a pure function with golden tests.
 *
 * --unshare-user is always on: whoever made the user namespace may read and write the memory of
 * what runs in it, which checkpoints need. There is no --die-with-parent: guests outlive us. */
#pragma once

#include "base/error.h"
#include "hypervisor/argv.h"

#include <sys/types.h>

/* Uids for jails when the daemon is root: JAIL_UID_FIRST + n, one per sandbox, no passwd entry
 * needed. They must not be used by anything else on the host. */
#define JAIL_UID_FIRST 2000000u
#define JAIL_UID_COUNT 60000u
/* A helper beside a guest has the guest's uid plus this. */
#define JAIL_UID_HELPER JAIL_UID_COUNT

#define JAIL_SCRATCH_BYTES (4 << 20)

struct jail_bind {
    const char *from; /* host path */
    const char *to;   /* path inside */
};

struct jail_spec {
    uid_t uid;        /* 0: keep ours (an ordinary user's daemon) */
    gid_t kvm_gid;    /* with uid: supplementary group that may open /dev/kvm; 0: none */
    bool with_kvm;    /* shows /dev/kvm */
    bool for_network; /* keeps the host's network and may make namespaces: for pasta and passt */
    bool is_bare;     /* shows the shared libraries and binds, and nothing else */
    const char *tun;  /* device node to show in place of the host's /dev/net/tun; NULL: that one */
    const char *scratch; /* an empty directory in memory that the program may write, at most JAIL_SCRATCH_BYTES; NULL: none */
    int resolv_fd;    /* for_network: contents of /etc/resolv.conf; 0: no such file */
    int info_fd;      /* bwrap writes {"child-pid":…} here; < 0: nowhere */
    int block_fd;     /* the program starts when this has a byte to read or ends; < 0: at once */
    const struct jail_bind *binds; /* shown read-only, the program itself among them */
    size_t n_binds;
    /* rlimits; there are no core files */
    int64_t n_files_max, n_threads_max, locked_bytes_max, file_bytes_max;
};

/* Appends prlimit, setpriv (with a uid), bwrap and their arguments. The program follows. Host
 * directories that every QEMU needs come from a table in jail.c. */
void jail_args(const struct jail_spec *spec, struct argv *out);

#define JAIL_INFO_MAX 1024
/* Reads what came from info_fd so far: it arrives in pieces. text must have a byte that is no digit
 * after size. Returns the outside pid of the
 * jailed program, 0 when more is needed, -EPROTO when it is not what bwrap writes. */
pid_t jail_parse_info(const char *text, size_t size);

/* Fills the limits of spec; what is higher than this process may have is cut to that. file_bytes is
 * the size of the largest file it may write (RAM and overlay). RLIMIT_AS is not used: QEMU maps far
 * more than it touches; cgroups bound memory where they are delegated. */
void jail_fill_limits(struct jail_spec *spec, int64_t file_bytes);

/* The group that owns /dev/kvm, 0 when everybody may open it or there is none. */
gid_t jail_kvm_gid(void);

/* True when this process is root and so must give each jail a uid. */
bool jail_needs_uid(void);
