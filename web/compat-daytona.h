/* What the handlers of Daytona's operations share (api/table-daytona.h). */
#pragma once

#include "farm/sandbox.h"
#include "web/request.h"

/* Whether errors of this request have Daytona's shape. */
bool daytona_covers(const struct request *request);
/* {"statusCode","message","error","code",…}, owned by the caller. */
json_t *daytona_error_json(const struct request *request, const struct error *err);

/* The sandbox of the path, by id or by name. NULL with err. */
struct sandbox *daytona_find(const struct request *request, struct error *err);
/* The same; NULL: the request is answered. */
struct sandbox *daytona_sandbox(struct request *request);
/* Answers unsupported. */
void daytona_refuse(struct request *request, const char *what);
