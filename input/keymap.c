/* xkbcommon compiles the layout; then each key is asked what it makes with each of the four sets of
 * modifiers, by pressing them in an xkb_state as the guest would. What comes out are two tables,
 * sorted for binary search. Where several keys make the same thing, fewer modifiers win, then the
 * main block over the 102nd key (its meaning differs between systems), then the lower code.
 *
 * It does not know the guest's locks: with CapsLock on in the guest, letters arrive swapped. */
#include "input/keymap.h"

#include "input/qnum.h"
#include "input/text.h"

#include <errno.h>
#include <linux/input-event-codes.h>
#include <string.h>
#include <xkbcommon/xkbcommon.h>

enum { XKB_OFFSET = 8 /* an XKB keycode is the evdev code + 8 */, ENTRIES_MAX = 1024 };

struct entry {
    uint32_t symbol; /* keysym or character */
    struct keymap_stroke stroke;
};

struct table {
    struct entry *entries; /* sorted by symbol */
    size_t n_entries;
};

struct keymap {
    int refs;
    struct table keysyms, characters;
    uint16_t level3_code; /* 0: the layout has no third level */
};

/* Keys that make no character, wherever the layout puts letters. */
static const struct {
    uint32_t keysym;
    uint16_t code;
} fixed[] = {
    { XKB_KEY_Return, KEY_ENTER },
    { XKB_KEY_Tab, KEY_TAB },
    { XKB_KEY_Escape, KEY_ESC },
    { XKB_KEY_BackSpace, KEY_BACKSPACE },
    { XKB_KEY_Delete, KEY_DELETE },
    { XKB_KEY_Insert, KEY_INSERT },
    { XKB_KEY_Home, KEY_HOME },
    { XKB_KEY_End, KEY_END },
    { XKB_KEY_Page_Up, KEY_PAGEUP },
    { XKB_KEY_Page_Down, KEY_PAGEDOWN },
    { XKB_KEY_Up, KEY_UP },
    { XKB_KEY_Down, KEY_DOWN },
    { XKB_KEY_Left, KEY_LEFT },
    { XKB_KEY_Right, KEY_RIGHT },
    { XKB_KEY_Shift_L, KEY_LEFTSHIFT },
    { XKB_KEY_Shift_R, KEY_RIGHTSHIFT },
    { XKB_KEY_Control_L, KEY_LEFTCTRL },
    { XKB_KEY_Control_R, KEY_RIGHTCTRL },
    { XKB_KEY_Alt_L, KEY_LEFTALT },
    { XKB_KEY_Alt_R, KEY_RIGHTALT },
    { XKB_KEY_ISO_Level3_Shift, KEY_RIGHTALT },
    { XKB_KEY_Mode_switch, KEY_RIGHTALT },
    { XKB_KEY_Super_L, KEY_LEFTMETA },
    { XKB_KEY_Super_R, KEY_RIGHTMETA },
    { XKB_KEY_Caps_Lock, KEY_CAPSLOCK },
    { XKB_KEY_Num_Lock, KEY_NUMLOCK },
    { XKB_KEY_Scroll_Lock, KEY_SCROLLLOCK },
    { XKB_KEY_Print, KEY_SYSRQ },
    { XKB_KEY_Sys_Req, KEY_SYSRQ },
    { XKB_KEY_Pause, KEY_PAUSE },
    { XKB_KEY_Break, KEY_PAUSE },
    { XKB_KEY_Menu, KEY_COMPOSE },
    { XKB_KEY_F1, KEY_F1 },
    { XKB_KEY_F2, KEY_F2 },
    { XKB_KEY_F3, KEY_F3 },
    { XKB_KEY_F4, KEY_F4 },
    { XKB_KEY_F5, KEY_F5 },
    { XKB_KEY_F6, KEY_F6 },
    { XKB_KEY_F7, KEY_F7 },
    { XKB_KEY_F8, KEY_F8 },
    { XKB_KEY_F9, KEY_F9 },
    { XKB_KEY_F10, KEY_F10 },
    { XKB_KEY_F11, KEY_F11 },
    { XKB_KEY_F12, KEY_F12 },
    { XKB_KEY_F13, KEY_F13 },
    { XKB_KEY_F14, KEY_F14 },
    { XKB_KEY_F15, KEY_F15 },
    { XKB_KEY_F16, KEY_F16 },
    { XKB_KEY_F17, KEY_F17 },
    { XKB_KEY_F18, KEY_F18 },
    { XKB_KEY_F19, KEY_F19 },
    { XKB_KEY_F20, KEY_F20 },
    { XKB_KEY_F21, KEY_F21 },
    { XKB_KEY_F22, KEY_F22 },
    { XKB_KEY_F23, KEY_F23 },
    { XKB_KEY_F24, KEY_F24 },
    { XKB_KEY_KP_0, KEY_KP0 },
    { XKB_KEY_KP_1, KEY_KP1 },
    { XKB_KEY_KP_2, KEY_KP2 },
    { XKB_KEY_KP_3, KEY_KP3 },
    { XKB_KEY_KP_4, KEY_KP4 },
    { XKB_KEY_KP_5, KEY_KP5 },
    { XKB_KEY_KP_6, KEY_KP6 },
    { XKB_KEY_KP_7, KEY_KP7 },
    { XKB_KEY_KP_8, KEY_KP8 },
    { XKB_KEY_KP_9, KEY_KP9 },
    { XKB_KEY_KP_Insert, KEY_KP0 },
    { XKB_KEY_KP_End, KEY_KP1 },
    { XKB_KEY_KP_Down, KEY_KP2 },
    { XKB_KEY_KP_Page_Down, KEY_KP3 },
    { XKB_KEY_KP_Left, KEY_KP4 },
    { XKB_KEY_KP_Begin, KEY_KP5 },
    { XKB_KEY_KP_Right, KEY_KP6 },
    { XKB_KEY_KP_Home, KEY_KP7 },
    { XKB_KEY_KP_Up, KEY_KP8 },
    { XKB_KEY_KP_Page_Up, KEY_KP9 },
    { XKB_KEY_KP_Delete, KEY_KPDOT },
    { XKB_KEY_KP_Decimal, KEY_KPDOT },
    { XKB_KEY_KP_Separator, KEY_KPCOMMA },
    { XKB_KEY_KP_Add, KEY_KPPLUS },
    { XKB_KEY_KP_Subtract, KEY_KPMINUS },
    { XKB_KEY_KP_Multiply, KEY_KPASTERISK },
    { XKB_KEY_KP_Divide, KEY_KPSLASH },
    { XKB_KEY_KP_Enter, KEY_KPENTER },
    { XKB_KEY_KP_Equal, KEY_KPEQUAL },
    { XKB_KEY_XF86AudioMute, KEY_MUTE },
    { XKB_KEY_XF86AudioLowerVolume, KEY_VOLUMEDOWN },
    { XKB_KEY_XF86AudioRaiseVolume, KEY_VOLUMEUP },
    { XKB_KEY_XF86AudioPlay, KEY_PLAYPAUSE },
    { XKB_KEY_XF86AudioPause, KEY_PLAYPAUSE },
    { XKB_KEY_XF86AudioStop, KEY_STOPCD },
    { XKB_KEY_XF86AudioNext, KEY_NEXTSONG },
    { XKB_KEY_XF86AudioPrev, KEY_PREVIOUSSONG },
    { XKB_KEY_XF86AudioMedia, KEY_MEDIA },
    { XKB_KEY_XF86Back, KEY_BACK },
    { XKB_KEY_XF86Forward, KEY_FORWARD },
    { XKB_KEY_XF86Reload, KEY_REFRESH },
    { XKB_KEY_XF86Refresh, KEY_REFRESH },
    { XKB_KEY_XF86HomePage, KEY_HOMEPAGE },
    { XKB_KEY_XF86Search, KEY_SEARCH },
    { XKB_KEY_XF86Favorites, KEY_BOOKMARKS },
    { XKB_KEY_XF86Mail, KEY_MAIL },
    { XKB_KEY_XF86Calculator, KEY_CALC },
    { XKB_KEY_XF86MyComputer, KEY_COMPUTER },
    { XKB_KEY_XF86Explorer, KEY_COMPUTER },
    { XKB_KEY_XF86Sleep, KEY_SLEEP },
    { XKB_KEY_XF86WakeUp, KEY_WAKEUP },
    { XKB_KEY_XF86PowerOff, KEY_POWER },
    { XKB_KEY_XF86MenuKB, KEY_MENU },
    { XKB_KEY_XF86Copy, KEY_COPY },
    { XKB_KEY_XF86Open, KEY_OPEN },
    { XKB_KEY_XF86Paste, KEY_PASTE },
    { XKB_KEY_XF86Cut, KEY_CUT },
    { XKB_KEY_Cancel, KEY_STOP },
    { XKB_KEY_Redo, KEY_AGAIN },
    { XKB_KEY_Undo, KEY_UNDO },
    { XKB_KEY_Find, KEY_FIND },
    { XKB_KEY_Help, KEY_HELP },
    { XKB_KEY_Henkan_Mode, KEY_HENKAN },
    { XKB_KEY_Muhenkan, KEY_MUHENKAN },
    { XKB_KEY_Katakana, KEY_KATAKANA },
    { XKB_KEY_Hiragana, KEY_HIRAGANA },
    { XKB_KEY_Hiragana_Katakana, KEY_KATAKANAHIRAGANA },
    { XKB_KEY_Zenkaku_Hankaku, KEY_ZENKAKUHANKAKU },
    { XKB_KEY_Hangul, KEY_HANGEUL },
    { XKB_KEY_Hangul_Hanja, KEY_HANJA },
};

