/* Files and directories. Paths given here come from the daemon's own configuration and ids, never
 * from a request. */
#pragma once

#include "base/buf.h"
#include "base/error.h"

/* Joins with '/', allocated. NULL when memory is short. */
char *fs_join(const char *dir, const char *name);
/* Creates path and its missing parents with this mode. */
int fs_mkdirs(const char *path, unsigned mode, struct error *err);
/* Reads a whole file of at most limit bytes into out. */
int fs_read(const char *path, size_t limit, struct buf *out, struct error *err);
/* Writes a temporary file beside path, syncs it and renames it over path. */
int fs_write_atomic(const char *path, const void *data, size_t size, unsigned mode,
                    struct error *err);
/* Removes a directory and everything in it; one that is absent is no error. Does not follow links. */
int fs_remove_tree(const char *path, struct error *err);
/* Bytes that this process may still write on path's file system; -errno on failure. */
int64_t fs_free_bytes(const char *path);
