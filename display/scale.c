#include "display/scale.h"

#include <errno.h>
#include <string.h>

#define ONE 65536 /* sum of the weights of one destination pixel */

/* The source pixels first..first+n-1 that make one destination pixel. */
struct taps {
    int first, n;
    uint32_t *weights;
};

struct axis {
    struct taps *taps; /* one per destination pixel */
    uint32_t *weights;
};

static void axis_deinit(struct axis *self)
{
    free(self->taps);
    free(self->weights);
}

/* Turns shares into whole weights that add up to ONE. */
static void set_weights(struct taps *taps, const double *shares, double total)
{
    double sum = 0;
    uint32_t given = 0;
    for (int i = 0; i < taps->n; i++) {
        sum += shares[i];
        uint32_t until = (uint32_t)(sum / total * ONE + 0.5);
        taps->weights[i] = until - given;
        given = until;
    }
}

static void set_area(struct taps *taps, int i, double step, int from, double *shares)
{
    double start = i * step, end = MIN((i + 1) * step, (double)from);
    taps->first = MIN((int)start, from - 1);
    int last = MIN((int)end, from - 1);
    taps->n = last - taps->first + 1;
    for (int k = 0; k < taps->n; k++) {
        double a = MAX(start, (double)taps->first + k), b = MIN(end, (double)taps->first + k + 1);
        shares[k] = MAX(b - a, 0.0);
    }
    set_weights(taps, shares, end - start);
}

static void set_bilinear(struct taps *taps, int i, double step, int from, double *shares)
{
    double centre = CLAMP((i + 0.5) * step - 0.5, 0.0, from - 1.0);
    taps->first = MIN((int)centre, MAX(from - 2, 0));
    taps->n = MIN(from, 2);
    shares[1] = centre - taps->first;
    shares[0] = 1 - shares[1];
    set_weights(taps, shares, 1);
}

static int axis_init(struct axis *self, int from, int to)
{
    double step = (double)from / to;
    size_t room = to < from ? (size_t)step + 3 : 2;
    self->taps = calloc((size_t)to, sizeof *self->taps);
    self->weights = calloc((size_t)to * room, sizeof *self->weights);
    auto_free double *shares = calloc(room, sizeof *shares);
    if (!self->taps || !self->weights || !shares)
        return -ENOMEM;
    for (int i = 0; i < to; i++) {
        self->taps[i].weights = self->weights + (size_t)i * room;
        if (to < from)
            set_area(&self->taps[i], i, step, from, shares);
        else
            set_bilinear(&self->taps[i], i, step, from, shares);
    }
    return 0;
}

/* One source row to the destination's width, 8.8 fixed point, three channels. */
static void scale_row(const uint32_t *from, const struct axis *axis, int to_width, uint16_t *out)
{
    for (int x = 0; x < to_width; x++) {
        const struct taps *t = &axis->taps[x];
        uint32_t r = 0, g = 0, b = 0;
        for (int k = 0; k < t->n; k++) {
            uint32_t p = from[t->first + k], w = t->weights[k];
            r += (p >> 16 & 255) * w;
            g += (p >> 8 & 255) * w;
            b += (p & 255) * w;
        }
        out[3 * x] = (uint16_t)((r + 128) >> 8);
        out[3 * x + 1] = (uint16_t)((g + 128) >> 8);
        out[3 * x + 2] = (uint16_t)((b + 128) >> 8);
    }
}

static void add_row(uint32_t *sum, const uint16_t *row, uint32_t weight, int n)
{
    for (int i = 0; i < n; i++)
        sum[i] += row[i] * weight;
}

static void store_row(const uint32_t *sum, uint32_t *to, int to_width)
{
    for (int x = 0; x < to_width; x++, sum += 3)
        to[x] = 0xff000000u | (sum[0] + (1 << 23)) >> 24 << 16 | (sum[1] + (1 << 23)) >> 24 << 8 |
                (sum[2] + (1 << 23)) >> 24;
}

/* Destination rows ask for source rows in ascending order and two neighbours share at most one
 * (area) or two (bilinear), so the last two scaled rows are enough of a cache. */
static void scale_rows(const uint32_t *from, int from_stride, const struct axis *ax,
                       const struct axis *ay, uint32_t *to, int to_width, int to_height,
                       int to_stride, uint16_t *rows[2], uint32_t *sum)
{
    int have[2] = { -1, -1 };
    for (int y = 0; y < to_height; y++) {
        const struct taps *t = &ay->taps[y];
        memset(sum, 0, (size_t)to_width * 3 * sizeof *sum);
        for (int k = 0; k < t->n; k++) {
            int source = t->first + k, slot = source & 1;
            if (!t->weights[k])
                continue;
            if (have[slot] != source)
                scale_row(from + (size_t)source * (size_t)from_stride, ax, to_width, rows[slot]);
            have[slot] = source;
            add_row(sum, rows[slot], t->weights[k], to_width * 3);
        }
        store_row(sum, to + (size_t)y * (size_t)to_stride, to_width);
    }
}

int scale_pixels(const uint32_t *from, int from_width, int from_height, int from_stride,
                 uint32_t *to, int to_width, int to_height, int to_stride)
{
    if (from_width == to_width && from_height == to_height) {
        for (int y = 0; y < to_height; y++)
            memcpy(to + (size_t)y * (size_t)to_stride, from + (size_t)y * (size_t)from_stride,
                   (size_t)to_width * sizeof *to);
        return 0;
    }
    struct axis ax = { 0 }, ay = { 0 };
    size_t n = (size_t)to_width * 3;
    auto_free uint16_t *row = calloc(n * 2, sizeof *row);
    auto_free uint32_t *sum = calloc(n, sizeof *sum);
    int r = row && sum ? 0 : -ENOMEM;
    if (r == 0)
        r = axis_init(&ax, from_width, to_width);
    if (r == 0)
        r = axis_init(&ay, from_height, to_height);
    uint16_t *rows[2] = { row, row + n };
    if (r == 0)
        scale_rows(from, from_stride, &ax, &ay, to, to_width, to_height, to_stride, rows, sum);
    axis_deinit(&ax);
    axis_deinit(&ay);
    return r;
}
