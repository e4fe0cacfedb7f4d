/* Terminals by the OpenSandbox execd protocol: made by POST, looked at over a WebSocket.
 *
 * Frames, as its clients send and read them. Binary, the first byte says what:
 *   0  to the guest: keys
 *   1  from the guest: the terminal's output
 *   3  from the guest, first: output that was missed; eight bytes of offset (big-endian), then
 * bytes Text, JSON with a type: to us `stdin` (data), `resize` (cols, rows), `signal` (signal),
 * `ping`; from us `connected`, `exit` (exit_code), `error` (code, error), `pong`.
 *
 * `since` is the offset that the client has; the terminal's offsets count all bytes that ever came.
 * A second client is refused, or with `takeover=1` the first is closed with 4001. */
#include "base/clock.h"
#include "farm/farm.h"
#include "farm/terminal.h"
#include "hypervisor/agent.h"
#include "web/route.h"
#include "web/server.h"
#include "web/websocket.h"

#include <stdio.h>
#include <string.h>

#define MESSAGE_MAX 65536
#define PIECE_MAX 32768
#define CLOSE_TAKEN_OVER 4001

enum { FRAME_STDIN = 0, FRAME_STDOUT = 1, FRAME_REPLAY = 3 };

/* One client at a terminal. */
struct view {
    struct websocket *socket;
    struct terminal *terminal; /* NULL: its program has ended; rest and last are left to send */
    char id[ID_MAX];
    int64_t offset; /* what has been sent */
    int64_t replay_end; /* up to here it is a replay */
    bool is_greeted, wants_pong, wants_unknown;
    struct buf input; /* not yet taken by the program */
    struct buf rest;  /* output not sent when it ended */
    json_t *last;     /* the last text frame */
    int close_code;
};

/* --- Out -------------------------------------------------------------------------------------- */

static bool put_text(struct websocket_packet *packet, json_t *object)
{
    auto_buf struct buf text = BUF_INIT;
    json_write(object, &text);
    json_decref(object);
    struct bytes *bytes = bytes_copy(text.data, text.size);
    packet->is_text = true;
    packet->parts[0] = (struct websocket_part){ bytes, 0, bytes ? bytes->size : 0 };
    packet->n_parts = bytes != NULL;
    return bytes != NULL;
}

static bool put_output(struct websocket_packet *packet, uint8_t type, int64_t offset,
                       const uint8_t *output, size_t size)
{
    size_t header = type == FRAME_REPLAY ? 9 : 1;
    struct bytes *bytes = bytes_new(header + size);
    if (!bytes)
        return false;
    bytes->data[0] = type;
    for (size_t i = 1; i < header; i++)
        bytes->data[i] = (uint8_t)(offset >> 8 * (header - 1 - i));
    memcpy(bytes->data + header, output, size);
    packet->parts[0] = (struct websocket_part){ bytes, 0, bytes->size };
    packet->n_parts = 1;
    return true;
}

/* What is between offset and the terminal's end, or left of one that has ended. */
static size_t unsent(struct view *self, const uint8_t **ret, int64_t *ret_from)
{
    if (self->terminal)
        return terminal_read(self->terminal, self->offset, ret, ret_from);
    *ret = self->rest.data;
    *ret_from = self->offset;
    return self->rest.size;
}

static bool next_output(struct view *self, struct websocket_packet *packet)
{
    const uint8_t *bytes;
    int64_t from;
    size_t size = unsent(self, &bytes, &from);
    bool is_replay = from < self->replay_end;
    size = MIN(size, is_replay ? (size_t)(self->replay_end - from) : (size_t)PIECE_MAX);
    uint8_t type = is_replay ? FRAME_REPLAY : FRAME_STDOUT;
    if (size == 0 || !put_output(packet, type, from, bytes, size))
        return false;
    self->offset = from + (int64_t)size;
    if (self->terminal)
        terminal_taken(self->terminal, self->offset);
    else
        buf_consume(&self->rest, size);
    return true;
}

static json_t *error_frame(const char *code, const char *text)
{
    return json_pack("{s:s,s:s,s:s}", "type", "error", "code", code, "error", text);
}

static void free_view(struct view *self)
{
    buf_deinit(&self->input);
    buf_deinit(&self->rest);
    json_decref(self->last);
    free(self);
}

