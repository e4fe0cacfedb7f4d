/* The checker walks rows and JSON side by side. Its depth is that of the rows, which is constant
 * data, so a body cannot make it recurse further than the table goes; objects without rows are
 * taken as they are (base/json.h bounds their depth).
 *
 * A field's path is kept as a chain of frames on the stack and only printed when something is
 * wrong. */
#include "api/validate.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* Where in the body the checker is: a name, or a place in an array when name is NULL. */
struct place {
    const struct place *parent;
    const char *name;
    size_t index;
};

struct check {
    bool is_lenient;
    int ignored;
    struct error *err;
};

static void print_place(const struct place *self, char *out, size_t size)
{
    if (!self) {
        out[0] = 0;
        return;
    }
    print_place(self->parent, out, size);
    size_t used = strlen(out);
    if (self->name)
        snprintf(out + used, size - used, "%s%.64s", used ? "." : "", self->name);
    else
        snprintf(out + used, size - used, "[%zu]", self->index);
}

static int fail(struct check *self, const struct place *at, enum error_code code, const char *what)
{
    char path[256];
    print_place(at, path, sizeof path);
    return error_set(self->err, code, "%s: %s", path, what);
}

static const char *type_text(const struct api_field *field)
{
    switch (field->type) {
    case API_STRING: return "a string";
    case API_INTEGER: return "an integer";
    case API_NUMBER: return "a number";
    case API_BOOLEAN: return "true or false";
    case API_ARRAY:
    case API_RECTS: return "an array";
    default: return "an object";
    }
}

static int fail_type(struct check *self, const struct place *at, const struct api_field *field,
                     const json_t *value)
{
    char what[96];
    snprintf(what, sizeof what, "expected %s%s, got %s", type_text(field),
             field->or_false ? " or false" : "", json_type_name(value));
    return fail(self, at, ERROR_BAD_TYPE, what);
}

static int check_value(struct check *self, const struct place *at, const struct api_field *field,
                       json_t *value);
static int check_object(struct check *self, const struct place *at, const struct api_field *fields,
                        json_t *object);

/* unit: what is counted, "" for a plain value. */
static int check_range(struct check *self, const struct place *at, const struct api_field *field,
                       double value, const char *unit)
{
    bool has_limit = field->min != 0 || field->max != 0;
    if (!has_limit || (value >= field->min && value <= field->max))
        return 0;
    char what[128];
    snprintf(what, sizeof what, "%.15g%s is outside %.15g to %.15g", value, unit, field->min,
             field->max);
    return fail(self, at, ERROR_BAD_VALUE, what);
}

static int check_string(struct check *self, const struct place *at, const struct api_field *field,
                        json_t *value)
{
    const char *text = json_string_value(value);
    if (strlen(text) != json_string_length(value))
        return fail(self, at, ERROR_BAD_VALUE, "contains a NUL character");
    if (!field->values)
        return check_range(self, at, field, (double)json_string_length(value), " bytes");
    char list[160] = "";
    for (const char *const *v = field->values; *v; v++) {
        if (strcmp(*v, text) == 0)
            return 0;
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", used ? ", " : "is not one of: ", *v);
    }
    return fail(self, at, ERROR_BAD_VALUE, list);
}

static int check_array(struct check *self, const struct place *at, const struct api_field *field,
                       json_t *array)
{
    int r = check_range(self, at, field, (double)json_array_size(array), " elements");
    for (size_t i = 0; r == 0 && field->element && i < json_array_size(array); i++) {
        struct place here = { at, NULL, i };
        r = check_value(self, &here, field->element, json_array_get(array, i));
    }
    return r;
}

static int check_string_map(struct check *self, const struct place *at,
                            const struct api_field *field, json_t *map)
{
    static const struct api_field entry = { .type = API_STRING, .max = 32768 };
    int r = check_range(self, at, field, (double)json_object_size(map), " entries");
    const char *name;
    json_t *value;
    json_object_foreach (map, name, value) {
        if (r < 0)
            break;
        struct place here = { at, name, 0 };
        if (strlen(name) > 255)
            r = fail(self, &here, ERROR_BAD_VALUE, "the name is longer than 255 bytes");
        else
            r = check_value(self, &here, &entry, value);
    }
    return r;
}

/* A map's names are the caller's; each value is checked against element. */
static int check_map(struct check *self, const struct place *at, const struct api_field *field,
                     json_t *map)
{
    int r = check_range(self, at, field, (double)json_object_size(map), " entries");
    const char *name;
    json_t *value;
    json_object_foreach (map, name, value) {
        if (r < 0)
            break;
        struct place here = { at, name, 0 };
        r = check_value(self, &here, field->element, value);
    }
    return r;
}

static bool has_type(const struct api_field *field, const json_t *value)
{
    switch (field->type) {
    case API_STRING: return json_is_string(value);
    case API_INTEGER: return json_is_integer(value);
    case API_NUMBER: return json_is_number(value);
    case API_BOOLEAN: return json_is_boolean(value);
    case API_ARRAY:
    case API_RECTS: return json_is_array(value);
    case API_OBJECT:
    case API_MAP:
    case API_STRING_MAP: return json_is_object(value);
    default: return true;
    }
}

