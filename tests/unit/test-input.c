/* input/ without a guest: what coordinates, key names, layouts and text come down to. */
#include "input/entry.h"
#include "input/keymap.h"
#include "input/pointer.h"
#include "input/qnum.h"
#include "input/text.h"
#include "tests/unit/input-text.h"

#include <stdio.h>
#include <xkbcommon/xkbcommon.h>

/* --- Coordinates ------------------------------------------------------------------------------ */

/* What libinput (axis * 65535 / 32768) and then the X server (* size / 65536) make of an axis
 * value, and what a guest does that scales directly. */
static int pixel_in_xorg(int axis, int size)
{
    return (int)((double)axis * 65535 / 32768 * size / 65536);
}

static int pixel_floor(int axis, int size)
{
    return (int)((int64_t)axis * size / 32768);
}

static int pixel_round(int axis, int size)
{
    return (int)((double)axis * size / 32768 + 0.5);
}

Test(pointer, lands_on_every_pixel_of_every_size)
{
    for (int size = 1; size <= POINTER_SIZE_MAX; size += size < 3840 ? 1 : 97) {
        for (int fx = 0; fx < size; fx++) {
            int axis = pointer_axis(fx, size);
            bool is_exact = axis >= 0 && axis <= POINTER_AXIS_MAX &&
                            pixel_floor(axis, size) == fx && pixel_round(axis, size) == fx &&
                            pixel_in_xorg(axis, size) == fx;
            cr_assert(is_exact, "pixel %d of %d is axis %d", fx, size, axis);
        }
    }
}

Test(pointer, stays_on_the_axis)
{
    cr_assert(eq(int, pointer_axis(-5, 1280), pointer_axis(0, 1280)));
    cr_assert(eq(int, pointer_axis(5000, 1280), pointer_axis(1279, 1280)));
    cr_assert(eq(int, pointer_axis(10, 0), 0));
}

static const struct space native = { .kind = SPACE_NATIVE, .width = 1280, .height = 800 };
static const struct space norm1000 = { .kind = SPACE_NORM1000, .width = 1280, .height = 800 };
static const struct space norm1 = { .kind = SPACE_NORM1, .width = 1280, .height = 800 };
static const struct space half = { .kind = SPACE_FRAME,
                                   .width = 1280,
                                   .height = 800,
                                   .image_width = 640,
                                   .image_height = 400,
                                   .region = { 0, 0, 1280, 800 } };
static const struct space zoomed = { .kind = SPACE_FRAME,
                                     .width = 1280,
                                     .height = 800,
                                     .image_width = 400,
                                     .image_height = 200,
                                     .region = { 100, 50, 200, 100 } };
static const struct space stale = { .kind = SPACE_FRAME,
                                    .width = 640,
                                    .height = 480,
                                    .image_width = 1280,
                                    .image_height = 800,
                                    .region = { 0, 0, 1280, 800 } };

Test(space, maps_points_edges_included)
{
    static const struct {
        const struct space *space;
        double x, y;
        int fx, fy; /* -1: outside */
    } rows[] = {
        { &native, 0, 0, 0, 0 },
        { &native, 1279, 799, 1279, 799 },
        { &native, 10.9, 20.1, 10, 20 },
        { &native, 1280, 0, -1, 0 },
        { &native, 0, 800, -1, 0 },
        { &native, -1, 0, -1, 0 },
        { &native, -0.001, 0, -1, 0 },
        { &native, 1e300, 0, -1, 0 },
        { &native, 0.0 / 0.0, 0, -1, 0 },
        { &norm1000, 0, 0, 0, 0 },
        { &norm1000, 1000, 1000, 1279, 799 },
        { &norm1000, 500, 500, 640, 400 },
        { &norm1000, 999, 999, 1278, 799 },
        { &norm1000, 1000.5, 0, -1, 0 },
        { &norm1, 0, 0, 0, 0 },
        { &norm1, 1, 1, 1279, 799 },
        { &norm1, 0.5, 0.25, 640, 200 },
        { &norm1, 1.001, 0, -1, 0 },
        { &half, 0, 0, 1, 1 },
        { &half, 639, 399, 1279, 799 },
        { &half, 640, 0, -1, 0 },
        { &zoomed, 0, 0, 100, 50 },
        { &zoomed, 399, 199, 299, 149 },
        { &zoomed, 201, 100, 200, 100 },
        { &stale, 100, 100, 100, 100 },
        { &stale, 640, 100, -1, 0 },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int fx = -1, fy = -1;
        struct error err = { 0 };
        int r = space_to_native(rows[i].space, rows[i].x, rows[i].y, &fx, &fy, &err);
        if (rows[i].fx < 0) {
            cr_assert(r < 0 && err.code == ERROR_OUTSIDE_SCREEN, "row %zu", i);
        } else {
            cr_assert(r == 0 && fx == rows[i].fx && fy == rows[i].fy, "row %zu: %d %d (%s)", i, fx,
                      fy, err.message);
        }
    }
}

