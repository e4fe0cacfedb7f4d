/* A file of the guest, down to the caller, as it comes: at no time is more of it here than a
 * window of the agent's channel and what the caller's socket has not taken.
 *
 * First the file is described, then it is read. The answer begins with the first byte, so that a
 * file which may not be read is an error and not half an answer. */
#include "hypervisor/agent.h"
#include "web/execd.h"
#include "web/range.h"
#include "web/route.h"
#include "web/server.h"
#include "web/stream.h"

#include <string.h>

struct download {
    struct request *request;
    struct sandbox *sandbox; /* a reference */
    struct agent_call *call;
    struct stream *stream; /* NULL: not begun */
    int64_t size;          /* of the file; -1: it cannot be known before */
    int64_t first, length; /* what is read of it; length -1: all there is */
    bool is_part;
    bool takes_lines;          /* instead of bytes: */
    int64_t skip, left;        /* lines to drop, then to send */
    int64_t received;
    size_t owed;
};

static void download_free(struct download *self)
{
    agent_call_cancel(self->call);
    sandbox_unref(self->sandbox);
    free(self);
}

static void handle_download_gone(void *data)
{
    download_free(data);
}

static void give_back(void *data)
{
    struct download *self = data;
    if (self->call && self->owed)
        agent_call_consumed(self->call, self->owed);
    self->owed = 0;
}

static void add_disposition(struct request *request)
{
    const char *path = json_get_string(request->query, "path", "");
    const char *slash = strrchr(path, '/');
    char name[128];
    size_t n = 0;
    for (const char *at = slash ? slash + 1 : path; *at && n < sizeof name - 1; at++)
        name[n++] = *at > ' ' && *at < 127 && !strchr("\"\\%;", *at) ? *at : '_';
    name[n] = 0;
    request_add_header(request, "Content-Disposition", "attachment; filename=\"%s\"", name);
}

/* length: of what will be written, -1 unknown. */
static int begin_download(struct download *self, int64_t length)
{
    static const struct stream_ops ops = { .on_room = give_back, .on_gone = handle_download_gone };
    struct request *request = self->request;
    if (self->stream)
        return 0;
    if (self->is_part)
        request_add_header(request, "Content-Range", "bytes %lld-%lld/%lld",
                           (long long)self->first, (long long)(self->first + self->length - 1),
                           (long long)self->size);
    if (!self->takes_lines) {
        request_add_header(request, "Accept-Ranges", "bytes");
        add_disposition(request);
    }
    self->stream = stream_new(
        request, self->is_part ? 206 : 200,
        self->takes_lines ? "text/plain; charset=utf-8" : "application/octet-stream", length, &ops,
        self);
    return self->stream ? 0 : -1;
}

static void fail_download(struct download *self, const struct error *err)
{
    if (self->stream)
        stream_cut(self->stream);
    else
        request_answer_error(self->request, err);
    download_free(self);
}

static void end_download(struct download *self)
{
    /* A file that grew after it was described is sent as it was. */
    if (begin_download(self, self->length < 0 ? 0 : self->length) == 0)
        stream_end(self->stream);
    download_free(self);
}

/* The bytes of the wanted lines among these. */
static const uint8_t *cut_lines(struct download *self, const uint8_t *bytes, size_t *size)
{
    const uint8_t *end = bytes + *size;
    while (self->skip > 0 && bytes < end) {
        const uint8_t *stop = memchr(bytes, '\n', (size_t)(end - bytes));
        self->skip -= stop != NULL;
        bytes = stop ? stop + 1 : end;
    }
    const uint8_t *at = bytes;
    while (self->left > 0 && at < end) {
        const uint8_t *stop = memchr(at, '\n', (size_t)(end - at));
        self->left -= stop != NULL;
        at = stop ? stop + 1 : end;
    }
    *size = (size_t)(at - bytes);
    return bytes;
}

static void handle_file_data(void *data, enum agent_stream stream maybe_unused,
                             const uint8_t *bytes, size_t size)
{
    struct download *self = data;
    if (self->length >= 0 && self->received >= self->length) {
        end_download(self); /* a guest that does not stop where it was told to */
        return;
    }
    self->owed += size;
    self->received += (int64_t)size;
    if (self->takes_lines)
        bytes = cut_lines(self, bytes, &size);
    if (size > 0 && begin_download(self, self->takes_lines ? -1 : self->length) < 0) {
        download_free(self);
        return;
    }
    if (size > 0)
        stream_write(self->stream, bytes, size);
    if (self->takes_lines && self->left == 0)
        end_download(self);
    else if (!self->stream || !stream_is_full(self->stream))
        give_back(self);
}

