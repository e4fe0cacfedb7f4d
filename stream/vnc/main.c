/* deskfarm-vnc: the helper that shows one desktop to VNC viewers.
 *
 * Started in a jail (no network, no files, no other process) with one socket, at VNC_HELPER_FD. Each
 * ADD brings a viewer's connection, for which a process is forked: libvncserver waits for a slow viewer,
 * and so does nobody else, and what a viewer might break is its own process. The end of each is told by
 * ENDED; when the socket ends, so does everything here.
 *
 * This program links libvncserver, which is under the GPL: as a whole the binary is too. */
#include "base/fence.h"
#include "stream/vnc/serve.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#define VIEWERS_MAX 64 /* the daemon's limit is lower */

struct child {
    pid_t pid; /* 0: free */
    uint32_t id;
};

static struct child children[VIEWERS_MAX];

static void run_viewer(const struct vnc_message *add, const int fds[2])
{
    struct serve_config config = { .viewer_fd = fds[0], .channel_fd = fds[1], .can_control = add->is_on };
    size_t n = strnlen((const char *)add->payload, VNC_PASSWORD_MAX);
    memcpy(config.password, add->payload, n);
    size_t rest = MIN(add->size - n - 1, (size_t)VNC_NAME_MAX);
    memcpy(config.name, add->payload + n + 1, rest);
    close(VNC_HELPER_FD);
    if (fence_no_processes() < 0)
        _exit(2);
    serve_run(&config);
    _exit(0);
}

static void add_viewer(const struct vnc_message *add, const int fds[2])
{
    struct child *place = children;
    while (place < children + VIEWERS_MAX && place->pid)
        place++;
    pid_t pid = place < children + VIEWERS_MAX ? fork() : -1;
    if (pid == 0)
        run_viewer(add, fds);
    if (pid > 0)
        *place = (struct child){ pid, add->value };
}

static void reap(void)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        for (struct child *child = children; child < children + VIEWERS_MAX; child++) {
            if (child->pid != pid)
                continue;
            vnc_wire_send(VNC_HELPER_FD, &(struct vnc_message){ .type = VNC_ENDED, .value = child->id,
                                                                .number = (uint16_t)status }, NULL, 0);
            child->pid = 0;
        }
    }
}

static void handle_child(int signo maybe_unused) {}

/* False: the daemon is gone, or is none. */
static bool turn(void)
{
    static uint8_t packet[VNC_MESSAGE_MAX];
    struct vnc_message message;
    int fds[2];
    ptrdiff_t n = vnc_wire_receive(VNC_HELPER_FD, packet, fds, 2);
    if (n <= 0 || vnc_wire_read(packet, (size_t)n, VNC_OF_DAEMON_TO_HELPER, &message) < 0)
        return false;
    if (fds[0] >= 0 && fds[1] >= 0)
        add_viewer(&message, fds);
    util_close_ptr(&fds[0]);
    util_close_ptr(&fds[1]);
    return true;
}

int main(void)
{
    struct pollfd socket = { .fd = VNC_HELPER_FD, .events = POLLIN };
    struct sigaction child = { .sa_handler = handle_child };
    sigset_t blocked, none;
    signal(SIGPIPE, SIG_IGN);
    sigaction(SIGCHLD, &child, NULL);
    sigemptyset(&none);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGCHLD);
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    serve_warm_up();
    int r = fence_enter();
    if (r < 0) {
        fprintf(stderr, "the kernel takes no filter of system calls: %s\n", strerror(-r));
        return 2;
    }
    do {
        if (ppoll(&socket, 1, NULL, &none) < 0)
            socket.revents = 0;
        reap();
    } while (!socket.revents || turn());
    _exit(0); /* nothing is left to tidy up, and a leak checker would find no /proc of its own */
}
