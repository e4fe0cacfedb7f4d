#include "api/table-sight.h"

#define FIELDS (const struct api_field[])
#define VALUES (const char *const[])
#define END { .name = NULL }

static const struct api_field rect_fields[] = {
    { .name = "x", .type = API_NUMBER, .is_required = true, .max = SIZE_MAX_PX, .text = "Left edge." },
    { .name = "y", .type = API_NUMBER, .is_required = true, .max = SIZE_MAX_PX, .text = "Top edge." },
    { .name = "width", .type = API_NUMBER, .is_required = true, .max = SIZE_MAX_PX, .text = "Width." },
    { .name = "height", .type = API_NUMBER, .is_required = true, .max = SIZE_MAX_PX, .text = "Height." },
    END,
};

static const struct api_field point_fields[] = {
    { .name = "x", .type = API_NUMBER, .text = "To the right." },
    { .name = "y", .type = API_NUMBER, .text = "Down." },
    END,
};

static const struct api_field size_fields[] = {
    { .name = "width", .type = API_INTEGER, .text = "In pixels." },
    { .name = "height", .type = API_INTEGER, .text = "In pixels." },
    END,
};

#define SPACE                                                                                      \
    { .name = "space", .type = API_STRING, .values = VALUES{ "native", "frame", "norm1000", "norm1", NULL }, \
      .fallback = "\"native\"", .text = "Of `region`, and of the places in the answer; as in `desktop_actions`." }, \
    { .name = "image", .type = API_STRING, .max = 127, .text = "For space `frame`, as in `desktop_actions`." }
#define REGION(what) { .name = "region", .type = API_OBJECT, .fields = rect_fields, .text = what }
#define PLACE                                                                                      \
    { .name = "x", .type = API_NUMBER, .text = "Left edge, in the space that was asked for." },    \
    { .name = "y", .type = API_NUMBER, .text = "Top edge." },                                      \
    { .name = "width", .type = API_NUMBER, .text = "Width." },                                     \
    { .name = "height", .type = API_NUMBER, .text = "Height." },                                   \
    { .name = "point", .type = API_OBJECT, .fields = point_fields, .text = "Its middle: where to click." }, \
    { .name = "native", .type = API_OBJECT, .fields = rect_fields, .text = "The same in native pixels." }
#define FRAME { .name = "frame", .type = API_INTEGER, .text = "Id of the frame that was looked at." }
#define SCREEN { .name = "screen", .type = API_OBJECT, .fields = size_fields, .text = "Size of that frame." }
#define RECTS(n, what)                                                                             \
    { .name = n, .type = API_ARRAY, .text = what,                                                  \
      .element = &(const struct api_field){ .type = API_OBJECT, .fields = rect_fields } }

const struct api_field api_find_sight_body[] = {
    { .name = "text", .type = API_STRING, .min = 1, .max = 256,
      .text = "Part of a line. Spaces do not count, nor does the case of ASCII letters. Without `text` and "
              "`picture` every line on the screen is told." },
    PICTURE("Instead of a text: "),
    TOLERANCE,
    MIN_SCORE,
    REGION("Only here."),
    SPACE,
    { .name = "limit", .type = API_INTEGER, .min = 1, .max = 1000,
      .text = "At most so many. Default: 20; 1000 when all lines are told. Of a picture never more than 100." },
    END,
};

static const struct api_field match_fields[] = {
    PLACE,
    { .name = "score", .type = API_NUMBER, .text = "0 to 1: of a text the reader's confidence in its worst word." },
    { .name = "text", .type = API_STRING, .text = "The words that hold the text, as they were read." },
    END,
};

const struct api_field api_find_sight_result[] = {
    { .name = "matches", .type = API_ARRAY, .text = "Pictures best first, texts in reading order.",
      .element = &(const struct api_field){ .type = API_OBJECT, .fields = match_fields } },
    FRAME,
    SCREEN,
    END,
};

const struct api_field api_marks_body[] = {
    { .name = "sources", .type = API_ARRAY, .min = 1, .max = 2,
      .element = &(const struct api_field){ .type = API_STRING, .values = VALUES{ "text", "accessibility", NULL } },
      .text = "What is marked: lines of text that are read off the screen, and controls that the guest's programs "
              "tell of. Default: both, without accessibility where the guest has none or is late: see `accessibility` of the answer." },
    REGION("Only what lies here."),
    SPACE,
    { .name = "limit", .type = API_INTEGER, .min = 1, .max = 500, .fallback = "200", .text = "At most so many." },
    { .name = "screenshot", .type = API_OBJECT, .fields = api_shot_fields,
      .text = "How the picture is made; there is always one, so `if_changed_since` is refused." },
    END,
};

static const struct api_field mark_fields[] = {
    { .name = "number", .type = API_INTEGER, .text = "As drawn." },
    PLACE,
    { .name = "source", .type = API_STRING, .text = "`text` or `accessibility`." },
    { .name = "text", .type = API_STRING, .text = "What was read." },
    { .name = "score", .type = API_NUMBER, .text = "The reader's confidence, 0 to 1." },
    { .name = "role", .type = API_STRING, .text = "Of a control." },
    { .name = "name", .type = API_STRING, .text = "Of a control." },
    { .name = "node", .type = API_STRING, .text = "Of a control: its id for `a11y_invoke`." },
    END,
};

