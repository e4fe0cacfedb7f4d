/* POST …/desktop/find: where a text or a picture is on the screen, or all text there is.
 *
 * One look at the frame that is current when it begins; what comes later is not waited for (that is
 * …/desktop/wait). Places are told in native pixels and in the space that was asked for. */
#include "farm/find.h"

#include "farm/change.h"
#include "farm/ocr.h"
#include "farm/sandbox-impl.h"
#include "farm/sight.h"

#include <errno.h>
#include <string.h>

#define LINES_MAX 1000

struct find {
    struct find_op look;
    json_t *request;
    struct place place;
    struct space space;
    struct template *template;
    struct sight *sight;
    struct ocr_read *read;
};

/* --- What all who look share ------------------------------------------------------------------- */

static void handle_screen(void *data, const struct error *screen_err)
{
    struct find_op *self = data;
    struct error err = { 0 };
    self->screen = NULL;
    if (screen_err) {
        op_fail(&self->op, screen_err);
        return;
    }
    display_flush(self->op.sandbox->display);
    if (self->look(&self->op, &err) < 0)
        op_fail(&self->op, &err);
}

void find_begin(struct op *op)
{
    struct find_op *self = (struct find_op *)op;
    struct error err = { 0 };
    self->screen = screen_wait_start(op->sandbox, handle_screen, self);
    if (!self->screen) {
        error_errno(&err, ENOMEM, "looking at the screen");
        op_fail(op, &err);
    }
}

void find_stop(struct op *op)
{
    struct find_op *self = (struct find_op *)op;
    self->screen = screen_wait_cancel(self->screen);
}

void find_deinit(struct op *op)
{
    frame_unref(((struct find_op *)op)->frame);
}

int find_region(const json_t *request, const struct space *space, struct rect *ret, struct error *err)
{
    const json_t *region = json_object_get(request, "region");
    struct space_region native;
    *ret = (struct rect){ 0, 0, space->width, space->height };
    if (!json_is_object(region))
        return 0;
    int r = space_to_region(space, json_get_number(region, "x", 0), json_get_number(region, "y", 0),
                            json_get_number(region, "width", 0), json_get_number(region, "height", 0), &native, err);
    if (r < 0)
        error_wrap(err, "region");
    else
        *ret = (struct rect){ native.fx, native.fy, native.width, native.height };
    return r;
}

struct rect find_rect(const json_t *object)
{
    return (struct rect){ (int)json_get_int(object, "x", 0), (int)json_get_int(object, "y", 0),
                          (int)json_get_int(object, "width", 0), (int)json_get_int(object, "height", 0) };
}

json_t *find_item(const struct space *space, struct rect r, const json_t *about, const char *const *kept)
{
    json_t *item = place_rect_json(space, r);
    json_object_set_new(item, "native", json_pack("{si si si si}", "x", r.x, "y", r.y, "width", r.w, "height", r.h));
    for (size_t i = 0; kept[i]; i++)
        if (json_object_get(about, kept[i]))
            json_object_set(item, kept[i], json_object_get(about, kept[i]));
    return item;
}

void find_finish(struct op *op, struct answer *answer)
{
    struct frame *frame = ((struct find_op *)op)->frame;
    change_name_frame(op->sandbox, frame);
    json_object_set_new(op->body, "frame", json_integer(frame->id));
    json_object_set_new(op->body, "screen", json_pack("{si si}", "width", frame->width, "height", frame->height));
    op_finish(op, answer);
}

/* --- A text or a picture ----------------------------------------------------------------------- */

static json_t *place_matches(const struct find *self, const json_t *matches)
{
    static const char *const kept[] = { "score", "text", NULL };
    json_t *list = json_array(), *match;
    size_t i;
    json_array_foreach(matches, i, match)
        json_array_append_new(list, find_item(&self->space, find_rect(match), match, kept));
    return list;
}

static void finish(struct find *self, json_t *matches)
{
    json_object_set_new(self->look.op.body, "matches", place_matches(self, matches));
    json_decref(matches);
    find_finish(&self->look.op, &(struct answer){ 0 });
}

static void handle_sight(void *data, json_t *matches, const struct error *err)
{
    struct find *self = data;
    self->sight = NULL;
    if (err)
        op_fail(&self->look.op, err);
    else
        finish(self, matches);
}

static void handle_read(void *data, const struct word *list, int n, const struct error *err)
{
    struct find *self = data;
    const char *text = json_get_string(self->request, "text", NULL);
    int limit = (int)json_get_int(self->request, "limit", text ? SIGHT_LIMIT : LINES_MAX);
    self->read = NULL;
    if (err)
        op_fail(&self->look.op, err);
    else
        finish(self, text ? sight_texts(list, n, text, limit) : sight_lines(list, n, limit));
}

static int look(struct op *op, struct error *err)
{
    struct find *self = (struct find *)op;
    struct rect region;
    int r = place_resolve(&self->place, op->sandbox, &self->space, err);
    if (r == 0)
        r = find_region(self->request, &self->space, &region, err);
    if (r < 0)
        return r;
    struct frame *frame = self->look.frame = frame_ref(display_frame(op->sandbox->display));
    const struct template_search search = {
        .region = region,
        .tolerance = (int)json_get_int(self->request, "tolerance", TEMPLATE_TOLERANCE),
        .score = json_get_number(self->request, "min_score", TEMPLATE_SCORE),
        .limit = (int)MIN(json_get_int(self->request, "limit", SIGHT_LIMIT), TEMPLATE_MATCHES_MAX),
    };
    if (self->template)
        self->sight = sight_start(op->sandbox, frame, self->template, &search, handle_sight, self);
    else
        self->read = ocr_read_start(op->sandbox, frame, region, handle_read, self);
    return self->sight || self->read ? 0 : error_errno(err, ENOMEM, "looking at the screen");
}

static void stop(struct op *op, bool is_aborted maybe_unused)
{
    struct find *self = (struct find *)op;
    find_stop(op);
    self->sight = sight_cancel(self->sight);
    self->read = ocr_read_cancel(self->read);
}

static void deinit(struct op *op)
{
    struct find *self = (struct find *)op;
    template_unref(self->template);
    find_deinit(op);
    json_decref(self->request);
}

static int read_picture(struct find *self, struct error *err)
{
    const char *picture = json_get_string(self->request, "picture", NULL);
    if (!picture)
        return 0;
    if (json_object_get(self->request, "text"))
        return error_set(err, ERROR_BAD_VALUE, "text or picture: not both");
    return sight_template(&self->template, picture, err);
}

struct op *sandbox_find(struct sandbox *sandbox, const json_t *request, answer_fn done, void *data, struct error *err)
{
    static const struct op_impl impl = { .begin = find_begin, .stop = stop, .deinit = deinit, .runs_paused = true };
    struct op *op = op_new(sizeof(struct find), &impl, sandbox, done, data, err);
    if (!op)
        return NULL;
    struct find *self = (struct find *)op;
    self->look.look = look;
    self->request = json_incref((json_t *)(uintptr_t)request);
    if (place_read(&self->place, request, err) < 0 || read_picture(self, err) < 0)
        return op_drop(op);
    return op_start(op);
}
