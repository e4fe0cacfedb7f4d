/* A tar archive (POSIX ustar) of plain files. For workers. */
#pragma once

#include "base/error.h"

#include <stdio.h>

/* Appends a file with these bytes; name has at most 99 characters. 0, or -errno. */
int tar_add(FILE *tar, const char *name, const void *data, size_t size, int64_t wall_us);
/* The same with the bytes of the file at path. */
int tar_add_file(FILE *tar, const char *name, const char *path, int64_t wall_us);
int tar_end(FILE *tar);
