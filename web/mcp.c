/* A tool is a row of the API table: its name, its text, and one flat object of everything that the row takes in
 * path, query and body (no row has a name twice). Which rows are tools is said here: what an agent does all day,
 * not what an operator does once; long lists of tools make models worse. */
#include "web/mcp.h"

#include "api/openapi.h"
#include "api/validate.h"
#include "base/id.h"
#include "input/action.h"

#include <errno.h>
#include <string.h>

#define SCHEME "deskfarm://"

static const enum api_id tools[] = {
    API_IMAGES,           API_SANDBOX_CREATE,   API_SANDBOX_LIST,    API_SANDBOX_GET,      API_SANDBOX_DELETE,
    API_SANDBOX_RENEW,    API_SANDBOX_PAUSE,    API_SANDBOX_RESUME,  API_SANDBOX_FORK,     API_SANDBOX_CHECKPOINT,
    API_SANDBOX_RESTORE,  API_CHECKPOINT_LIST,  API_TREE,            API_DESKTOP_ACTIONS,  API_DESKTOP_SCREENSHOT,
    API_DESKTOP_WAIT,     API_DESKTOP_DISPLAY,  API_CLIPBOARD_GET,   API_CLIPBOARD_SET,    API_WINDOW_LIST,
    API_WINDOW_ACTIVATE,  API_WINDOW_CLOSE,     API_DESKTOP_LAUNCH,  API_DESKTOP_OPEN,     API_A11Y_TREE,
    API_A11Y_FIND,        API_A11Y_INVOKE,      API_DAYTONA_EXECUTE,  API_DESKTOP_FIND,     API_DESKTOP_MARKS,
    API_DESKTOP_COMPARE,  API_DESKTOP_WATCH,    API_DIRECTORY_LIST,   API_FILE_INFO,        API_FILE_DOWNLOAD,
    API_FILE_SEARCH,      API_FILE_REMOVE,
    API_RECORDING_LIST,   API_RECORDING_GET,    API_RECORDING_ACTIONS, API_RECORDING_SEARCH, API_RECORDING_FRAME,
};

static const char *tool_name(const struct api_operation *op)
{
    return op == &api_table[API_DAYTONA_EXECUTE] ? "exec" : op->name;
}

/* --- Messages ---------------------------------------------------------------------------------- */

json_t *mcp_result(const json_t *id, json_t *result)
{
    return json_pack("{ss sO? so}", "jsonrpc", "2.0", "id", (json_t *)id, "result", result);
}

json_t *mcp_error(const json_t *id, int code, const char *message)
{
    json_t *text = json_string(message);
    return json_pack("{ss sO s{si so}}", "jsonrpc", "2.0", "id", id ? (json_t *)id : json_null(), "error", "code", code,
                     "message", text ? text : json_string("?"));
}

json_t *mcp_hello(const json_t *params)
{
    static const char *const revisions[] = { "2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05" };
    const char *wanted = json_get_string(params, "protocolVersion", ""), *chosen = revisions[0];
    for (size_t i = 0; i < ARRAY_LEN(revisions); i++)
        if (strcmp(revisions[i], wanted) == 0)
            chosen = revisions[i];
    return json_pack("{ss s{s{} s{}} s{ss ss} ss}", "protocolVersion", chosen, "capabilities", "tools", "resources",
                     "serverInfo", "name", "deskfarm", "version", DESKFARM_VERSION, "instructions",
                     "Sandboxed desktops. Make one with sandbox_create (image {\"uri\": \"debian-xfce\"}), wait with "
                     "desktop_wait for \"up\", then act with desktop_actions: it answers with the settled screen, so "
                     "no sleep is needed. Coordinates are pixels of the screen, or of the image that you saw with "
                     "space \"frame\" and its id.");
}

/* --- Tools ------------------------------------------------------------------------------------- */

static void add_fields(json_t *schema, const struct api_field *fields)
{
    if (!fields)
        return;
    auto_json json_t *object = api_object_schema(fields);
    json_object_update_missing(json_object_get(schema, "properties"), json_object_get(object, "properties"));
    json_t *required = json_object_get(object, "required");
    if (required && json_object_get(schema, "required"))
        json_array_extend(json_object_get(schema, "required"), required);
    else if (required)
        json_object_set(schema, "required", required);
}

static json_t *input_schema(const struct api_operation *op)
{
    json_t *schema = json_pack("{ss s{}}", "type", "object", "properties");
    add_fields(schema, op->path_fields);
    add_fields(schema, op->query);
    add_fields(schema, op->whole ? op->whole->fields : op->body);
    json_t *actions = json_object_get(json_object_get(schema, "properties"), "actions");
    if (actions)
        json_object_set_new(actions, "items", action_schema());
    return schema;
}

