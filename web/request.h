/* One HTTP request from its headers to the last byte of its answer.
 *
 *   headers in            -> READING    a body follows
 *   body complete, none   -> HANDLING   the handler runs; it answers now or later
 *   request_answer_*      -> WRITING    chunks go out as the socket takes them
 *   all written           freed; the connection takes its next request
 *   the caller goes away  request_on_gone's function runs (unless answered), then freed
 *
 * A handler that answers later must set request_on_gone: after it ran the request must not be
 * touched. Each request is answered exactly once; a second answer is ignored. */
#pragma once

#include "api/table.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "base/loop.h"
#include "farm/keys.h"
#include "web/guard.h"

struct web;
struct conn;
struct lws;
struct idempotency_entry;

enum request_state { REQUEST_READING, REQUEST_HANDLING, REQUEST_WRITING };

#define REQUEST_PATH_MAX 1024
#define REQUEST_SECRET_MAX 256

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
    char secret[REQUEST_SECRET_MAX]; /* of Authorization or OPEN-SANDBOX-API-KEY; "" when absent */
    char session[64];                /* of the cookie */
    bool is_head, is_chunked, has_length;
    int64_t length;

    struct principal who;
    json_t *path_values, *query, *body; /* checked against the row of route; NULL: none */
    struct buf raw;                     /* the body's bytes */

    struct error refused; /* set while reading: the answer once the body is in */
    loop_fn on_gone;
    void *gone_data;
    struct idempotency_entry *kept;
    bool has_effect; /* something was done although the answer is an error: keep that answer */

    int status;
    bool must_close;
    struct buf headers;    /* "name: value\r\n" lines of the answer */
    struct buf head;       /* status line and all headers, once writing began */
    struct bytes *payload; /* NULL: none */
    size_t sent;           /* of head and payload together */
};

/* From the server: a request whose headers libwebsockets has parsed. NULL when memory is short. */
struct request *request_new(struct web *web, struct conn *conn, struct lws *lws);
/* Frees it; when it was not answered yet the handler is told that its caller has gone. */
struct request *request_free(struct request *self);
/* Writes what the socket takes now. 0: more later, 1: all written. Negative: the caller is gone. */
int request_write(struct request *self);

/* fn runs once if the caller goes away before the answer. */
void request_on_gone(struct request *self, loop_fn fn, void *data);

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
/* Sends an answer that was kept under an Idempotency-Key again. */
void request_answer_again(struct request *self, int status, const char *headers,
                          struct bytes *payload);
