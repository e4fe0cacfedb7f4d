/* What goes into a frame's message. First every tile that the client lacks gets the cheapest way
 * there: moved by a copy, still in the client's store, one colour, or its lossless code. When that
 * exceeds the budget, costly tiles go as JPEG if the job made some, and what does not fit stays for
 * the next message, which begins where this one stopped. Lossy tiles that have been still are
 * repaired, with at least a fifth of the budget, so that a busy corner of the screen cannot blur
 * the rest for ever.
 *
 * A message costs O(tiles of the screen) and one copy of the coded bytes: 10 us for a caret in
 * 1280x800. */
#include "stream/hub-impl.h"

#include "base/clock.h"

#include <errno.h>
#include <string.h>

enum way { WAY_NONE, WAY_LATER, WAY_MOVED, WAY_VIDEO, WAY_KEPT, WAY_SOLID, WAY_CODED, WAY_JPEG };

#define COST_SOLID 12
#define COST_KEPT 16
#define COST_JPEG 12

struct step {
    enum way way;
    bool is_repair;
    int16_t jpeg; /* number of the JPEG that covers it; -1: none */
    const struct packet *packet;
};

struct plan {
    struct viewer *viewer;
    const struct frame *frame;
    const struct coder *coder; /* results for frame, or NULL */
    int64_t now_us;
    struct step *steps; /* per tile */
    bool *is_sent;      /* per JPEG */
    bool has_copies;
    const struct video_unit *unit; /* NULL: none */
    size_t fresh, repairs; /* bytes, all exact */
};

/* --- What is lacking -------------------------------------------------------------------------- */

static bool lacks(const struct viewer_cell *cell, uint64_t hash)
{
    return cell->hash != hash;
}

/* When a lossy tile that stays as it is will be sent exactly. */
static int64_t repair_us(const struct viewer *self, const struct viewer_cell *cell)
{
    return cell->lossy_us +
           (self->budget >= VIEWER_BUDGET_FAST ? VIEWER_REPAIR_FAST_US : VIEWER_REPAIR_US);
}

static bool is_repair_due(const struct viewer *self, const struct viewer_cell *cell, int64_t now_us)
{
    return cell->lossy_us && now_us >= repair_us(self, cell);
}

static bool has_canvas(const struct viewer *self, const struct frame *frame)
{
    return self->cells && self->epoch == frame->epoch && self->n_cells == frame_n_tiles(frame);
}

bool viewer_wants(const struct viewer *self, const struct frame *frame, int64_t now_us,
                  int64_t *due_us)
{
    if (!self->is_greeted || !self->is_shown || self->is_pictures || !self->has_room ||
        self->n_unacked == VIEWER_UNACKED || frame->id < self->floor_id ||
        (self->is_due && frame == self->hub->frame))
        return false;
    if (!has_canvas(self, frame))
        return true;
    if (self->exact_id == frame->id)
        return false;
    bool wants = false;
    for (int i = 0; i < self->n_cells && !wants; i++) {
        const struct viewer_cell *cell = &self->cells[i];
        wants = lacks(cell, frame->tiles[i]->hash) || is_repair_due(self, cell, now_us);
        if (!wants && cell->lossy_us)
            *due_us = MIN(*due_us, repair_us(self, cell));
    }
    return wants;
}

bool viewer_needs_code(const struct viewer *self, const struct frame *frame, int i, int64_t now_us)
{
    uint64_t hash = frame->tiles[i]->hash;
    if (has_canvas(self, frame) && !lacks(&self->cells[i], hash) &&
        !is_repair_due(self, &self->cells[i], now_us))
        return false;
    if (self->uses_video && (!has_canvas(self, frame) || lacks(&self->cells[i], hash)) &&
        hub_video_covers(self->hub, frame, i))
        return false;
    return !kept_has(self->kept, hash);
}

void viewer_forget_canvas(struct viewer *self)
{
    if (self->cells)
        memset(self->cells, 0, (size_t)self->n_cells * sizeof *self->cells);
    self->exact_id = 0;
}

int viewer_set_canvas(struct viewer *self, const struct frame *frame)
{
    int n = frame_n_tiles(frame);
    struct viewer_cell *cells = calloc((size_t)n, sizeof *cells);
    if (!cells)
        return -ENOMEM;
    free(self->cells);
    self->cells = cells;
    self->n_cells = n;
    self->epoch = frame->epoch;
    self->width = frame->width;
    self->height = frame->height;
    self->exact_id = 0;
    self->next_tile = 0;
    return 0;
}

