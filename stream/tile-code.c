/* Most tiles of a desktop have few colours and repeat the row above, so an index per pixel and
 * three operations do. A tile with more than 256 colours is a picture or a gradient; QOI's
 * differences take it at 300 MPix/s and end up where Paeth and zlib do.
 *
 * Entropy coding was measured on top (static and dynamic Huffman, whole zlib): 2 to 10 % less, for
 * two to ten times the time and an inflate in every client. Tiles that come back are cheaper still:
 * the viewer keeps them.
 *
 * Both decoders here are for replay and for tests; they trust nothing. */
#include "stream/tile-code.h"

#include <errno.h>
#include <string.h>

#define SLOTS 1024 /* of the colour table: four times the colours */

enum { OP_ABOVE = 0, OP_RUN = 1, OP_LITERAL = 2 };
#define LENGTH_MORE 63

/* --- Palette ---------------------------------------------------------------------------------- */

struct palette {
    int n;
    uint32_t colours[TILE_CODE_COLOURS];
    int16_t slots[SLOTS]; /* index + 1 */
};

/* The index of colour, added when new; -1 when the palette is full. */
static int find_colour(struct palette *self, uint32_t colour)
{
    unsigned slot = colour * 2654435761u >> 22;
    for (; self->slots[slot]; slot = (slot + 1) % SLOTS)
        if (self->colours[self->slots[slot] - 1] == colour)
            return self->slots[slot] - 1;
    if (self->n == TILE_CODE_COLOURS)
        return -1;
    self->colours[self->n++] = colour;
    self->slots[slot] = (int16_t)self->n;
    return self->n - 1;
}

/* Turns the visible part into indices, rows without gaps. False when there are too many colours. */
static bool find_indices(struct palette *self, const struct tile *tile, int width, int height,
                         uint8_t *indices)
{
    self->n = 0;
    memset(self->slots, 0, sizeof self->slots);
    uint32_t last = 0; /* of no pixel: X is 255 */
    int index = 0;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            uint32_t colour = tile->pixels[y * TILE_SIZE + x];
            if (colour != last) {
                last = colour;
                index = find_colour(self, colour);
                if (index < 0)
                    return false;
            }
            *indices++ = (uint8_t)index;
        }
    return true;
}

static int index_bits(int n)
{
    int bits = 1;
    while (1 << bits < n)
        bits++;
    return bits;
}

static uint8_t *put_operation(uint8_t *out, int op, int length)
{
    length--;
    *out++ = (uint8_t)(op << 6 | MIN(length, LENGTH_MORE));
    if (length < LENGTH_MORE)
        return out;
    for (length -= LENGTH_MORE; length >= 255; length -= 255)
        *out++ = 255;
    *out++ = (uint8_t)length;
    return out;
}

static uint8_t *put_literals(uint8_t *out, const uint8_t *indices, int n, int bits)
{
    if (n == 0)
        return out;
    out = put_operation(out, OP_LITERAL, n);
    unsigned held = 0;
    int n_held = 0;
    for (int i = 0; i < n; i++) {
        held |= (unsigned)indices[i] << n_held;
        n_held += bits;
        for (; n_held >= 8; n_held -= 8, held >>= 8)
            *out++ = (uint8_t)held;
    }
    if (n_held > 0)
        *out++ = (uint8_t)held;
    return out;
}

/* How many of the n pixels at a equal those at b, which come before. */
static int count_equal(const uint8_t *a, const uint8_t *b, int n)
{
    int i = 0;
    for (; i + 8 <= n; i += 8) {
        uint64_t x, y;
        memcpy(&x, a + i, 8);
        memcpy(&y, b + i, 8);
        if (x != y)
            return i + __builtin_ctzll(x ^ y) / 8;
    }
    while (i < n && a[i] == b[i])
        i++;
    return i;
}

static uint8_t *put_indices(uint8_t *out, const uint8_t *indices, int n, int width, int bits)
{
    /* A shorter repetition costs more than its pixels as literals, which it would cut in two. */
    int worth = bits >= 7 ? 3 : bits >= 3 ? 16 / bits : 12;
    int from = 0, i = 0;
    while (i < n) {
        int above = i >= width ? count_equal(indices + i, indices + i - width, n - i) : 0;
        int run = i > 0 ? count_equal(indices + i, indices + i - 1, n - i) : 0;
        int length = MAX(above, run);
        if (length < worth && (length == 0 || i + length < n)) {
            i++;
            continue;
        }
        out = put_literals(out, indices + from, i - from, bits);
        out = put_operation(out, above >= run ? OP_ABOVE : OP_RUN, length);
        from = i += length;
    }
    return put_literals(out, indices + from, n - from, bits);
}

static bool is_grey(const struct palette *self)
{
    for (int i = 0; i < self->n; i++) {
        uint32_t c = self->colours[i];
        if ((c >> 16 & 255) != (c & 255) || (c >> 8 & 255) != (c & 255))
            return false;
    }
    return true;
}

