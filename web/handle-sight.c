/* POST …/desktop/watch: the events of a watch, as server-sent events or lines.
 *
 * Until the first event the request can still be refused; from then on it is a stream. */
#include "farm/sandbox.h"
#include "web/event.h"
#include "web/route.h"
#include "web/server.h"
#include "web/stream.h"

struct sight_watch {
    struct request *request;
    struct stream *stream; /* NULL before the first event */
    struct op *op;
    enum event_format format;
    int n_missed; /* events that a full stream did not take */
};

/* The caller went away. */
static void handle_gone(void *data)
{
    struct sight_watch *self = data;
    op_cancel(self->op);
    free(self);
}

static bool begin(struct sight_watch *self)
{
    static const struct stream_ops ops = { .on_gone = handle_gone };
    if (!self->stream)
        self->stream = stream_new(self->request, 200, event_content_type(self->format), -1, &ops, self);
    return self->stream != NULL;
}

static void write_event(struct sight_watch *self, json_t *event)
{
    if (self->n_missed)
        json_object_set_new(event, "missed", json_integer(self->n_missed));
    self->n_missed = 0;
    event_json(stream_begin_piece(self->stream), self->format, event);
    stream_end_piece(self->stream);
}

static void handle_event(void *data, const json_t *event)
{
    struct sight_watch *self = data;
    if (!begin(self))
        return;
    if (stream_is_full(self->stream))
        self->n_missed++;
    else
        write_event(self, json_deep_copy(event));
}

static void handle_done(void *data, struct answer *answer)
{
    struct sight_watch *self = data;
    self->op = NULL;
    if (!self->stream && answer->err.is_set) {
        request_answer_error(self->request, &answer->err);
    } else if (begin(self)) {
        json_t *event = json_deep_copy(answer->body);
        json_object_set_new(event, "type", json_string("end"));
        if (answer->err.is_set) {
            json_object_set_new(event, "code", json_string(error_code_name(answer->err.code)));
            json_object_set_new(event, "message", json_string(answer->err.message));
        }
        write_event(self, event);
        stream_end(self->stream);
    }
    json_decref(answer->body);
    bytes_unref(answer->image);
    free(self);
}

void handle_desktop_watch(struct request *request)
{
    struct error err = { 0 };
    struct sandbox *sandbox =
        farm_find(request->web->farm, &request->who, json_get_string(request->path_values, "id", ""), &err);
    struct sight_watch *self = sandbox ? calloc(1, sizeof *self) : NULL;
    if (self) {
        *self = (struct sight_watch){ .request = request, .format = event_format(request->accept) };
        self->op = sandbox_watch(sandbox, request->body, handle_event, handle_done, self, &err);
        if (self->op) {
            request_on_gone(request, handle_gone, self);
            return;
        }
        free(self);
    } else if (sandbox) {
        error_set(&err, ERROR_INTERNAL, "out of memory");
    }
    request_answer_error(request, &err);
}