static int64_t burst_left(const struct viewer *self, int64_t now_us)
{
    int64_t since_us = MIN(now_us - self->burst_us, 1000000);
    return MIN(self->burst + since_us * VIEWER_BURST_RATE / 1000000, VIEWER_BURST);
}

int viewer_budget(const struct viewer *self, int64_t now_us)
{
    return (int)MIN(self->budget, MAX(burst_left(self, now_us), VIEWER_BUDGET_FLOOR));
}

/* --- Planning --------------------------------------------------------------------------------- */

static size_t step_cost(const struct step *step)
{
    switch (step->way) {
    case WAY_SOLID:
        return COST_SOLID;
    case WAY_KEPT:
        return COST_KEPT;
    case WAY_CODED:
        return COST_KEPT + step->packet->data->size;
    default:
        return 0;
    }
}

static void plan_tile(struct plan *self, int i)
{
    const struct viewer_cell *cell = &self->viewer->cells[i];
    uint64_t hash = self->frame->tiles[i]->hash;
    struct step *step = &self->steps[i];
    bool is_fresh = lacks(cell, hash);
    step->jpeg = -1;
    if (!is_fresh && !is_repair_due(self->viewer, cell, self->now_us))
        return;
    step->is_repair = !is_fresh;
    if (is_fresh && self->viewer->uses_video &&
        hub_video_covers(self->viewer->hub, self->frame, i)) {
        step->way = self->unit ? WAY_VIDEO : WAY_LATER;
        return;
    }
    step->packet = packets_find(self->viewer->hub->packets, hash);
    if (self->has_copies && self->coder->is_moved[i])
        step->way = WAY_MOVED;
    else if (step->packet && step->packet->code == TILE_SOLID)
        step->way = WAY_SOLID;
    else if (kept_has(self->viewer->kept, hash))
        step->way = WAY_KEPT;
    else
        step->way = step->packet ? WAY_CODED : WAY_LATER;
    *(is_fresh ? &self->fresh : &self->repairs) += step_cost(step);
}

static int plan_init(struct plan *self, struct viewer *viewer)
{
    struct hub *hub = viewer->hub;
    *self = (struct plan){ .viewer = viewer, .frame = hub->frame, .coder = hub->done,
                           .now_us = clock_now_us() };
    self->steps = calloc((size_t)viewer->n_cells, sizeof *self->steps);
    self->is_sent =
        calloc((size_t)(self->coder ? self->coder->n_jpegs : 0) + 1, sizeof *self->is_sent);
    if (!self->steps || !self->is_sent)
        return -ENOMEM;
    self->unit = hub_video_unit(hub, viewer);
    self->has_copies = hub->base_id && viewer->exact_id == hub->base_id;
    for (int i = 0; i < viewer->n_cells; i++)
        plan_tile(self, i);
    return 0;
}

static void plan_deinit(struct plan *self)
{
    free(self->steps);
    free(self->is_sent);
}

/* Takes JPEG number j instead of the codes of its tiles. */
static void take_jpeg(struct plan *self, int j)
{
    const struct coder_jpeg *jpeg = &self->coder->jpegs[j];
    self->is_sent[j] = true;
    for (int i = jpeg->first; i < jpeg->first + jpeg->n_columns; i++)
        self->steps[i].way = WAY_JPEG;
}

/* Fits the tiles that are fresh (or repairs) into the budget, from where the last message stopped.
 * Returns what is left. The first always goes. */
static size_t fit(struct plan *self, size_t budget, bool is_repair, bool *is_first)
{
    int n = self->viewer->n_cells, start = self->viewer->next_tile, stopped = -1;
    for (int k = 0; k < n; k++) {
        int i = (start + k) % n;
        struct step *step = &self->steps[i];
        if (step->way < WAY_KEPT || step->way == WAY_JPEG || step->is_repair != is_repair)
            continue;
        bool lossy = !is_repair && step->way == WAY_CODED && step->jpeg >= 0;
        size_t cost =
            lossy ? COST_JPEG + self->coder->jpegs[step->jpeg].data->size : step_cost(step);
        if (cost > budget && !*is_first) {
            step->way = WAY_LATER;
            stopped = stopped < 0 ? i : stopped;
            continue;
        }
        *is_first = false;
        budget -= MIN(cost, budget);
        if (lossy)
            take_jpeg(self, step->jpeg);
    }
    if (stopped >= 0 && !is_repair)
        self->viewer->next_tile = stopped;
    return budget;
}

