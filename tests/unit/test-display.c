/* display/, the pure parts: framebuffer, tiles, frames, cursor, scaling, image ids, watchdog. */
#include "display/cursor.h"
#include "display/framebuffer.h"
#include "display/image-id.h"
#include "display/scale.h"
#include "display/tiles.h"
#include "display/watchdog.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <math.h>
#include <pixman.h>
#include <string.h>

/* --- Framebuffer ------------------------------------------------------------------------------ */

static uint8_t bytes_16[64] = { 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08 };

Test(pixels, checks_every_argument)
{
    static const struct {
        const char *why;
        struct pixels pixels;
        bool is_good;
    } rows[] = {
        { "2x2", { bytes_16, 16, 2, 2, 8, PIXMAN_x8r8g8b8 }, true },
        { "last row without padding", { bytes_16, 28, 2, 2, 20, PIXMAN_x8r8g8b8 }, true },
        { "16 bit", { bytes_16, 8, 2, 2, 4, PIXMAN_r5g6b5 }, true },
        { "one byte short", { bytes_16, 27, 2, 2, 20, PIXMAN_x8r8g8b8 }, false },
        { "no bytes", { bytes_16, 0, 2, 2, 8, PIXMAN_x8r8g8b8 }, false },
        { "narrow stride", { bytes_16, 64, 2, 2, 7, PIXMAN_x8r8g8b8 }, false },
        { "stride of 2^32 - 1", { bytes_16, 64, 2, 2, UINT32_MAX, PIXMAN_x8r8g8b8 }, false },
        { "no width", { bytes_16, 64, 0, 2, 8, PIXMAN_x8r8g8b8 }, false },
        { "no height", { bytes_16, 64, 2, 0, 8, PIXMAN_x8r8g8b8 }, false },
        { "too wide", { bytes_16, 64, 8193, 1, 32772, PIXMAN_x8r8g8b8 }, false },
        { "too high", { bytes_16, 64, 1, 8193, 4, PIXMAN_x8r8g8b8 }, false },
        { "over 128 MiB", { bytes_16, 64, 8192, 8192, 32768, PIXMAN_x8r8g8b8 }, false },
        { "-1 x -1", { bytes_16, 64, UINT32_MAX, UINT32_MAX, UINT32_MAX, PIXMAN_x8r8g8b8 }, false },
        { "8 bit grey", { bytes_16, 64, 2, 2, 8, PIXMAN_g8 }, false },
        { "unknown format", { bytes_16, 64, 2, 2, 8, 0xdeadbeef }, false },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct error err = { 0 };
        int r = pixels_check(&rows[i].pixels, &err);
        cr_expect(eq(int, r == 0, rows[i].is_good), "%s: %s", rows[i].why, err.message);
        cr_expect(eq(int, err.is_set, !rows[i].is_good), "%s", rows[i].why);
    }
}

Test(framebuffer, converts_formats_to_xrgb)
{
    static const struct {
        uint32_t format;
        uint8_t bytes[4]; /* of one pixel */
        uint32_t pixel;
    } rows[] = {
        { PIXMAN_x8r8g8b8, { 0x30, 0x20, 0x10, 0x00 }, 0xff102030 },
        { PIXMAN_a8r8g8b8, { 0x30, 0x20, 0x10, 0x7f }, 0xff102030 },
        { PIXMAN_x8b8g8r8, { 0x10, 0x20, 0x30, 0x00 }, 0xff102030 },
        { PIXMAN_b8g8r8x8, { 0x00, 0x10, 0x20, 0x30 }, 0xff102030 },
        { PIXMAN_r8g8b8, { 0x30, 0x20, 0x10 }, 0xff102030 },
        { PIXMAN_r5g6b5, { 0x00, 0xf8 }, 0xffff0000 },
        { PIXMAN_x1r5g5b5, { 0x1f, 0x00 }, 0xff0000ff },
    };
    struct framebuffer *fb;
    cr_assert(eq(int, framebuffer_new(&fb, 8, 4, 1, NULL), 0));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        /* From an odd address: D-Bus promises no alignment. */
        uint8_t odd[8] = { 0 };
        memcpy(odd + 1, rows[i].bytes, 4);
        struct pixels p = { odd + 1, 4, 1, 1, 4, rows[i].format };
        cr_assert(eq(int, framebuffer_write(fb, 3, 2, &p, NULL), 0));
        cr_expect(eq(u32, fb->pixels[2 * 8 + 3], rows[i].pixel), "row %zu", i);
        cr_expect(eq(u32, fb->pixels[2 * 8 + 4], 0xff000000));
    }
    framebuffer_free(fb);
}

