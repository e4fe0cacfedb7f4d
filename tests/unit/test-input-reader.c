/* Typing into a guest whose X server reads its keyboard when it gets to it: nothing is on the way that the
 * kernel could not hold, and what is said of the text is what was read. */
#include "tests/unit/input-text.h"

#include "base/clock.h"
#include "base/loop.h"
#include "input/input.h"
#include "input/qnum.h"

#include <string.h>

/* --- A guest ------------------------------------------------------------------------------------ */

enum { KERNEL_MAX = 31 /* changes of keys: 63 events, two each */, TURN_US = 1000 };

static struct guest {
    struct sink sink;
    struct loop loop;
    struct timer *turn;
    sink_done_fn flushed;
    void *flushed_data;
    struct input *input;
    int unread, most_unread;
    int64_t count, since, until;
    bool has_helper, is_asked, is_stopped;
    int n_questions, n_dropped, n_turns;
    bool is_still;
    struct input_result result;
    struct error failure;
    int n_done;
} guest;

static void guest_key(struct sink *sink maybe_unused, uint16_t code maybe_unused, bool is_down maybe_unused)
{
    if (guest.n_dropped > 0 && guest.n_dropped--)
        return;
    guest.unread++;
    guest.most_unread = MAX(guest.most_unread, guest.unread);
}

static void guest_flush(struct sink *sink maybe_unused, sink_done_fn done, void *data)
{
    guest.flushed = done;
    guest.flushed_data = data;
}

static void guest_free(struct sink *sink maybe_unused)
{
    guest.turn = timer_free(guest.turn);
}

/* The X server reads one change in every fourth turn, slower than they come. */
static void live(void)
{
    if (guest.unread > 0 && !guest.is_stopped) {
        guest.unread--;
        guest.count++;
    }
    bool is_still = guest.unread == 0 && guest.is_still;
    if (guest.is_asked && !guest.is_stopped && (guest.count >= guest.until || is_still)) {
        struct reader_answer answer = { guest.count, guest.since, guest.count < guest.until };
        guest.is_asked = false;
        input_answer(guest.input, &answer);
    }
}

static void handle_turn(void *data maybe_unused)
{
    guest.n_turns++;
    if (guest.n_turns % 4 == 0)
        live();
    sink_done_fn done = guest.flushed;
    guest.flushed = NULL;
    if (done)
        done(guest.flushed_data, true);
    if (guest.turn)
        timer_start(guest.turn, TURN_US);
}

static bool ask(void *data maybe_unused, int64_t until)
{
    if (!guest.has_helper)
        return false;
    guest.until = until;
    guest.is_asked = true;
    guest.n_questions++;
    return true;
}

static void set_up(void)
{
    static const struct sink_ops ops = { .key = guest_key, .flush = guest_flush, .free = guest_free };
    struct keymap *keymap = NULL;
    guest = (struct guest){ .sink = { .ops = &ops, .has_key = qnum_has }, .has_helper = true, .count = 1000, .since = 7 };
    loop_init(&guest.loop);
    guest.turn = timer_new(&guest.loop, handle_turn, NULL);
    cr_assert(eq(int, keymap_new(&keymap, "us", NULL, NULL), 0));
    cr_assert(eq(int, input_new(&guest.input, &guest.loop, &guest.sink, keymap, NULL), 0));
    keymap_unref(keymap);
    input_set_reader(guest.input, ask, NULL);
    timer_start(guest.turn, TURN_US);
}

static void tear_down(void)
{
    guest.input = input_free(guest.input);
    loop_deinit(&guest.loop);
}

static void handle_done(void *data maybe_unused, const struct input_result *result, const struct error *err)
{
    guest.n_done++;
    guest.result = *result;
    if (err)
        guest.failure = *err;
}

static void start(const char *row)
{
    static const struct space screen = { .kind = SPACE_NATIVE, .width = 1000, .height = 500 };
    auto_json json_t *object = parse_row(row);
    struct action action;
    cr_assert(eq(int, action_parse(&action, object, "a", NULL), 0));
    cr_assert(eq(int, input_play(guest.input, &action, &screen, handle_done, NULL, NULL), 0));
    action_deinit(&action);
}

static void finish_all(void)
{
    while (input_is_busy(guest.input))
        loop_turn(&guest.loop, true);
}

/* Until no more keys come. */
static void turn_until_full(void)
{
    uint64_t n_keys = 0;
    for (int n_quiet = 0; n_quiet < 60; n_quiet++) {
        loop_turn(&guest.loop, true);
        if (guest.sink.n_keys != n_keys)
            n_quiet = 0;
        n_keys = guest.sink.n_keys;
    }
}

static void read_all(void)
{
    while (guest.unread > 0)
        loop_turn(&guest.loop, true);
}

static const char sentence[] = "{'type': 'type', 'text': 'The Quick brown fox jumps over THE lazy dog, and so on.'}";
enum { SENTENCE = 55, SENTENCE_CHANGES = 2 * SENTENCE + 6 };

TestSuite(reader, .init = set_up, .fini = tear_down);

/* --- Tests -------------------------------------------------------------------------------------- */

