/* Nodes are named after the overlay that they came below: low-N-1, low-N-2, … under overlay-N. What goes, goes
 * from the top down, since a node that another stands on cannot. After a restart of the daemon it is not known
 * when the last rebase was: then the numbers below are tried, REACH of them, and what does not exist is refused
 * by QEMU, which nobody waits for. Layers of the origin (layer-N) stay open, and so do those of the last rebase
 * before a restart. */
#include "hypervisor/rebase.h"

#include "hypervisor/guest-args.h"
#include "hypervisor/guest-private.h"

#include <stdio.h>

#define FDSET_LOW 1000000 /* and GUEST_LAYERS_MAX for each overlay that one was made below */
#define NODE_MAX 48
#define REACH 64

static int fdset_of(int at, int i)
{
    return FDSET_LOW + at * GUEST_LAYERS_MAX + i - 1;
}

/* Of the overlay that is written now. */
static int top_of(const struct guest *guest)
{
    int n = 1;
    return sscanf(guest->node, GUEST_NODE_OVERLAY "-%d", &n) == 1 ? n : 1;
}

int rebase_depth(const struct guest *guest)
{
    return *guest->node ? top_of(guest) - guest->rebased_at : 0;
}

static void add_layer(struct qmp_batch *batch, int at, int i, const char *below, int fd)
{
    char path[32], node[NODE_MAX], file[NODE_MAX + 8];
    int set = fdset_of(at, i);
    snprintf(path, sizeof path, "/dev/fdset/%d", set);
    snprintf(node, sizeof node, "low-%d-%d", at, i);
    snprintf(file, sizeof file, "%s-file", node);
    qmp_batch_add_fd(batch, "add-fd", json_pack("{si}", "fdset-id", set), fd);
    /* Without locks, as in a restore: who wrote it may have it open yet. */
    qmp_batch_add(batch, "blockdev-add",
                  json_pack("{ss ss ss sb sb s{ss ss ss sb sb ss}}", "driver", "qcow2", "node-name", node, "backing",
                            below, "read-only", 1, "auto-read-only", 0, "file", "driver", "file", "node-name", file,
                            "filename", path, "read-only", 1, "auto-read-only", 0, "locking", "off"));
}

/* Nobody waits for these: what does not exist cannot go. */
static void drop(struct qmp *qmp, const char *node, int fdset)
{
    qmp_execute(qmp, "blockdev-del", json_pack("{ss}", "node-name", node), NULL, NULL);
    if (fdset)
        qmp_execute(qmp, "remove-fd", json_pack("{si}", "fdset-id", fdset), NULL, NULL);
}

static void drop_old(struct guest *guest, struct qmp *qmp)
{
    char node[NODE_MAX];
    int last = guest->rebased_at, top = top_of(guest);
    for (int n = top - 1; n > 1 && n >= last && n > top - REACH; n--) {
        snprintf(node, sizeof node, GUEST_NODE_OVERLAY "-%d", n);
        drop(qmp, node, GUEST_FDSET_SAVED + n);
    }
    if (last <= 1) {
        drop(qmp, GUEST_NODE_OVERLAY, GUEST_FDSET_OVERLAY);
        drop(qmp, GUEST_NODE_OVERLAY "-file", 0); /* of one that was powered on */
    }
    for (int i = guest->n_low; i > 0; i--) {
        if (last)
            snprintf(node, sizeof node, "low-%d-%d", last, i);
        else
            snprintf(node, sizeof node, GUEST_NODE_FORK, i);
        drop(qmp, node, last ? fdset_of(last, i) : GUEST_FDSET_RESTORED + i - 1);
    }
}

void rebase_add(struct guest *guest, struct qmp_batch *batch, size_t n_origin, int *fds, size_t n)
{
    char below[NODE_MAX] = GUEST_NODE_BASE, file[NODE_MAX];
    int at = top_of(guest);
    if (n_origin)
        snprintf(below, sizeof below, GUEST_NODE_LAYER, (int)n_origin);
    for (int i = 1; i <= (int)n; i++) {
        add_layer(batch, at, i, below, steal_fd(&fds[i - 1]));
        snprintf(below, sizeof below, "low-%d-%d", at, i);
    }
    snprintf(file, sizeof file, "%s-file", guest->node);
    qmp_batch_add(batch, "blockdev-reopen",
                  json_pack("{s[{ss ss ss ss ss}]}", "options", "driver", "qcow2", "node-name", guest->node, "file", file,
                            "backing", below, "discard", "unmap"));
    drop_old(guest, guest_qmp(guest));
    guest->rebased_at = at;
    guest->n_low = (int)n;
}
