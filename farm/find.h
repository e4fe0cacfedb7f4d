/* Looking at the screen without acting: sandbox_find, sandbox_marks, sandbox_compare (farm/sandbox.h). This is
 * what they share. Not for web/. */
#pragma once

#include "display/frame.h"
#include "farm/op.h"
#include "farm/place.h"

/* The field "region" in the request's space as native pixels; the whole screen without one. */
int find_region(const json_t *request, const struct space *space, struct rect *ret, struct error *err);
/* Ends an operation that looked at frame: its id, and the screen's size. image may be NULL. */
void find_finish(struct op *op, struct frame *frame, struct answer *answer);
