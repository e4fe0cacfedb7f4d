/* The table first, then a parser that knows field kinds but no action, then what rows alone cannot
 * say (x without y, a scroll without a distance). A parsed action owns at most its text (64 KiB), a
 * path (1000 points) and its chords (100). */
#include "input/action.h"

#include "input/text.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* --- The table -------------------------------------------------------------------------------- */

static const char *const button_names[] = { "left", "right", "middle", "back", "forward", NULL };
static const char *const direction_names[] = { "up", "down", "left", "right", NULL };
static const char *const unit_names[] = { "notch", "pixel", NULL };
static const char *const wait_names[] = { "settled", "change", NULL };
static const char *const format_names[] = { "png", "jpeg", "webp", NULL };

#define AT(member) .offset = offsetof(struct action, member)
#define HAS(member) .has_offset = offsetof(struct action, member)
#define LIMITS(lo, hi) .has_limits = true, .min = lo, .max = hi
#define COORDINATE(n, member, t) { .name = n, .kind = ACTION_FIELD_NUMBER, AT(member), .text = t }
#define MILLISECONDS(n, member, lo, hi, def, t)                                                    \
    { .name = n, .kind = ACTION_FIELD_INTEGER, AT(member), LIMITS(lo, hi), .default_json = def, .text = t }
#define FLAG(n, member, def, t)                                                                    \
    { .name = n, .kind = ACTION_FIELD_BOOLEAN, AT(member), .default_json = def, .text = t }
#define CHOICE(n, member, v, def, t)                                                               \
    { .name = n, .kind = ACTION_FIELD_ENUM, AT(member), .values = v, .default_json = def, .text = t }

#define POINT_HERE                                                                                 \
    { .name = "x", .kind = ACTION_FIELD_NUMBER, AT(x), HAS(has_x),                                 \
      .text = "Where, in the request's coordinate space; without x and y, where the pointer is." },\
    { .name = "y", .kind = ACTION_FIELD_NUMBER, AT(y), HAS(has_y), .text = "See x." }
#define BUTTON CHOICE("button", button, button_names, "\"left\"", "The mouse button.")
#define HELD(n)                                                                                    \
    { .name = n, .kind = ACTION_FIELD_CHORD, AT(held),                                             \
      .text = "Keys held down meanwhile, such as \"ctrl+shift\" or [\"ctrl\", \"shift\"]." }
#define REGION(t) { .name = "region", .kind = ACTION_FIELD_REGION, AT(region), HAS(has_region), .text = t }
#define SETTLE_TIMES                                                                               \
    MILLISECONDS("first_ms", first_ms, 0, ACTION_WAIT_MAX_MS, "1000",                              \
                 "How long a first change may take."),                                             \
    MILLISECONDS("quiet_ms", quiet_ms, 0, ACTION_WAIT_MAX_MS, "300",                               \
                 "How long nothing may change before the screen counts as settled."),              \
    MILLISECONDS("max_ms", max_ms, 0, ACTION_WAIT_MAX_MS, "5000", "When to give up.")
#define IMAGE                                                                                      \
    { .name = "width", .kind = ACTION_FIELD_INTEGER, AT(width), LIMITS(1, 8192),                   \
      .text = "Width of the image in pixels; alone, the height follows the aspect." },             \
    { .name = "height", .kind = ACTION_FIELD_INTEGER, AT(height), LIMITS(1, 8192),                 \
      .text = "Height of the image in pixels." },                                                  \
    CHOICE("format", format, format_names, "\"png\"", "The image's format."),                      \
    { .name = "quality", .kind = ACTION_FIELD_INTEGER, AT(quality), LIMITS(1, 100),                \
      .default_json = "85", .text = "Quality of JPEG and WebP." },                                 \
    FLAG("cursor", with_cursor, "true", "Whether the pointer is drawn."),                          \
    FLAG("settle", settle, "true", "Whether to wait until the screen is quiet since the last input."), \
    SETTLE_TIMES,                                                                                  \
    { .name = "if_changed_since", .kind = ACTION_FIELD_STRING, AT(if_changed_since),               \
      LIMITS(1, ACTION_FRAME_MAX), .text = "A frame id: answers \"unchanged\" while it is current." }

