#include "display/cursor.h"

#include <errno.h>
#include <string.h>

#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

/* a * b / 255, rounded. */
static uint32_t mul255(uint32_t a, uint32_t b)
{
    uint32_t v = a * b + 128;
    return (v + (v >> 8)) >> 8;
}

static bool is_straight(const uint32_t *pixels, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t p = pixels[i], a = p >> 24;
        if ((p >> 16 & 255) > a || (p >> 8 & 255) > a || (p & 255) > a)
            return true;
    }
    return false;
}

static uint32_t premultiply(uint32_t p)
{
    uint32_t a = p >> 24;
    return a << 24 | mul255(p >> 16 & 255, a) << 16 | mul255(p >> 8 & 255, a) << 8 |
           mul255(p & 255, a);
}

int cursor_shape_new(struct cursor_shape **ret, int width, int height, int hot_x, int hot_y,
                     const void *argb, size_t size, struct error *err)
{
    if (width < 1 || height < 1 || width > CURSOR_SIZE_MAX || height > CURSOR_SIZE_MAX)
        return error_set(err, ERROR_GUEST_FAILED, "a cursor of %dx%d pixels", width, height);
    size_t n = (size_t)width * (size_t)height;
    if (size < n * 4)
        return error_set(err, ERROR_GUEST_FAILED, "%zu bytes for a cursor of %dx%d", size, width,
                         height);
    struct cursor_shape *self = malloc(sizeof *self + n * 4);
    if (!self)
        return error_errno(err, ENOMEM, "keeping a cursor");
    self->refs = 1;
    self->width = width;
    self->height = height;
    self->hot_x = CLAMP(hot_x, 0, width - 1);
    self->hot_y = CLAMP(hot_y, 0, height - 1);
    memcpy(self->pixels, argb, n * 4);
    if (is_straight(self->pixels, n))
        for (size_t i = 0; i < n; i++)
            self->pixels[i] = premultiply(self->pixels[i]);
    int head[4] = { width, height, self->hot_x, self->hot_y };
    self->hash = XXH3_64bits_withSeed(self->pixels, n * 4, XXH3_64bits(head, sizeof head));
    *ret = self;
    return 0;
}

struct cursor_shape *cursor_shape_ref(struct cursor_shape *self)
{
    if (self)
        atomic_fetch_add(&self->refs, 1);
    return self;
}

struct cursor_shape *cursor_shape_unref(struct cursor_shape *self)
{
    if (self && atomic_fetch_sub(&self->refs, 1) == 1)
        free(self);
    return NULL;
}

bool cursor_point(const struct cursor *self, int *ret_x, int *ret_y)
{
    if (!self->is_visible || !self->shape)
        return false;
    *ret_x = (int)CLAMP((int64_t)self->x + self->shape->hot_x, INT32_MIN, INT32_MAX);
    *ret_y = (int)CLAMP((int64_t)self->y + self->shape->hot_y, INT32_MIN, INT32_MAX);
    return true;
}

struct rect cursor_covers(const struct cursor *self, struct rect region)
{
    if (!self->is_visible || !self->shape)
        return (struct rect){ 0 };
    /* A guest may put it anywhere: far away is as good as just outside. */
    int far = 1 << 20;
    struct rect shape = { CLAMP(self->x, -far, far), CLAMP(self->y, -far, far), self->shape->width,
                          self->shape->height };
    return rect_intersect(shape, region);
}

static uint32_t over(uint32_t from, uint32_t to)
{
    uint32_t rest = 255 - (from >> 24);
    if (rest == 0)
        return from;
    uint32_t out = 0xff000000u;
    for (int shift = 0; shift <= 16; shift += 8) {
        uint32_t v = (from >> shift & 255) + mul255(to >> shift & 255, rest);
        out |= MIN(v, 255) << shift;
    }
    return out;
}

void cursor_draw(const struct cursor *self, uint32_t *pixels, int stride_px, struct rect region)
{
    struct rect part = cursor_covers(self, region);
    for (int y = 0; y < part.h; y++) {
        const uint32_t *from = self->shape->pixels +
                               (size_t)(part.y - self->y + y) * (size_t)self->shape->width +
                               (part.x - self->x);
        uint32_t *to = pixels + (size_t)(part.y - region.y + y) * (size_t)stride_px +
                       (part.x - region.x);
        for (int x = 0; x < part.w; x++)
            to[x] = over(from[x], to[x]);
    }
}
