/* The answer is one header block and at most one payload of counted bytes, or a stream
 * (web/stream.c). Block and payload go to the socket as they are, without a copy, as much as it takes; the rest waits until it is writable again. A
 * caller that takes nothing for WRITE_STALL_S is closed.
 *
 * We write ourselves: while a request is handled and answered its socket is not read, so what a
 * caller sends on stays with the kernel, and libwebsockets 4.1 does not write to a connection that
 * it may not read (if it may read but has nothing to do with the bytes, it is woken by them without
 * end).
 *
 * Header values are bounded by the fields of struct request. A value that does not fit is treated
 * as one that cannot be right: a host that is no host, a key that no key is. */
#include "web/request.h"

#include "base/clock.h"
#include "farm/sandbox.h"
#include "web/compat-daytona.h"
#include "web/progress.h"
#include "web/route.h"
#include "web/server.h"
#include "web/stream.h"

#include <errno.h>
#include <libwebsockets.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#define WRITE_TURN_MAX ((size_t)512 * 1024) /* per turn of the loop: others are waiting too */
#define WRITE_STALL_S 30

/* --- Headers in ----------------------------------------------------------------------------------
 */

/* A value that is too long becomes "?", which is no valid value of any header read here. */
static void copy_header(struct lws *lws, enum lws_token_indexes token, char *out, size_t size)
{
    out[0] = 0;
    if (lws_hdr_total_length(lws, token) > 0 && lws_hdr_copy(lws, out, (int)size, token) < 0)
        snprintf(out, size, "?");
}

static void copy_custom(struct lws *lws, const char *name, char *out, size_t size)
{
    out[0] = 0;
    if (lws_hdr_custom_length(lws, name, (int)strlen(name)) > 0 &&
        lws_hdr_custom_copy(lws, out, (int)size, name, (int)strlen(name)) < 0)
        snprintf(out, size, "?");
}

static void read_credentials(struct request *self)
{
    char authorization[REQUEST_SECRET_MAX + 8];
    copy_header(self->lws, WSI_TOKEN_HTTP_AUTHORIZATION, authorization, sizeof authorization);
    if (strncasecmp(authorization, "Bearer ", 7) == 0)
        snprintf(self->secret, sizeof self->secret, "%s", authorization + 7);
    else if (*authorization)
        snprintf(self->secret, sizeof self->secret, "?");
    else
        copy_custom(self->lws, "open-sandbox-api-key:", self->secret, sizeof self->secret);
    if (!*self->secret)
        copy_custom(self->lws, "x-execd-access-token:", self->secret, sizeof self->secret);
    explicit_bzero(authorization, sizeof authorization);

    char cookie[4096];
    copy_header(self->lws, WSI_TOKEN_HTTP_COOKIE, cookie, sizeof cookie);
    if (!guard_cookie(cookie, SESSION_COOKIE, self->session, sizeof self->session))
        self->session[0] = 0;
}

static void read_length(struct request *self)
{
    char text[32];
    copy_header(self->lws, WSI_TOKEN_HTTP_CONTENT_LENGTH, text, sizeof text);
    self->has_length = *text;
    char *end;
    self->length = strtoll(text, &end, 10);
    if (*end || self->length < 0)
        self->length = INT64_MAX;
    self->is_chunked = lws_hdr_total_length(self->lws, WSI_TOKEN_HTTP_TRANSFER_ENCODING) > 0;
}

static void read_method(struct request *self)
{
    static const struct {
        enum lws_token_indexes token;
        const char *name;
    } methods[] = {
        { WSI_TOKEN_GET_URI, "GET" },         { WSI_TOKEN_POST_URI, "POST" },
        { WSI_TOKEN_PUT_URI, "PUT" },         { WSI_TOKEN_DELETE_URI, "DELETE" },
        { WSI_TOKEN_HEAD_URI, "HEAD" },       { WSI_TOKEN_PATCH_URI, "PATCH" },
        { WSI_TOKEN_OPTIONS_URI, "OPTIONS" },
    };
    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        if (lws_hdr_total_length(self->lws, methods[i].token) <= 0)
            continue;
        snprintf(self->method, sizeof self->method, "%s", methods[i].name);
        /* A path that is too long is one that no route has. */
        if (lws_hdr_copy(self->lws, self->path, sizeof self->path, methods[i].token) < 0)
            snprintf(self->path, sizeof self->path, "?");
        break;
    }
    self->is_head = strcmp(self->method, "HEAD") == 0;
    char version[16];
    copy_header(self->lws, WSI_TOKEN_HTTP, version, sizeof version);
    self->is_http10 = *version && version[strlen(version) - 1] == '0';
}

