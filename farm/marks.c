/* POST …/desktop/marks: a screenshot with numbered boxes around what can be pointed at, and the list of them.
 *
 * Boxes come from the text on the screen and from the guest's accessibility tree (interactive roles that are
 * showing), in this order of preference: a text inside a control is that control's. When the caller names no
 * sources, a guest without accessibility is no error; the answer says how complete its word is. Drawing and encoding
 * run on a worker. */
#include "display/overlay.h"
#include "farm/find.h"
#include "farm/helper.h"
#include "farm/ocr.h"
#include "farm/sandbox-impl.h"
#include "farm/sight.h"

#include <errno.h>
#include <string.h>

#define MARKS_MAX 500
#define MARKS_PRESET 200
#define TREE_US 8000000 /* for the guest's answer; it looks for half of that, then says what it has */

/* What is drawn and encoded; the worker's while is_busy. */
struct drawing {
    struct marks *marks; /* NULL: nobody waits */
    struct frame *frame;
    struct cursor cursor;
    struct still_params params;
    struct rect boxes[MARKS_MAX];
    int n;
    struct bytes *bytes;
};

struct marks {
    struct find_op look;
    json_t *request;
    struct place place;
    struct space space;
    struct shot_params shot_params;
    bool wants_text, wants_nodes, must_nodes;
    struct rect region;
    struct ocr_read *read;
    struct helper_call *call;
    struct drawing *drawing;
    json_t *nodes, *texts; /* [{x, y, width, height, …}], native */
    int limit;
};

/* --- Drawing ----------------------------------------------------------------------------------- */

static struct drawing *drawing_free(struct drawing *self)
{
    if (self) {
        frame_unref(self->frame);
        cursor_shape_unref(self->cursor.shape);
        bytes_unref(self->bytes);
        free(self);
    }
    return NULL;
}

static void draw(void *data)
{
    struct drawing *self = data;
    auto_frame struct frame *marked = overlay_boxes(self->frame, self->boxes, self->n);
    self->bytes = marked ? still_encode(marked, &self->cursor, &self->params) : NULL;
}

static void handle_drawn(void *data)
{
    struct drawing *drawing = data;
    struct marks *self = drawing->marks;
    struct error err = { 0 };
    if (!self) {
        drawing_free(drawing);
        return;
    }
    self->drawing = NULL;
    if (!drawing->bytes) {
        error_errno(&err, ENOMEM, "drawing marks");
        drawing_free(drawing);
        op_fail(&self->look.op, &err);
        return;
    }
    const struct still still = {
        .bytes = drawing->bytes, .frame_id = drawing->frame->id, .epoch = drawing->frame->epoch,
        .captured_us = drawing->frame->captured_us, .frame_width = drawing->frame->width,
        .frame_height = drawing->frame->height, .params = drawing->params,
    };
    struct answer answer = { .image = drawing->bytes, .content_type = still_format_mime(drawing->params.format) };
    json_object_set_new(self->look.op.body, "image", shot_image_json(&still, answer.etag, sizeof answer.etag));
    find_finish(&self->look.op, &answer);
    drawing_free(drawing);
}

static int start_drawing(struct marks *self, struct error *err)
{
    struct drawing *drawing = calloc(1, sizeof *drawing);
    struct frame *frame = self->look.frame;
    struct sandbox *sandbox = self->look.op.sandbox;
    const struct cursor *cursor = display_cursor(sandbox->display);
    const json_t *mark, *list = json_object_get(self->look.op.body, "marks");
    size_t i;
    if (!drawing)
        return error_errno(err, ENOMEM, "drawing marks");
    *drawing = (struct drawing){ .marks = self, .frame = frame_ref(frame), .cursor = *cursor };
    cursor_shape_ref(drawing->cursor.shape);
    shot_apply_scale(&self->shot_params, frame);
    drawing->params = self->shot_params.still;
    json_array_foreach(list, i, mark)
        drawing->boxes[drawing->n++] = find_rect(json_object_get(mark, "native"));
    int r = still_params_resolve(&drawing->params, frame, err);
    if (r == 0 && worker_submit(farm_pool(sandbox->farm), WORK_LATENCY, draw, handle_drawn, drawing) < 0)
        r = error_errno(err, ENOMEM, "drawing marks");
    if (r < 0)
        drawing_free(drawing);
    else
        self->drawing = drawing;
    return r;
}

