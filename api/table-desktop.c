/* What the guest's own desktop takes and gives. Places are native pixels of the screen, ids are the
 * guest's: of a window as long as it is open, of a node as long as its program shows it. */
#include "api/table-desktop.h"

#define FIELDS (const struct api_field[])
#define VALUES (const char *const[])
#define END { .name = NULL }

#define TEXT_MAX (4 * 1024 * 1024)
#define NODE_ID_MAX 159
#define PLACE_MAX 32767

#define ID_FIELD { .name = "id", .type = API_STRING, .is_required = true, .min = 1, .max = 31,     \
                   .text = "Id of the sandbox." }
#define WAIT_MS(limit, preset, what) { .name = "wait_ms", .type = API_INTEGER, .max = limit,       \
                                       .fallback = preset, .text = what }
#define WITHIN_MS { .name = "within_ms", .type = API_INTEGER, .min = 1, .max = 60000,              \
                    .fallback = "5000",                                                            \
                    .text = "How long programs may take; then what there is is answered." }

static const char *const selections[] = { "clipboard", "primary", NULL };

#define SELECTION { .name = "selection", .type = API_STRING, .values = selections,                 \
                    .fallback = "\"clipboard\"",                                                   \
                    .text = "`primary` is what was marked last, pasted by the middle button." }

/* --- Clipboard -------------------------------------------------------------------------------- */

const struct api_field api_clipboard_query[] = {
    SELECTION,
    { .name = "type", .type = API_STRING, .values = VALUES{ "text", "image", NULL },
      .fallback = "\"text\"", .text = "What to ask for." },
    END,
};

const struct api_field api_clipboard_body[] = {
    { .name = "text", .type = API_STRING, .max = TEXT_MAX, .text = "Text." },
    { .name = "image", .type = API_STRING, .max = 6 * 1024 * 1024,
      .text = "Instead of text: a PNG in base64." },
    SELECTION,
    END,
};

const struct api_field api_clipboard_result[] = {
    { .name = "type", .type = API_STRING, .is_nullable = true,
      .text = "`text` or `image`; null when the clipboard holds none of what was asked for." },
    { .name = "text", .type = API_STRING, .text = "Its text." },
    { .name = "image", .type = API_OBJECT, .text = "Its image.",
      .fields = FIELDS{ { .name = "format", .type = API_STRING, .text = "`png`." },
                        { .name = "data", .type = API_STRING, .text = "In base64." },
                        END } },
    { .name = "size", .type = API_INTEGER, .text = "Bytes." },
    { .name = "targets", .type = API_ARRAY, .text = "What its owner offers, in X's names.",
      .element = &(const struct api_field){ .type = API_STRING } },
    END,
};

/* --- Windows ---------------------------------------------------------------------------------- */

const struct api_field api_window_path[] = {
    ID_FIELD,
    { .name = "window", .type = API_STRING, .is_required = true, .min = 1, .max = 18,
      .text = "Id of the window." },
    END,
};

const struct api_field api_window_wait[] = {
    WAIT_MS(60000, "2000", "How long to wait until it is so."),
    END,
};

#define PLACE(key, least, what)                                                        \
    {                                                                                  \
        .name = key, .type = API_INTEGER, .min = least, .max = PLACE_MAX, .text = what \
    }

const struct api_field api_window_place[] = {
    PLACE("x", -PLACE_MAX, "Left edge, frame included; absent: stays."),
    PLACE("y", -PLACE_MAX, "Top edge."),
    PLACE("width", 1, "Width, frame included."),
    PLACE("height", 1, "Height, frame included."),
    WAIT_MS(60000, "2000", "How long to wait until it is so. Programs may choose other sizes."),
    END,
};

const struct api_field api_window_state[] = {
    { .name = "minimized", .type = API_BOOLEAN, .text = "Whether it is; absent: stays." },
    { .name = "maximized", .type = API_BOOLEAN, .text = "Likewise." },
    { .name = "fullscreen", .type = API_BOOLEAN, .text = "Likewise." },
    { .name = "above", .type = API_BOOLEAN, .text = "Whether it stays above others." },
    { .name = "workspace", .type = API_INTEGER, .max = 1000, .text = "From 0." },
    WAIT_MS(60000, "2000", "How long to wait until it is so."),
    END,
};

