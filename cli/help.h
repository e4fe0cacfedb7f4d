/* Help from the tables: the verbs, their flags and the rows of their operations. */
#pragma once

#include "cli/request.h"

/* Called with "-o, --output FILE" and what it is for. */
typedef void (*help_option_fn)(void *data, const char *term, const char *text);

/* All options of a verb except the global ones. op: that of a generic verb, or NULL. */
void help_each_option(const struct verb *verb, const struct api_operation *op, help_option_fn fn,
                      void *data);
void help_each_global(help_option_fn fn, void *data);
const char *help_summary(const struct verb *verb, const struct api_operation *op);
const char *help_text(const struct verb *verb, const struct api_operation *op); /* NULL: none */

/* To standard output. */
void help_print_overview(void);
void help_print_verb(const struct verb *verb, const struct api_operation *op);
