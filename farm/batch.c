/* POST …/desktop/actions: an ordered list of actions and one settled picture.
 *
 * One batch plays at a time per sandbox; others wait queue_ms for their turn. Before anything is
 * injected the whole batch is parsed, mapped to native pixels and planned once, so an action that
 * cannot be done leaves the guest untouched; a partial batch is cut there instead, and fails when what
 * comes before has been done. Then each action plays; the first one that fails ends the batch, what was
 * done is in "results", and "failed_action" is its index.
 *
 * Settling starts with the first event of the last action that injects anything, and every further
 * event of that action pushes it back: what a press paints counts, and the screen must stay quiet
 * after the release. A caller that goes away, and every failure, releases all that is held.
 *
 * Texts are batch-text.c's, except where keys alone make them. A batch that ends while the guest's desktop
 * takes a text makes it stop, and the next one begins when it says that it has. */
#include "base/clock.h"
#include "farm/batch-impl.h"
#include "farm/change.h"
#include "farm/control.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void batch_end(struct batch *self);

/* --- Settling -------------------------------------------------------------------------------------- */

static void handle_settled(void *data, struct settle *settle, bool is_lost maybe_unused)
{
    struct batch *self = data;
    self->settle = NULL;
    json_decref(self->settle_result);
    self->settle_result = shot_settle_json(settle);
    if (self->is_waiting_settle) {
        self->is_waiting_settle = false;
        self->after_settle(self);
    }
}

void batch_injected(struct op *op)
{
    struct batch *self = (struct batch *)op;
    if (!self->is_playing)
        return;
    int64_t now = clock_now_us();
    if (!self->sent_us)
        self->sent_us = now;
    self->acting = self->at;
    effect_begin(&self->effects[self->at], now);
    track_injected(self->track, self->at, now);
    if (self->settle && self->settled_action == self->at) {
        settle_wait_input(self->settle, now);
        return;
    }
    settle_wait_cancel(self->settle);
    json_decref(self->settle_result);
    self->settle_result = NULL;
    self->settled_action = self->at;
    self->settle = settle_wait_start(op->sandbox->display, &self->settle_params, now, handle_settled, self);
}

/* Runs fn once the screen has settled since the last injection; without one, since whatever was
 * seen last. */
static void settle_then(struct batch *self, void (*fn)(struct batch *self))
{
    self->after_settle = fn;
    if (!self->settle && !self->settle_result)
        self->settle = settle_wait_start(self->op.sandbox->display, &self->settle_params, 0,
                                         handle_settled, self);
    if (self->settle)
        self->is_waiting_settle = true;
    else
        fn(self);
}

/* --- Playing --------------------------------------------------------------------------------------- */

json_t *batch_add_result(struct batch *self)
{
    const struct action *action = &self->actions[self->at];
    json_t *result = json_pack("{si ss}", "index", (int)self->at, "type", action_table[action->type].name);
    if (self->stale[self->at])
        json_object_set_new(result, "stale", json_string(self->stale[self->at] == STALE_CHANGED ? "changed" : "unknown"));
    json_array_append_new(self->results, result);
    return result;
}

void batch_fail(struct batch *self, const struct error *cause)
{
    struct error err = *cause;
    size_t n = json_array_size(self->results);
    err.is_set = true;
    if (n == 0 || json_get_int(json_array_get(self->results, n - 1), "index", -1) != (int64_t)self->at)
        batch_add_result(self);
    json_object_set_new(self->op.body, "failed_action", json_integer((json_int_t)self->at));
    error_wrap(&err, "actions[%zu] (%s)", self->at, action_table[self->actions[self->at].type].name);
    op_fail(&self->op, &err);
}

void batch_played(struct batch *self, const struct error *err)
{
    farm_counters(self->op.sandbox->farm)->actions++;
    if (err) {
        batch_fail(self, err);
        return;
    }
    self->at++;
    batch_next(self);
}

/* The input answers a cancelled action after its batch is gone, so it knows the sandbox only. */
static void handle_played(void *data, const struct input_result *played, const struct error *err)
{
    struct sandbox *sandbox = data;
    struct batch *self = (struct batch *)sandbox->batch;
    if (!self || !self->is_playing)
        return;
    const struct action *action = &self->actions[self->at];
    self->is_playing = false;
    json_t *result = batch_add_result(self);
    json_object_set_new(result, "queued_us", json_integer(played->queued_us));
    /* From the moment the first event left: the guest may paint before it is acknowledged. */
    if (played->injected_first_us)
        json_object_set_new(result, "injected_us",
                            json_pack("[II]", (json_int_t)(self->sent_us ? self->sent_us : played->injected_first_us),
                                      (json_int_t)played->injected_last_us));
    if (played->has_point) {
        double x, y;
        space_from_native(&self->space, played->fx, played->fy, &x, &y);
        json_object_set_new(result, "x", json_real(x));
        json_object_set_new(result, "y", json_real(y));
        json_object_set_new(result, "native", json_pack("[ii]", played->fx, played->fy));
    }
    if (action->type == ACTION_TYPE)
        batch_text_result(result, (enum text_route)action->route, played->n_characters, played->n_entered);
    batch_played(self, err);
}