static uint8_t *put_colours(uint8_t *out, const struct palette *self, bool grey)
{
    *out++ = (uint8_t)(self->n - 1);
    for (int i = 0; i < self->n; i++) {
        uint32_t c = self->colours[i];
        if (!grey) {
            *out++ = (uint8_t)(c >> 16);
            *out++ = (uint8_t)(c >> 8);
        }
        *out++ = (uint8_t)c;
    }
    return out;
}

/* --- QOI's operations ------------------------------------------------------------------------- */

enum {
    QOI_INDEX = 0x00,
    QOI_DIFF = 0x40,
    QOI_LUMA = 0x80,
    QOI_RUN = 0xc0,
    QOI_RGB = 0xfe,
    QOI_RGBA = 0xff
};
#define QOI_RUN_MAX 62

struct qoi {
    uint32_t last;
    uint32_t seen[64];
    int run;
};

static unsigned qoi_slot(uint32_t c)
{
    return ((c >> 16 & 255) * 3 + (c >> 8 & 255) * 5 + (c & 255) * 7 + (c >> 24) * 11) % 64;
}

static uint8_t *qoi_put_difference(uint8_t *out, uint32_t last, uint32_t c)
{
    if (last >> 24 != c >> 24) {
        *out++ = QOI_RGBA;
        *out++ = (uint8_t)(c >> 16);
        *out++ = (uint8_t)(c >> 8);
        *out++ = (uint8_t)c;
        *out++ = (uint8_t)(c >> 24);
        return out;
    }
    int r = (int8_t)((c >> 16) - (last >> 16)), g = (int8_t)((c >> 8) - (last >> 8));
    int b = (int8_t)(c - last), rg = r - g, bg = b - g;
    if (r >= -2 && r < 2 && g >= -2 && g < 2 && b >= -2 && b < 2) {
        *out++ = (uint8_t)(QOI_DIFF | (r + 2) << 4 | (g + 2) << 2 | (b + 2));
    } else if (rg >= -8 && rg < 8 && g >= -32 && g < 32 && bg >= -8 && bg < 8) {
        *out++ = (uint8_t)(QOI_LUMA | (g + 32));
        *out++ = (uint8_t)((rg + 8) << 4 | (bg + 8));
    } else {
        *out++ = QOI_RGB;
        *out++ = (uint8_t)(c >> 16);
        *out++ = (uint8_t)(c >> 8);
        *out++ = (uint8_t)c;
    }
    return out;
}

static uint8_t *qoi_end_run(struct qoi *self, uint8_t *out)
{
    if (self->run > 0)
        *out++ = (uint8_t)(QOI_RUN | (self->run - 1));
    self->run = 0;
    return out;
}

static uint8_t *qoi_put(struct qoi *self, uint8_t *out, const uint32_t *pixels, int n)
{
    for (int i = 0; i < n; i++) {
        uint32_t c = pixels[i];
        if (c == self->last) {
            if (++self->run == QOI_RUN_MAX)
                out = qoi_end_run(self, out);
            continue;
        }
        out = qoi_end_run(self, out);
        unsigned slot = qoi_slot(c);
        if (self->seen[slot] == c) {
            *out++ = (uint8_t)(QOI_INDEX | slot);
        } else {
            self->seen[slot] = c;
            out = qoi_put_difference(out, self->last, c);
        }
        self->last = c;
    }
    return out;
}

size_t tile_code_encode_true(const uint32_t *pixels, int n, uint8_t *out)
{
    struct qoi qoi = { .last = 0xff000000u };
    uint8_t *end = qoi_put(&qoi, out, pixels, n);
    return (size_t)(qoi_end_run(&qoi, end) - out);
}

enum tile_code tile_code_encode(const struct tile *tile, int width, int height, uint8_t *out,
                                size_t *ret_size)
{
    struct palette palette;
    uint8_t indices[TILE_SIZE * TILE_SIZE];
    if (!find_indices(&palette, tile, width, height, indices)) {
        struct qoi qoi = { .last = 0xff000000u };
        uint8_t *end = out;
        for (int y = 0; y < height; y++)
            end = qoi_put(&qoi, end, tile->pixels + y * TILE_SIZE, width);
        *ret_size = (size_t)(qoi_end_run(&qoi, end) - out);
        return TILE_TRUE;
    }
    *ret_size = 0;
    if (palette.n == 1)
        return TILE_SOLID;
    bool grey = is_grey(&palette);
    uint8_t *end = put_colours(out, &palette, grey);
    end = put_indices(end, indices, width * height, width, index_bits(palette.n));
    *ret_size = (size_t)(end - out);
    return grey ? TILE_GREY_PALETTE : TILE_PALETTE;
}

/* --- Decoding --------------------------------------------------------------------------------- */

struct input {
    const uint8_t *at, *end;
};

/* The next byte, or -1. */
static int take(struct input *in)
{
    return in->at < in->end ? *in->at++ : -1;
}

