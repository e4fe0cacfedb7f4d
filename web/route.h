/* From a request to its handler: guard, row, caller, role, query, body, idempotency.
 *
 * route_begin runs when the headers are in and decides whether the body is worth reading; route_run
 * when it is complete. Each refusal is the first rule that is broken, in this order: host, origin,
 * path, method, caller, role, length, media type, query, JSON, fields. What a caller may not know
 * (which sandboxes exist) comes last, from the farm. */
#pragma once

#include "web/request.h"

/* Fills route, who, path_values and query, or self->refused. */
void route_begin(struct request *self);
/* Parses and checks the body, then calls the handler; or answers self->refused. */
void route_run(struct request *self);

/* Begins the use of a sandbox by a request, for as long as the request lives; resume runs when the sandbox
 * is awake, at once when it is already, unless the request is answered with why it cannot be woken. */
void route_use(struct request *self, struct sandbox *sandbox, void (*resume)(struct request *self));

/* Calls the handler of self->route, once its sandbox is awake: path_values, query and body are checked. */
void route_handle(struct request *self);

/* Whether the handler is to run before the body is read. */
bool route_takes_pieces(const struct request *self);

/* Handlers, one per row of the API table. Each answers now, or later with request_on_gone set. */
typedef void (*route_fn)(struct request *self);
#define ROUTE_DECLARE(sym, name, ...) void handle_##name(struct request *self);
API_OPERATIONS(ROUTE_DECLARE)
#undef ROUTE_DECLARE