Test(framebuffer, refuses_updates_that_stick_out)
{
    static const struct { int x, y; } rows[] = {
        { -1, 0 }, { 0, -1 }, { 7, 0 }, { 0, 3 }, { INT32_MAX, 0 }, { INT32_MIN, INT32_MIN },
    };
    struct framebuffer *fb;
    cr_assert(eq(int, framebuffer_new(&fb, 8, 4, 1, NULL), 0));
    struct pixels p = { bytes_16, 16, 2, 2, 8, PIXMAN_x8r8g8b8 };
    cr_assert(eq(int, framebuffer_write(fb, 6, 2, &p, NULL), 0));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        cr_expect(lt(int, framebuffer_write(fb, rows[i].x, rows[i].y, &p, NULL), 0), "row %zu", i);
    framebuffer_free(fb);
}

Test(framebuffer, refuses_sizes_out_of_bounds)
{
    struct framebuffer *fb = NULL;
    struct error err = { 0 };
    cr_expect(lt(int, framebuffer_new(&fb, 8193, 1, 1, &err), 0));
    cr_expect(lt(int, framebuffer_new(&fb, 8192, 8192, 1, &err), 0));
    cr_expect(lt(int, framebuffer_new(&fb, 0, 10, 1, &err), 0));
    cr_expect(eq(ptr, fb, NULL));
}

/* --- Tiles and frames ------------------------------------------------------------------------- */

struct refined {
    struct frame *frame;
    int *changed, n;
};

static struct refined refine(struct tiles *tiles, struct framebuffer *fb, struct frame *base)
{
    struct refined r = { 0 };
    struct tiles_base b = { base, NULL };
    cr_assert(eq(int, tiles_refine(tiles, fb, &b, &r.frame, &r.changed, &r.n), 0));
    return r;
}

Test(tiles, finds_what_really_changed)
{
    struct framebuffer *fb;
    struct tiles *tiles = tiles_new();
    cr_assert(eq(int, framebuffer_new(&fb, 200, 100, 1, NULL), 0)); /* 4 x 2 tiles */
    struct rect all = { 0, 0, 200, 100 };

    tiles_damage(tiles, fb, all);
    struct refined first = refine(tiles, fb, NULL);
    cr_assert(eq(int, first.n, 8));

    /* All of it is redrawn, one pixel of tile 6 differs. */
    fb->pixels[99 * 200 + 150] = 0xff123456;
    tiles_damage(tiles, fb, all);
    struct refined second = refine(tiles, fb, first.frame);
    cr_assert(eq(int, second.n, 1));
    cr_assert(eq(int, second.changed[0], 6));
    cr_assert(eq(ptr, second.frame->tiles[5], first.frame->tiles[5]));
    cr_assert(ne(ptr, second.frame->tiles[6], first.frame->tiles[6]));

    int diff[8];
    cr_assert(eq(int, frame_diff(first.frame, second.frame, diff), 1));
    cr_assert(eq(int, diff[0], 6));
    cr_assert(eq(int, frame_diff(NULL, second.frame, diff), 8));

    /* Redrawn as it was. */
    tiles_damage(tiles, fb, all);
    struct refined third = refine(tiles, fb, second.frame);
    cr_assert(eq(int, third.n, 0));
    cr_assert(eq(ptr, third.frame, NULL));

    /* A change without damage is not looked at. */
    fb->pixels[0] = 0xffffffff;
    tiles_damage(tiles, fb, (struct rect){ 190, 90, 50, 50 });
    struct refined fourth = refine(tiles, fb, second.frame);
    cr_assert(eq(int, fourth.n, 0));
    cr_assert(not(tiles_is_damaged(tiles)));

    frame_unref(first.frame);
    frame_unref(second.frame);
    free(first.changed);
    free(second.changed);
    free(third.changed);
    free(fourth.changed);
    tiles_free(tiles);
    framebuffer_free(fb);
}

Test(tiles, recognises_a_screen_by_its_hashes)
{
    struct framebuffer *fb;
    struct tiles *tiles = tiles_new();
    cr_assert(eq(int, framebuffer_new(&fb, 130, 70, 1, NULL), 0)); /* 3 x 2 tiles */
    struct refined first = refine(tiles, fb, NULL);
    uint64_t hashes[6];
    for (int i = 0; i < 6; i++)
        hashes[i] = first.frame->tiles[i]->hash;
    fb->pixels[129] = 0xffffffff; /* tile 2 */
    struct refined again = { 0 };
    struct tiles_base base = { NULL, hashes };
    cr_assert(eq(int, tiles_refine(tiles, fb, &base, &again.frame, &again.changed, &again.n), 0));
    cr_assert(eq(int, again.n, 1));
    cr_assert(eq(int, again.changed[0], 2));
    frame_unref(first.frame);
    frame_unref(again.frame);
    free(first.changed);
    free(again.changed);
    tiles_free(tiles);
    framebuffer_free(fb);
}

