/* What OpenSandbox calls snapshots and pools: checkpoints and templates under other names. */
#pragma once

#include "web/request.h"

/* Reads snapshotId and extensions.poolRef of a request for a sandbox. Where one is given and fits the
 * rest, the body's snapshotId is the id of a checkpoint then. bad_value or unsupported: what else the
 * body asks for cannot be had with it; not_found. */
int snapshots_choose(struct request *request, struct error *err);
