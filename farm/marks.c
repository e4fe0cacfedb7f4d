/* POST …/desktop/marks: a screenshot with numbered boxes around what can be pointed at, and the list of them.
 *
 * Boxes come from the text on the screen and from the guest's accessibility tree (interactive roles that are
 * showing), in this order of preference: a text inside a control is that control's. When the caller names no
 * sources, a guest without accessibility is no error. Drawing and encoding run on a worker. */
#include "display/overlay.h"
#include "farm/find.h"
#include "farm/helper.h"
#include "farm/ocr.h"
#include "farm/sandbox-impl.h"
#include "farm/shot.h"
#include "farm/sight.h"

#include <errno.h>
#include <string.h>

#define MARKS_MAX 500
#define MARKS_PRESET 200
#define TREE_US 8000000

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
    struct op op;
    json_t *request;
    struct place place;
    struct space space;
    struct shot_params shot_params;
    bool wants_text, wants_nodes, must_nodes;
    struct rect region;
    struct screen_wait *screen;
    struct frame *frame;
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
        op_fail(&self->op, &err);
        return;
    }
    const struct still still = {
        .bytes = drawing->bytes, .frame_id = drawing->frame->id, .epoch = drawing->frame->epoch,
        .captured_us = drawing->frame->captured_us, .frame_width = drawing->frame->width,
        .frame_height = drawing->frame->height, .params = drawing->params,
    };
    struct answer answer = { .image = drawing->bytes, .content_type = still_format_mime(drawing->params.format) };
    json_object_set_new(self->op.body, "image", shot_image_json(&still, answer.etag, sizeof answer.etag));
    find_finish(&self->op, self->frame, &answer);
    drawing_free(drawing);
}

static int start_drawing(struct marks *self, struct error *err)
{
    struct drawing *drawing = calloc(1, sizeof *drawing);
    const struct cursor *cursor = display_cursor(self->op.sandbox->display);
    const json_t *mark, *list = json_object_get(self->op.body, "marks");
    size_t i;
    if (!drawing)
        return error_errno(err, ENOMEM, "drawing marks");
    *drawing = (struct drawing){ .marks = self, .frame = frame_ref(self->frame), .cursor = *cursor };
    cursor_shape_ref(drawing->cursor.shape);
    shot_apply_scale(&self->shot_params, self->frame);
    drawing->params = self->shot_params.still;
    json_array_foreach(list, i, mark)
    {
        const json_t *native = json_object_get(mark, "native");
        drawing->boxes[drawing->n++] = (struct rect){
            (int)json_get_int(native, "x", 0), (int)json_get_int(native, "y", 0),
            (int)json_get_int(native, "width", 0), (int)json_get_int(native, "height", 0) };
    }
    int r = still_params_resolve(&drawing->params, self->frame, err);
    if (r == 0 && worker_submit(farm_pool(self->op.sandbox->farm), WORK_LATENCY, draw, handle_drawn, drawing) < 0)
        r = error_errno(err, ENOMEM, "drawing marks");
    if (r < 0)
        drawing_free(drawing);
    else
        self->drawing = drawing;
    return r;
}

/* --- The list ---------------------------------------------------------------------------------- */

static struct rect rect_of(const json_t *object)
{
    return (struct rect){ (int)json_get_int(object, "x", 0), (int)json_get_int(object, "y", 0),
                          (int)json_get_int(object, "width", 0), (int)json_get_int(object, "height", 0) };
}

/* Whether most of r lies in a mark that is there. */
static bool is_covered(const json_t *marks, struct rect r)
{
    const json_t *mark;
    size_t i;
    json_array_foreach(marks, i, mark)
    {
        struct rect common = rect_intersect(rect_of(json_object_get(mark, "native")), r);
        if (2 * (int64_t)common.w * common.h > (int64_t)r.w * r.h)
            return true;
    }
    return false;
}

