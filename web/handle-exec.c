/* A command in the guest as a stream of bytes: what `deskfarm exec` and a terminal need, and a script
 * that has more than text to say. One WebSocket is one command, with or without a terminal.
 *
 *   client  text    {"argv": […]} or {"command": "…"}, …: the first message (api_exec_first)
 *           binary  stdin
 *           text    {"signal": "INT"}, {"columns": 80, "rows": 24}, {"eof": true}
 *   daemon  text    {"pid": 123}
 *           binary  1, then stdout; 2, then stderr (a terminal has only 1)
 *           text    {"exit": 0}, {"signal": 9} or {"error": {"code", "message"}}: the last
 *
 * Both directions are held back: what the guest says waits in the guest when the client does not
 * read (at most AGENT_WINDOW is here), and a client that says more than the command reads is not
 * read. A client that goes away ends its command. */
#include "api/validate.h"
#include "base/list.h"
#include "farm/recording.h"
#include "farm/sandbox.h"
#include "hypervisor/agent.h"
#include "web/route.h"
#include "web/server.h"
#include "web/websocket.h"

#include <string.h>

#define MESSAGE_MAX ((size_t)256 * 1024)

/* What the client has to be told, in order. */
struct piece {
    struct list link;
    struct bytes *bytes;
    bool is_text;
    enum agent_stream stream; /* of bytes that are no text */
    bool is_last;
};

struct exec {
    struct websocket *socket;
    struct sandbox *sandbox;
    struct agent_call *call; /* NULL: not begun, or ended */
    bool has_begun, is_paused;
    bool is_over; /* the last piece has been handed to the socket */
    struct list pieces;
    size_t in_flight;  /* bytes that the socket is sending */
    struct buf unsent; /* stdin that the guest does not take yet */
};

static struct piece *piece_free(struct piece *self)
{
    list_remove(&self->link);
    bytes_unref(self->bytes);
    free(self);
    return NULL;
}

static struct exec *exec_free(struct exec *self)
{
    agent_call_cancel(self->call);
    while (!list_empty(&self->pieces))
        piece_free(list_first(&self->pieces, struct piece, link));
    buf_deinit(&self->unsent);
    sandbox_unref(self->sandbox);
    free(self);
    return NULL;
}

/* Takes over bytes. */
static void tell(struct exec *self, struct piece what)
{
    struct piece *piece = what.bytes ? malloc(sizeof *piece) : NULL;
    if (!piece) {
        bytes_unref(what.bytes);
        websocket_close(self->socket, WS_TRY_LATER, "out of memory");
        exec_free(self);
        return;
    }
    *piece = what;
    list_append(&self->pieces, &piece->link);
    websocket_wake(self->socket);
}

/* Takes over word. */
static void tell_word(struct exec *self, json_t *word, bool is_last)
{
    auto_buf struct buf text = BUF_INIT;
    json_write(word, &text);
    json_decref(word);
    tell(self, (struct piece){ .bytes = bytes_copy(text.data, text.size),
                               .is_text = true,
                               .is_last = is_last });
}

static void tell_error(struct exec *self, const struct error *err)
{
    json_t *message = json_string(err->message);
    tell_word(self,
              json_pack("{s:{s:s,s:o}}", "error", "code", error_code_name(err->code), "message",
                        message ? message : json_string("(not UTF-8)")),
              true);
}

/* --- From the guest --------------------------------------------------------------------------- */

static void handle_event(void *data, const json_t *event)
{
    tell_word(data, json_incref((json_t *)(uintptr_t)event), false);
}

static void handle_data(void *data, enum agent_stream stream, const uint8_t *bytes, size_t size)
{
    tell(data, (struct piece){ .bytes = bytes_copy(bytes, size), .stream = stream });
}

/* Gives the guest what it takes of the stdin that waits. */
static void send_input(struct exec *self)
{
    size_t n = agent_call_write(self->call, self->unsent.data, self->unsent.size);
    buf_consume(&self->unsent, n);
    if (self->is_paused == (self->unsent.size > 0))
        return;
    self->is_paused = self->unsent.size > 0;
    websocket_pause(self->socket, self->is_paused);
}

static void handle_writable(void *data)
{
    send_input(data);
}

static void handle_end(void *data, const json_t *result, const struct error *err)
{
    struct exec *self = data;
    self->call = NULL;
    recording_exec_ended(self->sandbox, result);
    if (err)
        tell_error(self, err);
    else
        tell_word(self, json_incref((json_t *)(uintptr_t)result), true);
}

static const struct agent_call_ops call_ops = {
    .on_event = handle_event,
    .on_data = handle_data,
    .on_writable = handle_writable,
    .on_end = handle_end,
};

/* --- To the client ---------------------------------------------------------------------------- */

static void add_part(struct websocket_packet *packet, struct bytes *bytes)
{
    packet->parts[packet->n_parts++] =
        (struct websocket_part){ .bytes = bytes, .size = bytes->size };
}

/* As much of one stream as is there, behind its number. */
static bool take_bytes(struct exec *self, struct websocket_packet *packet)
{
    struct piece *first = list_first(&self->pieces, struct piece, link);
    enum agent_stream stream = first->stream;
    uint8_t number = stream == AGENT_STDERR ? 2 : 1;
    struct bytes *prefix = bytes_copy(&number, 1);
    if (!prefix)
        return false;
    add_part(packet, prefix);
    while (!list_empty(&self->pieces) && packet->n_parts < WEBSOCKET_PARTS_MAX) {
        struct piece *piece = list_first(&self->pieces, struct piece, link);
        if (piece->is_text || piece->stream != stream)
            break;
        self->in_flight += piece->bytes->size;
        add_part(packet, steal_ptr(&piece->bytes));
        piece_free(piece);
    }
    return true;
}

