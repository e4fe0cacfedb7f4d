/* Progress of a long call over the Model Context Protocol: its answer becomes a stream of events, with a
 * notification every second, and the result last. */
#pragma once

#include "web/request.h"

struct progress;

/* When the call asks for it (params._meta.progressToken) and its caller reads events. Else NULL, and nothing
 * changes. Freed with the request. */
struct progress *progress_new(struct request *request, const json_t *params);
/* The call's answer (stolen; NULL: it gets none). False: nothing was told so far, so it can be answered as usual. */
bool progress_finish(struct progress *self, json_t *message);
/* Takes NULL, returns NULL. */
struct progress *progress_free(struct progress *self);
