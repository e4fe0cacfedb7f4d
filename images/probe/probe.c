/*
 * probe.c: the only X client of the probe guest.
 *
 * The guest exists to measure a host: it shows exactly known pixels, reports every input event as a
 * program receives it, and paints on command at a known time. One window covers the screen and has
 * the focus; there is no window manager. Reports and commands are JSON lines on the serial port
 * named by the first argument (README.md holds the protocol).
 *
 * One thread, one loop over three descriptors (X, serial, kernel uevents) and the next due paint.
 * Whoever does not read the serial port stops the guest's reports and with them the loop; nothing
 * is dropped.
 */
#include "probe.h"

#include "commands.h"
#include "input.h"
#include "paint.h"
#include "report.h"
#include "screen.h"

#include <X11/Xutil.h>
#include <X11/cursorfont.h>
#include <poll.h>
#include <time.h>

struct probe probe;

static Atom wm_protocols, ping;

static int handle_x_error(Display *display, XErrorEvent *error)
{
    char text[128];
    XGetErrorText(display, error->error_code, text, sizeof text);
    report(json_pack("{s:s, s:s, s:i}", "ev", "error", "message", text, "x_request",
                     error->request_code));
    return 0;
}

static bool open_window(void)
{
    probe.display = XOpenDisplay(NULL);
    if (!probe.display)
        return false;
    XSetErrorHandler(handle_x_error);
    probe.root = DefaultRootWindow(probe.display);
    probe.width = DisplayWidth(probe.display, 0);
    probe.height = DisplayHeight(probe.display, 0);
    XSetWindowAttributes attributes = {
        .override_redirect = True,
        .background_pixmap = None, /* the server never paints; only the pattern shows */
        .cursor = XCreateFontCursor(probe.display, XC_left_ptr),
        .event_mask = ExposureMask,
    };
    probe.window = XCreateWindow(probe.display, probe.root, 0, 0, (unsigned)probe.width,
                                 (unsigned)probe.height, 0, CopyFromParent, InputOutput,
                                 CopyFromParent,
                                 CWOverrideRedirect | CWBackPixmap | CWCursor | CWEventMask,
                                 &attributes);
    wm_protocols = XInternAtom(probe.display, "WM_PROTOCOLS", False);
    ping = XInternAtom(probe.display, "_NET_WM_PING", False);
    XSetWMProtocols(probe.display, probe.window, &ping, 1);
    XGCValues values = { .graphics_exposures = False };
    probe.gc = XCreateGC(probe.display, probe.window, GCGraphicsExposures, &values);
    return true;
}

static void show_window(void)
{
    XMapRaised(probe.display, probe.window);
    XSetInputFocus(probe.display, probe.window, RevertToPointerRoot, CurrentTime);
    paint_clear();
    XSync(probe.display, False);
}

/* "Have you read what came before?": the message goes back by the root window. Events come in order,
 * so whoever typed knows then that every key was reported. */
static void answer_ping(XEvent *event)
{
    if (event->type != ClientMessage || event->xclient.message_type != wm_protocols ||
        (Atom)event->xclient.data.l[0] != ping)
        return;
    event->xclient.window = probe.root;
    XSendEvent(probe.display, probe.root, False, SubstructureNotifyMask | SubstructureRedirectMask,
               event);
}

static void report_size(const char *event)
{
    report(json_pack("{s:s, s:i, s:i}", "ev", event, "w", probe.width, "h", probe.height));
}

static void handle_display_change(void)
{
    if (!screen_follow())
        return;
    commands_disarm();
    paint_clear();
    XSync(probe.display, False);
    report_size("resized");
}

static void wait_for_work(struct pollfd *fds, nfds_t n)
{
    int64_t due_us = paint_due_us();
    if (due_us == INT64_MAX) {
        poll(fds, n, -1);
        return;
    }
    int64_t left_us = due_us - report_now_us();
    if (left_us < 0)
        left_us = 0;
    struct timespec left = { .tv_sec = left_us / 1000000, .tv_nsec = left_us % 1000000 * 1000 };
    ppoll(fds, n, &left, NULL);
}

int main(int argc, char **argv)
{
    int serial = argc > 1 ? report_open(argv[1]) : -1;
    int uevents = screen_listen();
    if (serial < 0 || uevents < 0 || !open_window() || !input_init())
        return 1;
    paint_init();
    show_window();
    report_size("ready");
    report_up();
    /* The host may have changed the display between the server's start and this client's. */
    handle_display_change();

    struct pollfd fds[] = {
        { .fd = ConnectionNumber(probe.display), .events = POLLIN },
        { .fd = serial, .events = POLLIN },
        { .fd = uevents, .events = POLLIN },
    };
    for (;;) {
        while (XPending(probe.display)) {
            XEvent event;
            XNextEvent(probe.display, &event);
            commands_on_input(input_handle(&event));
            answer_ping(&event);
        }
        paint_run(report_now_us());
        XFlush(probe.display);
        if (XQLength(probe.display))
            continue; /* an XSync() above has read events; poll() would not tell */
        wait_for_work(fds, 3);
        if (fds[1].revents)
            commands_read(serial);
        if (fds[2].revents && screen_changed())
            handle_display_change();
        fds[1].revents = fds[2].revents = 0;
    }
}
