/* Windows as the window manager lists them (Extended Window Manager Hints). */
#pragma once

#include "base/json.h"
#include "base/list.h"

#include <X11/Xlib.h>

#define WINDOWS_MAX 512
#define WINDOW_TEXT_MAX 1024 /* bytes of a title */

struct window_rect {
    int x, y, width, height; /* native pixels */
};

/* The listed windows, lowest first. Returns how many. */
size_t window_list(Window ret[WINDOWS_MAX]);
/* The one that has the focus, or None. */
Window window_active(void);
/* New; NULL when the window is gone. */
json_t *window_describe(Window window, Window active);
/* Title or another text property; "" when it has none. */
void window_text(Window window, Atom property, char ret[WINDOW_TEXT_MAX]);
/* What is seen of it, with its frame and without its shadow. False when it is gone. */
bool window_frame(Window window, struct window_rect *ret, struct window_rect *ret_content);
/* "0x3a00007"; false when it is no id of a listed window. */
bool window_parse(const char *id, Window *ret);

/* Somebody who waits for windows to change is called at each change. One list for all. */
struct window_watcher {
    struct list link;
    void (*fn)(void *data);
    void *data;
};
void window_watch(struct window_watcher *self, void (*fn)(void *data), void *data);
