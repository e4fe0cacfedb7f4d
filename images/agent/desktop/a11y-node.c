/* a11y.node {"node", "do", …}: one object, and what can be done to it.
 *
 *   "get"
 *   "focus"
 *   "invoke"      "action": a name or a number; absent: its first
 *   "set_text"    input: UTF-8, the new contents
 *   "set_value"   "value": a number
 *
 * → output: the node as it is afterwards (none when it is gone then); {"done": true, false when the
 * program declined, null when it did not answer, which is usual for what opens a dialog}.
 *
 * It is looked at first, so that one that is gone, or cannot do it, is told as such. */
#include "images/agent/desktop/a11y-walk.h"
#include "images/agent/desktop/desktop.h"

#include <string.h>

#define ACT_US 3000000
#define LOOK_US 3000000

struct act {
    struct a11y_walk walk;
    struct task *task;
    char bus[32], path[256];
    sd_bus_slot *slot;
    bool is_done, is_known; /* what the program answered */
};

static const struct {
    const char *name;
    unsigned interface; /* that it needs */
    const char *lacks;
} table[] = {
    { "get", 0, NULL },
    { "focus", A11Y_COMPONENT, "cannot take the focus" },
    { "invoke", A11Y_ACTION, "has no actions" },
    { "set_text", A11Y_EDITABLE, "holds no text that can be changed" },
    { "set_value", A11Y_VALUE, "has no value" },
};

static void stop(struct task *task)
{
    struct act *self = task->state;
    sd_bus_slot_unref(self->slot);
    a11y_walk_deinit(&self->walk);
    free(self);
}

static const char *what(const struct act *self)
{
    return json_get_string(self->task->request, "do", "get");
}

/* --- Looking ---------------------------------------------------------------------------------- */

static void want_root(struct a11y_walk *walk)
{
    if (walk->tree.root)
        walk->tree.root->is_wanted = true;
}

static void look(struct act *self, void (*on_end)(struct a11y_walk *walk))
{
    a11y_walk_deinit(&self->walk);
    a11y_walk_init(&self->walk, self->task->request);
    self->walk.depth_max = 0;
    self->walk.data = self;
    self->walk.on_tree = want_root;
    self->walk.on_end = on_end;
    a11y_walk_start(&self->walk, self->bus, self->path, LOOK_US);
}

static bool is_there(const struct act *self)
{
    const struct a11y_node *node = self->walk.tree.root;
    return node && !node->is_gone && !a11y_is(node, A11Y_STATE_DEFUNCT);
}

static void finish(struct a11y_walk *walk)
{
    struct act *self = walk->data;
    json_t *result =
        json_pack("{s:o}", "done", self->is_known ? json_boolean(self->is_done) : json_null());
    if (is_there(self)) {
        walk->tree.root->is_cut = false;
        task_output_json(self->task, a11y_node_json(walk->tree.root, a11y_bus_tag()));
    }
    task_finish(self->task, result);
}

/* --- Doing ------------------------------------------------------------------------------------ */

static void handle_settled(void *data)
{
    look(data, finish);
}

static int handle_done(sd_bus_message *m, void *data, sd_bus_error *ret maybe_unused)
{
    struct act *self = data;
    int done = 1;
    self->is_known = !sd_bus_message_is_method_error(m, NULL);
    const sd_bus_error *error = sd_bus_message_get_error(m);
    if (error && strcmp(error->name, "org.freedesktop.DBus.Error.NoReply") != 0 &&
        strcmp(error->name, "org.freedesktop.DBus.Error.Timeout") != 0)
        self->is_known = true, done = 0;
    else if (sd_bus_message_has_signature(m, "b"))
        sd_bus_message_read(m, "b", &done);
    self->is_done = done;
    /* Not in the callback, which holds the slot; and programs act when they are idle. */
    alarm_set(&self->task->alarm, 20000, handle_settled, self);
    return 0;
}