Test(frame, reads_rectangles_across_tiles)
{
    struct framebuffer *fb;
    struct tiles *tiles = tiles_new();
    cr_assert(eq(int, framebuffer_new(&fb, 200, 150, 1, NULL), 0));
    for (int i = 0; i < 200 * 150; i++)
        fb->pixels[i] = 0xff000000u | (uint32_t)i * 7919;
    struct refined r = refine(tiles, fb, NULL);
    static const struct rect rows[] = {
        { 0, 0, 200, 150 }, { 63, 63, 2, 2 }, { 1, 2, 130, 140 }, { 199, 149, 1, 1 },
        { 64, 64, 64, 64 },
    };
    static uint32_t out[200 * 150];
    for (size_t k = 0; k < ARRAY_LEN(rows); k++) {
        struct rect at = rows[k];
        frame_read(r.frame, at, out, at.w);
        int n_wrong = 0;
        for (int y = 0; y < at.h; y++)
            for (int x = 0; x < at.w; x++)
                n_wrong += out[y * at.w + x] != fb->pixels[(at.y + y) * 200 + at.x + x];
        cr_expect(eq(int, n_wrong, 0), "row %zu", k);
    }
    struct rect last = frame_tile_rect(r.frame, 11);
    cr_assert(eq(int, last.x, 192));
    cr_assert(eq(int, last.w, 8));
    cr_assert(eq(int, last.h, 22));
    frame_unref(r.frame);
    free(r.changed);
    tiles_free(tiles);
    framebuffer_free(fb);
}

Test(frame, refuses_sizes_out_of_bounds)
{
    cr_assert(eq(ptr, frame_new(8193, 10, NULL), NULL));
    cr_assert(eq(ptr, frame_new(8192, 8192, NULL), NULL));
    cr_assert(eq(ptr, frame_new(0, 10, NULL), NULL));
}

/* --- Cursor ----------------------------------------------------------------------------------- */

Test(cursor, is_drawn_clipped_at_every_edge)
{
    uint32_t white[9];
    for (int i = 0; i < 9; i++)
        white[i] = 0xffffffff;
    struct cursor cursor = { .is_visible = true };
    cr_assert(eq(int, cursor_shape_new(&cursor.shape, 3, 3, 1, 1, white, sizeof white, NULL), 0));
    static const struct { int x, y, n; } rows[] = {
        { 0, 0, 9 }, { -1, -1, 4 }, { 4, 4, 4 }, { 5, 5, 1 }, { 6, 0, 0 }, { -3, 0, 0 },
        { INT32_MAX, INT32_MIN, 0 },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint32_t pixels[36] = { 0 };
        struct rect region = { 100, 200, 6, 6 };
        cursor.x = rows[i].x < 1000 ? rows[i].x + 100 : rows[i].x;
        cursor.y = rows[i].y > -1000 ? rows[i].y + 200 : rows[i].y;
        cursor_draw(&cursor, pixels, 6, region);
        int n = 0;
        for (int k = 0; k < 36; k++)
            n += pixels[k] == 0xffffffff;
        cr_expect(eq(int, n, rows[i].n), "row %zu", i);
    }
    int x, y;
    cursor.x = 10;
    cursor.y = 20;
    cr_assert(cursor_point(&cursor, &x, &y));
    cr_assert(eq(int, x, 11));
    cr_assert(eq(int, y, 21));
    cursor.is_visible = false;
    cr_assert(not(cursor_point(&cursor, &x, &y)));
    cr_assert(rect_is_empty(cursor_covers(&cursor, (struct rect){ 0, 0, 100, 100 })));
    cursor_shape_unref(cursor.shape);
}

Test(cursor, blends_straight_and_premultiplied_alpha_alike)
{
    uint32_t straight = 0x80ff0000, premultiplied = 0x80800000, shown[2];
    for (int i = 0; i < 2; i++) {
        struct cursor cursor = { .is_visible = true };
        cr_assert(eq(int, cursor_shape_new(&cursor.shape, 1, 1, 0, 0,
                                           i ? &premultiplied : &straight, 4, NULL), 0));
        shown[i] = 0xffffffff;
        cursor_draw(&cursor, &shown[i], 1, (struct rect){ 0, 0, 1, 1 });
        cursor_shape_unref(cursor.shape);
    }
    cr_assert(eq(u32, shown[0], 0xffff7f7f));
    cr_assert(eq(u32, shown[1], 0xffff7f7f));
}

