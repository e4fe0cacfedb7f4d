/* Requests that fail are counted, not fatal: any window may be gone before it is asked. A window of
 * ours takes the answers of selections; on the root window, changes of properties are watched (the
 * list of windows, the active one), and what is sent there (answers to pings). */
#include "images/agent/desktop/x11.h"

#include <X11/Xatom.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

static Display *display;
static Window window;
static Atom atoms[X11_ATOM_COUNT];
static int n_errors;

static int handle_error(Display *d maybe_unused, XErrorEvent *event maybe_unused)
{
    n_errors++;
    return 0;
}

static int handle_io_error(Display *d maybe_unused)
{
    fputs("deskfarm-desktop: the X server has ended\n", stderr);
    _exit(1);
}

int x11_open(void)
{
    static const char *const names[] = {
#define X11_NAME(sym, name) name,
        X11_ATOMS(X11_NAME)
#undef X11_NAME
    };
    display = XOpenDisplay(NULL);
    if (!display)
        return -ENOTCONN;
    fcntl(ConnectionNumber(display), F_SETFD, FD_CLOEXEC);
    XSetErrorHandler(handle_error);
    XSetIOErrorHandler(handle_io_error);
    XInternAtoms(display, (char **)(uintptr_t)names, X11_ATOM_COUNT, False, atoms);
    window = XCreateSimpleWindow(display, x11_root(), -10, -10, 1, 1, 0, 0, 0);
    XSelectInput(display, window, PropertyChangeMask);
    XSelectInput(display, x11_root(), PropertyChangeMask | SubstructureNotifyMask);
    XSync(display, False);
    return 0;
}

Display *x11_display(void)
{
    return display;
}

Window x11_root(void)
{
    return DefaultRootWindow(display);
}

Window x11_window(void)
{
    return window;
}

Atom x11_atom(enum x11_atom which)
{
    return atoms[which];
}

enum x11_atom x11_which(Atom atom)
{
    enum x11_atom which = 0;
    while (which < X11_ATOM_COUNT && atoms[which] != atom)
        which++;
    return which;
}

static Bool is_time_event(Display *d maybe_unused, XEvent *event, XPointer data maybe_unused)
{
    return event->type == PropertyNotify && event->xproperty.window == window &&
           event->xproperty.atom == atoms[X11_DESKFARM_TIME];
}

Time x11_time(void)
{
    XEvent event;
    XChangeProperty(display, window, atoms[X11_DESKFARM_TIME], XA_INTEGER, 32, PropModeAppend, NULL,
                    0);
    XIfEvent(display, &event, is_time_event, NULL);
    return event.xproperty.time;
}

bool x11_failed(void)
{
    XSync(display, False);
    bool has_failed = n_errors > 0;
    n_errors = 0;
    return has_failed;
}

void *x11_property(Window of, Atom property, Atom type, int format, size_t *ret_n)
{
    Atom actual;
    int actual_format;
    unsigned long n, rest;
    unsigned char *data = NULL;
    long length = format == 32 ? X11_PROPERTY_MAX : X11_PROPERTY_MAX / 4;
    *ret_n = 0;
    if (XGetWindowProperty(display, of, property, 0, length, False, type, &actual, &actual_format,
                           &n, &rest, &data) != Success)
        return NULL;
    if (actual_format == format && n > 0 && (type == AnyPropertyType || actual == type)) {
        *ret_n = n;
        return data;
    }
    if (data)
        XFree(data);
    return NULL;
}

bool x11_number(Window of, Atom property, long *ret)
{
    size_t n;
    long *items = x11_property(of, property, AnyPropertyType, 32, &n);
    if (!items)
        return false;
    *ret = items[0] & 0xffffffff; /* Xlib widens with the sign */
    XFree(items);
    return true;
}

void x11_message(Window about, Atom type, const long data[5])
{
    XEvent event = { .xclient = { .type = ClientMessage, .window = about, .message_type = type,
                                  .format = 32 } };
    memcpy(event.xclient.data.l, data, 5 * sizeof *data);
    XSendEvent(display, x11_root(), False, SubstructureRedirectMask | SubstructureNotifyMask,
               &event);
}

void x11_turn(void)
{
    while (XPending(display)) {
        XEvent event;
        XNextEvent(display, &event);
        clipboard_event(&event);
        typing_event(&event);
        keys_event(&event);
        window_event(&event);
    }
}
