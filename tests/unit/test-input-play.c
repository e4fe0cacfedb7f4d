/* The player and what it plays into: order, held keys, cancelling, a QEMU whose guest is slow. */
#include "tests/unit/input-text.h"

#include "base/clock.h"
#include "base/loop.h"
#include "input/input.h"
#include "input/live.h"
#include "input/pointer.h"
#include "input/qnum.h"
#include "input/sink-qmp.h"

/* --- A sink that writes down what it is told -------------------------------------------------- */

enum { FLUSHES_MAX = 16 };

struct record {
    struct sink sink;
    struct loop *loop;
    struct buf text;
    struct defer *answer;
    struct {
        sink_done_fn done;
        void *data;
    } flushes[FLUSHES_MAX];
    size_t n_flushes;
    bool is_broken;
};

static void note(struct record *self, const char *format, ...) printf_like(2, 3);
static void note(struct record *self, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    if (self->text.size > 0)
        buf_puts(&self->text, ", ");
    buf_vprintf(&self->text, format, ap);
    va_end(ap);
}

static void record_key(struct sink *sink, uint16_t code, bool is_down)
{
    note((struct record *)sink, "%s %s", key_text(code), is_down ? "down" : "up");
}

static void record_button(struct sink *sink, enum button button, bool is_down)
{
    note((struct record *)sink, "button %s %s", button_text(button), is_down ? "down" : "up");
}

static void record_move(struct sink *sink, int fx, int fy, int width, int height)
{
    note((struct record *)sink, "move %d %d of %dx%d", fx, fy, width, height);
}

static void record_wheel(struct sink *sink, enum wheel_axis axis, int notches)
{
    note((struct record *)sink, "wheel %d %d", axis, notches);
}

static void record_answer(void *data)
{
    struct record *self = data;
    size_t n = self->n_flushes;
    for (size_t i = 0; i < n; i++) {
        if (self->flushes[i].done)
            self->flushes[i].done(self->flushes[i].data, !self->is_broken);
    }
    memmove(self->flushes, self->flushes + n, (self->n_flushes - n) * sizeof self->flushes[0]);
    self->n_flushes -= n;
    if (self->n_flushes > 0)
        defer_request(self->answer);
}

static void record_flush(struct sink *sink, sink_done_fn done, void *data)
{
    struct record *self = (struct record *)sink;
    cr_assert(lt(sz, self->n_flushes, FLUSHES_MAX));
    self->flushes[self->n_flushes].done = done;
    self->flushes[self->n_flushes++].data = data;
    defer_request(self->answer);
}

static void record_free(struct sink *sink)
{
    struct record *self = (struct record *)sink;
    self->answer = defer_free(self->answer);
}

static const struct sink_ops record_ops = { record_key,   record_button, record_move,
                                            record_wheel, record_flush,  record_free };

/* --- A desk: loop, sink, input, and the last answer ------------------------------------------- */

static struct desk {
    struct loop loop;
    struct record record;
    struct input *input;
    struct input_result result;
    enum error_code code;
    int n_done;
    bool is_good;
} desk;

static const struct space screen = { .kind = SPACE_NATIVE, .width = 1000, .height = 500 };

static void set_up(void)
{
    struct keymap *keymap = NULL;
    loop_init(&desk.loop);
    desk.record.sink.ops = &record_ops;
    desk.record.sink.has_key = qnum_has;
    desk.record.loop = &desk.loop;
    desk.record.answer = defer_new(&desk.loop, record_answer, &desk.record);
    cr_assert(eq(int, keymap_new(&keymap, "us", NULL, NULL), 0));
    cr_assert(eq(int, input_new(&desk.input, &desk.loop, &desk.record.sink, keymap, NULL), 0));
    keymap_unref(keymap);
}

static void tear_down(void)
{
    desk.input = input_free(desk.input);
    loop_deinit(&desk.loop);
    buf_deinit(&desk.record.text);
}

