/* cli/: a command line becomes the request that the rows of the API table describe. */
#include "cli/field.h"
#include "cli/picture.h"
#include "cli/stdin.h"
#include "cli/verbs.h"
#include "cli/when.h"
#include "cli/words.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <string.h>

#define ARGS_MAX 24

/* "METHOD target body" of a command line. Arguments are split at '|'. */
static char *translate(const char *line, struct error *err)
{
    char *argv[ARGS_MAX], *text = NULL, *rest = strdup(line), *begin = rest;
    int argc = 0, used = 0;
    while ((argv[argc] = strsep(&rest, "|")) && argc < ARGS_MAX - 1)
        argc++;
    json_t *own = json_object();
    const struct verb *verb = verb_find(argc, argv, &used);
    cr_assert_not_null(verb, "%s", line);
    struct request request;
    int r = request_parse(&request, verb, own, argc - used, argv + used, err);
    if (r == 0)
        r = request_check(&request, err);
    if (r == 0) {
        char *target = request_target(&request);
        struct buf body = BUF_INIT;
        json_write(request.body, &body);
        cr_assert(
            gt(int, asprintf(&text, "%s %s %s", request.op->method, target, buf_str(&body)), 0));
        buf_deinit(&body);
        free(target);
    }
    request_deinit(&request);
    json_decref(own);
    free(begin);
    return text;
}

