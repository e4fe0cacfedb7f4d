/* Recordings: looking, reading, marking. What is read from disk is read by workers (replay/query.h). */
#include "base/clock.h"
#include "farm/recording.h"
#include "replay/query.h"
#include "web/exports.h"
#include "web/route.h"
#include "web/sending.h"
#include "web/server.h"

#include <string.h>

#define SEARCHED_MAX 1000 /* recordings */

static const char *id_of(const struct request *request)
{
    return json_get_string(request->path_values, "id", "");
}

/* --- What the farm knows ---------------------------------------------------------------------- */

static int read_time(const json_t *query, const char *name, int64_t *ret, struct error *err)
{
    const char *text = json_get_string(query, name, NULL);
    *ret = 0;
    if (text && clock_parse(text, ret) < 0)
        return error_set(err, ERROR_BAD_VALUE, "%s: \"%.40s\" is no time such as 2026-01-02T03:04:05Z", name, text);
    return 0;
}

void handle_recording_list(struct request *self)
{
    struct error err = { 0 };
    const json_t *query = self->query;
    struct recording_filter filter = {
        .sandbox = json_get_string(query, "sandbox", NULL),
        .image = json_get_string(query, "image", NULL),
        .state = json_get_string(query, "state", NULL),
        .metadata = json_object_get(query, "metadata"),
        .page = (int)json_get_int(query, "page", 1),
        .page_size = (int)json_get_int(query, "pageSize", 20),
    };
    if (read_time(query, "since", &filter.since_us, &err) < 0 || read_time(query, "until", &filter.until_us, &err) < 0)
        request_answer_error(self, &err);
    else
        request_answer_json(self, 200, farm_recordings(self->web->farm, &self->who, &filter));
}

void handle_recording_get(struct request *self)
{
    struct error err = { 0 };
    json_t *body = farm_recording(self->web->farm, &self->who, id_of(self), &err);
    if (body)
        request_answer_json(self, 200, body);
    else
        request_answer_error(self, &err);
}

void handle_recording_delete(struct request *self)
{
    struct error err = { 0 };
    if (farm_recording_delete(self->web->farm, &self->who, id_of(self), &err) < 0)
        request_answer_error(self, &err);
    else
        request_answer_empty(self, 204);
}

/* --- Questions -------------------------------------------------------------------------------- */

struct ask {
    struct request *request;
    struct query *query;
};

static void handle_gone(void *data)
{
    struct ask *self = data;
    query_cancel(self->query);
    free(self);
}

static void answer_frame(struct request *request, struct query_answer *answer)
{
    auto_free char *text = json_dumps(answer->json, JSON_COMPACT | JSON_ENSURE_ASCII);
    if (text)
        request_add_header(request, "X-Deskfarm-Result", "%s", text);
    /* A frame never changes; at a time another may still come. */
    request_add_header(request, "Cache-Control", json_get_bool(answer->json, "exact", false) &&
                                                         json_object_get(request->query, "frame")
                                                     ? "private, max-age=86400"
                                                     : "private, no-cache");
    request_add_header(request, "Vary", "Accept, Authorization, Cookie");
    request_answer_bytes(request, 200, answer->content_type, steal_ptr(&answer->bytes));
}

static void handle_answer(void *data, struct query_answer *answer, const struct error *err)
{
    struct ask *self = data;
    struct request *request = self->request;
    free(self);
    if (err)
        request_answer_error(request, err);
    else if (answer->bytes)
        answer_frame(request, answer);
    else
        request_answer_json(request, 200, json_incref(answer->json));
    json_decref(answer->json);
    bytes_unref(answer->bytes);
}

static void start_query(struct request *request, const struct query_params *params)
{
    struct error err = { 0 };
    struct ask *self = calloc(1, sizeof *self);
    if (self)
        self->query = query_start(farm_pool(request->web->farm), params, handle_answer, self);
    if (!self || !self->query) {
        free(self);
        error_set(&err, ERROR_INTERNAL, "out of memory");
        request_answer_error(request, &err);
        return;
    }
    self->request = request;
    request_on_gone(request, handle_gone, self);
}

