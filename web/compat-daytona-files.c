/* Daytona's files on the agent's own operations; bytes come up through the form of web/handle-upload.c
 * and go down here: a form whose parts are the files that were asked for, one after the other, each
 * read from the guest as the caller's socket takes it. A file that cannot be read is a part of its
 * own, named "error", and the others still come. */
#include "web/compat-daytona.h"

#include "base/clock.h"
#include "base/id.h"
#include "hypervisor/agent.h"
#include "web/execd.h"
#include "web/inside.h"
#include "web/route.h"
#include "web/server.h"
#include "web/stream.h"

#include <stdio.h>
#include <string.h>

#define ENTRIES_MAX 10000

/* --- What is there ---------------------------------------------------------------------------- */

static json_t *name_or_id(const json_t *entry, const char *name, const char *id)
{
    json_t *text = json_object_get(entry, name);
    return json_is_string(text) ? json_incref(text)
                                : json_sprintf("%lld", (long long)json_get_int(entry, id, 0));
}

/* "-rw-r--r--" of the bits. */
static void write_mode(const char *type, int64_t mode, char out[11])
{
    static const char letters[] = "rwxrwxrwx";
    out[0] = strcmp(type, "directory") == 0 ? 'd' : strcmp(type, "link") == 0 ? 'L' : '-';
    for (int i = 0; i < 9; i++)
        out[i + 1] = mode >> (8 - i) & 1 ? letters[i] : '-';
    out[10] = 0;
}

static json_t *file_json(const json_t *entry)
{
    char modified[CLOCK_RFC3339_MAX], mode[11], digits[8];
    const char *path = json_get_string(entry, "path", ""), *slash = strrchr(path, '/');
    const char *type = json_get_string(entry, "type", "");
    int64_t bits = json_get_int(entry, "mode", 0);
    clock_format(json_get_int(entry, "mtime_us", 0), modified);
    write_mode(type, bits, mode);
    snprintf(digits, sizeof digits, "%04o", (unsigned)(bits & 07777));
    return json_pack("{s:s,s:s,s:b,s:I,s:s,s:s,s:s,s:s,s:o,s:o}", "name", slash ? slash + 1 : path,
                     "path", path, "isDir", strcmp(type, "directory") == 0, "size",
                     (json_int_t)json_get_int(entry, "size", 0), "modTime", modified, "modifiedAt",
                     modified, "mode", mode, "permissions", digits, "owner",
                     name_or_id(entry, "owner", "uid"), "group", name_or_id(entry, "group", "gid"));
}

static void show_file(struct request *request, const json_t *result)
{
    request_answer_json(request, 200, file_json(result));
}

void handle_daytona_file_info(struct request *request)
{
    inside_ask(request,
               json_pack("{s:s,s:O,s:b}", "op", "stat", "path",
                         json_object_get(request->query, "path"), "follow", 1),
               0, show_file);
}

static json_t *next_list(struct inside_steps *self)
{
    const json_t *query = self->request->query;
    if (self->index > 0)
        return NULL;
    return json_pack("{s:s,s:s,s:I,s:i}", "op", "list", "path", json_get_string(query, "path", "."),
                     "depth", (json_int_t)json_get_int(query, "depth", 1), "limit", ENTRIES_MAX);
}

static int add_entry(struct inside_steps *self, json_t *entry, struct error *err maybe_unused)
{
    return json_array_append_new(self->result, file_json(entry));
}

static int end_list(struct inside_steps *self, const json_t *result, struct error *err)
{
    self->index++;
    return json_get_bool(result, "truncated", false)
               ? error_set(err, ERROR_TOO_LARGE, "there are more than %d files", ENTRIES_MAX)
               : 0;
}

static void answer_list(struct inside_steps *self)
{
    request_answer_json(self->request, 200, json_incref(self->result));
}

void handle_daytona_file_list(struct request *request)
{
    static const struct inside_steps_ops ops = {
        .next = next_list, .done = end_list, .line = add_entry, .answer = answer_list
    };
    inside_run(request, &ops, json_array(), json_array());
}

