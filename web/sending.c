/* What is read from disk goes to its caller piece by piece: a worker reads the next one when the socket has
 * room. At no time is more than a piece of it here. */
#include "web/sending.h"

#include "web/range.h"
#include "web/server.h"
#include "web/stream.h"

#include <string.h>

#define CHUNK ((int64_t)256 * 1024)

/* Bytes first to end of segments that are laid one behind the other. */
struct sending {
    struct request *request;
    enum query_kind kind;
    const char *content_type;
    struct query *query;
    struct stream *stream;
    char *dir;
    json_t *segments; /* [[number, bytes]…] */
    int64_t at, end;
    bool is_waiting;  /* for room */
};

static void sending_free(struct sending *self)
{
    query_cancel(self->query);
    json_decref(self->segments);
    free(self->dir);
    free(self);
}

static void handle_sending_gone(void *data)
{
    sending_free(data);
}

static void read_next(struct sending *self);

static void handle_room(void *data)
{
    struct sending *self = data;
    if (!self->is_waiting)
        return;
    self->is_waiting = false;
    read_next(self);
}

static void handle_chunk(void *data, struct query_answer *answer, const struct error *err)
{
    struct sending *self = data;
    self->query = NULL;
    json_decref(answer->json);
    if (err || answer->bytes->size == 0) {
        bytes_unref(answer->bytes);
        stream_cut(self->stream);
        sending_free(self);
        return;
    }
    self->at += (int64_t)answer->bytes->size;
    stream_write(self->stream, answer->bytes->data, answer->bytes->size);
    bytes_unref(answer->bytes);
    self->is_waiting = self->at < self->end && stream_is_full(self->stream);
    if (!self->is_waiting)
        read_next(self);
}

/* The segment in which self->at lies. */
static bool locate(const struct sending *self, int *ret_number, int64_t *ret_offset, int64_t *ret_left)
{
    int64_t at = self->at;
    json_t *segment;
    size_t i;
    json_array_foreach(self->segments, i, segment) {
        int64_t bytes = json_integer_value(json_array_get(segment, 1));
        if (at < bytes) {
            *ret_number = (int)json_integer_value(json_array_get(segment, 0));
            *ret_offset = at;
            *ret_left = bytes - at;
            return true;
        }
        at -= bytes;
    }
    return false;
}

static void read_next(struct sending *self)
{
    struct query_params params = { .kind = self->kind, .dir = self->dir };
    int64_t left;
    if (self->at == self->end || self->request->is_head) {
        stream_end(self->stream);
        sending_free(self);
        return;
    }
    if (locate(self, &params.segment, &params.offset, &left)) {
        params.size = MIN(MIN(left, CHUNK), self->end - self->at);
        self->query = query_start(farm_pool(self->request->web->farm), &params, handle_chunk, self);
    }
    if (!self->query) {
        stream_cut(self->stream);
        sending_free(self);
    }
}

static void begin(struct sending *self, int64_t size)
{
    static const struct stream_ops ops = { .on_room = handle_room, .on_gone = handle_sending_gone };
    struct request *request = self->request;
    int64_t first = 0, length = size;
    int range = range_parse(request->range, size, &first, &length);
    if (range == RANGE_OUTSIDE) {
        request_add_header(request, "Content-Range", "bytes */%lld", (long long)size);
        request_answer_json(request, 416, json_pack("{s:s,s:s}", "code", "bad_value", "message",
                                                    "Range: lies outside the file"));
        sending_free(self);
        return;
    }
    if (range == RANGE_PART)
        request_add_header(request, "Content-Range", "bytes %lld-%lld/%lld", (long long)first,
                           (long long)(first + length - 1), (long long)size);
    request_add_header(request, "Accept-Ranges", "bytes");
    request_add_header(request, "Cache-Control", "private, no-cache");
    self->at = first;
    self->end = first + length;
    self->stream = stream_new(request, range == RANGE_PART ? 206 : 200, self->content_type, length, &ops, self);
    if (self->stream)
        read_next(self);
    else
        sending_free(self);
}

void sending_start(struct request *request, enum query_kind kind, const char *dir, json_t *parts, const char *content_type)
{
    struct error err = { 0 };
    struct sending *self = calloc(1, sizeof *self);
    int64_t size = 0;
    json_t *part;
    size_t i;
    json_array_foreach(parts, i, part)
        size += json_integer_value(json_array_get(part, 1));
    if (self)
        *self = (struct sending){ .request = request, .kind = kind, .dir = strdup(dir), .segments = parts,
                                  .content_type = content_type };
    if (self && self->dir) {
        begin(self, size);
        return;
    }
    free(self);
    json_decref(parts);
    error_set(&err, ERROR_INTERNAL, "out of memory");
    request_answer_error(request, &err);
}
