/* Every layout of xkeyboard-config: what the keymap says makes a character does make it. The guest is
 * played by xkbcommon's own state and X's compose table, which know nothing of input/keymap.c. */
#include "base/buf.h"
#include "base/json.h"
#include "input/keymap.h"
#include "input/text.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <string.h>
#include <xkbcommon/xkbcommon-compose.h>
#include <xkbcommon/xkbcommon.h>

enum { XKB_OFFSET = 8, LAST_CHARACTER = 0xffff };

static struct xkb_context *context;
static struct xkb_compose_table *compose;

static void ignore_log(struct xkb_context *c maybe_unused, enum xkb_log_level level maybe_unused,
                       const char *format maybe_unused, va_list args maybe_unused)
{
}

static void open_context(void)
{
    context = xkb_context_new(XKB_CONTEXT_NO_ENVIRONMENT_NAMES);
    xkb_context_set_log_fn(context, ignore_log);
    compose = xkb_compose_table_new_from_locale(context, "en_US.UTF-8", XKB_COMPOSE_COMPILE_NO_FLAGS);
    cr_assert(compose != NULL, "X's compose table is missing (libx11-data)");
}

static void close_context(void)
{
    xkb_compose_table_unref(compose);
    xkb_context_unref(context);
}

TestSuite(keymap_of, .init = open_context, .fini = close_context);

/* A guest that has this layout, and one text field. */
struct guest {
    struct keymap *keymap;
    struct xkb_keymap *xkb;
    struct xkb_compose_state *compose;
};

static void guest_init(struct guest *self, const char *layout, const char *variant)
{
    struct xkb_rule_names names = { "evdev", "pc105", layout, variant, "" };
    cr_assert(eq(int, keymap_new(&self->keymap, layout, variant, NULL), 0), "%s(%s)", layout, variant);
    self->xkb = xkb_keymap_new_from_names(context, &names, XKB_KEYMAP_COMPILE_NO_FLAGS);
    self->compose = xkb_compose_state_new(compose, XKB_COMPOSE_STATE_NO_FLAGS);
}

static void guest_deinit(struct guest *self)
{
    xkb_compose_state_unref(self->compose);
    xkb_keymap_unref(self->xkb);
    keymap_unref(self->keymap);
}

/* What the field gets of one stroke, appended to ret. */
static void press(struct guest *self, struct keymap_stroke stroke, char *ret, size_t size)
{
    static const int all[] = { KEYMAP_LEVEL3, KEYMAP_SHIFT };
    struct xkb_state *state = xkb_state_new(self->xkb);
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        if (stroke.modifiers & all[i])
            xkb_state_update_key(state, keymap_modifier_code(self->keymap, all[i]) + XKB_OFFSET, XKB_KEY_DOWN);
    xkb_keysym_t keysym = xkb_state_key_get_one_sym(state, stroke.code + XKB_OFFSET);
    xkb_compose_state_feed(self->compose, keysym);
    enum xkb_compose_status status = xkb_compose_state_get_status(self->compose);
    size_t used = strlen(ret);
    if (status == XKB_COMPOSE_COMPOSED)
        xkb_compose_state_get_utf8(self->compose, ret + used, size - used);
    else if (status == XKB_COMPOSE_NOTHING)
        xkb_keysym_to_utf8(keysym, ret + used, size - used);
    else if (status == XKB_COMPOSE_CANCELLED)
        snprintf(ret + used, size - used, "(cancelled)");
    xkb_state_unref(state);
}

/* True when the layout has it, and then it must arrive. */
static bool type(struct guest *self, uint32_t character, const char *name)
{
    struct keymap_stroke strokes[KEYMAP_STROKES_MAX];
    char got[64] = "";
    uint32_t first = 0;
    int n = keymap_find_character(self->keymap, character, strokes);
    xkb_compose_state_reset(self->compose);
    for (int i = 0; i < n; i++)
        press(self, strokes[i], got, sizeof got);
    if (n == 0)
        return false;
    int size = text_next(got, strlen(got), &first);
    cr_expect(first == character && (size_t)size == strlen(got), "%s: U+%04X came as \"%s\"", name, character, got);
    return true;
}

