/* A walk over accessible objects: asks programs for their trees, a bounded number of questions at a
 * time, and waits for nobody longer than it was told. */
#pragma once

#include "images/agent/desktop/a11y-bus.h"
#include "images/agent/desktop/a11y-tree.h"
#include "images/agent/desktop/task.h"

struct a11y_call;

struct a11y_walk {
    struct a11y_tree tree;
    /* What to look at. */
    int depth_max, nodes_max, text_max;
    bool with_hidden;  /* also what is not showing */
    const char *app;   /* only programs whose name holds this; NULL: all */
    long pid;          /* only this process; 0: all */
    bool wants_text;   /* already while walking: for a search in texts */
    bool is_cut, is_late;
    json_t *silent;    /* names of programs that did not answer */
    /* How it is going. */
    struct list calls; /* under way or waiting */
    int n_under_way;
    bool has_details; /* the second part: of the wanted nodes */
    int64_t until_us;
    struct alarm alarm;
    void (*on_tree)(struct a11y_walk *self); /* the tree is there: mark what is wanted */
    void (*on_end)(struct a11y_walk *self);  /* the details are there too, or time is up */
    void *data;
};

/* Fills the limits from a request and prepares the rest. */
void a11y_walk_init(struct a11y_walk *self, const json_t *request);
/* bus NULL: the desktop, with all programs below. on_end does not run before the return. */
void a11y_walk_start(struct a11y_walk *self, const char *bus, const char *path, int64_t within_us);
/* No callback runs after it. */
void a11y_walk_deinit(struct a11y_walk *self);
