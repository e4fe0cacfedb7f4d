/* The vocabulary, one row per action. What is written here is what the parser takes, what the
 * OpenAPI document says and what docs/api.md prints. */
#include "input/action.h"

/* --- The table -------------------------------------------------------------------------------- */

static const char *const button_names[] = { "left", "right", "middle", "back", "forward", NULL };
static const char *const direction_names[] = { "up", "down", "left", "right", NULL };
static const char *const unit_names[] = { "notch", "pixel", NULL };
static const char *const wait_names[] = { "settled", "change", "pixel", "image", "text", "window", NULL };
static const char *const format_names[] = { "png", "jpeg", "webp", NULL };

const char *const text_route_names[TEXT_COUNT + 1] = {
    [TEXT_AUTO] = "auto",       [TEXT_KEYS] = "keys", [TEXT_GUEST_KEYMAP] = "guest_keymap", [TEXT_CLIPBOARD] = "clipboard",
    [TEXT_UNICODE] = "unicode", [TEXT_ALT] = "alt",   [TEXT_ALT_HEX] = "alt_hex",
};

#define AT(member) .offset = offsetof(struct action, member)
#define HAS(member) .has_offset = offsetof(struct action, member)
#define LIMITS(lo, hi) .has_limits = true, .min = lo, .max = hi
#define MILLISECONDS(n, member, lo, hi, def, t)                                                    \
    {                                                                                              \
        .name = n, .kind = ACTION_FIELD_INTEGER, AT(member), LIMITS(lo, hi), .default_json = def,  \
        .text = t                                                                                  \
    }
#define FLAG(n, member, def, t)                                                                    \
    {                                                                                              \
        .name = n, .kind = ACTION_FIELD_BOOLEAN, AT(member), .default_json = def, .text = t        \
    }
#define CHOICE(n, member, v, def, t)                                                               \
    {                                                                                              \
        .name = n, .kind = ACTION_FIELD_ENUM, AT(member), .values = v, .default_json = def,        \
        .text = t                                                                                  \
    }

#define POINT_HERE                                                                                 \
    {                                                                                              \
        .name = "x",                                                                               \
        .kind = ACTION_FIELD_NUMBER,                                                               \
        AT(x),                                                                                     \
        HAS(has_x),                                                                                \
        .text = "Where, in the request's coordinate space; without x and y, where the pointer is." \
    },                                                                                             \
    {                                                                                              \
        .name = "y", .kind = ACTION_FIELD_NUMBER, AT(y), HAS(has_y), .text = "See x."              \
    }
#define BUTTON CHOICE("button", button, button_names, "\"left\"", "The mouse button.")
#define HELD(n)                                                                                    \
    {                                                                                              \
        .name = n, .kind = ACTION_FIELD_CHORD, AT(held),                                           \
        .text = "Keys held down meanwhile, such as \"ctrl+shift\" or [\"ctrl\", \"shift\"]."       \
    }
#define REGION(t)                                                                                  \
    {                                                                                              \
        .name = "region", .kind = ACTION_FIELD_REGION, AT(region), HAS(has_region), .text = t      \
    }
#define SETTLE_TIMES                                                                               \
    MILLISECONDS("first_ms", first_ms, 0, ACTION_WAIT_MAX_MS, "1000",                              \
                 "How long a first change may take."),                                             \
        MILLISECONDS("quiet_ms", quiet_ms, 0, ACTION_WAIT_MAX_MS, "300",                           \
                     "How long nothing may change before the screen counts as settled."),          \
        MILLISECONDS("max_ms", max_ms, 0, ACTION_WAIT_MAX_MS, "5000", "When to give up.")
