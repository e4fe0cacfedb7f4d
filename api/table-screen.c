/* Fields of the operations on the screen: screenshots, waits, actions. Places and sizes are native
 * pixels unless a field says otherwise. The rows are in rows-screen.h. */
#include "api/table-sight.h"

#define FIELDS (const struct api_field[])
#define VALUES (const char *const[])
#define END { .name = NULL }

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
static const struct api_field object_element = { .type = API_OBJECT };

static const char *const formats[] = { "png", "jpeg", "webp", NULL };

#define FORMAT { .name = "format", .type = API_STRING, .values = formats, .fallback = "\"png\"",   \
                 .text = "Encoding of the image." }
#define QUALITY { .name = "quality", .type = API_INTEGER, .min = 1, .max = 100, .fallback = "85",  \
                  .text = "Of jpeg and webp." }
#define SCALE { .name = "scale", .type = API_NUMBER, .min = 0.05, .max = 4,                        \
                .text = "Size of the image relative to the region; instead of a width and height." }
#define CURSOR { .name = "cursor", .type = API_BOOLEAN, .fallback = "true",                        \
                 .text = "Whether the pointer is drawn in." }
#define IF_CHANGED { .name = "if_changed_since", .type = API_INTEGER, .max = FRAME_MAX,            \
                     .text = "A frame id: when what the image would show is the same as in it, no image is sent." }
#define CROP { .name = "crop", .type = API_BOOLEAN, .fallback = "false",                           \
               .text = "With `if_changed_since`: the image shows only the part that holds the changes, at the " \
                       "scale of the whole. All of it when that frame is not kept any more." }
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

const struct api_field api_shot_fields[] = {
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
    CROP,
    END,
};

static const struct api_field since_fields[] = {
    { .name = "frame", .type = API_INTEGER, .text = "As asked." },
    { .name = "known", .type = API_STRING, .values = VALUES{ "pixels", "tiles", "gone", NULL },
      .text = "How much of that frame is kept, see `desktop_compare`." },
    { .name = "changed", .type = API_ARRAY, .element = &rect_element, .text = "What changed, in native pixels." },
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
    { .name = "since", .type = API_OBJECT, .fields = since_fields,
      .text = "With `if_changed_since`: what changed since." },
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
    { .name = "in_frame", .type = API_BOOLEAN,
      .text = "Whether the guest draws it into the picture itself: then every screenshot has it." },
    END,
};

#define SCREEN { .name = "screen", .type = API_OBJECT, .is_nullable = true, .fields = size_fields, \
                 .text = "Size of the screen." }
#define POINTER { .name = "cursor", .type = API_OBJECT, .is_nullable = true, .fields = cursor_fields, \
                  .text = "The pointer, when it is known." }
#define FRAME { .name = "frame", .type = API_INTEGER, .text = "Id of the frame that is shown." }
#define IMAGE { .name = "image", .type = API_OBJECT, .fields = image_fields,                       \
                .text = "The screenshot, when one was asked for and something changed." }

const struct api_field api_display_fields[] = {
    { .name = "width", .type = API_INTEGER, .text = "Of the screen, in pixels." },
    { .name = "height", .type = API_INTEGER, .text = "Of the screen, in pixels." },
    { .name = "screen", .type = API_STRING, .values = VALUES{ "unknown", "off", "on", NULL },
      .text = "Whether the guest shows a picture; `unknown` while nobody looks." },
    { .name = "ready", .type = API_BOOLEAN, .text = "Whether screenshots and actions work." },
    { .name = "up", .type = API_BOOLEAN, .is_nullable = true,
      .text = "Whether the guest says that its desktop is there; null when its image never does." },
    AGENT,
    FRAME,
    { .name = "epoch", .type = API_INTEGER, .text = "Changes whenever the screen's size does." },
    { .name = "layout", .type = API_STRING, .text = "Keyboard layout that text is typed in." },
    POINTER,
    END,
};

/* --- Actions, screenshots, waits ----------------------------------------------------------------- */

