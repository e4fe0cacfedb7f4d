/* The action table as JSON schema: what a machine reads of it. */
#include "input/action.h"

static json_t *number_schema(const struct action_field *field, const char *type)
{
    json_t *schema = json_pack("{s:s}", "type", type);
    if (schema && field->has_limits) {
        bool is_integer = field->kind != ACTION_FIELD_NUMBER;
        json_object_set_new(schema, "minimum",
                            is_integer ? json_integer((json_int_t)field->min)
                                       : json_real(field->min));
        json_object_set_new(schema, "maximum",
                            is_integer ? json_integer((json_int_t)field->max)
                                       : json_real(field->max));
    }
    return schema;
}

static json_t *enum_schema(const struct action_field *field)
{
    json_t *values = json_array();
    for (size_t i = 0; field->values[i]; i++)
        json_array_append_new(values, json_string(field->values[i]));
    return json_pack("{s:s, s:o}", "type", "string", "enum", values);
}

static json_t *keys_schema(const struct action_field *field)
{
    int max = field->kind == ACTION_FIELD_CHORD ? CHORD_MAX : (int)field->max;
    if (max == 1)
        return json_pack("{s:s}", "type", "string");
    return json_pack("{s:[{s:s}, {s:s, s:{s:s}, s:i}]}", "oneOf", "type", "string", "type", "array",
                     "items", "type", "string", "maxItems", max);
}

static json_t *point_schema(void)
{
    return json_pack("{s:[{s:s, s:{s:s}, s:i, s:i}, {s:s, s:{s:{s:s}, s:{s:s}}, s:[s, s], s:b}]}",
                     "oneOf", "type", "array", "items", "type", "number", "minItems", 2, "maxItems",
                     2, "type", "object", "properties", "x", "type", "number", "y", "type",
                     "number", "required", "x", "y", "additionalProperties", 0);
}

static json_t *region_schema(void)
{
    return json_pack("{s:s, s:{s:{s:s}, s:{s:s}, s:{s:s}, s:{s:s}}, s:[s, s, s, s], s:b}", "type",
                     "object", "properties", "x", "type", "number", "y", "type", "number", "width",
                     "type", "number", "height", "type", "number", "required", "x", "y", "width",
                     "height", "additionalProperties", 0);
}

static json_t *value_schema(const struct action_field *field)
{
    switch (field->kind) {
    case ACTION_FIELD_NUMBER: return number_schema(field, "number");
    case ACTION_FIELD_FRAME:
    case ACTION_FIELD_INTEGER: return number_schema(field, "integer");
    case ACTION_FIELD_BOOLEAN: return json_pack("{s:s}", "type", "boolean");
    case ACTION_FIELD_ENUM: return enum_schema(field);
    case ACTION_FIELD_STRING:
        return json_pack("{s:s, s:i}", "type", "string", "maxLength", (int)field->max);
    case ACTION_FIELD_CHORD:
    case ACTION_FIELD_KEYS: return keys_schema(field);
    case ACTION_FIELD_PATH:
        return json_pack("{s:s, s:i, s:i, s:o}", "type", "array", "minItems", (int)field->min,
                         "maxItems", (int)field->max, "items", point_schema());
    case ACTION_FIELD_REGION: return region_schema();
    }
    return NULL;
}

static json_t *field_schema(const struct action_field *field)
{
    json_t *schema = value_schema(field);
    json_object_set_new(schema, "description", json_string(field->text));
    if (field->default_json)
        json_object_set_new(schema, "default",
                            json_loads(field->default_json, JSON_DECODE_ANY, NULL));
    return schema;
}

static json_t *row_schema(const struct action_row *row)
{
    json_t *properties = json_object(), *required = json_array();
    json_object_set_new(properties, "type", json_pack("{s:s}", "const", row->name));
    json_array_append_new(required, json_string("type"));
    for (size_t i = 0; i < row->n_fields; i++) {
        json_object_set_new(properties, row->fields[i].name, field_schema(&row->fields[i]));
        if (row->fields[i].is_required)
            json_array_append_new(required, json_string(row->fields[i].name));
    }
    return json_pack("{s:s, s:s, s:s, s:o, s:o, s:b}", "title", row->name, "type", "object",
                     "description", row->text, "properties", properties, "required", required,
                     "additionalProperties", 0);
}

json_t *action_schema(void)
{
    json_t *all = json_array();
    for (size_t i = 0; i < ACTION_COUNT; i++)
        json_array_append_new(all, row_schema(&action_table[i]));
    return json_pack("{s:o}", "oneOf", all);
}
