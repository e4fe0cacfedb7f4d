/* The words of a screen, as they were read off it, kept by tile.
 *
 * Reading a whole screen takes about a second, and most of a screen is what it was a moment ago. So
 * this remembers for every tile with which content it was read, says which parts are to be read
 * anew, and puts what comes back among what it has. Pure; who reads is farm/ocr.c's business. */
#pragma once

#include "base/buf.h"
#include "display/frame.h"

#define WORD_TEXT_MAX 127 /* bytes of UTF-8 */
#define WORDS_MAX 4096
#define WORDS_PARTS_MAX 16
#define WORDS_MARGIN 32 /* pixels around a part that are read with it */

struct word {
    struct rect rect; /* framebuffer pixels */
    int confidence;   /* 0..100, the reader's own */
    char text[WORD_TEXT_MAX + 1];
};

/* Valid UTF-8 without control characters or spaces. */
bool word_text_is_good(const char *text, size_t size);

struct words;
struct words *words_new(void);
struct words *words_free(struct words *self);

/* One thing to read: outer is the picture to give to a reader, inner (whole tiles) what is known
 * afterwards. Framebuffer pixels. */
struct words_part {
    struct rect inner, outer;
};

/* What is to be read before region of frame is known; 0: nothing. At most WORDS_PARTS_MAX. */
int words_missing(struct words *self, const struct frame *frame, struct rect region,
                  struct words_part out[WORDS_PARTS_MAX]);
/* part of frame was read: list holds the words of outer, in framebuffer pixels. Words at its edge that
 * may be cut are not taken, nor are more than WORDS_MAX in all. -ENOMEM leaves the part unknown. */
int words_put(struct words *self, const struct frame *frame, const struct words_part *part,
              const struct word *list, int n);
/* The words whose middle lies in region, allocated (NULL for none), in reading order: lines from top
 * to bottom, each from left to right. Returns how many, or -ENOMEM. */
int words_get(const struct words *self, struct rect region, struct word **ret);

/* --- Lines and texts --------------------------------------------------------------------------- */

/* Some words beside each other. */
struct words_run {
    struct rect rect; /* around them all */
    int first, n;     /* in the list that was given */
    int confidence;   /* of the least certain */
};

/* The lines of a list in reading order. A gap of more than three heights begins another one.
 * Returns how many, at most max. */
int words_lines(const struct word *list, int n, struct words_run *out, int max);
/* Where a text stands in the lines of a list. Spaces do not count, for readers lose and invent them;
 * nor does the case of ASCII letters, nor the shape of quotes and dashes. Returns how many, at most max. */
int words_find(const struct word *list, int n, const char *text, struct words_run *out, int max);
/* The words of a run with spaces between. */
void words_text(const struct word *list, const struct words_run *run, struct buf *out);
