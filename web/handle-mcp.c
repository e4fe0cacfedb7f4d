/* POST /mcp: one message of JSON-RPC.
 *
 * A call of a tool turns the very request into one for the tool's operation: role, fields and handler are those of
 * its row, a caller that goes away ends it, and request.wrap makes of the answer what the protocol wants.
 *
 * A session is a random name that `initialize` gives and nobody keeps: a call is known by it, its id and its key, so
 * that another connection can end it with notifications/cancelled. A call without a session ends with its own
 * connection only. */
#include "base/id.h"
#include "farm/sandbox.h"
#include "web/mcp.h"
#include "web/progress.h"
#include "web/route.h"
#include "web/server.h"

#include <stdio.h>
#include <string.h>

static void answer(struct request *request, json_t *message)
{
    if (!progress_finish(request->progress, message))
        request_answer_json(request, 200, message);
}

static void answer_result(struct request *request, json_t *result)
{
    answer(request, mcp_result(request->rpc_id, result));
}

static void answer_error(struct request *request, int code, const char *message)
{
    answer(request, mcp_error(request->rpc_id, code, message));
}

/* --- An operation's answer ------------------------------------------------------------------------ */

/* The value of a header among those that the operation added, allocated; NULL when absent. */
static char *header(struct buf *headers, const char *name)
{
    const char *at = strstr(buf_str(headers), name);
    if (!at)
        return NULL;
    at += strlen(name);
    return strndup(at, strcspn(at, "\r\n"));
}

static void forget_headers(struct request *request)
{
    buf_deinit(&request->headers);
    request->headers = (struct buf){ .limit = 16384 };
}

static void wrap_tool(struct request *request, int status, const char *type, struct bytes *payload)
{
    auto_free char *told = header(&request->headers, "X-Deskfarm-Result: ");
    forget_headers(request);
    answer_result(request, mcp_tool_result(status, type, payload ? payload->data : NULL, payload ? payload->size : 0, told));
}

static void wrap_resource(struct request *request, int status, const char *type, struct bytes *payload)
{
    forget_headers(request);
    json_t *result = mcp_resource(json_get_string(request->rpc_params, "uri", ""), status, type,
                                  payload ? payload->data : NULL, payload ? payload->size : 0);
    if (result)
        answer_result(request, result);
    else
        answer_error(request, MCP_NO_RESOURCE, "no such resource");
}

static void wrap_resources(struct request *request, int status, const char *type maybe_unused, struct bytes *payload)
{
    forget_headers(request);
    bool is_good = status < 300 && payload;
    answer_result(request, mcp_resources(is_good ? payload->data : NULL, is_good ? payload->size : 0));
}

/* --- Starting one --------------------------------------------------------------------------------- */

/* Takes over path, query and body. */
static void become(struct request *request, enum api_id id, json_t *path, json_t *query, json_t *body,
                   request_wrap_fn wrap)
{
    json_decref(request->path_values);
    json_decref(request->query);
    json_decref(request->body);
    request->path_values = path;
    request->query = query;
    request->body = body;
    request->accept[0] = 0; /* the operation's own form */
    request->if_none_match[0] = 0;
    request->wrap = wrap;
    request->route = id;
    route_handle(request);
}

static void call_tool(struct request *request, const json_t *params)
{
    struct error err = { 0 };
    json_t *path = NULL, *query = NULL, *body = NULL;
    const struct api_operation *op = mcp_tool(json_get_string(params, "name", ""));
    if (!op || (enum api_role)request->who.role < op->role) {
        answer_error(request, MCP_BAD_PARAMS, "no such tool, or this key may not call it");
        return;
    }
    if (mcp_split(op, json_object_get(params, "arguments"), &path, &query, &body, &err) < 0) {
        auto_buf struct buf text = BUF_INIT;
        buf_printf(&text, "%s: %s", error_code_name(err.code), err.message);
        answer_result(request, mcp_tool_result(400, "text/plain", text.data, text.size, NULL));
        return;
    }
    request->progress = progress_new(request, params);
    become(request, (enum api_id)(op - api_table), path, query, body, wrap_tool);
}

static void read_resource(struct request *request, const json_t *params)
{
    enum api_id id;
    json_t *path = NULL, *query = NULL;
    if (mcp_uri_parse(json_get_string(params, "uri", ""), &id, &path, &query) < 0)
        answer_error(request, MCP_NO_RESOURCE, "no such resource");
    else
        become(request, id, path, query, NULL, wrap_resource);
}

static void begin_session(struct request *request, const json_t *params)
{
    char id[ID_MAX];
    id_new("mcp-", id);
    request_add_header(request, "Mcp-Session-Id", "%s", id);
    answer_result(request, mcp_hello(params));
}

/* --- Ending one ----------------------------------------------------------------------------------- */

static bool is_call(const struct request *self, const struct request *by, const json_t *id)
{
    return self && self != by && self->rpc_id && json_equal(self->rpc_id, id) &&
           strcmp(self->mcp_session, by->mcp_session) == 0 && strcmp(self->who.key_id, by->who.key_id) == 0;
}

static void cancel(struct request *request, const json_t *params)
{
    const json_t *id = json_object_get(params, "requestId");
    struct conn *conn;
    if (!id || !*request->mcp_session)
        return;
    list_for_each(conn, &request->web->conns, link)
    {
        if (is_call(conn->request, request, id)) {
            request_call_off(conn->request);
            return;
        }
    }
}

/* --- Messages ------------------------------------------------------------------------------------- */

static void run(struct request *request, const char *method, const json_t *params)
{
    if (strcmp(method, "initialize") == 0)
        begin_session(request, params);
    else if (strcmp(method, "ping") == 0)
        answer_result(request, json_object());
    else if (strcmp(method, "tools/list") == 0)
        answer_result(request, mcp_tools((enum api_role)request->who.role));
    else if (strcmp(method, "tools/call") == 0)
        call_tool(request, params);
    else if (strcmp(method, "resources/list") == 0)
        become(request, API_SANDBOX_LIST, NULL, json_object(), NULL, wrap_resources);
    else if (strcmp(method, "resources/templates/list") == 0)
        answer_result(request, mcp_templates());
    else if (strcmp(method, "resources/read") == 0)
        read_resource(request, params);
    else
        answer_error(request, MCP_NO_METHOD, "no such method");
}

void handle_mcp(struct request *request)
{
    json_t *message = request->body;
    struct error err = { 0 };
    if (!json_is_object(message)) {
        error_set(&err, ERROR_BAD_TYPE, "body: must be an object, one request of JSON-RPC 2.0");
        request_answer_error(request, &err);
        return;
    }
    const char *method = json_get_string(message, "method", NULL);
    bool is_rpc = strcmp(json_get_string(message, "jsonrpc", ""), "2.0") == 0;
    request->rpc_id = json_incref(json_object_get(message, "id"));
    request->rpc_params = json_incref(json_object_get(message, "params"));
    if (is_rpc && !request->rpc_id) { /* a notification, or an answer: nothing here waits for one */
        if (method && strcmp(method, "notifications/cancelled") == 0)
            cancel(request, request->rpc_params);
        request_answer_empty(request, 202);
    } else if (!is_rpc || !method)
        answer_error(request, MCP_BAD_REQUEST, "not a request of JSON-RPC 2.0");
    else
        run(request, method, request->rpc_params);
}

void handle_mcp_slash(struct request *request)
{
    handle_mcp(request);
}
