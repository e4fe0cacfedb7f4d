#include "cli/relay.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#define HOLD_BYTES 65536

/* One direction. */
struct flow {
    uint8_t bytes[HOLD_BYTES];
    size_t at, size; /* what waits to be written */
    bool is_ended;   /* the reader has said so */
    bool is_done;    /* and it was passed on */
};

static ssize_t result(ssize_t n)
{
    return n < 0 ? (errno == EINTR ? -EAGAIN : -errno) : n;
}

/* Takes in what a read gave. */
static int taken(struct flow *self, ssize_t n)
{
    if (n == -EAGAIN)
        return 0;
    if (n < 0)
        return (int)n;
    self->at = 0;
    self->size = (size_t)n;
    self->is_ended = n == 0;
    return 0;
}

static int given(struct flow *self, ssize_t n)
{
    if (n < 0)
        return n == -EAGAIN ? 0 : (int)n;
    self->at += (size_t)n;
    self->size -= (size_t)n;
    return 0;
}

static int pump_up(struct flow *self, struct connection *tunnel, int in)
{
    int r = 0;
    if (self->size == 0 && !self->is_ended)
        r = taken(self, result(read(in, self->bytes, sizeof self->bytes)));
    if (r == 0 && self->size > 0)
        r = given(self, connection_write(tunnel, self->bytes + self->at, self->size));
    if (r == 0 && self->is_ended && !self->is_done) {
        self->is_done = true;
        connection_end(tunnel);
    }
    return r;
}

static int pump_down(struct flow *self, struct connection *tunnel, int out)
{
    int r = 0;
    if (self->size == 0 && !self->is_ended)
        r = taken(self, connection_read(tunnel, self->bytes, sizeof self->bytes));
    if (r == 0 && self->size > 0)
        r = given(self, result(write(out, self->bytes + self->at, self->size)));
    if (r == 0 && self->is_ended && !self->is_done) {
        self->is_done = true;
        if (shutdown(out, SHUT_WR) < 0)
            close(out);
    }
    return r;
}

static void make_nonblocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    /* A terminal's flags are those of everybody who has it. */
    if (flags >= 0 && !isatty(fd))
        fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

int relay_run(struct connection *tunnel, int in, int out)
{
    static struct flow up, down;
    up.size = down.size = 0;
    up.is_ended = up.is_done = down.is_ended = down.is_done = false;
    make_nonblocking(in);
    make_nonblocking(out);
    int r = 0;
    while (r == 0 && !(up.is_done && down.is_done)) {
        r = pump_up(&up, tunnel, in);
        if (r == 0)
            r = pump_down(&down, tunnel, out);
        /* A guest that has closed both ways takes nothing more of what we still have. */
        if (r != 0 || (up.is_done && down.is_done))
            break;
        short wanted = (short)((up.size ? POLLOUT : 0) | (down.size || down.is_ended ? 0 : POLLIN));
        struct pollfd fds[] = {
            { .fd = wanted ? connection_fd(tunnel) : -1, .events = wanted },
            { .fd = up.size || up.is_ended ? -1 : in, .events = POLLIN },
            { .fd = down.size ? out : -1, .events = POLLOUT },
        };
        if (poll(fds, ARRAY_LEN(fds), -1) < 0 && errno != EINTR)
            r = -errno;
    }
    return r;
}
