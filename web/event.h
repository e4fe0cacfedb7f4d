/* Events of a stream: JSON objects, each as a server-sent event ("data: {…}", an empty line) or
 * as a line of its own.
 *
 * Output of a program is bytes, and JSON text is characters. An event holds whole characters of
 * UTF-8; one whose bytes come in two pieces waits for the second. Bytes that are no UTF-8 become
 * U+FFFD, one for each maximal part of a character, and the event says "lossy": true. Nothing
 * else is changed: all texts of a stream one after another are its output. */
#pragma once

#include "base/buf.h"
#include "base/json.h"

enum event_format { EVENT_SSE, EVENT_LINES };

/* Lines where an Accept header ("" when absent) names them and not text/event-stream. */
enum event_format event_format(const char *accept);
const char *event_content_type(enum event_format format);

/* One event; stolen. */
void event_json(struct buf *out, enum event_format format, json_t *event);

/* The beginning of a character whose end has not come. Zeroed is none. */
struct event_tail {
    uint8_t bytes[3];
    uint8_t size;
};

/* An event {"type","text","timestamp"} with as much of bytes as is whole; none when nothing is.
 * is_last: no more follows, so what is not whole is invalid. */
void event_output(struct buf *out, enum event_format format, const char *type,
                  struct event_tail *tail, const uint8_t *bytes, size_t size, bool is_last);
