/* A shot waits for the screen (a listener that was just registered answers within a few
 * milliseconds), publishes what has arrived, and asks for a still of the current frame. Nothing is
 * encoded when the caller has that frame already. */
#include "farm/shot.h"

#include "base/clock.h"
#include "display/image-id.h"
#include "farm/change.h"
#include "farm/sandbox-impl.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

/* --- Parameters ---------------------------------------------------------------------------------- */

static int take_format(struct shot_params *ret, const json_t *from, struct error *err)
{
    const char *name = json_get_string(from, "format", "png");
    if (still_format_parse(name, &ret->still.format) < 0)
        return error_set(err, ERROR_BAD_VALUE, "format: \"%.20s\" is not png, jpeg or webp", name);
    ret->still.quality = (int)json_get_int(from, "quality", 0);
    ret->still.with_cursor = json_get_bool(from, "cursor", true);
    ret->scale = json_get_number(from, "scale", 0);
    ret->if_changed_since = json_get_int(from, "if_changed_since", 0);
    ret->is_cropped = json_get_bool(from, "crop", false);
    return 0;
}

static struct rect rect_from(const json_t *object)
{
    return (struct rect){ (int)json_get_int(object, "x", 0), (int)json_get_int(object, "y", 0),
                          (int)json_get_int(object, "width", 0),
                          (int)json_get_int(object, "height", 0) };
}

int shot_params_from_query(struct shot_params *ret, const json_t *query, struct error *err)
{
    *ret = (struct shot_params){ 0 };
    bool has_region = json_object_get(query, "x") || json_object_get(query, "y") ||
                      json_object_get(query, "width") || json_object_get(query, "height");
    if (has_region && !(json_object_get(query, "width") && json_object_get(query, "height")))
        return error_set(err, ERROR_MISSING_FIELD, "a region needs x, y, width and height");
    ret->still.region = rect_from(query);
    if (has_region && rect_is_empty(ret->still.region))
        return error_set(err, ERROR_BAD_VALUE, "width and height of a region must be at least 1");
    ret->still.width = (int)json_get_int(query, "out_width", 0);
    ret->still.height = (int)json_get_int(query, "out_height", 0);
    return take_format(ret, query, err);
}

int shot_params_from_object(struct shot_params *ret, const json_t *object, struct error *err)
{
    *ret = (struct shot_params){ 0 };
    const json_t *region = json_object_get(object, "region");
    if (region) {
        ret->still.region = rect_from(region);
        if (rect_is_empty(ret->still.region))
            return error_set(err, ERROR_BAD_VALUE, "region: width and height must be at least 1");
    }
    ret->still.width = (int)json_get_int(object, "width", 0);
    ret->still.height = (int)json_get_int(object, "height", 0);
    return take_format(ret, object, err);
}

void shot_params_from_action(struct shot_params *ret, const struct action *action,
                             const struct rect *region)
{
    static const enum still_format formats[] = {
        [IMAGE_PNG] = STILL_PNG, [IMAGE_JPEG] = STILL_JPEG, [IMAGE_WEBP] = STILL_WEBP,
    };
    *ret = (struct shot_params){
        .still = {
            .format = formats[action->format],
            .quality = action->quality,
            .width = action->width,
            .height = action->height,
            .with_cursor = action->with_cursor,
        },
        .if_changed_since = action->if_changed_since,
    };
    if (region)
        ret->still.region = *region;
}

int shot_settle_params(struct settle_params *ret, const json_t *object, struct error *err)
{
    *ret = (struct settle_params)SETTLE_PARAMS_DEFAULT;
    ret->first_us = json_get_int(object, "first_ms", SETTLE_FIRST_US / 1000) * 1000;
    ret->quiet_us = json_get_int(object, "quiet_ms", SETTLE_QUIET_US / 1000) * 1000;
    ret->max_us = json_get_int(object, "max_ms", SETTLE_MAX_US / 1000) * 1000;
    const json_t *masks = json_object_get(object, "masks");
    if (!masks)
        masks = json_object_get(object, "mask");
    if (json_array_size(masks) > SHOT_MASKS_MAX)
        return error_set(err, ERROR_BAD_VALUE, "masks: more than %d", SHOT_MASKS_MAX);
    for (size_t i = 0; i < json_array_size(masks); i++)
        ret->masks[ret->n_masks++] = rect_from(json_array_get(masks, i));
    return 0;
}

void shot_mask_outside(struct settle_params *params, struct rect region, int width, int height)
{
    int right = region.x + region.w, bottom = region.y + region.h;
    const struct rect around[] = {
        { 0, 0, width, region.y },
        { 0, bottom, width, height - bottom },
        { 0, region.y, region.x, region.h },
        { right, region.y, width - right, region.h },
    };
    for (size_t i = 0; i < ARRAY_LEN(around); i++)
        if (!rect_is_empty(around[i]) && params->n_masks < SETTLE_MASKS_MAX)
            params->masks[params->n_masks++] = around[i];
}