struct request *request_new_bare(struct web *web, struct conn *conn, struct lws *lws)
{
    struct request *self = calloc(1, sizeof *self);
    if (!self)
        return NULL;
    self->web = web;
    self->conn = conn;
    self->lws = lws;
    self->route = ROUTE_UNKNOWN;
    self->began_us = clock_now_us();
    self->headers.limit = 16384;
    conn->request = self;
    web->n_requests++;
    return self;
}

struct request *request_new(struct web *web, struct conn *conn, struct lws *lws)
{
    struct request *self = request_new_bare(web, conn, lws);
    if (!self)
        return NULL;
    read_method(self);
    read_length(self);
    read_credentials(self);
    copy_header(lws, WSI_TOKEN_HOST, self->host, sizeof self->host);
    copy_header(lws, WSI_TOKEN_ORIGIN, self->origin, sizeof self->origin);
    copy_header(lws, WSI_TOKEN_HTTP_ACCEPT, self->accept, sizeof self->accept);
    copy_header(lws, WSI_TOKEN_HTTP_CONTENT_TYPE, self->content_type, sizeof self->content_type);
    copy_header(lws, WSI_TOKEN_HTTP_IF_NONE_MATCH, self->if_none_match, sizeof self->if_none_match);
    copy_header(lws, WSI_TOKEN_HTTP_RANGE, self->range, sizeof self->range);
    copy_custom(lws, "sec-fetch-site:", self->fetch_site, sizeof self->fetch_site);
    copy_custom(lws, "idempotency-key:", self->idempotency_key, sizeof self->idempotency_key);
    copy_custom(lws, "mcp-session-id:", self->mcp_session, sizeof self->mcp_session);
    return self;
}

struct request *request_free(struct request *self)
{
    if (!self)
        return NULL;
    struct web *web = self->web;
    /* Progress that was told is no answer yet. */
    if (self->on_gone && (self->state != REQUEST_WRITING || self->progress))
        self->on_gone(self->gone_data);
    if (self->state != REQUEST_WRITING) {
        web->metrics.gone++;
        metrics_count(&web->metrics, self->route, 499, clock_now_us() - self->began_us);
    }
    if (self->stream && !self->is_complete) {
        web->metrics.gone++;
        metrics_count(&web->metrics, self->route, self->status, clock_now_us() - self->began_us);
    }
    if (self->kept)
        idempotency_drop(web->idempotency, self->kept);
    self->conn->request = NULL;
    web->n_requests--;
    watch_set(self->conn->watch, 0);
    json_decref(self->path_values);
    json_decref(self->query);
    json_decref(self->body);
    json_decref(self->rpc_id);
    json_decref(self->rpc_params);
    buf_deinit(&self->raw);
    body_deinit(&self->body_in);
    buf_deinit(&self->headers);
    buf_deinit(&self->head);
    bytes_unref(self->payload);
    explicit_bzero(self->secret, sizeof self->secret);
    free(self->raw_query);
    free(self->resume_data);
    if (self->used)
        sandbox_end_use(self->used);
    struct stream *stream = self->stream;
    struct progress *progress = self->progress;
    free(self);
    stream_free(stream);
    progress_free(progress);
    return NULL;
}

void request_hand_over(struct request *self, int status)
{
    self->state = REQUEST_WRITING;
    metrics_count(&self->web->metrics, self->route, status, clock_now_us() - self->began_us);
    conn_drop_use(self->conn);
    self->conn->used = steal_ptr(&self->used); /* as long as the connection */
    request_free(self);
}

void request_on_gone(struct request *self, loop_fn fn, void *data)
{
    self->on_gone = fn;
    self->gone_data = data;
}