static void handle_file_end(void *data, const json_t *result maybe_unused, const struct error *err)
{
    struct download *self = data;
    self->call = NULL;
    if (err)
        fail_download(self, err);
    else
        end_download(self);
}

static int read_file(struct download *self, struct error *err)
{
    static const struct agent_call_ops ops = {
        .on_data = handle_file_data,
        .on_end = handle_file_end,
    };
    struct agent *agent = sandbox_agent(self->sandbox, err);
    if (!agent)
        return -1;
    json_t *op = json_pack("{s:s,s:O,s:I}", "op", "read", "path",
                           json_object_get(self->request->query, "path"), "offset",
                           (json_int_t)self->first);
    if (self->length >= 0)
        json_object_set_new(op, "length", json_integer(self->length));
    self->call = agent_call_new(agent, op, &ops, self, 0);
    return self->call ? 0 : error_set(err, ERROR_BUSY, "too much is running in this guest");
}

/* What is sent of a file that is so large. 416 answers the request. */
static int choose_range(struct download *self)
{
    struct request *request = self->request;
    if (self->size < 0 || self->takes_lines)
        return 0;
    self->length = self->size;
    switch (range_parse(request->range, self->size, &self->first, &self->length)) {
    case RANGE_PART: self->is_part = true; return 0;
    case RANGE_OUTSIDE:
        request_add_header(request, "Content-Range", "bytes */%lld", (long long)self->size);
        request_answer_json(request, 416,
                            json_pack("{s:s,s:s}", "code", "bad_value", "message",
                                      "Range: lies outside the file"));
        return -1;
    default: return 0;
    }
}

static void handle_described(void *data, const json_t *result, const struct error *err)
{
    struct download *self = data;
    struct error own = { 0 };
    self->call = NULL;
    if (err) {
        fail_download(self, err);
        return;
    }
    const char *type = json_get_string(result, "type", "");
    if (strcmp(type, "directory") == 0) {
        error_set(&own, ERROR_BAD_VALUE, "path: is a directory");
        fail_download(self, &own);
        return;
    }
    /* Files of /proc and the like have no size before they are read. */
    int64_t size = json_get_int(result, "size", 0);
    self->size = strcmp(type, "file") == 0 && size > 0 ? size : -1;
    if (choose_range(self) < 0) {
        download_free(self);
        return;
    }
    if (self->request->is_head)
        end_download(self);
    else if (read_file(self, &own) < 0)
        fail_download(self, &own);
}

static int start_download(struct download *self, struct error *err)
{
    static const struct agent_call_ops ops = { .on_end = handle_described };
    const json_t *query = self->request->query;
    self->takes_lines = json_object_get(query, "offset") || json_object_get(query, "limit");
    self->skip = json_get_int(query, "offset", 1) - 1;
    self->left = json_get_int(query, "limit", INT64_MAX);
    if (self->takes_lines && *self->request->range)
        return error_set(err, ERROR_BAD_VALUE, "offset: give either lines or a Range");
    struct agent *agent = sandbox_agent(self->sandbox, err);
    if (!agent)
        return -1;
    self->call = agent_call_new(
        agent, json_pack("{s:s,s:O}", "op", "stat", "path", json_object_get(query, "path")), &ops,
        self, 0);
    return self->call ? 0 : error_set(err, ERROR_BUSY, "too much is running in this guest");
}

void handle_file_download(struct request *self)
{
    struct error err = { 0 };
    struct sandbox *sandbox = execd_sandbox(self);
    if (!sandbox)
        return;
    struct download *download = calloc(1, sizeof *download);
    if (!download) {
        error_set(&err, ERROR_INTERNAL, "out of memory");
        request_answer_error(self, &err);
        return;
    }
    *download = (struct download){
        .request = self, .sandbox = sandbox_ref(sandbox), .size = -1, .length = -1
    };
    request_on_gone(self, handle_download_gone, download);
    if (start_download(download, &err) < 0)
        fail_download(download, &err);
}