/* All is sent. */
static void end(struct view *self)
{
    websocket_close(self->socket, self->close_code,
                    self->close_code == WS_NORMAL ? "process exited" : "");
    free_view(self);
}

static bool next_packet(void *data, struct websocket_packet *packet)
{
    struct view *self = data;
    if (self->offset < self->replay_end && next_output(self, packet))
        return true;
    if (!self->is_greeted) {
        self->is_greeted = true;
        return put_text(packet, json_pack("{s:s,s:s,s:s}", "type", "connected", "session_id",
                                          self->id, "mode", "pty"));
    }
    if (self->wants_pong) {
        self->wants_pong = false;
        return put_text(packet, json_pack("{s:s}", "type", "pong"));
    }
    if (self->wants_unknown) {
        self->wants_unknown = false;
        return put_text(packet, error_frame("INVALID_FRAME", "unknown frame type"));
    }
    if (next_output(self, packet))
        return true;
    if (self->last)
        return put_text(packet, steal_ptr(&self->last));
    if (!self->terminal)
        end(self);
    return false;
}

/* --- The terminal's side ---------------------------------------------------------------------- */

static void on_output(void *data)
{
    struct view *self = data;
    websocket_wake(self->socket);
}

static void pump_input(struct view *self)
{
    if (!self->terminal)
        return;
    buf_consume(&self->input,
                terminal_write(self->terminal, self->input.data, self->input.size));
    websocket_pause(self->socket, self->input.size > 0);
}

static void on_writable(void *data)
{
    pump_input(data);
}

static void on_end(void *data, int code, const struct error *why)
{
    struct view *self = data;
    const uint8_t *bytes;
    int64_t from;
    size_t size = terminal_read(self->terminal, self->offset, &bytes, &from);
    self->terminal = NULL;
    self->offset = from;
    buf_append(&self->rest, bytes, size);
    if (why && why->code == ERROR_CONFLICT) {
        websocket_close(self->socket, CLOSE_TAKEN_OVER, "TAKEN_OVER");
        free_view(self);
        return;
    }
    self->close_code = why ? WS_GOING_AWAY : WS_NORMAL;
    self->last = why ? error_frame("SESSION_GONE", why->message)
                     : json_pack("{s:s,s:i}", "type", "exit", "exit_code", code);
    websocket_pause(self->socket, false);
    websocket_wake(self->socket);
}

/* --- The client's side ------------------------------------------------------------------------ */

static void take_input(struct view *self, const void *bytes, size_t size)
{
    buf_append(&self->input, bytes, size);
    pump_input(self);
}

static void take_word(struct view *self, const json_t *word)
{
    const char *type = json_get_string(word, "type", "");
    const char *text = json_get_string(word, "data", "");
    int64_t columns = json_get_int(word, "cols", 0), rows = json_get_int(word, "rows", 0);
    if (strcmp(type, "stdin") == 0) {
        take_input(self, text, strlen(text));
    } else if (strcmp(type, "resize") == 0 && columns > 0 && rows > 0) {
        terminal_resize(self->terminal, (int)MIN(columns, 4096), (int)MIN(rows, 4096));
    } else if (strcmp(type, "signal") == 0) {
        const char *name = json_get_string(word, "signal", "");
        terminal_signal(self->terminal, strncmp(name, "SIG", 3) == 0 ? name + 3 : name);
    } else {
        self->wants_pong |= strcmp(type, "ping") == 0;
        self->wants_unknown |= strcmp(type, "ping") != 0 && strcmp(type, "resize") != 0;
        websocket_wake(self->socket);
    }
}

static void on_message(void *data, bool is_text, const uint8_t *bytes, size_t size)
{
    struct view *self = data;
    auto_json json_t *word = NULL;
    if (!self->terminal)
        return;
    if (!is_text && size > 1 && bytes[0] == FRAME_STDIN)
        take_input(self, bytes + 1, size - 1);
    else if (is_text && json_parse_object((const char *)bytes, size, &word, NULL) == 0)
        take_word(self, word);
}

static void on_closed(void *data, int code maybe_unused)
{
    struct view *self = data;
    if (self->terminal)
        terminal_detach(self->terminal);
    free_view(self);
}

/* --- Handlers --------------------------------------------------------------------------------- */

