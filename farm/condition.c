/* A table says for each kind where it looks and how. A look ends in judge(), with what was found (an
 * object, or NULL for nothing) in a certain frame. The pictures' search is narrowed to what changed since
 * they were last not found: a match that was not there can only be where something changed. */
#include "farm/condition.h"

#include "farm/change.h"
#include "farm/helper.h"
#include "farm/ocr.h"
#include "farm/sandbox-impl.h"
#include "farm/sight.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define WINDOWS_US 10000000

struct condition {
    struct sandbox *sandbox;
    struct condition_spec spec;
    bool must_turn;
    condition_fn fn;
    void *data;
    struct display_observer observer;
    struct defer *defer; /* a look is due */
    struct rect area;    /* where it looks */
    struct rect dirty;   /* what changed there since the last look; empty: nothing */
    bool is_looking, is_first, was_found;
    struct frame *frame; /* of the look under way */
    struct sight *sight;
    struct ocr_read *read;
    struct helper_call *call;
    json_t *found;       /* change: told from within an observer, so answered a turn later */
};

/* --- The request ------------------------------------------------------------------------------- */

static const char *const names[CONDITION_KIND_COUNT] = { "change", "pixel", "image", "text", "window" };

int condition_kind_parse(const char *name, enum condition_kind *ret)
{
    for (int i = 0; i < CONDITION_KIND_COUNT; i++)
        if (strcmp(names[i], name) == 0) {
            *ret = (enum condition_kind)i;
            return 0;
        }
    return -EINVAL;
}

const char *condition_kind_name(enum condition_kind kind)
{
    return names[kind];
}

/* "#rrggbb" */
static int read_color(const char *text, uint32_t *ret)
{
    char *end;
    if (text[0] != '#' || strlen(text) != 7 || !isxdigit((unsigned char)text[1]))
        return -EINVAL;
    *ret = (uint32_t)strtoul(text + 1, &end, 16);
    return *end ? -EINVAL : 0;
}

static int read_kind(struct condition_spec *ret, const json_t *object, const char *where, struct error *err)
{
    static const char *const needed[CONDITION_KIND_COUNT] = {
        [CONDITION_PIXEL] = "color", [CONDITION_IMAGE] = "picture", [CONDITION_TEXT] = "text", [CONDITION_WINDOW] = "text",
    };
    const char *name = needed[ret->kind], *value = name ? json_get_string(object, name, NULL) : NULL;
    if (name && !value)
        return error_set(err, ERROR_MISSING_FIELD, "%s%s: needed for a wait of this kind", where, name);
    if (ret->kind == CONDITION_IMAGE)
        return sight_template(&ret->template, value, err);
    if (ret->kind == CONDITION_TEXT || ret->kind == CONDITION_WINDOW) {
        if (strlen(value) > CONDITION_TEXT_MAX || strspn(value, " \t\n") == strlen(value))
            return error_set(err, ERROR_BAD_VALUE, "%stext: 1 to %d bytes, not only spaces", where, CONDITION_TEXT_MAX);
        snprintf(ret->text, sizeof ret->text, "%s", value);
    }
    if (ret->kind == CONDITION_PIXEL) {
        if (!json_object_get(object, "x") || !json_object_get(object, "y"))
            return error_set(err, ERROR_MISSING_FIELD, "%sx, y: a pixel has both", where);
        if (read_color(value, &ret->color) < 0)
            return error_set(err, ERROR_BAD_VALUE, "%scolor: \"%.20s\" is not #rrggbb", where, value);
    }
    return 0;
}

int condition_spec_read(struct condition_spec *ret, enum condition_kind kind, const json_t *object,
                        const char *where, struct error *err)
{
    const json_t *region = json_object_get(object, "region");
    *ret = (struct condition_spec){
        .kind = kind,
        .is_absent = json_get_bool(object, "absent", false),
        .since = json_get_int(object, "since", 0),
        .x = (int)json_get_int(object, "x", 0),
        .y = (int)json_get_int(object, "y", 0),
        .tolerance = (int)json_get_int(object, "tolerance", kind == CONDITION_PIXEL ? 0 : TEMPLATE_TOLERANCE),
        .score = json_get_number(object, "min_score", TEMPLATE_SCORE),
        .region = { (int)json_get_int(region, "x", 0), (int)json_get_int(region, "y", 0),
                    (int)json_get_int(region, "width", 0), (int)json_get_int(region, "height", 0) },
    };
    if (json_is_object(region) && rect_is_empty(ret->region))
        return error_set(err, ERROR_BAD_VALUE, "%sregion: width and height must be at least 1", where);
    if (ret->is_absent && kind == CONDITION_CHANGE)
        return error_set(err, ERROR_BAD_VALUE, "%sabsent: a change is no thing; wait for settled", where);
    return read_kind(ret, object, where, err);
}

void condition_spec_deinit(struct condition_spec *self)
{
    self->template = template_unref(self->template);
}

/* --- Judging ----------------------------------------------------------------------------------- */

