/* A guest's file systems, written out and held still while it is saved. Not for web/. */
#pragma once

#include "base/json.h"

struct sandbox;
struct freeze;

typedef void (*freeze_fn)(void *data);

/* done runs once, never inside: they are still, or freeze_json says why not, which is no reason not to
 * save the guest. NULL when memory is short. */
struct freeze *freeze_new(struct sandbox *sandbox, freeze_fn done, void *data);
/* The guest is saved: it may write again. done runs once, never inside. */
void freeze_thaw(struct freeze *self, freeze_fn done, void *data);
/* Adds "frozen", and "freeze_error" when that is false. */
void freeze_json(const struct freeze *self, json_t *to);
/* Thaws what is frozen; no callback follows. Takes NULL, returns NULL. */
struct freeze *freeze_free(struct freeze *self);
