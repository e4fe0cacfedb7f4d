/* A helper program of one sandbox, in a jail: shared libraries, one socket, and nothing else to see.
 *
 * It ends when its socket does, so it need not be killed; when it ends otherwise, its last words are
 * logged. Not for web/. */
#pragma once

#include "hypervisor/jail.h"

struct sandbox;
struct fenced;

struct fenced_spec {
    const char *folder, *name; /* where a build tree has it; its name there and in the jail's /usr/bin */
    const char *what;          /* for messages: "VNC helper" */
    int fd, as;                /* its socket, borrowed; the number under which it has it */
    const struct jail_bind *binds; /* shown besides; at most FENCED_BINDS_MAX */
    size_t n_binds;
};
#define FENCED_BINDS_MAX 4

/* unsupported when the program is not installed. on_exit runs once unless fenced_free comes before;
 * self may be freed in it. */
int fenced_start(struct fenced **ret, struct sandbox *sandbox, const struct fenced_spec *spec,
                 void (*on_exit)(void *data), void *data, struct error *err);
/* Kills it if it still runs. Takes NULL, returns NULL. */
struct fenced *fenced_free(struct fenced *self);
