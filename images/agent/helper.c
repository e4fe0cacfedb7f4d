/* Requests whose operation begins with "desktop." are done by deskfarm-desktop
 * (images/agent/desktop).
 *
 * It connects to a SOCK_SEQPACKET socket. A request is one message to it: the JSON as the host sent
 * it, and two descriptors: a socket that carries the request's input and output, and the pipe for
 * its result. The agent keeps the other ends as it would of a child, so credit, back-pressure, the
 * order of output before the end and closing are those of any request (channel.c), and there is
 * nothing to parse but the result (answer.c). The helper never writes to the connection; one that
 * does is disconnected.
 *
 * Limits. Messages wait in the socket's buffer while the helper is busy; when it is full a request
 * ends with "busy". A helper that hangs makes its requests time out, one that dies ends them. The
 * last to connect is the helper, so one that was restarted takes the place of one that hangs. Only
 * the desktop's user may connect: the file is theirs, and the kernel says who did. */
#include "images/agent/helper.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

static struct source listener = { .fd = -1 }, helper = { .fd = -1 };
static uid_t helper_uid;

static void handle_helper(void *data maybe_unused, uint32_t events maybe_unused)
{
    char byte;
    ssize_t n = recv(helper.fd, &byte, 1, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    source_close(&helper); /* it is gone, or it speaks, which it should not */
}

static bool is_allowed(int fd)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == helper_uid;
}

static void handle_connect(void *data maybe_unused, uint32_t events maybe_unused)
{
    auto_fd int fd = accept4(listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0 || !is_allowed(fd))
        return;
    source_close(&helper);
    source_open(&helper, steal_fd(&fd), handle_helper, NULL);
    source_set(&helper, EPOLLIN);
}

static int make_directory(const char *path)
{
    char dir[sizeof((struct sockaddr_un *)0)->sun_path];
    snprintf(dir, sizeof dir, "%s", path);
    char *slash = strrchr(dir, '/');
    if (!slash || slash == dir)
        return 0;
    *slash = '\0';
    return mkdir(dir, 0755) < 0 && errno != EEXIST ? -errno : 0;
}

int helper_open(const char *path, uid_t uid)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof address.sun_path)
        return -ENAMETOOLONG;
    strcpy(address.sun_path, path);
    int r = make_directory(path);
    if (r < 0)
        return r;
    auto_fd int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    unlink(path);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 ||
        chmod(path, 0600) < 0 || (geteuid() == 0 && chown(path, uid, (gid_t)-1) < 0) ||
        listen(fd, 4) < 0)
        return -errno;
    helper_uid = uid;
    source_open(&listener, steal_fd(&fd), handle_connect, NULL);
    source_set(&listener, EPOLLIN);
    return 0;
}

static int send_request(const uint8_t *json, size_t size, const int fds[2])
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(2 * sizeof(int))];
    } control = { 0 };
    struct iovec part = { (void *)(uintptr_t)json, size };
    struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.space,
                              .msg_controllen = sizeof control.space };
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(2 * sizeof(int));
    memcpy(CMSG_DATA(header), fds, 2 * sizeof(int));
    return sendmsg(helper.fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* ours and theirs: the socket, the pipe. */
static int open_ends(int ours[2], int theirs[2])
{
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        return -errno;
    ours[0] = fds[0];
    theirs[0] = fds[1];
    if (pipe2(fds, O_CLOEXEC) < 0)
        return -errno;
    ours[1] = fds[0];
    theirs[1] = fds[1];
    return 0;
}

static void adopt(struct channel *channel, int ours[2])
{
    int out = fcntl(ours[0], F_DUPFD_CLOEXEC, 3);
    if (out < 0) {
        channel_fail(channel, "failed", "asking the desktop's helper: %s", strerror(errno));
        return;
    }
    channel->is_socket = channel->is_helped = true;
    source_open(&channel->in, steal_fd(&ours[0]), NULL, channel);
    source_open(&channel->out[0], out, NULL, channel);
    source_open(&channel->result, steal_fd(&ours[1]), NULL, channel);
    channel_start(channel);
}

void helper_start(struct channel *channel, const uint8_t *json, size_t size)
{
    int ours[2] = { -1, -1 }, theirs[2] = { -1, -1 };
    int r = helper.fd < 0 ? -ENOTCONN : open_ends(ours, theirs);
    if (r == 0)
        r = send_request(json, size, theirs);
    if (r == 0)
        adopt(channel, ours);
    else if (r == -EAGAIN || r == -ETOOMANYREFS || r == -ENOBUFS)
        channel_fail(channel, "busy", "the desktop's helper does not read its requests");
    else if (r == -ENOTCONN || r == -EPIPE || r == -ECONNRESET)
        channel_fail(channel, "not_ready", "no desktop is up: its helper is not connected");
    else
        channel_fail(channel, "failed", "asking the desktop's helper: %s", strerror(-r));
    for (int i = 0; i < 2; i++) {
        util_close_ptr(&ours[i]);
        util_close_ptr(&theirs[i]);
    }
}
