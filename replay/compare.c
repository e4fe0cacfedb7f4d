#include "replay/compare.h"

#include <errno.h>
#include <string.h>

static int paint(const struct reading *reading, int64_t frame, struct canvas **ret, struct error *err)
{
    struct place place;
    int64_t next;
    struct canvas *canvas = canvas_new();
    if (!canvas)
        return error_errno(err, ENOMEM, "comparing frames");
    int r = reading_find_frame(reading, frame, &place, &next) == READING_UNKNOWN
                ? error_set(err, ERROR_UNKNOWN_FRAME, "frame %lld is not in the recording", (long long)frame)
                : reading_paint(reading, canvas, NULL, place, err);
    if (r < 0)
        canvas_free(canvas);
    else
        *ret = canvas;
    return r;
}

static bool is_masked(const json_t *mask, int x, int y)
{
    json_t *rect;
    size_t i;
    json_array_foreach(mask, i, rect) {
        int64_t dx = x - json_get_int(rect, "x", 0), dy = y - json_get_int(rect, "y", 0);
        if (dx >= 0 && dy >= 0 && dx < json_get_int(rect, "width", 0) && dy < json_get_int(rect, "height", 0))
            return true;
    }
    return false;
}

static void add(struct compare *self, int x, int y)
{
    struct rect one = { x, y, 1, 1 };
    self->where = self->n_pixels++ ? rect_union(self->where, one) : one;
}

static void look(const struct canvas_state *a, const struct canvas_state *b, const json_t *mask, struct compare *ret)
{
    int width = MAX(a->width, b->width), height = MAX(a->height, b->height);
    *ret = (struct compare){ 0 };
    if (a->width != b->width || a->height != b->height) {
        *ret = (struct compare){ (int64_t)width * height, { 0, 0, width, height } };
        return;
    }
    for (int y = 0; y < height; y++) {
        const uint32_t *row_a = a->pixels + (size_t)y * (size_t)width, *row_b = b->pixels + (size_t)y * (size_t)width;
        for (int x = 0; memcmp(row_a, row_b, (size_t)width * 4) != 0 && x < width; x++)
            if (row_a[x] != row_b[x] && !is_masked(mask, x, y))
                add(ret, x, y);
    }
}

int compare_frames(const struct reading *a, int64_t frame_a, const struct reading *b, int64_t frame_b,
                   const json_t *mask, struct compare *ret, struct error *err)
{
    struct canvas *canvas_a = NULL, *canvas_b = NULL;
    int r = paint(a, frame_a, &canvas_a, err);
    if (r == 0)
        r = paint(b, frame_b, &canvas_b, err);
    if (r == 0) {
        struct canvas_state state_a = canvas_state(canvas_a), state_b = canvas_state(canvas_b);
        look(&state_a, &state_b, mask, ret);
    }
    canvas_free(canvas_a);
    canvas_free(canvas_b);
    return r;
}

int compare_nearest(const struct reading *a, const json_t *frames_a, const struct reading *b, int64_t frame_b,
                    const json_t *mask, int64_t *ret_frame, struct compare *ret, struct error *err)
{
    json_t *frame;
    size_t i;
    int r = 0;
    *ret = (struct compare){ .n_pixels = -1 };
    json_array_foreach(frames_a, i, frame) {
        struct compare one;
        r = compare_frames(a, json_integer_value(frame), b, frame_b, mask, &one, err);
        if (r < 0 || (ret->n_pixels >= 0 && one.n_pixels >= ret->n_pixels))
            continue;
        *ret = one;
        *ret_frame = json_integer_value(frame);
    }
    return ret->n_pixels >= 0 ? 0 : r < 0 ? r : error_set(err, ERROR_UNKNOWN_FRAME, "there is no frame to compare with");
}
