/* The tree is read from the top. What a node's children are is mostly known by then: programs
 * list all their objects at once (GetItems of their cache), with parent, place, number of
 * children and all that they are, instead of six questions an object. Where the list is not
 * whole, the children are asked for (GetChildren), and what it lacks of them one by one. Places,
 * texts, values and actions are asked for afterwards, of the nodes that are wanted.
 *
 * CALLS_MAX questions are under way at a time: enough that nobody waits for a round trip, and few
 * enough that a slow program answers the last of them in time. One that has not answered a question
 * within CALL_US is asked no more. */
#include "images/agent/desktop/a11y-walk.h"

#include "base/clock.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define CALLS_MAX 16
#define CALL_US 4000000
#define KNOWN_MAX 256 /* children of one node that are taken from the list */
#define CHILDREN_MAX 2000 /* of one node */
#define ACTIONS_MAX 16
#define PLACE_MAX 100000
#define ACCESSIBLE "org.a11y.atspi.Accessible"

enum kind {
    APP_PID, APP_NAME, ITEMS, PROPERTIES, ROLE, STATES, INTERFACES, CHILDREN,
    EXTENTS, TEXT, VALUE, ACTIONS, KIND_COUNT
};

struct a11y_call {
    struct list link;
    struct a11y_walk *walk;
    struct a11y_node *node;
    enum kind kind;
    sd_bus_slot *slot; /* NULL: waiting */
};

static void pump(struct a11y_walk *self);
static void learn(struct a11y_walk *self, struct a11y_node *node);

/* --- Calls ------------------------------------------------------------------------------------ */

static void ask(struct a11y_walk *self, struct a11y_node *node, enum kind kind)
{
    struct a11y_call *call = calloc(1, sizeof *call);
    if (!call)
        return;
    *call = (struct a11y_call){ .walk = self, .node = node, .kind = kind };
    if (kind >= PROPERTIES && kind <= INTERFACES)
        node->missing++;
    list_append(&self->calls, &call->link);
}

static void call_free(struct a11y_call *call)
{
    list_remove(&call->link);
    if (call->slot)
        call->walk->n_under_way--;
    sd_bus_slot_unref(call->slot);
    free(call);
}

/* Its program: the node below the desktop that it belongs to. */
static struct a11y_node *app_of(struct a11y_node *node)
{
    while (node->parent && node->parent->parent)
        node = node->parent;
    return node;
}

static void give_up(struct a11y_walk *self, struct a11y_node *node)
{
    struct a11y_call *call, *next;
    struct a11y_node *app = app_of(node);
    if (app == self->tree.root)
        return;
    if (!app->is_silent)
        json_array_append_new(self->silent, json_string(app->name ? app->name : app->ref.bus));
    app->is_silent = true;
    list_for_each_safe(call, next, &self->calls, link)
        if (!call->slot && strcmp(call->node->ref.bus, node->ref.bus) == 0) {
            call->node->is_gone |= call->kind >= PROPERTIES && call->kind <= INTERFACES;
            call_free(call);
        }
}

/* --- Answers ---------------------------------------------------------------------------------- */

static bool is_app(const struct a11y_walk *self, const struct a11y_node *node)
{
    return node->parent == self->tree.root && strcmp(self->tree.root->ref.bus, A11Y_REGISTRY) == 0;
}

static bool is_hidden(const struct a11y_walk *self, const struct a11y_node *node)
{
    return !self->with_hidden && node->parent && !is_app(self, node) &&
           !a11y_is(node, A11Y_STATE_SHOWING);
}

static bool is_other_app(const struct a11y_walk *self, const struct a11y_node *node)
{
    return is_app(self, node) && self->app && !(node->name && strcasestr(node->name, self->app));
}

/* Children that the program listed; false when it did not list all. */
static bool add_known(struct a11y_walk *self, struct a11y_node *node)
{
    const struct a11y_item *items[KNOWN_MAX];
    int n = node->n_children;
    if (n < 0 || n > KNOWN_MAX || !a11y_tree_children(&self->tree, &node->ref, n, items))
        return false;
    for (int i = 0; i < n; i++) {
        struct a11y_node *child =
            self->tree.n_nodes < self->nodes_max
                ? a11y_tree_add(&self->tree, node, items[i]->ref.bus, items[i]->ref.path)
                : NULL;
        if (child)
            learn(self, child);
        else
            node->is_cut = self->is_cut = true;
    }
    return true;
}

