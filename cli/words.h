/* The short human form of actions: `click 100,200 , type "hello" , key Return`. Words become the
 * JSON actions of POST …/desktop/actions; what they may hold is checked by the daemon. */
#pragma once

#include "base/json.h"

/* Reads actions from the front of argv, up to an option between two actions or the end, and appends
 * them to actions (an array). Returns how many arguments it used, at least 1. bad_value and
 * missing_field name the word that is wrong. */
int words_parse(json_t *actions, int argc, char *const *argv, struct error *err);
/* Calls print for each word: "click [X,Y]" and what it does. */
void words_print(void (*print)(const char *term, const char *text));
