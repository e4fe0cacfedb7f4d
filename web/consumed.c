/* A file of its own: the kernel's struct tcp_info, which counts received bytes, cannot be included
 * beside the C library's, which does not. */
#include "web/consumed.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

uint64_t consumed_bytes(int fd)
{
    struct tcp_info info = { 0 };
    socklen_t size = sizeof info;
    int unread = 0;
    /* Bytes that come between the two calls make it too large, never too small. */
    if (ioctl(fd, FIONREAD, &unread) < 0 || getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0)
        return UINT64_MAX;
    return info.tcpi_bytes_received - (uint64_t)unread;
}
