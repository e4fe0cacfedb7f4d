/* A job is cut into at most CODER_SLICES_MAX slices of tiles, one worker job each, and one more
 * that looks for a scroll. A slice codes its tiles; when they exceed its share of the budget it
 * makes JPEGs of the costly ones. 260 text tiles take 2.7 ms, 260 tiles of noise 7 ms, on one core.
 *
 * When everybody shows the frame before, and much has changed, the scroll is looked for first, and
 * what it completes is not coded at all: that is most of a page, for 1 ms more of delay.
 *
 * The worker writes into its own slice only. The parts are counted down on the loop, where done
 * callbacks run: no lock, no atomics. */
#include "stream/coder.h"

#include "base/clock.h"
#include "display/encode.h"

#include <string.h>

/* A tile below this many bytes is not worth a lossy one. */
#define JPEG_WORTH 1500
/* Fewer tiles than this are not worth waiting for a scroll. */
#define SCROLL_TILES 12
/* Fewer tiles than this are not cut. */
#define SLICE_TILES 48

struct slice {
    struct job *job;
    int first, n; /* of the coder's tiles */
    struct coder_jpeg *jpegs;
    int n_jpegs;
};

struct job {
    struct coder coder; /* what the owner sees */
    struct slice slices[CODER_SLICES_MAX];
    int n_slices, n_open; /* parts that have not answered */
    bool is_scroll_first, wants_key;
    struct video *video;
    struct worker_pool *pool;
    coder_fn fn;          /* NULL: forgotten */
    void *data;
    int64_t start_us;
};

/* --- On a worker ------------------------------------------------------------------------------ */

static void code_tile(const struct frame *frame, struct coder_tile *tile)
{
    uint8_t code[TILE_CODE_MAX];
    size_t size;
    struct rect r = frame_tile_rect(frame, tile->index);
    tile->code = tile_code_encode(frame->tiles[tile->index], r.w, r.h, code, &size);
    if (tile->code == TILE_SOLID)
        tile->colour = frame->tiles[tile->index]->pixels[0];
    else
        tile->data = bytes_copy(code, size);
}

struct picture {
    const struct frame *frame;
    struct rect region;
};

static const uint32_t *read_rows(const struct encode_rows *rows, int y, int count,
                                 uint32_t *scratch)
{
    const struct picture *picture = rows->data;
    struct rect part = { picture->region.x, picture->region.y + y, picture->region.w, count };
    frame_read(picture->frame, part, scratch, part.w);
    return scratch;
}

static struct bytes *code_jpeg(const struct frame *frame, int first, int n)
{
    struct rect region =
        rect_union(frame_tile_rect(frame, first), frame_tile_rect(frame, first + n - 1));
    struct picture picture = { frame, region };
    struct encode_rows rows = { region.w, region.h, read_rows, &picture };
    return encode_jpeg(&rows, CODER_JPEG_QUALITY);
}

static size_t tile_size(const struct coder_tile *tile)
{
    return tile->data ? tile->data->size : 0;
}

static size_t total_size(const struct coder_tile *tiles, int n)
{
    size_t size = 0;
    for (int i = 0; i < n; i++)
        size += tile_size(&tiles[i]);
    return size;
}

/* How many tiles from number i of the slice on stand side by side and are costly. */
static int count_costly(const struct coder *coder, const struct slice *slice, int i)
{
    int n = 0, columns = coder->frame->columns;
    const struct coder_tile *tiles = coder->tiles + slice->first;
    while (n < CODER_JPEG_TILES && i + n < slice->n && tile_size(&tiles[i + n]) >= JPEG_WORTH &&
           tiles[i + n].index == tiles[i].index + n &&
           tiles[i + n].index / columns == tiles[i].index / columns)
        n++;
    return n;
}

static void code_jpegs(struct slice *slice)
{
    const struct coder *coder = &slice->job->coder;
    slice->jpegs = calloc((size_t)slice->n, sizeof *slice->jpegs);
    for (int i = 0; slice->jpegs && i < slice->n;) {
        const struct coder_tile *tiles = &coder->tiles[slice->first + i];
        int n = count_costly(coder, slice, i);
        struct bytes *data = n > 0 ? code_jpeg(coder->frame, tiles->index, n) : NULL;
        /* Text is often no smaller as JPEG. */
        if (data && data->size < total_size(tiles, n) / 4 * 3)
            slice->jpegs[slice->n_jpegs++] = (struct coder_jpeg){ tiles->index, n, data };
        else
            bytes_unref(data);
        i += MAX(n, 1);
    }
}

static void work_slice(void *data)
{
    struct slice *slice = data;
    struct coder *coder = &slice->job->coder;
    size_t size = 0;
    for (int i = 0; i < slice->n; i++) {
        code_tile(coder->frame, &coder->tiles[slice->first + i]);
        size += tile_size(&coder->tiles[slice->first + i]);
    }
    if (size > coder->budget / (size_t)coder->n_tiles * (size_t)slice->n)
        code_jpegs(slice);
}

static void work_scroll(void *data)
{
    struct coder *coder = &((struct job *)data)->coder;
    int n_tiles = frame_n_tiles(coder->frame);
    auto_free int *changed = malloc((size_t)n_tiles * sizeof *changed);
    auto_free bool *is_moved = calloc((size_t)n_tiles, sizeof *is_moved);
    if (!changed || !is_moved)
        return;
    int n = frame_diff(coder->base, coder->frame, changed), n_moved = 0;
    int n_copies = scroll_find(coder->base, coder->frame, changed, n, coder->copies);
    for (int i = 0; n_copies > 0 && i < n; i++) {
        is_moved[changed[i]] =
            scroll_completes(coder->base, coder->frame, coder->copies, n_copies, changed[i]);
        n_moved += is_moved[changed[i]];
    }
    if (n_moved == 0)
        return;
    coder->n_copies = n_copies;
    coder->is_moved = steal_ptr(&is_moved);
}

