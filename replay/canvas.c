/* Everything that has a size or a place is checked against the screen before it is used. A wrong
 * record ends the reading; what was painted stays.
 *
 * JPEG and video only ever lie above exact tiles, and no COPY moves them, so one plane of pixels will
 * do. A region's decoder begins with a key and ends with VIDEO_END, a new screen, or an error in its
 * stream, after which the region stands still until it is repaired. */
#include "replay/canvas.h"

#include "base/list.h"
#include "display/frame.h"
#include "replay/film.h"
#include "stream/tile-code.h"

#include <errno.h>
#include <string.h>
#include <turbojpeg.h>

#define BUCKETS 2048
#define SHAPE_MAX 512

struct kept_tile {
    struct list age; /* newest first */
    struct kept_tile *next;
    uint64_t hash;
    int w, h;
    uint32_t pixels[TILE_SIZE * TILE_SIZE];
};

struct canvas {
    int width, height, columns, n_tiles;
    uint32_t *pixels;
    struct canvas_state state;
    struct kept_tile *buckets[BUCKETS];
    struct list ages;
    int n_kept;
    struct film *film; /* of region */
    uint16_t region;
    tjhandle jpeg;
    uint32_t *shape;
    int shape_width, shape_height, hot_x, hot_y;
    int cursor_x, cursor_y; /* of the shape's top left corner */
    bool cursor_visible;
    uint32_t scratch[TILE_SIZE * TILE_SIZE];
};

/* --- The store -------------------------------------------------------------------------------- */

static struct kept_tile **bucket_of(struct canvas *self, uint64_t hash)
{
    return &self->buckets[(hash ^ hash >> 32) % BUCKETS];
}

static void forget_tile(struct canvas *self, struct kept_tile *tile)
{
    struct kept_tile **link = bucket_of(self, tile->hash);
    while (*link != tile)
        link = &(*link)->next;
    *link = tile->next;
    list_remove(&tile->age);
    free(tile);
    self->n_kept--;
}

static void forget_all(struct canvas *self)
{
    while (!list_empty(&self->ages))
        forget_tile(self, list_first(&self->ages, struct kept_tile, age));
}

static void make_newest(struct canvas *self, struct kept_tile *tile)
{
    list_remove(&tile->age);
    list_append(self->ages.next, &tile->age);
}

static struct kept_tile *find_tile(struct canvas *self, uint64_t hash)
{
    struct kept_tile *tile = *bucket_of(self, hash);
    while (tile && tile->hash != hash)
        tile = tile->next;
    return tile;
}

/* The tile in scratch. */
static int keep_tile(struct canvas *self, uint64_t hash, const struct rect *r)
{
    struct kept_tile *tile = find_tile(self, hash);
    if (!tile) {
        if (self->n_kept == CANVAS_KEPT)
            forget_tile(self, list_entry(self->ages.prev, struct kept_tile, age));
        tile = malloc(sizeof *tile);
        if (!tile)
            return -ENOMEM;
        struct kept_tile **bucket = bucket_of(self, hash);
        tile->hash = hash;
        tile->next = *bucket;
        *bucket = tile;
        list_init(&tile->age);
        self->n_kept++;
    }
    make_newest(self, tile);
    tile->w = r->w;
    tile->h = r->h;
    memcpy(tile->pixels, self->scratch, (size_t)r->w * (size_t)r->h * 4);
    return 0;
}

/* --- Painting --------------------------------------------------------------------------------- */

static int tile_rect(const struct canvas *self, unsigned tile, struct rect *ret)
{
    if ((int)tile >= self->n_tiles)
        return -EPROTO;
    int x = (int)tile % self->columns * TILE_SIZE, y = (int)tile / self->columns * TILE_SIZE;
    *ret = (struct rect){ x, y, MIN(TILE_SIZE, self->width - x), MIN(TILE_SIZE, self->height - y) };
    return 0;
}

