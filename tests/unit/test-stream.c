/* stream/, the pure parts: records, coded tiles, the store, packets, scrolls, a client's
 * messages. */
#include "stream/client.h"
#include "stream/kept.h"
#include "stream/packets.h"
#include "stream/record.h"
#include "stream/scroll.h"
#include "stream/heat.h"
#include "stream/tile-code.h"
#include "stream/video.h"

#include "tests/bench/content.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>

#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

/* --- Records ---------------------------------------------------------------------------------- */

Test(record, reads_what_was_written)
{
    auto_buf struct buf out = BUF_INIT;
    uint8_t *at = record_begin(&out, RECORD_SOLID, 3, 17, 4);
    record_put_u32(at, 0x00123456);
    record_write(&out, &(struct record){ .type = RECORD_VIDEO_END, .number = 65535 });
    const uint8_t *data = out.data;
    size_t size = out.size;
    struct record record;
    cr_assert(eq(int, record_next(&data, &size, &record), 0));
    cr_assert(eq(int, record.type, RECORD_SOLID));
    cr_assert(eq(int, record.flags, 3));
    cr_assert(eq(int, record.number, 17));
    cr_assert(eq(u32, record_get_u32(record.payload), 0x123456));
    cr_assert(eq(int, record_next(&data, &size, &record), 0));
    cr_assert(eq(int, record.number, 65535));
    cr_assert(eq(int, record_next(&data, &size, &record), RECORD_END));
}

Test(record, refuses_one_that_is_cut_short)
{
    auto_buf struct buf out = BUF_INIT;
    record_begin(&out, RECORD_KEPT, 0, 1, 8);
    for (size_t n = 1; n < out.size; n++) {
        const uint8_t *data = out.data;
        size_t size = n;
        struct record record;
        cr_assert(eq(int, record_next(&data, &size, &record), -EPROTO));
    }
}

static void write_recording(struct buf *out)
{
    record_write_file_header(out);
    for (int i = 0; i < 5; i++) {
        uint8_t payload[4];
        record_put_u32(payload, (uint32_t)i);
        struct record record = { RECORD_SOLID, 0, (uint16_t)i, sizeof payload, payload };
        record_write_entry(out, 1000 * i, &record);
    }
}

static int count_entries(const uint8_t *data, size_t size)
{
    int n = 0;
    struct record record;
    int64_t time_us;
    if (record_read_file_header(&data, &size) < 0)
        return -1;
    for (; record_read_entry(&data, &size, &time_us, &record) == 0; n++) {
        cr_assert(eq(i64, time_us, 1000 * n));
        cr_assert(eq(int, record.number, n));
    }
    return n;
}

Test(record, gives_all_of_a_recording_before_the_place_where_its_writer_was_killed)
{
    auto_buf struct buf out = BUF_INIT;
    write_recording(&out);
    size_t entry = (out.size - RECORD_FILE_HEADER) / 5;
    cr_assert(eq(int, count_entries(out.data, out.size), 5));
    for (size_t n = RECORD_FILE_HEADER; n < out.size; n++)
        cr_assert(eq(int, count_entries(out.data, n), (int)((n - RECORD_FILE_HEADER) / entry)));
    cr_assert(eq(int, count_entries(out.data, RECORD_FILE_HEADER - 1), -1));
}

Test(record, stops_before_an_entry_with_a_wrong_byte)
{
    auto_buf struct buf out = BUF_INIT;
    write_recording(&out);
    size_t entry = (out.size - RECORD_FILE_HEADER) / 5;
    for (size_t i = 0; i < entry; i++) {
        size_t at = RECORD_FILE_HEADER + 2 * entry + i;
        out.data[at] ^= 0x10;
        cr_assert(eq(int, count_entries(out.data, out.size), 2));
        out.data[at] ^= 0x10;
    }
}

/* --- Coded tiles ------------------------------------------------------------------------------ */

static struct tile *make_tile(void (*paint)(uint32_t *pixels), int width, int height)
{
    struct tile *tile = tile_new();
    paint(tile->pixels);
    for (int i = 0; i < TILE_SIZE * TILE_SIZE; i++)
        if (i % TILE_SIZE >= width || i / TILE_SIZE >= height)
            tile->pixels[i] = 0;
    return tile;
}

