/* The second mount of the desktop: the operations of Daytona's public API that its SDKs call in a
 * desktop's loop, under /daytona/api (sandboxes) and /daytona/toolbox/ID (inside one). They are not
 * in our own OpenAPI document, because they are described elsewhere and have no life of their own:
 * each is a translation onto an operation of ours.
 *
 * X(symbol, name, method, path, role, status, path fields, query, body, summary): the fields are
 * those of api/fields-daytona.h, without their prefix; none: nothing. */
#pragma once

#define API_DAYTONA_API "/daytona/api"
#define API_DAYTONA_TOOLBOX "/daytona/toolbox"
#define API_DAYTONA_SANDBOX API_DAYTONA_API "/sandbox/{id}"
#define API_DAYTONA_INSIDE API_DAYTONA_TOOLBOX "/{id}"
#define API_DAYTONA_DESKTOP API_DAYTONA_INSIDE "/computeruse"

#define API_DAYTONA_SANDBOXES(X)                                                                   \
    X(DAYTONA_CREATE, daytona_create, "POST", API_DAYTONA_API "/sandbox", OPERATOR, 200, none,     \
      none, create, "Starts a sandbox.")                                                           \
    X(DAYTONA_LIST, daytona_list, "GET", API_DAYTONA_API "/sandbox", VIEWER, 200, none, list,      \
      none, "Lists sandboxes.")                                                                    \
    X(DAYTONA_GET, daytona_get, "GET", API_DAYTONA_SANDBOX, VIEWER, 200, sandbox, none, none,      \
      "One sandbox, by its id or name.")                                                           \
    X(DAYTONA_DELETE, daytona_delete, "DELETE", API_DAYTONA_SANDBOX, OPERATOR, 200, sandbox, none, \
      none, "Ends a sandbox.")                                                                     \
    X(DAYTONA_START, daytona_start, "POST", API_DAYTONA_SANDBOX "/start", OPERATOR, 200, sandbox,  \
      none, none, "Lets a stopped sandbox run again.")                                             \
    X(DAYTONA_STOP, daytona_stop, "POST", API_DAYTONA_SANDBOX "/stop", OPERATOR, 200, sandbox,     \
      none, none, "Stops a sandbox's guest.")                                                      \
    X(DAYTONA_PAUSE, daytona_pause, "POST", API_DAYTONA_SANDBOX "/pause", OPERATOR, 200, sandbox,  \
      none, none, "The same as stop.")                                                             \
    X(DAYTONA_LABELS, daytona_labels, "PUT", API_DAYTONA_SANDBOX "/labels", OPERATOR, 200,         \
      sandbox, none, labels, "Replaces the labels.")                                               \
    X(DAYTONA_PREVIEW, daytona_preview, "GET", API_DAYTONA_SANDBOX "/ports/{port}/preview-url",    \
      VIEWER, 200, port, none, none, "Where a port of the sandbox is reached.")                    \
    X(DAYTONA_PROXY_URL, daytona_proxy_url, "GET", API_DAYTONA_SANDBOX "/toolbox-proxy-url",       \
      VIEWER, 200, sandbox, none, none, "Where the toolbox is.")

