/* All operations of the daemon. Rows only; api/match.c and api/validate.c give them meaning.
 *
 * Limits here are what protects the layers below: a count or a length that is not bounded by a row
 * is bounded by the size of the body and the depth of JSON (base/json.h) alone. Defaults are
 * repeated as text for readers; the code that has the default is the layer that uses it. */
#include "api/table.h"

#include "api/fields-daytona.h"
#include "api/table-desktop.h"
#include "api/table-dialect.h"
#include "api/table-exec.h"
#include "api/table-recordings.h"
#include "api/table-sandbox.h"
#include "api/table-screen.h"
#include "api/table-sight.h"
#include "api/table-vnc.h"

#define FIELDS (const struct api_field[])
#define VALUES (const char *const[])
#define END { .name = NULL }

/* --- Shared parts ----------------------------------------------------------------------------- */

static const struct api_field string_element = { .type = API_STRING, .max = 4096 };

static const char *const roles[] = { "viewer", "operator", "admin", NULL };

static const struct api_field key_limit_fields[] = {
    { .name = "sandboxes", .type = API_INTEGER, .max = 100000,
      .text = "Sandboxes at once; 0: no limit." },
    { .name = "cpus", .type = API_INTEGER, .max = 100000,
      .text = "Virtual CPUs of all together; 0: no limit." },
    { .name = "memory_mib", .type = API_INTEGER, .max = 1 << 30,
      .text = "Memory of all; 0: no limit." },
    { .name = "disk_mib", .type = API_INTEGER, .max = 1 << 30,
      .text = "Disks of all, and what their checkpoints take; 0: no limit." },
    END,
};

static const struct api_field key_fields[] = {
    { .name = "id", .type = API_STRING, .text = "Names the key; no secret." },
    { .name = "name", .type = API_STRING, .text = "As given." },
    { .name = "role", .type = API_STRING, .values = roles, .text = "What it may do." },
    { .name = "limits", .type = API_OBJECT, .fields = key_limit_fields,
      .text = "What its sandboxes may hold." },
    { .name = "created_at", .type = API_STRING, .text = "RFC 3339." },
    { .name = "key", .type = API_STRING, .text = "The secret. Shown once, when the key is made." },
    END,
};

static const struct api_field key_element = { .type = API_OBJECT, .fields = key_fields };

static const struct api_field snapshot_path[] = {
    { .name = "id", .type = API_STRING, .is_required = true, .min = 1, .max = 255,
      .text = "Id of the snapshot." },
    END,
};

static const char *const stream_roles[] = { "view", "control", NULL };

static const struct api_field sandbox_path[] = {
    { .name = "id", .type = API_STRING, .is_required = true, .min = 1, .max = 31,
      .text = "Id of the sandbox." },
    END,
};

static const struct api_field guest_os[] = {
    { .name = "id", .type = API_STRING, .is_nullable = true, .text = "`debian`, `mswindows`, …" },
    { .name = "name", .type = API_STRING, .is_nullable = true, .text = "For readers." },
    { .name = "version", .type = API_STRING, .is_nullable = true, .text = "Of the system." },
    { .name = "kernel", .type = API_STRING, .is_nullable = true, .text = "Release of its kernel." },
    { .name = "machine", .type = API_STRING, .is_nullable = true, .text = "`x86_64`." },
    END,
};

static const struct api_field guest_user[] = {
    { .name = "name", .type = API_STRING, .is_nullable = true, .text = "Who is logged in." },
    { .name = "domain", .type = API_STRING, .is_nullable = true, .text = "Of Windows." },
    { .name = "since_us", .type = API_INTEGER, .is_nullable = true, .text = "By the guest's clock, since 1970." },
    END,
};

static const struct api_field guest_address[] = {
    { .name = "address", .type = API_STRING, .is_nullable = true, .text = "IPv4 or IPv6." },
    { .name = "prefix", .type = API_INTEGER, .text = "Length of the network's part." },
    END,
};

static const struct api_field guest_interface[] = {
    { .name = "name", .type = API_STRING, .is_nullable = true, .text = "`eth0`, `Ethernet`." },
    { .name = "mac", .type = API_STRING, .is_nullable = true, .text = "Its hardware address." },
    { .name = "addresses", .type = API_ARRAY,
      .element = &(const struct api_field){ .type = API_OBJECT, .fields = guest_address }, .text = "All it has." },
    END,
};

