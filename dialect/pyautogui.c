/* pyautogui's functions, and those that agents put beside them: time.sleep, computer.wait, computer.terminate,
 * computer.triple_click. Durations of moves are left out: nothing here has to look human; those of drags are
 * chosen so that the guest sees a drag. */
#include "dialect/pyautogui.h"

#include <math.h>
#include <string.h>

/* --- Arguments --------------------------------------------------------------------------------- */

static int number(struct write *w, int place, const char *name, double min, double max, double *ret)
{
    const json_t *value = pycall_arg(w->args, place, name);
    if (!value)
        return 0;
    if (!json_is_number(value))
        return error_set(w->err, ERROR_BAD_TYPE, "%s must be a number", name);
    double v = json_number_value(value);
    if (!(v >= min && v <= max))
        return error_set(w->err, ERROR_BAD_VALUE, "%s is %.10g; it must be from %.10g to %.10g", name, v, min, max);
    *ret = v;
    return 0;
}

/* x and y, from that place on; or one pair. */
static int point(struct write *w, int place, const char *x_name, const char *y_name, bool *has, double *x, double *y)
{
    const json_t *px = pycall_arg(w->args, place, x_name), *py = pycall_arg(w->args, place + 1, y_name);
    if (json_array_size(px) == 2) {
        py = json_array_get(px, 1);
        px = json_array_get(px, 0);
    }
    *has = px || py;
    if (!*has)
        return 0;
    if (!json_is_number(px) || !json_is_number(py))
        return error_set(w->err, ERROR_BAD_TYPE, "%s and %s must both be numbers", x_name, y_name);
    *x = json_number_value(px);
    *y = json_number_value(py);
    return 0;
}

static int button_arg(struct write *w, int place, const char **ret)
{
    static const char *const names[][2] = {
        { "left", "left" }, { "right", "right" }, { "middle", "middle" }, { "primary", "left" }, { "secondary", "right" },
    };
    const json_t *value = pycall_arg(w->args, place, "button");
    if (!value)
        return 0;
    for (size_t i = 0; json_is_string(value) && i < ARRAY_LEN(names); i++) {
        if (strcasecmp(names[i][0], json_string_value(value)) == 0) {
            *ret = names[i][1];
            return 0;
        }
    }
    return error_set(w->err, ERROR_BAD_VALUE, "button must be left, right or middle");
}

/* --- Pointer ----------------------------------------------------------------------------------- */

static int click_with(struct write *w, const char *button, double count)
{
    bool has;
    double x = 0, y = 0;
    int r = point(w, 0, "x", "y", &has, &x, &y);
    return r < 0 ? r : write_click(w, button, (int)count, has, x, y, NULL);
}

static int click(struct write *w)
{
    const char *button = "left";
    double count = 1;
    int r = number(w, 2, "clicks", 1, 3, &count);
    if (r == 0)
        r = button_arg(w, 4, &button);
    return r < 0 ? r : click_with(w, button, count);
}

static int double_click(struct write *w)
{
    return click_with(w, "left", 2);
}

static int triple_click(struct write *w)
{
    return click_with(w, "left", 3);
}

static int right_click(struct write *w)
{
    return click_with(w, "right", 1);
}

static int middle_click(struct write *w)
{
    return click_with(w, "middle", 1);
}

static int move_to(struct write *w)
{
    bool has;
    double x = 0, y = 0;
    int r = point(w, 0, "x", "y", &has, &x, &y);
    if (r == 0 && !has)
        r = error_set(w->err, ERROR_MISSING_FIELD, "x is missing");
    return r < 0 ? r : write_move(w, x, y, NULL);
}

static int drag_to(struct write *w)
{
    bool has;
    double x = 0, y = 0;
    const char *button = "left";
    int r = point(w, 0, "x", "y", &has, &x, &y);
    if (r == 0)
        r = button_arg(w, 4, &button);
    if (r == 0 && !has)
        r = error_set(w->err, ERROR_MISSING_FIELD, "x is missing");
    return r < 0 ? r : write_drag(w, false, 0, 0, x, y, button, NULL);
}

/* From where the pointer will be by then. */
static int offset(struct write *w, double *x, double *y)
{
    bool has;
    double dx = 0, dy = 0;
    int r = point(w, 0, "xOffset", "yOffset", &has, &dx, &dy);
    if (r < 0)
        return r;
    if (!w->turn->has_point)
        return error_set(w->err, ERROR_CONFLICT, "nobody knows yet where the pointer is; move it to a place first");
    *x = w->turn->x + dx;
    *y = w->turn->y + dy;
    return 0;
}

