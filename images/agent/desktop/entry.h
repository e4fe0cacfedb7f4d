/* A desktop entry (Desktop Entry Specification 1.5): what a menu starts. Pure. */
#pragma once

#include "base/util.h"

#define ENTRY_ARGS_MAX 64
#define ENTRY_TEXT_MAX 8192 /* bytes of its command line */

struct entry {
    char name[256], class[256], path[1024]; /* Name, StartupWMClass, Path; "" when absent */
    char exec[ENTRY_TEXT_MAX];
    bool is_terminal, is_hidden;
};

/* Reads the group [Desktop Entry]. False when it starts no program. */
bool entry_parse(const char *text, size_t size, struct entry *ret);
/* Its command line as arguments, with the urls where it wants files or urls; an entry that takes
 * none gets none. The strings lie in room; argv ends with NULL. Returns how many there are, 0 when
 * the line is no good. */
int entry_command(const struct entry *self, const char *const *urls, int n_urls,
                  char room[2 * ENTRY_TEXT_MAX], const char *argv[ENTRY_ARGS_MAX + 1]);
