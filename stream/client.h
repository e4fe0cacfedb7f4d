/* Messages of a client, checked (docs/stream.md, "From the client"). Pure. */
#pragma once

#include "stream/record.h"

#define CLIENT_MESSAGE_MAX ((size_t)1 << 20)
#define CLIENT_RECORDS_MAX 64
#define CLIENT_TEXT_MAX 4096

enum client_wish { CLIENT_GIVE_BACK, CLIENT_CONTROL, CLIENT_TAKE_OVER, CLIENT_WISH_COUNT };

/* One record. Which members are set follows from type. */
struct client_record {
    enum record_type type;
    uint64_t id;      /* KEY to RELEASE, TEXT: of the input; ACK: of the frame; PING: anything */
    bool is_down;     /* KEY, BUTTON; SHOW: shown */
    int x, y;         /* MOVE, BUTTON, WHEEL: native pixels, 0..65535 */
    int code;         /* KEY: evdev code; BUTTON: 0..4 as in docs/stream.md */
    int dx, dy;       /* WHEEL: 1/120 notch */
    int width, height; /* RESIZE; HELLO: of pictures */
    int version, kept; /* HELLO */
    unsigned flags;   /* HELLO */
    enum client_wish wish;
    const uint8_t *text; /* PASTE, TEXT: UTF-8 as it came, n_text bytes, borrowed */
    size_t n_text;
};

/* Takes the next record off *data. RECORD_END when none is left. -EPROTO for one that a client may
 * not send. */
int client_next(const uint8_t **data, size_t *size, struct client_record *ret);
