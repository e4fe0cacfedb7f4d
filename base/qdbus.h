/* A peer-to-peer D-Bus connection to a QEMU, driven by the loop.
 *
 * QEMU 7.2 allows one D-Bus client per display, so display/ and input/ share one connection and it
 * lives down here. The listener's socket is a second object of the same kind. On both we
 * authenticate as the client (QEMU, through GDBus, is the server). */
#pragma once

#include "base/error.h"
#include "base/loop.h"

#include <systemd/sd-bus.h>

struct qdbus;

/* why is a negative errno: the peer closed, or it sent what is no D-Bus. The object is dead but
 * still its owner's; it may be freed inside the callback. */
typedef void (*qdbus_closed_fn)(void *data, int why);

/* Takes fd over, also on failure. setup (may be NULL) runs before the connection starts, to add
 * vtables: messages that arrive with the handshake then find them. */
int qdbus_new(struct qdbus **ret, struct loop *loop, int fd, int (*setup)(sd_bus *bus, void *data),
              qdbus_closed_fn on_closed, void *data, struct error *err);
/* The bus, for sd_bus_* calls. After queueing a message call qdbus_kick. */
sd_bus *qdbus_bus(struct qdbus *self);
/* Makes the loop send what was queued. */
void qdbus_kick(struct qdbus *self);
int qdbus_fd(const struct qdbus *self);
/* Closes the connection. Replies that are pending are dropped, their callbacks never run. */
struct qdbus *qdbus_free(struct qdbus *self);
