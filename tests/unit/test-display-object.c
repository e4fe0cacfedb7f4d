/* The display object on a loop, with the test source: frames, ids, holds, observers, waits. */
#include "base/clock.h"
#include "display/settle-wait.h"
#include "display/source-test.h"
#include "display/still.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

struct seen {
    int n_frames, n_screens, n_cursors, n_lost, n_changed;
    enum display_screen screen;
    int64_t last_id;
    bool is_new_epoch;
    struct display_observer *victim; /* removed at the next frame */
    struct display *doomed;          /* freed at the next frame */
};

static void on_frame(void *data, const struct frame_update *update)
{
    struct seen *seen = data;
    seen->n_frames++;
    seen->n_changed = update->n_changes;
    seen->is_new_epoch = update->is_new_epoch;
    cr_assert(gt(i64, update->frame->id, seen->last_id));
    seen->last_id = update->frame->id;
    if (seen->victim)
        display_unobserve(seen->victim);
    if (seen->doomed)
        display_free(seen->doomed);
}

static void on_screen(void *data, enum display_screen screen)
{
    struct seen *seen = data;
    seen->n_screens++;
    seen->screen = screen;
}

static void on_cursor(void *data, const struct cursor *cursor)
{
    (void)cursor;
    ((struct seen *)data)->n_cursors++;
}

static void on_lost(void *data, const struct error *why)
{
    (void)why;
    ((struct seen *)data)->n_lost++;
}

static const struct display_observer_ops ops = {
    .screen = on_screen, .frame = on_frame, .cursor = on_cursor, .lost = on_lost,
};

static struct loop loop;
static struct worker_pool *pool;
static struct display *display;
static struct source *source;
static struct seen seen;
static struct display_observer observer;

/* Until nothing is pending: longer than the pace. */
static void settle_down(void)
{
    int64_t until = clock_now_us() + 3 * DISPLAY_PACE_US;
    while (clock_now_us() < until)
        loop_turn(&loop, false);
    /* This process may not have run while the time passed: what is due runs now. */
    for (int i = 0; i < 4; i++)
        loop_turn(&loop, false);
}

static void setup(void)
{
    loop_init(&loop);
    pool = worker_pool_new(&loop, 1, 1);
    display = display_new(&loop, pool, NULL, NULL);
    source = source_test_new(640, 480);
    cr_assert(eq(int, display_attach(display, source, NULL), 0));
    display_observe(display, &observer, &ops, &seen);
}

static void teardown(void)
{
    display_free(display);
    worker_pool_free(pool);
    loop_deinit(&loop);
}

TestSuite(display, .init = setup, .fini = teardown);

Test(display, runs_its_source_only_while_held)
{
    settle_down();
    cr_assert(not(source_test_is_running(source)));
    cr_assert(eq(int, display_screen(display), DISPLAY_UNKNOWN));

    display_set_linger(display, 20000);
    display_hold(display);
    settle_down();
    cr_assert(source_test_is_running(source));
    cr_assert(eq(int, seen.n_frames, 1));
    cr_assert(eq(int, seen.n_changed, 80));
    cr_assert(seen.is_new_epoch);
    cr_assert(eq(int, display_screen(display), DISPLAY_ON));
    uint32_t pixel;
    frame_read(display_frame(display), (struct rect){ 300, 400, 1, 1 }, &pixel, 1);
    cr_assert(eq(u32, pixel, source_test_pixel(300, 400)));

    display_release(display);
    cr_assert(source_test_is_running(source)); /* it lingers */
    while (source_test_is_running(source)) /* the test's time limit is the deadline */
        loop_turn(&loop, true);
    cr_assert(eq(int, seen.screen, DISPLAY_UNKNOWN));
    cr_assert(eq(ptr, display_frame(display), NULL));
}

Test(display, keeps_the_frame_id_when_nothing_changed_meanwhile)
{
    display_set_linger(display, 0);
    display_hold(display);
    settle_down();
    int64_t id = display_frame_id(display);
    display_release(display);
    settle_down();
    cr_assert(eq(ptr, display_frame(display), NULL));

    display_hold(display);
    settle_down();
    cr_assert(eq(i64, display_frame(display)->id, id));
    cr_assert(eq(int, seen.n_frames, 1));
    cr_assert(eq(int, seen.screen, DISPLAY_ON));
    display_release(display);
    settle_down();

    source_test_fill(source, (struct rect){ 0, 0, 1, 1 }, 0xffffffff); /* unseen */
    display_hold(display);
    settle_down();
    cr_assert(eq(i64, display_frame(display)->id, id + 1));
    cr_assert(eq(int, seen.n_changed, 1));
    cr_assert(not(seen.is_new_epoch));
}

