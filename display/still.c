/* Two kinds of requests: those of an encoding under way hang on its job; those that the cache can
 * answer wait for the next turn, so that a caller never gets its answer before its handle. A job
 * has its own references and outlives the stills object when that is freed meanwhile; it then
 * answers nobody. The cache is a list, newest first: a display has a few entries, so no index. */
#include "display/still.h"

#include "base/clock.h"
#include "base/list.h"
#include "display/encode.h"
#include "display/scale.h"

#include <errno.h>
#include <string.h>

/* What makes two stills equal. */
struct key {
    int64_t frame_id;
    struct still_params params;
    uint64_t cursor_hash; /* 0: no cursor in the picture */
    int cursor_x, cursor_y;
};

struct entry {
    struct list link;
    struct key key;
    struct bytes *bytes;
};

struct still_request {
    struct list link; /* in job->requests or stills->hits */
    still_fn fn;
    void *data;
    struct still still; /* hits: bytes counted */
};

struct job {
    struct list link;
    struct stills *stills; /* NULL when that was freed */
    struct key key;
    struct frame *frame;
    struct cursor cursor;
    struct list requests;
    struct bytes *bytes;
    int64_t encode_us;
};

struct stills {
    struct worker_pool *pool;
    struct defer *answer;
    struct list jobs, hits, entries;
    size_t cache_bytes, limit;
    int n_jobs;
    int depth; /* callbacks under way: a free inside waits for them */
    bool is_freed;
};

static const struct {
    const char *name, *mime;
} formats[STILL_FORMAT_COUNT] = {
    [STILL_PNG] = { "png", "image/png" },
    [STILL_JPEG] = { "jpeg", "image/jpeg" },
    [STILL_WEBP] = { "webp", "image/webp" },
};

int still_format_parse(const char *name, enum still_format *ret)
{
    if (strcmp(name, "jpg") == 0)
        name = "jpeg";
    for (int i = 0; i < STILL_FORMAT_COUNT; i++)
        if (strcmp(name, formats[i].name) == 0) {
            *ret = (enum still_format)i;
            return 0;
        }
    return -EINVAL;
}

const char *still_format_name(enum still_format format)
{
    return formats[format].name;
}

const char *still_format_mime(enum still_format format)
{
    return formats[format].mime;
}

/* --- Parameters ------------------------------------------------------------------------------- */

/* length * to / from, rounded, at least 1. */
static int follow(int length, int to, int from)
{
    return (int)MAX(((int64_t)length * to + from / 2) / from, 1);
}

void still_fit(struct rect region, int max_width, int max_height, int *ret_width, int *ret_height)
{
    int w = region.w, h = region.h;
    if (max_width > 0 && w > max_width) {
        h = follow(region.h, max_width, region.w);
        w = max_width;
    }
    if (max_height > 0 && h > max_height) {
        w = MIN(follow(region.w, max_height, region.h), w);
        h = max_height;
    }
    *ret_width = w;
    *ret_height = h;
}

int still_params_resolve(struct still_params *params, const struct frame *frame, struct error *err)
{
    struct rect *region = &params->region;
    if (region->w == 0)
        *region = (struct rect){ 0, 0, frame->width, frame->height };
    if (!rect_fits(*region, frame->width, frame->height))
        return error_set(err, ERROR_OUTSIDE_SCREEN,
                         "region %d,%d %dx%d is not inside the %dx%d frame", region->x,
                          region->y, region->w, region->h, frame->width, frame->height);
    int w = params->width, h = params->height;
    if (w < 0 || h < 0 || w > STILL_SIZE_MAX || h > STILL_SIZE_MAX)
        return error_set(err, ERROR_BAD_VALUE,
                         "an image of %dx%d; each side may have 1 to %d pixels", w, h,
                         STILL_SIZE_MAX);
    params->width = w ? w : h ? follow(region->w, h, region->h) : region->w;
    params->height = h ? h : w ? follow(region->h, w, region->w) : region->h;
    if (params->width > STILL_SIZE_MAX || params->height > STILL_SIZE_MAX ||
        (int64_t)params->width * params->height > STILL_PIXELS_MAX)
        return error_set(err, ERROR_BAD_VALUE, "an image of %dx%d is too large", params->width,
                         params->height);
    if (params->quality < 0 || params->quality > 100)
        return error_set(err, ERROR_BAD_VALUE, "quality %d is not between 1 and 100",
                         params->quality);
    if (params->format == STILL_PNG)
        params->quality = 0;
    else if (params->quality == 0)
        params->quality = STILL_QUALITY_DEFAULT;
    return 0;
}

