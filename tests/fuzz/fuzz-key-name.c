/* Any bytes as a chord. */
#include "input/key-name.h"

#include "input/keymap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct keymap *keymap;
    struct chord chord;
    struct error err;
    if (!keymap && keymap_new(&keymap, "us", NULL, NULL) < 0)
        return 0;
    if (chord_parse(&chord, (const char *)data, size, &err) < 0)
        return 0;
    for (int i = 0; i < chord.n_keys; i++) {
        struct keymap_stroke stroke;
        keymap_find_keysym(keymap, chord.keysyms[i], &stroke);
    }
    return 0;
}
