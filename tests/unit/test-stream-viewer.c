/* Viewers of a test screen: what their canvases show, how little they are sent, what slow ones
 * get. */
#include "base/clock.h"
#include "display/source-test.h"
#include "stream/hub-impl.h"
#include "stream/packets.h"
#include "tests/bench/content.h"
#include "tests/unit/count.h"
#include "tests/unit/stream-canvas.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>

enum { WIDTH = 700, HEIGHT = 500 };

static struct loop loop;
static struct worker_pool *pool;
static struct display *display;
static struct source *source;
static struct hub *hub;

static void setup(void)
{
    loop_init(&loop);
    pool = worker_pool_new(&loop, 2, 1);
    display = display_new(&loop, pool, NULL, NULL);
    source = source_test_new(WIDTH, HEIGHT);
    display_attach(display, source, NULL);
    hub = hub_new(&loop, pool, display);
}

static void teardown(void)
{
    hub_free(hub);
    display_free(display);
    worker_pool_free(pool);
    loop_deinit(&loop);
}

/* --- A client --------------------------------------------------------------------------------- */

struct client {
    struct viewer *viewer;
    struct canvas canvas;
    bool is_woken, is_ended;
    bool is_slow;      /* acknowledges only when told */
    size_t bytes, largest;
    int n_inputs, n_wishes, n_pastes;
    struct client_record input;
    uint64_t unacked[8];
    int n_unacked;
};

static void on_wake(void *data)
{
    ((struct client *)data)->is_woken = true;
}

static void on_input(void *data, const struct client_record *input)
{
    struct client *self = data;
    self->n_inputs++;
    self->input = *input;
}

static void on_wish(void *data, enum client_wish wish)
{
    (void)wish;
    ((struct client *)data)->n_wishes++;
}

static void on_paste(void *data, const uint8_t *text, size_t n_text)
{
    (void)text;
    ((struct client *)data)->n_pastes += (int)n_text;
}

static void on_ended(void *data)
{
    ((struct client *)data)->is_ended = true;
}

static const struct viewer_ops client_ops = {
    .wake = on_wake, .input = on_input, .wish = on_wish, .paste = on_paste, .ended = on_ended,
};

static int say(struct client *self, enum record_type type, unsigned flags, const void *payload,
               size_t n)
{
    auto_buf struct buf out = BUF_INIT;
    struct error err = { 0 };
    record_write(&out, &(struct record){ (uint8_t)type, (uint8_t)flags, 0, (uint32_t)n, payload });
    return viewer_feed(self->viewer, out.data, out.size, &err);
}

static int say_number(struct client *self, enum record_type type, uint64_t number)
{
    uint8_t payload[8];
    record_put_u64(payload, number);
    return say(self, type, 0, payload, 8);
}

static void greet(struct client *self, unsigned flags, int kept, int w, int h)
{
    uint8_t hello[8];
    record_put_u16(
        record_put_u16(record_put_u16(record_put_u16(hello, 1), (unsigned)kept), (unsigned)w),
        (unsigned)h);
    cr_assert(eq(int, say(self, RECORD_HELLO, flags, hello, sizeof hello), 0));
}

static void join_as(struct client *self, unsigned flags, int kept)
{
    *self = (struct client){ 0 };
    canvas_init(&self->canvas, kept);
    self->viewer = viewer_new(hub, &client_ops, self);
    greet(self, flags, kept, 200, 200);
}

static void join(struct client *self)
{
    join_as(self, 0, 256);
}

static void leave(struct client *self)
{
    viewer_free(self->viewer);
    canvas_deinit(&self->canvas);
}

static void acknowledge(struct client *self)
{
    for (int i = 0; i < self->n_unacked; i++)
        cr_assert(eq(int, say_number(self, RECORD_ACK, self->unacked[i]), 0));
    self->n_unacked = 0;
}