static const struct {
    const char *line, *request;
} good[] = {
    { "metadata|sb-1|a=b=c|d-|e=", "PATCH /v1/sandboxes/sb-1/metadata "
                                   "{\"a\":\"b=c\",\"d\":null,\"e\":\"\"}" },
    { "pause|sb-1", "POST /v1/sandboxes/sb-1/pause {}" },
    { "fork|sb-1|-n|3|--timeout|60|--metadata|a=b",
      "POST /v1/sandboxes/sb-1/fork {\"count\":3,\"timeout\":60,\"metadata\":{\"a\":\"b\"}}" },
    { "checkpoint|sb-1", "POST /v1/sandboxes/sb-1/checkpoints {}" },
    { "checkpoint|sb-1|logged in", "POST /v1/sandboxes/sb-1/checkpoints {\"name\":\"logged in\"}" },
    { "checkpoint|list", "GET /v1/checkpoints {}" },
    { "restore|sb-1|cp-1", "POST /v1/sandboxes/sb-1/restore {\"checkpoint\":\"cp-1\"}" },
    { "hibernate|sb-1", "POST /v1/sandboxes/sb-1/hibernate {}" },
    { "wake|sb-1", "POST /v1/sandboxes/sb-1/wake {}" },
    { "checkpoint|export|cp-1|f.zst|--no-image", "GET /v1/checkpoints/cp-1/export?image=false {}" },
    { "checkpoint|import|f.zst|--name|x", "POST /v1/checkpoints?name=x {}" },
    { "templates|pool|cp-1|3", "PATCH /v1/templates/cp-1 {\"pool\":3}" },
    { "tree", "GET /v1/tree {}" },
    { "templates|bake|probe|--memory|2Gi|--size|1280x800",
      "POST /v1/templates {\"image\":{\"uri\":\"probe\"},\"resourceLimits\":{\"memory\":\"2Gi\"},"
      "\"display\":{\"width\":1280,\"height\":800}}" },
    { "resume|sb-1|--no-wait", "POST /v1/sandboxes/sb-1/resume {}" },
    { "exec|sb-1|-u|user|-w|/tmp|-e|A=b=c|-e|D=|ls|-l|--|-x",
      "GET /v1/sandboxes/sb-1/exec "
      "{\"user\":\"user\",\"cwd\":\"/tmp\",\"env\":{\"A\":\"b=c\",\"D\":\"\"}}" },
    { "create|probe", "POST /v1/sandboxes {\"image\":{\"uri\":\"probe\"}}" },
    { "create|probe|--cpus|2|--memory=2Gi|--size|1280x800",
      "POST /v1/sandboxes "
      "{\"image\":{\"uri\":\"probe\"},\"resourceLimits\":{\"cpu\":\"2\",\"memory\":\"2Gi\"},"
      "\"display\":{\"width\":1280,\"height\":800}}" },
    { "create|--network|none|--timeout|90|probe",
      "POST /v1/sandboxes {\"network\":\"none\",\"timeout\":90,\"image\":{\"uri\":\"probe\"}}" },
    { "create|probe|--metadata|a=b|--metadata|c=d=e|--env|X=",
      "POST /v1/sandboxes "
      "{\"image\":{\"uri\":\"probe\"},\"metadata\":{\"a\":\"b\",\"c\":\"d=e\"},\"env\":{\"X\":\"\"}"
      "}" },
    { "create|probe|--display.width|640|--display.height|480|--timeout|null",
      "POST /v1/sandboxes "
      "{\"image\":{\"uri\":\"probe\"},\"display\":{\"width\":640,\"height\":480},\"timeout\":"
      "null}" },
    { "create|probe|--resource-limits|cpu=2|--resourceLimits.disk|9Gi|--wait|--idempotency-key|k",
      "POST /v1/sandboxes "
      "{\"image\":{\"uri\":\"probe\"},\"resourceLimits\":{\"cpu\":\"2\",\"disk\":\"9Gi\"}}" },
    { "list|--state|Running|--state|Failed|--metadata|a=b c",
      "GET /v1/sandboxes?state=Running&state=Failed&metadata=a%3Db%20c {}" },
    { "list|--page|2|--page-size|10", "GET /v1/sandboxes?page=2&pageSize=10 {}" },
    { "list|--page|2|--page|3", "GET /v1/sandboxes?page=3 {}" },
    { "get|sb-1", "GET /v1/sandboxes/sb-1 {}" },
    { "get|../keys?x#y", "GET /v1/sandboxes/..%2Fkeys%3Fx%23y {}" },
    { "shot|sb-1|-o|a.png|--region|1,2,3,4|--scale|0.5|--no-cursor",
      "GET /v1/sandboxes/sb-1/desktop/screenshot?x=1&y=2&width=3&height=4&scale=0.5&cursor=false "
      "{}" },
    { "shot|sb-1|-oa.png|--format=jpeg|--settle|--mask|1,2,3,4|--mask|5,6,7,8",
      "GET /v1/sandboxes/sb-1/desktop/screenshot?format=jpeg&settle=true&mask=1,2,3,4%3B5,6,7,8 "
      "{}" },
    { "wait|sb-1|change|--region|0,0,10,10|--since|7",
      "POST /v1/sandboxes/sb-1/desktop/wait "
      "{\"for\":\"change\",\"region\":{\"x\":0,\"y\":0,\"width\":10,"
      "\"height\":10},\"since\":7}" },
    { "display|sb-1|800x600|--max-ms|5000",
      "PUT /v1/sandboxes/sb-1/desktop/display {\"width\":800,\"height\":600,\"max_ms\":5000}" },
    { "renew|sb-1|2h", "POST /v1/sandboxes/sb-1/renew-expiration {\"expiresAt\":\"2h\"}" },
    { "keys|add|ci|--role|viewer|--cpus|4",
      "POST /v1/keys {\"name\":\"ci\",\"role\":\"viewer\",\"limits\":{\"cpus\":4}}" },
    { "drain", "POST /v1/drain {}" },
    { "api|sandbox_endpoint|sb-1|6080|--use-server-proxy",
      "GET /v1/sandboxes/sb-1/endpoints/6080?use_server_proxy=true {}" },
    { "api|healthz", "GET /healthz {}" },
    { "act|sb-1|click|1,2|-o|a.png|--no-settle",
      "POST /v1/sandboxes/sb-1/desktop/actions "
      "{\"actions\":[{\"type\":\"click\",\"x\":1,\"y\":2}],\"settle\":false}" },
    { "act|sb-1|--space|norm1|move|0.5,0.25|--quiet-ms|100|--mask|1,2,3,4|--scale|0.5",
      "POST /v1/sandboxes/sb-1/desktop/actions "
      "{\"space\":\"norm1\",\"actions\":[{\"type\":\"move\",\"x\":0.5,"
      "\"y\":0.25}],\"settle\":{\"quiet_ms\":100,\"masks\":[{\"x\":1,\"y\":2,\"width\":3,"
      "\"height\":4}]},"
      "\"screenshot\":{\"scale\":0.5}}" },
    { "act|--no-screenshot|sb-1|--|wait|5", "POST /v1/sandboxes/sb-1/desktop/actions "
                                            "{\"screenshot\":false,\"actions\":[{\"type\":\"wait\","
                                            "\"duration_ms\":5}]}" },
};

