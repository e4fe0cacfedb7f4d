/* Gemini: functionCall parts of both sets of predefined functions, answered by functionResponse parts.
 *
 * Coordinates, and how far to scroll, are 0 to 1000 of the screen, whatever picture the model saw. A scroll
 * becomes pixels of the screen, then notches of the wheel with the rest kept. What these functions say of a
 * browser (navigate, search, back) is done by the keys that every browser on a desktop knows.
 *
 * A safety_decision that requires confirmation is for a person: without one's agreement nothing is done. */
#include "dialect/write.h"

#include <string.h>

#define SCROLL_DEFAULT 800
#define SEARCH_PAGE "https://www.google.com"

/* --- Actions ----------------------------------------------------------------------------------- */

static int click_with(struct write *w, const char *button, int count)
{
    bool has;
    double x = 0, y = 0;
    int r = arg_xy(w, "x", "y", ARG_OPTIONAL, &has, &x, &y);
    return r < 0 ? r : write_click(w, button, count, has, x, y, NULL);
}

static int click(struct write *w)
{
    return click_with(w, "left", 1);
}

static int double_click(struct write *w)
{
    return click_with(w, "left", 2);
}

static int triple_click(struct write *w)
{
    return click_with(w, "left", 3);
}

static int middle_click(struct write *w)
{
    return click_with(w, "middle", 1);
}

static int right_click(struct write *w)
{
    return click_with(w, "right", 1);
}

static int button(struct write *w, const char *type)
{
    bool has;
    double x = 0, y = 0;
    int r = arg_xy(w, "x", "y", ARG_OPTIONAL, &has, &x, &y);
    return r < 0 ? r : write_at(w, write_action(w, type), has, x, y);
}

static int mouse_down(struct write *w)
{
    return button(w, "button_down");
}

static int mouse_up(struct write *w)
{
    return button(w, "button_up");
}

static int move(struct write *w)
{
    bool has;
    double x = 0, y = 0;
    int r = arg_xy(w, "x", "y", ARG_REQUIRED, &has, &x, &y);
    return r < 0 ? r : write_move(w, x, y, NULL);
}

static int type_with(struct write *w, bool press_enter, bool clear)
{
    const char *text = NULL;
    int r = arg_string(w, "text", ARG_REQUIRED, &text);
    if (r == 0)
        r = arg_bool(w, "press_enter", &press_enter);
    if (r == 0)
        r = arg_bool(w, "clear_before_typing", &clear);
    if (r == 0 && clear)
        r = write_key(w, "ctrl+a", 1);
    if (r == 0 && clear)
        r = write_key(w, "BackSpace", 1);
    return r < 0 ? r : write_text(w, text, press_enter);
}

static int type(struct write *w)
{
    return type_with(w, false, false);
}

/* Both are on by default, says the table of supported actions; the older sample program's press_enter is not. */
static int type_text_at(struct write *w)
{
    bool has;
    double x = 0, y = 0;
    int r = arg_xy(w, "x", "y", ARG_REQUIRED, &has, &x, &y);
    if (r == 0)
        r = write_click(w, "left", 1, true, x, y, NULL);
    return r < 0 ? r : type_with(w, true, true);
}

static int drag_and_drop(struct write *w)
{
    bool has;
    double x0 = 0, y0 = 0, x1 = 0, y1 = 0;
    int r = arg_xy(w, "x", "y", ARG_REQUIRED, &has, &x0, &y0);
    if (r == 0)
        r = arg_xy(w, "destination_x", "destination_y", ARG_REQUIRED, &has, &x1, &y1);
    return r < 0 ? r : write_drag(w, true, x0, y0, x1, y1, "left", NULL);
}

static int wait_(struct write *w)
{
    double seconds = 1;
    int r = arg_number(w, "seconds", ARG_OPTIONAL, 0, TURN_WAIT_MAX_S, &seconds);
    return r < 0 ? r : write_wait(w, seconds);
}

static int wait_5_seconds(struct write *w)
{
    return write_wait(w, 5);
}

static int take_screenshot(struct write *w)
{
    w->call->is_asked = true;
    return 0;
}