struct condition *condition_cancel(struct condition *self)
{
    if (self) {
        display_unobserve(&self->observer);
        defer_free(self->defer);
        sight_cancel(self->sight);
        ocr_read_cancel(self->read);
        helper_call_cancel(self->call);
        frame_unref(self->frame);
        condition_spec_deinit(&self->spec);
        json_decref(self->found);
        free(self);
    }
    return NULL;
}

static void tell(struct condition *self, json_t *found, const struct error *err)
{
    condition_fn fn = self->fn;
    void *data = self->data;
    condition_cancel(self);
    fn(data, found, err);
}

/* The end of a look. found is stolen; NULL: what is looked for is not there. */
static void judge(struct condition *self, json_t *found)
{
    bool is_met = !found == self->spec.is_absent;
    int64_t frame = self->frame ? self->frame->id : display_frame_id(self->sandbox->display);
    self->frame = frame_unref(self->frame);
    self->is_looking = false;
    self->was_found = found != NULL;
    self->is_first = false;
    if (is_met && !self->must_turn) {
        json_t *result = found ? found : json_object();
        json_object_set_new(result, "frame", json_integer(frame));
        tell(self, result, NULL);
        return;
    }
    self->must_turn &= is_met;
    json_decref(found);
    if (!rect_is_empty(self->dirty))
        defer_request(self->defer);
}

static void fail(struct condition *self, const struct error *err)
{
    tell(self, NULL, err);
}

/* --- Pixel ------------------------------------------------------------------------------------- */

static void look_at_pixel(struct condition *self)
{
    uint32_t pixel;
    bool is_equal = true;
    frame_read(self->frame, (struct rect){ self->spec.x, self->spec.y, 1, 1 }, &pixel, 1);
    for (int shift = 0; shift <= 16; shift += 8)
        is_equal &= abs((int)(pixel >> shift & 255) - (int)(self->spec.color >> shift & 255)) <= self->spec.tolerance;
    char text[8];
    snprintf(text, sizeof text, "#%06x", pixel & 0xffffff);
    judge(self, is_equal ? json_pack("{ss}", "color", text) : NULL);
}

/* --- Image ------------------------------------------------------------------------------------- */

static void handle_sight(void *data, json_t *matches, const struct error *err)
{
    struct condition *self = data;
    self->sight = NULL;
    if (err) {
        fail(self, err);
        return;
    }
    bool is_found = json_array_size(matches) > 0;
    judge(self, is_found ? json_pack("{sO}", "matches", matches) : NULL);
    json_decref(matches);
}

static struct rect narrowed(const struct condition *self, struct rect dirty)
{
    if (!self->spec.template)
        return self->area;
    int w = template_width(self->spec.template), h = template_height(self->spec.template);
    if (self->is_first || self->was_found || rect_is_empty(dirty))
        return self->area;
    return rect_intersect(self->area, (struct rect){ dirty.x - w, dirty.y - h, dirty.w + 2 * w, dirty.h + 2 * h });
}

/* --- Text -------------------------------------------------------------------------------------- */

static void handle_read(void *data, const struct word *list, int n, const struct error *err)
{
    struct condition *self = data;
    self->read = NULL;
    if (err) {
        fail(self, err);
        return;
    }
    json_t *matches = sight_texts(list, n, self->spec.text, SIGHT_LIMIT);
    bool is_found = json_array_size(matches) > 0;
    judge(self, is_found ? json_pack("{sO}", "matches", matches) : NULL);
    json_decref(matches);
}

/* --- Window ------------------------------------------------------------------------------------ */

static bool has_title(const json_t *window, const char *wanted)
{
    const char *title = json_get_string(window, "title", "");
    return strcasestr(title, wanted) != NULL;
}

static void handle_windows(void *data, const json_t *result, struct buf *output, const struct error *err)
{
    struct condition *self = data;
    auto_json json_t *list = NULL;
    json_t *window, *found = NULL;
    size_t i;
    self->call = NULL;
    if (!err && output->size > 0)
        list = json_loadb((const char *)output->data, output->size, 0, NULL);
    if (err) {
        fail(self, err);
        return;
    }
    json_array_foreach(json_object_get(list ? list : result, "items"), i, window)
    {
        if (has_title(window, self->spec.text) && !found)
            found = json_pack("{sO}", "window", window);
    }
    judge(self, found);
}

/* --- Looking ----------------------------------------------------------------------------------- */

static int look_elsewhere(struct condition *self, struct rect dirty, struct error *err)
{
    const struct template_search search = { .region = narrowed(self, dirty), .tolerance = self->spec.tolerance,
                                            .score = self->spec.score, .limit = SIGHT_LIMIT };
    switch (self->spec.kind) {
    case CONDITION_IMAGE:
        self->sight = sight_start(self->sandbox, self->frame, self->spec.template, &search, handle_sight, self);
        return self->sight ? 0 : error_errno(err, ENOMEM, "looking for an image");
    case CONDITION_TEXT:
        self->read = ocr_read_start(self->sandbox, self->frame, self->area, handle_read, self);
        return self->read ? 0 : error_errno(err, ENOMEM, "reading the screen");
    default:
        self->call = helper_call_new(self->sandbox, "windows", json_object(), NULL, WINDOWS_US, handle_windows, self, err);
        return self->call ? 0 : -1;
    }
}

