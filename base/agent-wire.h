/* The bytes between the daemon (the host) and deskfarm-agent (the guest): frames over one stream
 * that neither end can reopen, and whose middle is part of every checkpoint.
 *
 * A frame, integers little-endian:
 *
 *   offset size
 *        0    4  magic: 'D' 'F' 'A', then the version (1)
 *        4    1  type: enum agent_type
 *        5    1  stream of DATA and EOF: enum agent_stream; else 0
 *        6    2  channel: 1 to AGENT_CHANNELS for a request and all that belongs to it; else 0
 *        8    4  length of the payload, at most AGENT_PAYLOAD_MAX
 *       12    8  session: a random number that the host drew; never 0, but in KNOCK always
 *       20    n  payload
 *   20 + n    4  seal: the session's halves XORed with the length and AGENT_SEAL
 *
 *   type      from   channel  payload
 *   HELLO     host   0        none. Begins the session that it names: whatever the guest had open
 *                             is gone. The same session again changes nothing.
 *   WELCOME   guest  0        JSON: what the agent is and can. One per HELLO.
 *   KNOCK     guest  0        none, session 0: the agent has started and knows of no session.
 *   REQUEST   host   n        JSON {"op": …}. Opens the channel.
 *   CONTROL   host   n        JSON: a word to a request that is running.
 *   CLOSE     host   n        none. Ends the request; its END still comes.
 *   EVENT     guest  n        JSON: a word from a request that is running. Takes credit.
 *   DATA      both   n        1 byte or more. Takes credit.
 *   EOF       both   n        none. The last of that stream.
 *   CREDIT    both   n        u32: so many more bytes may be sent.
 *   END       guest  n        JSON: {"error": {"code", "message"}} or the result. The last.
 *
 * Channels. The host numbers them and may use a number again after its END. What arrives in the
 * guest for a channel that it has ended is dropped: it crossed the END on its way.
 *
 * Credit. Each direction of a channel begins with AGENT_WINDOW bytes. DATA and EVENT cost their
 * payload and AGENT_OVERHEAD, so that many small frames are no way around it. The reader gives back
 * what it has dealt with. Nothing else is ever unbounded: a request has one END, a stream one EOF,
 * a HELLO one WELCOME. One channel whose reader is slow holds nobody else up.
 *
 * Sessions. The stream's state is inside a checkpoint and the host's is not. After a restore, a
 * fork, a wake or a restart of the daemon the two ends are in the middle of different frames. The
 * host draws a session, sends AGENT_FLUSH bytes of zero and HELLO. The zeros end whatever frame the
 * guest was reading; its seal is wrong then and it is thrown away whole. (Only a REQUEST or CONTROL
 * may be longer. When no answer comes, the host sends AGENT_FRAME_MAX zeros and HELLO again.) The guest forgets its
 * channels and what it had not sent, and answers WELCOME: one round trip. The host takes only
 * frames of its own session, which nobody in the guest could foretell, so old bytes, among them
 * frames that a program of the guest wrote into its output, are skipped.
 *
 * Resynchronisation. A decoder that finds no good header or a wrong seal goes on one byte later.
 * It holds one frame at most, copies no payload, and looks at a byte a bounded number of times.
 *
 * Pure: nothing here reads, writes or allocates. */
#pragma once

#include "base/util.h"

#define AGENT_VERSION 1
#define AGENT_HEADER 20
#define AGENT_TRAILER 4
#define AGENT_OVERHEAD (AGENT_HEADER + AGENT_TRAILER)
#define AGENT_FRAME_MAX 65536
#define AGENT_PAYLOAD_MAX (AGENT_FRAME_MAX - AGENT_OVERHEAD)
#define AGENT_CHUNK 32768 /* no end sends more DATA in one frame, so that channels take turns */
#define AGENT_FLUSH 8192
#define AGENT_HOST_CHUNK (AGENT_FLUSH - AGENT_OVERHEAD) /* the same for the host */
#define AGENT_CHANNELS 256
#define AGENT_WINDOW (256 * 1024)
#define AGENT_SEAL 0x5ea1f00du

enum agent_type {
    AGENT_HELLO = 1, AGENT_WELCOME, AGENT_KNOCK, AGENT_REQUEST, AGENT_CONTROL, AGENT_CLOSE,
    AGENT_EVENT, AGENT_DATA, AGENT_EOF, AGENT_CREDIT, AGENT_END, AGENT_TYPE_COUNT
};

