/* All operations of the daemon. Rows only; api/match.c and api/validate.c give them meaning.
 *
 * Limits here are what protects the layers below: a count or a length that is not bounded by a row
 * is bounded by the size of the body and the depth of JSON (base/json.h) alone. Defaults are
 * repeated as text for readers; the code that has the default is the layer that uses it. */
#include "api/table.h"

#define FIELDS (const struct api_field[])
#define VALUES (const char *const[])
#define END { .name = NULL }

#define SIZE_MAX_PX 8192
#define FRAME_MAX 9007199254740991.0 /* 2^53 - 1: what a JSON number holds exactly */

/* --- Shared parts ----------------------------------------------------------------------------- */

static const struct api_field rect_fields[] = {
    { .name = "x", .type = API_INTEGER, .is_required = true, .max = SIZE_MAX_PX,
      .text = "Left edge." },
    { .name = "y", .type = API_INTEGER, .is_required = true, .max = SIZE_MAX_PX,
      .text = "Top edge." },
    { .name = "width", .type = API_INTEGER, .is_required = true, .max = SIZE_MAX_PX,
      .text = "Width." },
    { .name = "height", .type = API_INTEGER, .is_required = true, .max = SIZE_MAX_PX,
      .text = "Height." },
    END,
};

static const struct api_field rect_element = { .type = API_OBJECT, .fields = rect_fields };
static const struct api_field string_element = { .type = API_STRING, .max = 4096 };
static const struct api_field object_element = { .type = API_OBJECT };

static const char *const formats[] = { "png", "jpeg", "webp", NULL };
static const char *const states[] = { "Pending", "Running",  "Pausing",    "Paused",
                                      "Resuming", "Stopping", "Terminated", "Failed", NULL };
static const char *const roles[] = { "viewer", "operator", "admin", NULL };

#define FORMAT { .name = "format", .type = API_STRING, .values = formats, .fallback = "\"png\"",   \
                 .text = "Encoding of the image." }
#define QUALITY { .name = "quality", .type = API_INTEGER, .min = 1, .max = 100, .fallback = "80",  \
                  .text = "Of jpeg and webp." }
#define SCALE { .name = "scale", .type = API_NUMBER, .min = 0.05, .max = 4,                        \
                .text = "Size of the image relative to the region; instead of a width and height." }
#define CURSOR { .name = "cursor", .type = API_BOOLEAN, .fallback = "true",                        \
                 .text = "Whether the pointer is drawn in." }
#define IF_CHANGED { .name = "if_changed_since", .type = API_INTEGER, .max = FRAME_MAX,            \
                     .text = "A frame id: when it is still shown, no image is sent." }
#define FIRST_MS { .name = "first_ms", .type = API_INTEGER, .max = 60000, .fallback = "1000",      \
                   .text = "How long to wait for a first change." }
#define QUIET_MS(limit) { .name = "quiet_ms", .type = API_INTEGER, .max = limit, .fallback = "300", \
                          .text = "The screen is settled when nothing changed for so long." }
#define MAX_MS(limit, preset) { .name = "max_ms", .type = API_INTEGER, .max = limit, .fallback = preset, \
                                .text = "The longest wait in all." }
#define REGION(what) { .name = "region", .type = API_OBJECT, .fields = rect_fields, .text = what }
#define MASKS { .name = "masks", .type = API_ARRAY, .element = &rect_element, .max = 28,           \
                .text = "Rectangles whose changes do not count." }

static const struct api_field settle_fields[] = {
    FIRST_MS, QUIET_MS(10000), MAX_MS(300000, "5000"), MASKS, END,
};

static const struct api_field shot_fields[] = {
    FORMAT,
    QUALITY,
    REGION("The part of the screen, in native pixels. Default: all of it."),
    { .name = "width", .type = API_INTEGER, .min = 1, .max = SIZE_MAX_PX,
      .text = "Width of the image; the height follows when it is not given." },
    { .name = "height", .type = API_INTEGER, .min = 1, .max = SIZE_MAX_PX,
      .text = "Height of the image; the width follows when it is not given." },
    SCALE,
    CURSOR,
    IF_CHANGED,
    END,
};

