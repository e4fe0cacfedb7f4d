/* Waiting for the screen without injecting anything (sandbox_wait, sandbox_resize). */
#pragma once

#include "farm/sandbox-impl.h"

/* The guest said that its desktop is up: waits for that go on. */
void wait_desktop_is_up(struct sandbox *sandbox);
