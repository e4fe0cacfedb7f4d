/* An answer that is written piece by piece: events, files, what a guest sends.
 *
 * Its size may be unknown: then it goes in chunks (RFC 9112 section 7.1), or to an HTTP/1.0
 * caller until the connection ends. The writer puts pieces into a queue; the socket takes them
 * when it can. A caller that does not read makes the queue grow: the writer stops when
 * stream_is_full, and goes on when on_room says so. One that takes nothing for 30 s while
 * something is queued is closed. */
#pragma once

#include "web/request.h"

#define STREAM_LOW ((size_t)64 * 1024)   /* below it, there is room */
#define STREAM_HIGH ((size_t)256 * 1024) /* from here on it is full; pieces are still taken */
#define STREAM_MAX ((size_t)4 << 20)     /* a writer that goes on all the same is cut off */

#define STREAM_COLLECT_MAX ((size_t)8 << 20) /* of an answer that is wrapped (request.wrap), as a whole */

struct stream;

/* Any may be NULL. */
struct stream_ops {
    /* Less than STREAM_LOW is queued, after a write that made it more. */
    void (*on_room)(void *data);
    /* The caller went away before stream_end; the stream is gone. */
    void (*on_gone)(void *data);
};

/* Begins the answer: the status line and headers are decided. The stream is the request's, and goes
 * with it. length: bytes that will be written, or -1. NULL when the request was answered before or
 * memory is short; on_gone does not run then. A caller that only wants the headers (HEAD) gets
 * them; what is written is dropped. */
struct stream *stream_new(struct request *request, int status, const char *content_type,
                          int64_t length, const struct stream_ops *ops, void *data);

/* Queues a copy. */
void stream_write(struct stream *self, const void *bytes, size_t size);
/* The same for what is put together in place: append to the buffer, then say so. Nothing else is
 * done with the stream in between. */
struct buf *stream_begin_piece(struct stream *self);
void stream_end_piece(struct stream *self);

/* Bytes queued. */
size_t stream_queued(const struct stream *self);
bool stream_is_full(const struct stream *self);

/* All is written. No function of ops runs any more; the stream is not to be touched. When fewer
 * bytes came than were announced the connection is cut, which is how the caller can tell. */
void stream_end(struct stream *self);
/* The answer cannot be completed: cuts the connection. Otherwise like stream_end. */
void stream_cut(struct stream *self);

/* --- For web/request.c ----------------------------------------------------------------------- */

/* Sends what the socket takes now. 0: more later, 1: all is out. Negative: the connection ends. */
int stream_send(struct stream *self);
/* Tells the writer that its caller is gone, if it has not ended. Takes NULL, returns NULL. */
struct stream *stream_free(struct stream *self);
