/* window {"id", "do", …, "wait_us"}: asks the window manager, and waits until it is so.
 *
 *   "activate"                                  raised, with the focus, on its workspace
 *   "close"                                     as by its button; a program may ask first
 *   "place"    "x", "y", "width", "height"      of what is seen of it; any may be left out
 *   "state"    "minimized" | "maximized" | "fullscreen" | "above": true or false; "workspace"
 *   "get"
 *
 * → output: the window (none when it closed); {"done": whether it is so within wait_us}. */
#include "images/agent/desktop/desktop.h"
#include "images/agent/desktop/window.h"
#include "images/agent/desktop/x11.h"

#include <X11/Xatom.h>
#include <string.h>

#define WAIT_MAX_US 60000000

struct doing {
    struct window_watcher watcher;
    struct task *task;
    Window window;
    bool (*is_done)(struct doing *self, json_t *now); /* now: NULL when the window is gone */
    struct window_rect wanted;
};

static void finish(struct doing *self, json_t *window, bool is_done)
{
    struct task *task = self->task;
    if (window)
        task_output_json(task, window);
    task_finish(task, json_pack("{s:b}", "done", is_done));
}

static void check(void *data)
{
    struct doing *self = data;
    json_t *now = window_describe(self->window, window_active());
    if (self->is_done(self, now))
        finish(self, now, true);
    else
        json_decref(now);
}

static void handle_late(void *data)
{
    struct doing *self = data;
    finish(self, window_describe(self->window, window_active()), false);
}

static void stop(struct task *task)
{
    struct doing *self = task->state;
    list_remove(&self->watcher.link);
    free(self);
}

static bool has_state(const json_t *now, const char *name)
{
    size_t i;
    json_t *state;
    json_array_foreach(json_object_get(now, "states"), i, state)
        if (strcmp(json_string_value(state), name) == 0)
            return true;
    return false;
}

/* --- What can be done ------------------------------------------------------------------------- */

static bool is_there(struct doing *self maybe_unused, json_t *now maybe_unused)
{
    return true;
}

static bool is_gone(struct doing *self, json_t *now)
{
    static Window list[WINDOWS_MAX];
    size_t n = window_list(list);
    for (size_t i = 0; i < n; i++)
        if (list[i] == self->window)
            return !now;
    return true;
}

static bool is_active(struct doing *self maybe_unused, json_t *now)
{
    return !now || (json_get_bool(now, "active", false) && !has_state(now, "minimized"));
}

static bool is_placed(struct doing *self, json_t *now)
{
    const struct window_rect *wanted = &self->wanted;
    return !now ||
           (json_get_int(now, "x", 0) == wanted->x && json_get_int(now, "y", 0) == wanted->y &&
            json_get_int(now, "width", 0) == wanted->width &&
            json_get_int(now, "height", 0) == wanted->height);
}

static bool has_states(struct doing *self, json_t *now)
{
    const json_t *request = self->task->request;
    static const char *const names[] = { "minimized", "maximized", "fullscreen", "above" };
    for (size_t i = 0; now && i < ARRAY_LEN(names); i++) {
        const json_t *wish = json_object_get(request, names[i]);
        if (json_is_boolean(wish) && json_is_true(wish) != has_state(now, names[i]))
            return false;
    }
    const json_t *workspace = json_object_get(request, "workspace");
    return !now || !json_is_integer(workspace) ||
           json_equal(workspace, json_object_get(now, "workspace"));
}

/* 2: a pager asks, that is, the user does. */
static void activate(struct doing *self)
{
    long data[5] = { 2, (long)x11_time(), 0 };
    self->is_done = is_active;
    XMapWindow(x11_display(), self->window); /* a minimized one of a plain window manager */
    x11_message(self->window, x11_atom(X11_ACTIVE_WINDOW), data);
}

static void close_window(struct doing *self)
{
    long data[5] = { (long)x11_time(), 2 };
    self->is_done = is_gone;
    x11_message(self->window, x11_atom(X11_CLOSE_WINDOW), data);
}

/* The window manager counts from the content without its shadow's share; what is asked for here is
 * the place of what is seen. Gravity 10 (static): x and y are the content's. */
