/* The decoder of the agent's wire, from both sides. Byte 0: whose frames are decoded, and in how
 * large pieces they arrive. What comes out must obey the rules of agent-wire.h, encode back to the bytes
 * that it came from, and account for every byte. The session is the seeds'. */
#include "base/agent-wire.h"

#include <string.h>

#define SESSION 0x1122334455667788u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct agent_inbox inbox;
static uint8_t again[AGENT_FRAME_MAX];

static void require(bool is_true)
{
    if (!is_true)
        abort();
}

static size_t check(const struct agent_frame *frame)
{
    require(frame->length <= AGENT_PAYLOAD_MAX && frame->channel <= AGENT_CHANNELS);
    require(frame->type >= AGENT_HELLO && frame->type < AGENT_TYPE_COUNT);
    require(frame->stream < AGENT_STREAM_COUNT);
    require(frame->type == AGENT_HELLO || frame->type == AGENT_KNOCK ||
            frame->session == inbox.session);
    size_t size = agent_wire_encode(again, frame);
    require(size == AGENT_OVERHEAD + frame->length);
    require(memcmp(again, frame->payload - AGENT_HEADER, size) == 0);
    return size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct agent_frame frame;
    size_t taken = 0;
    if (size < 1)
        return 0;
    agent_inbox_init(&inbox, data[0] & 1 ? AGENT_GUEST : AGENT_HOST, SESSION);
    size_t piece = 1 + (data[0] >> 1) * 37u;
    for (size_t at = 1; at < size;) {
        size_t room;
        uint8_t *space = agent_inbox_space(&inbox, &room);
        size_t n = MIN(MIN(piece, room), size - at);
        require(room > 0);
        memcpy(space, data + at, n);
        agent_inbox_added(&inbox, n);
        at += n;
        while (agent_inbox_next(&inbox, &frame)) {
            taken += check(&frame);
            if (frame.type == AGENT_HELLO)
                inbox.session = frame.session;
        }
    }
    require(taken + inbox.n_skipped + (inbox.tail - inbox.head) == size - 1);
    return 0;
}