Test(space, names_the_limits)
{
    struct error err;
    int fx, fy;
    space_to_native(&native, 1280, 3, &fx, &fy, &err);
    cr_assert(eq(str, err.message, "x is 1280, outside the screen of 1280x800 pixels: 0 to 1279"));
    space_to_native(&half, 3, 400, &fx, &fy, &err);
    cr_assert(
        eq(str, err.message, "y is 400, outside the frame's image of 640x400 pixels: 0 to 399"));
    space_to_native(&norm1000, 1001, 3, &fx, &fy, &err);
    cr_assert(eq(str, err.message, "x is 1001, outside 0 to 1000"));
    space_to_native(&(struct space){ 0 }, 1, 1, &fx, &fy, &err);
    cr_assert(eq(int, err.code, ERROR_NOT_READY));
}

/* An agent that computes x / width gets back the pixel it meant. */
Test(space, comes_back_from_every_pixel)
{
    for (int size = 1; size < 2600; size += 37) {
        struct space one = { .kind = SPACE_NORM1, .width = size, .height = 1 };
        struct space thousand = { .kind = SPACE_NORM1000, .width = size, .height = 1 };
        struct space frame = { .kind = SPACE_FRAME,
                               .width = size,
                               .height = 1,
                               .image_width = size,
                               .image_height = 1,
                               .region = { 0, 0, size, 1 } };
        for (int px = 0; px < size; px++) {
            int a, b, c, d, fy;
            double x, y;
            space_to_native(&one, (double)px / size, 0, &a, &fy, NULL);
            space_to_native(&thousand, px * 1000.0 / size, 0, &b, &fy, NULL);
            space_to_native(&frame, px, 0, &c, &fy, NULL);
            space_from_native(&one, px, 0, &x, &y);
            space_to_native(&one, x, y, &d, &fy, NULL);
            cr_assert(a == px && b == px && c == px && d == px, "%d of %d: %d %d %d %d", px, size,
                      a, b, c, d);
        }
    }
}

Test(space, keeps_half_an_image_pixel)
{
    for (int image = 100; image < 1280; image += 61) {
        struct space s = half;
        s.image_width = image;
        for (int ix = 0; ix < image; ix++) {
            int fx, fy;
            space_to_native(&s, ix, 0, &fx, &fy, NULL);
            double centre = (ix + 0.5) * 1280 / image;
            cr_assert(fx <= centre && centre - fx <= 1.0);
        }
    }
}

Test(space, maps_regions)
{
    struct space_region r;
    cr_assert(eq(int, space_to_region(&native, 10, 20, 30, 40, &r, NULL), 0));
    cr_assert(r.fx == 10 && r.fy == 20 && r.width == 30 && r.height == 40);
    cr_assert(eq(int, space_to_region(&norm1, 0, 0, 1, 1, &r, NULL), 0));
    cr_assert(r.width == 1280 && r.height == 800);
    cr_assert(eq(int, space_to_region(&half, 600, 0, 40, 400, &r, NULL), 0));
    cr_assert(r.fx == 1200 && r.width == 80 && r.height == 800);
    cr_assert(eq(int, space_to_region(&native, 0.2, 0, 0.1, 1, &r, NULL), 0));
    cr_assert(r.fx == 0 && r.width == 1);
    static const double bad[][4] = { { 0, 0, 1281, 1 }, { 0, 0, 0, 1 },  { 0, 0, -5, 1 },
                                     { 1280, 0, 1, 1 }, { -1, 0, 5, 5 }, { 0, 0, 1, 0.0 / 0.0 } };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct error err = { 0 };
        cr_assert(lt(int,
                     space_to_region(&native, bad[i][0], bad[i][1], bad[i][2], bad[i][3], &r, &err),
                     0));
        cr_assert(eq(int, err.code, ERROR_OUTSIDE_SCREEN));
    }
}

