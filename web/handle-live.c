/* The live view: a link to it, and its WebSocket (docs/stream.md).
 *
 * A link is a ticket for one connection, bound to a sandbox and a role, and stands for the key of
 * whoever asked for it. A caller who shows a key or a session needs none. What a viewer may do is
 * decided here and in farm/control.h, per connection: the page is not trusted. */
#include "base/clock.h"
#include "farm/control.h"
#include "farm/farm.h"
#include "stream/viewer.h"
#include "web/caller.h"
#include "web/route.h"
#include "web/server.h"
#include "web/ticket.h"
#include "web/websocket.h"

#include <stdio.h>
#include <string.h>

#define NOTCH 120
#define NOTCHES_MAX 20 /* of one event */
#define SUBPROTOCOL "deskfarm.stream.1"
/* Places of tickets that are no guest's ports. */
enum { TICKET_VIEW = -1, TICKET_CONTROL = -2 };

struct watcher {
    struct websocket *socket;
    struct viewer *viewer;
    struct seat seat;
    bool may_control;
    int rest_x, rest_y; /* of the wheel, 1/120 notch */
    struct op *paste;
};

/* --- The viewer's side ------------------------------------------------------------------------ */

static void on_wake(void *data)
{
    websocket_wake(((struct watcher *)data)->socket);
}

static enum button button_of(int number)
{
    static const enum button buttons[] = { BUTTON_LEFT, BUTTON_MIDDLE, BUTTON_RIGHT, BUTTON_BACK,
                                           BUTTON_FORWARD };
    return buttons[number];
}

static void type(struct watcher *self, const struct client_record *input)
{
    struct error err = { 0 };
    if (!ws_text_is_valid(input->text, input->n_text))
        error_set(&err, ERROR_BAD_VALUE, "the text is not UTF-8");
    else
        seat_type(&self->seat, (const char *)input->text, input->n_text, &err);
    if (err.is_set)
        viewer_refuse(self->viewer, RECORD_TEXT, err.message);
}

/* Whole notches of what has come; the rest is kept. */
static int take_notches(int *rest, int by)
{
    *rest += by;
    int notches = *rest / NOTCH;
    *rest -= notches * NOTCH;
    return CLAMP(notches, -NOTCHES_MAX, NOTCHES_MAX);
}

static void feed_wheel(struct watcher *self, struct live_event *event, enum wheel_axis axis,
                       int notches)
{
    event->kind = LIVE_WHEEL;
    event->code = (uint16_t)axis;
    event->notches = notches;
    if (notches)
        seat_feed(&self->seat, event);
}

/* The pointer goes there first. */
static void feed_at_point(struct watcher *self, const struct client_record *input)
{
    struct live_event event = {
        .kind = LIVE_MOVE, .id = input->id, .fx = input->x, .fy = input->y
    };
    seat_feed(&self->seat, &event);
    if (input->type == RECORD_BUTTON) {
        event.kind = LIVE_BUTTON;
        event.code = (uint16_t)button_of(input->code);
        event.is_down = input->is_down;
        seat_feed(&self->seat, &event);
    } else if (input->type == RECORD_WHEEL) {
        feed_wheel(self, &event, WHEEL_VERTICAL, take_notches(&self->rest_y, input->dy));
        feed_wheel(self, &event, WHEEL_HORIZONTAL, take_notches(&self->rest_x, input->dx));
    }
}

static void on_input(void *data, const struct client_record *input)
{
    struct watcher *self = data;
    if (input->type == RECORD_KEY)
        seat_feed(&self->seat, &(struct live_event){ .kind = LIVE_KEY, .id = input->id,
                                                     .code = (uint16_t)input->code,
                                                     .is_down = input->is_down });
    else if (input->type == RECORD_TEXT)
        type(self, input);
    else if (input->type == RECORD_RELEASE)
        seat_release(&self->seat);
    else
        feed_at_point(self, input);
}

static void on_wish(void *data, enum client_wish wish)
{
    struct watcher *self = data;
    struct error err = { 0 };
    if (wish == CLIENT_GIVE_BACK)
        seat_give_back(&self->seat);
    else if (!self->may_control)
        error_set(&err, ERROR_FORBIDDEN, "this link is for watching only");
    else
        seat_take(&self->seat, wish == CLIENT_TAKE_OVER, &err);
    if (err.is_set)
        viewer_refuse(self->viewer, RECORD_WISH, err.message);
}

