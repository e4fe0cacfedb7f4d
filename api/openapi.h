/* The table as an OpenAPI 3.1 document. */
#pragma once

#include "api/table.h"
#include "base/json.h"

/* action_schema: JSON schema of one action object, put under components/schemas/Action; borrowed,
 * NULL leaves actions as plain objects. version: of the document. The caller owns the result; NULL
 * when memory is short. Deterministic: the same table gives the same document. */
json_t *api_openapi(const json_t *action_schema, const char *version);

/* The JSON schema of an object with these fields. The caller owns it. */
json_t *api_object_schema(const struct api_field *fields);
