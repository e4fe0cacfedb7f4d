/* POST …/desktop/dialects/{dialect}: what a model said, played on a desktop.
 *
 * Three operations of the sandbox at most, one after the other: an empty batch, which waits for the turn and the
 * screen and tells its size; the batch that the turn became (dialect/turn.h); and, when a call failed and the
 * model's API can only be shown so, a picture. A caller that goes away cancels the one under way. */
#include "dialect/turn.h"
#include "farm/sandbox.h"
#include "web/route.h"
#include "web/server.h"

#include <string.h>

struct talk {
    struct request *request;
    struct sandbox *sandbox;
    enum dialect dialect;
    struct op *op;
    struct turn *turn;
    json_t *body;      /* what the batch answered */
    struct error err;  /* why it ended early */
};

static void talk_free(struct talk *self)
{
    sandbox_unref(self->sandbox);
    turn_free(self->turn);
    json_decref(self->body);
    free(self);
}

static void handle_gone(void *data)
{
    struct talk *self = data;
    op_cancel(self->op);
    talk_free(self);
}

static void fail(struct talk *self, const struct error *err)
{
    request_answer_error(self->request, err);
    talk_free(self);
}

static void begin(struct talk *self, json_t *request, answer_fn done)
{
    struct error err = { 0 };
    self->op = request ? sandbox_act(self->sandbox, request, done, self, &err) : NULL;
    json_decref(request);
    if (!request)
        error_set(&err, ERROR_INTERNAL, "out of memory");
    if (self->op)
        request_on_gone(self->request, handle_gone, self);
    else
        fail(self, &err);
}

static void drop(struct answer *answer)
{
    json_decref(answer->body);
    bytes_unref(answer->image);
}

/* --- The answer ---------------------------------------------------------------------------------- */

