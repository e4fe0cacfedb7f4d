/* One request that is running: a child process, a terminal or a connection, between its
 * descriptors and the port. */
#pragma once

#include "base/agent-wire.h"
#include "base/json.h"
#include "base/list.h"
#include "images/agent/loop.h"

#include <sys/types.h>

/* Running ones, with those that nobody listens to any more. */
#define CHANNELS_MAX (2 * AGENT_CHANNELS)
#define RESULT_MAX 8192 /* bytes that a child may say about how it went */

/* A channel is one of
 *   CONNECTING  a socket whose connection is not there yet: only `in` is open
 *   RUNNING     data flows
 *   CLOSING     the host has closed it, and the helper has not let go of it yet
 *   LET_GO      number is 0. Ended for the host (CLOSE, a new session), but its child lives or has
 *               not been reaped; output is read and dropped.
 * and is freed when its END has gone out, or when the child of one that was let go has ended. */
struct channel {
    struct list link;
    uint16_t number; /* 0: let go */
    struct agent_credit credit;

    struct source in;    /* what the host sends goes here */
    struct buf in_queue; /* at most AGENT_WINDOW */
    bool in_eof;         /* the host has sent its last byte */

    struct source out[2]; /* stdout and stderr, or the socket */
    bool out_done[2];

    struct source result; /* a child's JSON about how it went, or why it did not start */
    struct buf result_text;

    struct source child; /* a pidfd */
    pid_t pid;           /* also its process group and session; 0: no child */
    bool has_exited, timed_out;
    int status;

    bool is_pty, is_socket, is_connecting;
    bool is_helped; /* the desktop's helper does it (helper.c): its socket, its result, no child */
    bool is_closing; /* then: waits for the end of the result */
    bool keep;             /* a new session of the host does not kill the child */
    int64_t started_us;
    int64_t timeout_at_us; /* 0: none. Then SIGTERM, later SIGKILL */
    int64_t kill_at_us, linger_at_us;
    int64_t linger_us;
};

/* NULL when the number is taken, or there are too many. */
struct channel *channel_new(uint16_t number);
/* NULL for one that is not open. */
struct channel *channel_find(uint16_t number);
/* Begins to pump what has been opened. */
void channel_start(struct channel *self);
/* Sends EVENT (stolen, small). Only while the window is surely open: at the beginning. */
void channel_event(struct channel *self, json_t *event);
/* Sends END with result (stolen) and lets go; a child that is left is killed. */
void channel_end(struct channel *self, json_t *result);
void channel_fail(struct channel *self, const char *code, const char *format, ...)
    printf_like(3, 4);

/* Frames from the host. */
void channel_take(struct channel *self, const uint8_t *data, size_t size);
void channel_take_eof(struct channel *self);
void channel_control(struct channel *self, const uint8_t *json, size_t size);
void channel_credit(struct channel *self, uint32_t amount);
/* END follows when it has ended: at once, or when the helper has stopped. */
void channel_cancel(struct channel *self);

/* The host has begun a new session. */
void channels_reset(void);
/* Wakes those that wait for room in the port, if there is room. */
void channels_resume(void);
/* Runs what is due, and says how long until the next (-1: nothing waits). */
int64_t channels_tick(void);
int channels_count(void);
/* {"error": {"code", "message"}} */
json_t *channel_error(const char *code, const char *format, ...) printf_like(2, 3);