#define API_DAYTONA_COMPUTER(X)                                                                    \
    X(DAYTONA_DESKTOP_START, daytona_desktop_start, "POST", API_DAYTONA_DESKTOP "/start",          \
      OPERATOR, 200, sandbox, none, none, "Answers when the desktop is up.")                       \
    X(DAYTONA_DESKTOP_STOP, daytona_desktop_stop, "POST", API_DAYTONA_DESKTOP "/stop", OPERATOR,   \
      200, sandbox, none, none, "Changes nothing: the desktop is the sandbox.")                    \
    X(DAYTONA_DESKTOP_STATUS, daytona_desktop_status, "GET", API_DAYTONA_DESKTOP "/status",        \
      VIEWER, 200, sandbox, none, none, "Whether the desktop can be used.")                        \
    X(DAYTONA_PROCESSES, daytona_processes, "GET", API_DAYTONA_DESKTOP "/process-status", VIEWER,  \
      200, sandbox, none, none, "The same.")                                                       \
    X(DAYTONA_PROCESS, daytona_process, "GET", API_DAYTONA_DESKTOP "/process/{name}/status",       \
      VIEWER, 200, process, none, none, "Whether a part of the desktop runs.")                     \
    X(DAYTONA_PROCESS_RESTART, daytona_process_restart, "POST",                                    \
      API_DAYTONA_DESKTOP "/process/{name}/restart", OPERATOR, 200, process, none, none,           \
      "Not supported: the guest's session manager does that.")                                     \
    X(DAYTONA_PROCESS_LOGS, daytona_process_logs, "GET",                                           \
      API_DAYTONA_DESKTOP "/process/{name}/logs", VIEWER, 200, process, none, none,                \
      "Not supported.")                                                                            \
    X(DAYTONA_PROCESS_ERRORS, daytona_process_errors, "GET",                                       \
      API_DAYTONA_DESKTOP "/process/{name}/errors", VIEWER, 200, process, none, none,              \
      "Not supported.")                                                                            \
    X(DAYTONA_SHOT, daytona_shot, "GET", API_DAYTONA_DESKTOP "/screenshot", VIEWER, 200, sandbox,  \
      shot, none, "The screen as PNG.")                                                            \
    X(DAYTONA_SHOT_REGION, daytona_shot_region, "GET", API_DAYTONA_DESKTOP "/screenshot/region",   \
      VIEWER, 200, sandbox, shot_region, none, "A part of the screen as PNG.")                     \
    X(DAYTONA_SHOT_SMALL, daytona_shot_small, "GET", API_DAYTONA_DESKTOP "/screenshot/compressed", \
      VIEWER, 200, sandbox, shot_small, none, "The screen, smaller.")                              \
    X(DAYTONA_SHOT_REGION_SMALL, daytona_shot_region_small, "GET",                                 \
      API_DAYTONA_DESKTOP "/screenshot/region/compressed", VIEWER, 200, sandbox,                   \
      shot_region_small, none, "A part of the screen, smaller.")                                   \
    X(DAYTONA_POINTER, daytona_pointer, "GET", API_DAYTONA_DESKTOP "/mouse/position", VIEWER, 200, \
      sandbox, none, none, "Where the pointer is.")                                                \
    X(DAYTONA_MOVE, daytona_move, "POST", API_DAYTONA_DESKTOP "/mouse/move", OPERATOR, 200,        \
      sandbox, none, move, "Moves the pointer.")                                                   \
    X(DAYTONA_CLICK, daytona_click, "POST", API_DAYTONA_DESKTOP "/mouse/click", OPERATOR, 200,     \
      sandbox, none, click, "Clicks.")                                                             \
    X(DAYTONA_DRAG, daytona_drag, "POST", API_DAYTONA_DESKTOP "/mouse/drag", OPERATOR, 200,        \
      sandbox, none, drag, "Drags.")                                                               \
    X(DAYTONA_SCROLL, daytona_scroll, "POST", API_DAYTONA_DESKTOP "/mouse/scroll", OPERATOR, 200,  \
      sandbox, none, scroll, "Turns the wheel.")                                                   \
    X(DAYTONA_TYPE, daytona_type, "POST", API_DAYTONA_DESKTOP "/keyboard/type", OPERATOR, 200,     \
      sandbox, none, type, "Types text.")                                                          \
    X(DAYTONA_KEY, daytona_key, "POST", API_DAYTONA_DESKTOP "/keyboard/key", OPERATOR, 200,        \
      sandbox, none, key, "Presses a key.")                                                        \
    X(DAYTONA_HOTKEY, daytona_hotkey, "POST", API_DAYTONA_DESKTOP "/keyboard/hotkey", OPERATOR,    \
      200, sandbox, none, hotkey, "Presses a chord.")                                              \
    X(DAYTONA_DISPLAY, daytona_display, "GET", API_DAYTONA_DESKTOP "/display/info", VIEWER, 200,   \
      sandbox, none, none, "The size of the screen.")                                              \
    X(DAYTONA_WINDOWS, daytona_windows, "GET", API_DAYTONA_DESKTOP "/display/windows", VIEWER,     \
      200, sandbox, none, none, "The windows.")                                                    \
    X(DAYTONA_RECORDINGS, daytona_recordings, "GET", API_DAYTONA_DESKTOP "/recordings", VIEWER,    \
      200, sandbox, none, none, "Not supported yet.")                                              \
    X(DAYTONA_RECORD, daytona_record, "POST", API_DAYTONA_DESKTOP "/recordings/start", OPERATOR,   \
      201, sandbox, none, record, "Not supported yet.")                                            \
    X(DAYTONA_RECORD_STOP, daytona_record_stop, "POST", API_DAYTONA_DESKTOP "/recordings/stop",    \
      OPERATOR, 200, sandbox, none, record_stop, "Not supported yet.")                             \
    X(DAYTONA_RECORDING, daytona_recording, "GET", API_DAYTONA_DESKTOP "/recordings/{recording}",  \
      VIEWER, 200, recording, none, none, "Not supported yet.")                                    \
    X(DAYTONA_RECORDING_DELETE, daytona_recording_delete, "DELETE",                                \
      API_DAYTONA_DESKTOP "/recordings/{recording}", OPERATOR, 204, recording, none, none,         \
      "Not supported yet.")                                                                        \
    X(DAYTONA_RECORDING_BYTES, daytona_recording_bytes, "GET",                                     \
      API_DAYTONA_DESKTOP "/recordings/{recording}/download", VIEWER, 200, recording, none, none,  \
      "Not supported yet.")