Test(request, follows_the_rows)
{
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct error err = { 0 };
        auto_free char *text = translate(good[i].line, &err);
        cr_assert_not_null(text, "%s: %s", good[i].line, err.message);
        cr_assert(eq(str, text, (char *)good[i].request), "%s", good[i].line);
    }
}

static const struct {
    const char *line;
    enum error_code code;
} bad[] = {
    { "create", ERROR_MISSING_FIELD },
    { "create|", ERROR_BAD_VALUE },
    { "create|probe|extra", ERROR_BAD_VALUE },
    { "create|probe|--colour|red", ERROR_UNKNOWN_FIELD },
    { "create|probe|--timeout|soon", ERROR_BAD_VALUE },
    { "create|probe|--timeout|5", ERROR_BAD_VALUE },
    { "create|probe|--timeout", ERROR_MISSING_FIELD },
    { "create|probe|--size|1280", ERROR_MISSING_FIELD },
    { "create|probe|--size|1280x800x9", ERROR_BAD_VALUE },
    { "create|probe|--size|x", ERROR_BAD_VALUE },
    { "create|probe|--size|", ERROR_BAD_VALUE },
    { "create|probe|--network|bridge", ERROR_BAD_VALUE },
    { "create|probe|--metadata|novalue", ERROR_BAD_VALUE },
    { "create|probe|--metadata|=x", ERROR_BAD_VALUE },
    { "create|probe|--metadata|\xff=x", ERROR_BAD_VALUE },
    { "create|\xff", ERROR_BAD_VALUE },
    { "create|probe|--display.depth|8", ERROR_UNKNOWN_FIELD },
    { "create|probe|--display.width.x|8", ERROR_UNKNOWN_FIELD },
    { "create|probe|--no-image", ERROR_UNKNOWN_FIELD },
    { "create|probe|--wait=yes", ERROR_BAD_VALUE },
    { "create|probe|--timeout|99999999999999999999", ERROR_BAD_VALUE },
    { "list|--state|Sleeping", ERROR_BAD_VALUE },
    { "list|--page|0", ERROR_BAD_VALUE },
    { "shot|sb-1|--region|1,2,3", ERROR_BAD_VALUE },
    { "shot|sb-1|--region|1,2,3,4,5", ERROR_BAD_VALUE },
    { "shot|sb-1|--quality|101", ERROR_BAD_VALUE },
    { "shot|sb-1|--scale|nan", ERROR_BAD_VALUE },
    { "shot|sb-1|--cursor=maybe", ERROR_BAD_VALUE },
    { "shot", ERROR_MISSING_FIELD },
    { "wait|sb-1|forever", ERROR_BAD_VALUE },
    { "keys|add|ci", ERROR_MISSING_FIELD },
    { "keys|add|ci|--role|root", ERROR_BAD_VALUE },
    { "act|sb-1", ERROR_MISSING_FIELD },
    { "act|sb-1|click|1,2|3,4", ERROR_BAD_VALUE },
    { "act|sb-1|click|1,2|,", ERROR_MISSING_FIELD },
    { "act|sb-1|clck|1,2", ERROR_BAD_VALUE },
    { "api", ERROR_MISSING_FIELD },
    { "api|no_such_operation", ERROR_NOT_FOUND },
    { "api|sandbox_get", ERROR_MISSING_FIELD },
    { "api|sandbox_get|sb-1|sb-2", ERROR_BAD_VALUE },
    { "api|--page|2|sandbox_list", ERROR_UNKNOWN_FIELD },
};