static size_t type_all(const char *layout, const char *variant)
{
    struct guest guest;
    char name[128];
    size_t n = 0;
    snprintf(name, sizeof name, "%s(%s)", layout, variant);
    guest_init(&guest, layout, variant);
    for (uint32_t c = 0x20; c <= LAST_CHARACTER; c = c == 0x30ff ? 0xfb00 : c + 1)
        n += (c < 0x7f || c > 0x9f) && type(&guest, c, name);
    guest_deinit(&guest);
    return n;
}

/* "  de   German" after "! layout", "  nodeadkeys  de: German (no dead keys)" after "! variant". */
Test(keymap_of, every_layout_there_is, .timeout = 600)
{
    bool is_full = getenv("DESKFARM_FULL");
    char line[512], section[32] = "", first[64], second[64];
    size_t n_layouts = 0, n_characters = 0;
    FILE *list = fopen("/usr/share/X11/xkb/rules/evdev.lst", "re");
    cr_assert(list != NULL);
    while (fgets(line, sizeof line, list)) {
        if (sscanf(line, "! %31s", section) == 1 || sscanf(line, " %63s %63[^: ]", first, second) != 2)
            continue;
        bool is_layout = strcmp(section, "layout") == 0 && strcmp(first, "custom") != 0;
        bool is_variant = strcmp(section, "variant") == 0 && is_full;
        if (!is_layout && !is_variant)
            continue;
        size_t n = is_layout ? type_all(first, "") : type_all(second, first);
        n_layouts++;
        n_characters += n;
        cr_expect(ge(sz, n, 5), "%s %s: only %zu characters", first, second, n);
    }
    fclose(list);
    cr_assert(ge(sz, n_layouts, 90));
    cr_log_info("%zu layouts, %zu characters", n_layouts, n_characters);
}

/* What people who write that language need, so none of it may come to depend on the guest's helper. */
Test(keymap_of, every_language_types_its_own_letters)
{
    static const struct {
        const char *layout, *text;
    } rows[] = {
        { "us", "The quick brown fox <>|~^ \"'`\\" },
        { "gb", "£ ¬ ¦ € <>|~^ \"'`\\ áéíóú" },
        { "de", "äöüÄÖÜß €@µ <>|~^ ° áàâ" },
        { "fr", "éèêëàâçùûüîïôÈÊ € <>|~^" },
        { "es", "áéíóúüñÁÉÍÓÚÜÑ ¿¡ºª € ç <>|~^" },
        { "it", "àèéìòùÈ € <>|~^ çñ" },
        { "pt", "áàâãçéêíóôõúüÁÀÂÃÇ ªº € <>|~^" },
        { "se", "åäöÅÄÖ éü € § ½ <>|~^" },
        { "pl", "ąćęłńóśźżĄĆĘŁŃÓŚŹŻ € <>|~^" },
        { "ru", "абвгдеёжзийклмнопрстуфхцчшщъыьэюя АБВЁЯ № .,!?" },
        { "gr", "αβγδεζηθικλμνξοπρσςτυφχψω άέήίόύώ ϊϋ ΆΈΉΊΌΎΏ" },
        { "tr", "çğıöşüÇĞİÖŞÜ âîû <>|~^" },
        { "jp", "abcXYZ <>|~^ \\_ @[]" },
        { "kr", "abcXYZ <>|~^ \\_ @[]" },
        { "cz", "ěščřžýáíéúůďťňĚŠČŘŽÝÁÍÉÚŮĎŤŇ óÓ" },
        { "hu", "áéíóöőúüűÁÉÍÓÖŐÚÜŰ" },
        { "ro", "ăâîșțĂÂÎȘȚ" },
        { "no", "æøåÆØÅ éèêô" },
        { "ua", "абвгґдеєжзиіїйклмнопрстуфхцчшщьюя" },
        { "il", "אבגדהוזחטיכלמנסעפצקרשתךםןףץ" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct guest guest;
        uint32_t c;
        guest_init(&guest, rows[i].layout, "");
        for (const char *p = rows[i].text; *p; p += text_next(p, strlen(p), &c)) {
            text_next(p, strlen(p), &c);
            cr_expect(type(&guest, c, rows[i].layout), "%s lacks U+%04X", rows[i].layout, c);
        }
        guest_deinit(&guest);
    }
}
