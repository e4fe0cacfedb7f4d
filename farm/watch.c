/* POST …/desktop/watch: several conditions of one screen at once, told as they are met.
 *
 * Each is told once, and when all were the watch ends; with "repeat" a condition that was told must turn
 * false before it counts again (a change counts each time), until the time is over. One that fails is told
 * as failed and does not come again. */
#include "base/clock.h"
#include "farm/change.h"
#include "farm/condition.h"
#include "farm/op.h"
#include "farm/sandbox-impl.h"
#include "farm/shot.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define WATCH_ITEMS_MAX 16

struct item {
    struct watch_op *watch;
    char name[64];
    bool is_settled; /* kind "settled", else spec */
    struct condition_spec spec;
    struct condition *condition;
    struct settle_params settle_params;
    struct settle_wait *settle;
};

struct watch_op {
    struct op op;
    watch_event_fn on_event;
    struct screen_wait *screen;
    struct item items[WATCH_ITEMS_MAX];
    int n_items, n_open;
    bool repeats;
    int64_t max_us, started_us;
};

static int start_item(struct item *item, bool is_again, struct error *err);

static void tell(struct watch_op *self, json_t *event)
{
    json_object_set_new(event, "waited_ms", json_real((double)(clock_now_us() - self->started_us) / 1e3));
    self->on_event(self->op.data, event);
    json_decref(event);
}

static void end(struct watch_op *self, const char *why)
{
    json_object_set_new(self->op.body, "result", json_string(why));
    json_object_set_new(self->op.body, "frame", json_integer(display_frame_id(self->op.sandbox->display)));
    op_finish(&self->op, &(struct answer){ 0 });
}

static json_t *event_of(const struct item *item, const char *type)
{
    return json_pack("{ss si ss ss}", "type", type, "index", (int)(item - item->watch->items), "name", item->name, "for",
                     item->is_settled ? "settled" : condition_kind_name(item->spec.kind));
}

/* The event of item is told; what comes next for it. */
static void go_on(struct item *item, bool has_failed)
{
    struct watch_op *self = item->watch;
    struct error err = { 0 };
    if (self->repeats && !has_failed && start_item(item, true, &err) == 0)
        return;
    if (--self->n_open == 0)
        end(self, "done");
}

static void tell_failed(struct item *item, const struct error *err)
{
    json_t *event = event_of(item, "failed");
    json_object_set_new(event, "code", json_string(error_code_name(err->code)));
    json_object_set_new(event, "message", json_string(err->message));
    tell(item->watch, event);
}

static void handle_met(void *data, json_t *found, const struct error *err)
{
    struct item *item = data;
    struct sandbox *sandbox = item->watch->op.sandbox;
    item->condition = NULL;
    if (err) {
        tell_failed(item, err);
    } else {
        json_t *event = event_of(item, "fired");
        json_object_set(event, "frame", json_object_get(found, "frame"));
        json_object_set_new(event, "found", found);
        change_name_frame(sandbox, display_frame(sandbox->display));
        tell(item->watch, event);
    }
    go_on(item, err != NULL);
}

static void handle_settled(void *data, struct settle *settle, bool is_lost)
{
    struct item *item = data;
    struct sandbox *sandbox = item->watch->op.sandbox;
    item->settle = NULL;
    json_t *event = event_of(item, "fired");
    json_object_set_new(event, "frame", json_integer(display_frame_id(sandbox->display)));
    json_object_set_new(event, "settle", shot_settle_json(settle));
    change_name_frame(sandbox, display_frame(sandbox->display));
    tell(item->watch, event);
    go_on(item, is_lost);
}

static int start_settled(struct item *item, struct error *err)
{
    const struct frame *frame = display_frame(item->watch->op.sandbox->display);
    struct settle_params params = item->settle_params;
    if (item->spec.region.w && frame)
        shot_mask_outside(&params, item->spec.region, frame->width, frame->height);
    item->settle = settle_wait_start(item->watch->op.sandbox->display, &params, 0, handle_settled, item);
    return item->settle ? 0 : error_errno(err, ENOMEM, "watching");
}

