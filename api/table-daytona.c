/* What Daytona's operations take. Every optional field may be null: SDKs of other languages send
 * those that were not given. Limits are those of our own operations, which the translation meets
 * again; here they only bound what it has to look at. */
#include "api/fields-daytona.h"

#define VALUES (const char *const[])
#define END          \
    {                \
        .name = NULL \
    }

#define TEXT(field, limit, what)                                                           \
    {                                                                                      \
        .name = field, .type = API_STRING, .is_nullable = true, .max = limit, .text = what \
    }
#define INTEGER(field, low, high, what)                                                   \
    {                                                                                     \
        .name = field, .type = API_INTEGER, .is_nullable = true, .min = low, .max = high, \
        .text = what                                                                      \
    }
#define NUMBER(field, low, high, what)                                                   \
    {                                                                                    \
        .name = field, .type = API_NUMBER, .is_nullable = true, .min = low, .max = high, \
        .text = what                                                                     \
    }
#define BOOLEAN(field, what)                                                  \
    {                                                                         \
        .name = field, .type = API_BOOLEAN, .is_nullable = true, .text = what \
    }
#define MAP(field, limit, what)                                                                \
    {                                                                                          \
        .name = field, .type = API_STRING_MAP, .is_nullable = true, .max = limit, .text = what \
    }
#define REQUIRED(field, kind, low, high, what)                                                  \
    {                                                                                           \
        .name = field, .type = kind, .is_required = true, .min = low, .max = high, .text = what \
    }
#define PIXEL_MAX 8192

/* --- Paths ------------------------------------------------------------------------------------ */

#define ID REQUIRED("id", API_STRING, 1, 255, "Id of the sandbox, or its name.")

const struct api_field api_daytona_sandbox[] = { ID, END };
const struct api_field api_daytona_port[] = {
    ID,
    REQUIRED("port", API_INTEGER, 1, 65535, "A port of the guest; 6080 is its desktop."),
    END,
};
const struct api_field api_daytona_process[] = {
    ID,
    REQUIRED("name", API_STRING, 1, 64, "Part of the desktop."),
    END,
};
const struct api_field api_daytona_recording[] = {
    ID,
    REQUIRED("recording", API_STRING, 1, 255, "Id of the recording."),
    END,
};

/* --- Sandboxes -------------------------------------------------------------------------------- */

static const struct api_field any_element = { .type = API_ANY };

const struct api_field api_daytona_create[] = {
    TEXT("name", 255, "Another name to find the sandbox by."),
    TEXT("snapshot", 255, "Name of a guest image. Default: debian-xfce."),
    { .name = "buildInfo",
      .type = API_OBJECT,
      .is_nullable = true,
      .text = "What a snapshot would be built from.",
      .fields =
          (const struct api_field[]){
              TEXT("dockerfileContent", 4096, "`FROM NAME` alone names a guest image."), END } },
    MAP("env", 256, "Environment of commands."),
    MAP("labels", 62, "Labels."),
    TEXT("user", 64, "Ignored: the image decides."),
    BOOLEAN("networkBlockAll", "No network."),
    TEXT("networkAllowList", 4096, "Not supported."),
    TEXT("domainAllowList", 4096, "Not supported."),
    TEXT("outboundProxyUrl", 4096, "Not supported."),
    NUMBER("cpu", 0, 256, "Cores."),
    NUMBER("gpu", 0, 256, "Not supported, except 0."),
    NUMBER("memory", 0, 4096, "GiB."),
    NUMBER("disk", 0, 65536, "GiB."),
    INTEGER("ttlMinutes", 0, 525600, "When the sandbox is deleted; 0: never."),
    { .name = "volumes",
      .type = API_ARRAY,
      .element = &any_element,
      .is_nullable = true,
      .max = 64,
      .text = "Not supported." },
    { .name = "secrets",
      .type = API_ARRAY,
      .element = &any_element,
      .is_nullable = true,
      .max = 64,
      .text = "Not supported." },
    TEXT("linkedSandbox", 255, "Not supported."),
    END,
};

