/* The port is read and written edge-triggered: without a host the kernel reports a hang-up for as
 * long as there is none, and level-triggered that would spin.
 *
 * Bounds. What is queued to go out grows by DATA and EVENT only up to OUT_HIGH, because their
 * senders ask port_is_full first. Everything else that is queued answers something that came in,
 * and nothing is taken in while OUT_HIGH is exceeded. So the queue has OUT_HIGH bytes, one frame
 * and what one turn adds, whatever the host does. */
#include "images/agent/port.h"

#include "images/agent/channel.h"
#include "images/agent/loop.h"
#include "images/agent/ops.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define OUT_HIGH (256 * 1024)
#define OUT_MAX (8 * 1024 * 1024) /* past all that can happen; frames would be lost then */
#define TURN_READS 8

static struct source port;
static struct agent_inbox inbox;
static struct buf out = { .limit = OUT_MAX };
static size_t out_sent; /* bytes at the front of out that have gone */
static bool is_socket, can_read, can_write, is_gone;

static size_t queued(void)
{
    return out.size - out_sent;
}

bool port_is_full(void)
{
    return queued() >= OUT_HIGH;
}

bool port_is_busy(void)
{
    return (can_read && !port_is_full()) || (can_write && queued() > 0) || is_gone;
}

/* --- Out ------------------------------------------------------------------------------------- */

static uint8_t *reserve(size_t size)
{
    if (out_sent && out_sent >= out.size / 2) {
        buf_consume(&out, out_sent);
        out_sent = 0;
    }
    uint8_t *at = buf_reserve(&out, size);
    out.failed = false;
    return at;
}

static void put(const struct agent_frame *frame)
{
    uint8_t *at = reserve(AGENT_OVERHEAD + frame->length);
    if (at)
        out.size += agent_wire_encode(at, frame);
}

void port_send(enum agent_type type, uint16_t channel, const void *payload, size_t size)
{
    put(&(struct agent_frame) { .type = type, .channel = channel, .length = (uint32_t)size,
                                .session = type == AGENT_KNOCK ? 0 : inbox.session,
                                .payload = payload });
}

void port_send_eof(uint16_t channel, enum agent_stream stream)
{
    put(&(struct agent_frame) { .type = AGENT_EOF, .stream = (uint8_t)stream, .channel = channel,
                                .session = inbox.session });
}

size_t port_send_json(enum agent_type type, uint16_t channel, json_t *object)
{
    auto_json json_t *owned = object;
    auto_buf struct buf text = { .limit = AGENT_PAYLOAD_MAX };
    if (owned && json_write(owned, &text) == 0 && text.size >= 2) {
        port_send(type, channel, text.data, text.size);
        return text.size;
    }
    static const char error[] =
        "{\"error\":{\"code\":\"too_large\",\"message\":\"the answer does not fit a frame\"}}";
    port_send(AGENT_END, channel, error, sizeof error - 1);
    return sizeof error - 1;
}

uint8_t *port_data_begin(size_t size)
{
    uint8_t *at = reserve(AGENT_OVERHEAD + size);
    return at ? at + AGENT_HEADER : NULL;
}

void port_data_end(uint16_t channel, enum agent_stream stream, size_t size)
{
    if (size == 0)
        return;
    struct agent_frame frame = { .type = AGENT_DATA, .stream = (uint8_t)stream, .channel = channel,
                                 .length = (uint32_t)size, .session = inbox.session };
    out.size += agent_wire_encode(out.data + out.size, &frame);
}

static void flush(void)
{
    while (can_write && queued() > 0) {
        ssize_t n = write(port.fd, out.data + out_sent, queued());
        if (n > 0)
            out_sent += (size_t)n;
        else if (n < 0 && errno == EINTR)
            continue;
        else
            can_write = false; /* EAGAIN, or nobody is there: an event tells when that changes */
    }
    if (out_sent == out.size)
        out.size = out_sent = 0;
}

/* --- In -------------------------------------------------------------------------------------- */

static void begin_session(uint64_t session)
{
    bool is_new = session != inbox.session;
    if (is_new)
        out.size = out_sent = 0; /* the host skips the rest of what has partly gone */
    inbox.session = session;
    port_send_json(AGENT_WELCOME, 0, ops_welcome());
    flush();
    if (is_new)
        channels_reset();
}

static void handle_frame(const struct agent_frame *frame)
{
    struct channel *channel = channel_find(frame->channel);
    switch (frame->type) {
    case AGENT_HELLO:
        begin_session(frame->session);
        return;
    case AGENT_REQUEST:
        flush(); /* it may take a while to start */
        ops_request(frame->channel, frame->payload, frame->length);
        return;
    case AGENT_CONTROL:
        if (channel)
            channel_control(channel, frame->payload, frame->length);
        return;
    case AGENT_CLOSE:
        if (channel)
            channel_cancel(channel);
        return;
    case AGENT_DATA:
        if (channel)
            channel_take(channel, frame->payload, frame->length);
        return;
    case AGENT_EOF:
        if (channel)
            channel_take_eof(channel);
        return;
    case AGENT_CREDIT:
        if (channel)
            channel_credit(channel, agent_wire_get_u32(frame->payload));
        return;
    default: /* the guest's own; the decoder lets none through */
        return;
    }
}

static void handle_frames(void)
{
    struct agent_frame frame;
    while (!port_is_full() && agent_inbox_next(&inbox, &frame))
        handle_frame(&frame);
}

static void read_some(void)
{
    handle_frames(); /* those that waited for the queue to empty */
    for (int i = 0; i < TURN_READS && can_read && !port_is_full(); i++) {
        size_t room;
        uint8_t *at = agent_inbox_space(&inbox, &room);
        if (room == 0)
            return;
        ssize_t n = read(port.fd, at, room);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            can_read = false;
            is_gone = is_socket && (n == 0 || errno != EAGAIN);
            return;
        }
        agent_inbox_added(&inbox, (size_t)n);
        handle_frames();
    }
}

static void handle_port(void *data maybe_unused, uint32_t events)
{
    can_read |= (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0;
    can_write |= (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0;
}

bool port_turn(void)
{
    flush();
    read_some();
    flush();
    return !is_gone;
}

int port_open(int fd)
{
    struct stat info;
    if (fstat(fd, &info) < 0)
        return -errno;
    is_socket = S_ISSOCK(info.st_mode);
    agent_inbox_init(&inbox, AGENT_HOST, 0);
    source_open(&port, fd, handle_port, NULL);
    source_set(&port, EPOLLIN | EPOLLOUT | EPOLLET);
    can_read = can_write = true;
    port_send(AGENT_KNOCK, 0, NULL, 0);
    return port.events ? 0 : -EBADF;
}
