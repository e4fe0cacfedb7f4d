/* probe.h: what the files of the probe client share. */
#ifndef PROBE_H
#define PROBE_H

#include <X11/Xlib.h>
#include <stdbool.h>

struct probe {
    Display *display;
    Window root;
    Window window; /* covers the whole screen */
    GC gc;
    int width, height; /* of the screen, pixels */
};

struct rect {
    int x, y, w, h; /* window pixels, which are screen pixels */
};

extern struct probe probe;

#endif
