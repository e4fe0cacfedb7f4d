/* Tells when the host gets an IPv4 address that it did not have: networks of guests close the host's
 * own addresses, and have to learn of new ones (hypervisor/net.h). */
#pragma once

#include "base/error.h"
#include "base/loop.h"

struct host_address;

/* fn runs on the loop, once for a burst. A renewed lease of an old address is no news. Never in the call. */
int host_address_new(struct host_address **ret, struct loop *loop, loop_fn fn, void *data,
                     struct error *err);
/* Takes NULL, returns NULL. */
struct host_address *host_address_free(struct host_address *self);