static void handle_done(void *data maybe_unused, const struct input_result *result,
                        const struct error *err)
{
    desk.n_done++;
    desk.result = *result;
    desk.is_good = !err;
    if (err)
        desk.code = err->code;
}

static int start(const char *row, struct error *err)
{
    auto_json json_t *object = parse_row(row);
    struct action action;
    cr_assert(eq(int, action_parse(&action, object, "a", NULL), 0));
    int r = input_play(desk.input, &action, &screen, handle_done, NULL, err);
    action_deinit(&action);
    return r;
}

static void finish_all(void)
{
    while (input_is_busy(desk.input))
        loop_turn(&desk.loop, true);
}

static void turn_until(const char *text)
{
    while (!strstr(buf_str(&desk.record.text), text))
        loop_turn(&desk.loop, true);
}

static void play(const char *row)
{
    int n = desk.n_done;
    cr_assert(eq(int, start(row, NULL), 0), "%s", row);
    cr_assert(eq(int, desk.n_done, n)); /* never from inside */
    finish_all();
    cr_assert(eq(int, desk.n_done, n + 1));
}

static const char *played(void)
{
    static char text[8192];
    snprintf(text, sizeof text, "%s", buf_str(&desk.record.text));
    buf_consume(&desk.record.text, desk.record.text.size);
    return text;
}

TestSuite(input, .init = set_up, .fini = tear_down);

Test(input, plays_a_click_and_reports_it)
{
    int64_t before_us = clock_now_us();
    play("{'type': 'click', 'x': 10, 'y': 20, 'hold_ms': 5}");
    cr_assert(
        eq(str, (char *)played(), "move 10 20 of 1000x500, button left down, button left up"));
    cr_assert(desk.is_good);
    cr_assert(desk.result.has_point && desk.result.fx == 10 && desk.result.fy == 20);
    cr_assert(desk.result.queued_us >= before_us);
    cr_assert(desk.result.injected_first_us >= desk.result.queued_us);
    /* 8 ms of hovering, 30 ms held whatever was asked for */
    cr_assert(desk.result.injected_last_us - desk.result.injected_first_us >= 37000);
    cr_assert(eq(sz, input_n_held(desk.input), 0));
}

Test(input, counts_characters)
{
    play("{'type': 'type', 'text': 'h\\u0069', 'press_enter': true}");
    cr_assert(eq(str, (char *)played(), "H down, H up, I down, I up, ENTER down, ENTER up"));
    cr_assert(eq(sz, desk.result.n_characters, 2));
}

Test(input, injects_nothing_when_it_cannot_do_all)
{
    static const char *const bad[] = {
        "{'type': 'type', 'text': 'a\\u00e4'}",
        "{'type': 'click', 'x': 1000, 'y': 0}",
        "{'type': 'drag', 'path': [[1, 1], [1, 500]]}",
        "{'type': 'cursor_position'}",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct error err = { 0 };
        cr_assert(lt(int, start(bad[i], &err), 0));
        cr_assert(err.is_set);
        cr_assert(not(input_is_busy(desk.input)));
    }
    cr_assert(eq(str, (char *)played(), ""));
    cr_assert(eq(int, desk.n_done, 0));
}

Test(input, plays_one_action_at_a_time)
{
    struct error err = { 0 };
    cr_assert(eq(int, start("{'type': 'wait', 'duration_ms': 5}", NULL), 0));
    cr_assert(lt(int, start("{'type': 'wait', 'duration_ms': 5}", &err), 0));
    cr_assert(eq(int, err.code, ERROR_BUSY));
    finish_all();
    cr_assert(eq(int, desk.n_done, 1));
    cr_assert(eq(i64, desk.result.injected_first_us, 0));
}

Test(input, remembers_the_pointer)
{
    int fx, fy;
    cr_assert(not(input_pointer(desk.input, &fx, &fy)));
    play("{'type': 'move', 'x': 100, 'y': 200}");
    play("{'type': 'cursor_position'}");
    cr_assert(desk.result.has_point && desk.result.fx == 100 && desk.result.fy == 200);
    input_set_screen(desk.input, 2000, 1000);
    cr_assert(input_pointer(desk.input, &fx, &fy) && fx == 200 && fy == 400);
    input_forget_pointer(desk.input);
    cr_assert(not(input_pointer(desk.input, &fx, &fy)));
}

