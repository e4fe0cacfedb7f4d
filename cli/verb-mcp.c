/* deskfarm mcp: the Model Context Protocol over standard input and output. Each line is a message that goes to the
 * daemon's /mcp as it is, and what is answered is a line; of a long call that wants to hear of its progress each
 * notification is one too, before the answer.
 *
 * Calls go one after the other, as clients send several at once that mean one desktop. Lines are read meanwhile: one that
 * cancels a call ends its connection, by which the daemon ends it in the guest, and nothing is answered to it; a ping
 * is answered here. At the end of the input what waits is still done, unless nobody reads the answers any more. At
 * most WAITING_MAX calls wait; more are not read before. */
#include "cli/verbs.h"

#include "base/json.h"
#include "base/list.h"

#include <curl/curl.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_BYTES ((size_t)16 << 20)
#define REPLY_MAX (256u << 20)
#define WAITING_MAX 64
#define LOOK_MS 1000 /* how often it is looked whether anybody reads */

struct message {
    struct list link;
    json_t *json;
};

struct bridge {
    struct cli *cli;
    CURLM *multi;
    struct list waiting; /* messages */
    size_t n_waiting;
    struct buf in; /* what has come of the next line */
    bool is_ended, has_failed;

    /* The call under way. */
    CURL *curl; /* NULL: none */
    json_t *json;
    struct curl_slist *headers;
    struct buf body, answer;
    char detail[CURL_ERROR_SIZE];
};

/* --- Answers -------------------------------------------------------------------------------------- */

static void print_line(const char *text, size_t size)
{
    while (size > 0 && strchr("\r\n", text[size - 1]))
        size--;
    if (size == 0)
        return;
    fwrite(text, 1, size, stdout);
    putchar('\n');
    fflush(stdout);
}

static void print_json(json_t *message)
{
    auto_json json_t *owned = message;
    auto_buf struct buf text = BUF_INIT;
    if (owned && json_write(owned, &text) == 0)
        print_line((const char *)text.data, text.size);
}

/* What the client is told when the daemon does not answer; it knows the request by its id. */
static void print_failure(const json_t *message)
{
    json_t *id = json_object_get(message, "id");
    if (id)
        print_json(json_pack("{ss sO s{si ss}}", "jsonrpc", "2.0", "id", id, "error", "code", -32000, "message",
                             "the daemon did not answer; see standard error"));
}

static bool is_read(void)
{
    struct pollfd out = { .fd = STDOUT_FILENO };
    return poll(&out, 1, 0) <= 0 || !(out.revents & (POLLERR | POLLHUP | POLLNVAL));
}

/* --- The call under way --------------------------------------------------------------------------- */

static void end_call(struct bridge *self)
{
    if (!self->curl)
        return;
    curl_multi_remove_handle(self->multi, self->curl);
    curl_easy_cleanup(self->curl);
    curl_slist_free_all(self->headers);
    json_decref(self->json);
    buf_deinit(&self->body);
    buf_deinit(&self->answer);
    self->curl = NULL;
    self->headers = NULL;
    self->json = NULL;
}

/* Of the lines of an event only its data matters, which the daemon writes as one line. */
static void take_events(struct buf *text)
{
    const char *line, *end;
    while (text->size > 0 && (end = memchr(text->data, '\n', text->size))) {
        line = (const char *)text->data;
        size_t n = (size_t)(end - line);
        if (n > 6 && memcmp(line, "data: ", 6) == 0)
            print_line(line + 6, n - 6);
        buf_consume(text, n + 1);
    }
}

static size_t receive(char *data, size_t size, size_t n, void *out)
{
    struct bridge *self = out;
    const char *type = NULL;
    if (buf_append(&self->answer, data, size * n) < 0)
        return 0;
    curl_easy_getinfo(self->curl, CURLINFO_CONTENT_TYPE, &type);
    if (type && strncmp(type, "text/event-stream", 17) == 0)
        take_events(&self->answer);
    return size * n;
}

static struct curl_slist *make_headers(const struct cli *cli)
{
    auto_free char *key = NULL;
    struct curl_slist *list = curl_slist_append(NULL, "Accept: application/json, text/event-stream");
    list = curl_slist_append(list, "Content-Type: application/json");
    if (cli->key && asprintf(&key, "Authorization: Bearer %s", cli->key) > 0)
        list = curl_slist_append(list, key);
    return list;
}

/* Takes the message. */
static void begin_call(struct bridge *self, json_t *json)
{
    self->curl = cli_curl_new(self->cli, api_table[API_MCP].path);
    self->json = json;
    self->body = (struct buf)BUF_INIT;
    self->answer = (struct buf){ .limit = REPLY_MAX };
    if (!self->curl || json_write(json, &self->body) < 0) {
        self->has_failed = true;
        end_call(self);
        return;
    }
    self->headers = make_headers(self->cli);
    *self->detail = 0;
    curl_easy_setopt(self->curl, CURLOPT_POST, 1L);
    curl_easy_setopt(self->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)self->body.size);
    curl_easy_setopt(self->curl, CURLOPT_POSTFIELDS, buf_str(&self->body));
    curl_easy_setopt(self->curl, CURLOPT_HTTPHEADER, self->headers);
    curl_easy_setopt(self->curl, CURLOPT_TIMEOUT, self->cli->timeout_s);
    curl_easy_setopt(self->curl, CURLOPT_ERRORBUFFER, self->detail);
    curl_easy_setopt(self->curl, CURLOPT_WRITEFUNCTION, receive);
    curl_easy_setopt(self->curl, CURLOPT_WRITEDATA, self);
    curl_multi_add_handle(self->multi, self->curl);
}

