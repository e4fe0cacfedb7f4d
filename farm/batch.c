/* POST …/desktop/actions: an ordered list of actions and one settled picture.
 *
 * One batch plays at a time per sandbox; others wait queue_ms for their turn. Before anything is
 * injected the whole batch is parsed, mapped to native pixels and planned once, so an action that
 * cannot be done leaves the guest untouched. Then each action plays; the first one that fails ends
 * the batch, and what was done is in "results".
 *
 * Settling starts with the first event of the last action that injects anything, and every further
 * event of that action pushes it back: what a press paints counts, and the screen must stay quiet
 * after the release. A caller that goes away, and every failure, releases all that is held. */
#include "base/clock.h"
#include "display/image-id.h"
#include "farm/batch.h"
#include "farm/op.h"
#include "farm/sandbox-impl.h"
#include "farm/shot.h"
#include "input/plan.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct batch {
    struct op op;
    struct list link; /* sandbox->waiting */
    struct action *actions;
    size_t n_actions, at;
    bool is_running, is_playing;
    int64_t queue_us;

    enum space_kind space_kind;
    struct image_id image; /* space frame */
    struct space space;

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
    struct display_observer observer; /* for first damage, and for wait_for change */
    struct rect wait_region;
    json_t *results;
};

static void batch_next(struct batch *self);
static void batch_end(struct batch *self);

/* --- Parsing ------------------------------------------------------------------------------------- */

static int parse_actions(struct batch *self, const json_t *request, struct error *err)
{
    const json_t *list = json_object_get(request, "actions");
    self->actions = calloc(json_array_size(list) + 1, sizeof *self->actions);
    if (!self->actions)
        return error_errno(err, ENOMEM, "reading actions");
    for (size_t i = 0; i < json_array_size(list); i++) {
        char where[32];
        snprintf(where, sizeof where, "actions[%zu]", i);
        int r = action_parse(&self->actions[i], json_array_get(list, i), where, err);
        if (r < 0)
            return r;
        self->n_actions++;
    }
    return 0;
}

static int parse_space(struct batch *self, const json_t *request, struct error *err)
{
    const char *name = json_get_string(request, "space", "native");
    const char *image = json_get_string(request, "image", NULL);
    if (space_kind_parse(name, &self->space_kind) < 0)
        return error_set(err, ERROR_BAD_VALUE, "space: unknown space \"%.40s\"", name);
    if (self->space_kind != SPACE_FRAME)
        return 0;
    if (!image)
        return error_set(err, ERROR_MISSING_FIELD, "image: space frame needs the id of an image");
    if (image_id_parse(image, &self->image) < 0)
        return error_set(err, ERROR_BAD_VALUE, "image: \"%.80s\" is no image id", image);
    return 0;
}

static int parse(struct batch *self, const json_t *request, struct error *err)
{
    const json_t *settle = json_object_get(request, "settle");
    const json_t *screenshot = json_object_get(request, "screenshot");
    self->wants_settle = !json_is_false(settle);
    self->wants_shot = !json_is_false(screenshot);
    self->queue_us = json_get_int(request, "queue_ms", 0) * 1000;
    int r = parse_actions(self, request, err);
    if (r == 0)
        r = parse_space(self, request, err);
    if (r == 0)
        r = shot_settle_params(&self->settle_params, settle, err);
    if (r == 0)
        r = shot_params_from_object(&self->shot_params, screenshot, err);
    return r;
}

/* --- The space, and the plan of the whole batch ---------------------------------------------------- */

static int resolve_space(struct batch *self, struct error *err)
{
    struct display *display = self->op.sandbox->display;
    const struct frame *frame = display_frame(display);
    if (!frame)
        return error_set(err, ERROR_NOT_READY, "sandbox %s shows no screen", self->op.sandbox->id);
    self->space = (struct space){ .kind = self->space_kind, .width = frame->width, .height = frame->height };
    if (self->space_kind != SPACE_FRAME)
        return 0;
    struct frame_geometry geometry;
    if (display_geometry(display, self->image.frame, &geometry) != 0)
        return error_set(err, ERROR_UNKNOWN_FRAME, "image: frame %lld is not kept",
                         (long long)self->image.frame);
    if (geometry.width != frame->width || geometry.height != frame->height)
        return error_set(err, ERROR_UNKNOWN_FRAME,
                         "image: frame %lld was %dx%d, the screen is %dx%d now; take a new screenshot",
                         (long long)self->image.frame, geometry.width, geometry.height, frame->width,
                         frame->height);
    struct rect region = self->image.has_region ? self->image.region
                                                : (struct rect){ 0, 0, geometry.width, geometry.height };
    if (!rect_fits(region, geometry.width, geometry.height))
        return error_set(err, ERROR_BAD_VALUE, "image: its region lies outside the frame");
    self->space.image_width = self->image.width;
    self->space.image_height = self->image.height;
    self->space.region = (struct space_region){ region.x, region.y, region.w, region.h };
    return 0;
}

