/* Output of a guest's shell, in pieces of the size that the first byte says. */
#include "farm/shell.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void take(void *data, const uint8_t *bytes, size_t size)
{
    size_t *left = data;
    if (size == 0 || size > *left || !bytes)
        abort();
    *left -= size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct shell_finder finder = { 0 };
    size_t step = size ? data[0] % 64u + 1 : 1, left = size;
    memcpy(finder.mark, "\036abababababababababababababababab:", SHELL_MARK);
    for (size_t at = 1; at < size; at += step)
        shell_find_mark(&finder, data + at, MIN(step, size - at), take, &left);
    return 0;
}
