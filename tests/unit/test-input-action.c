/* Actions: from JSON to events, and every way in which the JSON can be wrong. */
#include "tests/unit/input-text.h"

#include "input/action.h"

#define LONG_PATH_POINTS 1001

/* What an action comes down to on a us keyboard, on a screen of 1000x500 with the pointer at
 * 100, 100. */
static const struct {
    const char *action, *events;
} rows[] = {
    { "{'type': 'move', 'x': 10, 'y': 20}", "move 10 20" },
    { "{'type': 'move', 'x': 130, 'y': 100, 'duration_ms': 30}",
      "move 110 100, 10 ms, move 120 100, 10 ms, move 130 100" },
    { "{'type': 'click', 'x': 10, 'y': 20}",
      "move 10 20, 8 ms, button left down, 30 ms, button left up" },
    { "{'type': 'click'}", "button left down, 30 ms, button left up" },
    { "{'type': 'click', 'button': 'right', 'hold_ms': 100}",
      "button right down, 100 ms, button right up" },
    { "{'type': 'click', 'count': 2, 'interval_ms': 50}",
      "button left down, 30 ms, button left up, 50 ms, button left down, 30 ms, button left up" },
    { "{'type': 'click', 'x': 0, 'y': 0, 'keys': ['ctrl', 'shift']}",
      "LEFTCTRL down, LEFTSHIFT down, 12 ms, move 0 0, 8 ms, button left down, 30 ms, "
      "button left up, 12 ms, LEFTSHIFT up, LEFTCTRL up" },
    { "{'type': 'click', 'button': 'back', 'keys': 'alt'}",
      "LEFTALT down, 12 ms, button back down, 30 ms, button back up, 12 ms, LEFTALT up" },
    { "{'type': 'button_down', 'x': 5, 'y': 6, 'button': 'middle'}",
      "move 5 6, 8 ms, button middle down, keep middle" },
    { "{'type': 'button_up', 'button': 'middle'}", "let go middle" },
    { "{'type': 'drag', 'path': [[0, 0], [100, 0]]}",
      "move 0 0, 8 ms, button left down, 30 ms, move 25 0, 10 ms, move 50 0, 10 ms, move 75 0, "
      "10 ms, move 100 0, 30 ms, button left up" },
    { "{'type': 'drag', 'path': [{'x': 0, 'y': 0}, {'x': 9, 'y': 9}, [3, 3]], 'step_ms': 8, "
      "'hold_before_ms': 1, 'hold_after_ms': 2, 'button': 'right', 'keys': 'shift'}",
      "LEFTSHIFT down, 12 ms, move 0 0, 8 ms, button right down, 1 ms, move 9 9, 8 ms, move 3 3, "
      "2 ms, button right up, 12 ms, LEFTSHIFT up" },
    { "{'type': 'scroll', 'direction': 'down', 'amount': 2}", "wheel down, 6 ms, wheel down" },
    { "{'type': 'scroll', 'x': 1, 'y': 2, 'direction': 'left', 'amount': 1}",
      "move 1 2, 8 ms, wheel left" },
    { "{'type': 'scroll', 'dx': 1, 'dy': -1}", "wheel up, 6 ms, wheel right" },
    { "{'type': 'scroll', 'dy': 240, 'unit': 'pixel', 'keys': 'ctrl'}",
      "LEFTCTRL down, 12 ms, wheel down, 6 ms, wheel down, 12 ms, LEFTCTRL up" },
    { "{'type': 'scroll', 'dy': 0}", "" },
    { "{'type': 'key', 'keys': 'ctrl+shift+t'}",
      "LEFTCTRL down, LEFTSHIFT down, T down, 16 ms, T up, LEFTSHIFT up, LEFTCTRL up" },
    { "{'type': 'key', 'keys': ['a', 'B'], 'hold_ms': 0}",
      "A down, 0 ms, A up, 12 ms, LEFTSHIFT down, B down, 0 ms, B up, LEFTSHIFT up" },
    { "{'type': 'key', 'keys': 'Down', 'repeat': 2}",
      "DOWN down, 16 ms, DOWN up, 12 ms, DOWN down, 16 ms, DOWN up" },
    { "{'type': 'key', 'keys': ['Tab', 'Tab'], 'hold': 'alt'}",
      "LEFTALT down, 12 ms, TAB down, 16 ms, TAB up, 12 ms, TAB down, 16 ms, TAB up, 12 ms, "
      "LEFTALT up" },
    { "{'type': 'key', 'keys': 'ctrl++'}",
      "LEFTCTRL down, LEFTSHIFT down, EQUAL down, 16 ms, EQUAL up, LEFTSHIFT up, LEFTCTRL up" },
    { "{'type': 'key', 'keys': '/'}", "SLASH down, 16 ms, SLASH up" },
    { "{'type': 'key_down', 'keys': 'shift'}", "LEFTSHIFT down, keep LEFTSHIFT" },
    { "{'type': 'key_up', 'keys': 'shift'}", "let go LEFTSHIFT" },
    { "{'type': 'hold_key', 'keys': 'w', 'duration_ms': 500}", "W down, 500 ms, W up" },
    { "{'type': 'type', 'text': 'Hi', 'press_enter': true}",
      "LEFTSHIFT down, H down, H up, 0 ms, LEFTSHIFT up, I down, I up, 0 ms, ENTER down, ENTER "
      "up" },
    { "{'type': 'type', 'text': 'é', 'route': 'alt'}",
      "LEFTALT down, KP0 down, KP0 up, KP2 down, KP2 up, KP3 down, KP3 up, KP3 down, KP3 up, LEFTALT up, 0 ms" },
    { "{'type': 'type', 'text': 'a', 'delay_ms': 50}", "A down, A up, 50 ms" },
    { "{'type': 'type', 'text': ''}", "" },
    { "{'type': 'wait', 'duration_ms': 5}", "5 ms" },
    { "{'type': 'cursor_position'}", "" },
    { "{'type': 'release_all'}", "release all" },
};

