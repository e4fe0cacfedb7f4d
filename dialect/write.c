/* Reading what a model gave and writing actions of ours. Messages are for the model: they name its own
 * arguments and say what would have been right. What only the guest knows (whether a point lies on the
 * screen, whether a key exists) is left to the batch. */
#include "dialect/write.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define NOTCHES_PER_ACTION 100
#define PIXELS_PER_NOTCH 120
#define DRAG_MS 200 /* of a drag whose start nobody knows: enough for several motion events */

json_t *write_action(struct write *w, const char *type)
{
    struct turn *turn = w->turn;
    if (json_array_size(turn->actions) >= TURN_ACTIONS_MAX) {
        error_set(w->err, ERROR_TOO_LARGE, "more than %d actions in one turn", TURN_ACTIONS_MAX);
        return NULL;
    }
    json_t *action = json_pack("{ss}", "type", type);
    if (!action || json_array_append_new(turn->actions, action) < 0) {
        error_errno(w->err, ENOMEM, "writing an action");
        return NULL;
    }
    w->call->n++;
    return action;
}

/* --- Arguments --------------------------------------------------------------------------------- */

const json_t *arg(const struct write *w, const char *name)
{
    const json_t *value = json_object_get(w->args, name);
    return json_is_null(value) ? NULL : value;
}

static int missing(struct write *w, const char *name, int need)
{
    return need == ARG_OPTIONAL ? 0 : error_set(w->err, ERROR_MISSING_FIELD, "%s is missing", name);
}

static int wrong(struct write *w, const char *name, const char *expected, const json_t *got)
{
    return error_set(w->err, ERROR_BAD_TYPE, "%s must be %s, not %s", name, expected, json_type_name(got));
}

int arg_number(struct write *w, const char *name, int need, double min, double max, double *ret)
{
    const json_t *value = arg(w, name);
    if (!value)
        return missing(w, name, need);
    if (!json_is_number(value))
        return wrong(w, name, "a number", value);
    double v = json_number_value(value);
    if (!(v >= min && v <= max))
        return error_set(w->err, ERROR_BAD_VALUE, "%s is %.10g; it must be from %.10g to %.10g", name, v, min, max);
    *ret = v;
    return 0;
}

int arg_string(struct write *w, const char *name, int need, const char **ret)
{
    const json_t *value = arg(w, name);
    if (!value)
        return missing(w, name, need);
    if (!json_is_string(value))
        return wrong(w, name, "a string", value);
    *ret = json_string_value(value);
    return 0;
}

int arg_bool(struct write *w, const char *name, bool *ret)
{
    const json_t *value = arg(w, name);
    if (value && !json_is_boolean(value))
        return wrong(w, name, "true or false", value);
    if (value)
        *ret = json_is_true(value);
    return 0;
}

static void list_values(const char *const *values, char *out, size_t size)
{
    size_t used = 0;
    for (int i = 0; values[i] && used < size; i++)
        used += (size_t)snprintf(out + used, size - used, "%s%s", i ? ", " : "", values[i]);
}

int arg_choice(struct write *w, const char *name, int need, const char *const *values, int *ret)
{
    const char *text = NULL;
    int r = arg_string(w, name, need, &text);
    if (r < 0 || !text)
        return r;
    for (int i = 0; values[i]; i++) {
        if (strcasecmp(values[i], text) == 0) {
            *ret = i;
            return 0;
        }
    }
    char all[160];
    list_values(values, all, sizeof all);
    return error_set(w->err, ERROR_BAD_VALUE, "%s is \"%.40s\"; it must be one of %s", name, text, all);
}

int arg_point(struct write *w, const char *name, int need, bool *ret_has, double *ret_x, double *ret_y)
{
    const json_t *value = arg(w, name);
    *ret_has = false;
    if (!value)
        return missing(w, name, need);
    const json_t *x = json_array_get(value, 0), *y = json_array_get(value, 1);
    if (json_array_size(value) != 2 || !json_is_number(x) || !json_is_number(y))
        return error_set(w->err, ERROR_BAD_TYPE, "%s must be two numbers, [x, y]", name);
    *ret_has = true;
    *ret_x = json_number_value(x);
    *ret_y = json_number_value(y);
    return 0;
}

int arg_xy(struct write *w, const char *x_name, const char *y_name, int need, bool *ret_has, double *ret_x,
           double *ret_y)
{
    *ret_has = false;
    if (!arg(w, x_name) && !arg(w, y_name))
        return missing(w, x_name, need);
    int r = arg_number(w, x_name, ARG_REQUIRED, -1e9, 1e9, ret_x);
    if (r == 0)
        r = arg_number(w, y_name, ARG_REQUIRED, -1e9, 1e9, ret_y);
    *ret_has = r == 0;
    return r;
}