static void on_pasted(void *data, struct answer *answer)
{
    struct watcher *self = data;
    self->paste = NULL;
    if (answer->err.is_set)
        viewer_refuse(self->viewer, RECORD_PASTE, answer->err.message);
    json_decref(answer->body);
    bytes_unref(answer->image);
}

/* The latest wins. */
static void on_paste(void *data, const uint8_t *text, size_t n_text)
{
    struct watcher *self = data;
    struct error err = { 0 };
    auto_json json_t *params = ws_text_is_valid(text, n_text)
                                   ? json_pack("{s:s%}", "text", (const char *)text, n_text)
                                   : NULL;
    op_cancel(steal_ptr(&self->paste));
    if (!params)
        error_set(&err, ERROR_BAD_VALUE, "the clipboard is not UTF-8");
    else
        self->paste = sandbox_clipboard_set(self->seat.sandbox, params, on_pasted, self, &err);
    if (err.is_set)
        viewer_refuse(self->viewer, RECORD_PASTE, err.message);
}

static void on_resize(void *data, int width, int height)
{
    struct watcher *self = data;
    struct error err = { 0 };
    if (seat_resize(&self->seat, width, height, &err) < 0)
        viewer_refuse(self->viewer, RECORD_RESIZE, err.message);
}

static void forget(struct watcher *self)
{
    op_cancel(steal_ptr(&self->paste));
    seat_deinit(&self->seat);
    viewer_free(self->viewer);
    free(self);
}

static void on_ended(void *data)
{
    struct watcher *self = data;
    websocket_close(self->socket, WS_GOING_AWAY, "the desktop has gone");
    forget(self);
}

static const struct viewer_ops viewer_ops = {
    .wake = on_wake, .input = on_input, .wish = on_wish, .paste = on_paste, .resize = on_resize,
    .ended = on_ended,
};

static void on_changed(void *data, bool is_mine, enum control_holder holder, const char *name)
{
    struct watcher *self = data;
    if (self->viewer)
        viewer_set_role(self->viewer, is_mine ? VIEWER_CONTROL : VIEWER_VIEW,
                        (enum viewer_holder)holder, name);
}

_Static_assert((int)CONTROL_PERSON == (int)VIEWER_PERSON && (int)CONTROL_AGENT == (int)VIEWER_AGENT,
               "the stream's holders are those of control");

static void on_taken(void *data, uint64_t id, int64_t at_us)
{
    viewer_injected(((struct watcher *)data)->viewer, id, at_us);
}

static void on_copied(void *data, struct bytes *text)
{
    viewer_set_clipboard(((struct watcher *)data)->viewer, text);
}

static const struct seat_ops seat_ops = {
    .changed = on_changed, .taken = on_taken, .copied = on_copied,
};

/* --- The socket's side ------------------------------------------------------------------------ */

static bool next_packet(void *data, struct websocket_packet *packet)
{
    struct watcher *self = data;
    struct bytes *message = viewer_next(self->viewer);
    if (!message)
        return false;
    packet->parts[0] = (struct websocket_part){ message, 0, message->size };
    packet->n_parts = 1;
    return true;
}

static void on_message(void *data, bool is_text, const uint8_t *bytes, size_t size)
{
    struct watcher *self = data;
    struct error err = { 0 };
    if (is_text)
        error_set(&err, ERROR_BAD_VALUE, "a text message; the stream is binary");
    if (is_text || viewer_feed(self->viewer, bytes, size, &err) < 0) {
        char reason[WEBSOCKET_REASON_MAX + 1];
        snprintf(reason, sizeof reason, "%s", err.message);
        websocket_close(self->socket, WS_PROTOCOL_ERROR, reason);
        forget(self);
    }
}

static void on_closed(void *data, int code maybe_unused)
{
    forget(data);
}

static const struct websocket_ops socket_ops = {
    .next_packet = next_packet, .on_message = on_message, .on_closed = on_closed,
};

/* --- Handlers --------------------------------------------------------------------------------- */

static const char *path_id(const struct request *self)
{
    return json_get_string(self->path_values, "id", "");
}

static bool wants_control(const json_t *from)
{
    return strcmp(json_get_string(from, "role", "view"), "control") == 0;
}

