/* Stills: what decoders make of them, the cache, shared encodings, cancelling. */
#include "base/clock.h"
#include "display/display.h"
#include "display/still.h"
#include "display/tiles.h"
#include "tests/bench/content.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <spng.h>
#include <turbojpeg.h>
#include <webp/decode.h>

/* A frame of a desktop, or of noise. */
static struct frame *make_frame(int width, int height, bool is_noise)
{
    struct framebuffer *fb;
    struct frame *frame;
    struct tiles *tiles = tiles_new();
    int *changed, n;
    cr_assert(eq(int, framebuffer_new(&fb, width, height, 1, NULL), 0));
    if (is_noise)
        content_noise(fb->pixels, width, height);
    else
        content_desktop(fb->pixels, width, height);
    cr_assert(eq(int, tiles_refine(tiles, fb, &(struct tiles_base){ 0 }, &frame, &changed, &n), 0));
    frame->id = 1;
    free(changed);
    tiles_free(tiles);
    framebuffer_free(fb);
    return frame;
}

static struct bytes *encode(struct frame *frame, struct still_params *params)
{
    struct error err = { 0 };
    cr_assert(eq(int, still_params_resolve(params, frame, &err), 0), "%s", err.message);
    struct bytes *bytes = still_encode(frame, NULL, params);
    cr_assert(ne(ptr, bytes, NULL));
    return bytes;
}

/* Decoded to XRGB, allocated. */
static uint32_t *decode_png(const struct bytes *png, int *ret_width, int *ret_height)
{
    spng_ctx *ctx = spng_ctx_new(0);
    struct spng_ihdr head;
    spng_set_png_buffer(ctx, png->data, png->size);
    cr_assert(eq(int, spng_get_ihdr(ctx, &head), 0));
    cr_assert(eq(int, head.color_type, SPNG_COLOR_TYPE_TRUECOLOR));
    size_t size;
    spng_decoded_image_size(ctx, SPNG_FMT_RGB8, &size);
    uint8_t *rgb = malloc(size);
    cr_assert(eq(int, spng_decode_image(ctx, rgb, size, SPNG_FMT_RGB8, 0), 0));
    uint32_t *pixels = malloc(size / 3 * 4);
    for (size_t i = 0; i < size / 3; i++)
        pixels[i] = 0xff000000u | (uint32_t)rgb[3 * i] << 16 | (uint32_t)rgb[3 * i + 1] << 8 |
                    rgb[3 * i + 2];
    *ret_width = (int)head.width;
    *ret_height = (int)head.height;
    free(rgb);
    spng_ctx_free(ctx);
    return pixels;
}

static double mean_error(const uint32_t *a, const uint32_t *b, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        for (int shift = 0; shift <= 16; shift += 8)
            sum += abs((int)(a[i] >> shift & 255) - (int)(b[i] >> shift & 255));
    return sum / (3.0 * n);
}

Test(still, png_and_lossless_webp_are_exact)
{
    static const struct {
        struct rect region;
        bool is_noise;
    } rows[] = {
        { { 0, 0, 700, 500 }, false },    { { 0, 0, 700, 500 }, true },
        { { 33, 65, 100, 101 }, false },  { { 699, 499, 1, 1 }, true },
        { { 0, 3, 700, 1 }, true },       { { 5, 0, 1, 500 }, false },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct frame *frame = make_frame(700, 500, rows[i].is_noise);
        struct rect r = rows[i].region;
        size_t size = (size_t)(r.w * r.h) * 4;
        uint32_t *want = malloc(size);
        frame_read(frame, r, want, r.w);

        struct still_params params = { .format = STILL_PNG, .region = r };
        struct bytes *png = encode(frame, &params);
        int w, h;
        uint32_t *got = decode_png(png, &w, &h);
        cr_expect(eq(int, w, r.w), "row %zu", i);
        cr_expect(eq(int, h, r.h), "row %zu", i);
        cr_expect(eq(int, memcmp(got, want, size), 0), "row %zu", i);

        params = (struct still_params){ .format = STILL_WEBP, .region = r, .quality = 100 };
        struct bytes *webp = encode(frame, &params);
        uint8_t *bgra = WebPDecodeBGRA(webp->data, webp->size, &w, &h);
        cr_expect(eq(int, memcmp(bgra, want, size), 0), "row %zu", i);
        WebPFree(bgra);
        bytes_unref(webp);
        bytes_unref(png);
        free(want);
        free(got);
        frame_unref(frame);
    }
}

