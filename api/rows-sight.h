/* Rows of looking for things on the screen. Not a header: a part of the table in api/table.c. */

    [API_DESKTOP_FIND] = {
        .name = "desktop_find", .method = "POST", .path = "/v1/sandboxes/{id}/desktop/find",
        .role = API_ROLE_VIEWER, .flags = API_LARGE_BODY, .status = 200, .path_fields = sandbox_path,
        .body = api_find_sight_body, .result = api_find_sight_result,
        .summary = "Finds a text or a picture on the screen, or reads all of it.",
        .text = "Text is read by Tesseract on the host, for any guest; what did not change since it was read is not "
                "read again. `unsupported` where Tesseract is not installed.",
    },
    [API_DESKTOP_MARKS] = {
        .name = "desktop_marks", .method = "POST", .path = "/v1/sandboxes/{id}/desktop/marks",
        .role = API_ROLE_VIEWER, .flags = API_IMAGE, .status = 200, .path_fields = sandbox_path,
        .body = api_marks_body, .result = api_marks_result,
        .summary = "A screenshot with numbered boxes around what can be pointed at.",
        .text = "The image's id works for space `frame` like that of any screenshot.",
    },
    [API_DESKTOP_COMPARE] = {
        .name = "desktop_compare", .method = "GET", .path = "/v1/sandboxes/{id}/desktop/compare",
        .role = API_ROLE_VIEWER, .status = 200, .path_fields = sandbox_path,
        .query = api_compare_query, .result = api_compare_result,
        .summary = "What differs between two frames, and how much of it is seen.",
        .text = "Known are frames that an answer named, the last 128 of them: to the pixel as far as 24 MB go and while "
                "the screen is being looked at, else to the tile of 64 pixels.",
    },
    [API_DESKTOP_WATCH] = {
        .name = "desktop_watch", .method = "POST", .path = "/v1/sandboxes/{id}/desktop/watch",
        .role = API_ROLE_VIEWER, .flags = API_EVENTS | API_LARGE_BODY, .status = 200, .path_fields = sandbox_path,
        .body = api_watch_body, .result = api_sight_event,
        .summary = "Tells as events which conditions of the screen are met, when, and in which frame.",
        .text = "Events: `begin`; `fired` and `failed` with `index`, `name` and `for` of the condition, `fired` with "
                "`frame` and `found` (or `settle`); `end` with `result` `done` or `timed_out`. A caller who does not "
                "read misses events; the next one says how many (`missed`).",
    },
