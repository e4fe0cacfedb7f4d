/* Settle: scenarios in virtual time, written as rows of (ms, what, where, content).
 *
 * The stage is a white screen of 4 x 2 tiles. A caret may blink on it all the time; rows paint,
 * and inject inputs. Frames are refined and judged as in a display, the moment they are painted. */
#include "display/settle.h"
#include "display/tiles.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#define WIDTH 256
#define HEIGHT 128
#define MS 1000
#define WHITE 0xffffffffu
#define BLACK 0xff000000u
#define BLUE 0xff3584e4u
#define GREY 0xffcccccc

struct stage {
    struct framebuffer *fb;
    struct tiles *tiles;
    struct frame *frame;
    struct settle_history *history;
    struct settle settle;
    bool is_settling;
    int64_t now_ms;
    struct rect caret; /* w 0: none */
    uint32_t caret_colour, under; /* under: what shows while it is off */
    int caret_on_ms, caret_off_ms;
    int64_t caret_next_ms;
    bool caret_is_on;
    int n_counted; /* frames with a counted change */
};

static void fill(struct stage *self, struct rect r, uint32_t colour)
{
    for (int y = r.y; y < r.y + r.h; y++)
        for (int x = r.x; x < r.x + r.w; x++)
            self->fb->pixels[y * WIDTH + x] = colour;
    tiles_damage(self->tiles, self->fb, r);
}

/* What publish() in display.c does. */
static void publish(struct stage *self)
{
    struct frame *frame = NULL;
    int *changed = NULL, n;
    struct tiles_base base = { self->frame, NULL };
    cr_assert(eq(int, tiles_refine(self->tiles, self->fb, &base, &frame, &changed, &n), 0));
    if (frame && self->frame) {
        struct tile_change changes[8];
        int64_t us = self->now_ms * MS;
        bool counts = false;
        frame->captured_us = us;
        for (int i = 0; i < n; i++) {
            settle_history_feed(self->history, changed[i], self->frame->tiles[changed[i]],
                                frame->tiles[changed[i]], us, &changes[i]);
            counts |= changes[i].counts;
        }
        self->n_counted += counts;
        struct frame_update update = { frame, false, changes, n };
        if (self->is_settling)
            settle_feed(&self->settle, &update);
    }
    if (frame) {
        frame_unref(self->frame);
        self->frame = frame;
    }
    free(changed);
}

static void stage_init(struct stage *self)
{
    *self = (struct stage){ .now_ms = 1000000 };
    cr_assert(eq(int, framebuffer_new(&self->fb, WIDTH, HEIGHT, 1, NULL), 0));
    self->tiles = tiles_new();
    self->history = settle_history_new();
    fill(self, (struct rect){ 0, 0, WIDTH, HEIGHT }, WHITE);
    publish(self);
}

static void stage_deinit(struct stage *self)
{
    if (self->is_settling)
        settle_deinit(&self->settle);
    frame_unref(self->frame);
    tiles_free(self->tiles);
    settle_history_free(self->history);
    framebuffer_free(self->fb);
}

static void stage_caret(struct stage *self, struct rect at, int on_ms, int off_ms)
{
    self->caret = at;
    self->caret_colour = BLACK;
    self->under = WHITE;
    self->caret_on_ms = on_ms;
    self->caret_off_ms = off_ms;
    self->caret_next_ms = self->now_ms + off_ms;
    self->caret_is_on = false;
}

/* Time passes; the caret blinks, the settle wakes up. */
static void stage_run(struct stage *self, int64_t until_ms)
{
    for (; self->now_ms < until_ms; self->now_ms++) {
        if (self->is_settling)
            settle_advance(&self->settle, self->now_ms * MS);
        if (!self->caret.w || self->now_ms < self->caret_next_ms)
            continue;
        self->caret_is_on = !self->caret_is_on;
        self->caret_next_ms += self->caret_is_on ? self->caret_on_ms : self->caret_off_ms;
        fill(self, self->caret, self->caret_is_on ? self->caret_colour : self->under);
        publish(self);
    }
}

