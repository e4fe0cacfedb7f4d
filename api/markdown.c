/* One chapter per operation, in the order of the table, then actions and error codes. Nested fields
 * are written with their path, "settle.quiet_ms", so a reader finds a name from an error message.
 */
#include "api/markdown.h"

#include "api/table.h"

#include <stdio.h>
#include <string.h>

static const char *const role_texts[] = {
    "anybody who may connect",
    "viewer",
    "operator",
    "admin",
};

static const char intro[] =
    "# The HTTP API\n\n"
    "This file is made from the daemon's table of operations (`api/table.c`); do not edit it.\n"
    "The same table is served as OpenAPI 3.1 at `/openapi.json`.\n\n"
    "- Bodies are JSON, an object where nothing else is said, with `Content-Type: application/json` and a\n"
    "  `Content-Length`. A route that takes another type says so; its body may be of any size, and in chunks.\n"
    "- Callers show a key as `Authorization: Bearer KEY` or `OPEN-SANDBOX-API-KEY: KEY`. While the daemon has no\n"
    "  keys, callers on loopback need none and are admins; nobody else is served. Callers on the unix socket,\n"
    "  which only the daemon's user can open, never need one.\n"
    "- A key sees its own sandboxes; others are `not_found`. Admins see all.\n"
    "- Errors are `{\"code\": …, \"message\": …}` with the status of the table at the end.\n"
    "- Unknown fields are errors, except on the routes marked *OpenSandbox*, which ignore and count them.\n"
    "- `HEAD` works wherever `GET` does. There are no CORS headers: pages of other sites cannot call this API.\n"
    "- Operations marked *idempotent* take an `Idempotency-Key` header (up to 128 characters): the same request\n"
    "  under the same key gets the first answer again for 24 hours, with the header `Idempotency-Replayed: true`;\n"
    "  another request under it is refused. An error that had no effect is not kept.\n"
    "- Operations marked *image* answer JSON with the image in base64 at `image.data`, or, when `Accept` asks for\n"
    "  `image/*`, the image's bytes, with the rest as compact JSON in the header `X-Deskfarm-Result`.\n"
    "- A caller that disconnects while it waits cancels what it waited for.\n\n";

static void write_limits(const struct api_field *field, struct buf *out)
{
    if (field->values) {
        buf_puts(out, ": ");
        for (const char *const *v = field->values; *v; v++)
            buf_printf(out, "%s`%s`", v == field->values ? "" : ", ", *v);
        return;
    }
    if (field->min == 0 && field->max == 0)
        return;
    static const char *const units[] = {
        [API_STRING] = " bytes",     [API_ARRAY] = " elements", [API_STRING_MAP] = " entries",
        [API_MAP] = " entries",      [API_RECTS] = " rectangles", [API_ANY] = NULL,
    };
    buf_printf(out, ", %.15g–%.15g%s", field->min, field->max,
               units[field->type] ? units[field->type] : "");
}

static void write_type(const struct api_field *field, struct buf *out)
{
    static const char *const names[] = {
        [API_STRING] = "string",
        [API_INTEGER] = "integer",
        [API_NUMBER] = "number",
        [API_BOOLEAN] = "boolean",
        [API_OBJECT] = "object",
        [API_ARRAY] = "array",
        [API_STRING_MAP] = "map of strings",
        [API_MAP] = "map of objects",
        [API_RECTS] = "rectangles",
        [API_ANY] = "any",
    };
    bool is_number_map = field->type == API_MAP && field->element && field->element->type == API_INTEGER;
    buf_puts(out, is_number_map ? "map of integers" : names[field->type]);
    if (field->or_false)
        buf_puts(out, " or false");
    if (field->is_nullable)
        buf_puts(out, " or null");
    write_limits(field->type == API_ARRAY && field->element && field->element->values
                     ? field->element
                     : field,
                 out);
}

static void write_fields(const struct api_field *fields, const char *prefix, struct buf *out)
{
    for (; fields && fields->name; fields++) {
        char path[128];
        snprintf(path, sizeof path, "%s%s%s", prefix, *prefix ? "." : "", fields->name);
        buf_printf(out, "| `%s`%s | ", path, fields->is_required ? " *" : "");
        write_type(fields, out);
        buf_printf(out, " | %s | %s |\n", fields->fallback ? fields->fallback : "",
                   fields->text ? fields->text : "");
        const struct api_field *inner = fields->fields;
        if (fields->element) {
            inner = fields->element->fields;
            strncat(path, "[]", sizeof path - strlen(path) - 1);
        }
        write_fields(inner, path, out);
    }
}

static void write_table(const char *title, const struct api_field *fields, struct buf *out)
{
    if (!fields)
        return;
    buf_printf(out, "%s (`*` is required):\n\n| name | type | default | |\n|---|---|---|---|\n",
               title);
    write_fields(fields, "", out);
    buf_puts(out, "\n");
}

/* A body or an answer that is an array or a map as a whole: what its elements have. */
static void write_whole(const struct api_field *whole, struct buf *out)
{
    if (whole->type == API_ANY) {
        buf_printf(out, "%s\n\n", whole->text);
        return;
    }
    buf_printf(out, "%s: %s Each has:\n\n| name | type | default | |\n|---|---|---|---|\n",
               whole->type == API_ARRAY ? "An array" : "A map", whole->text ? whole->text : "");
    write_fields(whole->element->fields, "", out);
    buf_puts(out, "\n");
}