static const struct api_field image_fields[] = {
    { .name = "id", .type = API_STRING,
      .text = "Names the image for coordinates in space `frame`." },
    { .name = "frame", .type = API_INTEGER,
      .text = "Frame id; grows with every change of the screen." },
    { .name = "epoch", .type = API_INTEGER, .text = "Changes whenever the screen's size does." },
    { .name = "format", .type = API_STRING, .values = formats, .text = "Encoding." },
    { .name = "width", .type = API_INTEGER, .text = "Width of the image in pixels." },
    { .name = "height", .type = API_INTEGER, .text = "Height of the image in pixels." },
    { .name = "region", .type = API_OBJECT, .fields = rect_fields,
      .text = "The part of the screen it shows." },
    { .name = "scale", .type = API_NUMBER, .text = "Size of the image relative to the region." },
    { .name = "cached", .type = API_BOOLEAN, .text = "Whether it had been encoded before." },
    { .name = "captured_us", .type = API_INTEGER,
      .text = "When the frame came, on the daemon's clock." },
    { .name = "encode_us", .type = API_INTEGER, .text = "How long encoding took." },
    { .name = "data", .type = API_STRING,
      .text = "The image in base64. Absent when bytes were asked for." },
    END,
};

static const struct api_field size_fields[] = {
    { .name = "width", .type = API_INTEGER, .text = "In pixels." },
    { .name = "height", .type = API_INTEGER, .text = "In pixels." },
    END,
};

static const struct api_field cursor_fields[] = {
    { .name = "x", .type = API_INTEGER, .text = "Where the pointer is." },
    { .name = "y", .type = API_INTEGER, .text = "Where the pointer is." },
    { .name = "visible", .type = API_BOOLEAN, .text = "Whether the guest shows it." },
    END,
};

#define SCREEN { .name = "screen", .type = API_OBJECT, .is_nullable = true, .fields = size_fields, \
                 .text = "Size of the screen." }
#define POINTER { .name = "cursor", .type = API_OBJECT, .is_nullable = true, .fields = cursor_fields, \
                  .text = "The pointer, when it is known." }
#define FRAME { .name = "frame", .type = API_INTEGER, .text = "Id of the frame that is shown." }

#define IMAGE { .name = "image", .type = API_OBJECT, .fields = image_fields,                       \
                .text = "The screenshot, when one was asked for and something changed." }

static const struct api_field display_fields[] = {
    { .name = "width", .type = API_INTEGER, .text = "Of the screen, in pixels." },
    { .name = "height", .type = API_INTEGER, .text = "Of the screen, in pixels." },
    { .name = "screen", .type = API_STRING, .values = VALUES{ "unknown", "off", "on", NULL },
      .text = "Whether the guest shows a picture; `unknown` while nobody looks." },
    { .name = "ready", .type = API_BOOLEAN, .text = "Whether screenshots and actions work." },
    { .name = "up", .type = API_BOOLEAN, .is_nullable = true,
      .text = "Whether the guest says that its desktop is there; null when its image never does." },
    FRAME,
    { .name = "epoch", .type = API_INTEGER, .text = "Changes whenever the screen's size does." },
    { .name = "layout", .type = API_STRING, .text = "Keyboard layout that text is typed in." },
    POINTER,
    END,
};

static const struct api_field sandbox_fields[] = {
    { .name = "id", .type = API_STRING, .is_required = true, .text = "Unique everywhere." },
    { .name = "image", .type = API_OBJECT, .text = "What it was made from.",
      .fields = FIELDS{
          { .name = "uri", .type = API_STRING, .text = "Name of the image." },
          { .name = "hash", .type = API_STRING,
            .text = "Of the recipe that the image was built from." },
          END } },
    { .name = "status", .type = API_OBJECT, .is_required = true, .text = "Where it is in its life.",
      .fields = FIELDS{
          { .name = "state", .type = API_STRING, .is_required = true, .values = states,
            .text = "State." },
          { .name = "reason", .type = API_STRING, .text = "Short code of the cause." },
          { .name = "message", .type = API_STRING, .text = "The cause for a reader." },
          END } },
    { .name = "metadata", .type = API_STRING_MAP, .text = "As given at creation." },
    { .name = "entrypoint", .type = API_ARRAY, .element = &string_element,
      .text = "As given at creation." },
    { .name = "createdAt", .type = API_STRING, .is_required = true, .text = "RFC 3339." },
    { .name = "expiresAt", .type = API_STRING, .is_nullable = true,
      .text = "RFC 3339; absent when the lease has no end." },
    { .name = "desktop", .type = API_OBJECT, .fields = display_fields, .text = "The screen." },
    { .name = "resourceLimits", .type = API_STRING_MAP,
      .text = "What it holds: `cpu`, `memory`, `disk`." },
    { .name = "network", .type = API_STRING, .values = VALUES{ "nat", "none", NULL },
      .text = "What it reaches." },
    END,
};