static void stage_paint(struct stage *self, struct rect r, uint32_t colour)
{
    fill(self, r, colour);
    /* The caret stays on top. */
    if (self->caret.w && self->caret_is_on)
        fill(self, self->caret, self->caret_colour);
    publish(self);
}

static void stage_input(struct stage *self, const struct settle_params *params)
{
    if (self->is_settling)
        settle_deinit(&self->settle);
    settle_history_input(self->history, self->now_ms * MS);
    settle_init(&self->settle, params, self->now_ms * MS);
    self->is_settling = true;
}

/* Runs until the settle has ended; returns how long that took since the input. */
static int stage_settle(struct stage *self)
{
    while (!settle_is_done(&self->settle))
        stage_run(self, self->now_ms + 1);
    return (int)((self->settle.ended_us - self->settle.start_us) / MS);
}

static const struct settle_params defaults = SETTLE_PARAMS_DEFAULT;

/* --- One input -------------------------------------------------------------------------------- */

struct row {
    int ms; /* after the input */
    struct rect rect;
    uint32_t colour;
};

#define BUTTON { 70, 10, 40, 20 }
#define FIELD { 10, 70, 100, 20 }

static struct scenario {
    const char *what;
    struct row rows[8];
    enum settle_state state;
    int first_ms, last_ms, ended_ms;
} scenarios[] = {
    { "nothing", {{ 0 }}, SETTLE_NO_EFFECT, 0, 0, 1000 },
    { "one change", {{ 40, BUTTON, BLUE }}, SETTLE_SETTLED, 40, 40, 340 },
    { "two changes", {{ 40, BUTTON, BLUE }, { 290, FIELD, BLUE }}, SETTLE_SETTLED, 40, 290, 590 },
    { "a late first change", {{ 999, BUTTON, BLUE }}, SETTLE_SETTLED, 999, 999, 1299 },
    { "one too late", {{ 1001, BUTTON, BLUE }}, SETTLE_NO_EFFECT, 0, 0, 1000 },
    { "a redraw of the same pixels", {{ 40, BUTTON, WHITE }}, SETTLE_NO_EFFECT, 0, 0, 1000 },
    { "a button pressed and back", {{ 40, BUTTON, GREY }, { 90, BUTTON, WHITE }}, SETTLE_SETTLED,
      40, 90, 390 },
};

Test(settle, waits_for_the_first_change_and_then_for_quiet)
{
    for (size_t i = 0; i < ARRAY_LEN(scenarios); i++) {
        struct scenario *s = &scenarios[i];
        struct stage stage;
        stage_init(&stage);
        int64_t start = stage.now_ms;
        stage_input(&stage, &defaults);
        for (const struct row *row = s->rows; row->ms; row++) {
            stage_run(&stage, start + row->ms);
            stage_paint(&stage, row->rect, row->colour);
        }
        int ended = stage_settle(&stage);
        cr_expect(eq(int, stage.settle.state, s->state), "%s", s->what);
        cr_expect(eq(int, ended, s->ended_ms), "%s", s->what);
        int64_t first = stage.settle.first_us, last = stage.settle.last_us;
        cr_expect(eq(i64, first ? first / MS - start : 0, s->first_ms), "%s", s->what);
        cr_expect(eq(i64, last ? last / MS - start : 0, s->last_ms), "%s", s->what);
        stage_deinit(&stage);
    }
}

Test(settle, times_out_while_something_moves)
{
    struct stage stage;
    stage_init(&stage);
    stage_input(&stage, &defaults);
    for (int i = 1; !settle_is_done(&stage.settle); i++) {
        stage_run(&stage, stage.now_ms + 100);
        stage_paint(&stage, (struct rect){ 64, 0, 30, 30 }, 0xff000000u + (uint32_t)i);
    }
    cr_assert(eq(int, stage.settle.state, SETTLE_TIMED_OUT));
    cr_assert(eq(int, (int)(stage.settle.ended_us - stage.settle.start_us) / MS, 5000));
    stage_deinit(&stage);
}

