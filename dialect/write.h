/* What the dialects share: reading a call's arguments and writing actions. Not for other folders. */
#pragma once

#include "dialect/turn.h"

/* One call of the model, and the actions that it became. */
struct turn_call {
    const json_t *source;  /* the whole call, for its id; borrowed from what was said, or owned */
    const char *name;      /* of the action, borrowed likewise */
    size_t first, n;       /* its actions */
    bool has_shot, is_asked; /* its last action takes its picture; the call itself asks for one */
    bool has_point;        /* cursor_position: its last action tells a point */
    bool is_end, is_failure; /* the task is over: done, or given up */
    char said[256];        /* what was done, when it succeeded */
    struct error err;      /* it could not be written as actions */
};

struct turn {
    enum dialect dialect;
    struct turn_options options;
    struct turn_size image;
    const json_t *said;
    json_t *owned; /* what calls borrow from besides said; NULL or an array */
    json_t *actions;
    struct turn_call *calls;
    size_t n_calls;
    const char *space; /* of the batch */
    bool is_list;      /* said is a list, or an answer that holds one */
    bool is_broken;    /* a call has an error: the later ones are not written */
    bool has_point;    /* where the pointer will be, in the space of the batch */
    double x, y;
};

/* Adds a call. NULL when there are too many, with err. */
struct turn_call *turn_add_call(struct turn *self, const json_t *source, const char *name, struct error *err);
/* Takes the reference; NULL stays NULL. Returns the value, borrowed. */
const json_t *turn_own(struct turn *self, json_t *value);

/* Writes one call: args has what the model gave. Negative: err says what is wrong with it, in the model's
 * own terms. */
struct write {
    struct turn *turn;
    struct turn_call *call;
    const json_t *args;
    struct error *err;
};
typedef int (*write_fn)(struct write *w);

/* A row of a dialect's vocabulary. */
struct write_row {
    const char *name;
    write_fn write;
    int since; /* the version that brought it, 0: all */
};

/* Adds an action of that type to the call. Borrowed; NULL when memory is short or there are too many
 * (then w->err is set). */
json_t *write_action(struct write *w, const char *type);

/* Arguments. 0, or negative with err. An optional one that is absent leaves *ret as it is. */
enum { ARG_OPTIONAL, ARG_REQUIRED };
int arg_number(struct write *w, const char *name, int need, double min, double max, double *ret);
int arg_string(struct write *w, const char *name, int need, const char **ret);
int arg_bool(struct write *w, const char *name, bool *ret);
/* One of values (NULL-terminated): its index. */
int arg_choice(struct write *w, const char *name, int need, const char *const *values, int *ret);
/* [x, y] under one name. *ret_has false when an optional one is absent or null. */
int arg_point(struct write *w, const char *name, int need, bool *ret_has, double *ret_x, double *ret_y);
/* Two numbers under two names; both or none. */
int arg_xy(struct write *w, const char *x_name, const char *y_name, int need, bool *ret_has, double *ret_x,
           double *ret_y);
const json_t *arg(const struct write *w, const char *name);

/* Whole calls. */
int write_at(struct write *w, json_t *action, bool has, double x, double y);
int write_click(struct write *w, const char *button, int count, bool has, double x, double y, const char *keys);
int write_move(struct write *w, double x, double y, const char *keys);
/* From where the pointer is (has false), or from a point. */
int write_drag(struct write *w, bool has, double x0, double y0, double x1, double y1, const char *button,
               const char *keys);
/* Notches, or pixels of the screen; positive is right and down. Long ones become several actions. */
int write_scroll(struct write *w, bool has, double x, double y, double dx, double dy, const char *unit,
                 const char *keys);
/* A chord such as "ctrl+c". A single printable character goes as text: it may be on no key. */
int write_key(struct write *w, const char *chord, int repeat);
/* An array of key names as one chord; the caller frees *ret. */
int arg_chord(struct write *w, const char *name, int need, char **ret);
int write_chord_type(struct write *w, const char *type, const char *chord);
/* What several dialects have under names of their own: the chord of argument "key" is pressed, goes down, goes up;
 * that of "keys" is pressed. */
int write_named_key(struct write *w);
int write_key_down(struct write *w);
int write_key_up(struct write *w);
int write_named_keys(struct write *w);
int write_text(struct write *w, const char *text, bool press_enter);
int write_wait(struct write *w, double seconds);
int write_shot(struct write *w);
void write_said(struct write *w, const char *format, ...) printf_like(2, 3);

/* Finds the call's name in rows and writes it, all or nothing; an error goes to the call, and the turn's later
 * calls are not written. The error names the vocabulary. */
void turn_write(struct turn *self, struct turn_call *call, const json_t *args, const struct write_row *rows,
                size_t n, int version);

/* What became of a call. */
enum outcome { OUTCOME_DONE, OUTCOME_FAILED, OUTCOME_SKIPPED };
struct turn_outcome {
    enum outcome outcome;
    const char *message; /* FAILED */
    const json_t *image; /* {"format","data"} of its picture; NULL: none */
    bool has_point;
    double x, y;         /* cursor_position, in the space of the batch */
    json_t *native;      /* [x, y]; borrowed */
};
void turn_look(const struct turn *self, const json_t *body, const struct error *failure, size_t call,
               struct turn_outcome *ret);
/* "data:image/png;base64,…", owned by the caller. */
json_t *turn_data_url(const json_t *image);
const char *turn_mime(const json_t *image);
/* Text of a failed or skipped call. */
json_t *turn_trouble(const struct turn_outcome *outcome);

/* A dialect. */
struct dialect_impl {
    /* Finds the calls, writing each by turn_add_call and its vocabulary. */
    int (*read)(struct turn *self, struct error *err);
    json_t *(*answer)(const struct turn *self, const json_t *body, const struct error *failure,
                      const json_t *image);
    /* Whether AUTO means a picture for a call. */
    bool (*wants_shot)(const struct turn *self, const struct turn_call *call, bool is_last);
    json_t *(*tools)(const char *tool, struct turn_size image);
    bool shows_failures; /* by a picture */
};
extern const struct dialect_impl dialect_anthropic, dialect_openai, dialect_gemini, dialect_ui_tars, dialect_osworld;