static int move_by(struct write *w)
{
    double x = 0, y = 0;
    int r = offset(w, &x, &y);
    return r < 0 ? r : write_move(w, x, y, NULL);
}

static int drag_by(struct write *w)
{
    double x = 0, y = 0;
    const char *button = "left";
    int r = offset(w, &x, &y);
    if (r == 0)
        r = button_arg(w, 4, &button);
    return r < 0 ? r : write_drag(w, false, 0, 0, x, y, button, NULL);
}

static int button_with(struct write *w, const char *type)
{
    bool has;
    double x = 0, y = 0;
    const char *button = "left";
    int r = point(w, 0, "x", "y", &has, &x, &y);
    if (r == 0)
        r = button_arg(w, 2, &button);
    json_t *action = r < 0 ? NULL : write_action(w, type);
    if (!action)
        return -1;
    json_object_set_new(action, "button", json_string(button));
    return write_at(w, action, has, x, y);
}

static int mouse_down(struct write *w)
{
    return button_with(w, "button_down");
}

static int mouse_up(struct write *w)
{
    return button_with(w, "button_up");
}

static int scroll_with(struct write *w, double by_x, double by_y)
{
    bool has;
    double x = 0, y = 0, clicks = 0;
    int r = number(w, 0, "clicks", -TURN_NOTCHES_MAX, TURN_NOTCHES_MAX, &clicks);
    if (r == 0)
        r = point(w, 1, "x", "y", &has, &x, &y);
    return r < 0 ? r : write_scroll(w, has, x, y, by_x * clicks, by_y * clicks, "notch", NULL);
}

static int scroll(struct write *w)
{
    return scroll_with(w, 0, -1);
}

static int hscroll(struct write *w)
{
    return scroll_with(w, 1, 0);
}

/* --- Keyboard ---------------------------------------------------------------------------------- */

static int press_list(struct write *w, const json_t *keys)
{
    int r = json_is_string(keys) ? write_key(w, json_string_value(keys), 1) : 0;
    for (size_t i = 0; r == 0 && i < json_array_size(keys); i++) {
        const char *key = json_string_value(json_array_get(keys, i));
        r = key ? write_key(w, strcmp(key, " ") == 0 ? "space" : key, 1)
                : error_set(w->err, ERROR_BAD_TYPE, "keys must be names");
    }
    return r;
}

static int write_(struct write *w)
{
    const json_t *text = pycall_arg(w->args, 0, "message");
    if (json_is_array(text))
        return press_list(w, text);
    if (!json_is_string(text))
        return error_set(w->err, ERROR_MISSING_FIELD, "message is missing");
    return write_text(w, json_string_value(text), false);
}

static int press(struct write *w)
{
    const json_t *keys = pycall_arg(w->args, 0, "keys");
    double presses = 1;
    int r = number(w, 1, "presses", 1, TURN_REPEAT_MAX, &presses);
    if (r == 0 && !json_is_string(keys) && json_array_size(keys) == 0)
        r = error_set(w->err, ERROR_MISSING_FIELD, "keys is missing");
    for (int i = 0; r == 0 && i < (int)presses; i++)
        r = press_list(w, keys);
    return r;
}

static int hotkey(struct write *w)
{
    const json_t *keys = json_object_get(w->args, "args");
    if (json_is_array(json_array_get(keys, 0)))
        keys = json_array_get(keys, 0);
    auto_json json_t *named = json_pack("{sO?}", "keys", (json_t *)keys);
    auto_free char *chord = NULL;
    struct write inner = { w->turn, w->call, named, w->err };
    int r = arg_chord(&inner, "keys", ARG_REQUIRED, &chord);
    return r < 0 ? r : write_key(w, chord, 1);
}

static int key_state(struct write *w, const char *type)
{
    const char *key = json_string_value(pycall_arg(w->args, 0, "key"));
    if (!key || !*key)
        return error_set(w->err, ERROR_MISSING_FIELD, "key is missing");
    return write_chord_type(w, type, strcmp(key, " ") == 0 ? "space" : key);
}

static int key_down(struct write *w)
{
    return key_state(w, "key_down");
}

static int key_up(struct write *w)
{
    return key_state(w, "key_up");
}

/* --- The rest ---------------------------------------------------------------------------------- */

static int sleep_(struct write *w)
{
    double seconds = 0;
    int r = number(w, 0, "seconds", 0, TURN_WAIT_MAX_S, &seconds);
    return r < 0 ? r : write_wait(w, seconds);
}

static int wait_(struct write *w)
{
    double seconds = 3;
    int r = number(w, 0, "seconds", 0, TURN_WAIT_MAX_S, &seconds);
    return r < 0 ? r : write_wait(w, seconds);
}

