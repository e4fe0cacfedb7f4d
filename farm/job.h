/* A command in a guest, with an id that outlives its caller.
 *
 *   started    the agent has been asked
 *   running    it has a process
 *   ended      its exit is known, or why it never ran, or that the agent went away from under it
 *
 * A job in the foreground has a listener, who gets its output as it comes and is what makes it go
 * on: when the listener leaves, the command is ended. A job in the background keeps its output
 * instead, the last JOB_LOG_MAX bytes of it. Jobs belong to their sandbox, which forgets the oldest
 * that have ended. They do not survive the daemon, though commands in the background go on in the
 * guest. */
#pragma once

#include "base/agent-wire.h"
#include "farm/sandbox.h"

#define JOBS_RUNNING_MAX 64   /* of a sandbox; in the background half of them */
#define JOBS_KEPT_MAX 512     /* ended ones that are remembered */
#define JOB_LOG_MAX ((size_t)1 << 20)
#define JOBS_LOG_MAX ((size_t)16 << 20) /* of all ended ones together */
#define JOB_CONTENT_MAX 4096            /* of the command as status shows it */

struct jobs;
struct job;

/* Any may be NULL; each may call functions of the job, except that it is gone after on_end. */
struct job_ops {
    void (*on_running)(void *data);
    /* Borrowed. job_consumed says when it is dealt with; until then at most AGENT_WINDOW more
     * comes. */
    void (*on_output)(void *data, enum agent_stream stream, const uint8_t *bytes, size_t size);
    /* The last. why is NULL when the command's exit is known. */
    void (*on_end)(void *data, const struct error *why);
};

/* Starts what request says: command or argv, cwd, envs, timeout (ms; 0: none), uid, gid,
 * background. It was checked by its row of the API table. A command is given to bash where the
 * guest has it, else to sh. *ret is valid until on_end. ops may be NULL in the background, where
 * on_running is the last that the listener hears if it then calls job_leave. busy when too many
 * run. */
int job_start(struct job **ret, struct sandbox *sandbox, const json_t *request,
              const struct job_ops *ops, void *data, struct error *err);
/* NULL with not_found in err. Borrowed for this turn of the loop. */
struct job *job_find(struct sandbox *sandbox, const char *id, struct error *err);

const char *job_id(const struct job *self);
bool job_is_background(const struct job *self);
/* As {"id","content","running","exit_code","error","started_at","finished_at"}. */
json_t *job_status(const struct job *self);
/* For on_end: the exit status, 128 + n after signal n. On Windows it has 32 bits. */
int64_t job_exit_code(const struct job *self);
/* What to tell about an exit that is not 0: "exit status 3", … */
const char *job_exit_text(const struct job *self);
int64_t job_duration_us(const struct job *self);

/* The listener is done with size bytes. */
void job_consumed(struct job *self, size_t size);
/* The listener goes. In the foreground the command is killed. */
void job_leave(struct job *self);
/* SIGINT, after 2 s SIGTERM, after 2 s more SIGKILL. One that has ended is no error. */
void job_interrupt(struct job *self);

/* The output of a background job from byte cursor on, counted from its beginning. Returns how many
 * bytes there are at *ret_bytes; borrowed for this turn. *ret_from is where they begin: later than
 * cursor when what was asked for is not kept any more, earlier when cursor lies behind the end. */
size_t job_log(const struct job *self, int64_t cursor, const uint8_t **ret_bytes,
               int64_t *ret_from);

/* --- For sandbox.c --------------------------------------------------------------------------- */

/* Ends and forgets all. Takes NULL, returns NULL. */
struct jobs *jobs_free(struct jobs *self);
