/* Anthropic: computer_20241022, computer_20250124, computer_20251124 and computer_toolset_20260801.
 *
 * The first three name one tool, "computer", whose input has an "action"; the last has a tool of its own per
 * action, with toolset_name "computer". The actions are the same, more with each version. With the first
 * three every call is answered with the settled screen, as their reference loop does; the toolset's model
 * asks for its screenshots, often later in the same turn, and the wait for a settled screen is in those.
 *
 * Coordinates are pixels of the picture that the model saw. A key's text is what xdotool takes: "ctrl+s",
 * spaces between keys that are pressed one after the other. */
#include "dialect/write.h"

#include <stdio.h>
#include <string.h>

#define TOOLSET 20260801

static int version_of(const char *tool)
{
    int version = 0;
    if (tool && sscanf(tool, "computer_toolset_%8d", &version) != 1)
        sscanf(tool, "computer_%8d", &version);
    return version;
}

/* --- Actions ----------------------------------------------------------------------------------- */

static int click(struct write *w, const char *button, int count, const char *said)
{
    bool has;
    double x = 0, y = 0;
    const char *held = NULL;
    int r = arg_point(w, "coordinate", ARG_OPTIONAL, &has, &x, &y);
    if (r == 0)
        r = arg_string(w, "text", ARG_OPTIONAL, &held);
    if (r == 0)
        r = write_click(w, button, count, has, x, y, held && *held ? held : NULL);
    if (has)
        write_said(w, "%s at (%.10g, %.10g).", said, x, y);
    else
        write_said(w, "%s.", said);
    return r;
}

static int left_click(struct write *w)
{
    return click(w, "left", 1, "Clicked");
}

static int right_click(struct write *w)
{
    return click(w, "right", 1, "Right-clicked");
}

static int middle_click(struct write *w)
{
    return click(w, "middle", 1, "Middle-clicked");
}

static int double_click(struct write *w)
{
    return click(w, "left", 2, "Double-clicked");
}

static int triple_click(struct write *w)
{
    return click(w, "left", 3, "Triple-clicked");
}

static int mouse_move(struct write *w)
{
    bool has;
    double x = 0, y = 0;
    int r = arg_point(w, "coordinate", ARG_REQUIRED, &has, &x, &y);
    write_said(w, "Moved to (%.10g, %.10g).", x, y);
    return r < 0 ? r : write_move(w, x, y, NULL);
}

static int button(struct write *w, const char *type, const char *said)
{
    bool has;
    double x = 0, y = 0;
    int r = arg_point(w, "coordinate", ARG_OPTIONAL, &has, &x, &y);
    write_said(w, "%s", said);
    return r < 0 ? r : write_at(w, write_action(w, type), has, x, y);
}

static int left_mouse_down(struct write *w)
{
    return button(w, "button_down", "The left button is down.");
}

static int left_mouse_up(struct write *w)
{
    return button(w, "button_up", "The left button is up.");
}

/* The first version has no start_coordinate: it drags from where the pointer is. */
static int left_click_drag(struct write *w)
{
    bool has_start, has;
    double x0 = 0, y0 = 0, x = 0, y = 0;
    const char *held = NULL;
    int r = arg_point(w, "start_coordinate", ARG_OPTIONAL, &has_start, &x0, &y0);
    if (r == 0)
        r = arg_point(w, "coordinate", ARG_REQUIRED, &has, &x, &y);
    if (r == 0)
        r = arg_string(w, "text", ARG_OPTIONAL, &held);
    write_said(w, "Dragged to (%.10g, %.10g).", x, y);
    return r < 0 ? r : write_drag(w, has_start, x0, y0, x, y, "left", held && *held ? held : NULL);
}

static int scroll(struct write *w)
{
    static const char *const directions[] = { "up", "down", "left", "right", NULL };
    static const double by[][2] = { { 0, -1 }, { 0, 1 }, { -1, 0 }, { 1, 0 } };
    bool has;
    double x = 0, y = 0, amount = 0;
    int direction = 0;
    const char *held = NULL;
    int r = arg_point(w, "coordinate", ARG_OPTIONAL, &has, &x, &y);
    if (r == 0)
        r = arg_choice(w, "scroll_direction", ARG_REQUIRED, directions, &direction);
    if (r == 0)
        r = arg_number(w, "scroll_amount", ARG_REQUIRED, 0, TURN_NOTCHES_MAX, &amount);
    if (r == 0)
        r = arg_string(w, "text", ARG_OPTIONAL, &held);
    write_said(w, "Scrolled %s by %.10g.", directions[direction], amount);
    if (r < 0)
        return r;
    return write_scroll(w, has, x, y, by[direction][0] * amount, by[direction][1] * amount, "notch",
                        held && *held ? held : NULL);
}

