/* The first half of a batch: its request read, its coordinates' space fixed, each action planned once.
 * Nothing here injects anything, so whatever is wrong ends with the guest as it was. */
#include "farm/batch-impl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* --- Parsing ------------------------------------------------------------------------------------- */

void batch_add_refused(struct batch *self, size_t i)
{
    json_array_append_new(self->results, json_pack("{sI ss*}", "index", (json_int_t)i, "type", self->refused_type));
}

/* Action i cannot be done. 0 when the batch goes on without it and what follows. */
int batch_refuse(struct batch *self, size_t i, int r, struct error *err)
{
    json_object_set_new(self->op.body, "failed_action", json_integer((json_int_t)i));
    if (i < self->n_actions)
        self->refused_type = action_table[self->actions[i].type].name;
    if (!self->is_partial) {
        batch_add_refused(self, i);
        return r;
    }
    self->refused = *err;
    *err = (struct error){ 0 };
    for (size_t k = i; k < self->n_actions; k++)
        action_deinit(&self->actions[k]);
    self->n_actions = i;
    return 0;
}

static int parse_actions(struct batch *self, const json_t *request, struct error *err)
{
    const json_t *list = json_object_get(request, "actions");
    self->actions = calloc(json_array_size(list) + 1, sizeof *self->actions);
    self->effects = calloc(json_array_size(list) + 1, sizeof *self->effects);
    self->stale = calloc(json_array_size(list) + 1, sizeof *self->stale);
    if (!self->actions || !self->effects || !self->stale)
        return error_errno(err, ENOMEM, "reading actions");
    for (size_t i = 0; i < json_array_size(list); i++) {
        char where[32];
        snprintf(where, sizeof where, "actions[%zu]", i);
        int r = action_parse(&self->actions[i], json_array_get(list, i), where, err);
        if (r < 0)
            return batch_refuse(self, i, r, err);
        self->n_actions++;
    }
    return 0;
}

static int parse_space(struct batch *self, const json_t *request, struct error *err)
{
    const char *stale = json_get_string(request, "stale", "allow");
    self->stale_policy = strcmp(stale, "refuse") == 0 ? STALE_REFUSE
                         : strcmp(stale, "warn") == 0 ? STALE_WARN : STALE_ALLOW;
    return place_read(&self->place, request, err);
}

int batch_parse(struct batch *self, const json_t *request, struct error *err)
{
    const json_t *settle = json_object_get(request, "settle");
    const json_t *screenshot = json_object_get(request, "screenshot");
    self->wants_settle = !json_is_false(settle);
    self->wants_shot = !json_is_false(screenshot);
    self->is_partial = json_get_bool(request, "partial", false);
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

int batch_resolve_space(struct batch *self, struct error *err)
{
    return place_resolve(&self->place, self->op.sandbox, &self->space, err);
}

int batch_action_rect(const struct batch *self, const struct action *action, struct rect *ret,
                       struct error *err)
{
    struct space_region region;
    int r = space_to_region(&self->space, action->region.x, action->region.y, action->region.width,
                            action->region.height, &region, err);
    if (r == 0)
        *ret = (struct rect){ region.fx, region.fy, region.width, region.height };
    return r;
}

int batch_condition(const struct batch *self, const struct action *action, struct condition_spec *ret,
                    struct error *err)
{
    auto_json json_t *object = json_copy(action->wanted);
    struct rect region;
    enum condition_kind kind;
    int fx, fy, r = 0;
    if (condition_kind_parse(json_get_string(object, "kind", ""), &kind) < 0)
        return error_set(err, ERROR_BAD_VALUE, "kind: a wait without a condition");
    if (action->has_region)
        r = batch_action_rect(self, action, &region, err);
    if (r == 0 && action->has_region)
        json_object_set_new(object, "region", json_pack("{si si si si}", "x", region.x, "y", region.y, "width", region.w,
                                                        "height", region.h));
    if (r == 0 && action->has_x)
        r = space_to_native(&self->space, action->x, action->y, &fx, &fy, err);
    if (r < 0)
        return r;
    if (action->has_x) {
        json_object_set_new(object, "x", json_integer(fx));
        json_object_set_new(object, "y", json_integer(fy));
    }
    return condition_spec_read(ret, kind, object, "", err);
}

/* Nothing is injected when a later wait cannot be. */
static int check_condition(const struct batch *self, const struct action *action, struct error *err)
{
    struct condition_spec spec;
    int r = batch_condition(self, action, &spec, err);
    if (r == 0)
        condition_spec_deinit(&spec);
    return r;
}

/* The place that an action points at, as its caller saw it. All are looked at before anything is played: what the
 * batch itself changes is no surprise. */
static int check_stale(struct batch *self, size_t i, struct error *err)
{
    const struct action *action = &self->actions[i];
    const struct action_path *path = &action->path;
    bool has_point = action->has_x || path->n_points > 0;
    if (self->stale_policy == STALE_ALLOW || self->place.kind != SPACE_FRAME || !self->place.image.frame || !has_point)
        return 0;
    int fx, fy;
    int r = space_to_native(&self->space, action->has_x ? action->x : path->points[0].x,
                            action->has_x ? action->y : path->points[0].y, &fx, &fy, err);
    if (r < 0)
        return r;
    self->stale[i] = (uint8_t)stale_look(self->op.sandbox->display, self->place.image.frame, fx, fy);
    if (self->stale_policy == STALE_WARN || self->stale[i] == STALE_NO)
        return 0;
    return error_set(err, ERROR_STALE, "what is at %d,%d %s since frame %lld; look again", fx, fy,
                     self->stale[i] == STALE_CHANGED ? "has changed" : "may have changed",
                     (long long)self->place.image.frame);
}

/* Plans every action without playing it, so that the guest sees all or nothing of a wrong batch. */
int batch_check_plans(struct batch *self, struct error *err)
{
    struct sandbox *sandbox = self->op.sandbox;
    struct plan_context context = { .keymap = sandbox->keymap, .space = &self->space,
                                    .has_key = input_key_test(sandbox->input) };
    context.has_pointer = input_pointer(sandbox->input, &context.fx, &context.fy);
    for (size_t i = 0; i < self->n_actions; i++) {
        struct plan plan;
        struct rect region;
        int r = 0;
        if (self->actions[i].type == ACTION_TYPE) {
            r = batch_text_check(self, i, &context, err);
        } else if (action_is_played(&self->actions[i])) {
            r = plan_action(&plan, &self->actions[i], &context, err);
            if (r == 0)
                plan_deinit(&plan);
            /* From here on it is known; where exactly does not matter for a check. */
            context.has_pointer |= self->actions[i].has_x || self->actions[i].path.n_points > 0;
        } else if (self->actions[i].type == ACTION_WAIT_FOR && self->actions[i].kind != WAIT_SETTLED) {
            r = check_condition(self, &self->actions[i], err);
        } else if (self->actions[i].has_region) {
            r = batch_action_rect(self, &self->actions[i], &region, err);
        }
        if (r == 0)
            r = check_stale(self, i, err);
        if (r < 0) {
            error_wrap(err, "actions[%zu]", i);
            return batch_refuse(self, i, r, err);
        }
    }
    return 0;
}
