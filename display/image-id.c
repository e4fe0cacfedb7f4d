#include "display/image-id.h"

#include "display/frame.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

void image_id_format(const struct image_id *self, char out[IMAGE_ID_MAX])
{
    int n = snprintf(out, IMAGE_ID_MAX, "f%" PRId64 "-%dx%d", self->frame, self->width,
                     self->height);
    const struct rect *r = &self->region;
    if (self->has_region)
        snprintf(out + n, (size_t)(IMAGE_ID_MAX - n), "-%d,%d,%d,%d", r->x, r->y, r->w, r->h);
}

/* Reads lead (unless 0) and a number in min..max. */
static int read_number(const char **at, char lead, int64_t min, int64_t max, int64_t *ret)
{
    const char *p = *at;
    if (lead && *p++ != lead)
        return -EINVAL;
    if (*p < '0' || *p > '9' || (*p == '0' && p[1] >= '0' && p[1] <= '9'))
        return -EINVAL;
    int64_t value = 0;
    for (; *p >= '0' && *p <= '9'; p++) {
        if (value > (max - (*p - '0')) / 10)
            return -EINVAL;
        value = value * 10 + (*p - '0');
    }
    if (value < min)
        return -EINVAL;
    *at = p;
    *ret = value;
    return 0;
}

int image_id_parse(const char *text, struct image_id *ret)
{
    int64_t frame, w, h, part[4];
    static const int64_t part_min[4] = { 0, 0, 1, 1 };
    if (read_number(&text, 'f', 1, INT64_MAX, &frame) < 0 ||
        read_number(&text, '-', 1, IMAGE_ID_SIZE_MAX, &w) < 0 ||
        read_number(&text, 'x', 1, IMAGE_ID_SIZE_MAX, &h) < 0)
        return -EINVAL;
    struct image_id id = { .frame = frame, .width = (int)w, .height = (int)h };
    if (*text) {
        for (int i = 0; i < 4; i++)
            if (read_number(&text, i == 0 ? '-' : ',', part_min[i], FRAME_SIZE_MAX, &part[i]) < 0)
                return -EINVAL;
        id.has_region = true;
        id.region = (struct rect){ (int)part[0], (int)part[1], (int)part[2], (int)part[3] };
        if (*text || !rect_fits(id.region, FRAME_SIZE_MAX, FRAME_SIZE_MAX))
            return -EINVAL;
    }
    *ret = id;
    return 0;
}

static int map_axis(int start, int length, int size, int64_t i)
{
    return start + (int)((2 * i + 1) * length / (2 * (int64_t)size));
}

int image_id_map(int width, int height, struct rect region, int64_t ix, int64_t iy, int *ret_fx,
                 int *ret_fy)
{
    int64_t cx = CLAMP(ix, 0, width - 1), cy = CLAMP(iy, 0, height - 1);
    *ret_fx = map_axis(region.x, region.w, width, cx);
    *ret_fy = map_axis(region.y, region.h, height, cy);
    return cx == ix && cy == iy ? 0 : IMAGE_ID_OUTSIDE;
}
