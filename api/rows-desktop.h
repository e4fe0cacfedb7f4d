/* Rows that the guest's own desktop answers. Not a header: a part of the table in api/table.c. */

#define DESKTOP "/v1/sandboxes/{id}/desktop"

    [API_DESKTOP_KEYBOARD] = {
        .name = "desktop_keyboard", .method = "PUT", .path = DESKTOP "/keyboard",
        .role = API_ROLE_OPERATOR, .status = 200, .path_fields = sandbox_path,
        .body = api_keyboard_body, .result = api_display_fields,
        .summary = "Says which keyboard layout the guest has, or sets it.",
        .text = "Text is planned for it. Without `apply` the guest's own setting is not changed.",
    },
    [API_DESKTOP_KEYBOARD_GET] = {
        .name = "desktop_keyboard_get", .method = "GET", .path = DESKTOP "/keyboard",
        .role = API_ROLE_VIEWER, .status = 200, .path_fields = sandbox_path,
        .result = api_keyboard_result,
        .summary = "The keyboard of the guest's desktop.",
    },
    [API_CLIPBOARD_GET] = {
        .name = "clipboard_get", .method = "GET", .path = DESKTOP "/clipboard",
        .role = API_ROLE_OPERATOR, .status = 200, .path_fields = sandbox_path,
        .query = api_clipboard_query, .result = api_clipboard_result,
        .summary = "What the guest's clipboard holds.",
    },
    [API_CLIPBOARD_SET] = {
        .name = "clipboard_set", .method = "PUT", .path = DESKTOP "/clipboard",
        .role = API_ROLE_OPERATOR, .flags = API_LARGE_BODY, .status = 200,
        .path_fields = sandbox_path, .body = api_clipboard_body,
        .result = FIELDS{ { .name = "size", .type = API_INTEGER, .text = "Bytes." }, END },
        .summary = "Puts text or an image into the guest's clipboard.",
    },
    [API_WINDOW_LIST] = {
        .name = "window_list", .method = "GET", .path = DESKTOP "/windows",
        .role = API_ROLE_VIEWER, .status = 200, .path_fields = sandbox_path,
        .result = api_windows_result,
        .summary = "The windows of the guest's desktop.",
    },
    [API_WINDOW_GET] = {
        .name = "window_get", .method = "GET", .path = DESKTOP "/windows/{window}",
        .role = API_ROLE_VIEWER, .status = 200, .path_fields = api_window_path,
        .result = api_window_result,
        .summary = "One window.",
    },
    [API_WINDOW_ACTIVATE] = {
        .name = "window_activate", .method = "POST", .path = DESKTOP "/windows/{window}/activate",
        .role = API_ROLE_OPERATOR, .status = 200, .path_fields = api_window_path,
        .body = api_window_wait, .result = api_window_result,
        .summary = "Raises a window and gives it the focus.",
    },
    [API_WINDOW_CLOSE] = {
        .name = "window_close", .method = "POST", .path = DESKTOP "/windows/{window}/close",
        .role = API_ROLE_OPERATOR, .status = 200, .path_fields = api_window_path,
        .body = api_window_wait, .result = api_window_result,
        .summary = "Closes a window as its button does; the program may ask first.",
    },
    [API_WINDOW_PLACE] = {
        .name = "window_place", .method = "POST", .path = DESKTOP "/windows/{window}/place",
        .role = API_ROLE_OPERATOR, .status = 200, .path_fields = api_window_path,
        .body = api_window_place, .result = api_window_result,
        .summary = "Moves and resizes a window.",
    },
    [API_WINDOW_STATE] = {
        .name = "window_state", .method = "POST", .path = DESKTOP "/windows/{window}/state",
        .role = API_ROLE_OPERATOR, .status = 200, .path_fields = api_window_path,
        .body = api_window_state, .result = api_window_result,
        .summary = "Minimizes, maximizes, … a window, or moves it to a workspace.",
    },
    [API_DESKTOP_LAUNCH] = {
        .name = "desktop_launch", .method = "POST", .path = DESKTOP "/launch",
        .role = API_ROLE_OPERATOR, .status = 200, .path_fields = sandbox_path,
        .body = api_launch_body, .result = api_launch_result,
        .summary = "Starts a program in the desktop and waits for its window.",
    },
    [API_DESKTOP_OPEN] = {
        .name = "desktop_open", .method = "POST", .path = DESKTOP "/open",
        .role = API_ROLE_OPERATOR, .status = 200, .path_fields = sandbox_path,
        .body = api_open_body, .result = api_launch_result,
        .summary = "Opens a URL or a file with its usual program.",
    },
    [API_A11Y_TREE] = {
        .name = "a11y_tree", .method = "GET", .path = DESKTOP "/a11y/tree",
        .role = API_ROLE_VIEWER, .status = 200, .path_fields = sandbox_path,
        .query = api_tree_query, .result = api_tree_result,
        .summary = "What programs say that they show, as a tree.",
    },
    [API_A11Y_FIND] = {
        .name = "a11y_find", .method = "POST", .path = DESKTOP "/a11y/find",
        .role = API_ROLE_VIEWER, .status = 200, .path_fields = sandbox_path,
        .body = api_find_body, .result = api_find_result,
        .summary = "Finds nodes by role, name, text and state.",
    },
    [API_A11Y_NODE] = {
        .name = "a11y_node", .method = "GET", .path = DESKTOP "/a11y/node/{node}",
        .role = API_ROLE_VIEWER, .status = 200, .path_fields = api_node_path,
        .query = FIELDS{
            { .name = "text_max", .type = API_INTEGER, .max = 1048576, .fallback = "1000",
              .text = "Bytes of its text." },
            END },
        .result = api_node_result,
        .summary = "One node; `not_found` when it is gone.",
    },
    [API_A11Y_FOCUS] = {
        .name = "a11y_focus", .method = "POST", .path = DESKTOP "/a11y/node/{node}/focus",
        .role = API_ROLE_OPERATOR, .status = 200, .path_fields = api_node_path,
        .result = api_node_result,
        .summary = "Gives a node the focus.",
    },
    [API_A11Y_INVOKE] = {
        .name = "a11y_invoke", .method = "POST", .path = DESKTOP "/a11y/node/{node}/invoke",
        .role = API_ROLE_OPERATOR, .status = 200, .path_fields = api_node_path,
        .body = api_invoke_body, .result = api_node_result,
        .summary = "Does an action of a node: presses a button, opens a menu.",
    },
    [API_A11Y_VALUE] = {
        .name = "a11y_value", .method = "POST", .path = DESKTOP "/a11y/node/{node}/value",
        .role = API_ROLE_OPERATOR, .flags = API_LARGE_BODY, .status = 200,
        .path_fields = api_node_path, .body = api_value_body, .result = api_node_result,
        .summary = "Sets the text or the value of a node.",
    },
