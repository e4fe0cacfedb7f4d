/* Changes are counted in halves of a second: this half and the two before. Memory: three bytes a
 * tile. */
#include "stream/heat.h"

#include <string.h>

#define HALF_US 500000

struct count {
    uint8_t now, before, earlier;
};

struct heat {
    int columns, rows;
    int64_t half_us; /* when this half began */
    int64_t warm_us; /* since when there is a region; 0: none */
    struct count *tiles;
};

struct heat *heat_new(void)
{
    return calloc(1, sizeof(struct heat));
}

struct heat *heat_free(struct heat *self)
{
    if (self)
        free(self->tiles);
    free(self);
    return NULL;
}

static void turn_half(struct heat *self, int64_t now_us)
{
    int n = self->columns * self->rows;
    int64_t halves = (now_us - self->half_us) / HALF_US;
    if (halves <= 0)
        return;
    self->half_us += halves * HALF_US;
    for (int i = 0; i < n; i++) {
        struct count c = self->tiles[i];
        self->tiles[i] = (struct count){ 0, halves == 1 ? c.now : 0,
                                         halves == 1 ? c.before : halves == 2 ? c.now : 0 };
    }
}

static bool resize(struct heat *self, int columns, int rows, int64_t now_us)
{
    if (self->tiles && self->columns == columns && self->rows == rows)
        return true;
    free(self->tiles);
    self->tiles = calloc((size_t)columns * (size_t)rows, sizeof *self->tiles);
    self->columns = columns;
    self->rows = rows;
    self->half_us = now_us;
    self->warm_us = 0;
    return self->tiles != NULL;
}

void heat_feed(struct heat *self, int columns, int rows, int index, int64_t now_us)
{
    if (!resize(self, columns, rows, now_us))
        return;
    turn_half(self, now_us);
    uint8_t *now = &self->tiles[index].now;
    *now = (uint8_t)MIN(*now + 1, 255);
}

static struct rect find_box(const struct heat *self, int *ret_n)
{
    struct rect box = { 0 };
    int n = 0;
    for (int i = 0; i < self->columns * self->rows; i++) {
        const struct count *c = &self->tiles[i];
        if (c->now + c->before < HEAT_CHANGES && c->before + c->earlier < HEAT_CHANGES)
            continue;
        n++;
        box = rect_union(box, (struct rect){ i % self->columns, i / self->columns, 1, 1 });
    }
    *ret_n = n;
    return box;
}

struct rect heat_region(struct heat *self, int64_t now_us)
{
    int n;
    if (!self->tiles)
        return (struct rect){ 0 };
    turn_half(self, now_us);
    struct rect box = find_box(self, &n);
    bool is_region = n >= HEAT_TILES_MIN && box.w >= HEAT_SIDE_MIN && box.h >= HEAT_SIDE_MIN &&
                     n >= self->columns * self->rows / HEAT_SHARE && n * HEAT_FILL >= box.w * box.h;
    if (!is_region)
        self->warm_us = 0;
    else if (!self->warm_us)
        self->warm_us = now_us;
    bool is_warm = is_region && now_us - self->warm_us >= HEAT_WARM_US;
    return is_warm ? box : (struct rect){ 0 };
}
