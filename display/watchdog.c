#include "display/watchdog.h"

void watchdog_init(struct watchdog *self)
{
    *self = (struct watchdog){ .rss_base = -1 };
}

bool watchdog_tick(struct watchdog *self, int unread, int64_t rss_anon)
{
    self->unread_ticks = unread >= WATCHDOG_UNREAD_BYTES ? self->unread_ticks + 1 : 0;
    if (rss_anon >= 0 && (self->rss_base < 0 || rss_anon < self->rss_base))
        self->rss_base = rss_anon;
    /* Memory alone proves nothing: a guest that boots touches its own. */
    bool has_grown = rss_anon >= 0 && rss_anon - self->rss_base > WATCHDOG_RSS_BYTES;
    self->rss_ticks = has_grown && unread > 0 ? self->rss_ticks + 1 : 0;
    return self->unread_ticks >= WATCHDOG_UNREAD_TICKS || self->rss_ticks >= WATCHDOG_RSS_TICKS;
}
