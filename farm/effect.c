/* Nothing outside a guest can prove more than this: a program may take a click and paint nothing, and
 * what paints may not be the click's doing. So the word comes with its evidence. */
#include "farm/effect.h"

#include "base/util.h"

#include <string.h>

void effect_begin(struct effect *self, int64_t now_us)
{
    if (!self->begin_us)
        self->begin_us = now_us;
}

void effect_damage(struct effect *self, int64_t captured_us, int n_tiles)
{
    if (!self->begin_us || captured_us < self->begin_us || n_tiles == 0)
        return;
    if (!self->first_us)
        self->first_us = captured_us;
    self->last_us = captured_us;
    self->n_tiles += n_tiles;
}

static const char *word_of(const struct effect *self, const json_t *result, bool is_failed)
{
    bool is_late = strcmp(json_get_string(result, "result", ""), "timed_out") == 0;
    if (is_failed)
        return self->begin_us ? "partial" : "refused";
    if (!self->begin_us)
        return is_late ? "no_visible_effect" : "confirmed";
    return self->first_us || json_get_bool(result, "confirmed", false) ? "confirmed" : "no_visible_effect";
}

void effect_put(const struct effect *self, json_t *result, int64_t until_us, bool is_failed)
{
    json_object_set_new(result, "effect", json_string(word_of(self, result, is_failed)));
    if (!self->begin_us)
        return;
    json_object_set_new(result, "watched_us", json_integer(MAX(until_us - self->begin_us, 0)));
    if (!self->first_us)
        return;
    json_object_set_new(result, "first_damage_us", json_integer(self->first_us));
    json_object_set_new(result, "last_damage_us", json_integer(self->last_us));
    json_object_set_new(result, "damaged_tiles", json_integer(self->n_tiles));
}
