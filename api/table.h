/* The API as a table: one row per operation, one row per field.
 *
 * Routing, validation, the OpenAPI document, docs/api.md and the help of the command line all come
 * from these rows, so a name, a limit or a default is written once. The table is constant data. */
#pragma once

#include "api/table-daytona.h"
#include "base/util.h"

/* X(symbol, name, …): the order of the document. A name is the operationId, and the verb of the CLI.
 * Rows that are written elsewhere have more columns; only the first two count here. */
#define API_OPERATIONS(X)                                                                          \
    X(HEALTHZ, healthz)                                                                            \
    X(READYZ, readyz)                                                                              \
    X(METRICS, metrics)                                                                            \
    X(OPENAPI, openapi)                                                                            \
    X(INFO, info)                                                                                  \
    X(IMAGES, images)                                                                              \
    X(SANDBOX_CREATE, sandbox_create)                                                              \
    X(SANDBOX_LIST, sandbox_list)                                                                  \
    X(SANDBOX_GET, sandbox_get)                                                                    \
    X(SANDBOX_GUEST, sandbox_guest)                                                                \
    X(SANDBOX_DELETE, sandbox_delete)                                                              \
    X(SANDBOX_RENEW, sandbox_renew)                                                                \
    X(SANDBOX_PAUSE, sandbox_pause)                                                                \
    X(SANDBOX_RESUME, sandbox_resume)                                                              \
    X(SANDBOX_HIBERNATE, sandbox_hibernate)                                                        \
    X(SANDBOX_WAKE, sandbox_wake)                                                                  \
    X(SANDBOX_IDLE, sandbox_idle)                                                                  \
    X(SANDBOX_METADATA, sandbox_metadata)                                                          \
    X(SANDBOX_ENDPOINT, sandbox_endpoint)                                                          \
    X(SNAPSHOT_CREATE, snapshot_create)                                                            \
    X(SNAPSHOT_LIST, snapshot_list)                                                                \
    X(SNAPSHOT_GET, snapshot_get)                                                                  \
    X(SNAPSHOT_DELETE, snapshot_delete)                                                            \
    X(SANDBOX_FORK, sandbox_fork)                                                                  \
    X(SANDBOX_CHECKPOINT, sandbox_checkpoint)                                                      \
    X(SANDBOX_CHECKPOINTS, sandbox_checkpoints)                                                    \
    X(SANDBOX_RESTORE, sandbox_restore)                                                            \
    X(CHECKPOINT_LIST, checkpoint_list)                                                            \
    X(CHECKPOINT_GET, checkpoint_get)                                                              \
    X(CHECKPOINT_CREATE, checkpoint_create)                                                        \
    X(CHECKPOINT_FORK, checkpoint_fork)                                                            \
    X(CHECKPOINT_EXPORT, checkpoint_export)                                                        \
    X(CHECKPOINT_IMPORT, checkpoint_import)                                                        \
    X(CHECKPOINT_DELETE, checkpoint_delete)                                                        \
    X(TEMPLATE_LIST, template_list)                                                                \
    X(TEMPLATE_BAKE, template_bake)                                                                \
    X(TEMPLATE_SET, template_set)                                                                  \
    X(TREE, tree)                                                                                  \
    X(SANDBOX_TICKET, sandbox_ticket)                                                              \
    X(SANDBOX_PROXY, sandbox_proxy)                                                                \
    X(SANDBOX_TUNNEL, sandbox_tunnel)                                                              \
    X(PTY_CREATE, pty_create)                                                                      \
    X(PTY_GET, pty_get)                                                                            \
    X(PTY_DELETE, pty_delete)                                                                      \
    X(PTY_WS, pty_ws)                                                                              \
    X(EXEC, exec)                                                                                  \
    X(VNC, vnc)                                                                                    \
    X(DESKTOP_VNC_OPEN, desktop_vnc_open)                                                          \
    X(DESKTOP_VNC_LIST, desktop_vnc_list)                                                          \
    X(DESKTOP_VNC_CLOSE, desktop_vnc_close)                                                        \
    X(DESKTOP_ACTIONS, desktop_actions)                                                            \
    X(DESKTOP_DIALECT, desktop_dialect)                                                            \
    X(DESKTOP_DIALECT_TOOLS, desktop_dialect_tools)                                                \
    X(DESKTOP_SCREENSHOT, desktop_screenshot)                                                      \
    X(DESKTOP_WAIT, desktop_wait)                                                                  \
    X(DESKTOP_WATCH, desktop_watch)                                                                \
    X(DESKTOP_FIND, desktop_find)                                                                  \
    X(DESKTOP_MARKS, desktop_marks)                                                                \
    X(DESKTOP_COMPARE, desktop_compare)                                                            \
    X(DESKTOP_DISPLAY, desktop_display)                                                            \
    X(DESKTOP_RESIZE, desktop_resize)                                                              \
    X(STREAM_LINK, stream_link)                                                                    \
    X(STREAM, stream)                                                                              \
    X(DESKTOP_KEYBOARD, desktop_keyboard)                                                          \
    X(DESKTOP_KEYBOARD_GET, desktop_keyboard_get)                                                  \
    X(CLIPBOARD_GET, clipboard_get)                                                                \
    X(CLIPBOARD_SET, clipboard_set)                                                                \
    X(WINDOW_LIST, window_list)                                                                    \
    X(WINDOW_GET, window_get)                                                                      \
    X(WINDOW_ACTIVATE, window_activate)                                                            \
    X(WINDOW_CLOSE, window_close)                                                                  \
    X(WINDOW_PLACE, window_place)                                                                  \
    X(WINDOW_STATE, window_state)                                                                  \
    X(DESKTOP_LAUNCH, desktop_launch)                                                              \
    X(DESKTOP_OPEN, desktop_open)                                                                  \
    X(A11Y_TREE, a11y_tree)                                                                        \
    X(A11Y_FIND, a11y_find)                                                                        \
    X(A11Y_NODE, a11y_node)                                                                        \
    X(A11Y_FOCUS, a11y_focus)                                                                      \
    X(A11Y_INVOKE, a11y_invoke)                                                                    \
    X(A11Y_VALUE, a11y_value)                                                                      \
    X(EXECD_PING, execd_ping)                                                                      \
    X(COMMAND_RUN, command_run)                                                                    \
    X(COMMAND_INTERRUPT, command_interrupt)                                                        \
    X(COMMAND_STATUS, command_status)                                                              \
    X(COMMAND_LOGS, command_logs)                                                                  \
    X(SESSION_CREATE, session_create)                                                              \
    X(SESSION_RUN, session_run)                                                                    \
    X(SESSION_DELETE, session_delete)                                                              \
    X(CODE_RUN, code_run)                                                                          \
    X(CODE_INTERRUPT, code_interrupt)                                                              \
    X(CODE_CONTEXT_CREATE, code_context_create)                                                    \
    X(CODE_CONTEXT_LIST, code_context_list)                                                        \
    X(CODE_CONTEXT_CLEAR, code_context_clear)                                                      \
    X(CODE_CONTEXT_GET, code_context_get)                                                          \
    X(CODE_CONTEXT_DELETE, code_context_delete)                                                    \
    X(FILE_INFO, file_info)                                                                        \
    X(FILE_UPLOAD, file_upload)                                                                    \
    X(FILE_DOWNLOAD, file_download)                                                                \
    X(FILE_MOVE, file_move)                                                                        \
    X(FILE_PERMISSIONS, file_permissions)                                                          \
    X(FILE_SEARCH, file_search)                                                                    \
    X(FILE_REPLACE, file_replace)                                                                  \
    X(FILE_REMOVE, file_remove)                                                                    \
    X(DIRECTORY_MAKE, directory_make)                                                              \
    X(DIRECTORY_LIST, directory_list)                                                              \
    X(DIRECTORY_REMOVE, directory_remove)                                                          \
    X(FILE_WATCH, file_watch)                                                                       \
    X(ARCHIVE_GET, archive_get)                                                                     \
    X(ARCHIVE_PUT, archive_put)                                                                     \
    X(GUEST_METRICS, guest_metrics)                                                                \
    X(GUEST_METRICS_WATCH, guest_metrics_watch)                                                    \
    X(ISOLATED_CAPABILITIES, isolated_capabilities)                                                \
    X(ISOLATED_LIST, isolated_list)                                                                \
    X(ISOLATED_CREATE, isolated_create)                                                            \
    X(EGRESS_GET, egress_get)                                                                      \
    X(EGRESS_PATCH, egress_patch)                                                                  \
    X(EGRESS_DELETE, egress_delete)                                                                \
    X(KEY_LIST, key_list)                                                                          \
    X(KEY_ADD, key_add)                                                                            \
    X(KEY_REMOVE, key_remove)                                                                      \
    X(RECORDING_LIST, recording_list)                                                              \
    X(RECORDING_SEARCH, recording_search)                                                          \
    X(RECORDING_GET, recording_get)                                                                \
    X(RECORDING_DELETE, recording_delete)                                                          \
    X(RECORDING_INDEX, recording_index)                                                            \
    X(RECORDING_STREAM, recording_stream)                                                          \
    X(RECORDING_FRAME, recording_frame)                                                            \
    X(RECORDING_ACTIONS, recording_actions)                                                        \
    X(RECORDING_MARK, recording_mark)                                                              \
    X(RECORDING_EXPORT, recording_export)                                                          \
    X(RECORDING_RERUN, recording_rerun)                                                            \
    X(RERUN_GET, rerun_get)                                                                        \
    X(RERUN_DELETE, rerun_delete)                                                                  \
    X(EXPORT_GET, export_get)                                                                      \
    X(EXPORT_FILE, export_file)                                                                    \
    X(EXPORT_DELETE, export_delete)                                                                \
    X(DRAIN, drain)                                                                                \
    X(MCP, mcp)                                                                                    \
    X(MCP_SLASH, mcp_slash)                                                                        \
    X(LOGIN, login)                                                                                \
    X(LOGOUT, logout)                                                                              \
    API_DAYTONA(X)                                                                                 \
    X(DAYTONA_UPLOAD, daytona_upload)