Test(still, lossy_formats_come_close)
{
    static const struct {
        enum still_format format;
        int quality;
        double error; /* mean per channel, on a desktop */
    } rows[] = {
        { STILL_JPEG, 90, 2 }, { STILL_JPEG, 60, 5 }, { STILL_WEBP, 90, 4 }, { STILL_WEBP, 60, 6 },
    };
    struct frame *frame = make_frame(700, 500, false);
    static uint32_t want[700 * 500], got[700 * 500];
    frame_read(frame, (struct rect){ 0, 0, 700, 500 }, want, 700);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct still_params params = { .format = rows[i].format, .quality = rows[i].quality };
        struct bytes *bytes = encode(frame, &params);
        if (rows[i].format == STILL_JPEG) {
            tjhandle tj = tjInitDecompress();
            int r = tjDecompress2(tj, bytes->data, bytes->size, (uint8_t *)got, 700, 0, 500,
                                  TJPF_BGRA, 0);
            cr_assert(eq(int, r, 0));
            tjDestroy(tj);
        } else {
            uint8_t *r = WebPDecodeBGRAInto(bytes->data, bytes->size, (uint8_t *)got, sizeof got,
                                            700 * 4);
            cr_assert(ne(ptr, r, NULL));
        }
        double error = mean_error(want, got, 700 * 500);
        cr_expect(lt(dbl, error, rows[i].error), "row %zu: %.2f", i, error);
        bytes_unref(bytes);
    }
    frame_unref(frame);
}

Test(still, resolves_sizes)
{
    static const struct {
        struct rect region;
        int w, h;
        int image_w, image_h; /* 0: refused */
    } rows[] = {
        { { 0 }, 0, 0, 700, 500 },           { { 0 }, 350, 0, 350, 250 },
        { { 0 }, 0, 100, 140, 100 },         { { 0 }, 100, 100, 100, 100 },
        { { 10, 10, 7, 3 }, 70, 0, 70, 30 }, { { 0, 0, 700, 1 }, 7, 0, 7, 1 },
        { { 0 }, 8193, 0, 0, 0 },            { { 0 }, -1, 0, 0, 0 },
        { { 1, 0, 700, 500 }, 0, 0, 0, 0 },  { { -1, 0, 5, 5 }, 0, 0, 0, 0 },
        { { 0, 0, 5, 0 }, 0, 0, 0, 0 },      { { 0, 0, 1, 500 }, 100, 0, 0, 0 },
        { { 0, 0, INT32_MAX, INT32_MAX }, 0, 0, 0, 0 },
    };
    struct frame *frame = make_frame(700, 500, false);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct still_params p = { .region = rows[i].region, .width = rows[i].w,
                                  .height = rows[i].h };
        int r = still_params_resolve(&p, frame, NULL);
        cr_expect(eq(int, r == 0, rows[i].image_w > 0), "row %zu", i);
        if (r == 0) {
            cr_expect(eq(int, p.width, rows[i].image_w), "row %zu", i);
            cr_expect(eq(int, p.height, rows[i].image_h), "row %zu", i);
        }
    }
    struct still_params bad = { .format = STILL_JPEG, .quality = 101 };
    cr_expect(lt(int, still_params_resolve(&bad, frame, NULL), 0));
    frame_unref(frame);
}

