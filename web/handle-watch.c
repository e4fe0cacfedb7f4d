/* What changes below a directory of the guest, as events, until the caller goes away.
 *
 * The guest's lines are taken one by one: JSON objects of at most LINE_MAX_BYTES, with a type and
 * perhaps a path; anything else ends the answer. A caller who does not read holds the guest up, whose
 * kernel then drops events and says so (`overflow`). */
#include "hypervisor/agent.h"
#include "web/event.h"
#include "web/execd.h"
#include "web/route.h"
#include "web/server.h"
#include "web/stream.h"

#include <string.h>

#define LINE_MAX_BYTES 16384

struct watch_files {
    struct request *request; /* until the first answer */
    struct sandbox *sandbox; /* a reference */
    struct stream *stream;   /* from then on */
    struct agent_call *call;
    struct buf line; /* what has come of one */
    size_t owed;
    enum event_format format;
};

static void watch_files_free(struct watch_files *self)
{
    agent_call_cancel(self->call);
    sandbox_unref(self->sandbox);
    buf_deinit(&self->line);
    free(self);
}

static void handle_gone(void *data)
{
    watch_files_free(data);
}

static void end(struct watch_files *self, const struct error *err)
{
    if (self->stream)
        stream_end(self->stream);
    else
        request_answer_error(self->request, err);
    watch_files_free(self);
}

static void give_back(void *data)
{
    struct watch_files *self = data;
    if (self->call && self->owed)
        agent_call_consumed(self->call, self->owed);
    self->owed = 0;
}

static int begin(struct watch_files *self)
{
    static const struct stream_ops ops = { .on_room = give_back, .on_gone = handle_gone };
    if (!self->stream)
        self->stream = stream_new(self->request, 200, event_content_type(self->format), -1, &ops, self);
    return self->stream ? 0 : -1;
}

/* Only what an event has, whatever else the guest says. */
static int tell(struct watch_files *self, const char *text, size_t size)
{
    auto_json json_t *given = NULL;
    if (json_parse_object(text, size, &given, NULL) < 0 || !json_is_string(json_object_get(given, "type")))
        return -1;
    if (begin(self) < 0)
        return -1;
    event_json(stream_begin_piece(self->stream), self->format,
               json_pack("{s:O, s:O*}", "type", json_object_get(given, "type"), "path",
                         json_object_get(given, "path")));
    stream_end_piece(self->stream);
    return 0;
}

static void handle_data(void *data, enum agent_stream stream maybe_unused, const uint8_t *bytes, size_t size)
{
    struct watch_files *self = data;
    struct error err = { 0 };
    self->owed += size;
    buf_append(&self->line, bytes, size);
    const uint8_t *stop;
    while ((stop = memchr(self->line.data, '\n', self->line.size))) {
        size_t n = (size_t)(stop - self->line.data);
        if (n > LINE_MAX_BYTES || tell(self, (const char *)self->line.data, n) < 0)
            break;
        buf_consume(&self->line, n + 1);
    }
    if (stop || self->line.size > LINE_MAX_BYTES || self->line.failed) {
        error_set(&err, ERROR_GUEST_FAILED, "the guest's agent told something else than changes");
        end(self, &err);
    } else if (!self->stream || !stream_is_full(self->stream)) {
        give_back(self);
    }
}

static void handle_end(void *data, const json_t *result maybe_unused, const struct error *err)
{
    struct watch_files *self = data;
    struct error own = { 0 };
    self->call = NULL;
    error_set(&own, ERROR_GUEST_FAILED, "the guest watches no more");
    end(self, err ? err : &own);
}

static int start(struct watch_files *self, struct error *err)
{
    static const struct agent_call_ops ops = { .on_data = handle_data, .on_end = handle_end };
    struct agent *agent = sandbox_agent(self->sandbox, err);
    if (!agent)
        return -1;
    const json_t *query = self->request->query;
    self->call = agent_call_new(agent,
                                json_pack("{s:s, s:O, s:b}", "op", "watch", "path", json_object_get(query, "path"),
                                          "recursive", json_get_bool(query, "recursive", false)),
                                &ops, self, 0);
    return self->call ? 0 : error_set(err, ERROR_BUSY, "too much is running in this guest");
}

void handle_file_watch(struct request *self)
{
    struct error err = { 0 };
    struct sandbox *sandbox = execd_sandbox(self);
    struct watch_files *watch = sandbox ? calloc(1, sizeof *watch) : NULL;
    if (!sandbox)
        return;
    if (!watch) {
        error_set(&err, ERROR_INTERNAL, "out of memory");
        request_answer_error(self, &err);
        return;
    }
    *watch = (struct watch_files){ .request = self, .sandbox = sandbox_ref(sandbox),
                                   .format = event_format(self->accept) };
    request_on_gone(self, handle_gone, watch);
    if (start(watch, &err) < 0)
        end(watch, &err);
}
