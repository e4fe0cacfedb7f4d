/* Where the body of a message ends, told while its bytes pass as they are. */
#pragma once

#include "web/chunks.h"
#include "web/head.h"

struct body_end {
    enum head_body kind;
    uint64_t left; /* HEAD_BODY_LENGTH */
    struct chunks chunks;
};

bool body_end_is_reached(const struct body_end *self);
/* How many of these bytes belong to the body. Negative: its chunks are malformed. */
ssize_t body_end_pass(struct body_end *self, const uint8_t *bytes, size_t size);
