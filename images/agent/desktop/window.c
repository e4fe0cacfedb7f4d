/* windows {} → output {"items": [window, …], "active": id, "workspace": n}, lowest window first.
 *
 * A window is {"id", "title", "app", "class", "pid", "type", "x", "y", "width", "height",
 * "content": {…}, "states": [], "active", "workspace"}: its place is what is seen of it, frame
 * included, shadow not. Everything is asked of the X server, about ten round trips a window. */
#include "images/agent/desktop/window.h"

#include "images/agent/desktop/desktop.h"
#include "images/agent/desktop/x11.h"

#include <X11/Xatom.h>
#include <X11/Xutil.h>
#include <stdio.h>
#include <string.h>

static struct list watchers = LIST_INIT(watchers);

void window_watch(struct window_watcher *self, void (*fn)(void *data), void *data)
{
    *self = (struct window_watcher){ .fn = fn, .data = data };
    list_append(&watchers, &self->link);
}

void window_event(const XEvent *event)
{
    struct window_watcher *watcher, *next;
    bool is_ours = event->type == PropertyNotify && event->xproperty.window == x11_root();
    if (!is_ours && event->type != MapNotify && event->type != UnmapNotify &&
        event->type != ConfigureNotify)
        return;
    list_for_each_safe(watcher, next, &watchers, link)
        watcher->fn(watcher->data);
}

size_t window_list(Window ret[WINDOWS_MAX])
{
    size_t n = 0;
    Window *items = x11_property(x11_root(), x11_atom(X11_CLIENT_LIST_STACKING), XA_WINDOW, 32, &n);
    if (!items)
        items = x11_property(x11_root(), x11_atom(X11_CLIENT_LIST), XA_WINDOW, 32, &n);
    n = MIN(n, WINDOWS_MAX);
    for (size_t i = 0; i < n; i++)
        ret[i] = items[i] & 0xffffffff;
    if (items)
        XFree(items);
    return n;
}

Window window_active(void)
{
    long window = None;
    x11_number(x11_root(), x11_atom(X11_ACTIVE_WINDOW), &window);
    return (Window)window;
}

bool window_parse(const char *id, Window *ret)
{
    static Window list[WINDOWS_MAX];
    char *end;
    unsigned long value = strtoul(id, &end, 0);
    size_t n = window_list(list);
    if (*end || end == id)
        return false;
    *ret = value;
    for (size_t i = 0; i < n; i++)
        if (list[i] == value)
            return true;
    return false;
}

/* Cuts at a character's border: JSON takes no half ones. */
static void copy_text(char ret[WINDOW_TEXT_MAX], const char *text, size_t size)
{
    size_t n = MIN(size, WINDOW_TEXT_MAX - 1);
    while (n > 0 && n < size && ((unsigned char)text[n] & 0xc0) == 0x80)
        n--;
    memcpy(ret, text, n);
    ret[n] = '\0';
}

void window_text(Window window, Atom property, char ret[WINDOW_TEXT_MAX])
{
    size_t n;
    char *text = x11_property(window, property, x11_atom(X11_UTF8_STRING), 8, &n);
    XTextProperty old = { 0 };
    char **list = NULL;
    ret[0] = '\0';
    if (text) {
        copy_text(ret, text, n);
        XFree(text);
        return;
    }
    if (!XGetTextProperty(x11_display(), window, &old, property) || !old.value)
        return;
    int count = 0;
    if (Xutf8TextPropertyToTextList(x11_display(), &old, &list, &count) >= Success && count > 0)
        copy_text(ret, list[0], strlen(list[0]));
    if (list)
        XFreeStringList(list);
    XFree(old.value);
}

/* Left, right, top, bottom. */
static bool get_extents(Window window, enum x11_atom which, int ret[4])
{
    size_t n;
    long *items = x11_property(window, x11_atom(which), XA_CARDINAL, 32, &n);
    for (size_t i = 0; i < 4; i++)
        ret[i] = items && n >= 4 ? (int)CLAMP(items[i], 0, 1000) : 0;
    if (items)
        XFree(items);
    return items && n >= 4;
}

bool window_frame(Window window, struct window_rect *ret, struct window_rect *ret_content)
{
    XWindowAttributes attributes;
    Window child;
    int x, y, frame[4], shadow[4];
    if (!XGetWindowAttributes(x11_display(), window, &attributes) ||
        !XTranslateCoordinates(x11_display(), window, x11_root(), 0, 0, &x, &y, &child))
        return false;
    *ret_content = (struct window_rect){ x, y, attributes.width, attributes.height };
    get_extents(window, X11_FRAME_EXTENTS, frame);
    if (get_extents(window, X11_GTK_FRAME_EXTENTS, shadow)) {
        *ret_content = (struct window_rect){
            x + shadow[0], y + shadow[2], MAX(attributes.width - shadow[0] - shadow[1], 1),
            MAX(attributes.height - shadow[2] - shadow[3], 1) };
    }
    *ret = (struct window_rect){ ret_content->x - frame[0], ret_content->y - frame[2],
                                 ret_content->width + frame[0] + frame[1],
                                 ret_content->height + frame[2] + frame[3] };
    return true;
}