static const struct action_field move_fields[] = {
    { .name = "x", .kind = ACTION_FIELD_NUMBER, AT(x), HAS(has_x), .is_required = true,
      .text = "Where to, in the request's coordinate space." },
    { .name = "y", .kind = ACTION_FIELD_NUMBER, AT(y), HAS(has_y), .is_required = true,
      .text = "See x." },
    MILLISECONDS("duration_ms", duration_ms, 0, 10000, "0",
                 "Time of a straight move from where the pointer is; 0 jumps."),
    HELD("keys"),
};
static const struct action_field click_fields[] = {
    POINT_HERE,
    BUTTON,
    { .name = "count", .kind = ACTION_FIELD_INTEGER, AT(count), LIMITS(1, 3), .default_json = "1",
      .text = "2 is a double click, 3 a triple click." },
    HELD("keys"),
    MILLISECONDS("interval_ms", interval_ms, 10, 2000, "60", "Pause between clicks."),
    MILLISECONDS("hold_ms", hold_ms, 0, 60000, "30", "How long the button is down."),
};
static const struct action_field button_fields[] = { POINT_HERE, BUTTON };
static const struct action_field drag_fields[] = {
    { .name = "path", .kind = ACTION_FIELD_PATH, AT(path), .is_required = true,
      LIMITS(2, ACTION_PATH_MAX), .text = "Points from press to release, [x, y] or {\"x\", \"y\"}." },
    BUTTON,
    HELD("keys"),
    MILLISECONDS("hold_before_ms", hold_before_ms, 0, 60000, "30", "Pause between press and motion."),
    MILLISECONDS("step_ms", step_ms, 1, 1000, "10", "Pause between two motion events."),
    MILLISECONDS("hold_after_ms", hold_after_ms, 0, 60000, "30", "Pause between motion and release."),
};
static const struct action_field scroll_fields[] = {
    POINT_HERE,
    { .name = "direction", .kind = ACTION_FIELD_ENUM, AT(direction), HAS(has_direction),
      .values = direction_names, .text = "Which way, together with amount." },
    { .name = "amount", .kind = ACTION_FIELD_NUMBER, AT(amount), HAS(has_amount),
      LIMITS(0, 100000), .text = "How far, in units." },
    { .name = "dx", .kind = ACTION_FIELD_NUMBER, AT(dx), LIMITS(-100000, 100000),
      .default_json = "0", .text = "Instead of direction and amount: units to the right." },
    { .name = "dy", .kind = ACTION_FIELD_NUMBER, AT(dy), LIMITS(-100000, 100000),
      .default_json = "0", .text = "Units down." },
    CHOICE("unit", unit, unit_names, "\"notch\"",
           "A notch of the wheel, or a pixel: 120 make a notch, the rest is kept for the next scroll."),
    HELD("keys"),
};
static const struct action_field key_fields[] = {
    { .name = "keys", .kind = ACTION_FIELD_KEYS, AT(keys), .is_required = true,
      LIMITS(1, ACTION_CHORDS_MAX),
      .text = "A chord such as \"ctrl+shift+t\", or an array of chords pressed one after the other." },
    { .name = "repeat", .kind = ACTION_FIELD_INTEGER, AT(repeat), LIMITS(1, 100),
      .default_json = "1", .text = "How often." },
    HELD("hold"),
    MILLISECONDS("hold_ms", hold_ms, 0, 60000, "16", "How long each chord is down."),
};
static const struct action_field key_state_fields[] = {
    { .name = "keys", .kind = ACTION_FIELD_KEYS, AT(keys), .is_required = true, LIMITS(1, 1),
      .text = "A chord such as \"shift\" or \"ctrl+alt\"." },
};
static const struct action_field hold_key_fields[] = {
    { .name = "keys", .kind = ACTION_FIELD_KEYS, AT(keys), .is_required = true, LIMITS(1, 1),
      .text = "A chord." },
    { .name = "duration_ms", .kind = ACTION_FIELD_INTEGER, AT(duration_ms), .is_required = true,
      LIMITS(0, ACTION_WAIT_MAX_MS), .text = "How long it is down." },
};
static const struct action_field type_fields[] = {
    { .name = "text", .kind = ACTION_FIELD_STRING, AT(text), .is_required = true,
      LIMITS(0, ACTION_TEXT_MAX), .text = "UTF-8; a newline is Return, a tab is Tab." },
    FLAG("press_enter", press_enter, "false", "Whether to press Return at the end."),
    MILLISECONDS("delay_ms", delay_ms, 0, 1000, "0",
                 "Pause after each character; 0 is as fast as a guest takes them."),
    FLAG("secret", is_secret, "false", "Keeps the text out of recordings and logs."),
};
static const struct action_field wait_fields[] = {
    { .name = "duration_ms", .kind = ACTION_FIELD_INTEGER, AT(duration_ms), .is_required = true,
      LIMITS(0, ACTION_WAIT_MAX_MS), .text = "How long." },
};
static const struct action_field wait_for_fields[] = {
    CHOICE("kind", kind, wait_names, "\"settled\"",
           "Until the screen is quiet, or only until it changes."),
    SETTLE_TIMES,
    REGION("Only changes inside count."),
};
static const struct action_field screenshot_fields[] = { REGION("The part to show."), IMAGE };
static const struct action_field zoom_fields[] = {
    { .name = "region", .kind = ACTION_FIELD_REGION, AT(region), HAS(has_region),
      .is_required = true, .text = "The part to show, cut from the full resolution." },
    IMAGE,
};