Test(input, keeps_keys_down_between_actions)
{
    play("{'type': 'key_down', 'keys': 'ctrl'}");
    play("{'type': 'key_down', 'keys': 'ctrl'}");
    play("{'type': 'key', 'keys': 'ctrl+c', 'hold_ms': 0}");
    cr_assert(eq(str, (char *)played(), "LEFTCTRL down, C down, C up"));
    cr_assert(eq(sz, input_n_held(desk.input), 1));
    play("{'type': 'key_up', 'keys': 'ctrl'}");
    play("{'type': 'key_up', 'keys': 'ctrl'}");
    cr_assert(eq(str, (char *)played(), "LEFTCTRL up"));
    cr_assert(eq(sz, input_n_held(desk.input), 0));
}

Test(input, releases_all_in_reverse)
{
    play("{'type': 'key_down', 'keys': 'ctrl+shift'}");
    play("{'type': 'button_down', 'button': 'left'}");
    played();
    play("{'type': 'release_all'}");
    cr_assert(eq(str, (char *)played(), "button left up, LEFTSHIFT up, LEFTCTRL up"));
    play("{'type': 'key_down', 'keys': 'a'}");
    played();
    input_release_all(desk.input);
    cr_assert(eq(str, (char *)played(), "A up"));
}

Test(input, releases_a_chord_that_is_cancelled)
{
    start("{'type': 'hold_key', 'keys': 'ctrl+alt+Delete', 'duration_ms': 100000}", NULL);
    turn_until("DELETE down");
    input_cancel(desk.input);
    finish_all();
    cr_assert(eq(str, (char *)played(),
                 "LEFTCTRL down, LEFTALT down, DELETE down, DELETE up, LEFTALT up, LEFTCTRL up"));
    cr_assert(eq(int, desk.n_done, 1));
    cr_assert(not(desk.is_good));
    cr_assert(eq(int, desk.code, ERROR_CANCELLED));
}

/* A drag with held keys, cancelled at each of its moments. */
Test(input, leaves_nothing_down_wherever_a_drag_is_cancelled)
{
    play("{'type': 'key_down', 'keys': 'alt'}");
    for (int turns = 0; turns < 60; turns++) {
        played();
        start(
            "{'type': 'drag', 'path': [[0, 0], [40, 0], [40, 40]], 'keys': 'shift', 'step_ms': 1, "
            "'hold_before_ms': 0, 'hold_after_ms': 0}",
            NULL);
        for (int i = 0; i < turns && input_is_busy(desk.input); i++)
            loop_turn(&desk.loop, true);
        input_cancel(desk.input);
        finish_all();
        const char *text = played();
        cr_assert(eq(int, !!strstr(text, "LEFTSHIFT down"), !!strstr(text, "LEFTSHIFT up")), "%s",
                  text);
        cr_assert(eq(int, !!strstr(text, "left down"), !!strstr(text, "left up")), "%s", text);
        cr_assert(eq(sz, input_n_held(desk.input), 1)); /* alt, as before */
    }
    cr_assert(eq(int, desk.n_done, 61));
}

Test(input, releases_all_in_the_middle_of_a_drag)
{
    play("{'type': 'key_down', 'keys': 'alt'}");
    start("{'type': 'drag', 'path': [[0, 0], [400, 0]], 'step_ms': 100}", NULL);
    turn_until("left down");
    input_release_all(desk.input);
    finish_all();
    cr_assert(
        eq(str, (char *)played(),
           "LEFTALT down, move 0 0 of 1000x500, button left down, button left up, LEFTALT up"));
    cr_assert(eq(int, desk.code, ERROR_CANCELLED));
}