static struct key make_key(const struct frame *frame, const struct cursor *cursor,
                           const struct still_params *params)
{
    struct key key = { .frame_id = frame->id, .params = *params };
    if (params->with_cursor && !rect_is_empty(cursor_covers(cursor, params->region))) {
        key.cursor_hash = cursor->shape->hash;
        key.cursor_x = cursor->x;
        key.cursor_y = cursor->y;
    } else {
        /* It would draw nothing: the same picture as without. */
        key.params.with_cursor = false;
    }
    return key;
}

static bool key_equal(const struct key *a, const struct key *b)
{
    const struct still_params *p = &a->params, *q = &b->params;
    return a->frame_id == b->frame_id && a->cursor_hash == b->cursor_hash &&
           a->cursor_x == b->cursor_x && a->cursor_y == b->cursor_y && p->format == q->format &&
           p->region.x == q->region.x && p->region.y == q->region.y && p->region.w == q->region.w &&
           p->region.h == q->region.h && p->width == q->width && p->height == q->height &&
           p->quality == q->quality;
}

/* --- Encoding, on a worker -------------------------------------------------------------------- */

/* A region of a frame, with the cursor drawn. */
struct picture {
    const struct frame *frame;
    const struct cursor *cursor; /* NULL: not drawn */
    struct rect region;
};

static void read_picture(const struct picture *self, int y, int count, uint32_t *out)
{
    struct rect part = { self->region.x, self->region.y + y, self->region.w, count };
    frame_read(self->frame, part, out, part.w);
    if (self->cursor)
        cursor_draw(self->cursor, out, part.w, part);
}

static const uint32_t *read_rows(const struct encode_rows *rows, int y, int count, uint32_t *scratch)
{
    read_picture(rows->data, y, count, scratch);
    return scratch;
}

/* The whole picture in its final size. */
static uint32_t *read_pixels(const struct picture *self, int width, int height)
{
    struct rect region = self->region;
    uint32_t *pixels = malloc((size_t)region.w * (size_t)region.h * sizeof *pixels);
    if (!pixels)
        return NULL;
    read_picture(self, 0, region.h, pixels);
    if (width == region.w && height == region.h)
        return pixels;
    uint32_t *scaled = malloc((size_t)width * (size_t)height * sizeof *scaled);
    if (scaled && scale_pixels(pixels, region.w, region.h, region.w, scaled, width, height, width) < 0) {
        free(scaled);
        scaled = NULL;
    }
    free(pixels);
    return scaled;
}

struct bytes *still_encode(const struct frame *frame, const struct cursor *cursor,
                           const struct still_params *params)
{
    const struct picture picture = { frame, params->with_cursor ? cursor : NULL, params->region };
    struct encode_rows rows = { params->width, params->height, read_rows, &picture };
    bool is_scaled = params->width != params->region.w || params->height != params->region.h;
    auto_free uint32_t *pixels = NULL;
    if (is_scaled || params->format == STILL_WEBP) {
        pixels = read_pixels(&picture, params->width, params->height);
        if (!pixels)
            return NULL;
        rows = encode_rows_of(pixels, params->width, params->height);
    }
    switch (params->format) {
    case STILL_PNG:
        return encode_png(&rows);
    case STILL_JPEG:
        return encode_jpeg(&rows, params->quality);
    case STILL_WEBP:
        return encode_webp(pixels, params->width, params->height, params->quality);
    case STILL_FORMAT_COUNT:
        break;
    }
    return NULL;
}