/* Again: something has to change before the screen can settle another time. */
static int start_item(struct item *item, bool is_again, struct error *err)
{
    struct sandbox *sandbox = item->watch->op.sandbox;
    if (item->is_settled)
        return is_again ? error_set(err, ERROR_INTERNAL, "once") : start_settled(item, err);
    struct condition_spec spec = item->spec;
    bool must_turn = is_again && spec.kind != CONDITION_CHANGE;
    if (is_again)
        spec.since = 0;
    item->condition = condition_start(sandbox, &spec, must_turn, handle_met, item, err);
    return item->condition ? 0 : -1;
}

static void handle_late(struct op *op)
{
    end((struct watch_op *)op, "timed_out");
}

static void handle_screen(void *data, const struct error *screen_err)
{
    struct watch_op *self = data;
    self->screen = NULL;
    if (screen_err) {
        op_fail(&self->op, screen_err);
        return;
    }
    op_after(&self->op, self->max_us, handle_late);
    self->n_open = self->n_items;
    tell(self, json_pack("{ss sI}", "type", "begin", "frame", (json_int_t)display_frame_id(self->op.sandbox->display)));
    int n_failed = 0;
    for (int i = 0; i < self->n_items; i++) {
        struct error err = { 0 };
        if (start_item(&self->items[i], false, &err) < 0) {
            tell_failed(&self->items[i], &err);
            n_failed++;
        }
    }
    self->n_open -= n_failed;
    if (self->n_open == 0)
        end(self, "done");
}

static void begin(struct op *op)
{
    struct watch_op *self = (struct watch_op *)op;
    struct error err = { 0 };
    self->started_us = clock_now_us();
    self->screen = screen_wait_start(op->sandbox, handle_screen, self);
    if (!self->screen) {
        error_errno(&err, ENOMEM, "watching");
        op_fail(op, &err);
    }
}

static void stop(struct op *op, bool is_aborted maybe_unused)
{
    struct watch_op *self = (struct watch_op *)op;
    self->screen = screen_wait_cancel(self->screen);
    for (int i = 0; i < self->n_items; i++) {
        self->items[i].condition = condition_cancel(self->items[i].condition);
        self->items[i].settle = settle_wait_cancel(self->items[i].settle);
    }
}

static void deinit(struct op *op)
{
    struct watch_op *self = (struct watch_op *)op;
    for (int i = 0; i < self->n_items; i++)
        condition_spec_deinit(&self->items[i].spec);
}

static int read_item(struct watch_op *self, const json_t *object, struct error *err)
{
    struct item *item = &self->items[self->n_items];
    const char *kind_name = json_get_string(object, "for", "change");
    const json_t *region = json_object_get(object, "region");
    enum condition_kind kind;
    char where[32];
    snprintf(where, sizeof where, "conditions[%d].", self->n_items);
    item->watch = self;
    snprintf(item->name, sizeof item->name, "%s", json_get_string(object, "name", ""));
    self->n_items++;
    if (condition_kind_parse(kind_name, &kind) == 0)
        return condition_spec_read(&item->spec, kind, object, where, err);
    item->is_settled = true;
    item->spec.region = (struct rect){ (int)json_get_int(region, "x", 0), (int)json_get_int(region, "y", 0),
                                       (int)json_get_int(region, "width", 0), (int)json_get_int(region, "height", 0) };
    int r = shot_settle_params(&item->settle_params, object, err);
    item->settle_params.max_us = self->max_us;
    return r;
}

struct op *sandbox_watch(struct sandbox *sandbox, const json_t *request, watch_event_fn on_event, answer_fn done, void *data,
                         struct error *err)
{
    static const struct op_impl impl = { .begin = begin, .stop = stop, .deinit = deinit };
    struct op *op = op_new(sizeof(struct watch_op), &impl, sandbox, done, data, err);
    if (!op)
        return NULL;
    struct watch_op *self = (struct watch_op *)op;
    const json_t *list = json_object_get(request, "conditions"), *object;
    size_t i;
    self->on_event = on_event;
    self->repeats = json_get_bool(request, "repeat", false);
    self->max_us = json_get_int(request, "max_ms", 60000) * 1000;
    json_array_foreach(list, i, object)
    {
        if (read_item(self, object, err) < 0)
            return op_drop(op);
    }
    return op_start(op);
}