static int look(struct write *w)
{
    w->call->is_asked = true;
    return 0;
}

static int terminate(struct write *w)
{
    const char *status = json_string_value(pycall_arg(w->args, 0, "status"));
    w->call->is_end = true;
    w->call->is_failure = status && strcmp(status, "success") != 0;
    return 0;
}

static const struct write_row rows[] = {
    { "pyautogui.click", click, 0 },
    { "pyautogui.leftClick", click, 0 },
    { "pyautogui.doubleClick", double_click, 0 },
    { "pyautogui.tripleClick", triple_click, 0 },
    { "pyautogui.rightClick", right_click, 0 },
    { "pyautogui.middleClick", middle_click, 0 },
    { "pyautogui.moveTo", move_to, 0 },
    { "pyautogui.moveRel", move_by, 0 },
    { "pyautogui.move", move_by, 0 },
    { "pyautogui.dragTo", drag_to, 0 },
    { "pyautogui.dragRel", drag_by, 0 },
    { "pyautogui.drag", drag_by, 0 },
    { "pyautogui.mouseDown", mouse_down, 0 },
    { "pyautogui.mouseUp", mouse_up, 0 },
    { "pyautogui.scroll", scroll, 0 },
    { "pyautogui.vscroll", scroll, 0 },
    { "pyautogui.hscroll", hscroll, 0 },
    { "pyautogui.write", write_, 0 },
    { "pyautogui.typewrite", write_, 0 },
    { "pyautogui.press", press, 0 },
    { "pyautogui.hotkey", hotkey, 0 },
    { "pyautogui.keyDown", key_down, 0 },
    { "pyautogui.keyUp", key_up, 0 },
    { "pyautogui.sleep", sleep_, 0 },
    { "pyautogui.screenshot", look, 0 },
    { "time.sleep", sleep_, 0 },
    { "computer.triple_click", triple_click, 0 },
    { "computer.wait", wait_, 0 },
    { "computer.terminate", terminate, 0 },
};

/* --- Shares or pixels -------------------------------------------------------------------------- */

struct range {
    int n;
    bool are_shares;
};

static void look_at(struct range *range, const json_t *value)
{
    if (json_array_size(value) == 2) {
        look_at(range, json_array_get(value, 0));
        look_at(range, json_array_get(value, 1));
    }
    if (!json_is_number(value))
        return;
    range->n++;
    range->are_shares &= json_is_real(value) && json_real_value(value) >= 0 && json_real_value(value) <= 1;
}

/* Whether every point of the code is written as shares of the screen. */
static bool has_shares(const json_t *calls)
{
    static const char *const pointers[] = { "lick", "moveTo", "dragTo", "mouseDown", "mouseUp", "triple_click" };
    struct range range = { 0, true };
    for (size_t i = 0; i < json_array_size(calls); i++) {
        const json_t *call = json_array_get(calls, i);
        const char *name = json_get_string(call, "name", "");
        for (size_t k = 0; k < ARRAY_LEN(pointers); k++) {
            if (!strstr(name, pointers[k]))
                continue;
            look_at(&range, pycall_arg(call, 0, "x"));
            look_at(&range, pycall_arg(call, 1, "y"));
            break;
        }
    }
    return range.n > 0 && range.are_shares;
}

/* Where the pointer is before the code runs, in its space. */
static void start_point(struct turn *self)
{
    const struct turn_options *o = &self->options;
    if (!o->has_pointer || self->has_point || o->screen.width < 1 || o->screen.height < 1)
        return;
    bool is_share = strcmp(self->space, "norm1") == 0;
    self->has_point = true;
    self->x = (o->x + 0.5) / o->screen.width * (is_share ? 1 : self->image.width);
    self->y = (o->y + 0.5) / o->screen.height * (is_share ? 1 : self->image.height);
    if (!is_share) {
        self->x = floor(self->x);
        self->y = floor(self->y);
    }
}

int pyautogui_read(struct turn *self, const char *code, struct error *err)
{
    json_t *calls = NULL;
    int r = pycall_parse(code, &calls, err);
    if (r < 0 || !turn_own(self, calls))
        return r < 0 ? r : -1;
    if (has_shares(calls))
        self->space = "norm1";
    start_point(self);
    for (size_t i = 0; i < json_array_size(calls); i++) {
        const json_t *one = json_array_get(calls, i);
        struct turn_call *call = turn_add_call(self, one, json_get_string(one, "name", ""), err);
        if (!call)
            return -1;
        turn_write(self, call, one, rows, ARRAY_LEN(rows), 0);
    }
    return 0;
}