Test(input, fails_when_the_guest_is_gone)
{
    desk.record.is_broken = true;
    play("{'type': 'key', 'keys': 'ctrl+a'}");
    cr_assert(not(desk.is_good));
    cr_assert(eq(int, desk.code, ERROR_GUEST_GONE));
    cr_assert(eq(sz, input_n_held(desk.input), 0));
}

Test(input, resets_every_key_there_is)
{
    play("{'type': 'move', 'x': 1, 'y': 1}");
    start("{'type': 'hold_key', 'keys': 'ctrl', 'duration_ms': 100000}", NULL);
    turn_until("LEFTCTRL down");
    played();
    input_reset(desk.input);
    struct error err = { 0 };
    cr_assert(lt(int, start("{'type': 'wait', 'duration_ms': 1}", &err), 0));
    finish_all();
    const char *text = played();
    cr_assert(strstr(text, "LEFTSHIFT up") && strstr(text, "RIGHTALT up") && strstr(text, "A up"));
    cr_assert(strstr(text, "button left up") && strstr(text, "button forward up"));
    cr_assert(strstr(text, " down") == NULL);
    int fx, fy;
    cr_assert(not(input_pointer(desk.input, &fx, &fy)));
    play("{'type': 'wait', 'duration_ms': 1}");
}

Test(input, can_go_away_at_any_moment)
{
    start("{'type': 'hold_key', 'keys': 'ctrl', 'duration_ms': 100000}", NULL);
    loop_turn(&desk.loop, false);
}

/* --- Held keys -------------------------------------------------------------------------------- */

Test(held, counts_and_latches, .init = set_up, .fini = tear_down)
{
    struct held held = { 0 };
    struct sink *sink = &desk.record.sink;
    held_press(&held, sink, held_key(KEY_A));
    held_press(&held, sink, held_key(KEY_A));
    held_release(&held, sink, held_key(KEY_A));
    cr_assert(held_is_down(&held, held_key(KEY_A)));
    held_release(&held, sink, held_key(KEY_A));
    held_release(&held, sink, held_key(KEY_A));
    cr_assert(eq(str, (char *)played(), "A down, A up"));
    held_press(&held, sink, held_button(BUTTON_LEFT));
    held_latch(&held, held_button(BUTTON_LEFT));
    cr_assert(eq(sz, held_release_action(&held, sink), 0));
    held_press(&held, sink, held_button(BUTTON_LEFT));
    held_unlatch(&held, sink, held_button(BUTTON_LEFT));
    cr_assert(eq(str, (char *)played(), "button left down"));
    held_release_action(&held, sink);
    cr_assert(eq(str, (char *)played(), "button left up"));
    held_press(&held, sink, UINT16_MAX);
    held_release(&held, sink, UINT16_MAX);
    held_latch(&held, UINT16_MAX);
    held_unlatch(&held, sink, UINT16_MAX);
    cr_assert(eq(sz, held.n_down, 0));
}

/* --- QMP -------------------------------------------------------------------------------------- */

/* A QEMU that answers in order on the next turn; its guest frees buffers when told to. */
static struct qemu {
    struct loop loop;
    struct defer *answer;
    struct {
        json_t *result;
        sink_qmp_done_fn done;
        void *data;
    } queue[64];
    size_t n_queue, n_events, n_lost, most_queue;
    int room;
    bool is_reading; /* the guest takes its events */
    bool is_closed;
    char last[512];
} qemu;

static void qemu_answer(void *data maybe_unused)
{
    size_t n = qemu.n_queue;
    for (size_t i = 0; i < n; i++) {
        qemu.queue[i].done(qemu.queue[i].data, qemu.is_closed ? NULL : qemu.queue[i].result);
        json_decref(qemu.queue[i].result);
    }
    memmove(qemu.queue, qemu.queue + n, (qemu.n_queue - n) * sizeof qemu.queue[0]);
    qemu.n_queue -= n;
    if (qemu.is_reading)
        qemu.room = 64;
    if (qemu.n_queue > 0)
        defer_request(qemu.answer);
}

