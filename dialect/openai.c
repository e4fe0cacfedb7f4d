/* OpenAI: computer_use_preview, whose call has one "action", and computer, whose call has "actions".
 *
 * However many actions a call has, it is answered with one picture, taken when the screen has settled. A call's
 * actions are written together: one that cannot be written fails the call, and what comes before it in the
 * call is played. "wheel" is the middle button; keys are held around a pointer action; scrolls are in
 * pixels, 120 to a notch, and what is left of a notch is kept for the next scroll.
 *
 * A call's pending_safety_checks are for a person: without one's agreement nothing is done at all. The API has
 * no way to say that an action failed but "incomplete" and the picture; among a list of items the reason
 * follows as a message. */
#include "dialect/write.h"

#include <string.h>

/* --- Actions ----------------------------------------------------------------------------------- */

static int point(struct write *w, double *x, double *y)
{
    bool has;
    return arg_xy(w, "x", "y", ARG_REQUIRED, &has, x, y);
}

static int click_with(struct write *w, const char *button, int count)
{
    double x = 0, y = 0;
    auto_free char *keys = NULL;
    int r = point(w, &x, &y);
    if (r == 0)
        r = arg_chord(w, "keys", ARG_OPTIONAL, &keys);
    return r < 0 ? r : write_click(w, button, count, true, x, y, keys);
}

static int click(struct write *w)
{
    static const char *const buttons[] = { "left", "right", "wheel", "back", "forward", "middle", NULL };
    int button = 0;
    int r = arg_choice(w, "button", ARG_OPTIONAL, buttons, &button);
    return r < 0 ? r : click_with(w, button == 2 ? "middle" : buttons[button], 1);
}

static int double_click(struct write *w)
{
    return click_with(w, "left", 2);
}

static int move(struct write *w)
{
    double x = 0, y = 0;
    auto_free char *keys = NULL;
    int r = point(w, &x, &y);
    if (r == 0)
        r = arg_chord(w, "keys", ARG_OPTIONAL, &keys);
    return r < 0 ? r : write_move(w, x, y, keys);
}

static int drag(struct write *w)
{
    const json_t *path = arg(w, "path");
    auto_free char *keys = NULL;
    int r = arg_chord(w, "keys", ARG_OPTIONAL, &keys);
    if (r < 0)
        return r;
    if (json_array_size(path) < 2)
        return error_set(w->err, ERROR_BAD_VALUE, "path must have at least two points");
    json_t *action = write_action(w, "drag");
    if (!action)
        return -1;
    /* {"x", "y"} is a point of ours too, but theirs may have more fields. */
    json_t *points = json_array();
    for (size_t i = 0; i < json_array_size(path); i++) {
        const json_t *at = json_array_get(path, i);
        const json_t *x = json_is_array(at) ? json_array_get(at, 0) : json_object_get(at, "x");
        const json_t *y = json_is_array(at) ? json_array_get(at, 1) : json_object_get(at, "y");
        json_array_append_new(points, json_pack("[ff]", json_number_value(x), json_number_value(y)));
        if (!json_is_number(x) || !json_is_number(y))
            r = error_set(w->err, ERROR_BAD_TYPE, "path[%zu] must have the numbers x and y", i);
    }
    json_object_set_new(action, "path", points);
    if (keys)
        json_object_set_new(action, "keys", json_string(keys));
    return r;
}

static int scroll(struct write *w)
{
    double x = 0, y = 0, dx = 0, dy = 0;
    auto_free char *keys = NULL;
    int r = point(w, &x, &y);
    if (r == 0)
        r = arg_number(w, "scroll_x", ARG_OPTIONAL, -1e6, 1e6, &dx);
    if (r == 0)
        r = arg_number(w, "scroll_y", ARG_OPTIONAL, -1e6, 1e6, &dy);
    if (r == 0)
        r = arg_chord(w, "keys", ARG_OPTIONAL, &keys);
    return r < 0 ? r : write_scroll(w, true, x, y, dx, dy, "pixel", keys);
}

static int keypress(struct write *w)
{
    auto_free char *chord = NULL;
    int r = arg_chord(w, "keys", ARG_REQUIRED, &chord);
    return r < 0 ? r : write_key(w, chord, 1);
}

static int type(struct write *w)
{
    const char *text = NULL;
    int r = arg_string(w, "text", ARG_REQUIRED, &text);
    return r < 0 ? r : write_text(w, text, false);
}

/* It has no duration: about what their samples wait. */
static int wait_(struct write *w)
{
    return write_wait(w, 1);
}

static int screenshot(struct write *w)
{
    w->call->is_asked = true;
    return 0;
}

