/* A guest's way out: passt inside a network namespace that pasta makes, one pair per guest.
 *
 * QEMU listens on net.sock in the guest's directory; we connect and hand the connection to passt.
 * passt answers the guest's ARP and DHCP (address 10.0.2.15/24, gateway 10.0.2.2, DNS 10.0.2.3) and
 * opens ordinary sockets for it, inside the namespace; pasta carries them to the host's network. So
 * 127.0.0.1 and the host's own address mean the namespace and not the host.
 *
 * Closed whatever the policy: 127.0.0.0/8, 169.254.0.0/16 (metadata services), 0.0.0.0/8,
 * multicast, every address of the host's interfaces when the network starts, and IPv6. An address
 * that the host gets later is closed when the network is started again (net_restart, which farm/
 * calls when hypervisor/host-address.h tells). DNS (UDP) goes to the
 * host's resolver through 10.0.2.3 only. A resolver on the host's loopback cannot be used (pasta
 * passes it over), but systemd-resolved's own servers are.
 *
 * Both processes outlive the daemon, as QEMU does. When they die they are started again, after 0.1
 * s and then twice as long each time up to 30 s; the guest sees its cable pulled meanwhile. */
#pragma once

#include "base/error.h"
#include "base/json.h"
#include "base/loop.h"

#include <sys/types.h>

enum net_egress {
    NET_EGRESS_PUBLIC, /* default: private ranges are closed too (RFC 1918, RFC 6598, the host's
                        * own subnets) */
    NET_EGRESS_ALL,    /* private ranges are open, but never the host itself */
};

/* "public" or "all"; anything else is bad_value. */
int net_egress_parse(const char *name, enum net_egress *ret, struct error *err);

struct net_config {
    const char *dir;  /* the guest's directory, with net.sock; copied */
    uid_t uid;        /* as root: the jail's uid, else 0 */
    enum net_egress egress;
};

struct net;

/* on_change runs when the network came up or went down; why is "" when it is up. May be NULL. */
typedef void (*net_change_fn)(void *data, bool is_up, const char *why);

/* Says whether guests can have a network on this machine: pasta, passt and a usable /dev/net/tun.
 * unsupported, with what to do, when not. Looks only, never hangs. */
int net_check(struct error *err);

/* Starts both processes in the next turn of the loop. What is missing (see net_check) is told by
 * on_change, and tried again like a death. */
int net_new(struct net **ret, struct loop *loop, const struct net_config *config,
            net_change_fn on_change, void *data, struct error *err);
/* Takes over the processes that an earlier daemon started; when they are gone, starts new ones. */
int net_adopt(struct net **ret, struct loop *loop, const struct net_config *config,
              const json_t *identity, net_change_fn on_change, void *data, struct error *err);
/* What net_adopt needs: {"pid","start_time"}. New reference. */
json_t *net_identity(const struct net *self);
/* Ends both processes and starts them again, with the host's addresses as they are now. The guest's
 * connections are lost. why is static text for on_change. */
void net_restart(struct net *self, const char *why);
/* Kills both processes and does not start them again. */
void net_stop(struct net *self);
/* Forgets them; they run on. Takes NULL, returns NULL. */
struct net *net_free(struct net *self);
