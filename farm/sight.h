/* Looking for a picture in a frame, on a worker; and what was found, for answers. Not for web/. */
#pragma once

#include "base/json.h"
#include "display/template.h"
#include "display/words.h"

#define SIGHT_LIMIT 20 /* matches that a wait tells */

struct sandbox;
struct sight;
/* matches: [{x, y, width, height, score}], best first; owned by the receiver, NULL with err. */
typedef void (*sight_fn)(void *data, json_t *matches, const struct error *err);

/* fn never runs inside the call. frame and template are counted. NULL when memory is short. */
struct sight *sight_start(struct sandbox *sandbox, struct frame *frame, struct template *template,
                          const struct template_search *search, sight_fn fn, void *data);
/* fn does not run. Takes NULL, returns NULL. */
struct sight *sight_cancel(struct sight *self);

/* The template of a PNG in base64; messages begin with "picture: ". */
int sight_template(struct template **ret, const char *base64, struct error *err);

/* Where text stands: [{x, y, width, height, score, text}]. */
json_t *sight_texts(const struct word *list, int n, const char *text, int limit);
/* All lines of the list, the same way. */
json_t *sight_lines(const struct word *list, int n, int limit);
