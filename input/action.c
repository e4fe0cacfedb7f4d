/* A parser that knows kinds of fields but no action, and after it what rows alone cannot say (x
 * without y, a scroll without a distance). A parsed action owns at most its text (64 KiB), a path
 * (1000 points) and its chords (100). */
#include "input/action.h"

#include "input/text.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

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
        return error_set(p->err, ERROR_BAD_VALUE, "%s: %.10g is outside %.10g to %.10g", p->where,
                         v, p->field->min, p->field->max);
    *(double *)place_value(p) = v;
    return 0;
}

static int read_integer(const struct place *p, const json_t *value, double *ret)
{
    double v = *ret = json_number_value(value);
    if (!json_is_number(value) || v != floor(v))
        return bad_type(p, "an integer", value);
    if (v < p->field->min || v > p->field->max)
        return error_set(p->err, ERROR_BAD_VALUE, "%s: %.10g is outside %.10g to %.10g", p->where,
                         v, p->field->min, p->field->max);
    return 0;
}

static int parse_integer(const struct place *p, const json_t *value)
{
    double v;
    int r = read_integer(p, value, &v);
    if (r >= 0)
        *(int *)place_value(p) = (int)v;
    return r;
}

static int parse_frame(const struct place *p, const json_t *value)
{
    double v;
    int r = read_integer(p, value, &v);
    if (r >= 0)
        *(int64_t *)place_value(p) = (int64_t)v;
    return r;
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
        return error_set(p->err, ERROR_BAD_VALUE, "%s: more than %d keys at once", p->where,
                         CHORD_MAX);
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
        return bad_type(p, p->field->max > 1 ? "a string or an array of strings" : "a string",
                        value);
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
        [ACTION_FIELD_REGION] = parse_region,   [ACTION_FIELD_FRAME] = parse_frame,
    };
    int r = parsers[p->field->kind](p, value);
    if (r >= 0 && p->field->has_offset)
        *(bool *)((char *)p->action + p->field->has_offset) = true;
    return r;
}

/* --- Actions ---------------------------------------------------------------------------------- */

static int find_row(const json_t *object, const char *where, enum action_type *ret,
                    struct error *err)
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
    json_object_foreach((json_t *)object, name, value)
    {
        bool is_known = strcmp(name, "type") == 0;
        for (size_t i = 0; i < row->n_fields && !is_known; i++)
            is_known = strcmp(name, row->fields[i].name) == 0;
        if (!is_known)
            return error_set(err, ERROR_UNKNOWN_FIELD, "%s.%.40s: %s has no such field", where,
                             name, row->name);
    }
    return 0;
}

static int parse_field(struct action *action, const struct action_field *field,
                       const json_t *object, const char *where, struct error *err)
{
    char path[128];
    snprintf(path, sizeof path, "%s.%s", where, field->name);
    struct place place = { field, action, path, err };
    const json_t *value = json_object_get(object, field->name);
    if (value && !field->offset) {
        struct action scratch = { 0 };
        place.action = &scratch;
        int r = parse_value(&place, value);
        action_deinit(&scratch);
        return r;
    }
    if (value)
        return parse_value(&place, value);
    if (field->is_required)
        return error_set(err, ERROR_MISSING_FIELD, "%s: is missing", path);
    if (!field->default_json || !field->offset)
        return 0;
    auto_json json_t *fallback = json_loads(field->default_json, JSON_DECODE_ANY, NULL);
    return fallback ? parse_value(&place, fallback) : error_errno(err, ENOMEM, "%s", path);
}

/* What no single field can say. */
static int check_action(const struct action *a, const json_t *object, const char *where,
                        struct error *err)
{
    if (a->has_x != a->has_y)
        return error_set(err, ERROR_MISSING_FIELD, "%s.%s: is missing", where,
                         a->has_x ? "y" : "x");
    if (a->type != ACTION_SCROLL)
        return 0;
    bool has_delta = json_object_get(object, "dx") || json_object_get(object, "dy");
    if (has_delta && (a->has_direction || a->has_amount))
        return error_set(err, ERROR_BAD_VALUE, "%s: either direction and amount, or dx and dy",
                         where);
    if (!has_delta && !(a->has_direction && a->has_amount))
        return error_set(err, ERROR_MISSING_FIELD, "%s.%s: is missing", where,
                         a->has_direction ? "amount" : "direction");
    double most = MAX(MAX(fabs(a->dx), fabs(a->dy)), a->amount) /
                  (a->unit == SCROLL_PIXEL ? 120 : 1);
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
    if (r >= 0 && action.type == ACTION_WAIT_FOR)
        action.wanted = json_incref((json_t *)(uintptr_t)object);
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
    json_decref(self->wanted);
    *self = (struct action){ 0 };
}

bool action_is_played(const struct action *self)
{
    return self->type != ACTION_WAIT_FOR && self->type != ACTION_SCREENSHOT &&
           self->type != ACTION_ZOOM;
}

bool action_is_control(const struct action *self)
{
    return action_is_played(self) && self->type != ACTION_WAIT &&
           self->type != ACTION_CURSOR_POSITION;
}