/* What a dead key makes: pairs of base letter and result; alone it is typed with a space, or by
 * pressing it twice where X's compose tables make something else of dead key and space. Only what
 * Unicode composes of the two is here, because toolkits agree on that: their own tables differ
 * from X's in the rest (a dead_stroke and o, a dead_belowcomma and space). */
static const struct {
    uint32_t dead;
    uint32_t alone;
    bool is_twice;
    const char *pairs;
} dead_keys[] = {
    { XKB_KEY_dead_grave, '`', false, "aàeèiìoòuùnǹwẁyỳAÀEÈIÌOÒUÙNǸWẀYỲеѐиѝЕЀИЍ" },
    { XKB_KEY_dead_acute, 0xb4, true,
      "aáeéiíoóuúyýcćnńsśzźlĺrŕgǵkḱmḿpṕwẃAÁEÉIÍOÓUÚYÝCĆNŃSŚZŹLĹRŔGǴKḰMḾPṔWẂ"
      "αάεέηήιίοόυύωώΑΆΕΈΗΉΙΊΟΌΥΎΩΏгѓкќГЃКЌ" },
    { XKB_KEY_dead_circumflex, '^', false,
      "aâeêiîoôuûcĉgĝhĥjĵsŝwŵyŷzẑAÂEÊIÎOÔUÛCĈGĜHĤJĴSŜWŴYŶZẐ" },
    { XKB_KEY_dead_tilde, '~', false, "aãnñoõiĩuũeẽvṽyỹAÃNÑOÕIĨUŨEẼVṼYỸ" },
    { XKB_KEY_dead_diaeresis, 0xa8, true,
      "aäeëiïoöuüyÿhḧwẅxẍtẗAÄEËIÏOÖUÜYŸHḦWẄXẌιϊυϋΙΪΥΫеёіїЕЁІЇ" },
    { XKB_KEY_dead_cedilla, 0xb8, true, "cçsşgģkķlļnņrŗtţeȩdḑhḩCÇSŞGĢKĶLĻNŅRŖTŢEȨDḐHḨ" },
    { XKB_KEY_dead_caron, 0x2c7, true,
      "cčdďeěnňrřsštťzžlľaǎiǐoǒuǔgǧkǩjǰhȟCČDĎEĚNŇRŘSŠTŤZŽLĽAǍIǏOǑUǓGǦKǨHȞ" },
    { XKB_KEY_dead_abovering, 0xb0, true, "aåuůwẘyẙAÅUŮ" },
    { XKB_KEY_dead_macron, 0xaf, true, "aāeēiīoōuūyȳgḡAĀEĒIĪOŌUŪYȲGḠиӣуӯИӢУӮ" },
    { XKB_KEY_dead_breve, 0x2d8, true, "aăeĕgğiĭoŏuŭAĂEĔGĞIĬOŎUŬуўийжӂУЎИЙЖӁ" },
    { XKB_KEY_dead_abovedot, 0x2d9, true,
      "cċeėgġzżaȧoȯbḃdḋfḟhḣmṁnṅpṗrṙsṡtṫwẇxẋyẏCĊEĖGĠIİZŻAȦOȮBḂDḊFḞHḢMṀNṄPṖRṘSṠTṪWẆXẊYẎ" },
    { XKB_KEY_dead_doubleacute, 0x2dd, true, "oőuűOŐUŰуӳУӲ" },
    { XKB_KEY_dead_ogonek, 0x2db, true, "aąeęiįuųoǫAĄEĘIĮUŲOǪ" },
    { XKB_KEY_dead_belowdot, 0, false,
      "aạeẹiịoọuụyỵbḅdḍhḥkḳlḷmṃnṇrṛsṣtṭvṿwẉzẓAẠEẸIỊOỌUỤYỴBḄDḌHḤKḲLḶMṂNṆRṚSṢTṬVṾWẈZẒ" },
};

