#include "web/route.h"

#include "api/validate.h"
#include "base/clock.h"
#include "farm/sandbox.h"
#include "web/caller.h"
#include "web/compat-daytona.h"
#include "web/page.h"
#include "web/server.h"
#include "web/target.h"

#include <libwebsockets.h>
#include <string.h>

#define BODY_MAX ((int64_t)256 * 1024)
#define QUERY_BYTES_MAX 8192

_Static_assert((int)API_ROLE_NONE == (int)ROLE_NONE && (int)API_ROLE_VIEWER == (int)ROLE_VIEWER &&
                   (int)API_ROLE_OPERATOR == (int)ROLE_OPERATOR &&
                   (int)API_ROLE_ADMIN == (int)ROLE_ADMIN,
               "the table's roles are those of keys");

/* A row without a handler does not link. */
static const route_fn handlers[API_COUNT] = {
#define ROUTE_ROW(sym, name, ...) [API_##sym] = handle_##name,
    API_OPERATIONS(ROUTE_ROW)
#undef ROUTE_ROW
};

/* --- Headers -------------------------------------------------------------------------------------
 */

static int check_guard(struct request *self, struct error *err)
{
    struct guard_facts facts = {
        .is_unix = self->conn->is_unix,
        .is_page = self->route == ROUTE_PAGE,
        .is_upgrade = self->is_upgrade,
        .has_body = self->is_chunked || (self->length > 0 && self->has_length),
        .host = self->host,
        .origin = self->origin,
        .fetch_site = self->fetch_site,
        .content_type = self->content_type,
        .wanted_type = self->route < API_COUNT ? api_table[self->route].takes : NULL,
    };
    return guard_check(&self->web->hosts, &facts, err);
}

/* Path to row, or to a page. Fills *match for rows. */
static int find_row(struct request *self, struct api_match *match, struct error *err)
{
    char allow[64];
    int r = api_match(self->method, self->path, match, allow);
    if (r == 0) {
        self->route = match->id;
        return 0;
    }
    bool is_read = strcmp(self->method, "GET") == 0 || self->is_head;
    if (r == API_NO_PATH && page_exists(self->web, self->path)) {
        self->route = ROUTE_PAGE;
        if (is_read)
            return 0;
        strcpy(allow, "GET, HEAD");
        r = API_NO_METHOD;
    }
    if (r == API_NO_PATH)
        return error_set(err, ERROR_NOT_FOUND, "no such path; see /openapi.json");
    request_add_header(self, "Allow", "%s", allow);
    return error_set(err, ERROR_METHOD, "this path takes %s", allow);
}

static void count_ignored(struct request *self, int n)
{
    self->web->metrics.ignored_fields += (uint64_t)n;
    if (n)
        farm_count_ignored_fields(self->web->farm, n);
}

/* Splits a fragment at its first '='. The value may be empty, the '=' absent. */
static void split_pair(char *text, struct api_pair *pair)
{
    char *value = strchr(text, '=');
    if (value)
        *value++ = 0;
    pair->name = text;
    pair->value = value ? value : "";
}

/* libwebsockets has split the query at '&' and decoded each part. It does not tell an empty part
 * from the end, so all places are asked, and of an empty query it makes the part "/". Returns the
 * number of pairs in text, or -1 when they do not fit. */
static int read_pairs(struct lws *lws, char text[QUERY_BYTES_MAX],
                      struct api_pair pairs[API_QUERY_MAX + 1])
{
    size_t used = 0;
    int n = 0;
    for (int i = 0; lws_hdr_total_length(lws, WSI_TOKEN_HTTP_URI_ARGS) > 0 && i <= API_QUERY_MAX;
         i++) {
        int size = lws_hdr_fragment_length(lws, WSI_TOKEN_HTTP_URI_ARGS, i);
        if (size <= 0)
            continue;
        int room = (int)(QUERY_BYTES_MAX - used);
        if (size >= room ||
            lws_hdr_copy_fragment(lws, text + used, room, WSI_TOKEN_HTTP_URI_ARGS, i) < 0)
            return -1;
        text[used + (size_t)size] = 0;
        if (strcmp(text + used, "/") == 0)
            continue;
        split_pair(text + used, &pairs[n++]);
        used += (size_t)size + 1;
    }
    return n;
}