/* --- Key names -------------------------------------------------------------------------------- */

Test(key_name, knows_what_agents_write)
{
    static const struct {
        const char *name, *keysym; /* NULL: unknown */
    } rows[] = {
        { "a", "a" },
        { "A", "A" },
        { "/", "slash" },
        { "+", "plus" },
        { "\xc3\xa4", "adiaeresis" },
        { "\xe2\x82\xac", "EuroSign" },
        { " ", "space" },
        { "ctrl", "Control_L" },
        { "CTRL", "Control_L" },
        { "Control", "Control_L" },
        { "control_l", "Control_L" },
        { "Control_R", "Control_R" },
        { "alt", "Alt_L" },
        { "option", "Alt_L" },
        { "altgr", "ISO_Level3_Shift" },
        { "cmd", "Super_L" },
        { "Meta", "Super_L" },
        { "win", "Super_L" },
        { "super", "Super_L" },
        { "return", "Return" },
        { "Enter", "Return" },
        { "esc", "Escape" },
        { "del", "Delete" },
        { "ArrowUp", "Up" },
        { "up", "Up" },
        { "PGUP", "Prior" },
        { "page_up", "Prior" },
        { "Page_Down", "Next" },
        { "CapsLock", "Caps_Lock" },
        { "kp_1", "KP_1" },
        { "f1", "F1" },
        { "F24", "F24" },
        { "volumeup", "XF86AudioRaiseVolume" },
        { "XF86AudioMute", "XF86AudioMute" },
        { "xf86audiomute", "XF86AudioMute" },
        { "prtsc", "Print" },
        { "plus", "plus" },
        { "Adiaeresis", "Adiaeresis" },
        { "adiaeresis", "adiaeresis" },
        { "menu", "Menu" },
        { "", NULL },
        { "nokey", NULL },
        { "ctrl ", NULL },
        { "\x01", NULL },
        { "ab", NULL },
        { "\xff", NULL },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char name[64] = "";
        uint32_t keysym = key_name_parse(rows[i].name, strlen(rows[i].name));
        if (keysym)
            xkb_keysym_get_name(keysym, name, sizeof name);
        cr_assert(eq(str, name, (char *)(rows[i].keysym ? rows[i].keysym : "")), "%s",
                  rows[i].name);
    }
}

Test(key_name, has_no_alias_twice)
{
    const char *a, *b;
    uint32_t ka, kb;
    for (size_t i = 0; key_name_alias(i, &a, &ka); i++) {
        for (size_t j = i + 1; key_name_alias(j, &b, &kb); j++)
            cr_assert(ne(str, (char *)a, (char *)b));
    }
}

