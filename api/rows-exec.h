/* Rows of the OpenSandbox execd protocol. Not a header: a part of the table in api/table.c. */

    [API_EXECD_PING] = {
        .name = "execd_ping", .method = "GET", .path = API_EXECD "/ping", .role = API_ROLE_VIEWER,
        .flags = API_OPENSANDBOX | API_TEXT, .status = 200, .path_fields = sandbox_path,
        .summary = "Whether the agent in the guest answers.",
    },
    [API_COMMAND_RUN] = {
        .name = "command_run", .method = "POST", .path = API_EXECD "/command",
        .role = API_ROLE_OPERATOR, .flags = API_OPENSANDBOX | API_EVENTS, .status = 200,
        .path_fields = sandbox_path, .body = api_exec_run, .result = api_exec_event,
        .summary = "Runs a command in the guest.",
        .text = "The answer is a stream of server-sent events; with `Accept: "
                "application/x-ndjson`, of lines. A caller that disconnects ends a command that is "
                "not in the background.",
    },
    [API_COMMAND_INTERRUPT] = {
        .name = "command_interrupt", .method = "DELETE", .path = API_EXECD "/command",
        .role = API_ROLE_OPERATOR, .flags = API_OPENSANDBOX, .status = 200,
        .path_fields = sandbox_path,
        .query = FIELDS{
            { .name = "id", .type = API_STRING, .is_required = true, .min = 1, .max = 63,
              .text = "Id of the command." },
            END },
        .summary = "Interrupts a command: SIGINT, then SIGTERM, then SIGKILL, 2 s apart.",
    },
    [API_COMMAND_STATUS] = {
        .name = "command_status", .method = "GET", .path = API_EXECD "/command/status/{command}",
        .role = API_ROLE_OPERATOR, .flags = API_OPENSANDBOX, .status = 200,
        .path_fields = api_exec_command_path, .result = api_exec_status,
        .summary = "How a command is doing.",
        .text = "The last 512 commands of a sandbox that have ended are remembered, until the "
                "daemon ends.",
    },
    [API_COMMAND_LOGS] = {
        .name = "command_logs", .method = "GET", .path = API_EXECD "/command/{command}/logs",
        .role = API_ROLE_OPERATOR, .flags = API_OPENSANDBOX | API_TEXT, .status = 200,
        .path_fields = api_exec_command_path,
        .query = FIELDS{
            { .name = "cursor", .type = API_INTEGER, .max = FRAME_MAX,
              .text = "What the header `EXECD-COMMANDS-TAIL-CURSOR` said last; only what came "
                      "after it is sent." },
            END },
        .summary = "The output of a command in the background.",
        .text = "The last MiB is kept, stdout and stderr as they came. When some of what is asked "
                "for is gone, `X-Deskfarm-Dropped` says how many bytes.",
    },
    [API_SESSION_CREATE] = {
        .name = "session_create", .method = "POST", .path = API_EXECD "/session",
        .role = API_ROLE_OPERATOR, .flags = API_OPENSANDBOX, .status = 200,
        .path_fields = sandbox_path,
        .body = FIELDS{
            { .name = "cwd", .type = API_STRING, .max = 4095,
              .text = "Where it begins; default: the user's home." },
            END },
        .result = FIELDS{ { .name = "session_id", .type = API_STRING, .text = "Its id." }, END },
        .summary = "Starts a shell that keeps its directory and variables.",
    },
    [API_SESSION_RUN] = {
        .name = "session_run", .method = "POST", .path = API_EXECD "/session/{session}/run",
        .role = API_ROLE_OPERATOR, .flags = API_OPENSANDBOX | API_EVENTS, .status = 200,
        .path_fields = api_exec_session_path, .body = api_exec_session_run,
        .result = api_exec_event,
        .summary = "Runs lines in a session's shell.",
        .text = "One caller at a time. Lines that end the shell end the session.",
    },
    [API_SESSION_DELETE] = {
        .name = "session_delete", .method = "DELETE", .path = API_EXECD "/session/{session}",
        .role = API_ROLE_OPERATOR, .flags = API_OPENSANDBOX, .status = 200,
        .path_fields = api_exec_session_path,
        .summary = "Ends a session and what runs in it.",
    },
    [API_CODE_RUN] = {
        .name = "code_run", .method = "POST", .path = API_EXECD "/code",
        .role = API_ROLE_OPERATOR, .flags = API_OPENSANDBOX, .status = 200,
        .path_fields = sandbox_path, .body = FIELDS{ END },
        .summary = "Not supported: there are no language kernels. Use command_run.",
    },
    [API_CODE_INTERRUPT] = {
        .name = "code_interrupt", .method = "DELETE", .path = API_EXECD "/code",
        .role = API_ROLE_OPERATOR, .flags = API_OPENSANDBOX, .status = 200,
        .path_fields = sandbox_path, .summary = "Not supported.",
    },
    [API_CODE_CONTEXT_CREATE] = {
        .name = "code_context_create", .method = "POST", .path = API_EXECD "/code/context",
        .role = API_ROLE_OPERATOR, .flags = API_OPENSANDBOX, .status = 200,
        .path_fields = sandbox_path, .body = FIELDS{ END }, .summary = "Not supported.",
    },
    [API_CODE_CONTEXT_LIST] = {
        .name = "code_context_list", .method = "GET", .path = API_EXECD "/code/contexts",
        .role = API_ROLE_OPERATOR, .flags = API_OPENSANDBOX, .status = 200,
        .path_fields = sandbox_path, .summary = "Not supported.",
    },
    [API_CODE_CONTEXT_CLEAR] = {
        .name = "code_context_clear", .method = "DELETE", .path = API_EXECD "/code/contexts",
        .role = API_ROLE_OPERATOR, .flags = API_OPENSANDBOX, .status = 200,
        .path_fields = sandbox_path, .summary = "Not supported.",
    },
    [API_CODE_CONTEXT_GET] = {
        .name = "code_context_get", .method = "GET", .path = API_EXECD "/code/contexts/{context}",
        .role = API_ROLE_OPERATOR, .flags = API_OPENSANDBOX, .status = 200,
        .path_fields = api_exec_context_path, .summary = "Not supported.",
    },
    [API_CODE_CONTEXT_DELETE] = {
        .name = "code_context_delete", .method = "DELETE",
        .path = API_EXECD "/code/contexts/{context}", .role = API_ROLE_OPERATOR,
        .flags = API_OPENSANDBOX, .status = 200, .path_fields = api_exec_context_path,
        .summary = "Not supported.",
    },
    [API_FILE_INFO] = {
        .name = "file_info", .method = "GET", .path = API_EXECD "/files/info",
        .role = API_ROLE_OPERATOR, .flags = API_OPENSANDBOX, .status = 200,
        .path_fields = sandbox_path, .query = api_exec_paths, .whole_result = &api_exec_file_map,
        .summary = "Describes files.",
    },
    [API_FILE_UPLOAD] = {
        .name = "file_upload", .method = "POST", .path = API_EXECD "/files/upload",
        .role = API_ROLE_OPERATOR, .flags = API_OPENSANDBOX | API_PIECES, .status = 200,
        .takes = "multipart/form-data", .path_fields = sandbox_path, .body = api_exec_upload,
        .summary = "Writes files.",
        .text = "Parts come in pairs, `metadata` and `file`. Each file appears under its name "
                "whole or not at all. The body may be of any size and in chunks; it is written as "
                "it comes.",
    },
    [API_FILE_DOWNLOAD] = {
        .name = "file_download", .method = "GET", .path = API_EXECD "/files/download",
        .role = API_ROLE_OPERATOR, .flags = API_OPENSANDBOX | API_BYTES, .status = 200,
        .path_fields = sandbox_path, .query = api_exec_download,
        .summary = "Reads a file.",
        .text = "A `Range` of bytes is answered with 206, one outside the file with 416.",
    },
    [API_FILE_MOVE] = {
        .name = "file_move", .method = "POST", .path = API_EXECD "/files/mv",
        .role = API_ROLE_OPERATOR, .flags = API_OPENSANDBOX, .status = 200,
        .path_fields = sandbox_path, .whole = &api_exec_move_array,
        .summary = "Moves or renames files and directories.",
    },
    [API_FILE_PERMISSIONS] = {
        .name = "file_permissions", .method = "POST", .path = API_EXECD "/files/permissions",
        .role = API_ROLE_OPERATOR, .flags = API_OPENSANDBOX, .status = 200,
        .path_fields = sandbox_path, .whole = &api_exec_permission_map,
        .summary = "Sets mode, owner and group.",
    },
    [API_FILE_SEARCH] = {
        .name = "file_search", .method = "GET", .path = API_EXECD "/files/search",
        .role = API_ROLE_OPERATOR, .flags = API_OPENSANDBOX, .status = 200,
        .path_fields = sandbox_path, .query = api_exec_search,
        .whole_result = &api_exec_file_array,
        .summary = "Finds files by name.",
        .text = "At most 10000; the header `X-Deskfarm-Truncated` says when there are more. Names "
                "that begin with a dot need a pattern that does.",
    },
    [API_FILE_REPLACE] = {
        .name = "file_replace", .method = "POST", .path = API_EXECD "/files/replace",
        .role = API_ROLE_OPERATOR, .flags = API_OPENSANDBOX, .status = 200,
        .path_fields = sandbox_path,
        .query = FIELDS{
            { .name = "verbose", .type = API_BOOLEAN, .fallback = "false",
              .text = "Answer how often." },
            END },
        .whole = &api_exec_replace_map, .whole_result = &api_exec_replaced_map,
        .summary = "Replaces text in files.",
    },
    [API_FILE_REMOVE] = {
        .name = "file_remove", .method = "DELETE", .path = API_EXECD "/files",
        .role = API_ROLE_OPERATOR, .flags = API_OPENSANDBOX, .status = 200,
        .path_fields = sandbox_path, .query = api_exec_paths,
        .summary = "Removes files, but no directories.",
    },
    [API_DIRECTORY_MAKE] = {
        .name = "directory_make", .method = "POST", .path = API_EXECD "/directories",
        .role = API_ROLE_OPERATOR, .flags = API_OPENSANDBOX, .status = 200,
        .path_fields = sandbox_path, .whole = &api_exec_permission_map,
        .summary = "Makes directories, with their parents.",
    },
    [API_DIRECTORY_LIST] = {
        .name = "directory_list", .method = "GET", .path = API_EXECD "/directories/list",
        .role = API_ROLE_OPERATOR, .flags = API_OPENSANDBOX, .status = 200,
        .path_fields = sandbox_path, .query = api_exec_list, .whole_result = &api_exec_file_array,
        .summary = "What a directory holds, sorted by path.",
        .text = "At most 10000; the header `X-Deskfarm-Truncated` says when there are more.",
    },
    [API_DIRECTORY_REMOVE] = {
        .name = "directory_remove", .method = "DELETE", .path = API_EXECD "/directories",
        .role = API_ROLE_OPERATOR, .flags = API_OPENSANDBOX, .status = 200,
        .path_fields = sandbox_path, .query = api_exec_paths,
        .summary = "Removes directories with all that they hold. One that is absent is no error.",
    },
    [API_FILE_WATCH] = {
        .name = "file_watch", .method = "GET", .path = "/v1/sandboxes/{id}/files/watch",
        .role = API_ROLE_OPERATOR, .flags = API_EVENTS, .status = 200, .path_fields = sandbox_path,
        .query = api_watch_query, .result = api_watch_event,
        .summary = "Tells what changes below a directory, until the caller goes.",
        .text = "Server-sent events; with `Accept: application/x-ndjson`, lines.",
    },
    [API_ARCHIVE_GET] = {
        .name = "archive_get", .method = "GET", .path = "/v1/sandboxes/{id}/files/archive",
        .role = API_ROLE_OPERATOR, .flags = API_BYTES, .status = 200, .path_fields = sandbox_path,
        .query = api_archive_query,
        .summary = "A directory of the guest as a tar archive.",
        .text = "Written as it is read. An archive that could not be completed is cut off.",
    },
    [API_ARCHIVE_PUT] = {
        .name = "archive_put", .method = "PUT", .path = "/v1/sandboxes/{id}/files/archive",
        .role = API_ROLE_OPERATOR, .flags = API_PIECES, .status = 204, .takes = "application/x-tar",
        .path_fields = sandbox_path, .query = api_archive_query,
        .summary = "Unpacks a tar archive into a directory of the guest.",
        .text = "Not compressed. The directory is made when it is not there; other files in it stay. Owners "
                "do not travel.",
    },
    [API_GUEST_METRICS] = {
        .name = "guest_metrics", .method = "GET", .path = API_EXECD "/metrics",
        .role = API_ROLE_VIEWER, .flags = API_OPENSANDBOX, .status = 200,
        .path_fields = sandbox_path, .result = api_exec_metrics,
        .summary = "What the guest uses, as it sees itself.",
    },
    [API_GUEST_METRICS_WATCH] = {
        .name = "guest_metrics_watch", .method = "GET", .path = API_EXECD "/metrics/watch",
        .role = API_ROLE_VIEWER, .flags = API_OPENSANDBOX | API_EVENTS, .status = 200,
        .path_fields = sandbox_path, .result = api_exec_metrics,
        .summary = "The same once a second.",
    },
    [API_ISOLATED_CAPABILITIES] = {
        .name = "isolated_capabilities", .method = "GET",
        .path = API_EXECD "/v1/isolated/capabilities", .role = API_ROLE_VIEWER,
        .flags = API_OPENSANDBOX, .status = 200, .path_fields = sandbox_path,
        .result = FIELDS{
            { .name = "available", .type = API_BOOLEAN, .text = "False." },
            { .name = "message", .type = API_STRING, .text = "Why." },
            END },
        .summary = "That there are no sandboxes inside a sandbox.",
    },
    [API_ISOLATED_LIST] = {
        .name = "isolated_list", .method = "GET", .path = API_EXECD "/v1/isolated/sessions",
        .role = API_ROLE_VIEWER, .flags = API_OPENSANDBOX, .status = 200,
        .path_fields = sandbox_path, .summary = "Not supported.",
    },
    [API_ISOLATED_CREATE] = {
        .name = "isolated_create", .method = "POST", .path = API_EXECD "/v1/isolated/session",
        .role = API_ROLE_OPERATOR, .flags = API_OPENSANDBOX, .status = 200,
        .path_fields = sandbox_path, .body = FIELDS{ END }, .summary = "Not supported.",
    },
    [API_EGRESS_GET] = {
        .name = "egress_get", .method = "GET", .path = API_EGRESS "/policy",
        .role = API_ROLE_VIEWER, .flags = API_OPENSANDBOX, .status = 200,
        .path_fields = sandbox_path, .result = api_exec_policy,
        .summary = "What the guest may reach.",
    },
    [API_EGRESS_PATCH] = {
        .name = "egress_patch", .method = "PATCH", .path = API_EGRESS "/policy",
        .role = API_ROLE_OPERATOR, .flags = API_OPENSANDBOX, .status = 200,
        .path_fields = sandbox_path, .whole = &api_exec_rule_array,
        .summary = "Not supported: a sandbox's network is chosen when it is created.",
    },
    [API_EGRESS_DELETE] = {
        .name = "egress_delete", .method = "DELETE", .path = API_EGRESS "/policy",
        .role = API_ROLE_OPERATOR, .flags = API_OPENSANDBOX, .status = 200,
        .path_fields = sandbox_path, .whole = &api_exec_target_array,
        .summary = "Not supported.",
    },
