#include "display/settle.h"

#include <string.h>

static const char *const names[SETTLE_STATE_COUNT] = {
    [SETTLE_WAITING] = "waiting",
    [SETTLE_MOVING] = "moving",
    [SETTLE_SETTLED] = "settled",
    [SETTLE_TIMED_OUT] = "timed_out",
    [SETTLE_NO_EFFECT] = "no_effect",
};

const char *settle_state_name(enum settle_state state)
{
    return names[state];
}

void settle_set_params(struct settle *self, const struct settle_params *params)
{
    struct settle_params *p = &self->params;
    *p = *params;
    p->max_us = MAX(p->max_us, 0);
    p->first_us = CLAMP(p->first_us, 0, p->max_us);
    p->quiet_us = CLAMP(p->quiet_us, 0, p->max_us);
    p->n_masks = CLAMP(p->n_masks, 0, SETTLE_MASKS_MAX);
}

void settle_init(struct settle *self, const struct settle_params *params, int64_t injected_us)
{
    *self = (struct settle){ .start_us = injected_us, .input_us = injected_us, .state = SETTLE_WAITING };
    settle_set_params(self, params);
    pixman_region32_init(&self->changed);
}

void settle_init_quiet(struct settle *self, const struct settle_params *params, int64_t last_us,
                       int64_t now_us)
{
    settle_init(self, params, now_us);
    self->state = SETTLE_MOVING;
    self->quiet_from_us = MIN(last_us, now_us);
}

void settle_input(struct settle *self, int64_t now_us)
{
    if (settle_advance(self, now_us) >= SETTLE_SETTLED)
        return;
    self->input_us = now_us;
    self->quiet_from_us = MAX(self->quiet_from_us, now_us);
}

void settle_deinit(struct settle *self)
{
    pixman_region32_fini(&self->changed);
}

/* When the present state ends unless something counts before. */
static int64_t deadline(const struct settle *self)
{
    const struct settle_params *p = &self->params;
    if (self->state == SETTLE_WAITING)
        return self->input_us + p->first_us;
    if (self->state == SETTLE_MOVING)
        return MIN(self->quiet_from_us + p->quiet_us, self->input_us + p->max_us);
    return INT64_MAX;
}

enum settle_state settle_advance(struct settle *self, int64_t now_us)
{
    int64_t end = deadline(self);
    if (now_us < end)
        return self->state;
    if (settle_is_done(self))
        return self->state;
    if (self->state == SETTLE_WAITING)
        self->state = SETTLE_NO_EFFECT;
    else if (self->quiet_from_us + self->params.quiet_us <= end)
        self->state = SETTLE_SETTLED;
    else
        self->state = SETTLE_TIMED_OUT;
    self->ended_us = end;
    return self->state;
}

int64_t settle_wake_us(const struct settle *self)
{
    return deadline(self);
}

static void clear_mask(uint64_t rows[TILE_SIZE], struct rect tile, struct rect mask)
{
    struct rect part = rect_intersect(tile, mask);
    if (rect_is_empty(part))
        return;
    uint64_t bits = part.w == 64 ? ~(uint64_t)0 : ((uint64_t)1 << part.w) - 1;
    bits <<= part.x - tile.x;
    for (int y = part.y - tile.y; y < part.y - tile.y + part.h; y++)
        rows[y] &= ~bits;
}

/* The box around what counts of one tile outside the masks; empty when nothing. */
static struct rect counted_box(const struct settle *self, struct rect tile,
                               const struct tile_change *change)
{
    uint64_t rows[TILE_SIZE], any = 0;
    memcpy(rows, change->counted, sizeof rows);
    for (int i = 0; i < self->params.n_masks; i++)
        clear_mask(rows, tile, self->params.masks[i]);
    int top = 0, bottom = tile.h;
    while (top < bottom && !rows[top])
        top++;
    while (bottom > top && !rows[bottom - 1])
        bottom--;
    for (int y = top; y < bottom; y++)
        any |= rows[y];
    if (!any)
        return (struct rect){ 0 };
    int left = __builtin_ctzll(any), right = MIN(64 - __builtin_clzll(any), tile.w);
    return (struct rect){ tile.x + left, tile.y + top, right - left, bottom - top };
}

static void add_rect(struct settle *self, struct rect r)
{
    pixman_region32_t *region = &self->changed;
    pixman_region32_union_rect(region, region, r.x, r.y, (unsigned)r.w, (unsigned)r.h);
    if (pixman_region32_n_rects(region) <= SETTLE_RECTS_MAX)
        return;
    pixman_box32_t all = *pixman_region32_extents(region);
    pixman_region32_fini(region);
    pixman_region32_init_rect(region, all.x1, all.y1, (unsigned)(all.x2 - all.x1),
                              (unsigned)(all.y2 - all.y1));
}

void settle_feed(struct settle *self, const struct frame_update *update)
{
    int64_t now = update->frame->captured_us;
    if (now < self->start_us || settle_advance(self, now) >= SETTLE_SETTLED)
        return;
    bool has_counted = false;
    for (int i = 0; i < update->n_changes; i++) {
        const struct tile_change *change = &update->changes[i];
        if (!change->counts)
            continue;
        struct rect box = counted_box(self, frame_tile_rect(update->frame, change->index), change);
        if (rect_is_empty(box))
            continue;
        has_counted = true;
        add_rect(self, box);
    }
    if (!has_counted)
        return;
    if (!self->first_us)
        self->first_us = now;
    self->last_us = self->quiet_from_us = now;
    self->state = SETTLE_MOVING;
}

const pixman_box32_t *settle_rects(struct settle *self, int *ret_n)
{
    return pixman_region32_rectangles(&self->changed, ret_n);
}
