/* Rows of a sandbox's life. Not a header: a part of the table in api/table.c. */

    [API_SANDBOX_CREATE] = {
        .name = "sandbox_create", .method = "POST", .path = "/v1/sandboxes",
        .role = API_ROLE_OPERATOR,
        .flags = API_OPENSANDBOX | API_IDEMPOTENT, .status = 202, .body = api_create_body,
        .result = api_sandbox_fields,
        .summary = "Starts a sandbox.",
        .text = "Answers as soon as the guest is being started, in state `Pending`. Limits of the "
                "key and of the "
                "host are checked first.",
    },
    [API_SANDBOX_LIST] = {
        .name = "sandbox_list", .method = "GET", .path = "/v1/sandboxes", .role = API_ROLE_VIEWER,
        .flags = API_OPENSANDBOX, .status = 200, .query = api_list_query,
        .result = FIELDS{
            { .name = "items", .type = API_ARRAY, .element = &api_sandbox_element,
              .text = "Newest first." },
            { .name = "pagination", .type = API_OBJECT, .fields = api_pagination_fields,
              .text = "Where this page is." },
            END },
        .summary = "The sandboxes that the key may see.",
    },
    [API_SANDBOX_GET] = {
        .name = "sandbox_get", .method = "GET", .path = "/v1/sandboxes/{id}",
        .role = API_ROLE_VIEWER,
        .flags = API_OPENSANDBOX | API_ASLEEP, .status = 200, .path_fields = sandbox_path,
        .result = api_sandbox_fields,
        .summary = "One sandbox.",
    },
    [API_SANDBOX_GUEST] = {
        .name = "sandbox_guest", .method = "GET", .path = "/v1/sandboxes/{id}/guest",
        .role = API_ROLE_VIEWER, .status = 200, .path_fields = sandbox_path,
        .result = guest_fields,
        .summary = "What the agent in the guest says of its system, users and network.",
        .text = "The guest's words, unchecked. What it does not tell is null.",
    },
    [API_SANDBOX_DELETE] = {
        .name = "sandbox_delete", .method = "DELETE", .path = "/v1/sandboxes/{id}",
        .role = API_ROLE_OPERATOR,
        .flags = API_OPENSANDBOX | API_ASLEEP, .status = 204, .path_fields = sandbox_path,
        .summary = "Ends a sandbox and forgets it.",
    },
    [API_SANDBOX_RENEW] = {
        .name = "sandbox_renew", .method = "POST", .path = "/v1/sandboxes/{id}/renew-expiration",
        .role = API_ROLE_OPERATOR, .flags = API_OPENSANDBOX | API_ASLEEP, .status = 200,
        .path_fields = sandbox_path,
        .body = FIELDS{
            { .name = "expiresAt", .type = API_STRING, .is_required = true, .min = 1, .max = 64,
              .text = "RFC 3339, in the future." },
            END },
        .result = FIELDS{ { .name = "expiresAt", .type = API_STRING,
        .text = "As it is now." }, END },
        .summary = "Moves the end of a sandbox's lease.",
    },
    [API_SANDBOX_PAUSE] = {
        .name = "sandbox_pause", .method = "POST", .path = "/v1/sandboxes/{id}/pause",
        .role = API_ROLE_OPERATOR, .flags = API_OPENSANDBOX | API_ASLEEP, .status = 202,
        .path_fields = sandbox_path, .result = api_sandbox_fields,
        .summary = "Lets a sandbox stand still.",
        .text = "Answers at once; the state goes by `Pausing` to `Paused`. Its processors stop, its "
                "memory is kept and its lease runs on. Screenshots still work; actions and commands "
                "answer `conflict`. Batches under way are aborted, held keys released.",
    },
    [API_SANDBOX_RESUME] = {
        .name = "sandbox_resume", .method = "POST", .path = "/v1/sandboxes/{id}/resume",
        .role = API_ROLE_OPERATOR, .flags = API_OPENSANDBOX | API_ASLEEP, .status = 202,
        .path_fields = sandbox_path, .result = api_sandbox_fields,
        .summary = "Lets a paused sandbox go on, or wakes a hibernating one.",
        .text = "Answers at once; the state goes by `Resuming` to `Running`, which it is when the "
                "agent has set the guest's clock.",
    },
    [API_SANDBOX_HIBERNATE] = {
        .name = "sandbox_hibernate", .method = "POST", .path = "/v1/sandboxes/{id}/hibernate",
        .role = API_ROLE_OPERATOR, .flags = API_ASLEEP, .status = 202,
        .path_fields = sandbox_path, .result = api_sandbox_fields,
        .summary = "Puts a sandbox to disk and frees its memory.",
        .text = "Answers at once; the state goes by `Hibernating` to `Hibernated`. Batches under way are "
                "aborted, held keys released; its lease runs on. The first action, screenshot, command, "
                "stream or other request that reaches into it wakes it and is answered when it is awake; "
                "requests for its state and for lists do not. When it cannot be written, for want of "
                "disk, it goes on running.",
    },
    [API_SANDBOX_WAKE] = {
        .name = "sandbox_wake", .method = "POST", .path = "/v1/sandboxes/{id}/wake",
        .role = API_ROLE_OPERATOR, .status = 200,
        .path_fields = sandbox_path, .result = api_sandbox_fields,
        .summary = "Wakes a hibernating sandbox.",
        .text = "Answers when it runs again, at once when it does already. `quota_exceeded` when the host "
                "or the key has no room for it; then it goes on hibernating.",
    },
    [API_SANDBOX_IDLE] = {
        .name = "sandbox_idle", .method = "PUT", .path = "/v1/sandboxes/{id}/idle",
        .role = API_ROLE_OPERATOR, .flags = API_ASLEEP, .status = 200,
        .path_fields = sandbox_path, .body = FIELDS{ IDLE, END }, .result = api_sandbox_fields,
        .summary = "Chooses what happens to a sandbox that nobody uses.",
        .text = "The time begins anew.",
    },
    [API_SANDBOX_METADATA] = {
        .name = "sandbox_metadata", .method = "PATCH", .path = "/v1/sandboxes/{id}/metadata",
        .role = API_ROLE_OPERATOR, .flags = API_OPENSANDBOX | API_ASLEEP, .status = 200,
        .path_fields = sandbox_path,
        .whole = &(const struct api_field){ .type = API_OBJECT,
            .element = &(const struct api_field){ .type = API_STRING, .is_nullable = true },
            .text = "of labels: a string sets one, null removes it, others stay (RFC 7396)." },
        .result = api_sandbox_fields,
        .summary = "Changes the labels of a sandbox.",
    },
    [API_SNAPSHOT_CREATE] = {
        .name = "snapshot_create", .method = "POST", .path = "/v1/sandboxes/{id}/snapshots",
        .role = API_ROLE_OPERATOR, .flags = API_OPENSANDBOX, .status = 202,
        .path_fields = sandbox_path,
        .body = FIELDS{
            { .name = "name", .type = API_STRING, .max = 63, .text = "For readers; need not be unique." },
            END },
        .result = api_snapshot_fields,
        .summary = "Keeps what a sandbox is now: `sandbox_checkpoint` in OpenSandbox's words.",
        .text = "Answers when it is stored. A sandbox comes out of it by `snapshotId`, with its programs "
                "running as they were.",
    },
    [API_SNAPSHOT_LIST] = {
        .name = "snapshot_list", .method = "GET", .path = "/v1/snapshots",
        .role = API_ROLE_VIEWER, .flags = API_OPENSANDBOX, .status = 200, .query = api_snapshot_query,
        .result = FIELDS{
            { .name = "items", .type = API_ARRAY, .element = &api_snapshot_element, .text = "Newest first." },
            { .name = "pagination", .type = API_OBJECT, .fields = api_pagination_fields,
              .text = "Where this page is." },
            END },
        .summary = "The snapshots: all checkpoints that are no templates.",
    },
    [API_SNAPSHOT_GET] = {
        .name = "snapshot_get", .method = "GET", .path = "/v1/snapshots/{id}",
        .role = API_ROLE_VIEWER, .flags = API_OPENSANDBOX, .status = 200,
        .path_fields = snapshot_path, .result = api_snapshot_fields,
        .summary = "One snapshot.",
    },
    [API_SNAPSHOT_DELETE] = {
        .name = "snapshot_delete", .method = "DELETE", .path = "/v1/snapshots/{id}",
        .role = API_ROLE_OPERATOR, .flags = API_OPENSANDBOX, .status = 204,
        .path_fields = snapshot_path,
        .summary = "Deletes a snapshot. Sandboxes that came out of it live on.",
    },