static int find_action(const struct act *self)
{
    const json_t *wish = json_object_get(self->task->request, "action");
    const json_t *actions = self->walk.tree.root->actions;
    size_t i;
    json_t *name;
    if (!wish)
        return json_array_size(actions) > 0 ? 0 : -1;
    if (json_is_integer(wish))
        return json_integer_value(wish) >= 0 &&
                       json_integer_value(wish) < (json_int_t)json_array_size(actions)
                   ? (int)json_integer_value(wish)
                   : -1;
    json_array_foreach((json_t *)(uintptr_t)actions, i, name)
        if (json_equal(name, wish))
            return (int)i;
    return -1;
}

static int make_call(struct act *self, sd_bus_message **m)
{
    static const char *const calls[][2] = {
        { NULL, NULL },
        { "org.a11y.atspi.Component", "GrabFocus" },
        { "org.a11y.atspi.Action", "DoAction" },
        { "org.a11y.atspi.EditableText", "SetTextContents" },
        { "org.freedesktop.DBus.Properties", "Set" },
    };
    struct task *task = self->task;
    size_t i = 0;
    while (strcmp(table[i].name, what(self)) != 0)
        i++;
    int r = sd_bus_message_new_method_call(a11y_bus(), m, self->bus, self->path, calls[i][0],
                                           calls[i][1]);
    if (r >= 0 && strcmp(what(self), "invoke") == 0)
        r = sd_bus_message_append(*m, "i", find_action(self));
    else if (r >= 0 && strcmp(what(self), "set_text") == 0)
        r = sd_bus_message_append(*m, "s", buf_str(&task->in));
    else if (r >= 0 && strcmp(what(self), "set_value") == 0)
        r = sd_bus_message_append(*m, "ssv", "org.a11y.atspi.Value", "CurrentValue", "d",
                                  json_get_number(task->request, "value", 0));
    return r;
}

static void act(struct act *self)
{
    sd_bus_message *m = NULL;
    int r = a11y_bus() ? make_call(self, &m) : -1;
    if (r >= 0)
        r = sd_bus_call_async(a11y_bus(), &self->slot, m, handle_done, self, ACT_US);
    sd_bus_message_unref(m);
    if (r < 0)
        task_fail(self->task, "failed", "asking the program");
}

static void handle_known(struct a11y_walk *walk)
{
    struct act *self = walk->data;
    struct task *task = self->task;
    size_t i = 0;
    while (strcmp(table[i].name, what(self)) != 0)
        i++;
    const char *id = json_get_string(task->request, "node", "");
    if (walk->is_late)
        task_fail(task, "timeout", "the program of node %.80s does not answer", id);
    else if (!is_there(self))
        task_fail(task, "not_found", "node %.80s is gone; look at the tree again", id);
    else if ((walk->tree.root->interfaces & table[i].interface) != table[i].interface)
        task_fail(task, "bad_value", "node %.80s (%s) %s", id,
                  a11y_role_name(walk->tree.root->role), table[i].lacks);
    else if (strcmp(what(self), "invoke") == 0 && find_action(self) < 0)
        task_fail(task, "bad_value", "action: node %.80s has no such action", id);
    else if (table[i].interface)
        act(self);
    else
        self->is_known = self->is_done = true, finish(walk);
}

static bool is_known_verb(const char *verb)
{
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (strcmp(table[i].name, verb) == 0)
            return true;
    return false;
}

void a11y_node(struct task *task)
{
    struct act *self = calloc(1, sizeof *self);
    const char *id = json_get_string(task->request, "node", "");
    int r = self ? a11y_id_read(id, a11y_bus_tag(), self->bus, self->path) : 0;
    if (!self) {
        task_fail(task, "no_memory", "no memory");
        return;
    }
    a11y_walk_init(&self->walk, task->request);
    self->task = task;
    task->state = self;
    task->stop = stop;
    if (!a11y_bus())
        task_fail(task, "not_ready", "the desktop has no accessibility bus yet");
    else if (r < 0)
        task_fail(task, "bad_value", "node: %.80s is no id of a node", id);
    else if (r > 0)
        task_fail(task, "not_found", "node %.80s is of an earlier session; look at the tree again",
                  id);
    else if (!is_known_verb(what(self)))
        task_fail(task, "bad_value", "do: no such thing to do with a node");
    else
        look(self, handle_known);
}