static size_t table_position(const struct table *table, uint32_t symbol)
{
    size_t low = 0, high = table->n_entries;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (table->entries[middle].symbol < symbol)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static const struct entry *table_find(const struct table *table, uint32_t symbol)
{
    size_t at = table_position(table, symbol);
    return at < table->n_entries && table->entries[at].symbol == symbol ? &table->entries[at]
                                                                        : NULL;
}

/* The first way to make a symbol stays. */
static void table_add(struct table *table, uint32_t symbol, struct keymap_stroke stroke)
{
    size_t at = table_position(table, symbol);
    if (symbol == 0 || table->n_entries == ENTRIES_MAX ||
        (at < table->n_entries && table->entries[at].symbol == symbol))
        return;
    memmove(&table->entries[at + 1], &table->entries[at],
            (table->n_entries - at) * sizeof table->entries[0]);
    table->entries[at] = (struct entry){ symbol, stroke };
    table->n_entries++;
}

static bool is_keypad(uint16_t code)
{
    return (code >= KEY_KP7 && code <= KEY_KPDOT) || code == KEY_KPASTERISK ||
           code == KEY_KPENTER || code == KEY_KPSLASH || code == KEY_KPEQUAL ||
           code == KEY_KPCOMMA || code == KEY_KPJPCOMMA;
}

static void add_key(struct keymap *self, struct xkb_state *state, uint16_t code, uint8_t modifiers)
{
    if (qnum_from_evdev(code) == 0 || is_keypad(code))
        return;
    struct keymap_stroke stroke = { code, modifiers };
    xkb_keysym_t keysym = xkb_state_key_get_one_sym(state, code + XKB_OFFSET);
    table_add(&self->keysyms, keysym, stroke);
    uint32_t character = xkb_keysym_to_utf32(keysym);
    /* X's compose table makes two letters of each Arabic ligature and of five Khmer keys. */
    bool is_pair = (character >= 0xfef5 && character <= 0xfefc) || (character >= 0x17fb && character <= 0x17ff);
    if (character >= 0x20 && character != 0x7f && !is_pair)
        table_add(&self->characters, character, stroke);
}

/* Keys in the order of preference: the 102nd after all others. */
static void add_level(struct keymap *self, struct xkb_keymap *xkb, uint8_t modifiers, bool is_102nd)
{
    struct xkb_state *state = xkb_state_new(xkb);
    if (!state)
        return;
    if (modifiers & KEYMAP_LEVEL3)
        xkb_state_update_key(state, self->level3_code + XKB_OFFSET, XKB_KEY_DOWN);
    if (modifiers & KEYMAP_SHIFT)
        xkb_state_update_key(state, KEY_LEFTSHIFT + XKB_OFFSET, XKB_KEY_DOWN);
    for (uint16_t code = KEY_ESC; code <= KEY_MICMUTE; code++) {
        if ((code == KEY_102ND) == is_102nd)
            add_key(self, state, code, modifiers);
    }
    xkb_state_unref(state);
}

static uint16_t find_level3(struct xkb_keymap *xkb)
{
    static const uint16_t candidates[] = { KEY_RIGHTALT, KEY_CAPSLOCK, KEY_RIGHTCTRL };
    struct xkb_state *state = xkb_state_new(xkb);
    uint16_t code = 0;
    for (size_t i = 0; state && i < ARRAY_LEN(candidates) && !code; i++) {
        if (xkb_state_key_get_one_sym(state, candidates[i] + XKB_OFFSET) ==
            XKB_KEY_ISO_Level3_Shift)
            code = candidates[i];
    }
    xkb_state_unref(state);
    return code;
}

static int fill(struct keymap *self, struct xkb_keymap *xkb)
{
    static const uint8_t levels[] = { 0, KEYMAP_SHIFT, KEYMAP_LEVEL3,
                                      KEYMAP_SHIFT | KEYMAP_LEVEL3 };
    self->keysyms.entries = calloc(ENTRIES_MAX, sizeof(struct entry));
    self->characters.entries = calloc(ENTRIES_MAX, sizeof(struct entry));
    if (!self->keysyms.entries || !self->characters.entries)
        return -ENOMEM;
    self->level3_code = find_level3(xkb);
    size_t n_levels = self->level3_code ? ARRAY_LEN(levels) : 2;
    for (size_t i = 0; i < 2 * n_levels; i++)
        add_level(self, xkb, levels[i % n_levels], i >= n_levels);
    return 0;
}

static void ignore_log(struct xkb_context *context maybe_unused,
                       enum xkb_log_level level maybe_unused, const char *format maybe_unused,
                       va_list args maybe_unused)
{
}

int keymap_new(struct keymap **ret, const char *layout, const char *variant, struct error *err)
{
    struct xkb_rule_names names = {
        .rules = "evdev", .model = "pc105", .layout = layout, .variant = variant, .options = ""
    };
    struct xkb_context *context = xkb_context_new(XKB_CONTEXT_NO_ENVIRONMENT_NAMES);
    if (!context)
        return error_errno(err, ENOMEM, "reading the keyboard layout");
    xkb_context_set_log_fn(context, ignore_log);
    struct xkb_keymap *xkb = NULL;
    /* A comma would name several layouts. */
    if (layout[0] && !strchr(layout, ',') && strlen(layout) <= 64)
        xkb = xkb_keymap_new_from_names(context, &names, XKB_KEYMAP_COMPILE_NO_FLAGS);
    struct keymap *self = xkb ? calloc(1, sizeof *self) : NULL;
    int r = 0;
    if (!xkb) {
        r = error_set(err, ERROR_BAD_VALUE, "no keyboard layout '%.64s'%s%.64s", layout,
                      variant && variant[0] ? " with variant " : "", variant ? variant : "");
    } else if (!self || fill(self, xkb) < 0) {
        r = error_errno(err, ENOMEM, "reading the keyboard layout");
    }
    xkb_keymap_unref(xkb);
    xkb_context_unref(context);
    if (self)
        self->refs = 1;
    if (r < 0)
        keymap_unref(self);
    else
        *ret = self;
    return r;
}

struct keymap *keymap_ref(struct keymap *self)
{
    if (self)
        self->refs++;
    return self;
}

struct keymap *keymap_unref(struct keymap *self)
{
    if (!self || --self->refs > 0)
        return NULL;
    free(self->keysyms.entries);
    free(self->characters.entries);
    free(self);
    return NULL;
}

/* The letter under an accent; 0 when the dead key does not make that character. */
static uint32_t find_base(const char *pairs, uint32_t character)
{
    size_t size = strlen(pairs);
    for (size_t at = 0; at < size;) {
        uint32_t base, result;
        at += (size_t)text_next(pairs + at, size - at, &base);
        at += (size_t)text_next(pairs + at, size - at, &result);
        if (result == character)
            return base;
    }
    return 0;
}

static int find_dead(const struct keymap *self, uint32_t character, struct keymap_stroke *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(dead_keys); i++) {
        const struct entry *dead = table_find(&self->keysyms, dead_keys[i].dead);
        if (!dead)
            continue;
        bool is_alone = character == dead_keys[i].alone;
        uint32_t under = is_alone ? ' ' : find_base(dead_keys[i].pairs, character);
        /* Compose tables go by keysym: a U3A9 is no Greek_OMEGA. */
        const struct entry *base = is_alone && dead_keys[i].is_twice
                                       ? dead
                                       : table_find(&self->keysyms, xkb_utf32_to_keysym(under));
        if (under == 0 || !base)
            continue;
        ret[0] = dead->stroke;
        ret[1] = base->stroke;
        return 2;
    }
    return 0;
}