static const struct space screen = { .kind = SPACE_NATIVE, .width = 1000, .height = 500 };

static struct keymap *us(void)
{
    struct keymap *keymap = NULL;
    cr_assert(eq(int, keymap_new(&keymap, "us", NULL, NULL), 0));
    return keymap;
}

static int plan_row(const char *row, struct plan_context *context, struct buf *out,
                    struct error *err)
{
    auto_json json_t *object = parse_row(row);
    struct action action;
    struct plan plan = { 0 };
    int r = action_parse(&action, object, "actions[2]", err);
    cr_assert(r >= 0 || err, "%s", row);
    if (r >= 0)
        r = plan_action(&plan, &action, context, err);
    if (r >= 0)
        plan_text(&plan, out);
    plan_deinit(&plan);
    action_deinit(&action);
    return r;
}

Test(action, comes_down_to_events)
{
    struct keymap *keymap = us();
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct plan_context context = { keymap, &screen, true, 100, 100, { 0 }, NULL };
        auto_buf struct buf out = BUF_INIT;
        struct error err = { 0 };
        cr_assert(eq(int, plan_row(rows[i].action, &context, &out, &err), 0), "%s: %s",
                  rows[i].action, err.message);
        cr_assert(eq(str, (char *)buf_str(&out), (char *)rows[i].events), "%s", rows[i].action);
    }
    keymap_unref(keymap);
}

/* Presses and releases are balanced in every row but those that say otherwise. */
Test(action, releases_what_it_presses)
{
    struct keymap *keymap = us();
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct plan_context context = { keymap, &screen, true, 100, 100, { 0 }, NULL };
        auto_buf struct buf out = BUF_INIT;
        plan_row(rows[i].action, &context, &out, NULL);
        int balance = 0;
        for (const char *p = buf_str(&out); *p; p++) {
            balance += strncmp(p, " down", 5) == 0 && (p[5] == ',' || !p[5]);
            balance -= strncmp(p, " up", 3) == 0 && (p[3] == ',' || !p[3]);
        }
        if (!strstr(rows[i].action, "scroll") && !strstr(rows[i].action, "_down"))
            cr_assert(eq(int, balance, 0), "%s", rows[i].action);
    }
    keymap_unref(keymap);
}