Test(request, refuses_what_the_rows_do_not_know)
{
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct error err = { 0 };
        auto_free char *text = translate(bad[i].line, &err);
        cr_assert_null(text, "%s: %s", bad[i].line, text);
        cr_assert(eq(str, (char *)error_code_name(err.code), (char *)error_code_name(bad[i].code)),
                  "%s: %s", bad[i].line, err.message);
    }
}

Test(request, globals_stand_before_and_after_the_verb)
{
    struct error err = { 0 };
    char *argv[] = { "--url", "http://h:1", "--json", "create",
                     "probe", "--timeout",  "60",     "--key=k" };
    json_t *own = json_object();
    cr_assert(eq(int, request_parse_globals(own, ARRAY_LEN(argv), argv, &err), 3));
    struct request request;
    cr_assert(eq(int, request_parse(&request, &verb_create, own, 4, argv + 4, &err), 0), "%s",
              err.message);
    cr_assert(eq(str, (char *)request_own(&request, "url"), "http://h:1"));
    cr_assert(eq(str, (char *)request_own(&request, "json"), ""));
    cr_assert(eq(str, (char *)request_own(&request, "key"), "k"));
    /* After create it is the lease. */
    cr_assert_null(request_own(&request, "timeout"));
    cr_assert(eq(i64, json_get_int(request.body, "timeout", 0), 60));
    request_deinit(&request);
    json_decref(own);
}

Test(request, every_verb_names_rows_that_exist)
{
    for (size_t i = 0; verbs[i]; i++) {
        const struct verb *verb = verbs[i];
        const struct api_operation *op = verb->operation ? api_find(verb->operation) : NULL;
        bool has_row = op || !verb->operation, has_summary = verb->summary || op;
        cr_assert(has_row, "%s", verb->operation);
        cr_assert(has_summary, "%s", verb->name);
        for (const struct flag *flag = verb->flags; flag && flag->name; flag++) {
            if (!flag->field)
                continue;
            auto_free char *copy = strdup(flag->field);
            char *rest = copy;
            for (char *path; (path = strsep(&rest, ","));) {
                bool is_known =
                    field_find(op->query, path) || field_find(request_rows(op), path);
                cr_assert(is_known, "%s --%s", verb->name, flag->name);
            }
        }
    }
}

/* --- Actions ---------------------------------------------------------------------------------- */

