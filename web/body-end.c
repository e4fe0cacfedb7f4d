#include "web/body-end.h"

bool body_end_is_reached(const struct body_end *self)
{
    return self->kind == HEAD_BODY_NONE || (self->kind == HEAD_BODY_LENGTH && self->left == 0) ||
           (self->kind == HEAD_BODY_CHUNKED && self->chunks.state == CHUNKS_END);
}

static ssize_t pass_chunks(struct body_end *self, const uint8_t *bytes, size_t size)
{
    size_t at = 0;
    while (at < size && !body_end_is_reached(self)) {
        const uint8_t *piece;
        size_t piece_size;
        ssize_t n = chunks_next(&self->chunks, bytes + at, size - at, &piece, &piece_size);
        if (n < 0)
            return n;
        at += (size_t)n;
    }
    return (ssize_t)at;
}

ssize_t body_end_pass(struct body_end *self, const uint8_t *bytes, size_t size)
{
    if (self->kind == HEAD_BODY_UNTIL_CLOSE)
        return (ssize_t)size;
    if (self->kind == HEAD_BODY_CHUNKED)
        return pass_chunks(self, bytes, size);
    size_t n = self->kind == HEAD_BODY_LENGTH ? (size_t)MIN((uint64_t)size, self->left) : 0;
    self->left -= n;
    return (ssize_t)n;
}
