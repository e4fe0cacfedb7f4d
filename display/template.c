/* All places of a row are tried at once, CHUNK of them side by side: one pixel of the template
 * against CHUNK pixels of the screen, which compilers turn into vector instructions. A chunk is
 * given up as soon as every place in it has more mismatches than its score allows.
 *
 * Details come first: they tell most places apart at once, and no flat area passes by being flat.
 * Of a large template only SAMPLES details are looked at in this first pass, with an allowance of
 * four standard deviations of what a sample of a good place may miss; the places that are left are
 * then scored exactly. The order is fixed, so the same search finds the same places.
 *
 * Limits: no rotation, no other size, no other brightness than the tolerance allows. */
#include "display/template.h"

#include <errno.h>
#include <math.h>
#include <spng.h>
#include <string.h>

#define CHUNK 64
#define BLOCK 32 /* pixels between two looks at the mismatches; below 256 */
#define SAMPLES 1024

struct point {
    int16_t x, y;
    uint8_t color[3];
};

struct template {
    _Atomic int refs;
    int width, height;
    int n_points, n_details;
    struct point points[]; /* opaque ones; the details first, each part in a scattered order */
};

/* --- From a PNG ------------------------------------------------------------------------------- */

static void spng_free_ptr(spng_ctx **ctx)
{
    spng_ctx_free(*ctx);
}

/* RGBA, allocated. */
static uint8_t *decode(const void *png, size_t size, int *ret_width, int *ret_height, struct error *err)
{
    __attribute__((cleanup(spng_free_ptr))) spng_ctx *ctx = spng_ctx_new(0);
    struct spng_ihdr head;
    size_t n;
    if (size > TEMPLATE_PNG_MAX) {
        error_set(err, ERROR_BAD_VALUE, "the picture has more than %zu bytes", TEMPLATE_PNG_MAX);
        return NULL;
    }
    if (!ctx || spng_set_image_limits(ctx, TEMPLATE_SIDE_MAX, TEMPLATE_SIDE_MAX) ||
        spng_set_chunk_limits(ctx, TEMPLATE_PNG_MAX, TEMPLATE_PNG_MAX) ||
        spng_set_png_buffer(ctx, png, size) || spng_get_ihdr(ctx, &head)) {
        error_set(err, ERROR_BAD_VALUE, "no PNG of at most %d pixels a side", TEMPLATE_SIDE_MAX);
        return NULL;
    }
    if ((int64_t)head.width * head.height > TEMPLATE_PIXELS_MAX) {
        error_set(err, ERROR_BAD_VALUE, "the picture has %ux%u pixels; at most %d in all", head.width,
                  head.height, TEMPLATE_PIXELS_MAX);
        return NULL;
    }
    if (spng_decoded_image_size(ctx, SPNG_FMT_RGBA8, &n) ||
        n != (size_t)head.width * head.height * 4) {
        error_set(err, ERROR_BAD_VALUE, "the PNG is damaged");
        return NULL;
    }
    uint8_t *rgba = malloc(n);
    int r = rgba ? spng_decode_image(ctx, rgba, n, SPNG_FMT_RGBA8, SPNG_DECODE_TRNS) : 0;
    if (!rgba || r) {
        error_set(err, rgba ? ERROR_BAD_VALUE : ERROR_INTERNAL, "%s",
                  rgba ? "the PNG is damaged" : "out of memory");
        free(rgba);
        return NULL;
    }
    *ret_width = (int)head.width;
    *ret_height = (int)head.height;
    return rgba;
}

static bool differs(const uint8_t *a, const uint8_t *b, int tolerance)
{
    for (int i = 0; i < 3; i++)
        if (abs(a[i] - b[i]) > tolerance)
            return true;
    return false;
}

/* Whether a pixel differs from one beside, above or below it. */
static bool is_detail(const uint8_t *rgba, int width, int height, int x, int y)
{
    static const int8_t around[4][2] = { { -1, 0 }, { 1, 0 }, { 0, -1 }, { 0, 1 } };
    const uint8_t *at = rgba + 4 * ((size_t)y * (size_t)width + (size_t)x);
    for (size_t i = 0; i < ARRAY_LEN(around); i++) {
        int nx = x + around[i][0], ny = y + around[i][1];
        if (nx < 0 || ny < 0 || nx >= width || ny >= height)
            continue;
        const uint8_t *near = rgba + 4 * ((size_t)ny * (size_t)width + (size_t)nx);
        if (near[3] == 255 && differs(at, near, TEMPLATE_TOLERANCE))
            return true;
    }
    return false;
}

