/* api/: paths find their rows, requests are checked to the last field, queries become typed values. */
#include "api/markdown.h"
#include "api/openapi.h"
#include "api/table.h"
#include "api/validate.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

/* --- Table ---------------------------------------------------------------------------------------- */

Test(api_table, every_row_is_whole)
{
    for (enum api_id id = 0; id < API_COUNT; id++) {
        const struct api_operation *op = &api_table[id];
        cr_assert_not_null(op->name, "row %d", id);
        cr_assert_not_null(op->summary, "%s", op->name);
        cr_assert(op->path[0] == '/' && (op->status == 101 || op->status / 100 == 2), "%s", op->name);
        cr_assert_eq(api_find(op->name), op);
        cr_assert(op->body == NULL || strcmp(op->method, "GET") != 0, "%s", op->name);
        size_t n = 0;
        for (const char *at = strchr(op->path, '{'); at; at = strchr(at + 1, '{'))
            n++;
        for (const struct api_field *field = op->path_fields; field && field->name; field++)
            n--;
        cr_assert(eq(sz, n, 0), "%s: a row for each path parameter", op->name);
    }
    cr_assert_null(api_find("no_such_thing"));
}

static void check_texts(const char *where, const struct api_field *fields)
{
    for (; fields && fields->name; fields++) {
        cr_assert(fields->text != NULL, "%s: %s has no text", where, fields->name);
        if (fields->fallback)
            json_decref(json_loads(fields->fallback, JSON_DECODE_ANY, NULL));
        cr_assert(fields->type != API_ARRAY || fields->element, "%s: %s has no element", where, fields->name);
        check_texts(where, fields->fields);
    }
}

Test(api_table, every_field_says_what_it_is)
{
    for (enum api_id id = 0; id < API_COUNT; id++) {
        check_texts(api_table[id].name, api_table[id].query);
        check_texts(api_table[id].name, api_table[id].body);
        check_texts(api_table[id].name, api_table[id].result);
        check_texts(api_table[id].name, api_table[id].path_fields);
    }
}

/* --- Paths ---------------------------------------------------------------------------------------- */

