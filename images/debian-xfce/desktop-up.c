/* Tells the host that the desktop is there.
 *
 * The window manager lists its windows in a property of the root window (_NET_CLIENT_LIST of the
 * Extended Window Manager Hints). When that list has a panel (a dock) and the desktop with its icons,
 * and the guest has then had little to do for IDLE_MS, this program opens a virtio-serial port and
 * keeps it open: the host sees the opening, nothing is written. It ends with the X server, which
 * closes the port; the service then starts it again.
 *
 * Why idle: a panel is mapped before it knows its place and its launchers. On a busy host that takes
 * many seconds in which nothing is painted, so neither windows nor a still screen tell that it is
 * over; processes that wait for nothing but a processor do. A guest that never rests is called up
 * after PATIENCE_MS. */
#include <X11/Xatom.h>
#include <X11/Xlib.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#define PORT "/dev/virtio-ports/org.deskfarm.ready.0"
#define STEP_MS 250
#define IDLE_MS 1000
#define PATIENCE_MS 120000

static Display *display;
static Atom client_list, window_type, type_dock, type_desktop;

/* A window may be gone before it is asked. */
static int ignore_error(Display *d, XErrorEvent *event)
{
    (void)d;
    (void)event;
    return 0;
}

/* The values of a property of 32-bit items, to be freed with XFree; NULL when it has none. */
static unsigned long *get_items(Window window, Atom property, Atom type, unsigned long *ret_n)
{
    Atom actual;
    int format;
    unsigned long rest;
    unsigned char *data = NULL;
    *ret_n = 0;
    if (XGetWindowProperty(display, window, property, 0, 1024, False, type, &actual, &format, ret_n, &rest,
                           &data) != Success || format != 32) {
        *ret_n = 0;
        return NULL;
    }
    return (unsigned long *)data;
}

static bool has_type(Window window, Atom type)
{
    unsigned long n;
    unsigned long *types = get_items(window, window_type, XA_ATOM, &n);
    bool found = false;
    for (unsigned long i = 0; i < n; i++)
        found |= types[i] == type;
    if (types)
        XFree(types);
    return found;
}

static bool is_up(void)
{
    unsigned long n;
    unsigned long *windows = get_items(DefaultRootWindow(display), client_list, XA_WINDOW, &n);
    bool has_dock = false, has_desktop = false;
    for (unsigned long i = 0; i < n; i++) {
        has_dock |= has_type(windows[i], type_dock);
        has_desktop |= has_type(windows[i], type_desktop);
    }
    if (windows)
        XFree(windows);
    return has_dock && has_desktop;
}

/* Whether all processors together were idle for three quarters of the time since the last call. */
static bool was_idle(void)
{
    static unsigned long long last_all, last_idle;
    unsigned long long user = 0, nice = 0, system = 0, idle = 0, wait = 0, irq = 0, soft = 0;
    FILE *file = fopen("/proc/stat", "re");
    int n = file ? fscanf(file, "cpu %llu %llu %llu %llu %llu %llu %llu", &user, &nice, &system, &idle, &wait,
                          &irq, &soft) : 0;
    if (file)
        fclose(file);
    if (n != 7)
        return true;
    unsigned long long all = user + nice + system + idle + wait + irq + soft;
    unsigned long long passed = all - last_all, rested = idle - last_idle;
    last_all = all;
    last_idle = idle;
    return rested * 4 >= passed * 3;
}

/* Returns when the desktop is there and rests. */
static void wait_up(void)
{
    int there_ms = 0, idle_ms = 0;
    while (idle_ms < IDLE_MS && there_ms < PATIENCE_MS) {
        struct pollfd fd = { .fd = ConnectionNumber(display), .events = POLLIN };
        bool is_idle = was_idle();
        if (!is_up()) {
            there_ms = idle_ms = 0;
            if (XPending(display) == 0)
                poll(&fd, 1, -1);
        } else {
            there_ms += STEP_MS;
            idle_ms = is_idle ? idle_ms + STEP_MS : 0;
            poll(NULL, 0, STEP_MS);
        }
        while (XPending(display) > 0) {
            XEvent event;
            XNextEvent(display, &event);
        }
    }
}

int main(void)
{
    display = XOpenDisplay(NULL);
    if (!display) {
        fprintf(stderr, "desktop-up: no X server\n");
        return 1;
    }
    XSetErrorHandler(ignore_error);
    client_list = XInternAtom(display, "_NET_CLIENT_LIST", False);
    window_type = XInternAtom(display, "_NET_WM_WINDOW_TYPE", False);
    type_dock = XInternAtom(display, "_NET_WM_WINDOW_TYPE_DOCK", False);
    type_desktop = XInternAtom(display, "_NET_WM_WINDOW_TYPE_DESKTOP", False);
    XSelectInput(display, DefaultRootWindow(display), PropertyChangeMask);
    wait_up();
    int port = open(PORT, O_RDWR | O_CLOEXEC);
    if (port < 0) {
        perror("desktop-up: " PORT);
        return 1;
    }
    for (;;) {
        XEvent event;
        XNextEvent(display, &event);
    }
}