#define ROW(f) .fields = f, .n_fields = ARRAY_LEN(f)

const struct action_row action_table[ACTION_COUNT] = {
    [ACTION_MOVE] = { "move", "Moves the pointer.", ROW(move_fields) },
    [ACTION_CLICK] = { "click", "Moves the pointer, when x and y are given, and clicks.",
                       ROW(click_fields) },
    [ACTION_BUTTON_DOWN] = { "button_down", "Presses a mouse button, which stays down.",
                             ROW(button_fields) },
    [ACTION_BUTTON_UP] = { "button_up", "Releases a mouse button.", ROW(button_fields) },
    [ACTION_DRAG] = { "drag", "Presses at the first point, moves along the path, releases at the last.",
                      ROW(drag_fields) },
    [ACTION_SCROLL] = { "scroll", "Turns the wheel: direction and amount, or dx and dy.",
                        ROW(scroll_fields) },
    [ACTION_KEY] = { "key", "Presses and releases a chord or a sequence of chords.", ROW(key_fields) },
    [ACTION_KEY_DOWN] = { "key_down", "Presses keys, which stay down.", ROW(key_state_fields) },
    [ACTION_KEY_UP] = { "key_up", "Releases keys that key_down pressed.", ROW(key_state_fields) },
    [ACTION_HOLD_KEY] = { "hold_key", "Holds a chord down for a time.", ROW(hold_key_fields) },
    [ACTION_TYPE] = { "type", "Types text on the guest's keyboard layout, all of it or nothing.",
                      ROW(type_fields) },
    [ACTION_WAIT] = { "wait", "Waits for a fixed time.", ROW(wait_fields) },
    [ACTION_WAIT_FOR] = { "wait_for", "Waits until the screen has settled or changed.",
                          ROW(wait_for_fields) },
    [ACTION_SCREENSHOT] = { "screenshot", "Takes a screenshot.", ROW(screenshot_fields) },
    [ACTION_ZOOM] = { "zoom", "Takes a screenshot of a region at full resolution.", ROW(zoom_fields) },
    [ACTION_CURSOR_POSITION] = { "cursor_position", "Answers where the pointer is.", NULL, 0 },
    [ACTION_RELEASE_ALL] = { "release_all", "Releases every key and button that is held.", NULL, 0 },
};

/* --- Values ----------------------------------------------------------------------------------- */

/* One field being parsed: where it is, for messages, and where its value goes. */
struct place {
    const struct action_field *field;
    struct action *action;
    const char *where; /* "actions[2].x" */
    struct error *err;
};

static void *place_value(const struct place *p)
{
    return (char *)p->action + p->field->offset;
}

static int bad_type(const struct place *p, const char *expected, const json_t *got)
{
    return error_set(p->err, ERROR_BAD_TYPE, "%s: expected %s, got %s", p->where, expected,
                     json_type_name(got));
}

static int parse_number(const struct place *p, const json_t *value)
{
    if (!json_is_number(value))
        return bad_type(p, "a number", value);
    double v = json_number_value(value);
    if (p->field->has_limits && (v < p->field->min || v > p->field->max))
        return error_set(p->err, ERROR_BAD_VALUE, "%s: %.10g is outside %.10g to %.10g", p->where, v,
                         p->field->min, p->field->max);
    *(double *)place_value(p) = v;
    return 0;
}

