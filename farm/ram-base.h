/* RAM that several guests map: a sealed memfd, and its copy on disk once a checkpoint needs it.
 *
 * It is made by baking a template, or by the first save of a guest that was powered on. After a
 * restart of the daemon the memfd is taken from a guest that still maps it, so that the memory stays
 * shared, or read from disk. Not for web/. */
#pragma once

#include "base/error.h"
#include "base/id.h"
#include "base/list.h"

struct farm;

struct ram_base {
    int refs;
    struct list link; /* of the farm; not a reference */
    char id[ID_MAX];
    int fd;          /* -1: not in memory */
    int64_t bytes;
    bool is_stored;  /* ram/ID.ram is complete */
    int64_t stored_bytes; /* that it takes on disk */
};

/* The one of that id, as a new reference; made when nobody has it. NULL when memory is short. */
struct ram_base *ram_base_get(struct farm *farm, const char *id, int64_t bytes);
/* A new one that takes over the memfd. */
struct ram_base *ram_base_new(struct farm *farm, int fd, int64_t bytes);
struct ram_base *ram_base_ref(struct ram_base *self);
struct ram_base *ram_base_unref(struct ram_base *self);
