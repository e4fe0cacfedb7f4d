/* A line ends with LF; a CR before it is taken along. Sizes of more than 15 digits are refused, so
 * no sum of them can overflow. */
#include "web/chunks.h"

#include <errno.h>

#define SIZE_MAX_BITS 60

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int take_size(struct chunks *self, uint8_t c)
{
    int digit = hex_digit(c);
    if (digit < 0) {
        self->state = CHUNKS_EXTENSION;
        return self->has_digit && (c == '\r' || c == '\n' || c == ';' || c == ' ' || c == '\t')
                   ? 0
                   : -EPROTO;
    }
    if (self->left >> (SIZE_MAX_BITS - 4))
        return -EPROTO;
    self->has_digit = true;
    self->left = self->left << 4 | (uint64_t)digit;
    return 0;
}

static void begin_line(struct chunks *self, enum chunks_state state)
{
    self->state = state;
    self->n_line = 0;
    self->has_digit = false;
}

/* One byte that is no content. */
static int take_byte(struct chunks *self, uint8_t c)
{
    if (++self->n_line > CHUNKS_LINE_MAX)
        return -EPROTO;
    if (self->state == CHUNKS_SIZE && take_size(self, c) < 0)
        return -EPROTO;
    if (self->state == CHUNKS_TRAILER && ++self->n_trailer > CHUNKS_TRAILER_MAX)
        return -EPROTO;
    if (self->state == CHUNKS_DATA_END && c != '\r' && c != '\n')
        return -EPROTO;
    /* has_digit means here that the trailer line is not empty. */
    if (self->state == CHUNKS_TRAILER && c != '\r' && c != '\n')
        self->has_digit = true;
    if (c != '\n')
        return 0;
    if (self->state == CHUNKS_EXTENSION)
        begin_line(self, self->left ? CHUNKS_DATA : CHUNKS_TRAILER);
    else if (self->state == CHUNKS_DATA_END)
        begin_line(self, CHUNKS_SIZE);
    else if (self->has_digit)
        begin_line(self, CHUNKS_TRAILER);
    else
        self->state = CHUNKS_END;
    return 0;
}

ssize_t chunks_next(struct chunks *self, const uint8_t *bytes, size_t size,
                    const uint8_t **ret_piece, size_t *ret_size)
{
    size_t used = 0;
    *ret_size = 0;
    while (used < size && self->state != CHUNKS_DATA && self->state != CHUNKS_END) {
        if (take_byte(self, bytes[used++]) < 0)
            return -EPROTO;
    }
    if (used == size || self->state != CHUNKS_DATA)
        return (ssize_t)used;
    *ret_piece = bytes + used;
    *ret_size = (size_t)MIN((uint64_t)(size - used), self->left);
    self->left -= *ret_size;
    if (self->left == 0)
        begin_line(self, CHUNKS_DATA_END);
    return (ssize_t)(used + *ret_size);
}
