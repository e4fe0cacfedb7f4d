/* Helpers around jansson. Request bodies are validated by the API table before anybody reads them,
 * so the getters here return a fallback instead of an error. */
#pragma once

#include "base/buf.h"
#include "base/error.h"

#include <jansson.h>

#define JSON_DEPTH_MAX 32

static inline void json_decref_ptr(json_t **p)
{
    json_decref(*p);
}
#define auto_json __attribute__((cleanup(json_decref_ptr)))

/* Parses one JSON object of at most JSON_DEPTH_MAX levels; duplicate keys are refused. */
int json_parse_object(const char *text, size_t size, json_t **ret, struct error *err);
/* The same for an array. */
int json_parse_array(const char *text, size_t size, json_t **ret, struct error *err);
/* The same for any value. */
int json_parse_any(const char *text, size_t size, json_t **ret, struct error *err);

const char *json_get_string(const json_t *object, const char *key, const char *fallback);
int64_t json_get_int(const json_t *object, const char *key, int64_t fallback);
double json_get_number(const json_t *object, const char *key, double fallback);
bool json_get_bool(const json_t *object, const char *key, bool fallback);

/* Compact text with keys in insertion order. */
int json_write(const json_t *value, struct buf *out);
/* "an object", "a string", … for messages. */
const char *json_type_name(const json_t *value);
