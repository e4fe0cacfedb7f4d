/* reset: TCP connections that were inherited by a fork, and are its parent's.
 *
 *   {"op": "reset"}                           → count, the connections that were ended
 *
 * Their other ends talk to the parent and will never hear of this guest, whose network is another: a
 * program that waits for an answer would wait for its own time-out. The kernel ends them as it does
 * for `ss -K` (SOCK_DESTROY, by a socket's cookie): the program's next or waiting call fails with
 * ECONNABORTED. Connections with both ends in this guest were forked whole, and stay; so do
 * listening sockets. UDP has no connections.
 *
 * A dump misses sockets whose neighbours end while it goes on, so it is repeated until one finds
 * nothing. Needs root, and a kernel with INET_DIAG_DESTROY (module tcp_diag). */
#include "images/agent/ops.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#define ROUNDS_MAX 8
#define READ_BYTES 32768

/* Every state in which the other end may be waited for. */
#define STATES                                                                                       \
    (1 << TCP_ESTABLISHED | 1 << TCP_SYN_SENT | 1 << TCP_SYN_RECV | 1 << TCP_FIN_WAIT1 |             \
     1 << TCP_FIN_WAIT2 | 1 << TCP_CLOSE_WAIT | 1 << TCP_LAST_ACK | 1 << TCP_CLOSING)

struct diag_request {
    struct nlmsghdr head;
    struct inet_diag_req_v2 body;
};

static int send_request(int fd, struct diag_request *request, uint16_t type, uint16_t flags)
{
    request->head = (struct nlmsghdr) { .nlmsg_len = sizeof *request, .nlmsg_type = type,
                                        .nlmsg_flags = NLM_F_REQUEST | flags };
    return send(fd, request, sizeof *request, 0) < 0 ? -errno : 0;
}

/* The error of a message, or 0. */
static int error_of(const struct nlmsghdr *head)
{
    return head->nlmsg_type == NLMSG_ERROR && head->nlmsg_len >= NLMSG_LENGTH(sizeof(struct nlmsgerr))
               ? ((const struct nlmsgerr *)NLMSG_DATA(head))->error : 0;
}

static bool is_mapped(const uint32_t address[4])
{
    return address[0] == 0 && address[1] == 0 && address[2] == htonl(0xffff);
}

/* An address of this guest itself. */
static bool is_own(int family, const uint32_t address[4], const struct ifaddrs *own)
{
    bool is_four = family == AF_INET || is_mapped(address);
    uint32_t four = address[family == AF_INET ? 0 : 3];
    if (is_four ? ntohl(four) >> 24 == 127 : IN6_IS_ADDR_LOOPBACK((const struct in6_addr *)address))
        return true;
    for (const struct ifaddrs *it = own; it; it = it->ifa_next) {
        const void *socket_address = it->ifa_addr;
        if (!socket_address || it->ifa_addr->sa_family != (is_four ? AF_INET : AF_INET6))
            continue;
        const void *ip = is_four ? (const void *)&((const struct sockaddr_in *)socket_address)->sin_addr
                                 : &((const struct sockaddr_in6 *)socket_address)->sin6_addr;
        if (memcmp(ip, is_four ? (const void *)&four : address, is_four ? 4 : 16) == 0)
            return true;
    }
    return false;
}

/* 0: it ended, or had by itself. */
static int destroy(int fd, const struct inet_diag_msg *found)
{
    struct diag_request request = { .body = { .sdiag_family = found->idiag_family,
                                              .sdiag_protocol = IPPROTO_TCP, .idiag_states = STATES,
                                              .id = found->id } };
    union {
        struct nlmsghdr head;
        char bytes[512];
    } answer;
    int r = send_request(fd, &request, SOCK_DESTROY, NLM_F_ACK);
    ssize_t n = r < 0 ? r : recv(fd, &answer, sizeof answer, 0);
    if (r < 0 || n < 0)
        return r < 0 ? r : -errno;
    r = NLMSG_OK(&answer.head, (size_t)n) ? error_of(&answer.head) : -EBADMSG;
    return r == -ENOENT ? 0 : r;
}

/* One dump of a family. Returns how many were ended, or a negative errno. */
static int end_all(int dump_fd, int destroy_fd, int family, const struct ifaddrs *own)
{
    static union {
        struct nlmsghdr head;
        char bytes[READ_BYTES];
    } in;
    struct diag_request request = { .body = { .sdiag_family = (uint8_t)family, .sdiag_protocol = IPPROTO_TCP,
                                              .idiag_states = STATES } };
    int count = 0, failed = send_request(dump_fd, &request, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP);
    for (bool is_done = failed < 0; !is_done;) {
        ssize_t n = recv(dump_fd, &in, sizeof in, 0);
        if (n <= 0)
            return n < 0 ? -errno : -EBADMSG;
        size_t left = (size_t)n;
        for (const struct nlmsghdr *head = &in.head; NLMSG_OK(head, left); head = NLMSG_NEXT(head, left)) {
            const struct inet_diag_msg *found = NLMSG_DATA(head);
            is_done |= head->nlmsg_type == NLMSG_DONE || head->nlmsg_type == NLMSG_ERROR;
            if (is_done || head->nlmsg_len < NLMSG_LENGTH(sizeof *found)) {
                failed = failed ? failed : error_of(head);
                continue;
            }
            if (is_own(found->idiag_family, found->id.idiag_dst, own))
                continue;
            int r = destroy(destroy_fd, found);
            failed = failed ? failed : r;
            count += r == 0;
        }
    }
    return failed < 0 ? failed : count;
}

static int reset(int *ret)
{
    auto_fd int dump_fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    auto_fd int destroy_fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    struct ifaddrs *own = NULL;
    if (dump_fd < 0 || destroy_fd < 0 || getifaddrs(&own) < 0)
        return -errno;
    int last = 1;
    for (int round = 0; last > 0 && round < ROUNDS_MAX; round++) {
        int four = end_all(dump_fd, destroy_fd, AF_INET, own);
        int six = four < 0 ? four : end_all(dump_fd, destroy_fd, AF_INET6, own);
        last = six < 0 ? six : four + six;
        *ret += MAX(last, 0);
    }
    freeifaddrs(own);
    return MIN(last, 0);
}

json_t *system_reset(const json_t *request maybe_unused)
{
    int count = 0, r = reset(&count);
    if (r < 0)
        return channel_error(r == -EPERM ? "forbidden" : r == -EOPNOTSUPP || r == -ENOENT ? "unsupported" : "failed",
                             "resetting connections: %s", strerror(-r));
    return json_pack("{s:i}", "count", count);
}
