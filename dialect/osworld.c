/* OSWorld: actions of computer_13 as objects, or code that calls pyautogui.
 *
 * {"action_type": "CLICK", "parameters": {"x": 1, "y": 2}}, with the parameters inside or beside the type; a
 * list of these; "WAIT", "DONE" and "FAIL" alone. Any other text is code: it is read by dialect/pycall.h and
 * never executed. Coordinates are pixels of the screen; in code, numbers with a point that are all at most 1 are
 * shares of the screen (OpenCUA and AgentNet write so). A scroll's unit is a notch, and positive is up.
 *
 * The answer is that of an environment's step: {"observation": {"screenshot"}, "reward", "done", "info"}. */
#include "dialect/pyautogui.h"

#include <string.h>

/* --- computer_13 ------------------------------------------------------------------------------- */

static const char *const buttons[] = { "left", "right", "middle", NULL };

static int click_with(struct write *w, int button, double count)
{
    bool has;
    double x = 0, y = 0;
    int r = arg_xy(w, "x", "y", ARG_OPTIONAL, &has, &x, &y);
    return r < 0 ? r : write_click(w, buttons[button], (int)count, has, x, y, NULL);
}

static int click(struct write *w)
{
    int button = 0;
    double count = 1;
    int r = arg_choice(w, "button", ARG_OPTIONAL, buttons, &button);
    if (r == 0)
        r = arg_number(w, "num_clicks", ARG_OPTIONAL, 1, 3, &count);
    return r < 0 ? r : click_with(w, button, count);
}

static int right_click(struct write *w)
{
    return click_with(w, 1, 1);
}

static int double_click(struct write *w)
{
    return click_with(w, 0, 2);
}

static int move_to(struct write *w)
{
    bool has;
    double x = 0, y = 0;
    int r = arg_xy(w, "x", "y", ARG_REQUIRED, &has, &x, &y);
    return r < 0 ? r : write_move(w, x, y, NULL);
}

static int button_with(struct write *w, const char *type)
{
    int button = 0;
    int r = arg_choice(w, "button", ARG_OPTIONAL, buttons, &button);
    json_t *action = r < 0 ? NULL : write_action(w, type);
    if (!action)
        return -1;
    json_object_set_new(action, "button", json_string(buttons[button]));
    return 0;
}

static int mouse_down(struct write *w)
{
    return button_with(w, "button_down");
}

static int mouse_up(struct write *w)
{
    return button_with(w, "button_up");
}

static int drag_to(struct write *w)
{
    bool has;
    double x = 0, y = 0;
    int r = arg_xy(w, "x", "y", ARG_REQUIRED, &has, &x, &y);
    return r < 0 ? r : write_drag(w, false, 0, 0, x, y, "left", NULL);
}

static int scroll(struct write *w)
{
    double dx = 0, dy = 0;
    int r = arg_number(w, "dx", ARG_OPTIONAL, -TURN_NOTCHES_MAX, TURN_NOTCHES_MAX, &dx);
    if (r == 0)
        r = arg_number(w, "dy", ARG_OPTIONAL, -TURN_NOTCHES_MAX, TURN_NOTCHES_MAX, &dy);
    return r < 0 ? r : write_scroll(w, false, 0, 0, dx, -dy, "notch", NULL);
}

static int typing(struct write *w)
{
    const char *text = NULL;
    int r = arg_string(w, "text", ARG_REQUIRED, &text);
    return r < 0 ? r : write_text(w, text, false);
}

static int wait_(struct write *w)
{
    double seconds = 1;
    int r = arg_number(w, "duration", ARG_OPTIONAL, 0, TURN_WAIT_MAX_S, &seconds);
    return r < 0 ? r : write_wait(w, seconds);
}

static int done(struct write *w)
{
    w->call->is_end = true;
    return 0;
}

static int fail(struct write *w)
{
    w->call->is_end = w->call->is_failure = true;
    return 0;
}