enum api_id {
#define API_ENUM(sym, ...) API_##sym,
    API_OPERATIONS(API_ENUM)
#undef API_ENUM
        API_COUNT
};

/* Least role that may call. Same order as the roles of keys: each may do what the ones before may.
 */
enum api_role { API_ROLE_NONE, API_ROLE_VIEWER, API_ROLE_OPERATOR, API_ROLE_ADMIN };

enum api_flags {
    API_OPENSANDBOX =
        1 << 0,              /* unknown fields are ignored and counted; elsewhere they are errors */
    API_IDEMPOTENT = 1 << 1, /* takes an Idempotency-Key header */
    API_IMAGE = 1 << 2,      /* may answer image bytes (see Accept) */
    API_TEXT = 1 << 3,       /* answers plain text, not JSON */
    API_LARGE_BODY = 1 << 4, /* the large body limit applies */
    API_PIECES = 1 << 5,     /* the body is read piece by piece, of any size */
    API_EVENTS = 1 << 6,     /* answers a stream of events */
    API_BYTES = 1 << 7,      /* answers the bytes of a file */
    API_COMPAT = 1 << 8, /* somebody else's operation: not in our document; unknown fields as above */
    API_WEBSOCKET = 1 << 9,  /* becomes a WebSocket */
    API_ASLEEP = 1 << 10,    /* of a sandbox: neither wakes one that hibernates, nor counts as use */
};

