/* GET …/desktop/screenshot: now, when settled, or when the screen is another than the one the caller
 * has (a long poll, at most wait_ms). */
#include "base/clock.h"
#include "farm/op.h"
#include "farm/sandbox-impl.h"
#include "farm/shot.h"

#include <errno.h>

struct screenshot {
    struct op op;
    struct shot_params params;
    bool wants_settle;
    struct settle_params settle_params;
    int64_t wait_us, deadline_us;
    struct screen_wait *screen;
    struct settle_wait *settle;
    struct shot *shot;
    struct display_observer observer;
};

static void take(struct screenshot *self);

static void handle_shot(void *data, struct shot_result *result, const struct error *err)
{
    struct screenshot *self = data;
    self->shot = NULL;
    if (err) {
        op_fail(&self->op, err);
        return;
    }
    struct sandbox *sandbox = self->op.sandbox;
    struct answer answer = { .image = result->bytes, .is_unchanged = result->is_unchanged };
    json_object_set_new(self->op.body, "changed", json_boolean(!result->is_unchanged));
    if (result->is_unchanged) {
        json_object_set_new(self->op.body, "frame", json_integer(display_frame_id(sandbox->display)));
    } else {
        json_object_set_new(self->op.body, "image", result->image);
        answer.content_type = still_format_mime(result->format);
        memcpy(answer.etag, result->etag, sizeof answer.etag);
    }
    json_object_set_new(self->op.body, "screen", desktop_screen_json(sandbox));
    json_object_set_new(self->op.body, "cursor", desktop_cursor_json(sandbox));
    op_finish(&self->op, &answer);
}

static void take(struct screenshot *self)
{
    struct error err = { 0 };
    display_unobserve(&self->observer);
    op_no_timer(&self->op);
    self->shot = shot_start(self->op.sandbox, &self->params, handle_shot, self, &err);
    if (!self->shot)
        op_fail(&self->op, &err);
}

static void handle_settled(void *data, struct settle *settle, bool is_lost maybe_unused)
{
    struct screenshot *self = data;
    self->settle = NULL;
    json_object_set_new(self->op.body, "settle", shot_settle_json(settle));
    take(self);
}

static void handle_frame(void *data, const struct frame_update *update)
{
    struct screenshot *self = data;
    if (update->frame->id != self->params.if_changed_since)
        take(self);
}

static void handle_poll_end(struct op *op)
{
    take((struct screenshot *)op);
}

/* The screen is on: settle, or wait for another frame, or take it at once. */
static void handle_screen(void *data, const struct error *err)
{
    static const struct display_observer_ops ops = { .frame = handle_frame };
    struct screenshot *self = data;
    struct display *display = self->op.sandbox->display;
    self->screen = NULL;
    if (err) {
        op_fail(&self->op, err);
        return;
    }
    if (self->wants_settle) {
        self->settle = settle_wait_start(display, &self->settle_params, 0, handle_settled, self);
        if (self->settle)
            return;
    }
    display_flush(display);
    if (self->wait_us > 0 && display_frame_id(display) == self->params.if_changed_since) {
        display_observe(display, &self->observer, &ops, self);
        op_after(&self->op, self->wait_us, handle_poll_end);
        return;
    }
    take(self);
}

static void begin(struct op *op)
{
    struct screenshot *self = (struct screenshot *)op;
    struct error err = { 0 };
    self->screen = screen_wait_start(op->sandbox, handle_screen, self);
    if (!self->screen) {
        error_errno(&err, ENOMEM, "taking a screenshot");
        op_fail(op, &err);
    }
}

static void stop(struct op *op, bool is_aborted maybe_unused)
{
    struct screenshot *self = (struct screenshot *)op;
    self->screen = screen_wait_cancel(self->screen);
    self->settle = settle_wait_cancel(self->settle);
    self->shot = shot_cancel(self->shot);
    display_unobserve(&self->observer);
}

struct op *sandbox_screenshot(struct sandbox *sandbox, const json_t *params, answer_fn done, void *data,
                              struct error *err)
{
    static const struct op_impl impl = { .begin = begin, .stop = stop, .runs_paused = true };
    struct op *op = op_new(sizeof(struct screenshot), &impl, sandbox, done, data, err);
    if (!op)
        return NULL;
    struct screenshot *self = (struct screenshot *)op;
    self->wants_settle = json_get_bool(params, "settle", false);
    self->wait_us = json_get_int(params, "wait_ms", 0) * 1000;
    if (shot_params_from_query(&self->params, params, err) < 0 ||
        shot_settle_params(&self->settle_params, params, err) < 0)
        return op_drop(op);
    return op_start(op);
}
