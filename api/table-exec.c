/* What the clients of the execd protocol send and read. Names and shapes are the protocol's; limits
 * are ours. A mode is written as its octal digits read as a decimal number: 644 is rw-r--r--. */
#include "api/table-exec.h"

#define FIELDS (const struct api_field[])
#define END { .name = NULL }

#define PATH_BYTES_MAX 4095
#define ITEMS_MAX 1000
#define COMMAND_MAX 60000
#define DAY_MS 86400000.0
#define LIMIT_MAX 9007199254740991.0 /* what a JSON number holds exactly */

#define ID_FIELD { .name = "id", .type = API_STRING, .is_required = true, .min = 1, .max = 31,     \
                   .text = "Id of the sandbox." }
#define PATH_FIELD(what) { .name = "path", .type = API_STRING, .is_required = true, .min = 1,      \
                           .max = PATH_BYTES_MAX, .text = what }
#define CWD_FIELD { .name = "cwd", .type = API_STRING, .max = PATH_BYTES_MAX,                      \
                    .text = "Working directory; default: the user's home." }
#define TIMEOUT_FIELD { .name = "timeout", .type = API_INTEGER, .max = 365 * DAY_MS,               \
                        .text = "Milliseconds until it is ended; 0 or absent: never." }
#define OWNER_FIELDS                                                                               \
    { .name = "owner", .type = API_STRING, .max = 64, .text = "User name; absent: stays." },       \
    { .name = "group", .type = API_STRING, .max = 64, .text = "Group name; absent: stays." }
#define MODE_FIELD { .name = "mode", .type = API_INTEGER, .max = 7777,                             \
                     .text = "Permissions as octal digits: 644." }

static const struct api_field path_element = {
    .type = API_STRING, .min = 1, .max = PATH_BYTES_MAX
};
static const struct api_field argument = { .type = API_STRING, .max = COMMAND_MAX };
static const struct api_field line = { .type = API_STRING };

/* --- Commands --------------------------------------------------------------------------------- */

const struct api_field api_exec_limits[] = {
    { .name = "as", .type = API_INTEGER, .max = LIMIT_MAX, .text = "Bytes of address space." },
    { .name = "core", .type = API_INTEGER, .max = LIMIT_MAX, .text = "Bytes of a core file." },
    { .name = "cpu", .type = API_INTEGER, .max = LIMIT_MAX, .text = "Seconds of processor time." },
    { .name = "fsize", .type = API_INTEGER, .max = LIMIT_MAX, .text = "Bytes of a file that it writes." },
    { .name = "nofile", .type = API_INTEGER, .max = LIMIT_MAX, .text = "Descriptors." },
    { .name = "nproc", .type = API_INTEGER, .max = LIMIT_MAX, .text = "Processes of its user." },
    { .name = "stack", .type = API_INTEGER, .max = LIMIT_MAX, .text = "Bytes of stack." },
    END,
};

const struct api_field api_exec_event[] = {
    { .name = "type", .type = API_STRING,
      .text = "`init`, `stdout`, `stderr`, `ping`, and at the end `execution_complete` or "
              "`error`." },
    { .name = "text", .type = API_STRING,
      .text = "Of `init` the command's id; of `stdout` and `stderr` output as it comes, newlines "
              "and all. Bytes that are no UTF-8 become U+FFFD." },
    { .name = "lossy", .type = API_BOOLEAN, .text = "True where that was done." },
    { .name = "timestamp", .type = API_INTEGER, .text = "Unix milliseconds." },
    { .name = "execution_time", .type = API_INTEGER,
      .text = "Milliseconds, of `execution_complete`, which means exit status 0." },
    { .name = "error", .type = API_OBJECT, .text = "Of `error`.",
      .fields = FIELDS{
          { .name = "ename", .type = API_STRING, .text = "\"CommandExecError\"." },
          { .name = "evalue", .type = API_STRING,
            .text = "The exit status; 128 + n after signal n; or why it could not run." },
          { .name = "traceback", .type = API_ARRAY, .element = &line, .text = "One line." },
          END } },
    END,
};

const struct api_field api_exec_run[] = {
    { .name = "command", .type = API_STRING, .min = 1, .max = COMMAND_MAX,
      .text = "For bash, or sh in a guest without it." },
    { .name = "argv", .type = API_ARRAY, .element = &argument, .min = 1, .max = 1024,
      .text = "Instead of it: a program and its arguments." },
    CWD_FIELD,
    { .name = "background", .type = API_BOOLEAN, .fallback = "false",
      .text = "Answer as soon as it runs, and keep its output for `logs`." },
    TIMEOUT_FIELD,
    { .name = "uid", .type = API_INTEGER, .max = 4294967294.0,
      .text = "User to run as; default: the agent's own, which is root." },
    { .name = "gid", .type = API_INTEGER, .max = 4294967294.0, .text = "Group; needs `uid`." },
    { .name = "envs", .type = API_STRING_MAP, .max = 256,
      .text = "Environment, before the sandbox's own `env`." },
    { .name = "rlimits", .type = API_OBJECT, .fields = api_exec_limits, .text = "As setrlimit(2) has them." },
    END,
};

