/* One action as JSON, planned on a small screen: every message and limit of the vocabulary. */
#include "input/plan.h"

#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct keymap *keymap;
    static const struct space space = { .kind = SPACE_NATIVE, .width = 1280, .height = 800 };
    if (!keymap && keymap_new(&keymap, "de", NULL, NULL) < 0)
        return 0;
    auto_json json_t *object = NULL;
    if (json_parse_object((const char *)data, size, &object, NULL) < 0)
        return 0;
    struct action action;
    struct error err;
    if (action_parse(&action, object, "actions[0]", &err) < 0)
        return 0;
    struct plan_context context = { keymap, &space, true, 5, 5, { 0 }, NULL };
    struct plan plan = { 0 };
    plan_action(&plan, &action, &context, &err);
    plan_deinit(&plan);
    action_deinit(&action);
    return 0;
}
