/* What is on the screen, as programs tell it to those who cannot see it.
 *
 *   a11y.tree {scope, "depth", "nodes", "hidden", "text_max", "within_us"} → output: the tree
 *   a11y.find {scope, "role", "name", "text", "description", "states": [], "exact", "limit"}
 *       → output: {"items": [node with "app" and "window", …]}
 *   both → {"nodes": looked at, "truncated", "timed_out", "silent": [programs that did not answer]}
 *
 * The scope is "node" (an id), "window" (an id of windows, or "active"), "app" (part of a
 * program's name), or everything. Without "hidden", what does not show is left out, with all
 * below it. Names match when they hold the given text, whatever the case of ASCII letters; with
 * "exact" when they are it. A node has "id", "role", "name", "description", "states", "bounds"
 * (native pixels), "text", "value", "actions", "children"; what it has not is absent. */
#include "images/agent/desktop/a11y-walk.h"
#include "images/agent/desktop/desktop.h"
#include "images/agent/desktop/window.h"
#include "images/agent/desktop/x11.h"

#include <X11/Xatom.h>
#include <string.h>
#include <strings.h>

#define WITHIN_US 5000000
#define WITHIN_MAX_US 60000000
#define LIMIT_MAX 1000

struct look {
    struct a11y_walk walk;
    struct task *task;
    char title[WINDOW_TEXT_MAX]; /* of the wanted window; "" for all */
    uint64_t states;
    int n_found, limit;
};

static void stop(struct task *task)
{
    struct look *self = task->state;
    a11y_walk_deinit(&self->walk);
    free(self);
}

static void finish(struct look *self, json_t *output)
{
    struct task *task = self->task;
    json_t *result =
        json_pack("{s:i, s:b, s:b, s:O}", "nodes", self->walk.tree.n_nodes, "truncated",
                  self->walk.is_cut, "timed_out", self->walk.is_late, "silent", self->walk.silent);
    task_output_json(task, output);
    task_finish(task, result);
}

/* --- Scope ------------------------------------------------------------------------------------ */

static bool choose_window(struct look *self, const char *id)
{
    Window window = window_active();
    if (strcmp(id, "active") != 0 && !window_parse(id, &window))
        return false;
    if (window == None)
        return false;
    x11_number(window, x11_atom(X11_PID), &self->walk.pid);
    window_text(window, x11_atom(X11_NET_WM_NAME), self->title);
    if (!self->title[0])
        window_text(window, XA_WM_NAME, self->title);
    return self->walk.pid > 0;
}

/* The window's node is the one below the program that has its title; without one, all are shown. */
static void drop_other_windows(struct look *self)
{
    struct a11y_node *app, *node;
    bool is_found = false;
    if (!self->title[0])
        return;
    for (app = self->walk.tree.root->first; app; app = app->next)
        for (node = app->first; node; node = node->next)
            is_found |= node->name && strcmp(node->name, self->title) == 0;
    for (app = self->walk.tree.root->first; app && is_found; app = app->next)
        for (node = app->first; node; node = node->next)
            node->is_gone |= !node->name || strcmp(node->name, self->title) != 0;
}

/* Starts the walk, or fails the task. */
static void start(struct look *self)
{
    struct task *task = self->task;
    char bus[32], path[256];
    const char *node = json_get_string(task->request, "node", NULL);
    const char *window = json_get_string(task->request, "window", NULL);
    int r = node ? a11y_id_read(node, a11y_bus_tag(), bus, path) : 0;
    int64_t within_us =
        CLAMP(json_get_int(task->request, "within_us", WITHIN_US), 1, WITHIN_MAX_US);
    if (!a11y_bus())
        task_fail(task, "not_ready", "the desktop has no accessibility bus yet");
    else if (r < 0)
        task_fail(task, "bad_value", "node: %.80s is no id of a node", node);
    else if (r > 0)
        task_fail(task, "not_found", "node %.80s is of an earlier session; look at the tree again",
                  node);
    else if (window && !choose_window(self, window))
        task_fail(task, "not_found", "there is no window %.32s that tells its process", window);
    else
        a11y_walk_start(&self->walk, node ? bus : NULL, path, within_us);
}

static struct look *new_look(struct task *task)
{
    struct look *self = calloc(1, sizeof *self);
    if (!self) {
        task_fail(task, "no_memory", "no memory to look at the desktop");
        return NULL;
    }
    a11y_walk_init(&self->walk, task->request);
    self->walk.data = self;
    self->task = task;
    task->state = self;
    task->stop = stop;
    return self;
}

static bool is_stale(struct look *self)
{
    const struct a11y_node *root = self->walk.tree.root;
    if (root && !root->is_gone)
        return false;
    task_fail(self->task, "not_found", "node %.80s is gone; look at the tree again",
              json_get_string(self->task->request, "node", ""));
    return true;
}

