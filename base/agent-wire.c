/* Encoder, decoder and credit of the agent's wire; agent-wire.h describes the bytes.
 *
 * The decoder hunts: it looks for the magic's first byte with memchr, judges the header as soon as
 * all of it is there, waits for the frame's end and judges the seal. A header is judged strictly
 * (type for this sender, stream, channel, length, session), so that noise seldom makes it wait, and
 * never for more than AGENT_FRAME_MAX bytes. The buffer is compacted when space is asked for: at
 * most one unfinished frame moves. */
#include "base/agent-wire.h"

#include <errno.h>
#include <string.h>

static const uint8_t MAGIC[4] = { 'D', 'F', 'A', AGENT_VERSION };

/* What a frame of each type must be like. */
static const struct {
    bool from_host, from_guest, has_channel;
    uint32_t min, max; /* length */
} rules[AGENT_TYPE_COUNT] = {
    [AGENT_HELLO] = { true, false, false, 0, 0 },
    [AGENT_WELCOME] = { false, true, false, 2, AGENT_PAYLOAD_MAX },
    [AGENT_KNOCK] = { false, true, false, 0, 0 },
    [AGENT_REQUEST] = { true, false, true, 2, AGENT_PAYLOAD_MAX },
    [AGENT_CONTROL] = { true, false, true, 2, AGENT_PAYLOAD_MAX },
    [AGENT_CLOSE] = { true, false, true, 0, 0 },
    [AGENT_EVENT] = { false, true, true, 2, AGENT_PAYLOAD_MAX },
    [AGENT_DATA] = { true, true, true, 1, AGENT_PAYLOAD_MAX },
    [AGENT_EOF] = { true, true, true, 0, 0 },
    [AGENT_CREDIT] = { true, true, true, 4, 4 },
    [AGENT_END] = { false, true, true, 2, AGENT_PAYLOAD_MAX },
};

void agent_wire_put_u32(uint8_t out[4], uint32_t value)
{
    for (int i = 0; i < 4; i++)
        out[i] = (uint8_t)(value >> 8 * i);
}

uint32_t agent_wire_get_u32(const uint8_t in[4])
{
    return (uint32_t)in[0] | (uint32_t)in[1] << 8 | (uint32_t)in[2] << 16 | (uint32_t)in[3] << 24;
}

static uint32_t seal(uint64_t session, uint32_t length)
{
    return (uint32_t)(session >> 32) ^ (uint32_t)session ^ length ^ AGENT_SEAL;
}

size_t agent_wire_encode(uint8_t *out, const struct agent_frame *frame)
{
    memcpy(out, MAGIC, sizeof MAGIC);
    out[4] = (uint8_t)frame->type;
    out[5] = frame->stream;
    out[6] = (uint8_t)frame->channel;
    out[7] = (uint8_t)(frame->channel >> 8);
    agent_wire_put_u32(out + 8, frame->length);
    agent_wire_put_u32(out + 12, (uint32_t)frame->session);
    agent_wire_put_u32(out + 16, (uint32_t)(frame->session >> 32));
    if (frame->payload && frame->length)
        memcpy(out + AGENT_HEADER, frame->payload, frame->length);
    agent_wire_put_u32(out + AGENT_HEADER + frame->length, seal(frame->session, frame->length));
    return AGENT_OVERHEAD + frame->length;
}

/* --- Decoding -------------------------------------------------------------------------------- */

void agent_inbox_init(struct agent_inbox *self, enum agent_end from, uint64_t session)
{
    self->from = from;
    self->session = session;
    self->n_skipped = 0;
    self->head = self->tail = 0;
}

uint8_t *agent_inbox_space(struct agent_inbox *self, size_t *ret_size)
{
    if (self->head) {
        memmove(self->data, self->data + self->head, self->tail - self->head);
        self->tail -= self->head;
        self->head = 0;
    }
    *ret_size = sizeof self->data - self->tail;
    return self->data + self->tail;
}

void agent_inbox_added(struct agent_inbox *self, size_t size)
{
    self->tail += size;
}

static bool is_session_good(const struct agent_inbox *self, const struct agent_frame *frame)
{
    if (frame->type == AGENT_KNOCK)
        return frame->session == 0;
    if (frame->type == AGENT_HELLO)
        return frame->session != 0;
    return frame->session != 0 && frame->session == self->session;
}

