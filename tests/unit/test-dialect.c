/* Dialects: what models say becomes actions of ours, and results become what their APIs want back. */
#include "dialect/pycall.h"
#include "dialect/turn.h"

#include <criterion/criterion.h>
#include <string.h>

static const struct turn_options screen_1280 = { .screen = { 1280, 800 } };

static json_t *parse(const char *text)
{
    json_t *value = NULL;
    struct error err = { 0 };
    cr_assert_eq(json_parse_any(text, strlen(text), &value, &err), 0, "%s: %s", text, err.message);
    return value;
}

static struct turn *read_turn(enum dialect dialect, json_t *said, struct turn_options options)
{
    struct turn *turn = NULL;
    struct error err = { 0 };
    cr_assert_eq(turn_new(&turn, dialect, said, &options, &err), 0, "%s", err.message);
    return turn;
}

static void expect_json(const json_t *got, const char *wanted)
{
    auto_json json_t *want = parse(wanted);
    auto_free char *text = json_dumps(got, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(12));
    cr_expect(json_equal(got, want), "wanted %s\n got    %s", wanted, text);
}

/* The actions of what was said with no pictures but those asked for. */
static void expect_actions(enum dialect dialect, const char *said_text, const char *actions)
{
    auto_json json_t *said = parse(said_text);
    struct turn_options options = screen_1280;
    options.images = TURN_IMAGES_ASKED;
    auto_turn struct turn *turn = read_turn(dialect, said, options);
    auto_json json_t *request = turn_request(turn);
    expect_json(json_object_get(request, "actions"), actions);
}

static void expect_refusal(enum dialect dialect, const char *said_text, enum error_code code)
{
    auto_json json_t *said = parse(said_text);
    struct turn *turn = NULL;
    struct error err = { 0 };
    cr_expect_lt(turn_new(&turn, dialect, said, &screen_1280, &err), 0);
    cr_expect_eq(err.code, code, "%s: %s", error_code_name(err.code), err.message);
}

/* Every call but `bad` was done; that one could not be. */
static json_t *answer_of(enum dialect dialect, json_t *said, struct turn_options options, int64_t failed,
                         const char *message)
{
    auto_turn struct turn *turn = read_turn(dialect, said, options);
    auto_json json_t *request = turn_request(turn), *body = json_pack("{s[]}", "results");
    const json_t *actions = json_object_get(request, "actions");
    for (size_t i = 0; i < json_array_size(actions) && (failed < 0 || (int64_t)i < failed); i++) {
        const char *type = json_get_string(json_array_get(actions, i), "type", "");
        json_t *result = json_pack("{si}", "index", (int)i);
        if (strcmp(type, "screenshot") == 0 || strcmp(type, "zoom") == 0)
            json_object_set_new(result, "image", json_pack("{ss ss}", "format", "png", "data", "UE5H"));
        if (strcmp(type, "cursor_position") == 0) {
            json_object_set_new(result, "native", json_pack("[ii]", 7, 9));
            json_object_set_new(result, "x", json_real(7));
            json_object_set_new(result, "y", json_real(9));
        }
        json_array_append_new(json_object_get(body, "results"), result);
    }
    struct error err = { 0 };
    if (failed >= 0) {
        json_object_set_new(body, "failed_action", json_integer(failed));
        error_set(&err, ERROR_OUTSIDE_SCREEN, "actions[%d] (click): %s", (int)failed, message);
    }
    auto_json json_t *image = json_pack("{ss ss}", "format", "png", "data", "TEFTVA==");
    bool lacks = turn_lacks_image(turn, body, failed >= 0 ? &err : NULL);
    return turn_answer(turn, body, failed >= 0 ? &err : NULL, lacks ? image : NULL);
}

/* --- Anthropic --------------------------------------------------------------------------------- */

#define MEMBER(name, input)                                                                                            \
    "{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"" name "\",\"toolset_name\":\"computer\",\"input\":" input "}"

