/* UI-TARS: text with lines such as
 *
 *     Thought: the button is at the top
 *     Action: click(point='<point>200 300</point>')
 *
 * Several actions follow each other after "Action:". A point is "<point>x y</point>", "(x,y)" with or without
 * box marks, or a box "[x1, y1, x2, y2]" whose middle is meant. Coordinates are pixels of the picture that the
 * model saw, whose sides are multiples of 28; older models count to 1000 (space norm1000). It is answered by
 * a message of the chat API with a picture. */
#include "dialect/pycall.h"
#include "dialect/write.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define SCROLL_NOTCHES 5
#define WAIT_S 5
#define LONG_PRESS_MS 1000

/* --- Arguments --------------------------------------------------------------------------------- */

/* All numbers of a text; what is between them does not matter. */
static size_t numbers_of(const char *text, double v[4])
{
    size_t n = 0;
    for (const char *p = text; *p && n < 4;) {
        char *end = NULL;
        bool is_number = isdigit((unsigned char)*p) || ((*p == '-' || *p == '.') && isdigit((unsigned char)p[1]));
        if (is_number)
            v[n++] = strtod(p, &end);
        p = is_number && end > p ? end : p + 1;
    }
    return n;
}

static int take_point(struct write *w, const json_t *value, const char *name, double *x, double *y)
{
    double v[4];
    size_t n = 0;
    if (json_is_string(value))
        n = numbers_of(json_string_value(value), v);
    for (size_t i = 0; i < MIN(json_array_size(value), 4); i++)
        v[n++] = json_number_value(json_array_get(value, i));
    if (n != 2 && n != 4)
        return error_set(w->err, ERROR_BAD_VALUE, "%s must be a point such as '<point>200 300</point>'", name);
    *x = n == 4 ? (v[0] + v[2]) / 2 : v[0];
    *y = n == 4 ? (v[1] + v[3]) / 2 : v[1];
    return 0;
}

static int point(struct write *w, int place, const char *const *names, bool *has, double *x, double *y)
{
    const json_t *value = NULL;
    for (size_t i = 0; names[i] && !value; i++)
        value = pycall_arg(w->args, place, names[i]);
    *has = value != NULL;
    return value ? take_point(w, value, names[0], x, y) : 0;
}

static const char *const starts[] = { "point", "start_point", "start_box", NULL };
static const char *const ends[] = { "end_point", "end_box", NULL };

static int text_arg(struct write *w, const char *name, const char **ret)
{
    *ret = json_string_value(pycall_arg(w->args, 0, name));
    return *ret ? 0 : error_set(w->err, ERROR_MISSING_FIELD, "%s is missing", name);
}

/* "ctrl c" or "ctrl+c". */
static int chord_arg(struct write *w, const char *name, char **ret)
{
    const char *text = NULL;
    int r = text_arg(w, name, &text);
    if (r < 0)
        return r;
    *ret = strdup(text + strspn(text, " "));
    if (!*ret)
        return error_set(w->err, ERROR_INTERNAL, "out of memory");
    size_t size = strlen(*ret);
    while (size > 0 && (*ret)[size - 1] == ' ')
        (*ret)[--size] = 0;
    for (char *p = *ret; *p; p++)
        *p = *p == ' ' ? '+' : *p;
    return size ? 0 : error_set(w->err, ERROR_BAD_VALUE, "%s names no key", name);
}

/* --- Actions ----------------------------------------------------------------------------------- */

static int click_with(struct write *w, const char *button, int count)
{
    bool has;
    double x = 0, y = 0;
    int r = point(w, 0, starts, &has, &x, &y);
    return r < 0 ? r : write_click(w, button, count, has, x, y, NULL);
}

static int click(struct write *w)
{
    return click_with(w, "left", 1);
}

static int left_double(struct write *w)
{
    return click_with(w, "left", 2);
}

static int right_single(struct write *w)
{
    return click_with(w, "right", 1);
}

static int long_press(struct write *w)
{
    int r = click_with(w, "left", 1);
    if (r == 0)
        json_object_set_new(json_array_get(w->turn->actions, json_array_size(w->turn->actions) - 1), "hold_ms",
                            json_integer(LONG_PRESS_MS));
    return r;
}

static int move(struct write *w)
{
    bool has;
    double x = 0, y = 0;
    int r = point(w, 0, starts, &has, &x, &y);
    if (r == 0 && !has)
        r = error_set(w->err, ERROR_MISSING_FIELD, "point is missing");
    return r < 0 ? r : write_move(w, x, y, NULL);
}