Test(action, keeps_the_rest_of_a_scroll)
{
    static const struct {
        const char *action, *events;
    } steps[] = {
        { "{'type': 'scroll', 'dy': 100, 'unit': 'pixel'}", "" },
        { "{'type': 'scroll', 'dy': 30, 'unit': 'pixel'}", "wheel down" },
        { "{'type': 'scroll', 'dx': 119, 'unit': 'pixel'}", "" },
        { "{'type': 'scroll', 'dy': 109, 'unit': 'pixel'}", "" },
        { "{'type': 'scroll', 'dx': 1, 'dy': 1, 'unit': 'pixel'}",
          "wheel down, 6 ms, wheel right" },
        { "{'type': 'scroll', 'dy': 119, 'unit': 'pixel'}", "" },
        { "{'type': 'scroll', 'dy': -60, 'unit': 'pixel'}", "" }, /* the other way: no rest */
        { "{'type': 'scroll', 'dy': -60, 'unit': 'pixel'}", "wheel up" },
        { "{'type': 'scroll', 'direction': 'down', 'amount': 0.5}", "" },
        { "{'type': 'scroll', 'direction': 'down', 'amount': 1.5}",
          "wheel down, 6 ms, wheel down" },
    };
    struct keymap *keymap = us();
    struct plan_context context = { keymap, &screen, false, 0, 0, { 0 }, NULL };
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        auto_buf struct buf out = BUF_INIT;
        plan_row(steps[i].action, &context, &out, NULL);
        cr_assert(eq(str, (char *)buf_str(&out), (char *)steps[i].events), "step %zu", i);
    }
    keymap_unref(keymap);
}

