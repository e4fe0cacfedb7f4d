/* The body of a request, read piece by piece: for rows with API_PIECES. Nothing is held: what
 * comes is handed on, with a Content-Length or in chunks, and the reader stops the caller by not
 * reading. */
#pragma once

#include "base/loop.h"
#include "web/chunks.h"

struct request;

struct body_ops {
    /* A piece, in order; borrowed. */
    void (*on_piece)(void *data, const uint8_t *bytes, size_t size);
    /* The body is complete. Not when the request was answered before. */
    void (*on_end)(void *data);
};

/* At most so much more comes after body_pause. */
#define BODY_PIECE_MAX 65536

/* Part of the request. */
struct body {
    const struct body_ops *ops; /* NULL: nobody reads */
    void *data;
    struct chunks chunks;
    bool is_paused, is_complete;
    int64_t received, paused_us, since_us; /* paused in all; since when */
    struct defer *hush; /* made when it is first paused */
};

/* From a handler, before it returns: it wants the body. A caller that goes away is told by
 * request_on_gone. */
void body_read(struct request *request, const struct body_ops *ops, void *data);
/* The reader cannot take more for now. No time limit runs meanwhile. */
void body_pause(struct request *request);
void body_resume(struct request *request);

/* --- For web/server.c and web/request.c ------------------------------------------------------- */

void body_deinit(struct body *self);

/* Bytes as they came from the socket. Negative: the connection is to be ended. */
int body_feed(struct request *request, const uint8_t *bytes, size_t size);
/* As many bytes as were announced have come. */
void body_finish(struct request *request);
