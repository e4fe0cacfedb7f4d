/* Frames of a WebSocket, RFC 6455 section 5. Pure: nothing here reads, writes or allocates.
 *
 * What a client sends is masked; what a server sends is not. Extensions are not negotiated, so the
 * reserved bits must be zero. */
#pragma once

#include "base/util.h"

#define WS_HEADER_MAX 14
#define WS_CONTROL_MAX 125

enum ws_opcode {
    WS_CONTINUATION = 0, WS_TEXT = 1, WS_BINARY = 2, WS_CLOSE = 8, WS_PING = 9, WS_PONG = 10
};

/* Close codes that are sent or told here (section 7.4.1). 1005 and 1006 are never sent. */
enum {
    WS_NORMAL = 1000, WS_GOING_AWAY = 1001, WS_PROTOCOL_ERROR = 1002, WS_NO_CODE = 1005,
    WS_LOST = 1006, WS_BAD_TEXT = 1007, WS_TOO_LARGE = 1009, WS_TRY_LATER = 1013,
};

struct ws_frame {
    bool is_last; /* of its message */
    enum ws_opcode opcode;
    uint8_t mask[4];
    uint64_t length; /* of the payload, below 2^63 */
    size_t header;   /* bytes before the payload */
};

enum { WS_MORE = 1 }; /* the header has not come whole */

/* Reads the header of a client's frame. 0, WS_MORE, or -EPROTO. */
int ws_frame_parse(struct ws_frame *ret, const uint8_t *data, size_t size);
/* Undoes the mask in place. */
void ws_frame_unmask(uint8_t *payload, size_t size, const uint8_t mask[4]);
/* Writes the header of a whole message or control frame of a server; returns its size. */
size_t ws_frame_header(uint8_t out[WS_HEADER_MAX], enum ws_opcode opcode, uint64_t length);

/* Whether the bytes are UTF-8 (RFC 3629): no surrogates, nothing longer than needed. */
bool ws_text_is_valid(const uint8_t *text, size_t size);
/* The code in the payload of a Close: WS_NO_CODE when empty, WS_PROTOCOL_ERROR when it is none that
 * may be sent. */
int ws_close_code(const uint8_t *payload, size_t size);