static void play(struct batch *self)
{
    struct error err = { 0 };
    if (batch_text_is_helped(&self->actions[self->at])) {
        batch_text_play(self);
        return;
    }
    self->is_playing = true;
    struct sandbox *sandbox = self->op.sandbox;
    if (input_play(sandbox->input, &self->actions[self->at], &self->space, handle_played, sandbox,
                   &err) < 0) {
        self->is_playing = false;
        batch_fail(self, &err);
    }
}

/* --- Screenshots inside a batch -------------------------------------------------------------------- */

static void handle_inner_shot(void *data, struct shot_result *shot, const struct error *err)
{
    struct batch *self = data;
    self->shot = NULL;
    json_t *result = batch_add_result(self);
    if (err) {
        batch_fail(self, err);
        return;
    }
    json_object_set_new(result, "changed", json_boolean(!shot->is_unchanged));
    if (!shot->is_unchanged) {
        auto_buf struct buf text = BUF_INIT;
        buf_append_base64(&text, shot->bytes->data, shot->bytes->size);
        json_object_set_new(shot->image, "data",
                            json_stringn_nocheck(text.data ? (const char *)text.data : "", text.size));
        json_object_set_new(result, "image", shot->image);
    }
    self->at++;
    batch_next(self);
}

static void take_inner(struct batch *self)
{
    struct error err = { 0 };
    const struct action *action = &self->actions[self->at];
    struct shot_params params;
    struct rect region = { 0 };
    int r = action->has_region ? batch_action_rect(self, action, &region, &err) : 0;
    if (r == 0) {
        shot_params_from_action(&params, action, action->has_region ? &region : NULL);
        self->shot = shot_start(self->op.sandbox, &params, handle_inner_shot, self, &err);
    }
    if (!self->shot)
        batch_fail(self, &err);
}

/* --- wait_for -------------------------------------------------------------------------------------- */

static void end_wait_for(struct batch *self, json_t *result, const char *text)
{
    op_no_timer(&self->op);
    self->condition = condition_cancel(self->condition);
    json_object_set_new(result, "result", json_string(text));
    self->at++;
    batch_next(self);
}

static void after_wait_settled(struct batch *self)
{
    json_t *result = batch_add_result(self);
    json_object_set(result, "settle", self->settle_result);
    end_wait_for(self, result, json_get_string(self->settle_result, "result", "lost"));
}

static void handle_wait_late(struct op *op)
{
    struct batch *self = (struct batch *)op;
    end_wait_for(self, batch_add_result(self), "timed_out");
}

/* With the limits of this action instead of the batch's. An input that is still settling goes on to
 * do so; one that has settled already is not waited for twice, only quiet is. */
static void wait_for_settled(struct batch *self, const struct rect *region)
{
    const struct action *action = &self->actions[self->at];
    struct settle_params params = self->settle_params;
    params.first_us = (int64_t)action->first_ms * 1000;
    params.quiet_us = (int64_t)action->quiet_ms * 1000;
    params.max_us = (int64_t)action->max_ms * 1000;
    shot_mask_outside(&params, *region, self->space.width, self->space.height);
    if (self->settle) {
        settle_wait_set_params(self->settle, &params);
    } else {
        json_decref(self->settle_result);
        self->settle_result = NULL;
        self->settle = settle_wait_start(self->op.sandbox->display, &params, 0, handle_settled, self);
    }
    settle_then(self, after_wait_settled);
}

static void handle_condition(void *data, json_t *found, const struct error *err)
{
    struct batch *self = data;
    const struct action *action = &self->actions[self->at];
    bool is_absent = json_get_bool(action->wanted, "absent", false);
    self->condition = NULL;
    json_t *result = batch_add_result(self);
    if (err) {
        batch_fail(self, err);
        return;
    }
    json_object_set_new(result, "found", found);
    end_wait_for(self, result, action->kind == WAIT_CHANGE ? "changed" : is_absent ? "gone" : "found");
}

