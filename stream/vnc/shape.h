/* The cursor's shape as libvncserver wants it. */
#pragma once

#include "stream/vnc/wire.h"

struct _rfbScreenInfo;

/* Takes over the shape of a SHAPE message for the screen's viewers; 0x0: none. RFB's cursors are opaque
 * or not, pixel by pixel: half of full alpha and more is opaque. */
void shape_set(struct _rfbScreenInfo *screen, const struct vnc_message *message);