Test(reader, never_sends_more_than_the_kernel_holds)
{
    for (int i = 0; i < 3; i++) {
        start(sentence);
        finish_all();
        cr_assert(eq(int, guest.unread, 0), "it ends when all is read");
        cr_assert(eq(sz, guest.result.n_characters, SENTENCE));
    }
    cr_assert(le(int, guest.most_unread, READER_MAX + 4));
    cr_assert(gt(int, guest.most_unread, READER_ASK), "keys go out while the answer is under way");
    cr_assert(eq(i64, guest.count, 1000 + 3 * SENTENCE_CHANGES));
    cr_assert(not(guest.failure.is_set));
}

Test(reader, short_texts_cost_no_question)
{
    start("{'type': 'type', 'text': 'user'}");
    finish_all();
    cr_assert(eq(sz, guest.result.n_characters, 4));
    cr_assert(eq(int, guest.n_questions, 0));
}

Test(reader, many_short_actions_are_waited_for_too)
{
    guest.is_still = true; /* some were read before anybody counted */
    for (int i = 0; i < 60; i++) {
        start("{'type': 'key', 'keys': 'ctrl+a'}");
        finish_all();
    }
    cr_assert(le(int, guest.most_unread, KERNEL_MAX));
    cr_assert(gt(int, guest.n_questions, 0));
}

Test(reader, a_guest_that_stands_still_is_waited_for)
{
    start(sentence);
    while (guest.count < 1010)
        loop_turn(&guest.loop, true);
    guest.is_stopped = true;
    turn_until_full();
    cr_assert(le(int, guest.most_unread, KERNEL_MAX));
    guest.is_stopped = false;
    finish_all();
    cr_assert(eq(i64, guest.count, 1000 + SENTENCE_CHANGES));
}

Test(reader, says_what_was_read_of_a_text_that_is_given_up)
{
    start(sentence);
    while (guest.count < 1020)
        loop_turn(&guest.loop, true);
    guest.is_stopped = true;
    turn_until_full();
    cr_assert(guest.is_asked);
    guest.is_asked = false;
    input_no_answer(guest.input, true);
    finish_all();
    cr_assert(eq(int, guest.failure.code, ERROR_TIMEOUT));
    cr_assert(ge(sz, guest.result.n_characters, 3));
    cr_assert(le(sz, guest.result.n_characters, 10));
}

Test(reader, types_by_time_when_nobody_counts)
{
    guest.has_helper = false;
    int64_t before_us = clock_now_us();
    start("{'type': 'type', 'text': 'twenty characters...'}");
    finish_all();
    cr_assert(eq(sz, guest.result.n_characters, 20));
    cr_assert(ge(i64, clock_now_us() - before_us, 19 * 8000));
}

Test(reader, goes_on_by_time_when_the_helper_ends)
{
    start(sentence);
    while (guest.count < 1010)
        loop_turn(&guest.loop, true);
    guest.is_stopped = true;
    turn_until_full();
    cr_assert(guest.is_asked);
    guest.has_helper = guest.is_asked = guest.is_stopped = false;
    input_no_answer(guest.input, false);
    finish_all();
    read_all();
    cr_assert(not(guest.failure.is_set));
    cr_assert(eq(sz, guest.result.n_characters, SENTENCE));
    cr_assert(eq(i64, guest.count, 1000 + SENTENCE_CHANGES));
}

Test(reader, believes_a_guest_that_dropped_some)
{
    guest.is_still = true;
    start(sentence);
    while (guest.count < 1010)
        loop_turn(&guest.loop, true);
    guest.n_dropped = 3;
    finish_all();
    cr_assert(eq(int, guest.unread, 0));
    cr_assert(eq(sz, guest.result.n_characters, SENTENCE));
    int n_questions = guest.n_questions;
    start(sentence);
    finish_all();
    cr_assert(gt(int, guest.n_questions, n_questions), "it is still asked");
    cr_assert(eq(i64, guest.count, 1000 + 2 * SENTENCE_CHANGES - 3));
}

Test(reader, a_reader_of_another_keyboard_is_left_alone)
{
    guest.is_still = true;
    guest.n_dropped = 1000;
    start(sentence);
    finish_all();
    cr_assert(eq(sz, guest.result.n_characters, SENTENCE));
    cr_assert(le(int, guest.n_questions, 4));
}

Test(reader, another_count_begins_anew)
{
    guest.is_still = true;
    start(sentence);
    while (guest.count < 1010)
        loop_turn(&guest.loop, true);
    guest.count = 0;
    guest.since = 8;
    finish_all();
    cr_assert(eq(int, guest.unread, 0));
    cr_assert(le(int, guest.most_unread, KERNEL_MAX));
    cr_assert(eq(sz, guest.result.n_characters, SENTENCE));
}

Test(reader, a_text_that_waits_can_be_cancelled)
{
    guest.is_stopped = true;
    start(sentence);
    for (int i = 0; i < 100; i++)
        loop_turn(&guest.loop, true);
    input_cancel(guest.input);
    finish_all();
    cr_assert(eq(int, guest.n_done, 1));
    cr_assert(eq(int, guest.failure.code, ERROR_CANCELLED));
    cr_assert(eq(sz, input_n_held(guest.input), 0));
}