static const struct api_field sandbox_element = { .type = API_OBJECT, .fields = sandbox_fields };

static const struct api_field pagination_fields[] = {
    { .name = "page", .type = API_INTEGER, .text = "From 1." },
    { .name = "pageSize", .type = API_INTEGER, .text = "Most items of a page." },
    { .name = "totalItems", .type = API_INTEGER, .text = "Over all pages." },
    { .name = "totalPages", .type = API_INTEGER, .text = "Number of pages." },
    { .name = "hasNextPage", .type = API_BOOLEAN, .text = "Whether a later page has items." },
    END,
};

static const struct api_field key_limit_fields[] = {
    { .name = "sandboxes", .type = API_INTEGER, .max = 100000,
      .text = "Sandboxes at once; 0: no limit." },
    { .name = "cpus", .type = API_INTEGER, .max = 100000,
      .text = "Virtual CPUs of all together; 0: no limit." },
    { .name = "memory_mib", .type = API_INTEGER, .max = 1 << 30,
      .text = "Memory of all; 0: no limit." },
    { .name = "disk_mib", .type = API_INTEGER, .max = 1 << 30,
      .text = "Disk of all; 0: no limit." },
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

static const struct api_field sandbox_path[] = {
    { .name = "id", .type = API_STRING, .is_required = true, .min = 1, .max = 31,
      .text = "Id of the sandbox." },
    END,
};

#define LAYOUT { .name = "layout", .type = API_STRING, .is_required = true, .min = 1, .max = 31,   \
                 .text = "As for setxkbmap, e.g. \"us\" or \"de\"." }

/* --- Bodies and queries ----------------------------------------------------------------------- */

static const struct api_field create_body[] = {
    { .name = "image", .type = API_OBJECT, .text = "What to start. Required.",
      .fields = FIELDS{
          { .name = "uri", .type = API_STRING, .is_required = true, .min = 1, .max = 255,
            .text = "Name of a guest image on this host, e.g. \"debian-xfce\"." },
          { .name = "auth", .type = API_OBJECT,
            .text = "Accepted and not used: images are local." },
          END } },
    { .name = "snapshotId", .type = API_STRING, .max = 255, .text = "Not supported yet." },
    { .name = "entrypoint", .type = API_ARRAY, .element = &string_element, .max = 64,
      .text = "Kept and shown; a desktop starts by itself." },
    { .name = "resourceLimits", .type = API_STRING_MAP, .max = 16,
      .text = "Quantities as text: `cpu` (\"2\", \"500m\"), `memory` and `disk` (\"2Gi\", "
              "\"512Mi\"). "
              "CPUs round up to 1, 2, 4, …, memory to 256 MiB, 512 MiB, 1 GiB, …" },
    { .name = "timeout", .type = API_INTEGER, .is_nullable = true, .min = 60, .max = 31536000,
      .text = "Seconds until the sandbox is deleted; null or absent: never." },
    { .name = "env", .type = API_STRING_MAP, .max = 256,
      .text = "Kept for the programs of the guest." },
    { .name = "metadata", .type = API_STRING_MAP, .max = 64, .text = "Labels to find it by." },
    { .name = "platform", .type = API_OBJECT, .is_nullable = true,
      .text = "Operating system and architecture.",
      .fields = FIELDS{
          { .name = "os", .type = API_STRING, .max = 63, .text = "\"linux\"." },
          { .name = "arch", .type = API_STRING, .max = 63, .text = "\"amd64\"." },
          END } },
    { .name = "networkPolicy", .type = API_OBJECT, .is_nullable = true, 
      .text = "`defaultAction` \"deny\" means network `none`; egress rules are not supported yet." },
    { .name = "extensions", .type = API_OBJECT, .is_nullable = true, .text = "Opaque." },
    { .name = "display", .type = API_OBJECT,
      .text = "Size of the screen. Default: that of the image.",
      .fields = FIELDS{
          { .name = "width", .type = API_INTEGER, .is_required = true, .min = 320,
            .max = SIZE_MAX_PX, .text = "Pixels." },
          { .name = "height", .type = API_INTEGER, .is_required = true, .min = 200,
            .max = SIZE_MAX_PX, .text = "Pixels." },
          END } },
    { .name = "keyboard", .type = API_OBJECT, .text = "The guest's keyboard. Default: us.",
      .fields = FIELDS{ LAYOUT, END } },
    { .name = "network", .type = API_STRING, .values = VALUES{ "nat", "none", NULL },
      .text = "`nat` reaches the outside but neither this host nor other guests. Default: `nat` "
              "where the host can "
              "give it, else `none`." },
    END,
};

