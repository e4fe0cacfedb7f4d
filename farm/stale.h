/* Whether a place of the screen still shows what it did in an older frame: whoever gives a point of a picture may
 * be pointing at what is not there any more. */
#pragma once

#include "display/display.h"

/* Pixels around the point, to each side, that are compared. */
#define STALE_REACH 12

/* UNKNOWN: the frame's pixels are not kept any more, or it had another size. */
enum stale { STALE_NO, STALE_CHANGED, STALE_UNKNOWN };

/* fx, fy: native pixels, inside the current frame. */
enum stale stale_look(const struct display *display, int64_t frame, int fx, int fy);