/* --- What changes ----------------------------------------------------------------------------- */

static void show_done(struct request *request, const json_t *result maybe_unused)
{
    request_answer_json(request, 200, json_object());
}

/* Modes come as the text of octal digits. */
static int read_mode(const struct request *request, int preset, struct error *err)
{
    const char *text = json_get_string(request->query, "mode", "");
    if (!*text)
        return preset;
    int mode = text[strspn(text, "01234567")] ? -1 : (int)strtol(text, NULL, 8);
    return mode >= 0 && mode <= 07777
               ? mode
               : error_set(err, ERROR_BAD_VALUE, "mode: is not made of octal digits");
}

void handle_daytona_folder(struct request *request)
{
    struct error err = { 0 };
    int mode = read_mode(request, 0755, &err);
    if (mode < 0)
        request_answer_error(request, &err);
    else
        inside_ask(request,
                   json_pack("{s:s,s:O,s:i,s:b}", "op", "mkdir", "path",
                             json_object_get(request->query, "path"), "mode", mode, "parents", 1),
                   0, show_done);
}

void handle_daytona_file_delete(struct request *request)
{
    inside_ask(request,
               json_pack("{s:s,s:O,s:b}", "op", "remove", "path",
                         json_object_get(request->query, "path"), "recursive",
                         json_get_bool(request->query, "recursive", false)),
               0, show_done);
}

void handle_daytona_file_move(struct request *request)
{
    inside_ask(request,
               json_pack("{s:s,s:O,s:O,s:b}", "op", "move", "from",
                         json_object_get(request->query, "source"), "to",
                         json_object_get(request->query, "destination"), "overwrite", 1),
               0, show_done);
}

void handle_daytona_file_permissions(struct request *request)
{
    struct error err = { 0 };
    const json_t *query = request->query;
    int mode = read_mode(request, 0, &err);
    if (mode < 0) {
        request_answer_error(request, &err);
        return;
    }
    json_t *op =
        json_pack("{s:s,s:O}", "op", "permissions", "path", json_object_get(query, "path"));
    if (json_object_get(query, "mode"))
        json_object_set_new(op, "mode", json_integer(mode));
    if (json_object_get(query, "owner"))
        json_object_set(op, "owner", json_object_get(query, "owner"));
    if (json_object_get(query, "group"))
        json_object_set(op, "group_owner", json_object_get(query, "group"));
    inside_ask(request, op, 0, show_done);
}

/* --- Bytes down ------------------------------------------------------------------------------- */

struct download {
    struct request *request;
    struct sandbox *sandbox; /* a reference */
    struct stream *stream;
    struct agent_call *call;
    struct defer *defer; /* the next file: never inside the end of the one before */
    json_t *paths;
    size_t index, owed;
    bool has_part; /* the file's part has begun */
    char boundary[ID_MAX];
};

static void download_free(struct download *self)
{
    agent_call_cancel(self->call);
    defer_free(self->defer);
    sandbox_unref(self->sandbox);
    json_decref(self->paths);
    free(self);
}

static const char *current_path(const struct download *self)
{
    return json_string_value(json_array_get(self->paths, self->index));
}

/* A path that is not plain goes in the form of RFC 5987, which is what their readers understand. */
static void append_name(struct buf *out, const char *text)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/";
    if (!text[strspn(text, plain)]) {
        buf_printf(out, "filename=\"%s\"", text);
        return;
    }
    buf_puts(out, "filename*=utf-8''");
    for (; *text; text++) {
        if (*text != '/' && strchr(plain, *text))
            buf_append(out, text, 1);
        else
            buf_printf(out, "%%%02X", (unsigned char)*text);
    }
}

static void begin_part(struct download *self, const char *name, const char *type)
{
    struct buf *out = stream_begin_piece(self->stream);
    buf_printf(out, "\r\n--%s\r\nContent-Disposition: form-data; name=\"%s\"; ", self->boundary,
               name);
    append_name(out, current_path(self));
    buf_printf(out, "\r\nContent-Type: %s\r\n\r\n", type);
    stream_end_piece(self->stream);
    self->has_part = true;
}