static void paint_blue(uint32_t *pixels)
{
    content_fill(pixels, TILE_SIZE, TILE_SIZE, 0, 0, TILE_SIZE, TILE_SIZE, 0xff2040c0);
}

static void paint_two(uint32_t *pixels)
{
    paint_blue(pixels);
    content_fill(pixels, TILE_SIZE, TILE_SIZE, 20, 9, 3, 40, 0xffffffff);
}

static void paint_text(uint32_t *pixels)
{
    content_fill(pixels, TILE_SIZE, TILE_SIZE, 0, 0, TILE_SIZE, TILE_SIZE, 0xffffffff);
    content_text(pixels, TILE_SIZE, TILE_SIZE, 2, 2, 7, 3, 99);
}

static void paint_gradient(uint32_t *pixels)
{
    for (uint32_t i = 0; i < TILE_SIZE * TILE_SIZE; i++)
        pixels[i] = 0xff000000u | (i % TILE_SIZE * 3) << 16 | (i / TILE_SIZE * 3) << 8 | (i / 20);
}

static void paint_noise(uint32_t *pixels)
{
    content_noise(pixels, TILE_SIZE, TILE_SIZE);
}

static void paint_256(uint32_t *pixels)
{
    for (uint32_t i = 0; i < TILE_SIZE * TILE_SIZE; i++)
        pixels[i] = 0xff000000u | (i * 2654435761u >> 24) << 8;
}

static void paint_257(uint32_t *pixels)
{
    paint_256(pixels);
    pixels[5] = 0xff010203;
}

static const struct {
    const char *name;
    void (*paint)(uint32_t *pixels);
    enum tile_code code;
    size_t most; /* bytes, for a whole tile */
} tiles[] = {
    { "one colour", paint_blue, TILE_SOLID, 0 },
    { "two colours", paint_two, TILE_PALETTE, 40 },
    { "text", paint_text, TILE_GREY_PALETTE, 900 },
    { "gradient", paint_gradient, TILE_TRUE, 8400 },
    { "noise", paint_noise, TILE_TRUE, TILE_CODE_MAX },
    { "256 colours", paint_256, TILE_PALETTE, 5000 },
    { "257 colours", paint_257, TILE_TRUE, TILE_CODE_MAX },
};

static void check_tile(size_t row, int width, int height)
{
    struct tile *tile = make_tile(tiles[row].paint, width, height);
    uint8_t code[TILE_CODE_MAX];
    uint32_t pixels[TILE_SIZE * TILE_SIZE];
    size_t size;
    enum tile_code kind = tile_code_encode(tile, width, height, code, &size);
    if (width == TILE_SIZE && height == TILE_SIZE) {
        cr_assert(eq(int, kind, tiles[row].code), "%s", tiles[row].name);
        cr_assert(le(sz, size, tiles[row].most), "%s: %zu bytes", tiles[row].name, size);
    }
    if (kind != TILE_SOLID) {
        cr_assert(eq(int, tile_code_decode(kind, code, size, width, height, pixels), 0));
        for (int y = 0; y < height; y++)
            cr_assert(zero(int, memcmp(pixels + y * width, tile->pixels + y * TILE_SIZE,
                                       (size_t)width * 4)),
                      "%s, row %d", tiles[row].name, y);
        cr_assert(lt(int, tile_code_decode(kind, code, size - 1, width, height, pixels), 0));
        code[size] = 0;
        cr_assert(lt(int, tile_code_decode(kind, code, size + 1, width, height, pixels), 0));
    }
    tile_unref(tile);
}

Test(tile_code, gives_every_pixel_back)
{
    for (size_t row = 0; row < ARRAY_LEN(tiles); row++) {
        check_tile(row, TILE_SIZE, TILE_SIZE);
        check_tile(row, 1, 1);
        check_tile(row, 17, TILE_SIZE);
        check_tile(row, TILE_SIZE, 33);
    }
}

Test(tile_code, refuses_nonsense_without_leaving_its_bounds)
{
    uint32_t state = 5, pixels[TILE_SIZE * TILE_SIZE];
    uint8_t data[600];
    int n_good = 0;
    for (int round = 0; round < 20000; round++) {
        size_t size = content_random(&state) % sizeof data;
        for (size_t i = 0; i < size; i++)
            data[i] = (uint8_t)content_random(&state);
        for (int code = TILE_PALETTE; code <= TILE_TRUE; code++)
            n_good += tile_code_decode((enum tile_code)code, data, size, 8, 8, pixels) == 0;
    }
    cr_assert(lt(int, n_good, 3000));
}