static const struct {
    const char *said, *actions;
} members[] = {
    { MEMBER("left_click", "{\"coordinate\":[0,0]}"), "[{\"type\":\"click\",\"button\":\"left\",\"count\":1,\"x\":0.0,\"y\":0.0}]" },
    { MEMBER("right_click", "{}"), "[{\"type\":\"click\",\"button\":\"right\",\"count\":1}]" },
    { MEMBER("middle_click", "{\"coordinate\":null}"), "[{\"type\":\"click\",\"button\":\"middle\",\"count\":1}]" },
    { MEMBER("double_click", "{\"coordinate\":[3,4],\"text\":\"ctrl+shift\"}"),
      "[{\"type\":\"click\",\"button\":\"left\",\"count\":2,\"keys\":\"ctrl+shift\",\"x\":3.0,\"y\":4.0}]" },
    { MEMBER("triple_click", "{\"coordinate\":[3,4]}"), "[{\"type\":\"click\",\"button\":\"left\",\"count\":3,\"x\":3.0,\"y\":4.0}]" },
    { MEMBER("mouse_move", "{\"coordinate\":[3,4]}"), "[{\"type\":\"move\",\"x\":3.0,\"y\":4.0}]" },
    { MEMBER("left_mouse_down", "{}"), "[{\"type\":\"button_down\"}]" },
    { MEMBER("left_mouse_up", "{}"), "[{\"type\":\"button_up\"}]" },
    { MEMBER("left_click_drag", "{\"start_coordinate\":[1,2],\"coordinate\":[3,4]}"),
      "[{\"type\":\"drag\",\"path\":[[1.0,2.0],[3.0,4.0]],\"button\":\"left\"}]" },
    { MEMBER("left_click_drag", "{\"coordinate\":[3,4]}"),
      "[{\"type\":\"button_down\",\"button\":\"left\"},{\"type\":\"move\",\"x\":3.0,\"y\":4.0,\"duration_ms\":200},"
      "{\"type\":\"button_up\",\"button\":\"left\"}]" },
    { MEMBER("scroll", "{\"scroll_direction\":\"left\",\"scroll_amount\":3,\"coordinate\":[5,6],\"text\":\"shift\"}"),
      "[{\"type\":\"scroll\",\"dx\":-3.0,\"dy\":0.0,\"unit\":\"notch\",\"keys\":\"shift\",\"x\":5.0,\"y\":6.0}]" },
    { MEMBER("key", "{\"text\":\"ctrl+a Delete\"}"), "[{\"type\":\"key\",\"keys\":\"ctrl+a\"},{\"type\":\"key\",\"keys\":\"Delete\"}]" },
    { MEMBER("key", "{\"text\":\"Down\",\"repeat\":2}"), "[{\"type\":\"key\",\"keys\":\"Down\"},{\"type\":\"key\",\"keys\":\"Down\"}]" },
    { MEMBER("key", "{\"text\":\" \"}"), "[{\"type\":\"key\",\"keys\":\"space\"}]" },
    { MEMBER("key", "{\"text\":\"é\"}"), "[{\"type\":\"type\",\"text\":\"é\"}]" },
    { MEMBER("hold_key", "{\"text\":\"shift\",\"duration\":0.5}"), "[{\"type\":\"hold_key\",\"keys\":\"shift\",\"duration_ms\":500}]" },
    { MEMBER("type", "{\"text\":\"a\\nb\"}"), "[{\"type\":\"type\",\"text\":\"a\\nb\"}]" },
    { MEMBER("wait", "{\"duration\":2}"), "[{\"type\":\"wait\",\"duration_ms\":2000}]" },
    { MEMBER("cursor_position", "{}"), "[{\"type\":\"cursor_position\"}]" },
    { MEMBER("screenshot", "{}"), "[{\"type\":\"screenshot\",\"width\":1280,\"height\":800}]" },
    { MEMBER("zoom", "{\"region\":[0,0,640,200]}"),
      "[{\"type\":\"zoom\",\"region\":{\"x\":0.0,\"y\":0.0,\"width\":640.0,\"height\":200.0},\"width\":1280,\"height\":400}]" },
};

Test(anthropic, every_member_becomes_actions)
{
    for (size_t i = 0; i < ARRAY_LEN(members); i++)
        expect_actions(DIALECT_ANTHROPIC, members[i].said, members[i].actions);
}

Test(anthropic, older_tools_name_the_action_in_the_input)
{
    expect_actions(DIALECT_ANTHROPIC,
                   "[{\"type\":\"tool_use\",\"id\":\"a\",\"name\":\"computer\",\"input\":{\"action\":\"key\",\"text\":\"Return\"}},"
                   "{\"type\":\"tool_use\",\"id\":\"b\",\"name\":\"bash\",\"input\":{\"command\":\"ls\"}}]",
                   "[{\"type\":\"key\",\"keys\":\"Return\"}]");
}

