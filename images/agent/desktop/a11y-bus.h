/* The accessibility bus of the session (AT-SPI), without waiting for anybody on it. */
#pragma once

#include <stdint.h>
#include <systemd/sd-bus.h>

#define A11Y_PREFIX "/org/a11y/atspi/accessible/"
#define A11Y_ROOT A11Y_PREFIX "root"
#define A11Y_REGISTRY "org.a11y.atspi.Registry"

/* Begins to connect; goes on doing so until it works, and again when the bus ends. Tells programs
 * that somebody looks, so that those that ask show what they have. */
void a11y_bus_open(void);
/* Handles what has come. Returns how long until it wants to be called again (-1: at an event). */
int64_t a11y_bus_turn(void);
/* NULL while it is not connected. */
sd_bus *a11y_bus(void);
/* Names this bus among those of other sessions: 16 bits of its id. */
unsigned a11y_bus_tag(void);