/* Chords between spaces, one after the other; a single space is the key. */
static int write_sequence(struct write *w, const char *text)
{
    int r = 0;
    size_t at = strspn(text, " ");
    if (!text[at])
        return *text ? write_key(w, "space", 1) : error_set(w->err, ERROR_BAD_VALUE, "text names no key");
    while (text[at] && r == 0) {
        size_t size = strcspn(text + at, " ");
        auto_free char *chord = strndup(text + at, size);
        r = chord ? write_key(w, chord, 1) : error_set(w->err, ERROR_INTERNAL, "out of memory");
        at += size;
        at += strspn(text + at, " ");
    }
    return r;
}

static int key(struct write *w)
{
    const char *text = NULL;
    double repeat = 1;
    int r = arg_string(w, "text", ARG_REQUIRED, &text);
    if (r == 0)
        r = arg_number(w, "repeat", ARG_OPTIONAL, 1, TURN_REPEAT_MAX, &repeat);
    if (r == 0 && repeat != (int)repeat)
        r = error_set(w->err, ERROR_BAD_VALUE, "repeat must be an integer");
    for (int i = 0; r == 0 && i < (int)repeat; i++)
        r = write_sequence(w, text);
    if (r == 0)
        write_said(w, repeat > 1 ? "Pressed %.80s %d times." : "Pressed %.80s.", text, (int)repeat);
    return r;
}

static int hold_key(struct write *w)
{
    const char *text = NULL;
    double seconds = 0;
    int r = arg_string(w, "text", ARG_REQUIRED, &text);
    if (r == 0)
        r = arg_number(w, "duration", ARG_REQUIRED, 0, TURN_WAIT_MAX_S, &seconds);
    if (r == 0)
        r = write_chord_type(w, "hold_key", text);
    if (r < 0)
        return r;
    json_object_set_new(json_array_get(w->turn->actions, json_array_size(w->turn->actions) - 1), "duration_ms",
                        json_integer((json_int_t)(seconds * 1000 + 0.5)));
    write_said(w, "Held %.80s for %.10g s.", text, seconds);
    return 0;
}

static int type(struct write *w)
{
    const char *text = NULL;
    int r = arg_string(w, "text", ARG_REQUIRED, &text);
    write_said(w, "Typed the text.");
    return r < 0 ? r : write_text(w, text, false);
}

static int wait_(struct write *w)
{
    double seconds = 0;
    int r = arg_number(w, "duration", ARG_REQUIRED, 0, TURN_WAIT_MAX_S, &seconds);
    write_said(w, "Waited %.10g s.", seconds);
    return r < 0 ? r : write_wait(w, seconds);
}

static int cursor_position(struct write *w)
{
    w->call->has_point = true;
    return write_action(w, "cursor_position") ? 0 : -1;
}

static int screenshot(struct write *w)
{
    w->call->is_asked = true;
    return write_shot(w);
}

/* Two corners. The picture is as large as fits the size that the model is used to. */
static int zoom(struct write *w)
{
    const json_t *region = arg(w, "region");
    double v[4];
    if (json_array_size(region) != 4)
        return error_set(w->err, ERROR_BAD_TYPE, "region must be four numbers, [x0, y0, x1, y1]");
    for (size_t i = 0; i < 4; i++) {
        const json_t *number = json_array_get(region, i);
        if (!json_is_number(number))
            return error_set(w->err, ERROR_BAD_TYPE, "region must be four numbers, [x0, y0, x1, y1]");
        v[i] = json_number_value(number);
    }
    double width = v[2] - v[0], height = v[3] - v[1];
    if (!(width > 0 && height > 0))
        return error_set(w->err, ERROR_BAD_VALUE, "region must have x0 < x1 and y0 < y1");
    json_t *action = write_action(w, "zoom");
    if (!action)
        return -1;
    struct turn_size image = w->turn->image;
    double by = MIN(image.width / width, image.height / height);
    json_object_set_new(action, "region", json_pack("{sf sf sf sf}", "x", v[0], "y", v[1], "width", width, "height",
                                                    height));
    json_object_set_new(action, "width", json_integer(CLAMP((int)(width * by + 0.5), 1, image.width)));
    json_object_set_new(action, "height", json_integer(CLAMP((int)(height * by + 0.5), 1, image.height)));
    if (w->turn->options.format)
        json_object_set_new(action, "format", json_string(w->turn->options.format));
    w->call->is_asked = w->call->has_shot = true;
    return 0;
}

static const struct write_row rows[] = {
    { "key", key, 0 },
    { "type", type, 0 },
    { "mouse_move", mouse_move, 0 },
    { "left_click", left_click, 0 },
    { "left_click_drag", left_click_drag, 0 },
    { "right_click", right_click, 0 },
    { "middle_click", middle_click, 0 },
    { "double_click", double_click, 0 },
    { "screenshot", screenshot, 0 },
    { "cursor_position", cursor_position, 0 },
    { "left_mouse_down", left_mouse_down, 20250124 },
    { "left_mouse_up", left_mouse_up, 20250124 },
    { "scroll", scroll, 20250124 },
    { "hold_key", hold_key, 20250124 },
    { "wait", wait_, 20250124 },
    { "triple_click", triple_click, 20250124 },
    { "zoom", zoom, 20251124 },
};

