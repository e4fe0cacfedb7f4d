/* One job at a time. When a viewer can be sent something and the display's frame differs from its
 * canvas, the tiles that such viewers lack and that are not in the cache are coded by workers; then
 * that frame is what viewers are sent. Viewers who become ready meanwhile cause the next job. So
 * the work follows the fastest viewer, at most once in HUB_PACE_US, and a slow one never adds a
 * queue.
 *
 * What only a viewer on a much slower link lacks (it missed the frames between, so it has use for no
 * copy, and its budget asks for JPEGs) is not coded while a quicker one waits: it gets a job of its own
 * after that, of few tiles, or after SLOW_WAIT_US takes part as any.
 *
 * Frames that come while a job runs are not noted anywhere: the next job takes the display's
 * newest. */
#include "stream/hub-impl.h"

#include "base/clock.h"

#include <limits.h>
#include <string.h>

static void pump(void *data);

/* A budget that is smaller than the largest by so much makes a viewer slow. */
#define SLOW_SHARE 32
#define SLOW_WAIT_US 100000
/* Tiles of a job for slow viewers: so many, or one for so many bytes of budget. */
#define SLOW_TILES 48
#define SLOW_TILE_BYTES 256

/* --- Viewers ---------------------------------------------------------------------------------- */

void hub_add(struct hub *self, struct viewer *viewer)
{
    list_append(&self->viewers, &viewer->link);
    self->n_viewers++;
}

void hub_remove(struct hub *self, struct viewer *viewer)
{
    list_remove(&viewer->link);
    self->n_viewers--;
}

static void drop_results(struct hub *self)
{
    self->frame = frame_unref(self->frame);
    self->done = coder_free(self->done);
    self->base_id = 0;
}

static void handle_linger(void *data)
{
    struct hub *self = data;
    self->packets = packets_free(self->packets);
}

void hub_show(struct hub *self, bool is_shown)
{
    self->n_shown += is_shown ? 1 : -1;
    if (is_shown) {
        timer_stop(self->linger);
        display_hold(self->display);
        return;
    }
    display_release(self->display);
    if (self->n_shown > 0)
        return;
    timer_stop(self->pace);
    self->coding = coder_free(self->coding);
    hub_close_video(self);
    drop_results(self);
    timer_start(self->linger, HUB_LINGER_US);
}

void hub_request(struct hub *self)
{
    defer_request(self->turn);
}

/* --- The display ------------------------------------------------------------------------------ */

static void handle_frame(void *data, const struct frame_update *update)
{
    struct hub *self = data;
    if (self->n_shown > 0)
        hub_feed_heat(self, update);
    pump(self);
}

static void wake_all(struct hub *self)
{
    struct viewer *viewer, *next;
    list_for_each_safe(viewer, next, &self->viewers, link)
        if (viewer->is_greeted && viewer->has_room)
            viewer->ops->wake(viewer->data);
}

static void handle_screen(void *data, enum display_screen screen)
{
    struct hub *self = data;
    struct viewer *viewer;
    if (screen != DISPLAY_ON) {
        self->coding = coder_free(self->coding);
        hub_close_video(self);
        drop_results(self);
    }
    list_for_each(viewer, &self->viewers, link)
        viewer->has_screen = true;
    wake_all(self);
    hub_request(self);
}

static void handle_cursor(void *data, const struct cursor *cursor maybe_unused)
{
    struct hub *self = data;
    if (self->n_shown > 0)
        wake_all(self);
}

static const struct display_observer_ops observer_ops = {
    .frame = handle_frame, .screen = handle_screen, .cursor = handle_cursor,
};

/* --- Jobs ------------------------------------------------------------------------------------- */

/* What a job is for. */
struct demand {
    struct frame *frame;
    int64_t now_us, due_us;
    int n_viewers;   /* who want the frame */
    int budget;      /* the smallest of theirs */
    int n_exact;     /* of those, who show the frame sent last to the pixel */
    bool is_slow;    /* only slow viewers want it */
    bool is_pending; /* a quick one has not fetched yet what it was woken for */
};

static int largest_budget(const struct hub *self)
{
    const struct viewer *viewer;
    int largest = 0;
    list_for_each(viewer, &self->viewers, link)
        if (viewer->is_greeted && viewer->is_shown && !viewer->is_patient)
            largest = MAX(largest, viewer->budget);
    return largest;
}