Test(api_match, finds_rows)
{
    static const struct {
        const char *method, *path;
        int result;
        enum api_id id;
        const char *value, *allow;
    } rows[] = {
        { "GET", "/healthz", 0, API_HEALTHZ, NULL, NULL },
        { "HEAD", "/healthz", 0, API_HEALTHZ, NULL, NULL },
        { "POST", "/v1/sandboxes", 0, API_SANDBOX_CREATE, NULL, NULL },
        { "GET", "/v1/sandboxes", 0, API_SANDBOX_LIST, NULL, NULL },
        { "GET", "/v1/sandboxes/sb-1", 0, API_SANDBOX_GET, "sb-1", NULL },
        { "PUT", "/v1/sandboxes/sb-1/desktop/display", 0, API_DESKTOP_RESIZE, "sb-1", NULL },
        { "GET", "/v1/sandboxes/sb-1/endpoints/6080", 0, API_SANDBOX_ENDPOINT, "sb-1", NULL },
        { "PUT", "/v1/sandboxes", API_NO_METHOD, 0, NULL, "POST, GET, HEAD" },
        { "OPTIONS", "/v1/drain", API_NO_METHOD, 0, NULL, "POST" },
        { "GET", "/v1/sandboxes/", API_NO_PATH, 0, NULL, NULL },
        { "GET", "/v1/sandboxes//desktop/display", API_NO_PATH, 0, NULL, NULL },
        { "GET", "/v1/sandboxes/a/b", API_NO_PATH, 0, NULL, NULL },
        { "GET", "/healthz/", API_NO_PATH, 0, NULL, NULL },
        { "GET", "healthz", API_NO_PATH, 0, NULL, NULL },
        { "GET", "", API_NO_PATH, 0, NULL, NULL },
        { "GET", "/HEALTHZ", API_NO_PATH, 0, NULL, NULL },
        { "get", "/healthz", API_NO_METHOD, 0, NULL, "GET, HEAD" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct api_match match = { 0 };
        char allow[64];
        cr_assert(eq(int, api_match(rows[i].method, rows[i].path, &match, allow), rows[i].result), "%s %s",
                  rows[i].method, rows[i].path);
        if (rows[i].result == 0)
            cr_assert(eq(int, (int)match.id, (int)rows[i].id));
        if (rows[i].value)
            cr_assert_eq(strncmp(match.values[0], rows[i].value, match.sizes[0]), 0);
        if (rows[i].allow)
            cr_assert(eq(str, allow, (char *)rows[i].allow));
    }
}

Test(api_path, values_that_no_object_has_are_not_found)
{
    static const struct {
        const char *path;
        int port; /* 0: not found */
    } rows[] = {
        { "/v1/sandboxes/sb-1/endpoints/6080", 6080 },
        { "/v1/sandboxes/sb-1/endpoints/0", 0 },
        { "/v1/sandboxes/sb-1/endpoints/65536", 0 },
        { "/v1/sandboxes/sb-1/endpoints/6080x", 0 },
        { "/v1/sandboxes/sb-1/endpoints/99999999999999999999999", 0 },
        { "/v1/sandboxes/\xff/endpoints/6080", 0 },
        { "/v1/sandboxes/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/endpoints/6080", 0 },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct api_match match;
        struct error err = { 0 };
        char allow[64];
        auto_json json_t *values = NULL;
        cr_assert(eq(int, api_match("GET", rows[i].path, &match, allow), 0));
        int r = api_check_path(&api_table[match.id], &match, &values, &err);
        cr_assert(eq(int, r < 0, rows[i].port == 0), "%s", rows[i].path);
        if (r < 0)
            cr_assert(eq(int, err.code, ERROR_NOT_FOUND));
        else
            cr_assert(eq(i64, json_get_int(values, "port", 0), rows[i].port));
    }
}

/* --- Bodies --------------------------------------------------------------------------------------- */

struct body_row {
    enum api_id id;
    const char *body;
    int code; /* enum error_code, -1: good */
    const char *message; /* its start */
    int ignored;
};

static void check_body_row(const struct body_row *row)
{
    struct error err = { 0 };
    int ignored = 0;
    auto_json json_t *body = NULL;
    if (row->body)
        cr_assert(eq(int, json_parse_object(row->body, strlen(row->body), &body, &err), 0), "%s", row->body);
    int r = api_check_body(&api_table[row->id], body, &ignored, &err);
    cr_assert(eq(int, r < 0 ? (int)err.code : -1, row->code), "%s: %s", row->body, err.message);
    if (row->message)
        cr_assert(eq(int, strncmp(err.message, row->message, strlen(row->message)), 0), "%s", err.message);
    if (r == 0)
        cr_assert(eq(int, ignored, row->ignored), "%s", row->body);
}

Test(api_body, create)
{
    static const struct body_row rows[] = {
        { API_SANDBOX_CREATE, "{\"image\":{\"uri\":\"probe\"}}", -1, NULL, 0 },
        { API_SANDBOX_CREATE, "{\"image\":{\"uri\":\"probe\",\"x\":1},\"volumes\":[],\"secureAccess\":true}", -1, NULL, 3 },
        { API_SANDBOX_CREATE, "{\"image\":{\"uri\":\"p\"},\"timeout\":null,\"platform\":null}", -1, NULL, 0 },
        { API_SANDBOX_CREATE, "{\"image\":{\"uri\":\"p\"},\"timeout\":59}", ERROR_BAD_VALUE, "timeout: 59 is outside 60", 0 },
        { API_SANDBOX_CREATE, "{\"image\":{\"uri\":\"p\"},\"timeout\":60.0}", ERROR_BAD_TYPE, "timeout: ", 0 },
        { API_SANDBOX_CREATE, "{\"image\":\"probe\"}", ERROR_BAD_TYPE, "image: expected an object, got a string", 0 },
        { API_SANDBOX_CREATE, "{\"image\":{}}", ERROR_MISSING_FIELD, "image.uri: is required", 0 },
        { API_SANDBOX_CREATE, "{\"image\":{\"uri\":\"\"}}", ERROR_BAD_VALUE, "image.uri: 0 bytes is outside", 0 },
        { API_SANDBOX_CREATE, "{\"image\":{\"uri\":\"a\\u0000b\"}}", ERROR_BAD_JSON, NULL, 0 },
        { API_SANDBOX_CREATE, "{\"metadata\":{\"a\":1}}", ERROR_BAD_TYPE, "metadata.a: expected a string, got an integer", 0 },
        { API_SANDBOX_CREATE, "{\"display\":{\"width\":319,\"height\":200}}", ERROR_BAD_VALUE, "display.width: 319 is outside 320 to 8192", 0 },
        { API_SANDBOX_CREATE, "{\"network\":\"bridge\"}", ERROR_BAD_VALUE, "network: is not one of: nat, none", 0 },
        { API_SANDBOX_CREATE, "{\"entrypoint\":[\"a\",2]}", ERROR_BAD_TYPE, "entrypoint[1]: ", 0 },
        { API_SANDBOX_CREATE, "{\"resourceLimits\":{\"cpu\":2}}", ERROR_BAD_TYPE, "resourceLimits.cpu: ", 0 },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        json_t *parsed = NULL;
        /* A NUL in a string is refused by the parser already. */
        if (rows[i].code == ERROR_BAD_JSON)
            cr_assert(lt(int, json_parse_object(rows[i].body, strlen(rows[i].body), &parsed, NULL), 0));
        else
            check_body_row(&rows[i]);
    }
}

Test(api_body, actions)
{
    static const struct body_row rows[] = {
        { API_DESKTOP_ACTIONS, "{\"actions\":[{}]}", -1, NULL, 0 },
        { API_DESKTOP_ACTIONS, "{\"actions\":[{\"anything\":[1]}],\"settle\":false,\"screenshot\":false}", -1, NULL, 0 },
        { API_DESKTOP_ACTIONS, NULL, ERROR_MISSING_FIELD, "actions: is required", 0 },
        { API_DESKTOP_ACTIONS, "{}", ERROR_MISSING_FIELD, "actions: is required", 0 },
        { API_DESKTOP_ACTIONS, "{\"actions\":[]}", ERROR_BAD_VALUE, "actions: 0 elements", 0 },
        { API_DESKTOP_ACTIONS, "{\"actions\":[{},3]}", ERROR_BAD_TYPE, "actions[1]: expected an object, got an integer", 0 },
        { API_DESKTOP_ACTIONS, "{\"actions\":[{}],\"settle\":true}", ERROR_BAD_TYPE, "settle: expected an object or false", 0 },
        { API_DESKTOP_ACTIONS, "{\"actions\":[{}],\"setle\":{}}", ERROR_UNKNOWN_FIELD, "setle: there is no such field", 0 },
        { API_DESKTOP_ACTIONS, "{\"actions\":[{}],\"settle\":{\"quiet_ms\":10001}}", ERROR_BAD_VALUE, "settle.quiet_ms: 10001", 0 },
        { API_DESKTOP_ACTIONS, "{\"actions\":[{}],\"settle\":{\"masks\":[{\"x\":0,\"y\":0,\"width\":1}]}}", ERROR_MISSING_FIELD, "settle.masks[0].height: ", 0 },
        { API_DESKTOP_ACTIONS, "{\"actions\":[{}],\"screenshot\":{\"scale\":5}}", ERROR_BAD_VALUE, "screenshot.scale: ", 0 },
        { API_DESKTOP_ACTIONS, "{\"actions\":[{}],\"screenshot\":{\"scale\":1}}", -1, NULL, 0 },
        { API_DESKTOP_ACTIONS, "{\"actions\":[{}],\"screenshot\":{\"region\":{\"x\":-1,\"y\":0,\"width\":1,\"height\":1}}}", ERROR_BAD_VALUE, "screenshot.region.x: -1", 0 },
        { API_DESKTOP_ACTIONS, "{\"actions\":[{}],\"space\":\"pixels\"}", ERROR_BAD_VALUE, "space: ", 0 },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        check_body_row(&rows[i]);
}

Test(api_body, that_is_a_map_or_an_array_as_a_whole)
{
    static const struct {
        enum api_id id;
        const char *body;
        int code; /* -1: good */
        const char *message;
    } rows[] = {
        { API_FILE_PERMISSIONS, "{}", -1, "" },
        { API_FILE_PERMISSIONS, "{\"/any/name\":{\"mode\":644,\"owner\":\"root\"}}", -1, "" },
        { API_FILE_PERMISSIONS, "{\"/a\":{\"mode\":\"644\"}}", ERROR_BAD_TYPE, "/a.mode" },
        { API_FILE_PERMISSIONS, "{\"/a\":644}", ERROR_BAD_TYPE, "/a" },
        { API_FILE_PERMISSIONS, "{\"/a\":{\"mode\":99999}}", ERROR_BAD_VALUE, "/a.mode" },
        { API_FILE_REPLACE, "{\"/a\":{\"old\":\"x\"}}", ERROR_MISSING_FIELD, "/a.new" },
        { API_FILE_MOVE, "[]", -1, "" },
        { API_FILE_MOVE, "[{\"src\":\"/a\",\"dest\":\"/b\"}]", -1, "" },
        { API_FILE_MOVE, "[{\"src\":\"/a\",\"dest\":\"/b\"},{\"src\":\"/a\"}]", ERROR_MISSING_FIELD, "[1].dest" },
        { API_FILE_MOVE, "[5]", ERROR_BAD_TYPE, "[0]" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct error err = { 0 };
        int ignored = 0;
        auto_json json_t *body = json_loads(rows[i].body, 0, NULL);
        int r = api_check_body(&api_table[rows[i].id], body, &ignored, &err);
        cr_assert(eq(int, r < 0 ? (int)err.code : -1, rows[i].code), "%s: %s", rows[i].body, err.message);
        cr_assert_not_null(strstr(err.message, rows[i].message), "%s: %s", rows[i].body, err.message);
    }
    struct error err = { 0 };
    int ignored = 0;
    cr_assert(lt(int, api_check_body(&api_table[API_FILE_MOVE], NULL, &ignored, &err), 0), "an array is not left out");
}

Test(api_body, an_operation_without_a_body_takes_no_field)
{
    static const struct body_row rows[] = {
        { API_DRAIN, NULL, -1, NULL, 0 },
        { API_DRAIN, "{}", -1, NULL, 0 },
        { API_DRAIN, "{\"a\":1}", ERROR_UNKNOWN_FIELD, "a: ", 0 },
        { API_SANDBOX_DELETE, "{\"a\":1}", -1, NULL, 1 },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        check_body_row(&rows[i]);
}

/* --- Queries -------------------------------------------------------------------------------------- */

static int check_query(enum api_id id, const struct api_pair *pairs, size_t n, json_t **ret, struct error *err)
{
    int ignored = 0;
    return api_check_query(&api_table[id], pairs, n, ret, &ignored, err) < 0 ? -1 : ignored;
}

Test(api_query, becomes_typed_values)
{
    static const struct api_pair pairs[] = {
        { "x", "10" }, { "scale", "0.5" }, { "cursor", "false" }, { "format", "jpeg" }, { "mask", "1,2,3,4;5,6,7,8" },
        { "if_changed_since", "9007199254740991" },
    };
    struct error err = { 0 };
    auto_json json_t *query = NULL;
    cr_assert(eq(int, check_query(API_DESKTOP_SCREENSHOT, pairs, ARRAY_LEN(pairs), &query, &err), 0), "%s", err.message);
    auto_json json_t *want = json_loads("{\"x\":10,\"scale\":0.5,\"cursor\":false,\"format\":\"jpeg\",\"mask\":["
                                        "{\"x\":1,\"y\":2,\"width\":3,\"height\":4},"
                                        "{\"x\":5,\"y\":6,\"width\":7,\"height\":8}],"
                                        "\"if_changed_since\":9007199254740991}", 0, NULL);
    cr_assert(json_equal(query, want));
}

Test(api_query, filters_repeat_and_join)
{
    static const struct api_pair pairs[] = {
        { "state", "Running" }, { "state", "Pending" }, { "metadata", "a=1&b=2" }, { "metadata", "c=x=y" },
        { "unknown", "ignored" },
    };
    struct error err = { 0 };
    auto_json json_t *query = NULL;
    cr_assert(eq(int, check_query(API_SANDBOX_LIST, pairs, ARRAY_LEN(pairs), &query, &err), 1), "%s", err.message);
    auto_json json_t *want = json_loads(
        "{\"state\":[\"Running\",\"Pending\"],\"metadata\":{\"a\":\"1\",\"b\":\"2\",\"c\":\"x=y\"}}", 0, NULL);
    cr_assert(json_equal(query, want));
}

Test(api_query, refuses_what_is_wrong)
{
    static const struct {
        enum api_id id;
        struct api_pair pair;
        enum error_code code;
    } rows[] = {
        { API_DESKTOP_SCREENSHOT, { "x", "" }, ERROR_BAD_VALUE },
        { API_DESKTOP_SCREENSHOT, { "x", "1.5" }, ERROR_BAD_VALUE },
        { API_DESKTOP_SCREENSHOT, { "x", " 1" }, ERROR_BAD_VALUE },
        { API_DESKTOP_SCREENSHOT, { "x", "8193" }, ERROR_BAD_VALUE },
        { API_DESKTOP_SCREENSHOT, { "x", "-1" }, ERROR_BAD_VALUE },
        { API_DESKTOP_SCREENSHOT, { "x", "99999999999999999999" }, ERROR_BAD_VALUE },
        { API_DESKTOP_SCREENSHOT, { "scale", "nan" }, ERROR_BAD_VALUE },
        { API_DESKTOP_SCREENSHOT, { "scale", "1e999" }, ERROR_BAD_VALUE },
        { API_DESKTOP_SCREENSHOT, { "cursor", "yes" }, ERROR_BAD_VALUE },
        { API_DESKTOP_SCREENSHOT, { "format", "gif" }, ERROR_BAD_VALUE },
        { API_DESKTOP_SCREENSHOT, { "format", "\xff" }, ERROR_BAD_VALUE },
        { API_DESKTOP_SCREENSHOT, { "mask", "1,2,3" }, ERROR_BAD_VALUE },
        { API_DESKTOP_SCREENSHOT, { "mask", "1,2,3,4x" }, ERROR_BAD_VALUE },
        { API_DESKTOP_SCREENSHOT, { "mask", "1,2,3,9000" }, ERROR_BAD_VALUE },
        { API_DESKTOP_SCREENSHOT, { "mask", "-1,2,3,4" }, ERROR_BAD_VALUE },
        { API_DESKTOP_SCREENSHOT, { "frmat", "png" }, ERROR_UNKNOWN_FIELD },
        { API_DESKTOP_SCREENSHOT, { "\xff\xfe", "1" }, ERROR_UNKNOWN_FIELD },
        { API_DESKTOP_SCREENSHOT, { "", "" }, ERROR_UNKNOWN_FIELD },
        { API_SANDBOX_LIST, { "metadata", "novalue" }, ERROR_BAD_VALUE },
        { API_SANDBOX_LIST, { "metadata", "=x" }, ERROR_BAD_VALUE },
        { API_SANDBOX_LIST, { "state", "running" }, ERROR_BAD_VALUE },
        { API_SANDBOX_LIST, { "page", "0" }, ERROR_BAD_VALUE },
        { API_SANDBOX_LIST, { "pageSize", "201" }, ERROR_BAD_VALUE },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct error err = { 0 };
        json_t *query = NULL;
        cr_assert(eq(int, check_query(rows[i].id, &rows[i].pair, 1, &query, &err), -1), "%s=%s", rows[i].pair.name,
                  rows[i].pair.value);
        cr_assert(eq(int, err.code, rows[i].code), "%s", err.message);
        /* What goes back to the caller must be JSON whatever came in. */
        auto_json json_t *text = json_string(err.message);
        cr_assert_not_null(text, "%s", rows[i].pair.value);
    }
}

Test(api_query, a_value_may_not_come_twice)
{
    static const struct api_pair pairs[] = { { "x", "1" }, { "x", "1" } };
    struct error err = { 0 };
    json_t *query = NULL;
    cr_assert(eq(int, check_query(API_DESKTOP_SCREENSHOT, pairs, 2, &query, &err), -1));
    cr_assert(eq(int, err.code, ERROR_BAD_VALUE));
}

Test(api_query, is_bounded)
{
    struct api_pair pairs[API_QUERY_MAX + 1];
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++)
        pairs[i] = (struct api_pair){ "metadata", "a=b" };
    struct error err = { 0 };
    json_t *query = NULL;
    cr_assert(eq(int, check_query(API_SANDBOX_LIST, pairs, ARRAY_LEN(pairs), &query, &err), -1));
    cr_assert(eq(int, err.code, ERROR_TOO_LARGE));
}

/* --- Documents ------------------------------------------------------------------------------------ */

Test(api_documents, name_every_operation)
{
    auto_json json_t *document = api_openapi(NULL, "1");
    auto_buf struct buf text = BUF_INIT;
    cr_assert_not_null(document);
    cr_assert(eq(int, api_markdown(NULL, &text), 0));
    for (enum api_id id = 0; id < API_COUNT; id++) {
        const struct api_operation *op = &api_table[id];
        bool is_described = json_object_get(json_object_get(document, "paths"), op->path) != NULL;
        cr_assert_eq(is_described, !(op->flags & API_COMPAT), "%s", op->path);
        cr_assert_not_null(strstr(buf_str(&text), op->path), "%s", op->path);
    }
}
