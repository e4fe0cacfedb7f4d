/* deskfarm-agent: what the daemon can do inside a Linux guest.
 *
 *   deskfarm-agent [--port PATH | --fd N]
 *
 * Model. One process, one thread, one epoll loop, no configuration, no state on disk. It speaks
 * base/agent-wire.h over a virtio-serial port (or a socket that it has been given, which is how it
 * is tested). A request has a channel; what takes time or touches files is a child process of its
 * own with the identity of the user who was asked for, so the loop never waits for a disk and a
 * child that goes wrong takes nobody along. What the agent itself does is move bytes.
 *
 * Limits. AGENT_CHANNELS requests at once, as many again that were let go; per channel at most
 * AGENT_WINDOW bytes of input; for all of them some hundred KiB of output. A program that writes
 * without end is held up by its pipe, a host that does not read or sends nonsense costs a skipped
 * frame.
 *
 * It does not touch X: a separate helper of the desktop's user will (see README.md), so that this
 * program stays static and small. */
#include "base/clock.h"
#include "images/agent/channel.h"
#include "images/agent/loop.h"
#include "images/agent/port.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define PORT "/dev/virtio-ports/org.deskfarm.agent.0"
#define PORT_WAIT_US 100000
#define PORT_TRIES 600

/* Descriptors 0 to 2 are open ever after, so that children's ends are above them. */
static void open_standard(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    while (fd >= 0 && fd <= 2);
    if (fd > 2)
        close(fd);
}

/* The device node appears when the driver has been loaded. */
static int open_port(const char *path)
{
    int fd = -1;
    for (int i = 0; i < PORT_TRIES && fd < 0; i++) {
        fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
        if (fd < 0 && errno != ENOENT && errno != ENODEV && errno != EBUSY)
            break;
        if (fd < 0)
            usleep(PORT_WAIT_US);
    }
    return fd < 0 ? -errno : fd;
}

static int usage(void)
{
    fputs("usage: deskfarm-agent [--port PATH | --fd N]\n", stderr);
    return 2;
}

int main(int argc, char **argv)
{
    const char *path = PORT;
    int fd = -1;
    if (argc == 3 && strcmp(argv[1], "--port") == 0)
        path = argv[2];
    else if (argc == 3 && strcmp(argv[1], "--fd") == 0)
        fd = atoi(argv[2]);
    else if (argc != 1)
        return usage();
    open_standard();
    signal(SIGPIPE, SIG_IGN);
    if (fd < 0)
        fd = open_port(path);
    if (fd >= 0)
        fcntl(fd, F_SETFD, FD_CLOEXEC);
    int r = fd < 0 ? fd : loop_open();
    if (r == 0)
        r = port_open(fd);
    if (r < 0) {
        fprintf(stderr, "deskfarm-agent: %s: %s\n", path, strerror(-r));
        return 1;
    }
    while (port_turn()) {
        channels_resume();
        int64_t wait_us = channels_tick();
        loop_turn(port_is_busy() ? 0 : wait_us);
    }
    channels_reset();
    return 0;
}