const struct api_field api_exec_status[] = {
    { .name = "id", .type = API_STRING, .text = "Of the command." },
    { .name = "content", .type = API_STRING, .text = "The command; its first 4096 bytes." },
    { .name = "running", .type = API_BOOLEAN, .text = "Whether it still runs." },
    { .name = "exit_code", .type = API_INTEGER, .is_nullable = true,
      .text = "Exit status, 128 + n after signal n; null while it is not known." },
    { .name = "error", .type = API_STRING, .text = "Why it failed." },
    { .name = "started_at", .type = API_STRING, .text = "RFC 3339." },
    { .name = "finished_at", .type = API_STRING, .is_nullable = true, .text = "RFC 3339." },
    END,
};

const struct api_field api_exec_command_path[] = {
    ID_FIELD,
    { .name = "command", .type = API_STRING, .is_required = true, .min = 1, .max = 63,
      .text = "Id of the command." },
    END,
};

const struct api_field api_exec_session_path[] = {
    ID_FIELD,
    { .name = "session", .type = API_STRING, .is_required = true, .min = 1, .max = 63,
      .text = "Id of the session." },
    END,
};

const struct api_field api_exec_context_path[] = {
    ID_FIELD,
    { .name = "context", .type = API_STRING, .is_required = true, .min = 1, .max = 63,
      .text = "Id of the context." },
    END,
};

const struct api_field api_exec_session_run[] = {
    { .name = "command", .type = API_STRING, .is_required = true, .min = 1, .max = 200000,
      .text = "Lines for the session's shell." },
    { .name = "cwd", .type = API_STRING, .max = PATH_BYTES_MAX,
      .text = "Working directory for these lines only." },
    TIMEOUT_FIELD,
    END,
};

/* --- Files ------------------------------------------------------------------------------------ */

static const struct api_field file_fields[] = {
    { .name = "path", .type = API_STRING, .text = "Absolute." },
    { .name = "type", .type = API_STRING, .text = "`file`, `directory`, `symlink` or `other`." },
    { .name = "size", .type = API_INTEGER, .text = "Bytes." },
    { .name = "modified_at", .type = API_STRING, .text = "RFC 3339." },
    { .name = "created_at", .type = API_STRING,
      .text = "The same as `modified_at`: guests do not tell." },
    { .name = "owner", .type = API_STRING, .text = "User name, or id where it has none." },
    { .name = "group", .type = API_STRING, .text = "Group name, or id where it has none." },
    MODE_FIELD,
    END,
};

static const struct api_field file_element = { .type = API_OBJECT, .fields = file_fields };

const struct api_field api_exec_file_map = {
    .type = API_MAP, .element = &file_element, .text = "Files by the path that was asked for."
};
const struct api_field api_exec_file_array = {
    .type = API_ARRAY, .element = &file_element, .text = "Files."
};

static const struct api_field permission_element = {
    .type = API_OBJECT, .fields = FIELDS{ MODE_FIELD, OWNER_FIELDS, END }
};

const struct api_field api_exec_permission_map = {
    .type = API_MAP, .element = &permission_element, .max = ITEMS_MAX, .text = "By path."
};

const struct api_field api_exec_move_array = {
    .type = API_ARRAY, .max = ITEMS_MAX, .text = "Done in order.",
    .element = &(const struct api_field){ .type = API_OBJECT, .fields = FIELDS{
        { .name = "src", .type = API_STRING, .is_required = true, .min = 1, .max = PATH_BYTES_MAX,
          .text = "What to move." },
        { .name = "dest", .type = API_STRING, .is_required = true, .min = 1, .max = PATH_BYTES_MAX,
          .text = "Its new path. A file that is there is replaced." },
        END } },
};

const struct api_field api_exec_replace_map = {
    .type = API_MAP, .max = ITEMS_MAX, .text = "By path.",
    .element = &(const struct api_field){ .type = API_OBJECT, .fields = FIELDS{
        { .name = "old", .type = API_STRING, .is_required = true, .min = 1, .max = 30000,
          .text = "Text to look for." },
        { .name = "new", .type = API_STRING, .is_required = true, .max = 30000,
          .text = "What takes its place, everywhere." },
        END } },
};

