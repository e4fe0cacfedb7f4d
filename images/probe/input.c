/*
 * input.c: input events as a program receives them.
 *
 * XI2 device events are selected for the master devices, not core events: they carry the position
 * below the pixel, more than five buttons, and an honest mark on repeated keys. State and names
 * are nevertheless reported as a core client would see them (XKB state, keysyms).
 *
 * "text" is what the key press would insert into a text field: the keysym as UTF-8, after dead
 * keys and Compose sequences by the locale's Compose file. That file is large, so it is read when
 * the first dead key arrives and not at boot. An input method is out of scope.
 */
#include "input.h"

#include "paint.h"
#include "report.h"

#include <X11/XKBlib.h>
#include <X11/extensions/XInput2.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xkbcommon/xkbcommon-compose.h>
#include <xkbcommon/xkbcommon.h>

#define EVDEV_OFFSET 8 /* X keycode - evdev code */
#define N_KEYS 256
#define N_BUTTONS 16
#define TEXT_MAX 64

static int xi_opcode, xkb_event_base;
static bool reports_motion = true;
static double last_x = -1, last_y = -1;
static struct xkb_compose_state *compose;

bool input_init(void)
{
    int event, error, major = 2, minor = 2;
    int xkb_major = XkbMajorVersion, xkb_minor = XkbMinorVersion;
    if (!XQueryExtension(probe.display, "XInputExtension", &xi_opcode, &event, &error) ||
        XIQueryVersion(probe.display, &major, &minor) != Success ||
        !XkbQueryExtension(probe.display, NULL, &xkb_event_base, NULL, &xkb_major, &xkb_minor))
        return false;
    unsigned char bits[XIMaskLen(XI_LASTEVENT)] = { 0 };
    XISetMask(bits, XI_KeyPress);
    XISetMask(bits, XI_KeyRelease);
    XISetMask(bits, XI_ButtonPress);
    XISetMask(bits, XI_ButtonRelease);
    XISetMask(bits, XI_Motion);
    XIEventMask mask = { .deviceid = XIAllMasterDevices, .mask_len = sizeof bits, .mask = bits };
    XISelectEvents(probe.display, probe.window, &mask, 1);
    XkbSetDetectableAutoRepeat(probe.display, True, NULL);
    XkbSelectEventDetails(probe.display, XkbUseCoreKbd, XkbMapNotify, XkbAllMapComponentsMask,
                          XkbAllMapComponentsMask);
    return true;
}

void input_report_motion(bool on)
{
    reports_motion = on;
}

static unsigned button_mask(const XIButtonState *state)
{
    unsigned mask = 0;
    for (int i = 1; i < N_BUTTONS && i < state->mask_len * 8; i++)
        if (XIMaskIsSet(state->mask, i))
            mask |= 1u << i;
    return mask;
}

/* The state field of a core event: modifiers, buttons 1 to 5, keyboard group. */
static unsigned core_state(const XIDeviceEvent *event)
{
    unsigned state = XkbBuildCoreState((unsigned)event->mods.effective,
                                       (unsigned)event->group.effective);
    return state | (button_mask(&event->buttons) << 7 & 0x1f00);
}

static bool may_compose(KeySym sym)
{
    if (compose)
        return true;
    if ((sym < XKB_KEY_dead_grave || sym > XKB_KEY_dead_greek) && sym != XKB_KEY_Multi_key)
        return false;
    struct xkb_context *context = xkb_context_new(XKB_CONTEXT_NO_FLAGS);
    struct xkb_compose_table *table = xkb_compose_table_new_from_locale(
        context, "en_US.UTF-8", XKB_COMPOSE_COMPILE_NO_FLAGS);
    if (table)
        compose = xkb_compose_state_new(table, XKB_COMPOSE_STATE_NO_FLAGS);
    xkb_compose_table_unref(table);
    xkb_context_unref(context);
    return compose;
}

static void key_text(KeySym sym, unsigned state, char text[TEXT_MAX])
{
    *text = '\0';
    if (state & (ControlMask | Mod1Mask | Mod4Mask))
        return;
    if (sym == XKB_KEY_Return || sym == XKB_KEY_KP_Enter) {
        strcpy(text, "\n");
        return;
    }
    if (may_compose(sym)) {
        /* Modifiers leave the sequence, and thereby the old status, as it was. */
        if (xkb_compose_state_feed(compose, (xkb_keysym_t)sym) == XKB_COMPOSE_FEED_IGNORED)
            return;
        switch (xkb_compose_state_get_status(compose)) {
        case XKB_COMPOSE_COMPOSED:
            xkb_compose_state_get_utf8(compose, text, TEXT_MAX);
            return;
        case XKB_COMPOSE_COMPOSING:
        case XKB_COMPOSE_CANCELLED:
            return;
        case XKB_COMPOSE_NOTHING:
            break;
        }
    }
    xkb_keysym_to_utf8((xkb_keysym_t)sym, text, TEXT_MAX);
    if ((unsigned char)*text < ' ' && *text != '\t')
        *text = '\0';
}

