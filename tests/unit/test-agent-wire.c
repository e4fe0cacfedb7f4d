/* base/agent-wire: round trips, resynchronisation from any byte on, sessions, credit. */
#include "base/agent-wire.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <string.h>

#define SESSION 0x1122334455667788u
#define OTHER 0x8877665544332211u

/* Bytes on their way. */
struct line {
    uint8_t data[4 * AGENT_FRAME_MAX];
    size_t size;
};

static struct line line;
static struct agent_inbox inbox;

static void put(enum agent_type type, uint8_t stream, uint16_t channel, uint64_t session,
                const void *payload, size_t size)
{
    struct agent_frame frame = { type, stream, channel, (uint32_t)size, session, payload };
    cr_assert(le(sz, line.size + AGENT_OVERHEAD + size, sizeof line.data));
    line.size += agent_wire_encode(line.data + line.size, &frame);
}

static void put_raw(const void *data, size_t size)
{
    memcpy(line.data + line.size, data, size);
    line.size += size;
}

/* Feeds the line in pieces and counts the frames; the last one is kept, its payload copied. */
static int decode(size_t piece, struct agent_frame *last, uint8_t *payload)
{
    int n = 0;
    struct agent_frame frame;
    for (size_t done = 0; done < line.size;) {
        size_t room;
        uint8_t *at = agent_inbox_space(&inbox, &room);
        size_t step = MIN(MIN(piece, room), line.size - done);
        cr_assert(gt(sz, step, 0), "a decoder that has nothing to say has room");
        memcpy(at, line.data + done, step);
        agent_inbox_added(&inbox, step);
        done += step;
        while (agent_inbox_next(&inbox, &frame)) {
            n++;
            if (frame.type == AGENT_HELLO)
                inbox.session = frame.session;
            if (last)
                *last = frame;
            if (payload)
                memcpy(payload, frame.payload, frame.length);
        }
    }
    return n;
}

static void begin(enum agent_end from)
{
    line.size = 0;
    agent_inbox_init(&inbox, from, SESSION);
}

Test(agent_wire, lies_as_documented)
{
    static const uint8_t expected[] = { 'D', 'F', 'A', 1, AGENT_DATA, AGENT_STDERR, 0x34, 0, 3, 0,
                                        0, 0, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 'a',
                                        'b', 'c' };
    uint8_t out[AGENT_OVERHEAD + 3];
    struct agent_frame frame = { AGENT_DATA, AGENT_STDERR, 0x34, 3, SESSION,
                                 (const uint8_t *)"abc" };
    cr_assert(eq(sz, agent_wire_encode(out, &frame), sizeof out));
    cr_assert(eq(int, memcmp(out, expected, sizeof expected), 0));
    cr_assert(eq(u32, agent_wire_get_u32(out + 23),
                 0x55667788u ^ 0x11223344u ^ 3u ^ AGENT_SEAL));
}

Test(agent_wire, comes_back_in_pieces_of_any_size)
{
    int n;
    static uint8_t payload[AGENT_PAYLOAD_MAX], got[AGENT_PAYLOAD_MAX];
    for (size_t i = 0; i < sizeof payload; i++)
        payload[i] = (uint8_t)(i * 7);
    static const size_t pieces[] = { 1, 3, 19, 20, 24, 4096, AGENT_FRAME_MAX };
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        struct agent_frame last = { 0 };
        begin(AGENT_GUEST);
        put(AGENT_WELCOME, 0, 0, SESSION, "{}", 2);
        put(AGENT_EOF, AGENT_STDOUT, 256, SESSION, NULL, 0);
        put(AGENT_DATA, AGENT_STDOUT, 1, SESSION, payload, sizeof payload);
        n = decode(pieces[i], &last, got);
        cr_assert(eq(int, n, 3), "pieces of %zu", pieces[i]);
        cr_assert(eq(u32, last.length, AGENT_PAYLOAD_MAX));
        cr_assert(eq(int, memcmp(got, payload, sizeof payload), 0));
        cr_assert(eq(u64, inbox.n_skipped, 0));
    }
}