static int add_key_name(struct buf *chord, struct write *w, const char *name, const json_t *value)
{
    const char *text = json_string_value(value);
    if (!text || !*text)
        return error_set(w->err, ERROR_BAD_TYPE, "%s must hold names of keys", name);
    buf_printf(chord, "%s%s", chord->size ? "+" : "", strcmp(text, " ") == 0 ? "space" : text);
    return 0;
}

int arg_chord(struct write *w, const char *name, int need, char **ret)
{
    const json_t *value = arg(w, name);
    *ret = NULL;
    if (!value || (json_is_array(value) && json_array_size(value) == 0))
        return missing(w, name, need);
    auto_buf struct buf chord = { .limit = 1024 };
    int r = 0;
    if (json_is_string(value))
        r = add_key_name(&chord, w, name, value);
    else if (!json_is_array(value))
        r = wrong(w, name, "names of keys", value);
    for (size_t i = 0; r == 0 && i < json_array_size(value); i++)
        r = add_key_name(&chord, w, name, json_array_get(value, i));
    if (r < 0)
        return r;
    if (chord.failed)
        return error_set(w->err, ERROR_TOO_LARGE, "%s is too long", name);
    *ret = strdup(buf_str(&chord));
    return *ret ? 0 : error_errno(w->err, ENOMEM, "reading %s", name);
}

/* --- Actions ----------------------------------------------------------------------------------- */

static void set_string(json_t *action, const char *name, const char *text)
{
    if (text)
        json_object_set_new(action, name, json_string(text));
}

int write_at(struct write *w, json_t *action, bool has, double x, double y)
{
    if (!action)
        return -ENOMEM;
    if (!has)
        return 0;
    json_object_set_new(action, "x", json_real(x));
    json_object_set_new(action, "y", json_real(y));
    w->turn->has_point = true;
    w->turn->x = x;
    w->turn->y = y;
    return 0;
}

int write_click(struct write *w, const char *button, int count, bool has, double x, double y, const char *keys)
{
    json_t *action = write_action(w, "click");
    if (!action)
        return -ENOMEM;
    set_string(action, "button", button);
    json_object_set_new(action, "count", json_integer(count));
    set_string(action, "keys", keys);
    return write_at(w, action, has, x, y);
}

int write_move(struct write *w, double x, double y, const char *keys)
{
    json_t *action = write_action(w, "move");
    set_string(action, "keys", keys);
    return write_at(w, action, true, x, y);
}

/* The last end of a gesture without a known start: the button goes down where the pointer is. */
static int drag_from_here(struct write *w, double x, double y, const char *button, const char *keys)
{
    if (keys && write_chord_type(w, "key_down", keys) < 0)
        return -EINVAL;
    json_t *down = write_action(w, "button_down");
    set_string(down, "button", button);
    json_t *move = write_action(w, "move");
    int r = write_at(w, move, true, x, y);
    if (r < 0)
        return r;
    json_object_set_new(move, "duration_ms", json_integer(DRAG_MS));
    json_t *up = write_action(w, "button_up");
    set_string(up, "button", button);
    if (!up)
        return -ENOMEM;
    return keys ? write_chord_type(w, "key_up", keys) : 0;
}

int write_drag(struct write *w, bool has, double x0, double y0, double x1, double y1, const char *button,
               const char *keys)
{
    if (!has)
        return drag_from_here(w, x1, y1, button, keys);
    json_t *action = write_action(w, "drag");
    if (!action)
        return -ENOMEM;
    json_object_set_new(action, "path", json_pack("[[ff][ff]]", x0, y0, x1, y1));
    set_string(action, "button", button);
    set_string(action, "keys", keys);
    w->turn->has_point = true;
    w->turn->x = x1;
    w->turn->y = y1;
    return 0;
}

static int scroll_once(struct write *w, bool has, double x, double y, double dx, double dy, const char *unit,
                       const char *keys)
{
    json_t *action = write_action(w, "scroll");
    if (!action)
        return -ENOMEM;
    json_object_set_new(action, "dx", json_real(dx));
    json_object_set_new(action, "dy", json_real(dy));
    set_string(action, "unit", unit);
    set_string(action, "keys", keys);
    return write_at(w, action, has, x, y);
}

int write_scroll(struct write *w, bool has, double x, double y, double dx, double dy, const char *unit,
                 const char *keys)
{
    double per_action = NOTCHES_PER_ACTION * (strcmp(unit, "pixel") == 0 ? PIXELS_PER_NOTCH : 1);
    double most = MAX(fabs(dx), fabs(dy));
    if (!(most <= per_action * TURN_NOTCHES_MAX / NOTCHES_PER_ACTION))
        return error_set(w->err, ERROR_BAD_VALUE, "scrolls %g notches; at most %d at once",
                         most / per_action * NOTCHES_PER_ACTION, TURN_NOTCHES_MAX);
    int n = MAX((int)ceil(most / per_action), 1);
    int r = 0;
    for (int i = 0; r == 0 && i < n; i++) /* the parts add up: each gets what is left of a whole */
        r = scroll_once(w, has, x, y, dx * (i + 1) / n - dx * i / n, dy * (i + 1) / n - dy * i / n, unit, keys);
    return r;
}

