/* The host's end of deskfarm-agent: a session with the agent of one guest, and calls in it.
 *
 * The guest is not trusted: everything that it says is bounded by base/agent-wire.h, by the calls
 * that are open and by the credit that their readers give. What it sends without any of these is
 * a breach or is counted, and ends the connection. What it does not read costs AGENT_QUEUE_MAX.
 *
 * The state of the object:
 *   greeting  a HELLO is out; calls fail with not_ready. Repeated until an agent answers, which may
 *             be when the guest has booted. Entered at agent_new, when the guest's agent knocks (it
 *             has been started again), by agent_restart, and when a closed call never ends.
 *   ready     WELCOME has come.
 *   closed    the socket ended or the guest broke the rules. For good.
 * Leaving ready ends all calls with guest_gone. */
#pragma once

#include "base/agent-wire.h"
#include "base/error.h"
#include "base/json.h"
#include "base/loop.h"

#define AGENT_QUEUE_MAX (512 * 1024) /* bytes not yet written to the guest */
#define AGENT_NOISE_MAX (4 * 1024 * 1024) /* bytes that mean nothing, per session */
#define AGENT_END_US 10000000        /* a closed call must end within */
#define AGENT_KNOCK_US 100000        /* sessions begin at most so often */

struct agent;
struct agent_call;

/* Callbacks on the loop; each may free the agent. Any may be NULL. */
struct agent_ops {
    /* Calls go out. welcome is what the agent says of itself; borrowed. Runs once per session. */
    void (*on_ready)(void *data, const json_t *welcome);
    /* The session is over and its calls have ended; the next is being begun. */
    void (*on_lost)(void *data);
    /* For good. Not after agent_free. */
    void (*on_closed)(void *data, const struct error *why);
};

/* Takes over fd, a connected non-blocking stream socket, also on failure. */
int agent_new(struct agent **ret, struct loop *loop, int fd, const struct agent_ops *ops,
              void *data, struct error *err);
/* The same for a guest that has the QEMU guest agent: fd leads to that one's port. Of the operations
 * it has ping, exec (output comes at the end and has at most 1.5 MB, input goes as a whole, no
 * terminals), read, write, stat, mkdir, move, remove, clock, hostname (only asking), facts, freeze and thaw;
 * of a Windows guest also list, permissions, metrics, desktop.launch and desktop.clipboard.*.
 * The others end with unsupported. The welcome has "backend": "qemu". */
int agent_new_qga(struct agent **ret, struct loop *loop, int fd, const struct agent_ops *ops,
                  void *data, struct error *err);
/* Open calls end inside with cancelled. Takes NULL, returns NULL. */
struct agent *agent_free(struct agent *self);
bool agent_is_ready(const struct agent *self);
/* The guest is Windows: paths, shells and users are otherwise. Known when it is ready. */
bool agent_is_windows(const struct agent *self);
/* A program gets its input when all of it is there, and is not heard before it ends. */
bool agent_takes_whole_input(const struct agent *self);
/* Begins a new session on the next turn: what runs in the guest without "keep" ends. After the
 * guest was stopped and changed behind the connection's back. */
void agent_restart(struct agent *self);
/* The guest stands still, or runs again: until then nothing that waits for it times out. */
void agent_set_paused(struct agent *self, bool is_paused);

/* --- Calls ----------------------------------------------------------------------------------- */

/* Each may free the agent or cancel the call; any may be NULL. */
struct agent_call_ops {
    /* A word of a running request; borrowed. */
    void (*on_event)(void *data, const json_t *event);
    /* Bytes of stdout or stderr, in order; borrowed. The reader says agent_call_consumed when it is
     * done with them, now or later; until then at most AGENT_WINDOW more come. */
    void (*on_data)(void *data, enum agent_stream stream, const uint8_t *bytes, size_t size);
    void (*on_eof)(void *data, enum agent_stream stream);
    /* agent_call_write takes more again. */
    void (*on_writable)(void *data);
    /* The last, exactly once, never inside agent_call_new. result is borrowed, NULL on failure; err
     * is NULL on success. The call is gone. */
    void (*on_end)(void *data, const json_t *result, const struct error *err);
};

/* request (stolen) is {"op": …}; images/agent/README.md lists the operations. timeout_us: until
 * on_end, 0 for none. Never NULL unless memory is short; then on_end has not run. */
struct agent_call *agent_call_new(struct agent *agent, json_t *request,
                                  const struct agent_call_ops *ops, void *data, int64_t timeout_us);
/* Input. Returns how many bytes were taken; fewer than size: wait for on_writable. */
size_t agent_call_write(struct agent_call *self, const void *bytes, size_t size);
/* No input follows. */
void agent_call_eof(struct agent_call *self);
/* {"signal": "INT"}, {"columns": 80, "rows": 24}; stolen. -EAGAIN: the guest does not read. */
int agent_call_control(struct agent_call *self, json_t *word);
/* The reader is done with size bytes that on_data gave. */
void agent_call_consumed(struct agent_call *self, size_t size);
/* Ends it in the guest; on_end follows when it has ended there, or its result when that was under way.
 * A backend that cannot end a call lets it go on. */
void agent_call_close(struct agent_call *self);
/* Ends it in the guest and forgets the caller: no callback follows. Takes NULL, returns NULL. */
struct agent_call *agent_call_cancel(struct agent_call *self);

/* What the socket delivered. Called by the object itself; public for the fuzz target. */
void agent_feed(struct agent *self, const void *data, size_t size);
/* For the fuzz target and tests: what session the object believes in. */
void agent_set_session(struct agent *self, uint64_t session);