#define IMAGE                                                                                      \
    { .name = "width",                                                                             \
      .kind = ACTION_FIELD_INTEGER,                                                                \
      AT(width),                                                                                   \
      LIMITS(1, 8192),                                                                             \
      .text = "Width of the image in pixels; alone, the height follows the aspect." },             \
        { .name = "height",                                                                        \
          .kind = ACTION_FIELD_INTEGER,                                                            \
          AT(height),                                                                              \
          LIMITS(1, 8192),                                                                         \
          .text = "Height of the image in pixels." },                                              \
        CHOICE("format", format, format_names, "\"png\"", "The image's format."),                  \
        { .name = "quality",                                                                       \
          .kind = ACTION_FIELD_INTEGER,                                                            \
          AT(quality),                                                                             \
          LIMITS(1, 100),                                                                          \
          .default_json = "85",                                                                    \
          .text = "Quality of JPEG and WebP." },                                                   \
        FLAG("cursor", with_cursor, "true", "Whether the pointer is drawn."),                      \
        FLAG("settle", settle, "true",                                                             \
             "Whether to wait until the screen is quiet since the last input."),                   \
        SETTLE_TIMES,                                                                              \
    {                                                                                              \
        .name = "if_changed_since", .kind = ACTION_FIELD_FRAME, AT(if_changed_since),              \
        LIMITS(1, ACTION_FRAME_MAX),                                                               \
        .text = "A frame id: answers \"unchanged\" while it is current."                           \
    }