static int read_query(struct request *self, struct error *err)
{
    struct api_pair pairs[API_QUERY_MAX + 1];
    auto_free char *text = malloc(QUERY_BYTES_MAX);
    const char *raw = self->raw_query ? self->raw_query : "";
    int n = !text            ? -1
            : self->is_taken ? target_pairs(raw, text, QUERY_BYTES_MAX, pairs, API_QUERY_MAX)
                             : read_pairs(self->lws, text, pairs);
    if (n < 0)
        return error_set(err, ERROR_TOO_LARGE, "the query is longer than %d bytes",
                         QUERY_BYTES_MAX);
    int ignored = 0;
    int r = api_check_query(&api_table[self->route], pairs, (size_t)n, &self->query, &ignored, err);
    count_ignored(self, ignored);
    return r;
}

static int check_length(struct request *self, struct error *err)
{
    if (route_takes_pieces(self))
        return 0;
    int64_t limit = self->route < API_COUNT && api_table[self->route].flags & API_LARGE_BODY
                        ? (int64_t)self->web->limits.body_bytes
                        : BODY_MAX;
    if (self->is_chunked)
        return error_set(err, ERROR_LENGTH_REQUIRED,
                         "send the body with a Content-Length, not in chunks");
    if (self->length > limit)
        return error_set(err, ERROR_TOO_LARGE, "the body is larger than %lld bytes",
                         (long long)limit);
    return 0;
}

bool route_takes_pieces(const struct request *self)
{
    return self->route < API_COUNT && api_table[self->route].flags & API_PIECES;
}

static int check_role(struct request *self, struct error *err)
{
    static const char *const names[] = { "none", "viewer", "operator", "admin" };
    const struct api_operation *op = &api_table[self->route];
    if ((int)self->who.role >= (int)op->role)
        return 0;
    if (self->who.role == ROLE_NONE)
        return caller_refuse(self, err);
    return error_set(err, ERROR_FORBIDDEN, "%s needs the role %s; this key has %s", op->name,
                     names[op->role], role_name(self->who.role));
}

static int begin(struct request *self, struct error *err)
{
    struct api_match match;
    /* The path is looked up first because pages have other rules, but its failure is told last. */
    struct error no_row = { 0 };
    int row = find_row(self, &match, &no_row);
    int r = check_guard(self, err);
    if (r == 0 && row < 0) {
        *err = no_row;
        r = row;
    }
    if (r == 0 && self->route < API_COUNT) {
        caller_identify(self);
        r = check_role(self, err);
        if (r == 0)
            r = api_check_path(&api_table[self->route], &match, &self->path_values, err);
    }
    if (r == 0)
        r = check_length(self, err);
    if (r == 0 && self->route < API_COUNT)
        r = read_query(self, err);
    return r;
}

void route_begin(struct request *self)
{
    begin(self, &self->refused);
    /* A body that will not be read in full ends the connection: the next request would begin in it.
     */
    struct error length = { 0 };
    if (check_length(self, &length) < 0 || (!self->has_length && strchr("P", self->method[0])))
        self->must_close = true;
    if (self->web->n_requests > self->web->limits.requests)
        error_set(&self->refused, ERROR_QUOTA, "too many requests at once");
}

/* --- Body ----------------------------------------------------------------------------------------
 */

static int check_body(struct request *self, struct error *err)
{
    const struct api_operation *op = &api_table[self->route];
    const char *text = (const char *)self->raw.data;
    int parsed = 0;
    if (self->raw.size > 0)
        parsed = op->whole && op->whole->type == API_ARRAY ? json_parse_array(text, self->raw.size, &self->body, err)
                 : op->whole && op->whole->type == API_ANY ? json_parse_any(text, self->raw.size, &self->body, err)
                                                           : json_parse_object(text, self->raw.size, &self->body, err);
    if (parsed < 0)
        return parsed;
    int ignored = 0;
    int r = api_check_body(op, self->body, &ignored, err);
    count_ignored(self, ignored);
    if (r == 0 && (op->body || op->whole) && !self->body)
        self->body = json_object();
    return r;
}