static void look(void *data)
{
    struct condition *self = data;
    struct error err = { 0 };
    struct frame *frame = display_frame(self->sandbox->display);
    if (self->found) {
        tell(self, steal_ptr(&self->found), NULL);
        return;
    }
    if (self->is_looking || !frame || self->spec.kind == CONDITION_CHANGE ||
        !rect_fits(self->area, frame->width, frame->height))
        return;
    struct rect dirty = self->dirty;
    self->dirty = (struct rect){ 0 };
    self->is_looking = true;
    self->frame = frame_ref(frame);
    if (self->spec.kind == CONDITION_PIXEL)
        look_at_pixel(self);
    else if (look_elsewhere(self, dirty, &err) < 0)
        fail(self, &err);
}

/* --- What changes ------------------------------------------------------------------------------ */

static struct rect around(struct rect a, struct rect b)
{
    if (rect_is_empty(a))
        return b;
    int x = MIN(a.x, b.x), y = MIN(a.y, b.y);
    return (struct rect){ x, y, MAX(a.x + a.w, b.x + b.w) - x, MAX(a.y + a.h, b.y + b.h) - y };
}

static int place(struct condition *self, const struct frame *frame, struct error *err)
{
    struct rect screen = { 0, 0, frame->width, frame->height };
    const struct condition_spec *spec = &self->spec;
    struct rect wanted = spec->kind == CONDITION_PIXEL ? (struct rect){ spec->x, spec->y, 1, 1 }
                         : spec->region.w              ? spec->region : screen;
    if (spec->kind == CONDITION_WINDOW)
        wanted = screen;
    self->area = wanted;
    if (!rect_fits(wanted, frame->width, frame->height))
        return error_set(err, ERROR_OUTSIDE_SCREEN, "%d,%d %dx%d is not inside the %dx%d screen", wanted.x, wanted.y,
                         wanted.w, wanted.h, frame->width, frame->height);
    return 0;
}

static void note_change(struct condition *self, const struct frame_update *update)
{
    json_t *rects = change_counted_json(update, self->area);
    if (!rects)
        return;
    json_decref(self->found);
    self->found = json_pack("{sI so}", "frame", (json_int_t)update->frame->id, "changed", rects);
    display_unobserve(&self->observer);
    defer_request(self->defer);
}

static void handle_frame(void *data, const struct frame_update *update)
{
    struct condition *self = data;
    struct error err = { 0 };
    if (update->is_new_epoch && place(self, update->frame, &err) < 0)
        return; /* it may come back to a size where the place exists */
    if (self->spec.kind == CONDITION_CHANGE) {
        note_change(self, update);
        return;
    }
    for (int i = 0; i < update->n_changes; i++) {
        struct rect tile = frame_tile_rect(update->frame, update->changes[i].index);
        self->dirty = around(self->dirty, rect_intersect(tile, self->area));
    }
    if (update->is_new_epoch) {
        self->dirty = self->area;
        self->is_first = true;
    }
    if (!rect_is_empty(self->dirty) && !self->is_looking)
        defer_request(self->defer);
}

/* The screen is another than in frame since, in the area: that is a change already. */
static void note_since(struct condition *self, struct frame *frame)
{
    json_t *rects = self->spec.since ? change_since_json(self->sandbox->display, self->spec.since, self->area) : NULL;
    if (rects)
        self->found = json_pack("{sI so}", "frame", (json_int_t)frame->id, "changed", rects);
}

struct condition *condition_start(struct sandbox *sandbox, const struct condition_spec *spec, bool must_turn,
                                  condition_fn fn, void *data, struct error *err)
{
    static const struct display_observer_ops ops = { .frame = handle_frame };
    display_flush(sandbox->display);
    struct frame *frame = display_frame(sandbox->display);
    if (!frame) {
        error_set(err, ERROR_NOT_READY, "sandbox %s shows no screen", sandbox->id);
        return NULL;
    }
    if (spec->kind == CONDITION_WINDOW && !sandbox_agent(sandbox, err)) {
        error_wrap(err, "asking the guest for its windows");
        return NULL;
    }
    struct condition *self = calloc(1, sizeof *self);
    if (self)
        self->defer = defer_new(farm_loop(sandbox->farm), look, self);
    if (!self || !self->defer) {
        free(self);
        error_errno(err, ENOMEM, "waiting");
        return NULL;
    }
    self->sandbox = sandbox;
    self->spec = *spec;
    template_ref(self->spec.template);
    self->must_turn = must_turn;
    self->is_first = true;
    self->fn = fn;
    self->data = data;
    if (place(self, frame, err) < 0)
        return condition_cancel(self);
    if (spec->kind == CONDITION_CHANGE)
        note_since(self, frame);
    if (!self->found)
        display_observe(sandbox->display, &self->observer, &ops, self);
    defer_request(self->defer);
    return self;
}
