/* Rows to JSON schema, schema to operations. The shape of the document is that of the table;
 * nothing is said here that the table does not say, except authentication and the form of an error.
 */
#include "api/openapi.h"

#include "api/table.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static json_t *object_schema(const struct api_field *fields);

static json_t *limit_json(double limit)
{
    return limit == floor(limit) ? json_integer((json_int_t)limit) : json_real(limit);
}

static void set_limits(json_t *schema, const struct api_field *field, const char *min,
                       const char *max)
{
    if (field->min == 0 && field->max == 0)
        return;
    json_object_set_new(schema, min, limit_json(field->min));
    json_object_set_new(schema, max, limit_json(field->max));
}

static json_t *values_json(const char *const *values)
{
    json_t *list = json_array();
    for (; *values; values++)
        json_array_append_new(list, json_string(*values));
    return list;
}

static json_t *type_schema(const struct api_field *field);

static json_t *string_schema(const struct api_field *field)
{
    json_t *schema = json_pack("{s:s}", "type", "string");
    if (field->values)
        json_object_set_new(schema, "enum", values_json(field->values));
    else
        set_limits(schema, field, "minLength", "maxLength");
    return schema;
}

static json_t *number_schema(const struct api_field *field, const char *type)
{
    json_t *schema = json_pack("{s:s}", "type", type);
    set_limits(schema, field, "minimum", "maximum");
    return schema;
}

static json_t *array_schema(const struct api_field *field)
{
    json_t *schema = json_pack("{s:s}", "type", "array");
    if (field->element)
        json_object_set_new(schema, "items", type_schema(field->element));
    set_limits(schema, field, "minItems", "maxItems");
    return schema;
}

static json_t *map_schema(const struct api_field *field)
{
    static const struct api_field text = { .type = API_STRING };
    json_t *schema = json_pack("{s:s,s:o}", "type", "object", "additionalProperties",
                               type_schema(field->element ? field->element : &text));
    if (field->max != 0)
        json_object_set_new(schema, "maxProperties", limit_json(field->max));
    return schema;
}

static json_t *type_schema(const struct api_field *field)
{
    switch (field->type) {
    case API_STRING: return string_schema(field);
    case API_INTEGER: return number_schema(field, "integer");
    case API_NUMBER: return number_schema(field, "number");
    case API_BOOLEAN: return json_pack("{s:s}", "type", "boolean");
    case API_ARRAY: return array_schema(field);
    case API_MAP:
    case API_STRING_MAP: return map_schema(field);
    case API_RECTS: return json_pack("{s:s}", "type", "string");
    case API_OBJECT:
        return field->fields ? object_schema(field->fields) : json_pack("{s:s}", "type", "object");
    default: return json_object();
    }
}

/* A field with its text, its default and what it takes besides its type. */
static json_t *field_schema(const struct api_field *field)
{
    json_t *schema = type_schema(field);
    if (field->is_nullable && json_object_get(schema, "type"))
        json_object_set_new(
            schema, "type",
            json_pack("[s,s]", json_string_value(json_object_get(schema, "type")), "null"));
    if (field->or_false)
        schema = json_pack("{s:[o,{s:b}]}", "oneOf", schema, "const", 0);
    if (field->text)
        json_object_set_new(schema, "description", json_string(field->text));
    if (field->fallback)
        json_object_set_new(schema, "default", json_loads(field->fallback, JSON_DECODE_ANY, NULL));
    return schema;
}

static json_t *object_schema(const struct api_field *fields)
{
    json_t *properties = json_object(), *required = json_array();
    for (; fields->name; fields++) {
        json_object_set_new(properties, fields->name, field_schema(fields));
        if (fields->is_required)
            json_array_append_new(required, json_string(fields->name));
    }
    json_t *schema = json_pack("{s:s,s:o}", "type", "object", "properties", properties);
    if (json_array_size(required))
        json_object_set(schema, "required", required);
    json_decref(required);
    return schema;
}

json_t *api_object_schema(const struct api_field *fields)
{
    return object_schema(fields);
}

static void add_parameters(json_t *list, const struct api_field *fields, const char *in)
{
    for (; fields && fields->name; fields++) {
        json_t *parameter =
            json_pack("{s:s,s:s,s:b,s:o}", "name", fields->name, "in", in, "required",
                      fields->is_required, "schema", type_schema(fields));
        if (fields->text)
            json_object_set_new(parameter, "description", json_string(fields->text));
        json_array_append_new(list, parameter);
    }
}

static json_t *parameters_json(const struct api_operation *op)
{
    json_t *list = json_array();
    add_parameters(list, op->path_fields, "path");
    add_parameters(list, op->query, "query");
    if (op->flags & API_IDEMPOTENT)
        json_array_append_new(
            list,
            json_pack(
                "{s:s,s:s,s:b,s:{s:s,s:i},s:s}", "name", "Idempotency-Key", "in", "header",
                "required", 0, "schema", "type", "string", "maxLength", 128, "description",
                "A request under a key that was used gets the first answer again, for 24 hours."));
    return list;
}

static bool has_required(const struct api_field *fields)
{
    for (; fields && fields->name; fields++) {
        if (fields->is_required)
            return true;
    }
    return false;
}

