/* Characters that no key of the layout makes, entered by a way that programs know: strokes as well. */
#pragma once

#include "input/action.h"
#include "input/keymap.h"
#include "input/plan.h"

/* Appends the strokes that enter one character. route:
 *
 *   TEXT_UNICODE  ctrl+shift+u, its number in hexadecimal digits of the layout, space: GTK's text fields, and
 *                  whatever IBus serves
 *   TEXT_ALT      Alt held over 0 and the character's number in code page 1252, on the keypad: Windows
 *   TEXT_ALT_HEX  Alt held over keypad + and the number in hexadecimal digits, up to U+FFFF: a Windows in whose
 *                  registry EnableHexNumpad is set
 *
 * Nobody tells whether the guest took it so. 1: this way has no such character, or the layout lacks a key that it
 * needs; nothing was appended. */
int entry_plan(struct plan *plan, const struct keymap *keymap, enum text_route route, uint32_t character);