/* --- Calls ------------------------------------------------------------------------------------- */

static bool is_member(const json_t *block)
{
    return strcmp(json_get_string(block, "toolset_name", ""), "computer") == 0;
}

static bool is_ours(const json_t *block)
{
    return is_member(block) || (strcmp(json_get_string(block, "type", ""), "tool_use") == 0 &&
                                !json_object_get(block, "toolset_name") &&
                                strcmp(json_get_string(block, "name", ""), "computer") == 0);
}

static int read_call(struct turn *self, const json_t *block, struct error *err)
{
    const json_t *input = json_object_get(block, "input");
    if (!input) /* the input alone */
        input = block;
    const char *name = is_member(block) ? json_get_string(block, "name", "") : json_get_string(input, "action", "");
    struct turn_call *call = turn_add_call(self, block, name, err);
    if (!call)
        return -1;
    turn_write(self, call, input, rows, ARRAY_LEN(rows), version_of(self->options.tool));
    return 0;
}

static int read_turn(struct turn *self, struct error *err)
{
    const json_t *list = json_is_array(self->said) ? self->said : json_object_get(self->said, "content");
    self->is_list = json_is_array(list);
    if (!self->is_list) {
        bool is_call = is_ours(self->said) || json_is_string(json_object_get(self->said, "action"));
        return is_call ? read_call(self, self->said, err) : 0;
    }
    int r = 0;
    for (size_t i = 0; r == 0 && i < json_array_size(list); i++)
        if (is_ours(json_array_get(list, i)))
            r = read_call(self, json_array_get(list, i), err);
    return r;
}

static bool wants_shot(const struct turn *self, const struct turn_call *call, bool is_last maybe_unused)
{
    int version = version_of(self->options.tool);
    return !is_member(call->source) && version < TOOLSET && !call->has_point;
}

/* --- Answers ----------------------------------------------------------------------------------- */

static json_t *text_block(json_t *text)
{
    return json_pack("{ss so}", "type", "text", "text", text);
}

static json_t *image_block(const json_t *image)
{
    return json_pack("{ss s{ss ss sO}}", "type", "image", "source", "type", "base64", "media_type", turn_mime(image),
                     "data", json_object_get(image, "data"));
}

static json_t *content_of(const struct turn_call *call, const struct turn_outcome *outcome)
{
    json_t *content = json_array();
    if (outcome->outcome != OUTCOME_DONE) {
        json_array_append_new(content, text_block(turn_trouble(outcome)));
        return content;
    }
    if (call->has_point && outcome->has_point)
        json_array_append_new(content, text_block(json_sprintf("X=%d,Y=%d", (int)outcome->x, (int)outcome->y)));
    else if (*call->said)
        json_array_append_new(content, text_block(json_string(call->said)));
    if (outcome->image)
        json_array_append_new(content, image_block(outcome->image));
    return content;
}

static json_t *result_of(const struct turn *self, const json_t *body, const struct error *failure, size_t i)
{
    const struct turn_call *call = &self->calls[i];
    struct turn_outcome outcome;
    turn_look(self, body, failure, i, &outcome);
    json_t *result = json_pack("{ss}", "type", "tool_result");
    json_t *id = json_object_get(call->source, "id");
    if (id)
        json_object_set(result, "tool_use_id", id);
    if (is_member(call->source))
        json_object_set_new(result, "toolset_name", json_string("computer"));
    json_object_set_new(result, "content", content_of(call, &outcome));
    if (outcome.outcome != OUTCOME_DONE)
        json_object_set_new(result, "is_error", json_true());
    return result;
}

static json_t *answer(const struct turn *self, const json_t *body, const struct error *failure,
                      const json_t *image maybe_unused)
{
    if (!self->is_list)
        return result_of(self, body, failure, 0);
    json_t *results = json_array();
    for (size_t i = 0; i < self->n_calls; i++)
        json_array_append_new(results, result_of(self, body, failure, i));
    return json_is_array(self->said) ? results : json_pack("{ss so}", "role", "user", "content", results);
}

static json_t *tools(const char *tool, struct turn_size image)
{
    int version = version_of(tool);
    if (!version || version >= TOOLSET)
        return json_pack("[{ss}]", "type", "computer_toolset_20260801");
    json_t *entry = json_pack("{ss ss si si}", "type", tool, "name", "computer", "display_width_px", image.width,
                              "display_height_px", image.height);
    if (version >= 20251124)
        json_object_set_new(entry, "enable_zoom", json_true());
    return json_pack("[o]", entry);
}

const struct dialect_impl dialect_anthropic = {
    .read = read_turn, .answer = answer, .wants_shot = wants_shot, .tools = tools,
};
