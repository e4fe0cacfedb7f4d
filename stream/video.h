/* H.264 of one region of a screen: constrained baseline, 4:2:0, no reordering, Annex B with the
 * parameter sets before every key, keys only on demand. One picture in, one access unit out.
 *
 * Counted: a job on a worker holds a reference. Only one job at a time may encode. */
#pragma once

#include "base/buf.h"
#include "display/frame.h"

#define VIDEO_CRF 24

struct video;

/* region: framebuffer pixels. NULL when the encoder is not there or refuses. */
struct video *video_new(struct rect region);
struct video *video_ref(struct video *self);
/* Takes NULL, returns NULL. Safe from any thread. */
struct video *video_unref(struct video *self);
struct rect video_region(const struct video *self);

struct video_unit {
    struct bytes *data;
    bool is_key;
};

/* The worker's part. frame must contain the region. data is NULL on failure. */
struct video_unit video_encode(struct video *self, const struct frame *frame, bool wants_key);