Test(anthropic, a_turn_stops_at_what_cannot_be_written)
{
    auto_json json_t *said = parse("{\"role\":\"assistant\",\"content\":[" MEMBER("left_click", "{\"coordinate\":[1,2]}") ","
                                   MEMBER("wait", "{\"duration\":301}") "," MEMBER("type", "{\"text\":\"x\"}") "]}");
    auto_json json_t *answer = answer_of(DIALECT_ANTHROPIC, said, screen_1280, -1, NULL);
    expect_json(answer,
                "{\"role\":\"user\",\"content\":["
                "{\"type\":\"tool_result\",\"tool_use_id\":\"t\",\"toolset_name\":\"computer\",\"content\":[{\"type\":\"text\","
                "\"text\":\"Clicked at (1, 2).\"}]},"
                "{\"type\":\"tool_result\",\"tool_use_id\":\"t\",\"toolset_name\":\"computer\",\"content\":[{\"type\":\"text\","
                "\"text\":\"duration is 301; it must be from 0 to 300\"}],\"is_error\":true},"
                "{\"type\":\"tool_result\",\"tool_use_id\":\"t\",\"toolset_name\":\"computer\",\"content\":[{\"type\":\"text\","
                "\"text\":\"Not executed: an earlier action of this turn failed.\"}],\"is_error\":true}]}");
}

Test(anthropic, the_guest_may_refuse_too)
{
    auto_json json_t *said = parse("[" MEMBER("screenshot", "{}") "," MEMBER("left_click", "{\"coordinate\":[9999,2]}") ","
                                   MEMBER("cursor_position", "{}") "]");
    auto_json json_t *answer = answer_of(DIALECT_ANTHROPIC, said, screen_1280, 1, "x is 9999, outside");
    cr_expect_str_eq(json_get_string(json_object_get(json_array_get(json_object_get(json_array_get(answer, 0), "content"), 0), "source"), "data", ""), "UE5H");
    expect_json(json_object_get(json_array_get(answer, 1), "content"), "[{\"type\":\"text\",\"text\":\"x is 9999, outside\"}]");
    cr_expect(json_is_true(json_object_get(json_array_get(answer, 2), "is_error")));
}

Test(anthropic, versions_lack_what_came_later)
{
    struct turn_options old = screen_1280;
    old.tool = "computer_20241022";
    auto_json json_t *said = parse("{\"action\":\"triple_click\",\"coordinate\":[1,2]}");
    auto_json json_t *answer = answer_of(DIALECT_ANTHROPIC, said, old, -1, NULL);
    cr_expect(json_is_true(json_object_get(answer, "is_error")));
    auto_json json_t *zoom = parse("{\"action\":\"zoom\",\"region\":[0,0,10,10]}");
    old.tool = "computer_20250124";
    auto_json json_t *refused = answer_of(DIALECT_ANTHROPIC, zoom, old, -1, NULL);
    cr_expect(json_is_true(json_object_get(refused, "is_error")));
    old.tool = "computer_20251124";
    auto_json json_t *done = answer_of(DIALECT_ANTHROPIC, zoom, old, -1, NULL);
    cr_expect_null(json_object_get(done, "is_error"));
}

Test(anthropic, where_the_pointer_is)
{
    auto_json json_t *said = parse(MEMBER("cursor_position", "{}"));
    auto_json json_t *answer = answer_of(DIALECT_ANTHROPIC, said, screen_1280, -1, NULL);
    expect_json(json_object_get(answer, "content"), "[{\"type\":\"text\",\"text\":\"X=7,Y=9\"}]");
}

/* --- OpenAI ------------------------------------------------------------------------------------ */