static const struct write_row rows[] = {
    { "click", click, 0 },       { "double_click", double_click, 0 }, { "move", move, 0 },
    { "drag", drag, 0 },         { "scroll", scroll, 0 },             { "keypress", keypress, 0 },
    { "type", type, 0 },         { "wait", wait_, 0 },                { "screenshot", screenshot, 0 },
};

/* --- Calls ------------------------------------------------------------------------------------- */

static bool is_call(const json_t *item)
{
    return strcmp(json_get_string(item, "type", ""), "computer_call") == 0;
}

static int check_safety(const struct turn *self, const json_t *item, struct error *err)
{
    const json_t *checks = json_object_get(item, "pending_safety_checks");
    if (json_array_size(checks) == 0 || self->options.is_confirmed)
        return 0;
    const json_t *first = json_array_get(checks, 0);
    return error_set(err, ERROR_CONFIRM, "the model's safety check \"%.80s\" waits for a person: %.300s; repeat the "
                     "request with confirmed=true when somebody agrees",
                     json_get_string(first, "code", "?"), json_get_string(first, "message", ""));
}

static int read_call(struct turn *self, const json_t *item, struct error *err)
{
    const json_t *actions = json_object_get(item, "actions"), *action = json_object_get(item, "action");
    int r = check_safety(self, item, err);
    struct turn_call *call = r == 0 ? turn_add_call(self, item, "computer_call", err) : NULL;
    if (!call)
        return -1;
    if (!actions && !action && !is_call(item))
        action = item; /* an action alone */
    size_t n = actions ? json_array_size(actions) : 1;
    for (size_t i = 0; i < n; i++) {
        const json_t *one = actions ? json_array_get(actions, i) : action;
        call->name = json_get_string(one, "type", "");
        turn_write(self, call, one, rows, ARRAY_LEN(rows), 0);
    }
    return 0;
}

static const json_t *list_of(const json_t *said)
{
    return json_is_array(said) ? said : json_object_get(said, "output");
}

/* Items of a response, or actions alone. */
static int read_turn(struct turn *self, struct error *err)
{
    const json_t *list = list_of(self->said);
    self->is_list = json_is_array(list);
    if (!self->is_list)
        return is_call(self->said) || json_object_get(self->said, "type") || json_object_get(self->said, "actions")
                   ? read_call(self, self->said, err) : 0;
    int r = 0;
    for (size_t i = 0; r == 0 && i < json_array_size(list); i++)
        if (is_call(json_array_get(list, i)))
            r = read_call(self, json_array_get(list, i), err);
    return r;
}

static bool wants_shot(const struct turn *self maybe_unused, const struct turn_call *call maybe_unused,
                       bool is_last maybe_unused)
{
    return true;
}

/* --- Answers ----------------------------------------------------------------------------------- */

static json_t *output_of(const struct turn_call *call, const struct turn_outcome *outcome, const json_t *image)
{
    json_t *output = json_pack("{ss}", "type", "computer_call_output");
    json_t *id = json_object_get(call->source, "call_id"), *checks = json_object_get(call->source, "pending_safety_checks");
    if (id)
        json_object_set(output, "call_id", id);
    if (json_array_size(checks) > 0)
        json_object_set(output, "acknowledged_safety_checks", checks);
    if (image)
        json_object_set_new(output, "output", json_pack("{ss so}", "type", "computer_screenshot", "image_url",
                                                        turn_data_url(image)));
    json_object_set_new(output, "status", json_string(outcome->outcome == OUTCOME_DONE ? "completed" : "incomplete"));
    return output;
}

static json_t *answer(const struct turn *self, const json_t *body, const struct error *failure, const json_t *image)
{
    json_t *items = json_array();
    for (size_t i = 0; i < self->n_calls; i++) {
        struct turn_outcome outcome;
        turn_look(self, body, failure, i, &outcome);
        json_array_append_new(items, output_of(&self->calls[i], &outcome, outcome.image ? outcome.image : image));
        if (outcome.outcome == OUTCOME_FAILED)
            json_array_append_new(items, json_pack("{ss so}", "role", "user", "content", turn_trouble(&outcome)));
    }
    if (self->is_list)
        return items;
    json_t *one = json_incref(json_array_get(items, 0));
    json_decref(items);
    return one;
}

static json_t *tools(const char *tool, struct turn_size image)
{
    if (!tool || strcmp(tool, "computer") == 0)
        return json_pack("[{ss}]", "type", "computer");
    return json_pack("[{ss si si ss}]", "type", tool, "display_width", image.width, "display_height", image.height,
                     "environment", "linux");
}

const struct dialect_impl dialect_openai = {
    .read = read_turn, .answer = answer, .wants_shot = wants_shot, .tools = tools, .shows_failures = true,
};
