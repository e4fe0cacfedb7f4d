/* Digits, and how they are held together. The keypad's keys have their places whatever the layout is, and an
 * Alt code does not ask for NumLock. The other digits and letters are strokes of the layout. */
#include "input/entry.h"

#include <linux/input-event-codes.h>
#include <stdio.h>

static const uint16_t keypad[] = { KEY_KP0, KEY_KP1, KEY_KP2, KEY_KP3, KEY_KP4, KEY_KP5, KEY_KP6, KEY_KP7, KEY_KP8, KEY_KP9 };

/* Code page 1252 from 0x80 to 0x9f; 0: nothing is there. From 0xa0 on it is Latin-1. */
static const uint16_t high_1252[32] = {
    0x20ac, 0,      0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030, 0x0160,
    0x2039, 0x0152, 0,      0x017d, 0,      0,      0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
    0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0,      0x017e, 0x0178,
};

static int code_in_1252(uint32_t c)
{
    for (size_t i = 0; i < ARRAY_LEN(high_1252); i++)
        if (c == high_1252[i] && c)
            return (int)(0x80 + i);
    return (c >= 0x20 && c < 0x7f) || (c >= 0xa0 && c < 0x100) ? (int)c : -1;
}

/* The first failure sticks. */
struct entry {
    struct plan *plan;
    int r;
};

static void add(struct entry *self, uint16_t code, bool is_down)
{
    if (self->r == 0)
        self->r = plan_add(self->plan, (struct step){ .kind = STEP_KEY, .is_down = is_down, .code = code });
}

static void press(struct entry *self, uint16_t code)
{
    add(self, code, true);
    add(self, code, false);
}

/* One stroke of the layout, which may be on any level. */
static void type(struct entry *self, const struct keymap *keymap, uint32_t c)
{
    struct keymap_stroke stroke[KEYMAP_STROKES_MAX];
    if (self->r == 0 && keymap_find_character(keymap, c, stroke) != 1)
        self->r = 1;
    for (int modifier = KEYMAP_SHIFT; self->r == 0 && modifier <= KEYMAP_LEVEL3; modifier <<= 1)
        if (stroke[0].modifiers & modifier)
            add(self, keymap_modifier_code(keymap, modifier), true);
    if (self->r == 0)
        press(self, stroke[0].code);
    for (int modifier = KEYMAP_LEVEL3; self->r == 0 && modifier >= KEYMAP_SHIFT; modifier >>= 1)
        if (stroke[0].modifiers & modifier)
            add(self, keymap_modifier_code(keymap, modifier), false);
}

/* Programs look for the letter u with control and shift, so it must be a plain key. */
static void plan_unicode(struct entry *self, const struct keymap *keymap, uint32_t c)
{
    struct keymap_stroke u[KEYMAP_STROKES_MAX];
    char digits[16];
    if (keymap_find_character(keymap, 'u', u) != 1 || u[0].modifiers) {
        self->r = 1;
        return;
    }
    add(self, KEY_LEFTCTRL, true);
    add(self, KEY_LEFTSHIFT, true);
    press(self, u[0].code);
    add(self, KEY_LEFTSHIFT, false);
    add(self, KEY_LEFTCTRL, false);
    snprintf(digits, sizeof digits, "%x", c);
    for (const char *p = digits; *p; p++)
        type(self, keymap, (uint8_t)*p);
    press(self, KEY_SPACE);
}

static void plan_alt(struct entry *self, uint32_t c)
{
    int code = code_in_1252(c);
    if (code < 0) {
        self->r = 1;
        return;
    }
    add(self, KEY_LEFTALT, true);
    press(self, keypad[0]);
    for (int unit = 100; unit > 0; unit /= 10)
        press(self, keypad[code / unit % 10]);
    add(self, KEY_LEFTALT, false);
}

static void plan_alt_hex(struct entry *self, const struct keymap *keymap, uint32_t c)
{
    char digits[16];
    if (c > 0xffff) {
        self->r = 1;
        return;
    }
    add(self, KEY_LEFTALT, true);
    press(self, KEY_KPPLUS);
    snprintf(digits, sizeof digits, "%x", c);
    for (const char *p = digits; *p; p++) {
        if (*p <= '9')
            press(self, keypad[*p - '0']);
        else
            type(self, keymap, (uint8_t)*p);
    }
    add(self, KEY_LEFTALT, false);
}

int entry_plan(struct plan *plan, const struct keymap *keymap, enum text_route route, uint32_t character)
{
    struct entry entry = { .plan = plan };
    size_t n_steps = plan->n_steps;
    switch (route) {
    case TEXT_UNICODE: plan_unicode(&entry, keymap, character); break;
    case TEXT_ALT: plan_alt(&entry, character); break;
    case TEXT_ALT_HEX: plan_alt_hex(&entry, keymap, character); break;
    default: entry.r = 1;
    }
    if (entry.r != 0)
        plan->n_steps = n_steps;
    return entry.r;
}