Test(settle, ignores_what_is_masked_and_says_what_changed)
{
    struct settle_params params = defaults;
    params.masks[0] = (struct rect){ 60, 0, 60, 40 };
    params.masks[1] = (struct rect){ -50, 100, 1000, 1000 };
    params.n_masks = 2;
    struct stage stage;
    stage_init(&stage);
    stage_input(&stage, &params);
    stage_run(&stage, stage.now_ms + 100);
    stage_paint(&stage, (struct rect){ 70, 10, 30, 20 }, BLUE);
    stage_paint(&stage, (struct rect){ 3, 110, 200, 10 }, BLUE);
    cr_assert(eq(int, stage.settle.state, SETTLE_WAITING));
    /* It sticks out of the mask by 10 columns, over two tiles. */
    stage_paint(&stage, (struct rect){ 110, 30, 20, 5 }, BLUE);
    stage_settle(&stage);
    int n;
    const pixman_box32_t *boxes = settle_rects(&stage.settle, &n);
    cr_assert(eq(int, stage.settle.state, SETTLE_SETTLED));
    cr_assert(eq(int, n, 1));
    cr_assert(eq(int, boxes[0].x1, 120));
    cr_assert(eq(int, boxes[0].x2, 130));
    cr_assert(eq(int, boxes[0].y1, 30));
    cr_assert(eq(int, boxes[0].y2, 35));
    stage_deinit(&stage);
}

Test(settle, counts_its_limits_from_the_latest_event_of_an_input)
{
    struct stage stage;
    stage_init(&stage);
    int64_t start = stage.now_ms;
    stage_input(&stage, &defaults);
    stage_run(&stage, start + 30);
    stage_paint(&stage, (struct rect)BUTTON, GREY);
    stage_run(&stage, start + 200);
    settle_input(&stage.settle, stage.now_ms * MS);
    cr_assert(eq(int, stage_settle(&stage), 500));
    cr_assert(eq(i64, stage.settle.first_us / MS - start, 30));
    stage_deinit(&stage);
}

Test(settle, answers_at_once_on_a_screen_that_is_known_to_be_quiet)
{
    struct settle settle;
    settle_init_quiet(&settle, &defaults, 1000 * MS, 2000 * MS);
    cr_expect(eq(int, settle_advance(&settle, 2000 * MS), SETTLE_SETTLED));
    settle_deinit(&settle);
    settle_init_quiet(&settle, &defaults, 1900 * MS, 2000 * MS);
    cr_expect(eq(int, settle_advance(&settle, 2199 * MS), SETTLE_MOVING));
    cr_expect(eq(i64, settle_wake_us(&settle), 2200 * MS));
    cr_expect(eq(int, settle_advance(&settle, 2200 * MS), SETTLE_SETTLED));
    settle_deinit(&settle);
}

Test(settle, keeps_a_bounded_list_of_rectangles)
{
    struct stage stage;
    stage_init(&stage);
    stage_input(&stage, &defaults);
    for (int i = 0; i < 3000; i++)
        stage_paint(&stage, (struct rect){ i * 37 % 251, i * 53 % 127, 1, 1 },
                    0xff000000u + (uint32_t)i);
    int n;
    settle_rects(&stage.settle, &n);
    cr_assert(le(int, n, SETTLE_RECTS_MAX));
    stage_deinit(&stage);
}

/* --- Blinkers --------------------------------------------------------------------------------- */

#define CARET { 20, 75, 1, 14 }

/* A stage whose caret has been seen for a while. */
static void stage_with_caret(struct stage *self, int on_ms, int off_ms)
{
    stage_init(self);
    stage_caret(self, (struct rect)CARET, on_ms, off_ms);
    stage_run(self, self->now_ms + 5 * (on_ms + off_ms));
    self->n_counted = 0;
}

