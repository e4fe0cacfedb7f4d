/* A command in a guest with its input and output joined to descriptors of ours: the API's operation
 * "exec" (docs/api.md), for exec, cp and ssh. */
#pragma once

#include "cli/cli.h"

/* Gets bytes of stdout (1) or stderr (2). Negative: nobody takes them any more. */
typedef int (*remote_fn)(void *data, int stream, const uint8_t *bytes, size_t size);

struct remote_end {
    bool has_exit; /* else it was never begun, or the connection was lost */
    int exit;      /* as a shell tells it: 128 and the signal's number */
    bool has_timed_out;
    char code[32], message[512]; /* of an error; "" when there is none */
};

struct remote_io {
    int stdin_fd; /* -1: the command gets end of file at once */
    remote_fn fn; /* NULL: to our stdout and stderr */
    void *data;
    bool has_terminal;                        /* ours is made raw, and its size follows */
    void (*on_sent)(void *data, size_t size); /* bytes of stdin that went out; may be NULL */
};

/* Runs the command that request's body describes to its end. Signals that ask us to end go to the
 * command; a third one ends us. Returns a status of the client's: what kept the command from
 * running was printed unless it is in ret. */
int remote_run(struct cli *cli, struct request *request, const struct remote_io *io,
               struct remote_end *ret);
/* The same for a command that the client needs: argv ends with NULL. id is whole or the beginning of
 * one; user may be NULL. */
int remote_run_argv(struct cli *cli, const char *id, const char *user, const char *const *argv,
                    const struct remote_io *io, struct remote_end *ret);