/* The transport takes all there is. */
static void receive(struct client *self)
{
    struct bytes *message;
    int n_pictures = self->canvas.n_pictures;
    while (self->is_woken && (message = viewer_next(self->viewer))) {
        canvas_apply(&self->canvas, message->data, message->size);
        self->bytes += message->size;
        self->largest = MAX(self->largest, message->size);
        bytes_unref(message);
        if (self->canvas.has_frame)
            self->unacked[self->n_unacked++] = self->canvas.frame_id;
        if (self->canvas.n_pictures > n_pictures)
            self->unacked[self->n_unacked++] = self->canvas.picture_id;
        n_pictures = self->canvas.n_pictures;
        cr_assert(le(int, self->n_unacked, VIEWER_UNACKED));
    }
    self->is_woken = false;
    if (!self->is_slow)
        acknowledge(self);
}

static bool is_exact(const struct client *self)
{
    return self->canvas.is_exact && canvas_equals(&self->canvas, display_frame(display)) &&
           (int64_t)self->canvas.frame_id <= display_frame_id(display);
}

/* Turns the loop until all clients show the screen exactly; how long it took. */
static int64_t until_exact(struct client *clients, int n)
{
    int64_t start = clock_now_us();
    for (;;) {
        bool all = true;
        display_flush(display);
        for (int i = 0; i < n; i++) {
            receive(&clients[i]);
            all &= is_exact(&clients[i]);
        }
        int64_t taken = clock_now_us() - start;
        if (all)
            return taken;
        cr_assert(lt(i64, taken, 5000000), "the canvas does not become exact");
        loop_turn(&loop, false);
    }
}

static void turn_for(struct client *client, int64_t us)
{
    for (int64_t until = clock_now_us() + us; clock_now_us() < until;) {
        loop_turn(&loop, false);
        receive(client);
    }
}

/* --- Pictures --------------------------------------------------------------------------------- */

static struct rect whole(void)
{
    return (struct rect){ 0, 0, WIDTH, HEIGHT };
}

static void paint_desktop(void)
{
    uint32_t *pixels = source_test_pixels(source);
    content_fill(pixels, WIDTH, HEIGHT, 0, 0, WIDTH, HEIGHT, 0xff305070);
    content_fill(pixels, WIDTH, HEIGHT, 80, 60, 500, 380, 0xffffffff);
    content_text(pixels, WIDTH, HEIGHT, 90, 70, 58, 20, 17);
    source_test_update(source, whole());
}

static void paint_noise(struct rect r, uint32_t seed)
{
    uint32_t *pixels = source_test_pixels(source);
    for (int y = r.y; y < r.y + r.h; y++)
        for (int x = r.x; x < r.x + r.w; x++)
            pixels[y * WIDTH + x] = 0xff000000u | content_random(&seed);
    source_test_update(source, r);
}

static void scroll_text(int dy)
{
    uint32_t *pixels = source_test_pixels(source);
    struct rect r = { 80, 60, 500, 380 };
    for (int y = 0; y < r.h - dy; y++)
        memcpy(pixels + (r.y + y) * WIDTH + r.x, pixels + (r.y + y + dy) * WIDTH + r.x,
               (size_t)r.w * 4);
    content_fill(pixels, WIDTH, HEIGHT, r.x, r.y + r.h - dy, r.w, dy, 0xffffffff);
    content_text(pixels, WIDTH, HEIGHT, 90, r.y + r.h - dy + 2, 58, dy / 17,
                 (uint32_t)clock_now_us() | 1);
    source_test_update(source, r);
}

/* --- Tests ------------------------------------------------------------------------------------ */

TestSuite(viewer, .init = setup, .fini = teardown);

Test(viewer, joins_and_shows_the_screen_to_the_pixel)
{
    struct client client;
    join(&client);
    paint_desktop();
    until_exact(&client, 1);
    cr_assert(client.canvas.is_welcome);
    cr_assert(eq(int, client.canvas.screen, DISPLAY_ON));
    cr_assert(lt(sz, client.bytes, 40000), "%zu bytes", client.bytes);
    leave(&client);
}