static const struct action_field move_fields[] = {
    { .name = "x",
      .kind = ACTION_FIELD_NUMBER,
      AT(x),
      HAS(has_x),
      .is_required = true,
      .text = "Where to, in the request's coordinate space." },
    { .name = "y",
      .kind = ACTION_FIELD_NUMBER,
      AT(y),
      HAS(has_y),
      .is_required = true,
      .text = "See x." },
    MILLISECONDS("duration_ms", duration_ms, 0, 10000, "0",
                 "Time of a straight move from where the pointer is; 0 jumps."),
    HELD("keys"),
};
static const struct action_field click_fields[] = {
    POINT_HERE,
    BUTTON,
    { .name = "count",
      .kind = ACTION_FIELD_INTEGER,
      AT(count),
      LIMITS(1, 3),
      .default_json = "1",
      .text = "2 is a double click, 3 a triple click." },
    HELD("keys"),
    MILLISECONDS("interval_ms", interval_ms, 0, 2000, "60", "Pause between clicks, at least 30."),
    MILLISECONDS("hold_ms", hold_ms, 0, 60000, "30", "How long the button is down, at least 30."),
};
static const struct action_field button_fields[] = { POINT_HERE, BUTTON };
static const struct action_field drag_fields[] = {
    { .name = "path",
      .kind = ACTION_FIELD_PATH,
      AT(path),
      .is_required = true,
      LIMITS(2, ACTION_PATH_MAX),
      .text = "Points from press to release, [x, y] or {\"x\", \"y\"}." },
    BUTTON,
    HELD("keys"),
    MILLISECONDS("hold_before_ms", hold_before_ms, 0, 60000, "30",
                 "Pause between press and motion."),
    MILLISECONDS("step_ms", step_ms, 1, 1000, "10", "Pause between two motion events."),
    MILLISECONDS("hold_after_ms", hold_after_ms, 0, 60000, "30",
                 "Pause between motion and release."),
};
static const struct action_field scroll_fields[] = {
    POINT_HERE,
    { .name = "direction",
      .kind = ACTION_FIELD_ENUM,
      AT(direction),
      HAS(has_direction),
      .values = direction_names,
      .text = "Which way, together with amount." },
    { .name = "amount",
      .kind = ACTION_FIELD_NUMBER,
      AT(amount),
      HAS(has_amount),
      LIMITS(0, 100000),
      .text = "How far, in units." },
    { .name = "dx",
      .kind = ACTION_FIELD_NUMBER,
      AT(dx),
      LIMITS(-100000, 100000),
      .default_json = "0",
      .text = "Instead of direction and amount: units to the right." },
    { .name = "dy",
      .kind = ACTION_FIELD_NUMBER,
      AT(dy),
      LIMITS(-100000, 100000),
      .default_json = "0",
      .text = "Units down." },
    CHOICE("unit", unit, unit_names, "\"notch\"",
           "A notch of the wheel, or a pixel: 120 make a notch, the rest is kept for the next "
           "scroll."),
    HELD("keys"),
};
static const struct action_field key_fields[] = {
    { .name = "keys",
      .kind = ACTION_FIELD_KEYS,
      AT(keys),
      .is_required = true,
      LIMITS(1, ACTION_CHORDS_MAX),
      .text =
          "A chord such as \"ctrl+shift+t\", or an array of chords pressed one after the other." },
    { .name = "repeat",
      .kind = ACTION_FIELD_INTEGER,
      AT(repeat),
      LIMITS(1, 100),
      .default_json = "1",
      .text = "How often." },
    HELD("hold"),
    MILLISECONDS("hold_ms", hold_ms, 0, 60000, "16", "How long each chord is down."),
};
static const struct action_field key_state_fields[] = {
    { .name = "keys",
      .kind = ACTION_FIELD_KEYS,
      AT(keys),
      .is_required = true,
      LIMITS(1, 1),
      .text = "A chord such as \"shift\" or \"ctrl+alt\"." },
};
static const struct action_field hold_key_fields[] = {
    { .name = "keys",
      .kind = ACTION_FIELD_KEYS,
      AT(keys),
      .is_required = true,
      LIMITS(1, 1),
      .text = "A chord." },
    { .name = "duration_ms",
      .kind = ACTION_FIELD_INTEGER,
      AT(duration_ms),
      .is_required = true,
      LIMITS(0, ACTION_WAIT_MAX_MS),
      .text = "How long it is down." },
};
static const struct action_field type_fields[] = {
    { .name = "text",
      .kind = ACTION_FIELD_STRING,
      AT(text),
      .is_required = true,
      LIMITS(0, ACTION_TEXT_MAX),
      .text = "UTF-8; a newline is Return, a tab is Tab." },
    FLAG("press_enter", press_enter, "false", "Whether to press Return at the end."),
    MILLISECONDS("delay_ms", delay_ms, 0, 1000, "0",
                 "Pause after each character; 0 is as fast as a guest takes them."),
    FLAG("secret", is_secret, "false", "Keeps the text out of recordings and logs."),
    CHOICE("route", route, text_route_names, "\"auto\"",
           "How: `keys` of the layout and nothing else; `guest_keymap`, by the helper in the guest's desktop; `clipboard`, "
           "pasted, after which the clipboard has its text or picture again; or the layout's keys, and what they lack as "
           "`unicode` (ctrl+shift+u, for GTK and IBus), `alt` (Alt codes of code page 1252, for Windows) or `alt_hex` (Alt "
           "with keypad + and the number, where Windows is set up for it). `auto` takes the keys; for a text that they "
           "lack the helper, or in a Windows `alt`, or `clipboard` for what that lacks."),
    { .name = "paste_keys", .kind = ACTION_FIELD_CHORD, AT(paste_keys), .default_json = "\"ctrl+v\"",
      .text = "What pastes, for the clipboard; in most terminals it is \"ctrl+shift+v\"." },
};
static const struct action_field wait_fields[] = {
    { .name = "duration_ms",
      .kind = ACTION_FIELD_INTEGER,
      AT(duration_ms),
      .is_required = true,
      LIMITS(0, ACTION_WAIT_MAX_MS),
      .text = "How long." },
};
static const struct action_field wait_for_fields[] = {
    CHOICE("kind", kind, wait_names, "\"settled\"",
           "Until the screen is quiet, until it changes, until a pixel has a colour, until a picture or a text "
           "is on it, or until a window has a title."),
    SETTLE_TIMES,
    REGION("Only what is inside counts."),
    { .name = "x", .kind = ACTION_FIELD_NUMBER, AT(x), HAS(has_x), .text = "Of a pixel." },
    { .name = "y", .kind = ACTION_FIELD_NUMBER, AT(y), HAS(has_y), .text = "Of a pixel." },
    { .name = "color", .kind = ACTION_FIELD_STRING, LIMITS(7, 7), .text = "Of a pixel: #rrggbb." },
    { .name = "picture", .kind = ACTION_FIELD_STRING, LIMITS(4, 1400000),
      .text = "Of an image: a PNG in base64; transparent pixels match anything." },
    { .name = "tolerance", .kind = ACTION_FIELD_INTEGER, LIMITS(0, 255),
      .text = "By how much each channel may differ; without it 0 for a pixel, 24 for an image." },
    { .name = "min_score", .kind = ACTION_FIELD_NUMBER, LIMITS(0.5, 1), .default_json = "0.95",
      .text = "Share of an image's pixels that must match." },
    { .name = "text", .kind = ACTION_FIELD_STRING, LIMITS(1, 256),
      .text = "Of text: part of a line on the screen, whatever the spaces; of window: part of a title." },
    { .name = "absent", .kind = ACTION_FIELD_BOOLEAN, .default_json = "false",
      .text = "Until it is not there." },
};
static const struct action_field screenshot_fields[] = { REGION("The part to show."), IMAGE };
static const struct action_field zoom_fields[] = {
    { .name = "region",
      .kind = ACTION_FIELD_REGION,
      AT(region),
      HAS(has_region),
      .is_required = true,
      .text = "The part to show, cut from the full resolution." },
    IMAGE,
};

