/* Looking for things on a frame: pictures, and words that were read. */
#include "display/encode.h"
#include "display/framebuffer.h"
#include "display/ocr/wire.h"
#include "display/template.h"
#include "display/tiles.h"
#include "tests/bench/content.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <string.h>

#define WIDTH 640
#define HEIGHT 400

static struct frame *frame_of(const uint32_t *pixels)
{
    struct framebuffer *fb;
    struct frame *frame;
    struct tiles *tiles = tiles_new();
    int *changed, n;
    cr_assert(eq(int, framebuffer_new(&fb, WIDTH, HEIGHT, 1, NULL), 0));
    for (int y = 0; y < HEIGHT; y++)
        memcpy((char *)fb->pixels + (size_t)y * (size_t)fb->stride, pixels + y * WIDTH, WIDTH * sizeof *pixels);
    cr_assert(eq(int, tiles_refine(tiles, fb, &(struct tiles_base){ 0 }, &frame, &changed, &n), 0));
    free(changed);
    tiles_free(tiles);
    framebuffer_free(fb);
    return frame;
}

static uint32_t *flat(uint32_t color)
{
    uint32_t *pixels = malloc(WIDTH * HEIGHT * sizeof *pixels);
    for (int i = 0; i < WIDTH * HEIGHT; i++)
        pixels[i] = color;
    return pixels;
}

static void fill(uint32_t *pixels, struct rect r, uint32_t color)
{
    for (int y = r.y; y < r.y + r.h; y++)
        for (int x = r.x; x < r.x + r.w; x++)
            pixels[y * WIDTH + x] = color;
}

/* A button: light, with a dark sign in its middle. */
static void draw_button(uint32_t *pixels, int x, int y, uint32_t ink)
{
    fill(pixels, (struct rect){ x, y, 60, 24 }, 0xffeeeeee);
    fill(pixels, (struct rect){ x + 28, y + 6, 4, 12 }, ink);
}

static struct template *cut(const uint32_t *pixels, struct rect r)
{
    struct template *ret;
    struct error err = { 0 };
    uint32_t *part = malloc((size_t)r.w * (size_t)r.h * sizeof *part);
    for (int y = 0; y < r.h; y++)
        memcpy(part + y * r.w, pixels + (r.y + y) * WIDTH + r.x, (size_t)r.w * sizeof *part);
    struct encode_rows rows = encode_rows_of(part, r.w, r.h);
    struct bytes *png = encode_png(&rows);
    cr_assert(eq(int, template_new(&ret, png->data, png->size, &err), 0), "%s", err.message);
    bytes_unref(png);
    free(part);
    return ret;
}

static struct template_search everywhere(int limit)
{
    return (struct template_search){ { 0, 0, WIDTH, HEIGHT }, TEMPLATE_TOLERANCE, TEMPLATE_SCORE, limit };
}

Test(template, is_found_where_it_is_and_nowhere_else)
{
    struct template_match found[10];
    uint32_t *pixels = flat(0xffeeeeee);
    content_desktop(pixels, WIDTH, HEIGHT);
    fill(pixels, (struct rect){ 630, 390, 10, 10 }, 0xff10e010); /* the last corner is like no other place */
    fill(pixels, (struct rect){ 634, 394, 3, 3 }, 0xffe01010);
    static const struct rect places[] = { { 0, 0, 40, 30 }, { 600, 370, 40, 30 }, { 301, 203, 100, 50 }, { 5, 7, 300, 300 } };
    struct frame *frame = frame_of(pixels);
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        struct template *template = cut(pixels, places[i]);
        struct template_search search = everywhere(10);
        int n = template_find(template, frame, &search, found);
        cr_assert(ge(int, n, 1), "place %zu", i);
        bool is_there = false;
        for (int k = 0; k < n; k++)
            is_there |= found[k].score == 1.0 && found[k].rect.x == places[i].x && found[k].rect.y == places[i].y;
        cr_assert(is_there, "place %zu", i);
        search.region = (struct rect){ places[i].x + 1, places[i].y, WIDTH, HEIGHT };
        n = template_find(template, frame, &search, found);
        for (int k = 0; k < n; k++)
            cr_assert(found[k].rect.x != places[i].x);
        template_unref(template);
    }
    frame_unref(frame);
    free(pixels);
}

