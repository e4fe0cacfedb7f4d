/* What a model said, in every dialect; answered as if all was done, and as if the first action failed. The
 * text is JSON; what is none is taken as a JSON string, which some dialects read as code. */
#include "dialect/turn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void answer(const struct turn *turn, const struct error *failure)
{
    auto_json json_t *body = json_pack("{s[{si s{ss ss} s[ii] sf sf}] si}", "results", "index", 0, "image", "format",
                                       "png", "data", "AAAA", "native", 1, 2, "x", 1.0, "y", 2.0, "failed_action", 0);
    turn_lacks_image(turn, body, failure);
    auto_json json_t *image = json_incref(json_object_get(json_array_get(json_object_get(body, "results"), 0), "image"));
    json_decref(turn_answer(turn, body, failure, image));
    json_decref(turn_answer(turn, body, failure, NULL));
    json_decref(turn_report(turn, body, failure));
}

static void run(enum dialect dialect, const json_t *said)
{
    struct turn_options options = { .screen = { 1280, 800 }, .has_pointer = true, .x = 5, .y = 5 };
    for (int images = TURN_IMAGES_AUTO; images <= TURN_IMAGES_ASKED; images++) {
        auto_turn struct turn *turn = NULL;
        struct error err = { 0 };
        options.images = (enum turn_images)images;
        options.is_confirmed = images > 0;
        if (turn_new(&turn, dialect, said, &options, &err) < 0)
            continue;
        json_decref(turn_request(turn));
        answer(turn, NULL);
        error_set(&err, ERROR_BAD_VALUE, "actions[0] (click): no");
        answer(turn, &err);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    auto_json json_t *said = NULL;
    if (json_parse_any((const char *)data, size, &said, NULL) < 0)
        said = json_stringn((const char *)data, size);
    for (enum dialect dialect = 0; said && dialect < DIALECT_COUNT; dialect++)
        run(dialect, said);
    return 0;
}
