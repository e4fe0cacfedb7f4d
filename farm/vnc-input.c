/* Keys of RFB to keys of the guest.
 *
 * A viewer that knows QEMU's extended key events names the physical key, which is what the guest gets,
 * whatever the two layouts are. Others name the symbol that they want: the guest's layout is asked for
 * the key that makes it, and Shift and AltGr are set to what that takes around the press, as the
 * viewer's own may be held for another layout's sake. A symbol that the layout lacks is dropped. */
#define LOG_MODULE "vnc"
#include "base/log.h"
#include "farm/vnc-impl.h"
#include "input/qnum.h"

enum { MASK_BITS = 8 };

static void feed(struct vnc_seat *self, struct live_event event)
{
    seat_feed(&self->seat, &event);
    if (event.kind == LIVE_KEY)
        self->is_down[event.code] = event.is_down;
}

static void feed_key(struct vnc_seat *self, uint16_t code, bool is_down)
{
    feed(self, (struct live_event){ .kind = LIVE_KEY, .code = code, .is_down = is_down });
}

/* --- Keys -------------------------------------------------------------------------------------- */

static bool is_modifier_code(uint16_t code)
{
    return code == KEY_LEFTSHIFT || code == KEY_RIGHTSHIFT || code == KEY_RIGHTALT;
}

/* Presses a key with exactly these of Shift and AltGr, and puts them back. */
static void press_with(struct vnc_seat *self, uint16_t code, uint8_t modifiers)
{
    static const uint16_t codes[] = { KEY_LEFTSHIFT, KEY_RIGHTSHIFT, KEY_RIGHTALT };
    static const uint8_t kinds[] = { KEYMAP_SHIFT, KEYMAP_SHIFT, KEYMAP_LEVEL3 };
    bool was_down[ARRAY_LEN(codes)];
    uint8_t held = 0;
    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        was_down[i] = self->is_down[codes[i]];
        held |= was_down[i] ? kinds[i] : 0;
    }
    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        bool is_wanted = modifiers & kinds[i];
        if (was_down[i] && !is_wanted)
            feed_key(self, codes[i], false);
        else if (is_wanted && !(held & kinds[i]) && codes[i] != KEY_RIGHTSHIFT)
            feed_key(self, codes[i], true);
    }
    feed_key(self, code, true);
    for (size_t i = 0; i < ARRAY_LEN(codes); i++)
        if (self->is_down[codes[i]] != was_down[i])
            feed_key(self, codes[i], was_down[i]);
}

static uint16_t forget_pressed(struct vnc_seat *self, uint32_t keysym)
{
    for (size_t i = 0; i < ARRAY_LEN(self->pressed); i++) {
        if (self->pressed[i].keysym != keysym)
            continue;
        self->pressed[i].keysym = 0;
        return self->pressed[i].code;
    }
    return 0;
}

static void note_pressed(struct vnc_seat *self, uint32_t keysym, uint16_t code)
{
    size_t i = 0;
    while (i + 1 < ARRAY_LEN(self->pressed) && self->pressed[i].keysym && self->pressed[i].keysym != keysym)
        i++;
    self->pressed[i].keysym = keysym;
    self->pressed[i].code = code;
}

static void feed_keysym(struct vnc_seat *self, uint32_t keysym, bool is_down)
{
    struct keymap_stroke stroke;
    uint16_t code = is_down ? 0 : forget_pressed(self, keysym);
    if (!is_down && code) {
        feed_key(self, code, false);
        return;
    }
    if (!keymap_find_keysym(self->vnc->sandbox->keymap, keysym, &stroke)) {
        log_debug("%s: no key for keysym 0x%x", self->vnc->sandbox->id, (unsigned)keysym);
        return;
    }
    if (!is_down) {
        feed_key(self, stroke.code, false);
        return;
    }
    note_pressed(self, keysym, stroke.code);
    if (is_modifier_code(stroke.code))
        feed_key(self, stroke.code, true);
    else
        press_with(self, stroke.code, stroke.modifiers);
}

void vnc_seat_key(struct vnc_seat *self, unsigned qnum, uint32_t keysym, bool is_down)
{
    uint16_t code = qnum_to_evdev(qnum);
    if (code)
        feed_key(self, code, is_down);
    else if (keysym)
        feed_keysym(self, keysym, is_down);
}

/* --- Pointer ----------------------------------------------------------------------------------- */

static void feed_bit(struct vnc_seat *self, int bit, bool is_down)
{
    static const struct {
        enum live_kind kind;
        uint16_t code;
        int notches;
    } rows[MASK_BITS] = {
        { LIVE_BUTTON, BUTTON_LEFT, 0 },      { LIVE_BUTTON, BUTTON_MIDDLE, 0 },
        { LIVE_BUTTON, BUTTON_RIGHT, 0 },     { LIVE_WHEEL, WHEEL_VERTICAL, -1 },
        { LIVE_WHEEL, WHEEL_VERTICAL, 1 },    { LIVE_WHEEL, WHEEL_HORIZONTAL, -1 },
        { LIVE_WHEEL, WHEEL_HORIZONTAL, 1 },  { LIVE_BUTTON, BUTTON_BACK, 0 },
    };
    /* A notch is a press and a release; the press counts. */
    if (rows[bit].kind == LIVE_BUTTON || is_down)
        feed(self, (struct live_event){ .kind = rows[bit].kind, .code = rows[bit].code, .is_down = is_down,
                                        .notches = rows[bit].notches });
}

void vnc_seat_pointer(struct vnc_seat *self, unsigned mask, int x, int y)
{
    unsigned changed = mask ^ self->mask;
    self->mask = mask;
    feed(self, (struct live_event){ .kind = LIVE_MOVE, .fx = x, .fy = y });
    for (int bit = 0; bit < MASK_BITS; bit++)
        if (changed >> bit & 1)
            feed_bit(self, bit, mask >> bit & 1);
}

void vnc_seat_forget(struct vnc_seat *self)
{
    for (size_t i = 0; i < HELD_KEYS; i++)
        self->is_down[i] = false;
    for (size_t i = 0; i < ARRAY_LEN(self->pressed); i++)
        self->pressed[i].keysym = 0;
    self->mask = 0;
}

bool vnc_seat_holds(const struct vnc_seat *self)
{
    for (size_t i = 0; i < HELD_KEYS; i++)
        if (self->is_down[i])
            return true;
    return self->mask != 0;
}
