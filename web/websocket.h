/* A WebSocket (RFC 6455) at its server's end, on a row of the API with API_WEBSOCKET.
 *
 * The row's handler runs after host, origin, key, role and query were checked as for any request,
 * and calls websocket_accept or answers an error. The daemon holds no queue of messages: when the
 * socket takes more, next_packet is asked for the newest there is. A packet is a list of counted
 * buffers that go to the kernel as they are, so that many viewers send the same bytes without a
 * copy. The kernel's own queue is kept below WEBSOCKET_KERNEL_BYTES, so that what is asked for is
 * soon on its way.
 *
 * A peer that is silent for WEBSOCKET_PING_S gets a Ping, and after as long again without a byte it
 * is lost; one that takes no byte of a packet for WEBSOCKET_STALL_S too. */
#pragma once

#include "base/buf.h"
#include "web/ws-frame.h"

struct request;
struct websocket;

#define WEBSOCKET_PARTS_MAX 64
#define WEBSOCKET_KERNEL_BYTES (128 * 1024)
#define WEBSOCKET_PING_S 30
#define WEBSOCKET_STALL_S 30
#define WEBSOCKET_REASON_MAX 120

struct websocket_part {
    struct bytes *bytes;
    size_t offset, size;
};

/* One message. */
struct websocket_packet {
    bool is_text;
    size_t n_parts;
    struct websocket_part parts[WEBSOCKET_PARTS_MAX];
};

/* On the loop. Each may call anything below; next_packet and on_message may be NULL. */
struct websocket_ops {
    /* The socket takes a message. Fill packet (it comes empty; its references are taken over) and
     * return true; false when there is none, until websocket_wake. */
    bool (*next_packet)(void *data, struct websocket_packet *packet);
    /* A whole message; borrowed. Text is valid UTF-8. */
    void (*on_message)(void *data, bool is_text, const uint8_t *bytes, size_t size);
    /* The last: the peer has gone. Its close code, WS_NO_CODE, WS_LOST, or what it did wrong. */
    void (*on_closed)(void *data, int code);
};

struct websocket_config {
    const struct websocket_ops *ops;
    void *data;
    size_t message_max;   /* bytes of a message that comes in; longer: closed with 1009 */
    const char *protocol; /* the subprotocol; agreed to when the client offers it. NULL: none */
};

/* Turns the request into a WebSocket: the request is gone. NULL when the client's handshake is
 * wrong or memory is short: then the request is answered. Nothing is called back before the next
 * turn. */
struct websocket *websocket_accept(struct request *request, const struct websocket_config *config);
/* There is something to send: next_packet runs when the socket takes it. */
void websocket_wake(struct websocket *self);
/* While paused no message comes, and the peer is held back by TCP. */
void websocket_pause(struct websocket *self, bool is_paused);
/* Sends what is begun and a Close, and forgets the owner: no callback follows. Takes NULL, returns
 * NULL. */
struct websocket *websocket_close(struct websocket *self, int code, const char *reason);
