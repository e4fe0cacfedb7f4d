/* Text becomes strokes of the guest's layout, and what the layout lacks those of another way (input/entry.h). Modifiers change only between characters that need
 * different ones: "Hello World" presses shift twice. The whole text is planned before anything is
 * injected, which costs about 30 ns and 32 bytes per character. */
#include "input/text.h"

#include "input/entry.h"

#include <linux/input-event-codes.h>

int text_next(const char *text, size_t size, uint32_t *ret_character)
{
    static const uint32_t smallest[] = { 0, 1, 0x80, 0x800, 0x10000 };
    if (size == 0)
        return 0;
    const unsigned char *p = (const unsigned char *)text;
    int n = p[0] < 0x80   ? 1
            : p[0] < 0xc0 ? 0
            : p[0] < 0xe0 ? 2
            : p[0] < 0xf0 ? 3
            : p[0] < 0xf8 ? 4
                          : 0;
    if (n == 0 || (size_t)n > size)
        return -1;
    uint32_t c = n == 1 ? p[0] : p[0] & (0x7fu >> n);
    for (int i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return -1;
        c = c << 6 | (p[i] & 0x3f);
    }
    if (c < smallest[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return -1;
    *ret_character = c;
    return n;
}

/* Brings the modifiers that are down to those wanted, one event each. */
static int change_modifiers(struct plan *plan, const struct keymap *keymap, uint8_t *down,
                            uint8_t wanted)
{
    static const uint8_t all[] = { KEYMAP_LEVEL3, KEYMAP_SHIFT };
    int r = 0;
    for (size_t i = 0; i < ARRAY_LEN(all) && r >= 0; i++) {
        if ((*down ^ wanted) & all[i])
            r = plan_add(plan, (struct step){ .kind = STEP_KEY,
                                              .is_down = wanted & all[i],
                                              .code = keymap_modifier_code(keymap, all[i]) });
    }
    *down = wanted;
    return r;
}

static int add_stroke(struct plan *plan, uint16_t code)
{
    int r = plan_add(plan, (struct step){ .kind = STEP_KEY, .is_down = true, .code = code });
    return r < 0 ? r : plan_add(plan, (struct step){ .kind = STEP_KEY, .code = code });
}

/* Another way holds modifiers of its own. */
static int add_entry(struct plan *plan, const struct keymap *keymap, enum text_route route, uint32_t character,
                     uint8_t *down)
{
    int r = change_modifiers(plan, keymap, down, 0);
    return r < 0 ? r : entry_plan(plan, keymap, route, character);
}

static int add_strokes(struct plan *plan, const struct keymap *keymap, const struct keymap_stroke *strokes, int n,
                       uint8_t *down)
{
    int r = 0;
    for (int i = 0; i < n && r >= 0; i++) {
        r = change_modifiers(plan, keymap, down, strokes[i].modifiers);
        if (r >= 0)
            r = add_stroke(plan, strokes[i].code);
    }
    return r;
}

static int add_character(struct plan *plan, const struct keymap *keymap, enum text_route route, uint32_t character,
                         int delay_ms, uint8_t *down)
{
    struct keymap_stroke strokes[KEYMAP_STROKES_MAX];
    int n = keymap_find_character(keymap, character, strokes);
    int r = n > 0 ? add_strokes(plan, keymap, strokes, n, down) : add_entry(plan, keymap, route, character, down);
    if (r != 0)
        return r;
    /* Counted when the guest took the strokes, that is after the pause. */
    r = plan_add(plan, (struct step){ .kind = STEP_PAUSE, .value = delay_ms });
    return r < 0 ? r : plan_add(plan, (struct step){ .kind = STEP_CHARACTER, .code = (uint16_t)(n > 0 ? TEXT_KEYS : route) });
}

static int set_untypable(enum text_route route, uint32_t character, size_t index, const char *bytes, int size,
                         struct error *err)
{
    bool is_printable = character >= 0x20 && character != 0x7f;
    bool is_entered = route == TEXT_UNICODE || route == TEXT_ALT || route == TEXT_ALT_HEX;
    return error_set(
        err, ERROR_UNTYPABLE,
        "character %zu of the text, U+%04X%s%.*s%s, is not on the guest's keyboard layout%s%s", index,
        character, is_printable ? " '" : "", is_printable ? size : 0, bytes,
        is_printable ? "'" : "", is_entered ? ", nor to be had by " : "", is_entered ? text_route_names[route] : "");
}

int text_plan(struct plan *plan, const struct keymap *keymap, enum text_route route, const char *text, size_t size,
              int delay_ms, struct error *err)
{
    size_t n_steps = plan->n_steps, n_characters = plan->n_characters;
    uint8_t down = 0;
    int r = 0;
    for (size_t at = 0, index = 0; at < size; index++) {
        uint32_t character;
        int n = text_next(text + at, size - at, &character);
        if (n < 0) {
            r = error_set(err, ERROR_BAD_VALUE, "the text is no UTF-8 at byte %zu", at);
            break;
        }
        int length = n;
        if (character == '\r') {
            character = '\n';
            length += at + 1 < size && text[at + 1] == '\n';
        }
        r = add_character(plan, keymap, route, character, delay_ms, &down);
        if (r > 0)
            r = set_untypable(route, character, index, text + at, n, err);
        else if (r < 0)
            error_errno(err, -r, "planning the text");
        if (r < 0)
            break;
        plan->n_characters++;
        at += (size_t)length;
    }
    if (r >= 0)
        r = change_modifiers(plan, keymap, &down, 0);
    if (r < 0) {
        plan->n_steps = n_steps;
        plan->n_characters = n_characters;
    }
    return r;
}