static void wait_for_condition(struct batch *self)
{
    const struct action *action = &self->actions[self->at];
    struct condition_spec spec;
    struct error err = { 0 };
    if (batch_condition(self, action, &spec, &err) == 0) {
        self->condition = condition_start(self->op.sandbox, &spec, false, handle_condition, self, &err);
        condition_spec_deinit(&spec);
    }
    if (self->condition)
        op_after(&self->op, (int64_t)action->max_ms * 1000, handle_wait_late);
    else
        batch_fail(self, &err);
}

static void wait_for(struct batch *self)
{
    const struct action *action = &self->actions[self->at];
    struct error err = { 0 };
    struct rect region = { 0, 0, self->space.width, self->space.height };
    if (action->kind != WAIT_SETTLED)
        wait_for_condition(self);
    else if (action->has_region && batch_action_rect(self, action, &region, &err) < 0)
        batch_fail(self, &err);
    else
        wait_for_settled(self, &region);
}

/* What changed since the last action that sent anything. */
static void handle_frame(void *data, const struct frame_update *update)
{
    struct batch *self = data;
    int n_tiles = update->is_new_epoch;
    track_frame(self->track, self->at, update->frame);
    for (int i = 0; i < update->n_changes; i++)
        n_tiles += update->changes[i].counts;
    if (self->acting < self->n_actions)
        effect_damage(&self->effects[self->acting], update->frame->captured_us, n_tiles);
}

/* --- The course of a batch ------------------------------------------------------------------------- */

void batch_next(struct batch *self)
{
    if (self->at == self->n_actions) {
        batch_end(self);
        return;
    }
    const struct action *action = &self->actions[self->at];
    self->sent_us = 0;
    track_begin(self->track, self->at);
    if (action_is_played(action))
        play(self);
    else if (action->type == ACTION_WAIT_FOR)
        wait_for(self);
    else if (action->settle && self->wants_settle)
        settle_then(self, take_inner);
    else
        take_inner(self);
}

static void finish(struct batch *self, struct shot_result *shot)
{
    struct answer answer = { 0 };
    struct sandbox *sandbox = self->op.sandbox;
    json_t *body = self->op.body;
    if (self->settle_result)
        json_object_set(body, "settle", self->settle_result);
    if (shot) {
        json_object_set_new(body, "changed", json_boolean(!shot->is_unchanged));
        answer.is_unchanged = shot->is_unchanged;
    }
    if (shot && !shot->is_unchanged) {
        json_object_set_new(body, "image", shot->image);
        answer.image = shot->bytes;
        answer.content_type = still_format_mime(shot->format);
        memcpy(answer.etag, shot->etag, sizeof answer.etag);
    }
    change_name_frame(sandbox, display_frame(sandbox->display));
    json_object_set_new(body, "frame", json_integer(display_frame_id(sandbox->display)));
    json_object_set_new(body, "screen", desktop_screen_json(sandbox));
    json_object_set_new(body, "cursor", desktop_cursor_json(sandbox));
    op_finish(&self->op, &answer);
}

static void handle_last_shot(void *data, struct shot_result *shot, const struct error *err)
{
    struct batch *self = data;
    self->shot = NULL;
    if (err)
        op_fail(&self->op, err);
    else
        finish(self, shot);
}

static void take_last(struct batch *self)
{
    struct error err = { 0 };
    if (self->refused.is_set) {
        batch_add_refused(self, (size_t)json_get_int(self->op.body, "failed_action", 0));
        op_fail(&self->op, &self->refused);
        return;
    }
    if (!self->wants_shot) {
        finish(self, NULL);
        return;
    }
    self->shot = shot_start(self->op.sandbox, &self->shot_params, handle_last_shot, self, &err);
    if (!self->shot)
        op_fail(&self->op, &err);
}

static void batch_end(struct batch *self)
{
    if (self->wants_settle)
        settle_then(self, take_last);
    else
        take_last(self);
}

void batch_begin(struct batch *self)
{
    static const struct display_observer_ops ops = { .frame = handle_frame };
    display_observe(self->op.sandbox->display, &self->observer, &ops, self);
    batch_next(self);
}

static void handle_screen(void *data, const struct error *screen_err)
{
    struct batch *self = data;
    struct error err = { 0 };
    self->screen = NULL;
    if (screen_err) {
        op_fail(&self->op, screen_err);
        return;
    }
    display_flush(self->op.sandbox->display);
    if (batch_resolve_space(self, &err) < 0 || batch_check_plans(self, &err) < 0) {
        op_fail(&self->op, &err);
        return;
    }
    batch_text_begin(self);
}

