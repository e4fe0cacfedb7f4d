/* Key names: X11 keysyms are canonical, a wide alias table and single characters are taken too.
 *
 * Order of meaning: one character (any script) is that character; then the alias table, then X11
 * keysym names as written, then both without regard to case. "meta", "cmd" and "win" are Super. */
#pragma once

#include "base/error.h"

#define KEY_NAME_MAX 64 /* bytes */

/* Keysym of a name, 0 (XKB_KEY_NoSymbol) when there is none. Text need not end in NUL. */
uint32_t key_name_parse(const char *name, size_t size);

enum { CHORD_MAX = 8 };

/* Keys pressed in this order and released in reverse. In a chord of several keys a letter means its
 * key whatever its case ("ctrl+C" is ctrl+c); alone, "A" is shift+a. */
struct chord {
    uint32_t keysyms[CHORD_MAX];
    int n_keys;
};

/* Parses "ctrl+shift+t". The separator is '+'; where a key is expected a '+' is the key itself:
 * "+", "ctrl++", also "ctrl+plus". Errors: unknown_key naming the part, bad_value for an empty or
 * too long chord. */
int chord_parse(struct chord *ret, const char *text, size_t size, struct error *err);

/* Every alias, for documents: returns false when index is past the end. */
bool key_name_alias(size_t index, const char **ret_alias, uint32_t *ret_keysym);