static int button(struct write *w, const char *type)
{
    bool has;
    double x = 0, y = 0;
    int r = point(w, 0, starts, &has, &x, &y);
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

static int drag(struct write *w)
{
    bool has, has_end;
    double x0 = 0, y0 = 0, x1 = 0, y1 = 0;
    int r = point(w, 0, starts, &has, &x0, &y0);
    if (r == 0)
        r = point(w, 1, ends, &has_end, &x1, &y1);
    if (r == 0 && !has_end)
        r = error_set(w->err, ERROR_MISSING_FIELD, "end_point is missing");
    return r < 0 ? r : write_drag(w, has, x0, y0, x1, y1, "left", NULL);
}

static int hotkey(struct write *w)
{
    auto_free char *chord = NULL;
    int r = chord_arg(w, "key", &chord);
    return r < 0 ? r : write_key(w, chord, 1);
}

static int key_state(struct write *w, const char *type)
{
    auto_free char *chord = NULL;
    int r = chord_arg(w, "key", &chord);
    return r < 0 ? r : write_chord_type(w, type, chord);
}

static int press(struct write *w)
{
    return key_state(w, "key_down");
}

static int release(struct write *w)
{
    return key_state(w, "key_up");
}

static int type(struct write *w)
{
    const char *text = NULL;
    int r = text_arg(w, "content", &text);
    return r < 0 ? r : write_text(w, text, false);
}

static int scroll(struct write *w)
{
    static const char *const names[] = { "up", "down", "left", "right" };
    static const int by[][2] = { { 0, -1 }, { 0, 1 }, { -1, 0 }, { 1, 0 } };
    bool has;
    double x = 0, y = 0;
    const char *direction = json_string_value(pycall_arg(w->args, 1, "direction"));
    int r = point(w, 0, starts, &has, &x, &y);
    for (size_t i = 0; r == 0 && direction && i < ARRAY_LEN(names); i++)
        if (strcasecmp(names[i], direction) == 0)
            return write_scroll(w, has, x, y, by[i][0] * SCROLL_NOTCHES, by[i][1] * SCROLL_NOTCHES, "notch", NULL);
    return r < 0 ? r : error_set(w->err, ERROR_BAD_VALUE, "direction must be one of up, down, left, right");
}

static int wait_(struct write *w)
{
    w->call->is_asked = true;
    return write_wait(w, WAIT_S);
}

static int screenshot(struct write *w)
{
    w->call->is_asked = true;
    return 0;
}

static int finished(struct write *w)
{
    w->call->is_end = true;
    return 0;
}

static int call_user(struct write *w)
{
    w->call->is_end = w->call->is_failure = true;
    return 0;
}

static int press_back(struct write *w)
{
    return write_key(w, "alt+Left", 1);
}

static const struct write_row rows[] = {
    { "click", click, 0 },
    { "left_single", click, 0 },
    { "left_double", left_double, 0 },
    { "right_single", right_single, 0 },
    { "long_press", long_press, 0 },
    { "hover", move, 0 },
    { "move", move, 0 },
    { "mouse_down", mouse_down, 0 },
    { "mouse_up", mouse_up, 0 },
    { "drag", drag, 0 },
    { "hotkey", hotkey, 0 },
    { "press", press, 0 },
    { "keydown", press, 0 },
    { "release", release, 0 },
    { "keyup", release, 0 },
    { "type", type, 0 },
    { "scroll", scroll, 0 },
    { "wait", wait_, 0 },
    { "screenshot", screenshot, 0 },
    { "finished", finished, 0 },
    { "call_user", call_user, 0 },
    { "press_back", press_back, 0 },
};

/* --- Calls ------------------------------------------------------------------------------------- */

/* A completion of the chat API, its message, or the text. */
static const char *text_of(const json_t *said)
{
    const json_t *message = json_object_get(json_array_get(json_object_get(said, "choices"), 0), "message");
    const json_t *text = json_object_get(message ? message : said, "content");
    if (!text)
        text = json_object_get(said, "text");
    if (json_is_array(text))
        text = json_object_get(json_array_get(text, 0), "text");
    return json_string_value(json_is_string(said) ? said : text);
}

static int read_turn(struct turn *self, struct error *err)
{
    const char *text = text_of(self->said);
    if (!text)
        return 0;
    const char *action = strstr(text, "Action:");
    json_t *calls = NULL;
    int r = pycall_parse(action ? action + strlen("Action:") : text, &calls, err);
    if (r < 0 || !turn_own(self, calls))
        return r < 0 ? r : -1;
    for (size_t i = 0; i < json_array_size(calls); i++) {
        const json_t *one = json_array_get(calls, i);
        struct turn_call *call = turn_add_call(self, one, json_get_string(one, "name", ""), err);
        if (!call)
            return -1;
        turn_write(self, call, one, rows, ARRAY_LEN(rows), 0);
    }
    return 0;
}

static bool wants_shot(const struct turn *self maybe_unused, const struct turn_call *call maybe_unused, bool is_last)
{
    return is_last;
}

/* --- Answers ----------------------------------------------------------------------------------- */

static json_t *answer(const struct turn *self, const json_t *body, const struct error *failure, const json_t *image)
{
    json_t *content = json_array();
    bool is_end = false;
    for (size_t i = 0; i < self->n_calls; i++) {
        struct turn_outcome outcome;
        turn_look(self, body, failure, i, &outcome);
        if (outcome.outcome == OUTCOME_FAILED)
            json_array_append_new(content, json_pack("{ss so}", "type", "text", "text", turn_trouble(&outcome)));
        if (outcome.image)
            image = outcome.image;
        is_end |= self->calls[i].is_end && outcome.outcome == OUTCOME_DONE;
    }
    if (image)
        json_array_append_new(content, json_pack("{ss s{so}}", "type", "image_url", "image_url", "url",
                                                 turn_data_url(image)));
    if (is_end)
        json_array_append_new(content, json_pack("{ss ss}", "type", "text", "text", "The task has ended."));
    return json_pack("{ss so}", "role", "user", "content", content);
}

static json_t *tools(const char *tool maybe_unused, struct turn_size image maybe_unused)
{
    return json_array(); /* its actions are in its prompt */
}

const struct dialect_impl dialect_ui_tars = {
    .read = read_turn, .answer = answer, .wants_shot = wants_shot, .tools = tools, .shows_failures = true,
};