void request_call_off(struct request *self)
{
    if (!self->on_gone || !self->wrap)
        return;
    loop_fn gone = steal_ptr(&self->on_gone);
    self->wrap = NULL;
    gone(self->gone_data);
    if (self->kept)
        idempotency_drop(self->web->idempotency, steal_ptr(&self->kept));
    if (!progress_finish(self->progress, NULL))
        request_answer_empty(self, 202);
}

/* --- The answer ----------------------------------------------------------------------------------
 */

static const char *reason_of(int status)
{
    static const struct {
        int status;
        const char *reason;
    } reasons[] = {
        { 200, "OK" },
        { 201, "Created" },
        { 202, "Accepted" },
        { 204, "No Content" },
        { 206, "Partial Content" },
        { 303, "See Other" },
        { 304, "Not Modified" },
        { 400, "Bad Request" },
        { 401, "Unauthorized" },
        { 403, "Forbidden" },
        { 404, "Not Found" },
        { 405, "Method Not Allowed" },
        { 406, "Not Acceptable" },
        { 409, "Conflict" },
        { 410, "Gone" },
        { 411, "Length Required" },
        { 413, "Content Too Large" },
        { 415, "Unsupported Media Type" },
        { 416, "Range Not Satisfiable" },
        { 422, "Unprocessable Content" },
        { 429, "Too Many Requests" },
        { 499, "Client Closed Request" },
        { 500, "Internal Server Error" },
        { 501, "Not Implemented" },
        { 502, "Bad Gateway" },
        { 503, "Service Unavailable" },
        { 504, "Gateway Timeout" },
        { 507, "Insufficient Storage" },
    };
    for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
        if (reasons[i].status == status)
            return reasons[i].reason;
    }
    return "Status";
}

void request_add_header(struct request *self, const char *name, const char *format, ...)
{
    auto_buf struct buf value = { .limit = 9000 };
    va_list ap;
    va_start(ap, format);
    buf_vprintf(&value, format, ap);
    va_end(ap);
    const char *text = buf_str(&value);
    buf_printf(&self->headers, "%s: %.*s\r\n", name, (int)strcspn(text, "\r\n"), text);
}

/* An error without effect is not kept: the same request may succeed later under the same key. */
static bool is_worth_keeping(const struct request *self)
{
    return self->status < 400 || self->has_effect;
}

/* Everything but the payload is decided: keep it for a repetition, and let the socket tell when to
 * write. */
static void finish_answer(struct request *self, int status)
{
    self->status = status;
    self->state = REQUEST_WRITING;
    self->on_gone = NULL;
    self->must_close |= request_has_rest(self);
    struct idempotency_entry *entry = steal_ptr(&self->kept);
    if (entry && is_worth_keeping(self) && !self->stream)
        idempotency_keep(self->web->idempotency, entry, status, buf_str(&self->headers),
                         self->payload);
    else if (entry)
        idempotency_drop(self->web->idempotency, entry);
    lws_set_timeout(self->lws, PENDING_TIMEOUT_HTTP_CONTENT, WRITE_STALL_S);
    watch_set(self->conn->watch, WATCH_WRITE);
}

void request_answer_bytes(struct request *self, int status, const char *content_type,
                          struct bytes *payload)
{
    if (self->wrap) { /* also after progress of it was told */
        request_wrap_fn wrap = steal_ptr(&self->wrap);
        self->on_gone = NULL;
        wrap(self, status, content_type, payload);
        bytes_unref(payload);
        return;
    }
    if (self->state == REQUEST_WRITING) {
        bytes_unref(payload);
        return;
    }
    if (content_type)
        request_add_header(self, "Content-Type", "%s", content_type);
    self->payload = payload;
    finish_answer(self, status);
}

void request_answer_empty(struct request *self, int status)
{
    request_answer_bytes(self, status, NULL, NULL);
}

void request_answer_text(struct request *self, int status, const char *content_type,
                         const struct buf *text)
{
    request_answer_bytes(self, status, content_type, bytes_copy(text->data, text->size));
}