static int qemu_submit(void *data maybe_unused, const char *command, json_t *arguments,
                       sink_qmp_done_fn done, void *done_data)
{
    json_t *result = json_object();
    if (strcmp(command, "input-send-event") == 0) {
        int n = (int)json_array_size(json_object_get(arguments, "events")) + 1;
        auto_buf struct buf text = BUF_INIT;
        json_write(arguments, &text);
        snprintf(qemu.last, sizeof qemu.last, "%s", buf_str(&text));
        qemu.n_events++;
        qemu.n_lost += n > qemu.room;
        qemu.room = MAX(qemu.room - n, 0);
    } else if (strcmp(command, "x-query-virtio") == 0) {
        json_decref(result);
        result = json_pack("[{s:s, s:s}, {s:s, s:s}]", "name", "virtio-gpu", "path", "/gpu", "name",
                           "virtio-input", "path", "/kbd");
    } else {
        /* The indexes wrap while the room is read. */
        cr_assert(eq(str, (char *)json_get_string(arguments, "path", ""), "/kbd"));
        json_object_set_new(result, "avail", json_pack("{s:i}", "idx", 10));
        json_object_set_new(result, "used", json_pack("{s:i}", "idx", (10 - qemu.room) & 0xffff));
    }
    json_decref(arguments);
    cr_assert(lt(sz, qemu.n_queue, ARRAY_LEN(qemu.queue)));
    qemu.queue[qemu.n_queue].result = result;
    qemu.queue[qemu.n_queue].done = done;
    qemu.queue[qemu.n_queue++].data = done_data;
    qemu.most_queue = MAX(qemu.most_queue, qemu.n_queue);
    defer_request(qemu.answer);
    return 0;
}

static int n_flushed, n_failed;

static void handle_flushed(void *data maybe_unused, bool ok)
{
    n_flushed++;
    n_failed += !ok;
}

static void qemu_set_up(void)
{
    loop_init(&qemu.loop);
    qemu.answer = defer_new(&qemu.loop, qemu_answer, NULL);
    qemu.room = 64;
    qemu.is_reading = true;
}

static void qemu_tear_down(void)
{
    qemu.answer = defer_free(qemu.answer);
    loop_deinit(&qemu.loop);
}

static void flush_and_wait(struct sink *sink)
{
    int n = n_flushed;
    sink_flush(sink, handle_flushed, NULL);
    while (n_flushed == n)
        loop_turn(&qemu.loop, true);
}

TestSuite(sink_qmp, .init = qemu_set_up, .fini = qemu_tear_down);

Test(sink_qmp, says_it_as_qemu_wants_it)
{
    struct sink *sink = sink_qmp_new(&qemu.loop, "gpu0", qemu_submit, NULL);
    sink_key(sink, KEY_RIGHTALT, true);
    flush_and_wait(sink);
    cr_assert(
        eq(str, qemu.last,
           "{\"events\":[{\"type\":\"key\",\"data\":{\"down\":true,\"key\":{\"type\":\"number\","
           "\"data\":184}}}],\"device\":\"gpu0\"}"));
    sink_move(sink, 0, 799, 1280, 800);
    flush_and_wait(sink);
    cr_assert(
        eq(str, qemu.last,
           "{\"events\":[{\"type\":\"abs\",\"data\":{\"axis\":\"x\",\"value\":6}},"
           "{\"type\":\"abs\",\"data\":{\"axis\":\"y\",\"value\":32737}}],\"device\":\"gpu0\"}"));
    sink_button(sink, BUTTON_FORWARD, false);
    flush_and_wait(sink);
    cr_assert(eq(str, qemu.last,
                 "{\"events\":[{\"type\":\"btn\",\"data\":{\"down\":false,\"button\":\"extra\"}}],"
                 "\"device\":\"gpu0\"}"));
    sink_wheel(sink, WHEEL_HORIZONTAL, 1);
    flush_and_wait(sink);
    cr_assert(eq(
        str, qemu.last,
        "{\"events\":[{\"type\":\"btn\",\"data\":{\"down\":false,\"button\":\"wheel-right\"}}]}"));
    cr_assert(eq(sz, qemu.n_events, 5));
    sink_free(sink);
}