#define ROW(f) .fields = f, .n_fields = ARRAY_LEN(f)

const struct action_row action_table[ACTION_COUNT] = {
    [ACTION_MOVE] = { "move", "Moves the pointer.", ROW(move_fields) },
    [ACTION_CLICK] = { "click", "Moves the pointer, when x and y are given, and clicks.",
                       ROW(click_fields) },
    [ACTION_BUTTON_DOWN] = { "button_down", "Presses a mouse button, which stays down.",
                             ROW(button_fields) },
    [ACTION_BUTTON_UP] = { "button_up", "Releases a mouse button.", ROW(button_fields) },
    [ACTION_DRAG] = { "drag",
                      "Presses at the first point, moves along the path, releases at the last.",
                      ROW(drag_fields) },
    [ACTION_SCROLL] = { "scroll", "Turns the wheel: direction and amount, or dx and dy.",
                        ROW(scroll_fields) },
    [ACTION_KEY] = { "key", "Presses and releases a chord or a sequence of chords.",
                     ROW(key_fields) },
    [ACTION_KEY_DOWN] = { "key_down", "Presses keys, which stay down.", ROW(key_state_fields) },
    [ACTION_KEY_UP] = { "key_up", "Releases keys that key_down pressed.", ROW(key_state_fields) },
    [ACTION_HOLD_KEY] = { "hold_key", "Holds a chord down for a time.", ROW(hold_key_fields) },
    [ACTION_TYPE] = { "type", "Types text on the guest's keyboard layout, all of it or nothing. What "
                      "the layout lacks goes another way (`route`), in any script; where there is none "
                      "it is `untypable`.",
                      ROW(type_fields) },
    [ACTION_WAIT] = { "wait", "Waits for a fixed time.", ROW(wait_fields) },
    [ACTION_WAIT_FOR] = { "wait_for", "Waits until the screen has settled, changed, or shows something.",
                          ROW(wait_for_fields) },
    [ACTION_SCREENSHOT] = { "screenshot", "Takes a screenshot.", ROW(screenshot_fields) },
    [ACTION_ZOOM] = { "zoom", "Takes a screenshot of a region at full resolution.",
                      ROW(zoom_fields) },
    [ACTION_CURSOR_POSITION] = { "cursor_position", "Answers where the pointer is.", NULL, 0 },
    [ACTION_RELEASE_ALL] = { "release_all", "Releases every key and button that is held.", NULL,
                             0 },
};
