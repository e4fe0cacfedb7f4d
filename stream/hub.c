/* One job at a time. When a viewer can be sent something and the display's frame differs from its
 * canvas, the tiles that such viewers lack and that are not in the cache are coded by workers; then
 * that frame is what viewers are sent. Viewers who become ready meanwhile cause the next job. So
 * the work follows the fastest viewer, at most once in HUB_PACE_US, and a slow one never adds a
 * queue.
 *
 * Frames that come while a job runs are not noted anywhere: the next job takes the display's
 * newest. */
#include "stream/hub-impl.h"

#include "base/clock.h"

#include <limits.h>
#include <string.h>

static void pump(void *data);

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
    int n_viewers; /* who want the frame */
    int budget;    /* the smallest of theirs */
    int n_exact;   /* of those, who show the frame sent last to the pixel */
};

static void note_demand(struct hub *self, const struct viewer *viewer, struct demand *demand)
{
    demand->n_viewers++;
    demand->budget = MIN(demand->budget, viewer_budget(viewer, demand->now_us));
    demand->n_exact += self->frame && viewer->exact_id == self->frame->id &&
                       self->frame->epoch == demand->frame->epoch && self->frame != demand->frame;
}

static void find_demand(struct hub *self, struct demand *demand)
{
    struct viewer *viewer, *next;
    list_for_each_safe(viewer, next, &self->viewers, link) {
        if (viewer->is_pictures)
            viewer_update_picture(viewer, demand->now_us, &demand->due_us);
        viewer->is_wanting = demand->frame && viewer_wants(viewer, demand->frame, demand->now_us,
                                                           &demand->due_us);
        if (viewer->is_wanting)
            note_demand(self, viewer, demand);
    }
}

/* The tiles to code: those that a viewer needs and that are not in the cache. */
static int list_tiles(struct hub *self, const struct demand *demand, int *out)
{
    int n = 0;
    for (int i = 0; i < frame_n_tiles(demand->frame); i++) {
        struct viewer *viewer;
        bool is_needed = false;
        list_for_each(viewer, &self->viewers, link)
            is_needed |= !is_needed && viewer->is_wanting &&
                         viewer_needs_code(viewer, demand->frame, i, demand->now_us);
        if (is_needed && !packets_find(self->packets, demand->frame->tiles[i]->hash))
            out[n++] = i;
    }
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
    self->started_us = demand->now_us;
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
        int64_t start_us = self->started_us + HUB_PACE_US;
        if (demand.now_us >= start_us)
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
