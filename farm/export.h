/* Checkpoints and templates leave this host as one file, and come to it. */
#pragma once

#include "base/error.h"
#include "base/json.h"
#include "farm/keys.h"

struct farm;
struct export;
struct import;

/* fd: the whole file, at its beginning, the receiver's; -1 with err. Runs once, later, unless the export is
 * cancelled. */
typedef void (*export_fn)(void *data, int fd, int64_t bytes, const struct error *err);

/* with_image: the image's files go along, so that a host without it can take the file. The file has no
 * name on disk and goes with its descriptor. */
int export_new(struct export **ret, struct farm *farm, const struct principal *who, const char *id,
               bool with_image, export_fn done, void *data, struct error *err);
/* done does not run. Takes NULL, returns NULL. */
struct export *export_cancel(struct export *self);

/* result is the description of the checkpoint, borrowed; NULL with err. */
typedef void (*import_fn)(void *data, const json_t *result, const struct error *err);

/* The file comes in pieces. name: of the checkpoint; NULL: as exported. */
int import_new(struct import **ret, struct farm *farm, const struct principal *who, const char *name,
               struct error *err);
/* disk_full when there is too little room. */
int import_write(struct import *self, const void *bytes, size_t size, struct error *err);
/* It is whole: looked through by a worker and listed. done runs once, later; self is gone then. */
void import_end(struct import *self, import_fn done, void *data);
/* Gives up, before import_end or, when done is not to be called, after. Takes NULL, returns NULL. */
struct import *import_cancel(struct import *self);