static int scroll_by(struct write *w, bool has, double x, double y, int direction, double magnitude)
{
    const struct turn_size *screen = &w->turn->options.screen;
    double vertical = magnitude / 1000 * screen->height, horizontal = magnitude / 1000 * screen->width;
    const double by[][2] = { { 0, -vertical }, { 0, vertical }, { -horizontal, 0 }, { horizontal, 0 } };
    return write_scroll(w, has, x, y, by[direction][0], by[direction][1], "pixel", NULL);
}

static int scroll(struct write *w)
{
    static const char *const directions[] = { "up", "down", "left", "right", NULL };
    bool has;
    double x = 0, y = 0, magnitude = SCROLL_DEFAULT;
    int direction = 0;
    int r = arg_xy(w, "x", "y", ARG_OPTIONAL, &has, &x, &y);
    if (r == 0)
        r = arg_choice(w, "direction", ARG_REQUIRED, directions, &direction);
    if (r == 0)
        r = arg_number(w, "magnitude", ARG_OPTIONAL, 0, 1000, &magnitude);
    return r < 0 ? r : scroll_by(w, has, x, y, direction, magnitude);
}

/* In the middle of the screen, by most of it. */
static int scroll_document(struct write *w)
{
    static const char *const directions[] = { "up", "down", "left", "right", NULL };
    int direction = 0;
    int r = arg_choice(w, "direction", ARG_REQUIRED, directions, &direction);
    return r < 0 ? r : scroll_by(w, true, 500, 500, direction, SCROLL_DEFAULT);
}

static int open_page(struct write *w, const char *url)
{
    int r = write_key(w, "ctrl+l", 1);
    return r < 0 ? r : write_text(w, url, true);
}

static int navigate(struct write *w)
{
    const char *url = NULL;
    int r = arg_string(w, "url", ARG_REQUIRED, &url);
    return r < 0 ? r : open_page(w, url);
}

static int search(struct write *w)
{
    return open_page(w, SEARCH_PAGE);
}

static int go_back(struct write *w)
{
    return write_key(w, "alt+Left", 1);
}

static int go_forward(struct write *w)
{
    return write_key(w, "alt+Right", 1);
}

static const struct write_row rows[] = {
    { "click", click, 0 },
    { "double_click", double_click, 0 },
    { "triple_click", triple_click, 0 },
    { "middle_click", middle_click, 0 },
    { "right_click", right_click, 0 },
    { "mouse_down", mouse_down, 0 },
    { "mouse_up", mouse_up, 0 },
    { "move", move, 0 },
    { "type", type, 0 },
    { "drag_and_drop", drag_and_drop, 0 },
    { "wait", wait_, 0 },
    { "press_key", write_named_key, 0 },
    { "key_down", write_key_down, 0 },
    { "key_up", write_key_up, 0 },
    { "hotkey", write_named_keys, 0 },
    { "take_screenshot", take_screenshot, 0 },
    { "scroll", scroll, 0 },
    { "navigate", navigate, 0 },
    { "go_back", go_back, 0 },
    { "go_forward", go_forward, 0 },
    { "open_web_browser", take_screenshot, 0 }, /* the desktop is there already */
    { "click_at", click, 0 },
    { "hover_at", move, 0 },
    { "type_text_at", type_text_at, 0 },
    { "scroll_document", scroll_document, 0 },
    { "scroll_at", scroll, 0 },
    { "wait_5_seconds", wait_5_seconds, 0 },
    { "search", search, 0 },
    { "key_combination", write_named_keys, 0 },
};

static bool is_ours(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (strcmp(rows[i].name, name) == 0)
            return true;
    return false;
}

/* --- Calls ------------------------------------------------------------------------------------- */

static bool needs_confirmation(const json_t *call)
{
    const json_t *safety = json_object_get(json_object_get(call, "args"), "safety_decision");
    return strcmp(json_get_string(safety, "decision", ""), "require_confirmation") == 0;
}