/* One character of any script, and no control character. */
static bool is_character(const char *text)
{
    unsigned char c = (unsigned char)text[0];
    size_t size = strlen(text);
    size_t want = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    return size == want && c > 0x20 && c != 0x7f;
}

int write_chord_type(struct write *w, const char *type, const char *chord)
{
    json_t *action = write_action(w, type);
    if (!action)
        return -ENOMEM;
    return json_object_set_new(action, "keys", json_string(chord)) < 0
               ? error_set(w->err, ERROR_BAD_VALUE, "the keys are no valid text") : 0;
}

int write_key(struct write *w, const char *chord, int repeat)
{
    if (is_character(chord) && repeat == 1)
        return write_text(w, chord, false);
    int r = write_chord_type(w, "key", chord);
    if (r == 0 && repeat > 1)
        json_object_set_new(json_array_get(w->turn->actions, json_array_size(w->turn->actions) - 1), "repeat",
                            json_integer(repeat));
    return r;
}

int write_text(struct write *w, const char *text, bool press_enter)
{
    json_t *action = write_action(w, "type");
    if (!action)
        return -ENOMEM;
    set_string(action, "text", text);
    if (press_enter)
        json_object_set_new(action, "press_enter", json_true());
    return 0;
}

int write_wait(struct write *w, double seconds)
{
    json_t *action = write_action(w, "wait");
    if (!action)
        return -ENOMEM;
    json_object_set_new(action, "duration_ms", json_integer(llround(seconds * 1000)));
    return 0;
}

int write_shot(struct write *w)
{
    const struct turn *turn = w->turn;
    json_t *action = write_action(w, "screenshot");
    if (!action)
        return -ENOMEM;
    json_object_set_new(action, "width", json_integer(turn->image.width));
    json_object_set_new(action, "height", json_integer(turn->image.height));
    set_string(action, "format", turn->options.format);
    if (turn->options.quality)
        json_object_set_new(action, "quality", json_integer(turn->options.quality));
    w->call->has_shot = true;
    return 0;
}

void write_said(struct write *w, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    vsnprintf(w->call->said, sizeof w->call->said, format, ap);
    va_end(ap);
}

/* --- Vocabulary -------------------------------------------------------------------------------- */

static int unknown(struct write *w, const struct write_row *rows, size_t n)
{
    auto_buf struct buf names = { .limit = 600 };
    for (size_t i = 0; i < n; i++)
        buf_printf(&names, "%s%s", i ? ", " : "", rows[i].name);
    return error_set(w->err, ERROR_BAD_VALUE, "unknown action \"%.60s\"; known are %s", w->call->name,
                     buf_str(&names));
}

static int write_row(struct write *w, const struct write_row *rows, size_t n, int version)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(rows[i].name, w->call->name) != 0)
            continue;
        if (version && version < rows[i].since)
            return error_set(w->err, ERROR_UNSUPPORTED, "%s is no action of this tool's version", rows[i].name);
        return rows[i].write(w);
    }
    return unknown(w, rows, n);
}

void turn_write(struct turn *self, struct turn_call *call, const json_t *args, const struct write_row *rows,
                size_t n, int version)
{
    if (self->is_broken)
        return;
    struct write w = { self, call, args, &call->err };
    if (write_row(&w, rows, n, version) >= 0)
        return;
    if (!call->err.is_set)
        error_set(&call->err, ERROR_INTERNAL, "out of memory");
    self->is_broken = true;
    for (; call->n > 0; call->n--)
        json_array_remove(self->actions, json_array_size(self->actions) - 1);
}

static int press_named(struct write *w, const char *name)
{
    auto_free char *chord = NULL;
    int r = arg_chord(w, name, ARG_REQUIRED, &chord);
    return r < 0 ? r : write_key(w, chord, 1);
}

int write_named_key(struct write *w)
{
    return press_named(w, "key");
}

int write_named_keys(struct write *w)
{
    return press_named(w, "keys");
}

static int hold_named(struct write *w, const char *type)
{
    auto_free char *chord = NULL;
    int r = arg_chord(w, "key", ARG_REQUIRED, &chord);
    return r < 0 ? r : write_chord_type(w, type, chord);
}

int write_key_down(struct write *w)
{
    return hold_named(w, "key_down");
}

int write_key_up(struct write *w)
{
    return hold_named(w, "key_up");
}
