/* What the daemon and deskfarm-vnc say to each other: one message per packet of a SOCK_SEQPACKET pair,
 * both ends on one machine.
 *
 *   daemon <-> helper           one pair per desktop: viewers are added, their ends are told
 *   daemon <-> viewer process   one pair per viewer: picture, cursor, clipboard; input
 *
 * A message is a header of VNC_HEADER bytes, host byte order, and a payload. What a field means
 * follows from the type; one that has no meaning is 0. Pure: nothing here allocates, reads or
 * writes. Coordinates are framebuffer pixels. */
#pragma once

#include "base/util.h"

#define VNC_HEADER 24
#define VNC_PAYLOAD_MAX ((size_t)64 * 1024)
#define VNC_MESSAGE_MAX (VNC_HEADER + VNC_PAYLOAD_MAX)

#define VNC_RECTS_MAX 1024
#define VNC_SIDE_MAX 8192
#define VNC_CURSOR_SIDE_MAX 128
#define VNC_TEXT_MAX ((size_t)1 << 20) /* of a clipboard, which comes in pieces */
#define VNC_PASSWORD_MAX 8             /* VNC authentication looks at no more */
#define VNC_NAME_MAX 64

/* The descriptor that the helper finds its socket at. */
#define VNC_HELPER_FD 3

enum vnc_type {
    /* To the helper. */
    VNC_ADD = 1, /* value: viewer's id; is_on: in control; payload: password, NUL, name of the desktop.
                    Two descriptors: the viewer's connection, its process's end of the pair */
    /* From the helper. */
    VNC_ENDED, /* value: viewer's id; number: status as from waitpid */
    /* To a viewer process. */
    VNC_SCREEN,    /* width, height; one descriptor: pixels 0xffRRGGBB without padding */
    VNC_DAMAGE,    /* payload: struct vnc_rect, all inside the screen */
    VNC_SHAPE,     /* width, height, x and y of the hotspot; payload: straight ARGB. 0x0: none */
    VNC_CURSOR,    /* x, y of the hotspot; is_on: visible */
    VNC_CLIPBOARD, /* payload: a piece of UTF-8; is_on: the last */
    VNC_ROLE,      /* is_on: in control */
    VNC_REFUSED,   /* the size asked for was not taken */
    /* From a viewer process. */
    VNC_HELLO,   /* the viewer has shown its password: it wants the screen */
    VNC_DENIED,  /* it did not */
    VNC_KEY,     /* number: QEMU's qnum or 0; value: X keysym or 0; is_on: down */
    VNC_POINTER, /* x, y; number: mask of buttons as in RFB's PointerEvent */
    VNC_CUT,     /* payload: a piece of UTF-8; is_on: the last */
    VNC_SIZE,    /* width, height that the screen should have */
    VNC_TYPE_COUNT,
};

enum vnc_end { VNC_OF_HELPER = 1, VNC_OF_VIEWER = 2, VNC_OF_DAEMON_TO_HELPER = 4, VNC_OF_DAEMON_TO_VIEWER = 8 };

struct vnc_rect {
    uint16_t x, y, width, height;
};

struct vnc_message {
    enum vnc_type type;
    bool is_on;
    uint16_t number;
    uint32_t value;
    int32_t x, y;
    uint16_t width, height;
    const uint8_t *payload; /* borrowed; not aligned */
    size_t size;
};

/* Writes the header; the payload goes behind it as it is. */
void vnc_wire_header(const struct vnc_message *message, uint8_t out[VNC_HEADER]);
/* Checks one packet that came from the given end: type, sizes, limits. -EPROTO when it is not as above.
 */
int vnc_wire_read(const void *packet, size_t size, enum vnc_end from, struct vnc_message *ret);
/* Rectangle i of a DAMAGE. */
struct vnc_rect vnc_wire_rect(const struct vnc_message *message, size_t i);

/* Sends a message with descriptors (n_fds may be 0). 0, or -errno; -EAGAIN when the socket is full, of
 * a socket that does not block. */
int vnc_wire_send(int fd, const struct vnc_message *message, const int *fds, size_t n_fds);
/* Receives one packet and up to n_fds descriptors (-1 where none came); more are closed. Returns its
 * size, 0 at the end, -errno (-EAGAIN, -EMSGSIZE). */
ptrdiff_t vnc_wire_receive(int fd, uint8_t packet[VNC_MESSAGE_MAX], int *fds, size_t n_fds);