Test(still, fits_into_a_box)
{
    static const struct { int w, h, max_w, max_h, fit_w, fit_h; } rows[] = {
        { 1280, 800, 1024, 0, 1024, 640 }, { 1280, 800, 0, 400, 640, 400 },
        { 1280, 800, 1024, 100, 160, 100 }, { 1280, 800, 4000, 4000, 1280, 800 },
        { 1000, 1, 10, 10, 10, 1 }, { 1280, 800, 0, 0, 1280, 800 },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int w, h;
        struct rect region = { 3, 4, rows[i].w, rows[i].h };
        still_fit(region, rows[i].max_w, rows[i].max_h, &w, &h);
        cr_expect(eq(int, w, rows[i].fit_w), "row %zu", i);
        cr_expect(eq(int, h, rows[i].fit_h), "row %zu", i);
    }
}

Test(still, draws_the_cursor_on_request)
{
    struct frame *frame = make_frame(200, 100, false);
    uint32_t red[4] = { 0xffff0000, 0xffff0000, 0xffff0000, 0xffff0000 };
    struct cursor cursor = { .x = 50, .y = 60, .is_visible = true };
    cr_assert(eq(int, cursor_shape_new(&cursor.shape, 2, 2, 0, 0, red, sizeof red, NULL), 0));
    for (int on = 0; on < 2; on++) {
        struct still_params params = { .with_cursor = on };
        cr_assert(eq(int, still_params_resolve(&params, frame, NULL), 0));
        struct bytes *png = still_encode(frame, &cursor, &params);
        int w, h;
        uint32_t *got = decode_png(png, &w, &h);
        cr_expect(eq(int, got[61 * 200 + 51] == 0xffff0000, on));
        cr_expect(ne(u32, got[62 * 200 + 51], 0xffff0000));
        free(got);
        bytes_unref(png);
    }
    cursor_shape_unref(cursor.shape);
    frame_unref(frame);
}

/* --- Requests --------------------------------------------------------------------------------- */

struct answer {
    int n, n_cached, n_errors;
    struct bytes *bytes;
    struct stills *doomed; /* freed in the callback */
};

static void on_still(void *data, const struct still *still, const struct error *err)
{
    struct answer *answer = data;
    (void)err;
    answer->n++;
    answer->n_errors += !still;
    answer->n_cached += still && still->is_cached;
    if (still) {
        bytes_unref(answer->bytes);
        answer->bytes = bytes_ref(still->bytes);
    }
    if (answer->doomed)
        stills_free(answer->doomed);
}

static struct loop loop;
static struct worker_pool *pool;
static struct stills *stills;
static struct frame *frame;

static void setup(void)
{
    loop_init(&loop);
    pool = worker_pool_new(&loop, 1, 1);
    stills = stills_new(&loop, pool, 300000);
    frame = make_frame(320, 200, true); /* about 190 KB as PNG */
}

static void teardown(void)
{
    stills_free(stills);
    frame_unref(frame);
    worker_pool_free(pool);
    loop_deinit(&loop);
}

TestSuite(stills, .init = setup, .fini = teardown);

static struct still_request *ask(struct answer *answer, struct still_params params)
{
    struct still_request *request = NULL;
    int r = stills_request(stills, frame, NULL, &params, on_still, answer, &request, NULL);
    cr_assert(eq(int, r, 0));
    return request;
}

static void run_until(const int *count, int n)
{
    int64_t end = clock_now_us() + 10000000;
    while (*count < n && clock_now_us() < end)
        loop_turn(&loop, false);
    int got = *count;
    cr_assert(eq(int, got, n));
}