static const struct {
    enum x11_atom atom;
    const char *name;
} states[] = {
    { X11_STATE_HIDDEN, "minimized" },        { X11_STATE_FULLSCREEN, "fullscreen" },
    { X11_STATE_ABOVE, "above" },             { X11_STATE_MODAL, "modal" },
    { X11_STATE_ATTENTION, "attention" },     { X11_STATE_STICKY, "sticky" },
    { X11_STATE_SKIP_TASKBAR, "unlisted" },
}, types[] = {
    { X11_TYPE_NORMAL, "normal" }, { X11_TYPE_DIALOG, "dialog" },   { X11_TYPE_DOCK, "dock" },
    { X11_TYPE_DESKTOP, "desktop" }, { X11_TYPE_UTILITY, "utility" },
};

static json_t *describe_states(Window window)
{
    size_t n;
    int n_maximized = 0;
    json_t *ret = json_array();
    Atom *atoms = x11_property(window, x11_atom(X11_STATE), XA_ATOM, 32, &n);
    for (size_t i = 0; i < n; i++) {
        enum x11_atom which = x11_which(atoms[i]);
        n_maximized += which == X11_STATE_VERTICAL || which == X11_STATE_HORIZONTAL;
        for (size_t j = 0; j < ARRAY_LEN(states); j++)
            if (states[j].atom == which)
                json_array_append_new(ret, json_string(states[j].name));
    }
    if (n_maximized == 2)
        json_array_append_new(ret, json_string("maximized"));
    if (atoms)
        XFree(atoms);
    return ret;
}

static const char *type_name(Window window)
{
    size_t n;
    const char *name = "normal";
    Atom *atoms = x11_property(window, x11_atom(X11_TYPE), XA_ATOM, 32, &n);
    for (size_t j = 0; atoms && j < ARRAY_LEN(types); j++)
        if (x11_atom(types[j].atom) == atoms[0])
            name = types[j].name;
    if (atoms)
        XFree(atoms);
    return name;
}

static json_t *rect_json(const struct window_rect *rect)
{
    return json_pack("{s:i, s:i, s:i, s:i}", "x", rect->x, "y", rect->y, "width", rect->width,
                     "height", rect->height);
}

/* Bytes that are no UTF-8 (WM_CLASS is the program's own) become an empty text. */
static json_t *text_json(const char *text)
{
    json_t *ret = json_string(text ? text : "");
    return ret ? ret : json_string("");
}

json_t *window_describe(Window window, Window active)
{
    char title[WINDOW_TEXT_MAX];
    struct window_rect frame, content;
    XClassHint hint = { 0 };
    long pid = 0, workspace = -1;
    if (!window_frame(window, &frame, &content))
        return NULL;
    window_text(window, x11_atom(X11_NET_WM_NAME), title);
    if (!title[0])
        window_text(window, XA_WM_NAME, title);
    XGetClassHint(x11_display(), window, &hint);
    x11_number(window, x11_atom(X11_PID), &pid);
    if (x11_number(window, x11_atom(X11_WM_DESKTOP), &workspace) && workspace == 0xffffffff)
        workspace = -1;
    char id[24];
    snprintf(id, sizeof id, "0x%lx", window);
    json_t *ret = json_pack("{s:s, s:o, s:o, s:o, s:I, s:s}", "id", id, "title", text_json(title),
                            "app", text_json(hint.res_name), "class", text_json(hint.res_class),
                            "pid", (json_int_t)pid, "type", type_name(window));
    auto_json json_t *place = rect_json(&frame);
    json_object_update(ret, place);
    json_object_set_new(ret, "content", rect_json(&content));
    json_object_set_new(ret, "states", describe_states(window));
    json_object_set_new(ret, "active", json_boolean(window == active));
    json_object_set_new(ret, "workspace", workspace < 0 ? json_null() : json_integer(workspace));
    if (hint.res_name)
        XFree(hint.res_name);
    if (hint.res_class)
        XFree(hint.res_class);
    return ret;
}

void windows_list(struct task *task)
{
    static Window list[WINDOWS_MAX];
    size_t n = window_list(list);
    Window active = window_active();
    long workspace = 0;
    json_t *items = json_array();
    for (size_t i = 0; i < n; i++) {
        json_t *window = window_describe(list[i], active);
        if (window)
            json_array_append_new(items, window);
    }
    x11_number(x11_root(), x11_atom(X11_CURRENT_DESKTOP), &workspace);
    char id[24];
    json_int_t count = (json_int_t)json_array_size(items);
    snprintf(id, sizeof id, "0x%lx", active);
    task_output_json(task, json_pack("{s:o, s:s?, s:I}", "items", items, "active",
                                     active ? id : NULL, "workspace", (json_int_t)workspace));
    task_finish(task, json_pack("{s:I}", "count", count));
}
