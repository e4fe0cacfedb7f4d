/* Copies through commands of the guest: a file through cat, a directory through tar on both sides. A
 * file gets its name when all of it has come, on either side, so a copy that is cut leaves what was
 * there. Owners do not travel: a copy belongs to who made it. Special bits (setuid) of what comes
 * from a guest are dropped. */
#include "cli/output.h"
#include "cli/remote.h"
#include "cli/verbs.h"

#include "base/clock.h"
#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROGRESS_US 200000
#define HEADER_MAX 64

/* $1 is the destination, $2 the name it gets in a directory, $3 the mode, $4 the size or "". */
static const char put_file[] =
    "t=$1; [ -d \"$t\" ] && t=${t%/}/$2; p=$t.part$$; "
    "cat >\"$p\" && { [ -z \"$4\" ] || [ \"$(wc -c <\"$p\")\" -eq \"$4\" ]; } && "
    "chmod \"$3\" \"$p\" && mv -f \"$p\" \"$t\" || { rm -f \"$p\"; exit 1; }";
static const char put_directory[] =
    "t=$1; [ -d \"$t\" ] && t=${t%/}/$2; mkdir -p \"$t\" && exec tar -C \"$t\" -xpof -";
/* One line that says what follows: a directory's archive, or a file with its mode and size. */
static const char get[] =
    "if [ -d \"$1\" ]; then echo d; exec tar -C \"$1\" -cf - .; fi; "
    "s=$(stat -L -c 'f %a %s' \"$1\") || exit 1; echo \"$s\"; exec cat \"$1\"";

struct side {
    char *id; /* NULL: here */
    const char *path;
};

struct copy {
    struct cli *cli;
    struct side from, to;
    const char *user;
    int64_t bytes, began_us, shown_us;
    int status;

    /* Down: */
    char header[HEADER_MAX];
    size_t header_size;
    bool has_header, is_directory;
    unsigned mode;
    int64_t size;
    int fd;       /* of the file, of tar's stdin, or stdout */
    pid_t tar;    /* 0: none */
    char *target; /* what is being made */
    char *part;   /* the file until it is whole; NULL: none */
};

/* "ID:path"; a path here that has a colon is written with a slash before it. */
static struct side parse_side(const char *text)
{
    size_t n = strcspn(text, ":/");
    if (n == 0 || text[n] != ':')
        return (struct side){ .path = text };
    return (struct side){ .id = strndup(text, n), .path = text[n + 1] ? text + n + 1 : "." };
}

/* The name that something of this path gets in a directory. */
static char *base_name(const char *path)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    const char *slash = memrchr(path, '/', n);
    return slash && n > 1 ? strndup(slash + 1, n - (size_t)(slash + 1 - path)) : strndup(path, n);
}

static bool is_directory(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int fail_errno(struct copy *self, const char *what, const char *path)
{
    struct error err = { 0 };
    error_errno(&err, errno, "%s %s", what, path);
    return self->status = cli_fail_error(self->cli, CLI_FAILED, &err);
}

static void count(struct copy *self, size_t size)
{
    self->bytes += (int64_t)size;
    int64_t now = clock_now_us();
    if (now - self->shown_us < PROGRESS_US)
        return;
    self->shown_us = now;
    progress_show(self->cli, "%s: %.1f MB, %.1f MB/s", self->to.path, (double)self->bytes / 1e6,
                  (double)self->bytes / (double)MAX(now - self->began_us, 1));
}

/* The local tar, joined to a pipe. Returns our end, or -1. */
static int start_tar(struct copy *self, const char *directory, bool is_reading)
{
    extern char **environ;
    int pipe_fds[2];
    posix_spawn_file_actions_t actions;
    const char *pack[] = { "tar", "-C", directory, "-cf", "-", ".", NULL };
    const char *unpack[] = { "tar", "-C", directory, "--no-same-owner", "--no-same-permissions",
                             "-xf", "-",  NULL };
    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return -1;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, pipe_fds[is_reading], is_reading ? 1 : 0);
    /* Only the bits that a copy may have; tar takes them off what it is told. */
    mode_t mask = umask(is_reading ? 022 : 0);
    int r = posix_spawnp(&self->tar, "tar", &actions, NULL,
                         (char *const *)(uintptr_t)(is_reading ? pack : unpack), environ);
    umask(mask);
    posix_spawn_file_actions_destroy(&actions);
    close(pipe_fds[is_reading]);
    if (r == 0)
        return pipe_fds[!is_reading];
    close(pipe_fds[!is_reading]);
    self->tar = 0;
    errno = r;
    return -1;
}