static void write_result(const struct api_operation *op, struct buf *out)
{
    buf_printf(out, "Answers %d%s", op->status,
               op->flags & API_EVENTS  ? " and a stream of events"
               : op->flags & API_BYTES ? " and the bytes"
                                       : "");
    if (op->whole_result) {
        buf_puts(out, ". ");
        write_whole(op->whole_result, out);
        return;
    }
    if (!op->result) {
        buf_puts(out, op->status == 204   ? " without a body.\n\n"
                      : op->status == 101 ? ": a WebSocket.\n\n"
                                          : ".\n\n");
        return;
    }
    buf_puts(out, ":\n\n| name | type | |\n|---|---|---|\n");
    for (const struct api_field *field = op->result; field->name; field++) {
        buf_printf(out, "| `%s` | ", field->name);
        write_type(field, out);
        buf_printf(out, " | %s |\n", field->text ? field->text : "");
    }
    buf_puts(out, "\n");
}

static void write_operation(const struct api_operation *op, struct buf *out)
{
    buf_printf(out, "## %s\n\n`%s %s` — %s\n\n", op->name, op->method, op->path, op->summary);
    if (op->text)
        buf_printf(out, "%s\n\n", op->text);
    buf_printf(out, "Role: %s%s%s%s.\n\n", role_texts[op->role],
               op->flags & API_OPENSANDBOX ? "; *OpenSandbox*" : "",
               op->flags & API_IDEMPOTENT ? "; *idempotent*" : "",
               op->flags & API_IMAGE ? "; *image*" : "");
    write_table("Path", op->path_fields, out);
    write_table("Query", op->query, out);
    if (op->takes && op->body)
        buf_printf(out, "The body is `%s`.\n\n", op->takes);
    write_table("Body", op->body, out);
    write_table("The first message", op->first, out);
    if (op->whole) {
        buf_puts(out, "Body. ");
        write_whole(op->whole, out);
    }
    write_result(op, out);
}

static void write_property_type(const json_t *schema, struct buf *out)
{
    const json_t *type = json_object_get(schema, "type"), *values = json_object_get(schema, "enum");
    buf_puts(out, json_is_string(type) ? json_string_value(type) : "any");
    for (size_t i = 0; i < json_array_size(values); i++)
        buf_printf(out, "%s`%s`", i ? ", " : ": ", json_string_value(json_array_get(values, i)));
    const json_t *min = json_object_get(schema, "minimum"),
                 *max = json_object_get(schema, "maximum");
    if (json_is_number(min) && json_is_number(max))
        buf_printf(out, ", %.15g–%.15g", json_number_value(min), json_number_value(max));
    const json_t *length = json_object_get(schema, "maxLength"),
                 *count = json_object_get(schema, "maxItems");
    if (json_is_integer(length))
        buf_printf(out, ", at most %.15g characters", json_number_value(length));
    if (json_is_integer(count))
        buf_printf(out, ", at most %.15g elements", json_number_value(count));
}

static bool is_required(const json_t *schema, const char *name)
{
    size_t i;
    json_t *value;
    json_array_foreach (json_object_get(schema, "required"), i, value) {
        if (json_is_string(value) && strcmp(json_string_value(value), name) == 0)
            return true;
    }
    return false;
}

static void write_action(const json_t *schema, struct buf *out)
{
    json_t *properties = json_object_get(schema, "properties");
    const char *name = json_get_string(json_object_get(properties, "type"), "const", "?");
    buf_printf(out, "### %s\n\n%s\n\n", name, json_get_string(schema, "description", ""));
    if (json_object_size(properties) < 2)
        return;
    buf_puts(out, "| name | type | default | |\n|---|---|---|---|\n");
    const char *key;
    json_t *value;
    json_object_foreach (properties, key, value) {
        if (strcmp(key, "type") == 0)
            continue;
        buf_printf(out, "| `%s`%s | ", key, is_required(schema, key) ? " *" : "");
        write_property_type(value, out);
        buf_puts(out, " | ");
        if (json_object_get(value, "default"))
            json_write(json_object_get(value, "default"), out);
        buf_printf(out, " | %s |\n", json_get_string(value, "description", ""));
    }
    buf_puts(out, "\n");
}

static void write_actions(const json_t *schema, struct buf *out)
{
    buf_puts(
        out,
        "## Actions\n\nAn action is an object whose `type` names one of these. Coordinates are in the "
        "request's `space`.\n\n");
    size_t i;
    json_t *one;
    json_array_foreach (json_object_get(schema, "oneOf"), i, one)
        write_action(one, out);
}

static void write_errors(struct buf *out)
{
    buf_puts(out, "## Errors\n\n| code | status | |\n|---|---|---|\n");
    for (enum error_code code = 0; code < ERROR_COUNT; code++)
        buf_printf(out, "| `%s` | %d | %s |\n", error_code_name(code), error_code_status(code),
                   error_code_text(code));
}

static void write_compat(struct buf *out)
{
    buf_puts(
        out,
        "## Daytona\n\nA second mount of the desktop, for the SDKs of Daytona: their `apiUrl` is "
        "`http://HOST:PORT" API_DAYTONA_API "`, their key one of ours. Shapes and errors are theirs; "
        "unknown fields are ignored and counted. A snapshot is the name of a guest image.\n\n"
        "| operation | |\n|---|---|\n");
    for (enum api_id id = 0; id < API_COUNT; id++) {
        const struct api_operation *op = &api_table[id];
        if (op->flags & API_COMPAT)
            buf_printf(out, "| `%s %s` | %s |\n", op->method, op->path, op->summary);
    }
    buf_puts(out, "\n");
}

int api_markdown(const json_t *action_schema, struct buf *out)
{
    buf_puts(out, intro);
    for (enum api_id id = 0; id < API_COUNT; id++) {
        if (!(api_table[id].flags & API_COMPAT))
            write_operation(&api_table[id], out);
    }
    if (action_schema)
        write_actions(action_schema, out);
    write_compat(out);
    write_errors(out);
    return out->failed ? -1 : 0;
}
