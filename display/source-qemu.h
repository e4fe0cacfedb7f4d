/* Pixels from QEMU's D-Bus display (org.qemu.Display1, QEMU 7.2 and later, copy path).
 *
 * start() hands QEMU one end of a socket pair by RegisterListener and serves
 * org.qemu.Display1.Listener on the other; QEMU answers with a Scanout at once. stop() closes it,
 * which ends QEMU's refresh timer and frees its queue. A watchdog recycles the listener when QEMU's
 * queue grows (display/watchdog.h). */
#pragma once

#include "base/qdbus.h"
#include "display/source.h"

struct source_qemu_config {
    struct loop *loop;
    struct qdbus *console; /* the display connection; the owner's, must outlive the source */
    /* Yields a connected stream pair that QEMU accepts for D-Bus: [0] ours, [1] for QEMU. Both
     * become the source's. A jailed QEMU wants its own listening socket in between. */
    int (*pair)(void *data, int ret_fds[2], struct error *err);
    /* QEMU's anonymous memory in bytes, negative when unknown. May be NULL. */
    int64_t (*rss_anon)(void *data);
    /* Has QEMU redraw what it shows, of a display that is only drawn while somebody listens (a VGA): without
     * that a new listener is first told what was there when the last one went. done runs once and never
     * inside; negative: it will not. NULL: of a display that is always drawn. */
    int (*refresh)(void *data, void (*done)(void *done_data), void *done_data);
    bool is_fixed; /* the display has no way to ask its guest for a size */
    void *data;
};

/* Copies config. Attach the result to a display, which then owns it. */
struct source *source_qemu_new(const struct source_qemu_config *config);
/* Times that the watchdog recycled the listener. For metrics. */
int source_qemu_recycled(const struct source *source);