/* 0 when tar, if there was one, did all that it was told. */
static int end_tar(struct copy *self)
{
    int status = 0;
    if (self->tar == 0)
        return 0;
    while (waitpid(self->tar, &status, 0) < 0 && errno == EINTR)
        ;
    self->tar = 0;
    return status;
}

/* What the command in the guest ended with. */
static int check_end(struct copy *self, const struct remote_end *end)
{
    if (self->status != CLI_OK)
        return self->status;
    if (!end->has_exit)
        return cli_fail(self->cli, CLI_FAILED, end->code, "%s", end->message);
    if (end->exit != 0)
        return cli_fail(self->cli, CLI_FAILED, "failed", "copying in the guest ended with %d",
                        end->exit);
    return CLI_OK;
}

/* --- Up --------------------------------------------------------------------------------------- */

static void handle_sent(void *data, size_t size)
{
    count(data, size);
}

static int handle_words(void *data maybe_unused, int stream maybe_unused, const uint8_t *bytes,
                        size_t size)
{
    return write(STDERR_FILENO, bytes, size) < 0 ? -1 : 0;
}

static int send_from(struct copy *self, int fd, const char *const *argv)
{
    struct remote_end end;
    struct remote_io io = {
        .stdin_fd = fd, .fn = handle_words, .data = self, .on_sent = handle_sent
    };
    int status = remote_run_argv(self->cli, self->to.id, self->user, argv, &io, &end);
    return status == CLI_OK ? check_end(self, &end) : status;
}

static int put(struct copy *self)
{
    struct stat st = { .st_mode = 0644 };
    char mode[16], size[32] = "";
    bool is_stdin = strcmp(self->from.path, "-") == 0;
    auto_free char *name = base_name(is_stdin ? "stdin" : self->from.path);
    auto_fd int fd = is_stdin ? dup(STDIN_FILENO) : open(self->from.path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || (!is_stdin && fstat(fd, &st) < 0))
        return fail_errno(self, "reading", self->from.path);
    if (S_ISREG(st.st_mode))
        snprintf(size, sizeof size, "%lld", (long long)st.st_size);
    snprintf(mode, sizeof mode, "%o", (unsigned)st.st_mode & 0777);
    if (!S_ISDIR(st.st_mode)) {
        const char *argv[] = { "sh",          "-c", put_file, "sh",
                               self->to.path, name, mode,     is_stdin ? "" : size,
                               NULL };
        return send_from(self, fd, argv);
    }
    const char *argv[] = { "sh", "-c", put_directory, "sh", self->to.path, name, NULL };
    auto_fd int pipe_fd = start_tar(self, self->from.path, true);
    if (pipe_fd < 0)
        return fail_errno(self, "starting", "tar");
    int status = send_from(self, pipe_fd, argv);
    close(steal_fd(&pipe_fd));
    if (end_tar(self) != 0 && status == CLI_OK)
        status = cli_fail(self->cli, CLI_FAILED, "failed", "reading %s: not all was copied",
                          self->from.path);
    return status;
}

/* --- Down ------------------------------------------------------------------------------------- */

/* The destination is known now: it depends on what comes. */
static int open_target(struct copy *self)
{
    if (strcmp(self->to.path, "-") == 0) {
        self->fd = STDOUT_FILENO;
        return CLI_OK;
    }
    auto_free char *name = base_name(self->from.path);
    self->target =
        is_directory(self->to.path) ? fs_join(self->to.path, name) : strdup(self->to.path);
    if (self->is_directory) {
        if (mkdir(self->target, 0777) < 0 && errno != EEXIST)
            return fail_errno(self, "making", self->target);
        self->fd = start_tar(self, self->target, false);
    } else if (asprintf(&self->part, "%s.partXXXXXX", self->target) > 0) {
        self->fd = mkostemp(self->part, O_CLOEXEC);
    }
    return self->fd < 0 ? fail_errno(self, "writing", self->target) : CLI_OK;
}

static int read_header(struct copy *self)
{
    char kind;
    long long size = 0;
    int n = sscanf(self->header, "%c %o %lld", &kind, &self->mode, &size);
    self->has_header = true;
    self->is_directory = n >= 1 && kind == 'd';
    self->size = size;
    if (!self->is_directory && (n != 3 || kind != 'f'))
        return self->status =
                   cli_fail(self->cli, CLI_FAILED, "failed", "the guest says what nobody asked");
    return open_target(self);
}