Test(openai, a_batch_of_actions_has_one_picture)
{
    auto_json json_t *said = parse(
        "{\"type\":\"computer_call\",\"call_id\":\"c1\",\"pending_safety_checks\":[],\"actions\":["
        "{\"type\":\"click\",\"button\":\"wheel\",\"x\":1,\"y\":2,\"keys\":[\"CTRL\",\"SHIFT\"]},"
        "{\"type\":\"double_click\",\"x\":1,\"y\":2,\"keys\":null},{\"type\":\"move\",\"x\":5,\"y\":6},"
        "{\"type\":\"drag\",\"path\":[{\"x\":1,\"y\":2},{\"x\":3,\"y\":4},{\"x\":5,\"y\":6}]},"
        "{\"type\":\"scroll\",\"x\":1,\"y\":2,\"scroll_x\":0,\"scroll_y\":-90},"
        "{\"type\":\"keypress\",\"keys\":[\"CTRL\",\"+\"]},{\"type\":\"keypress\",\"keys\":[\"/\"]},"
        "{\"type\":\"type\",\"text\":\"hi\"},{\"type\":\"wait\"},{\"type\":\"screenshot\"}]}");
    auto_turn struct turn *turn = read_turn(DIALECT_OPENAI, said, screen_1280);
    auto_json json_t *request = turn_request(turn);
    expect_json(json_object_get(request, "actions"),
                "[{\"type\":\"click\",\"button\":\"middle\",\"count\":1,\"keys\":\"CTRL+SHIFT\",\"x\":1.0,\"y\":2.0},"
                "{\"type\":\"click\",\"button\":\"left\",\"count\":2,\"x\":1.0,\"y\":2.0},{\"type\":\"move\",\"x\":5.0,\"y\":6.0},"
                "{\"type\":\"drag\",\"path\":[[1.0,2.0],[3.0,4.0],[5.0,6.0]]},"
                "{\"type\":\"scroll\",\"dx\":0.0,\"dy\":-90.0,\"unit\":\"pixel\",\"x\":1.0,\"y\":2.0},"
                "{\"type\":\"key\",\"keys\":\"CTRL++\"},{\"type\":\"type\",\"text\":\"/\"},{\"type\":\"type\",\"text\":\"hi\"},"
                "{\"type\":\"wait\",\"duration_ms\":1000},{\"type\":\"screenshot\",\"width\":1280,\"height\":800}]");
    auto_json json_t *answer = answer_of(DIALECT_OPENAI, said, screen_1280, -1, NULL);
    expect_json(answer, "{\"type\":\"computer_call_output\",\"call_id\":\"c1\",\"output\":{\"type\":\"computer_screenshot\","
                        "\"image_url\":\"data:image/png;base64,UE5H\"},\"status\":\"completed\"}");
}

Test(openai, safety_checks_wait_for_a_person)
{
    const char *text = "[{\"type\":\"computer_call\",\"call_id\":\"c1\",\"pending_safety_checks\":[{\"id\":\"s1\",\"code\":\"x\","
                       "\"message\":\"sure?\"}],\"action\":{\"type\":\"screenshot\"}}]";
    expect_refusal(DIALECT_OPENAI, text, ERROR_CONFIRM);
    auto_json json_t *said = parse(text);
    struct turn_options options = screen_1280;
    options.is_confirmed = true;
    auto_json json_t *answer = answer_of(DIALECT_OPENAI, said, options, -1, NULL);
    expect_json(json_object_get(json_array_get(answer, 0), "acknowledged_safety_checks"),
                "[{\"id\":\"s1\",\"code\":\"x\",\"message\":\"sure?\"}]");
}

Test(openai, a_failure_is_told_and_shown)
{
    auto_json json_t *said = parse("{\"output\":[{\"type\":\"computer_call\",\"call_id\":\"c1\",\"action\":"
                                   "{\"type\":\"click\",\"x\":5000,\"y\":2,\"button\":\"left\"}}]}");
    auto_json json_t *answer = answer_of(DIALECT_OPENAI, said, screen_1280, 0, "x is 5000, outside");
    expect_json(answer, "[{\"type\":\"computer_call_output\",\"call_id\":\"c1\",\"output\":{\"type\":\"computer_screenshot\","
                        "\"image_url\":\"data:image/png;base64,TEFTVA==\"},\"status\":\"incomplete\"},"
                        "{\"role\":\"user\",\"content\":\"x is 5000, outside\"}]");
}

Test(openai, a_long_scroll_is_played_in_parts)
{
    expect_actions(DIALECT_OPENAI, "{\"type\":\"scroll\",\"x\":1,\"y\":2,\"scroll_x\":0,\"scroll_y\":24000}",
                   "[{\"type\":\"scroll\",\"dx\":0.0,\"dy\":12000.0,\"unit\":\"pixel\",\"x\":1.0,\"y\":2.0},"
                   "{\"type\":\"scroll\",\"dx\":0.0,\"dy\":12000.0,\"unit\":\"pixel\",\"x\":1.0,\"y\":2.0}]");
}