static void place(struct doing *self)
{
    const json_t *request = self->task->request;
    struct window_rect frame, content, shadow = { 0 };
    XWindowAttributes attributes;
    Window child;
    if (!window_frame(self->window, &frame, &content) ||
        !XGetWindowAttributes(x11_display(), self->window, &attributes) ||
        !XTranslateCoordinates(x11_display(), self->window, x11_root(), 0, 0, &shadow.x, &shadow.y,
                               &child))
        return;
    self->wanted = (struct window_rect){
        (int)CLAMP(json_get_int(request, "x", frame.x), -32768, 32767),
        (int)CLAMP(json_get_int(request, "y", frame.y), -32768, 32767),
        (int)CLAMP(json_get_int(request, "width", frame.width), 1, 32767),
        (int)CLAMP(json_get_int(request, "height", frame.height), 1, 32767) };
    long data[5] = { 10 | 0xf << 8 | 2 << 12,
                     self->wanted.x + shadow.x - frame.x,
                     self->wanted.y + shadow.y - frame.y,
                     MAX(self->wanted.width + attributes.width - frame.width, 1),
                     MAX(self->wanted.height + attributes.height - frame.height, 1) };
    self->is_done = is_placed;
    x11_message(self->window, x11_atom(X11_MOVERESIZE_WINDOW), data);
}

static void send_state(Window window, bool is_on, enum x11_atom first, Atom second)
{
    long data[5] = { is_on, (long)x11_atom(first), (long)second, 2 };
    x11_message(window, x11_atom(X11_STATE), data);
}

static void set_states(struct doing *self)
{
    const json_t *request = self->task->request, *wish;
    self->is_done = has_states;
    if (json_is_boolean(wish = json_object_get(request, "maximized")))
        send_state(self->window, json_is_true(wish), X11_STATE_VERTICAL,
                   x11_atom(X11_STATE_HORIZONTAL));
    if (json_is_boolean(wish = json_object_get(request, "fullscreen")))
        send_state(self->window, json_is_true(wish), X11_STATE_FULLSCREEN, None);
    if (json_is_boolean(wish = json_object_get(request, "above")))
        send_state(self->window, json_is_true(wish), X11_STATE_ABOVE, None);
    if (json_is_integer(wish = json_object_get(request, "workspace"))) {
        long data[5] = { (long)CLAMP(json_integer_value(wish), 0, 1000), 2 };
        x11_message(self->window, x11_atom(X11_WM_DESKTOP), data);
    }
    if (json_is_true(json_object_get(request, "minimized")))
        XIconifyWindow(x11_display(), self->window, DefaultScreen(x11_display()));
    else if (json_is_false(json_object_get(request, "minimized")))
        XMapWindow(x11_display(), self->window);
}

static void get(struct doing *self)
{
    self->is_done = is_there;
}

void window_do(struct task *task)
{
    static const struct {
        const char *name;
        void (*fn)(struct doing *self);
    } table[] = {
        { "get", get }, { "activate", activate }, { "close", close_window }, { "place", place },
        { "state", set_states },
    };
    const char *name = json_get_string(task->request, "do", "get");
    Window window;
    if (!window_parse(json_get_string(task->request, "id", ""), &window)) {
        task_fail(task, "not_found", "there is no window %.32s; list the windows again",
                  json_get_string(task->request, "id", ""));
        return;
    }
    struct doing *self = calloc(1, sizeof *self);
    for (size_t i = 0; self && i < ARRAY_LEN(table); i++) {
        if (strcmp(table[i].name, name) != 0)
            continue;
        *self = (struct doing){ .task = task, .window = window };
        task->state = self;
        task->stop = stop;
        window_watch(&self->watcher, check, self);
        table[i].fn(self);
        alarm_set(&task->alarm,
                  CLAMP(json_get_int(task->request, "wait_us", 2000000), 0, WAIT_MAX_US),
                  handle_late, self);
        if (!self->is_done)
            finish(self, NULL, false);
        else
            check(self);
        return;
    }
    free(self);
    task_fail(task, "bad_value", "do: no such thing to do with a window");
}