static void note_demand(struct hub *self, const struct viewer *viewer, struct demand *demand)
{
    demand->n_viewers++;
    demand->budget = MIN(demand->budget, viewer_budget(viewer, demand->now_us));
    demand->n_exact += self->frame && viewer->exact_id == self->frame->id &&
                       self->frame->epoch == demand->frame->epoch && self->frame != demand->frame;
}

/* Marks who wants the frame. Slow ones wait while others do. */
static void find_demand(struct hub *self, struct demand *demand)
{
    struct viewer *viewer, *next;
    int n_quick = 0, n_slow = 0, largest = largest_budget(self);
    list_for_each_safe(viewer, next, &self->viewers, link) {
        if (viewer->is_pictures)
            viewer_update_picture(viewer, demand->now_us, &demand->due_us);
        viewer->is_slow = !viewer->is_patient && viewer->budget < largest / SLOW_SHARE;
        viewer->is_wanting = demand->frame && viewer_wants(viewer, demand->frame, demand->now_us,
                                                           &demand->due_us);
        *(viewer->is_slow ? &n_slow : &n_quick) += viewer->is_wanting;
        demand->is_pending |= !viewer->is_slow && viewer->is_due && viewer->has_room;
    }
    if (n_slow == 0 || n_quick == 0)
        self->slow_since_us = 0;
    else if (!self->slow_since_us)
        self->slow_since_us = demand->now_us;
    bool takes_all = n_quick == 0 || demand->now_us >= self->slow_since_us + SLOW_WAIT_US;
    list_for_each(viewer, &self->viewers, link) {
        viewer->is_wanting &= takes_all || !viewer->is_slow;
        if (viewer->is_wanting)
            note_demand(self, viewer, demand);
    }
    demand->is_slow = n_quick == 0 && n_slow > 0;
}