/* It is known what the node is: is it looked into? */
static void descend(struct a11y_walk *self, struct a11y_node *node)
{
    if (is_hidden(self, node) || is_other_app(self, node)) {
        node->is_gone = true;
        return;
    }
    if (self->wants_text && node->interfaces & A11Y_TEXT)
        ask(self, node, TEXT);
    if (node->n_children == 0)
        return;
    if (node->depth >= self->depth_max || self->tree.n_nodes >= self->nodes_max)
        node->is_cut = self->is_cut = true;
    else if (!add_known(self, node))
        ask(self, node, CHILDREN);
}

static void take_item(struct a11y_node *node, const struct a11y_item *item)
{
    node->name = item->name ? strdup(item->name) : NULL;
    node->description = item->description ? strdup(item->description) : NULL;
    node->role = item->role;
    node->states = item->states;
    node->interfaces = item->interfaces;
    node->n_children = item->n_children;
}

static void learn(struct a11y_walk *self, struct a11y_node *node)
{
    const struct a11y_item *item = a11y_tree_item(&self->tree, &node->ref);
    if (item) {
        take_item(node, item);
        descend(self, node);
        return;
    }
    ask(self, node, PROPERTIES);
    ask(self, node, ROLE);
    ask(self, node, STATES);
    ask(self, node, INTERFACES);
}

static void read_children(struct a11y_walk *self, struct a11y_node *node, sd_bus_message *m)
{
    const char *bus, *path;
    bool is_apps = node == self->tree.root && strcmp(node->ref.bus, A11Y_REGISTRY) == 0;
    if (sd_bus_message_enter_container(m, 'a', "(so)") < 0)
        return;
    for (int n = 0; sd_bus_message_read(m, "(so)", &bus, &path) > 0; n++) {
        if (n >= CHILDREN_MAX || self->tree.n_nodes >= self->nodes_max) {
            node->is_cut = self->is_cut = true;
            return;
        }
        if (strcmp(path, "/org/a11y/atspi/null") == 0 || strlen(bus) > 30 || strlen(path) > 250)
            continue;
        struct a11y_node *child = a11y_tree_add(&self->tree, node, bus, path);
        if (child && is_apps)
            ask(self, child, self->pid ? APP_PID : self->app ? APP_NAME : ITEMS);
        else if (child)
            learn(self, child);
    }
}

static void read_strings(sd_bus_message *m, unsigned *mask)
{
    const char *name;
    if (sd_bus_message_enter_container(m, 'a', "s") < 0)
        return;
    while (sd_bus_message_read(m, "s", &name) > 0)
        *mask |= a11y_interface_bit(name);
    sd_bus_message_exit_container(m);
}

static uint64_t read_states(sd_bus_message *m)
{
    uint32_t words[2] = { 0 }, word;
    if (sd_bus_message_enter_container(m, 'a', "u") < 0)
        return 0;
    for (int i = 0; sd_bus_message_read(m, "u", &word) > 0; i++)
        if (i < 2)
            words[i] = word;
    sd_bus_message_exit_container(m);
    return words[0] | (uint64_t)words[1] << 32;
}

/* a((so)(so)(so)iiassusau): object, program, parent, place, number of children, interfaces, name,
 * role, description, states. Programs with an older form are asked node by node. */
static void read_items(struct a11y_walk *self, sd_bus_message *m)
{
    const char *bus, *path, *name, *description, *skip;
    if (sd_bus_message_enter_container(m, 'a', "((so)(so)(so)iiassusau)") < 0)
        return;
    while (sd_bus_message_enter_container(m, 'r', "(so)(so)(so)iiassusau") > 0) {
        const char *parent_bus, *parent_path;
        int32_t index, n_children;
        uint32_t role;
        unsigned interfaces = 0;
        if (sd_bus_message_read(m, "(so)(so)(so)ii", &bus, &path, &skip, &skip, &parent_bus,
                                &parent_path, &index, &n_children) < 0)
            return;
        read_strings(m, &interfaces);
        if (sd_bus_message_read(m, "sus", &name, &role, &description) < 0)
            return;
        bool is_short = strlen(bus) <= 30 && strlen(path) <= 250 && strlen(parent_bus) <= 30 &&
                        strlen(parent_path) <= 250;
        struct a11y_item *item =
            is_short ? a11y_tree_add_item(&self->tree, bus, path, parent_bus, parent_path) : NULL;
        uint64_t states = read_states(m);
        sd_bus_message_exit_container(m);
        if (!item)
            continue;
        item->name = a11y_copy(name, A11Y_TEXT_MAX, NULL);
        item->description = a11y_copy(description, A11Y_TEXT_MAX, NULL);
        item->role = role;
        item->states = states;
        item->interfaces = interfaces;
        item->n_children = n_children < 0 ? -1 : n_children;
        item->index = index;
    }
}

