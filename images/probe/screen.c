/*
 * screen.c: follow the host's display size.
 *
 * The host changes the size that virtio-gpu offers; the kernel reads the new EDID and sends a drm
 * uevent. Without udev the X server does not hear of it, so the client listens to the kernel
 * itself and asks the server to probe again (XRRGetScreenResources does, the "Current" variant does
 * not). The preferred mode comes from the EDID's first timing, exact to the pixel.
 *
 * The CRTC stays on throughout: the screen grows to hold both modes, the mode is set, the screen
 * shrinks to the new one. A host therefore sees no frame without a picture.
 */
#include "screen.h"

#include "probe.h"

#include <X11/extensions/Xrandr.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>

#define MAX(a, b) ((a) > (b) ? (a) : (b))

static int uevents = -1;

int screen_listen(void)
{
    struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = 1 };
    uevents = socket(AF_NETLINK, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT);
    if (uevents < 0 || bind(uevents, (struct sockaddr *)&address, sizeof address) < 0)
        return -1;
    return uevents;
}

bool screen_changed(void)
{
    bool changed = false;
    char message[8192];
    ssize_t size;
    while ((size = recv(uevents, message, sizeof message - 1, 0)) > 0) {
        message[size] = '\0';
        for (char *field = message; field < message + size; field += strlen(field) + 1)
            if (!strcmp(field, "SUBSYSTEM=drm"))
                changed = true;
    }
    return changed;
}

static void set_screen_size(int width, int height)
{
    /* 96 dots per inch, as programs expect of a desktop. */
    XRRSetScreenSize(probe.display, probe.root, width, height, width * 254 / 960,
                     height * 254 / 960);
}

static void set_mode(XRRScreenResources *resources, RROutput id, const XRROutputInfo *output,
                     const XRRModeInfo *mode)
{
    int width = (int)mode->width, height = (int)mode->height;
    set_screen_size(MAX(probe.width, width), MAX(probe.height, height));
    XRRSetCrtcConfig(probe.display, resources, output->crtc ? output->crtc : output->crtcs[0],
                     CurrentTime, 0, 0, mode->id, RR_Rotate_0, &id, 1);
    set_screen_size(width, height);
    XResizeWindow(probe.display, probe.window, mode->width, mode->height);
    probe.width = width;
    probe.height = height;
}

static const XRRModeInfo *preferred_mode(const XRRScreenResources *resources,
                                         const XRROutputInfo *output)
{
    if (output->connection != RR_Connected || output->npreferred < 1 || output->ncrtc < 1)
        return NULL;
    for (int i = 0; i < resources->nmode; i++)
        if (resources->modes[i].id == output->modes[0])
            return &resources->modes[i];
    return NULL;
}

bool screen_follow(void)
{
    XRRScreenResources *resources = XRRGetScreenResources(probe.display, probe.root);
    if (!resources || resources->noutput < 1)
        return false;
    bool resized = false;
    XRROutputInfo *output = XRRGetOutputInfo(probe.display, resources, resources->outputs[0]);
    const XRRModeInfo *mode = output ? preferred_mode(resources, output) : NULL;
    if (mode && ((int)mode->width != probe.width || (int)mode->height != probe.height)) {
        set_mode(resources, resources->outputs[0], output, mode);
        resized = true;
    }
    if (output)
        XRRFreeOutputInfo(output);
    XRRFreeScreenResources(resources);
    return resized;
}
