/* SSIM (Wang, Bovik, Sheikh, Simoncelli: "Image quality assessment: from error visibility to structural
 * similarity", IEEE Trans. Image Processing 13, 2004) compares the mean, the contrast and the structure of
 * small windows, here of luma in 8x8 pixels that do not overlap:
 *
 *     (2 a b + C1) (2 cov + C2) / ((a^2 + b^2 + C1) (va + vb + C2)),  C1 = (0.01 L)^2, C2 = (0.03 L)^2
 *
 * The mean over the whole screen is taken, and tiles that are equal count as 1 without being read. So
 * a caret is about 0.0001, another window 0.1 to 0.4, an inverted screen up to 1 (SSIM may be negative;
 * a window counts at most 1). */
#include "display/difference.h"

#include <math.h>
#include <string.h>

#define WINDOW 8
#define C1 (0.01 * 255 * 0.01 * 255)
#define C2 (0.03 * 255 * 0.03 * 255)

static void add(pixman_region32_t *out, struct rect r)
{
    if (!rect_is_empty(r))
        pixman_region32_union_rect(out, out, r.x, r.y, (unsigned)r.w, (unsigned)r.h);
}

/* The box around the pixels of part that differ. */
static struct rect differing(const struct tile *a, const struct tile *b, struct rect tile, struct rect part)
{
    int left = INT32_MAX, right = -1, top = INT32_MAX, bottom = -1;
    for (int y = part.y - tile.y; y < part.y - tile.y + part.h; y++)
        for (int x = part.x - tile.x; x < part.x - tile.x + part.w; x++)
            if (a->pixels[y * TILE_SIZE + x] != b->pixels[y * TILE_SIZE + x]) {
                left = MIN(left, x);
                right = MAX(right, x);
                top = MIN(top, y);
                bottom = MAX(bottom, y);
            }
    if (right < 0)
        return (struct rect){ 0 };
    return (struct rect){ tile.x + left, tile.y + top, right - left + 1, bottom - top + 1 };
}

void difference_rects(const struct past_frame *then, const struct frame *now, struct rect region,
                     pixman_region32_t *out)
{
    if (then->width != now->width || then->height != now->height) {
        add(out, region);
        return;
    }
    for (int i = 0; i < frame_n_tiles(now); i++) {
        struct rect tile = frame_tile_rect(now, i), part = rect_intersect(tile, region);
        if (rect_is_empty(part) || then->hashes[i] == now->tiles[i]->hash)
            continue;
        add(out, then->frame ? differing(then->frame->tiles[i], now->tiles[i], tile, part) : part);
    }
    if (pixman_region32_n_rects(out) > DIFFERENCE_RECTS_MAX) {
        pixman_box32_t box = *pixman_region32_extents(out);
        pixman_region32_fini(out);
        pixman_region32_init_rect(out, box.x1, box.y1, (unsigned)(box.x2 - box.x1), (unsigned)(box.y2 - box.y1));
    }
}

/* --- How much ---------------------------------------------------------------------------------- */

static double luma(uint32_t p)
{
    return 0.299 * (p >> 16 & 255) + 0.587 * (p >> 8 & 255) + 0.114 * (p & 255);
}

/* 1 - SSIM of one window, 0..1. */
static double window_difference(const uint32_t *a, const uint32_t *b, int w, int h)
{
    double sa = 0, sb = 0, saa = 0, sbb = 0, sab = 0, n = w * h;
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            double p = luma(a[y * TILE_SIZE + x]), q = luma(b[y * TILE_SIZE + x]);
            sa += p;
            sb += q;
            saa += p * p;
            sbb += q * q;
            sab += p * q;
        }
    double ma = sa / n, mb = sb / n, va = saa / n - ma * ma, vb = sbb / n - mb * mb, cov = sab / n - ma * mb;
    double ssim = (2 * ma * mb + C1) * (2 * cov + C2) / ((ma * ma + mb * mb + C1) * (va + vb + C2));
    return CLAMP(1 - ssim, 0.0, 1.0);
}

static double color_distance(uint32_t a, uint32_t b)
{
    double sum = 0;
    for (int shift = 0; shift <= 16; shift += 8) {
        double d = (int)(a >> shift & 255) - (int)(b >> shift & 255);
        sum += d * d;
    }
    return sqrt(sum / (3 * 255.0 * 255.0));
}

struct sums {
    double difference, color;
    int64_t changed;
};

static void add_tile(const struct tile *a, const struct tile *b, struct rect r, struct sums *sums)
{
    for (int y = 0; y < r.h; y += WINDOW)
        for (int x = 0; x < r.w; x += WINDOW) {
            int w = MIN(WINDOW, r.w - x), h = MIN(WINDOW, r.h - y), at = y * TILE_SIZE + x;
            sums->difference += w * h * window_difference(a->pixels + at, b->pixels + at, w, h);
        }
    for (int y = 0; y < r.h; y++)
        for (int x = 0; x < r.w; x++) {
            uint32_t p = a->pixels[y * TILE_SIZE + x], q = b->pixels[y * TILE_SIZE + x];
            sums->changed += p != q;
            sums->color += p != q ? color_distance(p, q) : 0;
        }
}

void difference_measure(const struct frame *then, const struct frame *now, struct difference *ret)
{
    struct sums sums = { 0 };
    double n = (double)now->width * now->height;
    for (int i = 0; i < frame_n_tiles(now); i++)
        if (then->tiles[i] != now->tiles[i] && then->tiles[i]->hash != now->tiles[i]->hash)
            add_tile(then->tiles[i], now->tiles[i], frame_tile_rect(now, i), &sums);
    ret->changed = (double)sums.changed / n;
    ret->seen = sums.difference / n;
    ret->color = sums.changed ? sums.color / (double)sums.changed : 0;
}