static const struct api_field list_query[] = {
    { .name = "state", .type = API_ARRAY, .max = 16, .text = "Only these states. Repeatable.",
      .element = &(const struct api_field){ .type = API_STRING, .values = states } },
    { .name = "metadata", .type = API_STRING_MAP, .max = 64,
      .text = "Only sandboxes with these labels: `metadata=name=value`, repeatable, or several "
              "joined by an "
              "encoded `&`." },
    { .name = "page", .type = API_INTEGER, .min = 1, .max = 1000000, .fallback = "1",
      .text = "From 1." },
    { .name = "pageSize", .type = API_INTEGER, .min = 1, .max = 200, .fallback = "20",
      .text = "Items of a page." },
    END,
};

static const struct api_field actions_body[] = {
    { .name = "actions", .type = API_ARRAY, .is_required = true, .element = &object_element,
      .min = 1, .max = 100,
      .text = "Done in order; the first that fails ends the batch. See Actions." },
    { .name = "space", .type = API_STRING,
      .values = VALUES{ "native", "frame", "norm1000", "norm1", NULL },
      .fallback = "\"native\"",
      .text = "Of all coordinates: pixels of the screen, pixels of the image named by `image`, "
              "0–1000, or 0–1." },
    { .name = "image", .type = API_STRING, .max = 127,
      .text = "Id of an image that was sent; for space `frame`." },
    { .name = "settle", .type = API_OBJECT, .or_false = true, .fields = settle_fields,
      .text = "When the answer's screenshot is taken; false: at once." },
    { .name = "screenshot", .type = API_OBJECT, .or_false = true, .fields = shot_fields,
      .text = "The answer's screenshot; false: none." },
    { .name = "queue_ms", .type = API_INTEGER, .max = 60000, .fallback = "0",
      .text = "How long to wait for another batch to end; after that `busy`." },
    END,
};

static const struct api_field screenshot_query[] = {
    FORMAT,
    QUALITY,
    { .name = "x", .type = API_INTEGER, .max = SIZE_MAX_PX, .text = "Left edge of the region." },
    { .name = "y", .type = API_INTEGER, .max = SIZE_MAX_PX, .text = "Top edge of the region." },
    { .name = "width", .type = API_INTEGER, .min = 1, .max = SIZE_MAX_PX,
      .text = "Width of the region." },
    { .name = "height", .type = API_INTEGER, .min = 1, .max = SIZE_MAX_PX,
      .text = "Height of the region." },
    { .name = "out_width", .type = API_INTEGER, .min = 1, .max = SIZE_MAX_PX,
      .text = "Width of the image." },
    { .name = "out_height", .type = API_INTEGER, .min = 1, .max = SIZE_MAX_PX,
      .text = "Height of the image." },
    SCALE,
    CURSOR,
    IF_CHANGED,
    { .name = "wait_ms", .type = API_INTEGER, .max = 60000, .fallback = "0",
      .text = "With `if_changed_since`: how long to wait for a change." },
    { .name = "settle", .type = API_BOOLEAN, .fallback = "false",
      .text = "Wait until the screen is settled." },
    FIRST_MS,
    QUIET_MS(10000),
    MAX_MS(300000, "5000"),
    { .name = "mask", .type = API_RECTS, .max = 28,
      .text = "Rectangles whose changes do not count, as `x,y,width,height;…`." },
    END,
};

static const struct api_field wait_body[] = {
    { .name = "for", .type = API_STRING, .is_required = true,
      .values = VALUES{ "up", "settled", "change", NULL },
      .text = "`up`: until the guest says that its desktop is there (where the image does, see "
              "`desktop.up`), and it settled. `settled`: until nothing changes any more. `change`: "
              "until something differs from `since`." },
    FIRST_MS,
    QUIET_MS(60000),
    MAX_MS(600000, "30000"),
    REGION("Only changes in here count."),
    MASKS,
    { .name = "since", .type = API_INTEGER, .max = FRAME_MAX,
      .text = "A frame id; default: the one shown now." },
    { .name = "screenshot", .type = API_OBJECT, .or_false = true, .fields = shot_fields,
      .fallback = "false",
      .text = "A screenshot with the answer." },
    END,
};

