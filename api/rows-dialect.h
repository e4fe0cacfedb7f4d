/* Rows of the models' own action languages. Not a header: a part of the table in api/table.c. */

    [API_DESKTOP_DIALECT] = {
        .name = "desktop_dialect", .method = "POST",
        .path = "/v1/sandboxes/{id}/desktop/dialects/{dialect}", .role = API_ROLE_OPERATOR,
        .flags = API_IDEMPOTENT | API_LARGE_BODY, .status = 200,
        .path_fields = api_dialect_path, .query = api_dialect_query,
        .whole = &(const struct api_field){ .type = API_ANY,
            .text = "What the model's API answered, as it came: the whole answer, its list of calls, or one "
                    "call; for `ui_tars` and code the text, as a JSON string or in `text`." },
        .whole_result = &(const struct api_field){ .type = API_ANY,
            .text = "What that API wants to be sent next: a list for a list, one result for one call." },
        .summary = "Does what a computer-use model said, in its own language.",
        .text = "`anthropic`: `tool_use` blocks of computer_20241022, computer_20250124, computer_20251124 and "
                "computer_toolset_20260801, answered by `tool_result` blocks. `openai`: `computer_call` items of "
                "computer_use_preview and computer, answered by `computer_call_output`. `gemini`: `functionCall` "
                "parts of both sets of functions, answered by `functionResponse`. `ui_tars`: its text, answered "
                "by a chat message. `osworld`: actions of computer_13, or code that calls pyautogui, which is "
                "read and never executed, answered like an environment's step. Calls run in order; the first "
                "that fails ends the turn, and the later ones are answered as not executed. Coordinates are "
                "pixels of pictures of the size that `desktop_dialect_tools` tells, or what the language says. "
                "The header `X-Deskfarm-Result` tells what became of each call.",
    },
    [API_DESKTOP_DIALECT_TOOLS] = {
        .name = "desktop_dialect_tools", .method = "GET",
        .path = "/v1/sandboxes/{id}/desktop/dialects/{dialect}", .role = API_ROLE_VIEWER, .status = 200,
        .path_fields = api_dialect_path, .query = api_dialect_tools_query,
        .result = api_dialect_tools_result,
        .summary = "What to declare to a computer-use model for this desktop.",
    },