enum api_type {
    API_STRING,  /* min, max: length in bytes; values: the only ones allowed */
    API_INTEGER, /* min, max: value */
    API_NUMBER,  /* min, max: value; an integer is a number too */
    API_BOOLEAN,
    API_OBJECT,     /* fields: its rows; without rows any object */
    API_ARRAY,      /* element: what it holds; min, max: count. A query may repeat the name */
    API_STRING_MAP, /* strings by name; max: entries. In a query: "name=value", repeatable or joined
                       by '&' */
    API_MAP,   /* any names; element: what each holds; max: entries */
    API_RECTS, /* query only: "x,y,width,height;…"; becomes an array of rectangles; max: count */
    API_ANY,
};

/* One field of a body or a result, one query or path parameter. Rows end with a NULL name. */
struct api_field {
    const char *name;
    enum api_type type;
    bool is_required;
    bool is_nullable; /* null is allowed and means the same as leaving it out, unless text says more
                       */
    bool or_false;    /* false is allowed in its place and turns it off */
    double min, max;  /* both 0: no limit beyond that of the body */
    const char *const *values;
    const struct api_field *fields;
    const struct api_field *element;
    const char *fallback; /* the default as JSON text; documentation, never injected */
    const char *text;
};

struct api_operation {
    const char *name, *method, *path; /* path has {parameters} */
    enum api_role role;
    unsigned flags;
    int status;                                                  /* on success */
    const char *takes;             /* media type of the body; NULL: application/json, "*": any */
    const struct api_field *whole; /* what the body is, instead of an object of body's fields; an
                                      array or a map */
    const struct api_field *whole_result; /* the same for the answer */
    const struct api_field *path_fields, *query, *body, *result; /* NULL: none */
    const struct api_field *first; /* of a WebSocket: what its first message holds, an object as text */
    const char *summary;                                         /* one line */
    const char *text;                                            /* the rest; NULL: none */
};

extern const struct api_operation api_table[API_COUNT];

#define API_PATH_PARAMS_MAX 2

/* What a path means. Values point into the given path. */
struct api_match {
    enum api_id id;
    const char *values[API_PATH_PARAMS_MAX]; /* of {parameters}, in order */
    size_t sizes[API_PATH_PARAMS_MAX];
};

enum { API_NO_PATH = 1, API_NO_METHOD = 2 };

/* Finds the row of a method and a path (without query). HEAD finds the row of GET. Returns 0,
 * API_NO_PATH, or API_NO_METHOD when only the method is wrong: methods that fit are then written to
 * allow (of at least 64 bytes) as "GET, HEAD, POST". Linear in the table: two dozen comparisons. */
int api_match(const char *method, const char *path, struct api_match *ret, char allow[64]);

/* The row of a name, or NULL. */
const struct api_operation *api_find(const char *name);
