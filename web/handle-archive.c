/* A directory of the guest as a tar archive, down and up, by the guest's own tar. As files go
 * (web/handle-download.c): what is here is a window of the agent's channel and what a socket has not
 * taken.
 *
 * Down begins to be answered with the first byte, so a directory that is not there is an error; one
 * that fails in the middle is cut off. Up makes the directory first and answers when tar has ended. */
#include "hypervisor/agent.h"
#include "web/execd.h"
#include "web/route.h"
#include "web/server.h"
#include "web/stream.h"

#include <string.h>

#define WORDS_MAX 512 /* of what tar complains */

struct archive {
    struct request *request;
    struct sandbox *sandbox; /* a reference */
    struct agent_call *call;
    struct stream *stream; /* down: the answer, once it has begun */
    struct buf pending;    /* up: what the guest has no room for yet */
    struct buf words;
    size_t owed;
    bool is_up, is_running, is_complete; /* tar runs; the body has come */
};

static void archive_free(struct archive *self)
{
    agent_call_cancel(self->call);
    sandbox_unref(self->sandbox);
    buf_deinit(&self->pending);
    buf_deinit(&self->words);
    free(self);
}

static void handle_gone(void *data)
{
    archive_free(data);
}

static void fail(struct archive *self, const struct error *err)
{
    if (self->stream)
        stream_cut(self->stream);
    else
        request_answer_error(self->request, err);
    archive_free(self);
}

/* --- Down ---------------------------------------------------------------------------------------- */

static void give_back(void *data)
{
    struct archive *self = data;
    if (self->call && self->owed)
        agent_call_consumed(self->call, self->owed);
    self->owed = 0;
}

static int begin_answer(struct archive *self)
{
    static const struct stream_ops ops = { .on_room = give_back, .on_gone = handle_gone };
    if (!self->stream)
        self->stream = stream_new(self->request, 200, "application/x-tar", -1, &ops, self);
    return self->stream ? 0 : -1;
}

/* --- Up ------------------------------------------------------------------------------------------ */

static void write_pending(struct archive *self)
{
    if (!self->is_running)
        return;
    size_t n = self->pending.size ? agent_call_write(self->call, self->pending.data, self->pending.size) : 0;
    buf_consume(&self->pending, n);
    if (self->pending.size > 0)
        return;
    if (self->is_complete)
        agent_call_eof(self->call);
    else
        body_resume(self->request);
}

static void handle_writable(void *data)
{
    write_pending(data);
}

static void handle_piece(void *data, const uint8_t *bytes, size_t size)
{
    struct archive *self = data;
    buf_append(&self->pending, bytes, size);
    write_pending(self);
    if (self->pending.size > 0)
        body_pause(self->request);
}

static void handle_body_end(void *data)
{
    struct archive *self = data;
    self->is_complete = true;
    write_pending(self);
}

/* --- Both ---------------------------------------------------------------------------------------- */

static void handle_data(void *data, enum agent_stream stream, const uint8_t *bytes, size_t size)
{
    struct archive *self = data;
    self->owed += size;
    if (stream == AGENT_STDERR || self->is_up) {
        buf_append(&self->words, bytes, MIN(size, WORDS_MAX - MIN(self->words.size, (size_t)WORDS_MAX)));
        give_back(self);
    } else if (begin_answer(self) < 0) {
        archive_free(self);
    } else {
        stream_write(self->stream, bytes, size);
        if (!stream_is_full(self->stream))
            give_back(self);
    }
}

/* Words of a guest: one line of printable ASCII. */
static void set_words(const struct archive *self, struct error *err)
{
    char words[WORDS_MAX + 1];
    size_t n = 0;
    for (; n < self->words.size && self->words.data[n] != '\n'; n++)
        words[n] = self->words.data[n] >= ' ' && self->words.data[n] < 127 ? (char)self->words.data[n] : '?';
    words[n] = 0;
    error_set(err, self->is_up ? ERROR_BAD_VALUE : ERROR_GUEST_FAILED, "tar in the guest: %s",
              n ? words : "it failed");
}

static void handle_tar_end(void *data, const json_t *result, const struct error *err)
{
    struct archive *self = data;
    struct error own = { 0 };
    self->call = NULL;
    if (!err && json_get_int(result, "exit", -1) != 0)
        set_words(self, &own);
    if (err || own.is_set) {
        fail(self, err ? err : &own);
        return;
    }
    if (self->is_up)
        request_answer_empty(self->request, 204);
    else if (begin_answer(self) == 0)
        stream_end(self->stream);
    archive_free(self);
}

static int ask(struct archive *self, json_t *op, const struct agent_call_ops *ops, struct error *err)
{
    struct agent *agent = sandbox_agent(self->sandbox, err);
    json_object_set(op, "path", json_object_get(self->request->query, "path"));
    json_object_set(op, "user", json_object_get(self->request->query, "user"));
    if (agent)
        self->call = agent_call_new(agent, json_incref(op), ops, self, 0);
    json_decref(op);
    if (agent && !self->call)
        error_set(err, ERROR_BUSY, "too much is running in this guest");
    return self->call ? 0 : -1;
}

/* The directory is there. */
static void handle_prepared(void *data, const json_t *result, const struct error *err)
{
    static const struct agent_call_ops ops = { .on_data = handle_data, .on_writable = handle_writable,
                                               .on_end = handle_tar_end };
    struct archive *self = data;
    struct error own = { 0 };
    self->call = NULL;
    if (!err && !self->is_up && strcmp(json_get_string(result, "type", ""), "directory") != 0)
        error_set(&own, ERROR_BAD_VALUE, "path: is no directory");
    if (err || own.is_set ||
        ask(self, json_pack("{s:s, s:s}", "op", "tar", "direction", self->is_up ? "up" : "down"), &ops, &own) < 0) {
        fail(self, err ? err : &own);
        return;
    }
    self->is_running = true;
    if (self->is_up)
        write_pending(self);
}

static void start(struct request *request, bool is_up)
{
    static const struct agent_call_ops ops = { .on_end = handle_prepared };
    static const struct body_ops body_ops = { .on_piece = handle_piece, .on_end = handle_body_end };
    struct error err = { 0 };
    struct sandbox *sandbox = execd_sandbox(request);
    struct archive *self = sandbox ? calloc(1, sizeof *self) : NULL;
    if (!sandbox)
        return;
    if (!self) {
        error_set(&err, ERROR_INTERNAL, "out of memory");
        request_answer_error(request, &err);
        return;
    }
    *self = (struct archive){ .request = request, .sandbox = sandbox_ref(sandbox), .is_up = is_up };
    request_on_gone(request, handle_gone, self);
    json_t *op = is_up ? json_pack("{s:s, s:b}", "op", "mkdir", "parents", 1) : json_pack("{s:s}", "op", "stat");
    if (ask(self, op, &ops, &err) < 0)
        fail(self, &err);
    else if (is_up)
        body_read(request, &body_ops, self);
}

void handle_archive_get(struct request *self)
{
    start(self, false);
}

void handle_archive_put(struct request *self)
{
    start(self, true);
}