static const struct api_field rect_fields[] = {
    { .name = "x", .type = API_INTEGER, .text = "Left edge." },
    { .name = "y", .type = API_INTEGER, .text = "Top edge." },
    { .name = "width", .type = API_INTEGER, .text = "Width." },
    { .name = "height", .type = API_INTEGER, .text = "Height." },
    END,
};

static const struct api_field string_element = { .type = API_STRING };

static const struct api_field window_fields[] = {
    { .name = "id", .type = API_STRING, .text = "Its id." },
    { .name = "title", .type = API_STRING, .text = "Its title." },
    { .name = "app", .type = API_STRING, .text = "Its program's name for it." },
    { .name = "class", .type = API_STRING, .text = "Its program." },
    { .name = "pid", .type = API_INTEGER, .text = "Its process; 0 when it does not say." },
    { .name = "type", .type = API_STRING,
      .values = VALUES{ "normal", "dialog", "dock", "desktop", "utility", NULL }, .text = "Kind." },
    { .name = "x", .type = API_INTEGER, .text = "Left edge, frame included, shadow not." },
    { .name = "y", .type = API_INTEGER, .text = "Top edge." },
    { .name = "width", .type = API_INTEGER, .text = "Width." },
    { .name = "height", .type = API_INTEGER, .text = "Height." },
    { .name = "content", .type = API_OBJECT, .fields = rect_fields, .text = "Without the frame." },
    { .name = "states", .type = API_ARRAY, .element = &string_element,
      .text = "Of minimized, maximized, fullscreen, above, modal, attention, sticky, unlisted." },
    { .name = "active", .type = API_BOOLEAN, .text = "Whether it has the focus." },
    { .name = "workspace", .type = API_INTEGER, .is_nullable = true, .text = "From 0; null: all." },
    END,
};

static const struct api_field window_element = { .type = API_OBJECT, .fields = window_fields };

const struct api_field api_window_result[] = {
    { .name = "done", .type = API_BOOLEAN, .text = "Whether it became so in time." },
    { .name = "window", .type = API_OBJECT, .is_nullable = true, .fields = window_fields,
      .text = "The window afterwards; null when it is gone." },
    END,
};

const struct api_field api_windows_result[] = {
    { .name = "items", .type = API_ARRAY, .element = &window_element, .text = "The lowest first." },
    { .name = "active",
      .type = API_STRING,
      .is_nullable = true,
      .text = "Id of the one with the focus." },
    { .name = "workspace", .type = API_INTEGER, .text = "The one that is shown." },
    { .name = "count", .type = API_INTEGER, .text = "How many." },
    END,
};

/* --- Programs --------------------------------------------------------------------------------- */

static const struct api_field argument = { .type = API_STRING, .max = 4096 };
static const struct api_field url = { .type = API_STRING, .min = 1, .max = 4096 };

const struct api_field api_launch_body[] = {
    { .name = "entry",
      .type = API_STRING,
      .min = 1,
      .max = 255,
      .text = "Name of a desktop entry (`xfce4-terminal`), or else of a program." },
    { .name = "argv",
      .type = API_ARRAY,
      .element = &argument,
      .min = 1,
      .max = 64,
      .text = "Instead of it: a program and its arguments." },
    { .name = "urls",
      .type = API_ARRAY,
      .element = &url,
      .max = 32,
      .text = "Files or URLs for the entry." },
    { .name = "cwd",
      .type = API_STRING,
      .max = 4095,
      .text = "Working directory; default: the home." },
    { .name = "env", .type = API_STRING_MAP, .max = 64, .text = "More environment." },
    WAIT_MS(120000, "10000", "How long to wait for a window of it; 0: not at all."),
    END,
};

