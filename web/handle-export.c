/* Checkpoints as files: out with a length, in as pieces. */
#include "farm/export.h"
#include "web/route.h"
#include "web/server.h"
#include "web/stream.h"

#include <string.h>

#define READ_BYTES ((size_t)65536)

/* --- Out ---------------------------------------------------------------------------------------- */

struct sending {
    struct request *request;
    struct export *export; /* while it is being made */
    struct stream *stream; /* then */
    int fd;
    int64_t left;
};

static void sending_free(struct sending *self)
{
    export_cancel(self->export);
    util_close_ptr(&self->fd);
    free(self);
}

static void handle_gone(void *data)
{
    sending_free(data);
}

/* The file was just written: what is read here comes from the page cache, mostly. */
static void send_more(void *data)
{
    struct sending *self = data;
    uint8_t bytes[READ_BYTES];
    while (self->left > 0 && !stream_is_full(self->stream)) {
        ssize_t n = read(self->fd, bytes, (size_t)MIN(self->left, (int64_t)sizeof bytes));
        if (n <= 0) {
            stream_cut(self->stream);
            sending_free(self);
            return;
        }
        self->left -= n;
        stream_write(self->stream, bytes, (size_t)n);
    }
    if (self->left == 0) {
        stream_end(self->stream);
        sending_free(self);
    }
}

static void handle_exported(void *data, int fd, int64_t bytes, const struct error *err)
{
    static const struct stream_ops ops = { .on_room = send_more, .on_gone = handle_gone };
    struct sending *self = data;
    struct request *request = self->request;
    self->export = NULL;
    if (err) {
        request_answer_error(request, err);
        sending_free(self);
        return;
    }
    self->fd = fd;
    self->left = bytes;
    request_on_gone(request, NULL, NULL);
    request_add_header(request, "Content-Disposition", "attachment; filename=\"%s.deskfarm\"",
                       json_get_string(request->path_values, "id", "checkpoint"));
    self->stream = stream_new(request, 200, "application/zstd", bytes, &ops, self);
    if (self->stream)
        send_more(self);
    else
        sending_free(self);
}

void handle_checkpoint_export(struct request *request)
{
    struct error err = { 0 };
    struct sending *self = calloc(1, sizeof *self);
    if (self)
        *self = (struct sending){ .request = request, .fd = -1 };
    int r = self ? export_new(&self->export, request->web->farm, &request->who,
                              json_get_string(request->path_values, "id", ""),
                              json_get_bool(request->query, "image", true), handle_exported, self, &err)
                 : error_set(&err, ERROR_INTERNAL, "out of memory");
    if (r == 0) {
        request_on_gone(request, handle_gone, self);
        return;
    }
    request_answer_error(request, &err);
    free(self);
}

/* --- In ----------------------------------------------------------------------------------------- */

struct taking {
    struct request *request; /* NULL once the caller has gone */
    struct import *import;
};

static void handle_taker_gone(void *data)
{
    struct taking *self = data;
    import_cancel(self->import);
    free(self);
}

static void handle_piece(void *data, const uint8_t *bytes, size_t size)
{
    struct taking *self = data;
    struct error err = { 0 };
    if (import_write(self->import, bytes, size, &err) == 0)
        return;
    request_answer_error(self->request, &err);
    handle_taker_gone(self);
}

static void handle_imported(void *data, const json_t *result, const struct error *err)
{
    struct taking *self = data;
    if (err)
        request_answer_error(self->request, err);
    else
        request_answer_json(self->request, 201, json_deep_copy(result));
    free(self);
}

static void handle_end(void *data)
{
    struct taking *self = data;
    import_end(self->import, handle_imported, self);
}

void handle_checkpoint_import(struct request *request)
{
    static const struct body_ops ops = { .on_piece = handle_piece, .on_end = handle_end };
    struct error err = { 0 };
    struct taking *self = calloc(1, sizeof *self);
    int r = self ? import_new(&self->import, request->web->farm, &request->who,
                              json_get_string(request->query, "name", NULL), &err)
                 : error_set(&err, ERROR_INTERNAL, "out of memory");
    if (r < 0) {
        request_answer_error(request, &err);
        free(self);
        return;
    }
    self->request = request;
    request_on_gone(request, handle_taker_gone, self);
    body_read(request, &ops, self);
}