/* --- The list ---------------------------------------------------------------------------------- */

/* Whether most of r lies in a mark that is there. */
static bool is_covered(const json_t *marks, struct rect r)
{
    const json_t *mark;
    size_t i;
    json_array_foreach(marks, i, mark)
    {
        struct rect common = rect_intersect(find_rect(json_object_get(mark, "native")), r);
        if (2 * (int64_t)common.w * common.h > (int64_t)r.w * r.h)
            return true;
    }
    return false;
}

static void add_marks(struct marks *self, json_t *marks, const json_t *found, const char *source)
{
    static const char *const kept[] = { "text", "role", "name", "node", "score", NULL };
    const json_t *item;
    size_t i;
    json_array_foreach(found, i, item)
    {
        struct rect r = find_rect(item);
        if ((int)json_array_size(marks) >= self->limit || is_covered(marks, r))
            continue;
        json_t *mark = find_item(&self->space, r, item, kept);
        json_object_set_new(mark, "number", json_integer((json_int_t)json_array_size(marks) + 1));
        json_object_set_new(mark, "source", json_string(source));
        json_array_append_new(marks, mark);
    }
}

static void proceed(struct marks *self)
{
    struct error err = { 0 };
    if (self->read || self->call)
        return;
    json_t *marks = json_array();
    add_marks(self, marks, self->nodes, "accessibility");
    add_marks(self, marks, self->texts, "text");
    json_object_set_new(self->look.op.body, "marks", marks);
    if (start_drawing(self, &err) < 0)
        op_fail(&self->look.op, &err);
}

static void handle_read(void *data, const struct word *list, int n, const struct error *err)
{
    struct marks *self = data;
    self->read = NULL;
    if (err) {
        op_fail(&self->look.op, err);
        return;
    }
    self->texts = sight_lines(list, n, MARKS_MAX);
    proceed(self);
}

/* Roles that a person would click or type into. */
static bool is_interactive(const char *role)
{
    static const char *const roles[] = {
        "push button", "button", "toggle button", "check box", "radio button", "menu", "menu item", "check menu item",
        "radio menu item", "combo box", "entry", "text", "password text", "spin button", "slider", "link", "page tab",
        "list item", "tree item", "table cell", "icon", "push button menu", "switch",
    };
    for (size_t i = 0; i < ARRAY_LEN(roles); i++)
        if (strcmp(roles[i], role) == 0)
            return true;
    return false;
}

static void take_nodes(struct marks *self, const json_t *items)
{
    const json_t *item;
    size_t i;
    json_array_foreach(items, i, item)
    {
        struct rect r = rect_intersect(find_rect(json_object_get(item, "bounds")), self->region);
        if (rect_is_empty(r) || r.w < 4 || r.h < 4 || !is_interactive(json_get_string(item, "role", "")))
            continue;
        json_t *node = json_pack("{si si si si sO? sO? sO?}", "x", r.x, "y", r.y, "width", r.w, "height", r.h, "role",
                                 json_object_get(item, "role"), "name", json_object_get(item, "name"), "node",
                                 json_object_get(item, "id"));
        json_array_append_new(self->nodes, node);
    }
}

/* What is not marked for want of the guest's word shall not be taken for not being there. */
static void tell_nodes(struct marks *self, const char *state, const char *why, const json_t *silent)
{
    json_object_set_new(self->look.op.body, "accessibility",
                        json_pack("{ss ss* sO*}", "state", state, "message", why, "silent", silent));
}

static void tell_no_nodes(struct marks *self, const struct error *err)
{
    tell_nodes(self, err->code == ERROR_TIMEOUT ? "late" : "missing", err->message, NULL);
}

static void tell_how_complete(struct marks *self, const json_t *result)
{
    const json_t *silent = json_object_get(result, "silent");
    silent = json_is_array(silent) ? silent : NULL;
    bool is_late = json_get_bool(result, "timed_out", false);
    if (is_late || json_array_size(silent) > 0)
        tell_nodes(self, "partial", is_late ? "the guest's programs were not asked in time" :
                   "some of the guest's programs did not answer", silent);
    else if (json_get_bool(result, "truncated", false))
        tell_nodes(self, "partial", "there are more nodes than are looked at", NULL);
    else
        tell_nodes(self, "complete", NULL, NULL);
}

