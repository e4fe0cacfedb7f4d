/* Frames as a hostile WebSocket client sends them. */
#include "web/ws-frame.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    auto_free uint8_t *copy = malloc(size + 1);
    if (!copy)
        return 0;
    memcpy(copy, data, size);
    for (size_t at = 0; at < size;) {
        struct ws_frame frame;
        int r = ws_frame_parse(&frame, copy + at, size - at);
        if (r != 0)
            break;
        assert(frame.header <= WS_HEADER_MAX && frame.header <= size - at);
        assert(frame.opcode < WS_CLOSE || (frame.length <= WS_CONTROL_MAX && frame.is_last));
        at += frame.header;
        size_t n = frame.length < size - at ? (size_t)frame.length : size - at;
        ws_frame_unmask(copy + at, n, frame.mask);
        ws_text_is_valid(copy + at, n);
        int code = ws_close_code(copy + at, n);
        assert(code >= 1000 && code < 5000);
        at += n;
    }
    return 0;
}