static int action_rect(const struct batch *self, const struct action *action, struct rect *ret,
                       struct error *err)
{
    struct space_region region;
    int r = space_to_region(&self->space, action->region.x, action->region.y, action->region.width,
                            action->region.height, &region, err);
    if (r == 0)
        *ret = (struct rect){ region.fx, region.fy, region.width, region.height };
    return r;
}

/* Plans every action without playing it, so that the guest sees all or nothing of a wrong batch. */
static int check_plans(struct batch *self, struct error *err)
{
    struct sandbox *sandbox = self->op.sandbox;
    struct plan_context context = { .keymap = sandbox->keymap, .space = &self->space };
    context.has_pointer = input_pointer(sandbox->input, &context.fx, &context.fy);
    for (size_t i = 0; i < self->n_actions; i++) {
        struct plan plan;
        struct rect region;
        int r = 0;
        if (action_is_played(&self->actions[i])) {
            r = plan_action(&plan, &self->actions[i], &context, err);
            if (r == 0)
                plan_deinit(&plan);
            /* From here on it is known; where exactly does not matter for a check. */
            context.has_pointer |= self->actions[i].has_x || self->actions[i].path.n_points > 0;
        } else if (self->actions[i].has_region) {
            r = action_rect(self, &self->actions[i], &region, err);
        }
        if (r < 0) {
            error_wrap(err, "actions[%zu]", i);
            return r;
        }
    }
    return 0;
}

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

static json_t *add_result(struct batch *self)
{
    const struct action *action = &self->actions[self->at];
    json_t *result = json_pack("{si ss}", "index", (int)self->at, "type", action_table[action->type].name);
    json_array_append_new(self->results, result);
    return result;
}

static void fail(struct batch *self, const struct error *cause)
{
    struct error err = *cause;
    err.is_set = true;
    error_wrap(&err, "actions[%zu] (%s)", self->at, action_table[self->actions[self->at].type].name);
    op_fail(&self->op, &err);
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
    json_t *result = add_result(self);
    json_object_set_new(result, "queued_us", json_integer(played->queued_us));
    if (played->injected_first_us)
        json_object_set_new(result, "injected_us", json_pack("[II]", (json_int_t)played->injected_first_us,
                                                             (json_int_t)played->injected_last_us));
    if (played->has_point) {
        double x, y;
        space_from_native(&self->space, played->fx, played->fy, &x, &y);
        json_object_set_new(result, "x", json_real(x));
        json_object_set_new(result, "y", json_real(y));
        json_object_set_new(result, "native", json_pack("[ii]", played->fx, played->fy));
    }
    if (action->type == ACTION_TYPE)
        json_object_set_new(result, "characters", json_integer((json_int_t)played->n_characters));
    farm_counters(sandbox->farm)->actions++;
    if (err) {
        fail(self, err);
        return;
    }
    self->at++;
    batch_next(self);
}

static void play(struct batch *self)
{
    struct error err = { 0 };
    self->is_playing = true;
    struct sandbox *sandbox = self->op.sandbox;
    if (input_play(sandbox->input, &self->actions[self->at], &self->space, handle_played, sandbox,
                   &err) < 0) {
        self->is_playing = false;
        fail(self, &err);
    }
}

/* --- Screenshots inside a batch -------------------------------------------------------------------- */

