/* The screen as VNC viewers get it: a framebuffer of its own that holds the newest published frame.
 *
 * Not the display's framebuffer, which moves between frames: a viewer that read a state in there which
 * no frame holds would be told of no damage when it goes away again. Here every write is followed by
 * its damage. It costs one copy of each tile that changed, about 1 us, and exists only while somebody
 * looks. */
#pragma once

#include "display/display.h"

struct vnc_picture {
    struct framebuffer *framebuffer; /* NULL: none yet */
    int read_fd;                     /* the same memory, for reading alone; -1: none */
};

#define VNC_PICTURE_INIT { .read_fd = -1 }

void vnc_picture_deinit(struct vnc_picture *self);
/* Another size: begins anew with all of the frame. On failure there is none. */
int vnc_picture_begin(struct vnc_picture *self, const struct frame *frame, struct error *err);
/* The same for a screen that is off: black. */
int vnc_picture_begin_black(struct vnc_picture *self, int width, int height, struct error *err);
/* Copies one tile of a frame of the same size. */
void vnc_picture_copy(struct vnc_picture *self, const struct frame *frame, int tile);
bool vnc_picture_fits(const struct vnc_picture *self, const struct frame *frame);
