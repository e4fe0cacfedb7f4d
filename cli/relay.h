/* Bytes between a tunnel and two descriptors of ours, each direction on its own. */
#pragma once

#include "cli/connection.h"

/* Until both directions have ended or one fails: what in gives goes into the tunnel, what comes out
 * goes to out. The end of one direction is passed on and leaves the other. in and out may be the
 * same socket; they become non-blocking. Negative when it was cut. */
int relay_run(struct connection *tunnel, int in, int out);