/* What a frame must not be: a row each. */
Test(agent_wire, takes_nothing_else)
{
    int n;
    static const struct {
        enum agent_end from;
        struct agent_frame frame;
    } rows[] = {
        { AGENT_GUEST, { AGENT_DATA, AGENT_STDOUT, 0, 1, SESSION, NULL } },  /* channel 0 */
        { AGENT_GUEST, { AGENT_DATA, AGENT_STDOUT, 257, 1, SESSION, NULL } },
        { AGENT_GUEST, { AGENT_DATA, AGENT_STDIN, 1, 1, SESSION, NULL } },   /* the host's stream */
        { AGENT_HOST, { AGENT_DATA, AGENT_STDERR, 1, 1, SESSION, NULL } },
        { AGENT_HOST, { AGENT_DATA, 7, 1, 1, SESSION, NULL } },
        { AGENT_GUEST, { AGENT_DATA, AGENT_STDOUT, 1, 0, SESSION, NULL } },  /* no byte */
        { AGENT_GUEST, { AGENT_EOF, AGENT_STDOUT, 1, 4, SESSION, NULL } },
        { AGENT_GUEST, { AGENT_CREDIT, 0, 1, 3, SESSION, NULL } },
        { AGENT_GUEST, { AGENT_DATA, AGENT_STDOUT, 1, 1, OTHER, NULL } },    /* another session */
        { AGENT_GUEST, { AGENT_END, 0, 1, 2, 0, NULL } },
        { AGENT_GUEST, { AGENT_KNOCK, 0, 0, 0, SESSION, NULL } },
        { AGENT_HOST, { AGENT_HELLO, 0, 0, 0, 0, NULL } },
        { AGENT_GUEST, { AGENT_HELLO, 0, 0, 0, SESSION, NULL } },            /* not its to say */
        { AGENT_GUEST, { AGENT_REQUEST, 0, 1, 2, SESSION, NULL } },
        { AGENT_HOST, { AGENT_END, 0, 1, 2, SESSION, NULL } },
        { AGENT_HOST, { AGENT_TYPE_COUNT, 0, 1, 2, SESSION, NULL } },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        begin(rows[i].from);
        const struct agent_frame *frame = &rows[i].frame;
        put(frame->type, frame->stream, frame->channel, frame->session, "xxxx", frame->length);
        n = decode(8, NULL, NULL);
        cr_assert(eq(int, n, 0), "row %zu", i);
        cr_assert(gt(u64, inbox.n_skipped, 0), "row %zu", i);
    }
}

Test(agent_wire, lies_about_length_do_not_make_it_wait)
{
    int n;
    uint8_t raw[AGENT_OVERHEAD];
    struct agent_frame frame = { AGENT_DATA, AGENT_STDOUT, 1, 0, SESSION, NULL };
    begin(AGENT_GUEST);
    agent_wire_encode(raw, &frame);
    agent_wire_put_u32(raw + 8, AGENT_PAYLOAD_MAX + 1);
    put_raw(raw, sizeof raw);
    agent_wire_put_u32(raw + 8, 0xffffffff);
    put_raw(raw, sizeof raw);
    put(AGENT_EOF, AGENT_STDOUT, 1, SESSION, NULL, 0);
    n = decode(64, NULL, NULL);
    cr_assert(eq(int, n, 1));
}

Test(agent_wire, goes_on_after_garbage)
{
    int n;
    begin(AGENT_GUEST);
    for (int i = 0; i < 100; i++) {
        put_raw("DFDFADFA\1DDFA\1\7", (size_t)(i % 16));
        put(AGENT_DATA, AGENT_STDOUT, 1, SESSION, "data", 4);
    }
    n = decode(11, NULL, NULL);
    cr_assert(eq(int, n, 100));
}

/* The guest was restored in the middle of a frame, at any byte of it; then a new host comes. What
 * was cut off must not be handed out, the HELLO must. */
Test(agent_wire, hello_is_heard_from_any_byte_of_a_frame)
{
    int n;
    static uint8_t payload[300];
    memset(payload, 'D', sizeof payload);
    for (size_t cut = 0; cut < AGENT_OVERHEAD + sizeof payload; cut++) {
        struct agent_frame last = { 0 };
        begin(AGENT_HOST);
        put(AGENT_DATA, AGENT_STDIN, 1, SESSION, payload, sizeof payload);
        line.size = cut;
        memset(line.data + line.size, 0, AGENT_FLUSH);
        line.size += AGENT_FLUSH;
        put(AGENT_HELLO, 0, 0, OTHER, NULL, 0);
        n = decode(1000, &last, NULL);
        cr_assert(eq(int, n, 1), "cut at %zu", cut);
        cr_assert(eq(int, last.type, AGENT_HELLO));
        cr_assert(eq(u64, last.session, OTHER));
    }
}

/* Whether a HELLO after so many zeros is heard, wherever a frame with that payload was cut. */
static void check_flush(size_t n_payload, size_t n_zeros)
{
    int n;
    static uint8_t payload[AGENT_PAYLOAD_MAX];
    for (size_t cut = 1; cut < AGENT_OVERHEAD + n_payload; cut += 1021) {
        struct agent_frame last = { 0 };
        begin(AGENT_HOST);
        put(AGENT_DATA, AGENT_STDIN, 1, SESSION, payload, n_payload);
        line.size = cut;
        memset(line.data + line.size, 0, n_zeros);
        line.size += n_zeros;
        put(AGENT_HELLO, 0, 0, OTHER, NULL, 0);
        n = decode(4096, &last, NULL);
        cr_assert(eq(int, n, 1), "cut at %zu", cut);
        cr_assert(eq(int, last.type, AGENT_HELLO));
    }
}

