/* The absolute axis of QEMU's tablets: 0..0x7fff over the whole scanout. */
#pragma once

#include "base/util.h"

enum { POINTER_AXIS_MAX = 0x7fff, POINTER_SIZE_MAX = 8192 };

/* The axis value a quarter into native pixel fx of a scanout size pixels wide (or high).
 *
 * A guest computes floor(axis * size / 32768): libinput scales by (max - min + 1), Xorg's server
 * by its axis range + 1. A quarter in, guests that round instead of cutting agree as well, up to
 * sizes of POINTER_SIZE_MAX, where a pixel is only four axis values wide. fx is clamped to the
 * scanout; a size of 0 gives 0. */
int pointer_axis(int fx, int size);