Test(sink_qmp, loses_nothing_when_much_is_sent_at_once)
{
    struct sink *sink = sink_qmp_new(&qemu.loop, NULL, qemu_submit, NULL);
    for (int i = 0; i < 500; i++) {
        sink_key(sink, KEY_A, true);
        sink_key(sink, KEY_A, false);
    }
    flush_and_wait(sink);
    cr_assert(eq(sz, qemu.n_events, 1000));
    cr_assert(eq(sz, qemu.n_lost, 0));
    cr_assert(eq(int, n_failed, 0));
    cr_assert(le(sz, qemu.most_queue, 40));
    sink_free(sink);
}

Test(sink_qmp, counts_time_for_a_usb_keyboard)
{
    struct sink *sink = sink_qmp_new(&qemu.loop, NULL, qemu_submit, NULL);
    sink_qmp_set_usb(sink, 4, 5000);
    int64_t begin_us = clock_now_us();
    for (int i = 0; i < 5; i++) {
        sink_key(sink, KEY_A, true);
        sink_key(sink, KEY_A, false);
    }
    flush_and_wait(sink);
    cr_assert(eq(sz, qemu.n_events, 10));
    cr_assert(ge(i64, clock_now_us() - begin_us, 6 * 5000));
    begin_us = clock_now_us();
    sink_key(sink, KEY_PAUSE, true); /* three entries of its queue */
    sink_button(sink, BUTTON_LEFT, true);
    flush_and_wait(sink); /* until a button was taken, by the clock */
    cr_assert(ge(i64, clock_now_us() - begin_us, 4 * 5000));
    cr_assert(sink->has_key(KEY_A) && !sink->has_key(KEY_PLAYPAUSE) && !sink->has_key(KEY_KPEQUAL));
    sink_free(sink);
}

Test(sink_qmp, waits_for_a_slow_guest)
{
    struct sink *sink = sink_qmp_new(&qemu.loop, NULL, qemu_submit, NULL);
    qemu.is_reading = false;
    for (int i = 0; i < 50; i++)
        sink_key(sink, KEY_A, i % 2 == 0);
    sink_flush(sink, handle_flushed, NULL);
    for (int i = 0; i < 40; i++)
        loop_turn(&qemu.loop, true);
    cr_assert(eq(int, n_flushed, 0));
    cr_assert(le(sz, qemu.n_events, 32));
    qemu.is_reading = true;
    while (n_flushed == 0)
        loop_turn(&qemu.loop, true);
    cr_assert(eq(sz, qemu.n_events, 50));
    cr_assert(eq(sz, qemu.n_lost, 0));
    sink_free(sink);
}

Test(sink_qmp, has_flushed_a_button_when_the_guest_took_it)
{
    struct sink *sink = sink_qmp_new(&qemu.loop, NULL, qemu_submit, NULL);
    qemu.is_reading = false;
    sink_key(sink, KEY_A, true);
    flush_and_wait(sink);
    sink_button(sink, BUTTON_LEFT, true);
    sink_flush(sink, handle_flushed, NULL);
    for (int i = 0; i < 20; i++)
        loop_turn(&qemu.loop, true);
    cr_assert(eq(int, n_flushed, 1));
    cr_assert(eq(sz, qemu.n_events, 2));
    qemu.is_reading = true;
    while (n_flushed == 1)
        loop_turn(&qemu.loop, true);
    cr_assert(eq(int, n_failed, 0));
    sink_free(sink);
}

