#include "replay/query.h"

#include "display/encode.h"
#include "display/scale.h"
#include "replay/compare.h"
#include "replay/note.h"
#include "replay/reading.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

struct query {
    struct query_params params;
    char *dir;
    json_t *dirs, *options;
    struct query_answer answer;
    struct error err;
    int result;
    query_fn fn; /* NULL: cancelled */
    void *data;
};

/* --- The index -------------------------------------------------------------------------------- */

static json_t *begin_json(const struct index_entry *e)
{
    return json_pack("[IIII]", (json_int_t)e->offset, (json_int_t)e->time_us, (json_int_t)(e->frame >> 32),
                     (json_int_t)(e->frame & 0xffffffff));
}

static json_t *frame_json(const struct index_entry *e)
{
    return json_pack("[IIIi]", (json_int_t)e->time_us, (json_int_t)e->offset, (json_int_t)e->frame,
                     e->flags & RECORD_FRAME_EXACT);
}

static json_t *segment_json(const struct reading_segment *segment, int64_t behind)
{
    const struct index *index = &segment->index;
    json_t *begins = json_array(), *frames = json_array(), *passed = json_array();
    for (size_t i = 0; i < index->n; i++) {
        const struct index_entry *e = &index->entries[i];
        if ((int64_t)e->offset <= behind)
            continue;
        if (e->type == RECORD_SCREEN)
            json_array_append_new(begins, begin_json(e));
        else if (e->type == RECORD_FRAME)
            json_array_append_new(frames, frame_json(e));
        else if (e->type == RECORD_PASSED)
            json_array_append_new(passed, json_pack("[II]", (json_int_t)e->time_us, (json_int_t)e->frame));
    }
    return json_pack("{si sI sI sI so so so}", "number", segment->number, "bytes", (json_int_t)index->size,
                     "first_us", (json_int_t)index->first_us, "last_us", (json_int_t)index->last_us, "begins",
                     begins, "frames", frames, "passed", passed);
}

/* What lies behind the good part of a file that nobody writes any more. A file that is being written may
 * grow between a look at its size and the reading. */
static void add_damage(const struct reading *reading, json_t *damage)
{
    for (int i = 0; i + 1 < reading->n_segments; i++) {
        const struct reading_segment *segment = &reading->segments[i];
        if (segment->index.size < segment->file_size)
            json_array_append_new(damage, json_pack("{si sI sI}", "segment", segment->number, "good_bytes",
                                                    (json_int_t)segment->index.size, "bytes",
                                                    (json_int_t)segment->file_size));
    }
}

/* The wall clock at the beginning, from the first META. */
static int64_t wall_of(const struct reading *reading)
{
    for (struct place at = reading_first(reading); reading_entry(reading, at); reading_next(reading, &at)) {
        const struct index_entry *e = reading_entry(reading, at);
        if (e->type != RECORD_META)
            continue;
        auto_json json_t *meta = reading_note(reading, at);
        return json_get_int(meta, "wall_us", 0) - (e->time_us - reading_first_us(reading));
    }
    return 0;
}

static int answer_index(const struct reading *reading, const json_t *options, struct query_answer *ret)
{
    int first = (int)json_get_int(options, "segment", 0);
    int64_t offset = json_get_int(options, "offset", -1);
    json_t *segments = json_array(), *damage = json_array();
    for (int i = 0; i < reading->n_segments; i++)
        if (reading->segments[i].number >= first)
            json_array_append_new(segments,
                                  segment_json(&reading->segments[i],
                                               reading->segments[i].number == first ? offset : -1));
    add_damage(reading, damage);
    ret->json = json_pack("{sI sI sI so so}", "first_us", (json_int_t)reading_first_us(reading), "last_us",
                          (json_int_t)reading_last_us(reading), "wall_us", (json_int_t)wall_of(reading),
                          "segments", segments, "damage", damage);
    return 0;
}