static int parse_integer(const struct place *p, const json_t *value)
{
    double v = json_number_value(value);
    if (!json_is_number(value) || v != floor(v))
        return bad_type(p, "an integer", value);
    if (v < p->field->min || v > p->field->max)
        return error_set(p->err, ERROR_BAD_VALUE, "%s: %.10g is outside %.10g to %.10g", p->where, v,
                         p->field->min, p->field->max);
    *(int *)place_value(p) = (int)v;
    return 0;
}

static int parse_boolean(const struct place *p, const json_t *value)
{
    if (!json_is_boolean(value))
        return bad_type(p, "a boolean", value);
    *(bool *)place_value(p) = json_is_true(value);
    return 0;
}

static void join_values(const char *const *values, char *out, size_t size)
{
    size_t at = 0;
    for (size_t i = 0; values[i] && at < size; i++)
        at += (size_t)snprintf(out + at, size - at, "%s%s", i > 0 ? ", " : "", values[i]);
}

static int parse_enum(const struct place *p, const json_t *value)
{
    const char *name = json_string_value(value);
    if (!name)
        return bad_type(p, "a string", value);
    for (int i = 0; p->field->values[i]; i++) {
        if (strcmp(name, p->field->values[i]) == 0) {
            *(int *)place_value(p) = i;
            return 0;
        }
    }
    char all[256];
    join_values(p->field->values, all, sizeof all);
    return error_set(p->err, ERROR_BAD_VALUE, "%s: '%.40s' is none of %s", p->where, name, all);
}

/* A frame id goes into its array, text onto the heap. */
static int parse_string(const struct place *p, const json_t *value)
{
    if (!json_is_string(value))
        return bad_type(p, "a string", value);
    const char *text = json_string_value(value);
    size_t size = json_string_length(value);
    if (size > (size_t)p->field->max)
        return error_set(p->err, ERROR_TOO_LARGE, "%s: %zu bytes, more than %g", p->where, size,
                         p->field->max);
    if (size < (size_t)p->field->min || strlen(text) != size)
        return error_set(p->err, ERROR_BAD_VALUE, "%s: %s", p->where,
                         size ? "contains the character NUL" : "is empty");
    if (p->field->offset == offsetof(struct action, if_changed_since)) {
        memcpy(p->action->if_changed_since, text, size + 1);
        return 0;
    }
    p->action->text = strndup(text, size);
    p->action->text_size = size;
    return p->action->text ? 0 : error_errno(p->err, ENOMEM, "%s", p->where);
}

static int parse_chord(const struct place *p, const json_t *value, struct chord *ret)
{
    int r = chord_parse(ret, json_string_value(value), json_string_length(value), p->err);
    if (r < 0)
        error_wrap(p->err, "%s", p->where);
    return r;
}

/* ["ctrl", "shift"]: each element is one key name. */
static int parse_chord_array(const struct place *p, const json_t *value, struct chord *ret)
{
    struct chord chord = { 0 };
    if (json_array_size(value) > CHORD_MAX)
        return error_set(p->err, ERROR_BAD_VALUE, "%s: more than %d keys at once", p->where, CHORD_MAX);
    for (size_t i = 0; i < json_array_size(value); i++) {
        struct chord one;
        const json_t *name = json_array_get(value, i);
        if (!json_is_string(name))
            return bad_type(p, "an array of strings", name);
        int r = parse_chord(p, name, &one);
        if (r < 0)
            return r;
        if (one.n_keys != 1)
            return error_set(p->err, ERROR_BAD_VALUE, "%s: one key name per element", p->where);
        chord.keysyms[chord.n_keys++] = one.keysyms[0];
    }
    *ret = chord;
    return 0;
}

static int parse_held(const struct place *p, const json_t *value)
{
    if (json_is_string(value))
        return parse_chord(p, value, place_value(p));
    if (json_is_array(value))
        return parse_chord_array(p, value, place_value(p));
    return bad_type(p, "a string or an array of strings", value);
}