static void read_properties(struct a11y_node *node, sd_bus_message *m)
{
    const char *key, *text;
    int32_t n;
    if (sd_bus_message_enter_container(m, 'a', "{sv}") < 0)
        return;
    while (sd_bus_message_enter_container(m, 'e', "sv") > 0) {
        if (sd_bus_message_read(m, "s", &key) < 0)
            return;
        if (strcmp(key, "Name") == 0 && sd_bus_message_read(m, "v", "s", &text) > 0)
            node->name = node->name ? node->name : a11y_copy(text, A11Y_TEXT_MAX, NULL);
        else if (strcmp(key, "Description") == 0 && sd_bus_message_read(m, "v", "s", &text) > 0)
            node->description =
                node->description ? node->description : a11y_copy(text, A11Y_TEXT_MAX, NULL);
        else if (strcmp(key, "ChildCount") == 0 && sd_bus_message_read(m, "v", "i", &n) > 0)
            node->n_children = n;
        else if (sd_bus_message_skip(m, "v") < 0)
            return;
        sd_bus_message_exit_container(m);
    }
}

static void read_text(struct a11y_walk *self, struct a11y_node *node, sd_bus_message *m)
{
    const char *text;
    if (node->text || sd_bus_message_read(m, "s", &text) <= 0)
        return;
    node->text = a11y_copy(text, (size_t)self->text_max, &node->is_text_cut);
}

static void read_value(struct a11y_node *node, sd_bus_message *m)
{
    const char *key;
    if (sd_bus_message_enter_container(m, 'a', "{sv}") < 0)
        return;
    while (sd_bus_message_enter_container(m, 'e', "sv") > 0) {
        double number = 0;
        if (sd_bus_message_read(m, "s", &key) < 0 ||
            (sd_bus_message_read(m, "v", "d", &number) <= 0 && sd_bus_message_skip(m, "v") < 0))
            return;
        if (strcmp(key, "CurrentValue") == 0)
            node->value = number;
        else if (strcmp(key, "MinimumValue") == 0)
            node->minimum = number;
        else if (strcmp(key, "MaximumValue") == 0)
            node->maximum = number;
        sd_bus_message_exit_container(m);
    }
    /* JSON knows no infinity. */
    node->has_value = __builtin_isfinite(node->value) && __builtin_isfinite(node->minimum) &&
                      __builtin_isfinite(node->maximum);
}

static void read_actions(struct a11y_node *node, sd_bus_message *m)
{
    const char *name, *description, *skip;
    json_decref(node->actions);
    node->actions = json_array();
    if (sd_bus_message_enter_container(m, 'a', "(sss)") < 0)
        return;
    while (sd_bus_message_read(m, "(sss)", &name, &description, &skip) > 0)
        if (json_array_size(node->actions) < ACTIONS_MAX)
            json_array_append_new(node->actions, json_string(name[0] ? name : description));
}

static void read_pid(struct a11y_walk *self, struct a11y_node *node, sd_bus_message *m)
{
    uint32_t pid = 0;
    if (sd_bus_message_read(m, "u", &pid) > 0 && (long)pid == self->pid)
        ask(self, node, ITEMS);
    else
        node->is_gone = true;
}

/* The objects of a program that is not wanted need not be listed. */
static void read_app_name(struct a11y_walk *self, struct a11y_node *node, sd_bus_message *m)
{
    const char *name = "";
    if (sd_bus_message_read(m, "v", "s", &name) > 0 && strcasestr(name, self->app))
        ask(self, node, ITEMS);
    else
        node->is_gone = true;
}