void request_answer_json(struct request *self, int status, json_t *body)
{
    auto_buf struct buf text = BUF_INIT;
    json_write(body, &text);
    json_decref(body);
    buf_puts(&text, "\n");
    request_answer_text(self, status, "application/json", &text);
}

void request_answer_error(struct request *self, const struct error *err)
{
    if (err->code == ERROR_UNAUTHORIZED)
        request_add_header(self, "WWW-Authenticate", "Bearer");
    if (daytona_covers(self)) {
        request_answer_json(self, error_code_status(err->code), daytona_error_json(self, err));
        return;
    }
    /* A message may have been cut inside a character. */
    json_t *message = json_string(err->message);
    request_answer_json(self, error_code_status(err->code),
                        json_pack("{s:s,s:o}", "code", error_code_name(err->code), "message",
                                  message ? message : json_string("(not UTF-8)")));
}

void request_answer_again(struct request *self, int status, const char *headers,
                          struct bytes *payload)
{
    buf_puts(&self->headers, headers);
    request_add_header(self, "Idempotency-Replayed", "true");
    request_answer_bytes(self, status, NULL, bytes_ref(payload));
}

bool request_has_rest(const struct request *self)
{
    return route_takes_pieces(self) && (self->is_chunked || self->length > 0) &&
           !self->body_in.is_complete;
}

/* --- Out to the socket ---------------------------------------------------------------------------
 */

static size_t payload_size(const struct request *self)
{
    return self->payload && !self->is_head ? self->payload->size : 0;
}

/* length: -1 when it is not known. */
static void write_head(struct request *self, struct buf *out, int64_t length)
{
    buf_printf(out, "HTTP/1.1 %d %s\r\n", self->status, reason_of(self->status));
    buf_append(out, self->headers.data, self->headers.size);
    buf_puts(out, guard_headers);
    if (!strcasestr(buf_str(&self->headers), "Cache-Control:"))
        buf_puts(out, "Cache-Control: no-store\r\n");
    if (self->status != 204 && self->status != 304 && length >= 0)
        buf_printf(out, "Content-Length: %lld\r\n", (long long)length);
    buf_printf(out, "%s\r\n", self->must_close ? "Connection: close\r\n" : "");
}

void request_answer_stream(struct request *self, int status, const char *content_type,
                           int64_t length, bool is_chunked, struct stream *stream,
                           struct buf *queue)
{
    if (content_type)
        request_add_header(self, "Content-Type", "%s", content_type);
    if (is_chunked)
        request_add_header(self, "Transfer-Encoding", "chunked");
    self->stream = stream;
    finish_answer(self, status);
    write_head(self, queue, length);
}

static int write_stream(struct request *self)
{
    int r = stream_send(self->stream);
    if (r > 0) {
        self->is_complete = true;
        metrics_count(&self->web->metrics, self->route, self->status,
                      clock_now_us() - self->began_us);
    }
    return r;
}

/* What is left of head and payload, at most WRITE_TURN_MAX bytes of the latter. */
static ssize_t send_some(struct request *self)
{
    size_t in_head = MIN(self->sent, self->head.size), in_payload = self->sent - in_head;
    struct iovec parts[2] = {
        { self->head.data + in_head, self->head.size - in_head },
        { self->payload ? self->payload->data + in_payload : NULL,
          MIN(payload_size(self) - in_payload, WRITE_TURN_MAX) },
    };
    struct msghdr message = { .msg_iov = parts, .msg_iovlen = ARRAY_LEN(parts) };
    return sendmsg(self->conn->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

int request_write(struct request *self)
{
    if (self->stream)
        return write_stream(self);
    if (self->head.size == 0)
        write_head(self, &self->head, self->payload ? (int64_t)self->payload->size : 0);
    if (self->head.failed)
        return -1;
    ssize_t n = send_some(self);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    self->sent += (size_t)n;
    self->web->metrics.sent_bytes += (uint64_t)n;
    if (self->sent == self->head.size + payload_size(self)) {
        metrics_count(&self->web->metrics, self->route, self->status,
                      clock_now_us() - self->began_us);
        return 1;
    }
    lws_set_timeout(self->lws, PENDING_TIMEOUT_HTTP_CONTENT, WRITE_STALL_S);
    return 0;
}