/* --- Gemini ------------------------------------------------------------------------------------ */

static const struct {
    const char *said, *actions;
} functions[] = {
    { "{\"name\":\"click_at\",\"args\":{\"x\":1000,\"y\":0}}", "[{\"type\":\"click\",\"button\":\"left\",\"count\":1,\"x\":1000.0,\"y\":0.0}]" },
    { "{\"name\":\"triple_click\",\"args\":{\"x\":1,\"y\":2}}", "[{\"type\":\"click\",\"button\":\"left\",\"count\":3,\"x\":1.0,\"y\":2.0}]" },
    { "{\"name\":\"hover_at\",\"args\":{\"x\":1,\"y\":2}}", "[{\"type\":\"move\",\"x\":1.0,\"y\":2.0}]" },
    { "{\"name\":\"type_text_at\",\"args\":{\"x\":1,\"y\":2,\"text\":\"a\",\"press_enter\":false}}",
      "[{\"type\":\"click\",\"button\":\"left\",\"count\":1,\"x\":1.0,\"y\":2.0},{\"type\":\"key\",\"keys\":\"ctrl+a\"},"
      "{\"type\":\"key\",\"keys\":\"BackSpace\"},{\"type\":\"type\",\"text\":\"a\"}]" },
    { "{\"name\":\"type_text_at\",\"args\":{\"x\":1,\"y\":2,\"text\":\"a\",\"clear_before_typing\":false}}",
      "[{\"type\":\"click\",\"button\":\"left\",\"count\":1,\"x\":1.0,\"y\":2.0},"
      "{\"type\":\"type\",\"text\":\"a\",\"press_enter\":true}]" },
    { "{\"name\":\"type\",\"args\":{\"text\":\"a\",\"press_enter\":true}}", "[{\"type\":\"type\",\"text\":\"a\",\"press_enter\":true}]" },
    { "{\"name\":\"scroll\",\"args\":{\"x\":1,\"y\":2,\"direction\":\"up\",\"magnitude\":500}}",
      "[{\"type\":\"scroll\",\"dx\":0.0,\"dy\":-400.0,\"unit\":\"pixel\",\"x\":1.0,\"y\":2.0}]" },
    { "{\"name\":\"scroll_at\",\"args\":{\"x\":1,\"y\":2,\"direction\":\"right\"}}",
      "[{\"type\":\"scroll\",\"dx\":1024.0,\"dy\":0.0,\"unit\":\"pixel\",\"x\":1.0,\"y\":2.0}]" },
    { "{\"name\":\"key_combination\",\"args\":{\"keys\":\"control+c\"}}", "[{\"type\":\"key\",\"keys\":\"control+c\"}]" },
    { "{\"name\":\"hotkey\",\"args\":{\"keys\":[\"ctrl\",\"c\"]}}", "[{\"type\":\"key\",\"keys\":\"ctrl+c\"}]" },
    { "{\"name\":\"drag_and_drop\",\"args\":{\"x\":1,\"y\":2,\"destination_x\":3,\"destination_y\":4}}",
      "[{\"type\":\"drag\",\"path\":[[1.0,2.0],[3.0,4.0]],\"button\":\"left\"}]" },
    { "{\"name\":\"wait\",\"args\":{}}", "[{\"type\":\"wait\",\"duration_ms\":1000}]" },
    { "{\"name\":\"wait_5_seconds\"}", "[{\"type\":\"wait\",\"duration_ms\":5000}]" },
    { "{\"name\":\"go_back\",\"args\":{}}", "[{\"type\":\"key\",\"keys\":\"alt+Left\"}]" },
    { "{\"name\":\"navigate\",\"args\":{\"url\":\"example.org\"}}",
      "[{\"type\":\"key\",\"keys\":\"ctrl+l\"},{\"type\":\"type\",\"text\":\"example.org\",\"press_enter\":true}]" },
};

Test(gemini, functions_of_both_sets)
{
    for (size_t i = 0; i < ARRAY_LEN(functions); i++)
        expect_actions(DIALECT_GEMINI, functions[i].said, functions[i].actions);
}

