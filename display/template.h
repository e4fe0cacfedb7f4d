/* A small picture that is looked for on the screen.
 *
 * Made from a client's PNG; immutable and counted, so workers may read it. Its transparent pixels
 * match anything. Two pixels match when no channel differs by more than a tolerance. The score of a
 * place is the smaller of two shares: of all pixels that match, and of those that match among the
 * details, the pixels that differ from a neighbour. So a lot of flat background does not make up
 * for a missing letter. */
#pragma once

#include "base/error.h"
#include "display/frame.h"

#define TEMPLATE_PNG_MAX ((size_t)1 << 20) /* bytes */
#define TEMPLATE_SIDE_MAX 2048             /* pixels */
#define TEMPLATE_PIXELS_MAX (1 << 18)
#define TEMPLATE_TOLERANCE 24 /* defaults of a search */
#define TEMPLATE_SCORE 0.95
#define TEMPLATE_MATCHES_MAX 100

struct template;

/* bad_value: no PNG, too large, or wholly transparent. */
int template_new(struct template **ret, const void *png, size_t size, struct error *err);
/* Any thread. */
struct template *template_ref(struct template *self);
/* Takes NULL, returns NULL. Any thread. */
struct template *template_unref(struct template *self);
int template_width(const struct template *self);
int template_height(const struct template *self);

struct template_search {
    struct rect region; /* framebuffer pixels; the whole of a match lies in it */
    int tolerance;      /* 0..255 per channel */
    double score;       /* least, 0..1 */
    int limit;          /* 1..TEMPLATE_MATCHES_MAX */
};

struct template_match {
    struct rect rect; /* framebuffer pixels */
    double score;
};

/* Finds the best places, best first; of places that overlap by half only the best. Meant for
 * workers: 20 to 300 ms for a screen of 1280x800. Returns how many, at most limit, or -ENOMEM. A
 * region that is empty or smaller than the template holds none. */
int template_find(const struct template *self, const struct frame *frame,
                  const struct template_search *search, struct template_match *out);