Test(tile_code, keeps_alpha)
{
    uint32_t state = 3, pixels[300], back[300];
    uint8_t code[300 * TILE_CODE_ALPHA_BYTES];
    for (int i = 0; i < 300; i++)
        pixels[i] = i % 5 ? content_random(&state) : i ? pixels[i - 1] : 0;
    size_t size = tile_code_encode_true(pixels, 300, code);
    cr_assert(eq(int, tile_code_decode_true(code, size, back, 300), 0));
    cr_assert(zero(int, memcmp(pixels, back, sizeof pixels)));
}

/* --- The store -------------------------------------------------------------------------------- */

Test(kept, forgets_the_one_that_was_not_used_longest)
{
    struct kept *kept = kept_new(3);
    for (uint64_t hash = 1; hash <= 3; hash++)
        kept_use(kept, hash);
    kept_use(kept, 1);
    kept_use(kept, 4);
    cr_assert(kept_has(kept, 1));
    cr_assert(not(kept_has(kept, 2)));
    cr_assert(kept_has(kept, 3));
    cr_assert(kept_has(kept, 4));
    kept_free(kept);
}

Test(kept, holds_nothing_when_it_may_hold_nothing)
{
    struct kept *kept = kept_new(0);
    kept_use(kept, 7);
    cr_assert(not(kept_has(kept, 7)));
    kept_free(kept);
}

/* The same rules, as simply as they can be written. */
static int model_use(uint64_t *model, int n, int max, uint64_t hash)
{
    int at = 0;
    while (at < n && model[at] != hash)
        at++;
    if (at == n && n < max)
        n++;
    for (int i = MIN(at, n - 1); i > 0; i--)
        model[i] = model[i - 1];
    model[0] = hash;
    return n;
}

Test(kept, agrees_with_the_rules_on_any_order)
{
    enum { MAX_TILES = 50 };
    struct kept *kept = kept_new(MAX_TILES);
    uint64_t model[MAX_TILES];
    uint32_t state = 11;
    int n = 0;
    for (int i = 0; i < 20000; i++) {
        uint64_t hash = content_random(&state) % 120 * 0x9e3779b97f4a7c15u;
        bool is_there = false;
        for (int k = 0; k < n; k++)
            is_there |= model[k] == hash;
        cr_assert(eq(int, kept_has(kept, hash), is_there));
        kept_use(kept, hash);
        n = model_use(model, n, MAX_TILES, hash);
    }
    kept_free(kept);
}

Test(packets, drops_the_least_recently_used_when_over_budget)
{
    struct packets *packets = packets_new(10000);
    for (uint64_t hash = 1; hash <= 9; hash++) {
        packets_insert(packets, hash, TILE_TRUE, 0, bytes_new(2000));
        cr_assert(packets_find(packets, 1) != NULL);
    }
    cr_assert(le(sz, packets_size(packets), 10000));
    cr_assert(packets_find(packets, 9) != NULL);
    cr_assert(packets_find(packets, 2) == NULL);
    packets_insert(packets, 10, TILE_SOLID, 0xff00ff, NULL);
    cr_assert(eq(u32, packets_find(packets, 10)->colour, 0xff00ff));
    packets_free(packets);
}

/* --- Scrolls ---------------------------------------------------------------------------------- */

enum { WIDTH = 700, HEIGHT = 500 };

static struct frame *make_frame(const uint32_t *pixels)
{
    struct frame *frame = frame_new(WIDTH, HEIGHT, NULL);
    for (int i = 0; i < frame_n_tiles(frame); i++) {
        struct tile *tile = frame->tiles[i] = tile_new();
        struct rect r = frame_tile_rect(frame, i);
        memset(tile->pixels, 0, sizeof tile->pixels);
        for (int y = 0; y < r.h; y++)
            memcpy(tile->pixels + y * TILE_SIZE, pixels + (r.y + y) * WIDTH + r.x, (size_t)r.w * 4);
        tile->hash = XXH3_64bits(tile->pixels, sizeof tile->pixels);
    }
    return frame;
}