static int answer_segments(const struct reading *reading, struct query_answer *ret)
{
    ret->json = json_array();
    for (int i = 0; i < reading->n_segments; i++)
        json_array_append_new(ret->json, json_pack("[iI]", reading->segments[i].number,
                                                   (json_int_t)reading->segments[i].index.size));
    return 0;
}

/* --- Frames ----------------------------------------------------------------------------------- */

static int find_frame(const struct reading *reading, const json_t *options, struct place *place,
                      int64_t *ret_next, struct error *err)
{
    const json_t *frame = json_object_get(options, "frame"), *at_ms = json_object_get(options, "at_ms");
    int r;
    if (json_is_integer(frame)) {
        r = reading_find_frame(reading, json_integer_value(frame), place, ret_next);
        if (r == READING_UNKNOWN)
            return error_set(err, ERROR_UNKNOWN_FRAME, "frame %lld is not in this recording",
                             (long long)json_integer_value(frame));
        return r;
    }
    int64_t time_us = json_get_int(options, "time_us", 0);
    if (json_is_number(at_ms))
        time_us = reading_first_us(reading) + (int64_t)(json_number_value(at_ms) * 1000);
    if (reading_find_time(reading, time_us, place) == READING_UNKNOWN)
        return error_set(err, ERROR_UNKNOWN_FRAME, "the recording has no frame yet");
    const struct index_entry *entry = reading_entry(reading, *place);
    r = reading_find_frame(reading, entry->frame, &(struct place){ 0 }, ret_next);
    return entry->flags & RECORD_FRAME_EXACT ? READING_EXACT : r == READING_EXACT ? READING_LOSSY : r;
}

static struct bytes *encode(const uint32_t *pixels, int width, int height, const json_t *options,
                            const char **ret_type)
{
    struct encode_rows rows = encode_rows_of(pixels, width, height);
    if (strcmp(json_get_string(options, "format", "png"), "jpeg") == 0) {
        *ret_type = "image/jpeg";
        return encode_jpeg(&rows, (int)json_get_int(options, "quality", 85));
    }
    *ret_type = "image/png";
    return encode_png(&rows);
}

/* The size that was asked for; one side alone keeps the proportions. */
static void choose_size(const struct canvas_state *state, const json_t *options, int *w, int *h)
{
    int width = (int)json_get_int(options, "width", 0), height = (int)json_get_int(options, "height", 0);
    if (!width && height)
        width = MAX(1, (int)((int64_t)state->width * height / state->height));
    if (width && !height)
        height = MAX(1, (int)((int64_t)state->height * width / state->width));
    *w = width ? MIN(width, QUERY_FRAME_SIDE_MAX) : state->width;
    *h = height ? MIN(height, QUERY_FRAME_SIDE_MAX) : state->height;
}

static int draw(const struct canvas *canvas, const json_t *options, struct query_answer *ret,
                struct error *err)
{
    struct canvas_state state = canvas_state(canvas);
    int w, h;
    size_t size = (size_t)state.width * (size_t)state.height * 4;
    choose_size(&state, options, &w, &h);
    if ((size_t)w * (size_t)h > ((size_t)32 << 20))
        return error_set(err, ERROR_BAD_VALUE, "width and height: too large a picture");
    auto_free uint32_t *pixels = malloc(size);
    auto_free uint32_t *scaled = w != state.width || h != state.height ? malloc((size_t)w * (size_t)h * 4) : NULL;
    if (!pixels || ((w != state.width || h != state.height) && !scaled))
        return error_errno(err, ENOMEM, "drawing a frame");
    memcpy(pixels, state.pixels, size);
    if (json_get_bool(options, "cursor", false))
        canvas_draw_cursor(canvas, pixels);
    if (scaled && scale_pixels(pixels, state.width, state.height, state.width, scaled, w, h, w) < 0)
        return error_errno(err, ENOMEM, "drawing a frame");
    ret->bytes = encode(scaled ? scaled : pixels, w, h, options, &ret->content_type);
    return ret->bytes ? 0 : error_errno(err, ENOMEM, "drawing a frame");
}

