/* Pictures from clients: what decodes is looked for on a small frame. */
#include "display/template.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct frame *make_frame(void)
{
    struct frame *frame = frame_new(100, 70, NULL);
    for (int i = 0; frame && i < frame_n_tiles(frame); i++) {
        frame->tiles[i] = tile_new();
        for (int k = 0; k < TILE_SIZE * TILE_SIZE; k++)
            frame->tiles[i]->pixels[k] = 0xff000000u | (uint32_t)(k * 2654435761u >> 8);
    }
    return frame;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct template *template;
    struct template_match found[5];
    struct template_search search = { { 0, 0, 100, 70 }, 24, 0.9, 5 };
    if (template_new(&template, data, size, NULL) < 0)
        return 0;
    struct frame *frame = make_frame();
    int n = template_find(template, frame, &search, found);
    if (n > 5)
        abort();
    for (int i = 0; i < n; i++)
        if (!rect_fits(found[i].rect, 100, 70) || found[i].score < 0.9 - 1e-6)
            abort();
    frame_unref(frame);
    template_unref(template);
    return 0;
}
