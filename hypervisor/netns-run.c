/* deskfarm-netns: closes destinations in the network namespace that it runs in, then becomes
 * another program. A program of its own because it must run inside the namespace that pasta makes,
 * before passt does.
 *
 *   deskfarm-netns open=ADDR:PORT … closed=ADDR/BITS … -- PROGRAM ARGUMENTS…
 *
 * Each word becomes a rule of the routing policy (RTM_NEWRULE), in order, so the first match
 * decides. Rules come before all routes: unlike a blackhole route they also close the subnets that
 * the namespace's interface is on. "open" is for UDP only. IPv4 only: IPv6 is switched off by a
 * rule for everything. */
#include "base/util.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define FIRST_PRIORITY 1000

struct rule {
    struct nlmsghdr header;
    struct fib_rule_hdr fib;
    char attributes[256];
};

static void add_attribute(struct rule *rule, unsigned short type, const void *data, size_t size)
{
    struct rtattr *at = (struct rtattr *)((char *)rule + NLMSG_ALIGN(rule->header.nlmsg_len));
    at->rta_type = type;
    at->rta_len = (unsigned short)RTA_LENGTH(size);
    memcpy(RTA_DATA(at), data, size);
    rule->header.nlmsg_len = NLMSG_ALIGN(rule->header.nlmsg_len) + RTA_ALIGN(at->rta_len);
}

static struct rule new_rule(unsigned char family, unsigned char action, unsigned priority)
{
    struct rule rule = {
        .header = { .nlmsg_len = NLMSG_LENGTH(sizeof rule.fib), .nlmsg_type = RTM_NEWRULE,
                    .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE,
                    .nlmsg_seq = priority },
        .fib = { .family = family, .action = action },
    };
    add_attribute(&rule, FRA_PRIORITY, &priority, sizeof priority);
    return rule;
}

static int submit(int sock, const struct rule *rule)
{
    struct {
        struct nlmsghdr header;
        struct nlmsgerr error;
        char rest[512];
    } reply;
    if (send(sock, rule, rule->header.nlmsg_len, 0) < 0)
        return -errno;
    ssize_t n = recv(sock, &reply, sizeof reply, 0);
    if (n < 0)
        return -errno;
    if ((size_t)n < sizeof reply.header + sizeof(int) || reply.header.nlmsg_type != NLMSG_ERROR)
        return -EPROTO;
    return reply.error.error;
}

static int close_range_of(int sock, const char *text, unsigned priority)
{
    char address[64];
    unsigned bits = 0;
    struct in_addr ip;
    if (sscanf(text, "%63[0-9.]/%u", address, &bits) != 2 || bits > 32 ||
        inet_pton(AF_INET, address, &ip) != 1)
        return -EINVAL;
    struct rule rule = new_rule(AF_INET, FR_ACT_BLACKHOLE, priority);
    rule.fib.dst_len = (unsigned char)bits;
    if (bits > 0)
        add_attribute(&rule, FRA_DST, &ip, sizeof ip);
    return submit(sock, &rule);
}

static int open_port(int sock, const char *text, unsigned priority)
{
    char address[64];
    unsigned port = 0;
    struct in_addr ip;
    if (sscanf(text, "%63[0-9.]:%u", address, &port) != 2 || port < 1 || port > 65535 ||
        inet_pton(AF_INET, address, &ip) != 1)
        return -EINVAL;
    struct rule rule = new_rule(AF_INET, FR_ACT_TO_TBL, priority);
    struct fib_rule_port_range range = { (unsigned short)port, (unsigned short)port };
    unsigned char protocol = IPPROTO_UDP;
    unsigned table = RT_TABLE_MAIN;
    rule.fib.dst_len = 32;
    rule.fib.table = RT_TABLE_MAIN;
    add_attribute(&rule, FRA_TABLE, &table, sizeof table);
    add_attribute(&rule, FRA_DST, &ip, sizeof ip);
    add_attribute(&rule, FRA_IP_PROTO, &protocol, sizeof protocol);
    add_attribute(&rule, FRA_DPORT_RANGE, &range, sizeof range);
    return submit(sock, &rule);
}

static int close_ipv6(int sock, unsigned priority)
{
    struct rule rule = new_rule(AF_INET6, FR_ACT_BLACKHOLE, priority);
    int r = submit(sock, &rule);
    return r == -EAFNOSUPPORT || r == -EOPNOTSUPP ? 0 : r; /* a kernel without IPv6 */
}

static int apply(int sock, const char *word, unsigned priority)
{
    if (strncmp(word, "open=", 5) == 0)
        return open_port(sock, word + 5, priority);
    if (strncmp(word, "closed=", 7) == 0)
        return close_range_of(sock, word + 7, priority);
    return -EINVAL;
}

int main(int argc, char **argv)
{
    int sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    int r = sock < 0 ? -errno : close_ipv6(sock, FIRST_PRIORITY);
    int i = 1;
    for (; r == 0 && i < argc && strcmp(argv[i], "--") != 0; i++)
        r = apply(sock, argv[i], FIRST_PRIORITY + (unsigned)i);
    if (r < 0) {
        fprintf(stderr, "deskfarm-netns: closing the network failed at \"%s\": %s\n",
                i > 1 && i <= argc ? argv[i - 1] : "", strerror(-r));
        return 1;
    }
    if (i + 1 >= argc) {
        fprintf(stderr, "usage: deskfarm-netns open=ADDR:PORT … closed=ADDR/BITS … -- PROGRAM …\n");
        return 2;
    }
    execv(argv[i + 1], argv + i + 1);
    fprintf(stderr, "deskfarm-netns: starting %s: %s\n", argv[i + 1], strerror(errno));
    return 1;
}
