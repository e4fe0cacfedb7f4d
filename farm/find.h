/* Looking at the screen without acting: sandbox_find, sandbox_marks, sandbox_compare (farm/sandbox.h). This is
 * what they share: they wait for the screen, look at one frame, and name it in the answer. Not for web/. */
#pragma once

#include "display/frame.h"
#include "farm/op.h"
#include "farm/place.h"
#include "farm/shot.h"

/* First member of those operations. */
struct find_op {
    struct op op;
    struct screen_wait *screen; /* before it looks */
    struct frame *frame;        /* a reference, once look has set it */
    int (*look)(struct op *op, struct error *err);
};

/* Waits for the screen, brings the display up to date, runs look; when that fails, the operation has. */
void find_begin(struct op *op);
/* What remains to be stopped of it, and freed. */
void find_stop(struct op *op);
void find_deinit(struct op *op);

/* The field "region" in the request's space as native pixels; the whole screen without one. */
int find_region(const json_t *request, const struct space *space, struct rect *ret, struct error *err);
/* What is at r (native pixels) as an answer tells it: in the request's space, in native pixels, and with those of
 * the fields of about that are named in kept, which NULL ends. New reference. */
json_t *find_item(const struct space *space, struct rect r, const json_t *about, const char *const *kept);
/* x, y, width and height of an object that the daemon or the guest's helper made. */
struct rect find_rect(const json_t *object);
/* Ends an operation: names its frame and the screen's size. */
void find_finish(struct op *op, struct answer *answer);
