/* Names of keys as agents write them. Models were trained on xdotool, pyautogui, browsers' key
 * names and VNC tools, so one key has many names here; X11 keysym names need no row, xkbcommon knows
 * them. Linear search: about 250 short rows, a few microseconds per key. */
#include "input/key-name.h"

#include "input/text.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>
#include <xkbcommon/xkbcommon.h>

static const struct {
    const char *alias;
    uint32_t keysym;
} aliases[] = {
    /* modifiers */
    { "ctrl", XKB_KEY_Control_L },
    { "control", XKB_KEY_Control_L },
    { "ctrl_l", XKB_KEY_Control_L },
    { "ctrlleft", XKB_KEY_Control_L },
    { "controlleft", XKB_KEY_Control_L },
    { "lctrl", XKB_KEY_Control_L },
    { "ctrl_r", XKB_KEY_Control_R },
    { "ctrlright", XKB_KEY_Control_R },
    { "controlright", XKB_KEY_Control_R },
    { "rctrl", XKB_KEY_Control_R },
    { "shift", XKB_KEY_Shift_L },
    { "shiftleft", XKB_KEY_Shift_L },
    { "lshift", XKB_KEY_Shift_L },
    { "shiftright", XKB_KEY_Shift_R },
    { "rshift", XKB_KEY_Shift_R },
    { "alt", XKB_KEY_Alt_L },
    { "altleft", XKB_KEY_Alt_L },
    { "lalt", XKB_KEY_Alt_L },
    { "option", XKB_KEY_Alt_L },
    { "opt", XKB_KEY_Alt_L },
    { "optionleft", XKB_KEY_Alt_L },
    { "alt_r", XKB_KEY_ISO_Level3_Shift },
    { "altright", XKB_KEY_ISO_Level3_Shift },
    { "ralt", XKB_KEY_ISO_Level3_Shift },
    { "optionright", XKB_KEY_ISO_Level3_Shift },
    { "altgr", XKB_KEY_ISO_Level3_Shift },
    { "altgraph", XKB_KEY_ISO_Level3_Shift },
    { "alt_gr", XKB_KEY_ISO_Level3_Shift },
    { "super", XKB_KEY_Super_L },
    { "meta", XKB_KEY_Super_L },
    { "meta_l", XKB_KEY_Super_L },
    { "meta_r", XKB_KEY_Super_R },
    { "metaleft", XKB_KEY_Super_L },
    { "metaright", XKB_KEY_Super_R },
    { "cmd", XKB_KEY_Super_L },
    { "command", XKB_KEY_Super_L },
    { "cmdleft", XKB_KEY_Super_L },
    { "cmdright", XKB_KEY_Super_R },
    { "win", XKB_KEY_Super_L },
    { "windows", XKB_KEY_Super_L },
    { "winleft", XKB_KEY_Super_L },
    { "winright", XKB_KEY_Super_R },
    { "lwin", XKB_KEY_Super_L },
    { "rwin", XKB_KEY_Super_R },
    { "os", XKB_KEY_Super_L },
    { "osleft", XKB_KEY_Super_L },
    { "osright", XKB_KEY_Super_R },
    /* editing */
    { "enter", XKB_KEY_Return },
    { "return", XKB_KEY_Return },
    { "ret", XKB_KEY_Return },
    { "newline", XKB_KEY_Return },
    { "\n", XKB_KEY_Return },
    { "\r", XKB_KEY_Return },
    { "tab", XKB_KEY_Tab },
    { "\t", XKB_KEY_Tab },
    { "esc", XKB_KEY_Escape },
    { "backspace", XKB_KEY_BackSpace },
    { "back_space", XKB_KEY_BackSpace },
    { "bksp", XKB_KEY_BackSpace },
    { "bs", XKB_KEY_BackSpace },
    { "\b", XKB_KEY_BackSpace },
    { "del", XKB_KEY_Delete },
    { "ins", XKB_KEY_Insert },
    { "space", XKB_KEY_space },
    { "spacebar", XKB_KEY_space },
    { "space_bar", XKB_KEY_space },
    /* moving */
    { "arrowup", XKB_KEY_Up },
    { "arrow_up", XKB_KEY_Up },
    { "uparrow", XKB_KEY_Up },
    { "up_arrow", XKB_KEY_Up },
    { "arrowdown", XKB_KEY_Down },
    { "arrow_down", XKB_KEY_Down },
    { "downarrow", XKB_KEY_Down },
    { "down_arrow", XKB_KEY_Down },
    { "arrowleft", XKB_KEY_Left },
    { "arrow_left", XKB_KEY_Left },
    { "leftarrow", XKB_KEY_Left },
    { "left_arrow", XKB_KEY_Left },
    { "arrowright", XKB_KEY_Right },
    { "arrow_right", XKB_KEY_Right },
    { "rightarrow", XKB_KEY_Right },
    { "right_arrow", XKB_KEY_Right },
    { "pageup", XKB_KEY_Page_Up },
    { "pgup", XKB_KEY_Page_Up },
    { "page-up", XKB_KEY_Page_Up },
    { "prior", XKB_KEY_Page_Up },
    { "pagedown", XKB_KEY_Page_Down },
    { "pgdn", XKB_KEY_Page_Down },
    { "pgdown", XKB_KEY_Page_Down },
    { "page-down", XKB_KEY_Page_Down },
    { "next", XKB_KEY_Page_Down },
    /* locks and system */
    { "capslock", XKB_KEY_Caps_Lock },
    { "caps", XKB_KEY_Caps_Lock },
    { "numlock", XKB_KEY_Num_Lock },
    { "scrolllock", XKB_KEY_Scroll_Lock },
    { "printscreen", XKB_KEY_Print },
    { "print_screen", XKB_KEY_Print },
    { "printscrn", XKB_KEY_Print },
    { "prntscrn", XKB_KEY_Print },
    { "prtscr", XKB_KEY_Print },
    { "prtscn", XKB_KEY_Print },
    { "prtsc", XKB_KEY_Print },
    { "sysrq", XKB_KEY_Print },
    { "sys_req", XKB_KEY_Print },
    { "break", XKB_KEY_Pause },
    { "apps", XKB_KEY_Menu },
    { "app", XKB_KEY_Menu },
    { "contextmenu", XKB_KEY_Menu },
    { "context_menu", XKB_KEY_Menu },
    { "compose", XKB_KEY_Menu },
    /* punctuation by name */
    { "plus", XKB_KEY_plus },
    { "add", XKB_KEY_KP_Add },
    { "subtract", XKB_KEY_KP_Subtract },
    { "multiply", XKB_KEY_KP_Multiply },
    { "divide", XKB_KEY_KP_Divide },
    { "decimal", XKB_KEY_KP_Decimal },
    { "dash", XKB_KEY_minus },
    { "hyphen", XKB_KEY_minus },
    { "equals", XKB_KEY_equal },
    { "dot", XKB_KEY_period },
    { "backtick", XKB_KEY_grave },
    { "backquote", XKB_KEY_grave },
    { "quote", XKB_KEY_apostrophe },
    { "singlequote", XKB_KEY_apostrophe },
    { "doublequote", XKB_KEY_quotedbl },
    { "tilde", XKB_KEY_asciitilde },
    { "caret", XKB_KEY_asciicircum },
    { "hash", XKB_KEY_numbersign },
    { "pipe", XKB_KEY_bar },
    { "forwardslash", XKB_KEY_slash },
    { "leftbracket", XKB_KEY_bracketleft },
    { "rightbracket", XKB_KEY_bracketright },
    { "openbracket", XKB_KEY_bracketleft },
    { "closebracket", XKB_KEY_bracketright },
    { "exclamation", XKB_KEY_exclam },
    { "questionmark", XKB_KEY_question },
    /* keypad */
    { "num0", XKB_KEY_KP_0 },
    { "num1", XKB_KEY_KP_1 },
    { "num2", XKB_KEY_KP_2 },
    { "num3", XKB_KEY_KP_3 },
    { "num4", XKB_KEY_KP_4 },
    { "num5", XKB_KEY_KP_5 },
    { "num6", XKB_KEY_KP_6 },
    { "num7", XKB_KEY_KP_7 },
    { "num8", XKB_KEY_KP_8 },
    { "num9", XKB_KEY_KP_9 },
    { "numpad0", XKB_KEY_KP_0 },
    { "numpad1", XKB_KEY_KP_1 },
    { "numpad2", XKB_KEY_KP_2 },
    { "numpad3", XKB_KEY_KP_3 },
    { "numpad4", XKB_KEY_KP_4 },
    { "numpad5", XKB_KEY_KP_5 },
    { "numpad6", XKB_KEY_KP_6 },
    { "numpad7", XKB_KEY_KP_7 },
    { "numpad8", XKB_KEY_KP_8 },
    { "numpad9", XKB_KEY_KP_9 },
    { "numpadadd", XKB_KEY_KP_Add },
    { "numpadsubtract", XKB_KEY_KP_Subtract },
    { "numpadmultiply", XKB_KEY_KP_Multiply },
    { "numpaddivide", XKB_KEY_KP_Divide },
    { "numpaddecimal", XKB_KEY_KP_Decimal },
    { "numpadenter", XKB_KEY_KP_Enter },
    { "numpadequal", XKB_KEY_KP_Equal },
    { "kp_plus", XKB_KEY_KP_Add },
    { "kp_minus", XKB_KEY_KP_Subtract },
    { "kp_asterisk", XKB_KEY_KP_Multiply },
    { "kp_slash", XKB_KEY_KP_Divide },
    { "kp_period", XKB_KEY_KP_Decimal },
    { "kp_dot", XKB_KEY_KP_Decimal },
    { "kp_return", XKB_KEY_KP_Enter },
    /* media and browser */
    { "volumeup", XKB_KEY_XF86AudioRaiseVolume },
    { "volume_up", XKB_KEY_XF86AudioRaiseVolume },
    { "audiovolumeup", XKB_KEY_XF86AudioRaiseVolume },
    { "audioraisevolume", XKB_KEY_XF86AudioRaiseVolume },
    { "volumedown", XKB_KEY_XF86AudioLowerVolume },
    { "volume_down", XKB_KEY_XF86AudioLowerVolume },
    { "audiovolumedown", XKB_KEY_XF86AudioLowerVolume },
    { "audiolowervolume", XKB_KEY_XF86AudioLowerVolume },
    { "mute", XKB_KEY_XF86AudioMute },
    { "volumemute", XKB_KEY_XF86AudioMute },
    { "audiovolumemute", XKB_KEY_XF86AudioMute },
    { "audiomute", XKB_KEY_XF86AudioMute },
    { "playpause", XKB_KEY_XF86AudioPlay },
    { "play", XKB_KEY_XF86AudioPlay },
    { "mediaplaypause", XKB_KEY_XF86AudioPlay },
    { "nexttrack", XKB_KEY_XF86AudioNext },
    { "mediatracknext", XKB_KEY_XF86AudioNext },
    { "prevtrack", XKB_KEY_XF86AudioPrev },
    { "mediatrackprevious", XKB_KEY_XF86AudioPrev },
    { "mediastop", XKB_KEY_XF86AudioStop },
    { "back", XKB_KEY_XF86Back },
    { "browserback", XKB_KEY_XF86Back },
    { "forward", XKB_KEY_XF86Forward },
    { "browserforward", XKB_KEY_XF86Forward },
    { "refresh", XKB_KEY_XF86Reload },
    { "reload", XKB_KEY_XF86Reload },
    { "browserrefresh", XKB_KEY_XF86Reload },
    { "browserhome", XKB_KEY_XF86HomePage },
    { "homepage", XKB_KEY_XF86HomePage },
    { "browsersearch", XKB_KEY_XF86Search },
    { "browserfavorites", XKB_KEY_XF86Favorites },
    { "launchmail", XKB_KEY_XF86Mail },
    { "mail", XKB_KEY_XF86Mail },
    { "calculator", XKB_KEY_XF86Calculator },
    { "sleep", XKB_KEY_XF86Sleep },
    { "wake", XKB_KEY_XF86WakeUp },
    { "power", XKB_KEY_XF86PowerOff },
    /* editing keys of larger keyboards and input methods */
    { "convert", XKB_KEY_Henkan_Mode },
    { "nonconvert", XKB_KEY_Muhenkan },
    { "kanamode", XKB_KEY_Hiragana_Katakana },
    { "kana", XKB_KEY_Hiragana_Katakana },
    { "hanguel", XKB_KEY_Hangul },
    { "hangulmode", XKB_KEY_Hangul },
    { "hanjamode", XKB_KEY_Hangul_Hanja },
    { "zenkakuhankaku", XKB_KEY_Zenkaku_Hankaku },
};

