/* What the helper that reads text says: words that are taken lie in the picture and are text. */
#include "display/ocr/wire.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct word *list = NULL;
    struct words_run runs[16];
    int n = 0;
    if (ocr_wire_read(data, size, 1, 200, 100, &list, &n) != 0)
        return 0;
    for (int i = 0; i < n; i++)
        if (!rect_fits(list[i].rect, 200, 100) || !word_text_is_good(list[i].text, strlen(list[i].text)))
            abort();
    int lines = words_lines(list, n, runs, 16);
    for (int i = 0; i < lines; i++)
        if (runs[i].n < 1 || runs[i].first + runs[i].n > n)
            abort();
    words_find(list, n, "a", runs, 16);
    free(list);
    return 0;
}