Test(display, makes_one_frame_of_the_updates_of_a_turn)
{
    display_hold(display);
    settle_down();
    for (int i = 0; i < 5; i++)
        source_test_fill(source, (struct rect){ i * 64, 100, 10, 10 }, 0xff00ff00);
    settle_down();
    cr_assert(eq(int, seen.n_frames, 2));
    cr_assert(eq(int, seen.n_changed, 5));
    source_test_fill(source, (struct rect){ 0, 100, 10, 10 }, 0xff00ff00); /* the same again */
    settle_down();
    cr_assert(eq(int, seen.n_frames, 2));
}

Test(display, paces_a_busy_screen_and_flushes_on_demand)
{
    display_hold(display);
    settle_down();
    int64_t start = clock_now_us();
    for (uint32_t i = 0; clock_now_us() - start < 10 * DISPLAY_PACE_US; i++) {
        source_test_fill(source, (struct rect){ 0, 0, 10, 10 }, 0xff000000 + i);
        loop_turn(&loop, false);
    }
    cr_assert(le(int, seen.n_frames, 13));
    source_test_fill(source, (struct rect){ 0, 0, 10, 10 }, 0xffabcdef);
    display_flush(display);
    uint32_t pixel;
    frame_read(display_frame(display), (struct rect){ 5, 5, 1, 1 }, &pixel, 1);
    cr_assert(eq(u32, pixel, 0xffabcdef));
}

Test(display, starts_an_epoch_with_every_size)
{
    struct frame_geometry geometry;
    display_hold(display);
    settle_down();
    int64_t first = display_frame_id(display), epoch = display_frame(display)->epoch;
    cr_assert(eq(int, display_resize(display, 800, 600, NULL), 0));
    settle_down();
    cr_assert(seen.is_new_epoch);
    cr_assert(ne(i64, display_frame(display)->epoch, epoch));
    cr_assert(eq(int, display_geometry(display, first, &geometry), 0));
    cr_assert(eq(int, geometry.width, 640));
    cr_assert(eq(int, display_geometry(display, first + 1, &geometry), 0));
    cr_assert(eq(int, geometry.width, 800));
    cr_assert(eq(int, display_geometry(display, first + 2, &geometry), DISPLAY_ID_UNKNOWN));
    cr_assert(eq(int, display_geometry(display, first - 1, &geometry), DISPLAY_ID_UNKNOWN));
    cr_assert(eq(int, display_geometry(display, INT64_MIN, &geometry), DISPLAY_ID_UNKNOWN));

    struct error err = { 0 };
    cr_assert(lt(int, display_resize(display, 8192, 8192, &err), 0));
    cr_assert(eq(int, err.code, ERROR_BAD_VALUE));
    cr_assert(lt(int, display_resize(display, 10, 600, NULL), 0));
}

Test(display, keeps_a_few_frames_whole)
{
    display_hold(display);
    settle_down();
    int64_t first = display_frame_id(display);
    for (uint32_t i = 0; i < DISPLAY_FRAMES_KEPT; i++) {
        source_test_fill(source, (struct rect){ 0, 0, 10, 10 }, 0xff000000 + i);
        display_flush(display);
    }
    cr_assert(eq(ptr, display_frame_by_id(display, first), NULL));
    for (int i = 1; i <= DISPLAY_FRAMES_KEPT; i++)
        cr_assert(eq(i64, display_frame_by_id(display, first + i)->id, first + i));
}

Test(display, says_when_the_screen_is_off)
{
    display_hold(display);
    settle_down();
    source_test_disable(source);
    settle_down();
    cr_assert(eq(int, seen.screen, DISPLAY_OFF));
    cr_assert(eq(ptr, display_frame(display), NULL));
    source_test_resize(source, 640, 480);
    settle_down();
    cr_assert(eq(int, seen.screen, DISPLAY_ON));
    cr_assert(eq(int, seen.n_frames, 1));
}

Test(display, reports_a_cursor_once_per_turn)
{
    uint32_t argb[4] = { 0xffffffff, 0, 0, 0xff000000 };
    display_hold(display);
    settle_down();
    source_test_define(source, 2, 2, 1, 1, argb);
    source_test_cursor(source, 10, 10, true);
    source_test_cursor(source, 11, 12, true);
    settle_down();
    int x, y;
    cr_assert(eq(int, seen.n_cursors, 1));
    cr_assert(cursor_point(display_cursor(display), &x, &y));
    cr_assert(eq(int, x, 12));
    cr_assert(eq(int, y, 13));
    source_test_define(source, 2, 2, 1, 1, argb); /* the same */
    settle_down();
    cr_assert(eq(int, seen.n_cursors, 1));
}

