/* The stream of one desktop: takes its frames, codes what viewers lack once for all of them, and
 * wakes those who can be sent something.
 *
 * Without a viewer whose page is shown it does nothing and holds nothing but its cache of coded
 * tiles, which HUB_LINGER_US later goes too. */
#pragma once

#include "display/display.h"
#include "stream/viewer.h"

/* Frames begin at most this often; the first after a pause begins at once. */
#define HUB_PACE_US 16000
#define HUB_LINGER_US 60000000
#define HUB_VIEWERS_MAX 256

/* display is borrowed and must outlive the hub. NULL when memory is short. */
struct hub *hub_new(struct loop *loop, struct worker_pool *pool, struct display *display);
/* Viewers are told that it ended. Takes NULL, returns NULL. */
struct hub *hub_free(struct hub *self);

struct hub_stats {
    int n_viewers, n_shown;
    int64_t n_jobs, n_coded; /* jobs, and tiles coded in them */
    int64_t coding_us;       /* time that jobs took, from start to answer */
    size_t cache_bytes;
};
struct hub_stats hub_stats(const struct hub *self);
