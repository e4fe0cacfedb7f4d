/* A text that goes into the guest by its desktop: typed by the helper there, or pasted from its clipboard. Not for
 * web/. What goes by keys alone is input_play's. */
#pragma once

#include "input/action.h"

struct sandbox;
struct typing;

struct typed {
    size_t n_characters; /* that arrived */
    bool is_confirmed;   /* the focused program has read them; otherwise it was not heard of */
};

/* Exactly once, never inside typing_new; the object is gone then. err: not_ready or unsupported without a helper,
 * timeout when the program did not take all, else what came in between. */
typedef void (*typing_done_fn)(void *data, const struct typed *typed, const struct error *err);

/* action is a type whose route is TEXT_GUEST_KEYMAP or TEXT_CLIPBOARD; it is not needed after the return. NULL with
 * err set when it cannot begin. */
struct typing *typing_new(struct sandbox *sandbox, const struct action *action, typing_done_fn done, void *data,
                          struct error *err);
/* Ends it soon: the guest is told, the clipboard given back; done runs then. */
void typing_close(struct typing *self);
/* done does not run. Takes NULL, returns NULL. */
struct typing *typing_free(struct typing *self);