static int gcd(int a, int b)
{
    return b ? gcd(b, a % b) : a;
}

/* Walks over all pixels in steps of about the golden section, so that any beginning of the walk is
 * spread over the picture. */
static int add_points(struct template *self, const uint8_t *rgba, bool details, int n)
{
    int total = self->width * self->height, step = MAX((int)(total * 0.618), 1), at = 0;
    while (gcd(step, total) != 1)
        step++;
    for (int i = 0; i < total; i++, at = (int)(((int64_t)at + step) % total)) {
        const uint8_t *pixel = rgba + 4 * (size_t)at;
        int x = at % self->width, y = at / self->width;
        if (pixel[3] == 255 && is_detail(rgba, self->width, self->height, x, y) == details)
            self->points[n++] = (struct point){ (int16_t)x, (int16_t)y, { pixel[0], pixel[1], pixel[2] } };
    }
    return n;
}

int template_new(struct template **ret, const void *png, size_t size, struct error *err)
{
    int width, height;
    auto_free uint8_t *rgba = decode(png, size, &width, &height, err);
    if (!rgba)
        return -EINVAL;
    size_t n = (size_t)width * (size_t)height;
    struct template *self = malloc(sizeof *self + n * sizeof self->points[0]);
    if (!self)
        return error_errno(err, ENOMEM, "reading a picture");
    *self = (struct template){ .refs = 1, .width = width, .height = height };
    self->n_details = add_points(self, rgba, true, 0);
    self->n_points = add_points(self, rgba, false, self->n_details);
    if (self->n_points == 0) {
        free(self);
        return error_set(err, ERROR_BAD_VALUE, "the picture is transparent");
    }
    *ret = self;
    return 0;
}

struct template *template_ref(struct template *self)
{
    if (self)
        atomic_fetch_add_explicit(&self->refs, 1, memory_order_relaxed);
    return self;
}

struct template *template_unref(struct template *self)
{
    if (self && atomic_fetch_sub(&self->refs, 1) == 1)
        free(self);
    return NULL;
}

int template_width(const struct template *self)
{
    return self->width;
}

int template_height(const struct template *self)
{
    return self->height;
}

/* --- The search ------------------------------------------------------------------------------- */

/* The region as three planes, and what may differ. CHUNK bytes follow each plane. */
struct field {
    uint8_t *planes[3];
    int width, height;
    uint8_t tolerance;
};

static bool read_field(struct field *self, const struct frame *frame, struct rect region)
{
    size_t n = (size_t)region.w * (size_t)region.h, stride = n + CHUNK;
    auto_free uint32_t *row = malloc((size_t)region.w * sizeof *row);
    self->planes[0] = calloc(3, stride);
    if (!row || !self->planes[0])
        return false;
    self->planes[1] = self->planes[0] + stride;
    self->planes[2] = self->planes[1] + stride;
    self->width = region.w;
    self->height = region.h;
    for (int y = 0; y < region.h; y++) {
        frame_read(frame, (struct rect){ region.x, region.y + y, region.w, 1 }, row, region.w);
        size_t at = (size_t)y * (size_t)region.w;
        for (int x = 0; x < region.w; x++, at++) {
            self->planes[0][at] = (uint8_t)(row[x] >> 16);
            self->planes[1][at] = (uint8_t)(row[x] >> 8);
            self->planes[2][at] = (uint8_t)row[x];
        }
    }
    return true;
}

static inline uint8_t distance(uint8_t a, uint8_t b)
{
    return a > b ? (uint8_t)(a - b) : (uint8_t)(b - a);
}

/* Adds to counts, for CHUNK places from (x, y) on, whether their pixel is another than the point's. */
static inline void count_point(const struct field *self, const struct point *point, int x, int y,
                               uint8_t counts[CHUNK])
{
    size_t at = (size_t)(y + point->y) * (size_t)self->width + (size_t)(x + point->x);
    const uint8_t *r = self->planes[0] + at, *g = self->planes[1] + at, *b = self->planes[2] + at;
    uint8_t t = self->tolerance;
    for (int i = 0; i < CHUNK; i++) {
        uint8_t worst = distance(r[i], point->color[0]), dg = distance(g[i], point->color[1]),
                db = distance(b[i], point->color[2]);
        worst = MAX(worst, dg);
        worst = MAX(worst, db);
        counts[i] = (uint8_t)(counts[i] + (worst > t));
    }
}

