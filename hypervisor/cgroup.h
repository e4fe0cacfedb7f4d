/* Memory, CPU and process limits by cgroup v2, where a subtree is delegated to this daemon.
 *
 * The root object finds out once: our own cgroup in the v2 hierarchy, writable, with the memory,
 * cpu and pids controllers. Where one is missing there is no root, and rlimits are all there is;
 * the fact is a text for the log. A group outlives the daemon with its guest and is found again by
 * name. */
#pragma once

#include "base/error.h"

#include <sys/types.h>

struct cgroup_root;

/* NULL when groups cannot be made here; fact then says why, else what is limited. */
struct cgroup_root *cgroup_root_new(char fact[160]);
struct cgroup_root *cgroup_root_free(struct cgroup_root *self);

struct cgroup_limits {
    int64_t memory_bytes; /* memory.max */
    int cpu_weight;       /* 1–10000, 100 is usual */
    int cpus;             /* cpu.max = cpus whole CPUs; 0: no limit */
    int pids;             /* pids.max, threads included */
};

/* Memory of a guest with this much RAM: RAM + 25 % + 192 MiB for QEMU itself and its buffers. */
int64_t cgroup_guest_memory(int memory_mib);

#define CGROUP_NAME_MAX 64

/* Creates a group with these limits and tells its name: wish, or wish-2, … while another guest of that
 * name is still there (a sandbox that goes back to a checkpoint has two for a moment). */
int cgroup_create(struct cgroup_root *self, const char *wish, const struct cgroup_limits *limits,
                  char ret_name[CGROUP_NAME_MAX], struct error *err);
int cgroup_add(struct cgroup_root *self, const char *name, pid_t pid, struct error *err);
/* Removes the empty group; one that is absent is no error. */
void cgroup_remove(struct cgroup_root *self, const char *name);