const struct api_field api_actions_body[] = {
    { .name = "actions", .type = API_ARRAY, .is_required = true, .element = &object_element,
      .min = 1, .max = 100,
      .text = "Done in order; the first that fails ends the batch. See Actions." },
    { .name = "space", .type = API_STRING,
      .values = VALUES{ "native", "frame", "norm1000", "norm1", NULL },
      .fallback = "\"native\"",
      .text = "Of all coordinates: pixels of the screen, pixels of the image named by `image`, "
              "0–1000, or 0–1." },
    { .name = "image", .type = API_STRING, .max = 127,
      .text = "For space `frame`: the id of an image that was sent, or a size such as `1280x720`: an "
              "image of the whole screen, whatever it showed." },
    { .name = "stale", .type = API_STRING, .values = VALUES{ "allow", "warn", "refuse", NULL },
      .fallback = "\"allow\"",
      .text = "For space `frame` with an image's id, when what is at an action's place has changed since that "
              "image: act, act and tell (`stale` of the result: `changed`, or `unknown` when the frame is not "
              "kept any more), or fail with `stale_frame`." },
    { .name = "partial", .type = API_BOOLEAN, .fallback = "false",
      .text = "When an action cannot be done, do those before it; default: do nothing then. Either way "
              "`failed_action` of the error is its index." },
    { .name = "settle", .type = API_OBJECT, .or_false = true, .fields = settle_fields,
      .text = "When the answer's screenshot is taken; false: at once." },
    { .name = "screenshot", .type = API_OBJECT, .or_false = true, .fields = api_shot_fields,
      .text = "The answer's screenshot; false: none." },
    { .name = "queue_ms", .type = API_INTEGER, .max = 60000, .fallback = "0",
      .text = "How long to wait for another batch to end; after that `busy`." },
    END,
};

