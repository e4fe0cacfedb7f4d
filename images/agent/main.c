/* deskfarm-agent: what the daemon can do inside a Linux guest.
 *
 *   deskfarm-agent [--port PATH | --fd N] [--user NAME] [--desktop PATH]
 *
 * --user is whose desktop it is (the user 1000), --desktop the socket for that user's helper; with
 * --fd there is none unless it is named.
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
 * It does not touch X: a separate helper of the desktop's user does (helper.c), so that this program
 * stays static and small. */
#include "base/clock.h"
#include "images/agent/channel.h"
#include "images/agent/helper.h"
#include "images/agent/loop.h"
#include "images/agent/port.h"
#include "images/agent/user.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#define PORTS "/sys/class/virtio-ports"
#define PORT_NAME "org.deskfarm.agent.0"
#define PORT_WAIT_US 20000
#define PORT_TRIES 3000

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

static bool has_name(const char *device)
{
    char path[300], name[64] = "";
    snprintf(path, sizeof path, PORTS "/%s/name", device);
    FILE *file = fopen(path, "re");
    bool is_it = file && fscanf(file, "%63s", name) == 1 && strcmp(name, PORT_NAME) == 0;
    if (file)
        fclose(file);
    return is_it;
}

/* Finds the port as the kernel knows it: the agent starts before udev has made any link. */
static bool find_port(char path[300])
{
    bool is_found = false;
    DIR *dir = opendir(PORTS);
    for (struct dirent *entry; dir && !is_found && (entry = readdir(dir));) {
        is_found = has_name(entry->d_name);
        snprintf(path, 300, "/dev/%s", entry->d_name);
    }
    if (dir)
        closedir(dir);
    return is_found;
}

/* The device appears when the driver has been loaded, its name when the host has told it. */
static int open_port(const char *given)
{
    char path[300];
    int err = ENOENT;
    for (int i = 0; i < PORT_TRIES; i++) {
        if (given || find_port(path)) {
            int fd = open(given ? given : path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
            if (fd >= 0)
                return fd;
            err = errno;
        }
        if (err != ENOENT && err != ENODEV && err != EBUSY)
            break;
        usleep(PORT_WAIT_US);
    }
    return -err;
}

/* Before the programs that keep the guest busy. Children do not inherit it. */
static void come_first(void)
{
    const struct sched_param none = { 0 };
    if (sched_setscheduler(0, SCHED_OTHER | SCHED_RESET_ON_FORK, &none) == 0)
        setpriority(PRIO_PROCESS, 0, -20);
}

static int usage(void)
{
    fputs("usage: deskfarm-agent [--port PATH | --fd N] [--user NAME] [--desktop PATH]\n", stderr);
    return 2;
}

/* Without it everything but the desktop's operations works. */
static void listen_for_helper(const char *path, const char *name)
{
    auto_json json_t *user = json_string(name);
    int64_t uid = name ? user_id(user) : HELPER_UID;
    int r = uid < 0 ? (int)uid : helper_open(path, (uid_t)uid);
    if (r < 0)
        fprintf(stderr, "deskfarm-agent: %s: %s\n", path, strerror(-r));
}

int main(int argc, char **argv)
{
    const char *path = NULL, *desktop = NULL, *user = NULL;
    int fd = -1;
    for (int i = 1; i < argc; i += 2) {
        if (i + 1 < argc && strcmp(argv[i], "--port") == 0)
            path = argv[i + 1];
        else if (i + 1 < argc && strcmp(argv[i], "--fd") == 0)
            fd = atoi(argv[i + 1]);
        else if (i + 1 < argc && strcmp(argv[i], "--user") == 0)
            user = argv[i + 1];
        else if (i + 1 < argc && strcmp(argv[i], "--desktop") == 0)
            desktop = argv[i + 1];
        else
            return usage();
    }
    if (!desktop && fd < 0)
        desktop = HELPER_SOCKET;
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
        fprintf(stderr, "deskfarm-agent: %s: %s\n", path ? path : PORT_NAME, strerror(-r));
        return 1;
    }
    if (desktop)
        listen_for_helper(desktop, user);
    come_first();
    while (port_turn()) {
        channels_resume();
        int64_t wait_us = channels_tick();
        loop_turn(port_is_busy() ? 0 : wait_us);
    }
    channels_reset();
    return 0;
}