static const struct api_field guest_fields[] = {
    { .name = "agent", .type = API_STRING, .text = "Who says so: `qemu`." },
    { .name = "release", .type = API_STRING, .text = "Of that agent." },
    { .name = "os", .type = API_OBJECT, .is_nullable = true, .fields = guest_os, .text = "The system." },
    { .name = "hostname", .type = API_STRING, .is_nullable = true, .text = "Its name." },
    { .name = "users", .type = API_ARRAY, .is_nullable = true,
      .element = &(const struct api_field){ .type = API_OBJECT, .fields = guest_user }, .text = "Who is logged in." },
    { .name = "interfaces", .type = API_ARRAY, .is_nullable = true,
      .element = &(const struct api_field){ .type = API_OBJECT, .fields = guest_interface }, .text = "Of its network." },
    END,
};

static const struct api_field checkpoint_path[] = {
    { .name = "id", .type = API_STRING, .is_required = true, .min = 1, .max = 31,
      .text = "Id of the checkpoint." },
    END,
};

static const struct api_field checkpoint_fields[] = {
    { .name = "id", .type = API_STRING, .text = "Unique everywhere." },
    { .name = "name", .type = API_STRING, .text = "As given." },
    { .name = "sandbox", .type = API_STRING, .text = "Whose state it is; empty for a template." },
    { .name = "parent", .type = API_STRING, .text = "The checkpoint before it; may be gone." },
    { .name = "template", .type = API_BOOLEAN, .text = "Whether it was baked from an image." },
    { .name = "image", .type = API_STRING, .text = "The image that its machine was powered on from." },
    { .name = "network", .type = API_STRING, .text = "Of the machine: nat or none." },
    { .name = "created_at", .type = API_STRING, .text = "RFC 3339." },
    { .name = "bytes", .type = API_INTEGER,
      .text = "Of its own files: device state and pages; not of the template below." },
    { .name = "disk_bytes", .type = API_INTEGER, .text = "Of the disk layer that was frozen for it." },
    { .name = "accel", .type = API_STRING, .values = VALUES{ "tcg", "kvm", NULL },
      .text = "What it was taken under and restores under." },
    { .name = "qemu", .type = API_STRING, .text = "Version of QEMU that it was taken by and restores in." },
    { .name = "cpu_model", .type = API_STRING, .text = "Of the host; under kvm it restores on the same." },
    { .name = "kernel", .type = API_STRING, .text = "Of the host, for readers." },
    { .name = "pool", .type = API_OBJECT, .is_nullable = true,
      .text = "Of a template: QEMUs that were started in advance.",
      .fields = FIELDS{
          { .name = "size", .type = API_INTEGER, .text = "How many are wanted once it is used." },
          { .name = "ready", .type = API_INTEGER, .text = "How many wait." },
          { .name = "bytes", .type = API_INTEGER, .text = "Memory that they hold." },
          END } },
    { .name = "ram_bytes", .type = API_INTEGER,
      .text = "Memory of the host that the RAM below it holds, shared by all that come from it; 0: none." },
    { .name = "disk_layers", .type = API_INTEGER, .text = "Length of its chain of disk layers." },
    { .name = "cpus", .type = API_INTEGER, .text = "Of the machine." },
    { .name = "memory_mib", .type = API_INTEGER, .text = "Of the machine." },
    { .name = "disk_mib", .type = API_INTEGER, .text = "Of the machine; 0: no disk." },
    { .name = "width", .type = API_INTEGER, .text = "Of the screen at power-on." },
    { .name = "height", .type = API_INTEGER, .text = "Of the screen at power-on." },
    { .name = "pause_ms", .type = API_NUMBER,
      .text = "How long the sandbox stood still; when it is taken." },
    { .name = "total_ms", .type = API_NUMBER, .text = "Until it was stored; when it is taken." },
    { .name = "frozen", .type = API_BOOLEAN,
      .text = "Whether the guest's file systems were held still; when it is taken with `freeze`." },
    { .name = "freeze_error", .type = API_STRING, .text = "Why they were not." },
    END,
};

static const struct api_field checkpoint_element = { .type = API_OBJECT, .fields = checkpoint_fields };

