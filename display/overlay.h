/* Numbered boxes over a frame, for models that name a number instead of a point. Pure, for workers. */
#pragma once

#include "display/frame.h"

/* A frame like base, with a box around every rectangle (framebuffer pixels, clipped) and its number, counting
 * from 1, on a label at its upper left corner. id, epoch and time are base's. NULL when memory is short. */
struct frame *overlay_boxes(const struct frame *base, const struct rect *boxes, int n);
