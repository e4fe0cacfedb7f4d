/* Files of a form, up to the guest, as they come.
 *
 * Parts are taken in order, one file at a time: behind the end of one the parser waits until the
 * guest has it whole. What the agent has no credit for waits in `pending`; what the parser has
 * not seen, in `rest`. While there is either the body is paused, so each holds a piece or two. */
#include "api/table-exec.h"
#include "api/validate.h"
#include "hypervisor/agent.h"
#include "web/execd.h"
#include "web/multipart.h"
#include "web/route.h"

#include <string.h>

#define METADATA_MAX 16384

enum part { PART_OTHER, PART_METADATA, PART_FILE };

struct upload {
    struct request *request;
    struct sandbox *sandbox; /* a reference */
    struct multipart form;
    enum part part;
    struct buf metadata;
    json_t *target; /* the metadata that waits for its file */
    struct agent_call *call;
    struct buf pending, rest;
    struct error err; /* of a callback of the parser */
    bool has_eof;     /* the file's end is behind what is pending */
    bool is_over;     /* the body has ended */
    bool is_daytona;  /* in that form: a file's path alone is before it */
    int n_files;
};

static void upload_free(struct upload *self)
{
    agent_call_cancel(self->call);
    sandbox_unref(self->sandbox);
    json_decref(self->target);
    buf_deinit(&self->metadata);
    buf_deinit(&self->pending);
    buf_deinit(&self->rest);
    free(self);
}

static void handle_upload_gone(void *data)
{
    upload_free(data);
}

static void fail_upload(struct upload *self, const struct error *err)
{
    request_answer_error(self->request, err);
    upload_free(self);
}

/* --- The file that goes to the guest ------------------------------------------------------------
 */

static void write_pending(struct upload *self)
{
    size_t n = self->pending.size
                   ? agent_call_write(self->call, self->pending.data, self->pending.size)
                   : 0;
    buf_consume(&self->pending, n);
    if (self->pending.size == 0 && self->has_eof)
        agent_call_eof(self->call);
}

static void handle_writable(void *data)
{
    struct upload *self = data;
    write_pending(self);
    if (self->pending.size == 0 && self->rest.size == 0 && !self->has_eof)
        body_resume(self->request);
}

static void proceed(struct upload *self);

static void handle_written(void *data, const json_t *result maybe_unused, const struct error *err)
{
    struct upload *self = data;
    self->call = NULL;
    self->pending.size = 0;
    if (err) {
        fail_upload(self, err);
        return;
    }
    self->has_eof = false;
    self->n_files++;
    proceed(self);
}

static int open_file(struct upload *self)
{
    static const struct agent_call_ops ops = {
        .on_writable = handle_writable,
        .on_end = handle_written,
    };
    struct error *err = &self->err;
    if (!self->target)
        return error_set(err, ERROR_BAD_VALUE, "file: a part named %s belongs before it",
                         self->is_daytona ? "path" : "metadata");
    auto_json json_t *target = steal_ptr(&self->target);
    json_t *owner = json_object_get(target, "owner"), *group = json_object_get(target, "group");
    int mode = execd_mode(json_get_int(target, "mode", 0));
    if (mode < 0)
        return error_set(err, ERROR_BAD_VALUE, "metadata.mode: is not made of octal digits");
    struct agent *agent = sandbox_agent(self->sandbox, err);
    if (!agent)
        return -1;
    json_t *op = json_pack("{s:s,s:O,s:b}", "op", "write", "path", json_object_get(target, "path"),
                           "parents", 1);
    if (mode > 0)
        json_object_set_new(op, "mode", json_integer(mode));
    if (owner && *json_string_value(owner))
        json_object_set(op, "owner", owner);
    if (group && *json_string_value(group))
        json_object_set(op, "group_owner", group);
    self->call = agent_call_new(agent, op, &ops, self, 0);
    return self->call ? 0 : error_set(err, ERROR_BUSY, "too much is running in this guest");
}

/* --- The parts of the form ----------------------------------------------------------------------
 */

static int handle_part(void *data, const char *name)
{
    struct upload *self = data;
    /* Daytona's are "files[0].path" and "files[0].file". */
    const char *dot = self->is_daytona ? strrchr(name, '.') : NULL;
    const char *what = dot ? dot + 1 : name;
    const char *before = self->is_daytona ? "path" : "metadata";
    self->part = strcmp(what, before) == 0   ? PART_METADATA
                 : strcmp(what, "file") == 0 ? PART_FILE
                                             : PART_OTHER;
    self->metadata.size = 0;
    return self->part == PART_FILE ? open_file(self) : 0;
}