Test(display, survives_the_loss_of_its_source)
{
    display_hold(display);
    settle_down();
    source_test_lose(source);
    settle_down();
    cr_assert(eq(int, seen.n_lost, 1));
    cr_assert(eq(int, seen.screen, DISPLAY_UNKNOWN));
    cr_assert(eq(int, display_restart(display, NULL), 0));
    settle_down();
    cr_assert(eq(int, seen.screen, DISPLAY_ON));
    cr_assert(eq(int, seen.n_frames, 1));
    display_detach(display);
    settle_down();
    cr_assert(eq(int, seen.n_lost, 1));
    cr_assert(eq(int, seen.screen, DISPLAY_UNKNOWN));
    source = source_test_new(320, 200);
    cr_assert(eq(int, display_attach(display, source, NULL), 0));
    settle_down();
    cr_assert(eq(int, display_frame(display)->width, 320));
}

Test(display, refuses_bad_messages_and_goes_on)
{
    display_hold(display);
    settle_down();
    const struct source_sink *sink = source->sink;
    struct pixels bad = { &bad, 4, 5, 5, 20, 0x20020888 };
    sink->update(source->sink_data, 0, 0, &bad);
    sink->update(source->sink_data, -5, 0, &bad);
    sink->cursor_define(source->sink_data, -1, 5, 0, 0, &bad, 4);
    settle_down();
    cr_assert(eq(i64, display_stats(display)->n_refused, 3));
    cr_assert(eq(int, display_screen(display), DISPLAY_ON));
    /* A surface that cannot be shown is a screen that is off. */
    bad.width = 9000;
    sink->scanout(source->sink_data, &bad);
    settle_down();
    cr_assert(eq(int, display_screen(display), DISPLAY_OFF));
}

Test(display, lets_observers_go_during_a_frame)
{
    struct seen other = { 0 }, third = { 0 };
    struct display_observer second = { 0 }, last = { 0 };
    display_observe(display, &second, &ops, &other);
    display_observe(display, &last, &ops, &third);
    seen.victim = &second;
    other.victim = &observer;
    display_hold(display);
    settle_down();
    cr_assert(eq(int, seen.n_frames, 1));
    cr_assert(eq(int, other.n_frames, 0));
    cr_assert(eq(int, third.n_frames, 1));
    third.victim = &last;
    source_test_fill(source, (struct rect){ 0, 0, 1, 1 }, 0xffffffff);
    settle_down();
    cr_assert(eq(int, third.n_frames, 2));
    display_unobserve(&last);
}

Test(display, may_be_freed_by_an_observer)
{
    seen.doomed = display;
    display_hold(display);
    settle_down();
    cr_assert(eq(int, seen.n_frames, 1));
    cr_assert(eq(int, seen.n_lost, 1));
    display = NULL;
}

/* --- Settle waits ----------------------------------------------------------------------------- */

struct settled {
    bool is_done, is_lost;
    enum settle_state state;
    int64_t took_us;
};

static void on_settled(void *data, struct settle *settle, bool is_lost)
{
    *(struct settled *)data = (struct settled){ true, is_lost, settle->state,
                                                clock_now_us() - settle->start_us };
}

static const struct settle_params quick = {
    .first_us = 60000, .quiet_us = 40000, .max_us = 500000,
};

static void run_until(const bool *flag)
{
    int64_t end = clock_now_us() + 5000000;
    while (!*flag && clock_now_us() < end)
        loop_turn(&loop, true);
    bool is_set = *flag;
    cr_assert(is_set);
}

Test(display, settles_by_itself)
{
    struct settled done = { 0 };
    display_hold(display);
    settle_down();
    settle_wait_start(display, &quick, clock_now_us(), on_settled, &done);
    source_test_fill(source, (struct rect){ 0, 0, 9, 9 }, 0xffffffff);
    run_until(&done.is_done);
    cr_assert(eq(int, done.state, SETTLE_SETTLED));
    cr_assert(ge(i64, done.took_us, 40000));

    done.is_done = false;
    settle_wait_start(display, &quick, clock_now_us(), on_settled, &done);
    run_until(&done.is_done);
    cr_assert(eq(int, done.state, SETTLE_NO_EFFECT));
    cr_assert(ge(i64, done.took_us, 60000));

    done.is_done = false;
    settle_wait_start(display, &quick, 0, on_settled, &done);
    run_until(&done.is_done);
    cr_assert(eq(int, done.state, SETTLE_SETTLED));
}

Test(display, ends_a_wait_early_when_the_screen_is_lost)
{
    struct settled done = { 0 }, never = { 0 };
    display_hold(display);
    settle_down();
    settle_wait_start(display, &quick, clock_now_us(), on_settled, &done);
    settle_wait_cancel(settle_wait_start(display, &quick, clock_now_us(), on_settled, &never));
    display = display_free(display);
    run_until(&done.is_done);
    cr_assert(done.is_lost);
    cr_assert(eq(int, done.state, SETTLE_WAITING));
    cr_assert(not(never.is_done));
}