static void add_marks(struct marks *self, json_t *marks, const json_t *found, const char *source)
{
    static const char *const kept[] = { "text", "role", "name", "node", "score" };
    const json_t *item;
    size_t i;
    json_array_foreach(found, i, item)
    {
        struct rect r = rect_of(item);
        if ((int)json_array_size(marks) >= self->limit || is_covered(marks, r))
            continue;
        json_t *mark = place_rect_json(&self->space, r);
        json_object_set_new(mark, "number", json_integer((json_int_t)json_array_size(marks) + 1));
        json_object_set_new(mark, "source", json_string(source));
        json_object_set_new(mark, "native", json_pack("{si si si si}", "x", r.x, "y", r.y, "width", r.w, "height", r.h));
        for (size_t k = 0; k < ARRAY_LEN(kept); k++)
            if (json_object_get(item, kept[k]))
                json_object_set(mark, kept[k], json_object_get(item, kept[k]));
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
    json_object_set_new(self->op.body, "marks", marks);
    if (start_drawing(self, &err) < 0)
        op_fail(&self->op, &err);
}

static void handle_read(void *data, const struct word *list, int n, const struct error *err)
{
    struct marks *self = data;
    self->read = NULL;
    if (err) {
        op_fail(&self->op, err);
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
        struct rect r = rect_intersect(rect_of(json_object_get(item, "bounds")), self->region);
        if (rect_is_empty(r) || r.w < 4 || r.h < 4 || !is_interactive(json_get_string(item, "role", "")))
            continue;
        json_t *node = json_pack("{si si si si sO? sO? sO?}", "x", r.x, "y", r.y, "width", r.w, "height", r.h, "role",
                                 json_object_get(item, "role"), "name", json_object_get(item, "name"), "node",
                                 json_object_get(item, "id"));
        json_array_append_new(self->nodes, node);
    }
}

static void handle_nodes(void *data, const json_t *result, struct buf *output, const struct error *err)
{
    struct marks *self = data;
    auto_json json_t *list = NULL;
    self->call = NULL;
    if (err && self->must_nodes) {
        op_fail(&self->op, err);
        return;
    }
    if (!err && output->size > 0)
        list = json_loadb((const char *)output->data, output->size, 0, NULL);
    if (!err)
        take_nodes(self, json_object_get(list ? list : result, "items"));
    proceed(self);
}

/* --- The course -------------------------------------------------------------------------------- */

static int ask_nodes(struct marks *self, struct error *err)
{
    struct error own = { 0 };
    json_t *request = json_pack("{s[s] si si sI}", "states", "showing", "limit", 1000, "text_max", 0, "within_ms",
                                (json_int_t)(TREE_US / 2000));
    self->call = helper_call_new(self->op.sandbox, "a11y.find", request, NULL, TREE_US, handle_nodes, self, &own);
    if (self->call || !self->must_nodes)
        return 0;
    *err = own;
    return -1;
}

static int look(struct marks *self, struct error *err)
{
    struct display *display = self->op.sandbox->display;
    display_flush(display);
    int r = place_resolve(&self->place, self->op.sandbox, &self->space, err);
    if (r == 0)
        r = find_region(self->request, &self->space, &self->region, err);
    if (r < 0)
        return r;
    self->frame = frame_ref(display_frame(display));
    if (self->wants_nodes && ask_nodes(self, err) < 0)
        return -1;
    if (self->wants_text) {
        self->read = ocr_read_start(self->op.sandbox, self->frame, self->region, handle_read, self);
        if (!self->read)
            return error_errno(err, ENOMEM, "reading the screen");
    }
    return 0;
}

static void handle_screen(void *data, const struct error *screen_err)
{
    struct marks *self = data;
    struct error err = { 0 };
    self->screen = NULL;
    if (screen_err)
        op_fail(&self->op, screen_err);
    else if (look(self, &err) < 0)
        op_fail(&self->op, &err);
    else
        proceed(self);
}

static void begin(struct op *op)
{
    struct marks *self = (struct marks *)op;
    struct error err = { 0 };
    self->screen = screen_wait_start(op->sandbox, handle_screen, self);
    if (!self->screen) {
        error_errno(&err, ENOMEM, "looking at the screen");
        op_fail(op, &err);
    }
}

static void stop(struct op *op, bool is_aborted maybe_unused)
{
    struct marks *self = (struct marks *)op;
    self->screen = screen_wait_cancel(self->screen);
    self->read = ocr_read_cancel(self->read);
    self->call = helper_call_cancel(self->call);
    if (self->drawing)
        self->drawing->marks = NULL;
    self->drawing = NULL;
}

static void deinit(struct op *op)
{
    struct marks *self = (struct marks *)op;
    frame_unref(self->frame);
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
    static const struct op_impl impl = { .begin = begin, .stop = stop, .deinit = deinit };
    struct op *op = op_new(sizeof(struct marks), &impl, sandbox, done, data, err);
    if (!op)
        return NULL;
    struct marks *self = (struct marks *)op;
    self->request = json_incref((json_t *)(uintptr_t)request);
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
