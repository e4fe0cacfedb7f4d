/* Children: a program, or a function of the agent that works in a child of its own. */
#pragma once

#include "images/agent/channel.h"
#include "images/agent/user.h"

/* What a function in a child has. It reads 0, writes 1, may block, allocate and be killed at any
 * time: the agent does not notice. The process ends with what it returns. */
struct work {
    const json_t *request;
    int result_fd;
};
typedef int (*work_fn)(struct work *work);

struct spawn {
    const char *const *argv;  /* a program, found in PATH */
    char *const *envp;
    work_fn work;             /* or a function */
    const json_t *request;    /* for it; for a program the source of "rlimits" */
    const char *cwd;          /* NULL: stay */
    struct user user;
    bool has_stdin;           /* else /dev/null */
    bool is_pty;
    int64_t columns, rows;
};

/* Starts it on the channel's descriptors. -errno when no process could be made; what goes wrong in
 * the child is told in its result. */
int channel_spawn(struct channel *channel, const struct spawn *spec);

/* In a child: the result's JSON (stolen); at most RESULT_MAX bytes. Returns 0. */
int work_result(struct work *work, json_t *result);
/* In a child: fails with what errno value err means, or with a code of its own. Returns 1. */
int work_errno(struct work *work, int err, const char *format, ...) printf_like(3, 4);
int work_fail(struct work *work, const char *code, const char *format, ...) printf_like(3, 4);
/* In a child: writes all of it to stdout; ends the process when nobody reads. */
void work_write(const void *data, size_t size);
/* In a child: one object (stolen) as a line of output. */
void work_line(json_t *object);
/* The request's "path": absolute and without NUL, else NULL and the failure is told. */
const char *work_path(struct work *work, const char *key);