/* Reads an operation; its length, or -1 at the end or when it is longer than max. */
static int take_operation(struct input *in, int *ret_op, int max)
{
    int byte = take(in);
    if (byte < 0)
        return -1;
    *ret_op = byte >> 6;
    int length = byte % 64 + 1;
    if (byte % 64 == LENGTH_MORE)
        do {
            byte = take(in);
            length += byte;
        } while (byte == 255 && length <= max);
    return byte < 0 || length > max ? -1 : length;
}

static int take_literals(struct input *in, const uint32_t *colours, int n_colours, uint32_t *out,
                         int n)
{
    int bits = index_bits(n_colours), n_held = 0;
    unsigned held = 0;
    for (int i = 0; i < n; i++) {
        if (n_held < bits) {
            int byte = take(in);
            if (byte < 0)
                return -EPROTO;
            held |= (unsigned)byte << n_held;
            n_held += 8;
        }
        unsigned index = held & ((1u << bits) - 1);
        held >>= bits;
        n_held -= bits;
        if (index >= (unsigned)n_colours)
            return -EPROTO;
        out[i] = colours[index];
    }
    return 0;
}

/* Returns how many colours there are. */
static int take_colours(struct input *in, bool grey, uint32_t *colours)
{
    int n = take(in) + 1, size = grey ? 1 : 3;
    if (n < 1 || in->end - in->at < n * size)
        return -EPROTO;
    for (int i = 0; i < n; i++, in->at += size) {
        const uint8_t *c = in->at;
        colours[i] =
            0xff000000u | (uint32_t)c[0] << 16 | (uint32_t)c[grey ? 0 : 1] << 8 | c[grey ? 0 : 2];
    }
    return n;
}

static int decode_palette(struct input *in, bool grey, int width, int n, uint32_t *out)
{
    uint32_t colours[TILE_CODE_COLOURS];
    int n_colours = take_colours(in, grey, colours);
    if (n_colours < 0)
        return -EPROTO;
    for (int i = 0; i < n;) {
        int op = 0, length = take_operation(in, &op, n - i);
        int back = op == OP_ABOVE ? width : 1;
        if (length < 0 || op > OP_LITERAL || (op != OP_LITERAL && i < back))
            return -EPROTO;
        if (op == OP_LITERAL && take_literals(in, colours, n_colours, out + i, length) < 0)
            return -EPROTO;
        for (int k = 0; op != OP_LITERAL && k < length; k++)
            out[i + k] = out[i + k - back];
        i += length;
    }
    return in->at == in->end ? 0 : -EPROTO;
}

static uint32_t add_difference(uint32_t c, int r, int g, int b)
{
    return (c & 0xff000000u) | (((c >> 16) + (uint32_t)r) & 255) << 16 |
           (((c >> 8) + (uint32_t)g) & 255) << 8 | ((c + (uint32_t)b) & 255);
}

/* Reads a colour that op begins. */
static int take_colour(struct input *in, const struct qoi *qoi, int op, uint32_t *ret)
{
    if (op >= QOI_RGB) {
        int n = op == QOI_RGBA ? 4 : 3;
        if (in->end - in->at < n)
            return -EPROTO;
        uint32_t alpha = n == 4 ? in->at[3] : qoi->last >> 24;
        *ret = alpha << 24 | (uint32_t)in->at[0] << 16 | (uint32_t)in->at[1] << 8 | in->at[2];
        in->at += n;
    } else if (op < QOI_DIFF) {
        *ret = qoi->seen[op];
    } else if (op < QOI_LUMA) {
        *ret = add_difference(qoi->last, (op >> 4 & 3) - 2, (op >> 2 & 3) - 2, (op & 3) - 2);
    } else {
        int g = (op & 63) - 32, more = take(in);
        if (more < 0)
            return -EPROTO;
        *ret = add_difference(qoi->last, g + (more >> 4) - 8, g, g + (more & 15) - 8);
    }
    return 0;
}

int tile_code_decode_true(const uint8_t *data, size_t size, uint32_t *out, int n)
{
    struct input in = { data, data + size };
    struct qoi qoi = { .last = 0xff000000u };
    for (int i = 0; i < n;) {
        int op = take(&in), run = 1;
        if (op < 0)
            return -EPROTO;
        if (op >= QOI_RUN && op < QOI_RGB)
            run = (op & 63) + 1;
        else if (take_colour(&in, &qoi, op, &qoi.last) < 0)
            return -EPROTO;
        qoi.seen[qoi_slot(qoi.last)] = qoi.last;
        if (run > n - i)
            return -EPROTO;
        while (run-- > 0)
            out[i++] = qoi.last;
    }
    return in.at == in.end ? 0 : -EPROTO;
}

int tile_code_decode(enum tile_code code, const uint8_t *data, size_t size, int width, int height,
                     uint32_t *out)
{
    struct input in = { data, data + size };
    if (code == TILE_TRUE)
        return tile_code_decode_true(data, size, out, width * height);
    return decode_palette(&in, code == TILE_GREY_PALETTE, width, width * height, out);
}