const struct api_field api_open_body[] = {
    { .name = "url", .type = API_STRING, .is_required = true, .min = 1, .max = 4096,
      .text = "A URL or a file." },
    WAIT_MS(120000, "10000", "How long to wait for a window of it; 0: not at all."),
    END,
};

const struct api_field api_launch_result[] = {
    { .name = "pid", .type = API_INTEGER, .text = "The process that was started." },
    { .name = "windows", .type = API_ARRAY, .element = &window_element,
      .text = "Its windows by then; empty when there are none, or when a program that runs already "
              "shows it in one of its own." },
    { .name = "count", .type = API_INTEGER, .text = "How many." },
    END,
};

/* --- Accessibility ---------------------------------------------------------------------------- */

#define SCOPE                                                          \
    { .name = "node",                                                  \
      .type = API_STRING,                                              \
      .min = 1,                                                        \
      .max = NODE_ID_MAX,                                              \
      .text = "From this node on." },                                  \
        { .name = "window",                                            \
          .type = API_STRING,                                          \
          .min = 1,                                                    \
          .max = 18,                                                   \
          .text = "Only this window: an id, or `active`." },           \
        { .name = "app",                                               \
          .type = API_STRING,                                          \
          .min = 1,                                                    \
          .max = 255,                                                  \
          .text = "Only programs whose name holds this." },            \
    {                                                                  \
        .name = "hidden", .type = API_BOOLEAN, .fallback = "false",    \
        .text = "Also what is not showing: closed menus, other pages." \
    }

const struct api_field api_tree_query[] = {
    SCOPE,
    { .name = "depth",
      .type = API_INTEGER,
      .max = 100,
      .fallback = "64",
      .text = "Levels below the first." },
    { .name = "nodes",
      .type = API_INTEGER,
      .min = 1,
      .max = 5000,
      .fallback = "1000",
      .text = "At most so many." },
    { .name = "text_max",
      .type = API_INTEGER,
      .max = 1048576,
      .fallback = "1000",
      .text = "Bytes of a text; 0: no texts." },
    WITHIN_MS,
    END,
};

const struct api_field api_find_body[] = {
    SCOPE,
    { .name = "role",
      .type = API_STRING,
      .min = 1,
      .max = 63,
      .text = "`push button`, `text`, `menu item`, …" },
    { .name = "name", .type = API_STRING, .max = 1024, .text = "What its name holds." },
    { .name = "text", .type = API_STRING, .max = 1024, .text = "What its text holds." },
    { .name = "description",
      .type = API_STRING,
      .max = 1024,
      .text = "What its description holds." },
    { .name = "states",
      .type = API_ARRAY,
      .element = &argument,
      .max = 44,
      .text = "States that it has: `focused`, `checked`, `sensitive`, …" },
    { .name = "exact",
      .type = API_BOOLEAN,
      .fallback = "false",
      .text = "Name, text and description are the given ones; else they hold them, whatever the "
              "case of ASCII letters." },
    { .name = "limit",
      .type = API_INTEGER,
      .min = 1,
      .max = 1000,
      .fallback = "50",
      .text = "At most so many." },
    { .name = "nodes",
      .type = API_INTEGER,
      .min = 1,
      .max = 20000,
      .fallback = "5000",
      .text = "Look at so many." },
    { .name = "text_max",
      .type = API_INTEGER,
      .max = 1048576,
      .fallback = "1000",
      .text = "Bytes of a text." },
    WITHIN_MS,
    END,
};