static void find_jpegs(struct plan *self)
{
    for (int j = 0; self->coder && j < self->coder->n_jpegs; j++)
        for (int k = 0; k < self->coder->jpegs[j].n_columns; k++)
            self->steps[self->coder->jpegs[j].first + k].jpeg = (int16_t)j;
}

static void fit_all(struct plan *self)
{
    size_t budget = (size_t)viewer_budget(self->viewer, self->now_us);
    if (self->fresh + self->repairs <= budget)
        return;
    find_jpegs(self);
    size_t share = self->repairs > 0 ? budget / VIEWER_REPAIR_SHARE : 0;
    bool is_first = true;
    budget = fit(self, budget - share, false, &is_first) + share;
    fit(self, budget, true, &is_first);
}

/* --- Writing ---------------------------------------------------------------------------------- */

static void write_copies(struct plan *self, struct buf *out)
{
    for (int c = 0; self->has_copies && c < self->coder->n_copies; c++) {
        const struct scroll_copy *copy = &self->coder->copies[c];
        struct rect r = copy->region;
        uint8_t *at = record_begin(out, RECORD_COPY, 0, 0, 12);
        if (!at)
            return;
        at = record_put_u16(record_put_u16(at, (unsigned)r.x), (unsigned)(r.y - copy->dy));
        at = record_put_u16(record_put_u16(at, (unsigned)r.x), (unsigned)r.y);
        record_put_u16(record_put_u16(at, (unsigned)r.w), (unsigned)r.h);
    }
}

static void write_jpegs(struct plan *self, struct buf *out)
{
    for (int j = 0; self->coder && j < self->coder->n_jpegs; j++) {
        const struct coder_jpeg *jpeg = &self->coder->jpegs[j];
        if (!self->is_sent[j])
            continue;
        uint8_t *at =
            record_begin(out, RECORD_JPEG, 0, (unsigned)jpeg->first, 4 + jpeg->data->size);
        if (!at)
            return;
        at[0] = (uint8_t)jpeg->n_columns;
        at[1] = 1;
        at[2] = at[3] = 0;
        memcpy(at + 4, jpeg->data->data, jpeg->data->size);
    }
}

static void write_video(struct plan *self, struct buf *out)
{
    struct viewer *viewer = self->viewer;
    if (!self->unit)
        return;
    struct rect r = video_region(viewer->hub->video);
    uint8_t *at = record_begin(out, RECORD_VIDEO, self->unit->is_key ? RECORD_VIDEO_KEY : 0,
                               viewer->hub->video_id, 12 + self->unit->data->size);
    if (!at)
        return;
    at = record_put_u16(record_put_u16(at, (unsigned)r.x), (unsigned)r.y);
    at = record_put_u16(record_put_u16(at, (unsigned)r.w), (unsigned)r.h);
    memcpy(record_put_u32(at, 0), self->unit->data->data, self->unit->data->size);
    viewer->video_id = viewer->hub->video_id;
    viewer->video_seq = self->coder->video_seq;
}

/* A run of tiles of one colour is one record. */
static int write_solids(struct plan *self, struct buf *out, int i)
{
    uint32_t colour = self->steps[i].packet->colour;
    int n = 1;
    while (n < 256 && i + n < self->viewer->n_cells && self->steps[i + n].way == WAY_SOLID &&
           self->steps[i + n].packet->colour == colour)
        n++;
    uint8_t *at = record_begin(out, RECORD_SOLID, (unsigned)(n - 1), (unsigned)i, 4);
    if (at)
        record_put_u32(at, colour & 0xffffff);
    self->viewer->stats.n_solid += n;
    return n;
}

static void write_kept(struct plan *self, struct buf *out, int i)
{
    uint64_t hash = self->frame->tiles[i]->hash;
    uint8_t *at = record_begin(out, RECORD_KEPT, 0, (unsigned)i, 8);
    if (at)
        record_put_u64(at, hash);
    kept_use(self->viewer->kept, hash);
    self->viewer->stats.n_kept++;
}

void viewer_write_code(struct viewer *self, int tile, uint64_t hash, enum tile_code code,
                       const struct bytes *data, struct buf *out)
{
    bool grey = code == TILE_GREY_PALETTE;
    enum record_type type = code == TILE_TRUE ? RECORD_TRUE : RECORD_PALETTE;
    uint8_t *at = record_begin(out, type, grey ? RECORD_PALETTE_GREY : 0, (unsigned)tile,
                               8 + data->size);
    if (at)
        memcpy(record_put_u64(at, hash), data->data, data->size);
    kept_use(self->kept, hash);
    self->stats.n_coded++;
}