Test(cursor, refuses_bad_shapes)
{
    static uint8_t bytes[64];
    static const struct { int w, h; size_t size; } rows[] = {
        { 0, 1, 64 }, { 1, -1, 64 }, { 513, 1, 64 }, { 4, 4, 63 }, { INT32_MAX, INT32_MAX, 64 },
    };
    struct cursor_shape *shape = NULL;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        cr_expect(lt(int, cursor_shape_new(&shape, rows[i].w, rows[i].h, 0, 0, bytes, rows[i].size,
                                           NULL), 0), "row %zu", i);
    cr_assert(eq(int, cursor_shape_new(&shape, 4, 4, -7, 99, bytes, 64, NULL), 0));
    cr_assert(eq(int, shape->hot_x, 0));
    cr_assert(eq(int, shape->hot_y, 3));
    cursor_shape_unref(shape);
}

/* --- Scaling ---------------------------------------------------------------------------------- */

/* Exact arithmetic, pixel by pixel: the area average when smaller, bilinear when larger. */
static double weight(int from, int to, int i, int k)
{
    double step = (double)from / to;
    if (to < from) {
        double a = fmax(i * step, k), b = fmin((i + 1) * step, k + 1);
        return fmax(b - a, 0) / step;
    }
    double centre = fmin(fmax((i + 0.5) * step - 0.5, 0), from - 1);
    return fmax(1 - fabs(centre - k), 0);
}

static int worst_error(int fw, int fh, int tw, int th)
{
    uint32_t *from = malloc((size_t)(fw * fh) * 4), *to = malloc((size_t)(tw * th) * 4);
    for (int i = 0; i < fw * fh; i++)
        from[i] = 0xff000000u | ((uint32_t)i * 2654435761u >> 8);
    cr_assert(eq(int, scale_pixels(from, fw, fh, fw, to, tw, th, tw), 0));
    double worst = 0;
    for (int y = 0; y < th; y++)
        for (int x = 0; x < tw; x++)
            for (int shift = 0; shift <= 16; shift += 8) {
                double sum = 0;
                for (int v = 0; v < fh; v++)
                    for (int u = 0; u < fw; u++) {
                        double w = weight(fw, tw, x, u) * weight(fh, th, y, v);
                        sum += w * (from[v * fw + u] >> shift & 255);
                    }
                worst = fmax(worst, fabs(sum - (to[y * tw + x] >> shift & 255)));
            }
    free(from);
    free(to);
    return (int)ceil(worst);
}

Test(scale, is_at_most_one_off_from_exact_arithmetic)
{
    static const struct { int fw, fh, tw, th; } rows[] = {
        { 32, 20, 16, 10 }, { 32, 20, 13, 7 }, { 32, 20, 32, 20 }, { 32, 20, 31, 19 },
        { 7, 5, 21, 15 },   { 32, 20, 1, 1 },  { 1, 1, 9, 9 },     { 32, 20, 8, 40 },
        { 2, 30, 5, 11 },   { 33, 1, 10, 1 },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        cr_expect(le(int, worst_error(rows[i].fw, rows[i].fh, rows[i].tw, rows[i].th), 1),
                  "row %zu", i);
}

Test(scale, keeps_white_white)
{
    uint32_t from[35 * 35], to[13 * 13];
    memset(from, 0xff, sizeof from);
    cr_assert(eq(int, scale_pixels(from, 35, 35, 35, to, 13, 13, 13), 0));
    for (int i = 0; i < 13 * 13; i++)
        cr_assert(eq(u32, to[i], 0xffffffff));
}

/* --- Image ids -------------------------------------------------------------------------------- */

Test(image_id, reads_what_it_writes)
{
    static const char *const good[] = {
        "f1-1x1", "f1767323045678-1280x800", "f9223372036854775807-16384x16384",
        "f5-100x50-0,0,1280,800", "f5-100x50-8191,8191,1,1",
    };
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct image_id id;
        char text[IMAGE_ID_MAX];
        cr_assert(eq(int, image_id_parse(good[i], &id), 0), "%s", good[i]);
        image_id_format(&id, text);
        cr_assert(eq(str, text, (char *)good[i]));
    }
}

