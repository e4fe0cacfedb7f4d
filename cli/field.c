/* The rows say what a text becomes, so a flag needs no code of its own. Only the type is decided
 * here; limits and required fields are api_check_body's and api_check_query's. */
#include "cli/field.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const struct api_field map_entry = { .name = "NAME", .type = API_STRING };

/* "page-size", "page_size" and "pageSize" name the same row. */
static bool is_named(const struct api_field *row, const char *name, size_t size)
{
    const char *a = row->name, *end = name + size;
    for (; *a && name < end; a++, name++) {
        bool is_dash = *name == '-' || *name == '_';
        if (is_dash && isupper((unsigned char)*a) && name + 1 < end)
            name++;
        else if (is_dash && (*a == '-' || *a == '_'))
            continue;
        else if (*a == *name)
            continue;
        if (tolower((unsigned char)*a) != *name)
            return false;
    }
    return !*a && name == end;
}

static const struct api_field *find_row(const struct api_field *rows, const char *name, size_t size)
{
    for (; rows && rows->name; rows++)
        if (is_named(rows, name, size))
            return rows;
    return NULL;
}

const struct api_field *field_find(const struct api_field *rows, const char *path)
{
    for (;;) {
        size_t size = strcspn(path, ".");
        const struct api_field *row = find_row(rows, path, size);
        if (!row || !path[size])
            return row;
        path += size + 1;
        if (row->type == API_STRING_MAP)
            return *path ? &map_entry : NULL;
        if (row->type != API_OBJECT)
            return NULL;
        rows = row->fields;
    }
}

bool field_is_switch(const struct api_field *row)
{
    return row->type == API_BOOLEAN;
}

bool field_can_be_off(const struct api_field *row)
{
    return row->type == API_BOOLEAN || row->or_false || row->is_nullable;
}

/* --- Values ----------------------------------------------------------------------------------- */

static json_t *parse_integer(const char *text)
{
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    return errno || end == text || *end ? NULL : json_integer(value);
}

static json_t *parse_number(const char *text)
{
    char *end;
    double value = strtod(text, &end);
    json_t *integer = parse_integer(text);
    if (integer)
        return integer;
    return end == text || *end || !isfinite(value) ? NULL : json_real(value);
}

static json_t *parse_boolean(const char *text)
{
    bool is_true = strcmp(text, "true") == 0 || strcmp(text, "yes") == 0 || strcmp(text, "1") == 0;
    bool is_false = strcmp(text, "false") == 0 || strcmp(text, "no") == 0 || strcmp(text, "0") == 0;
    return is_true || is_false ? json_boolean(is_true) : NULL;
}