static int read_call(struct turn *self, const json_t *part, struct error *err)
{
    const json_t *call = json_object_get(part, "functionCall");
    if (!call)
        call = json_object_get(part, "function_call");
    const char *name = json_get_string(call, "name", "");
    if (!is_ours(name) && self->is_list)
        return 0;
    if (needs_confirmation(call) && !self->options.is_confirmed)
        return error_set(err, ERROR_CONFIRM, "%s waits for a person: %.300s; repeat the request with confirmed=true "
                         "when somebody agrees", name,
                         json_get_string(json_object_get(json_object_get(call, "args"), "safety_decision"), "explanation",
                                         "the model asks for a confirmation"));
    struct turn_call *added = turn_add_call(self, call, name, err);
    if (!added)
        return -1;
    turn_write(self, added, json_object_get(call, "args"), rows, ARRAY_LEN(rows), 0);
    return 0;
}

/* A response, its content, its parts, one part, or a call alone. */
static const json_t *parts_of(const json_t *said)
{
    if (json_is_array(said))
        return said;
    const json_t *content = json_object_get(json_array_get(json_object_get(said, "candidates"), 0), "content");
    return json_object_get(content ? content : said, "parts");
}

static int read_turn(struct turn *self, struct error *err)
{
    const json_t *parts = parts_of(self->said);
    self->space = "norm1000";
    self->is_list = json_is_array(parts);
    int r = 0;
    for (size_t i = 0; r == 0 && i < json_array_size(parts); i++) {
        const json_t *part = json_array_get(parts, i);
        if (json_object_get(part, "name")) /* calls without their parts */
            part = turn_own(self, json_pack("{sO}", "functionCall", part));
        r = read_call(self, part, err);
    }
    if (self->is_list || json_object_get(self->said, "functionCall") || json_object_get(self->said, "function_call"))
        return self->is_list ? r : read_call(self, self->said, err);
    if (!json_object_get(self->said, "name"))
        return 0;
    return read_call(self, turn_own(self, json_pack("{sO}", "functionCall", self->said)), err);
}

static bool wants_shot(const struct turn *self maybe_unused, const struct turn_call *call maybe_unused,
                       bool is_last maybe_unused)
{
    return true;
}

/* --- Answers ----------------------------------------------------------------------------------- */

static json_t *response_of(const struct turn_call *call, const struct turn_outcome *outcome)
{
    json_t *response = json_object();
    if (outcome->outcome == OUTCOME_DONE)
        json_object_set_new(response, "output", json_string("done"));
    else
        json_object_set_new(response, "error", turn_trouble(outcome));
    /* The older models' API refuses an answer without one; what page a browser shows is not known here. */
    json_object_set_new(response, "url", json_string(""));
    if (needs_confirmation(call->source))
        json_object_set_new(response, "safety_acknowledgement", json_string("true"));
    return response;
}

static json_t *part_of(const struct turn_call *call, const struct turn_outcome *outcome, const json_t *image)
{
    json_t *answer = json_pack("{ss so}", "name", call->name, "response", response_of(call, outcome));
    json_t *id = json_object_get(call->source, "id");
    if (id)
        json_object_set(answer, "id", id);
    if (image)
        json_object_set_new(answer, "parts", json_pack("[{s{ss sO}}]", "inlineData", "mimeType", turn_mime(image),
                                                       "data", json_object_get(image, "data")));
    return json_pack("{so}", "functionResponse", answer);
}

static json_t *answer(const struct turn *self, const json_t *body, const struct error *failure, const json_t *image)
{
    json_t *parts = json_array();
    for (size_t i = 0; i < self->n_calls; i++) {
        struct turn_outcome outcome;
        turn_look(self, body, failure, i, &outcome);
        const json_t *shown = outcome.image ? outcome.image : outcome.outcome == OUTCOME_DONE ? NULL : image;
        json_array_append_new(parts, part_of(&self->calls[i], &outcome, shown));
    }
    if (json_is_array(self->said))
        return parts;
    if (self->is_list)
        return json_pack("{ss so}", "role", "user", "parts", parts);
    json_t *one = json_incref(json_array_get(parts, 0));
    json_decref(parts);
    return one;
}

static json_t *tools(const char *tool maybe_unused, struct turn_size image maybe_unused)
{
    return json_pack("[{s{ss}}]", "computerUse", "environment", "ENVIRONMENT_DESKTOP");
}

const struct dialect_impl dialect_gemini = {
    .read = read_turn, .answer = answer, .wants_shot = wants_shot, .tools = tools, .shows_failures = true,
};
