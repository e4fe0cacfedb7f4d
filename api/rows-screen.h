/* Rows of the screen. Not a header: a part of the table in api/table.c. */

    [API_DESKTOP_ACTIONS] = {
        .name = "desktop_actions", .method = "POST", .path = "/v1/sandboxes/{id}/desktop/actions",
        .role = API_ROLE_OPERATOR, .flags = API_IDEMPOTENT | API_IMAGE | API_LARGE_BODY,
        .status = 200, .path_fields = sandbox_path,
        .body = api_actions_body,
        .result = api_actions_result,
        .summary = "Does a batch of actions and answers with the settled screen.",
        .text = "One batch at a time per sandbox. A caller that disconnects aborts its batch; keys "
                "and buttons that "
                "it held are released.",
    },
    [API_DESKTOP_SCREENSHOT] = {
        .name = "desktop_screenshot", .method = "GET",
        .path = "/v1/sandboxes/{id}/desktop/screenshot",
        .role = API_ROLE_VIEWER, .flags = API_IMAGE, .status = 200, .path_fields = sandbox_path,
        .query = api_screenshot_query, .result = api_changed_result,
        .summary = "The screen as an image.",
        .text = "Answers bytes unless `Accept` asks for JSON. Has an ETag; 304 when "
                "`If-None-Match` names it, 204 "
                "when `if_changed_since` names the frame that is still shown.",
    },
    [API_DESKTOP_WAIT] = {
        .name = "desktop_wait", .method = "POST", .path = "/v1/sandboxes/{id}/desktop/wait",
        .role = API_ROLE_VIEWER,
        .flags = API_IMAGE | API_LARGE_BODY, .status = 200, .path_fields = sandbox_path, .body = api_wait_body,
        .result = api_wait_result,
        .summary = "Waits until the screen is settled, changes, or shows something.",
        .text = "Nothing is polled: what is waited for is looked at again when the screen changes where it may be.",
    },
    [API_STREAM_LINK] = {
        .name = "stream_link", .method = "POST", .path = "/v1/sandboxes/{id}/desktop/stream",
        .role = API_ROLE_VIEWER, .flags = API_ASLEEP, .status = 201, .path_fields = sandbox_path,
        .body = FIELDS{
            { .name = "role", .type = API_STRING, .values = stream_roles, .fallback = "\"view\"",
              .text = "`control` may take the keyboard and mouse; it needs the role operator." },
            END },
        .result = FIELDS{
            { .name = "url", .type = API_STRING,
              .text = "Of a WebSocket, for one connection; whoever has it needs no key." },
            { .name = "role", .type = API_STRING, .text = "As asked for." },
            { .name = "expires_in_s", .type = API_INTEGER, .text = "It must be used within this time." },
            END },
        .summary = "Makes a link to the live view of a desktop.",
    },
    [API_STREAM] = {
        .name = "stream", .method = "GET", .path = "/v1/sandboxes/{id}/desktop/stream",
        .role = API_ROLE_NONE, .flags = API_WEBSOCKET, .status = 101, .path_fields = sandbox_path,
        .query = FIELDS{
            { .name = "role", .type = API_STRING, .values = stream_roles, .fallback = "\"view\"",
              .text = "With a ticket: what it was made for." },
            { .name = "ticket", .type = API_STRING, .min = 1, .max = 64,
              .text = "From `stream_link`. Without one the caller's key must have the role." },
            END },
        .summary = "The live view of a desktop, and the way to act on it, as a WebSocket.",
        .text = "Binary messages of the subprotocol `deskfarm.stream.1` (docs/stream.md). One person "
                "controls at a time; while one does, `desktop_actions` waits for its `queue_ms` and "
                "then fails with `conflict`.",
    },
    [API_DESKTOP_DISPLAY] = {
        .name = "desktop_display", .method = "GET", .path = "/v1/sandboxes/{id}/desktop/display",
        .role = API_ROLE_VIEWER, .status = 200, .path_fields = sandbox_path,
        .result = api_display_fields,
        .summary = "Size and state of the screen.",
    },
    [API_DESKTOP_RESIZE] = {
        .name = "desktop_resize", .method = "PUT", .path = "/v1/sandboxes/{id}/desktop/display",
        .role = API_ROLE_OPERATOR, .status = 200, .path_fields = sandbox_path,
        .body = api_resize_body,
        .result = api_wait_result,
        .summary = "Asks the guest for another size of its screen.",
        .text = "Answers when the screen has that size; `timeout` when the guest does not follow.",
    },