static json_t *parse_json(const char *text)
{
    return json_loads(text, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
}

static json_t *parse_value(const struct api_field *row, const char *text);

/* "1280x800" or "0,0,100,50" onto the fields in their order. */
static json_t *parse_tuple(const struct api_field *rows, const char *text)
{
    auto_json json_t *object = json_object();
    for (; rows && rows->name && *text; rows++) {
        size_t size = strcspn(text, ",x");
        auto_free char *part = strndup(text, size);
        json_t *value = part ? parse_value(rows, part) : NULL;
        if (!value || json_object_set_new(object, rows->name, value) < 0)
            return NULL;
        text += size + (text[size] && text[size + 1] ? 1 : 0);
    }
    return *text || json_object_size(object) == 0 ? NULL : steal_ptr(&object);
}

static json_t *parse_value(const struct api_field *row, const char *text)
{
    if (row->is_nullable && strcmp(text, "null") == 0)
        return json_null();
    if (row->or_false && strcmp(text, "false") == 0)
        return json_false();
    switch (row->type) {
    case API_STRING: return json_string(text);
    case API_INTEGER: return parse_integer(text);
    case API_NUMBER: return parse_number(text);
    case API_BOOLEAN: return parse_boolean(text);
    case API_OBJECT:
        return *text == '{' || !row->fields ? parse_json(text) : parse_tuple(row->fields, text);
    case API_ARRAY:
    case API_STRING_MAP: return parse_json(text);
    default: return NULL;
    }
}

static const char *expected(const struct api_field *row)
{
    switch (row->type) {
    case API_STRING: return "UTF-8 text";
    case API_INTEGER: return "an integer";
    case API_NUMBER: return "a number";
    case API_BOOLEAN: return "true or false";
    case API_STRING_MAP: return "NAME=VALUE";
    default: return "JSON of the right type";
    }
}

static int fail(const struct api_field *row, const char *path, const char *text, struct error *err)
{
    /* Text that is no UTF-8 is not repeated: the terminal would show rubbish. */
    auto_json json_t *shown = json_string(text);
    return error_set(err, ERROR_BAD_VALUE, "%s: \"%.60s\" is not %s", path, shown ? text : "?",
                     expected(row));
}

/* --- Setting ---------------------------------------------------------------------------------- */

/* The object under name; one that is not there, or was turned off, is made. */
static json_t *child(json_t *object, const char *name, bool is_array)
{
    json_t *value = json_object_get(object, name);
    if (!json_is_object(value) && !json_is_array(value)) {
        value = is_array ? json_array() : json_object();
        json_object_set_new(object, name, value);
    }
    return value;
}

static int set_entry(json_t *object, const struct api_field *row, const char *path,
                     const char *text, struct error *err)
{
    const char *equals = strchr(text, '=');
    auto_free char *name = equals && equals > text ? strndup(text, (size_t)(equals - text)) : NULL;
    json_t *value = name ? json_string(equals + 1) : NULL;
    if (!value || json_object_set_new(child(object, row->name, false), name, value) < 0)
        return fail(row, path, text, err);
    return 0;
}

static int set_here(json_t *object, const struct api_field *row, const char *path, const char *text,
                    struct error *err)
{
    if (row->type == API_STRING_MAP && *text != '{' && strcmp(text, "null") != 0)
        return set_entry(object, row, path, text, err);
    bool is_element = row->type == API_ARRAY && row->element && *text != '[';
    auto_json json_t *value = parse_value(is_element ? row->element : row, text);
    if (!value)
        return fail(is_element ? row->element : row, path, text, err);
    int r = is_element ? json_array_append(child(object, row->name, true), value)
                       : json_object_set(object, row->name, value);
    return r < 0 ? error_set(err, ERROR_INTERNAL, "%s: out of memory", path) : 0;
}

/* Walks to the object that holds the last part of the path, making what is missing. */
static json_t *reach(const struct api_field **rows, json_t *object, const char **path)
{
    for (;;) {
        size_t size = strcspn(*path, ".");
        const struct api_field *row = find_row(*rows, *path, size);
        if (!(*path)[size])
            return object;
        object = child(object, row->name, false);
        *path += size + 1;
        *rows = row->fields;
        if (row->type == API_STRING_MAP)
            return object;
    }
}

int field_set(const struct api_field *rows, json_t *object, const char *path, const char *text,
              struct error *err)
{
    const struct api_field *row = field_find(rows, path);
    const char *last = path;
    object = reach(&rows, object, &last);
    if (row != &map_entry)
        return set_here(object, row, path, text, err);
    json_t *value = json_string(text);
    return value && json_object_set_new(object, last, value) == 0 ? 0 : fail(row, path, text, err);
}

int field_set_off(const struct api_field *rows, json_t *object, const char *path, struct error *err)
{
    const struct api_field *row = field_find(rows, path);
    const char *last = path;
    object = reach(&rows, object, &last);
    json_t *off = row->type == API_BOOLEAN || row->or_false ? json_false() : json_null();
    return json_object_set(object, row->name, off) < 0
               ? error_set(err, ERROR_BAD_VALUE, "%s: bad name", path)
               : 0;
}

int field_set_query(const struct api_field *rows, json_t *query, const char *path, const char *text,
                    struct error *err)
{
    const struct api_field *row = field_find(rows, path);
    const char *before = json_string_value(json_array_get(json_object_get(query, row->name), 0));
    json_t *value =
        row->type == API_RECTS && before ? json_sprintf("%s;%s", before, text) : json_string(text);
    if (row->type != API_ARRAY && row->type != API_STRING_MAP)
        json_object_del(query, row->name);
    if (!value)
        return fail(row, path, text, err);
    return json_array_append_new(child(query, row->name, true), value) < 0
               ? error_set(err, ERROR_INTERNAL, "%s: out of memory", path)
               : 0;
}