static void ask(struct request *request, enum query_kind kind)
{
    struct error err = { 0 };
    auto_free char *dir = farm_recording_dir(request->web->farm, &request->who, id_of(request), &err);
    if (!dir) {
        request_answer_error(request, &err);
        return;
    }
    start_query(request, &(struct query_params){ .kind = kind, .dir = dir, .options = request->query });
}

void handle_recording_index(struct request *self)
{
    ask(self, QUERY_INDEX);
}

void handle_recording_actions(struct request *self)
{
    ask(self, QUERY_NOTES);
}

void handle_recording_frame(struct request *self)
{
    struct error err = { 0 };
    int n = !!json_object_get(self->query, "frame") + !!json_object_get(self->query, "time_us") +
            !!json_object_get(self->query, "at_ms");
    if (n == 1) {
        ask(self, QUERY_FRAME);
        return;
    }
    error_set(&err, n ? ERROR_BAD_VALUE : ERROR_MISSING_FIELD, "frame: give one of frame, time_us and at_ms");
    request_answer_error(self, &err);
}

void handle_recording_search(struct request *self)
{
    struct recording_filter filter = { .page = 1, .page_size = SEARCHED_MAX };
    auto_json json_t *list = farm_recordings(self->web->farm, &self->who, &filter);
    auto_json json_t *dirs = json_object();
    json_t *item;
    size_t i;
    json_array_foreach(json_object_get(list, "items"), i, item) {
        const char *id = json_get_string(item, "id", "");
        auto_free char *dir = farm_recording_dir(self->web->farm, &self->who, id, NULL);
        if (dir)
            json_object_set_new(dirs, id, json_string(dir));
    }
    start_query(self, &(struct query_params){ .kind = QUERY_SEARCH, .dirs = dirs, .options = self->query });
}

/* --- Marks ------------------------------------------------------------------------------------ */

struct marking {
    struct request *request; /* NULL: the caller has gone */
};

static void handle_marker_gone(void *data)
{
    ((struct marking *)data)->request = NULL;
}

static void handle_marked(void *data, const json_t *result, const struct error *err)
{
    struct marking *self = data;
    if (self->request && err)
        request_answer_error(self->request, err);
    else if (self->request)
        request_answer_json(self->request, 201, json_deep_copy(result));
    free(self);
}

void handle_recording_mark(struct request *request)
{
    struct error err = { 0 };
    struct marking *self = calloc(1, sizeof *self);
    int r = self ? farm_recording_mark(request->web->farm, &request->who, id_of(request), request->body,
                                       handle_marked, self, &err)
                 : error_set(&err, ERROR_INTERNAL, "out of memory");
    if (r < 0) {
        free(self);
        request_answer_error(request, &err);
        return;
    }
    self->request = request;
    request_on_gone(request, handle_marker_gone, self);
}

/* --- The stream ------------------------------------------------------------------------------- */

struct opening {
    struct request *request;
    struct query *query;
    char *dir;
};

static void opening_free(struct opening *self)
{
    query_cancel(self->query);
    free(self->dir);
    free(self);
}

static void handle_opener_gone(void *data)
{
    opening_free(data);
}

static void handle_segments(void *data, struct query_answer *answer, const struct error *err)
{
    struct opening *self = data;
    struct request *request = self->request;
    struct error none = { 0 };
    int wanted = (int)json_get_int(request->query, "segment", 0);
    json_t *segment, *parts = json_array();
    size_t i;
    self->query = NULL;
    json_array_foreach(answer->json, i, segment)
        if (!wanted || json_integer_value(json_array_get(segment, 0)) == wanted)
            json_array_append(parts, segment);
    json_decref(answer->json);
    if (!err && json_array_size(parts) == 0) {
        error_set(&none, ERROR_NOT_FOUND, "the recording has no segment %d, or not any more", wanted);
        err = &none;
    }
    if (err) {
        json_decref(parts);
        request_answer_error(request, err);
    } else {
        sending_start(request, QUERY_READ, self->dir, parts, "application/octet-stream");
    }
    opening_free(self);
}

