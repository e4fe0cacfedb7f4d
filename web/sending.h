/* Answers a request with bytes from disk, whole or by its Range. */
#pragma once

#include "replay/query.h"
#include "web/request.h"

/* kind QUERY_READ: parts of the recording in folder dir, [[segment, bytes]…]; QUERY_FILE: the file at dir,
 * [[0, bytes]]. Takes parts. The request has no other handler from here on. */
void sending_start(struct request *request, enum query_kind kind, const char *dir, json_t *parts,
                   const char *content_type);
