/* Coded tiles of one desktop by their hash, so that a tile is coded once for all viewers and comes
 * back for nothing. The least recently used go when their bytes exceed the budget. */
#pragma once

#include "base/buf.h"
#include "base/list.h"
#include "stream/tile-code.h"

#define PACKETS_BYTES ((size_t)8 << 20)

struct packet {
    struct list link; /* newest first */
    struct packet *next;
    uint64_t hash;
    enum tile_code code;
    uint32_t colour;    /* TILE_SOLID */
    struct bytes *data; /* the others' code, counted */
};

struct packets;

struct packets *packets_new(size_t budget);
struct packets *packets_free(struct packets *self);
/* Borrowed until the next insertion, or NULL. Makes it the newest. */
const struct packet *packets_find(struct packets *self, uint64_t hash);
/* Takes the reference to data (NULL for TILE_SOLID). Does nothing when memory is short or the hash
 * is there. */
void packets_insert(struct packets *self, uint64_t hash, enum tile_code code, uint32_t colour,
                    struct bytes *data);
/* Bytes charged. */
size_t packets_size(const struct packets *self);