static const struct api_field node_fields[] = {
    { .name = "id",
      .type = API_STRING,
      .text = "Names it in later calls, as long as it is there." },
    { .name = "role", .type = API_STRING, .text = "As AT-SPI names it." },
    { .name = "name", .type = API_STRING, .text = "Its name." },
    { .name = "description", .type = API_STRING, .text = "More about it." },
    { .name = "states",
      .type = API_ARRAY,
      .element = &string_element,
      .text = "As AT-SPI names them." },
    { .name = "bounds",
      .type = API_OBJECT,
      .fields = rect_fields,
      .text = "Native pixels; absent: nowhere." },
    { .name = "text", .type = API_STRING, .text = "Its contents, when they are not its name." },
    { .name = "text_truncated", .type = API_BOOLEAN, .text = "True: there is more text." },
    { .name = "value",
      .type = API_OBJECT,
      .text = "Of a slider and its like: current, minimum, maximum." },
    { .name = "actions",
      .type = API_ARRAY,
      .element = &string_element,
      .text = "What can be invoked." },
    { .name = "children",
      .type = API_ARRAY,
      .element = &(const struct api_field){ .type = API_OBJECT },
      .text = "In a tree: nodes like this." },
    { .name = "more", .type = API_BOOLEAN, .text = "In a tree: true when children were left out." },
    { .name = "app", .type = API_STRING, .text = "Of a found one: its program." },
    { .name = "window", .type = API_STRING, .text = "Of a found one: the name of its window." },
    END,
};

#define LOOKED                                                                                     \
    { .name = "nodes", .type = API_INTEGER, .text = "How many were looked at." },                  \
    { .name = "truncated", .type = API_BOOLEAN, .text = "Whether a limit left something out." },   \
    { .name = "timed_out", .type = API_BOOLEAN, .text = "Whether it was the time." },              \
    { .name = "silent", .type = API_ARRAY, .element = &string_element,                             \
      .text = "Programs that did not answer." }

const struct api_field api_tree_result[] = {
    { .name = "tree", .type = API_OBJECT, .fields = node_fields, .text = "The topmost node." },
    LOOKED,
    END,
};

const struct api_field api_find_result[] = {
    { .name = "items", .type = API_ARRAY, .text = "Nodes in the order of the tree.",
      .element = &(const struct api_field){ .type = API_OBJECT, .fields = node_fields } },
    LOOKED,
    END,
};

const struct api_field api_node_path[] = {
    ID_FIELD,
    { .name = "node", .type = API_STRING, .is_required = true, .min = 1, .max = NODE_ID_MAX,
      .text = "Id of the node." },
    END,
};

const struct api_field api_invoke_body[] = {
    { .name = "action",
      .type = API_ANY,
      .text = "Name or number of an action; default: the first." },
    END,
};

const struct api_field api_value_body[] = {
    { .name = "text",
      .type = API_STRING,
      .max = 1024 * 1024,
      .text = "The new contents of a text." },
    { .name = "value", .type = API_NUMBER, .text = "Or the new value of a slider and its like." },
    END,
};

const struct api_field api_node_result[] = {
    { .name = "done",
      .type = API_BOOLEAN,
      .is_nullable = true,
      .text =
          "False: the program declined; null: it did not answer, as many do that open a dialog." },
    { .name = "node",
      .type = API_OBJECT,
      .is_nullable = true,
      .fields = node_fields,
      .text = "The node afterwards; null when it is gone." },
    END,
};

/* --- Keyboard --------------------------------------------------------------------------------- */

const struct api_field api_keyboard_body[] = {
    { .name = "layout", .type = API_STRING, .is_required = true, .min = 1, .max = 31,
      .text = "As in setxkbmap: `us`, `de`, …; `de(nodeadkeys)` names a variant." },
    { .name = "variant", .type = API_STRING, .max = 31, .text = "With `apply`: a variant." },
    { .name = "apply", .type = API_BOOLEAN, .fallback = "false",
      .text = "Also give the guest's desktop this layout." },
    END,
};

const struct api_field api_keyboard_result[] = {
    { .name = "layout", .type = API_STRING, .text = "Of the guest's desktop." },
    { .name = "variant", .type = API_STRING, .text = "Its variant." },
    { .name = "model", .type = API_STRING, .text = "Kind of keyboard." },
    { .name = "options", .type = API_STRING, .text = "XKB options." },
    { .name = "group", .type = API_INTEGER, .text = "Which of several layouts is used." },
    { .name = "caps_lock", .type = API_BOOLEAN, .text = "Whether it is on." },
    { .name = "num_lock", .type = API_BOOLEAN, .text = "Whether it is on." },
    END,
};