const struct api_field api_daytona_list[] = {
    { .name = "cursor",
      .type = API_INTEGER,
      .min = 1,
      .max = 1000000,
      .text = "`nextCursor` of the page before." },
    { .name = "limit", .type = API_INTEGER, .min = 1, .max = 200, .text = "Items of a page." },
    { .name = "id", .type = API_STRING, .max = 255, .text = "Only this one." },
    { .name = "name", .type = API_STRING, .max = 255, .text = "Only the one of this name." },
    { .name = "labels",
      .type = API_STRING,
      .max = 8192,
      .text = "A JSON object: only those that have these labels." },
    END,
};

/* --- The desktop ------------------------------------------------------------------------------ */

#define SHOW_CURSOR                                                     \
    {                                                                   \
        .name = "showCursor", .type = API_BOOLEAN, .fallback = "false", \
        .text = "Whether the pointer is drawn in."                      \
    }
#define REGION                                                   \
    REQUIRED("x", API_INTEGER, 0, PIXEL_MAX, "Left edge."),      \
        REQUIRED("y", API_INTEGER, 0, PIXEL_MAX, "Top edge."),   \
        REQUIRED("width", API_INTEGER, 0, PIXEL_MAX, "Pixels."), \
        REQUIRED("height", API_INTEGER, 0, PIXEL_MAX, "Pixels.")
#define SMALLER                                                                      \
    { .name = "format",                                                              \
      .type = API_STRING,                                                            \
      .values = VALUES{ "png", "jpeg", "jpg", "webp", NULL },                        \
      .fallback = "\"jpeg\"",                                                        \
      .text = "Encoding." },                                                         \
        { .name = "quality",                                                         \
          .type = API_INTEGER,                                                       \
          .min = 1,                                                                  \
          .max = 100,                                                                \
          .fallback = "85",                                                          \
          .text = "Of jpeg and webp." },                                             \
    {                                                                                \
        .name = "scale", .type = API_NUMBER, .min = 0.05, .max = 1, .fallback = "1", \
        .text = "Size of the image relative to the screen."                          \
    }

const struct api_field api_daytona_shot[] = { SHOW_CURSOR, END };
const struct api_field api_daytona_shot_region[] = { REGION, SHOW_CURSOR, END };
const struct api_field api_daytona_shot_small[] = { SHOW_CURSOR, SMALLER, END };
const struct api_field api_daytona_shot_region_small[] = { REGION, SHOW_CURSOR, SMALLER, END };

#define X_Y                                              \
    INTEGER("x", 0, PIXEL_MAX, "Pixels from the left."), \
        INTEGER("y", 0, PIXEL_MAX, "Pixels from the top.")
#define BUTTON                                                                       \
    {                                                                                \
        .name = "button", .type = API_STRING, .is_nullable = true,                   \
        .values = VALUES{ "left", "right", "middle", NULL }, .fallback = "\"left\"", \
        .text = "Which button."                                                      \
    }