json_t *shot_settle_json(struct settle *settle)
{
    int n;
    const pixman_box32_t *boxes = settle_rects(settle, &n);
    json_t *changed = json_array();
    for (int i = 0; i < n; i++)
        json_array_append_new(changed, json_pack("{si si si si}", "x", boxes[i].x1, "y", boxes[i].y1,
                                                 "width", boxes[i].x2 - boxes[i].x1, "height",
                                                 boxes[i].y2 - boxes[i].y1));
    json_t *result = json_pack("{ss so}", "result", settle_state_name(settle->state), "changed", changed);
    if (settle->first_us) {
        json_object_set_new(result, "first_ms", json_real((double)(settle->first_us - settle->start_us) / 1e3));
        json_object_set_new(result, "last_ms", json_real((double)(settle->last_us - settle->start_us) / 1e3));
    }
    json_object_set_new(result, "waited_ms", json_real((double)(clock_now_us() - settle->start_us) / 1e3));
    return result;
}

/* --- Waiting for a screen ------------------------------------------------------------------------ */

struct screen_wait {
    struct sandbox *sandbox;
    struct display_observer observer;
    struct timer *timer;
    struct defer *defer;
    screen_fn done;
    void *data;
};

struct screen_wait *screen_wait_cancel(struct screen_wait *self)
{
    if (self) {
        display_unobserve(&self->observer);
        timer_free(self->timer);
        defer_free(self->defer);
        free(self);
    }
    return NULL;
}

static void answer_screen(struct screen_wait *self, const struct error *err)
{
    screen_fn done = self->done;
    void *data = self->data;
    screen_wait_cancel(self);
    done(data, err);
}

static void handle_screen(void *data, enum display_screen screen)
{
    struct screen_wait *self = data;
    /* In the next turn: the frame that comes with it is published after this call. */
    if (screen == DISPLAY_ON)
        defer_request(self->defer);
}

static void handle_screen_ready(void *data)
{
    struct screen_wait *self = data;
    if (display_screen(self->sandbox->display) == DISPLAY_ON)
        answer_screen(self, NULL);
}

static void handle_screen_late(void *data)
{
    struct screen_wait *self = data;
    struct error err = { 0 };
    error_set(&err, ERROR_NOT_READY, "sandbox %s shows no screen%s", self->sandbox->id,
              self->sandbox->state == SANDBOX_PENDING ? " yet: it is starting" : "");
    answer_screen(self, &err);
}

struct screen_wait *screen_wait_start(struct sandbox *sandbox, screen_fn done, void *data)
{
    static const struct display_observer_ops ops = { .screen = handle_screen };
    struct screen_wait *self = calloc(1, sizeof *self);
    if (!self)
        return NULL;
    self->sandbox = sandbox;
    self->done = done;
    self->data = data;
    self->timer = timer_new(farm_loop(sandbox->farm), handle_screen_late, self);
    self->defer = defer_new(farm_loop(sandbox->farm), handle_screen_ready, self);
    if (!self->timer || !self->defer)
        return screen_wait_cancel(self);
    display_observe(sandbox->display, &self->observer, &ops, self);
    timer_start(self->timer, SHOT_SCREEN_US);
    if (display_screen(sandbox->display) == DISPLAY_ON)
        defer_request(self->defer);
    return self;
}

/* --- The shot ------------------------------------------------------------------------------------ */

struct shot {
    struct sandbox *sandbox;
    struct shot_params params;
    struct screen_wait *screen;
    struct still_request *still;
    json_t *since; /* what is told of the changes */
    shot_fn done;
    void *data;
};

struct shot *shot_cancel(struct shot *self)
{
    if (self) {
        screen_wait_cancel(self->screen);
        still_cancel(self->still);
        json_decref(self->since);
        free(self);
    }
    return NULL;
}

static void answer_shot(struct shot *self, struct shot_result *result, const struct error *err)
{
    shot_fn done = self->done;
    void *data = self->data;
    json_decref(self->since);
    free(self);
    done(data, result, err);
}

json_t *shot_image_json(const struct still *still, char *etag, size_t size)
{
    const struct still_params *p = &still->params;
    struct image_id id = { .frame = still->frame_id, .width = p->width, .height = p->height,
                           .region = p->region };
    id.has_region = p->region.x || p->region.y || p->region.w != still->frame_width ||
                    p->region.h != still->frame_height;
    char text[IMAGE_ID_MAX];
    image_id_format(&id, text);
    /* Cursor and quality make other bytes of the same image. */
    snprintf(etag, size, "%.60s-%s-%016llx", text, still_format_name(p->format),
             (unsigned long long)XXH3_64bits(still->bytes->data, still->bytes->size));
    return json_pack("{ss sI sI ss si si s{si si si si} sf sb sI sI}", "id", text, "frame",
                     (json_int_t)still->frame_id, "epoch", (json_int_t)still->epoch, "format",
                     still_format_name(p->format), "width", p->width, "height", p->height, "region",
                     "x", p->region.x, "y", p->region.y, "width", p->region.w, "height", p->region.h,
                     "scale", (double)p->width / p->region.w, "cached", still->is_cached,
                     "captured_us", (json_int_t)still->captured_us, "encode_us",
                     (json_int_t)still->encode_us);
}

