#include "base/json.h"

#include <errno.h>
#include <string.h>

/* jansson recurses once per level; a body of brackets must not choose how deep. */
static bool is_too_deep(const char *text, size_t size)
{
    int depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > JSON_DEPTH_MAX)
                return true;
        } else if (c == '}' || c == ']') {
            depth--;
        }
    }
    return false;
}

static int load(const char *text, size_t size, size_t flags, json_t **ret, struct error *err)
{
    if (is_too_deep(text, size))
        return error_set(err, ERROR_BAD_JSON, "the JSON is nested deeper than %d levels",
                         JSON_DEPTH_MAX);
    json_error_t where;
    *ret = json_loadb(text, size, JSON_REJECT_DUPLICATES | flags, &where);
    return *ret ? 0
                : error_set(err, ERROR_BAD_JSON, "parsing JSON: line %d, column %d: %s", where.line,
                            where.column, where.text);
}

static int parse(const char *text, size_t size, json_type wanted, json_t **ret, struct error *err)
{
    json_t *value = NULL;
    int r = load(text, size, 0, &value, err);
    if (r < 0)
        return r;
    if (json_typeof(value) != wanted) {
        error_set(err, ERROR_BAD_JSON, "parsing JSON: expected %s, got %s",
                  wanted == JSON_ARRAY ? "an array" : "an object", json_type_name(value));
        json_decref(value);
        return -EPROTO;
    }
    *ret = value;
    return 0;
}

int json_parse_object(const char *text, size_t size, json_t **ret, struct error *err)
{
    return parse(text, size, JSON_OBJECT, ret, err);
}

int json_parse_array(const char *text, size_t size, json_t **ret, struct error *err)
{
    return parse(text, size, JSON_ARRAY, ret, err);
}

int json_parse_any(const char *text, size_t size, json_t **ret, struct error *err)
{
    return load(text, size, JSON_DECODE_ANY, ret, err);
}

const char *json_get_string(const json_t *object, const char *key, const char *fallback)
{
    const char *value = json_string_value(json_object_get(object, key));
    return value ? value : fallback;
}

int64_t json_get_int(const json_t *object, const char *key, int64_t fallback)
{
    const json_t *value = json_object_get(object, key);
    return json_is_integer(value) ? json_integer_value(value) : fallback;
}

double json_get_number(const json_t *object, const char *key, double fallback)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : fallback;
}

bool json_get_bool(const json_t *object, const char *key, bool fallback)
{
    const json_t *value = json_object_get(object, key);
    return json_is_boolean(value) ? json_is_true(value) : fallback;
}

static int write_chunk(const char *data, size_t size, void *out)
{
    return buf_append(out, data, size) < 0 ? -1 : 0;
}

int json_write(const json_t *value, struct buf *out)
{
    return json_dump_callback(value, write_chunk, out, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15)) < 0 ? -ENOMEM
                                                                                            : 0;
}

const char *json_type_name(const json_t *value)
{
    if (!value)
        return "nothing";
    switch (json_typeof(value)) {
    case JSON_OBJECT: return "an object";
    case JSON_ARRAY: return "an array";
    case JSON_STRING: return "a string";
    case JSON_INTEGER: return "an integer";
    case JSON_REAL: return "a number";
    case JSON_TRUE:
    case JSON_FALSE: return "a boolean";
    default: return "null";
    }
}
