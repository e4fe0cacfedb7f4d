/* Frames that answers named: what "since that frame" is compared with.
 *
 * Of the last PAST_FRAMES the hashes of their tiles are kept, which tells what changed to a tile. Of
 * the newest of them the pixels are kept too, as far as PAST_BYTES go and the display is watched: then
 * changes are known to the pixel. Tiles that frames share count once. */
#pragma once

#include "display/frame.h"

#define PAST_FRAMES 128
#define PAST_BYTES ((size_t)24 << 20)

struct past;
struct past *past_new(void);
/* Takes NULL, returns NULL. */
struct past *past_free(struct past *self);

/* Keeps frame from here on; one that is there already becomes the newest. */
void past_keep(struct past *self, struct frame *frame);
/* Forgets all pixels, not the hashes. */
void past_drop_pixels(struct past *self);

/* Borrowed until the next call that is not const. */
struct past_frame {
    int64_t id;
    int width, height;
    const uint64_t *hashes; /* one per tile */
    struct frame *frame;    /* NULL: its pixels are gone */
};
/* False: frame id is not kept. */
bool past_find(const struct past *self, int64_t id, struct past_frame *ret);
