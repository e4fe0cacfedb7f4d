/* A batch of actions (sandbox_act). */
#pragma once

#include "farm/op.h"

/* Something was injected on behalf of the sandbox's running batch: settling starts anew. */
void batch_injected(struct op *batch);
/* Nothing keeps the next batch that waits from running any more. */
void batch_start_next(struct sandbox *sandbox);
