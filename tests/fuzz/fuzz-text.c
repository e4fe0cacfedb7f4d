/* Any bytes as text to type. */
#include "input/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct keymap *keymap;
    if (!keymap && keymap_new(&keymap, "de", NULL, NULL) < 0)
        return 0;
    for (enum text_route route = TEXT_AUTO; route < TEXT_COUNT; route++) {
        struct plan plan = { 0 };
        struct error err;
        text_plan(&plan, keymap, route, (const char *)data, size, 0, &err);
        plan_deinit(&plan);
    }
    return 0;
}
