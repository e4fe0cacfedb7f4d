/* tcp: a connection made inside the guest.
 *
 *   {"op": "tcp", "port": 8080, "host": "127.0.0.1", "timeout_us": 5000000}
 *
 * EVENT {"connected": true}, then DATA and EOF both ways; either direction may end first. Without a
 * host, the loopback addresses are tried by their numbers: IPv4, unless "host" says otherwise. */
#include "images/agent/ops.h"

#include "base/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#define CONNECT_US 10000000

static int make_address(const char *host, int64_t port, struct sockaddr_storage *out)
{
    struct sockaddr_in *four = (struct sockaddr_in *)out;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)out;
    *out = (struct sockaddr_storage) { 0 };
    if (port < 1 || port > 65535)
        return -EINVAL;
    if (inet_pton(AF_INET, host, &four->sin_addr) == 1) {
        four->sin_family = AF_INET;
        four->sin_port = htons((uint16_t)port);
        return sizeof *four;
    }
    if (inet_pton(AF_INET6, host, &six->sin6_addr) == 1) {
        six->sin6_family = AF_INET6;
        six->sin6_port = htons((uint16_t)port);
        return sizeof *six;
    }
    return -EINVAL;
}

void tcp_start(struct channel *channel, const json_t *request)
{
    struct sockaddr_storage address;
    int size = make_address(json_get_string(request, "host", "127.0.0.1"),
                            json_get_int(request, "port", 0), &address);
    if (size < 0) {
        channel_fail(channel, "bad_value", "port: 1 to 65535; host: a numeric address");
        return;
    }
    auto_fd int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int on = 1;
    if (fd < 0 ||
        (connect(fd, (struct sockaddr *)&address, (socklen_t)size) < 0 && errno != EINPROGRESS)) {
        channel_fail(channel, errno == ECONNREFUSED ? "refused" : "failed", "connecting: %s",
                     strerror(errno));
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    int out = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (out < 0) {
        channel_fail(channel, "failed", "connecting: %s", strerror(errno));
        return;
    }
    channel->is_socket = channel->is_connecting = true;
    if (!channel->timeout_at_us)
        channel->timeout_at_us = clock_now_us() + CONNECT_US;
    source_open(&channel->in, steal_fd(&fd), NULL, channel);
    source_open(&channel->out[0], out, NULL, channel);
    channel_start(channel);
}