static void add_failure(struct download *self, const struct error *err)
{
    auto_json json_t *text = daytona_error_json(self->request, err);
    if (err->code == ERROR_NOT_FOUND)
        json_object_set_new(text, "code", json_string("FILE_NOT_FOUND"));
    else if (err->code == ERROR_FORBIDDEN)
        json_object_set_new(text, "code", json_string("FILE_ACCESS_DENIED"));
    begin_part(self, "error", "application/json");
    struct buf *out = stream_begin_piece(self->stream);
    json_write(text, out);
    stream_end_piece(self->stream);
}

static void give_back(void *data)
{
    struct download *self = data;
    if (self->call && self->owed)
        agent_call_consumed(self->call, self->owed);
    self->owed = 0;
}

static void handle_data(void *data, enum agent_stream stream maybe_unused, const uint8_t *bytes,
                        size_t size)
{
    struct download *self = data;
    if (!self->has_part)
        begin_part(self, "file", "application/octet-stream");
    self->owed += size;
    stream_write(self->stream, bytes, size);
    if (!stream_is_full(self->stream))
        give_back(self);
}

/* A file that breaks off in the middle cannot be told as an error any more. */
static void handle_end(void *data, const json_t *result maybe_unused, const struct error *err)
{
    struct download *self = data;
    self->call = NULL;
    self->owed = 0;
    if (err && self->has_part) {
        stream_cut(self->stream);
        download_free(self);
        return;
    }
    if (err)
        add_failure(self, err);
    else if (!self->has_part)
        begin_part(self, "file", "application/octet-stream");
    self->index++;
    defer_request(self->defer);
}

static void end_form(struct download *self)
{
    buf_printf(stream_begin_piece(self->stream), "\r\n--%s--\r\n", self->boundary);
    stream_end_piece(self->stream);
    stream_end(self->stream);
    download_free(self);
}

static void read_next(void *data)
{
    static const struct agent_call_ops ops = { .on_data = handle_data, .on_end = handle_end };
    struct download *self = data;
    struct error err = { 0 };
    self->has_part = false;
    if (self->index == json_array_size(self->paths)) {
        end_form(self);
        return;
    }
    struct agent *agent = sandbox_agent(self->sandbox, &err);
    if (agent)
        self->call = agent_call_new(
            agent, json_pack("{s:s,s:s}", "op", "read", "path", current_path(self)), &ops, self, 0);
    if (self->call)
        return;
    if (!err.is_set)
        error_set(&err, ERROR_BUSY, "too much is running in this guest");
    add_failure(self, &err);
    self->index++;
    defer_request(self->defer);
}

static void handle_gone(void *data)
{
    download_free(data);
}

void handle_daytona_download(struct request *request)
{
    static const struct stream_ops ops = { .on_room = give_back, .on_gone = handle_gone };
    struct error err = { 0 };
    char type[64 + ID_MAX];
    struct sandbox *sandbox = daytona_find(request, &err);
    struct agent *agent = sandbox ? sandbox_agent(sandbox, &err) : NULL;
    struct download *self = agent ? calloc(1, sizeof *self) : NULL;
    if (self)
        self->defer = defer_new(request->web->loop, read_next, self);
    if (!self || !self->defer) {
        if (!err.is_set)
            error_set(&err, ERROR_INTERNAL, "out of memory");
        free(self);
        request_answer_error(request, &err);
        return;
    }
    self->request = request;
    self->sandbox = sandbox_ref(sandbox);
    self->paths = json_incref(json_object_get(request->body, "paths"));
    id_new("form", self->boundary);
    snprintf(type, sizeof type, "multipart/form-data; boundary=%s", self->boundary);
    self->stream = stream_new(request, 200, type, -1, &ops, self);
    if (self->stream)
        defer_request(self->defer);
    else
        download_free(self);
}
