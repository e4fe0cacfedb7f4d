/* The kernel announces every new or renewed address on a netlink socket. What it says is only taken as
 * a hint: the list of addresses is read anew and compared, so a message that was lost when the
 * socket's buffer overflowed does not matter either. At most ADDRESSES_MAX are compared; beyond that
 * every announcement counts as news. */
#include "hypervisor/host-address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#define ADDRESSES_MAX 1024
#define BURST_US 50000

struct address_set {
    in_addr_t items[ADDRESSES_MAX];
    size_t n;
};

struct host_address {
    int fd;
    struct watch *watch;
    struct timer *timer;
    struct address_set known;
    loop_fn fn;
    void *data;
};

static void read_addresses(struct address_set *ret)
{
    struct ifaddrs *all = NULL;
    ret->n = 0;
    if (getifaddrs(&all) < 0)
        return;
    for (const struct ifaddrs *it = all; it && ret->n < ADDRESSES_MAX; it = it->ifa_next) {
        struct sockaddr_in in;
        if (!it->ifa_addr || it->ifa_addr->sa_family != AF_INET)
            continue;
        memcpy(&in, it->ifa_addr, sizeof in);
        ret->items[ret->n++] = in.sin_addr.s_addr;
    }
    freeifaddrs(all);
}

static bool has(const struct address_set *set, in_addr_t address)
{
    for (size_t i = 0; i < set->n; i++)
        if (set->items[i] == address)
            return true;
    return false;
}

static void handle_burst_end(void *data)
{
    struct host_address *self = data;
    struct address_set now;
    read_addresses(&now);
    bool is_news = now.n == ADDRESSES_MAX;
    for (size_t i = 0; i < now.n && !is_news; i++)
        is_news = !has(&self->known, now.items[i]);
    self->known = now;
    if (is_news)
        self->fn(self->data);
}

static void handle_netlink(void *data, int events maybe_unused)
{
    struct host_address *self = data;
    char messages[8192];
    while (recv(self->fd, messages, sizeof messages, MSG_DONTWAIT) > 0 || errno == ENOBUFS)
        errno = 0;
    if (!timer_is_active(self->timer))
        timer_start(self->timer, BURST_US);
}

int host_address_new(struct host_address **ret, struct loop *loop, loop_fn fn, void *data,
                     struct error *err)
{
    struct host_address *self = calloc(1, sizeof *self);
    if (!self)
        return error_errno(err, ENOMEM, "watching the host's addresses");
    struct sockaddr_nl groups = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_IPV4_IFADDR };
    self->fn = fn;
    self->data = data;
    self->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    if (self->fd >= 0 && bind(self->fd, (struct sockaddr *)&groups, sizeof groups) == 0) {
        self->watch = watch_new(loop, self->fd, handle_netlink, self);
        self->timer = timer_new(loop, handle_burst_end, self);
    }
    if (!self->watch || !self->timer) {
        int r = error_errno(err, errno ? errno : ENOMEM, "watching the host's addresses");
        host_address_free(self);
        return r;
    }
    /* Listening first: an address that comes now is announced, and compared with this. */
    read_addresses(&self->known);
    watch_set(self->watch, WATCH_READ);
    *ret = self;
    return 0;
}

struct host_address *host_address_free(struct host_address *self)
{
    if (self) {
        watch_free(self->watch);
        timer_free(self->timer);
        util_close_ptr(&self->fd);
        free(self);
    }
    return NULL;
}
