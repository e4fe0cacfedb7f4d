/* Text to key strokes. */
#pragma once

#include "input/plan.h"

/* Appends the strokes of UTF-8 text to a plan. "\n", "\r" and "\r\n" are Return, tab is Tab. Held
 * modifiers stay down between characters that share them; each change is an event of its own.
 * Nothing is dropped: a character that the layout and the route lack is the error untypable with its index
 * (counted in characters from 0), and the plan is as it was. delay_ms pauses after each character;
 * 0 leaves that to the player (input/input.c). Errors besides: bad_value for bytes that are no UTF-8. */
int text_plan(struct plan *plan, const struct keymap *keymap, enum text_route route, const char *text, size_t size,
              int delay_ms, struct error *err);

/* Reads one character; returns its length in bytes, 0 at the end, -1 when it is no UTF-8 (overlong
 * forms, surrogates, values above U+10FFFF and NUL are none). */
int text_next(const char *text, size_t size, uint32_t *ret_character);