Test(viewer, is_exact_after_any_changes)
{
    struct client clients[2];
    uint32_t state = 9;
    const int n_changes = count_of(300, 100);
    join_as(&clients[0], 0, 300);
    join_as(&clients[1], 0, 0);
    paint_desktop();
    for (int i = 0; i < n_changes; i++) {
        struct rect r = { (int)(content_random(&state) % 600), (int)(content_random(&state) % 400),
                          (int)(content_random(&state) % 100) + 1,
                          (int)(content_random(&state) % 100) + 1 };
        uint32_t kind = content_random(&state) % 10;
        if (kind < 4)
            source_test_fill(source, r, 0xff000000u | content_random(&state) % 8 * 0x1f3f5f);
        else if (kind < 7)
            scroll_text((int)(content_random(&state) % 60) + 1);
        else if (kind < 9)
            paint_noise(r, state);
        else
            paint_desktop();
        /* Now and then nobody looks at what comes in between. */
        if (i % 3 != 0)
            until_exact(clients, 2);
        else
            loop_turn(&loop, false);
    }
    until_exact(clients, 2);
    cr_assert(gt(int, clients[0].canvas.n_copies, 20));
    cr_assert(gt(int, clients[0].canvas.n_refs, 20));
    cr_assert(eq(int, clients[1].canvas.n_refs, 0));
    leave(&clients[0]);
    leave(&clients[1]);
}

Test(viewer, gets_a_few_bytes_for_a_caret)
{
    struct client client;
    join(&client);
    paint_desktop();
    until_exact(&client, 1);
    struct rect caret = { 300, 300, 2, 14 };
    source_test_fill(source, caret, 0xff000000);
    until_exact(&client, 1);
    source_test_fill(source, caret, 0xffffffff);
    until_exact(&client, 1);
    size_t before = client.bytes;
    for (int i = 0; i < 10; i++) {
        source_test_fill(source, caret, i % 2 ? 0xffffffff : 0xff000000);
        until_exact(&client, 1);
    }
    cr_assert(le(sz, client.bytes - before, 10 * (40 + 16)), "%zu bytes", client.bytes - before);
    leave(&client);
}

Test(viewer, gets_a_copy_for_a_scroll)
{
    struct client client;
    join(&client);
    paint_desktop();
    until_exact(&client, 1);
    size_t before = client.bytes;
    scroll_text(17);
    until_exact(&client, 1);
    cr_assert(gt(int, client.canvas.n_copies, 0));
    cr_assert(lt(sz, client.bytes - before, 8000), "%zu bytes", client.bytes - before);
    leave(&client);
}

Test(viewer, gets_lossy_tiles_first_when_there_is_too_much_and_exact_ones_later)
{
    struct client client;
    join(&client);
    paint_desktop();
    until_exact(&client, 1);
    uint32_t state = 3;
    for (int i = 0; i < 6; i++) {
        paint_noise(whole(), state = state * 7 + 1);
        turn_for(&client, 20000);
    }
    cr_assert(gt(int, client.canvas.n_jpegs, 0));
    cr_assert(le(sz, client.largest, VIEWER_BUDGET_MAX));
    until_exact(&client, 1);
    leave(&client);
}

Test(viewer, that_does_not_acknowledge_gets_two_frames_and_then_the_newest)
{
    struct client slow, fast;
    join(&slow);
    join(&fast);
    paint_desktop();
    until_exact(&slow, 1);
    slow.is_slow = true;
    for (int i = 0; i < 30; i++) {
        source_test_fill(source, (struct rect){ i * 10, 10, 8, 8 }, 0xff00ff00);
        until_exact(&fast, 1);
        receive(&slow);
    }
    cr_assert(eq(int, slow.n_unacked, VIEWER_UNACKED));
    int before = slow.canvas.n_frames;
    slow.is_slow = false;
    acknowledge(&slow);
    until_exact(&slow, 1);
    cr_assert(le(int, slow.canvas.n_frames - before, 2), "what it missed came at once");
    leave(&slow);
    leave(&fast);
}

Test(viewer, learns_which_frame_answers_its_input)
{
    struct client client;
    join(&client);
    paint_desktop();
    until_exact(&client, 1);
    cr_assert(eq(u64, client.canvas.input, 0));
    viewer_injected(client.viewer, 41, clock_now_us());
    viewer_injected(client.viewer, 42, clock_now_us());
    source_test_fill(source, (struct rect){ 5, 5, 5, 5 }, 0xffff0000);
    until_exact(&client, 1);
    cr_assert(eq(u64, client.canvas.input, 42));
    viewer_injected(client.viewer, 43, clock_now_us() + 1000000);
    source_test_fill(source, (struct rect){ 5, 5, 5, 5 }, 0xff00ff00);
    until_exact(&client, 1);
    cr_assert(eq(u64, client.canvas.input, 42), "it was not captured after the injection");
    leave(&client);
}

