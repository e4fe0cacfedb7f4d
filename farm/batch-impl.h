/* What the files of a batch know of it: batch-plan.c reads the request and checks it, batch.c plays it, batch-text.c
 * has the texts. */
#pragma once

#include "farm/batch.h"
#include "farm/condition.h"
#include "farm/effect.h"
#include "farm/helper.h"
#include "farm/op.h"
#include "farm/place.h"
#include "farm/sandbox-impl.h"
#include "farm/shot.h"
#include "farm/stale.h"
#include "farm/track.h"
#include "farm/typing.h"
#include "input/plan.h"

struct batch {
    struct op op;
    struct list link; /* sandbox->waiting */
    struct action *actions;
    size_t n_actions, at;
    struct effect *effects; /* per action */
    size_t acting;          /* the last one that sent anything; n_actions before the first */
    int64_t sent_us; /* the first event of the action that plays; 0: none yet */
    bool is_running, is_playing;
    int64_t queue_us;

    struct place place;
    enum stale_policy { STALE_ALLOW, STALE_WARN, STALE_REFUSE } stale_policy;
    uint8_t *stale; /* per action: enum stale, when the policy asks */
    struct space space;

    bool is_partial;
    struct error refused; /* set: why the batch is cut after its actions */
    const char *refused_type; /* of the action, when it could be read */

    bool wants_settle, wants_shot;
    struct settle_params settle_params;
    struct shot_params shot_params;

    struct screen_wait *screen;
    struct settle_wait *settle; /* since the last action that injected; NULL once it ended */
    json_t *settle_result;      /* what it ended with, until the next injection */
    size_t settled_action;      /* the action it belongs to, n_actions for none */
    bool is_waiting_settle;
    void (*after_settle)(struct batch *self);
    struct shot *shot;
    struct display_observer observer; /* for first damage */
    struct error without;       /* set: texts need the guest's desktop, and what is said if nobody is there */
    size_t without_at;          /* the first one's index */
    struct helper_call *helper; /* is being asked whether it is there */
    int64_t typing_us;          /* since when it types */
    struct condition *condition; /* of wait_for */
    struct track *track;
    json_t *results;
};

/* --- batch-plan.c -------------------------------------------------------------------------------- */

/* Fills the batch from the request's body, which is valid by the table. */
int batch_parse(struct batch *self, const json_t *request, struct error *err);
/* Fixes the space that coordinates are meant in; the screen must be known. */
int batch_resolve_space(struct batch *self, struct error *err);
/* Plans every action once, without effect but that texts have their routes then. */
int batch_check_plans(struct batch *self, struct error *err);
/* The native rectangle of an action's region. */
int batch_action_rect(const struct batch *self, const struct action *action, struct rect *ret, struct error *err);
/* What a wait_for that is no settling waits for, in native pixels; the caller's. */
int batch_condition(const struct batch *self, const struct action *action, struct condition_spec *ret,
                    struct error *err);
/* The result of one that was not even begun. */
void batch_add_refused(struct batch *self, size_t i);
/* Action i cannot be done because of *err, r is its value. A partial batch is cut before it, and 0 returned. */
int batch_refuse(struct batch *self, size_t i, int r, struct error *err);

/* --- batch-text.c -------------------------------------------------------------------------------- */

/* Settles the route of a text; the error is untypable when there is none. That the guest's desktop is needed is noted. */
int batch_text_check(struct batch *self, size_t i, struct plan_context *context, struct error *err);
/* Whether an action goes by the guest's desktop. */
bool batch_text_is_helped(const struct action *action);
/* Goes on to batch_begin once it is known that the desktop is there, if it is needed. */
void batch_text_begin(struct batch *self);
void batch_text_play(struct batch *self);
/* What the answer says of a text. n_entered: of the characters, those that the layout lacks. */
void batch_text_result(json_t *result, enum text_route route, size_t n_characters, size_t n_entered);

/* --- batch.c ------------------------------------------------------------------------------------- */

void batch_begin(struct batch *self);
/* Plays what self->at points at, or ends. */
void batch_next(struct batch *self);
json_t *batch_add_result(struct batch *self);
/* The action at self->at was played, and has its result: goes on, or ends with err. */
void batch_played(struct batch *self, const struct error *err);
void batch_fail(struct batch *self, const struct error *cause);