static int answer_frame(const struct reading *reading, const json_t *options, struct query_answer *ret,
                        struct error *err)
{
    struct place place;
    int64_t next = 0;
    int found = find_frame(reading, options, &place, &next, err);
    if (found < 0)
        return found;
    struct canvas *canvas = canvas_new();
    int r = canvas ? reading_paint(reading, canvas, NULL, place, err)
                   : error_errno(err, ENOMEM, "drawing a frame");
    if (r == 0)
        r = draw(canvas, options, ret, err);
    if (r == 0) {
        struct canvas_state state = canvas_state(canvas);
        struct canvas_cursor cursor = canvas_cursor(canvas);
        int64_t id = json_get_int(options, "frame", state.frame);
        ret->json = json_pack("{sI sb sI sI si si s{si si sb}}", "frame", (json_int_t)id, "exact",
                              found == READING_EXACT, "captured_us", (json_int_t)state.captured_us, "time_ms",
                              (json_int_t)((state.captured_us - reading_first_us(reading)) / 1000), "width",
                              state.width, "height", state.height, "cursor", "x", cursor.x, "y", cursor.y,
                              "visible", cursor.is_visible);
        if (found != READING_EXACT)
            json_object_set_new(ret->json, "next_exact", next ? json_integer((json_int_t)next) : json_null());
    }
    canvas_free(canvas);
    return r;
}

/* --- Notes ------------------------------------------------------------------------------------ */

static struct note_filter filter_of(const json_t *options)
{
    return (struct note_filter){
        .kind = json_get_string(options, "kind", NULL),
        .q = json_get_string(options, "q", NULL),
        .from_us = json_get_int(options, "from_us", 0),
        .until_us = json_get_int(options, "until_us", 0),
        .limit = (size_t)json_get_int(options, "limit", QUERY_RESULTS_MAX),
    };
}

static int answer_notes(const struct reading *reading, const json_t *options, struct query_answer *ret)
{
    struct note_filter filter = filter_of(options);
    json_t *items = json_array();
    note_list(reading, &filter, items);
    ret->json = json_pack("{sI so}", "first_us", (json_int_t)reading_first_us(reading), "items", items);
    return 0;
}

static void search_one(const char *id, const char *dir, const struct note_filter *filter, json_t *items)
{
    auto_reading struct reading reading;
    struct error err = { 0 };
    if (reading_open(&reading, dir, &err) < 0)
        return;
    size_t before = json_array_size(items);
    note_list(&reading, filter, items);
    for (size_t i = before; i < json_array_size(items); i++)
        json_object_set_new(json_array_get(items, i), "recording", json_string(id));
}

static int answer_search(const json_t *dirs, const json_t *options, struct query_answer *ret)
{
    struct note_filter filter = filter_of(options);
    json_t *items = json_array(), *dir;
    const char *id;
    json_object_foreach((json_t *)(uintptr_t)dirs, id, dir)
        if (json_array_size(items) < filter.limit)
            search_one(id, json_string_value(dir), &filter, items);
    ret->json = json_pack("{so}", "items", items);
    return 0;
}

static int answer_compare(const json_t *dirs, const json_t *options, struct query_answer *ret, struct error *err)
{
    auto_reading struct reading a = { 0 }, b = { 0 };
    struct compare compare;
    int64_t frame = 0;
    int r = reading_open(&a, json_get_string(dirs, "a", ""), err);
    if (r == 0)
        r = reading_open(&b, json_get_string(dirs, "b", ""), err);
    if (r == 0)
        r = compare_nearest(&a, json_object_get(options, "frames"), &b, json_get_int(options, "frame", 0),
                            json_object_get(options, "mask"), &frame, &compare, err);
    if (r == 0)
        ret->json = json_pack("{sI sI si si si si}", "frame", (json_int_t)frame, "pixels", (json_int_t)compare.n_pixels,
                              "x", compare.where.x, "y", compare.where.y, "width", compare.where.w, "height",
                              compare.where.h);
    return r;
}