static json_t *tool_json(const struct api_operation *op)
{
    bool is_read = strcmp(op->method, "GET") == 0, is_delete = strcmp(op->method, "DELETE") == 0;
    return json_pack("{ss so so s{sb sb}}", "name", tool_name(op), "description",
                     op->text ? json_sprintf("%s %s", op->summary, op->text) : json_string(op->summary), "inputSchema",
                     input_schema(op), "annotations", "readOnlyHint", (int)is_read, "destructiveHint", (int)is_delete);
}

json_t *mcp_tools(enum api_role role)
{
    json_t *list = json_array();
    for (size_t i = 0; i < ARRAY_LEN(tools); i++)
        if (role >= api_table[tools[i]].role)
            json_array_append_new(list, tool_json(&api_table[tools[i]]));
    return json_pack("{so}", "tools", list);
}

const struct api_operation *mcp_tool(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(tools); i++)
        if (strcmp(tool_name(&api_table[tools[i]]), name) == 0)
            return &api_table[tools[i]];
    return NULL;
}

static bool has_field(const struct api_field *fields, const char *name)
{
    for (; fields && fields->name; fields++)
        if (strcmp(fields->name, name) == 0)
            return true;
    return false;
}

/* The check that a body gets, for any list of rows. */
static int check(const struct api_operation *op, const struct api_field *fields, json_t *object, struct error *err)
{
    struct api_operation alone = { .name = op->name, .flags = op->flags, .body = fields };
    int ignored = 0;
    return fields ? api_check_body(&alone, object, &ignored, err) : 0;
}

int mcp_split(const struct api_operation *op, const json_t *arguments, json_t **ret_path, json_t **ret_query,
              json_t **ret_body, struct error *err)
{
    const struct api_field *in_body = op->whole ? op->whole->fields : op->body;
    auto_json json_t *path = json_object(), *query = json_object(), *body = json_object();
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)arguments, name, value)
    {
        json_t *to = has_field(op->path_fields, name) ? path : has_field(op->query, name) ? query
                     : has_field(in_body, name)                                          ? body : NULL;
        if (!to)
            return error_set(err, ERROR_UNKNOWN_FIELD, "%s takes no argument \"%.60s\"", tool_name(op), name);
        json_object_set(to, name, value);
    }
    int r = check(op, op->path_fields, path, err);
    if (r == 0)
        r = check(op, op->query, query, err);
    if (r == 0)
        r = check(op, in_body, body, err);
    if (r < 0)
        return r;
    *ret_path = steal_ptr(&path);
    *ret_query = steal_ptr(&query);
    *ret_body = steal_ptr(&body);
    return 0;
}

/* --- Results ----------------------------------------------------------------------------------- */

static json_t *text_content(const char *text, size_t size)
{
    json_t *value = json_stringn(text, size);
    return json_pack("{ss so}", "type", "text", "text", value ? value : json_string("(not UTF-8)"));
}

static bool is_picture(const json_t *value)
{
    return json_object_get(value, "data") && json_object_get(value, "format") && json_object_get(value, "frame");
}

/* Pictures in an answer become image content; what is said of them stays. */
static void take_pictures(json_t *value, json_t *content)
{
    size_t i;
    const char *name;
    json_t *child;
    if (is_picture(value)) {
        json_t *mime = json_sprintf("image/%s", json_get_string(value, "format", "png"));
        json_array_append_new(content, json_pack("{ss sO so}", "type", "image", "data", json_object_get(value, "data"),
                                                 "mimeType", mime));
        json_object_del(value, "data");
        return;
    }
    json_array_foreach(value, i, child) take_pictures(child, content);
    json_object_foreach(value, name, child) take_pictures(child, content);
}

static json_t *base64(const void *data, size_t size)
{
    auto_buf struct buf text = BUF_INIT;
    buf_append_base64(&text, data, size);
    return json_string(buf_str(&text));
}

json_t *mcp_tool_result(int status, const char *type, const void *data, size_t size, const char *told)
{
    json_t *content = json_array(), *result = json_pack("{sO}", "content", content);
    json_t *object = NULL;
    if (type && strncmp(type, "image/", 6) == 0) {
        json_array_append_new(content, json_pack("{ss so ss}", "type", "image", "data", base64(data, size), "mimeType", type));
        if (told && json_parse_object(told, strlen(told), &object, NULL) < 0)
            object = NULL;
    } else if (type && strncmp(type, "application/json", 16) == 0) {
        if (json_parse_any(data, size, &object, NULL) < 0)
            object = NULL;
    }
    if (object) {
        take_pictures(object, content);
        auto_buf struct buf text = BUF_INIT;
        json_write(object, &text);
        json_array_append_new(content, text_content(buf_str(&text), text.size));
        if (json_is_object(object))
            json_object_set(result, "structuredContent", object);
        json_decref(object);
    } else if (json_array_size(content) == 0) {
        json_array_append_new(content, size ? text_content(data, size) : text_content("done", 4));
    }
    if (status >= 400)
        json_object_set_new(result, "isError", json_true());
    json_decref(content);
    return result;
}

