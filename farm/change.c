#include "farm/change.h"

#include "farm/sandbox-impl.h"
#include "stream/recorder.h"

void change_name_frame(struct sandbox *sandbox, struct frame *frame)
{
    if (frame)
        past_keep(display_past(sandbox->display), frame);
    recorder_keep(sandbox->recorder, frame);
}

/* The newest frames are kept even when no answer named them. */
static bool find(struct display *display, int64_t id, struct past_frame *ret, uint64_t **ret_hashes)
{
    if (past_find(display_past(display), id, ret))
        return true;
    struct frame *frame = display_frame_by_id(display, id);
    uint64_t *hashes = frame ? malloc((size_t)frame_n_tiles(frame) * sizeof *hashes) : NULL;
    if (!hashes)
        return false;
    for (int i = 0; i < frame_n_tiles(frame); i++)
        hashes[i] = frame->tiles[i]->hash;
    *ret_hashes = hashes;
    *ret = (struct past_frame){ id, frame->width, frame->height, hashes, frame };
    return true;
}

int change_since(struct display *display, int64_t id, const struct frame *now, struct rect region,
                 pixman_region32_t *out)
{
    struct past_frame then;
    auto_free uint64_t *hashes = NULL;
    if (id == now->id)
        return 0;
    if (!find(display, id, &then, &hashes))
        return CHANGE_GONE;
    difference_rects(&then, now, region, out);
    return 0;
}

static json_t *rect_json(int x, int y, int w, int h)
{
    return json_pack("{si si si si}", "x", x, "y", y, "width", w, "height", h);
}

json_t *change_rects_json(pixman_region32_t *region)
{
    int n;
    const pixman_box32_t *boxes = pixman_region32_rectangles(region, &n);
    json_t *list = json_array();
    for (int i = 0; i < n; i++)
        json_array_append_new(list, rect_json(boxes[i].x1, boxes[i].y1, boxes[i].x2 - boxes[i].x1,
                                              boxes[i].y2 - boxes[i].y1));
    return list;
}

/* The box around the counted pixels of a tile that lie in area. */
static struct rect counted_box(const struct frame *frame, const struct tile_change *change, struct rect area)
{
    struct rect tile = frame_tile_rect(frame, change->index), part = rect_intersect(tile, area);
    uint64_t columns = 0;
    int top = -1, bottom = -1;
    for (int y = part.y - tile.y; y < part.y - tile.y + part.h; y++) {
        uint64_t row = change->counted[y] >> (part.x - tile.x);
        if (part.w < 64)
            row &= (UINT64_C(1) << part.w) - 1;
        if (!row)
            continue;
        columns |= row;
        top = top < 0 ? y : top;
        bottom = y;
    }
    if (top < 0)
        return (struct rect){ 0 };
    int left = __builtin_ctzll(columns), right = 63 - __builtin_clzll(columns);
    return (struct rect){ part.x + left, tile.y + top, right - left + 1, bottom - top + 1 };
}

json_t *change_counted_json(const struct frame_update *update, struct rect area)
{
    pixman_region32_t region;
    json_t *list = NULL;
    if (update->is_new_epoch) {
        list = json_array();
        json_array_append_new(list, rect_json(area.x, area.y, area.w, area.h));
        return list;
    }
    pixman_region32_init(&region);
    for (int i = 0; i < update->n_changes; i++) {
        if (!update->changes[i].counts)
            continue;
        struct rect box = counted_box(update->frame, &update->changes[i], area);
        if (!rect_is_empty(box))
            pixman_region32_union_rect(&region, &region, box.x, box.y, (unsigned)box.w, (unsigned)box.h);
    }
    if (pixman_region32_not_empty(&region))
        list = change_rects_json(&region);
    pixman_region32_fini(&region);
    return list;
}

json_t *change_since_json(struct display *display, int64_t id, struct rect area)
{
    const struct frame *now = display_frame(display);
    pixman_region32_t region;
    json_t *list = NULL;
    if (!now)
        return NULL;
    pixman_region32_init(&region);
    if (change_since(display, id, now, area, &region) == CHANGE_GONE)
        pixman_region32_union_rect(&region, &region, area.x, area.y, (unsigned)area.w, (unsigned)area.h);
    if (pixman_region32_not_empty(&region))
        list = change_rects_json(&region);
    pixman_region32_fini(&region);
    return list;
}
