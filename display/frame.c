#include "display/frame.h"

#include <stddef.h>
#include <string.h>

struct tile *tile_new(void)
{
    struct tile *self = malloc(sizeof *self);
    if (self)
        self->refs = 1;
    return self;
}

struct tile *tile_ref(struct tile *self)
{
    if (self)
        atomic_fetch_add_explicit(&self->refs, 1, memory_order_relaxed);
    return self;
}

struct tile *tile_unref(struct tile *self)
{
    if (self && atomic_fetch_sub(&self->refs, 1) == 1)
        free(self);
    return NULL;
}

struct frame *frame_new(int width, int height, const struct frame *base)
{
    if (width < 1 || height < 1 || width > FRAME_SIZE_MAX || height > FRAME_SIZE_MAX)
        return NULL;
    if ((size_t)width * (size_t)height * 4 > FRAME_BYTES_MAX)
        return NULL;
    int columns = frame_columns(width), rows = frame_columns(height);
    size_t n = (size_t)columns * (size_t)rows;
    struct frame *self = calloc(1, sizeof *self + n * sizeof self->tiles[0]);
    if (!self)
        return NULL;
    self->refs = 1;
    self->width = width;
    self->height = height;
    self->columns = columns;
    self->rows = rows;
    for (size_t i = 0; base && i < n; i++)
        self->tiles[i] = tile_ref(base->tiles[i]);
    return self;
}

struct frame *frame_ref(struct frame *self)
{
    if (self)
        atomic_fetch_add_explicit(&self->refs, 1, memory_order_relaxed);
    return self;
}

struct frame *frame_unref(struct frame *self)
{
    if (!self || atomic_fetch_sub(&self->refs, 1) != 1)
        return NULL;
    for (int i = 0; i < frame_n_tiles(self); i++)
        tile_unref(self->tiles[i]);
    free(self);
    return NULL;
}

struct rect frame_tile_rect(const struct frame *self, int index)
{
    int x = index % self->columns * TILE_SIZE, y = index / self->columns * TILE_SIZE;
    return (struct rect){ x, y, MIN(TILE_SIZE, self->width - x), MIN(TILE_SIZE, self->height - y) };
}

void frame_read(const struct frame *self, struct rect region, uint32_t *out, int stride_px)
{
    for (int y = region.y; y < region.y + region.h; y++) {
        struct tile *const *row = self->tiles + (size_t)(y / TILE_SIZE) * (size_t)self->columns;
        uint32_t *to = out + (size_t)(y - region.y) * (size_t)stride_px;
        int end = region.x + region.w;
        for (int x = region.x; x < end;) {
            int in_x = x % TILE_SIZE, n = MIN(TILE_SIZE - in_x, end - x);
            memcpy(to, &row[x / TILE_SIZE]->pixels[y % TILE_SIZE * TILE_SIZE + in_x],
                   (size_t)n * sizeof *to);
            to += n;
            x += n;
        }
    }
}

int frame_diff(const struct frame *old, const struct frame *new, int *out)
{
    if (old && (old->width != new->width || old->height != new->height))
        old = NULL;
    int n = 0;
    for (int i = 0; i < frame_n_tiles(new); i++) {
        const struct tile *a = old ? old->tiles[i] : NULL, *b = new->tiles[i];
        if (!a || (a != b && a->hash != b->hash))
            out[n++] = i;
    }
    return n;
}