/* Most of a button is its flat face; the sign is what it is found by. */
Test(template, is_told_by_its_details)
{
    struct template_match found[10];
    uint32_t *pixels = flat(0xffeeeeee);
    draw_button(pixels, 100, 100, 0xff202020);
    draw_button(pixels, 300, 200, 0xff202020);
    struct template *template = cut(pixels, (struct rect){ 100, 100, 60, 24 });
    struct template_search search = everywhere(10);
    struct frame *frame = frame_of(pixels);
    cr_assert(eq(int, template_find(template, frame, &search, found), 2));
    frame_unref(frame);
    draw_button(pixels, 300, 200, 0xffeeeeee);
    frame = frame_of(pixels);
    cr_assert(eq(int, template_find(template, frame, &search, found), 1));
    cr_assert(eq(int, found[0].rect.x, 100));
    frame_unref(frame);
    template_unref(template);
    free(pixels);
}

Test(template, tolerates_as_much_as_is_asked)
{
    struct template_match found[4];
    uint32_t *pixels = flat(0xffeeeeee);
    draw_button(pixels, 100, 100, 0xff202020);
    struct template *template = cut(pixels, (struct rect){ 100, 100, 60, 24 });
    for (int i = 0; i < WIDTH * HEIGHT; i++)
        pixels[i] -= 0x0a0a0a;
    struct frame *frame = frame_of(pixels);
    struct template_search search = everywhere(4);
    search.tolerance = 10;
    cr_assert(eq(int, template_find(template, frame, &search, found), 1));
    search.tolerance = 9;
    cr_assert(eq(int, template_find(template, frame, &search, found), 0));
    frame_unref(frame);
    template_unref(template);
    free(pixels);
}

/* Everything matches: as many as were asked for, none over another. */
Test(template, flat_picture_on_flat_screen_is_bounded)
{
    struct template_match found[TEMPLATE_MATCHES_MAX];
    uint32_t *pixels = flat(0xff336699);
    struct template *template = cut(pixels, (struct rect){ 0, 0, 64, 64 });
    struct frame *frame = frame_of(pixels);
    struct template_search search = everywhere(7);
    cr_assert(eq(int, template_find(template, frame, &search, found), 7));
    frame_unref(frame);
    template_unref(template);
    free(pixels);
}

Test(template, refuses_what_is_no_picture)
{
    struct template *template = NULL;
    struct error err = { 0 };
    cr_assert(lt(int, template_new(&template, "no PNG at all", 13, &err), 0));
    cr_assert(eq(int, err.code, ERROR_BAD_VALUE));
    uint32_t *large = calloc(1024 * 512, sizeof *large);
    struct encode_rows rows = encode_rows_of(large, 1024, 512);
    struct bytes *png = encode_png(&rows);
    cr_assert(lt(int, template_new(&template, png->data, png->size, &err), 0));
    cr_assert(lt(int, template_new(&template, png->data, png->size / 2, &err), 0));
    bytes_unref(png);
    free(large);
}

/* --- Words ------------------------------------------------------------------------------------- */

static struct word word(int x, int y, int w, const char *text)
{
    struct word ret = { .rect = { x, y, w, 12 }, .confidence = 90 };
    snprintf(ret.text, sizeof ret.text, "%s", text);
    return ret;
}

static char *text_of(const struct words *words)
{
    struct word *list;
    struct words_run lines[32];
    auto_buf struct buf out = BUF_INIT;
    int n = words_get(words, (struct rect){ 0, 0, WIDTH, HEIGHT }, &list), n_lines = words_lines(list, n, lines, 32);
    for (int i = 0; i < n_lines; i++) {
        words_text(list, &lines[i], &out);
        buf_puts(&out, "|");
    }
    free(list);
    return strdup(buf_str(&out));
}

Test(words, only_what_changed_is_read_again)
{
    struct words *words = words_new();
    struct words_part parts[WORDS_PARTS_MAX];
    uint32_t *pixels = flat(0xffffffff);
    struct frame *first = frame_of(pixels);
    struct rect all = { 0, 0, WIDTH, HEIGHT };
    cr_assert(eq(int, words_missing(words, first, all, parts), 1));
    cr_assert(eq(int, parts[0].inner.w * parts[0].inner.h, WIDTH * HEIGHT));
    const struct word before[] = { word(10, 10, 40, "File"), word(60, 10, 40, "Edit"), word(120, 10, 90, "Preferences"),
                                   word(10, 300, 50, "below") };
    cr_assert(eq(int, words_put(words, first, &parts[0], before, 4), 0));
    cr_assert(eq(int, words_missing(words, first, all, parts), 0));
    fill(pixels, (struct rect){ 130, 12, 4, 4 }, 0xff000000);
    struct frame *second = frame_of(pixels);
    cr_assert(eq(int, words_missing(words, second, (struct rect){ 0, 200, WIDTH, 200 }, parts), 0));
    cr_assert(eq(int, words_missing(words, second, all, parts), 1));
    /* The tile from 128 on; the word that reaches into it is read as a whole. */
    cr_assert(eq(int, parts[0].inner.x, 128));
    cr_assert(eq(int, parts[0].inner.w, 64));
    cr_assert(le(int, parts[0].outer.x, 120 - WORDS_MARGIN));
    cr_assert(ge(int, parts[0].outer.x + parts[0].outer.w, 210));
    /* The reader sees a part of "Edit" too, and cuts it: that is not taken. */
    const struct word after[] = { word(88, 10, 12, "it"), word(120, 10, 90, "Properties") };
    cr_assert(eq(int, words_put(words, second, &parts[0], after, 2), 0));
    auto_free char *text = text_of(words);
    cr_assert(eq(str, text, "File Edit Properties|below|"));
    cr_assert(eq(int, words_missing(words, second, all, parts), 0));
    frame_unref(first);
    frame_unref(second);
    words_free(words);
    free(pixels);
}

