/* POST …/desktop/wait and PUT …/desktop/display: waiting for the screen without injecting anything.
 *
 * "up": the image said that its desktop is there, and it settled (UP_QUIET_US); images that say
 * nothing only settle. "settled": nothing changed for quiet_ms. Everything else is a condition
 * (farm/condition.h). */
#include "farm/wait.h"

#include "base/clock.h"
#include "farm/change.h"
#include "farm/condition.h"
#include "farm/op.h"
#include "farm/shot.h"

#include <errno.h>
#include <string.h>

#define UP_QUIET_US 2000000 /* panel and icons are painted one after the other */

enum purpose { WAIT_FOR_UP, WAIT_FOR_SETTLED, WAIT_FOR_CONDITION, WAIT_FOR_SIZE };

struct wait {
    struct op op;
    struct list up_link; /* sandbox->up_waiters */
    enum purpose purpose;
    int64_t max_us, started_us;
    struct settle_params settle_params;
    bool has_region, wants_shot;
    struct rect region;
    struct condition_spec spec;
    struct condition *condition;
    int width, height;
    struct shot_params shot_params;
    struct screen_wait *screen;
    struct settle_wait *settle;
    struct shot *shot;
    struct display_observer observer;
};

static void finish(struct wait *self, struct shot_result *result)
{
    struct answer answer = { 0 };
    struct sandbox *sandbox = self->op.sandbox;
    json_t *body = self->op.body;
    json_object_set_new(body, "waited_ms", json_real((double)(clock_now_us() - self->started_us) / 1e3));
    change_name_frame(sandbox, display_frame(sandbox->display));
    json_object_set_new(body, "frame", json_integer(display_frame_id(sandbox->display)));
    json_object_set_new(body, "screen", desktop_screen_json(sandbox));
    json_object_set_new(body, "cursor", desktop_cursor_json(sandbox));
    if (result && !result->is_unchanged) {
        json_object_set_new(body, "image", result->image);
        answer.image = result->bytes;
        answer.content_type = still_format_mime(result->format);
        memcpy(answer.etag, result->etag, sizeof answer.etag);
    }
    op_finish(&self->op, &answer);
}

static void handle_shot(void *data, struct shot_result *result, const struct error *err)
{
    struct wait *self = data;
    self->shot = NULL;
    if (err)
        op_fail(&self->op, err);
    else
        finish(self, result);
}

static void end(struct wait *self, const char *result)
{
    struct error err = { 0 };
    display_unobserve(&self->observer);
    self->condition = condition_cancel(self->condition);
    op_no_timer(&self->op);
    json_object_set_new(self->op.body, "result", json_string(result));
    if (!self->wants_shot) {
        finish(self, NULL);
        return;
    }
    self->shot = shot_start(self->op.sandbox, &self->shot_params, handle_shot, self, &err);
    if (!self->shot)
        op_fail(&self->op, &err);
}

static void handle_settled(void *data, struct settle *settle, bool is_lost)
{
    struct wait *self = data;
    self->settle = NULL;
    json_object_set_new(self->op.body, "settle", shot_settle_json(settle));
    end(self, is_lost ? "lost" : settle_state_name(settle->state));
}

static bool has_wanted_size(struct wait *self)
{
    const struct frame *frame = display_frame(self->op.sandbox->display);
    return frame && frame->width == self->width && frame->height == self->height;
}

static void handle_frame(void *data, const struct frame_update *update maybe_unused)
{
    struct wait *self = data;
    if (has_wanted_size(self))
        end(self, "resized");
}

static void handle_condition(void *data, json_t *found, const struct error *err)
{
    struct wait *self = data;
    self->condition = NULL;
    if (err) {
        op_fail(&self->op, err);
        return;
    }
    json_object_set_new(self->op.body, "found", found);
    end(self, self->spec.kind == CONDITION_CHANGE ? "changed" : self->spec.is_absent ? "gone" : "found");
}

static void handle_late(struct op *op)
{
    struct wait *self = (struct wait *)op;
    list_remove(&self->up_link);
    if (self->purpose != WAIT_FOR_SIZE) {
        end(self, "timed_out");
        return;
    }
    struct error err = { 0 };
    const struct frame *frame = display_frame(op->sandbox->display);
    error_set(&err, ERROR_TIMEOUT, "the guest did not take %dx%d; its screen is %dx%d", self->width,
              self->height, frame ? frame->width : 0, frame ? frame->height : 0);
    op_fail(op, &err);
}

