/* What the handlers of the OpenSandbox execd protocol share. It is mounted below
 * /v1/sandboxes/{id}/proxy/44772, which is what endpoints/44772 answers: no program listens at that
 * port of the guest, the daemon speaks to its agent. */
#pragma once

#include "farm/sandbox.h"
#include "web/request.h"

/* The sandbox of the path, or NULL: then the request is answered. Borrowed for this turn. */
struct sandbox *execd_sandbox(struct request *request);
/* A mode from its octal digits, read as a decimal number: 644 is 0644. -1: no such digits. */
int execd_mode(int64_t digits);