Test(sink_qmp, goes_on_behind_a_button_that_waits)
{
    struct sink *sink = sink_qmp_new(&qemu.loop, NULL, qemu_submit, NULL);
    sink_key(sink, KEY_A, true);
    flush_and_wait(sink);
    qemu.is_reading = false;
    sink_button(sink, BUTTON_LEFT, true);
    sink_flush(sink, handle_flushed, NULL);
    for (int i = 0; i < 8; i++)
        loop_turn(&qemu.loop, true);
    cr_assert(eq(int, n_flushed, 1));
    /* Sent and answered while the flush before it still waits. */
    sink_key(sink, KEY_A, false);
    sink_flush(sink, handle_flushed, NULL);
    for (int i = 0; i < 8; i++)
        loop_turn(&qemu.loop, true);
    cr_assert(eq(sz, qemu.n_events, 3));
    cr_assert(eq(int, n_flushed, 1));
    qemu.is_reading = true;
    while (n_flushed < 3)
        loop_turn(&qemu.loop, true);
    sink_key(sink, KEY_A, true);
    flush_and_wait(sink);
    cr_assert(eq(sz, qemu.n_events, 4));
    cr_assert(eq(int, n_failed, 0));
    sink_free(sink);
}

Test(sink_qmp, fails_all_flushes_when_qmp_closes)
{
    struct sink *sink = sink_qmp_new(&qemu.loop, NULL, qemu_submit, NULL);
    flush_and_wait(sink);
    sink_key(sink, KEY_A, true);
    qemu.is_closed = true;
    flush_and_wait(sink);
    flush_and_wait(sink);
    cr_assert(eq(int, n_failed, 2));
    sink_free(sink);
}

Test(sink_qmp, tries_again_with_the_next_event)
{
    struct sink *sink = sink_qmp_new(&qemu.loop, NULL, qemu_submit, NULL);
    qemu.is_closed = true;
    sink_key(sink, KEY_A, true);
    flush_and_wait(sink);
    cr_assert(eq(int, n_failed, 1));
    qemu.is_closed = false;
    size_t before = qemu.n_events;
    sink_key(sink, KEY_A, true);
    flush_and_wait(sink);
    cr_assert(eq(int, n_failed, 1));
    cr_assert(eq(sz, qemu.n_events, before + 1));
    sink_free(sink);
}

Test(sink_qmp, may_go_with_commands_on_the_way)
{
    struct sink *sink = sink_qmp_new(&qemu.loop, NULL, qemu_submit, NULL);
    sink_key(sink, KEY_A, true);
    flush_and_wait(sink);
    sink_key(sink, KEY_A, false);
    sink_flush(sink, handle_flushed, NULL);
    loop_turn(&qemu.loop, true);
    cr_assert(gt(sz, qemu.n_queue, 0));
    int n = n_flushed;
    sink_free(sink);
    while (qemu.n_queue > 0)
        loop_turn(&qemu.loop, true);
    cr_assert(eq(int, n_flushed, n));
}

/* --- A person's events (input/live.h) ---------------------------------------------------------- */

static uint64_t taken_id;

static void handle_taken(void *data maybe_unused, uint64_t id, int64_t at_us)
{
    cr_assert(at_us > 0 && id > taken_id);
    taken_id = id;
}

static struct live *begin_live(void)
{
    taken_id = 0;
    input_set_screen(desk.input, 1000, 500);
    return live_new(&desk.loop, desk.input, handle_taken, NULL);
}

static void feed(struct live *live, struct live_event event)
{
    static uint64_t id;
    event.id = ++id;
    cr_assert(eq(int, live_feed(live, &event), 0));
}

static void await_taken(struct live *live)
{
    uint64_t id;
    do {
        id = taken_id;
        loop_turn(&desk.loop, true);
    } while (live_depth(live) > 0 || taken_id == id);
}

