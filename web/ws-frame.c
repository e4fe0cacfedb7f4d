#include "web/ws-frame.h"

#include <errno.h>
#include <string.h>

static bool is_known(unsigned opcode)
{
    return opcode <= WS_BINARY || (opcode >= WS_CLOSE && opcode <= WS_PONG);
}

static uint64_t read_number(const uint8_t *at, size_t n)
{
    uint64_t value = 0;
    for (size_t i = 0; i < n; i++)
        value = value << 8 | at[i];
    return value;
}

int ws_frame_parse(struct ws_frame *ret, const uint8_t *data, size_t size)
{
    if (size < 2)
        return WS_MORE;
    unsigned opcode = data[0] & 0x0f;
    bool is_last = data[0] & 0x80, is_masked = data[1] & 0x80;
    size_t length = data[1] & 0x7f, extra = length == 126 ? 2 : length == 127 ? 8 : 0;
    if (data[0] & 0x70 || !is_known(opcode) || !is_masked)
        return -EPROTO;
    if (opcode >= WS_CLOSE && (!is_last || extra))
        return -EPROTO;
    size_t header = 2 + extra + 4;
    if (size < header)
        return WS_MORE;
    uint64_t whole = extra ? read_number(data + 2, extra) : length;
    /* Each length has one form only. */
    if ((extra == 2 && whole < 126) || (extra == 8 && whole < 65536) || whole >> 63)
        return -EPROTO;
    *ret = (struct ws_frame){ .is_last = is_last, .opcode = (enum ws_opcode)opcode,
                              .length = whole, .header = header };
    memcpy(ret->mask, data + header - 4, 4);
    return 0;
}

void ws_frame_unmask(uint8_t *payload, size_t size, const uint8_t mask[4])
{
    uint64_t wide;
    uint8_t twice[8] = { mask[0], mask[1], mask[2], mask[3], mask[0], mask[1], mask[2], mask[3] };
    memcpy(&wide, twice, sizeof wide);
    size_t i = 0;
    for (; i + 8 <= size; i += 8) {
        uint64_t word;
        memcpy(&word, payload + i, sizeof word);
        word ^= wide;
        memcpy(payload + i, &word, sizeof word);
    }
    for (; i < size; i++)
        payload[i] ^= mask[i % 4];
}

size_t ws_frame_header(uint8_t out[WS_HEADER_MAX], enum ws_opcode opcode, uint64_t length)
{
    size_t extra = length < 126 ? 0 : length < 65536 ? 2 : 8;
    out[0] = (uint8_t)(0x80 | opcode);
    out[1] = (uint8_t)(extra == 0 ? length : extra == 2 ? 126 : 127);
    for (size_t i = 0; i < extra; i++)
        out[2 + i] = (uint8_t)(length >> 8 * (extra - 1 - i));
    return 2 + extra;
}

/* How many bytes the character has that begins with this byte, and its least code; 0: none does. */
static size_t sequence_size(uint8_t first, uint32_t *least)
{
    static const uint32_t leasts[] = { 0, 0, 0x80, 0x800, 0x10000 };
    size_t n = first < 0x80 ? 1 : first < 0xc0 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3
               : first < 0xf8 ? 4 : 0;
    *least = leasts[n];
    return n;
}

bool ws_text_is_valid(const uint8_t *text, size_t size)
{
    for (size_t at = 0; at < size;) {
        uint32_t least;
        size_t n = sequence_size(text[at], &least);
        if (n == 0 || n > size - at)
            return false;
        uint32_t code = n == 1 ? text[at] : text[at] & (0x7fu >> n);
        for (size_t i = 1; i < n; i++) {
            if ((text[at + i] & 0xc0) != 0x80)
                return false;
            code = code << 6 | (text[at + i] & 0x3f);
        }
        if (code < least || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
            return false;
        at += n;
    }
    return true;
}

int ws_close_code(const uint8_t *payload, size_t size)
{
    if (size == 0)
        return WS_NO_CODE;
    int code = size >= 2 ? payload[0] << 8 | payload[1] : 0;
    bool is_standard = code >= 1000 && code <= 1014 && (code < 1004 || code > 1006);
    bool is_private = code >= 3000 && code <= 4999;
    bool is_good = (is_standard || is_private) && ws_text_is_valid(payload + 2, size - 2);
    return is_good ? code : WS_PROTOCOL_ERROR;
}
