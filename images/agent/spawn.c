/* A child gets a session of its own, so that all of it can be signalled, a clean signal state, and
 * the user's identity before anything of the request is touched. Its result pipe closes when it
 * executes a program, so only a failure to start is told there. */
#include "images/agent/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <termios.h>

#define RESULT_FD 3
#define WORK_MEMORY_MAX ((rlim_t)512 << 20)

/* --- In the child ---------------------------------------------------------------------------- */

int work_result(struct work *work, json_t *result)
{
    auto_json json_t *owned = result;
    auto_buf struct buf text = { .limit = RESULT_MAX };
    if (!owned || json_write(owned, &text) < 0)
        return work_fail(work, "too_large", "the result is too large");
    if (write(work->result_fd, text.data, text.size) < 0)
        return 1;
    return 0;
}

int work_fail(struct work *work, const char *code, const char *format, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    auto_json json_t *error = channel_error(code, "%s", text);
    auto_buf struct buf out = { .limit = RESULT_MAX };
    if (error && json_write(error, &out) == 0 && write(work->result_fd, out.data, out.size) < 0)
        return 1;
    return 1;
}

static const char *errno_code(int err)
{
    static const struct {
        int err;
        const char *code;
    } table[] = {
        { ENOENT, "not_found" }, { ENOTDIR, "not_found" }, { EACCES, "forbidden" },
        { EPERM, "forbidden" }, { EROFS, "forbidden" }, { EEXIST, "exists" },
        { ENOTEMPTY, "exists" }, { EISDIR, "bad_value" }, { EINVAL, "bad_value" },
        { ENAMETOOLONG, "bad_value" }, { ELOOP, "bad_value" }, { ENOSPC, "disk_full" },
        { EDQUOT, "disk_full" }, { EFBIG, "too_large" }, { ENOMEM, "no_memory" },
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (table[i].err == err)
            return table[i].code;
    return "failed";
}

int work_errno(struct work *work, int err, const char *format, ...)
{
    char text[400];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    return work_fail(work, errno_code(err), "%s: %s", text, strerror(err));
}

void work_write(const void *data, size_t size)
{
    const char *at = data;
    while (size > 0) {
        ssize_t n = write(STDOUT_FILENO, at, size);
        if (n < 0 && errno != EINTR)
            _exit(1);
        if (n > 0) {
            at += n;
            size -= (size_t)n;
        }
    }
}

void work_line(json_t *object)
{
    auto_json json_t *owned = object;
    auto_buf struct buf text = BUF_INIT;
    if (owned && json_write(owned, &text) == 0 && buf_append(&text, "\n", 1) == 0)
        work_write(text.data, text.size);
}

const char *work_path(struct work *work, const char *key)
{
    const char *path = json_string_value(json_object_get(work->request, key));
    if (path && path[0] == '/')
        return path;
    work_fail(work, "bad_value", "%s: an absolute path is needed", key);
    return NULL;
}

static int set_limits(const json_t *request)
{
    static const struct {
        const char *name;
        int resource;
    } table[] = {
        { "as", RLIMIT_AS }, { "core", RLIMIT_CORE }, { "cpu", RLIMIT_CPU },
        { "fsize", RLIMIT_FSIZE }, { "nofile", RLIMIT_NOFILE }, { "nproc", RLIMIT_NPROC },
        { "stack", RLIMIT_STACK },
    };
    const json_t *wishes = json_object_get(request, "rlimits");
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        const json_t *wish = json_object_get(wishes, table[i].name);
        if (!json_is_integer(wish) || json_integer_value(wish) < 0)
            continue;
        rlim_t value = (rlim_t)json_integer_value(wish);
        struct rlimit limit = { value, value };
        if (setrlimit(table[i].resource, &limit) < 0)
            return -errno;
    }
    return 0;
}

