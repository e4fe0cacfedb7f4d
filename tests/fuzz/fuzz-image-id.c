/* Image ids from clients: what parses must print as it came, and must map inside its region. */
#include "display/image-id.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[256], again[IMAGE_ID_MAX];
    struct image_id id;
    size = MIN(size, sizeof text - 1);
    memcpy(text, data, size);
    text[size] = 0;
    if (image_id_parse(text, &id) < 0)
        return 0;
    image_id_format(&id, again);
    if (strcmp(text, again) != 0)
        abort();
    struct rect region = id.has_region ? id.region : (struct rect){ 0, 0, 1280, 800 };
    for (int i = 0; i < 4; i++) {
        int fx, fy;
        int64_t ix = i & 1 ? id.width - 1 : 0, iy = i & 2 ? INT64_MAX : INT64_MIN;
        image_id_map(id.width, id.height, region, ix, iy, &fx, &fy);
        if (!rect_fits((struct rect){ fx - region.x, fy - region.y, 1, 1 }, region.w, region.h))
            abort();
    }
    return 0;
}