static int write_all(struct copy *self, const uint8_t *bytes, size_t size)
{
    count(self, size);
    while (size > 0) {
        ssize_t n = write(self->fd, bytes, size);
        if (n < 0 && errno != EINTR) {
            fail_errno(self, "writing", self->to.path);
            return -1;
        }
        bytes += n > 0 ? n : 0;
        size -= n > 0 ? (size_t)n : 0;
    }
    return 0;
}

static int handle_bytes(void *data, int stream, const uint8_t *bytes, size_t size)
{
    struct copy *self = data;
    if (stream != 1)
        return handle_words(data, stream, bytes, size);
    while (!self->has_header && size > 0) {
        char byte = (char)*bytes++;
        size--;
        if (byte == '\n' ? read_header(self) != CLI_OK : self->header_size >= HEADER_MAX - 1)
            return -1;
        if (byte != '\n')
            self->header[self->header_size++] = byte;
    }
    return size > 0 ? write_all(self, bytes, size) : 0;
}

/* The file or directory is complete, or what there is of a file goes. */
static int finish_get(struct copy *self, int status)
{
    if (self->fd > STDERR_FILENO)
        close(self->fd);
    if (end_tar(self) != 0 && status == CLI_OK)
        status = cli_fail(self->cli, CLI_FAILED, "failed", "writing %s: not all was copied",
                          self->target);
    if (!self->part)
        return status;
    if (status == CLI_OK && self->bytes != self->size)
        status = cli_fail(self->cli, CLI_FAILED, "failed",
                          "%s changed its size while it was copied", self->from.path);
    if (status == CLI_OK &&
        (chmod(self->part, self->mode & 0777) < 0 || rename(self->part, self->target) < 0))
        status = fail_errno(self, "writing", self->target);
    if (status != CLI_OK)
        unlink(self->part);
    return status;
}

static int fetch(struct copy *self)
{
    struct remote_end end;
    struct remote_io io = { .stdin_fd = -1, .fn = handle_bytes, .data = self };
    const char *argv[] = { "sh", "-c", get, "sh", self->from.path, NULL };
    self->fd = -1;
    int status = remote_run_argv(self->cli, self->from.id, self->user, argv, &io, &end);
    return finish_get(self, status == CLI_OK ? check_end(self, &end) : status);
}

/* --- The verb --------------------------------------------------------------------------------- */

static int run(struct cli *cli, struct request *request)
{
    const json_t *words = json_object_get(request->own, "words");
    if (json_array_size(words) != 2)
        return cli_fail(cli, CLI_USAGE, "missing_field", "a source and a destination are needed");
    struct copy self = {
        .cli = cli,
        .from = parse_side(json_string_value(json_array_get(words, 0))),
        .to = parse_side(json_string_value(json_array_get(words, 1))),
        .user = json_get_string(request->body, "user", NULL),
        .began_us = clock_now_us(),
    };
    int status;
    if (!self.from.id == !self.to.id)
        status = cli_fail(cli, CLI_USAGE, "bad_value",
                          "one of source and destination is in a guest: ID:path");
    else
        status = self.to.id ? put(&self) : fetch(&self);
    progress_end(cli);
    if (status == CLI_OK && strcmp(self.to.path, "-") != 0)
        printf("%s\t%lld\n", self.to.path, (long long)self.bytes);
    free(self.from.id);
    free(self.to.id);
    free(self.target);
    free(self.part);
    return status;
}

static const char *const hidden[] = { "argv",     "command",    "cwd", "env",
                                      "terminal", "timeout_ms", NULL };

static const struct flag flags[] = {
    { .name = "user", .letter = 'u', .field = "user", .text = "Whose files. Default: root." },
    { .name = NULL },
};

const struct verb verb_cp = {
    .name = "cp",
    .usage = "SOURCE DESTINATION",
    .operation = "exec",
    .take = request_take_words,
    .flags = flags,
    .hidden = hidden,
    .run = run,
    .summary = "Copies files and directories into a guest and out of it.",
    .text =
        "One of the two is ID:path. - is standard input or output; a directory goes there as a\n"
        "tar archive. Into a directory that exists a copy goes under its own name; DIR/. means\n"
        "what is in DIR. Modes are kept, owners are not. The guest needs sh, cat and tar.\n"
        "Prints the destination and how many bytes went.\n",
};