Test(viewer, may_inject_only_in_control)
{
    struct client client;
    join(&client);
    paint_desktop();
    until_exact(&client, 1);
    uint8_t key[10] = { 1, [8] = 30 }, move[12] = { 2 };
    cr_assert(eq(int, say(&client, RECORD_KEY, RECORD_DOWN, key, 10), 0));
    cr_assert(eq(int, say(&client, RECORD_PASTE, 0, "x", 1), 0));
    receive(&client);
    cr_assert(eq(int, client.n_inputs + client.n_pastes, 0));
    cr_assert(eq(int, client.canvas.refused, RECORD_KEY));
    viewer_set_role(client.viewer, VIEWER_CONTROL, VIEWER_PERSON, "Ada");
    record_put_u16(move + 8, 65535);
    record_put_u16(move + 10, 65535);
    cr_assert(eq(int, say(&client, RECORD_KEY, RECORD_DOWN, key, 10), 0));
    cr_assert(eq(int, say(&client, RECORD_MOVE, 0, move, 12), 0));
    receive(&client);
    cr_assert(eq(int, client.n_inputs, 2));
    cr_assert(eq(int, client.input.x, WIDTH - 1));
    cr_assert(eq(int, client.input.y, HEIGHT - 1));
    cr_assert(eq(int, client.canvas.role, VIEWER_CONTROL));
    cr_assert(eq(int, client.canvas.holder, VIEWER_PERSON));
    leave(&client);
}

Test(viewer, is_refused_when_it_breaks_the_protocol)
{
    struct client client = { 0 };
    canvas_init(&client.canvas, 0);
    client.viewer = viewer_new(hub, &client_ops, &client);
    cr_assert(eq(int, say_number(&client, RECORD_PING, 1), -EPROTO), "HELLO comes first");
    greet(&client, 0, 0, 0, 0);
    cr_assert(eq(int, say_number(&client, RECORD_ACK, 1), -EPROTO), "there was no frame");
    uint8_t hello[8] = { 1 };
    cr_assert(eq(int, say(&client, RECORD_HELLO, 0, hello, 8), -EPROTO), "HELLO twice");
    uint8_t many[65 * RECORD_HEADER] = { 0 };
    for (int i = 0; i < 65; i++)
        many[i * RECORD_HEADER] = RECORD_REFRESH;
    struct error err = { 0 };
    cr_assert(eq(int, viewer_feed(client.viewer, many, sizeof many, &err), -EPROTO));
    leave(&client);
}

Test(viewer, paints_all_again_after_a_refresh)
{
    struct client client;
    join(&client);
    paint_desktop();
    until_exact(&client, 1);
    for (int i = 0; i < WIDTH * HEIGHT; i++)
        client.canvas.pixels[i] = 0xff123456;
    cr_assert(eq(int, say(&client, RECORD_REFRESH, 0, NULL, 0), 0));
    until_exact(&client, 1);
    leave(&client);
}

Test(viewer, follows_the_screen_to_another_size)
{
    struct client client;
    join(&client);
    until_exact(&client, 1);
    source_test_resize(source, 401, 333);
    until_exact(&client, 1);
    cr_assert(eq(int, client.canvas.width, 401));
    source_test_disable(source);
    for (int i = 0; i < 100 && client.canvas.screen != DISPLAY_OFF; i++)
        turn_for(&client, 10000);
    cr_assert(eq(int, client.canvas.screen, DISPLAY_OFF));
    source_test_resize(source, 401, 333);
    until_exact(&client, 1);
    leave(&client);
}