static const struct api_field nodes_fields[] = {
    { .name = "state", .type = API_STRING, .values = VALUES{ "complete", "partial", "late", "missing", NULL },
      .text = "What the guest's programs told: all; not all; nothing in time; nothing, there is nobody to ask." },
    { .name = "message", .type = API_STRING, .text = "Why not all." },
    { .name = "silent", .type = API_ARRAY, .element = &(const struct api_field){ .type = API_STRING },
      .text = "The programs that did not answer." },
    END,
};

const struct api_field api_marks_result[] = {
    { .name = "marks", .type = API_ARRAY, .text = "The boxes.",
      .element = &(const struct api_field){ .type = API_OBJECT, .fields = mark_fields } },
    { .name = "accessibility", .type = API_OBJECT, .fields = nodes_fields, .text = "When it was asked." },
    { .name = "image", .type = API_OBJECT, .text = "The picture, as in `desktop_screenshot`." },
    FRAME,
    SCREEN,
    END,
};

const struct api_field api_compare_query[] = {
    { .name = "since", .type = API_INTEGER, .is_required = true, .min = 1, .max = FRAME_MAX, .text = "A frame id." },
    { .name = "until", .type = API_INTEGER, .min = 1, .max = FRAME_MAX, .text = "Another. Default: what is shown now." },
    END,
};

const struct api_field api_compare_result[] = {
    { .name = "known", .type = API_STRING, .values = VALUES{ "pixels", "tiles", "gone", NULL },
      .text = "How much of frame `since` is kept: all of it; what changed to 64 pixels; nothing." },
    RECTS("changed", "Where they differ, in native pixels. Empty when `gone`."),
    { .name = "difference", .type = API_NUMBER,
      .text = "With `pixels`: 1 - SSIM of the whole screen, 0 when they are equal, 1 when they have nothing in common." },
    { .name = "changed_share", .type = API_NUMBER, .text = "With `pixels`: the share of pixels that differ." },
    { .name = "color", .type = API_NUMBER, .text = "With `pixels`: how far their colours are apart on average, 0 to 1." },
    FRAME,
    SCREEN,
    END,
};

static const struct api_field condition_fields[] = {
    { .name = "name", .type = API_STRING, .max = 63, .text = "Comes back in its events." },
    { .name = "for", .type = API_STRING, .is_required = true,
      .values = VALUES{ "settled", "change", "pixel", "image", "text", "window", NULL },
      .text = "As in `desktop_wait`." },
    REGION("Only this part of the screen, in native pixels."),
    CONDITION_FIELDS,
    { .name = "since", .type = API_INTEGER, .max = FRAME_MAX, .text = "Of `change`: a frame id; default: from now on." },
    { .name = "quiet_ms", .type = API_INTEGER, .max = 60000, .fallback = "300", .text = "Of `settled`." },
    END,
};

const struct api_field api_watch_body[] = {
    { .name = "conditions", .type = API_ARRAY, .is_required = true, .min = 1, .max = 16,
      .element = &(const struct api_field){ .type = API_OBJECT, .fields = condition_fields },
      .text = "What to wait for, all at once." },
    { .name = "repeat", .type = API_BOOLEAN, .fallback = "false",
      .text = "Go on until `max_ms`: a condition that was told counts again once it has been false." },
    { .name = "max_ms", .type = API_INTEGER, .min = 1, .max = 3600000, .fallback = "60000", .text = "The longest watch." },
    END,
};

const struct api_field api_found_fields[] = {
    { .name = "frame", .type = API_INTEGER, .text = "The frame in which it was so." },
    { .name = "matches", .type = API_ARRAY, .text = "Of `image` and `text`: where, in native pixels.",
      .element = &(const struct api_field){ .type = API_OBJECT, .fields = match_fields } },
    { .name = "color", .type = API_STRING, .text = "Of `pixel`." },
    { .name = "window", .type = API_OBJECT, .text = "Of `window`, as in `window_list`." },
    RECTS("changed", "Of `change`."),
    END,
};

const struct api_field api_sight_event[] = {
    { .name = "type", .type = API_STRING, .values = VALUES{ "begin", "fired", "failed", "end", NULL }, .text = "What it tells." },
    { .name = "index", .type = API_INTEGER, .text = "Of the condition." },
    { .name = "name", .type = API_STRING, .text = "Of the condition, as given." },
    { .name = "for", .type = API_STRING, .text = "Of the condition." },
    { .name = "frame", .type = API_INTEGER, .text = "The frame in which it was so; at begin and end the one that is shown." },
    { .name = "found", .type = API_OBJECT, .fields = api_found_fields, .text = "What was waited for." },
    { .name = "settle", .type = API_OBJECT, .text = "Of `settled`: what the screen did." },
    { .name = "waited_ms", .type = API_NUMBER, .text = "Since the beginning." },
    { .name = "code", .type = API_STRING, .text = "Why it failed." },
    { .name = "message", .type = API_STRING, .text = "The same for people." },
    { .name = "result", .type = API_STRING, .values = VALUES{ "done", "timed_out", NULL }, .text = "At the end." },
    { .name = "missed", .type = API_INTEGER, .text = "Events before this one that the caller did not read in time." },
    END,
};