static void read_answer(struct a11y_call *call, sd_bus_message *m)
{
    struct a11y_walk *self = call->walk;
    struct a11y_node *node = call->node;
    switch (call->kind) {
    case APP_PID: read_pid(self, node, m); break;
    case APP_NAME: read_app_name(self, node, m); break;
    case ITEMS: read_items(self, m); break;
    case PROPERTIES: read_properties(node, m); break;
    case ROLE: sd_bus_message_read(m, "u", &node->role); break;
    case STATES: node->states = read_states(m); break;
    case INTERFACES: read_strings(m, &node->interfaces); break;
    case CHILDREN: read_children(self, node, m); break;
    case EXTENTS:
        node->has_bounds = sd_bus_message_read(m, "(iiii)", &node->x, &node->y, &node->width,
                                               &node->height) > 0;
        /* What is nowhere has strange places. */
        node->has_bounds &= node->width > 0 && node->height > 0 && node->x > -PLACE_MAX &&
                            node->y > -PLACE_MAX;
        break;
    case TEXT: read_text(self, node, m); break;
    case VALUE: read_value(node, m); break;
    case ACTIONS: read_actions(node, m); break;
    case KIND_COUNT: break;
    }
}

/* An object that is asked for what it is and does not answer that it is there, is not. */
static void read_failure(struct a11y_call *call, sd_bus_message *m)
{
    const sd_bus_error *error = sd_bus_message_get_error(m);
    if (call->kind == PROPERTIES || call->kind == APP_PID || call->kind == APP_NAME)
        call->node->is_gone = true;
    if (error && (strcmp(error->name, "org.freedesktop.DBus.Error.NoReply") == 0 ||
                  strcmp(error->name, "org.freedesktop.DBus.Error.Timeout") == 0))
        give_up(call->walk, call->node);
}

static int handle_answer(sd_bus_message *m, void *data, sd_bus_error *ret maybe_unused)
{
    struct a11y_call *call = data;
    struct a11y_walk *self = call->walk;
    struct a11y_node *node = call->node;
    enum kind kind = call->kind;
    if (sd_bus_message_is_method_error(m, NULL))
        read_failure(call, m);
    else
        read_answer(call, m);
    call_free(call);
    if (kind >= PROPERTIES && kind <= INTERFACES && --node->missing == 0 && !node->is_gone)
        descend(self, node);
    if (kind == ITEMS)
        learn(self, node);
    pump(self);
    return 0;
}

/* --- Questions -------------------------------------------------------------------------------- */

static const struct {
    const char *interface, *member;
} questions[KIND_COUNT] = {
    [APP_PID] = { "org.freedesktop.DBus", "GetConnectionUnixProcessID" },
    [APP_NAME] = { "org.freedesktop.DBus.Properties", "Get" },
    [ITEMS] = { "org.a11y.atspi.Cache", "GetItems" },
    [PROPERTIES] = { "org.freedesktop.DBus.Properties", "GetAll" },
    [ROLE] = { ACCESSIBLE, "GetRole" },
    [STATES] = { ACCESSIBLE, "GetState" },
    [INTERFACES] = { ACCESSIBLE, "GetInterfaces" },
    [CHILDREN] = { ACCESSIBLE, "GetChildren" },
    [EXTENTS] = { "org.a11y.atspi.Component", "GetExtents" },
    [TEXT] = { "org.a11y.atspi.Text", "GetText" },
    [VALUE] = { "org.freedesktop.DBus.Properties", "GetAll" },
    [ACTIONS] = { "org.a11y.atspi.Action", "GetActions" },
};

static int append_arguments(const struct a11y_call *call, sd_bus_message *m)
{
    switch (call->kind) {
    case APP_PID: return sd_bus_message_append(m, "s", call->node->ref.bus);
    case APP_NAME: return sd_bus_message_append(m, "ss", ACCESSIBLE, "Name");
    case PROPERTIES: return sd_bus_message_append(m, "s", ACCESSIBLE);
    case VALUE: return sd_bus_message_append(m, "s", "org.a11y.atspi.Value");
    case EXTENTS: return sd_bus_message_append(m, "u", 0); /* of the screen */
    case TEXT: return sd_bus_message_append(m, "ii", 0, call->walk->text_max + 1);
    default: return 0;
    }
}

