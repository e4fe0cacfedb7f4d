/* deskfarm-desktop: what the host can do with a desktop beyond its screen, keyboard and mouse.
 *
 *   deskfarm-desktop [--socket PATH]
 *
 * Model. A program of the desktop's user, started by the session and again when it ends. It has one
 * connection to the X server, one to the session's D-Bus and one to the accessibility bus, and asks
 * deskfarm-agent for work (images/agent/helper.c): requests come as messages with two descriptors,
 * each is a task (task.h). One thread, one epoll loop; nothing waits for another program except in
 * that loop, so a program that hangs holds up only the task that asks it. X itself is asked
 * synchronously: the server is the desktop.
 *
 * Limits. TASKS_MAX tasks; input and output of a task are bounded (task.h), so are the windows,
 * the nodes and the texts that are looked at. What it owns of the clipboard it keeps until
 * somebody else copies. It ends when the agent or the X server goes. */
#include "images/agent/desktop/a11y-bus.h"
#include "images/agent/desktop/desktop.h"
#include "images/agent/desktop/keyboard.h"
#include "images/agent/desktop/x11.h"
#include "images/agent/helper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define REQUEST_MAX 65536
#define CONNECT_TRIES 3000
#define CONNECT_WAIT_US 200000

const struct task_op desktop_ops[] = {
    { "clipboard.get", clipboard_get, 0 },
    { "clipboard.set", clipboard_set, TASK_INPUT_MAX },
    { "clipboard.watch", clipboard_watch, 0 },
    { "clipboard.reads", clipboard_reads, 0 },
    { "windows", windows_list, 0 },
    { "window", window_do, 0 },
    { "launch", launch_begin, 0 },
    { "keyboard.get", keyboard_get, 0 },
    { "keyboard.set", keyboard_set, 0 },
    { "keys", keys_begin, 0 },
    { "type", typing_begin, 256 * 1024 },
    { "screen", screen_get, 0 },
    { "a11y.tree", a11y_tree, 0 },
    { "a11y.find", a11y_find, 0 },
    { "a11y.node", a11y_node, 1024 * 1024 },
};
const size_t desktop_n_ops = ARRAY_LEN(desktop_ops);

static struct source agent = { .fd = -1 }, server = { .fd = -1 };
static bool is_over;

static void take_request(struct msghdr *message, const char *text, size_t size)
{
    int fds[2] = { -1, -1 };
    struct cmsghdr *header = CMSG_FIRSTHDR(message);
    if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
        header->cmsg_len == CMSG_LEN(sizeof fds))
        memcpy(fds, CMSG_DATA(header), sizeof fds);
    if (fds[0] >= 0 && fds[1] >= 0)
        task_begin(text, size, fds[0], fds[1]);
}

static void handle_agent(void *data maybe_unused, uint32_t events maybe_unused)
{
    static char text[REQUEST_MAX];
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(2 * sizeof(int))];
    } control;
    struct iovec part = { text, sizeof text };
    struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.space,
                              .msg_controllen = sizeof control.space };
    ssize_t n = recvmsg(agent.fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    is_over = n <= 0;
    if (n > 0)
        take_request(&message, text, (size_t)n);
}

/* The agent may be started later, or again. */
static int connect_agent(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof address.sun_path)
        return -ENAMETOOLONG;
    strcpy(address.sun_path, path);
    for (int i = 0; i < CONNECT_TRIES; i++) {
        auto_fd int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        if (fd < 0)
            return -errno;
        if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0) {
            source_open(&agent, steal_fd(&fd), handle_agent, NULL);
            source_set(&agent, EPOLLIN);
            return 0;
        }
        if (errno != ENOENT && errno != ECONNREFUSED)
            return -errno;
        usleep(CONNECT_WAIT_US);
    }
    return -ETIMEDOUT;
}

static void handle_server(void *data maybe_unused, uint32_t events maybe_unused)
{
    /* x11_turn reads it, before every wait. */
}

static void handle_signal(int signo maybe_unused)
{
    is_over = true;
}

static void run(void)
{
    while (!is_over) {
        x11_turn();
        int64_t bus_us = a11y_bus_turn(), alarm_us = alarms_turn();
        /* What the turns did may have queued events in Xlib that no descriptor announces. */
        x11_turn();
        int64_t wait_us = bus_us < 0 ? alarm_us : alarm_us < 0 ? bus_us : MIN(bus_us, alarm_us);
        loop_turn(wait_us);
    }
}

int main(int argc, char **argv)
{
    const char *path = HELPER_SOCKET;
    if (argc == 3 && strcmp(argv[1], "--socket") == 0) {
        path = argv[2];
    } else if (argc != 1) {
        fputs("usage: deskfarm-desktop [--socket PATH]\n", stderr);
        return 2;
    }
    struct sigaction action = { .sa_handler = handle_signal };
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, SIG_IGN); /* what was launched is nobody's to wait for */
    int r = loop_open();
    if (r == 0)
        r = x11_open();
    if (r == 0)
        r = connect_agent(path);
    if (r < 0) {
        fprintf(stderr, "deskfarm-desktop: %s\n", strerror(-r));
        return 1;
    }
    source_open(&server, fcntl(ConnectionNumber(x11_display()), F_DUPFD_CLOEXEC, 3), handle_server,
                NULL);
    source_set(&server, EPOLLIN);
    keys_open();
    a11y_bus_open();
    run();
    typing_restore();
    XCloseDisplay(x11_display());
    return 0;
}