static void reset_signals(void)
{
    sigset_t none;
    for (int signo = 1; signo < NSIG; signo++)
        signal(signo, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Moves the child's ends to 0, 1, 2, the result to RESULT_FD, and closes all else: a function does
 * not execute anything, and would hold the agent's port and the other ends of the pipes open. */
static int set_fds(const struct spawn *spec, const int fds[4])
{
    for (int i = 0; i < 3; i++)
        if (dup2(fds[i], i) < 0)
            return -errno;
    if (fds[3] != RESULT_FD && dup3(fds[3], RESULT_FD, O_CLOEXEC) < 0)
        return -errno;
    if (close_range(RESULT_FD + 1, ~0u, 0) < 0)
        return -errno;
    if (spec->is_pty && ioctl(0, TIOCSCTTY, 0) < 0)
        return -errno;
    return 0;
}

static int run_program(const struct spawn *spec, struct work *work)
{
    int r = set_limits(spec->request);
    if (r < 0)
        return work_errno(work, -r, "setting resource limits");
    execvpe(spec->argv[0], (char *const *)(uintptr_t)spec->argv, spec->envp);
    int err = errno;
    work_errno(work, err, "starting %s", spec->argv[0]);
    return err == ENOENT ? 127 : 126;
}

static int run_work(const struct spawn *spec, struct work *work)
{
    struct rlimit limit = { WORK_MEMORY_MAX, WORK_MEMORY_MAX };
    if (!AGENT_SANITIZED)
        setrlimit(RLIMIT_AS, &limit);
    return spec->work(work);
}

static int run_child(const struct spawn *spec, const int fds[4])
{
    struct work work = { spec->request, fds[3] };
    setsid();
    umask(022);
    int r = set_fds(spec, fds);
    if (r == 0)
        work.result_fd = RESULT_FD;
    reset_signals();
    if (r == 0)
        r = user_become(&spec->user);
    if (r < 0)
        return work_errno(&work, -r, "becoming the user");
    if (spec->cwd && chdir(spec->cwd) < 0)
        return work_errno(&work, errno, "changing to %s", spec->cwd);
    return spec->work ? run_work(spec, &work) : run_program(spec, &work);
}

/* --- In the agent ---------------------------------------------------------------------------- */

/* ours[] and theirs[]: stdin, stdout, stderr, result. -1: none. */
struct ends {
    int ours[4], theirs[4];
};

static void close_ends(int fds[4])
{
    for (int i = 0; i < 4; i++) {
        if (fds[i] >= 0)
            close(fds[i]);
        fds[i] = -1;
    }
}

static int open_pipe(struct ends *ends, int i, bool is_input)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0)
        return -errno;
    ends->ours[i] = fds[is_input ? 1 : 0];
    ends->theirs[i] = fds[is_input ? 0 : 1];
    return 0;
}

static int open_pty(struct ends *ends, const struct spawn *spec, const struct user *user)
{
    struct winsize size = { .ws_col = (unsigned short)CLAMP(spec->columns, 1, 4096),
                            .ws_row = (unsigned short)CLAMP(spec->rows, 1, 4096) };
    int unlock = 0;
    auto_fd int master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (master < 0 || ioctl(master, TIOCSPTLCK, &unlock) < 0 ||
        ioctl(master, TIOCSWINSZ, &size) < 0)
        return -errno;
    int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (slave < 0)
        return -errno;
    ends->theirs[0] = slave;
    if (user->is_other && fchown(slave, user->uid, (gid_t)-1) < 0)
        return -errno;
    ends->theirs[1] = fcntl(slave, F_DUPFD_CLOEXEC, 3);
    ends->theirs[2] = fcntl(slave, F_DUPFD_CLOEXEC, 3);
    ends->ours[0] = fcntl(master, F_DUPFD_CLOEXEC, 3);
    ends->ours[1] = steal_fd(&master);
    return 0;
}

static int open_ends(struct ends *ends, const struct spawn *spec)
{
    int r = 0;
    if (spec->is_pty)
        r = open_pty(ends, spec, &spec->user);
    else if (spec->has_stdin)
        r = open_pipe(ends, 0, true);
    else if ((ends->theirs[0] = open("/dev/null", O_RDONLY | O_CLOEXEC)) < 0)
        r = -errno;
    for (int i = 1; i < 3 && r == 0 && !spec->is_pty; i++)
        r = open_pipe(ends, i, false);
    return r < 0 ? r : open_pipe(ends, 3, false);
}

static int adopt(struct channel *channel, const struct spawn *spec, struct ends *ends, pid_t pid)
{
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (pidfd < 0)
        return -errno;
    channel->pid = pid;
    channel->is_pty = spec->is_pty;
    if (ends->ours[0] >= 0)
        source_open(&channel->in, steal_fd(&ends->ours[0]), NULL, channel);
    for (int i = 0; i < 2; i++)
        if (ends->ours[i + 1] >= 0)
            source_open(&channel->out[i], steal_fd(&ends->ours[i + 1]), NULL, channel);
    source_open(&channel->result, steal_fd(&ends->ours[3]), NULL, channel);
    source_open(&channel->child, pidfd, NULL, channel);
    return 0;
}

int channel_spawn(struct channel *channel, const struct spawn *spec)
{
    struct ends ends = { { -1, -1, -1, -1 }, { -1, -1, -1, -1 } };
    int r = open_ends(&ends, spec);
    pid_t pid = r == 0 ? fork() : -1;
    if (r == 0 && pid < 0)
        r = -errno;
    if (pid == 0)
        _exit(run_child(spec, ends.theirs));
    close_ends(ends.theirs);
    if (r == 0)
        r = adopt(channel, spec, &ends, pid);
    if (r < 0 && pid > 0)
        kill(pid, SIGKILL);
    close_ends(ends.ours);
    return r;
}