/* The packet before this one is out. */
static bool next_packet(void *data, struct websocket_packet *packet)
{
    struct exec *self = data;
    if (self->in_flight && self->call)
        agent_call_consumed(self->call, self->in_flight);
    self->in_flight = 0;
    if (self->is_over) {
        websocket_close(self->socket, WS_NORMAL, "");
        exec_free(self);
        return false;
    }
    if (list_empty(&self->pieces))
        return false;
    struct piece *piece = list_first(&self->pieces, struct piece, link);
    if (!piece->is_text)
        return take_bytes(self, packet);
    packet->is_text = true;
    self->is_over = piece->is_last;
    add_part(packet, steal_ptr(&piece->bytes));
    piece_free(piece);
    return true;
}

/* --- From the client -------------------------------------------------------------------------- */

/* The agent's request: the first message is nearly that, with the environment of the sandbox below
 * its own. Takes over first. */
static json_t *make_request(const struct exec *self, json_t *first)
{
    const json_t *terminal = json_object_get(first, "terminal");
    bool has_terminal = json_is_object(terminal);
    json_t *env = json_object();
    json_object_set_new(first, "op", json_string(has_terminal ? "pty" : "exec"));
    if (has_terminal)
        json_object_update(first, (json_t *)(uintptr_t)terminal);
    json_object_del(first, "terminal");
    if (sandbox_env(self->sandbox))
        json_object_update(env, (json_t *)(uintptr_t)sandbox_env(self->sandbox));
    json_object_update(env, json_object_get(first, "env"));
    json_object_set_new(first, "env", env);
    json_object_set_new(first, "stdin", json_true());
    if (json_object_get(first, "timeout_ms"))
        json_object_set_new(first, "timeout_us",
                            json_integer(json_get_int(first, "timeout_ms", 0) * 1000));
    json_object_del(first, "timeout_ms");
    return first;
}

static int begin(struct exec *self, const uint8_t *text, size_t size, struct error *err)
{
    json_t *first = NULL;
    self->has_begun = true;
    if (json_parse_object((const char *)text, size, &first, err) < 0)
        return -1;
    if (api_check_first(&api_table[API_EXEC], first, err) < 0) {
        json_decref(first);
        return -1;
    }
    bool has_program = json_object_get(first, "argv") || json_object_get(first, "terminal");
    struct agent *agent = NULL;
    if (!json_object_get(first, "command") && !has_program)
        error_set(err, ERROR_MISSING_FIELD, "argv: is required, or command");
    else
        agent = sandbox_agent(self->sandbox, err);
    if (!agent) {
        json_decref(first);
        return -1;
    }
    recording_exec(self->sandbox, first);
    self->call = agent_call_new(agent, make_request(self, first), &call_ops, self, 0);
    return self->call ? 0 : error_set(err, ERROR_INTERNAL, "out of memory");
}

static int control(struct exec *self, const uint8_t *text, size_t size, struct error *err)
{
    auto_json json_t *word = NULL;
    if (json_parse_object((const char *)text, size, &word, err) < 0)
        return -1;
    if (!self->call)
        return 0;
    if (json_get_bool(word, "eof", false)) {
        agent_call_eof(self->call);
        return 0;
    }
    if (agent_call_control(self->call, json_incref(word)) < 0)
        return error_set(err, ERROR_NOT_READY, "the guest takes no word now");
    return 0;
}

static void fail(struct exec *self, const struct error *err)
{
    self->call = agent_call_cancel(self->call);
    tell_error(self, err);
}

static void on_message(void *data, bool is_text, const uint8_t *bytes, size_t size)
{
    struct exec *self = data;
    struct error err = { 0 };
    int r = 0;
    if (!self->has_begun)
        r = is_text ? begin(self, bytes, size, &err)
                    : error_set(&err, ERROR_BAD_JSON, "the first message is text");
    else if (is_text)
        r = control(self, bytes, size, &err);
    else if (self->call && buf_append(&self->unsent, bytes, size) == 0)
        send_input(self);
    if (r < 0)
        fail(self, &err);
}

static void on_closed(void *data, int code maybe_unused)
{
    exec_free(data);
}

static const struct websocket_ops socket_ops = { .next_packet = next_packet,
                                                 .on_message = on_message,
                                                 .on_closed = on_closed };

void handle_exec(struct request *request)
{
    struct error err = { 0 };
    struct sandbox *sandbox = farm_find(request->web->farm, &request->who,
                                        json_get_string(request->path_values, "id", ""), &err);
    struct exec *self = sandbox && sandbox_agent(sandbox, &err) ? calloc(1, sizeof *self) : NULL;
    if (!self) {
        if (!err.is_set)
            error_set(&err, ERROR_INTERNAL, "out of memory");
        request_answer_error(request, &err);
        return;
    }
    list_init(&self->pieces);
    self->unsent.limit = 2 * MESSAGE_MAX;
    self->sandbox = sandbox_ref(sandbox);
    struct websocket_config config = {
        .ops = &socket_ops, .data = self, .message_max = MESSAGE_MAX, .protocol = "deskfarm.exec"
    };
    self->socket = websocket_accept(request, &config);
    if (!self->socket)
        exec_free(self);
}