/* --- Running ---------------------------------------------------------------------------------- */

static int answer_read(const struct query_params *params, struct query_answer *ret, struct error *err)
{
    auto_buf struct buf data = BUF_INIT;
    auto_free char *path = NULL;
    if (asprintf(&path, "%s/%06d" SEGMENT_SUFFIX, params->dir, params->segment) < 0)
        return error_errno(err, ENOMEM, "reading a segment");
    int r = segment_read(path, params->offset, params->size, &data, err);
    if (r == 0)
        ret->bytes = bytes_copy(data.data, data.size);
    ret->content_type = "application/octet-stream";
    return r < 0 || ret->bytes ? r : error_errno(err, ENOMEM, "reading a segment");
}

static int answer_file(const struct query_params *params, struct query_answer *ret, struct error *err)
{
    struct bytes *bytes = bytes_new((size_t)params->size);
    auto_fd int fd = open(params->dir, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t n = bytes && fd >= 0 ? pread(fd, bytes->data, (size_t)params->size, params->offset) : -1;
    if (n < 0) {
        bytes_unref(bytes);
        return error_errno(err, bytes ? errno : ENOMEM, "reading a file");
    }
    bytes->size = (size_t)n;
    ret->bytes = bytes;
    return 0;
}

int query_run(const struct query_params *params, struct query_answer *ret, struct error *err)
{
    *ret = (struct query_answer){ 0 };
    if (params->kind == QUERY_READ)
        return answer_read(params, ret, err);
    if (params->kind == QUERY_FILE)
        return answer_file(params, ret, err);
    if (params->kind == QUERY_SEARCH)
        return answer_search(params->dirs, params->options, ret);
    if (params->kind == QUERY_COMPARE)
        return answer_compare(params->dirs, params->options, ret, err);
    auto_reading struct reading reading = { 0 };
    int r = reading_open(&reading, params->dir, err);
    if (r < 0)
        return r;
    switch (params->kind) {
    case QUERY_INDEX: return answer_index(&reading, params->options, ret);
    case QUERY_SEGMENTS: return answer_segments(&reading, ret);
    case QUERY_NOTES: return answer_notes(&reading, params->options, ret);
    default: return answer_frame(&reading, params->options, ret, err);
    }
}

static void work(void *data)
{
    struct query *self = data;
    self->result = query_run(&self->params, &self->answer, &self->err);
}

static void query_free(struct query *self)
{
    json_decref(self->dirs);
    json_decref(self->options);
    free(self->dir);
    free(self);
}

static void done(void *data)
{
    struct query *self = data;
    if (self->fn) {
        self->fn(self->data, &self->answer, self->result < 0 ? &self->err : NULL);
    } else {
        json_decref(self->answer.json);
        bytes_unref(self->answer.bytes);
    }
    query_free(self);
}

struct query *query_start(struct worker_pool *pool, const struct query_params *params, query_fn fn, void *data)
{
    struct query *self = calloc(1, sizeof *self);
    if (!self)
        return NULL;
    self->params = *params;
    self->params.dir = self->dir = strdup(params->dir ? params->dir : "");
    self->params.dirs = self->dirs = json_deep_copy(params->dirs);
    self->params.options = self->options = params->options ? json_deep_copy(params->options) : json_object();
    self->fn = fn;
    self->data = data;
    bool is_quick = params->kind != QUERY_SEARCH && params->kind != QUERY_NOTES;
    if (!self->dir || worker_submit(pool, is_quick ? WORK_LATENCY : WORK_BULK, work, done, self) < 0) {
        query_free(self);
        return NULL;
    }
    return self;
}

struct query *query_cancel(struct query *self)
{
    if (self)
        self->fn = NULL;
    return NULL;
}
