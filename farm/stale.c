#include "farm/stale.h"

#include <string.h>

#define SIDE (2 * STALE_REACH + 1)

enum stale stale_look(const struct display *display, int64_t id, int fx, int fy)
{
    const struct frame *now = display_frame(display), *then = display_frame_by_id(display, id);
    if (!now || !then || then->width != now->width || then->height != now->height)
        return STALE_UNKNOWN;
    if (now == then)
        return STALE_NO;
    uint32_t old[SIDE * SIDE] = { 0 }, new[SIDE * SIDE] = { 0 };
    struct rect around = { fx - STALE_REACH, fy - STALE_REACH, SIDE, SIDE };
    around = rect_intersect(around, (struct rect){ 0, 0, now->width, now->height });
    frame_read(then, around, old, SIDE);
    frame_read(now, around, new, SIDE);
    return memcmp(old, new, sizeof old) == 0 ? STALE_NO : STALE_CHANGED;
}