Test(words, changes_far_apart_are_parts_of_their_own)
{
    struct words *words = words_new();
    struct words_part parts[WORDS_PARTS_MAX];
    uint32_t *pixels = flat(0xffffffff);
    struct rect all = { 0, 0, WIDTH, HEIGHT };
    struct frame *first = frame_of(pixels);
    words_missing(words, first, all, parts);
    words_put(words, first, &parts[0], NULL, 0);
    fill(pixels, (struct rect){ 0, 0, 1, 1 }, 0);
    fill(pixels, (struct rect){ WIDTH - 1, HEIGHT - 1, 1, 1 }, 0);
    struct frame *second = frame_of(pixels);
    cr_assert(eq(int, words_missing(words, second, all, parts), 2));
    frame_unref(first);
    frame_unref(second);
    words_free(words);
    free(pixels);
}

Test(words, texts_are_found_whatever_the_spaces_and_cases)
{
    static const struct {
        const char *text;
        int n, x, w;
    } rows[] = {
        { "save as", 1, 10, 90 }, { "Save", 2, 10, 40 }, { "SAVEAS", 1, 10, 90 }, { "as", 1, 60, 40 },
        { "don't", 1, 10, 50 },   { "nothing", 0, 0, 0 }, { "", 0, 0, 0 },         { "as Save", 0, 0, 0 },
    };
    const struct word list[] = { word(10, 10, 40, "Save"), word(60, 10, 40, "As"), word(400, 10, 40, "Save"),
                                 word(10, 100, 50, "don\u2019t") };
    struct words_run found[8];
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int n = words_find(list, 4, rows[i].text, found, 8);
        cr_assert(eq(int, n, rows[i].n), "\"%s\": %d", rows[i].text, n);
        if (n)
            cr_assert(found[0].rect.x == rows[i].x && found[0].rect.w == rows[i].w, "%s", rows[i].text);
    }
}

Test(ocr_wire, what_a_helper_says_is_checked)
{
    auto_buf struct buf out = BUF_INIT;
    struct ocr_reply head = { OCR_MAGIC, 7, 2, 0 };
    struct word a = word(0, 0, 10, "eins"), b = word(630, 388, 10, "zw\u00f6lf"), *list;
    int n;
    buf_append(&out, &head, sizeof head);
    cr_assert(ocr_wire_add(&out, &a) && ocr_wire_add(&out, &b));
    ((struct ocr_reply *)(void *)out.data)->size = (uint32_t)(out.size - sizeof head);
    for (size_t cut = 0; cut < out.size; cut++)
        cr_assert(eq(int, ocr_wire_read(out.data, cut, 7, WIDTH, HEIGHT, &list, &n), OCR_MORE));
    cr_assert(eq(int, ocr_wire_read(out.data, out.size, 7, WIDTH, HEIGHT, &list, &n), 0));
    cr_assert(eq(int, n, 2));
    cr_assert(eq(str, list[1].text, "zw\u00f6lf"));
    cr_assert(eq(int, list[1].rect.x, 630));
    free(list);
    cr_assert(lt(int, ocr_wire_read(out.data, out.size, 8, WIDTH, HEIGHT, &list, &n), 0));
    cr_assert(lt(int, ocr_wire_read(out.data, out.size, 7, WIDTH - 1, HEIGHT, &list, &n), 0));
    out.data[out.size - 1] = '\n';
    cr_assert(lt(int, ocr_wire_read(out.data, out.size, 7, WIDTH, HEIGHT, &list, &n), 0));
}
