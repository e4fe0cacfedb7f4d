/* Every space is a size in its own units and a way to a native pixel. One axis at a time: what
 * holds for x holds for y. */
#include "input/space.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#define PIXEL_EPSILON 1e-6

const char *const space_kind_names[] = { "native", "frame", "norm1000", "norm1", NULL };

int space_kind_parse(const char *name, enum space_kind *ret)
{
    for (int i = 0; i < SPACE_COUNT; i++) {
        if (strcmp(name, space_kind_names[i]) == 0) {
            *ret = (enum space_kind)i;
            return 0;
        }
    }
    return -EINVAL;
}

/* One axis of a space. */
struct axis {
    char name;
    enum space_kind kind;
    int native, image, start, length;
};

static struct axis axis_x(const struct space *s)
{
    return (struct axis){ 'x', s->kind, s->width, s->image_width, s->region.fx, s->region.width };
}

static struct axis axis_y(const struct space *s)
{
    return (
        struct axis){ 'y', s->kind, s->height, s->image_height, s->region.fy, s->region.height };
}

/* The largest value, and whether it belongs to the space itself. */
static double axis_limit(const struct axis *a, bool *ret_inclusive)
{
    *ret_inclusive = a->kind == SPACE_NORM1000 || a->kind == SPACE_NORM1;
    switch (a->kind) {
    case SPACE_FRAME: return a->image;
    case SPACE_NORM1000: return 1000;
    case SPACE_NORM1: return 1;
    default: return a->native;
    }
}

static int axis_map(const struct axis *a, double v)
{
    double native = a->native;
    switch (a->kind) {
    case SPACE_FRAME: {
        /* floor((ix + 1/2) * length / image) in integers. */
        int64_t ix = (int64_t)v;
        return a->start + (int)((2 * ix + 1) * a->length / (2 * (int64_t)a->image));
    }
    case SPACE_NORM1000: return (int)MIN(v * native / 1000 + PIXEL_EPSILON, native - 1);
    case SPACE_NORM1: return (int)MIN(v * native + PIXEL_EPSILON, native - 1);
    default: return (int)v;
    }
}

static int outside(const struct space *s, const struct axis *a, double v, struct error *err)
{
    bool inclusive;
    double limit = axis_limit(a, &inclusive);
    static const char *const what[] = { "the screen", "the frame's image", "0 to 1000", "0 to 1" };
    if (inclusive)
        return error_set(err, ERROR_OUTSIDE_SCREEN, "%c is %.10g, outside %s", a->name, v,
                         what[s->kind]);
    return error_set(err, ERROR_OUTSIDE_SCREEN, "%c is %.10g, outside %s of %dx%d pixels: 0 to %g",
                     a->name, v, what[s->kind], s->kind == SPACE_FRAME ? s->image_width : s->width,
                     s->kind == SPACE_FRAME ? s->image_height : s->height, limit - 1);
}

static int check_screen(const struct space *s, struct error *err)
{
    if (s->width > 0 && s->height > 0 &&
        (s->kind != SPACE_FRAME || (s->image_width > 0 && s->image_height > 0 &&
                                    s->region.width > 0 && s->region.height > 0)))
        return 0;
    return error_set(err, ERROR_NOT_READY, "the guest has no screen yet");
}

static int axis_to_native(const struct space *s, const struct axis *a, double v, int *ret,
                          struct error *err)
{
    bool inclusive;
    double limit = axis_limit(a, &inclusive);
    if (!(v >= 0) || v > limit || (v >= limit && !inclusive)) /* also NaN */
        return outside(s, a, v, err);
    int px = axis_map(a, v);
    /* A frame taken on a larger screen. */
    if (px < 0 || px >= a->native)
        return error_set(
            err, ERROR_OUTSIDE_SCREEN,
            "%c is %.10g, which is native pixel %d, outside the screen of %dx%d pixels", a->name, v,
            px, s->width, s->height);
    *ret = px;
    return 0;
}

int space_to_native(const struct space *self, double x, double y, int *ret_fx, int *ret_fy,
                    struct error *err)
{
    struct axis ax = axis_x(self), ay = axis_y(self);
    int fx = 0, fy = 0;
    int r = check_screen(self, err);
    if (r >= 0)
        r = axis_to_native(self, &ax, x, &fx, err);
    if (r >= 0)
        r = axis_to_native(self, &ay, y, &fy, err);
    if (r < 0)
        return r;
    *ret_fx = fx;
    *ret_fy = fy;
    return 0;
}

static double axis_to_pixels(const struct axis *a, double v)
{
    switch (a->kind) {
    case SPACE_FRAME: return a->start + v * a->length / a->image;
    case SPACE_NORM1000: return v * a->native / 1000;
    case SPACE_NORM1: return v * a->native;
    default: return v;
    }
}

static int axis_to_range(const struct space *s, const struct axis *a, double v, double size,
                         int *ret_start, int *ret_length, struct error *err)
{
    bool inclusive;
    double limit = axis_limit(a, &inclusive);
    if (!(v >= 0) || v >= limit)
        return outside(s, a, v, err);
    if (!(size > 0) || v + size > limit * (1 + 1e-9))
        return error_set(err, ERROR_OUTSIDE_SCREEN,
                         "the region's %s is %.10g, it must be above 0 and end by %g",
                         a->name == 'x' ? "width" : "height", size, limit);
    int start = (int)floor(axis_to_pixels(a, v) + PIXEL_EPSILON);
    int end = (int)ceil(axis_to_pixels(a, v + size) - PIXEL_EPSILON);
    start = CLAMP(start, 0, a->native - 1);
    *ret_start = start;
    *ret_length = CLAMP(end, start + 1, a->native) - start;
    return 0;
}

int space_to_region(const struct space *self, double x, double y, double width, double height,
                    struct space_region *ret, struct error *err)
{
    struct axis ax = axis_x(self), ay = axis_y(self);
    struct space_region region = { 0 };
    int r = check_screen(self, err);
    if (r >= 0)
        r = axis_to_range(self, &ax, x, width, &region.fx, &region.width, err);
    if (r >= 0)
        r = axis_to_range(self, &ay, y, height, &region.fy, &region.height, err);
    if (r < 0)
        return r;
    *ret = region;
    return 0;
}

static double axis_from_native(const struct axis *a, int px)
{
    switch (a->kind) {
    case SPACE_FRAME:
        return a->length > 0 ? floor((px - a->start + 0.5) * a->image / a->length) : 0;
    case SPACE_NORM1000: return a->native > 0 ? (px + 0.5) * 1000 / a->native : 0;
    case SPACE_NORM1: return a->native > 0 ? (px + 0.5) / a->native : 0;
    default: return px;
    }
}

void space_from_native(const struct space *self, int fx, int fy, double *ret_x, double *ret_y)
{
    struct axis ax = axis_x(self), ay = axis_y(self);
    *ret_x = axis_from_native(&ax, fx);
    *ret_y = axis_from_native(&ay, fy);
}