static void write_code(struct plan *self, struct buf *out, int i)
{
    const struct packet *packet = self->steps[i].packet;
    viewer_write_code(self->viewer, i, packet->hash, packet->code, packet->data, out);
}

static void write_tiles(struct plan *self, struct buf *out)
{
    int n = self->viewer->n_cells;
    for (int i = 0, count; i < n; i += count) {
        struct step *step = &self->steps[i];
        count = 1;
        /* Tiles before this one may have pushed it out of the store. */
        if (step->way == WAY_KEPT && !kept_has(self->viewer->kept, self->frame->tiles[i]->hash))
            step->way = step->packet ? WAY_CODED : WAY_LATER;
        if (step->way == WAY_SOLID)
            count = write_solids(self, out, i);
        else if (step->way == WAY_KEPT)
            write_kept(self, out, i);
        else if (step->way == WAY_CODED)
            write_code(self, out, i);
    }
}

/* Notes what the canvas shows now; true when it is the frame to the pixel. */
static bool note_canvas(struct plan *self)
{
    struct viewer *viewer = self->viewer;
    bool is_exact = true;
    for (int i = 0; i < viewer->n_cells; i++) {
        struct viewer_cell *cell = &viewer->cells[i];
        enum way way = self->steps[i].way;
        bool is_painted = self->unit && hub_video_covers(viewer->hub, self->frame, i);
        bool is_lossy = way == WAY_JPEG ||
                        (is_painted && way != WAY_KEPT && way != WAY_SOLID && way != WAY_CODED);
        if (way >= WAY_MOVED || is_painted)
            *cell =
                (struct viewer_cell){ self->frame->tiles[i]->hash, is_lossy ? self->now_us : 0 };
        viewer->stats.n_lossy += way == WAY_JPEG;
        viewer->stats.n_moved += way == WAY_MOVED;
        is_exact &= cell->hash == self->frame->tiles[i]->hash && !cell->lossy_us;
    }
    viewer->exact_id = is_exact ? self->frame->id : 0;
    return is_exact;
}

/* The greatest input that was injected before frame was captured. */
static uint64_t find_answered(struct viewer *self, const struct frame *frame)
{
    while (self->n_inputs > 0 && self->inputs[self->first_input].us <= frame->captured_us) {
        self->answered = MAX(self->answered, self->inputs[self->first_input].id);
        self->first_input = (self->first_input + 1) % VIEWER_INPUTS;
        self->n_inputs--;
    }
    return self->answered;
}

void viewer_write_screen(const struct frame *frame, unsigned flags, struct buf *out)
{
    uint8_t *at = record_begin(out, RECORD_SCREEN, DISPLAY_ON | flags, 0, 16);
    if (!at)
        return;
    at = record_put_u64(at, (uint64_t)frame->epoch);
    at = record_put_u16(record_put_u16(at, (unsigned)frame->width), (unsigned)frame->height);
    record_put_u32(at, 0);
}

void viewer_write_head(struct viewer *self, const struct frame *frame, unsigned flags,
                       struct buf *out)
{
    uint8_t *at = record_begin(out, RECORD_FRAME, flags, 0, 32);
    if (!at)
        return;
    at = record_put_u64(record_put_u64(at, (uint64_t)frame->id), (uint64_t)frame->epoch);
    record_put_u64(record_put_u64(at, (uint64_t)frame->captured_us), find_answered(self, frame));
}

void viewer_write_frame(struct viewer *self, struct buf *out)
{
    const struct frame *frame = self->hub->frame;
    if (!has_canvas(self, frame)) {
        if (viewer_set_canvas(self, frame) < 0)
            return;
        viewer_write_screen(frame, 0, out);
    }
    struct plan plan;
    if (plan_init(&plan, self) == 0) {
        fit_all(&plan);
        size_t head = out->size;
        viewer_write_head(self, frame, 0, out);
        size_t body = out->size;
        write_copies(&plan, out);
        write_video(&plan, out);
        write_jpegs(&plan, out);
        write_tiles(&plan, out);
        if (out->size == body)
            out->size = head; /* nothing of it is coded yet */
        else if (!out->failed) {
            out->data[head + 1] = note_canvas(&plan) ? RECORD_FRAME_EXACT : 0;
            self->sent[self->n_unacked++] =
                (struct viewer_sent){ frame->id, plan.now_us, out->size - head };
            self->burst = MAX(burst_left(self, plan.now_us) - (int64_t)(out->size - head), 0);
            self->burst_us = plan.now_us;
            self->stats.n_frames++;
        }
    }
    plan_deinit(&plan);
}
