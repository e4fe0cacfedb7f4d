/* Templates that are made on first use (farm_bake makes one on request). Not for web/. */
#pragma once

#include "base/error.h"

struct sandbox;

/* The sandbox, listed and without a guest, waits for a template of its machine, which is baked unless that
 * is under way: create_handle_baked follows. Negative: it cannot be had, at the moment or at all. */
int bake_await(struct sandbox *sandbox);
/* Begins to bake one for a sandbox that is not to wait; 0 also when that is under way. */
int bake_begin(struct sandbox *sandbox, struct error *err);
/* The guest of that sandbox is gone: one that is being baked in it has failed. */
void bake_handle_end(struct sandbox *sandbox);
