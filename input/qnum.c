/* A qnum is a set 1 scancode; one with the prefix e0 has bit 7 set. The evdev codes of the original
 * 84-key block are those scancodes themselves (linux/input-event-codes.h kept them), so only the
 * rest needs a table. It was read off QEMU 7.2: every number pressed, the evdev code noted that a
 * guest with a virtio keyboard received. That QEMU has no number for F13 to F24, Katakana,
 * Zenkaku/Hankaku and the browser's search key. */
#include "input/qnum.h"

#include <linux/input-event-codes.h>

#define E0 0x80

static const uint8_t table[] = {
    [KEY_KPENTER] = E0 | 0x1c,
    [KEY_RIGHTCTRL] = E0 | 0x1d,
    [KEY_KPSLASH] = E0 | 0x35,
    [KEY_SYSRQ] = 0x54,
    [KEY_RIGHTALT] = E0 | 0x38,
    [KEY_LINEFEED] = 0x5b,
    [KEY_HOME] = E0 | 0x47,
    [KEY_UP] = E0 | 0x48,
    [KEY_PAGEUP] = E0 | 0x49,
    [KEY_LEFT] = E0 | 0x4b,
    [KEY_RIGHT] = E0 | 0x4d,
    [KEY_END] = E0 | 0x4f,
    [KEY_DOWN] = E0 | 0x50,
    [KEY_PAGEDOWN] = E0 | 0x51,
    [KEY_INSERT] = E0 | 0x52,
    [KEY_DELETE] = E0 | 0x53,
    [KEY_MUTE] = E0 | 0x20,
    [KEY_VOLUMEDOWN] = E0 | 0x2e,
    [KEY_VOLUMEUP] = E0 | 0x30,
    [KEY_POWER] = E0 | 0x5e,
    [KEY_KPEQUAL] = 0x59,
    [KEY_PAUSE] = E0 | 0x46,
    [KEY_KPCOMMA] = 0x7e,
    [KEY_HANGEUL] = 0x72,
    [KEY_HANJA] = 0x71,
    [KEY_YEN] = 0x7d,
    [KEY_LEFTMETA] = E0 | 0x5b,
    [KEY_RIGHTMETA] = E0 | 0x5c,
    [KEY_COMPOSE] = E0 | 0x5d,
    [KEY_RO] = 0x73,
    [KEY_HIRAGANA] = 0x77,
    [KEY_HENKAN] = 0x79,
    [KEY_KATAKANAHIRAGANA] = 0x70,
    [KEY_MUHENKAN] = 0x7b,
    [KEY_STOP] = E0 | 0x68,
    [KEY_AGAIN] = E0 | 0x05,
    [KEY_PROPS] = E0 | 0x06,
    [KEY_UNDO] = E0 | 0x07,
    [KEY_FRONT] = E0 | 0x0c,
    [KEY_COPY] = E0 | 0x78,
    [KEY_OPEN] = 0x64,
    [KEY_PASTE] = 0x65,
    [KEY_FIND] = E0 | 0x41,
    [KEY_CUT] = E0 | 0x3c,
    [KEY_HELP] = E0 | 0x75,
    [KEY_MENU] = E0 | 0x1e,
    [KEY_CALC] = E0 | 0x21,
    [KEY_SLEEP] = E0 | 0x5f,
    [KEY_WAKEUP] = E0 | 0x63,
    [KEY_MAIL] = E0 | 0x6c,
    [KEY_BOOKMARKS] = E0 | 0x66,
    [KEY_COMPUTER] = E0 | 0x6b,
    [KEY_BACK] = E0 | 0x6a,
    [KEY_FORWARD] = E0 | 0x69,
    [KEY_NEXTSONG] = E0 | 0x19,
    [KEY_PLAYPAUSE] = E0 | 0x22,
    [KEY_PREVIOUSSONG] = E0 | 0x10,
    [KEY_STOPCD] = E0 | 0x24,
    [KEY_HOMEPAGE] = E0 | 0x32,
    [KEY_REFRESH] = E0 | 0x67,
    [KEY_MEDIA] = E0 | 0x6d,
};

uint16_t qnum_from_evdev(uint16_t code)
{
    if ((code >= KEY_ESC && code <= KEY_KPDOT) || (code >= KEY_102ND && code <= KEY_F12))
        return code;
    return code < ARRAY_LEN(table) ? table[code] : 0;
}

/* Tried on QEMU 7.2: every number pressed, the usage noted that a guest received. */
bool qnum_usb_has(uint16_t code)
{
    static const uint16_t others[] = {
        KEY_KPENTER, KEY_RIGHTCTRL, KEY_KPSLASH, KEY_SYSRQ, KEY_RIGHTALT, KEY_HOME, KEY_UP, KEY_PAGEUP, KEY_LEFT,
        KEY_RIGHT, KEY_END, KEY_DOWN, KEY_PAGEDOWN, KEY_INSERT, KEY_DELETE, KEY_MUTE, KEY_VOLUMEDOWN, KEY_VOLUMEUP,
        KEY_POWER, KEY_PAUSE, KEY_YEN, KEY_LEFTMETA, KEY_RIGHTMETA, KEY_COMPOSE, KEY_RO, KEY_HENKAN,
        KEY_KATAKANAHIRAGANA, KEY_MUHENKAN,
    };
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        if (others[i] == code)
            return true;
    return (code >= KEY_ESC && code <= KEY_KPDOT) || (code >= KEY_102ND && code <= KEY_F12);
}

bool qnum_has(uint16_t code)
{
    return qnum_from_evdev(code) > 0;
}

int qnum_scancodes(uint16_t code)
{
    if (code == KEY_SYSRQ)
        return 4;
    return code == KEY_PAUSE ? 3 : qnum_from_evdev(code) & E0 ? 2 : 1;
}

uint16_t qnum_to_evdev(uint32_t qnum)
{
    for (uint16_t code = KEY_ESC; qnum > 0 && code < KEY_MICMUTE; code++)
        if (qnum_from_evdev(code) == qnum)
            return code;
    return 0;
}