Test(action, says_what_is_wrong)
{
    static const struct {
        const char *action;
        enum error_code code;
        const char *message;
    } bad[] = {
        { "7", ERROR_BAD_TYPE, "actions[2]: expected an object, got an integer" },
        { "{}", ERROR_MISSING_FIELD, "actions[2].type: is missing" },
        { "{'type': 3}", ERROR_BAD_TYPE, "actions[2].type: expected a string, got an integer" },
        { "{'type': 'jump'}", ERROR_BAD_VALUE, "actions[2].type: there is no action 'jump'" },
        { "{'type': 'move'}", ERROR_MISSING_FIELD, "actions[2].x: is missing" },
        { "{'type': 'move', 'x': '1', 'y': 2}", ERROR_BAD_TYPE,
          "actions[2].x: expected a number, got a string" },
        { "{'type': 'move', 'x': null, 'y': 2}", ERROR_BAD_TYPE,
          "actions[2].x: expected a number, got null" },
        { "{'type': 'click', 'x': 1}", ERROR_MISSING_FIELD, "actions[2].y: is missing" },
        { "{'type': 'click', 'z': 1}", ERROR_UNKNOWN_FIELD,
          "actions[2].z: click has no such field" },
        { "{'type': 'click', 'button': 'wheel'}", ERROR_BAD_VALUE,
          "actions[2].button: 'wheel' is none of left, right, middle, back, forward" },
        { "{'type': 'click', 'count': 4}", ERROR_BAD_VALUE,
          "actions[2].count: 4 is outside 1 to 3" },
        { "{'type': 'click', 'count': 1.5}", ERROR_BAD_TYPE,
          "actions[2].count: expected an integer, got a number" },
        { "{'type': 'click', 'count': 1e30}", ERROR_BAD_VALUE,
          "actions[2].count: 1e+30 is outside 1 to 3" },
        { "{'type': 'click', 'keys': ['nokey']}", ERROR_UNKNOWN_KEY,
          "actions[2].keys: unknown key 'nokey'" },
        { "{'type': 'click', 'keys': 5}", ERROR_BAD_TYPE,
          "actions[2].keys: expected a string or an array of strings, got an integer" },
        { "{'type': 'click', 'keys': ['ctrl+a']}", ERROR_BAD_VALUE,
          "actions[2].keys: one key name per element" },
        { "{'type': 'drag', 'path': [[1, 2]]}", ERROR_BAD_VALUE,
          "actions[2].path: 1 points, expected 2 to 1000" },
        { "{'type': 'drag', 'path': [[1, 2], [3]]}", ERROR_BAD_TYPE, NULL },
        { "{'type': 'drag', 'path': [[1, 2], {'x': 1, 'y': 2, 'z': 3}]}", ERROR_BAD_TYPE, NULL },
        { "{'type': 'drag', 'path': 'x'}", ERROR_BAD_TYPE, NULL },
        { "{'type': 'scroll'}", ERROR_MISSING_FIELD, "actions[2].direction: is missing" },
        { "{'type': 'scroll', 'direction': 'up'}", ERROR_MISSING_FIELD,
          "actions[2].amount: is missing" },
        { "{'type': 'scroll', 'direction': 'up', 'amount': 1, 'dy': 3}", ERROR_BAD_VALUE,
          "actions[2]: either direction and amount, or dx and dy" },
        { "{'type': 'scroll', 'dy': 101}", ERROR_BAD_VALUE,
          "actions[2]: scrolls 101 notches, more than 100" },
        { "{'type': 'key', 'keys': []}", ERROR_BAD_VALUE,
          "actions[2].keys: 0 chords, expected 1 to 100" },
        { "{'type': 'key', 'keys': ''}", ERROR_BAD_VALUE, "actions[2].keys: no key" },
        { "{'type': 'key', 'keys': 'ctrl+'}", ERROR_BAD_VALUE,
          "actions[2].keys: a key is missing beside '+'" },
        { "{'type': 'key', 'keys': 'F13'}", ERROR_UNTYPABLE,
          "the key F13 is not on the guest's keyboard" },
        { "{'type': 'key', 'keys': '\xc3\xa4'}", ERROR_UNTYPABLE,
          "the key adiaeresis is not on the guest's keyboard" },
        { "{'type': 'key', 'keys': 'a', 'repeat': 101}", ERROR_BAD_VALUE, NULL },
        { "{'type': 'key_down', 'keys': ['a', 'b']}", ERROR_BAD_VALUE,
          "actions[2].keys: 2 chords, expected 1 to 1" },
        { "{'type': 'hold_key', 'keys': 'a'}", ERROR_MISSING_FIELD,
          "actions[2].duration_ms: is missing" },
        { "{'type': 'hold_key', 'keys': 'a', 'duration_ms': 300001}", ERROR_BAD_VALUE,
          "actions[2].duration_ms: 300001 is outside 0 to 300000" },
        { "{'type': 'type'}", ERROR_MISSING_FIELD, "actions[2].text: is missing" },
        { "{'type': 'type', 'text': 'a\\u0000b'}", ERROR_BAD_VALUE,
          "actions[2].text: contains the character NUL" },
        { "{'type': 'type', 'text': 'a', 'secret': 1}", ERROR_BAD_TYPE,
          "actions[2].secret: expected a boolean, got an integer" },
        { "{'type': 'wait', 'duration_ms': -1}", ERROR_BAD_VALUE, NULL },
        { "{'type': 'zoom'}", ERROR_MISSING_FIELD, "actions[2].region: is missing" },
        { "{'type': 'zoom', 'region': {'x': 1, 'y': 2, 'width': 3}}", ERROR_MISSING_FIELD,
          "actions[2].region.height: is missing" },
        { "{'type': 'zoom', 'region': [0, 0, 1, 1]}", ERROR_BAD_TYPE, NULL },
        { "{'type': 'screenshot', 'format': 'gif'}", ERROR_BAD_VALUE, NULL },
        { "{'type': 'screenshot', 'if_changed_since': 0}", ERROR_BAD_VALUE, NULL },
        { "{'type': 'screenshot', 'if_changed_since': 'f-12'}", ERROR_BAD_TYPE,
          "actions[2].if_changed_since: expected an integer, got a string" },
        { "{'type': 'wait_for', 'kind': 'tea'}", ERROR_BAD_VALUE, NULL },
        { "{'type': 'move', 'x': 1000, 'y': 2}", ERROR_OUTSIDE_SCREEN, NULL },
        { "{'type': 'drag', 'path': [[1, 2], [1, 500]]}", ERROR_OUTSIDE_SCREEN, NULL },
        { "{'type': 'drag', 'path': [[0,0],[999,0],[0,0],[999,0],[0,0],[999,0],[0,0],[999,0],[0,0],"
          "[999,0],[0,0],[999,0],[0,0],[999,0]], 'step_ms': 1000}",
          ERROR_BAD_VALUE, "drag would take 324 s, more than 300" },
        { "{'type': 'screenshot'}", ERROR_INTERNAL, "screenshot is no input" },
    };
    struct keymap *keymap = us();
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct plan_context context = { keymap, &screen, true, 100, 100, { 0 }, NULL };
        struct error err = { 0 };
        auto_buf struct buf out = BUF_INIT;
        cr_assert(lt(int, plan_row(bad[i].action, &context, &out, &err), 0), "%s", bad[i].action);
        cr_assert(eq(int, err.code, bad[i].code), "%s: %s", bad[i].action, err.message);
        if (bad[i].message)
            cr_assert(eq(str, err.message, (char *)bad[i].message));
    }
    keymap_unref(keymap);
}