static int parse_keys(const struct place *p, const json_t *value)
{
    bool is_array = json_is_array(value);
    if (!is_array && !json_is_string(value))
        return bad_type(p, p->field->max > 1 ? "a string or an array of strings" : "a string", value);
    size_t n = is_array ? json_array_size(value) : 1;
    if (n < 1 || n > (size_t)p->field->max)
        return error_set(p->err, ERROR_BAD_VALUE, "%s: %zu chords, expected 1 to %g", p->where, n,
                         p->field->max);
    struct action_keys *keys = &p->action->keys;
    keys->chords = calloc(n, sizeof *keys->chords);
    if (!keys->chords)
        return error_errno(p->err, ENOMEM, "%s", p->where);
    for (keys->n_chords = 0; keys->n_chords < n; keys->n_chords++) {
        const json_t *chord = is_array ? json_array_get(value, keys->n_chords) : value;
        if (!json_is_string(chord))
            return bad_type(p, "an array of strings", chord);
        int r = parse_chord(p, chord, &keys->chords[keys->n_chords]);
        if (r < 0)
            return r;
    }
    return 0;
}

static int parse_point(const struct place *p, const json_t *value, struct action_point *ret)
{
    const json_t *x = NULL, *y = NULL;
    if (json_is_array(value) && json_array_size(value) == 2) {
        x = json_array_get(value, 0);
        y = json_array_get(value, 1);
    } else if (json_is_object(value) && json_object_size(value) == 2) {
        x = json_object_get(value, "x");
        y = json_object_get(value, "y");
    }
    if (!json_is_number(x) || !json_is_number(y))
        return bad_type(p, "points as [x, y] or {\"x\", \"y\"} with numbers", value);
    *ret = (struct action_point){ json_number_value(x), json_number_value(y) };
    return 0;
}

static int parse_path(const struct place *p, const json_t *value)
{
    if (!json_is_array(value))
        return bad_type(p, "an array of points", value);
    size_t n = json_array_size(value);
    if (n < (size_t)p->field->min || n > (size_t)p->field->max)
        return error_set(p->err, ERROR_BAD_VALUE, "%s: %zu points, expected %g to %g", p->where, n,
                         p->field->min, p->field->max);
    struct action_path *path = &p->action->path;
    path->points = calloc(n, sizeof *path->points);
    if (!path->points)
        return error_errno(p->err, ENOMEM, "%s", p->where);
    path->n_points = n;
    for (size_t i = 0; i < n; i++) {
        int r = parse_point(p, json_array_get(value, i), &path->points[i]);
        if (r < 0)
            return r;
    }
    return 0;
}

static int parse_region(const struct place *p, const json_t *value)
{
    static const char *const names[] = { "x", "y", "width", "height" };
    double v[ARRAY_LEN(names)];
    if (!json_is_object(value))
        return bad_type(p, "an object", value);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const json_t *number = json_object_get(value, names[i]);
        if (!number)
            return error_set(p->err, ERROR_MISSING_FIELD, "%s.%s: is missing", p->where, names[i]);
        if (!json_is_number(number))
            return error_set(p->err, ERROR_BAD_TYPE, "%s.%s: expected a number, got %s", p->where,
                             names[i], json_type_name(number));
        v[i] = json_number_value(number);
    }
    if (json_object_size(value) != ARRAY_LEN(names))
        return error_set(p->err, ERROR_UNKNOWN_FIELD, "%s: fields besides x, y, width and height",
                         p->where);
    *(struct action_region *)place_value(p) = (struct action_region){ v[0], v[1], v[2], v[3] };
    return 0;
}

static int parse_value(const struct place *p, const json_t *value)
{
    static int (*const parsers[])(const struct place *, const json_t *) = {
        [ACTION_FIELD_NUMBER] = parse_number,   [ACTION_FIELD_INTEGER] = parse_integer,
        [ACTION_FIELD_BOOLEAN] = parse_boolean, [ACTION_FIELD_ENUM] = parse_enum,
        [ACTION_FIELD_STRING] = parse_string,   [ACTION_FIELD_CHORD] = parse_held,
        [ACTION_FIELD_KEYS] = parse_keys,       [ACTION_FIELD_PATH] = parse_path,
        [ACTION_FIELD_REGION] = parse_region,
    };
    int r = parsers[p->field->kind](p, value);
    if (r >= 0 && p->field->has_offset)
        *(bool *)((char *)p->action + p->field->has_offset) = true;
    return r;
}

/* --- Actions ---------------------------------------------------------------------------------- */

