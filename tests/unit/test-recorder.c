/* The recorder and the reader of recordings: frames come back as they were, whatever happens to the
 * file's end. */
#include "base/clock.h"
#include "base/fs.h"
#include "display/source-test.h"
#include "replay/reading.h"
#include "stream/recorder.h"
#include "tests/unit/count.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WIDTH = 700, HEIGHT = 500, FRAMES_MAX = 4096 };

static struct loop loop;
static struct worker_pool *pool;
static struct display *display;
static struct source *source;
static struct hub *hub;
static struct recorder *recorder;
static struct display_observer observer;
static char dir[64];
static unsigned seed = 1;
static int n_segments, n_states;

/* What was published. */
static struct frame *frames[FRAMES_MAX];
static int n_frames;

static void note_frame(void *data, const struct frame_update *update)
{
    (void)data;
    if (n_frames < FRAMES_MAX)
        frames[n_frames++] = frame_ref(update->frame);
}

static void note_segment(void *data, int number)
{
    (void)data;
    n_segments = number;
}

static void note_state(void *data, enum recorder_state state, const struct error *why)
{
    (void)data, (void)state, (void)why;
    n_states++;
}

static const struct recorder_ops ops = { .segment = note_segment, .state = note_state };

static void begin_recording(int first)
{
    recorder = recorder_new(&(struct recorder_config){ &loop, pool, display, hub, dir, first,
                                                       "\"who\":\"test\"", &ops, NULL });
    cr_assert(recorder != NULL);
}

static void setup(void)
{
    static const struct display_observer_ops frame_ops = { .frame = note_frame };
    snprintf(dir, sizeof dir, "/tmp/deskfarm-recorder-XXXXXX");
    cr_assert(mkdtemp(dir) != NULL);
    loop_init(&loop);
    pool = worker_pool_new(&loop, 2, 1);
    display = display_new(&loop, pool, NULL, NULL);
    source = source_test_new(WIDTH, HEIGHT);
    display_attach(display, source, NULL);
    display_observe(display, &observer, &frame_ops, NULL);
    hub = hub_new(&loop, pool, display);
    begin_recording(1);
}

static void teardown(void)
{
    recorder_free(recorder);
    for (int i = 0; i < n_frames; i++)
        frame_unref(frames[i]);
    display_unobserve(&observer);
    hub_free(hub);
    display_free(display);
    worker_pool_free(pool);
    loop_deinit(&loop);
    fs_remove_tree(dir, NULL);
}

static unsigned draw(unsigned n)
{
    seed = seed * 1103515245u + 12345u;
    return (seed >> 8) % n;
}

