/* bwrap stays outside as the parent of the jailed process and ends with its status (128 + signal
 * when it was killed). So our child is bwrap, the process that matters is watched by a pidfd of its
 * own, and the end is reported when both are gone. After an adoption there is no child and no
 * status. */
#include "hypervisor/jailed.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define FDS_MAX 16

struct jailed {
    struct loop *loop;
    struct process *outer; /* bwrap; NULL after an adoption */
    struct process *inner; /* NULL until its pid is known */
    uint64_t start_time;
    int info_fd, block_fd; /* our ends */
    struct watch *info_watch;
    char info[JAIL_INFO_MAX + 1];
    size_t n_info;
    struct cgroup_root *cgroups;
    char cgroup[CGROUP_NAME_MAX];
    struct error err;
    int status;
    bool outer_ended, inner_ended, is_kill_wanted;
    struct jailed_ops ops;
    void *data;
};

static void report_end(struct jailed *self)
{
    if (!self->outer_ended || !self->inner_ended)
        return;
    int status = self->status;
    if (status != -1 && WIFEXITED(status) && WEXITSTATUS(status) > 128 &&
        WEXITSTATUS(status) < 128 + 65)
        status = WEXITSTATUS(status) - 128;
    self->ops.on_exit(self->data, status, self->err.is_set ? &self->err : NULL);
}

static void handle_outer_exit(void *data, int status)
{
    struct jailed *self = data;
    self->outer_ended = true;
    self->status = status;
    if (!self->inner)
        self->inner_ended = true; /* the jail could not be built */
    report_end(self);
}

static void handle_inner_exit(void *data, int status maybe_unused)
{
    struct jailed *self = data;
    self->inner_ended = true;
    report_end(self);
}

static void stop_reading(struct jailed *self)
{
    self->info_watch = watch_free(self->info_watch);
    util_close_ptr(&self->info_fd);
    self->info_fd = -1;
}

/* Limits first, then the program may run. */
static int release(struct jailed *self, pid_t pid, struct error *err)
{
    int r = process_adopt(&self->inner, self->loop, pid, 0, handle_inner_exit, self, err);
    if (r < 0)
        return r;
    self->start_time = process_start_time(pid);
    if (self->cgroups)
        r = cgroup_add(self->cgroups, self->cgroup, pid, err);
    if (r == 0 && write(self->block_fd, "x", 1) != 1)
        r = error_errno(err, errno, "starting the jailed program");
    util_close_ptr(&self->block_fd);
    self->block_fd = -1;
    return r;
}

static void handle_info(void *data, int events maybe_unused)
{
    struct jailed *self = data;
    ssize_t n = read(self->info_fd, self->info + self->n_info, JAIL_INFO_MAX - self->n_info);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n <= 0) {
        stop_reading(self); /* bwrap gave up; its exit follows */
        return;
    }
    self->n_info += (size_t)n;
    self->info[self->n_info] = 0;
    pid_t pid = jail_parse_info(self->info, self->n_info);
    if (pid == 0)
        return;
    stop_reading(self);
    int r = 0;
    if (pid < 0) {
        error_set(&self->err, ERROR_GUEST_FAILED, "bwrap did not tell a pid");
        process_kill(self->outer, SIGKILL);
        return;
    }
    if (self->is_kill_wanted)
        process_adopt(&self->inner, self->loop, pid, 0, handle_inner_exit, self, &self->err);
    else
        r = release(self, pid, &self->err);
    if (r == -ESRCH || r == -EPIPE) {
        /* bwrap has ended already; what it said on its way out tells more than this. */
        self->err.is_set = false;
        return;
    }
    if (self->err.is_set || self->is_kill_wanted)
        jailed_kill(self);
    else
        self->ops.on_started(self->data);
}

static int spawn(struct jailed *self, const struct jailed_spec *spec, int info_fd, int block_fd,
                 struct error *err)
{
    struct process_fd fds[FDS_MAX + 2];
    struct jail_spec jail = spec->jail;
    size_t n = 0;
    int top = 3;
    if (spec->n_fds > FDS_MAX)
        return error_set(err, ERROR_INTERNAL, "too many descriptors for a jail");
    for (; n < spec->n_fds; n++) {
        fds[n] = spec->fds[n];
        top = MAX(top, fds[n].as + 1);
    }
    jail_fill_limits(&jail, spec->file_bytes);
    jail.info_fd = top;
    jail.block_fd = top + 1;
    fds[n++] = (struct process_fd){ info_fd, jail.info_fd };
    fds[n++] = (struct process_fd){ block_fd, jail.block_fd };

