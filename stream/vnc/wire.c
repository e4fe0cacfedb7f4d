#include "stream/vnc/wire.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define FDS_MAX 2

/* What a type may look like. */
static const struct {
    enum vnc_end from;
    size_t payload_max;
    uint16_t side_max; /* of width and height */
    bool needs_size;   /* both at least 1 */
} rows[VNC_TYPE_COUNT] = {
    [VNC_ADD] = { VNC_OF_DAEMON_TO_HELPER, VNC_PASSWORD_MAX + 1 + VNC_NAME_MAX, 0, false },
    [VNC_ENDED] = { VNC_OF_HELPER, 0, 0, false },
    [VNC_SCREEN] = { VNC_OF_DAEMON_TO_VIEWER, 0, VNC_SIDE_MAX, true },
    [VNC_DAMAGE] = { VNC_OF_DAEMON_TO_VIEWER, VNC_RECTS_MAX * sizeof(struct vnc_rect), 0, false },
    [VNC_SHAPE] = { VNC_OF_DAEMON_TO_VIEWER, VNC_PAYLOAD_MAX, VNC_CURSOR_SIDE_MAX, false },
    [VNC_CURSOR] = { VNC_OF_DAEMON_TO_VIEWER, 0, 0, false },
    [VNC_CLIPBOARD] = { VNC_OF_DAEMON_TO_VIEWER, VNC_PAYLOAD_MAX, 0, false },
    [VNC_ROLE] = { VNC_OF_DAEMON_TO_VIEWER, 0, 0, false },
    [VNC_REFUSED] = { VNC_OF_DAEMON_TO_VIEWER, 0, 0, false },
    [VNC_HELLO] = { VNC_OF_VIEWER, 0, 0, false },
    [VNC_DENIED] = { VNC_OF_VIEWER, 0, 0, false },
    [VNC_KEY] = { VNC_OF_VIEWER, 0, 0, false },
    [VNC_POINTER] = { VNC_OF_VIEWER, 0, 0, false },
    [VNC_CUT] = { VNC_OF_VIEWER, VNC_PAYLOAD_MAX, 0, false },
    [VNC_SIZE] = { VNC_OF_VIEWER, 0, VNC_SIDE_MAX, true },
};

_Static_assert(sizeof(struct vnc_rect) == 8, "a rectangle is eight bytes on the wire");
_Static_assert(VNC_CURSOR_SIDE_MAX * VNC_CURSOR_SIDE_MAX * 4 <= VNC_PAYLOAD_MAX, "a cursor is one message");

struct header {
    uint8_t type, is_on;
    uint16_t number;
    uint32_t value;
    int32_t x, y;
    uint16_t width, height;
    uint32_t size;
};
_Static_assert(sizeof(struct header) == VNC_HEADER, "no padding");

void vnc_wire_header(const struct vnc_message *message, uint8_t out[VNC_HEADER])
{
    struct header header = {
        .type = (uint8_t)message->type, .is_on = message->is_on, .number = message->number,
        .value = message->value, .x = message->x, .y = message->y, .width = message->width,
        .height = message->height, .size = (uint32_t)message->size,
    };
    memcpy(out, &header, sizeof header);
}

static bool payload_fits(const struct vnc_message *m)
{
    switch (m->type) {
    case VNC_DAMAGE: return m->size > 0 && m->size % sizeof(struct vnc_rect) == 0;
    case VNC_SHAPE: return m->size == (size_t)m->width * m->height * 4;
    case VNC_ADD: return memchr(m->payload, 0, m->size) != NULL;
    default: return true;
    }
}

int vnc_wire_read(const void *packet, size_t size, enum vnc_end from, struct vnc_message *ret)
{
    struct header header;
    if (size < sizeof header || size > VNC_MESSAGE_MAX)
        return -EPROTO;
    memcpy(&header, packet, sizeof header);
    if (header.type >= VNC_TYPE_COUNT || rows[header.type].from != from || header.is_on > 1 ||
        header.size != size - sizeof header || header.size > rows[header.type].payload_max ||
        header.width > rows[header.type].side_max || header.height > rows[header.type].side_max)
        return -EPROTO;
    *ret = (struct vnc_message){
        .type = (enum vnc_type)header.type, .is_on = header.is_on, .number = header.number,
        .value = header.value, .x = header.x, .y = header.y, .width = header.width,
        .height = header.height, .payload = (const uint8_t *)packet + sizeof header, .size = header.size,
    };
    if ((rows[header.type].needs_size && (!header.width || !header.height)) || !payload_fits(ret))
        return -EPROTO;
    return 0;
}

struct vnc_rect vnc_wire_rect(const struct vnc_message *message, size_t i)
{
    struct vnc_rect rect;
    memcpy(&rect, message->payload + i * sizeof rect, sizeof rect);
    return rect;
}

/* --- The socket ------------------------------------------------------------------------------- */

union control {
    struct cmsghdr align;
    char space[CMSG_SPACE(FDS_MAX * sizeof(int))];
};

int vnc_wire_send(int fd, const struct vnc_message *message, const int *fds, size_t n_fds)
{
    uint8_t header[VNC_HEADER];
    union control control = { 0 };
    struct iovec parts[2] = { { header, sizeof header },
                              { (void *)(uintptr_t)message->payload, message->size } };
    struct msghdr msg = { .msg_iov = parts, .msg_iovlen = message->size ? 2 : 1 };
    vnc_wire_header(message, header);
    if (n_fds > FDS_MAX)
        return -EINVAL;
    if (n_fds > 0) {
        msg.msg_control = control.space;
        msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        memcpy(CMSG_DATA(cmsg), fds, n_fds * sizeof(int));
    }
    ssize_t n;
    do
        n = sendmsg(fd, &msg, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : 0;
}

static void take_fds(struct msghdr *msg, int *fds, size_t n_fds)
{
    size_t n = 0;
    for (size_t i = 0; i < n_fds; i++)
        fds[i] = -1;
    for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(msg); cmsg; cmsg = CMSG_NXTHDR(msg, cmsg)) {
        if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof fd, sizeof fd);
            if (n < n_fds)
                fds[n++] = fd;
            else
                close(fd);
        }
    }
}

ptrdiff_t vnc_wire_receive(int fd, uint8_t packet[VNC_MESSAGE_MAX], int *fds, size_t n_fds)
{
    union control control = { 0 };
    struct iovec part = { packet, VNC_MESSAGE_MAX };
    struct msghdr msg = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.space,
                          .msg_controllen = sizeof control.space };
    ssize_t n;
    do
        n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    take_fds(&msg, fds, n_fds);
    if (!(msg.msg_flags & MSG_TRUNC))
        return n;
    for (size_t i = 0; i < n_fds; i++)
        util_close_ptr(&fds[i]);
    return -EMSGSIZE;
}