Test(chord, splits_at_plus)
{
    static const struct {
        const char *text, *keysyms; /* NULL: error */
        enum error_code code;
    } rows[] = {
        { "a", "a", 0 },
        { "A", "A", 0 },
        { "ctrl+shift+t", "Control_L Shift_L t", 0 },
        { "ctrl+C", "Control_L c", 0 },
        { "+", "plus", 0 },
        { "ctrl++", "Control_L plus", 0 },
        { "ctrl+plus", "Control_L plus", 0 },
        { "++a", "plus a", 0 },
        { "shift+\xc3\x84", "Shift_L adiaeresis", 0 },
        { "", NULL, ERROR_BAD_VALUE },
        { "ctrl+", NULL, ERROR_BAD_VALUE },
        { "ctrl+nokey", NULL, ERROR_UNKNOWN_KEY },
        { "ctrl-c", NULL, ERROR_UNKNOWN_KEY },
        { "a+b+c+d+e+f+g+h+i", NULL, ERROR_BAD_VALUE },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct chord chord = { 0 };
        struct error err = { 0 };
        auto_buf struct buf text = BUF_INIT;
        int r = chord_parse(&chord, rows[i].text, strlen(rows[i].text), &err);
        cr_assert(eq(int, r < 0, !rows[i].keysyms), "%s", rows[i].text);
        for (int j = 0; j < chord.n_keys; j++) {
            char name[64];
            xkb_keysym_get_name(chord.keysyms[j], name, sizeof name);
            buf_printf(&text, "%s%s", j ? " " : "", name);
        }
        cr_assert(
            eq(str, (char *)buf_str(&text), (char *)(rows[i].keysyms ? rows[i].keysyms : "")));
        if (r < 0)
            cr_assert(eq(int, err.code, rows[i].code), "%s", rows[i].text);
    }
    struct error err;
    struct chord chord;
    chord_parse(&chord, "ctrl+nokey", 10, &err);
    cr_assert(eq(str, err.message, "unknown key 'nokey'"));
}

/* --- Layouts ---------------------------------------------------------------------------------- */

static struct keymap *layout(const char *name)
{
    struct keymap *keymap = NULL;
    cr_assert(eq(int, keymap_new(&keymap, name, NULL, NULL), 0));
    return keymap;
}

static void stroke_text(const struct keymap *keymap, uint32_t character, struct buf *out)
{
    struct keymap_stroke strokes[KEYMAP_STROKES_MAX];
    int n = keymap_find_character(keymap, character, strokes);
    for (int i = 0; i < n; i++)
        buf_printf(out, "%s%s%s%s", i ? ", " : "",
                   strokes[i].modifiers & KEYMAP_SHIFT ? "shift+" : "",
                   strokes[i].modifiers & KEYMAP_LEVEL3 ? "altgr+" : "", key_text(strokes[i].code));
}

/* A row per character that the layout types: code point, the character, its strokes. */
static void keymap_text(const struct keymap *keymap, struct buf *out)
{
    for (uint32_t c = 0x20; c < 0x2200; c++) {
        auto_buf struct buf strokes = BUF_INIT;
        char utf8[8];
        stroke_text(keymap, c, &strokes);
        if (strokes.size == 0)
            continue;
        xkb_keysym_to_utf8(xkb_utf32_to_keysym(c), utf8, sizeof utf8);
        buf_printf(out, "U+%04X\t%s\t%s\n", c, utf8, buf_str(&strokes));
    }
}

/* DESKFARM_UPDATE_GOLDEN=1 rewrites the files; the change is then one reviewed diff. */
static void check_golden(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, SOURCE_ROOT "/tests/golden/keymap-%s.txt", name);
    struct keymap *keymap = layout(name);
    auto_buf struct buf now = BUF_INIT, golden = BUF_INIT;
    keymap_text(keymap, &now);
    keymap_unref(keymap);
    FILE *file = fopen(path, getenv("DESKFARM_UPDATE_GOLDEN") ? "w+" : "r");
    cr_assert(file != NULL, "%s", path);
    if (getenv("DESKFARM_UPDATE_GOLDEN"))
        fwrite(now.data, 1, now.size, file);
    rewind(file);
    char line[256];
    while (fgets(line, sizeof line, file))
        buf_puts(&golden, line);
    fclose(file);
    cr_assert(eq(str, (char *)buf_str(&now), (char *)buf_str(&golden)));
}

Test(keymap, us_is_as_recorded)
{
    check_golden("us");
}

Test(keymap, de_is_as_recorded)
{
    check_golden("de");
}

Test(keymap, types_all_of_ascii)
{
    static const char *const layouts[] = { "us", "de", "fr", "gb", "es" };
    for (size_t i = 0; i < ARRAY_LEN(layouts); i++) {
        struct keymap *keymap = layout(layouts[i]);
        struct keymap_stroke strokes[KEYMAP_STROKES_MAX];
        for (uint32_t c = 0x20; c < 0x7f; c++)
            cr_assert(gt(int, keymap_find_character(keymap, c, strokes), 0), "%s lacks %c",
                      layouts[i], (int)c);
        keymap_unref(keymap);
    }
}

