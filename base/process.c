/* posix_spawn with explicit descriptors: a child has what its spec names and nothing else. All that
 * the daemon opens is close-on-exec; libraries are not trusted to do the same, so the child closes
 * every other number too (closefrom: glibc 2.34). */
#include "base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define FIRST_NICE (-5)

struct process {
    pid_t pid;
    int pidfd;
    bool is_child, has_ended;
    struct watch *watch;
    process_exit_fn on_exit;
    void *data;
};

uint64_t process_start_time(pid_t pid)
{
    char path[64], line[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t n = read(fd, line, sizeof line - 1);
    if (n <= 0)
        return 0;
    line[n] = 0;
    /* The command name, in parentheses, may hold anything; fields are counted from its end. */
    char *at = strrchr(line, ')');
    unsigned long long value = 0;
    if (!at || sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d "
                              "%*d %*d %*d %llu", &value) != 1)
        return 0;
    return value;
}

void process_status_text(int status, char *out, size_t size)
{
    if (status == -1)
        snprintf(out, size, "an unknown status");
    else if (WIFSIGNALED(status))
        snprintf(out, size, "signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        snprintf(out, size, "exit status %d", WEXITSTATUS(status));
}

static void handle_pidfd(void *data, int events maybe_unused)
{
    struct process *self = data;
    int status = -1;
    if (self->is_child) {
        pid_t r;
        do
            r = waitpid(self->pid, &status, WNOHANG);
        while (r < 0 && errno == EINTR);
        if (r == 0)
            return;
        if (r < 0)
            status = -1;
    }
    self->has_ended = true;
    self->watch = watch_free(self->watch);
    if (self->on_exit)
        self->on_exit(self->data, status);
}

static int watch_pid(struct process *self, struct loop *loop, struct error *err)
{
    self->pidfd = (int)syscall(SYS_pidfd_open, self->pid, 0);
    if (self->pidfd < 0)
        return error_errno(err, errno, "opening a pidfd of process %d", (int)self->pid);
    self->watch = watch_new(loop, self->pidfd, handle_pidfd, self);
    if (!self->watch)
        return error_errno(err, ENOMEM, "watching process %d", (int)self->pid);
    watch_set(self->watch, WATCH_READ);
    return 0;
}

/* The lowest number above all that the child shall have. */
static int first_unused(const struct process_spec *spec)
{
    int top = 3;
    for (size_t i = 0; i < spec->n_fds; i++)
        top = MAX(top, spec->fds[i].as + 1);
    return top;
}

static bool is_target(const struct process_spec *spec, int fd)
{
    for (size_t i = 0; i < spec->n_fds; i++)
        if (spec->fds[i].as == fd)
            return true;
    return false;
}

static int add_files(posix_spawn_file_actions_t *actions, const struct process_spec *spec, int top,
                     const int *lifted)
{
    int r = 0;
    for (int fd = 0; r == 0 && fd < top; fd++) {
        if (is_target(spec, fd))
            continue;
        r = fd <= 2 ? posix_spawn_file_actions_addopen(actions, fd, "/dev/null", O_RDWR, 0)
                    : posix_spawn_file_actions_addclose(actions, fd);
    }
    for (size_t i = 0; r == 0 && i < spec->n_fds; i++)
        r = posix_spawn_file_actions_adddup2(actions, lifted[i], spec->fds[i].as);
    return r ? r : posix_spawn_file_actions_addclosefrom_np(actions, top);
}

/* Sources may collide with targets (fd 5 as 4 while fd 4 as 5): move every source above all
 * targets first. The copies are closed by the caller. */
static int lift_sources(const struct process_spec *spec, int top, int *lifted)
{
    for (size_t i = 0; i < spec->n_fds; i++) {
        lifted[i] = fcntl(spec->fds[i].fd, F_DUPFD_CLOEXEC, top);
        if (lifted[i] < 0)
            return errno;
    }
    return 0;
}

static bool goes_first;

static void set_nice(int nice)
{
    setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), nice);
}

void process_go_first(void)
{
    goes_first = setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), FIRST_NICE) == 0;
}

