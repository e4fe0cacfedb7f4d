/* A guest's keyboard layout: which key, with which modifiers, makes a character or keysym.
 *
 * Built once per layout from xkbcommon's data (rules evdev, model pc105) into two sorted tables of
 * about 200 rows. Immutable and counted, so sandboxes share it. Every layout of xkeyboard-config is
 * tested against xkbcommon's own state and X's compose table. Keys that make no character (Return, F5, Control_L, media keys, keypad) have the
 * evdev code of their position whatever the layout is; the keypad's meaning depends on the guest's
 * NumLock, which nobody outside knows. A character on a dead key is dead key, then the base letter,
 * a space, or the dead key again. What stands on a fifth level, in a second group, or behind two dead
 * keys is not found. */
#pragma once

#include "base/error.h"

enum { KEYMAP_SHIFT = 1, KEYMAP_LEVEL3 = 2 }; /* modifiers of a stroke; level 3 is AltGr */

struct keymap_stroke {
    uint16_t code; /* evdev code */
    uint8_t modifiers;
};

enum { KEYMAP_STROKES_MAX = 2 };

struct keymap;

/* layout and variant as in setxkbmap (variant may be NULL or ""). Error: bad_value for a layout
 * that xkbcommon does not know. Takes about 10 ms: share the result. */
int keymap_new(struct keymap **ret, const char *layout, const char *variant, struct error *err);
struct keymap *keymap_ref(struct keymap *self);
struct keymap *keymap_unref(struct keymap *self);

/* The strokes that type a character; returns how many (1, or 2 with a dead key), 0 when the layout
 * lacks it. '\n' is Return, '\t' is Tab. */
int keymap_find_character(const struct keymap *self, uint32_t character,
                          struct keymap_stroke ret[KEYMAP_STROKES_MAX]);
/* The one stroke that makes a keysym. False when the layout, or QEMU's keyboard, lacks it. */
bool keymap_find_keysym(const struct keymap *self, uint32_t keysym, struct keymap_stroke *ret);
/* The key that holds one modifier down (KEY_LEFTSHIFT, KEY_RIGHTALT). */
uint16_t keymap_modifier_code(const struct keymap *self, int modifier);