Test(gemini, answers_with_function_responses)
{
    auto_json json_t *said = parse("{\"candidates\":[{\"content\":{\"role\":\"model\",\"parts\":[{\"text\":\"so\"},"
                                   "{\"functionCall\":{\"id\":\"7\",\"name\":\"move\",\"args\":{\"x\":1,\"y\":2}}},"
                                   "{\"functionCall\":{\"name\":\"mine\",\"args\":{}}}]}}]}");
    auto_json json_t *answer = answer_of(DIALECT_GEMINI, said, screen_1280, -1, NULL);
    expect_json(answer, "{\"role\":\"user\",\"parts\":[{\"functionResponse\":{\"name\":\"move\",\"response\":{\"output\":\"done\","
                        "\"url\":\"\"},\"id\":\"7\",\"parts\":[{\"inlineData\":{\"mimeType\":\"image/png\",\"data\":\"UE5H\"}}]}}]}");
}

Test(gemini, a_safety_decision_waits_for_a_person)
{
    expect_refusal(DIALECT_GEMINI, "{\"name\":\"click_at\",\"args\":{\"x\":1,\"y\":2,\"safety_decision\":{\"decision\":"
                                   "\"require_confirmation\",\"explanation\":\"?\"}}}", ERROR_CONFIRM);
}

/* --- UI-TARS, OSWorld, pyautogui ---------------------------------------------------------------- */

Test(ui_tars, text_becomes_actions)
{
    expect_actions(DIALECT_UI_TARS,
                   "{\"role\":\"assistant\",\"content\":\"Thought: x\\nAction: click(point='<point>200 300</point>')\\n\\n"
                   "left_double(start_box='<|box_start|>(10,20)<|box_end|>')\\nright_single(start_box='[10, 20, 30, 40]')\\n"
                   "drag(start_point='<point>1 2</point>', end_point='<point>3 4</point>')\\nhotkey(key='ctrl shift t')\\n"
                   "type(content='it\\\\'s\\\\n')\\nscroll(point='<point>5 6</point>', direction='down')\"}",
                   "[{\"type\":\"click\",\"button\":\"left\",\"count\":1,\"x\":200.0,\"y\":300.0},"
                   "{\"type\":\"click\",\"button\":\"left\",\"count\":2,\"x\":10.0,\"y\":20.0},"
                   "{\"type\":\"click\",\"button\":\"right\",\"count\":1,\"x\":20.0,\"y\":30.0},"
                   "{\"type\":\"drag\",\"path\":[[1.0,2.0],[3.0,4.0]],\"button\":\"left\"},"
                   "{\"type\":\"key\",\"keys\":\"ctrl+shift+t\"},{\"type\":\"type\",\"text\":\"it's\\n\"},"
                   "{\"type\":\"scroll\",\"dx\":0.0,\"dy\":5.0,\"unit\":\"notch\",\"x\":5.0,\"y\":6.0}]");
}

Test(osworld, computer_13)
{
    expect_actions(DIALECT_OSWORLD,
                   "[{\"action_type\":\"CLICK\",\"parameters\":{\"x\":0,\"y\":0,\"num_clicks\":2,\"button\":\"right\"}},"
                   "{\"action_type\":\"SCROLL\",\"dx\":1,\"dy\":-3},{\"action_type\":\"TYPING\",\"parameters\":{\"text\":\"<\"}},"
                   "{\"action_type\":\"HOTKEY\",\"parameters\":{\"keys\":[\"ctrl\",\"c\"]}},\"WAIT\",\"DONE\"]",
                   "[{\"type\":\"click\",\"button\":\"right\",\"count\":2,\"x\":0.0,\"y\":0.0},"
                   "{\"type\":\"scroll\",\"dx\":1.0,\"dy\":3.0,\"unit\":\"notch\"},{\"type\":\"type\",\"text\":\"<\"},"
                   "{\"type\":\"key\",\"keys\":\"ctrl+c\"},{\"type\":\"wait\",\"duration_ms\":1000}]");
}