/* A window with lines of text at (90, 70), 520x380, scrolled by dy; its frame and the rest stay. */
static void paint_page(uint32_t *pixels, int dy)
{
    static uint32_t page[520 * 1000];
    content_fill(page, 520, 1000, 0, 0, 520, 1000, 0xffffffff);
    content_text(page, 520, 1000, 4, 4, 60, 56, 21);
    content_fill(pixels, WIDTH, HEIGHT, 0, 0, WIDTH, HEIGHT, 0xff305070);
    content_fill(pixels, WIDTH, HEIGHT, 85, 50, 530, 405, 0xff808080);
    for (int y = 0; y < 380; y++)
        memcpy(pixels + (70 + y) * WIDTH + 90, page + (300 - dy + y) * 520, 520 * 4);
}

static void apply_copy(uint32_t *pixels, const struct scroll_copy *copy)
{
    struct rect r = copy->region;
    static uint32_t moved[WIDTH * HEIGHT];
    for (int y = 0; y < r.h; y++)
        memcpy(moved + y * r.w, pixels + (r.y + y - copy->dy) * WIDTH + r.x, (size_t)r.w * 4);
    for (int y = 0; y < r.h; y++)
        memcpy(pixels + (r.y + y) * WIDTH + r.x, moved + y * r.w, (size_t)r.w * 4);
}

static void check_scroll(int dy, int at_most_left)
{
    static uint32_t before[WIDTH * HEIGHT], after[WIDTH * HEIGHT];
    paint_page(before, 0);
    paint_page(after, dy);
    auto_frame struct frame *old = make_frame(before), *new = make_frame(after);
    int changed[200], n = frame_diff(old, new, changed), left = 0;
    struct scroll_copy copies[SCROLL_COPIES_MAX];
    int n_copies = scroll_find(old, new, changed, n, copies);
    cr_assert(gt(int, n_copies, 0), "dy %d", dy);
    for (int i = 0; i < n_copies; i++)
        apply_copy(before, &copies[i]);
    auto_frame struct frame *moved = make_frame(before);
    for (int i = 0; i < n; i++) {
        bool is_whole = scroll_completes(old, new, copies, n_copies, changed[i]);
        cr_assert(
            eq(int, is_whole, moved->tiles[changed[i]]->hash == new->tiles[changed[i]]->hash));
        left += !is_whole;
    }
    int rest[200];
    cr_assert(le(int, frame_diff(moved, new, rest), left), "tiles that did not change are spoilt");
    cr_assert(le(int, left, at_most_left), "dy %d: %d of %d tiles are left", dy, left, n);
}

Test(scroll, finds_a_page_that_moves)
{
    check_scroll(-17, 12);
    check_scroll(17, 12);
    check_scroll(-120, 24);
    check_scroll(200, 45);
    check_scroll(-1, 12);
}

Test(scroll, finds_nothing_where_nothing_moved)
{
    static uint32_t before[WIDTH * HEIGHT], after[WIDTH * HEIGHT];
    paint_page(before, 0);
    content_noise(after, WIDTH, HEIGHT);
    auto_frame struct frame *old = make_frame(before), *new = make_frame(after);
    int changed[200], n = frame_diff(old, new, changed);
    struct scroll_copy copies[SCROLL_COPIES_MAX];
    cr_assert(eq(int, scroll_find(old, new, changed, n, copies), 0));
    content_fill(after, WIDTH, HEIGHT, 0, 0, WIDTH, HEIGHT, 0xff112233);
    auto_frame struct frame *flat = make_frame(after);
    n = frame_diff(old, flat, changed);
    cr_assert(eq(int, scroll_find(old, flat, changed, n, copies), 0));
}

/* --- Films ------------------------------------------------------------------------------------ */

/* Feeds the tiles of a box so many times a second for a second; the region then. */
static struct rect heat_up(struct rect box, int a_second)
{
    struct heat *heat = heat_new();
    struct rect region = { 0 };
    int64_t now = 1000000;
    for (int i = 0; i < a_second * 2; i++, now += 1000000 / a_second) {
        for (int t = 0; t < box.w * box.h; t++)
            heat_feed(heat, 20, 13, (box.y + t / box.w) * 20 + box.x + t % box.w, now);
        region = heat_region(heat, now);
    }
    heat_free(heat);
    return region;
}