bool key_name_alias(size_t index, const char **ret_alias, uint32_t *ret_keysym)
{
    if (index >= ARRAY_LEN(aliases))
        return false;
    *ret_alias = aliases[index].alias;
    *ret_keysym = aliases[index].keysym;
    return true;
}

/* One printable character of any script. */
static uint32_t parse_character(const char *name, size_t size)
{
    uint32_t character;
    int n = text_next(name, size, &character);
    if (n <= 0 || (size_t)n != size || character < 0x20 || character == 0x7f)
        return XKB_KEY_NoSymbol;
    return xkb_utf32_to_keysym(character);
}

uint32_t key_name_parse(const char *name, size_t size)
{
    if (size == 0 || size > KEY_NAME_MAX)
        return XKB_KEY_NoSymbol;
    uint32_t keysym = parse_character(name, size);
    if (keysym != XKB_KEY_NoSymbol)
        return keysym;
    char text[KEY_NAME_MAX + 1];
    memcpy(text, name, size);
    text[size] = 0;
    if (strlen(text) != size)
        return XKB_KEY_NoSymbol;
    for (size_t i = 0; i < ARRAY_LEN(aliases); i++) {
        if (strcasecmp(aliases[i].alias, text) == 0)
            return aliases[i].keysym;
    }
    keysym = xkb_keysym_from_name(text, XKB_KEYSYM_NO_FLAGS);
    if (keysym == XKB_KEY_NoSymbol)
        keysym = xkb_keysym_from_name(text, XKB_KEYSYM_CASE_INSENSITIVE);
    return keysym;
}