static const struct api_field tree_element = { .type = API_OBJECT, .fields = FIELDS{
    { .name = "kind", .type = API_STRING, .values = VALUES{ "template", "checkpoint", "sandbox", NULL },
      .text = "What it is." },
    { .name = "id", .type = API_STRING, .text = "Its id." },
    { .name = "parent", .type = API_STRING,
      .text = "Id of the item that it hangs below: of a checkpoint the sandbox that it was taken of, of a "
              "sandbox the one that it was forked from, or the checkpoint or template that it came from. "
              "Empty when that is gone." },
    { .name = "name", .type = API_STRING, .text = "Of a checkpoint." },
    { .name = "state", .type = API_STRING, .text = "Of a sandbox." },
    { .name = "image", .type = API_STRING, .text = "The image." },
    { .name = "created_at", .type = API_STRING, .text = "RFC 3339." },
    { .name = "sandbox", .type = API_STRING,
      .text = "The sandbox that it was taken of, or forked from; may be empty, and may be gone." },
    { .name = "checkpoint", .type = API_STRING,
      .text = "The checkpoint or template that it came from; may be empty, and may be gone." },
    END } };

/* --- Bodies and queries ----------------------------------------------------------------------- */

static const struct api_field bake_fields[] = {
    { .name = "image", .type = API_OBJECT, .is_required = true, .text = "What to bake.",
      .fields = FIELDS{
          { .name = "uri", .type = API_STRING, .is_required = true, .min = 1, .max = 255,
            .text = "Name of a guest image on this host." },
          END } },
    { .name = "resourceLimits", .type = API_STRING_MAP, .max = 16, .text = "As in `sandbox_create`." },
    SCREEN_SIZE,
    { .name = "network", .type = API_STRING, .values = VALUES{ "nat", "none", NULL },
      .text = "As in `sandbox_create`; a template serves only its own kind." },
    { .name = "pool", .type = API_INTEGER, .is_nullable = true, .max = 64,
      .text = "As in `template_set`." },
    END,
};

static const struct api_field port_path[] = {
    { .name = "id", .type = API_STRING, .is_required = true, .min = 1, .max = 31,
      .text = "Id of the sandbox." },
    { .name = "port", .type = API_INTEGER, .is_required = true, .min = 1, .max = 65535,
      .text = "TCP port of the guest." },
    END,
};

static const struct api_field terminal_path[] = {
    { .name = "id", .type = API_STRING, .is_required = true, .min = 1, .max = 31,
      .text = "Id of the sandbox." },
    { .name = "session", .type = API_STRING, .is_required = true, .min = 1, .max = 31,
      .text = "Id of the terminal." },
    END,
};

static const struct api_field exec_first[] = {
    { .name = "argv", .type = API_ARRAY, .element = &string_element, .min = 1, .max = 1024,
      .text = "The program and its arguments; or `command`. A terminal without either runs the "
              "user's shell." },
    { .name = "command", .type = API_STRING, .min = 1, .max = 32768, .text = "For `/bin/sh -c`." },
    { .name = "cwd", .type = API_STRING, .min = 1, .max = 4096, .text = "Directory." },
    { .name = "env", .type = API_STRING_MAP, .max = 256,
      .text = "Environment, above that of the sandbox." },
    { .name = "user", .type = API_STRING, .min = 1, .max = 64,
      .text = "Name or uid. Default: root." },
    { .name = "terminal", .type = API_OBJECT, .text = "Gives it a terminal of that size.",
      .fields = FIELDS{
          { .name = "columns", .type = API_INTEGER, .min = 1, .max = 1000, .text = "Width." },
          { .name = "rows", .type = API_INTEGER, .min = 1, .max = 1000, .text = "Height." },
          END } },
    { .name = "timeout_ms", .type = API_INTEGER, .min = 1, .max = 86400000,
      .text = "SIGTERM after that, SIGKILL two seconds later. Default: never." },
    { .name = "rlimits", .type = API_OBJECT, .fields = api_exec_limits, .text = "As setrlimit(2) has them." },
    END,
};

/* --- Operations ------------------------------------------------------------------------------- */