static void work(void *data)
{
    struct job *job = data;
    int64_t start = clock_now_us();
    job->bytes = still_encode(job->frame, &job->cursor, &job->key.params);
    job->encode_us = clock_now_us() - start;
}

/* --- Cache ------------------------------------------------------------------------------------ */

static void drop_entry(struct stills *self, struct entry *entry)
{
    self->cache_bytes -= entry->bytes->size;
    list_remove(&entry->link);
    bytes_unref(entry->bytes);
    free(entry);
}

static void insert(struct stills *self, const struct key *key, struct bytes *bytes)
{
    struct entry *entry = bytes->size <= self->limit ? calloc(1, sizeof *entry) : NULL;
    if (!entry)
        return;
    entry->key = *key;
    entry->bytes = bytes_ref(bytes);
    list_append(self->entries.next, &entry->link);
    self->cache_bytes += bytes->size;
    while (self->cache_bytes > self->limit)
        drop_entry(self, list_entry(self->entries.prev, struct entry, link));
}

static struct bytes *find(struct stills *self, const struct key *key)
{
    struct entry *entry;
    list_for_each(entry, &self->entries, link)
        if (key_equal(&entry->key, key)) {
            list_remove(&entry->link);
            list_append(self->entries.next, &entry->link);
            return entry->bytes;
        }
    return NULL;
}

/* --- Requests --------------------------------------------------------------------------------- */

static void destroy(struct stills *self)
{
    defer_free(self->answer);
    free(self);
}

static void leave(struct stills *self)
{
    if (--self->depth == 0 && self->is_freed)
        destroy(self);
}

/* Answers and frees a request; still NULL: err says why. */
static void answer(struct still_request *request, const struct still *still,
                   const struct error *err)
{
    list_remove(&request->link);
    request->fn(request->data, still, err);
    bytes_unref(request->still.bytes);
    free(request);
}

static void answer_hits(void *data)
{
    struct stills *self = data;
    self->depth++;
    /* A callback may ask again: that is for the next turn. */
    struct list now;
    list_init(&now);
    while (!list_empty(&self->hits)) {
        struct list *first = self->hits.next;
        list_remove(first);
        list_append(&now, first);
    }
    while (!list_empty(&now)) {
        struct still_request *request = list_first(&now, struct still_request, link);
        if (self->is_freed) {
            struct error err = { 0 };
            error_set(&err, ERROR_CANCELLED, "the display was closed");
            answer(request, NULL, &err);
        } else {
            answer(request, &request->still, NULL);
        }
    }
    leave(self);
}

static struct still make_still(const struct frame *frame, const struct still_params *params,
                               struct bytes *bytes)
{
    return (struct still){
        .bytes = bytes, .frame_id = frame->id, .epoch = frame->epoch,
        .captured_us = frame->captured_us, .frame_width = frame->width,
        .frame_height = frame->height, .params = *params,
    };
}

static void free_job(struct job *job)
{
    list_remove(&job->link);
    frame_unref(job->frame);
    cursor_shape_unref(job->cursor.shape);
    bytes_unref(job->bytes);
    free(job);
}

static void done(void *data)
{
    struct job *job = data;
    struct stills *self = job->stills;
    if (!self) {
        free_job(job);
        return;
    }
    self->depth++;
    self->n_jobs--;
    list_remove(&job->link);
    struct error err = { 0 };
    struct still still = make_still(job->frame, &job->key.params, job->bytes);
    still.encode_us = job->encode_us;
    if (job->bytes)
        insert(self, &job->key, job->bytes);
    else
        error_set(&err, ERROR_INTERNAL, "encoding a %s image failed",
                  still_format_name(job->key.params.format));
    while (!list_empty(&job->requests)) {
        struct still_request *request = list_first(&job->requests, struct still_request, link);
        if (self->is_freed)
            error_set(&err, ERROR_CANCELLED, "the display was closed");
        answer(request, err.is_set ? NULL : &still, err.is_set ? &err : NULL);
    }
    free_job(job);
    leave(self);
}