static const struct api_field settle_result[] = {
    { .name = "result", .type = API_STRING, .text = "Settled, timed out, or no effect." },
    { .name = "first_ms", .type = API_NUMBER,
      .text = "First change after the input; absent when there was none." },
    { .name = "last_ms", .type = API_NUMBER,
      .text = "Last change after the input; absent when there was none." },
    { .name = "waited_ms", .type = API_NUMBER, .text = "How long the wait took." },
    { .name = "changed", .type = API_ARRAY, .element = &rect_element,
      .text = "What changed, roughly." },
    END,
};

static const struct api_field wait_result[] = {
    { .name = "result", .type = API_STRING,
      .text = "`settled`, `changed`, `resized` or `timed_out`." },
    { .name = "waited_ms", .type = API_NUMBER, .text = "How long the wait took." },
    { .name = "settle", .type = API_OBJECT, .fields = settle_result,
      .text = "What the screen did." },
    IMAGE,
    FRAME,
    SCREEN,
    POINTER,
    END,
};

static const struct api_field changed_result[] = {
    { .name = "changed", .type = API_BOOLEAN, .text = "False: the named frame is still shown." },
    IMAGE,
    { .name = "settle", .type = API_OBJECT, .fields = settle_result,
      .text = "What the screen did." },
    FRAME,
    SCREEN,
    POINTER,
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
                  { .name = "disk_mib", .type = API_INTEGER, .text = "Size of its disk." },
                  { .name = "hash", .type = API_STRING,
                    .text = "Of the recipe it was built from." },
                  END } } },
            END },
    },
    [API_SANDBOX_CREATE] = {
        .name = "sandbox_create", .method = "POST", .path = "/v1/sandboxes",
        .role = API_ROLE_OPERATOR,
        .flags = API_OPENSANDBOX | API_IDEMPOTENT, .status = 202, .body = create_body,
        .result = sandbox_fields,
        .summary = "Starts a sandbox.",
        .text = "Answers as soon as the guest is being started, in state `Pending`. Limits of the "
                "key and of the "
                "host are checked first.",
    },
    [API_SANDBOX_LIST] = {
        .name = "sandbox_list", .method = "GET", .path = "/v1/sandboxes", .role = API_ROLE_VIEWER,
        .flags = API_OPENSANDBOX, .status = 200, .query = list_query,
        .result = FIELDS{
            { .name = "items", .type = API_ARRAY, .element = &sandbox_element,
              .text = "Newest first." },
            { .name = "pagination", .type = API_OBJECT, .fields = pagination_fields,
              .text = "Where this page is." },
            END },
        .summary = "The sandboxes that the key may see.",
    },
    [API_SANDBOX_GET] = {
        .name = "sandbox_get", .method = "GET", .path = "/v1/sandboxes/{id}",
        .role = API_ROLE_VIEWER,
        .flags = API_OPENSANDBOX, .status = 200, .path_fields = sandbox_path,
        .result = sandbox_fields,
        .summary = "One sandbox.",
    },
    [API_SANDBOX_DELETE] = {
        .name = "sandbox_delete", .method = "DELETE", .path = "/v1/sandboxes/{id}",
        .role = API_ROLE_OPERATOR,
        .flags = API_OPENSANDBOX, .status = 204, .path_fields = sandbox_path,
        .summary = "Ends a sandbox and forgets it.",
    },
    [API_SANDBOX_RENEW] = {
        .name = "sandbox_renew", .method = "POST", .path = "/v1/sandboxes/{id}/renew-expiration",
        .role = API_ROLE_OPERATOR, .flags = API_OPENSANDBOX, .status = 200,
        .path_fields = sandbox_path,
        .body = FIELDS{
            { .name = "expiresAt", .type = API_STRING, .is_required = true, .min = 1, .max = 64,
              .text = "RFC 3339, in the future." },
            END },
        .result = FIELDS{ { .name = "expiresAt", .type = API_STRING,
        .text = "As it is now." }, END },
        .summary = "Moves the end of a sandbox's lease.",
    },
    [API_SANDBOX_ENDPOINT] = {
        .name = "sandbox_endpoint", .method = "GET", .path = "/v1/sandboxes/{id}/endpoints/{port}",
        .role = API_ROLE_VIEWER, .flags = API_OPENSANDBOX, .status = 200,
        .path_fields = FIELDS{
            { .name = "id", .type = API_STRING, .is_required = true, .min = 1, .max = 31,
              .text = "Id of the sandbox." },
            { .name = "port", .type = API_INTEGER, .is_required = true, .min = 1, .max = 65535,
              .text = "6080 is the page of the desktop; others are not supported yet." },
            END },
        .query = FIELDS{
            { .name = "use_server_proxy", .type = API_BOOLEAN,
              .text = "Accepted: the daemon is always in between." },
            END },
        .result = FIELDS{
            { .name = "endpoint", .type = API_STRING, .text = "host:port/path, without a scheme." },
            { .name = "headers", .type = API_STRING_MAP, .text = "To send along." },
            END },
        .summary = "Where a port of the sandbox is reached.",
    },
    [API_DESKTOP_ACTIONS] = {
        .name = "desktop_actions", .method = "POST", .path = "/v1/sandboxes/{id}/desktop/actions",
        .role = API_ROLE_OPERATOR, .flags = API_IDEMPOTENT | API_IMAGE | API_LARGE_BODY,
        .status = 200, .path_fields = sandbox_path,
        .body = actions_body,
        .result = FIELDS{
            { .name = "results", .type = API_ARRAY, .element = &object_element,
              .text = "One per action that was done." },
            { .name = "settle", .type = API_OBJECT, .fields = settle_result,
              .text = "What the screen did." },
            { .name = "changed", .type = API_BOOLEAN,
              .text = "False: the frame of `if_changed_since` is still shown." },
            IMAGE,
            FRAME,
            SCREEN,
            POINTER,
            END },
        .summary = "Does a batch of actions and answers with the settled screen.",
        .text = "One batch at a time per sandbox. A caller that disconnects aborts its batch; keys "
                "and buttons that "
                "it held are released.",
    },
    [API_DESKTOP_SCREENSHOT] = {
        .name = "desktop_screenshot", .method = "GET",
        .path = "/v1/sandboxes/{id}/desktop/screenshot",
        .role = API_ROLE_VIEWER, .flags = API_IMAGE, .status = 200, .path_fields = sandbox_path,
        .query = screenshot_query, .result = changed_result,
        .summary = "The screen as an image.",
        .text = "Answers bytes unless `Accept` asks for JSON. Has an ETag; 304 when "
                "`If-None-Match` names it, 204 "
                "when `if_changed_since` names the frame that is still shown.",
    },
    [API_DESKTOP_WAIT] = {
        .name = "desktop_wait", .method = "POST", .path = "/v1/sandboxes/{id}/desktop/wait",
        .role = API_ROLE_VIEWER,
        .flags = API_IMAGE, .status = 200, .path_fields = sandbox_path, .body = wait_body,
        .result = wait_result,
        .summary = "Waits until the screen is settled or changes.",
    },
    [API_DESKTOP_DISPLAY] = {
        .name = "desktop_display", .method = "GET", .path = "/v1/sandboxes/{id}/desktop/display",
        .role = API_ROLE_VIEWER, .status = 200, .path_fields = sandbox_path,
        .result = display_fields,
        .summary = "Size and state of the screen.",
    },
    [API_DESKTOP_RESIZE] = {
        .name = "desktop_resize", .method = "PUT", .path = "/v1/sandboxes/{id}/desktop/display",
        .role = API_ROLE_OPERATOR, .status = 200, .path_fields = sandbox_path,
        .body = FIELDS{
            { .name = "width", .type = API_INTEGER, .is_required = true, .min = 320,
              .max = SIZE_MAX_PX, .text = "Pixels." },
            { .name = "height", .type = API_INTEGER, .is_required = true, .min = 200,
              .max = SIZE_MAX_PX, .text = "Pixels." },
            MAX_MS(300000, "10000"),
            END },
        .result = wait_result,
        .summary = "Asks the guest for another size of its screen.",
        .text = "Answers when the screen has that size; `timeout` when the guest does not follow.",
    },
    [API_DESKTOP_KEYBOARD] = {
        .name = "desktop_keyboard", .method = "PUT", .path = "/v1/sandboxes/{id}/desktop/keyboard",
        .role = API_ROLE_OPERATOR, .status = 200, .path_fields = sandbox_path,
        .body = FIELDS{ LAYOUT, END },
        .result = display_fields,
        .summary = "Says which keyboard layout the guest has.",
        .text = "Text is planned for it; the guest's own setting is not changed.",
    },
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
};