int keymap_find_character(const struct keymap *self, uint32_t character,
                          struct keymap_stroke ret[KEYMAP_STROKES_MAX])
{
    static const struct {
        uint32_t character;
        uint16_t code;
    } controls[] = { { '\n', KEY_ENTER }, { '\t', KEY_TAB }, { '\b', KEY_BACKSPACE } };
    for (size_t i = 0; i < ARRAY_LEN(controls); i++)
        if (character == controls[i].character) {
            ret[0] = (struct keymap_stroke){ controls[i].code, 0 };
            return 1;
        }
    const struct entry *entry = table_find(&self->characters, character);
    if (!entry)
        return find_dead(self, character, ret);
    ret[0] = entry->stroke;
    return 1;
}

bool keymap_find_keysym(const struct keymap *self, uint32_t keysym, struct keymap_stroke *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(fixed); i++) {
        if (fixed[i].keysym == keysym) {
            *ret = (struct keymap_stroke){ fixed[i].code, 0 };
            return qnum_from_evdev(fixed[i].code) != 0;
        }
    }
    const struct entry *entry = table_find(&self->keysyms, keysym);
    if (!entry)
        entry = table_find(&self->characters, xkb_keysym_to_utf32(keysym));
    if (!entry)
        return false;
    *ret = entry->stroke;
    return true;
}

uint16_t keymap_modifier_code(const struct keymap *self, int modifier)
{
    return modifier == KEYMAP_LEVEL3 ? self->level3_code : KEY_LEFTSHIFT;
}