Test(viewer, costs_nothing_while_hidden)
{
    struct client client;
    join(&client);
    paint_desktop();
    until_exact(&client, 1);
    display_set_linger(display, 0);
    cr_assert(eq(int, say(&client, RECORD_SHOW, 0, NULL, 0), 0));
    int before = client.canvas.n_frames;
    turn_for(&client, 20000);
    struct hub_stats was = hub_stats(hub);
    cr_assert(not(source_test_is_running(source)));
    paint_noise(whole(), 5);
    turn_for(&client, 30000);
    cr_assert(eq(int, client.canvas.n_frames, before));
    cr_assert(eq(i64, hub_stats(hub).n_jobs, was.n_jobs));
    cr_assert(eq(int, say(&client, RECORD_SHOW, 1, NULL, 0), 0));
    until_exact(&client, 1);
    leave(&client);
}

Test(viewer, of_pictures_gets_a_small_one_a_second_at_most)
{
    struct client client;
    join_as(&client, RECORD_HELLO_PICTURES, 0);
    paint_desktop();
    for (int i = 0; i < 20; i++) {
        source_test_fill(source, (struct rect){ i * 10, 10, 8, 8 }, 0xff00ff00);
        turn_for(&client, 10000);
    }
    cr_assert(eq(int, client.canvas.n_pictures, 1));
    cr_assert(eq(int, client.canvas.n_frames, 0));
    cr_assert(eq(int, client.canvas.picture_width, 200));
    cr_assert(eq(int, client.canvas.picture_height, 143));
    leave(&client);
}

Test(viewer, gets_the_cursor_apart_from_the_pixels)
{
    struct client client;
    uint32_t shape[16 * 16];
    for (int i = 0; i < 256; i++)
        shape[i] = i % 3 ? 0xff102030 : 0;
    join(&client);
    paint_desktop();
    until_exact(&client, 1);
    int frames = client.canvas.n_frames;
    source_test_define(source, 16, 16, 2, 3, shape);
    source_test_cursor(source, 44, -5, true);
    for (int i = 0; i < 100 && client.canvas.cursor_x != 44; i++)
        turn_for(&client, 10000);
    cr_assert(eq(int, client.canvas.n_shapes, 1));
    cr_assert(eq(int, client.canvas.cursor_x, 44));
    cr_assert(eq(int, client.canvas.cursor_y, -5));
    cr_assert(client.canvas.cursor_visible);
    cr_assert(eq(int, client.canvas.n_frames, frames));
    leave(&client);
}

Test(viewer, gets_answers_to_pings_and_the_clipboard)
{
    struct client client;
    join_as(&client, RECORD_HELLO_CLIPBOARD, 0);
    until_exact(&client, 1);
    say_number(&client, RECORD_PING, 1);
    say_number(&client, RECORD_PING, 2);
    struct bytes *text = bytes_copy("copied", 6);
    viewer_set_clipboard(client.viewer, text);
    bytes_unref(text);
    receive(&client);
    cr_assert(eq(int, client.canvas.n_pongs, 1), "only the latest is answered");
    cr_assert(eq(u64, client.canvas.pong, 2));
    cr_assert(eq(str, client.canvas.clipboard, "copied"));
    leave(&client);
}

Test(viewer, is_told_when_the_desktop_goes)
{
    struct client client;
    join(&client);
    paint_desktop();
    loop_turn(&loop, false);
    hub = hub_free(hub);
    cr_assert(client.is_ended);
    cr_assert(viewer_next(client.viewer) == NULL);
    leave(&client);
    hub = hub_new(&loop, pool, display);
}

static void play_film(struct client *clients, int n, int n_pictures)
{
    for (int i = 0; i < n_pictures; i++) {
        paint_noise((struct rect){ 64, 64, 512, 320 }, (uint32_t)i * 77 + 5);
        for (int64_t until = clock_now_us() + 25000; clock_now_us() < until;) {
            loop_turn(&loop, false);
            for (int k = 0; k < n; k++)
                receive(&clients[k]);
        }
    }
}

