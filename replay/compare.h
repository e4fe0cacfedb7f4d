/* Whether two recorded frames show the same, and where not. For workers. */
#pragma once

#include "replay/reading.h"

struct compare {
    int64_t n_pixels;  /* that differ; all of the larger one when the sizes differ */
    struct rect where; /* around them; empty when there are none */
};

/* mask: an array of {"x","y","width","height"} in native pixels that do not count, or NULL. unknown_frame when one
 * is not there. */
int compare_frames(const struct reading *a, int64_t frame_a, const struct reading *b, int64_t frame_b,
                   const json_t *mask, struct compare *ret, struct error *err);
/* Of frame_b and the one of several frames (an array of ids) that is nearest to it. */
int compare_nearest(const struct reading *a, const json_t *frames_a, const struct reading *b, int64_t frame_b,
                    const json_t *mask, int64_t *ret_frame, struct compare *ret, struct error *err);