Test(stills, share_an_encoding_and_then_the_cache)
{
    struct answer a = { 0 }, b = { 0 }, c = { 0 };
    struct still_params png = { .format = STILL_PNG };
    ask(&a, png);
    ask(&b, (struct still_params){ .format = STILL_PNG, .width = 320, .with_cursor = true });
    cr_assert(eq(int, a.n, 0)); /* never from within the request */
    cr_assert(eq(int, worker_depth(pool, WORK_LATENCY), 1));
    run_until(&a.n, 1);
    run_until(&b.n, 1);
    cr_assert(eq(ptr, a.bytes, b.bytes));
    ask(&c, png);
    cr_assert(eq(int, c.n, 0));
    run_until(&c.n, 1);
    cr_assert(eq(int, c.n_cached, 1));
    cr_assert(eq(ptr, c.bytes, a.bytes));
    bytes_unref(a.bytes);
    bytes_unref(b.bytes);
    bytes_unref(c.bytes);
}

Test(stills, forget_the_least_recently_used)
{
    struct answer a = { 0 };
    struct still_params png = { .format = STILL_PNG };
    struct still_params webp = { .format = STILL_WEBP, .quality = 100 };
    ask(&a, png);
    run_until(&a.n, 1);
    ask(&a, webp); /* together over 300000 bytes */
    run_until(&a.n, 2);
    ask(&a, webp);
    run_until(&a.n, 3);
    cr_assert(eq(int, a.n_cached, 1));
    ask(&a, png);
    run_until(&a.n, 4);
    cr_assert(eq(int, a.n_cached, 1));
    bytes_unref(a.bytes);
}

Test(stills, tell_frames_and_cursors_apart)
{
    struct answer a = { 0 };
    uint32_t red = 0xffff0000;
    struct cursor cursor = { .x = 5, .y = 5, .is_visible = true };
    cr_assert(eq(int, cursor_shape_new(&cursor.shape, 1, 1, 0, 0, &red, 4, NULL), 0));
    struct still_params jpeg = { .format = STILL_JPEG, .with_cursor = true };
    for (int i = 0; i < 4; i++) {
        cursor.x = i < 2 ? 5 : 6;
        frame->id = i < 3 ? 1 : 2;
        int r = stills_request(stills, frame, &cursor, &jpeg, on_still, &a, NULL, NULL);
        cr_assert(eq(int, r, 0));
        run_until(&a.n, i + 1);
        cr_expect(eq(int, a.n_cached, i >= 1), "%d", i); /* only the second */
    }
    bytes_unref(a.bytes);
    cursor_shape_unref(cursor.shape);
}

Test(stills, can_be_cancelled_at_any_time)
{
    struct answer a = { 0 }, b = { 0 };
    struct still_params png = { .format = STILL_PNG };
    still_cancel(ask(&a, png));
    ask(&b, png);
    run_until(&b.n, 1);
    still_cancel(ask(&a, png)); /* a hit */
    loop_turn(&loop, false);
    loop_turn(&loop, false);
    cr_assert(eq(int, a.n, 0));
    bytes_unref(b.bytes);
}

Test(stills, have_a_limit_and_answer_when_freed)
{
    struct answer a = { 0 };
    struct error err = { 0 };
    for (int i = 0; i < STILLS_JOBS_MAX; i++)
        ask(&a, (struct still_params){ .format = STILL_JPEG, .width = i + 1 });
    struct still_params png = { .format = STILL_PNG };
    cr_assert(lt(int, stills_request(stills, frame, NULL, &png, on_still, &a, NULL, &err), 0));
    cr_assert(eq(int, err.code, ERROR_QUOTA));
    stills = stills_free(stills);
    cr_assert(eq(int, a.n, STILLS_JOBS_MAX));
    bytes_unref(a.bytes);
}

Test(stills, may_be_freed_in_an_answer)
{
    struct answer a = { .doomed = stills }, b = { 0 };
    ask(&a, (struct still_params){ .format = STILL_JPEG });
    ask(&b, (struct still_params){ .format = STILL_JPEG });
    ask(&b, (struct still_params){ .format = STILL_PNG });
    stills = NULL;
    run_until(&a.n, 1);
    run_until(&b.n, 2);
    cr_assert(eq(int, b.n_errors, 2));
    bytes_unref(a.bytes);
}