static const struct write_row rows[] = {
    { "MOVE_TO", move_to, 0 },
    { "CLICK", click, 0 },
    { "MOUSE_DOWN", mouse_down, 0 },
    { "MOUSE_UP", mouse_up, 0 },
    { "RIGHT_CLICK", right_click, 0 },
    { "DOUBLE_CLICK", double_click, 0 },
    { "DRAG_TO", drag_to, 0 },
    { "SCROLL", scroll, 0 },
    { "TYPING", typing, 0 },
    { "PRESS", write_named_key, 0 },
    { "KEY_DOWN", write_key_down, 0 },
    { "KEY_UP", write_key_up, 0 },
    { "HOTKEY", write_named_keys, 0 },
    { "WAIT", wait_, 0 },
    { "DONE", done, 0 },
    { "FAIL", fail, 0 },
};

/* --- Calls ------------------------------------------------------------------------------------- */

static bool is_word(const char *text)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (strcmp(rows[i].name, text) == 0)
            return true;
    return false;
}

static int read_one(struct turn *self, const json_t *action, struct error *err)
{
    const char *text = json_string_value(action);
    if (text && !is_word(text))
        return pyautogui_read(self, text, err);
    const char *name = text ? text : json_get_string(action, "action_type", "");
    struct turn_call *call = turn_add_call(self, action, name, err);
    if (!call)
        return -1;
    const json_t *parameters = json_object_get(action, "parameters");
    turn_write(self, call, parameters ? parameters : action, rows, ARRAY_LEN(rows), 0);
    return 0;
}

static const json_t *action_of(const json_t *said)
{
    static const char *const names[] = { "actions", "action", "code", "text" };
    for (size_t i = 0; json_is_object(said) && i < ARRAY_LEN(names); i++)
        if (json_object_get(said, names[i]))
            return json_object_get(said, names[i]);
    return said;
}

static int read_turn(struct turn *self, struct error *err)
{
    const json_t *said = action_of(self->said);
    if (!json_is_array(said))
        return json_is_string(said) || json_object_get(said, "action_type") ? read_one(self, said, err) : 0;
    int r = 0;
    for (size_t i = 0; r == 0 && i < json_array_size(said); i++)
        r = read_one(self, json_array_get(said, i), err);
    return r;
}

static bool wants_shot(const struct turn *self maybe_unused, const struct turn_call *call maybe_unused, bool is_last)
{
    return is_last;
}

/* --- Answers ----------------------------------------------------------------------------------- */

static json_t *answer(const struct turn *self, const json_t *body, const struct error *failure, const json_t *image)
{
    json_t *info = json_object();
    bool is_end = false, is_failure = false;
    for (size_t i = 0; i < self->n_calls; i++) {
        struct turn_outcome outcome;
        turn_look(self, body, failure, i, &outcome);
        if (outcome.outcome == OUTCOME_FAILED)
            json_object_set_new(info, "error", turn_trouble(&outcome));
        if (outcome.image)
            image = outcome.image;
        is_end |= self->calls[i].is_end && outcome.outcome == OUTCOME_DONE;
        is_failure |= self->calls[i].is_failure && outcome.outcome == OUTCOME_DONE;
    }
    if (is_end)
        json_object_set_new(info, is_failure ? "fail" : "done", json_true());
    json_t *observation = json_object();
    if (image)
        json_object_set(observation, "screenshot", json_object_get(image, "data"));
    return json_pack("{so si sb so}", "observation", observation, "reward", 0, "done", (int)is_end, "info", info);
}

static json_t *tools(const char *tool maybe_unused, struct turn_size image maybe_unused)
{
    return json_array(); /* its actions are in its prompt */
}

const struct dialect_impl dialect_osworld = {
    .read = read_turn, .answer = answer, .wants_shot = wants_shot, .tools = tools, .shows_failures = true,
};