static json_t *body_json(const struct api_operation *op, bool has_actions)
{
    json_t *schema = op->whole ? type_schema(op->whole) : object_schema(op->body);
    json_t *actions =
        json_object_get(json_object_get(json_object_get(schema, "properties"), "actions"), "items");
    if (actions && has_actions) {
        json_object_clear(actions);
        json_object_set_new(actions, "$ref", json_string("#/components/schemas/Action"));
    }
    return json_pack("{s:b,s:{s:{s:o}}}", "required", op->whole || has_required(op->body),
                     "content", op->takes ? op->takes : "application/json", "schema", schema);
}

static json_t *content_json(const struct api_operation *op)
{
    json_t *content = json_object();
    if (op->flags & API_TEXT)
        json_object_set_new(content, "text/plain",
                            json_pack("{s:{s:s}}", "schema", "type", "string"));
    else if (op->flags & API_BYTES)
        json_object_set_new(content, "application/octet-stream", json_object());
    else if (op->flags & API_EVENTS)
        json_object_set_new(content, "text/event-stream",
                            json_pack("{s:o}", "schema", object_schema(op->result)));
    else if (op->whole_result)
        json_object_set_new(content, "application/json",
                            json_pack("{s:o}", "schema", type_schema(op->whole_result)));
    else if (op->result)
        json_object_set_new(content, "application/json",
                            json_pack("{s:o}", "schema", object_schema(op->result)));
    else
        json_object_set_new(content, "application/json",
                            json_pack("{s:{s:s}}", "schema", "type", "object"));
    static const char *const images[] = { "image/png", "image/jpeg", "image/webp" };
    for (size_t i = 0; op->flags & API_IMAGE && i < ARRAY_LEN(images); i++)
        json_object_set_new(content, images[i], json_object());
    return content;
}

static json_t *responses_json(const struct api_operation *op)
{
    char status[8];
    snprintf(status, sizeof status, "%d", op->status);
    json_t *good = json_pack("{s:s}", "description", op->summary);
    if (op->status != 204 && op->status != 101)
        json_object_set_new(good, "content", content_json(op));
    return json_pack("{s:o,s:{s:s}}", status, good, "default", "$ref",
                     "#/components/responses/Error");
}

static json_t *operation_json(const struct api_operation *op, bool has_actions)
{
    static const char *const roles[] = { "none", "viewer", "operator", "admin" };
    json_t *out = json_pack("{s:s,s:s,s:s}", "operationId", op->name, "summary", op->summary,
                            "x-role", roles[op->role]);
    if (op->text)
        json_object_set_new(out, "description", json_string(op->text));
    if (op->role == API_ROLE_NONE)
        json_object_set_new(out, "security", json_array());
    if (op->flags & API_OPENSANDBOX)
        json_object_set_new(out, "x-opensandbox", json_true());
    json_t *parameters = parameters_json(op);
    if (json_array_size(parameters))
        json_object_set(out, "parameters", parameters);
    json_decref(parameters);
    if (op->first)
        json_object_set_new(out, "x-first-message", object_schema(op->first));
    if (op->body || op->whole)
        json_object_set_new(out, "requestBody", body_json(op, has_actions));
    json_object_set_new(out, "responses", responses_json(op));
    return out;
}

static json_t *paths_json(bool has_actions)
{
    json_t *paths = json_object();
    for (enum api_id id = 0; id < API_COUNT; id++) {
        const struct api_operation *op = &api_table[id];
        if (op->flags & API_COMPAT)
            continue;
        json_t *path = json_object_get(paths, op->path);
        if (!path) {
            path = json_object();
            json_object_set_new(paths, op->path, path);
        }
        char method[16] = "";
        for (size_t i = 0; op->method[i] && i < sizeof method - 1; i++)
            method[i] = (char)tolower((unsigned char)op->method[i]);
        json_object_set_new(path, method, operation_json(op, has_actions));
    }
    return paths;
}

static json_t *error_json(void)
{
    json_t *codes = json_array();
    for (enum error_code code = 0; code < ERROR_COUNT; code++)
        json_array_append_new(codes, json_string(error_code_name(code)));
    json_t *schema = json_pack("{s:s,s:{s:{s:s,s:o},s:{s:s}},s:[s,s]}", "type", "object",
                               "properties", "code", "type", "string", "enum", codes, "message",
                               "type", "string", "required", "code", "message");
    return json_pack("{s:s,s:{s:{s:o}}}", "description",
                     "An error: a stable code, and a message that says what to do.", "content",
                     "application/json", "schema", schema);
}

static json_t *components_json(const json_t *action_schema)
{
    json_t *out =
        json_pack("{s:{s:o},s:{s:{s:s,s:s},s:{s:s,s:s,s:s}}}", "responses", "Error", error_json(),
                  "securitySchemes", "bearer", "type", "http", "scheme", "bearer", "opensandbox",
                  "type", "apiKey", "in", "header", "name", "OPEN-SANDBOX-API-KEY");
    if (action_schema)
        json_object_set_new(out, "schemas",
                            json_pack("{s:o}", "Action", json_deep_copy(action_schema)));
    return out;
}

json_t *api_openapi(const json_t *action_schema, const char *version)
{
    return json_pack("{s:s,s:{s:s,s:s,s:s},s:[{s:[]},{s:[]},{}],s:o,s:o}", "openapi", "3.1.0",
                     "info", "title", "deskfarm", "version", version, "description",
                     "Sandboxed desktops: create them, see their screens, act on them.", "security",
                     "bearer", "opensandbox", "paths", paths_json(action_schema != NULL),
                     "components", components_json(action_schema));
}
