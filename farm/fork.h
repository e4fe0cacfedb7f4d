/* Checkpoints and forks of sandboxes, and going back to one.
 *
 * All of them answer later, exactly once, and go on when their caller has gone: a fork that was begun
 * is made. While one is under way the sandbox can be used, but not paused or saved a second time. */
#pragma once

#include "farm/farm.h"

/* result is borrowed, NULL on failure. */
typedef void (*fork_fn)(void *data, const json_t *result, const struct error *err);

#define FORK_COUNT_MAX 64

/* Takes and stores a checkpoint; request: name. result: its description with pause_ms. */
int sandbox_checkpoint(struct sandbox *sandbox, const json_t *request, fork_fn done, void *data,
                       struct error *err);
/* Makes request.count (1) sandboxes out of a running one; request may hold timeout and metadata.
 * Answers when all run: {"items":[sandbox…],"pause_ms","total_ms"}. When one fails, those that run
 * are deleted again and the failure is told. */
int sandbox_fork(struct farm *farm, const struct principal *who, struct sandbox *sandbox,
                 const json_t *request, fork_fn done, void *data, struct error *err);
/* The same out of a checkpoint or a template. */
int farm_fork_checkpoint(struct farm *farm, const struct principal *who, const char *id,
                         const json_t *request, fork_fn done, void *data, struct error *err);
/* Puts a sandbox back to what it was at a checkpoint, its own or another's of the same machine; also
 * one whose guest has ended. */
int sandbox_restore(struct farm *farm, const struct principal *who, struct sandbox *sandbox,
                    const json_t *request, fork_fn done, void *data, struct error *err);
/* A sandbox out of a checkpoint; PENDING on return, as farm_create leaves it. */
int farm_create_from(struct farm *farm, const struct principal *who, const char *checkpoint,
                     const json_t *request, struct sandbox **ret, struct error *err);

/* For farm/sandbox.c: its guest is gone. */
void fork_handle_end(struct sandbox *sandbox);

/* {"items":[checkpoint…]}; sandbox NULL: of all. */
json_t *farm_checkpoints(struct farm *farm, const struct principal *who, const char *sandbox,
                         bool templates);
json_t *farm_checkpoint(struct farm *farm, const struct principal *who, const char *id,
                        struct error *err);
/* request: pool. Answers with its description; NULL with err. */
json_t *farm_set_template(struct farm *farm, const struct principal *who, const char *id, const json_t *request,
                          struct error *err);
int farm_delete_checkpoint(struct farm *farm, const struct principal *who, const char *id,
                           struct error *err);
/* Bakes a template: image, resourceLimits, display, network as in a create request. Answers when it is
 * stored, at once when there is one. */
int farm_bake(struct farm *farm, const struct principal *who, const json_t *request, fork_fn done,
              void *data, struct error *err);