static void handle_screen(void *data, const struct error *screen_err)
{
    static const struct display_observer_ops ops = { .frame = handle_frame };
    struct wait *self = data;
    struct display *display = self->op.sandbox->display;
    struct error err = { 0 };
    self->screen = NULL;
    if (screen_err) {
        op_fail(&self->op, screen_err);
        return;
    }
    display_flush(display);
    if (self->purpose == WAIT_FOR_SETTLED || self->purpose == WAIT_FOR_UP) {
        const struct frame *frame = display_frame(display);
        if (self->has_region && frame)
            shot_mask_outside(&self->settle_params, self->region, frame->width, frame->height);
        self->settle = settle_wait_start(display, &self->settle_params, 0, handle_settled, self);
        if (!self->settle) {
            error_errno(&err, ENOMEM, "waiting");
            op_fail(&self->op, &err);
        }
        return;
    }
    if (self->purpose == WAIT_FOR_CONDITION) {
        self->condition = condition_start(self->op.sandbox, &self->spec, false, handle_condition, self, &err);
        if (self->condition)
            op_after(&self->op, self->max_us, handle_late);
        else
            op_fail(&self->op, &err);
        return;
    }
    if (has_wanted_size(self)) {
        end(self, "resized");
        return;
    }
    if (display_resize(display, self->width, self->height, &err) < 0) {
        op_fail(&self->op, &err);
        return;
    }
    display_observe(display, &self->observer, &ops, self);
    op_after(&self->op, self->max_us, handle_late);
}

static void wait_for_screen(struct wait *self)
{
    struct op *op = &self->op;
    struct error err = { 0 };
    op_no_timer(op);
    self->screen = screen_wait_start(op->sandbox, handle_screen, self);
    if (!self->screen) {
        error_errno(&err, ENOMEM, "waiting");
        op_fail(op, &err);
    }
}

void wait_desktop_is_up(struct sandbox *sandbox)
{
    while (!list_empty(&sandbox->up_waiters)) {
        struct wait *self = list_first(&sandbox->up_waiters, struct wait, up_link);
        list_remove(&self->up_link);
        self->settle_params.max_us = MAX(self->max_us - (clock_now_us() - self->started_us), 0);
        wait_for_screen(self);
    }
}

static void begin(struct op *op)
{
    struct wait *self = (struct wait *)op;
    struct sandbox *sandbox = op->sandbox;
    self->started_us = clock_now_us();
    if (self->purpose != WAIT_FOR_UP || !sandbox->signals_up ||
        sandbox_is_up(sandbox)) {
        wait_for_screen(self);
        return;
    }
    list_append(&sandbox->up_waiters, &self->up_link);
    op_after(op, self->max_us, handle_late);
}

static void stop(struct op *op, bool is_aborted maybe_unused)
{
    struct wait *self = (struct wait *)op;
    list_remove(&self->up_link);
    self->screen = screen_wait_cancel(self->screen);
    self->settle = settle_wait_cancel(self->settle);
    self->condition = condition_cancel(self->condition);
    self->shot = shot_cancel(self->shot);
    display_unobserve(&self->observer);
}

static void deinit(struct op *op)
{
    condition_spec_deinit(&((struct wait *)op)->spec);
}

static const struct op_impl impl = { .begin = begin, .stop = stop, .deinit = deinit };

static enum purpose purpose_of(const char *name, enum condition_kind *ret_kind)
{
    if (condition_kind_parse(name, ret_kind) == 0)
        return WAIT_FOR_CONDITION;
    return strcmp(name, "up") == 0 ? WAIT_FOR_UP : WAIT_FOR_SETTLED;
}

struct op *sandbox_wait(struct sandbox *sandbox, const json_t *request, answer_fn done, void *data,
                        struct error *err)
{
    struct op *op = op_new(sizeof(struct wait), &impl, sandbox, done, data, err);
    if (!op)
        return NULL;
    struct wait *self = (struct wait *)op;
    const json_t *region = json_object_get(request, "region");
    const json_t *screenshot = json_object_get(request, "screenshot");
    enum condition_kind kind = CONDITION_CHANGE;
    self->purpose = purpose_of(json_get_string(request, "for", "settled"), &kind);
    self->max_us = json_get_int(request, "max_ms", 30000) * 1000;
    self->has_region = json_is_object(region);
    self->region = (struct rect){ (int)json_get_int(region, "x", 0), (int)json_get_int(region, "y", 0),
                                  (int)json_get_int(region, "width", 0),
                                  (int)json_get_int(region, "height", 0) };
    self->wants_shot = json_is_object(screenshot);
    if (self->purpose == WAIT_FOR_CONDITION && condition_spec_read(&self->spec, kind, request, "", err) < 0)
        return op_drop(op);
    if (shot_settle_params(&self->settle_params, request, err) < 0 ||
        (self->wants_shot && shot_params_from_object(&self->shot_params, screenshot, err) < 0))
        return op_drop(op);
    self->settle_params.max_us = self->max_us;
    if (self->purpose == WAIT_FOR_UP && !json_object_get(request, "quiet_ms"))
        self->settle_params.quiet_us = UP_QUIET_US;
    return op_start(op);
}

struct op *sandbox_resize(struct sandbox *sandbox, const json_t *request, answer_fn done, void *data,
                          struct error *err)
{
    struct op *op = op_new(sizeof(struct wait), &impl, sandbox, done, data, err);
    if (!op)
        return NULL;
    struct wait *self = (struct wait *)op;
    self->purpose = WAIT_FOR_SIZE;
    self->max_us = json_get_int(request, "max_ms", 10000) * 1000;
    self->width = (int)json_get_int(request, "width", 0);
    self->height = (int)json_get_int(request, "height", 0);
    return op_start(op);
}