Test(keymap, finds_strokes)
{
    static const struct {
        const char *layout;
        uint32_t character;
        const char *strokes;
    } rows[] = {
        { "us", 'a', "A" },
        { "us", 'A', "shift+A" },
        { "us", '<', "shift+COMMA" }, /* not the 102nd key */
        { "us", '\n', "ENTER" },
        { "us", '\t', "TAB" },
        { "us", 0xe4, "" },
        { "us", 0x20ac, "" },
        { "us", 0x1f600, "" },
        { "de", 'z', "Y" },
        { "de", '<', "102ND" },
        { "de", '@', "altgr+Q" },
        { "de", '\\', "altgr+MINUS" },
        { "de", 0xe4, "APOSTROPHE" },
        { "de", 0xc4, "shift+APOSTROPHE" },
        { "de", 0xdf, "MINUS" },
        { "de", 0x20ac, "altgr+E" },
        { "de", '^', "GRAVE, SPACE" },
        { "de", '`', "shift+EQUAL, SPACE" },
        { "de", 0xb4, "EQUAL, EQUAL" },
        { "de", 0xe9, "EQUAL, E" },
        { "de", 0xc9, "EQUAL, shift+E" },
        { "de", 0xea, "GRAVE, E" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct keymap *keymap = layout(rows[i].layout);
        auto_buf struct buf text = BUF_INIT;
        stroke_text(keymap, rows[i].character, &text);
        cr_assert(eq(str, (char *)buf_str(&text), (char *)rows[i].strokes), "%s U+%04X",
                  rows[i].layout, rows[i].character);
        keymap_unref(keymap);
    }
}

/* Every alias leads to a key, except the few that QEMU's keyboard lacks. */
Test(keymap, has_a_key_for_every_alias)
{
    struct keymap *keymap = layout("us");
    struct keymap_stroke stroke;
    const char *alias;
    uint32_t keysym;
    for (size_t i = 0; key_name_alias(i, &alias, &keysym); i++) {
        bool is_lacking = keysym == XKB_KEY_XF86Search || keysym == XKB_KEY_Zenkaku_Hankaku;
        cr_assert(eq(int, keymap_find_keysym(keymap, keysym, &stroke), !is_lacking), "%s", alias);
        if (!is_lacking)
            cr_assert(ne(int, qnum_from_evdev(stroke.code), 0), "%s", alias);
    }
    cr_assert(not(keymap_find_keysym(keymap, XKB_KEY_F13, &stroke)));
    keymap_unref(keymap);
}

Test(keymap, refuses_an_unknown_layout)
{
    static const char *const bad[] = { "", "nosuch", "us,de", "../us", "us)" };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct keymap *keymap = NULL;
        struct error err = { 0 };
        cr_assert(lt(int, keymap_new(&keymap, bad[i], NULL, &err), 0), "%s", bad[i]);
        cr_assert(eq(int, err.code, ERROR_BAD_VALUE));
        cr_assert(eq(ptr, keymap, NULL));
    }
    struct keymap *keymap = NULL;
    cr_assert(eq(int, keymap_new(&keymap, "de", "nodeadkeys", NULL), 0));
    keymap_unref(keymap);
    cr_assert(lt(int, keymap_new(&keymap, "de", "nosuch", NULL), 0));
}

Test(qnum, is_one_to_one)
{
    bool is_used[256] = { false };
    int n = 0;
    for (uint16_t code = 0; code <= KEY_MICMUTE; code++) {
        uint16_t qnum = qnum_from_evdev(code);
        if (qnum == 0)
            continue;
        cr_assert(qnum < 256 && !is_used[qnum], "evdev %d", code);
        is_used[qnum] = true;
        n++;
    }
    cr_assert(gt(int, n, 130));
    cr_assert(eq(int, qnum_from_evdev(KEY_RIGHTALT), 0xb8));
    cr_assert(eq(int, qnum_from_evdev(KEY_MAX), 0));
}