/* Runs the loop until something is so. */
#define wait_for(condition)                                                                        \
    do {                                                                                           \
        int64_t end_ = clock_now_us() + 20000000;                                                  \
        while (!(condition)) {                                                                     \
            cr_assert(clock_now_us() < end_, "not in time: %s", #condition);                       \
            loop_turn(&loop, true);                                                                \
        }                                                                                          \
    } while (0)

static void fire(void *data)
{
    *(bool *)data = true;
}

static void run_for(int64_t us)
{
    bool is_over = false;
    struct timer *timer = timer_new(&loop, fire, &is_over);
    timer_start(timer, us);
    wait_for(is_over);
    timer_free(timer);
}

static void handle_barrier(void *data, bool is_written)
{
    *(int *)data = is_written ? 1 : -1;
}

static int barrier(void)
{
    int result = 0;
    if (!recorder_barrier(recorder, handle_barrier, &result))
        return 1;
    wait_for(result != 0);
    return result;
}

static void paint_noise(struct rect r)
{
    uint32_t *pixels = source_test_pixels(source);
    for (int y = r.y; y < r.y + r.h; y++)
        for (int x = r.x; x < r.x + r.w; x++)
            pixels[y * WIDTH + x] = 0xff000000u | draw(1 << 24);
    source_test_update(source, r);
}

static void check_pixels(const struct canvas_state *state, const struct frame *frame)
{
    uint32_t *want = malloc((size_t)WIDTH * HEIGHT * 4);
    frame_read(frame, (struct rect){ 0, 0, frame->width, frame->height }, want, frame->width);
    cr_assert(eq(int, state->width, frame->width));
    cr_assert(memcmp(want, state->pixels, (size_t)frame->width * (size_t)frame->height * 4) == 0,
              "frame %lld is another picture", (long long)frame->id);
    free(want);
}

/* Whether the frame is in the recording exact; its pixels are checked then. */
static bool check_frame(const struct reading *reading, const struct frame *frame)
{
    struct place place;
    int64_t next;
    int r = reading_find_frame(reading, frame->id, &place, &next);
    cr_assert(r != READING_UNKNOWN, "frame %lld is not known", (long long)frame->id);
    if (r == READING_LOSSY)
        return false;
    struct canvas *canvas = canvas_new();
    struct error err = { 0 };
    cr_assert(reading_paint(reading, canvas, NULL, place, &err) == 0, "%s", err.message);
    struct canvas_state state = canvas_state(canvas);
    cr_assert(eq(i64, state.frame, frame->id));
    check_pixels(&state, frame);
    canvas_free(canvas);
    return true;
}

static void open_reading(struct reading *reading)
{
    struct error err = { 0 };
    cr_assert(reading_open(reading, dir, &err) == 0, "%s", err.message);
}

TestSuite(recorder, .init = setup, .fini = teardown);

Test(recorder, a_frame_of_a_quiet_screen_is_exact)
{
    wait_for(n_frames == 1 && recorder_stats(recorder)->n_frames == 1);
    cr_assert(eq(int, barrier(), 1));
    auto_reading struct reading reading;
    open_reading(&reading);
    cr_assert(check_frame(&reading, frames[0]));
}

Test(recorder, every_frame_is_exact_or_names_the_next_that_is)
{
    for (int i = 0; i < 200; i++) {
        struct rect r = { (int)draw(WIDTH - 200), (int)draw(HEIGHT - 200), 1 + (int)draw(200),
                          1 + (int)draw(200) };
        if (draw(4) == 0)
            paint_noise(r);
        else
            source_test_fill(source, r, 0xff000000u | draw(1 << 24));
        for (unsigned n = draw(6); n > 0; n--)
            run_for(3000);
    }
    run_for(500000); /* repaired by now */
    cr_assert(eq(int, barrier(), 1));
    recorder_end(recorder, "{\"event\":\"end\"}");
    auto_reading struct reading reading;
    open_reading(&reading);
    int n_exact = 0;
    for (int i = 0; i < n_frames; i++) {
        struct place place;
        int64_t next = 0;
        n_exact += check_frame(&reading, frames[i]);
        if (reading_find_frame(&reading, frames[i]->id, &place, &next) == READING_LOSSY)
            cr_assert(next > frames[i]->id, "%lld names none", (long long)frames[i]->id);
    }
    cr_assert(check_frame(&reading, frames[n_frames - 1]));
    cr_assert(n_exact > 10);
}

Test(recorder, a_named_frame_is_exact_while_all_is_in_motion)
{
    wait_for(n_frames == 1);
    struct frame *named[20];
    const int n_named = count_of(20, 6);
    for (int i = 0; i < n_named; i++) {
        for (int k = 0; k < 5; k++) {
            paint_noise((struct rect){ 0, 0, WIDTH, HEIGHT });
            run_for(9000);
        }
        named[i] = frame_ref(display_frame(display));
        recorder_keep(recorder, named[i]);
        cr_assert(eq(int, barrier(), 1));
        auto_reading struct reading reading;
        open_reading(&reading);
        cr_assert(check_frame(&reading, named[i]));
    }
    recorder_end(recorder, NULL);
    auto_reading struct reading reading;
    open_reading(&reading);
    for (int i = 0; i < n_named; i++) {
        cr_assert(check_frame(&reading, named[i]));
        frame_unref(named[i]);
    }
    cr_assert(recorder_stats(recorder)->n_begins > 1);
}

Test(recorder, an_idle_screen_writes_nothing)
{
    wait_for(recorder_stats(recorder)->n_frames == 1);
    barrier();
    int64_t before = recorder_stats(recorder)->n_bytes;
    run_for(1500000);
    cr_assert(eq(i64, recorder_stats(recorder)->n_bytes, before));
}

Test(recorder, a_restart_goes_on_in_a_new_segment)
{
    wait_for(recorder_stats(recorder)->n_frames == 1);
    recorder_free(recorder);
    begin_recording(2);
    run_for(50000);
    source_test_fill(source, (struct rect){ 10, 10, 100, 100 }, 0xff00ff00);
    wait_for(n_frames == 2);
    recorder_keep(recorder, frames[1]);
    cr_assert(eq(int, barrier(), 1));
    auto_reading struct reading reading;
    open_reading(&reading);
    cr_assert(eq(int, reading.n_segments, 2));
    cr_assert(check_frame(&reading, frames[0]));
    cr_assert(check_frame(&reading, frames[1]));
}

Test(recorder, another_size_begins_anew)
{
    wait_for(recorder_stats(recorder)->n_frames == 1);
    source_test_resize(source, 640, 480);
    wait_for(n_frames == 2);
    recorder_keep(recorder, frames[1]);
    cr_assert(eq(int, barrier(), 1));
    auto_reading struct reading reading;
    open_reading(&reading);
    cr_assert(check_frame(&reading, frames[0]));
    cr_assert(check_frame(&reading, frames[1]));
}

/* A file that ends anywhere is read up to its last whole entry, with an index beside it or not. */
Test(recorder, a_cut_file_loses_its_last_entry_only)
{
    char path[128];
    for (int i = 0; i < 30; i++) {
        paint_noise((struct rect){ (int)draw(600), (int)draw(400), 60, 60 });
        run_for(10000);
    }
    recorder_end(recorder, NULL);
    snprintf(path, sizeof path, "%s/000001.dfr", dir);
    struct error err = { 0 };
    /* A worker writes the index of a segment that ended, too: whichever comes second finds its file gone. */
    for (int i = 0; index_save(path, &err) < 0; i++) {
        cr_assert(i < 100, "%s", err.message);
        run_for(10000);
    }
    auto_buf struct buf data = BUF_INIT;
    cr_assert(eq(int, segment_read(path, 0, -1, &data, &err), 0));
    for (int i = 0; i < 40; i++) {
        off_t size = (off_t)draw((unsigned)data.size);
        cr_assert(eq(int, truncate(path, size), 0));
        auto_index struct index index = { 0 };
        cr_assert(eq(int, index_load(&index, path, &err), 0));
        cr_assert(index.size <= size);
        auto_index struct index whole = { 0 };
        index_scan(&whole, data.data, data.size);
        for (size_t k = 0; k < whole.n && whole.entries[k].offset < index.size; k++)
            cr_assert(eq(u32, index.entries[k].offset, whole.entries[k].offset));
        int fd = open(path, O_WRONLY | O_TRUNC);
        cr_assert(write(fd, data.data, data.size) == (ssize_t)data.size);
        close(fd);
    }
}

Test(recorder, an_index_comes_back_as_it_was)
{
    wait_for(recorder_stats(recorder)->n_frames == 1);
    recorder_write(recorder, RECORD_MARK, 0, "{\"label\":\"here\"}", 16);
    recorder_end(recorder, NULL);
    char path[128];
    struct error err = { 0 };
    snprintf(path, sizeof path, "%s/000001.dfr", dir);
    auto_buf struct buf data = BUF_INIT, text = BUF_INIT;
    cr_assert(eq(int, segment_read(path, 0, -1, &data, &err), 0));
    auto_index struct index scanned = { 0 }, read = { 0 };
    index_scan(&scanned, data.data, data.size);
    cr_assert(eq(i64, scanned.size, (int64_t)data.size));
    index_write(&scanned, &text);
    cr_assert(eq(int, index_read(&read, text.data, text.size, scanned.size), 0));
    cr_assert(eq(sz, read.n, scanned.n));
    for (size_t i = 0; i < read.n; i++)
        cr_assert(eq(u32, read.entries[i].offset, scanned.entries[i].offset));
    text.data[50] ^= 1;
    cr_assert(index_read(&read, text.data, text.size, scanned.size) < 0);
    auto_reading struct reading reading;
    open_reading(&reading);
    bool has_mark = false;
    for (struct place at = reading_first(&reading); reading_entry(&reading, at); reading_next(&reading, &at)) {
        if (reading_entry(&reading, at)->type != RECORD_MARK)
            continue;
        auto_json json_t *note = reading_note(&reading, at);
        cr_assert(eq(str, (char *)(uintptr_t)json_get_string(note, "label", ""), "here"));
        has_mark = true;
    }
    cr_assert(has_mark);
}
