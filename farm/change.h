/* What changed on a screen, for answers. Not for web/. */
#pragma once

#include "base/json.h"
#include "display/difference.h"
#include "display/display.h"

struct sandbox;

/* An answer names this frame: it is kept for "since", and is in the recording before the caller has it. NULL
 * is allowed. */
void change_name_frame(struct sandbox *sandbox, struct frame *frame);

/* Where now differs from frame id. Positive CHANGE_GONE: that frame is not kept any more, and out is untouched. */
enum { CHANGE_GONE = 1 };
int change_since(struct display *display, int64_t id, const struct frame *now, struct rect region,
                 pixman_region32_t *out);

/* [{"x","y","width","height"}] */
json_t *change_rects_json(pixman_region32_t *region);
/* The changes of an update that count and lie in area; NULL: none. A new size is one of all of it. */
json_t *change_counted_json(const struct frame_update *update, struct rect area);
/* What in area is another now than in frame id; NULL: nothing. All of it when that frame is gone. */
json_t *change_since_json(struct display *display, int64_t id, struct rect area);
