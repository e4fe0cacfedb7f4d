/* Coordinate spaces: what an agent's numbers mean, and which native pixel they are.
 *
 * All functions are pure. A point is good when it lies on the screen, edges included; anything
 * else is the error outside_screen with the limits in its text. Rounding, per axis:
 *
 *   native    px = floor(v)                  0 <= v < size of the scanout
 *   frame     px = region + floor((floor(v) + 0.5) * region size / image size)
 *                                            0 <= v < size of the image: the native pixel under
 *                                            the centre of the image's pixel
 *   norm1000  px = floor(v * size / 1000)    0 <= v <= 1000, 1000 is the last pixel
 *   norm1     px = floor(v * size)           0 <= v <= 1, 1 is the last pixel
 *
 * The last two add a millionth of a pixel first, so that x / size comes back as x. */
#pragma once

#include "base/error.h"

enum space_kind { SPACE_NATIVE, SPACE_FRAME, SPACE_NORM1000, SPACE_NORM1, SPACE_COUNT };

/* Native pixels. */
struct space_region {
    int fx, fy, width, height;
};

struct space {
    enum space_kind kind;
    int width, height; /* the current scanout, native pixels */
    /* SPACE_FRAME only: an image that showed region (of the scanout) at image_width x image_height.
     * The caller, who knows frame ids, decides what a stale frame is. */
    int image_width, image_height;
    struct space_region region;
};

/* "native", "frame", "norm1000", "norm1"; NULL-terminated, in the order of the enum. */
extern const char *const space_kind_names[];
/* Returns -EINVAL for an unknown name. */
int space_kind_parse(const char *name, enum space_kind *ret);

int space_to_native(const struct space *self, double x, double y, int *ret_fx, int *ret_fy,
                    struct error *err);
/* A rectangle from (x, y) with width and height > 0 in the space's units; it must lie inside. The
 * native region covers every pixel that the rectangle touches and is at least 1x1. */
int space_to_region(const struct space *self, double x, double y, double width, double height,
                    struct space_region *ret, struct error *err);
/* The other way, for cursor_position: the space's value for the middle of the native pixel (native:
 * the pixel itself). A point outside a frame's region gives a value outside the image. */
void space_from_native(const struct space *self, int fx, int fy, double *ret_x, double *ret_y);
