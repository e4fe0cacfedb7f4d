/* A turn: what a model said at once, in the action language of its maker, and what it is told back.
 *
 * Pure: JSON in, JSON out; nothing here knows a guest. turn_new finds the calls in what the model's
 * API answered (the whole answer, its list of calls, or one call) and writes each as actions of ours
 * (input/action.h). turn_request is the batch that farm/ plays; turn_answer makes of the batch's
 * results what the model's API wants to be sent next, in the shape of what came in: a list for a list,
 * one result for one call.
 *
 * Calls run in order and the first that fails ends the turn; the later ones are answered as not
 * executed. A call that cannot even be written as actions fails in its place: those before it are
 * played. What belongs to other tools of the caller is left alone.
 *
 * Models see a picture of the size that turn_image_size gives, and their coordinates are its pixels,
 * unless their language counts from 0 to 1000. */
#pragma once

#include "base/json.h"

enum dialect {
    DIALECT_ANTHROPIC, /* computer_20241022, _20250124, _20251124, computer_toolset_20260801 */
    DIALECT_OPENAI,    /* computer_use_preview, computer */
    DIALECT_GEMINI,    /* both sets of functions */
    DIALECT_UI_TARS,   /* "Action: click(point='…')" */
    DIALECT_OSWORLD,   /* computer_13, or code that calls pyautogui: parsed, never executed */
    DIALECT_COUNT
};

/* "anthropic", "openai", "gemini", "ui_tars", "osworld"; NULL-terminated. */
extern const char *const dialect_names[];
/* -EINVAL for an unknown name. */
int dialect_parse(const char *name, enum dialect *ret);

enum {
    TURN_CALLS_MAX = 100,
    TURN_ACTIONS_MAX = 1000,
    TURN_WAIT_MAX_S = 300, /* of a wait or a held key */
    TURN_REPEAT_MAX = 100,
    TURN_NOTCHES_MAX = 1000, /* of one scroll */
};

/* Which calls are answered with a picture of the settled screen. */
enum turn_images {
    TURN_IMAGES_AUTO,  /* as the dialect's API expects */
    TURN_IMAGES_CALL,  /* every call */
    TURN_IMAGES_LAST,  /* the last of the turn, and those that ask for one */
    TURN_IMAGES_ASKED, /* only those that ask for one */
};
extern const char *const turn_images_names[];

/* Pixels of the guest's screen or of an image. */
struct turn_size {
    int width, height;
};

/* All borrowed. */
struct turn_options {
    const char *tool;      /* the declared version, such as "computer_20250124"; NULL: any */
    const char *space;     /* "image", "norm1000", "norm1"; NULL: the dialect's own */
    struct turn_size image; /* of the picture that the model sees; 0x0: turn_image_size */
    const char *format;    /* "png", "jpeg", "webp"; NULL: png */
    int quality;           /* 0: the default */
    enum turn_images images;
    bool is_confirmed;     /* somebody has looked at the model's safety checks and agreed */
    struct turn_size screen; /* native pixels */
    bool has_pointer;        /* the guest's pointer is at x, y, native pixels */
    int x, y;
};

/* The size of the pictures that a model of this dialect is best shown of a screen: the screen's own
 * where the API takes it unscaled, else the largest of the same aspect within its limits. */
struct turn_size turn_image_size(enum dialect dialect, const char *tool, struct turn_size screen);

struct turn;

/* said is borrowed until the turn's end. Errors: bad_value when no call of this dialect is in it,
 * too_large for too many calls, confirm when a safety check waits for is_confirmed. */
int turn_new(struct turn **ret, enum dialect dialect, const json_t *said, const struct turn_options *options,
             struct error *err);
struct turn *turn_free(struct turn *self);

/* The batch, in the fields of POST …/desktop/actions; the caller owns it. It asks for partial. */
json_t *turn_request(const struct turn *self);

/* A batch with the picture that a failed turn is answered with: its only action's. */
json_t *turn_shot_request(const struct turn *self);

/* Whether turn_answer would like a picture besides those of the batch: something failed, and the API
 * has no other way to show it. */
bool turn_lacks_image(const struct turn *self, const json_t *body, const struct error *failure);
/* body: what the batch answered ("results", "failed_action"). failure: NULL, or why the batch ended early.
 * image: {"format","data"} as in a result of ours, or NULL. The caller owns the answer. */
json_t *turn_answer(const struct turn *self, const json_t *body, const struct error *failure, const json_t *image);
/* What happened to each call, for people: [{"call","outcome","message"}]. The caller owns it. */
json_t *turn_report(const struct turn *self, const json_t *body, const struct error *failure);

/* What goes into the request to the model: {"tools":[…], "image":{"width","height"}}. */
json_t *turn_tools(enum dialect dialect, const char *tool, struct turn_size screen, struct turn_size image);

static inline void turn_free_ptr(struct turn **p)
{
    turn_free(*p);
}
#define auto_turn __attribute__((cleanup(turn_free_ptr)))
