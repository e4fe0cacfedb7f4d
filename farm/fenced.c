#define LOG_MODULE "fenced"
#include "farm/fenced.h"

#include "base/log.h"
#include "farm/sandbox-impl.h"
#include "hypervisor/guest-files.h"
#include "hypervisor/jailed.h"

#include <errno.h>
#include <stdio.h>

#define WORDS_BYTES 16384

struct fenced {
    struct sandbox *sandbox;
    struct jailed *jailed;
    const char *what;
    int words_fd; /* what it says before it dies */
    void (*on_exit)(void *data);
    void *data;
};

struct fenced *fenced_free(struct fenced *self)
{
    if (!self)
        return NULL;
    if (self->jailed)
        jailed_kill(self->jailed);
    jailed_free(self->jailed);
    util_close_ptr(&self->words_fd);
    free(self);
    return NULL;
}

static void handle_started(void *data)
{
    struct fenced *self = data;
    log_debug("%s: %s is process %d", self->sandbox->id, self->what, (int)jailed_pid(self->jailed));
}

static void handle_exit(void *data, int status, const struct error *err)
{
    struct fenced *self = data;
    char how[64], words[300];
    process_status_text(status, how, sizeof how);
    guest_files_words(self->words_fd, words, sizeof words);
    if (status != 0 || err)
        log_warn("%s: the %s ended with %s%s%s", self->sandbox->id, self->what, how,
                 err || *words ? ": " : "", err ? err->message : words);
    self->jailed = jailed_free(self->jailed);
    self->on_exit(self->data);
}

static int start(struct fenced *self, const struct fenced_spec *spec, struct error *err)
{
    static const struct jailed_ops ops = { .on_started = handle_started, .on_exit = handle_exit };
    char path[PROCESS_PATH_MAX], inside[64];
    struct jail_bind binds[FENCED_BINDS_MAX + 1];
    if (process_find_helper(spec->folder, spec->name, path) < 0)
        return error_set(err, ERROR_UNSUPPORTED, "%s is not where it was installed", spec->name);
    if (spec->n_binds > FENCED_BINDS_MAX)
        return error_set(err, ERROR_INTERNAL, "too much to show in a jail");
    self->words_fd = guest_files_new_words(WORDS_BYTES, err);
    if (self->words_fd < 0)
        return self->words_fd;
    snprintf(inside, sizeof inside, "/usr/bin/%s", spec->name);
    binds[0] = (struct jail_bind){ path, inside };
    for (size_t i = 0; i < spec->n_binds; i++)
        binds[i + 1] = spec->binds[i];
    const char *const program[] = { inside, NULL };
    const struct process_fd fds[] = { { spec->fd, spec->as }, { self->words_fd, 2 } };
    uid_t uid = self->sandbox->uid;
    const struct jailed_spec jailed = {
        .jail = { .uid = uid ? uid + JAIL_UID_HELPER : 0, .is_bare = true, .binds = binds,
                  .n_binds = spec->n_binds + 1 },
        .program = program,
        .fds = fds,
        .n_fds = ARRAY_LEN(fds),
        .file_bytes = WORDS_BYTES, /* a memfd counts as a file */
    };
    return jailed_start(&self->jailed, farm_loop(self->sandbox->farm), &jailed, &ops, self, err);
}

int fenced_start(struct fenced **ret, struct sandbox *sandbox, const struct fenced_spec *spec,
                 void (*on_exit)(void *data), void *data, struct error *err)
{
    struct fenced *self = calloc(1, sizeof *self);
    if (!self)
        return error_errno(err, ENOMEM, "starting the %s", spec->what);
    *self = (struct fenced){ .sandbox = sandbox, .what = spec->what, .words_fd = -1, .on_exit = on_exit,
                             .data = data };
    int r = start(self, spec, err);
    if (r < 0)
        fenced_free(self);
    else
        *ret = self;
    return r;
}