static int handle_part_data(void *data, const uint8_t *bytes, size_t size)
{
    struct upload *self = data;
    if (self->part == PART_METADATA && self->metadata.size + size > METADATA_MAX)
        return error_set(&self->err, ERROR_TOO_LARGE, "metadata: is larger than %d bytes",
                         METADATA_MAX);
    if (self->part == PART_METADATA)
        return buf_append(&self->metadata, bytes, size);
    if (self->part != PART_FILE)
        return 0;
    size_t n = self->pending.size ? 0 : agent_call_write(self->call, bytes, size);
    return buf_append(&self->pending, bytes + n, size - n);
}

/* Not every client of this protocol leaves out what it has no value for. */
static void drop_nulls(json_t *object)
{
    const char *name;
    json_t *value;
    void *next;
    json_object_foreach_safe (object, next, name, value) {
        if (json_is_null(value))
            json_object_del(object, name);
    }
}

static int take_path(struct upload *self)
{
    json_t *path = json_stringn(self->metadata.size ? (const char *)self->metadata.data : "",
                                self->metadata.size);
    self->target = path ? json_pack("{s:o}", "path", path) : NULL;
    return self->target ? 0 : error_set(&self->err, ERROR_BAD_VALUE, "path: is not UTF-8");
}

static int take_metadata(struct upload *self)
{
    struct api_operation row = { .flags = API_OPENSANDBOX, .body = api_exec_upload[0].fields };
    int ignored = 0;
    json_decref(self->target);
    self->target = NULL;
    if (self->is_daytona)
        return take_path(self);
    if (json_parse_object((const char *)self->metadata.data, self->metadata.size, &self->target,
                          &self->err) < 0) {
        error_wrap(&self->err, "metadata");
        return -1;
    }
    drop_nulls(self->target);
    if (api_check_body(&row, self->target, &ignored, &self->err) < 0) {
        error_wrap(&self->err, "metadata");
        return -1;
    }
    return 0;
}

/* Behind a file: 1, until the guest has it. */
static int handle_part_end(void *data)
{
    struct upload *self = data;
    if (self->part == PART_METADATA)
        return take_metadata(self);
    if (self->part != PART_FILE)
        return 0;
    self->has_eof = true;
    write_pending(self);
    return 1;
}

/* --- The whole ----------------------------------------------------------------------------------
 */

static void end_upload(struct upload *self)
{
    if (!multipart_is_complete(&self->form))
        error_set(&self->err, ERROR_BAD_VALUE, "the form ends before its last boundary");
    else if (self->n_files == 0 || self->target)
        error_set(&self->err, ERROR_BAD_VALUE, "the form has no part named file%s",
                  self->target ? " behind the last metadata" : "");
    if (self->err.is_set) {
        fail_upload(self, &self->err);
        return;
    }
    request_answer_empty(self->request, 200);
    upload_free(self);
}

/* Parses what waits, as far as it goes. */
static void proceed(struct upload *self)
{
    ssize_t used = multipart_feed(&self->form, self->rest.data, self->rest.size);
    if (used < 0) {
        if (!self->err.is_set)
            error_set(&self->err, ERROR_BAD_VALUE, "the body is no multipart/form-data");
        fail_upload(self, &self->err);
        return;
    }
    buf_consume(&self->rest, (size_t)used);
    bool is_busy = self->pending.size > 0 || self->has_eof;
    if (is_busy)
        body_pause(self->request);
    else if (self->is_over)
        end_upload(self);
    else
        body_resume(self->request);
}

static void handle_piece(void *data, const uint8_t *bytes, size_t size)
{
    struct upload *self = data;
    buf_append(&self->rest, bytes, size);
    if (!self->has_eof)
        proceed(self);
}

static void handle_body_end(void *data)
{
    struct upload *self = data;
    self->is_over = true;
    if (self->pending.size == 0 && !self->has_eof)
        end_upload(self);
}

void handle_daytona_upload(struct request *self)
{
    handle_file_upload(self);
}

void handle_file_upload(struct request *self)
{
    static const struct multipart_ops form_ops = {
        .on_part = handle_part,
        .on_data = handle_part_data,
        .on_part_end = handle_part_end,
    };
    static const struct body_ops body_ops = { .on_piece = handle_piece, .on_end = handle_body_end };
    struct error err = { 0 };
    struct sandbox *sandbox = execd_sandbox(self);
    if (!sandbox)
        return;
    struct upload *upload = calloc(1, sizeof *upload);
    if (!upload)
        error_set(&err, ERROR_INTERNAL, "out of memory");
    else if (multipart_init(&upload->form, self->content_type, &form_ops, upload) < 0)
        error_set(&err, ERROR_BAD_VALUE, "Content-Type: multipart/form-data needs a boundary");
    if (err.is_set) {
        free(upload);
        request_answer_error(self, &err);
        return;
    }
    upload->request = self;
    upload->is_daytona = self->route == API_DAYTONA_UPLOAD;
    upload->sandbox = sandbox_ref(sandbox);
    request_on_gone(self, handle_upload_gone, upload);
    body_read(self, &body_ops, upload);
}