/* Stdin is the host's, the others are the guest's. A request with one output uses stdout. */
enum agent_stream { AGENT_STDIN, AGENT_STDOUT, AGENT_STDERR, AGENT_STREAM_COUNT };

enum agent_end { AGENT_HOST, AGENT_GUEST };

/* The header as it lies in memory on a little-endian machine, to pin its layout. */
struct agent_header {
    uint8_t magic[4];
    uint8_t type, stream;
    uint16_t channel;
    uint32_t length;
    uint32_t session[2];
};
_Static_assert(sizeof(struct agent_header) == AGENT_HEADER, "the header has 20 bytes");
_Static_assert(offsetof(struct agent_header, channel) == 6, "channel at 6");
_Static_assert(offsetof(struct agent_header, length) == 8, "length at 8");
_Static_assert(offsetof(struct agent_header, session) == 12, "session at 12");
_Static_assert(AGENT_WINDOW >= 4 * AGENT_FRAME_MAX, "a window holds some frames");
_Static_assert(AGENT_CHUNK <= AGENT_PAYLOAD_MAX, "a chunk fits");

struct agent_frame {
    enum agent_type type;
    uint8_t stream;
    uint16_t channel;
    uint32_t length;
    uint64_t session;
    const uint8_t *payload; /* length bytes, of the decoder's buffer */
};

/* --- Encoding -------------------------------------------------------------------------------- */

/* Writes the frame to out, which has AGENT_OVERHEAD + length bytes, and returns that size. payload
 * may be NULL when the caller has put it at out + AGENT_HEADER already. */
size_t agent_wire_encode(uint8_t *out, const struct agent_frame *frame);
/* The u32 of a CREDIT frame. */
void agent_wire_put_u32(uint8_t out[4], uint32_t value);
uint32_t agent_wire_get_u32(const uint8_t in[4]);

/* --- Decoding -------------------------------------------------------------------------------- */

#define AGENT_INBOX (2 * AGENT_FRAME_MAX)

struct agent_inbox {
    enum agent_end from;  /* who sends what is decoded here */
    uint64_t session;     /* frames of other sessions are skipped; HELLO and KNOCK are not */
    uint64_t n_skipped;   /* bytes that belonged to no good frame, since agent_inbox_init */
    size_t head, tail;
    uint8_t data[AGENT_INBOX];
};

void agent_inbox_init(struct agent_inbox *self, enum agent_end from, uint64_t session);
/* Where to put what arrives, and how much fits: never 0 once agent_inbox_next has returned 0. Ends
 * the life of payloads that were handed out. */
uint8_t *agent_inbox_space(struct agent_inbox *self, size_t *ret_size);
void agent_inbox_added(struct agent_inbox *self, size_t size);
/* Fills frame and returns 1, or 0 when more bytes are needed. The frame is well-formed for its type
 * and sender; channel and credit are the caller's to check. The caller changes session on HELLO. */
int agent_inbox_next(struct agent_inbox *self, struct agent_frame *frame);

/* --- Credit, for one channel at one end ----------------------------------------------------- */

struct agent_credit {
    uint32_t may_send;    /* what we may still send */
    uint32_t may_receive; /* what the other end may still send */
    uint32_t owed;        /* dealt with, and not yet given back */
};

void agent_credit_init(struct agent_credit *self);
/* The largest payload that may go now, at most AGENT_CHUNK; 0: none. */
size_t agent_credit_room(const struct agent_credit *self);
/* A DATA or EVENT of this length goes out; the caller has asked for room. */
void agent_credit_sent(struct agent_credit *self, uint32_t length);
/* One came in, or a CREDIT did. -EPROTO: more than was allowed. */
int agent_credit_received(struct agent_credit *self, uint32_t length);
int agent_credit_granted(struct agent_credit *self, uint32_t amount);
/* The reader is done with n bytes of credit (a frame's length and AGENT_OVERHEAD). */
void agent_credit_consumed(struct agent_credit *self, uint32_t n);
/* What to give back in a CREDIT frame now: 0 until it is worth a frame. */
uint32_t agent_credit_give(struct agent_credit *self);