static int spawn(pid_t *pid, const struct process_spec *spec, int *lifted)
{
    static const char *const minimal[] = {
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", NULL
    };
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attr);
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &all);
    short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
    posix_spawnattr_setflags(&attr, (short)(flags | (spec->new_session ? POSIX_SPAWN_SETSID : 0)));

    int top = first_unused(spec);
    int r = lift_sources(spec, top, lifted);
    if (r == 0)
        r = add_files(&actions, spec, top, lifted);
    /* A child starts with the priority of the thread that made it. */
    if (goes_first)
        set_nice(0);
    if (r == 0)
        r = posix_spawnp(pid, spec->argv[0], &actions, &attr, (char **)(uintptr_t)spec->argv,
                         (char **)(uintptr_t)(spec->envp ? spec->envp : minimal));
    if (goes_first)
        set_nice(FIRST_NICE);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&actions);
    return r;
}

int process_spawn(struct process **ret, struct loop *loop, const struct process_spec *spec,
                  process_exit_fn on_exit, void *data, struct error *err)
{
    struct process *self = calloc(1, sizeof *self);
    int *lifted = calloc(spec->n_fds + 1, sizeof *lifted);
    int r = self && lifted ? 0 : ENOMEM;
    for (size_t i = 0; r == 0 && i < spec->n_fds; i++)
        lifted[i] = -1;
    if (r == 0) {
        self->pidfd = -1;
        r = spawn(&self->pid, spec, lifted);
    }
    for (size_t i = 0; lifted && i < spec->n_fds; i++)
        util_close_ptr(&lifted[i]);
    free(lifted);
    if (r != 0) {
        free(self);
        return error_errno(err, r, "starting %s", spec->argv[0]);
    }
    self->is_child = true;
    self->on_exit = on_exit;
    self->data = data;
    r = watch_pid(self, loop, err);
    if (r < 0) {
        kill(self->pid, SIGKILL);
        waitpid(self->pid, NULL, 0);
        process_free(self);
        return r;
    }
    *ret = self;
    return 0;
}

int process_adopt(struct process **ret, struct loop *loop, pid_t pid, uint64_t start_time,
                  process_exit_fn on_exit, void *data, struct error *err)
{
    struct process *self = calloc(1, sizeof *self);
    if (!self)
        return error_errno(err, ENOMEM, "adopting process %d", (int)pid);
    self->pid = pid;
    self->pidfd = -1;
    self->on_exit = on_exit;
    self->data = data;
    int r = watch_pid(self, loop, err);
    /* Checked after the pidfd is open: from here on the number cannot be reused behind it. */
    if (r == 0 && start_time && process_start_time(pid) != start_time)
        r = error_errno(err, ESRCH, "adopting process %d", (int)pid);
    if (r < 0) {
        process_free(self);
        return r;
    }
    *ret = self;
    return 0;
}

pid_t process_pid(const struct process *self)
{
    return self->pid;
}

int process_pidfd(const struct process *self)
{
    return self->pidfd;
}

bool process_is_alive(const struct process *self)
{
    return !self->has_ended;
}

void process_kill(struct process *self, int signo)
{
    if (!self->has_ended)
        syscall(SYS_pidfd_send_signal, self->pidfd, signo, NULL, 0);
}

struct process *process_free(struct process *self)
{
    if (self) {
        watch_free(self->watch);
        util_close_ptr(&self->pidfd);
        free(self);
    }
    return NULL;
}

int process_find_helper(const char *folder, const char *name, char out[PROCESS_PATH_MAX])
{
    char self[PROCESS_PATH_MAX - 256];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n <= 0)
        return -ENOENT;
    self[n] = 0;
    *(strrchr(self, '/') + 1) = 0;
    for (int up = 0; up < 4; up++) {
        if (up == 0)
            snprintf(out, PROCESS_PATH_MAX, "%s%s", self, name);
        else if (up < 3)
            snprintf(out, PROCESS_PATH_MAX, "%s%s%s/%s", self, up == 1 ? "../" : "../../", folder, name);
        else
            snprintf(out, PROCESS_PATH_MAX, "%s../libexec/deskfarm/%s", self, name);
        if (access(out, X_OK) == 0)
            return 0;
    }
    return -ENOENT;
}
