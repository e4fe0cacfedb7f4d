/* A WebSocket (RFC 6455) to the daemon, its client's end. Nothing blocks but the opening: the owner
 * polls the descriptor. */
#pragma once

#include "cli/connection.h"

struct websocket;

/* A whole message; borrowed. */
typedef void (*websocket_fn)(void *data, bool is_text, const uint8_t *bytes, size_t size);

int websocket_open(struct websocket **ret, struct cli *cli, struct request *request,
                   const char *protocol, websocket_fn fn, void *data);
/* Ends the connection. Takes NULL, returns NULL. */
struct websocket *websocket_free(struct websocket *self);

int websocket_fd(const struct websocket *self);
/* What to poll for: POLLIN, and POLLOUT while something waits to be sent. */
short websocket_events(const struct websocket *self);
/* Bytes that wait. */
size_t websocket_queued(const struct websocket *self);

enum { WEBSOCKET_CLOSED = 1 };

/* Queues a message. Negative: memory is short. */
int websocket_send(struct websocket *self, bool is_text, const void *bytes, size_t size);
/* Sends and reads what the connection takes and has, and tells fn. 0, WEBSOCKET_CLOSED, or a negative
 * value when the connection is lost or the daemon breaks the protocol. */
int websocket_service(struct websocket *self);