Test(heat, finds_where_a_film_plays)
{
    struct rect r = heat_up((struct rect){ 3, 2, 10, 6 }, 30);
    cr_assert(eq(int, r.x, 3));
    cr_assert(eq(int, r.y, 2));
    cr_assert(eq(int, r.w, 10));
    cr_assert(eq(int, r.h, 6));
}

Test(heat, leaves_what_is_slow_or_small_alone)
{
    cr_assert(rect_is_empty(heat_up((struct rect){ 3, 2, 10, 6 }, 5)));
    cr_assert(rect_is_empty(heat_up((struct rect){ 3, 2, 3, 3 }, 30)));
}

Test(video, gives_a_unit_for_every_picture_at_once)
{
    static uint32_t pixels[WIDTH * HEIGHT];
    struct video *video = video_new((struct rect){ 64, 64, 301, 203 });
    for (int i = 0; i < 8; i++) {
        paint_page(pixels, i * 4);
        auto_frame struct frame *frame = make_frame(pixels);
        struct video_unit unit = video_encode(video, frame, i == 5);
        cr_assert(unit.data != NULL);
        cr_assert(eq(int, unit.is_key, i == 0 || i == 5), "picture %d", i);
        cr_assert(zero(int, memcmp(unit.data->data, "\0\0\0\1", 4)));
        if (unit.is_key)
            cr_assert(eq(int, unit.data->data[4] & 31, 7), "parameter sets come first");
        else
            cr_assert(lt(sz, unit.data->size, 60000));
        bytes_unref(unit.data);
    }
    video_unref(video);
}

/* --- A client's messages ---------------------------------------------------------------------- */

static int parse_one(enum record_type type, unsigned flags, const uint8_t *payload, size_t size,
                     struct client_record *ret)
{
    auto_buf struct buf out = BUF_INIT;
    record_write(&out,
                 &(struct record){ (uint8_t)type, (uint8_t)flags, 0, (uint32_t)size, payload });
    const uint8_t *data = out.data;
    size_t left = out.size;
    return client_next(&data, &left, ret);
}

Test(client, reads_a_click)
{
    uint8_t payload[13];
    uint8_t *at = record_put_u64(payload, 77);
    at = record_put_u16(record_put_u16(at, 640), 399);
    *at = 2;
    struct client_record record;
    cr_assert(eq(int, parse_one(RECORD_BUTTON, RECORD_DOWN, payload, 13, &record), 0));
    cr_assert(eq(u64, record.id, 77));
    cr_assert(eq(int, record.x, 640));
    cr_assert(eq(int, record.y, 399));
    cr_assert(eq(int, record.code, 2));
    cr_assert(record.is_down);
    *at = 5;
    cr_assert(eq(int, parse_one(RECORD_BUTTON, RECORD_DOWN, payload, 13, &record), -EPROTO));
}

Test(client, reads_a_wheel_that_turns_up)
{
    uint8_t payload[16] = { 0 };
    record_put_u16(payload + 14, (uint16_t)-120);
    struct client_record record;
    cr_assert(eq(int, parse_one(RECORD_WHEEL, 0, payload, 16, &record), 0));
    cr_assert(eq(int, record.dy, -120));
}

Test(client, refuses_what_a_client_may_not_send)
{
    uint8_t zeros[64] = { 0 }, large[8];
    struct client_record record;
    cr_assert(eq(int, parse_one(RECORD_FRAME, 0, zeros, 32, &record), -EPROTO));
    cr_assert(eq(int, parse_one(RECORD_ACK, 0, zeros, 7, &record), -EPROTO));
    cr_assert(eq(int, parse_one(RECORD_ACK, 1, zeros, 8, &record), -EPROTO));
    cr_assert(eq(int, parse_one(RECORD_WISH, 3, zeros, 0, &record), -EPROTO));
    cr_assert(eq(int, parse_one((enum record_type)200, 0, zeros, 0, &record), -EPROTO));
    record_put_u64(large, (uint64_t)1 << 54);
    cr_assert(eq(int, parse_one(RECORD_ACK, 0, large, 8, &record), -EPROTO));
}
