/* The space that a request's coordinates are meant in: its fields "space" and "image". Not for web/. */
#pragma once

#include "base/json.h"
#include "display/image-id.h"
#include "display/rect.h"
#include "input/space.h"

struct place {
    enum space_kind kind;
    struct image_id image; /* kind frame; frame 0: an image of the whole screen, whatever it showed */
};

struct sandbox;

/* bad_value, missing_field. */
int place_read(struct place *ret, const json_t *request, struct error *err);
/* The space on the screen as it is: not_ready without one, unknown_frame when the image's is not kept or had
 * another size. */
int place_resolve(const struct place *self, struct sandbox *sandbox, struct space *ret, struct error *err);

/* A native rectangle in the space: {"x","y","width","height"}, and "point": its middle, for a click. */
json_t *place_rect_json(const struct space *space, struct rect rect);
