/* Rows of recordings. Not a header: a part of the table in api/table.c. */

    [API_RECORDING_LIST] = {
        .name = "recording_list", .method = "GET", .path = "/v1/recordings", .role = API_ROLE_VIEWER,
        .status = 200, .query = api_recording_filter, .result = api_recording_list_result,
        .summary = "The recordings that the key may see.",
    },
    [API_RECORDING_SEARCH] = {
        .name = "recording_search", .method = "GET", .path = "/v1/recording-search",
        .role = API_ROLE_VIEWER, .status = 200, .query = api_recording_search_query,
        .result = api_recording_notes_result,
        .summary = "Actions, typed text, events and marks of all recordings that contain a text.",
    },
    [API_RECORDING_GET] = {
        .name = "recording_get", .method = "GET", .path = "/v1/recordings/{id}", .role = API_ROLE_VIEWER,
        .status = 200, .path_fields = api_recording_path, .result = api_recording_fields,
        .summary = "One recording.",
    },
    [API_RECORDING_DELETE] = {
        .name = "recording_delete", .method = "DELETE", .path = "/v1/recordings/{id}",
        .role = API_ROLE_OPERATOR, .status = 204, .path_fields = api_recording_path,
        .summary = "Deletes a recording; `conflict` while it is being written.",
    },
    [API_RECORDING_INDEX] = {
        .name = "recording_index", .method = "GET", .path = "/v1/recordings/{id}/index",
        .role = API_ROLE_VIEWER, .status = 200, .path_fields = api_recording_path,
        .query = api_recording_index_query, .result = api_recording_index_result,
        .summary = "What stands where in the segments of a recording.",
        .text = "Times are microseconds of the daemon's clock; `wall_us` is the wall clock at `first_us`. Works "
                "while the recording is being written.",
    },
    [API_RECORDING_STREAM] = {
        .name = "recording_stream", .method = "GET", .path = "/v1/recordings/{id}/stream",
        .role = API_ROLE_VIEWER, .flags = API_BYTES, .status = 200, .path_fields = api_recording_path,
        .query = api_recording_stream_query,
        .summary = "The records of a recording (docs/stream.md), whole or by Range.",
        .text = "A segment of that number; without one all of them, one after the other.",
    },
    [API_RECORDING_FRAME] = {
        .name = "recording_frame", .method = "GET", .path = "/v1/recordings/{id}/frame",
        .role = API_ROLE_VIEWER, .flags = API_BYTES, .status = 200, .path_fields = api_recording_path,
        .query = api_recording_frame_query,
        .summary = "The picture of a frame, by its id or at a time.",
        .text = "The header X-Deskfarm-Result holds JSON: `frame`, `exact`, `captured_us`, `time_ms`, `width`, "
                "`height`, `cursor`. When `exact` is false, the picture is what was recorded of that moment, and "
                "`next_exact` names the next frame that is exact. `unknown_frame` for one that is not in it.",
    },
    [API_RECORDING_ACTIONS] = {
        .name = "recording_actions", .method = "GET", .path = "/v1/recordings/{id}/actions",
        .role = API_ROLE_VIEWER, .status = 200, .path_fields = api_recording_path,
        .query = api_recording_notes_query, .result = api_recording_notes_result,
        .summary = "What was done and what happened: actions, events and marks in order.",
    },
    [API_RECORDING_MARK] = {
        .name = "recording_mark", .method = "POST", .path = "/v1/recordings/{id}/marks",
        .role = API_ROLE_OPERATOR, .status = 201, .path_fields = api_recording_path,
        .body = api_recording_mark_body, .result = api_recording_note_fields,
        .summary = "Puts a mark into a running recording.",
    },
    [API_RECORDING_EXPORT] = {
        .name = "recording_export", .method = "POST", .path = "/v1/recordings/{id}/exports",
        .role = API_ROLE_VIEWER, .status = 201, .path_fields = api_recording_path,
        .body = api_recording_export_body, .result = api_export_fields,
        .summary = "Begins to make a file of a recording that other programs read.",
        .text = "Of what has been recorded so far. Ask `export_get` how far it is, then fetch `export_file`. An "
                "export is kept for an hour, at most 32 of them.",
    },
    [API_RECORDING_RERUN] = {
        .name = "recording_rerun", .method = "POST", .path = "/v1/recordings/{id}/reruns",
        .role = API_ROLE_OPERATOR, .status = 201, .path_fields = api_recording_path,
        .body = api_rerun_body, .result = api_rerun_fields,
        .summary = "Does a recording's actions again in a fresh sandbox, and tells where the screens first differ.",
        .text = "The sandbox is made from the template or checkpoint that the recorded one came from, or powered on as "
                "it was; the rerun fails with `not_found` when that checkpoint is gone, or was never kept, as of a live "
                "fork. Requests are sent as they came; what a person did and commands in the guest are not done "
                "again. After each the screen is compared, pixel by pixel, with what the recorded one had become. Ask "
                "`rerun_get` how far it is. `frame` of a step is a frame of `recording`, `again_frame` one of `again`: "
                "`recording_frame` gives both pictures, and the page `/recordings/{recording}?with={again}&align=action`"
                " shows them side by side.",
    },
    [API_RERUN_GET] = {
        .name = "rerun_get", .method = "GET", .path = "/v1/reruns/{id}", .role = API_ROLE_VIEWER,
        .status = 200, .path_fields = api_rerun_path, .result = api_rerun_fields,
        .summary = "How far a rerun is, and what it found.",
    },
    [API_RERUN_DELETE] = {
        .name = "rerun_delete", .method = "DELETE", .path = "/v1/reruns/{id}", .role = API_ROLE_OPERATOR,
        .status = 204, .path_fields = api_rerun_path,
        .summary = "Ends a rerun and forgets it; its recording stays.",
    },
    [API_EXPORT_GET] = {
        .name = "export_get", .method = "GET", .path = "/v1/exports/{id}", .role = API_ROLE_VIEWER,
        .status = 200, .path_fields = api_export_path, .result = api_export_fields,
        .summary = "How far an export is.",
    },
    [API_EXPORT_FILE] = {
        .name = "export_file", .method = "GET", .path = "/v1/exports/{id}/file", .role = API_ROLE_VIEWER,
        .flags = API_BYTES, .status = 200, .path_fields = api_export_path,
        .summary = "The file of an export that is done; `conflict` before.",
    },
    [API_EXPORT_DELETE] = {
        .name = "export_delete", .method = "DELETE", .path = "/v1/exports/{id}", .role = API_ROLE_VIEWER,
        .status = 204, .path_fields = api_export_path,
        .summary = "Ends an export, or removes its file.",
    },