static void work_video(void *data)
{
    struct job *job = data;
    job->coder.unit = video_encode(job->video, job->coder.frame, job->wants_key);
}

/* --- On the loop ------------------------------------------------------------------------------ */

static struct job *job_free(struct job *self)
{
    if (!self)
        return NULL;
    struct coder *coder = &self->coder;
    for (int i = 0; coder->tiles && i < coder->n_tiles; i++)
        bytes_unref(coder->tiles[i].data);
    for (int s = 0; s < self->n_slices; s++) {
        for (int i = 0; i < self->slices[s].n_jpegs; i++)
            bytes_unref(self->slices[s].jpegs[i].data);
        free(self->slices[s].jpegs);
    }
    free(coder->tiles);
    free(coder->jpegs);
    free(coder->is_moved);
    bytes_unref(coder->unit.data);
    video_unref(self->video);
    frame_unref(coder->frame);
    frame_unref(coder->base);
    free(self);
    return NULL;
}

/* One list of the slices' JPEGs, which stay theirs. */
static void gather_jpegs(struct job *self)
{
    int n = 0;
    for (int s = 0; s < self->n_slices; s++)
        n += self->slices[s].n_jpegs;
    struct coder_jpeg *all = n > 0 ? malloc((size_t)n * sizeof *all) : NULL;
    if (!all)
        return;
    self->coder.jpegs = all;
    for (int s = 0; s < self->n_slices; s++)
        for (int i = 0; i < self->slices[s].n_jpegs; i++)
            all[self->coder.n_jpegs++] = self->slices[s].jpegs[i];
}

static void finish(struct job *self)
{
    gather_jpegs(self);
    self->coder.us = clock_now_us() - self->start_us;
    coder_fn fn = self->fn;
    self->fn = NULL;
    fn(self->data, &self->coder);
}

static void end_part(struct job *self)
{
    if (--self->n_open > 0)
        return;
    if (self->fn)
        finish(self);
    else
        job_free(self);
}

static void done_slice(void *data)
{
    end_part(((struct slice *)data)->job);
}

static void cut(struct job *self)
{
    int n = self->coder.n_tiles;
    int n_slices = CLAMP(n / SLICE_TILES, n > 0, CODER_SLICES_MAX), at = 0;
    for (int s = 0; s < n_slices; s++) {
        int end = n * (s + 1) / n_slices;
        self->slices[s] = (struct slice){ .job = self, .first = at, .n = end - at };
        at = end;
    }
    self->n_slices = n_slices;
}

/* A slice that cannot be begun is left without a result. */
static void submit_slices(struct job *self)
{
    cut(self);
    for (int s = 0; s < self->n_slices; s++)
        if (worker_submit(self->pool, WORK_LATENCY, work_slice, done_slice, &self->slices[s]) == 0)
            self->n_open++;
}

static void drop_moved(struct coder *coder)
{
    int n = 0;
    for (int i = 0; i < coder->n_tiles; i++)
        if (!coder->is_moved[coder->tiles[i].index])
            coder->tiles[n++] = coder->tiles[i];
    coder->n_tiles = n;
}

static void done_scroll(void *data)
{
    struct job *self = data;
    if (self->is_scroll_first && self->fn) {
        if (self->coder.is_moved)
            drop_moved(&self->coder);
        submit_slices(self);
    }
    end_part(self);
}

static void done_video(void *data)
{
    end_part(data);
}

static void submit(struct job *self, bool is_shared)
{
    struct coder *coder = &self->coder;
    self->is_scroll_first = is_shared && coder->base && coder->n_tiles >= SCROLL_TILES;
    if (coder->base && worker_submit(self->pool, WORK_LATENCY, work_scroll, done_scroll, self) == 0)
        self->n_open++;
    else
        self->is_scroll_first = false;
    if (self->video && worker_submit(self->pool, WORK_LATENCY, work_video, done_video, self) == 0)
        self->n_open++;
    if (!self->is_scroll_first)
        submit_slices(self);
}

struct coder *coder_start(struct worker_pool *pool, const struct coder_params *params, coder_fn fn,
                          void *data)
{
    struct job *self = calloc(1, sizeof *self);
    if (!self)
        return NULL;
    self->pool = pool;
    self->fn = fn;
    self->data = data;
    self->start_us = clock_now_us();
    struct coder *coder = &self->coder;
    *coder = (struct coder){ .frame = frame_ref(params->frame), .base = frame_ref(params->base),
                             .n_tiles = params->n, .budget = params->budget,
                             .video_seq = params->video_seq };
    self->video = video_ref(params->video);
    self->wants_key = params->wants_key;
    coder->tiles = calloc((size_t)MAX(params->n, 1), sizeof *coder->tiles);
    for (int i = 0; coder->tiles && i < params->n; i++)
        coder->tiles[i] = (struct coder_tile){ .index = params->tiles[i], .code = TILE_TRUE };
    if (coder->tiles)
        submit(self, params->is_shared);
    if (self->n_open == 0) {
        job_free(self);
        return NULL;
    }
    return coder;
}

struct coder *coder_free(struct coder *coder)
{
    if (!coder)
        return NULL;
    struct job *self = container_of(coder, struct job, coder);
    self->fn = NULL;
    if (self->n_open == 0)
        job_free(self);
    return NULL;
}