Test(image_id, refuses_everything_else)
{
    static const char *const bad[] = {
        "", "f", "1-1x1", "f0-1x1", "f01-1x1", "f-1-1x1", "f+1-1x1", "f1-0x1", "f1-1x0", "f1-1x1 ",
        " f1-1x1", "f1-1X1", "f1-1x1-", "f1-1x1-0,0,1", "f1-1x1-0,0,1,1,1", "f1-1x1-0,0,0,1",
        "f1-1x1--1,0,1,1", "f1-1x1-0,0,8193,1", "f1-1x1-1,0,8192,1", "f1-16385x1",
        "f9223372036854775808-1x1", "f99999999999999999999-1x1", "f1-99999999999x1",
        "f1-1x1-0, 0,1,1",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct image_id id;
        cr_expect(lt(int, image_id_parse(bad[i], &id), 0), "%s", bad[i]);
    }
}

Test(image_id, maps_pixels_to_the_screen)
{
    static const struct {
        int width, height;
        struct rect region;
        int64_t ix, iy;
        int fx, fy, r;
    } rows[] = {
        { 1280, 800, { 0, 0, 1280, 800 }, 0, 0, 0, 0, 0 },
        { 1280, 800, { 0, 0, 1280, 800 }, 1279, 799, 1279, 799, 0 },
        { 640, 400, { 0, 0, 1280, 800 }, 0, 0, 1, 1, 0 },
        { 640, 400, { 0, 0, 1280, 800 }, 639, 399, 1279, 799, 0 },
        { 2560, 1600, { 0, 0, 1280, 800 }, 1, 2, 0, 1, 0 },
        { 100, 100, { 300, 200, 50, 25 }, 99, 99, 349, 224, 0 },
        { 1, 1, { 10, 10, 101, 7 }, 0, 0, 60, 13, 0 },
        { 640, 400, { 0, 0, 1280, 800 }, 640, 0, 1279, 1, IMAGE_ID_OUTSIDE },
        { 640, 400, { 0, 0, 1280, 800 }, -1, INT64_MAX, 1, 799, IMAGE_ID_OUTSIDE },
        { 640, 400, { 0, 0, 1280, 800 }, INT64_MIN, 0, 1, 1, IMAGE_ID_OUTSIDE },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int fx, fy;
        int r = image_id_map(rows[i].width, rows[i].height, rows[i].region, rows[i].ix, rows[i].iy,
                             &fx, &fy);
        cr_expect(eq(int, r, rows[i].r), "row %zu", i);
        cr_expect(eq(int, fx, rows[i].fx), "row %zu", i);
        cr_expect(eq(int, fy, rows[i].fy), "row %zu", i);
    }
}

Test(image_id, loses_at_most_half_an_image_pixel)
{
    struct rect region = { 17, 5, 1231, 777 };
    for (int width = 1; width < 3000; width += 37)
        for (int ix = 0; ix < width; ix++) {
            int fx, fy;
            image_id_map(width, 10, region, ix, 0, &fx, &fy);
            double back = (fx + 0.5 - region.x) * width / region.w - (ix + 0.5);
            cr_assert(fabs(back) <= 0.5 + 0.5 * width / region.w, "width %d pixel %d", width, ix);
        }
}

/* --- Watchdog --------------------------------------------------------------------------------- */

/* At which tick it wants the listener recycled; 0: never. */
static int recycled_at(int n, int unread, int relief_every, int64_t rss, int64_t rss_step)
{
    struct watchdog dog;
    watchdog_init(&dog);
    for (int i = 1; i <= n; i++, rss = rss < 0 ? rss : rss + rss_step)
        if (watchdog_tick(&dog, relief_every && i % relief_every == 0 ? 0 : unread, rss))
            return i;
    return 0;
}

Test(watchdog, recycles_only_what_cannot_keep_up)
{
    int64_t gib = (int64_t)1 << 30;
    cr_expect(eq(int, recycled_at(100, 0, 0, -1, 0), 0), "idle");
    cr_expect(eq(int, recycled_at(100, 1000, 0, -1, 0), 0), "a little behind");
    cr_expect(eq(int, recycled_at(100, 200000, 0, -1, 0), WATCHDOG_UNREAD_TICKS), "always full");
    cr_expect(eq(int, recycled_at(100, 200000, 9, -1, 0), 0), "catches up now and then");
    cr_expect(eq(int, recycled_at(100, 0, 0, gib, gib / 64), 0), "a guest that grows by itself");
    cr_expect(eq(int, recycled_at(100, 4000, 0, gib, gib / 4), 5), "grows while we lag");
}