Test(osworld, code_is_read)
{
    expect_actions(DIALECT_OSWORLD,
                   "\"import pyautogui\\npyautogui.moveTo(100, 200, duration=0.5); pyautogui.move(-50, 20)\\n"
                   "pyautogui.click(button='right')\\npyautogui.write('a<b', interval=0.05)\\npyautogui.press(['a', 'enter'])\\n"
                   "pyautogui.hotkey('ctrl', 'shift', 'esc')\\npyautogui.scroll(-5)\\ntime.sleep(0.5)\"",
                   "[{\"type\":\"move\",\"x\":100.0,\"y\":200.0},{\"type\":\"move\",\"x\":50.0,\"y\":220.0},"
                   "{\"type\":\"click\",\"button\":\"right\",\"count\":1},{\"type\":\"type\",\"text\":\"a<b\"},"
                   "{\"type\":\"type\",\"text\":\"a\"},{\"type\":\"key\",\"keys\":\"enter\"},"
                   "{\"type\":\"key\",\"keys\":\"ctrl+shift+esc\"},{\"type\":\"scroll\",\"dx\":0.0,\"dy\":5.0,\"unit\":\"notch\"},"
                   "{\"type\":\"wait\",\"duration_ms\":500}]");
}

Test(osworld, shares_of_the_screen)
{
    auto_json json_t *said = parse("\"pyautogui.click(x=0.25, y=1.0)\"");
    auto_turn struct turn *turn = read_turn(DIALECT_OSWORLD, said, screen_1280);
    auto_json json_t *request = turn_request(turn);
    cr_expect_str_eq(json_get_string(request, "space", ""), "norm1");
}

Test(osworld, nothing_is_executed)
{
    static const char *const hostile[] = {
        "\"__import__('os').system('x')\"", "\"pyautogui.click(f())\"", "\"for i in range(3): pyautogui.click(1, 2)\"",
        "\"x = 5\"", "\"pyautogui.write('a' + 'b')\"", "\"pyautogui.click(1, 2\"", "\"pyautogui.write('\"",
        "\"pyautogui.write('\\\\ud800')\"",
    };
    for (size_t i = 0; i < ARRAY_LEN(hostile); i++)
        expect_refusal(DIALECT_OSWORLD, hostile[i], ERROR_BAD_VALUE);
}

Test(osworld, the_end_is_told)
{
    auto_json json_t *said = parse("\"FAIL\"");
    auto_json json_t *answer = answer_of(DIALECT_OSWORLD, said, screen_1280, -1, NULL);
    expect_json(answer, "{\"observation\":{},\"reward\":0,\"done\":true,\"info\":{\"fail\":true}}");
}

Test(pycall, strings_and_numbers)
{
    json_t *calls = NULL;
    struct error err = { 0 };
    cr_assert_eq(pycall_parse("f(-1, 2.5, 'a' \"b\", r'\\n', \"\"\"x\ny\"\"\", [1, (2,)], key=None, b=True, c='\\x41\\u00e9\\U0001F642')",
                              &calls, &err), 0, "%s", err.message);
    expect_json(json_array_get(calls, 0),
                "{\"name\":\"f\",\"args\":[-1,2.5,\"ab\",\"\\\\n\",\"x\\ny\",[1,[2]]],"
                "\"kwargs\":{\"key\":null,\"b\":true,\"c\":\"Aé🙂\"}}");
    json_decref(calls);
}

/* --- Sizes -------------------------------------------------------------------------------------- */

Test(size, pictures_fit_what_the_api_takes)
{
    static const struct {
        enum dialect dialect;
        const char *tool;
        struct turn_size screen, image;
    } rows[] = {
        { DIALECT_ANTHROPIC, "computer_20250124", { 1280, 800 }, { 1280, 800 } },
        { DIALECT_ANTHROPIC, "computer_20250124", { 1920, 1080 }, { 1429, 804 } },
        { DIALECT_ANTHROPIC, NULL, { 1920, 1080 }, { 1920, 1080 } },
        { DIALECT_ANTHROPIC, NULL, { 3840, 2160 }, { 2000, 1125 } },
        { DIALECT_OPENAI, NULL, { 1920, 1080 }, { 1920, 1080 } },
        { DIALECT_GEMINI, NULL, { 1920, 1080 }, { 1440, 810 } },
        { DIALECT_UI_TARS, NULL, { 1920, 1080 }, { 1932, 1092 } },
        { DIALECT_UI_TARS, NULL, { 200, 100 }, { 420, 224 } },
        { DIALECT_OSWORLD, NULL, { 1920, 1080 }, { 1920, 1080 } },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct turn_size size = turn_image_size(rows[i].dialect, rows[i].tool, rows[i].screen);
        cr_expect(size.width == rows[i].image.width && size.height == rows[i].image.height, "row %zu: %dx%d", i,
                  size.width, size.height);
    }
}
