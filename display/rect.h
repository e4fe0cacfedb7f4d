/* A rectangle in framebuffer pixels: x to the right, y down, from the top left corner. */
#pragma once

#include "base/util.h"

struct rect {
    int x, y, w, h;
};

static inline bool rect_is_empty(struct rect r)
{
    return r.w <= 0 || r.h <= 0;
}

/* True when r is not empty and lies wholly inside w x h. Safe for any values. */
static inline bool rect_fits(struct rect r, int w, int h)
{
    return r.x >= 0 && r.y >= 0 && r.w > 0 && r.h > 0 && r.x <= w && r.y <= h && r.w <= w - r.x &&
           r.h <= h - r.y;
}

/* The common part; empty (w or h 0) when there is none. Coordinates must be below 2^29. */
static inline struct rect rect_intersect(struct rect a, struct rect b)
{
    int x1 = MAX(a.x, b.x), y1 = MAX(a.y, b.y);
    int x2 = MIN(a.x + a.w, b.x + b.w), y2 = MIN(a.y + a.h, b.y + b.h);
    return (struct rect){ x1, y1, MAX(x2 - x1, 0), MAX(y2 - y1, 0) };
}

/* The smallest rectangle around both; an empty one does not count. */
static inline struct rect rect_union(struct rect a, struct rect b)
{
    if (rect_is_empty(a))
        return b;
    if (rect_is_empty(b))
        return a;
    int x1 = MIN(a.x, b.x), y1 = MIN(a.y, b.y);
    int x2 = MAX(a.x + a.w, b.x + b.w), y2 = MAX(a.y + a.h, b.y + b.h);
    return (struct rect){ x1, y1, x2 - x1, y2 - y1 };
}
