/* Finds what moved up or down between two frames, so that a viewer moves the pixels it has. Pure,
 * for workers. */
#pragma once

#include "display/frame.h"

#define SCROLL_COPIES_MAX 16

/* region of the new frame is the old frame's pixels dy above (dy > 0: the contents moved down). */
struct scroll_copy {
    struct rect region; /* framebuffer pixels, in the new frame */
    int dy;
};

/* Compares old and new (same size) where the n tiles changed (frame_diff) and fills copies, in an
 * order in which they may be applied one after the other to the old frame's pixels. Returns how
 * many: 0 when nothing moved, or it is not worth it. All have the same dy. Exact: after the copies
 * these regions equal the new frame's. About 1 ms for 1280x800. */
int scroll_find(const struct frame *old, const struct frame *new, const int *changed, int n,
                struct scroll_copy copies[SCROLL_COPIES_MAX]);
/* Whether tile number index of the new frame is whole once the copies were applied to old. */
bool scroll_completes(const struct frame *old, const struct frame *new,
                      const struct scroll_copy *copies, int n_copies, int index);