static enum input_kind handle_key(const XIDeviceEvent *event)
{
    bool down = event->evtype == XI_KeyPress, repeat = event->flags & XIKeyRepeat;
    if (repeat && !down)
        return INPUT_NONE;
    unsigned state = core_state(event), consumed;
    KeySym sym = NoSymbol;
    XkbLookupKeySym(probe.display, (KeyCode)event->detail, state, &consumed, &sym);
    char name[64] = "NoSymbol", text[TEXT_MAX] = "", line[160];
    if (sym != NoSymbol)
        xkb_keysym_get_name((xkb_keysym_t)sym, name, sizeof name);
    if (down && sym != NoSymbol)
        key_text(sym, state, text);
    report(json_pack("{s:s, s:b, s:b, s:i, s:s, s:s, s:i, s:I}", "ev", "key", "down", down, "repeat",
                     repeat, "code", event->detail - EVDEV_OFFSET, "keysym", name, "text", text,
                     "mods", (int)state, "t_ms", (json_int_t)event->time));
    snprintf(line, sizeof line, "key %s %s", name, repeat ? "repeat" : down ? "down" : "up");
    paint_status_text(line);
    return down && !repeat ? INPUT_KEY_PRESS : INPUT_NONE;
}

static json_t *pointer_event(const char *kind, const XIDeviceEvent *event)
{
    return json_pack("{s:s, s:i, s:i, s:f, s:f, s:i, s:I}", "ev", kind, "x",
                     (int)floor(event->root_x), "y", (int)floor(event->root_y), "fx", event->root_x,
                     "fy", event->root_y, "mods", (int)core_state(event), "t_ms",
                     (json_int_t)event->time);
}

static enum input_kind handle_button(const XIDeviceEvent *event)
{
    int button = event->detail;
    bool down = event->evtype == XI_ButtonPress, wheel = button >= 4 && button <= 7;
    char line[80];
    snprintf(line, sizeof line, "button %d %s at %d,%d", button, down ? "down" : "up",
             (int)floor(event->root_x), (int)floor(event->root_y));
    paint_status_text(line);
    if (!wheel) {
        json_t *button_event = pointer_event("button", event);
        json_object_set_new(button_event, "down", json_boolean(down));
        json_object_set_new(button_event, "button", json_integer(button));
        report(button_event);
    } else if (down) {
        json_t *wheel_event = pointer_event("wheel", event);
        json_object_set_new(wheel_event, "dx", json_integer((button == 7) - (button == 6)));
        json_object_set_new(wheel_event, "dy", json_integer((button == 5) - (button == 4)));
        report(wheel_event);
    }
    return down ? INPUT_BUTTON_PRESS : INPUT_NONE;
}

static enum input_kind handle_motion(const XIDeviceEvent *event)
{
    /* A wheel notch comes as a motion of the wheel axes as well; only the position counts. */
    bool moved = event->root_x != last_x || event->root_y != last_y;
    last_x = event->root_x;
    last_y = event->root_y;
    if (moved && reports_motion)
        report(pointer_event("motion", event));
    return INPUT_NONE;
}

enum input_kind input_handle(XEvent *event)
{
    enum input_kind kind = INPUT_NONE;
    if (event->type == xkb_event_base) {
        XkbEvent *xkb = (XkbEvent *)event;
        if (xkb->any.xkb_type == XkbMapNotify)
            XkbRefreshKeyboardMapping(&xkb->map);
    } else if (event->type == MappingNotify) {
        XRefreshKeyboardMapping(&event->xmapping);
    }
    XGenericEventCookie *cookie = &event->xcookie;
    if (event->type != GenericEvent || cookie->extension != xi_opcode ||
        !XGetEventData(probe.display, cookie))
        return kind;
    if (cookie->evtype == XI_KeyPress || cookie->evtype == XI_KeyRelease)
        kind = handle_key(cookie->data);
    else if (cookie->evtype == XI_ButtonPress || cookie->evtype == XI_ButtonRelease)
        kind = handle_button(cookie->data);
    else if (cookie->evtype == XI_Motion)
        kind = handle_motion(cookie->data);
    XFreeEventData(probe.display, cookie);
    return kind;
}

void input_add_held(json_t *reply)
{
    json_t *keys = json_array(), *buttons = json_array();
    char down[32];
    XQueryKeymap(probe.display, down);
    for (int code = EVDEV_OFFSET; code < N_KEYS; code++)
        if (down[code / 8] >> code % 8 & 1)
            json_array_append_new(keys, json_integer(code - EVDEV_OFFSET));

    int pointer;
    Window root, child;
    double root_x, root_y, x, y;
    XIButtonState state = { 0 };
    XIModifierState mods;
    XIGroupState group;
    XIGetClientPointer(probe.display, None, &pointer);
    XIQueryPointer(probe.display, pointer, probe.root, &root, &child, &root_x, &root_y, &x, &y,
                   &state, &mods, &group);
    unsigned mask = button_mask(&state);
    for (int i = 1; i < N_BUTTONS; i++)
        if (mask >> i & 1)
            json_array_append_new(buttons, json_integer(i));
    XFree(state.mask);
    json_object_set_new(reply, "keys", keys);
    json_object_set_new(reply, "buttons", buttons);
    json_object_set_new(reply, "x", json_integer((int)floor(root_x)));
    json_object_set_new(reply, "y", json_integer((int)floor(root_y)));
}

bool input_set_layout(const char *layout, const char *variant)
{
    pid_t pid = fork();
    if (pid == 0) {
        execl("/usr/bin/setxkbmap", "setxkbmap", "-model", "pc105", "-layout", layout, "-variant",
              variant, "-option", "", NULL);
        _exit(127);
    }
    int status = -1;
    if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
        return false;
    if (compose)
        xkb_compose_state_reset(compose);
    /* The server's notice precedes the reply to this; the caller may press keys at once. */
    XSync(probe.display, False);
    XEvent event;
    while (XCheckTypedEvent(probe.display, xkb_event_base, &event) ||
           XCheckTypedEvent(probe.display, MappingNotify, &event))
        input_handle(&event);
    return true;
}
