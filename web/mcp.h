/* The Model Context Protocol: what a client is told of tools and resources, and answers in its shapes. Pure,
 * but for the API table that it reads. Revisions 2024-11-05 to 2025-11-25. */
#pragma once

#include "api/table.h"
#include "base/json.h"

/* JSON-RPC's own error codes. */
enum { MCP_BAD_REQUEST = -32600, MCP_NO_METHOD = -32601, MCP_BAD_PARAMS = -32602, MCP_NO_RESOURCE = -32002 };

/* {"jsonrpc","id","result"} and {"jsonrpc","id","error"}; take over result; id is borrowed. */
json_t *mcp_result(const json_t *id, json_t *result);
json_t *mcp_error(const json_t *id, int code, const char *message);

/* Answer of initialize: the client's revision when it is known here, else the newest. */
json_t *mcp_hello(const json_t *params);
/* Tools that a caller of this role may call. */
json_t *mcp_tools(enum api_role role);
/* The row of a tool; NULL when there is none of that name. */
const struct api_operation *mcp_tool(const char *name);
json_t *mcp_templates(void);

/* Splits a tool's arguments into what goes into the path, the query and the body of its row; new references.
 * unknown_field names an argument that the row lacks; limits are checked. */
int mcp_split(const struct api_operation *op, const json_t *arguments, json_t **ret_path, json_t **ret_query,
              json_t **ret_body, struct error *err);

/* What an operation answered, as a tool's result. type: its media type, NULL for no body. told: the JSON that
 * goes with image bytes, as text, or NULL. */
json_t *mcp_tool_result(int status, const char *type, const void *data, size_t size, const char *told);
/* As contents of a resource; NULL when the operation failed. */
json_t *mcp_resource(const char *uri, int status, const char *type, const void *data, size_t size);
/* As the list of resources: the answer of sandbox_list. */
json_t *mcp_resources(const void *data, size_t size);

/* The operation that answers for a resource, with its path and query as new references; -EINVAL: there is none. */
#define MCP_NAME_MAX 64
int mcp_uri_parse(const char *uri, enum api_id *ret, json_t **ret_path, json_t **ret_query);
