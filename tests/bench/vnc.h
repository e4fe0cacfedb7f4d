/* A VNC client as a screenshot tool uses one: libvncclient on QEMU's VNC server, pixels asked for as
 * 0x00RRGGBB and raw, which costs neither side a conversion and is what a local client asks for.
 * Blocking: the loop does not turn meanwhile. */
#pragma once

#include "base/util.h"

struct vnc;

/* Connects to a unix socket, shakes hands, and asks for the whole screen, as libvncclient does.
 * NULL on failure. */
struct vnc *vnc_connect(const char *path);
struct vnc *vnc_close(struct vnc *self);
/* Asks for the whole screen. */
bool vnc_ask(struct vnc *self);
/* Waits until all that was asked for has come. */
bool vnc_wait(struct vnc *self);
/* Rows without gaps. */
const uint32_t *vnc_pixels(const struct vnc *self, int *ret_width, int *ret_height);
