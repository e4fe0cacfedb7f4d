/* QEMU is handed the other end of swtpm's control socket and makes the data socket itself. swtpm ends when that one
 * is closed, so nobody has to end it behind a guest. One that never got it, because the daemon died between the two
 * starts, is found by its arguments (hypervisor/strays.h).
 *
 * Limits: 4 MiB of state (it has about 10 KiB), 16 KiB of words. */
#define LOG_MODULE "tpm"
#include "hypervisor/tpm.h"

#include "hypervisor/guest-files.h"
#include "hypervisor/jailed.h"
#include "hypervisor/profile.h"

#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FD_CONTROL 3 /* in swtpm */
#define WORDS_BYTES 16384
#define FILE_BYTES (1 << 20)
#define DIR_MAX 64

struct tpm {
    struct jailed *jailed;
    int words_fd;
    tpm_end_fn on_end;
    void *data;
};

void tpm_args(const char *name, struct argv *out)
{
    static const char *const first[] = { PROFILE_SWTPM, "socket", "--tpm2", "--tpmstate", NULL };
    argv_add_all(out, first);
    argv_addf(out, "dir=" TPM_DIR "%s,mode=0600", name);
    argv_add(out, "--ctrl");
    argv_addf(out, "type=unixio,clientfd=%d", FD_CONTROL);
    argv_add(out, "--terminate");
}

static void handle_started(void *data maybe_unused) {}

static void handle_exit(void *data, int status, const struct error *err)
{
    struct tpm *self = data;
    char how[64], words[300], why[512] = "";
    process_status_text(status, how, sizeof how);
    guest_files_words(self->words_fd, words, sizeof words);
    if (status > 0 || err)
        snprintf(why, sizeof why, "swtpm ended with %s%s%s", how, err || *words ? ": " : "", err ? err->message : words);
    self->on_end(self->data, why);
}

static const struct jailed_ops jailed_ops = { .on_started = handle_started, .on_exit = handle_exit };

static struct tpm *new(tpm_end_fn on_end, void *data)
{
    struct tpm *self = calloc(1, sizeof *self);
    if (self)
        *self = (struct tpm){ .words_fd = -1, .on_end = on_end, .data = data };
    return self;
}

static int spawn(struct tpm *self, struct loop *loop, const char *name, uid_t uid, int fd, struct error *err)
{
    char scratch[DIR_MAX];
    static const struct jail_bind binds[] = { { PROFILE_SWTPM, PROFILE_SWTPM } };
    auto_argv struct argv argv = ARGV_INIT;
    self->words_fd = guest_files_new_words(WORDS_BYTES, err);
    if (self->words_fd < 0)
        return self->words_fd;
    snprintf(scratch, sizeof scratch, TPM_DIR "%s", name);
    tpm_args(name, &argv);
    if (!argv_get(&argv))
        return error_errno(err, ENOMEM, "starting swtpm");
    const struct process_fd fds[] = { { fd, FD_CONTROL }, { self->words_fd, 2 } };
    const struct jailed_spec spec = {
        .jail = { .uid = uid ? uid + JAIL_UID_HELPER : 0, .is_bare = true, .scratch = scratch, .binds = binds,
                  .n_binds = ARRAY_LEN(binds) },
        .program = argv_get(&argv),
        .fds = fds,
        .n_fds = ARRAY_LEN(fds),
        .file_bytes = FILE_BYTES,
    };
    return jailed_start(&self->jailed, loop, &spec, &jailed_ops, self, err);
}

int tpm_start(struct tpm **ret, int *ret_fd, struct loop *loop, const char *name, uid_t uid, tpm_end_fn on_end,
              void *data, struct error *err)
{
    int pair[2];
    struct tpm *self = new(on_end, data);
    if (!self)
        return error_errno(err, ENOMEM, "starting swtpm");
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        tpm_free(self);
        return error_errno(err, errno, "starting swtpm");
    }
    auto_fd int theirs = pair[0], ours = pair[1];
    int r = spawn(self, loop, name, uid, theirs, err);
    if (r < 0) {
        tpm_free(self);
        return r;
    }
    *ret = self;
    *ret_fd = steal_fd(&ours);
    return 0;
}

int tpm_adopt(struct tpm **ret, struct loop *loop, const json_t *identity, tpm_end_fn on_end, void *data,
              struct error *err)
{
    int64_t pid = json_get_int(identity, "pid", 0), start = json_get_int(identity, "start_time", 0);
    if (pid <= 1 || pid > INT32_MAX || start <= 0) {
        error_set(err, ERROR_GUEST_GONE, "the journal does not say which process its TPM is");
        return -ESRCH;
    }
    struct tpm *self = new(on_end, data);
    if (!self)
        return error_errno(err, ENOMEM, "adopting swtpm");
    int r = jailed_adopt(&self->jailed, loop, (pid_t)pid, (uint64_t)start, &jailed_ops, self, err);
    if (r < 0) {
        tpm_free(self);
        return r;
    }
    *ret = self;
    return 0;
}

json_t *tpm_identity(const struct tpm *self)
{
    return json_pack("{s:i, s:I}", "pid", (int)jailed_pid(self->jailed), "start_time",
                     (json_int_t)jailed_start_time(self->jailed));
}

int tpm_kill(struct tpm *self)
{
    jailed_kill(self->jailed);
    return jailed_pid(self->jailed) ? 0 : 1;
}

struct tpm *tpm_free(struct tpm *self)
{
    if (self) {
        jailed_free(self->jailed);
        util_close_ptr(&self->words_fd);
        free(self);
    }
    return NULL;
}