void handle_recording_stream(struct request *request)
{
    struct error err = { 0 };
    struct opening *self = calloc(1, sizeof *self);
    if (self) {
        self->request = request;
        self->dir = farm_recording_dir(request->web->farm, &request->who, id_of(request), &err);
    }
    if (self && self->dir)
        self->query = query_start(farm_pool(request->web->farm),
                                  &(struct query_params){ .kind = QUERY_SEGMENTS, .dir = self->dir },
                                  handle_segments, self);
    if (!self || !self->query) {
        if (!err.is_set)
            error_set(&err, ERROR_INTERNAL, "out of memory");
        if (self)
            opening_free(self);
        request_answer_error(request, &err);
        return;
    }
    request_on_gone(request, handle_opener_gone, self);
}

/* --- Exports ---------------------------------------------------------------------------------- */

void handle_recording_export(struct request *request)
{
    struct error err = { 0 };
    struct web *web = request->web;
    enum export_format format = EXPORT_MP4;
    export_format_parse(json_get_string(request->body, "format", "mp4"), &format);
    auto_free char *dir = farm_recording_dir(web->farm, &request->who, id_of(request), &err);
    struct export_job *job = NULL;
    if (dir && !web->exports)
        error_set(&err, ERROR_UNSUPPORTED, "this daemon has no folder for exports");
    else if (dir)
        job = exports_start(web->exports, &request->who, id_of(request), dir, format,
                            json_get_bool(request->body, "overlay", false), &err);
    if (job)
        request_answer_json(request, 201, export_job_json(job));
    else
        request_answer_error(request, &err);
}

void handle_recording_rerun(struct request *request)
{
    struct error err = { 0 };
    struct rerun *rerun = rerun_start(request->web->reruns, &request->who, id_of(request), request->body, &err);
    if (rerun)
        request_answer_json(request, 201, rerun_json(rerun));
    else
        request_answer_error(request, &err);
}

static struct rerun *find_rerun(struct request *request)
{
    struct error err = { 0 };
    struct rerun *rerun = rerun_find(request->web->reruns, &request->who, id_of(request), &err);
    if (!rerun)
        request_answer_error(request, &err);
    return rerun;
}

void handle_rerun_get(struct request *request)
{
    struct rerun *rerun = find_rerun(request);
    if (rerun)
        request_answer_json(request, 200, rerun_json(rerun));
}

void handle_rerun_delete(struct request *request)
{
    struct rerun *rerun = find_rerun(request);
    if (!rerun)
        return;
    rerun_delete(rerun);
    request_answer_empty(request, 204);
}

static struct export_job *find_export(struct request *request)
{
    struct error err = { 0 };
    struct export_job *job = request->web->exports
                                 ? exports_find(request->web->exports, &request->who, id_of(request), &err)
                                 : NULL;
    if (!job)
        request_answer_error(request, &err);
    return job;
}

void handle_export_get(struct request *request)
{
    struct export_job *job = find_export(request);
    if (job)
        request_answer_json(request, 200, export_job_json(job));
}

void handle_export_delete(struct request *request)
{
    struct export_job *job = find_export(request);
    if (!job)
        return;
    export_job_delete(job);
    request_answer_empty(request, 204);
}

void handle_export_file(struct request *request)
{
    struct error err = { 0 };
    struct export_job *job = find_export(request);
    const char *path, *mime;
    char name[96];
    int64_t bytes;
    if (job && export_job_file(job, &path, name, &mime, &bytes)) {
        request_add_header(request, "Content-Disposition", "attachment; filename=\"%s\"", name);
        sending_start(request, QUERY_FILE, path, json_pack("[[iI]]", 0, (json_int_t)bytes), mime);
    } else if (job) {
        error_set(&err, ERROR_CONFLICT, "export %s is not done", id_of(request));
        request_answer_error(request, &err);
    }
}