Test(blinker, is_known_after_two_returns)
{
    struct stage stage;
    stage_init(&stage);
    stage_caret(&stage, (struct rect)CARET, 500, 500);
    stage_run(&stage, stage.now_ms + 10000);
    cr_assert(eq(int, stage.n_counted, 2)); /* on, off; the second on is the second return */
    cr_assert(eq(int, settle_history_n_blinkers(stage.history, stage.now_ms * MS), 1));
    stage_deinit(&stage);
}

Test(blinker, never_counts_across_many_short_actions)
{
    static const struct { int on_ms, off_ms, every_ms; } rows[] = {
        { 500, 500, 350 },  { 600, 600, 350 }, { 800, 400, 350 },
        { 530, 530, 1000 }, { 500, 500, 500 }, { 500, 500, 37 },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct stage stage;
        stage_with_caret(&stage, rows[i].on_ms, rows[i].off_ms);
        for (int k = 0; k < 200; k++) {
            stage_input(&stage, &defaults);
            stage_run(&stage, stage.now_ms + rows[i].every_ms);
            cr_assert(eq(i64, stage.settle.first_us, 0), "row %zu, input %d", i, k);
        }
        cr_expect(eq(int, stage.n_counted, 0), "row %zu", i);
        stage_deinit(&stage);
    }
}

Test(blinker, is_learned_across_actions_when_they_keep_no_time_with_it)
{
    static const int pauses[] = { 350, 420, 380, 610, 290, 450, 330 };
    struct stage stage;
    stage_init(&stage);
    stage_caret(&stage, (struct rect)CARET, 500, 500);
    for (int k = 0; k < 40; k++) {
        stage_input(&stage, &defaults);
        stage_run(&stage, stage.now_ms + pauses[k % 7]);
    }
    cr_assert(le(int, stage.n_counted, 8));
    cr_assert(eq(int, settle_history_n_blinkers(stage.history, stage.now_ms * MS), 1));
    stage_deinit(&stage);
}

Test(blinker, does_not_hide_a_change_beside_it_in_its_tile)
{
    struct stage stage;
    stage_with_caret(&stage, 500, 500);
    stage_input(&stage, &defaults);
    stage_run(&stage, stage.now_ms + 120);
    stage_paint(&stage, (struct rect){ 30, 75, 8, 14 }, BLUE);
    cr_assert(eq(int, stage_settle(&stage), 420));
    cr_assert(eq(int, stage.settle.state, SETTLE_SETTLED));
    stage_deinit(&stage);
}

Test(blinker, over_a_new_background_costs_no_time)
{
    /* The field turns grey under the caret in either phase. */
    for (int phase = 0; phase < 10; phase++) {
        struct stage stage;
        stage_with_caret(&stage, 500, 500);
        stage_run(&stage, stage.now_ms + 100 * phase);
        stage_input(&stage, &defaults);
        stage_run(&stage, stage.now_ms + 50);
        stage.under = GREY;
        stage_paint(&stage, (struct rect)FIELD, GREY);
        stage.n_counted = 0;
        cr_expect(eq(int, stage_settle(&stage), 350), "phase %d", phase);
        stage_run(&stage, stage.now_ms + 5000);
        cr_expect(eq(int, stage.n_counted, 0), "phase %d", phase);
        stage_deinit(&stage);
    }
}

Test(blinker, as_a_block_over_a_new_background_costs_one_phase_at_most)
{
    for (int phase = 0; phase < 10; phase++) {
        struct stage stage;
        stage_init(&stage);
        stage_caret(&stage, (struct rect){ 20, 75, 8, 14 }, 500, 500);
        stage_run(&stage, stage.now_ms + 5000 + 100 * phase);
        stage_input(&stage, &defaults);
        stage_run(&stage, stage.now_ms + 50);
        stage.under = GREY;
        stage_paint(&stage, (struct rect)FIELD, GREY);
        stage.n_counted = 0;
        cr_expect(le(int, stage_settle(&stage), 850), "phase %d", phase);
        stage_run(&stage, stage.now_ms + 5000);
        cr_expect(le(int, stage.n_counted, 1), "phase %d", phase);
        stage_deinit(&stage);
    }
}

