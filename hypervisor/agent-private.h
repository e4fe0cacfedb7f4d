/* What is behind hypervisor/agent.h: the backends, and the two files of the one that speaks
 * base/agent-wire.h (agent-session.c, agent-call.c). Nobody else includes this. */
#pragma once

#include "hypervisor/agent.h"

/* What a backend does for each function of agent.h. */
struct agent_backend {
    bool takes_whole_input;
    struct agent *(*free)(struct agent *self);
    bool (*is_ready)(const struct agent *self);
    bool (*is_windows)(const struct agent *self); /* NULL: it never is */
    void (*restart)(struct agent *self);
    void (*set_paused)(struct agent *self, bool is_paused);
    struct agent_call *(*call_new)(struct agent *self, json_t *request,
                                   const struct agent_call_ops *ops, void *data,
                                   int64_t timeout_us);
    size_t (*call_write)(struct agent_call *call, const void *bytes, size_t size);
    void (*call_eof)(struct agent_call *call);
    int (*call_control)(struct agent_call *call, json_t *word);
    void (*call_consumed)(struct agent_call *call, size_t size);
    void (*call_close)(struct agent_call *call); /* NULL: it cannot */
    struct agent_call *(*call_cancel)(struct agent_call *call);
};

/* The first member of every backend's objects. */
struct agent {
    const struct agent_backend *backend;
};
struct agent_call {
    struct agent *agent;
};

/* The guest's words go into answers and logs: one line, no control characters. */
void agent_guest_error(struct error *err, const char *op, enum error_code code, const char *text);

/* --- deskfarm-agent -------------------------------------------------------------------------- */

#define SESSION_OUT_HIGH (256 * 1024)

/* A request of ours, on a channel. */
struct call {
    struct agent_call agent_call;
    struct session *session;
    uint16_t channel;
    struct agent_credit credit;
    const struct agent_call_ops *ops; /* NULL: the caller is gone */
    void *data;
    char op[24];
    int64_t deadline_us; /* 0: none */
    int64_t timeout_us;
    struct error err; /* set: ends on the next turn */
    bool is_open;     /* the guest has been asked */
    bool is_closed;   /* CLOSE is out */
    bool wants_write, has_eof;
    bool seen_eof[AGENT_STREAM_COUNT];
};

struct session {
    struct agent agent;
    int fd;
    struct watch *watch;
    struct timer *timer;
    struct defer *defer;
    struct agent_ops ops;
    void *data;
    struct call *calls[AGENT_CHANNELS + 1];
    struct buf out;
    size_t out_sent;
    int64_t hello_us, hello_again_us, hello_wait_us; /* sent; send again at; doubling */
    int64_t paused_us; /* since when the guest stands still; 0: it runs */
    uint64_t noise_base;
    size_t n_knock_bytes;
    unsigned n_hellos; /* unanswered */
    uint16_t last_channel;
    bool is_ready, is_closed, is_freed, wants_session;
    int refs;
    struct agent_inbox inbox;
};

/* agent-session.c */
size_t session_queued(const struct session *self);
int session_put(struct session *self, enum agent_type type, uint16_t channel, const void *payload,
                size_t size);
/* Begins a new one, not inside a callback's caller and not too often. */
void session_want(struct session *self);
/* The guest broke the rules: closes the connection. */
void session_breach(struct session *self, const char *what);

/* agent-call.c */
struct agent_call *call_new(struct agent *agent, json_t *request, const struct agent_call_ops *ops,
                            void *data, int64_t timeout_us);
size_t call_write(struct agent_call *call, const void *bytes, size_t size);
void call_eof(struct agent_call *call);
int call_control(struct agent_call *call, json_t *word);
void call_consumed(struct agent_call *call, size_t size);
void call_close(struct agent_call *call);
struct agent_call *call_cancel(struct agent_call *call);
/* Ends all with err, or what each has of its own. */
void call_end_all(struct session *self, const struct error *err);
/* Ends what is due. */
void call_check_time(struct session *self, int64_t now_us);
/* There is room in the queue again: what waited for it goes on. */
void call_resume_all(struct session *self);
/* A frame of a channel, in a session that is ready. */
void call_handle_frame(struct session *self, const struct agent_frame *frame);
/* The object of a frame; NULL after a breach. */
json_t *session_parse(struct session *self, const struct agent_frame *frame);
