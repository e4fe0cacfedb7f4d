/* A recording's actions once more, against a fresh sandbox that begins as the recorded one began, and where the
 * screens first differ.
 *
 *   starting   the sandbox is being made; its first screen is compared
 *   running    batches are sent one after the other
 *   done       all were sent, or the first difference was found and that was wanted
 *   failed     the sandbox could not be made, or was lost
 *   cancelled  by rerun_delete's caller
 *
 * Steps. Batches are sent as they came: a step is one batch, and step 0 is the screen before the first. A step's screen
 * is what the screen had become when the next batch was recorded, or what the batch's answer showed: equal to one of
 * both is equal. A screen that is not gets `patience_ms` to become so. Only what agents did is done again; what a person
 * did and commands in the guest are not.
 *
 * Reruns do not outlive the daemon; one that has ended is kept for RERUNS_KEPT_US. */
#pragma once

#include "base/error.h"
#include "base/json.h"
#include "base/loop.h"
#include "farm/keys.h"

#define RERUNS_MAX 16
#define RERUNS_KEPT_US ((int64_t)3600000000)

struct farm;
struct reruns;
struct rerun;

struct reruns *reruns_new(struct loop *loop, struct farm *farm);
/* Takes NULL, returns NULL. */
struct reruns *reruns_free(struct reruns *self);

/* body: the fields of recording_rerun. NULL with err. */
struct rerun *rerun_start(struct reruns *self, const struct principal *who, const char *recording,
                          const json_t *body, struct error *err);
struct rerun *rerun_find(struct reruns *self, const struct principal *who, const char *id, struct error *err);
/* New reference. */
json_t *rerun_json(const struct rerun *self);
/* Ends it if it runs; its sandbox goes unless it was to stay. */
void rerun_delete(struct rerun *self);

/* --- rerun-plan.c ----------------------------------------------------------------------------- */

/* The batches of a recording, in order, out of its actions (recording_actions): [{"request", "at_us", "frames",
 * "first", "n"}…]; frames: those that the screen may have become; first: the id of its first action. Texts that were
 * secret come from secrets, an array, in order; missing_field when there are not enough. NULL with err. */
json_t *rerun_plan(const json_t *actions, const json_t *secrets, struct error *err);