/* Mismatches among the first n points of CHUNK places; stops when all have more than budget. */
static bool count_chunk(const struct field *self, const struct point *points, int n, int x, int y, int budget,
                        int totals[CHUNK])
{
    memset(totals, 0, CHUNK * sizeof *totals);
    for (int from = 0; from < n; from += BLOCK) {
        uint8_t counts[CHUNK] = { 0 };
        int least = INT32_MAX;
        for (int k = from; k < MIN(from + BLOCK, n); k++)
            count_point(self, &points[k], x, y, counts);
        for (int i = 0; i < CHUNK; i++) {
            totals[i] += counts[i];
            least = MIN(least, totals[i]);
        }
        if (least > budget)
            return false;
    }
    return true;
}

static int count_place(const struct field *self, const struct point *points, int n, int x, int y, int budget)
{
    int missed = 0;
    for (int k = 0; k < n && missed <= budget; k++) {
        size_t at = (size_t)(y + points[k].y) * (size_t)self->width + (size_t)(x + points[k].x);
        uint8_t color[3] = { self->planes[0][at], self->planes[1][at], self->planes[2][at] };
        missed += differs(color, points[k].color, self->tolerance);
    }
    return missed;
}

static double share(int missed, int n)
{
    return n ? 1.0 - (double)missed / n : 1.0;
}

/* The exact score of a place, or -1 when it is less than wanted. */
static double score_place(const struct template *self, const struct field *field, double wanted, int x, int y)
{
    int n_flat = self->n_points - self->n_details;
    int all = (int)floor(self->n_points * (1 - wanted) + 1e-9);
    int fine = (int)floor(self->n_details * (1 - wanted) + 1e-9);
    int details = count_place(field, self->points, self->n_details, x, y, fine);
    if (details > fine)
        return -1;
    int flat = count_place(field, self->points + self->n_details, n_flat, x, y, all - details);
    if (flat + details > all)
        return -1;
    return MIN(share(details, self->n_details), share(details + flat, self->n_points));
}

/* --- The best places -------------------------------------------------------------------------- */

struct best {
    struct template_match *list;
    int n, limit;
};

static bool overlaps(struct rect a, struct rect b)
{
    struct rect common = rect_intersect(a, b);
    return 2 * (int64_t)common.w * common.h >= (int64_t)a.w * a.h;
}

static void remove_match(struct best *self, int at)
{
    self->n--;
    memmove(&self->list[at], &self->list[at + 1], (size_t)(self->n - at) * sizeof *self->list);
}

static void add_match(struct best *self, struct rect rect, double score)
{
    for (int i = 0; i < self->n; i++)
        if (self->list[i].score >= score && overlaps(self->list[i].rect, rect))
            return;
    for (int i = self->n - 1; i >= 0; i--)
        if (overlaps(self->list[i].rect, rect))
            remove_match(self, i);
    int at = self->n;
    while (at > 0 && self->list[at - 1].score < score)
        at--;
    if (self->n == self->limit && at == self->n)
        return;
    if (self->n == self->limit)
        self->n--;
    memmove(&self->list[at + 1], &self->list[at], (size_t)(self->n - at) * sizeof *self->list);
    self->list[at] = (struct template_match){ rect, score };
    self->n++;
}

int template_find(const struct template *self, const struct frame *frame, const struct template_search *search,
                  struct template_match *out)
{
    struct rect screen = { 0, 0, frame->width, frame->height };
    struct rect region = rect_intersect(search->region, screen);
    struct best best = { out, 0, CLAMP(search->limit, 1, TEMPLATE_MATCHES_MAX) };
    struct field field = { .tolerance = (uint8_t)search->tolerance };
    if (region.w < self->width || region.h < self->height)
        return 0;
    bool has_field = read_field(&field, frame, region);
    const int n = MIN(self->n_details ? self->n_details : self->n_points, SAMPLES);
    double p = 1 - search->score;
    bool is_sample = n < (self->n_details ? self->n_details : self->n_points);
    int budget = (int)(n * p + 1e-9) + (is_sample ? (int)ceil(4 * sqrt(n * p * search->score)) : 0);
    for (int y = 0; has_field && y <= region.h - self->height; y++) {
        for (int x = 0; x <= region.w - self->width; x += CHUNK) {
            int totals[CHUNK];
            if (!count_chunk(&field, self->points, n, x, y, budget, totals))
                continue;
            for (int i = 0; i < MIN(CHUNK, region.w - self->width - x + 1); i++) {
                double score = totals[i] <= budget ? score_place(self, &field, search->score, x + i, y) : -1;
                if (score >= 0)
                    add_match(&best, (struct rect){ region.x + x + i, region.y + y, self->width, self->height },
                              score);
            }
        }
    }
    free(field.planes[0]);
    return has_field ? best.n : -ENOMEM;
}
