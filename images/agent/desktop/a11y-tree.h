/* What is known of accessible objects while a task looks at them: nodes of a tree, and what
 * programs told of their objects in one go (items). */
#pragma once

#include "base/json.h"
#include "images/agent/desktop/a11y-names.h"

#define A11Y_TEXT_MAX 1024        /* bytes of a name or description */
#define A11Y_ITEMS_MAX 50000      /* of all programs */
#define A11Y_BUCKETS 8192

/* An object is (connection, path) on the accessibility bus. */
struct a11y_ref {
    char bus[32];
    char *path;
};

struct a11y_item {
    struct a11y_item *next; /* in its bucket */
    struct a11y_ref ref, parent;
    int index; /* among the parent's children, -1: not known */
    struct a11y_item *next_child; /* in the bucket of the parent */
    char *name, *description;
    uint32_t role;
    uint64_t states;
    unsigned interfaces;
    int n_children;
};

struct a11y_node {
    struct a11y_node *parent, *first, *last, *next; /* children in order */
    struct a11y_node *all;                          /* every node, newest first */
    struct a11y_ref ref;
    int depth, n_children; /* as told, -1: not known */
    char *name, *description;
    uint32_t role;
    uint64_t states;
    unsigned interfaces;
    unsigned missing;  /* replies that are still to come before it is known */
    bool is_gone, is_cut; /* has children that were left out */
    bool is_wanted;    /* details are to be asked for */
    bool is_silent;    /* a program that does not answer */
    bool has_bounds, has_value;
    int x, y, width, height;
    char *text;
    bool is_text_cut;
    double value, minimum, maximum;
    json_t *actions;
};

struct a11y_tree {
    struct a11y_node *root, *all;
    int n_nodes, n_items;
    struct a11y_item *buckets[A11Y_BUCKETS];
    struct a11y_item *children[A11Y_BUCKETS]; /* items by their parents */
};

void a11y_tree_deinit(struct a11y_tree *self);
/* NULL when memory is short. parent NULL: the root. */
struct a11y_node *a11y_tree_add(struct a11y_tree *self, struct a11y_node *parent, const char *bus,
                                const char *path);
struct a11y_item *a11y_tree_add_item(struct a11y_tree *self, const char *bus, const char *path,
                                     const char *parent_bus, const char *parent_path);
/* The children of ref, in order, when all n of them are known as items; else false. */
bool a11y_tree_children(const struct a11y_tree *self, const struct a11y_ref *ref, int n,
                        const struct a11y_item *ret[]);
const struct a11y_item *a11y_tree_item(const struct a11y_tree *self, const struct a11y_ref *ref);

/* At most max bytes of a text, whole characters; NULL for an empty one or without memory. */
char *a11y_copy(const char *text, size_t max, bool *ret_is_cut);
static inline bool a11y_is(const struct a11y_node *node, int state)
{
    return node->states >> state & 1;
}

/* An id is "9c1e.57-12": the bus's tag, the connection, the end of the path. */
#define A11Y_ID_MAX 160
bool a11y_id_write(const struct a11y_ref *ref, unsigned tag, char ret[A11Y_ID_MAX]);
/* 0; 1 when it is of another session; negative when it is none. */
int a11y_id_read(const char *id, unsigned tag, char ret_bus[32], char ret_path[256]);

/* A node without its children, and with them. tag as above. */
json_t *a11y_node_json(const struct a11y_node *self, unsigned tag);
json_t *a11y_tree_json(const struct a11y_node *self, unsigned tag);
