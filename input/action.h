/* The action vocabulary: what an agent may ask for, from JSON to a struct.
 *
 * One table (input/action-table.c) holds every action with its fields, types, limits and texts. The
 * parser walks it, and so do the OpenAPI document and docs/api.md. An action is an object whose
 * "type" names a row, e.g. {"type": "click", "x": 10, "y": 20}. Fields that the row lacks are
 * errors (unknown_field), as are absent required ones (missing_field), wrong types (bad_type) and
 * values outside their limits (bad_value); key names give unknown_key. Coordinates are numbers in
 * the request's space (input/space.h) and are checked against the screen only when the action is
 * planned. screenshot, zoom and wait_for are parsed here and carried out by farm/. */
#pragma once

#include "base/json.h"
#include "input/key-name.h"
#include "input/sink.h"

enum {
    ACTION_TEXT_MAX = 65536, /* bytes of UTF-8 */
    ACTION_PATH_MAX = 1000,  /* points of a drag */
    ACTION_CHORDS_MAX = 100, /* chords of one key action */
    ACTION_WAIT_MAX_MS = 300000,
    ACTION_SCROLL_MAX = 100, /* notches */
};

enum action_type {
    ACTION_MOVE,
    ACTION_CLICK,
    ACTION_BUTTON_DOWN,
    ACTION_BUTTON_UP,
    ACTION_DRAG,
    ACTION_SCROLL,
    ACTION_KEY,
    ACTION_KEY_DOWN,
    ACTION_KEY_UP,
    ACTION_HOLD_KEY,
    ACTION_TYPE,
    ACTION_WAIT,
    ACTION_WAIT_FOR,
    ACTION_SCREENSHOT,
    ACTION_ZOOM,
    ACTION_CURSOR_POSITION,
    ACTION_RELEASE_ALL,
    ACTION_COUNT
};

enum scroll_direction { SCROLL_UP, SCROLL_DOWN, SCROLL_LEFT, SCROLL_RIGHT };
enum scroll_unit { SCROLL_NOTCH, SCROLL_PIXEL }; /* 120 pixels are one notch */
enum wait_kind { WAIT_SETTLED, WAIT_CHANGE, WAIT_PIXEL, WAIT_IMAGE, WAIT_TEXT, WAIT_WINDOW };
/* How a text goes into the guest; text_route_names has them as the vocabulary does. The last three type what the
 * layout has by its keys, and only the rest in their way (input/entry.h). */
enum text_route {
    TEXT_AUTO,         /* the caller does not mind */
    TEXT_KEYS,         /* the layout's keys, or not at all */
    TEXT_GUEST_KEYMAP, /* a helper in the guest's desktop types it */
    TEXT_CLIPBOARD,    /* pasted; the clipboard is given back */
    TEXT_UNICODE,
    TEXT_ALT,
    TEXT_ALT_HEX,
    TEXT_COUNT
};
enum image_format { IMAGE_PNG, IMAGE_JPEG, IMAGE_WEBP };

struct action_point {
    double x, y; /* in the request's space */
};

struct action_region {
    double x, y, width, height; /* in the request's space */
};

/* Chords played one after the other. */
#define ACTION_FRAME_MAX 9007199254740991.0 /* 2^53 - 1: what a JSON number holds exactly */

struct action_keys {
    struct chord *chords;
    size_t n_chords;
};

struct action_path {
    struct action_point *points;
    size_t n_points;
};

/* Fields that an action lacks are zero; optional ones that were left out hold their default. Which
 * fields count is the table's business. Durations are milliseconds. */
struct action {
    enum action_type type;

    bool has_x, has_y; /* both or none, except that move has both */
    double x, y;
    struct chord
        held; /* "keys" of pointer actions, "hold" of key: pressed around everything else */

    int button;      /* enum button */
    int count;       /* clicks, 1–3 */
    int interval_ms; /* between clicks */
    int hold_ms;     /* button or key down, 0 for a key action's default */
    int duration_ms; /* move, hold_key, wait */

    struct action_path path; /* drag */
    int hold_before_ms, step_ms, hold_after_ms;

    bool has_direction, has_amount; /* scroll: direction and amount, or dx and dy */
    int direction;                  /* enum scroll_direction */
    double amount;
    double dx, dy; /* positive is right and down */
    int unit;      /* enum scroll_unit */

    struct action_keys keys; /* key: a sequence; key_down, key_up, hold_key: exactly one chord */
    int repeat;

    char *text; /* type; valid UTF-8 without NUL, owned */
    size_t text_size;
    bool press_enter, is_secret;
    int route;               /* enum text_route */
    struct chord paste_keys; /* what pastes */
    int delay_ms; /* per character, 0: as fast as the guest takes them */

    int kind; /* wait_for: enum wait_kind */
    int first_ms, quiet_ms, max_ms;
    json_t *wanted; /* wait_for: the object itself, for fields that have no place here; owned */

    bool has_region;
    struct action_region region;
    int width, height; /* of the image, 0: not scaled; one alone keeps the aspect */
    int format;        /* enum image_format */
    int quality;       /* 1–100, JPEG and WebP */
    bool with_cursor, settle;
    int64_t if_changed_since; /* frame id, 0: none */
};

/* Parses one action. where ("actions[2]") starts every message: "actions[2].x: …". On success the
 * caller owns ret and calls action_deinit; on failure ret is empty. The object is only read. */
int action_parse(struct action *ret, const json_t *object, const char *where, struct error *err);
void action_deinit(struct action *self);

/* Whether it injects input or waits by itself, that is, whether input_play takes it. The others
 * (wait_for, screenshot, zoom) are farm's. */
bool action_is_played(const struct action *self);
/* Whether it changes the guest, so that a viewer may not do it. */
bool action_is_control(const struct action *self);

/* --- The table, for documents ----------------------------------------------------------------- */

enum action_field_kind {
    ACTION_FIELD_NUMBER,  /* double; min and max count, none for coordinates (has_limits false) */
    ACTION_FIELD_INTEGER, /* int; min and max count */
    ACTION_FIELD_FRAME,   /* int64_t; a frame id */
    ACTION_FIELD_BOOLEAN,
    ACTION_FIELD_ENUM,   /* one of values */
    ACTION_FIELD_STRING, /* at most max bytes */
    ACTION_FIELD_CHORD,  /* keys to hold: "ctrl+shift", or an array of single key names */
    ACTION_FIELD_KEYS,   /* a chord, or an array of at most max chords in sequence */
    ACTION_FIELD_PATH,   /* array of min to max points, [x, y] or {"x", "y"} */
    ACTION_FIELD_REGION, /* {"x", "y", "width", "height"} */
};

struct action_field {
    const char *name;
    enum action_field_kind kind;
    bool is_required, has_limits;
    double min, max;
    const char *const *values; /* ENUM: NULL-terminated */
    const char *default_json;  /* as JSON text, NULL: none */
    const char *text;          /* one sentence for documents */
    size_t offset, has_offset; /* where in struct action; 0: nowhere, only checked; no flag */
};

struct action_row {
    const char *name;
    const char *text; /* one or two sentences for documents */
    const struct action_field *fields;
    size_t n_fields;
};

/* Indexed by enum text_route; NULL ends it. */
extern const char *const text_route_names[TEXT_COUNT + 1];

/* Indexed by enum action_type. */
extern const struct action_row action_table[ACTION_COUNT];

/* The table as a JSON schema (OpenAPI 3.1): {"oneOf": [one object schema per action]}. The caller
 * owns it. NULL when memory is short. */
json_t *action_schema(void);