static int send_call(struct a11y_call *call)
{
    struct a11y_walk *self = call->walk;
    const struct a11y_ref *ref = &call->node->ref;
    sd_bus_message *m = NULL;
    const char *bus = call->kind == APP_PID ? "org.freedesktop.DBus" : ref->bus;
    const char *path = call->kind == APP_PID ? "/org/freedesktop/DBus"
                       : call->kind == ITEMS ? "/org/a11y/atspi/cache"
                                             : ref->path;
    int64_t left_us = MAX(self->until_us - clock_now_us(), 1);
    int r = a11y_bus() ? sd_bus_message_new_method_call(a11y_bus(), &m, bus, path,
                                                        questions[call->kind].interface,
                                                        questions[call->kind].member)
                       : -1;
    if (r >= 0)
        r = append_arguments(call, m);
    if (r >= 0)
        r = sd_bus_call_async(a11y_bus(), &call->slot, m, handle_answer, call,
                              (uint64_t)MIN(left_us, CALL_US));
    sd_bus_message_unref(m);
    if (r >= 0)
        self->n_under_way++;
    return r;
}

static void ask_details(struct a11y_walk *self)
{
    for (struct a11y_node *node = self->tree.all; node; node = node->all) {
        if (!node->is_wanted || node->is_gone)
            continue;
        if (node->interfaces & A11Y_COMPONENT)
            ask(self, node, EXTENTS);
        if (node->interfaces & A11Y_TEXT && !node->text && self->text_max > 0)
            ask(self, node, TEXT);
        if (node->interfaces & A11Y_VALUE)
            ask(self, node, VALUE);
        if (node->interfaces & A11Y_ACTION)
            ask(self, node, ACTIONS);
    }
}

static void handle_end(void *data)
{
    struct a11y_walk *self = data;
    self->on_end(self);
}

/* Runs out of an answer's callback: the end frees the walk, and with it the answer's call. */
static void pump(struct a11y_walk *self)
{
    struct a11y_call *call, *next;
    if (list_empty(&self->calls) && !self->has_details) {
        self->has_details = true;
        self->on_tree(self);
        ask_details(self);
    }
    list_for_each_safe(call, next, &self->calls, link) {
        if (self->n_under_way >= CALLS_MAX)
            break;
        if (!call->slot && send_call(call) < 0)
            call_free(call);
    }
    if (list_empty(&self->calls))
        alarm_set(&self->alarm, 0, handle_end, self);
}

static void handle_late(void *data)
{
    struct a11y_walk *self = data;
    self->is_late = self->is_cut = true;
    if (!self->has_details)
        self->on_tree(self);
    self->on_end(self);
}

void a11y_walk_init(struct a11y_walk *self, const json_t *request)
{
    *self = (struct a11y_walk){ 0 };
    list_init(&self->calls);
    self->silent = json_array();
    self->depth_max = (int)CLAMP(json_get_int(request, "depth", 64), 0, 128);
    self->nodes_max = (int)CLAMP(json_get_int(request, "nodes", 1000), 1, 20000);
    self->text_max = (int)CLAMP(json_get_int(request, "text_max", 1000), 0, 1 << 20);
    self->with_hidden = json_get_bool(request, "hidden", false);
    self->app = json_get_string(request, "app", NULL);
    self->pid = (long)json_get_int(request, "pid", 0);
}

void a11y_walk_start(struct a11y_walk *self, const char *bus, const char *path, int64_t within_us)
{
    self->until_us = clock_now_us() + within_us;
    struct a11y_node *root = a11y_tree_add(&self->tree, NULL, bus ? bus : A11Y_REGISTRY,
                                           bus ? path : A11Y_ROOT);
    alarm_set(&self->alarm, within_us, handle_late, self);
    if (root && bus)
        learn(self, root);
    else if (root)
        ask(self, root, CHILDREN);
    pump(self);
}

void a11y_walk_deinit(struct a11y_walk *self)
{
    alarm_stop(&self->alarm);
    while (!list_empty(&self->calls))
        call_free(list_first(&self->calls, struct a11y_call, link));
    a11y_tree_deinit(&self->tree);
    json_decref(self->silent);
}
