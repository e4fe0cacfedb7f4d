#include "farm/place.h"

#include "farm/sandbox-impl.h"

#include <errno.h>
#include <stdio.h>

/* "1280x720": an image of the whole screen, whatever frame it showed. */
static int parse_image_size(const char *text, struct image_id *ret)
{
    int width = 0, height = 0, used = 0;
    if (sscanf(text, "%5dx%5d%n", &width, &height, &used) != 2 || text[used] || width < 1 || height < 1 ||
        width > IMAGE_ID_SIZE_MAX || height > IMAGE_ID_SIZE_MAX)
        return -EINVAL;
    *ret = (struct image_id){ .width = width, .height = height };
    return 0;
}

int place_read(struct place *ret, const json_t *request, struct error *err)
{
    const char *name = json_get_string(request, "space", "native");
    const char *image = json_get_string(request, "image", NULL);
    if (space_kind_parse(name, &ret->kind) < 0)
        return error_set(err, ERROR_BAD_VALUE, "space: unknown space \"%.40s\"", name);
    if (ret->kind != SPACE_FRAME)
        return 0;
    if (!image)
        return error_set(err, ERROR_MISSING_FIELD, "image: space frame needs the id of an image");
    if (image_id_parse(image, &ret->image) < 0 && parse_image_size(image, &ret->image) < 0)
        return error_set(err, ERROR_BAD_VALUE, "image: \"%.80s\" is no image id", image);
    return 0;
}

int place_resolve(const struct place *self, struct sandbox *sandbox, struct space *ret, struct error *err)
{
    struct display *display = sandbox->display;
    const struct frame *frame = display_frame(display);
    const struct image_id *image = &self->image;
    if (!frame)
        return error_set(err, ERROR_NOT_READY, "sandbox %s shows no screen", sandbox->id);
    *ret = (struct space){ .kind = self->kind, .width = frame->width, .height = frame->height };
    if (self->kind != SPACE_FRAME)
        return 0;
    struct frame_geometry geometry = { .width = frame->width, .height = frame->height };
    if (image->frame && display_geometry(display, image->frame, &geometry) != 0)
        return error_set(err, ERROR_UNKNOWN_FRAME, "image: frame %lld is not kept", (long long)image->frame);
    if (geometry.width != frame->width || geometry.height != frame->height)
        return error_set(err, ERROR_UNKNOWN_FRAME,
                         "image: frame %lld was %dx%d, the screen is %dx%d now; take a new screenshot",
                         (long long)image->frame, geometry.width, geometry.height, frame->width, frame->height);
    struct rect region = image->has_region ? image->region : (struct rect){ 0, 0, geometry.width, geometry.height };
    if (!rect_fits(region, geometry.width, geometry.height))
        return error_set(err, ERROR_BAD_VALUE, "image: its region lies outside the frame");
    ret->image_width = image->width;
    ret->image_height = image->height;
    ret->region = (struct space_region){ region.x, region.y, region.w, region.h };
    return 0;
}

json_t *place_rect_json(const struct space *space, struct rect rect)
{
    double x_unit = 1, y_unit = 1, x_origin = 0, y_origin = 0, x, y;
    if (space->kind == SPACE_NATIVE)
        return json_pack("{si si si si s{si si}}", "x", rect.x, "y", rect.y, "width", rect.w, "height", rect.h,
                         "point", "x", rect.x + rect.w / 2, "y", rect.y + rect.h / 2);
    if (space->kind == SPACE_FRAME) {
        x_unit = (double)space->image_width / space->region.width;
        y_unit = (double)space->image_height / space->region.height;
        x_origin = space->region.fx;
        y_origin = space->region.fy;
    } else {
        double whole = space->kind == SPACE_NORM1000 ? 1000 : 1;
        x_unit = whole / space->width;
        y_unit = whole / space->height;
    }
    space_from_native(space, rect.x + rect.w / 2, rect.y + rect.h / 2, &x, &y);
    return json_pack("{sf sf sf sf s{sf sf}}", "x", (rect.x - x_origin) * x_unit, "y", (rect.y - y_origin) * y_unit,
                     "width", rect.w * x_unit, "height", rect.h * y_unit, "point", "x", x, "y", y);
}
