/* From the text of a command line to the typed values that the rows of the API table describe.
 *
 * A field is named by its dotted path, "display.width". As an option a name may be written with
 * dashes: "page-size" is pageSize, "max-ms" is max_ms. The last part of a path below a map is
 * its key, "resource-limits.cpu". */
#pragma once

#include "api/table.h"
#include "base/json.h"

/* The row of a path, or NULL. Rows may be NULL. For a key of a map it is a row for a string. */
const struct api_field *field_find(const struct api_field *rows, const char *path);
/* Whether any value but true takes text: a boolean is given by its name alone. */
bool field_is_switch(const struct api_field *row);
/* Whether "--no-NAME" means something: false, or null. */
bool field_can_be_off(const struct api_field *row);

/* Sets the field of a path that field_find found, in an object that follows rows. What is
 * missing on the way is made; an array grows, all else is replaced. text is as on the command
 * line:
 *   string             as it is                  integer, number   decimal
 *   boolean            true or false             map               NAME=VALUE, or a JSON object
 *   object of scalars  their values in the order of the rows, split at ',' or 'x': 1280x800
 *   object, array      JSON; for an array also one element
 * bad_value names the path. */
int field_set(const struct api_field *rows, json_t *object, const char *path, const char *text,
              struct error *err);
/* Sets false, or null where only that is allowed. */
int field_set_off(const struct api_field *rows, json_t *object, const char *path,
                  struct error *err);

/* A query holds text: {"name": ["value", …]}. Same meaning, checked later by api_check_query. */
int field_set_query(const struct api_field *rows, json_t *query, const char *path, const char *text,
                    struct error *err);
