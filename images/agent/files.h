/* What the file operations share. All of it runs in a child. */
#pragma once

#include "base/buf.h"
#include "images/agent/spawn.h"

#include <limits.h>
#include <sys/stat.h>

/* Describes a file; see files.c. */
json_t *files_entry(const char *path, const struct stat *info);
/* Sets a string, also from bytes that are no UTF-8. */
bool files_set_text(json_t *object, const char *key, const char *bytes, size_t size);

/* A file that appears under its name whole or not at all. */
struct new_file {
    int fd;
    char path[PATH_MAX];      /* where it goes: links are followed */
    char temporary[PATH_MAX]; /* its name before that, only while has_name */
    bool has_name;
};
/* Begins beside what path leads to; mode and owner are those of the file that is there, if any. */
int new_file_open(struct new_file *self, const char *path, struct work *work);
/* Syncs and renames; or throws away. 0 or a told failure. */
int new_file_commit(struct new_file *self, struct work *work);
void new_file_drop(struct new_file *self);