static int find_row(const json_t *object, const char *where, enum action_type *ret, struct error *err)
{
    if (!json_is_object(object))
        return error_set(err, ERROR_BAD_TYPE, "%s: expected an object, got %s", where,
                         json_type_name(object));
    const json_t *type = json_object_get(object, "type");
    const char *name = json_string_value(type);
    if (!type)
        return error_set(err, ERROR_MISSING_FIELD, "%s.type: is missing", where);
    if (!name)
        return error_set(err, ERROR_BAD_TYPE, "%s.type: expected a string, got %s", where,
                         json_type_name(type));
    for (int i = 0; i < ACTION_COUNT; i++) {
        if (strcmp(name, action_table[i].name) == 0) {
            *ret = (enum action_type)i;
            return 0;
        }
    }
    return error_set(err, ERROR_BAD_VALUE, "%s.type: there is no action '%.40s'", where, name);
}

static int check_names(const struct action_row *row, const json_t *object, const char *where,
                       struct error *err)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)object, name, value) {
        bool is_known = strcmp(name, "type") == 0;
        for (size_t i = 0; i < row->n_fields && !is_known; i++)
            is_known = strcmp(name, row->fields[i].name) == 0;
        if (!is_known)
            return error_set(err, ERROR_UNKNOWN_FIELD, "%s.%.40s: %s has no such field", where, name,
                             row->name);
    }
    return 0;
}

static int parse_field(struct action *action, const struct action_field *field, const json_t *object,
                       const char *where, struct error *err)
{
    char path[128];
    snprintf(path, sizeof path, "%s.%s", where, field->name);
    struct place place = { field, action, path, err };
    const json_t *value = json_object_get(object, field->name);
    if (value)
        return parse_value(&place, value);
    if (field->is_required)
        return error_set(err, ERROR_MISSING_FIELD, "%s: is missing", path);
    if (!field->default_json)
        return 0;
    auto_json json_t *fallback = json_loads(field->default_json, JSON_DECODE_ANY, NULL);
    return fallback ? parse_value(&place, fallback) : error_errno(err, ENOMEM, "%s", path);
}

/* What no single field can say. */
static int check_action(const struct action *a, const json_t *object, const char *where,
                        struct error *err)
{
    if (a->has_x != a->has_y)
        return error_set(err, ERROR_MISSING_FIELD, "%s.%s: is missing", where, a->has_x ? "y" : "x");
    if (a->type != ACTION_SCROLL)
        return 0;
    bool has_delta = json_object_get(object, "dx") || json_object_get(object, "dy");
    if (has_delta && (a->has_direction || a->has_amount))
        return error_set(err, ERROR_BAD_VALUE, "%s: either direction and amount, or dx and dy", where);
    if (!has_delta && !(a->has_direction && a->has_amount))
        return error_set(err, ERROR_MISSING_FIELD, "%s.%s: is missing", where,
                         a->has_direction ? "amount" : "direction");
    double most = MAX(MAX(fabs(a->dx), fabs(a->dy)), a->amount) / (a->unit == SCROLL_PIXEL ? 120 : 1);
    if (most > ACTION_SCROLL_MAX)
        return error_set(err, ERROR_BAD_VALUE, "%s: scrolls %g notches, more than %d", where, most,
                         ACTION_SCROLL_MAX);
    return 0;
}

int action_parse(struct action *ret, const json_t *object, const char *where, struct error *err)
{
    *ret = (struct action){ 0 };
    struct action action = { 0 };
    int r = find_row(object, where, &action.type, err);
    if (r < 0)
        return r;
    const struct action_row *row = &action_table[action.type];
    r = check_names(row, object, where, err);
    for (size_t i = 0; i < row->n_fields && r >= 0; i++)
        r = parse_field(&action, &row->fields[i], object, where, err);
    if (r >= 0)
        r = check_action(&action, object, where, err);
    if (r < 0)
        action_deinit(&action);
    else
        *ret = action;
    return r;
}

void action_deinit(struct action *self)
{
    /* The compiler may not drop this: passwords should not lie around in the heap. */
    if (self->text && self->is_secret)
        explicit_bzero(self->text, self->text_size);
    free(self->text);
    free(self->path.points);
    free(self->keys.chords);
    *self = (struct action){ 0 };
}

bool action_is_played(const struct action *self)
{
    return self->type != ACTION_WAIT_FOR && self->type != ACTION_SCREENSHOT && self->type != ACTION_ZOOM;
}

bool action_is_control(const struct action *self)
{
    return action_is_played(self) && self->type != ACTION_WAIT && self->type != ACTION_CURSOR_POSITION;
}