#define API_DAYTONA_PROGRAMS(X)                                                                    \
    X(DAYTONA_EXECUTE, daytona_execute, "POST", API_DAYTONA_INSIDE "/process/execute", OPERATOR,   \
      200, sandbox, none, execute, "Runs a command to its end.")                                   \
    X(DAYTONA_HOME, daytona_home, "GET", API_DAYTONA_INSIDE "/user-home-dir", VIEWER, 200,         \
      sandbox, none, none, "The home directory of commands.")                                      \
    X(DAYTONA_WORK_DIR, daytona_work_dir, "GET", API_DAYTONA_INSIDE "/work-dir", VIEWER, 200,      \
      sandbox, none, none, "The directory where commands begin.")

#define API_DAYTONA_FILES(X)                                                                       \
    X(DAYTONA_FILE_LIST, daytona_file_list, "GET", API_DAYTONA_INSIDE "/files", OPERATOR, 200,     \
      sandbox, file_list, none, "What a directory holds.")                                         \
    X(DAYTONA_FILE_DELETE, daytona_file_delete, "DELETE", API_DAYTONA_INSIDE "/files", OPERATOR,   \
      200, sandbox, file_delete, none, "Removes a file or directory.")                             \
    X(DAYTONA_FILE_INFO, daytona_file_info, "GET", API_DAYTONA_INSIDE "/files/info", OPERATOR,     \
      200, sandbox, file, none, "Describes a file.")                                               \
    X(DAYTONA_FOLDER, daytona_folder, "POST", API_DAYTONA_INSIDE "/files/folder", OPERATOR, 200,   \
      sandbox, folder, none, "Makes a directory.")                                                 \
    X(DAYTONA_FILE_MOVE, daytona_file_move, "POST", API_DAYTONA_INSIDE "/files/move", OPERATOR,    \
      200, sandbox, file_move, none, "Moves a file or directory.")                                 \
    X(DAYTONA_FILE_PERMISSIONS, daytona_file_permissions, "POST",                                  \
      API_DAYTONA_INSIDE "/files/permissions", OPERATOR, 200, sandbox, permissions, none,          \
      "Changes mode and owner.")                                                                   \
    X(DAYTONA_DOWNLOAD, daytona_download, "POST", API_DAYTONA_INSIDE "/files/bulk-download",       \
      OPERATOR, 200, sandbox, none, download, "Files as a form.")

/* With a body of its own type. */
#define API_DAYTONA_UPLOAD_PATH API_DAYTONA_INSIDE "/files/bulk-upload"

#define API_DAYTONA(X)                                                                             \
    API_DAYTONA_SANDBOXES(X) API_DAYTONA_COMPUTER(X) API_DAYTONA_PROGRAMS(X) API_DAYTONA_FILES(X)