static int check_value(struct check *self, const struct place *at, const struct api_field *field,
                       json_t *value)
{
    if ((field->is_nullable && json_is_null(value)) || (field->or_false && json_is_false(value)))
        return 0;
    if (!has_type(field, value))
        return fail_type(self, at, field, value);
    switch (field->type) {
    case API_STRING: return check_string(self, at, field, value);
    case API_INTEGER:
    case API_NUMBER: return check_range(self, at, field, json_number_value(value), "");
    case API_ARRAY: return check_array(self, at, field, value);
    case API_STRING_MAP: return check_string_map(self, at, field, value);
    case API_MAP: return check_map(self, at, field, value);
    case API_OBJECT: return field->fields ? check_object(self, at, field->fields, value) : 0;
    default: return 0;
    }
}

static const struct api_field *find_field(const struct api_field *fields, const char *name)
{
    for (; fields && fields->name; fields++) {
        if (strcmp(fields->name, name) == 0)
            return fields;
    }
    return NULL;
}

static int check_known(struct check *self, const struct place *at, const struct api_field *fields,
                       json_t *object)
{
    const char *name;
    json_t *value;
    void *next;
    json_object_foreach_safe (object, next, name, value) {
        if (find_field(fields, name))
            continue;
        struct place here = { at, name, 0 };
        if (!self->is_lenient)
            return fail(self, &here, ERROR_UNKNOWN_FIELD, "there is no such field");
        self->ignored++;
        json_object_del(object, name);
    }
    return 0;
}

static int check_object(struct check *self, const struct place *at, const struct api_field *fields,
                        json_t *object)
{
    int r = check_known(self, at, fields, object);
    for (; r == 0 && fields && fields->name; fields++) {
        struct place here = { at, fields->name, 0 };
        json_t *value = json_object_get(object, fields->name);
        if (value)
            r = check_value(self, &here, fields, value);
        else if (fields->is_required)
            r = fail(self, &here, ERROR_MISSING_FIELD, "is required");
    }
    return r;
}

int api_check_body(const struct api_operation *op, json_t *body, int *ret_ignored,
                   struct error *err)
{
    struct check check = { .is_lenient = op->flags & (API_OPENSANDBOX | API_COMPAT), .err = err };
    auto_json json_t *empty = body ? NULL : json_object();
    int r = op->whole ? check_value(&check, NULL, op->whole, body ? body : empty)
                      : check_object(&check, NULL, op->body, body ? body : empty);
    *ret_ignored += check.ignored;
    return r;
}

int api_check_first(const struct api_operation *op, json_t *message, struct error *err)
{
    struct check check = { .err = err };
    return check_object(&check, NULL, op->first, message);
}

/* --- Text values: queries and paths --------------------------------------------------------------
 */

static int parse_integer(const char *text, json_t **ret)
{
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    bool starts_well = (*text >= '0' && *text <= '9') || *text == '-';
    if (!starts_well || *end || errno)
        return -EINVAL;
    *ret = json_integer(value);
    return 0;
}

static int parse_number(const char *text, json_t **ret)
{
    if (!*text || text[strspn(text, "0123456789+-.eE")])
        return -EINVAL;
    char *end;
    double value = strtod(text, &end);
    if (*end || !isfinite(value))
        return -EINVAL;
    *ret = json_real(value);
    return 0;
}

static int parse_boolean(const char *text, json_t **ret)
{
    if (strcmp(text, "true") == 0 || strcmp(text, "1") == 0)
        *ret = json_true();
    else if (strcmp(text, "false") == 0 || strcmp(text, "0") == 0)
        *ret = json_false();
    else
        return -EINVAL;
    return 0;
}

/* "x,y,width,height;…" to an array of rectangles. */
static int parse_rects(const char *text, double max, json_t **ret)
{
    auto_json json_t *list = json_array();
    for (const char *at = text; *at;) {
        int v[4], used = 0;
        if (at[strspn(at, "0123456789,;")] ||
            sscanf(at, "%5d,%5d,%5d,%5d%n", &v[0], &v[1], &v[2], &v[3], &used) != 4)
            return -EINVAL;
        at += used;
        if (*at && *at++ != ';')
            return -EINVAL;
        for (int i = 0; i < 4; i++) {
            if (v[i] > 8192)
                return -EINVAL;
        }
        if (json_array_size(list) >= (size_t)max)
            return -EINVAL;
        json_array_append_new(list, json_pack("{s:i,s:i,s:i,s:i}", "x", v[0], "y", v[1], "width",
                                              v[2], "height", v[3]));
    }
    *ret = steal_ptr(&list);
    return 0;
}

