/* What a still and a refinement cost. Every figure is wall time of one operation on one thread:
 * what a caller waits for, without HTTP. The unchanged still is a request through the loop. */
#include "tests/bench/content.h"

#include "base/clock.h"
#include "display/display.h"
#include "display/source-test.h"
#include "display/still.h"
#include "display/tiles.h"

#include <pixman.h>
#include <stdio.h>

#define ROUNDS 60

struct bench {
    const char *name;
    int width, height;
    int64_t us[ROUNDS];
    size_t bytes;
};

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void print(struct bench *b, const char *content)
{
    qsort(b->us, ROUNDS, sizeof b->us[0], compare);
    printf("%-28s %-8s %4dx%-5d %8.3f %8.3f %8.3f", b->name, content, b->width, b->height,
           (double)b->us[ROUNDS / 2] / 1e3, (double)b->us[ROUNDS * 95 / 100] / 1e3,
           (double)b->us[ROUNDS * 99 / 100] / 1e3);
    printf(b->bytes ? " %9zu\n" : "         -\n", b->bytes);
}

static void print_cpu(void)
{
    FILE *f = fopen("/proc/cpuinfo", "re");
    char line[256];
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, "model name", 10) == 0) {
            printf("CPU:%s", strchr(line, ':') + 1);
            break;
        }
    if (f)
        fclose(f);
    printf("%-28s %-8s %-10s %8s %8s %8s %9s\n", "operation", "content", "size", "p50 ms", "p95 ms",
           "p99 ms", "bytes");
}

static struct framebuffer *make_framebuffer(int width, int height, bool is_noise)
{
    struct framebuffer *fb;
    if (framebuffer_new(&fb, width, height, 1, NULL) < 0)
        exit(1);
    if (is_noise)
        content_noise(fb->pixels, width, height);
    else
        content_desktop(fb->pixels, width, height);
    return fb;
}

static struct frame *refine(struct tiles *tiles, struct framebuffer *fb, struct frame *old)
{
    struct frame *frame = NULL;
    int *changed = NULL, n;
    tiles_damage(tiles, fb, (struct rect){ 0, 0, fb->width, fb->height });
    if (tiles_refine(tiles, fb, &(struct tiles_base){ old, NULL }, &frame, &changed, &n) < 0)
        exit(1);
    free(changed);
    return frame;
}

static void bench_still(struct frame *frame, const char *content, const char *name,
                        struct still_params params)
{
    struct bench b = { name, frame->width, frame->height, { 0 }, 0 };
    if (still_params_resolve(&params, frame, NULL) < 0)
        exit(1);
    for (int i = 0; i < ROUNDS; i++) {
        int64_t start = clock_now_us();
        struct bytes *bytes = still_encode(frame, NULL, &params);
        b.us[i] = clock_now_us() - start;
        b.bytes = bytes ? bytes->size : 0;
        bytes_unref(bytes);
    }
    print(&b, content);
}

static void bench_refine(struct framebuffer *fb, struct frame *frame, const char *content)
{
    struct bench same = { "refine, all damaged, same", fb->width, fb->height, { 0 }, 0 };
    struct bench all = { "refine, every tile changed", fb->width, fb->height, { 0 }, 0 };
    struct bench judge = { "history, every tile changed", fb->width, fb->height, { 0 }, 0 };
    struct tiles *tiles = tiles_new();
    struct settle_history *history = settle_history_new();
    struct tile_change change;
    struct frame *last = frame_ref(frame);
    for (int i = 0; i < ROUNDS; i++) {
        int64_t start = clock_now_us();
        frame_unref(refine(tiles, fb, last));
        same.us[i] = clock_now_us() - start;
        for (int y = 0; y < fb->height; y += TILE_SIZE)
            for (int x = 0; x < fb->width; x++)
                fb->pixels[y * fb->width + x] ^= 0x010101;
        start = clock_now_us();
        struct frame *next = refine(tiles, fb, last);
        all.us[i] = clock_now_us() - start;
        start = clock_now_us();
        for (int t = 0; t < frame_n_tiles(next); t++)
            settle_history_feed(history, t, last->tiles[t], next->tiles[t], start, &change);
        judge.us[i] = clock_now_us() - start;
        frame_unref(last);
        last = next;
    }
    frame_unref(last);
    settle_history_free(history);
    tiles_free(tiles);
    print(&same, content);
    print(&all, content);
    print(&judge, content);
}

static void handle_still(void *data, const struct still *still, const struct error *err)
{
    (void)err;
    *(bool *)data = still && still->is_cached;
}

static void bench_unchanged(struct frame *frame, const char *content)
{
    struct bench b = { "PNG, unchanged", frame->width, frame->height, { 0 }, 0 };
    struct loop loop;
    loop_init(&loop);
    struct worker_pool *pool = worker_pool_new(&loop, 1, 1);
    struct stills *stills = stills_new(&loop, pool, (size_t)16 << 20);
    struct still_params params = { .format = STILL_PNG };
    for (int i = -1; i < ROUNDS; i++) {
        bool is_cached = false;
        struct still_request *request = NULL;
        int64_t start = clock_now_us();
        if (stills_request(stills, frame, NULL, &params, handle_still, &is_cached, &request,
                           NULL) < 0)
            exit(1);
        while (i < 0 ? worker_depth(pool, WORK_LATENCY) > 0 : !is_cached)
            loop_turn(&loop, i < 0);
        if (i >= 0)
            b.us[i] = clock_now_us() - start;
    }
    stills_free(stills);
    worker_pool_free(pool);
    loop_deinit(&loop);
    print(&b, content);
}

static void bench_size(int width, int height, bool is_noise)
{
    const char *content = is_noise ? "noise" : "desktop";
    struct framebuffer *fb = make_framebuffer(width, height, is_noise);
    struct tiles *tiles = tiles_new();
    struct frame *frame = refine(tiles, fb, NULL);
    frame->id = 1;
    bench_unchanged(frame, content);
    bench_still(frame, content, "PNG", (struct still_params){ .format = STILL_PNG });
    bench_still(frame, content, "PNG, 1/2 size",
                (struct still_params){ .format = STILL_PNG, .width = width / 2 });
    bench_still(frame, content, "JPEG 85",
                (struct still_params){ .format = STILL_JPEG, .quality = 85 });
    bench_still(frame, content, "JPEG 75",
                (struct still_params){ .format = STILL_JPEG, .quality = 75 });
    bench_still(frame, content, "WebP 80",
                (struct still_params){ .format = STILL_WEBP, .quality = 80 });
    bench_still(frame, content, "WebP lossless",
                (struct still_params){ .format = STILL_WEBP, .quality = 100 });
    bench_refine(fb, frame, content);
    frame_unref(frame);
    tiles_free(tiles);
    framebuffer_free(fb);
}

int main(void)
{
    print_cpu();
    for (int is_noise = 0; is_noise < 2; is_noise++) {
        bench_size(1280, 800, is_noise);
        bench_size(1920, 1080, is_noise);
    }
    return 0;
}
