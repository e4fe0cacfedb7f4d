#include "images/agent/desktop/a11y-names.h"

#include "base/util.h"

#include <string.h>

static const char *const roles[] = {
    "invalid", "accelerator label", "alert", "animation", "arrow", "calendar", "canvas",
    "check box", "check menu item", "color chooser", "column header", "combo box", "date editor",
    "desktop icon", "desktop frame", "dial", "dialog", "directory pane", "drawing area",
    "file chooser", "filler", "focus traversable", "font chooser", "frame", "glass pane",
    "html container", "icon", "image", "internal frame", "label", "layered pane", "list",
    "list item", "menu", "menu bar", "menu item", "option pane", "page tab", "page tab list",
    "panel", "password text", "popup menu", "progress bar", "push button", "radio button",
    "radio menu item", "root pane", "row header", "scroll bar", "scroll pane", "separator",
    "slider", "spin button", "split pane", "status bar", "table", "table cell",
    "table column header", "table row header", "tearoff menu item", "terminal", "text",
    "toggle button", "tool bar", "tool tip", "tree", "tree table", "unknown", "viewport", "window",
    "extended", "header", "footer", "paragraph", "ruler", "application", "autocomplete", "editbar",
    "embedded", "entry", "chart", "caption", "document frame", "heading", "page", "section",
    "redundant object", "form", "link", "input method window", "table row", "tree item",
    "document spreadsheet", "document presentation", "document text", "document web",
    "document email", "comment", "list box", "grouping", "image map", "notification", "info bar",
    "level bar", "title bar", "block quote", "audio", "video", "definition", "article", "landmark",
    "log", "marquee", "math", "rating", "timer", "static", "math fraction", "math root",
    "subscript", "superscript", "description list", "description term", "description value",
    "footnote", "content deletion", "content insertion", "mark", "suggestion", "push button menu",
};

static const char *const states[] = {
    "invalid", "active", "armed", "busy", "checked", "collapsed", "defunct", "editable", "enabled",
    "expandable", "expanded", "focusable", "focused", "has tooltip", "horizontal", "iconified",
    "modal", "multi line", "multiselectable", "opaque", "pressed", "resizable", "selectable",
    "selected", "sensitive", "showing", "single line", "stale", "transient", "vertical", "visible",
    "manages descendants", "indeterminate", "required", "truncated", "animated", "invalid entry",
    "supports autocompletion", "selectable text", "is default", "visited", "checkable",
    "has popup", "read only",
};

const char *a11y_role_name(uint32_t role)
{
    return role < ARRAY_LEN(roles) ? roles[role] : "unknown";
}

const char *a11y_state_name(int state)
{
    return state >= 0 && state < (int)ARRAY_LEN(states) ? states[state] : NULL;
}

int a11y_state_number(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(states); i++)
        if (strcmp(states[i], name) == 0)
            return (int)i;
    return -1;
}

unsigned a11y_interface_bit(const char *name)
{
    static const struct {
        const char *name;
        unsigned bit;
    } table[] = {
        { "Action", A11Y_ACTION },
        { "Component", A11Y_COMPONENT },
        { "EditableText", A11Y_EDITABLE },
        { "Text", A11Y_TEXT },
        { "Value", A11Y_VALUE },
        { "Selection", A11Y_SELECTION },
        { "Application", A11Y_APPLICATION },
    };
    static const char prefix[] = "org.a11y.atspi.";
    if (strncmp(name, prefix, sizeof prefix - 1) != 0)
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (strcmp(table[i].name, name + sizeof prefix - 1) == 0)
            return table[i].bit;
    return 0;
}
