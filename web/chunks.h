/* The chunked transfer coding (RFC 9112 section 7.1), taken apart as the bytes come. Nothing is
 * kept but the state: what a chunk holds is handed out where it lies. Extensions and trailers are
 * skipped. */
#pragma once

#include "base/util.h"

#define CHUNKS_LINE_MAX 256     /* of a size line or a trailer line */
#define CHUNKS_TRAILER_MAX 8192 /* of all trailer lines */

/* In the order of the bytes. */
enum chunks_state {
    CHUNKS_SIZE,       /* hexadecimal digits */
    CHUNKS_EXTENSION,  /* the rest of the size line */
    CHUNKS_DATA,       /* left bytes of the chunk */
    CHUNKS_DATA_END,   /* its line end */
    CHUNKS_TRAILER,    /* lines after the last chunk, until an empty one */
    CHUNKS_END,
};

struct chunks {
    enum chunks_state state;
    uint64_t left;
    unsigned n_line, n_trailer;
    bool has_digit;
};

/* Zeroed is the beginning. Takes from size bytes and returns how many; when some of them are
 * content, *ret_piece and *ret_size say which, else *ret_size is 0. Call it again with the rest
 * until the rest is empty or state is CHUNKS_END. -EPROTO: this is no chunked coding. */
ssize_t chunks_next(struct chunks *self, const uint8_t *bytes, size_t size,
                    const uint8_t **ret_piece, size_t *ret_size);