static void run(struct batch *self)
{
    struct error err = { 0 };
    struct sandbox *sandbox = self->op.sandbox;
    list_remove(&self->link);
    op_no_timer(&self->op);
    sandbox->batch = &self->op;
    self->is_running = true;
    control_note_batch(sandbox->control);
    timer_stop(sandbox->latch);
    farm_counters(sandbox->farm)->batches++;
    self->screen = screen_wait_start(sandbox, handle_screen, self);
    if (!self->screen) {
        error_errno(&err, ENOMEM, "starting a batch");
        op_fail(&self->op, &err);
    }
}

static void handle_queue_end(struct op *op)
{
    struct error err = { 0 };
    if (!control_is_taken(op->sandbox->control, &err))
        error_set(&err, ERROR_BUSY, "another batch is running on sandbox %s", op->sandbox->id);
    op_fail(op, &err);
}

static void begin(struct op *op)
{
    struct batch *self = (struct batch *)op;
    struct sandbox *sandbox = op->sandbox;
    bool is_taken = control_is_taken(sandbox->control, NULL);
    if (!sandbox->batch && !is_taken && !input_is_busy(sandbox->input) && !sandbox->typing) {
        run(self);
    } else if (!sandbox->batch && !is_taken) {
        /* After an adoption every key is being released, which takes about 100 ms; or a text is being ended. */
        op_after(op, 20000, begin);
    } else if (self->queue_us > 0) {
        list_append(&sandbox->waiting, &self->link);
        op_after(op, self->queue_us, handle_queue_end);
    } else {
        handle_queue_end(op);
    }
}

void batch_start_next(struct sandbox *sandbox)
{
    if (!sandbox->batch && !control_is_taken(sandbox->control, NULL) && !list_empty(&sandbox->waiting)) {
        struct batch *next = list_first(&sandbox->waiting, struct batch, link);
        list_remove(&next->link);
        op_no_timer(&next->op);
        defer_request(next->op.defer); /* begins anew, in the next turn */
    }
}

/* Each action was watched until the next that sent anything. */
static void put_effects(struct batch *self, const struct error *why)
{
    int64_t until_us = clock_now_us();
    int64_t failed = why ? json_get_int(self->op.body, "failed_action", -1) : -1;
    for (size_t i = json_array_size(self->results); i-- > 0;) {
        json_t *result = json_array_get(self->results, i);
        int64_t index = json_get_int(result, "index", 0);
        const struct effect *effect = &self->effects[index];
        effect_put(effect, result, until_us, index == failed);
        if (effect->begin_us)
            until_us = effect->begin_us;
    }
}

static void stop(struct op *op, bool is_aborted)
{
    struct batch *self = (struct batch *)op;
    struct sandbox *sandbox = op->sandbox;
    list_remove(&self->link);
    self->screen = screen_wait_cancel(self->screen);
    self->settle = settle_wait_cancel(self->settle);
    self->condition = condition_cancel(self->condition);
    self->shot = shot_cancel(self->shot);
    display_unobserve(&self->observer);
    self->helper = helper_call_cancel(self->helper);
    bool was_playing = self->is_playing;
    self->is_playing = false;
    if (was_playing && sandbox->typing)
        typing_close(sandbox->typing);
    else if (was_playing)
        input_cancel(sandbox->input);
    if (!self->is_running)
        return;
    put_effects(self, op->why);
    track_write(self->track, self->results, self->settle_result, self->settled_action, op->why);
    if (is_aborted)
        input_release_all(sandbox->input);
    sandbox->batch = NULL;
    control_note_batch(sandbox->control);
    desktop_watch_latches(sandbox);
    if (json_array_size(self->results) > 0)
        json_object_set(op->body, "results", self->results);
    batch_start_next(sandbox);
}

static void deinit(struct op *op)
{
    struct batch *self = (struct batch *)op;
    for (size_t i = 0; i < self->n_actions; i++)
        action_deinit(&self->actions[i]);
    free(self->actions);
    free(self->effects);
    free(self->stale);
    track_free(self->track);
    json_decref(self->settle_result);
    json_decref(self->results);
}

struct op *sandbox_act(struct sandbox *sandbox, const json_t *request, answer_fn done, void *data,
                       struct error *err)
{
    static const struct op_impl impl = { .begin = begin, .stop = stop, .deinit = deinit };
    struct op *op = op_new(sizeof(struct batch), &impl, sandbox, done, data, err);
    if (!op)
        return NULL;
    struct batch *self = (struct batch *)op;
    list_init(&self->link);
    self->results = json_array();
    if (!self->results || batch_parse(self, request, err) < 0)
        return op_drop(op);
    self->settled_action = self->acting = self->n_actions;
    self->track = track_new(sandbox, request);
    return op_start(op);
}
