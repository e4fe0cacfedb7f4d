/* Rows of the Model Context Protocol. Not a header: a part of the table in api/table.c. */

    [API_MCP] = {
        .name = "mcp", .method = "POST", .path = "/mcp", .role = API_ROLE_VIEWER,
        .flags = API_LARGE_BODY, .status = 200,
        .whole = &(const struct api_field){ .type = API_ANY, .text = "A message of JSON-RPC 2.0." },
        .whole_result = &(const struct api_field){ .type = API_ANY,
            .text = "Its answer; 202 without a body for a notification." },
        .summary = "The Model Context Protocol over streamable HTTP.",
        .text = "Tools are operations of this API under their own names, as many as the caller's key may call; "
                "what they answer is `structuredContent` and text, and pictures are image content. Resources: "
                "`deskfarm://sandboxes` and `deskfarm://sandboxes/{id}/screenshot`. Each request is answered by "
                "itself, in JSON; the session that `initialize` names holds nothing, but in it "
                "`notifications/cancelled` ends a call. `deskfarm mcp` speaks the same over standard input and "
                "output.",
    },
    [API_MCP_SLASH] = {
        .name = "mcp_slash", .method = "POST", .path = "/mcp/", .role = API_ROLE_VIEWER,
        .flags = API_LARGE_BODY | API_COMPAT, .status = 200,
        .whole = &(const struct api_field){ .type = API_ANY, .text = "A message of JSON-RPC 2.0." },
        .whole_result = &(const struct api_field){ .type = API_ANY, .text = "Its answer." },
        .summary = "The same as `mcp`: some clients write the address so.",
    },
