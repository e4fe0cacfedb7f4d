/* sun_path holds 108 bytes, a state directory may be longer: names are reached through
 * /proc/self/fd/N of their directory, which always fits. */
#include "base/sock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

static int open_address(const char *dir_path, const char *name, struct sockaddr_un *address)
{
    int dir_fd = open(dir_path, O_DIRECTORY | O_PATH | O_CLOEXEC);
    if (dir_fd < 0)
        return -errno;
    *address = (struct sockaddr_un){ .sun_family = AF_UNIX };
    int n = snprintf(address->sun_path, sizeof address->sun_path, "/proc/self/fd/%d/%s", dir_fd,
                     name);
    if (n < 0 || (size_t)n >= sizeof address->sun_path) {
        close(dir_fd);
        return -ENAMETOOLONG;
    }
    return dir_fd;
}

int sock_listen(const char *dir_path, const char *name, struct error *err)
{
    struct sockaddr_un address;
    auto_fd int dir_fd = open_address(dir_path, name, &address);
    if (dir_fd < 0)
        return error_errno(err, -dir_fd, "opening %s", dir_path);
    auto_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return error_errno(err, errno, "creating socket");
    unlinkat(dir_fd, name, 0);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 16) < 0)
        return error_errno(err, errno, "listening on %s/%s", dir_path, name);
    return steal_fd(&fd);
}

int sock_connect(const char *dir_path, const char *name, struct error *err)
{
    struct sockaddr_un address;
    auto_fd int dir_fd = open_address(dir_path, name, &address);
    if (dir_fd < 0)
        return error_errno(err, -dir_fd, "opening %s", dir_path);
    auto_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return error_errno(err, errno, "creating socket");
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        return error_errno(err, errno, "connecting to %s/%s", dir_path, name);
    return steal_fd(&fd);
}

int sock_pair(int ret_fds[2], struct error *err)
{
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ret_fds) < 0)
        return error_errno(err, errno, "creating socket pair");
    return 0;
}

int sock_send_fd(int sock, const void *data, size_t size, int fd)
{
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(int))];
    } control = { 0 };
    struct iovec iov = { .iov_base = (void *)(uintptr_t)data, .iov_len = size };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.space,
                          .msg_controllen = sizeof control.space };
    struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
    cmsg->cmsg_level = SOL_SOCKET;
    cmsg->cmsg_type = SCM_RIGHTS;
    cmsg->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(cmsg), &fd, sizeof fd);
    ssize_t n = sendmsg(sock, &msg, MSG_NOSIGNAL);
    if (n < 0)
        return -errno;
    return (size_t)n == size ? 0 : -EAGAIN;
}
