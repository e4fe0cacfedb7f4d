/* A region that plays like a film goes as H.264 to those whose link takes it; the others get its
 * tiles.
 *
 * Heat comes from changes of tiles whose last code was long, so what scrolls or comes back from the
 * store does not count, and a film that is too much to code is found all the same. While a region
 * is open its tiles are not coded for those who decode it; it is closed when few of them have
 * changed for HEAT_COOL_US. Its tiles count as lossy and are repaired when still, as any.
 *
 * Units follow each other: a viewer that missed one waits for a key, and keys are made at most once
 * in KEY_US for all viewers together. */
#include "stream/hub-impl.h"

#include <string.h>

#define KEY_US 500000
#define COSTLY 1000    /* bytes of a tile's code */
#define TILES_ALIVE 6  /* changed tiles of the region that keep it open */
#define BUDGET_BEGIN 40960
#define BUDGET_END 16384

bool hub_video_covers(const struct hub *self, const struct frame *frame, int i)
{
    if (!self->video)
        return false;
    struct rect tile = frame_tile_rect(frame, i), region = video_region(self->video);
    return tile.x >= region.x && tile.y >= region.y && tile.x + tile.w <= region.x + region.w &&
           tile.y + tile.h <= region.y + region.h;
}

void hub_close_video(struct hub *self)
{
    struct viewer *viewer, *next;
    self->heat = heat_free(self->heat);
    free(self->is_costly);
    self->is_costly = NULL;
    self->n_costly = 0;
    if (!self->video)
        return;
    self->video = video_unref(self->video);
    list_for_each_safe(viewer, next, &self->viewers, link)
        if (viewer->video_id && viewer->has_room)
            viewer->ops->wake(viewer->data);
}

static bool may_use(const struct viewer *viewer)
{
    int least = viewer->uses_video ? BUDGET_END : BUDGET_BEGIN;
    return viewer->flags & RECORD_HELLO_VIDEO && viewer->budget >= least;
}

static void choose_viewers(struct hub *self)
{
    struct viewer *viewer;
    list_for_each(viewer, &self->viewers, link)
        viewer->uses_video = self->video && may_use(viewer);
}

static bool has_user(const struct hub *self)
{
    struct viewer *viewer;
    list_for_each(viewer, &self->viewers, link)
        if (may_use(viewer))
            return true;
    return false;
}

static void open_video(struct hub *self, struct rect tiles, int64_t now_us)
{
    const struct frame *frame = self->frame;
    struct rect region = { tiles.x * TILE_SIZE, tiles.y * TILE_SIZE, tiles.w * TILE_SIZE,
                           tiles.h * TILE_SIZE };
    region = rect_intersect(region, (struct rect){ 0, 0, frame->width, frame->height });
    self->video = video_new(region);
    self->video_id = (uint16_t)(self->video_id % UINT16_MAX + 1);
    self->video_seq = self->video_key_us = self->video_frame_id = 0;
    self->video_hot_us = now_us;
}

void hub_check_video(struct hub *self, int64_t now_us, int64_t *due_us)
{
    if (self->video && now_us >= self->video_hot_us + HEAT_COOL_US) {
        hub_close_video(self);
        hub_request(self);
    } else if (!self->video && self->heat && self->frame && has_user(self)) {
        struct rect region = heat_region(self->heat, now_us);
        if (!rect_is_empty(region))
            open_video(self, region, now_us);
    }
    if (self->video)
        *due_us = MIN(*due_us, self->video_hot_us + HEAT_COOL_US);
    choose_viewers(self);
}

void hub_note_costs(struct hub *self, const struct coder *coder)
{
    int n = frame_n_tiles(coder->frame);
    if (self->n_costly != n) {
        free(self->is_costly);
        self->is_costly = calloc((size_t)n, sizeof *self->is_costly);
        self->n_costly = self->is_costly ? n : 0;
    }
    for (int i = 0; self->n_costly && coder->is_moved && i < n; i++)
        self->is_costly[i] &= !coder->is_moved[i];
    for (int i = 0; self->n_costly && i < coder->n_tiles; i++)
        self->is_costly[coder->tiles[i].index] =
            coder->tiles[i].data && coder->tiles[i].data->size >= COSTLY;
}

void hub_feed_heat(struct hub *self, const struct frame_update *update)
{
    const struct frame *frame = update->frame;
    if (self->video || update->n_changes < HEAT_TILES_MIN || self->n_costly != frame_n_tiles(frame))
        return;
    if (!self->heat)
        self->heat = heat_new();
    for (int i = 0; self->heat && i < update->n_changes; i++)
        if (self->is_costly[update->changes[i].index])
            heat_feed(self->heat, frame->columns, frame->rows, update->changes[i].index,
                      frame->captured_us);
}

/* Tiles of the region that differ from the frame that viewers were sent last. */
static int count_changed(const struct hub *self, const struct frame *frame)
{
    int n = 0;
    for (int i = 0; i < frame_n_tiles(frame); i++)
        n += hub_video_covers(self, frame, i) &&
             (!self->frame || self->frame->tiles[i]->hash != frame->tiles[i]->hash);
    return n;
}

static bool lacks_region(const struct hub *self, const struct viewer *viewer,
                         const struct frame *frame)
{
    if (!viewer->cells || viewer->n_cells != frame_n_tiles(frame))
        return true;
    for (int i = 0; i < viewer->n_cells; i++)
        if (hub_video_covers(self, frame, i) && viewer->cells[i].hash != frame->tiles[i]->hash)
            return true;
    return false;
}

void hub_plan_video(struct hub *self, struct coder_params *params, int64_t now_us)
{
    struct frame *frame = params->frame;
    if (self->video && (!self->frame || self->frame->epoch != frame->epoch))
        hub_close_video(self);
    if (!self->video)
        return;
    int n_following = 0, n_lost = 0;
    struct viewer *viewer;
    list_for_each(viewer, &self->viewers, link) {
        if (!viewer->is_wanting || !viewer->uses_video || !lacks_region(self, viewer, frame))
            continue;
        bool follows = viewer->video_id == self->video_id && viewer->video_seq == self->video_seq;
        n_following += follows && self->video_seq > 0;
        n_lost += !follows || self->video_seq == 0;
    }
    bool wants_key = n_lost > 0 && now_us >= self->video_key_us + KEY_US;
    if (n_following == 0 && !wants_key)
        return;
    if (frame != self->frame && count_changed(self, frame) >= TILES_ALIVE)
        self->video_hot_us = now_us;
    if (wants_key)
        self->video_key_us = now_us;
    params->video = self->video;
    params->wants_key = wants_key;
    params->video_seq = ++self->video_seq;
}

const struct video_unit *hub_video_unit(const struct hub *self, const struct viewer *viewer)
{
    const struct coder *coder = self->done;
    if (!self->video || !viewer->uses_video || !coder || !coder->unit.data)
        return NULL;
    bool follows = viewer->video_id == self->video_id && viewer->video_seq == coder->video_seq - 1;
    bool has_it = viewer->video_id == self->video_id && viewer->video_seq >= coder->video_seq;
    return !has_it && (follows || coder->unit.is_key) ? &coder->unit : NULL;
}
