/* A growing argument vector that owns its strings. */
#pragma once

#include "base/util.h"

struct argv {
    char **items; /* NULL-terminated once something was added */
    size_t n, capacity;
    bool failed; /* memory was short: later adds do nothing, argv_get returns NULL */
};

#define ARGV_INIT { 0 }

void argv_deinit(struct argv *self);
void argv_add(struct argv *self, const char *text);
void argv_addf(struct argv *self, const char *format, ...) printf_like(2, 3);
/* Adds each text of a NULL-terminated list. */
void argv_add_all(struct argv *self, const char *const *texts);
/* The vector for exec, valid until the next change; NULL when memory was short. */
const char *const *argv_get(const struct argv *self);

static inline void argv_deinit_ptr(struct argv *a)
{
    argv_deinit(a);
}
#define auto_argv __attribute__((cleanup(argv_deinit_ptr)))