static int parse_text(const struct api_field *field, const char *text, json_t **ret)
{
    switch (field->type) {
    case API_INTEGER: return parse_integer(text, ret);
    case API_NUMBER: return parse_number(text, ret);
    case API_BOOLEAN: return parse_boolean(text, ret);
    case API_RECTS: return parse_rects(text, field->max, ret);
    default:
        *ret = json_string(text); /* NULL when it is no UTF-8 */
        return *ret ? 0 : -EINVAL;
    }
}

static int fail_text(struct check *self, const struct place *at, const struct api_field *field,
                     const char *text)
{
    char what[160];
    /* Only printable ASCII goes back: an answer must be JSON whatever came in. */
    char shown[33];
    size_t n = 0;
    for (; text[n] && n < sizeof shown - 1; n++)
        shown[n] = text[n] >= ' ' && text[n] < 127 ? text[n] : '?';
    shown[n] = 0;
    snprintf(what, sizeof what, "\"%s\" is not %s%s", shown, type_text(field),
             field->type == API_RECTS ? " of x,y,width,height;…" : "");
    return fail(self, at, ERROR_BAD_VALUE, what);
}

/* Adds "a=b&c=d" to the map. */
static int add_map_pairs(json_t *map, const char *text)
{
    auto_free char *copy = strdup(text);
    char *save = NULL;
    for (char *part = strtok_r(copy, "&", &save); part; part = strtok_r(NULL, "&", &save)) {
        char *value = strchr(part, '=');
        if (!value || value == part)
            return -EINVAL;
        *value++ = 0;
        if (json_object_set_new(map, part, json_string(value)) < 0)
            return -EINVAL;
    }
    return 0;
}

/* A name that may come several times: gathers into the container under it. */
static int add_repeated(struct check *self, const struct place *at, const struct api_field *field,
                        json_t *query, const char *text)
{
    json_t *all = json_object_get(query, field->name);
    if (!all) {
        all = field->type == API_ARRAY ? json_array() : json_object();
        json_object_set_new(query, field->name, all);
    }
    if (field->type == API_STRING_MAP)
        return add_map_pairs(all, text) < 0 ? fail(self, at, ERROR_BAD_VALUE, "expected name=value")
                                            : 0;
    json_t *value = NULL;
    if (parse_text(field->element, text, &value) < 0)
        return fail_text(self, at, field->element, text);
    json_array_append_new(all, value);
    return 0;
}

static int add_pair(struct check *self, const struct api_field *fields, json_t *query,
                    const struct api_pair *pair)
{
    const struct api_field *field = find_field(fields, pair->name);
    struct place here = { NULL, pair->name, 0 };
    if (!field && self->is_lenient) {
        self->ignored++;
        return 0;
    }
    if (!field) {
        if (!json_object_set_new(query, pair->name, json_null()))
            return fail(self, &here, ERROR_UNKNOWN_FIELD, "there is no such query parameter");
        return error_set(self->err, ERROR_UNKNOWN_FIELD, "a query parameter's name is not UTF-8");
    }
    if (field->type == API_ARRAY || field->type == API_STRING_MAP)
        return add_repeated(self, &here, field, query, pair->value);
    if (json_object_get(query, field->name))
        return fail(self, &here, ERROR_BAD_VALUE, "is given twice");
    json_t *value = NULL;
    if (parse_text(field, pair->value, &value) < 0)
        return fail_text(self, &here, field, pair->value);
    json_object_set_new(query, field->name, value);
    return 0;
}

int api_check_query(const struct api_operation *op, const struct api_pair *pairs, size_t n,
                    json_t **ret, int *ret_ignored, struct error *err)
{
    struct check check = { .is_lenient = op->flags & (API_OPENSANDBOX | API_COMPAT), .err = err };
    auto_json json_t *query = json_object();
    int r = n > API_QUERY_MAX
                ? error_set(err, ERROR_TOO_LARGE, "more than %d query parameters", API_QUERY_MAX)
                : 0;
    for (size_t i = 0; r == 0 && i < n; i++)
        r = add_pair(&check, op->query, query, &pairs[i]);
    if (r == 0)
        r = check_object(&check, NULL, op->query, query);
    *ret_ignored += check.ignored;
    if (r == 0)
        *ret = steal_ptr(&query);
    return r;
}

int api_check_path(const struct api_operation *op, const struct api_match *match, json_t **ret,
                   struct error *err)
{
    auto_json json_t *values = json_object();
    const struct api_field *field = op->path_fields;
    for (size_t i = 0; field && field->name; field++, i++) {
        struct error why = { 0 };
        struct check check = { .err = &why };
        struct place here = { NULL, field->name, 0 };
        auto_free char *text = strndup(match->values[i], match->sizes[i]);
        auto_json json_t *value = NULL;
        if (!text || parse_text(field, text, &value) < 0 ||
            check_value(&check, &here, field, value) < 0)
            return error_set(err, ERROR_NOT_FOUND, "no such %s", field->name);
        json_object_set(values, field->name, value);
    }
    *ret = steal_ptr(&values);
    return 0;
}