static int check_may(const struct principal *who, bool is_control, struct error *err)
{
    if (!is_control || who->role >= ROLE_OPERATOR)
        return 0;
    return error_set(err, ERROR_FORBIDDEN,
                     "controlling a desktop needs the role operator; this key has %s",
                     role_name(who->role));
}

void handle_stream_link(struct request *self)
{
    struct error err = { 0 };
    bool is_control = wants_control(self->body);
    struct sandbox *sandbox = farm_find(self->web->farm, &self->who, path_id(self), &err);
    if (!sandbox || check_may(&self->who, is_control, &err) < 0) {
        request_answer_error(self, &err);
        return;
    }
    char id[TICKET_CHARS + 1];
    struct ticket_scope scope = { .port = is_control ? TICKET_CONTROL : TICKET_VIEW };
    const char *secret = caller_secret(self);
    strncpy(scope.secret, secret ? secret : "", sizeof scope.secret - 1);
    strncpy(scope.sandbox, sandbox_id(sandbox), sizeof scope.sandbox - 1);
    tickets_add(self->web->tickets, TICKET_LINK, &scope, clock_now_us(), id);
    explicit_bzero(scope.secret, sizeof scope.secret);
    const char *role = is_control ? "control" : "view";
    bool is_secure = strncmp(self->origin, "https:", 6) == 0;
    request_answer_json(
        self, 201,
        json_pack("{s:o,s:s,s:i}", "url",
                  json_sprintf("%s://%s/v1/sandboxes/%s/desktop/stream?role=%s&ticket=%s",
                               is_secure ? "wss" : "ws", self->host, scope.sandbox, role, id),
                  "role", role, "expires_in_s", TICKET_LINK_S));
}

/* Who comes with a ticket is whoever asked for it, as far as that key still exists. */
static int use_ticket(struct request *self, bool is_control, struct error *err)
{
    const char *id = json_get_string(self->query, "ticket", NULL);
    struct keys *keys = farm_keys(self->web->farm);
    if (!id)
        return self->who.role >= ROLE_VIEWER ? 0 : caller_refuse(self, err);
    const struct ticket_scope *scope =
        tickets_use(self->web->tickets, TICKET_LINK, id, path_id(self),
                    is_control ? TICKET_CONTROL : TICKET_VIEW, clock_now_us());
    struct principal who = { .role = ROLE_ADMIN };
    bool is_good = scope && (!keys_exist(keys) ? !*scope->secret
                                               : keys_authenticate(keys, scope->secret, &who) == 0);
    if (!is_good)
        return error_set(err, ERROR_UNAUTHORIZED,
                         "this link was used, has expired, or is for something else");
    self->who = who;
    return 0;
}

static struct watcher *watcher_new(struct request *self, struct sandbox *sandbox, bool is_control,
                             struct error *err)
{
    struct hub *hub = sandbox_hub(sandbox, err);
    struct watcher *live = hub ? calloc(1, sizeof *live) : NULL;
    if (!live)
        return NULL;
    live->may_control = is_control;
    live->viewer = viewer_new(hub, &viewer_ops, live);
    if (!live->viewer)
        error_set(err, ERROR_QUOTA, "too many viewers of this desktop");
    if (!live->viewer ||
        seat_init(&live->seat, sandbox, self->who.key_id, &seat_ops, live, err) < 0) {
        viewer_free(live->viewer);
        free(live);
        return NULL;
    }
    return live;
}

static void open_stream(struct request *self)
{
    struct error err = { 0 };
    struct watcher *live = watcher_new(self, self->used, wants_control(self->query), &err);
    if (!live) {
        request_answer_error(self, &err);
        return;
    }
    const struct websocket_config config = {
        .ops = &socket_ops, .data = live, .message_max = CLIENT_MESSAGE_MAX, .protocol = SUBPROTOCOL
    };
    live->socket = websocket_accept(self, &config);
    if (!live->socket)
        forget(live);
}

void handle_stream(struct request *self)
{
    struct error err = { 0 };
    bool is_control = wants_control(self->query);
    struct sandbox *sandbox = NULL;
    if (use_ticket(self, is_control, &err) == 0 && check_may(&self->who, is_control, &err) == 0)
        sandbox = farm_find(self->web->farm, &self->who, path_id(self), &err);
    if (!sandbox)
        request_answer_error(self, &err);
    else if (self->used)
        open_stream(self);
    else
        route_use(self, sandbox, open_stream); /* whose ticket it is was not known before */
}
