/* A running jail: the bwrap process that we started and the jailed process itself.
 *
 * Starting takes a few milliseconds: bwrap tells the outside pid of the jailed process, which
 * stands still until its limits are set. For hypervisor/, and for the helpers that farm/ fences. */
#pragma once

#include "base/process.h"
#include "hypervisor/cgroup.h"
#include "hypervisor/jail.h"

struct jailed_spec {
    struct jail_spec jail;           /* info_fd, block_fd and limits are filled here */
    const char *const *program;      /* arguments inside the jail */
    const struct process_fd *fds;    /* what the program has open */
    size_t n_fds;
    int64_t file_bytes;              /* RLIMIT_FSIZE */
    struct cgroup_root *cgroups;     /* NULL: none */
    const char *cgroup;              /* name of the group, as far as it is free */
    struct cgroup_limits cgroup_limits;
};

struct jailed_ops {
    /* The pid is known, limits are set, the program runs. */
    void (*on_started)(void *data);
    /* It is gone; status as from waitpid, -1 when unknown. Also when the jail could not be built.
     * err is set when we ended it because a limit could not be set. */
    void (*on_exit)(void *data, int status, const struct error *err);
};

struct jailed;

/* The name that its group got; "" without one. */
const char *jailed_cgroup(const struct jailed *self);
int jailed_start(struct jailed **ret, struct loop *loop, const struct jailed_spec *spec,
                 const struct jailed_ops *ops, void *data, struct error *err);
/* Takes over a jailed process of an earlier daemon. on_started is not called. */
int jailed_adopt(struct jailed **ret, struct loop *loop, pid_t pid, uint64_t start_time,
                 const struct jailed_ops *ops, void *data, struct error *err);
/* 0 until on_started. */
pid_t jailed_pid(const struct jailed *self);
uint64_t jailed_start_time(const struct jailed *self);
/* A copy of a descriptor of the jailed process (pidfd_getfd). */
int jailed_get_fd(const struct jailed *self, int fd, struct error *err);
void jailed_kill(struct jailed *self);
/* Forgets both without touching them; before on_started kill first and wait for on_exit. Takes
 * NULL, returns NULL. */
struct jailed *jailed_free(struct jailed *self);
