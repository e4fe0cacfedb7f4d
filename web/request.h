/* One HTTP request from its headers to the last byte of its answer.
 *
 *   headers in            -> READING    a body follows
 *   body complete, none   -> HANDLING   the handler runs; it answers now or later
 *   request_answer_*      -> WRITING    it goes out as the socket takes it
 *   stream_new            -> WRITING    likewise, while it is still being made (web/stream.h)
 *   all written           freed; the connection takes its next request
 *
 * Where the row has API_PIECES the handler runs at once and calls body_read, which makes it READING
 * until the body is complete (web/body.h).
 *   the caller goes away  request_on_gone's function runs (unless answered), then freed
 *
 * A handler that answers later must set request_on_gone: after it ran the request must not be
 * touched. Each request is answered exactly once; a second answer is ignored. */
#pragma once

#include "api/table.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/id.h"
#include "base/json.h"
#include "base/loop.h"
#include "farm/keys.h"
#include "web/body.h"
#include "web/guard.h"

struct web;
struct conn;
struct lws;
struct idempotency_entry;
struct stream;
struct sandbox;
struct waker;

enum request_state { REQUEST_READING, REQUEST_HANDLING, REQUEST_WRITING };

#define REQUEST_PATH_MAX 1024
#define REQUEST_SECRET_MAX 256

struct request;
/* Makes another answer of an operation's: called once in its place, with wrap no longer set. The payload is
 * borrowed; NULL: none. */
typedef void (*request_wrap_fn)(struct request *self, int status, const char *content_type, struct bytes *payload);

/* What the handlers and the router read. Header values are "" when absent. */
struct request {
    struct web *web;
    struct conn *conn;
    struct lws *lws;
    enum request_state state;
    unsigned route; /* enum api_id, ROUTE_PAGE or ROUTE_UNKNOWN */
    int64_t began_us;

    char method[8];
    char path[REQUEST_PATH_MAX]; /* decoded */
    char host[GUARD_HOST_MAX], origin[GUARD_HOST_MAX + 16];
    char accept[256], content_type[128], fetch_site[32], if_none_match[192];
    char idempotency_key[136];
    char range[128];
    char secret[REQUEST_SECRET_MAX]; /* of Authorization, OPEN-SANDBOX-API-KEY or
                                        X-EXECD-ACCESS-TOKEN; "" when absent */
    char session[64];                /* of the cookie */
    char mcp_session[ID_MAX];        /* of Mcp-Session-Id */
    char ws_key[32], ws_version[8], ws_protocols[256];
    bool is_head, is_chunked, has_length, is_http10, is_upgrade;
    int64_t length;

    struct principal who;
    json_t *path_values, *query, *body; /* checked against the row of route; NULL: none */
    struct buf raw;                     /* the body's bytes, unless they come in pieces */
    struct body body_in;                /* then its reading */

    struct sandbox *used; /* the sandbox that it reaches into, while it lasts; a use */
    struct waker *waker;  /* waits until that is awake, and then */
    void (*resume)(struct request *self);
    void *resume_data; /* one allocation, freed with the request */
    struct error refused; /* set while reading: the answer once the body is in */
    loop_fn on_gone;
    void *gone_data;
    struct idempotency_entry *kept;
    request_wrap_fn wrap; /* NULL: what the operation answers is the answer */
    json_t *rpc_id, *rpc_params; /* of a request of MCP; NULL: none */
    struct progress *progress;   /* of a call there that tells it; NULL: none */
    bool has_effect; /* something was done although the answer is an error: keep that answer */

    int status;
    bool must_close;
    bool is_taken;     /* libwebsockets has not seen it (web/intake.h) */
    char *raw_query;   /* then: the query as it came; owned */
    bool is_complete;  /* all of a stream went out */
    bool is_lingering; /* answered; the rest of the body is awaited and dropped */
    struct buf headers;    /* "name: value\r\n" lines of the answer */
    struct buf head;       /* status line and all headers, once writing began */
    struct bytes *payload; /* NULL: none */
    size_t sent;           /* of head and payload together */
    struct stream *stream; /* instead of them; NULL: none */
};

/* From the server: a request whose headers libwebsockets has parsed. NULL when memory is short. */
struct request *request_new(struct web *web, struct conn *conn, struct lws *lws);
/* The same without anything read. */
struct request *request_new_bare(struct web *web, struct conn *conn, struct lws *lws);
/* Frees it; when it was not answered yet the handler is told that its caller has gone. */
struct request *request_free(struct request *self);
/* Writes what the socket takes now. 0: more later, 1: all written. Negative: the caller is gone. */
int request_write(struct request *self);

/* Somebody else answers it, with this status: counts it and frees it. */
void request_hand_over(struct request *self, int status);

/* fn runs once if the caller goes away before the answer. */
void request_on_gone(struct request *self, loop_fn fn, void *data);

/* The caller wants no answer any more, and stays: the handler hears that its caller has gone, and the exchange ends
 * without a word (202, or the end of the progress that was told). Nothing when there is no handler to tell. */
void request_call_off(struct request *self);

/* Adds a header to the answer. Values are cut at line ends: nothing from a guest can add a header.
 */
void request_add_header(struct request *self, const char *name, const char *format, ...)
    printf_like(3, 4);
/* Takes over a reference to payload (NULL: no body). content_type NULL: none. */
void request_answer_bytes(struct request *self, int status, const char *content_type,
                          struct bytes *payload);
/* Takes over body. */
void request_answer_json(struct request *self, int status, json_t *body);
void request_answer_text(struct request *self, int status, const char *content_type,
                         const struct buf *text);
void request_answer_empty(struct request *self, int status);
/* {"code","message"} with the code's status. */
void request_answer_error(struct request *self, const struct error *err);
/* For web/stream.c: the answer begins; puts the header block at the front of the stream's queue. */
void request_answer_stream(struct request *self, int status, const char *content_type,
                           int64_t length, bool is_chunked, struct stream *stream,
                           struct buf *queue);
/* Whether a part of the body has not been read: the answer came first. */
bool request_has_rest(const struct request *self);
/* Sends an answer that was kept under an Idempotency-Key again. */
void request_answer_again(struct request *self, int status, const char *headers,
                          struct bytes *payload);
