/* Any bytes as base64: what decodes encodes to as many characters. */
#include "base/buf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    auto_buf struct buf bytes = BUF_INIT, text = BUF_INIT;
    if (buf_append_base64_text(&bytes, (const char *)data, size) < 0)
        return 0;
    buf_append_base64(&text, bytes.data, bytes.size);
    if (text.size != size)
        abort();
    return 0;
}
