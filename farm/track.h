/* What a batch leaves in its sandbox's recording: a record per action, with what was asked, by whom,
 * the frames before and after it and its times.
 *
 * Before is the last distinct frame that was captured until the action's first event went to the
 * guest, or until it began when it has none. After is the frame that was shown when the next action
 * began, or the batch's answer was made. Both are named, so they are in the recording exact.
 *
 * The first record of a batch that a model's own language was translated to has "dialect": its name and
 * what was said, as it came.
 *
 * A text that is secret is not in it, and no message that could tell some of it. */
#pragma once

#include "display/display.h"
#include "farm/sandbox.h"

struct track;

/* request: the batch as it came, borrowed for the call, with who asks as "by" (web/). NULL when memory
 * is short, which is harmless: all functions take NULL. */
struct track *track_new(struct sandbox *sandbox, const json_t *request);
struct track *track_free(struct track *self);

/* Action number i begins; the one before it has its frame after. */
void track_begin(struct track *self, size_t i);
/* An event of action i goes to the guest. */
void track_injected(struct track *self, size_t i, int64_t now_us);
/* A frame was published while action i plays. */
void track_frame(struct track *self, size_t i, struct frame *frame);
/* The batch has ended: writes a record per result. settle, err: NULL for none. */
void track_write(struct track *self, const json_t *results, const json_t *settle, size_t settled,
                 const struct error *err);