static int check_key(const char *key, struct error *err)
{
    size_t n = strlen(key);
    if (n > IDEMPOTENCY_KEY_MAX || strcmp(key, "?") == 0)
        return error_set(err, ERROR_BAD_VALUE, "Idempotency-Key is longer than %d bytes",
                         IDEMPOTENCY_KEY_MAX);
    for (size_t i = 0; i < n; i++) {
        if (key[i] < '!' || key[i] > '~')
            return error_set(err, ERROR_BAD_VALUE,
                             "Idempotency-Key holds something else than printable ASCII");
    }
    return 0;
}

/* Returns 0 when the handler should run, 1 when the request is answered. */
static int begin_idempotent(struct request *self, struct error *err)
{
    int r = check_key(self->idempotency_key, err);
    if (r < 0)
        return r;
    auto_buf struct buf whole = BUF_INIT;
    buf_printf(&whole, "%s %s\n", self->method, self->path);
    buf_append(&whole, self->raw.data, self->raw.size);
    const struct kept_answer *kept = NULL;
    r = idempotency_begin(self->web->idempotency, self->who.key_id, self->idempotency_key,
                          whole.data, whole.size, clock_now_us(), &self->kept, &kept);
    switch (r) {
    case IDEMPOTENCY_NEW: return 0;
    case IDEMPOTENCY_REPLAY:
        request_answer_again(self, kept->status, kept->headers, kept->payload);
        return 1;
    case IDEMPOTENCY_MISMATCH:
        return error_set(err, ERROR_IDEMPOTENCY,
                         "this Idempotency-Key was used for another request");
    case IDEMPOTENCY_RUNNING:
        return error_set(err, ERROR_CONFLICT,
                         "the first request under this Idempotency-Key is still running");
    default:
        return error_set(err, ERROR_QUOTA, "too many requests with an Idempotency-Key are running");
    }
}

/* --- Sandboxes that hibernate ------------------------------------------------------------------ */

static struct sandbox *find_used(struct request *self)
{
    const struct api_operation *op = &api_table[self->route];
    const char *id = json_get_string(self->path_values, "id", NULL);
    struct error none = { 0 };
    /* The name of a stream's link is checked by its handler, which knows whose ticket it is. */
    if (op->flags & API_ASLEEP || !id || (self->who.role == ROLE_NONE && op->role != API_ROLE_NONE))
        return NULL;
    if (op->flags & API_COMPAT)
        return daytona_find(self, &none);
    return farm_find(self->web->farm, &self->who, id, &none);
}

static void handle_awake(void *data, const struct error *err)
{
    struct request *self = data;
    self->waker = NULL;
    request_on_gone(self, NULL, NULL);
    if (err)
        request_answer_error(self, err);
    else
        self->resume(self);
}

static void handle_gone(void *data)
{
    struct request *self = data;
    self->waker = waker_cancel(self->waker);
}

void route_use(struct request *self, struct sandbox *sandbox, route_fn resume)
{
    struct error err = { 0 };
    self->used = sandbox;
    self->resume = resume;
    sandbox_begin_use(sandbox);
    int r = waker_new(&self->waker, sandbox, handle_awake, self, &err);
    if (r > 0)
        resume(self);
    else if (r == 0)
        request_on_gone(self, handle_gone, self);
    else
        request_answer_error(self, &err);
}

void route_handle(struct request *self)
{
    struct sandbox *used = find_used(self);
    if (used)
        route_use(self, used, handlers[self->route]);
    else
        handlers[self->route](self);
}

void route_run(struct request *self)
{
    struct error *err = &self->refused;
    self->state = REQUEST_HANDLING;
    lws_set_timeout(self->lws, NO_PENDING_TIMEOUT, 0);
    lws_rx_flow_control(self->lws, 0);
    watch_set(self->conn->watch, WATCH_GONE);
    if (!err->is_set && self->route == ROUTE_PAGE) {
        page_answer(self);
        return;
    }
    int r = err->is_set ? -1 : 0;
    if (r == 0 && !route_takes_pieces(self)) /* what comes in pieces is its handler's to check */
        r = check_body(self, err);
    if (r == 0 && *self->idempotency_key && api_table[self->route].flags & API_IDEMPOTENT)
        r = begin_idempotent(self, err);
    if (r < 0)
        request_answer_error(self, err);
    else if (r == 0)
        route_handle(self);
}