struct stills *stills_new(struct loop *loop, struct worker_pool *pool, size_t cache_bytes)
{
    struct stills *self = calloc(1, sizeof *self);
    if (!self)
        return NULL;
    self->pool = pool;
    self->limit = cache_bytes;
    list_init(&self->jobs);
    list_init(&self->hits);
    list_init(&self->entries);
    self->answer = defer_new(loop, answer_hits, self);
    if (!self->answer) {
        free(self);
        return NULL;
    }
    return self;
}

static void cancel_all(struct list *requests)
{
    struct error err = { 0 };
    error_set(&err, ERROR_CANCELLED, "the display was closed");
    while (!list_empty(requests))
        answer(list_first(requests, struct still_request, link), NULL, &err);
}

struct stills *stills_free(struct stills *self)
{
    if (!self || self->is_freed)
        return NULL;
    self->is_freed = true;
    self->depth++;
    while (!list_empty(&self->jobs)) {
        struct job *job = list_first(&self->jobs, struct job, link);
        list_remove(&job->link);
        job->stills = NULL;
        cancel_all(&job->requests);
    }
    cancel_all(&self->hits);
    while (!list_empty(&self->entries))
        drop_entry(self, list_first(&self->entries, struct entry, link));
    leave(self);
    return NULL;
}

static struct job *find_job(struct stills *self, const struct key *key)
{
    struct job *job;
    list_for_each(job, &self->jobs, link)
        if (key_equal(&job->key, key))
            return job;
    return NULL;
}

/* A new job under way, or NULL with err filled. */
static struct job *start_job(struct stills *self, const struct key *key, struct frame *frame,
                             const struct cursor *cursor, struct error *err)
{
    if (self->n_jobs >= STILLS_JOBS_MAX) {
        error_set(err, ERROR_QUOTA, "%d images are being encoded already", self->n_jobs);
        return NULL;
    }
    struct job *job = calloc(1, sizeof *job);
    if (!job) {
        error_errno(err, ENOMEM, "encoding an image");
        return NULL;
    }
    job->key = *key;
    job->stills = self;
    job->frame = frame_ref(frame);
    list_init(&job->requests);
    if (key->params.with_cursor) {
        job->cursor = *cursor;
        cursor_shape_ref(job->cursor.shape);
    }
    if (worker_submit(self->pool, WORK_LATENCY, work, done, job) < 0) {
        free_job(job);
        error_errno(err, ENOMEM, "encoding an image");
        return NULL;
    }
    list_append(&self->jobs, &job->link);
    self->n_jobs++;
    return job;
}

int stills_request(struct stills *self, struct frame *frame, const struct cursor *cursor,
                   const struct still_params *params, still_fn fn, void *data,
                   struct still_request **ret, struct error *err)
{
    static const struct cursor no_cursor = { 0 };
    struct still_params resolved = *params;
    int r = still_params_resolve(&resolved, frame, err);
    if (r < 0)
        return r;
    if (self->is_freed)
        return error_set(err, ERROR_CANCELLED, "the display was closed");
    struct key key = make_key(frame, cursor ? cursor : &no_cursor, &resolved);
    struct still_request *request = calloc(1, sizeof *request);
    if (!request)
        return error_errno(err, ENOMEM, "encoding an image");
    request->fn = fn;
    request->data = data;
    struct bytes *hit = find(self, &key);
    if (hit) {
        request->still = make_still(frame, &key.params, bytes_ref(hit));
        request->still.is_cached = true;
        list_append(&self->hits, &request->link);
        defer_request(self->answer);
    } else {
        struct job *job = find_job(self, &key);
        if (!job)
            job = start_job(self, &key, frame, cursor, err);
        if (!job) {
            free(request);
            return -EAGAIN;
        }
        list_append(&job->requests, &request->link);
    }
    if (ret)
        *ret = request;
    return 0;
}

struct still_request *still_cancel(struct still_request *self)
{
    if (!self)
        return NULL;
    list_remove(&self->link);
    bytes_unref(self->still.bytes);
    free(self);
    return NULL;
}
