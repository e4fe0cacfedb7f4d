/* Damage refinement: which tiles really changed under the rectangles that a guest reported.
 *
 * Guests report boxes around everything they redrew, often the whole screen. A touched tile is
 * copied into a spare tile and hashed; when the hash is that of the last frame the spare is used
 * again, else the spare becomes the new frame's tile. One copy, one hash, no lock: about 2 us per
 * tile. */
#pragma once

#include "display/framebuffer.h"

struct tiles;

struct tiles *tiles_new(void);
struct tiles *tiles_free(struct tiles *self);

/* Says that the guest redrew rect (clipped to the framebuffer's size). Cheap: marks bits. */
void tiles_damage(struct tiles *self, const struct framebuffer *fb, struct rect rect);
bool tiles_is_damaged(const struct tiles *self);
/* Forgets the damage, and the spare. */
void tiles_reset(struct tiles *self);

/* What a refinement compares with: the last frame, or, when its pixels are gone, its hashes. */
struct tiles_base {
    struct frame *frame;    /* same size as the framebuffer, or NULL */
    const uint64_t *hashes; /* one per tile of the same size, or NULL; used when frame is NULL */
};

/* Takes the damage: *ret becomes a frame without id, epoch and time (the caller's), *ret_changed
 * the ascending numbers of tiles that changed against base (caller frees) and *ret_n their count.
 * With nothing changed *ret is NULL when base->frame is given, else a whole frame with *ret_n 0.
 * Without base->frame every tile is read. -ENOMEM leaves the damage as it was. */
int tiles_refine(struct tiles *self, const struct framebuffer *fb, const struct tiles_base *base,
                 struct frame **ret, int **ret_changed, int *ret_n);
