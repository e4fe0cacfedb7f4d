/* The keyboard layout that a sandbox was created with, made the guest's own: its desktop is asked for
 * it, through the helper in its session, when it comes up. Until that is done, or cannot be, the
 * desktop counts as not up yet. Not for web/. */
#pragma once

#include "base/error.h"

#include <stdbool.h>

struct sandbox;
struct helper_call;
struct timer;

struct layout {
    char name[32];  /* "de", or with a variant "de(nodeadkeys)" */
    bool is_due;    /* the guest has another one still */
    int64_t since_us;
    struct timer *retry;
    struct helper_call *call;
};

/* "de(nodeadkeys)" becomes "de" in name, which holds 32 bytes, and "nodeadkeys"; "" without a variant. */
const char *layout_split(const char *layout, char *name);

/* The guest that starts now has another layout than the sandbox's. Nothing for one that has no
 * deskfarm-agent: its image is trusted to have it. */
void layout_begin(struct sandbox *self);
/* The desktop is up: it is asked, once or again. */
void layout_desktop_is_up(struct sandbox *self);
/* The guest has it, somebody says. */
void layout_is_told(struct sandbox *self);
/* The guest is gone. */
void layout_forget(struct sandbox *self);
void layout_deinit(struct sandbox *self);