static const struct {
    const char *line, *actions;
    int used; /* 0: all */
} words_good[] = {
    { "click", "[{\"type\":\"click\"}]", 0 },
    { "click|10,20", "[{\"type\":\"click\",\"x\":10,\"y\":20}]", 0 },
    { "click|-1,0.5|button=right|count=2|keys=ctrl+shift",
      "[{\"type\":\"click\",\"x\":-1,\"y\":0.5,\"button\":\"right\",\"count\":2,\"keys\":\"ctrl+"
      "shift\"}]",
      0 },
    { "double-click|1,2", "[{\"type\":\"click\",\"count\":2,\"x\":1,\"y\":2}]", 0 },
    { "right-click", "[{\"type\":\"click\",\"button\":\"right\"}]", 0 },
    { "move|3,4|,|click", "[{\"type\":\"move\",\"x\":3,\"y\":4},{\"type\":\"click\"}]", 0 },
    { "type|hello world|press_enter=true",
      "[{\"type\":\"type\",\"text\":\"hello world\",\"press_enter\":true}]", 0 },
    /* What follows type and key is taken as it is. */
    { "type|,|,|type|--help|,|type|a=b",
      "[{\"type\":\"type\",\"text\":\",\"},{\"type\":\"type\",\"text\":\"--help\"},{\"type\":"
      "\"type\",\"text\":\"a=b\"}]",
      0 },
    { "type|", "[{\"type\":\"type\",\"text\":\"\"}]", 0 },
    { "key|ctrl+l", "[{\"type\":\"key\",\"keys\":\"ctrl+l\"}]", 0 },
    { "key|,|,|key|-", "[{\"type\":\"key\",\"keys\":\",\"},{\"type\":\"key\",\"keys\":\"-\"}]", 0 },
    { "key|ctrl+l|ctrl+=|Return|repeat=2",
      "[{\"type\":\"key\",\"keys\":[\"ctrl+l\",\"ctrl+=\",\"Return\"],\"repeat\":2}]", 0 },
    { "scroll|down", "[{\"type\":\"scroll\",\"direction\":\"down\",\"amount\":3}]", 0 },
    { "scroll|left|1.5|9,9",
      "[{\"type\":\"scroll\",\"direction\":\"left\",\"amount\":1.5,\"x\":9,\"y\":9}]", 0 },
    { "scroll|up|9,9", "[{\"type\":\"scroll\",\"direction\":\"up\",\"amount\":3,\"x\":9,\"y\":9}]",
      0 },
    { "drag|1,2|3,4|5,6|step_ms=5",
      "[{\"type\":\"drag\",\"path\":[[1,2],[3,4],[5,6]],\"step_ms\":5}]", 0 },
    { "hold_key|shift|500", "[{\"type\":\"hold_key\",\"keys\":\"shift\",\"duration_ms\":500}]", 0 },
    { "wait-for|settled|max_ms=9", "[{\"type\":\"wait_for\",\"kind\":\"settled\",\"max_ms\":9}]",
      0 },
    { "zoom|0,0,10,5",
      "[{\"type\":\"zoom\",\"region\":{\"x\":0,\"y\":0,\"width\":10,\"height\":5}}]", 0 },
    { "release-all", "[{\"type\":\"release_all\"}]", 0 },
    { "click|1,1|-o|file", "[{\"type\":\"click\",\"x\":1,\"y\":1}]", 2 },
    { "key|a|--json", "[{\"type\":\"key\",\"keys\":\"a\"}]", 2 },
};

static int parse_words(const char *line, json_t *actions, int *ret_argc, struct error *err)
{
    char *argv[ARGS_MAX], *rest = strdup(line), *begin = rest;
    int argc = 0;
    while ((argv[argc] = strsep(&rest, "|")))
        argc++;
    int used = words_parse(actions, argc, argv, err);
    *ret_argc = argc;
    free(begin);
    return used;
}

Test(words, become_actions)
{
    for (size_t i = 0; i < ARRAY_LEN(words_good); i++) {
        struct error err = { 0 };
        auto_json json_t *actions = json_array();
        auto_buf struct buf text = BUF_INIT;
        int argc, used = parse_words(words_good[i].line, actions, &argc, &err);
        cr_assert(eq(int, used, words_good[i].used ? words_good[i].used : argc), "%s: %s",
                  words_good[i].line, err.message);
        json_write(actions, &text);
        cr_assert(eq(str, (char *)buf_str(&text), (char *)words_good[i].actions));
    }
}

Test(words, refuses_what_is_incomplete)
{
    static const char *const lines[] = {
        "move",
        "move|1",
        "move|1,",
        "move|1,2,3",
        "move|a,b",
        "move|inf,1",
        "drag|1,2",
        "scroll",
        "scroll|sideways",
        "key",
        "key-down",
        "type",
        "hold-key|a",
        "wait",
        "wait|soon",
        "wait-for|tea",
        "zoom|1,2,3",
        "",
        ",",
        "click|,",
        "click|1,2|button",
        "type|\xff",
        "click|button=\xff",
        "clickx|1,2",
    };
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        struct error err = { 0 };
        auto_json json_t *actions = json_array();
        int argc, used = parse_words(lines[i], actions, &argc, &err);
        cr_assert(lt(int, used, 0), "%s", lines[i]);
        cr_assert(ne(str, err.message, ""));
    }
}