Test(action, refuses_a_path_or_text_that_is_too_long)
{
    auto_buf struct buf row = BUF_INIT;
    struct action action;
    struct error err = { 0 };
    buf_puts(&row, "{'type': 'drag', 'path': [[1, 1]");
    for (int i = 1; i < LONG_PATH_POINTS; i++)
        buf_puts(&row, ", [1, 1]");
    buf_puts(&row, "]}");
    auto_json json_t *drag = parse_row(buf_str(&row));
    cr_assert(lt(int, action_parse(&action, drag, "a", &err), 0));
    cr_assert(eq(int, err.code, ERROR_BAD_VALUE));

    char *text = calloc(1, ACTION_TEXT_MAX + 2);
    memset(text, 'a', ACTION_TEXT_MAX + 1);
    auto_json json_t *type = json_pack("{s:s, s:s}", "type", "type", "text", text);
    cr_assert(lt(int, action_parse(&action, type, "a", &err), 0));
    cr_assert(eq(int, err.code, ERROR_TOO_LARGE));
    free(text);
}

Test(action, fills_what_farm_carries_out)
{
    auto_json json_t *object = parse_row(
        "{'type': 'screenshot', 'region': {'x': 1, 'y': 2, 'width': 3, 'height': 4}, 'width': 640, "
        "'format': 'webp', 'cursor': false, 'quiet_ms': 100, 'if_changed_since': 9007199254740991}");
    struct action a;
    cr_assert(eq(int, action_parse(&a, object, "actions[0]", NULL), 0));
    cr_assert(not(action_is_played(&a)));
    cr_assert(not(action_is_control(&a)));
    cr_assert(a.has_region && a.region.x == 1 && a.region.height == 4);
    cr_assert(a.width == 640 && a.height == 0 && a.format == IMAGE_WEBP && a.quality == 85);
    cr_assert(not(a.with_cursor));
    cr_assert(a.settle && a.first_ms == 1000 && a.quiet_ms == 100 && a.max_ms == 5000);
    cr_assert(eq(i64, a.if_changed_since, 9007199254740991));
    action_deinit(&a);

    auto_json json_t *secret = parse_row("{'type': 'type', 'text': 'pass', 'secret': true}");
    cr_assert(eq(int, action_parse(&a, secret, "actions[0]", NULL), 0));
    cr_assert(a.is_secret && action_is_played(&a) && action_is_control(&a));
    action_deinit(&a);
    action_deinit(&a);
}

/* What is in the document is what the parser takes. */
Test(action, describes_itself)
{
    auto_json json_t *schema = action_schema();
    json_t *all = json_object_get(schema, "oneOf");
    cr_assert(eq(sz, json_array_size(all), ACTION_COUNT));
    for (size_t i = 0; i < ACTION_COUNT; i++) {
        const struct action_row *row = &action_table[i];
        json_t *one = json_array_get(all, i);
        json_t *properties = json_object_get(one, "properties");
        cr_assert(eq(str, (char *)json_get_string(one, "title", ""), (char *)row->name));
        cr_assert(gt(sz, strlen(json_get_string(one, "description", "")), 10));
        cr_assert(eq(sz, json_object_size(properties), row->n_fields + 1), "%s", row->name);
        for (size_t j = 0; j < row->n_fields; j++) {
            json_t *field = json_object_get(properties, row->fields[j].name);
            cr_assert(json_object_get(field, "description") != NULL, "%s", row->fields[j].name);
            cr_assert(json_object_get(field, "type") || json_object_get(field, "oneOf"));
            if (row->fields[j].default_json)
                cr_assert(json_object_get(field, "default") != NULL);
        }
    }
}