static void blit(struct canvas *self, struct rect r, const uint32_t *from, int stride)
{
    for (int y = 0; y < r.h; y++)
        memcpy(self->pixels + (size_t)(r.y + y) * (size_t)self->width + r.x, from + (size_t)y * (size_t)stride,
               (size_t)r.w * 4);
}

static int paint_solid(struct canvas *self, const struct record *record)
{
    if (record->size != 4)
        return -EPROTO;
    uint32_t colour = record_get_u32(record->payload) | 0xff000000u;
    for (unsigned i = record->number; i <= (unsigned)record->number + record->flags; i++) {
        struct rect r;
        if (tile_rect(self, i, &r) < 0)
            return -EPROTO;
        for (int y = r.y; y < r.y + r.h; y++)
            for (int x = r.x; x < r.x + r.w; x++)
                self->pixels[(size_t)y * (size_t)self->width + x] = colour;
    }
    return 0;
}

static int paint_code(struct canvas *self, const struct record *record)
{
    struct rect r;
    enum tile_code code = record->type == RECORD_TRUE          ? TILE_TRUE
                          : record->flags & RECORD_PALETTE_GREY ? TILE_GREY_PALETTE
                                                                : TILE_PALETTE;
    if (record->size < 8 || tile_rect(self, record->number, &r) < 0 ||
        tile_code_decode(code, record->payload + 8, record->size - 8, r.w, r.h, self->scratch) < 0)
        return -EPROTO;
    blit(self, r, self->scratch, r.w);
    return keep_tile(self, record_get_u64(record->payload), &r);
}

static int paint_kept(struct canvas *self, const struct record *record)
{
    struct rect r;
    if (record->size != 8 || tile_rect(self, record->number, &r) < 0)
        return -EPROTO;
    struct kept_tile *tile = find_tile(self, record_get_u64(record->payload));
    if (!tile || tile->w != r.w || tile->h != r.h)
        return -EPROTO;
    make_newest(self, tile);
    blit(self, r, tile->pixels, r.w);
    return 0;
}

static int paint_copy(struct canvas *self, const struct record *record)
{
    if (record->size != 12)
        return -EPROTO;
    int at[6];
    for (int i = 0; i < 6; i++)
        at[i] = record_get_u16(record->payload + 2 * i);
    struct rect from = { at[0], at[1], at[4], at[5] }, to = { at[2], at[3], at[4], at[5] };
    if (rect_is_empty(from) || !rect_fits(from, self->width, self->height) ||
        !rect_fits(to, self->width, self->height))
        return -EPROTO;
    for (int i = 0; i < to.h; i++) {
        int row = to.y > from.y ? to.h - 1 - i : i;
        memmove(self->pixels + (size_t)(to.y + row) * (size_t)self->width + to.x,
                self->pixels + (size_t)(from.y + row) * (size_t)self->width + from.x, (size_t)to.w * 4);
    }
    return 0;
}

static int paint_jpeg(struct canvas *self, const struct record *record)
{
    struct rect first, last;
    if (record->size < 4)
        return -EPROTO;
    int columns = record->payload[0], rows = record->payload[1], w, h, subsampling;
    int end = record->number + (rows - 1) * self->columns + columns - 1;
    if (columns == 0 || rows == 0 || record->number % self->columns + columns > self->columns ||
        tile_rect(self, record->number, &first) < 0 || tile_rect(self, (unsigned)end, &last) < 0)
        return -EPROTO;
    struct rect r = rect_union(first, last);
    unsigned char *data = (unsigned char *)(uintptr_t)(record->payload + 4);
    if (!self->jpeg)
        self->jpeg = tjInitDecompress();
    if (!self->jpeg)
        return -ENOMEM;
    if (tjDecompressHeader2(self->jpeg, data, record->size - 4, &w, &h, &subsampling) < 0 || w != r.w ||
        h != r.h)
        return -EPROTO;
    uint32_t *to = self->pixels + (size_t)r.y * (size_t)self->width + r.x;
    if (tjDecompress2(self->jpeg, data, record->size - 4, (unsigned char *)to, w, self->width * 4, h,
                      TJPF_BGRX, 0) < 0 &&
        tjGetErrorCode(self->jpeg) == TJERR_FATAL)
        return -EPROTO;
    for (int y = 0; y < h; y++) /* the library leaves the fourth byte as it likes */
        for (int x = 0; x < w; x++)
            to[(size_t)y * (size_t)self->width + x] |= 0xff000000u;
    return 0;
}