/* --- The rest --------------------------------------------------------------------------------- */

Test(picture, decodes_what_buf_encodes)
{
    static const char sample[] = "\0\x01\xfe\xff any bytes";
    for (size_t n = 0; n <= sizeof sample; n++) {
        auto_buf struct buf text = BUF_INIT, bytes = BUF_INIT;
        buf_append_base64(&text, sample, n);
        cr_assert(eq(int, buf_append_base64_text(&bytes, buf_str(&text), text.size), 0));
        cr_assert(eq(sz, bytes.size, n));
        bool is_same = n == 0 || memcmp(bytes.data, sample, n) == 0;
        cr_assert(is_same);
    }
}

Test(picture, refuses_what_is_no_base64)
{
    static const char *const lines[] = { "A",    "AA",   "AAA",   "AA=A",     "=AAA",
                                         "A===", "====", "AA\n=", "AA==AAAA", "A!AA" };
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        auto_buf struct buf bytes = BUF_INIT;
        cr_assert(lt(int, buf_append_base64_text(&bytes, lines[i], strlen(lines[i])), 0), "%s", lines[i]);
    }
}

Test(picture, knows_formats_by_name)
{
    cr_assert(eq(str, (char *)picture_format("a/b.JPG"), "jpeg"));
    cr_assert(eq(str, (char *)picture_format("x.webp"), "webp"));
    cr_assert_null(picture_format(".png"));
    cr_assert_null(picture_format("png"));
}

Test(when, reads_times_from_now_and_dates)
{
    static const struct {
        const char *text, *out;
    } rows[] = {
        { "90", "1970-01-01T00:01:30.000Z" },
        { "90s", "1970-01-01T00:01:30.000Z" },
        { "30m", "1970-01-01T00:30:00.000Z" },
        { "2h", "1970-01-01T02:00:00.000Z" },
        { "7d", "1970-01-08T00:00:00.000Z" },
        { "2030-01-02T03:04:05Z", "2030-01-02T03:04:05.000Z" },
    };
    char out[CLOCK_RFC3339_MAX];
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        cr_assert(eq(int, when_parse(rows[i].text, 0, out, NULL), 0), "%s", rows[i].text);
        cr_assert(eq(str, out, (char *)rows[i].out));
    }
    static const char *const wrong[] = {
        "", "-5", "0", "5w", "m", "1e9", "99999999999999999999", "9999999d", "tomorrow"
    };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        cr_assert(lt(int, when_parse(wrong[i], 0, out, NULL), 0), "%s", wrong[i]);
}

Test(body, is_merged_below_the_options)
{
    struct error err = { 0 };
    auto_json json_t *body = json_pack("{s:i}", "queue_ms", 5);
    cr_assert(
        eq(int, stdin_read_body(body, "{\"queue_ms\":9,\"space\":\"norm1\"}", "actions", &err), 0));
    cr_assert(eq(i64, json_get_int(body, "queue_ms", 0), 5));
    cr_assert(eq(str, (char *)json_get_string(body, "space", ""), "norm1"));
    cr_assert(eq(int, stdin_read_body(body, "[{\"type\":\"click\"}]", "actions", &err), 0));
    cr_assert(eq(sz, json_array_size(json_object_get(body, "actions")), 1));
    cr_assert(lt(int, stdin_read_body(body, "[]", NULL, &err), 0));
    cr_assert(lt(int, stdin_read_body(body, "{", "actions", &err), 0));
    cr_assert(eq(int, err.code, ERROR_BAD_JSON));
    cr_assert(lt(int, stdin_read_body(body, "@/nonexistent", "actions", &err), 0));
}
