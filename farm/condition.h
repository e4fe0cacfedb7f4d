/* Something that a caller waits for on a screen: a change, a colour, a picture, a text, a window.
 *
 * A condition is looked at when it starts, and then whenever the screen changes where it looks; it never
 * polls. What takes long runs elsewhere: pictures are searched on workers in immutable frames, text
 * is read by a helper, windows are asked of the guest. One look is under way at a time; what changed
 * meanwhile is looked at next.
 *
 *   LOOKING --result is not what is wanted--> WAITING --damage--> LOOKING --result is--> met, gone
 *
 * Not for web/. */
#pragma once

#include "base/error.h"
#include "base/json.h"
#include "display/display.h"
#include "display/template.h"

#define CONDITION_TEXT_MAX 256 /* bytes */

enum condition_kind {
    CONDITION_CHANGE,
    CONDITION_PIXEL,
    CONDITION_IMAGE,
    CONDITION_TEXT,
    CONDITION_WINDOW,
    CONDITION_KIND_COUNT
};

/* "change", "pixel", "image", "text", "window"; -EINVAL for anything else. */
int condition_kind_parse(const char *name, enum condition_kind *ret);
const char *condition_kind_name(enum condition_kind kind);

/* Plain but for the template, which is counted. */
struct condition_spec {
    enum condition_kind kind;
    struct rect region; /* framebuffer pixels; w 0: the whole screen */
    bool is_absent;     /* met when what is looked for is not there */
    int64_t since;      /* change: a frame id, 0: from now on */
    int x, y;           /* pixel */
    uint32_t color;     /* 0xRRGGBB */
    int tolerance;      /* pixel, image: 0..255 per channel */
    double score;       /* image: least */
    struct template *template;
    char text[CONDITION_TEXT_MAX + 1]; /* text, window */
};

/* From a request's object, valid by the table: region, absent, since, x, y, color, tolerance, min_score,
 * picture (base64 of a PNG), text. missing_field and bad_value name the field; where goes before it. */
int condition_spec_read(struct condition_spec *ret, enum condition_kind kind, const json_t *object,
                        const char *where, struct error *err);
void condition_spec_deinit(struct condition_spec *self);

struct sandbox;
struct condition;

/* Met: found says how, and in which frame: {"frame", "matches": [{x, y, width, height, score, …}]} or
 * {"frame", "color"} or {"frame", "window"}; owned by the receiver. Or err says why it can never be. The
 * condition is gone. */
typedef void (*condition_fn)(void *data, json_t *found, const struct error *err);

/* The display must be held and its screen on. spec is copied. must_turn: it counts only once it was seen
 * not to be met. fn never runs inside the call. NULL with err set: outside_screen, unsupported, not_ready. */
struct condition *condition_start(struct sandbox *sandbox, const struct condition_spec *spec, bool must_turn,
                                  condition_fn fn, void *data, struct error *err);
/* fn does not run. Takes NULL, returns NULL. */
struct condition *condition_cancel(struct condition *self);