    auto_argv struct argv argv = ARGV_INIT;
    jail_args(&jail, &argv);
    argv_add_all(&argv, spec->program);
    if (!argv_get(&argv))
        return error_errno(err, ENOMEM, "building the jail");
    struct process_spec child = { .argv = argv_get(&argv), .fds = fds, .n_fds = n,
                                  .new_session = true };
    return process_spawn(&self->outer, self->loop, &child, handle_outer_exit, self, err);
}

static int prepare(struct jailed *self, const struct jailed_spec *spec, struct error *err)
{
    int info[2], block[2];
    if (pipe2(info, O_CLOEXEC) < 0)
        return error_errno(err, errno, "creating a pipe");
    auto_fd int info_theirs = info[1];
    self->info_fd = info[0];
    if (pipe2(block, O_CLOEXEC) < 0)
        return error_errno(err, errno, "creating a pipe");
    auto_fd int block_theirs = block[0];
    self->block_fd = block[1];
    fcntl(self->info_fd, F_SETFL, O_NONBLOCK);
    self->info_watch = watch_new(self->loop, self->info_fd, handle_info, self);
    if (!self->info_watch)
        return error_errno(err, ENOMEM, "building the jail");
    watch_set(self->info_watch, WATCH_READ);
    if (spec->cgroups) {
        int r = cgroup_create(spec->cgroups, spec->cgroup, &spec->cgroup_limits, self->cgroup, err);
        if (r < 0)
            return r;
    }
    int r = spawn(self, spec, info_theirs, block_theirs, err);
    if (r < 0 && spec->cgroups)
        cgroup_remove(spec->cgroups, self->cgroup);
    return r;
}

static struct jailed *new(struct loop *loop, const struct jailed_ops *ops, void *data)
{
    struct jailed *self = calloc(1, sizeof *self);
    if (self) {
        self->loop = loop;
        self->info_fd = self->block_fd = -1;
        self->status = -1;
        self->ops = *ops;
        self->data = data;
    }
    return self;
}

const char *jailed_cgroup(const struct jailed *self)
{
    return self->cgroup;
}

int jailed_start(struct jailed **ret, struct loop *loop, const struct jailed_spec *spec,
                 const struct jailed_ops *ops, void *data, struct error *err)
{
    struct jailed *self = new(loop, ops, data);
    if (!self)
        return error_errno(err, ENOMEM, "building the jail");
    self->cgroups = spec->cgroups;
    int r = prepare(self, spec, err);
    if (r < 0) {
        jailed_free(self);
        return r;
    }
    *ret = self;
    return 0;
}

int jailed_adopt(struct jailed **ret, struct loop *loop, pid_t pid, uint64_t start_time,
                 const struct jailed_ops *ops, void *data, struct error *err)
{
    struct jailed *self = new(loop, ops, data);
    if (!self)
        return error_errno(err, ENOMEM, "adopting process %d", (int)pid);
    self->outer_ended = true;
    self->start_time = start_time;
    int r = process_adopt(&self->inner, loop, pid, start_time, handle_inner_exit, self, err);
    if (r < 0) {
        jailed_free(self);
        return r;
    }
    *ret = self;
    return 0;
}

pid_t jailed_pid(const struct jailed *self)
{
    return self->inner ? process_pid(self->inner) : 0;
}

uint64_t jailed_start_time(const struct jailed *self)
{
    return self->start_time;
}

int jailed_get_fd(const struct jailed *self, int fd, struct error *err)
{
    int copy = self->inner ? (int)syscall(SYS_pidfd_getfd, process_pidfd(self->inner), fd, 0) : -1;
    if (copy < 0)
        return error_errno(err, self->inner ? errno : ESRCH, "taking descriptor %d of process %d",
                           fd, (int)jailed_pid(self));
    return copy; /* pidfd_getfd sets close-on-exec */
}

void jailed_kill(struct jailed *self)
{
    /* While the pid is not known, killing bwrap would leave the jailed process without anybody. */
    if (self->inner)
        process_kill(self->inner, SIGKILL);
    else
        self->is_kill_wanted = true;
}

struct jailed *jailed_free(struct jailed *self)
{
    if (self) {
        stop_reading(self);
        util_close_ptr(&self->block_fd);
        process_free(self->inner);
        process_free(self->outer);
        free(self);
    }
    return NULL;
}
