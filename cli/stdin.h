/* Request bodies from a file or standard input. */
#pragma once

#include "base/json.h"

/* text is JSON, "@FILE", or "-" for standard input. An object's members are added to body where
 * they are not set yet; a list becomes the member named list (NULL: only an object will do). At
 * most 8 MiB. */
int stdin_read_body(json_t *body, const char *text, const char *list, struct error *err);