/* --- Text ------------------------------------------------------------------------------------- */

static const char *planned(const char *name, const char *text, struct buf *out, struct error *err)
{
    struct keymap *keymap = layout(name);
    struct plan plan = { 0 };
    if (text_plan(&plan, keymap, TEXT_KEYS, text, strlen(text), 1, err) >= 0)
        plan_text(&plan, out);
    plan_deinit(&plan);
    keymap_unref(keymap);
    return buf_str(out);
}

static const char *entered(const char *name, enum text_route route, const char *text, struct buf *out, struct error *err)
{
    struct keymap *keymap = layout(name);
    struct plan plan = { 0 };
    if (text_plan(&plan, keymap, route, text, strlen(text), 1, err) >= 0)
        plan_text(&plan, out);
    plan_deinit(&plan);
    keymap_unref(keymap);
    return buf_str(out);
}

Test(text, enters_what_the_layout_lacks_by_its_number)
{
    auto_buf struct buf out = BUF_INIT;
    cr_assert(eq(str, (char *)entered("us", TEXT_UNICODE, "Aж", &out, NULL),
                 "LEFTSHIFT down, A down, A up, 1 ms, LEFTSHIFT up, LEFTCTRL down, LEFTSHIFT down, U down, U up, "
                 "LEFTSHIFT up, LEFTCTRL up, 4 down, 4 up, 3 down, 3 up, 6 down, 6 up, SPACE down, SPACE up, 1 ms"));
    buf_consume(&out, out.size);
    /* Digits are shifted there. */
    cr_assert(eq(str, (char *)entered("fr", TEXT_UNICODE, "☺", &out, NULL),
                 "LEFTCTRL down, LEFTSHIFT down, U down, U up, LEFTSHIFT up, LEFTCTRL up, "
                 "LEFTSHIFT down, 2 down, 2 up, LEFTSHIFT up, LEFTSHIFT down, 6 down, 6 up, LEFTSHIFT up, "
                 "LEFTSHIFT down, 3 down, 3 up, LEFTSHIFT up, Q down, Q up, SPACE down, SPACE up, 1 ms"));
    buf_consume(&out, out.size);
    cr_assert(eq(str, (char *)entered("us", TEXT_ALT, "€", &out, NULL),
                 "LEFTALT down, KP0 down, KP0 up, KP1 down, KP1 up, KP2 down, KP2 up, KP8 down, KP8 up, LEFTALT up, 1 ms"));
    buf_consume(&out, out.size);
    cr_assert(eq(str, (char *)entered("us", TEXT_ALT_HEX, "ж", &out, NULL),
                 "LEFTALT down, KPPLUS down, KPPLUS up, KP4 down, KP4 up, KP3 down, KP3 up, KP6 down, KP6 up, LEFTALT up, "
                 "1 ms"));
    buf_consume(&out, out.size);
    cr_assert(eq(str, (char *)entered("us", TEXT_ALT_HEX, "☺", &out, NULL),
                 "LEFTALT down, KPPLUS down, KPPLUS up, KP2 down, KP2 up, KP6 down, KP6 up, KP3 down, KP3 up, A down, A up, "
                 "LEFTALT up, 1 ms"));
}