Test(blinker, as_a_spinner_is_learned_and_its_end_counts)
{
    struct stage stage;
    stage_init(&stage);
    struct rect spinner = { 140, 20, 24, 24 };
    int64_t end = stage.now_ms + 4000;
    for (int k = 0; stage.now_ms < end; k++) {
        /* Eight steps around: the old dot goes, the new one comes. */
        static const int at[8][2] = {
            { 9, 0 }, { 15, 3 }, { 18, 9 }, { 15, 15 }, { 9, 18 }, { 3, 15 }, { 0, 9 }, { 3, 3 },
        };
        fill(&stage, spinner, WHITE);
        stage_paint(&stage, (struct rect){ 140 + at[k % 8][0], 20 + at[k % 8][1], 6, 6 }, BLUE);
        if (stage.now_ms == end - 2000)
            stage.n_counted = 0;
        stage_run(&stage, stage.now_ms + 80);
    }
    cr_assert(eq(int, stage.n_counted, 0));
    stage_input(&stage, &defaults);
    stage_run(&stage, stage.now_ms + 60);
    stage_paint(&stage, spinner, GREY);
    cr_assert(eq(int, stage_settle(&stage), 360));
    stage_deinit(&stage);
}

Test(blinker, is_forgotten_when_it_stops)
{
    struct stage stage;
    stage_with_caret(&stage, 500, 500);
    stage.caret_next_ms += 20000;
    stage_run(&stage, stage.now_ms + 15000);
    stage_input(&stage, &defaults);
    stage_run(&stage, stage.now_ms + 40);
    stage_paint(&stage, stage.caret, stage.caret_is_on ? WHITE : BLACK);
    /* A caret that comes back on a click is what the click did. */
    cr_assert(eq(int, stage.settle.state, stage.caret_is_on ? SETTLE_WAITING : SETTLE_MOVING));
    stage_deinit(&stage);
}

Test(blinker, survives_a_time_without_a_listener)
{
    struct stage stage;
    stage_with_caret(&stage, 500, 500);
    settle_history_pause(stage.history, stage.now_ms * MS);
    int64_t away = 600000;
    stage.now_ms += away;
    stage.caret_next_ms += away;
    settle_history_resume(stage.history, stage.now_ms * MS);
    stage_input(&stage, &defaults);
    stage_run(&stage, stage.now_ms + 5000);
    cr_assert(eq(int, stage.n_counted, 0));
    stage_deinit(&stage);
}

/* --- What inputs do is no blinker ------------------------------------------------------------- */

Test(toggle, always_counts_when_inputs_do_it)
{
    /* A menu opened and closed, by the clock and not, with every delay. */
    static const struct { int delay_ms, every_ms; } rows[] = {
        { 40, 400 }, { 40, 1000 }, { 200, 500 }, { 900, 1300 }, { 5, 340 },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct stage stage;
        stage_init(&stage);
        for (int k = 0; k < 60; k++) {
            int64_t next = stage.now_ms + rows[i].every_ms;
            stage_input(&stage, &defaults);
            stage_run(&stage, stage.now_ms + rows[i].delay_ms);
            stage_paint(&stage, (struct rect){ 70, 10, 80, 100 }, k % 2 ? WHITE : BLUE);
            cr_assert(ne(i64, stage.settle.first_us, 0), "row %zu, input %d", i, k);
            stage_run(&stage, next);
        }
        stage_deinit(&stage);
    }
}

Test(toggle, counts_a_button_that_looks_pressed_while_held)
{
    /* Press, release: pressed look and back, as two inputs; a slow guest paints both afterwards. */
    for (int is_slow = 0; is_slow < 2; is_slow++) {
        struct stage stage;
        stage_init(&stage);
        for (int k = 0; k < 60; k++) {
            stage_input(&stage, &defaults);
            if (!is_slow) {
                stage_run(&stage, stage.now_ms + 20);
                stage_paint(&stage, (struct rect)BUTTON, GREY);
            }
            stage_run(&stage, stage.now_ms + 20);
            settle_history_input(stage.history, stage.now_ms * MS);
            stage_run(&stage, stage.now_ms + 20);
            stage_paint(&stage, (struct rect)BUTTON, GREY);
            stage_run(&stage, stage.now_ms + 30);
            stage_paint(&stage, (struct rect)BUTTON, WHITE);
            cr_assert(ne(i64, stage.settle.first_us, 0), "click %d", k);
            cr_assert(eq(i64, stage.settle.last_us, stage.now_ms * MS), "click %d", k);
            stage_run(&stage, stage.now_ms + 400);
        }
        stage_deinit(&stage);
    }
}