json_t *mcp_resource(const char *uri, int status, const char *type, const void *data, size_t size)
{
    if (status >= 300 || !type)
        return NULL;
    if (strncmp(type, "image/", 6) == 0)
        return json_pack("{s[{ss ss so}]}", "contents", "uri", uri, "mimeType", type, "blob", base64(data, size));
    return json_pack("{s[{ss ss so}]}", "contents", "uri", uri, "mimeType", type, "text", json_stringn(data, size));
}

json_t *mcp_resources(const void *data, size_t size)
{
    json_t *list = json_pack("[{ss ss ss}, {ss ss ss}]", "uri", SCHEME "sandboxes", "name", "sandboxes", "mimeType",
                             "application/json", "uri", SCHEME "recordings", "name", "recordings", "mimeType",
                             "application/json");
    auto_json json_t *answer = NULL;
    if (json_parse_object(data, size, &answer, NULL) < 0)
        answer = NULL;
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(answer, "items"), i, item)
    {
        const char *id = json_get_string(item, "id", "");
        json_array_append_new(list, json_pack("{so so ss}", "uri", json_sprintf(SCHEME "sandboxes/%s/screenshot", id),
                                              "name", json_sprintf("screen of %s", id), "mimeType", "image/png"));
    }
    return json_pack("{so}", "resources", list);
}

/* A row per resource: {} stands for a name. */
static const struct resource {
    const char *path, *name, *mime, *text;
    enum api_id id;
    const char *fields[2]; /* what the names are: fields of the row's path or query */
} resources[] = {
    { "sandboxes", "sandboxes", "application/json", "The sandboxes.", API_SANDBOX_LIST, { 0 } },
    { "sandboxes/{}/screenshot", "screenshot", "image/png", "What a sandbox's screen shows now.", API_DESKTOP_SCREENSHOT,
      { "id" } },
    { "recordings", "recordings", "application/json", "The recordings.", API_RECORDING_LIST, { 0 } },
    { "recordings/{}", "recording", "application/json", "A recording.", API_RECORDING_GET, { "id" } },
    { "recordings/{}/actions", "actions", "application/json", "What was done in a recording, in order.",
      API_RECORDING_ACTIONS, { "id" } },
    { "recordings/{}/frame/{}", "frame", "image/png", "A frame of a recording, by its id.", API_RECORDING_FRAME,
      { "id", "frame" } },
};

json_t *mcp_templates(void)
{
    json_t *list = json_array();
    for (size_t i = 0; i < ARRAY_LEN(resources); i++) {
        const struct resource *row = &resources[i];
        auto_buf struct buf uri = BUF_INIT;
        int n = 0;
        buf_puts(&uri, SCHEME);
        for (const char *at = row->path; *at; at++) {
            buf_append(&uri, at, 1);
            if (*at == '{')
                buf_puts(&uri, row->fields[n++]);
        }
        if (n > 0)
            json_array_append_new(list, json_pack("{ss ss ss ss}", "uriTemplate", buf_str(&uri), "name", row->name,
                                                  "description", row->text, "mimeType", row->mime));
    }
    return json_pack("{so}", "resourceTemplates", list);
}

/* Whether uri is the row's; its names go into values. */
static bool fits(const struct resource *row, const char *uri, char values[2][MCP_NAME_MAX])
{
    int n = 0;
    for (const char *at = row->path; *at; at++) {
        if (*at != '{') {
            if (*at != *uri++)
                return false;
            continue;
        }
        size_t size = strcspn(uri, "/");
        if (size == 0 || size >= MCP_NAME_MAX)
            return false;
        memcpy(values[n], uri, size);
        values[n++][size] = 0;
        uri += size;
        at++; /* the closing brace */
    }
    return *uri == 0;
}

int mcp_uri_parse(const char *uri, enum api_id *ret, json_t **ret_path, json_t **ret_query)
{
    char values[2][MCP_NAME_MAX];
    if (strncmp(uri, SCHEME, strlen(SCHEME)) != 0)
        return -EINVAL;
    for (size_t i = 0; i < ARRAY_LEN(resources); i++) {
        const struct resource *row = &resources[i];
        if (!fits(row, uri + strlen(SCHEME), values))
            continue;
        auto_json json_t *arguments = json_object();
        for (int k = 0; k < 2 && row->fields[k]; k++) {
            bool is_number = strcmp(row->fields[k], "frame") == 0;
            json_object_set_new(arguments, row->fields[k], is_number ? json_integer(strtoll(values[k], NULL, 10))
                                                                     : json_string(values[k]));
        }
        json_t *body = NULL;
        int r = mcp_split(&api_table[row->id], arguments, ret_path, ret_query, &body, NULL);
        json_decref(body);
        *ret = row->id;
        return r < 0 ? -EINVAL : 0;
    }
    return -EINVAL;
}