Test(input, injects_live_events_in_their_order)
{
    struct live *live = begin_live();
    feed(live, (struct live_event){ .kind = LIVE_KEY, .code = KEY_LEFTSHIFT, .is_down = true });
    feed(live, (struct live_event){ .kind = LIVE_KEY, .code = KEY_A, .is_down = true });
    feed(live, (struct live_event){ .kind = LIVE_KEY, .code = KEY_A });
    feed(live, (struct live_event){ .kind = LIVE_KEY, .code = KEY_LEFTSHIFT });
    feed(live, (struct live_event){ .kind = LIVE_MOVE, .fx = 10, .fy = 20 });
    feed(live, (struct live_event){ .kind = LIVE_WHEEL, .code = WHEEL_VERTICAL, .notches = -1 });
    await_taken(live);
    cr_assert(eq(str, (char *)played(), "LEFTSHIFT down, A down, A up, LEFTSHIFT up, move 10 20 of 1000x500, wheel 0 -1"));
    cr_assert(eq(sz, input_n_held(desk.input), 0));
    live_free(live);
}

Test(input, merges_live_moves_that_wait)
{
    struct live *live = begin_live();
    for (int i = 0; i < 2000; i++)
        feed(live, (struct live_event){ .kind = LIVE_MOVE, .fx = i, .fy = -5 });
    await_taken(live);
    cr_assert(eq(str, (char *)played(), "move 0 0 of 1000x500, move 999 0 of 1000x500"));
    live_free(live);
}

Test(input, keeps_live_buttons_apart)
{
    struct live *live = begin_live();
    int64_t before_us = clock_now_us();
    feed(live, (struct live_event){ .kind = LIVE_BUTTON, .code = BUTTON_LEFT, .is_down = true });
    feed(live, (struct live_event){ .kind = LIVE_BUTTON, .code = BUTTON_LEFT });
    await_taken(live);
    cr_assert(clock_now_us() - before_us >= 30000);
    cr_assert(eq(str, (char *)played(), "button left down, button left up"));
    live_free(live);
}

Test(input, releases_what_live_pressed_with_it)
{
    struct live *live = begin_live();
    feed(live, (struct live_event){ .kind = LIVE_KEY, .code = KEY_A, .is_down = true });
    feed(live, (struct live_event){ .kind = LIVE_BUTTON, .code = BUTTON_LEFT, .is_down = true });
    await_taken(live);
    feed(live, (struct live_event){ .kind = LIVE_KEY, .code = KEY_B, .is_down = true });
    live_free(live); /* with a flush under way */
    cr_assert(eq(sz, input_n_held(desk.input), 0));
    cr_assert(strstr(played(), "button left up") != NULL);
}

Test(input, refuses_live_events_that_are_too_many_or_unknown)
{
    struct live *live = begin_live();
    struct live_event event = { .kind = LIVE_KEY, .code = KEY_A };
    int r = 0;
    for (int i = 0; i <= 2 * LIVE_EVENTS_MAX && r == 0; i++) {
        event.is_down = !event.is_down;
        r = live_feed(live, &event);
    }
    cr_assert(eq(int, r, LIVE_FULL));
    cr_assert(eq(sz, live_depth(live), LIVE_EVENTS_MAX));
    live_release(live);
    cr_assert(eq(sz, live_depth(live), 0));
    event = (struct live_event){ .kind = LIVE_KEY, .code = 0xffff, .is_down = true };
    cr_assert(eq(int, live_feed(live, &event), 0));
    event = (struct live_event){ .kind = LIVE_BUTTON, .code = BUTTON_COUNT, .is_down = true };
    cr_assert(eq(int, live_feed(live, &event), 0));
    event = (struct live_event){ .kind = LIVE_WHEEL, .notches = INT32_MAX };
    cr_assert(eq(int, live_feed(live, &event), 0));
    cr_assert(eq(sz, live_depth(live), 0));
    live_free(live);
}

Test(input, finds_the_code_of_every_qnum)
{
    for (uint16_t code = 1; code < KEY_MICMUTE; code++)
        if (qnum_from_evdev(code))
            cr_assert(eq(int, qnum_to_evdev(qnum_from_evdev(code)), code));
    cr_assert(eq(int, qnum_to_evdev(0), 0));
    cr_assert(eq(int, qnum_to_evdev(0xffffffff), 0));
}
