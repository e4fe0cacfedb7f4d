/* The connection to the X server. One per process: whoever loses it exits. */
#pragma once

#include "base/util.h"

#include <X11/Xlib.h>

#define X11_PROPERTY_MAX 65536 /* items of a property that are looked at */

/* X(symbol, name) */
#define X11_ATOMS(X)                                                                               \
    X(ACTIVE_WINDOW, "_NET_ACTIVE_WINDOW")                                                         \
    X(CLIENT_LIST, "_NET_CLIENT_LIST")                                                             \
    X(CLIENT_LIST_STACKING, "_NET_CLIENT_LIST_STACKING")                                           \
    X(CLIPBOARD, "CLIPBOARD")                                                                      \
    X(CLOSE_WINDOW, "_NET_CLOSE_WINDOW")                                                           \
    X(CURRENT_DESKTOP, "_NET_CURRENT_DESKTOP")                                                     \
    X(DESKFARM_SPARE, "_DESKFARM_SPARE_KEYCODES")                                                  \
    X(DESKFARM_TIME, "_DESKFARM_TIME")                                                             \
    X(FRAME_EXTENTS, "_NET_FRAME_EXTENTS")                                                         \
    X(GTK_FRAME_EXTENTS, "_GTK_FRAME_EXTENTS")                                                     \
    X(IMAGE_PNG, "image/png")                                                                      \
    X(INCR, "INCR")                                                                                \
    X(MOVERESIZE_WINDOW, "_NET_MOVERESIZE_WINDOW")                                                 \
    X(NET_WM_NAME, "_NET_WM_NAME")                                                                 \
    X(PID, "_NET_WM_PID")                                                                          \
    X(PING, "_NET_WM_PING")                                                                        \
    X(STARTUP_ID, "_NET_STARTUP_ID")                                                               \
    X(STATE, "_NET_WM_STATE")                                                                      \
    X(STATE_ABOVE, "_NET_WM_STATE_ABOVE")                                                          \
    X(STATE_ATTENTION, "_NET_WM_STATE_DEMANDS_ATTENTION")                                          \
    X(STATE_FULLSCREEN, "_NET_WM_STATE_FULLSCREEN")                                                \
    X(STATE_HIDDEN, "_NET_WM_STATE_HIDDEN")                                                        \
    X(STATE_HORIZONTAL, "_NET_WM_STATE_MAXIMIZED_HORZ")                                            \
    X(STATE_MODAL, "_NET_WM_STATE_MODAL")                                                          \
    X(STATE_SKIP_TASKBAR, "_NET_WM_STATE_SKIP_TASKBAR")                                            \
    X(STATE_STICKY, "_NET_WM_STATE_STICKY")                                                        \
    X(STATE_VERTICAL, "_NET_WM_STATE_MAXIMIZED_VERT")                                              \
    X(TARGETS, "TARGETS")                                                                          \
    X(TEXT, "TEXT")                                                                                \
    X(TEXT_PLAIN, "text/plain")                                                                    \
    X(TEXT_PLAIN_UTF8, "text/plain;charset=utf-8")                                                 \
    X(TIMESTAMP, "TIMESTAMP")                                                                      \
    X(TYPE, "_NET_WM_WINDOW_TYPE")                                                                 \
    X(TYPE_DESKTOP, "_NET_WM_WINDOW_TYPE_DESKTOP")                                                 \
    X(TYPE_DIALOG, "_NET_WM_WINDOW_TYPE_DIALOG")                                                   \
    X(TYPE_DOCK, "_NET_WM_WINDOW_TYPE_DOCK")                                                       \
    X(TYPE_NORMAL, "_NET_WM_WINDOW_TYPE_NORMAL")                                                   \
    X(TYPE_UTILITY, "_NET_WM_WINDOW_TYPE_UTILITY")                                                 \
    X(UTF8_STRING, "UTF8_STRING")                                                                  \
    X(WM_DESKTOP, "_NET_WM_DESKTOP")                                                               \
    X(WM_PROTOCOLS, "WM_PROTOCOLS")                                                                \
    X(XKB_RULES, "_XKB_RULES_NAMES")

enum x11_atom {
#define X11_ENUM(sym, name) X11_##sym,
    X11_ATOMS(X11_ENUM)
#undef X11_ENUM
        X11_ATOM_COUNT
};

/* -ENOTCONN without a server. */
int x11_open(void);
Display *x11_display(void);
Window x11_root(void);
/* A window of our own that is never shown: owner of selections. */
Window x11_window(void);
Atom x11_atom(enum x11_atom which);
/* Its index among ours, or X11_ATOM_COUNT. */
enum x11_atom x11_which(Atom atom);
/* The server's clock, as selections want it. One round trip. */
Time x11_time(void);
/* Whether a request failed since the last call. One round trip. */
bool x11_failed(void);

/* Items of a property: long for format 32, bytes for format 8. NULL when it has none of that type
 * (AnyPropertyType: any) and format. For XFree. */
void *x11_property(Window window, Atom property, Atom type, int format, size_t *ret_n);
/* The same for one number. */
bool x11_number(Window window, Atom property, long *ret);
/* Sends a client message to the root window, for the window manager. */
void x11_message(Window window, Atom type, const long data[5]);

/* Handles what has come. */
void x11_turn(void);

/* Events go to all of these. */
void clipboard_event(const XEvent *event);
void typing_event(const XEvent *event);
void keys_event(XEvent *event);
void window_event(const XEvent *event);
