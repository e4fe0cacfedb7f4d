/* The virtio-serial port: frames in, frames out, sessions. */
#pragma once

#include "base/agent-wire.h"
#include "base/json.h"

/* Takes over fd. */
int port_open(int fd);
/* Reads, handles and writes what it can without waiting. Returns false when the other end of a
 * socket is gone for good (never for a port: the host may come back). */
bool port_turn(void);
/* There is work that no event will announce: do not wait. */
bool port_is_busy(void);

/* Whether DATA and EVENT should wait until what is queued has gone. */
bool port_is_full(void);
/* Queues a frame. payload is copied. */
void port_send(enum agent_type type, uint16_t channel, const void *payload, size_t size);
void port_send_eof(uint16_t channel, enum agent_stream stream);
/* The same for JSON; stolen. What is too large for a frame becomes an END with an error. Returns
 * the payload's size. */
size_t port_send_json(enum agent_type type, uint16_t channel, json_t *object);
/* Room for a DATA frame of up to size bytes: where its payload goes, or NULL. Then the frame, with
 * as many as there were (0: no frame). Nothing else is sent between the two. */
uint8_t *port_data_begin(size_t size);
void port_data_end(uint16_t channel, enum agent_stream stream, size_t size);
