/* The tiles that a viewer keeps: the server's copy of its bookkeeping (docs/stream.md, "The
 * store"). Only hashes, newest first; the oldest goes when there are too many. */
#pragma once

#include "base/util.h"

#define KEPT_MAX 4096

struct kept;

/* Keeps n hashes at most, 0 to KEPT_MAX: about 20 bytes each. NULL when memory is short. */
struct kept *kept_new(int n);
struct kept *kept_free(struct kept *self);
bool kept_has(const struct kept *self, uint64_t hash);
/* Makes hash the newest, whether it was there or not. */
void kept_use(struct kept *self, uint64_t hash);
