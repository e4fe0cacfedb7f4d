/* The guest's keyboard, as X has it. */
#pragma once

#include "images/agent/desktop/desktop.h"

/* The temporary keys of typing.c go: at the end, and before another layout is loaded. */
void typing_restore(void);
/* Begins to count keys; without it keys_begin says unsupported. */
void keys_open(void);