static void handle_nodes(void *data, const json_t *result, struct buf *output, const struct error *err)
{
    struct marks *self = data;
    auto_json json_t *list = NULL;
    self->call = NULL;
    if (err && self->must_nodes) {
        op_fail(&self->look.op, err);
        return;
    }
    if (err) {
        tell_no_nodes(self, err);
    } else {
        if (output->size > 0)
            list = json_loadb((const char *)output->data, output->size, 0, NULL);
        take_nodes(self, json_object_get(list ? list : result, "items"));
        tell_how_complete(self, result);
    }
    proceed(self);
}

/* --- The course -------------------------------------------------------------------------------- */

static int ask_nodes(struct marks *self, struct error *err)
{
    struct error own = { 0 };
    json_t *request = json_pack("{s[s] si si sI}", "states", "showing", "limit", 1000, "text_max", 0, "within_us",
                                (json_int_t)(TREE_US / 2));
    self->call = helper_call_new(self->look.op.sandbox, "a11y.find", request, NULL, TREE_US, handle_nodes, self, &own);
    if (self->call)
        return 0;
    if (!self->must_nodes) {
        tell_no_nodes(self, &own);
        return 0;
    }
    *err = own;
    return -1;
}

static int look(struct op *op, struct error *err)
{
    struct marks *self = (struct marks *)op;
    int r = place_resolve(&self->place, op->sandbox, &self->space, err);
    if (r == 0)
        r = find_region(self->request, &self->space, &self->region, err);
    if (r < 0)
        return r;
    self->look.frame = frame_ref(display_frame(op->sandbox->display));
    if (self->wants_nodes && ask_nodes(self, err) < 0)
        return -1;
    if (self->wants_text) {
        self->read = ocr_read_start(op->sandbox, self->look.frame, self->region, handle_read, self);
        if (!self->read)
            return error_errno(err, ENOMEM, "reading the screen");
    }
    proceed(self);
    return 0;
}

static void stop(struct op *op, bool is_aborted maybe_unused)
{
    struct marks *self = (struct marks *)op;
    find_stop(op);
    self->read = ocr_read_cancel(self->read);
    self->call = helper_call_cancel(self->call);
    if (self->drawing)
        self->drawing->marks = NULL;
    self->drawing = NULL;
}

static void deinit(struct op *op)
{
    struct marks *self = (struct marks *)op;
    find_deinit(op);
    json_decref(self->request);
    json_decref(self->nodes);
    json_decref(self->texts);
}

static void read_sources(struct marks *self)
{
    const json_t *sources = json_object_get(self->request, "sources"), *name;
    size_t i;
    self->wants_text = self->wants_nodes = !sources;
    json_array_foreach(sources, i, name)
    {
        bool is_text = strcmp(json_string_value(name), "text") == 0;
        self->wants_text |= is_text;
        self->wants_nodes |= !is_text;
        self->must_nodes |= !is_text;
    }
}

struct op *sandbox_marks(struct sandbox *sandbox, const json_t *request, answer_fn done, void *data, struct error *err)
{
    static const struct op_impl impl = { .begin = find_begin, .stop = stop, .deinit = deinit };
    struct op *op = op_new(sizeof(struct marks), &impl, sandbox, done, data, err);
    if (!op)
        return NULL;
    struct marks *self = (struct marks *)op;
    self->request = json_incref((json_t *)(uintptr_t)request);
    self->look.look = look;
    self->nodes = json_array();
    self->limit = (int)json_get_int(request, "limit", MARKS_PRESET);
    read_sources(self);
    if (place_read(&self->place, request, err) < 0 ||
        shot_params_from_object(&self->shot_params, json_object_get(request, "screenshot"), err) < 0)
        return op_drop(op);
    if (self->shot_params.if_changed_since) {
        error_set(err, ERROR_BAD_VALUE, "screenshot.if_changed_since: marks are drawn anew each time");
        return op_drop(op);
    }
    return op_start(op);
}