Test(toggle, counts_a_double_click_that_flickers)
{
    struct stage stage;
    stage_init(&stage);
    for (int k = 0; k < 60; k++) {
        stage_input(&stage, &defaults);
        for (int flick = 0; flick < 4; flick++) {
            stage_run(&stage, stage.now_ms + 40);
            stage_paint(&stage, (struct rect)BUTTON, flick % 2 ? WHITE : GREY);
            cr_assert(eq(i64, stage.settle.last_us, stage.now_ms * MS), "click %d", k);
        }
        stage_run(&stage, stage.now_ms + 500);
    }
    stage_deinit(&stage);
}

/* --- Many trials ------------------------------------------------------------------------------ */

static uint32_t state = 12345;

static int random_ms(int low, int high)
{
    state = state * 1664525 + 1013904223;
    return low + (int)((state >> 8) % (uint32_t)(high - low + 1));
}

/* One trial back to back with the last: returns the time lost after the last change, or -1 when it
 * ended before that. */
static int run_trial(struct stage *stage, int n)
{
    struct settle_params params = defaults;
    params.first_us = 2500 * MS;
    uint32_t colour = 0xff000000u + (uint32_t)n * 4099;
    /* Some of it in the caret's own tile, some over the caret. */
    struct rect rects[] = { { 70, 10, 60, 30 }, { 30, 100, 20, 10 }, { 10, 70, 100, 20 } };
    int64_t start = stage->now_ms, last = start + random_ms(50, 2000);
    stage_input(stage, &params);
    stage_run(stage, last);
    stage_paint(stage, rects[0], colour);
    for (int k = 0; n % 2 && k < 3; k++) {
        last += random_ms(20, 250);
        stage_run(stage, last);
        if (settle_is_done(&stage->settle))
            return -1;
        if (k == 2)
            stage->under = colour + 1;
        stage_paint(stage, rects[k], colour + 1);
    }
    return stage_settle(stage) - (int)(last - start);
}

Test(settle, captures_no_trial_too_early_and_loses_little)
{
    static const struct { struct rect caret; int on_ms, off_ms; } rows[] = {
        { CARET, 500, 500 },
        { CARET, 600, 600 },
        { CARET, 800, 400 },
        { { 20, 72, 2, 18 }, 530, 530 },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct stage stage;
        stage_init(&stage);
        stage_caret(&stage, rows[i].caret, rows[i].on_ms, rows[i].off_ms);
        stage_run(&stage, stage.now_ms + 6000);
        for (int n = 1; n <= 100; n++) {
            int lost = run_trial(&stage, n);
            cr_assert(eq(int, lost, 300), "row %zu, trial %d", i, n);
            cr_assert(eq(int, stage.settle.state, SETTLE_SETTLED));
        }
        stage_deinit(&stage);
    }
}

Test(blinker, memory_is_bounded)
{
    struct settle_history *history = settle_history_new();
    struct tile *a = tile_new(), *b = tile_new();
    for (int i = 0; i < TILE_SIZE * TILE_SIZE; i++) {
        a->pixels[i] = WHITE;
        b->pixels[i] = BLACK;
    }
    a->hash = 1;
    b->hash = 2;
    struct tile_change change;
    for (int i = 0; i < 16384; i++)
        settle_history_feed(history, i, a, b, 1000 * MS + i, &change);
    cr_assert(lt(sz, settle_history_bytes(history), 1500000));
    tile_unref(a);
    tile_unref(b);
    settle_history_free(history);
}