const struct api_field api_daytona_move[] = {
    REQUIRED("x", API_INTEGER, 0, PIXEL_MAX, "Pixels from the left."),
    REQUIRED("y", API_INTEGER, 0, PIXEL_MAX, "Pixels from the top."),
    END,
};
const struct api_field api_daytona_click[] = {
    X_Y,
    BUTTON,
    BOOLEAN("double", "Twice."),
    END,
};
const struct api_field api_daytona_drag[] = {
    REQUIRED("startX", API_INTEGER, 0, PIXEL_MAX, "Where the button goes down."),
    REQUIRED("startY", API_INTEGER, 0, PIXEL_MAX, "See startX."),
    REQUIRED("endX", API_INTEGER, 0, PIXEL_MAX, "Where it goes up."),
    REQUIRED("endY", API_INTEGER, 0, PIXEL_MAX, "See endX."),
    BUTTON,
    END,
};
const struct api_field api_daytona_scroll[] = {
    X_Y,
    { .name = "direction",
      .type = API_STRING,
      .is_required = true,
      .values = VALUES{ "up", "down", "left", "right", NULL },
      .text = "Which way." },
    INTEGER("amount", 0, 1000, "Notches; default: 1."),
    END,
};
const struct api_field api_daytona_type[] = {
    REQUIRED("text", API_STRING, 0, 65536, "UTF-8."),
    INTEGER("delay", 0, 1000, "Milliseconds after each character."),
    END,
};
const struct api_field api_daytona_key[] = {
    REQUIRED("key", API_STRING, 1, 64, "A key's name or character."),
    { .name = "modifiers",
      .type = API_ARRAY,
      .is_nullable = true,
      .max = 4,
      .element = &(const struct api_field){ .type = API_STRING, .min = 1, .max = 64 },
      .text = "Keys held meanwhile: ctrl, alt, shift, cmd." },
    END,
};
const struct api_field api_daytona_hotkey[] = {
    REQUIRED("keys", API_STRING, 1, 255, "A chord, such as \"ctrl+c\"."),
    END,
};
const struct api_field api_daytona_record[] = { TEXT("label", 255, "For people."), END };
const struct api_field api_daytona_record_stop[] = {
    REQUIRED("id", API_STRING, 1, 255, "Id of the recording."),
    END,
};

/* --- Programs --------------------------------------------------------------------------------- */

const struct api_field api_daytona_execute[] = {
    REQUIRED("command", API_STRING, 1, 32768, "For a shell."),
    TEXT("cwd", 4096, "Where it begins."),
    MAP("envs", 256, "Environment."),
    INTEGER("timeout", 0, 86400, "Seconds; 0 or absent: none."),
    END,
};

const struct api_field api_daytona_labels[] = {
    { .name = "labels",
      .type = API_STRING_MAP,
      .is_required = true,
      .max = 62,
      .text = "All that there will be." },
    END,
};

/* --- Files ------------------------------------------------------------------------------------ */

#define PATH_MAX_BYTES 4096
#define PATH(field) REQUIRED(field, API_STRING, 1, PATH_MAX_BYTES, "In the guest.")

const struct api_field api_daytona_file[] = { PATH("path"), END };
const struct api_field api_daytona_file_list[] = {
    { .name = "path",
      .type = API_STRING,
      .min = 1,
      .max = PATH_MAX_BYTES,
      .text = "In the guest." },
    { .name = "depth", .type = API_INTEGER, .min = 1, .max = 100, .text = "How far down." },
    END,
};
const struct api_field api_daytona_file_delete[] = {
    PATH("path"),
    { .name = "recursive", .type = API_BOOLEAN, .text = "With what is in it." },
    END,
};
const struct api_field api_daytona_folder[] = {
    PATH("path"),
    { .name = "mode", .type = API_STRING, .max = 8, .text = "Octal digits." },
    END,
};
const struct api_field api_daytona_file_move[] = { PATH("source"), PATH("destination"), END };
const struct api_field api_daytona_permissions[] = {
    PATH("path"),
    { .name = "mode", .type = API_STRING, .max = 8, .text = "Octal digits." },
    { .name = "owner", .type = API_STRING, .min = 1, .max = 64, .text = "User." },
    { .name = "group", .type = API_STRING, .min = 1, .max = 64, .text = "Group." },
    END,
};
const struct api_field api_daytona_download[] = {
    { .name = "paths",
      .type = API_ARRAY,
      .is_required = true,
      .min = 1,
      .max = 256,
      .element = &(const struct api_field){ .type = API_STRING, .min = 1, .max = PATH_MAX_BYTES },
      .text = "In the guest." },
    END,
};
