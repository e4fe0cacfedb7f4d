#include "hypervisor/argv.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void argv_deinit(struct argv *self)
{
    for (size_t i = 0; i < self->n; i++)
        free(self->items[i]);
    free(self->items);
    *self = (struct argv)ARGV_INIT;
}

static void add_stolen(struct argv *self, char *text)
{
    if (self->n + 2 > self->capacity) {
        size_t capacity = MAX(self->capacity * 2, (size_t)32);
        char **items = reallocarray(self->items, capacity, sizeof *items);
        if (items) {
            self->items = items;
            self->capacity = capacity;
        } else {
            self->failed = true;
        }
    }
    if (!text || self->failed) {
        self->failed = true;
        free(text);
        return;
    }
    self->items[self->n++] = text;
    self->items[self->n] = NULL;
}

void argv_add(struct argv *self, const char *text)
{
    add_stolen(self, strdup(text));
}

void argv_addf(struct argv *self, const char *format, ...)
{
    char *text = NULL;
    va_list ap;
    va_start(ap, format);
    if (vasprintf(&text, format, ap) < 0)
        text = NULL;
    va_end(ap);
    add_stolen(self, text);
}

void argv_add_all(struct argv *self, const char *const *texts)
{
    for (; *texts; texts++)
        argv_add(self, *texts);
}

const char *const *argv_get(const struct argv *self)
{
    return self->failed || self->n == 0 ? NULL : (const char *const *)self->items;
}
