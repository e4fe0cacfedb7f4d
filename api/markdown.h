/* The table as docs/api.md, for people. */
#pragma once

#include "base/json.h"

/* Appends the document. action_schema: as action tables give it, {"oneOf": [object schemas]};
 * borrowed, NULL leaves the chapter on actions out. Deterministic. */
int api_markdown(const json_t *action_schema, struct buf *out);
