/* Rows of ports, terminals and commands over a WebSocket. Not a header: a part of the table in api/table.c. */

    [API_SANDBOX_ENDPOINT] = {
        .name = "sandbox_endpoint", .method = "GET", .path = "/v1/sandboxes/{id}/endpoints/{port}",
        .role = API_ROLE_VIEWER, .flags = API_OPENSANDBOX | API_ASLEEP, .status = 200,
        .path_fields = port_path,
        .query = FIELDS{
            { .name = "use_server_proxy", .type = API_BOOLEAN,
              .text = "Accepted: the daemon is always in between." },
            { .name = "mode", .type = API_STRING, .values = VALUES{ "path", "host", "header", NULL },
              .fallback = "\"path\"",
              .text = "`path`: below our own address. `host`: a host name of its own, what a browser "
                      "needs to run the guest's pages. `header`: our own address, and a header that "
                      "names the port." },
            END },
        .result = FIELDS{
            { .name = "endpoint", .type = API_STRING, .text = "host:port/path, without a scheme." },
            { .name = "headers", .type = API_STRING_MAP, .text = "To send along." },
            END },
        .summary = "Where a port of the sandbox is reached.",
        .text = "Ports are TCP ports of the guest, reached at its loopback address. Three are the "
                "daemon's own: 44772 (execd), 18080 (egress), 6080 (the page of the desktop).",
    },
    [API_SANDBOX_TICKET] = {
        .name = "sandbox_ticket", .method = "POST",
        .path = "/v1/sandboxes/{id}/endpoints/{port}/ticket",
        .role = API_ROLE_OPERATOR, .flags = API_ASLEEP, .status = 201, .path_fields = port_path,
        .body = FIELDS{
            { .name = "path", .type = API_STRING, .min = 1, .max = 1024, .fallback = "\"/\"",
              .text = "Where the browser goes on to, from the port's root." },
            END },
        .result = FIELDS{
            { .name = "url", .type = API_STRING, .text = "To be opened in a browser, once." },
            { .name = "expires_in_s", .type = API_INTEGER, .text = "How long it works." },
            END },
        .summary = "A link that lets a browser in to a port's own host name.",
        .text = "It becomes a cookie of that host, for this port of this sandbox alone, as long as "
                "the key is good and for 12 hours at most.",
    },
    [API_SANDBOX_PROXY] = {
        .name = "sandbox_proxy", .method = "GET", .path = "/v1/sandboxes/{id}/proxy/{port}/",
        .role = API_ROLE_OPERATOR, .flags = API_BYTES, .status = 200, .path_fields = port_path,
        .summary = "HTTP/1.1 and WebSocket to a port of the guest; any method, any path below.",
        .text = "The path and query behind the port are the guest's. Keys and cookies do not reach "
                "it; what it answers is a document without an origin and sets no cookies. "
                "The same port is reached by its own host name or by a header, see "
                "`sandbox_endpoint`. `port_closed` when nothing listens there, `bad_answer` when "
                "what does is not HTTP.",
    },
    [API_SANDBOX_TUNNEL] = {
        .name = "sandbox_tunnel", .method = "GET", .path = "/v1/sandboxes/{id}/tcp/{port}",
        .role = API_ROLE_OPERATOR, .flags = API_BYTES, .status = 101, .path_fields = port_path,
        .summary = "A tunnel to a TCP port of the guest.",
        .text = "Send `Connection: Upgrade` and `Upgrade: deskfarm-tcp`. After the answer's head the "
                "connection is the guest's: bytes pass as they are, and either direction may be "
                "ended (a TCP half-close) before the other.",
    },
    [API_PTY_CREATE] = {
        .name = "pty_create", .method = "POST", .path = "/v1/sandboxes/{id}/proxy/44772/pty",
        .role = API_ROLE_OPERATOR, .flags = API_OPENSANDBOX, .status = 201,
        .path_fields = sandbox_path,
        .body = FIELDS{
            { .name = "command", .type = API_STRING, .max = 32768,
              .text = "What runs in it. Default: the user's shell." },
            { .name = "cwd", .type = API_STRING, .max = 4096, .text = "Where it starts." },
            { .name = "user", .type = API_STRING, .max = 64,
              .text = "Name or number of a user of the guest. Default: root." },
            END },
        .result = FIELDS{
            { .name = "session_id", .type = API_STRING, .text = "Of the terminal." },
            END },
        .summary = "Makes a terminal.",
        .text = "It starts when somebody connects for the first time, and outlives who looks at it.",
    },
    [API_PTY_GET] = {
        .name = "pty_get", .method = "GET", .path = "/v1/sandboxes/{id}/proxy/44772/pty/{session}",
        .role = API_ROLE_OPERATOR, .flags = API_OPENSANDBOX, .status = 200,
        .path_fields = terminal_path,
        .result = FIELDS{
            { .name = "session_id", .type = API_STRING, .text = "Of the terminal." },
            { .name = "running", .type = API_BOOLEAN, .text = "Whether its program runs." },
            { .name = "output_offset", .type = API_INTEGER,
              .text = "Bytes that it has written; for `since`." },
            END },
        .summary = "State of a terminal.",
    },
    [API_PTY_DELETE] = {
        .name = "pty_delete", .method = "DELETE",
        .path = "/v1/sandboxes/{id}/proxy/44772/pty/{session}",
        .role = API_ROLE_OPERATOR, .flags = API_OPENSANDBOX, .status = 200,
        .path_fields = terminal_path,
        .summary = "Ends a terminal and its program.",
    },
    [API_PTY_WS] = {
        .name = "pty_ws", .method = "GET",
        .path = "/v1/sandboxes/{id}/proxy/44772/pty/{session}/ws",
        .role = API_ROLE_OPERATOR, .flags = API_OPENSANDBOX | API_WEBSOCKET, .status = 101,
        .path_fields = terminal_path,
        .query = FIELDS{
            { .name = "since", .type = API_INTEGER, .max = FRAME_MAX, .fallback = "0",
              .text = "Offset of the output that the client has; what came after it is sent again, "
                      "as far as it is kept (1 MiB)." },
            { .name = "takeover", .type = API_INTEGER, .max = 1, .fallback = "0",
              .text = "1: replaces a client that is connected, which is closed with 4001." },
            { .name = "pty", .type = API_INTEGER, .max = 1, .fallback = "1",
              .text = "0 (without a terminal) is not supported." },
            { .name = "cols", .type = API_INTEGER, .max = 4096, .text = "Columns to start with." },
            { .name = "rows", .type = API_INTEGER, .max = 4096, .text = "Rows to start with." },
            END },
        .summary = "A WebSocket to a terminal; starts its program when none runs.",
        .text = "Binary messages: 0 and keys to it; 1 and output, or 3, an offset of eight bytes and "
                "missed output, from it. Text messages, JSON with `type`: `resize` (`cols`, `rows`), "
                "`signal` (`signal`), `stdin` (`data`), `ping` to it; `connected`, `exit` "
                "(`exit_code`), `error` (`code`, `error`), `pong` from it.",
    },
    [API_EXEC] = {
        .name = "exec", .method = "GET", .path = "/v1/sandboxes/{id}/exec",
        .role = API_ROLE_OPERATOR, .flags = API_WEBSOCKET, .status = 101,
        .path_fields = sandbox_path, .first = exec_first,
        .summary = "A command in the guest, as a WebSocket: its bytes, its terminal, its signals.",
        .text = "After the first message: binary messages of the caller are stdin; `{\"eof\": true}` "
                "ends it, `{\"signal\": \"INT\"}` sends a signal, `{\"columns\": 80, \"rows\": 24}` "
                "resizes a terminal. Binary messages of the daemon begin with a byte that is 1 for stdout "
                "(or the terminal) and 2 for stderr. Text: `{\"pid\"}` first, and last `{\"exit\"}`, "
                "`{\"signal\"}` (a number, with `timed_out`) or `{\"error\": {\"code\", "
                "\"message\"}}`; then the socket is closed. A caller that goes away ends the command.",
    },