static void end_film(struct canvas *self)
{
    self->film = film_free(self->film);
    self->region = 0;
}

static int paint_video(struct canvas *self, const struct record *record)
{
    if (record->size < 12)
        return -EPROTO;
    int at[4];
    for (int i = 0; i < 4; i++)
        at[i] = record_get_u16(record->payload + 2 * i);
    struct rect r = { at[0], at[1], at[2], at[3] };
    if (rect_is_empty(r) || !rect_fits(r, self->width, self->height))
        return -EPROTO;
    if (self->film && self->region != record->number)
        end_film(self);
    if (!self->film && record->flags & RECORD_VIDEO_KEY) {
        self->film = film_new(r.w, r.h);
        self->region = record->number;
    }
    if (!self->film)
        return 0; /* it began before the place where reading began */
    uint32_t *to = self->pixels + (size_t)r.y * (size_t)self->width + r.x;
    if (film_decode(self->film, record->payload + 12, record->size - 12, r.w, r.h, to, self->width) < 0)
        end_film(self);
    return 0;
}

/* --- Screen and cursor ------------------------------------------------------------------------ */

static int set_screen(struct canvas *self, const struct record *record)
{
    if (record->size != 16)
        return -EPROTO;
    int64_t epoch = (int64_t)record_get_u64(record->payload);
    int width = record_get_u16(record->payload + 8), height = record_get_u16(record->payload + 10);
    bool is_begin = record->flags & RECORD_SCREEN_BEGIN;
    self->state.is_on = (record->flags & 127) == 2;
    if (is_begin)
        forget_all(self);
    if (!is_begin && (epoch == self->state.epoch || width == 0))
        return 0;
    if (width < 1 || height < 1 || width > FRAME_SIZE_MAX || height > FRAME_SIZE_MAX ||
        (size_t)width * (size_t)height * 4 > FRAME_BYTES_MAX)
        return -EPROTO;
    uint32_t *pixels = calloc((size_t)width * (size_t)height, sizeof *pixels);
    if (!pixels)
        return -ENOMEM;
    end_film(self);
    free(self->pixels);
    self->pixels = pixels;
    self->width = width;
    self->height = height;
    self->columns = frame_columns(width);
    self->n_tiles = self->columns * frame_columns(height);
    self->state.epoch = epoch;
    self->state.frame = 0;
    self->state.is_exact = false;
    return 0;
}

static int set_shape(struct canvas *self, const struct record *record)
{
    free(self->shape);
    self->shape = NULL;
    if (record->size == 0)
        return 0;
    if (record->size < 8)
        return -EPROTO;
    int at[4];
    for (int i = 0; i < 4; i++)
        at[i] = record_get_u16(record->payload + 2 * i);
    if (at[0] < 1 || at[1] < 1 || at[0] > SHAPE_MAX || at[1] > SHAPE_MAX)
        return -EPROTO;
    uint32_t *shape = malloc((size_t)at[0] * (size_t)at[1] * 4);
    if (!shape)
        return -ENOMEM;
    if (tile_code_decode_true(record->payload + 8, record->size - 8, shape, at[0] * at[1]) < 0) {
        free(shape);
        return -EPROTO;
    }
    self->shape = shape;
    self->shape_width = at[0];
    self->shape_height = at[1];
    self->hot_x = at[2];
    self->hot_y = at[3];
    return 0;
}