const struct api_field api_exec_replaced_map = {
    .type = API_MAP, .text = "By path, with `verbose`; else the answer has no body.",
    .element = &(const struct api_field){ .type = API_OBJECT, .fields = FIELDS{
        { .name = "replacedCount", .type = API_INTEGER, .text = "How often it was there." },
        END } },
};

const struct api_field api_exec_paths[] = {
    { .name = "path", .type = API_ARRAY, .is_required = true, .element = &path_element, .min = 1,
      .max = 100, .text = "Absolute path. Repeatable." },
    END,
};

const struct api_field api_exec_path[] = { PATH_FIELD("Absolute path."), END };

const struct api_field api_exec_search[] = {
    PATH_FIELD("Directory to look in, and below."),
    { .name = "pattern", .type = API_STRING, .max = 1024, .fallback = "\"**\"",
      .text = "A glob: of the name, or with a `/` of the path below. A leading `**/` is any "
              "depth." },
    END,
};

const struct api_field api_exec_list[] = {
    PATH_FIELD("A directory."),
    { .name = "depth", .type = API_INTEGER, .max = 64, .fallback = "1",
      .text = "How many levels below it." },
    END,
};

const struct api_field api_exec_download[] = {
    PATH_FIELD("A file."),
    { .name = "offset", .type = API_INTEGER, .min = 1, .max = 9007199254740991.0,
      .text = "First line, from 1; instead of a Range." },
    { .name = "limit", .type = API_INTEGER, .min = 1, .max = 9007199254740991.0,
      .text = "Number of lines." },
    END,
};

const struct api_field api_exec_upload[] = {
    { .name = "metadata", .type = API_OBJECT, .is_required = true,
      .text = "A part of JSON before each file.",
      .fields = FIELDS{
          PATH_FIELD("Where the file goes. Missing directories are made."),
          MODE_FIELD,
          OWNER_FIELDS,
          END } },
    { .name = "file", .type = API_STRING, .is_required = true, .text = "The bytes." },
    END,
};

/* --- The rest --------------------------------------------------------------------------------- */

const struct api_field api_exec_metrics[] = {
    { .name = "cpu_count", .type = API_NUMBER, .text = "Processors of the guest." },
    { .name = "cpu_used_pct", .type = API_NUMBER,
      .text = "Of all of them, since somebody asked last." },
    { .name = "mem_total_mib", .type = API_NUMBER, .text = "Memory of the guest." },
    { .name = "mem_used_mib", .type = API_NUMBER, .text = "What is not available of it." },
    { .name = "timestamp", .type = API_INTEGER, .text = "Unix milliseconds." },
    END,
};

static const struct api_field rule_element = {
    .type = API_OBJECT,
    .fields = FIELDS{
        { .name = "action", .type = API_STRING, .max = 63, .text = "`allow` or `deny`." },
        { .name = "target", .type = API_STRING, .max = 255, .text = "A name or an address." },
        END },
};

const struct api_field api_exec_rule_array = {
    .type = API_ARRAY, .element = &rule_element, .max = ITEMS_MAX, .text = "Rules."
};

const struct api_field api_exec_target_array = {
    .type = API_ARRAY, .element = &line, .max = ITEMS_MAX, .text = "Targets."
};

const struct api_field api_exec_policy[] = {
    { .name = "status", .type = API_STRING, .text = "\"ok\"." },
    { .name = "mode", .type = API_STRING, .text = "The sandbox's `network`." },
    { .name = "policy", .type = API_OBJECT, .text = "What goes out.",
      .fields = FIELDS{
          { .name = "defaultAction", .type = API_STRING,
            .text = "`allow` with network `nat` (but never this host or other guests), else "
                    "`deny`." },
          { .name = "egress", .type = API_ARRAY, .element = &rule_element,
            .text = "Always empty." },
          END } },
    END,
};

/* --- Trees of files --------------------------------------------------------------------------- */

const struct api_field api_watch_query[] = {
    PATH_FIELD("Absolute path of a directory."),
    { .name = "recursive", .type = API_BOOLEAN, .fallback = "false", .text = "Also what is below it, at any depth." },
    END,
};

const struct api_field api_watch_event[] = {
    { .name = "type", .type = API_STRING,
      .text = "`ready` first, then `create`, `write` (when it is closed), `remove`, `rename` (one for each "
              "name), `permissions`; `overflow`: some were lost, look yourself." },
    { .name = "path", .type = API_STRING, .text = "What changed." },
    END,
};

const struct api_field api_archive_query[] = {
    PATH_FIELD("Absolute path of a directory."),
    { .name = "user", .type = API_STRING, .min = 1, .max = 64, .text = "Who reads or writes it. Default: root." },
    END,
};