/* A letter in a chord means its key. */
static void lower_letters(struct chord *chord)
{
    for (int i = 0; i < chord->n_keys && chord->n_keys > 1; i++)
        chord->keysyms[i] = xkb_keysym_to_lower(chord->keysyms[i]);
}

static int add_key(struct chord *chord, const char *name, size_t size, struct error *err)
{
    if (size == 0)
        return error_set(err, ERROR_BAD_VALUE, "a key is missing beside '+'");
    if (chord->n_keys == CHORD_MAX)
        return error_set(err, ERROR_BAD_VALUE, "more than %d keys at once", CHORD_MAX);
    uint32_t keysym = key_name_parse(name, size);
    if (keysym == XKB_KEY_NoSymbol)
        return error_set(err, ERROR_UNKNOWN_KEY, "unknown key '%.*s'", (int)MIN(size, KEY_NAME_MAX),
                         name);
    chord->keysyms[chord->n_keys++] = keysym;
    return 0;
}

int chord_parse(struct chord *ret, const char *text, size_t size, struct error *err)
{
    struct chord chord = { 0 };
    if (size == 0)
        return error_set(err, ERROR_BAD_VALUE, "no key");
    size_t at = 0;
    for (;;) {
        /* A part is at least one byte long, so a '+' where a part begins is the plus key. */
        size_t end = at + 1;
        while (end < size && text[end] != '+')
            end++;
        int r = add_key(&chord, text + at, end - at, err);
        if (r < 0)
            return r;
        if (end >= size)
            break;
        at = end + 1;
        if (at >= size)
            return error_set(err, ERROR_BAD_VALUE, "a key is missing beside '+'");
    }
    lower_letters(&chord);
    *ret = chord;
    return 0;
}
