/* Decides when a listener must be recycled because QEMU's queue towards us grows. Pure.
 *
 * QEMU 7.2 queues updates without bound when its peer reads too slowly. Dropping the connection
 * frees the queue at once, and registering again brings the whole screen. */
#pragma once

#include "base/util.h"

#define WATCHDOG_TICK_US 500000
/* Unread bytes that mean the socket is as good as full. The default send buffer holds 212992 with
 * the kernel's overhead counted, so less than that can be read. */
#define WATCHDOG_UNREAD_BYTES 65536
/* That full at this many ticks in a row: 5 s without once catching up. */
#define WATCHDOG_UNREAD_TICKS 10
/* Growth of QEMU's anonymous memory since the listener started, with unread bytes at the same
 * time, at this many ticks in a row. */
#define WATCHDOG_RSS_BYTES ((int64_t)512 << 20)
#define WATCHDOG_RSS_TICKS 2

struct watchdog {
    int64_t rss_base; /* lowest seen since the start; negative before the first */
    int unread_ticks, rss_ticks;
};

/* At every (re)start of the listener. */
void watchdog_init(struct watchdog *self);
/* Once per tick. unread: bytes in the listener's socket (SIOCINQ). rss_anon: QEMU's anonymous
 * bytes, negative when unknown. True: recycle now. */
bool watchdog_tick(struct watchdog *self, int unread, int64_t rss_anon);
