/* Seeing and acting. Each operation of a sandbox runs beside its request (web/task.h).
 *
 * An answer is JSON with the image spliced in as base64, or the image's bytes with the JSON in a
 * header. Bytes are sent without a copy. */
#include "farm/sandbox.h"
#include "web/negotiate.h"
#include "web/route.h"
#include "web/server.h"
#include "web/task.h"

#include <string.h>

#define RESULT_HEADER_MAX 8192

static void add_etag(struct request *request, const struct answer *answer)
{
    if (*answer->etag)
        request_add_header(request, "ETag", "\"%s\"", answer->etag);
    request_add_header(request, "Cache-Control", "private, no-cache");
    request_add_header(request, "Vary", "Accept, Authorization, Cookie");
}

/* The rest of an answer in bytes, for callers that want it: as much as a header may carry. JSON
 * text has no line ends; anything that is not ASCII is escaped. */
static void add_result(struct request *request, json_t *body)
{
    auto_free char *text =
        json_dumps(body, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(15));
    if (text && strlen(text) <= RESULT_HEADER_MAX)
        request_add_header(request, "X-Deskfarm-Result", "%s", text);
    else
        request_add_header(request, "X-Deskfarm-Result", "{\"truncated\":true}");
}

/* The body's text, with the image's bytes as body.image.data. Writing base64 straight into the text
 * spares two copies of it and a scan for characters to escape. */
static void write_with_image(json_t *body, const struct bytes *image, struct buf *out)
{
    auto_json json_t *described = json_incref(json_object_get(body, "image"));
    json_object_del(body, "image");
    out->limit = (size_t)256 << 20;
    json_write(body, out);
    out->size--; /* the closing brace comes back below */
    buf_printf(out, "%s\"image\":", json_object_size(body) ? "," : "");
    json_write(described, out);
    out->size--;
    buf_printf(out, "%s\"data\":\"", json_object_size(described) ? "," : "");
    buf_append_base64(out, image->data, image->size);
    buf_puts(out, "\"}}\n");
}

static void answer_json(struct request *request, struct answer *answer)
{
    auto_buf struct buf text = BUF_INIT;
    if (!answer->image || !json_is_object(json_object_get(answer->body, "image"))) {
        request_answer_json(request, 200, json_incref(answer->body));
        return;
    }
    write_with_image(answer->body, answer->image, &text);
    request_answer_text(request, 200, "application/json", &text);
}

static void answer_image(struct request *request, struct answer *answer)
{
    add_result(request, answer->body);
    request_answer_bytes(request, 200, answer->content_type, bytes_ref(answer->image));
}

/* A failed batch still tells what was done before it failed. */
static void answer_failure(struct request *request, struct answer *answer)
{
    const struct error *err = &answer->err;
    if (!answer->body || json_object_size(answer->body) == 0) {
        request_answer_error(request, err);
        return;
    }
    request->has_effect = true;
    auto_json json_t *message = json_string(err->message);
    auto_json json_t *out =
        json_pack("{s:s,s:O?}", "code", error_code_name(err->code), "message", message);
    json_object_update_missing(out, answer->body);
    request_answer_json(request, error_code_status(err->code), steal_ptr(&out));
}

/* Of the picture that the request asks for, also when the answer has none. */
static const char *wanted_type(const struct request *self)
{
    const json_t *from = self->route == API_DESKTOP_SCREENSHOT
                             ? self->query
                             : json_object_get(self->body, "screenshot");
    const char *format = json_get_string(from, "format", "png");
    return strcmp(format, "jpeg") == 0   ? "image/jpeg"
           : strcmp(format, "webp") == 0 ? "image/webp"
                                         : "image/png";
}

static void answer_good(struct request *request, struct answer *answer, enum representation preset)
{
    bool is_get = request->route == API_DESKTOP_SCREENSHOT;
    enum representation wanted = negotiate(
        request->accept, answer->content_type ? answer->content_type : wanted_type(request), preset);
    add_etag(request, answer);
    if (is_get && negotiate_etag_matches(request->if_none_match, answer->etag)) {
        add_result(request, answer->body);
        request_answer_empty(request, 304);
    } else if (wanted == REPRESENT_IMAGE && answer->image) {
        answer_image(request, answer);
    } else if (wanted == REPRESENT_IMAGE && is_get && answer->is_unchanged) {
        add_result(request, answer->body);
        request_answer_empty(request, 204);
    } else {
        answer_json(request, answer);
    }
}

static void show(struct request *request, struct answer *answer, int preset)
{
    if (answer->err.is_set)
        answer_failure(request, answer);
    else
        answer_good(request, answer, (enum representation)preset);
}

/* --- Starting operations -------------------------------------------------------------------------
 */

static int start(struct request *self, enum representation preset, const json_t *params,
                 task_start_fn fn, struct error *err)
{
    if (negotiate(self->accept, wanted_type(self), preset) == REPRESENT_NONE)
        return error_set(err, ERROR_NOT_ACCEPTABLE, "this answers application/json or %s",
                         wanted_type(self));
    struct sandbox *sandbox =
        farm_find(self->web->farm, &self->who, json_get_string(self->path_values, "id", ""), err);
    return sandbox ? task_start(self, sandbox, fn, params, show, (int)preset, err) : -1;
}

static void run(struct request *self, enum representation preset, const json_t *params, task_start_fn fn)
{
    struct error err = { 0 };
    if (start(self, preset, params, fn, &err) < 0)
        request_answer_error(self, &err);
}

/* For the recording. No caller can send a field of that name. */
static void add_caller(struct request *self)
{
    if (self->body)
        json_object_set_new(self->body, "by", json_pack("{ss ss}", "key", self->who.key_id, "dialect", "deskfarm"));
}

void handle_desktop_actions(struct request *self)
{
    add_caller(self);
    run(self, REPRESENT_JSON, self->body, sandbox_act);
}

void handle_desktop_screenshot(struct request *self)
{
    run(self, REPRESENT_IMAGE, self->query, sandbox_screenshot);
}

void handle_desktop_wait(struct request *self)
{
    run(self, REPRESENT_JSON, self->body, sandbox_wait);
}

void handle_desktop_find(struct request *self)
{
    run(self, REPRESENT_JSON, self->body, sandbox_find);
}

void handle_desktop_marks(struct request *self)
{
    run(self, REPRESENT_JSON, self->body, sandbox_marks);
}

void handle_desktop_compare(struct request *self)
{
    run(self, REPRESENT_JSON, self->query, sandbox_compare);
}

void handle_desktop_resize(struct request *self)
{
    run(self, REPRESENT_JSON, self->body, sandbox_resize);
}

void handle_desktop_display(struct request *self)
{
    struct error err = { 0 };
    struct sandbox *sandbox =
        farm_find(self->web->farm, &self->who, json_get_string(self->path_values, "id", ""), &err);
    if (!sandbox)
        request_answer_error(self, &err);
    else
        request_answer_json(self, 200, sandbox_display_json(sandbox));
}