static struct sandbox *sandbox_of(const struct request *request, struct error *err)
{
    return farm_find(request->web->farm, &request->who,
                     json_get_string(request->path_values, "id", ""), err);
}

/* The terminal of the path, or NULL: then the request is answered. */
static struct terminal *find(struct request *request)
{
    struct error err = { 0 };
    const char *id = json_get_string(request->path_values, "session", "");
    struct sandbox *sandbox = sandbox_of(request, &err);
    struct terminal *terminal = sandbox ? terminal_find(sandbox, id, &err) : NULL;
    if (!terminal)
        request_answer_error(request, &err);
    return terminal;
}

void handle_pty_create(struct request *self)
{
    struct error err = { 0 };
    struct terminal *terminal;
    struct sandbox *sandbox = sandbox_of(self, &err);
    if (!sandbox || !sandbox_agent(sandbox, &err) ||
        terminal_new(&terminal, sandbox, json_get_string(self->body, "command", NULL),
                     json_get_string(self->body, "cwd", NULL),
                     json_get_string(self->body, "user", NULL), &err) < 0)
        request_answer_error(self, &err);
    else
        request_answer_json(self, 201,
                            json_pack("{s:s}", "session_id", terminal_id(terminal)));
}

void handle_pty_get(struct request *self)
{
    struct terminal *terminal = find(self);
    if (terminal)
        request_answer_json(self, 200,
                            json_pack("{s:s,s:b,s:I}", "session_id", terminal_id(terminal),
                                      "running", terminal_is_running(terminal), "output_offset",
                                      (json_int_t)terminal_offset(terminal)));
}

void handle_pty_delete(struct request *self)
{
    struct terminal *terminal = find(self);
    if (!terminal)
        return;
    terminal_delete(terminal);
    request_answer_empty(self, 200);
}

static int check_attach(const struct request *self, const struct terminal *terminal,
                        struct error *err)
{
    if (json_get_int(self->query, "pty", 1) == 0)
        return error_set(err, ERROR_UNSUPPORTED,
                         "pty=0: terminals only; run a command by /command without one");
    if (terminal_has_viewer(terminal) && json_get_int(self->query, "takeover", 0) != 1)
        return error_set(err, ERROR_CONFLICT,
                         "another client is connected to this terminal; takeover=1 replaces it");
    return 0;
}

static struct view *new_view(const struct request *request, const struct terminal *terminal)
{
    struct view *self = calloc(1, sizeof *self);
    if (!self)
        return NULL;
    self->input.limit = 2 * MESSAGE_MAX;
    self->offset = json_get_int(request->query, "since", 0);
    self->replay_end = terminal_offset(terminal);
    snprintf(self->id, sizeof self->id, "%s", terminal_id(terminal));
    return self;
}

static void attach(struct view *self, struct terminal *terminal)
{
    static const struct terminal_ops ops = { on_output, on_writable, on_end };
    struct error err = { 0 };
    if (terminal_attach(terminal, &ops, self, &err) == 0) {
        self->terminal = terminal;
    } else {
        self->last = error_frame("START_FAILED", err.message);
        self->close_code = WS_GOING_AWAY;
        self->replay_end = 0;
        self->is_greeted = true;
    }
    websocket_wake(self->socket);
}

/* What is wrong is answered in HTTP as far as it is known before the program is started. */
void handle_pty_ws(struct request *self)
{
    static const struct websocket_ops ops = { next_packet, on_message, on_closed };
    struct error err = { 0 };
    struct terminal *terminal = find(self);
    if (!terminal)
        return;
    int r = check_attach(self, terminal, &err);
    struct view *view = r == 0 ? new_view(self, terminal) : NULL;
    if (!view) {
        if (r == 0)
            error_set(&err, ERROR_INTERNAL, "out of memory");
        request_answer_error(self, &err);
        return;
    }
    int64_t columns = json_get_int(self->query, "cols", 0);
    int64_t rows = json_get_int(self->query, "rows", 0);
    if (columns > 0 && rows > 0)
        terminal_resize(terminal, (int)columns, (int)rows);
    struct websocket_config config = { .ops = &ops, .data = view, .message_max = MESSAGE_MAX };
    view->socket = websocket_accept(self, &config);
    if (view->socket)
        attach(view, terminal);
    else
        free(view);
}