static int set_cursor(struct canvas *self, const struct record *record)
{
    if (record->size != 8)
        return -EPROTO;
    self->cursor_x = (int32_t)record_get_u32(record->payload);
    self->cursor_y = (int32_t)record_get_u32(record->payload + 4);
    self->cursor_visible = record->flags & RECORD_CURSOR_VISIBLE;
    return 0;
}

static int set_frame(struct canvas *self, const struct record *record)
{
    if (record->size != 32)
        return -EPROTO;
    self->state.frame = (int64_t)record_get_u64(record->payload);
    self->state.captured_us = (int64_t)record_get_u64(record->payload + 16);
    self->state.is_exact = record->flags & RECORD_FRAME_EXACT;
    return 0;
}

int canvas_apply(struct canvas *self, const struct record *record)
{
    bool is_paint = record->type >= RECORD_SOLID && record->type <= RECORD_VIDEO;
    if (is_paint && !self->pixels)
        return -EPROTO;
    switch (record->type) {
    case RECORD_SCREEN: return set_screen(self, record);
    case RECORD_FRAME: return set_frame(self, record);
    case RECORD_SOLID: return paint_solid(self, record);
    case RECORD_PALETTE:
    case RECORD_TRUE: return paint_code(self, record);
    case RECORD_KEPT: return paint_kept(self, record);
    case RECORD_JPEG: return paint_jpeg(self, record);
    case RECORD_COPY: return paint_copy(self, record);
    case RECORD_VIDEO: return paint_video(self, record);
    case RECORD_VIDEO_END: end_film(self); return 0;
    case RECORD_CURSOR_SHAPE: return set_shape(self, record);
    case RECORD_CURSOR: return set_cursor(self, record);
    default: return 0;
    }
}

/* --- Life ------------------------------------------------------------------------------------- */

struct canvas *canvas_new(void)
{
    struct canvas *self = calloc(1, sizeof *self);
    if (self)
        list_init(&self->ages);
    return self;
}

struct canvas *canvas_free(struct canvas *self)
{
    if (!self)
        return NULL;
    forget_all(self);
    end_film(self);
    if (self->jpeg)
        tjDestroy(self->jpeg);
    free(self->pixels);
    free(self->shape);
    free(self);
    return NULL;
}

struct canvas_state canvas_state(const struct canvas *self)
{
    struct canvas_state state = self->state;
    state.width = self->width;
    state.height = self->height;
    state.pixels = self->pixels;
    return state;
}

struct canvas_cursor canvas_cursor(const struct canvas *self)
{
    return (struct canvas_cursor){ self->cursor_x + (self->shape ? self->hot_x : 0),
                                   self->cursor_y + (self->shape ? self->hot_y : 0),
                                   self->cursor_visible };
}

static uint32_t blend(uint32_t below, uint32_t above)
{
    uint32_t a = above >> 24, out = 0xff000000u;
    for (int shift = 0; shift < 24; shift += 8) {
        uint32_t c = (above >> shift & 255) * a + (below >> shift & 255) * (255 - a);
        out |= (c + 127) / 255 << shift;
    }
    return out;
}

void canvas_draw_cursor(const struct canvas *self, uint32_t *out)
{
    if (!self->shape || !self->cursor_visible)
        return;
    for (int y = 0; y < self->shape_height; y++)
        for (int x = 0; x < self->shape_width; x++) {
            int64_t sx = (int64_t)self->cursor_x + x, sy = (int64_t)self->cursor_y + y;
            if (sx < 0 || sy < 0 || sx >= self->width || sy >= self->height)
                continue;
            uint32_t *at = &out[(size_t)sy * (size_t)self->width + (size_t)sx];
            *at = blend(*at, self->shape[y * self->shape_width + x]);
        }
}