Test(text, an_entry_that_cannot_be_made_leaves_the_plan_as_it_was)
{
    static const struct {
        const char *layout;
        enum text_route route;
        const char *text, *why;
    } rows[] = {
        { "us", TEXT_ALT, "aж", "character 1 of the text, U+0436 'ж', is not on the guest's keyboard layout, nor to be had by alt" },
        { "us", TEXT_ALT_HEX, "🙂", "character 0 of the text, U+1F642 '🙂', is not on the guest's keyboard layout, nor to be had by alt_hex" },
        { "ru", TEXT_UNICODE, "é", "character 0 of the text, U+00E9 'é', is not on the guest's keyboard layout, nor to be had by unicode" },
        { "us", TEXT_GUEST_KEYMAP, "ж", "character 0 of the text, U+0436 'ж', is not on the guest's keyboard layout" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_buf struct buf out = BUF_INIT;
        struct error err = { 0 };
        cr_assert(eq(str, (char *)entered(rows[i].layout, rows[i].route, rows[i].text, &out, &err), ""));
        cr_assert(eq(int, err.code, ERROR_UNTYPABLE));
        cr_assert(eq(str, err.message, (char *)rows[i].why));
    }
}

Test(text, code_page_1252_is_whole)
{
    /* All of it but five places that nothing has. */
    size_t n = 0;
    struct keymap *keymap = layout("ru");
    for (uint32_t c = 0x80; c < 0x10000; c++) {
        struct plan plan = { 0 };
        n += entry_plan(&plan, keymap, TEXT_ALT, c) == 0;
        plan_deinit(&plan);
    }
    keymap_unref(keymap);
    cr_assert(eq(sz, n, 96 + 27));
}

Test(text, changes_modifiers_only_where_needed)
{
    auto_buf struct buf out = BUF_INIT;
    cr_assert(eq(str, (char *)planned("us", "aBC d", &out, NULL),
                 "A down, A up, 1 ms, LEFTSHIFT down, B down, B up, 1 ms, C down, C up, 1 ms, "
                 "LEFTSHIFT up, SPACE down, SPACE up, 1 ms, D down, D up, 1 ms"));
}

Test(text, uses_the_third_level)
{
    auto_buf struct buf out = BUF_INIT;
    cr_assert(eq(str, (char *)planned("de", "@{\xc3\x84", &out, NULL),
                 "RIGHTALT down, Q down, Q up, 1 ms, 7 down, 7 up, 1 ms, RIGHTALT up, "
                 "LEFTSHIFT down, APOSTROPHE down, APOSTROPHE up, 1 ms, LEFTSHIFT up"));
}

Test(text, presses_return_for_any_line_end)
{
    auto_buf struct buf a = BUF_INIT;
    cr_assert(eq(str, (char *)planned("us", "\r\n\n\t", &a, NULL),
                 "ENTER down, ENTER up, 1 ms, ENTER down, ENTER up, 1 ms, TAB down, TAB up, 1 ms"));
}

Test(text, refuses_what_the_layout_lacks_before_anything)
{
    auto_buf struct buf out = BUF_INIT;
    struct error err = { 0 };
    cr_assert(eq(str, (char *)planned("us", "na\xc3\xafve", &out, &err), ""));
    cr_assert(eq(int, err.code, ERROR_UNTYPABLE));
    cr_assert(
        eq(str, err.message,
           "character 2 of the text, U+00EF '\xc3\xaf', is not on the guest's keyboard layout"));
    planned("us", "a\x1b", &out, &err);
    cr_assert(eq(str, err.message,
                 "character 1 of the text, U+001B, is not on the guest's keyboard layout"));
}

Test(text, refuses_what_is_no_utf8)
{
    static const char *const bad[] = { "\xff",
                                       "a\x80",
                                       "\xc0\x80",
                                       "\xed\xa0\x80",
                                       "\xf4\x90\x80\x80",
                                       "\xe2\x82",
                                       "\xc3",
                                       "\xf8\x88\x80\x80\x80" };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        auto_buf struct buf out = BUF_INIT;
        struct error err = { 0 };
        planned("us", bad[i], &out, &err);
        cr_assert(eq(int, err.code, ERROR_BAD_VALUE), "row %zu", i);
    }
}

Test(text, plans_the_longest_text)
{
    struct keymap *keymap = layout("us");
    struct plan plan = { 0 };
    char *text = malloc(ACTION_TEXT_MAX);
    for (int i = 0; i < ACTION_TEXT_MAX; i++)
        text[i] = i % 2 ? 'a' : 'A';
    cr_assert(eq(int, text_plan(&plan, keymap, TEXT_KEYS, text, ACTION_TEXT_MAX, 0, NULL), 0));
    cr_assert(eq(sz, plan.n_characters, ACTION_TEXT_MAX));
    free(text);
    plan_deinit(&plan);
    keymap_unref(keymap);
}