const struct api_field api_screenshot_query[] = {
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
    CROP,
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

const struct api_field api_wait_body[] = {
    { .name = "for", .type = API_STRING, .is_required = true,
      .values = VALUES{ "up", "settled", "change", "pixel", "image", "text", "window", NULL },
      .text = "`up`: until the guest says that its desktop is there (where the image does, see "
              "`desktop.up`), and it settled. `settled`: until nothing changes any more. `change`: "
              "until something differs from `since`. `pixel`: until a pixel has a colour. `image`: "
              "until a picture is on the screen. `text`: until a text is. `window`: until a window has a "
              "title (asked of the guest's agent whenever the screen changes)." },
    FIRST_MS,
    QUIET_MS(60000),
    MAX_MS(600000, "30000"),
    REGION("Only this part of the screen counts."),
    MASKS,
    CONDITION_FIELDS,
    { .name = "since", .type = API_INTEGER, .max = FRAME_MAX,
      .text = "A frame id; default: the one shown now." },
    { .name = "screenshot", .type = API_OBJECT, .or_false = true, .fields = api_shot_fields,
      .fallback = "false",
      .text = "A screenshot with the answer." },
    END,
};

#define WIDTH { .name = "width", .type = API_INTEGER, .is_required = true, .min = 320, .max = SIZE_MAX_PX, .text = "Pixels." }
#define HEIGHT { .name = "height", .type = API_INTEGER, .is_required = true, .min = 200, .max = SIZE_MAX_PX, .text = "Pixels." }

const struct api_field api_screen_size[] = { WIDTH, HEIGHT, END };
const struct api_field api_resize_body[] = { WIDTH, HEIGHT, MAX_MS(300000, "10000"), END };

/* --- Answers ------------------------------------------------------------------------------------ */

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

const struct api_field api_wait_result[] = {
    { .name = "result", .type = API_STRING,
      .text = "`settled`, `changed`, `found`, `gone` (with `absent`), `resized` or `timed_out`." },
    { .name = "found", .type = API_OBJECT, .fields = api_found_fields, .text = "What was waited for." },
    { .name = "waited_ms", .type = API_NUMBER, .text = "How long the wait took." },
    { .name = "settle", .type = API_OBJECT, .fields = settle_result,
      .text = "What the screen did." },
    IMAGE,
    FRAME,
    SCREEN,
    POINTER,
    END,
};

const struct api_field api_changed_result[] = {
    { .name = "changed", .type = API_BOOLEAN, .text = "False: the named frame is still shown." },
    IMAGE,
    { .name = "settle", .type = API_OBJECT, .fields = settle_result,
      .text = "What the screen did." },
    FRAME,
    SCREEN,
    POINTER,
    END,
};

static const struct api_field result_fields[] = {
    { .name = "index", .type = API_INTEGER, .text = "Of the action." },
    { .name = "type", .type = API_STRING, .text = "Of the action." },
    { .name = "effect", .type = API_STRING,
      .values = VALUES{ "confirmed", "no_visible_effect", "partial", "refused", NULL },
      .text = "`confirmed`: the screen changed after it, the focused window said that it had read the text, or an "
              "action that looks or waits has what it wanted. `no_visible_effect`: done, and nothing changed until the "
              "next action that sends something, or the answer. `partial`: it failed after its first event. `refused`: "
              "nothing of it was sent." },
    { .name = "queued_us", .type = API_INTEGER, .text = "When it was begun." },
    { .name = "injected_us", .type = API_ARRAY, .element = &(const struct api_field){ .type = API_INTEGER },
      .text = "Its first and last event." },
    { .name = "first_damage_us", .type = API_INTEGER, .text = "The first change of the screen after its first event." },
    { .name = "last_damage_us", .type = API_INTEGER, .text = "The last one." },
    { .name = "damaged_tiles", .type = API_INTEGER,
      .text = "How many tiles of 64x64 pixels changed, each as often as it did; blinkers do not count." },
    { .name = "watched_us", .type = API_INTEGER, .text = "How long it was watched." },
    { .name = "characters", .type = API_INTEGER,
      .text = "Of `type`: how many arrived. By keys: that the guest's X server has read, where the guest can say so and the "
              "text is longer than a word; else that its keyboard took." },
    { .name = "route", .type = API_STRING,
      .values = VALUES{ "keys", "guest_keymap", "clipboard", "unicode", "alt", "alt_hex", NULL },
      .text = "Of `type`: `keys` of the guest's layout, dead keys among them; a keymap that the guest's desktop made "
              "for a moment; its clipboard; or keys, and what the layout lacks by `unicode`, `alt` or `alt_hex`, as the "
              "action says." },
    { .name = "routes", .type = API_MAP, .element = &(const struct api_field){ .type = API_INTEGER },
      .text = "Of `type`: how many characters came by each route." },
    { .name = "confirmed", .type = API_BOOLEAN,
      .text = "Of `type` by `guest_keymap` or `clipboard`: whether the focused program has read the text." },
    { .name = "x", .type = API_NUMBER, .text = "Where the pointer was left, in the request's space." },
    { .name = "y", .type = API_NUMBER, .text = "See x." },
    { .name = "native", .type = API_ARRAY, .element = &(const struct api_field){ .type = API_INTEGER },
      .text = "The same in native pixels." },
    { .name = "stale", .type = API_STRING, .text = "See `stale` of the request." },
    { .name = "result", .type = API_STRING, .text = "Of `wait_for`: what ended it." },
    { .name = "found", .type = API_OBJECT, .fields = api_found_fields, .text = "Of `wait_for`: what was waited for." },
    { .name = "settle", .type = API_OBJECT, .fields = settle_result, .text = "Of `wait_for`: what the screen did." },
    { .name = "changed", .type = API_BOOLEAN, .text = "Of `screenshot` and `zoom`." },
    { .name = "image", .type = API_OBJECT, .fields = image_fields, .text = "Of `screenshot` and `zoom`." },
    END,
};
static const struct api_field result_element = { .type = API_OBJECT, .fields = result_fields };

const struct api_field api_actions_result[] = {
    { .name = "results", .type = API_ARRAY, .element = &result_element,
      .text = "One per action that was done, and the one that failed or was refused, also of an error." },
    { .name = "settle", .type = API_OBJECT, .fields = settle_result,
      .text = "What the screen did." },
    { .name = "changed", .type = API_BOOLEAN,
      .text = "False: the frame of `if_changed_since` is still shown." },
    IMAGE,
    FRAME,
    SCREEN,
    POINTER,
    END,
};
