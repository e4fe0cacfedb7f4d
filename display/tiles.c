/* The damage is a bit per tile, so it is bounded (2 KiB for the largest screen) whatever rectangles
 * a guest sends; a region of rectangles would not be. A tile that changed within the framebuffer is
 * found by its hash alone: 64 bits of XXH3 do not collide by accident, and a guest that makes them
 * collide on purpose spoils its own picture only. */
#include "display/tiles.h"

#include <errno.h>
#include <string.h>

#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

struct tiles {
    int columns, rows;
    bool is_damaged;
    uint64_t *bits; /* a bit per tile, columns * rows */
    struct tile *spare;
};

struct tiles *tiles_new(void)
{
    return calloc(1, sizeof(struct tiles));
}

struct tiles *tiles_free(struct tiles *self)
{
    if (self) {
        tiles_reset(self);
        free(self);
    }
    return NULL;
}

void tiles_reset(struct tiles *self)
{
    free(self->bits);
    tile_unref(self->spare);
    *self = (struct tiles){ 0 };
}

static bool resize(struct tiles *self, int columns, int rows)
{
    if (self->bits && self->columns == columns && self->rows == rows)
        return true;
    uint64_t *bits = calloc((size_t)(columns * rows + 63) / 64, sizeof *bits);
    if (!bits)
        return false;
    free(self->bits);
    self->bits = bits;
    self->columns = columns;
    self->rows = rows;
    return true;
}

void tiles_damage(struct tiles *self, const struct framebuffer *fb, struct rect rect)
{
    rect = rect_intersect(rect, (struct rect){ 0, 0, fb->width, fb->height });
    if (rect_is_empty(rect) || !resize(self, frame_columns(fb->width), frame_columns(fb->height)))
        return;
    for (int row = rect.y / TILE_SIZE; row <= (rect.y + rect.h - 1) / TILE_SIZE; row++)
        for (int col = rect.x / TILE_SIZE; col <= (rect.x + rect.w - 1) / TILE_SIZE; col++) {
            int i = row * self->columns + col;
            self->bits[i / 64] |= (uint64_t)1 << i % 64;
        }
    self->is_damaged = true;
}

bool tiles_is_damaged(const struct tiles *self)
{
    return self->is_damaged;
}

static void read_tile(const struct framebuffer *fb, struct rect rect, struct tile *tile)
{
    if (rect.w < TILE_SIZE || rect.h < TILE_SIZE)
        memset(tile->pixels, 0, sizeof tile->pixels);
    const uint32_t *from = fb->pixels + (size_t)rect.y * (size_t)fb->width + (size_t)rect.x;
    for (int y = 0; y < rect.h; y++, from += fb->width)
        memcpy(tile->pixels + y * TILE_SIZE, from, (size_t)rect.w * 4);
    tile->hash = XXH3_64bits(tile->pixels, sizeof tile->pixels);
}

/* Reads tile i into the spare tile. */
static int read_spare(struct tiles *self, const struct framebuffer *fb, struct frame *frame, int i)
{
    if (!self->spare)
        self->spare = tile_new();
    if (!self->spare)
        return -ENOMEM;
    read_tile(fb, frame_tile_rect(frame, i), self->spare);
    return 0;
}

static void use_spare(struct tiles *self, struct frame *frame, int i)
{
    tile_unref(frame->tiles[i]);
    frame->tiles[i] = steal_ptr(&self->spare);
}

int tiles_refine(struct tiles *self, const struct framebuffer *fb, const struct tiles_base *base,
                 struct frame **ret, int **ret_changed, int *ret_n)
{
    auto_frame struct frame *frame = frame_new(fb->width, fb->height, base->frame);
    auto_free int *changed = frame ? malloc((size_t)frame_n_tiles(frame) * sizeof *changed) : NULL;
    if (!changed)
        return -ENOMEM;
    int n = 0;
    for (int i = 0; i < frame_n_tiles(frame); i++) {
        bool is_damaged = self->bits && self->bits[i / 64] >> i % 64 & 1;
        if (base->frame && !is_damaged)
            continue;
        if (read_spare(self, fb, frame, i) < 0)
            return -ENOMEM;
        bool is_same = base->frame ? base->frame->tiles[i]->hash == self->spare->hash
                                   : base->hashes && base->hashes[i] == self->spare->hash;
        if (!base->frame || !is_same)
            use_spare(self, frame, i);
        if (!is_same)
            changed[n++] = i;
    }
    if (self->bits)
        memset(self->bits, 0, (size_t)(frame_n_tiles(frame) + 63) / 64 * sizeof *self->bits);
    self->is_damaged = false;
    *ret = n > 0 || !base->frame ? steal_ptr(&frame) : NULL;
    *ret_changed = steal_ptr(&changed);
    *ret_n = n;
    return 0;
}
