/* A viewer's messages: any bytes are read to their end or refused, and what is read keeps its
 * limits. */
#include "stream/client.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = data + size;
    struct client_record record;
    while (client_next(&data, &size, &record) == 0) {
        if (record.text &&
            (record.text < data - (1 << 20) - 16 || record.text + record.n_text > end))
            abort();
        if (record.x < 0 || record.x > 65535 || record.kept < 0 || record.dy < -32768)
            abort();
    }
    return 0;
}