Test(agent_wire, hello_is_heard_after_the_longest_data)
{
    check_flush(AGENT_HOST_CHUNK, AGENT_FLUSH);
}

Test(agent_wire, hello_is_heard_after_the_longest_frame)
{
    check_flush(AGENT_PAYLOAD_MAX, AGENT_FRAME_MAX);
}

/* A program of the guest prints frames. In sync they are payload; a new host that begins in the
 * middle of them has another session. */
Test(agent_wire, output_cannot_forge_a_frame)
{
    int n;
    uint8_t forged[256];
    struct agent_frame end = { AGENT_END, 0, 1, 2, SESSION, (const uint8_t *)"{}" };
    size_t size = agent_wire_encode(forged, &end);
    begin(AGENT_GUEST);
    put(AGENT_DATA, AGENT_STDOUT, 1, SESSION, forged, size);
    struct agent_frame last = { 0 };
    n = decode(5, &last, NULL);
    cr_assert(eq(int, n, 1));
    cr_assert(eq(int, last.type, AGENT_DATA));

    for (size_t cut = 0; cut < AGENT_OVERHEAD + size; cut++) {
        line.size = 0;
        agent_inbox_init(&inbox, AGENT_GUEST, OTHER);
        put(AGENT_DATA, AGENT_STDOUT, 1, SESSION, forged, size);
        memmove(line.data, line.data + cut, line.size - cut);
        line.size -= cut;
        put(AGENT_WELCOME, 0, 0, OTHER, "{}", 2);
        n = decode(7, &last, NULL);
        cr_assert(eq(int, n, 1), "cut at %zu", cut);
        cr_assert(eq(int, last.type, AGENT_WELCOME));
    }
}

/* --- Credit ---------------------------------------------------------------------------------- */

Test(agent_credit, is_spent_and_given_back)
{
    struct agent_credit sender, reader;
    agent_credit_init(&sender);
    agent_credit_init(&reader);
    size_t sent = 0, n;
    while ((n = agent_credit_room(&sender)) > 0) {
        agent_credit_sent(&sender, (uint32_t)n);
        cr_assert(eq(int, agent_credit_received(&reader, (uint32_t)n), 0));
        sent += n;
    }
    cr_assert(le(sz, sent, AGENT_WINDOW));
    cr_assert(gt(sz, sent, AGENT_WINDOW - 16 * AGENT_OVERHEAD));
    cr_assert(eq(int, agent_credit_received(&reader, 1), -EPROTO), "one byte too many");

    agent_credit_consumed(&reader, AGENT_WINDOW / 4 - 1);
    cr_assert(eq(u32, agent_credit_give(&reader), 0), "not worth a frame yet");
    agent_credit_consumed(&reader, 1);
    uint32_t amount = agent_credit_give(&reader);
    cr_assert(eq(u32, amount, AGENT_WINDOW / 4));
    cr_assert(eq(int, agent_credit_granted(&sender, amount), 0));
    cr_assert(gt(sz, agent_credit_room(&sender), 0));
}

Test(agent_credit, cannot_be_cheated)
{
    struct agent_credit credit;
    agent_credit_init(&credit);
    cr_assert(eq(int, agent_credit_granted(&credit, 1), -EPROTO), "more than a window");
    agent_credit_sent(&credit, 100);
    cr_assert(eq(int, agent_credit_granted(&credit, 0), -EPROTO), "nothing, for ever");
    cr_assert(eq(int, agent_credit_granted(&credit, 0xffffffff), -EPROTO));
    cr_assert(eq(int, agent_credit_granted(&credit, 100 + AGENT_OVERHEAD), 0));
    /* More dealt with than came in counts only once. */
    agent_credit_consumed(&credit, 1u << 31);
    cr_assert(eq(u32, agent_credit_give(&credit), 0));
    cr_assert(eq(u32, credit.may_receive, AGENT_WINDOW));
}

/* Empty-handed senders pay too: a million frames of one byte are no way around the window. */
Test(agent_credit, small_frames_cost_their_overhead)
{
    struct agent_credit reader;
    int n = 0;
    agent_credit_init(&reader);
    while (agent_credit_received(&reader, 1) == 0)
        n++;
    cr_assert(eq(int, n, AGENT_WINDOW / (AGENT_OVERHEAD + 1)));
}