static void handle_still(void *data, const struct still *still, const struct error *err)
{
    struct shot *self = data;
    self->still = NULL;
    if (!still) {
        answer_shot(self, NULL, err);
        return;
    }
    farm_counters(self->sandbox->farm)->stills++;
    struct shot_result result = { .bytes = still->bytes, .format = still->params.format };
    result.image = shot_image_json(still, result.etag, sizeof result.etag);
    if (self->since)
        json_object_set(result.image, "since", self->since);
    answer_shot(self, &result, NULL);
}

void shot_apply_scale(struct shot_params *params, const struct frame *frame)
{
    struct still_params *p = &params->still;
    if (params->scale <= 0 || p->width || p->height)
        return;
    int w = p->region.w ? p->region.w : frame->width, h = p->region.w ? p->region.h : frame->height;
    p->width = MAX((int)lround(w * params->scale), 1);
    p->height = MAX((int)lround(h * params->scale), 1);
}

/* --- Only what changed --------------------------------------------------------------------------- */

#define CROP_MARGIN 8 /* native pixels around the changes */

/* The picture becomes the part that holds the changes, as large as it would have been in the whole one. */
static void crop(struct shot_params *params, const struct frame *frame, const pixman_box32_t *box)
{
    struct still_params *p = &params->still, whole = *p;
    struct rect part = { box->x1 - CROP_MARGIN, box->y1 - CROP_MARGIN, box->x2 - box->x1 + 2 * CROP_MARGIN,
                         box->y2 - box->y1 + 2 * CROP_MARGIN };
    if (still_params_resolve(&whole, frame, NULL) < 0)
        return; /* the request tells why */
    p->region = rect_intersect(part, whole.region);
    p->width = MAX((int)lround((double)p->region.w * whole.width / whole.region.w), 1);
    p->height = MAX((int)lround((double)p->region.h * whole.height / whole.region.h), 1);
}

static const char *known(struct display *display, int64_t id)
{
    return display_frame_by_id(display, id) ? "pixels" : "tiles";
}

/* False: what the picture would show is the same as in frame if_changed_since. */
static bool is_changed(struct shot *self, const struct frame *frame)
{
    struct display *display = self->sandbox->display;
    int64_t id = self->params.if_changed_since;
    struct rect region = self->params.still.region;
    pixman_region32_t changes;
    if (id == 0 || id == frame->id)
        return id == 0;
    if (region.w == 0)
        region = (struct rect){ 0, 0, frame->width, frame->height };
    pixman_region32_init(&changes);
    bool is_gone = change_since(display, id, frame, region, &changes) == CHANGE_GONE;
    bool ret = is_gone || pixman_region32_not_empty(&changes);
    if (ret)
        self->since = json_pack("{sI ss so}", "frame", (json_int_t)id, "known", is_gone ? "gone" : known(display, id),
                                "changed", change_rects_json(&changes));
    if (ret && !is_gone && self->params.is_cropped)
        crop(&self->params, frame, pixman_region32_extents(&changes));
    pixman_region32_fini(&changes);
    return ret;
}

static void handle_shot_screen(void *data, const struct error *screen_err)
{
    struct shot *self = data;
    struct error err = { 0 };
    struct display *display = self->sandbox->display;
    self->screen = NULL;
    if (screen_err) {
        answer_shot(self, NULL, screen_err);
        return;
    }
    display_flush(display);
    struct frame *frame = display_frame(display);
    if (!frame) {
        error_set(&err, ERROR_NOT_READY, "sandbox %s shows no screen", self->sandbox->id);
        answer_shot(self, NULL, &err);
        return;
    }
    change_name_frame(self->sandbox, frame);
    shot_apply_scale(&self->params, frame);
    if (!is_changed(self, frame)) {
        struct shot_result result = { .is_unchanged = true };
        answer_shot(self, &result, NULL);
        return;
    }
    if (stills_request(display_stills(display), frame, display_cursor(display), &self->params.still,
                       handle_still, self, &self->still, &err) < 0)
        answer_shot(self, NULL, &err);
}

struct shot *shot_start(struct sandbox *sandbox, const struct shot_params *params, shot_fn done,
                        void *data, struct error *err)
{
    struct shot *self = calloc(1, sizeof *self);
    if (self)
        self->screen = screen_wait_start(sandbox, handle_shot_screen, self);
    if (!self || !self->screen) {
        free(self);
        error_errno(err, ENOMEM, "taking a screenshot");
        return NULL;
    }
    self->sandbox = sandbox;
    self->params = *params;
    self->done = done;
    self->data = data;
    return self;
}
