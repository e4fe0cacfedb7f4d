/* A child process that paints scenarios, so that a stream is measured on the code path of a guest's screen
 * without a guest's own time. It stands in for QEMU and serves org.qemu.Display1 on a socket, or for a
 * guest and drives the virtio-gpu of a real QEMU (vm.h).
 *
 * Every picture carries a stamp: PAINTER_STAMP blocks of 8x8 pixels, grey, 2 bits each (value * 85, so
 * that it survives a film's coding), highest first: CLOCK_MONOTONIC when it was painted, in units of
 * 2^PAINTER_STAMP_SHIFT microseconds, the lowest 24 bits. It lies in what is painted, so that picture and
 * stamp are one update. */
#pragma once

#include "display/source.h"
#include "tests/bench/vm.h"

#define PAINTER_STAMP 12
#define PAINTER_STAMP_SHIFT 5
#define PAINTER_STAMP_X 320
#define PAINTER_STAMP_Y 296

struct painter {
    int pid, console_fd, control_fd; /* console_fd: -1 with a QEMU */
};

/* vm: NULL for a D-Bus peer. With one, a button that QEMU gets paints as "key" does. Forks: call it before
 * anything has made threads. Ends the program on failure. */
void painter_start(struct painter *self, int width, int height, const struct vm *vm);
/* Begins a scenario ("idle" ends it), or "key": paints one change at once. */
void painter_tell(const struct painter *self, const char *word);
void painter_stop(struct painter *self);
