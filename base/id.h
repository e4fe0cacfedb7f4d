/* Random identifiers, unique everywhere: 80 bits as 16 characters of lower-case base32. */
#pragma once

#include "base/util.h"

#define ID_MAX 32
#define ID_RANDOM_CHARS 16

/* Writes prefix + 16 random characters, e.g. "sb_" + …; prefix has at most 8 characters. */
void id_new(const char *prefix, char out[ID_MAX]);
/* Fills out with random bytes from the kernel. Never fails. */
void id_random(void *out, size_t size);
/* True for 1–31 characters of a–z, 0–9, '-', '_' : safe as a file name and in a URL. */
bool id_is_valid(const char *text);