const struct api_operation api_table[API_COUNT] = {
    [API_HEALTHZ] = {
        .name = "healthz", .method = "GET", .path = "/healthz", .role = API_ROLE_NONE,
        .flags = API_TEXT,
        .status = 200, .summary = "Whether the daemon is alive.",
    },
    [API_READYZ] = {
        .name = "readyz", .method = "GET", .path = "/readyz", .role = API_ROLE_NONE,
        .flags = API_TEXT,
        .status = 200, .summary = "Whether a sandbox could be created now.",
        .text = "Answers 503 with the reason when it could not, or while the daemon drains.",
    },
    [API_METRICS] = {
        .name = "metrics", .method = "GET", .path = "/metrics", .role = API_ROLE_ADMIN,
        .flags = API_TEXT,
        .status = 200, .summary = "Counters and gauges as Prometheus text.",
    },
    [API_OPENAPI] = {
        .name = "openapi", .method = "GET", .path = "/openapi.json", .role = API_ROLE_VIEWER,
        .status = 200,
        .summary = "This API as an OpenAPI 3.1 document.",
    },
    [API_INFO] = {
        .name = "info", .method = "GET", .path = "/v1/info", .role = API_ROLE_VIEWER, .status = 200,
        .summary = "The host: accelerator, limits, versions.",
        .result = FIELDS{
            { .name = "version", .type = API_STRING, .text = "Of the daemon." },
            { .name = "accel", .type = API_STRING, .text = "`kvm` or `tcg`." },
            { .name = "accel_reason", .type = API_STRING, .text = "Why that one." },
            { .name = "network", .type = API_BOOLEAN,
              .text = "Whether guests can have a network." },
            { .name = "network_reason", .type = API_STRING, .text = "Why not." },
            { .name = "limits", .type = API_OBJECT, .fields = key_limit_fields,
              .text = "Of all sandboxes together." },
            { .name = "held", .type = API_OBJECT, .fields = key_limit_fields,
              .text = "What they hold now." },
            { .name = "qemu", .type = API_STRING, .text = "Version of the QEMU that guests run in." },
            { .name = "pool", .type = API_OBJECT, .text = "QEMUs that were started in advance.",
              .fields = FIELDS{
                  { .name = "size", .type = API_INTEGER,
                    .text = "How many are wanted per template that is in use and has no size of its own." },
                  { .name = "spares", .type = API_INTEGER, .text = "How many there are." },
                  { .name = "bytes", .type = API_INTEGER, .text = "Memory that they hold." },
                  END } },
            { .name = "memory_access", .type = API_STRING,
              .text = "\"ok\" when the guests' memory can be read, which checkpoints, forks and hibernation "
                      "need; else why not." },
            { .name = "draining", .type = API_BOOLEAN,
              .text = "Whether new sandboxes are refused." },
            END },
    },
    [API_IMAGES] = {
        .name = "images", .method = "GET", .path = "/v1/images", .role = API_ROLE_VIEWER,
        .status = 200,
        .summary = "Guest images that sandboxes can be made from.",
        .result = FIELDS{
            { .name = "items", .type = API_ARRAY, .text = "All of them.",
              .element = &(const struct api_field){ .type = API_OBJECT, .fields = FIELDS{
                  { .name = "name", .type = API_STRING, .text = "For `image.uri`." },
                  { .name = "description", .type = API_STRING, .text = "One line." },
                  { .name = "width", .type = API_INTEGER, .text = "Default width of the screen." },
                  { .name = "height", .type = API_INTEGER,
                    .text = "Default height of the screen." },
                  { .name = "cpus", .type = API_INTEGER, .text = "Default number of CPUs." },
                  { .name = "memory_mib", .type = API_INTEGER, .text = "Default memory." },
                  { .name = "profile", .type = API_STRING, .values = VALUES{ "linux", "generic", "windows", NULL },
                    .text = "What kind of machine it is made for." },
                  { .name = "disk_mib", .type = API_INTEGER, .text = "Size of its disk." },
                  { .name = "hash", .type = API_STRING,
                    .text = "Of the recipe it was built from." },
                  END } } },
            END },
    },
#include "api/rows-sandbox.h"
#include "api/rows-port.h"
#include "api/rows-screen.h"
#include "api/rows-sight.h"
#include "api/rows-desktop.h"
#include "api/rows-dialect.h"
#include "api/rows-exec.h"
#include "api/rows-fork.h"
#include "api/rows-recordings.h"
#include "api/rows-mcp.h"
#include "api/rows-vnc.h"
    [API_KEY_LIST] = {
        .name = "key_list", .method = "GET", .path = "/v1/keys", .role = API_ROLE_ADMIN,
        .status = 200,
        .result = FIELDS{ { .name = "items", .type = API_ARRAY, .element = &key_element,
        .text = "Without secrets." }, END },
        .summary = "The API keys.",
    },
    [API_KEY_ADD] = {
        .name = "key_add", .method = "POST", .path = "/v1/keys", .role = API_ROLE_ADMIN,
        .status = 201,
        .body = FIELDS{
            { .name = "name", .type = API_STRING, .is_required = true, .min = 1, .max = 64,
              .text = "For people." },
            { .name = "role", .type = API_STRING, .is_required = true, .values = roles,
              .text = "What it may do." },
            { .name = "limits", .type = API_OBJECT, .fields = key_limit_fields,
              .text = "What its sandboxes may hold together. Default: no limit of its own." },
            END },
        .result = key_fields,
        .summary = "Makes an API key.",
        .text = "The answer is the only time that the secret is shown. From the first key on, "
                "callers without one are refused, except on the unix socket, which only its owner can open.",
    },
    [API_KEY_REMOVE] = {
        .name = "key_remove", .method = "DELETE", .path = "/v1/keys/{id}", .role = API_ROLE_ADMIN,
        .status = 204,
        .path_fields = FIELDS{
            { .name = "id", .type = API_STRING, .is_required = true, .min = 1, .max = 31,
              .text = "Id of the key." },
            END },
        .summary = "Removes an API key.",
    },
    [API_DRAIN] = {
        .name = "drain", .method = "POST", .path = "/v1/drain", .role = API_ROLE_ADMIN,
        .status = 200,
        .result = FIELDS{ { .name = "draining", .type = API_BOOLEAN, .text = "True." }, END },
        .summary = "Takes no new sandboxes from here on; /readyz turns false.",
    },
    [API_LOGIN] = {
        .name = "login", .method = "POST", .path = "/login", .role = API_ROLE_NONE, .status = 200,
        .body = FIELDS{
            { .name = "key", .type = API_STRING, .is_required = true, .min = 1, .max = 255,
              .text = "An API key." },
            END },
        .result = FIELDS{ { .name = "role", .type = API_STRING, .values = roles,
        .text = "Of the key." }, END },
        .summary = "Turns an API key into a session cookie, for browsers.",
    },
    [API_LOGOUT] = {
        .name = "logout", .method = "POST", .path = "/logout", .role = API_ROLE_NONE, .status = 204,
        .summary = "Ends the session of the cookie.",
    },
#define DAYTONA_FLAGGED(more, sym, row, verb, where, least, code, in_path, in_query, in_body, what)          \
    [API_##sym] = {                                                                                \
        .name = #row, .method = verb, .path = where, .role = API_ROLE_##least,                     \
        .flags = API_COMPAT | more, .status = code, .path_fields = api_daytona_##in_path,                 \
        .query = api_daytona_##in_query, .body = api_daytona_##in_body, .summary = what,           \
    },
#define DAYTONA_LIFE(...) DAYTONA_FLAGGED(API_ASLEEP, __VA_ARGS__)
#define DAYTONA_ROW(...) DAYTONA_FLAGGED(0, __VA_ARGS__)
    API_DAYTONA_SANDBOXES(DAYTONA_LIFE)
    API_DAYTONA_COMPUTER(DAYTONA_ROW)
    API_DAYTONA_PROGRAMS(DAYTONA_ROW)
    API_DAYTONA_FILES(DAYTONA_ROW)
#undef DAYTONA_LIFE
#undef DAYTONA_ROW
#undef DAYTONA_FLAGGED
    [API_DAYTONA_UPLOAD] = {
        .name = "daytona_upload", .method = "POST", .path = API_DAYTONA_UPLOAD_PATH,
        .role = API_ROLE_OPERATOR, .flags = API_COMPAT | API_PIECES, .status = 200,
        .takes = "multipart/form-data", .path_fields = api_daytona_sandbox,
        .summary = "Writes the files of a form.",
    },
};