/* --- Tree ------------------------------------------------------------------------------------- */

static void want_all(struct a11y_walk *walk)
{
    drop_other_windows(walk->data);
    for (struct a11y_node *node = walk->tree.all; node; node = node->all)
        node->is_wanted = true;
}

static void end_tree(struct a11y_walk *walk)
{
    struct look *self = walk->data;
    if (!is_stale(self))
        finish(self, a11y_tree_json(walk->tree.root, a11y_bus_tag()));
}

void a11y_tree(struct task *task)
{
    struct look *self = new_look(task);
    if (!self)
        return;
    self->walk.on_tree = want_all;
    self->walk.on_end = end_tree;
    start(self);
}

/* --- Find ------------------------------------------------------------------------------------- */

static bool matches(const json_t *request, const char *key, const char *text)
{
    const char *wish = json_get_string(request, key, NULL);
    if (!wish)
        return true;
    if (json_get_bool(request, "exact", false))
        return text && strcmp(text, wish) == 0;
    return text ? strcasestr(text, wish) != NULL : !wish[0];
}

/* "push button", "push_button", "push-button". */
static bool has_role(const json_t *request, const struct a11y_node *node)
{
    const char *wish = json_get_string(request, "role", NULL), *role = a11y_role_name(node->role);
    if (!wish)
        return true;
    for (; *wish && *role; wish++, role++)
        if (*wish != *role && !(*role == ' ' && (*wish == '_' || *wish == '-')))
            return false;
    return !*wish && !*role;
}

static void mark(struct look *self, struct a11y_node *node)
{
    const json_t *request = self->task->request;
    if (node->is_gone)
        return;
    if (node->parent && has_role(request, node) && matches(request, "name", node->name) &&
        matches(request, "text", node->text) &&
        matches(request, "description", node->description) &&
        (node->states & self->states) == self->states) {
        if (self->n_found == self->limit) {
            self->walk.is_cut = true;
            return;
        }
        node->is_wanted = true;
        self->n_found++;
    }
    for (struct a11y_node *child = node->first; child; child = child->next)
        mark(self, child);
}

static void mark_all(struct a11y_walk *walk)
{
    struct look *self = walk->data;
    drop_other_windows(self);
    if (walk->tree.root)
        mark(self, walk->tree.root);
}

static json_t *describe_found(const struct look *self, const struct a11y_node *node)
{
    json_t *ret = a11y_node_json(node, a11y_bus_tag());
    const struct a11y_node *app = NULL, *window = NULL;
    bool is_desktop = strcmp(self->walk.tree.root->ref.bus, A11Y_REGISTRY) == 0;
    for (const struct a11y_node *at = node; at->parent && is_desktop; at = at->parent) {
        window = at->depth == 2 ? at : window;
        app = at->depth == 1 ? at : app;
    }
    if (app)
        json_object_set_new(ret, "app", json_string(app->name ? app->name : ""));
    if (window)
        json_object_set_new(ret, "window", json_string(window->name ? window->name : ""));
    return ret;
}

static void list_found(const struct look *self, const struct a11y_node *node, json_t *items)
{
    if (node->is_gone)
        return;
    if (node->is_wanted)
        json_array_append_new(items, describe_found(self, node));
    for (const struct a11y_node *child = node->first; child; child = child->next)
        list_found(self, child, items);
}

static void end_find(struct a11y_walk *walk)
{
    struct look *self = walk->data;
    if (is_stale(self))
        return;
    json_t *items = json_array();
    list_found(self, walk->tree.root, items);
    finish(self, json_pack("{s:o}", "items", items));
}

static bool read_states(struct look *self)
{
    size_t i;
    json_t *name;
    json_array_foreach(json_object_get(self->task->request, "states"), i, name) {
        int state = json_is_string(name) ? a11y_state_number(json_string_value(name)) : -1;
        if (state < 0) {
            task_fail(self->task, "bad_value", "states: there is no state %.40s",
                      json_is_string(name) ? json_string_value(name) : "of that type");
            return false;
        }
        self->states |= (uint64_t)1 << state;
    }
    return true;
}

void a11y_find(struct task *task)
{
    struct look *self = new_look(task);
    if (!self || !read_states(self))
        return;
    self->limit = (int)CLAMP(json_get_int(task->request, "limit", 50), 1, LIMIT_MAX);
    self->walk.nodes_max = (int)CLAMP(json_get_int(task->request, "nodes", 5000), 1, 20000);
    self->walk.wants_text = json_object_get(task->request, "text");
    self->walk.on_tree = mark_all;
    self->walk.on_end = end_find;
    start(self);
}
