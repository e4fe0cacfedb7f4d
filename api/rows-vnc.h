/* Rows of the VNC export. Not a header: a part of the table in api/table.c. */

    [API_VNC] = {
        .name = "vnc", .method = "GET", .path = "/v1/sandboxes/{id}/vnc", .role = API_ROLE_NONE,
        .flags = API_WEBSOCKET, .status = 101, .path_fields = sandbox_path, .query = api_vnc_query,
        .summary = "A WebSocket that speaks VNC's protocol, RFB 3.8; noVNC connects to it.",
        .text = "Binary messages, subprotocol `binary`. Needs a key of the role viewer, of operator to "
                "act, or a ticket; RFB itself asks for no password.",
    },
    [API_DESKTOP_VNC_OPEN] = {
        .name = "desktop_vnc_open", .method = "POST", .path = "/v1/sandboxes/{id}/desktop/vnc",
        .role = API_ROLE_OPERATOR, .status = 201, .path_fields = sandbox_path, .body = api_vnc_body,
        .result = api_vnc_opened,
        .summary = "Opens the desktop to VNC viewers.",
        .text = "A port stays open until `desktop_vnc_close`, the end of the sandbox or of the daemon. "
                "At most 4 ports and 16 viewers per sandbox.",
    },
    [API_DESKTOP_VNC_LIST] = {
        .name = "desktop_vnc_list", .method = "GET", .path = "/v1/sandboxes/{id}/desktop/vnc",
        .role = API_ROLE_VIEWER, .flags = API_ASLEEP, .status = 200, .path_fields = sandbox_path, .result = api_vnc_result,
        .summary = "VNC viewers and ports of the desktop.",
    },
    [API_DESKTOP_VNC_CLOSE] = {
        .name = "desktop_vnc_close", .method = "DELETE", .path = "/v1/sandboxes/{id}/desktop/vnc",
        .role = API_ROLE_OPERATOR, .status = 204, .path_fields = sandbox_path,
        .summary = "Closes the desktop's VNC ports and drops all VNC viewers.",
    },
