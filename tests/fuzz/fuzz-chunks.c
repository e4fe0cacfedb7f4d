/* A chunked body, in pieces whose size the first byte says. */
#include "web/chunks.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct chunks chunks = { 0 };
    size_t step = size ? data[0] % 64u + 1 : 1;
    for (size_t at = 1; at < size && chunks.state != CHUNKS_END;) {
        const uint8_t *piece;
        size_t n, room = MIN(step, size - at);
        ssize_t used = chunks_next(&chunks, data + at, room, &piece, &n);
        if (used < 0)
            return 0;
        if (used == 0 || (size_t)used > room || n > room ||
            (n && (piece < data + at || piece + n > data + at + room)))
            abort();
        at += (size_t)used;
    }
    return 0;
}
