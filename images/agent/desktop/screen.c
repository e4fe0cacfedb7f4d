/* screen {} → {"width", "height", "width_mm", "height_mm", "outputs": [{"name", "x", "y", "width",
 * "height"}]}: what the X server shows. Its size follows the host's display by itself. */
#include "images/agent/desktop/desktop.h"
#include "images/agent/desktop/x11.h"

#include <X11/extensions/Xrandr.h>

static json_t *list_outputs(XRRScreenResources *resources)
{
    json_t *ret = json_array();
    for (int i = 0; i < MIN(resources->noutput, 16); i++) {
        XRROutputInfo *output = XRRGetOutputInfo(x11_display(), resources, resources->outputs[i]);
        XRRCrtcInfo *crtc =
            output && output->crtc ? XRRGetCrtcInfo(x11_display(), resources, output->crtc) : NULL;
        if (crtc)
            json_array_append_new(ret, json_pack("{s:s, s:i, s:i, s:i, s:i}", "name", output->name,
                                                 "x", crtc->x, "y", crtc->y, "width",
                                                 (int)crtc->width, "height", (int)crtc->height));
        if (crtc)
            XRRFreeCrtcInfo(crtc);
        if (output)
            XRRFreeOutputInfo(output);
    }
    return ret;
}

void screen_get(struct task *task)
{
    XWindowAttributes root;
    XGetWindowAttributes(x11_display(), x11_root(), &root);
    XRRScreenResources *resources = XRRGetScreenResourcesCurrent(x11_display(), x11_root());
    json_t *outputs = resources ? list_outputs(resources) : json_array();
    if (resources)
        XRRFreeScreenResources(resources);
    Screen *screen = DefaultScreenOfDisplay(x11_display());
    task_finish(task, json_pack("{s:i, s:i, s:i, s:i, s:o}", "width", root.width, "height",
                                root.height, "width_mm", WidthMMOfScreen(screen), "height_mm",
                                HeightMMOfScreen(screen), "outputs", outputs));
}