static void handle_inner_shot(void *data, struct shot_result *shot, const struct error *err)
{
    struct batch *self = data;
    self->shot = NULL;
    json_t *result = add_result(self);
    if (err) {
        fail(self, err);
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
    int r = action->has_region ? action_rect(self, action, &region, &err) : 0;
    if (r == 0)
        r = shot_params_from_action(&params, action, action->has_region ? &region : NULL, &err);
    if (r == 0)
        self->shot = shot_start(self->op.sandbox, &params, handle_inner_shot, self, &err);
    if (!self->shot)
        fail(self, &err);
}

/* --- wait_for -------------------------------------------------------------------------------------- */

static void end_wait_for(struct batch *self, json_t *result, const char *text)
{
    op_no_timer(&self->op);
    self->wait_region = (struct rect){ 0 };
    json_object_set_new(result, "result", json_string(text));
    self->at++;
    batch_next(self);
}

static void after_wait_settled(struct batch *self)
{
    json_t *result = add_result(self);
    json_object_set(result, "settle", self->settle_result);
    end_wait_for(self, result, json_get_string(self->settle_result, "result", "lost"));
}

static void handle_wait_late(struct op *op)
{
    struct batch *self = (struct batch *)op;
    end_wait_for(self, add_result(self), "timed_out");
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

static void wait_for(struct batch *self)
{
    const struct action *action = &self->actions[self->at];
    struct error err = { 0 };
    struct rect region = { 0, 0, self->space.width, self->space.height };
    if (action->has_region && action_rect(self, action, &region, &err) < 0) {
        fail(self, &err);
        return;
    }
    if (action->kind == WAIT_SETTLED) {
        wait_for_settled(self, &region);
        return;
    }
    self->wait_region = region;
    op_after(&self->op, (int64_t)action->max_ms * 1000, handle_wait_late);
}

/* First damage of the last action, and wait_for change. */
static void handle_frame(void *data, const struct frame_update *update)
{
    struct batch *self = data;
    bool counts = update->is_new_epoch, is_inside = false;
    for (int i = 0; i < update->n_changes; i++) {
        counts |= update->changes[i].counts;
        struct rect tile = frame_tile_rect(update->frame, update->changes[i].index);
        is_inside |= update->changes[i].counts && !rect_is_empty(rect_intersect(tile, self->wait_region));
    }
    size_t n = json_array_size(self->results);
    json_t *last = n ? json_array_get(self->results, n - 1) : NULL;
    if (counts && last && json_object_get(last, "injected_us") && !json_object_get(last, "first_damage_us"))
        json_object_set_new(last, "first_damage_us", json_integer(update->frame->captured_us));
    if (is_inside && !rect_is_empty(self->wait_region))
        end_wait_for(self, add_result(self), "changed");
}

/* --- The course of a batch ------------------------------------------------------------------------- */

static void batch_next(struct batch *self)
{
    if (self->at == self->n_actions) {
        batch_end(self);
        return;
    }
    const struct action *action = &self->actions[self->at];
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

static void handle_screen(void *data, const struct error *screen_err)
{
    static const struct display_observer_ops ops = { .frame = handle_frame };
    struct batch *self = data;
    struct error err = { 0 };
    self->screen = NULL;
    if (screen_err) {
        op_fail(&self->op, screen_err);
        return;
    }
    display_flush(self->op.sandbox->display);
    if (resolve_space(self, &err) < 0 || check_plans(self, &err) < 0) {
        op_fail(&self->op, &err);
        return;
    }
    display_observe(self->op.sandbox->display, &self->observer, &ops, self);
    batch_next(self);
}

static void run(struct batch *self)
{
    struct error err = { 0 };
    struct sandbox *sandbox = self->op.sandbox;
    list_remove(&self->link);
    op_no_timer(&self->op);
    sandbox->batch = &self->op;
    self->is_running = true;
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
    error_set(&err, ERROR_BUSY, "another batch is running on sandbox %s", op->sandbox->id);
    op_fail(op, &err);
}

static void begin(struct op *op)
{
    struct batch *self = (struct batch *)op;
    struct sandbox *sandbox = op->sandbox;
    if (!sandbox->batch && !input_is_busy(sandbox->input)) {
        run(self);
    } else if (!sandbox->batch) {
        /* After an adoption every key is being released, which takes about 100 ms. */
        op_after(op, 20000, begin);
    } else if (self->queue_us > 0) {
        list_append(&sandbox->waiting, &self->link);
        op_after(op, self->queue_us, handle_queue_end);
    } else {
        handle_queue_end(op);
    }
}

static void start_next(struct sandbox *sandbox)
{
    if (!sandbox->batch && !list_empty(&sandbox->waiting)) {
        struct batch *next = list_first(&sandbox->waiting, struct batch, link);
        list_remove(&next->link);
        op_no_timer(&next->op);
        defer_request(next->op.defer); /* begins anew, in the next turn */
    }
}

static void stop(struct op *op, bool is_aborted)
{
    struct batch *self = (struct batch *)op;
    struct sandbox *sandbox = op->sandbox;
    list_remove(&self->link);
    self->screen = screen_wait_cancel(self->screen);
    self->settle = settle_wait_cancel(self->settle);
    self->shot = shot_cancel(self->shot);
    display_unobserve(&self->observer);
    if (self->is_playing) {
        self->is_playing = false;
        input_cancel(sandbox->input);
    }
    if (!self->is_running)
        return;
    if (is_aborted)
        input_release_all(sandbox->input);
    sandbox->batch = NULL;
    desktop_watch_latches(sandbox);
    if (json_array_size(self->results) > 0)
        json_object_set(op->body, "results", self->results);
    start_next(sandbox);
}

static void deinit(struct op *op)
{
    struct batch *self = (struct batch *)op;
    for (size_t i = 0; i < self->n_actions; i++)
        action_deinit(&self->actions[i]);
    free(self->actions);
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
    if (!self->results || parse(self, request, err) < 0)
        return op_drop(op);
    self->settled_action = self->n_actions;
    return op_start(op);
}