static void add_report(struct talk *self)
{
    auto_json json_t *report = json_pack("{so sO?}", "calls", turn_report(self->turn, self->body, self->err.is_set ? &self->err : NULL),
                                         "frame", json_object_get(self->body, "frame"));
    auto_free char *text = report ? json_dumps(report, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;
    if (text && strlen(text) < 8192)
        request_add_header(self->request, "X-Deskfarm-Result", "%s", text);
}

static void finish(struct talk *self, const json_t *image)
{
    struct error err = { 0 };
    json_t *answer = turn_answer(self->turn, self->body, self->err.is_set ? &self->err : NULL, image);
    if (!answer) {
        error_set(&err, ERROR_INTERNAL, "out of memory");
        fail(self, &err);
        return;
    }
    add_report(self);
    request_answer_json(self->request, 200, answer);
    talk_free(self);
}

static void handle_shot(void *data, struct answer *answer)
{
    struct talk *self = data;
    const json_t *image = json_object_get(json_array_get(json_object_get(answer->body, "results"), 0), "image");
    self->op = NULL;
    finish(self, image);
    drop(answer);
}

static void handle_played(void *data, struct answer *answer)
{
    struct talk *self = data;
    self->op = NULL;
    self->body = json_incref(answer->body);
    self->err = answer->err;
    bool is_ours = self->err.is_set && !json_object_get(self->body, "failed_action");
    if (is_ours)
        fail(self, &answer->err); /* no call's fault */
    else if (turn_lacks_image(self->turn, self->body, self->err.is_set ? &self->err : NULL))
        begin(self, turn_shot_request(self->turn), handle_shot);
    else
        finish(self, NULL);
    drop(answer);
}

/* --- The turn ------------------------------------------------------------------------------------ */

static struct turn_size size_of(const json_t *object)
{
    return (struct turn_size){ (int)json_get_int(object, "width", 0), (int)json_get_int(object, "height", 0) };
}

static int index_of(const char *const *names, const char *name)
{
    for (int i = 0; names[i]; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    return 0;
}

static int read_turn(struct talk *self, const json_t *ready, struct error *err)
{
    const json_t *query = self->request->query, *cursor = json_object_get(ready, "cursor");
    struct turn_options options = {
        .tool = json_get_string(query, "tool", NULL),
        .space = json_get_string(query, "space", NULL),
        .image = size_of(query),
        .format = json_get_string(query, "format", NULL),
        .quality = (int)json_get_int(query, "quality", 0),
        .images = (enum turn_images)index_of(turn_images_names, json_get_string(query, "images", "auto")),
        .is_confirmed = json_get_bool(query, "confirmed", false),
        .screen = size_of(json_object_get(ready, "screen")),
        .has_pointer = json_is_object(cursor),
        .x = (int)json_get_int(cursor, "x", 0),
        .y = (int)json_get_int(cursor, "y", 0),
    };
    return turn_new(&self->turn, self->dialect, self->request->body, &options, err);
}

/* What the recording of a batch tells: the language, and what was said, as it came. */
static json_t *batch_request(struct talk *self)
{
    static const char *const times[] = { "first_ms", "quiet_ms", "max_ms" };
    const json_t *query = self->request->query;
    json_t *request = turn_request(self->turn), *settle = json_object();
    for (size_t i = 0; i < ARRAY_LEN(times); i++)
        json_object_set(settle, times[i], json_object_get(query, times[i]));
    json_object_set_new(request, "settle", settle);
    json_object_set(request, "queue_ms", json_object_get(query, "queue_ms"));
    const char *name = dialect_names[self->dialect];
    json_object_set_new(request, "by", json_pack("{ss ss}", "key", self->request->who.key_id, "dialect", name));
    json_object_set_new(request, "dialect", json_pack("{ss sO}", "name", name, "said", self->request->body));
    return request;
}

static void handle_ready(void *data, struct answer *answer)
{
    struct talk *self = data;
    struct error err = answer->err;
    self->op = NULL;
    if (err.is_set || read_turn(self, answer->body, &err) < 0)
        fail(self, &err);
    else
        begin(self, batch_request(self), handle_played);
    drop(answer);
}

static struct sandbox *find(struct request *request, enum dialect *dialect, struct error *err)
{
    dialect_parse(json_get_string(request->path_values, "dialect", ""), dialect); /* the table has checked it */
    return farm_find(request->web->farm, &request->who, json_get_string(request->path_values, "id", ""), err);
}

void handle_desktop_dialect(struct request *request)
{
    struct error err = { 0 };
    enum dialect dialect = DIALECT_ANTHROPIC;
    struct sandbox *sandbox = find(request, &dialect, &err);
    struct talk *self = sandbox ? calloc(1, sizeof *self) : NULL;
    if (!self) {
        if (sandbox)
            error_set(&err, ERROR_INTERNAL, "out of memory");
        request_answer_error(request, &err);
        return;
    }
    *self = (struct talk){ .request = request, .sandbox = sandbox_ref(sandbox), .dialect = dialect };
    json_t *empty = json_pack("{s[] sb sb}", "actions", "settle", 0, "screenshot", 0);
    json_object_set(empty, "queue_ms", json_object_get(request->query, "queue_ms"));
    begin(self, empty, handle_ready);
}

void handle_desktop_dialect_tools(struct request *request)
{
    struct error err = { 0 };
    enum dialect dialect = DIALECT_ANTHROPIC;
    struct sandbox *sandbox = find(request, &dialect, &err);
    auto_json json_t *screen = sandbox ? sandbox_display_json(sandbox) : NULL;
    struct turn_size size = size_of(screen);
    if (!screen || size.width < 1) {
        if (sandbox)
            error_set(&err, ERROR_NOT_READY, "the guest has no screen yet");
        request_answer_error(request, &err);
        return;
    }
    request_answer_json(request, 200, turn_tools(dialect, json_get_string(request->query, "tool", NULL), size,
                                                 size_of(request->query)));
}