Test(viewer, gets_a_film_as_video_if_it_can_and_exact_pixels_when_it_stops)
{
    struct client clients[2];
    join_as(&clients[0], RECORD_HELLO_VIDEO, 256);
    join_as(&clients[1], 0, 256);
    paint_desktop();
    until_exact(clients, 2);
    play_film(clients, 2, 100);
    cr_assert(gt(int, clients[0].canvas.n_units, 10));
    cr_assert(ge(int, clients[0].canvas.n_keys, 1));
    cr_assert(eq(int, clients[1].canvas.n_units, 0));
    cr_assert(gt(int, clients[1].canvas.n_jpegs, 10));
    until_exact(clients, 2);
    for (int i = 0; i < 400 && clients[0].canvas.n_video_ends == 0; i++)
        turn_for(&clients[0], 10000);
    cr_assert(eq(int, clients[0].canvas.n_video_ends, 1));
    cr_assert(is_exact(&clients[0]), "nothing else came");
    leave(&clients[0]);
    leave(&clients[1]);
}

Test(viewer, that_joins_a_film_begins_with_a_key)
{
    struct client clients[2];
    join_as(&clients[0], RECORD_HELLO_VIDEO, 256);
    paint_desktop();
    until_exact(clients, 1);
    play_film(clients, 1, 60);
    cr_assert(gt(int, clients[0].canvas.n_units, 1));
    join_as(&clients[1], RECORD_HELLO_VIDEO, 256);
    play_film(clients, 2, 60);
    cr_assert(gt(int, clients[1].canvas.n_units, 1), "the canvas asserts that its first is a key");
    until_exact(clients, 2);
    leave(&clients[0]);
    leave(&clients[1]);
}

Test(hub, codes_once_for_all_viewers, .init = setup, .fini = teardown)
{
    enum { N = 20 };
    static struct client clients[N];
    for (int i = 0; i < N; i++)
        join(&clients[i]);
    paint_desktop();
    until_exact(clients, N);
    struct hub_stats stats = hub_stats(hub);
    cr_assert(le(i64, stats.n_coded, 2 * frame_columns(WIDTH) * frame_columns(HEIGHT)));
    for (int i = 0; i < N; i++)
        leave(&clients[i]);
    cr_assert(eq(int, hub_stats(hub).n_viewers, 0));
    cr_assert(eq(int, hub_stats(hub).n_shown, 0));
}

/* Until nothing has been coded for 100 ms: what the slow one lacks comes in small jobs, a pace apart. */
static void turn_until_still(struct client *client)
{
    int64_t n_jobs = -1, n_coded = -1;
    for (struct hub_stats now = hub_stats(hub); now.n_jobs != n_jobs || now.n_coded != n_coded; now = hub_stats(hub)) {
        n_jobs = now.n_jobs;
        n_coded = now.n_coded;
        turn_for(client, 100000);
    }
}

/* What only the slow one lacks is coded apart: a scroll costs the quick one its new line, as when alone. */
Test(hub, serves_quick_viewers_before_slow_ones, .init = setup, .fini = teardown)
{
    struct client clients[2];
    join(&clients[0]);
    join(&clients[1]);
    paint_desktop();
    until_exact(clients, 2);
    clients[1].is_slow = true;
    for (int i = 0; i < 16; i++) {
        clients[0].viewer->budget = VIEWER_BUDGET_MAX;
        if (i % 4 == 3) /* it has missed a scroll */
            acknowledge(&clients[1]);
        clients[1].viewer->budget = VIEWER_BUDGET_MIN;
        scroll_text(17);
        int64_t n_coded = hub_stats(hub).n_coded;
        until_exact(&clients[0], 1);
        cr_expect(le(i64, hub_stats(hub).n_coded - n_coded, 27), "scroll %d", i);
        receive(&clients[1]);
        turn_until_still(&clients[0]);
    }
    clients[1].is_slow = false;
    acknowledge(&clients[1]);
    until_exact(clients, 2);
    leave(&clients[0]);
    leave(&clients[1]);
}

Test(hub, stays_small_while_viewers_come_and_go, .init = setup, .fini = teardown)
{
    struct client stays, client;
    join(&stays);
    paint_desktop();
    for (int i = 0; i < 100; i++) {
        join(&client);
        paint_noise((struct rect){ i % 10 * 60, 100, 30, 30 }, (uint32_t)i + 1);
        if (i % 2)
            until_exact(&client, 1);
        else
            loop_turn(&loop, false);
        leave(&client);
        cr_assert(le(sz, hub_stats(hub).cache_bytes, PACKETS_BYTES));
    }
    until_exact(&stays, 1);
    leave(&stays);
}
