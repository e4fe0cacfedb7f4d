/* A batch of actions (sandbox_act). */
#pragma once

#include "farm/op.h"

/* Something was injected on behalf of the sandbox's running batch: settling starts anew. */
void batch_injected(struct op *batch);