static int compare_tiles(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

static bool is_needed(const struct hub *self, const struct demand *demand, int i)
{
    const struct viewer *viewer;
    list_for_each(viewer, &self->viewers, link)
        if (viewer->is_wanting && viewer_needs_code(viewer, demand->frame, i, demand->now_us))
            return !packets_find(self->packets, demand->frame->tiles[i]->hash);
    return false;
}

/* The tiles to code, ascending: those that a viewer needs and that are not in the cache. For slow viewers
 * about as many as the next message holds, from where the last one stopped. */
static int list_tiles(struct hub *self, const struct demand *demand, int *out)
{
    int n = 0, n_tiles = frame_n_tiles(demand->frame), start = 0;
    int limit = demand->is_slow ? MAX(SLOW_TILES, demand->budget / SLOW_TILE_BYTES) : n_tiles;
    const struct viewer *viewer;
    list_for_each(viewer, &self->viewers, link)
        if (demand->is_slow && viewer->is_wanting)
            start = viewer->next_tile;
    for (int k = 0; k < n_tiles && n < limit; k++) {
        int i = (start + k) % n_tiles;
        if (is_needed(self, demand, i))
            out[n++] = i;
    }
    if (start > 0)
        qsort(out, (size_t)n, sizeof *out, compare_tiles);
    return n;
}

/* frame is what viewers are sent from now on. */
static void publish(struct hub *self, struct frame *frame, struct coder *coder)
{
    /* More of the same frame: what its job made is still good. */
    if (coder || frame != self->frame) {
        frame_ref(frame);
        drop_results(self);
        self->frame = frame;
        self->done = coder;
        self->base_id = coder && coder->base && coder->n_copies > 0 ? coder->base->id : 0;
    }
    int64_t now = clock_now_us(), due = INT64_MAX;
    struct viewer *viewer, *next;
    list_for_each_safe(viewer, next, &self->viewers, link) {
        if (!viewer_wants(viewer, frame, now, &due))
            continue;
        viewer->is_due = true;
        viewer->ops->wake(viewer->data);
    }
}

static void keep_codes(struct hub *self, const struct coder *coder)
{
    for (int i = 0; i < coder->n_tiles; i++) {
        const struct coder_tile *tile = &coder->tiles[i];
        if (tile->code == TILE_SOLID || tile->data)
            packets_insert(self->packets, coder->frame->tiles[tile->index]->hash, tile->code,
                           tile->colour, bytes_ref(tile->data));
    }
}

static void handle_coded(void *data, struct coder *coder)
{
    struct hub *self = data;
    self->coding = NULL;
    self->stats.n_coded += coder->n_tiles;
    self->stats.coding_us += coder->us;
    keep_codes(self, coder);
    hub_note_costs(self, coder);
    if (self->video && coder->video_seq && !coder->unit.data)
        hub_close_video(self); /* the encoder refuses: tiles it is */
    publish(self, coder->frame, coder);
    hub_request(self);
}

static void start_job(struct hub *self, const struct demand *demand)
{
    auto_free int *tiles = malloc((size_t)frame_n_tiles(demand->frame) * sizeof *tiles);
    if (!self->packets)
        self->packets = packets_new(PACKETS_BYTES);
    if (!tiles || !self->packets)
        return;
    *(demand->is_slow ? &self->slow_started_us : &self->started_us) = demand->now_us;
    int n = list_tiles(self, demand, tiles);
    struct coder_params params = {
        .frame = demand->frame, .base = demand->n_exact > 0 ? self->frame : NULL,
        .is_shared = demand->n_exact == demand->n_viewers, .tiles = tiles, .n = n,
        .budget = (size_t)demand->budget,
    };
    hub_plan_video(self, &params, demand->now_us);
    if (n == 0 && !params.video) {
        publish(self, demand->frame, NULL);
        return;
    }
    self->stats.n_jobs++;
    self->coding = coder_start(self->pool, &params, handle_coded, self);
}

static void pump(void *data)
{
    struct hub *self = data;
    if (self->coding || self->n_shown == 0)
        return;
    struct demand demand = { .frame = display_frame(self->display), .now_us = clock_now_us(),
                             .due_us = INT64_MAX, .budget = INT_MAX };
    hub_check_video(self, demand.now_us, &demand.due_us);
    find_demand(self, &demand);
    if (demand.n_viewers > 0) {
        int64_t start_us = (demand.is_slow ? self->slow_started_us : self->started_us) + HUB_PACE_US;
        if (demand.now_us >= start_us && !(demand.is_slow && demand.is_pending))
            start_job(self, &demand);
        if (!self->coding)
            demand.due_us = MIN(demand.due_us, MAX(start_us, demand.now_us + 1000));
    }
    if (demand.due_us < INT64_MAX && !self->coding)
        timer_start(self->pace, MAX(demand.due_us - demand.now_us, 0));
}

/* --- Life ------------------------------------------------------------------------------------- */

struct hub *hub_new(struct loop *loop, struct worker_pool *pool, struct display *display)
{
    struct hub *self = calloc(1, sizeof *self);
    if (!self)
        return NULL;
    self->loop = loop;
    self->pool = pool;
    self->display = display;
    list_init(&self->viewers);
    self->turn = defer_new(loop, pump, self);
    self->pace = timer_new(loop, pump, self);
    self->linger = timer_new(loop, handle_linger, self);
    if (!self->turn || !self->pace || !self->linger)
        return hub_free(self);
    display_observe(display, &self->observer, &observer_ops, self);
    return self;
}

static void end_viewers(struct hub *self)
{
    while (!list_empty(&self->viewers)) {
        struct viewer *viewer = list_first(&self->viewers, struct viewer, link);
        hub_remove(self, viewer);
        if (viewer->is_shown && viewer->is_greeted)
            hub_show(self, false);
        viewer->hub = NULL;
        if (viewer->ops->ended)
            viewer->ops->ended(viewer->data);
    }
}

struct hub *hub_free(struct hub *self)
{
    if (!self)
        return NULL;
    end_viewers(self);
    display_unobserve(&self->observer);
    coder_free(self->coding);
    hub_close_video(self);
    drop_results(self);
    packets_free(self->packets);
    defer_free(self->turn);
    timer_free(self->pace);
    timer_free(self->linger);
    free(self);
    return NULL;
}

struct hub_stats hub_stats(const struct hub *self)
{
    struct hub_stats stats = self->stats;
    stats.n_viewers = self->n_viewers;
    stats.n_shown = self->n_shown;
    stats.cache_bytes = self->packets ? packets_size(self->packets) : 0;
    return stats;
}