static bool is_stream_good(const struct agent_inbox *self, const struct agent_frame *frame)
{
    if (frame->type != AGENT_DATA && frame->type != AGENT_EOF)
        return frame->stream == 0;
    if (self->from == AGENT_HOST)
        return frame->stream == AGENT_STDIN;
    return frame->stream == AGENT_STDOUT || frame->stream == AGENT_STDERR;
}

/* Reads the AGENT_HEADER bytes at in; false when they are no header that may come here. */
static bool parse_header(const struct agent_inbox *self, const uint8_t *in,
                         struct agent_frame *frame)
{
    if (memcmp(in, MAGIC, sizeof MAGIC) != 0 || in[4] < AGENT_HELLO || in[4] >= AGENT_TYPE_COUNT)
        return false;
    *frame = (struct agent_frame) {
        .type = (enum agent_type)in[4],
        .stream = in[5],
        .channel = (uint16_t)(in[6] | in[7] << 8),
        .length = agent_wire_get_u32(in + 8),
        .session = agent_wire_get_u32(in + 12) | (uint64_t)agent_wire_get_u32(in + 16) << 32,
        .payload = in + AGENT_HEADER,
    };
    if (!(self->from == AGENT_HOST ? rules[in[4]].from_host : rules[in[4]].from_guest))
        return false;
    if (frame->length < rules[in[4]].min || frame->length > rules[in[4]].max)
        return false;
    if (rules[in[4]].has_channel ? frame->channel < 1 || frame->channel > AGENT_CHANNELS
                                 : frame->channel != 0)
        return false;
    return is_session_good(self, frame) && is_stream_good(self, frame);
}

static void skip(struct agent_inbox *self, size_t n)
{
    self->head += n;
    self->n_skipped += n;
}

int agent_inbox_next(struct agent_inbox *self, struct agent_frame *frame)
{
    while (self->head < self->tail) {
        const uint8_t *at = self->data + self->head;
        size_t have = self->tail - self->head;
        const uint8_t *start = memchr(at, MAGIC[0], have);
        if (start != at) {
            skip(self, start ? (size_t)(start - at) : have);
            continue;
        }
        if (memcmp(at, MAGIC, MIN(have, sizeof MAGIC)) != 0) {
            skip(self, 1);
            continue;
        }
        if (have < AGENT_HEADER)
            return 0;
        if (!parse_header(self, at, frame)) {
            skip(self, 1);
            continue;
        }
        if (have < AGENT_OVERHEAD + frame->length)
            return 0;
        if (agent_wire_get_u32(frame->payload + frame->length) !=
            seal(frame->session, frame->length)) {
            skip(self, 1);
            continue;
        }
        self->head += AGENT_OVERHEAD + frame->length;
        return 1;
    }
    return 0;
}

/* --- Credit ---------------------------------------------------------------------------------- */

void agent_credit_init(struct agent_credit *self)
{
    *self = (struct agent_credit) { .may_send = AGENT_WINDOW, .may_receive = AGENT_WINDOW };
}

size_t agent_credit_room(const struct agent_credit *self)
{
    if (self->may_send <= AGENT_OVERHEAD)
        return 0;
    return MIN(self->may_send - AGENT_OVERHEAD, (uint32_t)AGENT_CHUNK);
}

void agent_credit_sent(struct agent_credit *self, uint32_t length)
{
    self->may_send -= MIN(self->may_send, length + AGENT_OVERHEAD);
}

int agent_credit_received(struct agent_credit *self, uint32_t length)
{
    if (length + AGENT_OVERHEAD > self->may_receive)
        return -EPROTO;
    self->may_receive -= length + AGENT_OVERHEAD;
    return 0;
}

int agent_credit_granted(struct agent_credit *self, uint32_t amount)
{
    if (amount == 0 || amount > AGENT_WINDOW - self->may_send)
        return -EPROTO;
    self->may_send += amount;
    return 0;
}

void agent_credit_consumed(struct agent_credit *self, uint32_t n)
{
    uint32_t outstanding = AGENT_WINDOW - self->may_receive - self->owed;
    self->owed += MIN(n, outstanding);
}

uint32_t agent_credit_give(struct agent_credit *self)
{
    /* A quarter: few frames, and the other end never runs dry while its reader keeps up. */
    if (self->owed < AGENT_WINDOW / 4)
        return 0;
    uint32_t amount = self->owed;
    self->owed = 0;
    self->may_receive += amount;
    return amount;
}