static void finish_call(struct bridge *self, CURLcode code)
{
    long status = 0;
    curl_easy_getinfo(self->curl, CURLINFO_RESPONSE_CODE, &status);
    const char *text = buf_str(&self->answer);
    if (code != CURLE_OK)
        cli_fail_unreachable(self->cli, (int)code, self->detail);
    else if (status >= 400)
        cli_fail_text(self->cli, (int)status, text, self->answer.size);
    else
        print_line(text, self->answer.size);
    if (code != CURLE_OK || status >= 400)
        print_failure(self->json);
    end_call(self);
}

static void look_for_end(struct bridge *self)
{
    CURLMsg *told;
    int n_left;
    while ((told = curl_multi_info_read(self->multi, &n_left)))
        if (told->msg == CURLMSG_DONE && told->easy_handle == self->curl)
            finish_call(self, told->data.result);
}

/* --- Messages ------------------------------------------------------------------------------------- */

static void drop(struct bridge *self, struct message *message)
{
    list_remove(&message->link);
    json_decref(message->json);
    free(message);
    self->n_waiting--;
}

static void begin_next(struct bridge *self)
{
    while (!self->curl && !list_empty(&self->waiting)) {
        struct message *message = list_first(&self->waiting, struct message, link);
        json_t *json = json_incref(message->json);
        drop(self, message);
        begin_call(self, json);
    }
}

static bool is_of(const json_t *message, const json_t *id)
{
    return id && json_equal(json_object_get(message, "id"), id);
}

static void cancel(struct bridge *self, const json_t *id)
{
    struct message *message, *next;
    list_for_each_safe(message, next, &self->waiting, link)
    {
        if (is_of(message->json, id))
            drop(self, message);
    }
    if (self->curl && is_of(self->json, id))
        end_call(self);
}

/* Takes the message. */
static void take_message(struct bridge *self, json_t *json)
{
    auto_json json_t *owned = json;
    const char *method = json_get_string(json, "method", "");
    json_t *id = json_object_get(json, "id");
    if (strcmp(method, "notifications/cancelled") == 0) {
        cancel(self, json_object_get(json_object_get(json, "params"), "requestId"));
    } else if (self->curl && id && strcmp(method, "ping") == 0) {
        print_json(json_pack("{ss sO s{}}", "jsonrpc", "2.0", "id", id, "result"));
    } else {
        struct message *message = calloc(1, sizeof *message);
        self->has_failed |= !message;
        if (!message)
            return;
        message->json = json_incref(json);
        list_append(&self->waiting, &message->link);
        self->n_waiting++;
    }
}

static void take_line(struct bridge *self, const char *line, size_t size)
{
    json_t *message = NULL;
    while (size > 0 && strchr("\r\n", line[size - 1]))
        size--;
    if (size == 0)
        return;
    if (json_parse_object(line, size, &message, NULL) < 0)
        print_json(json_pack("{ss sn s{si ss}}", "jsonrpc", "2.0", "id", "error", "code", -32700, "message", "no JSON object"));
    else
        take_message(self, message);
}

static void take_lines(struct bridge *self)
{
    const char *end;
    while (self->in.size > 0 && (end = memchr(self->in.data, '\n', self->in.size))) {
        size_t n = (size_t)(end - (const char *)self->in.data) + 1;
        take_line(self, (const char *)self->in.data, n);
        buf_consume(&self->in, n);
    }
}

static void read_input(struct bridge *self)
{
    char bytes[65536];
    ssize_t n = read(STDIN_FILENO, bytes, sizeof bytes);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    self->is_ended = n <= 0;
    if (n > 0)
        self->has_failed |= buf_append(&self->in, bytes, (size_t)n) < 0; /* a line that is too long */
    else if (self->in.size > 0)
        buf_append(&self->in, "\n", 1);
    take_lines(self);
}

/* --- The loop ------------------------------------------------------------------------------------- */

static void turn(struct bridge *self)
{
    struct curl_waitfd in = { .fd = STDIN_FILENO, .events = CURL_WAIT_POLLIN };
    bool reads = !self->is_ended && self->n_waiting < WAITING_MAX;
    int n_running;
    begin_next(self);
    curl_multi_poll(self->multi, &in, reads, LOOK_MS, NULL);
    struct pollfd ready = { .fd = STDIN_FILENO, .events = POLLIN };
    if (reads && poll(&ready, 1, 0) > 0)
        read_input(self);
    curl_multi_perform(self->multi, &n_running);
    look_for_end(self);
}

static int run(struct cli *cli, struct request *request maybe_unused)
{
    struct bridge self = { .cli = cli, .multi = curl_multi_init(), .in.limit = LINE_MAX_BYTES };
    list_init(&self.waiting);
    self.has_failed = !self.multi;
    while (!self.has_failed && is_read() && !(self.is_ended && !self.curl && list_empty(&self.waiting)))
        turn(&self);
    end_call(&self);
    while (!list_empty(&self.waiting))
        drop(&self, list_first(&self.waiting, struct message, link));
    buf_deinit(&self.in);
    curl_multi_cleanup(self.multi);
    return self.has_failed ? cli_fail(cli, CLI_FAILED, "internal", "a line of more than %zu bytes, or out of memory", LINE_MAX_BYTES)
                           : CLI_OK;
}

const struct verb verb_mcp = {
    .name = "mcp",
    .usage = "",
    .run = run,
    .summary = "Speaks the Model Context Protocol over standard input and output.",
    .text = "For programs that start their servers themselves: give them the command `deskfarm mcp`, with --url and\n"
            "--key, or DESKFARM_URL and DESKFARM_KEY, where the daemon is not on this machine.\n",
};
