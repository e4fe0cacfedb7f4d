/* What a caller sees of something that runs in a guest, a command or a line of a shell: a stream of
 * events (web/event.h).
 *
 *   init                the id in "text"
 *   stdout, stderr      "text": output as it comes, newlines and all
 *   ping                now and then, so that nobody on the way gives up
 *   execution_complete  exit status 0; "execution_time" in ms
 *   error               any other end: "error": {"ename", "evalue": the exit status as text,
 *                       "traceback"}
 *
 * One of the last two ends it. What fails before it runs is an ordinary error. */
#pragma once

#include "web/request.h"

struct execution;

struct execution_ops {
    /* The caller has taken so much of the output. */
    void (*on_consumed)(void *data, size_t size);
    /* The caller went away; the execution is gone. */
    void (*on_gone)(void *data);
};

/* The answer of request from here on. Nothing is sent yet. NULL when memory is short. */
struct execution *execution_new(struct request *request, const struct execution_ops *ops,
                                void *data);
/* It runs: sends init. Negative when there is no memory for a stream: call execution_fail. */
int execution_begin(struct execution *self, const char *id);
/* stream: AGENT_STDOUT or AGENT_STDERR. */
void execution_output(struct execution *self, int stream, const uint8_t *bytes, size_t size);
/* One of these ends it; self is gone and no function of ops runs any more. */
void execution_end(struct execution *self, int64_t exit_code, const char *text, int64_t duration_us);
void execution_fail(struct execution *self, const struct error *err);
