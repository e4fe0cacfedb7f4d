#include "images/agent/desktop/a11y-tree.h"

#include "base/util.h"

#include <stdio.h>
#include <string.h>

#define PATH_PREFIX "/org/a11y/atspi/accessible/"
#define GOOD "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"

char *a11y_copy(const char *text, size_t max, bool *ret_is_cut)
{
    size_t size = strlen(text), n = MIN(size, max);
    while (n > 0 && n < size && ((unsigned char)text[n] & 0xc0) == 0x80)
        n--;
    if (ret_is_cut)
        *ret_is_cut = n < size;
    return n > 0 ? strndup(text, n) : NULL;
}

static size_t bucket_of(const char *bus, const char *path)
{
    uint32_t hash = 2166136261u;
    for (; *bus; bus++)
        hash = (hash ^ (uint8_t)*bus) * 16777619u;
    for (; *path; path++)
        hash = (hash ^ (uint8_t)*path) * 16777619u;
    return hash % A11Y_BUCKETS;
}

static bool set_ref(struct a11y_ref *self, const char *bus, const char *path)
{
    snprintf(self->bus, sizeof self->bus, "%s", bus);
    self->path = strdup(path);
    return self->path;
}

struct a11y_node *a11y_tree_add(struct a11y_tree *self, struct a11y_node *parent, const char *bus,
                                const char *path)
{
    struct a11y_node *node = calloc(1, sizeof *node);
    if (!node || !set_ref(&node->ref, bus, path)) {
        free(node);
        return NULL;
    }
    node->n_children = -1;
    node->parent = parent;
    node->depth = parent ? parent->depth + 1 : 0;
    node->all = self->all;
    self->all = node;
    self->n_nodes++;
    if (!parent)
        self->root = node;
    else if (parent->last)
        parent->last->next = node;
    else
        parent->first = node;
    if (parent)
        parent->last = node;
    return node;
}

static void free_item(struct a11y_item *item)
{
    free(item->ref.path);
    free(item->parent.path);
    free(item->name);
    free(item->description);
    free(item);
}

struct a11y_item *a11y_tree_add_item(struct a11y_tree *self, const char *bus, const char *path,
                                     const char *parent_bus, const char *parent_path)
{
    struct a11y_item *item = self->n_items < A11Y_ITEMS_MAX ? calloc(1, sizeof *item) : NULL;
    if (!item)
        return NULL;
    if (!set_ref(&item->ref, bus, path) || !set_ref(&item->parent, parent_bus, parent_path)) {
        free_item(item);
        return NULL;
    }
    size_t bucket = bucket_of(bus, path), parent = bucket_of(parent_bus, parent_path);
    item->next = self->buckets[bucket];
    self->buckets[bucket] = item;
    item->next_child = self->children[parent];
    self->children[parent] = item;
    self->n_items++;
    return item;
}

static bool is_same(const struct a11y_ref *a, const struct a11y_ref *b)
{
    return strcmp(a->path, b->path) == 0 && strcmp(a->bus, b->bus) == 0;
}

bool a11y_tree_children(const struct a11y_tree *self, const struct a11y_ref *ref, int n,
                        const struct a11y_item *ret[])
{
    int n_found = 0;
    memset(ret, 0, (size_t)n * sizeof *ret);
    for (struct a11y_item *item = self->children[bucket_of(ref->bus, ref->path)]; item;
         item = item->next_child) {
        if (!is_same(&item->parent, ref))
            continue;
        if (item->index < 0 || item->index >= n || ret[item->index])
            return false;
        ret[item->index] = item;
        n_found++;
    }
    return n_found == n;
}

const struct a11y_item *a11y_tree_item(const struct a11y_tree *self, const struct a11y_ref *ref)
{
    const struct a11y_item *item = self->buckets[bucket_of(ref->bus, ref->path)];
    while (item && !is_same(&item->ref, ref))
        item = item->next;
    return item;
}

void a11y_tree_deinit(struct a11y_tree *self)
{
    for (struct a11y_node *node = self->all, *next; node; node = next) {
        next = node->all;
        free(node->ref.path);
        free(node->name);
        free(node->description);
        free(node->text);
        json_decref(node->actions);
        free(node);
    }
    for (size_t i = 0; i < A11Y_BUCKETS; i++)
        for (struct a11y_item *item = self->buckets[i], *next; item; item = next) {
            next = item->next;
            free_item(item);
        }
    *self = (struct a11y_tree){ 0 };
}

/* --- Ids -------------------------------------------------------------------------------------- */

bool a11y_id_write(const struct a11y_ref *ref, unsigned tag, char ret[A11Y_ID_MAX])
{
    const char *path = ref->path;
    bool is_usual = strncmp(path, PATH_PREFIX, sizeof PATH_PREFIX - 1) == 0;
    if (strncmp(ref->bus, ":1.", 3) != 0)
        return false;
    if (is_usual)
        path += sizeof PATH_PREFIX - 1;
    int n = snprintf(ret, A11Y_ID_MAX, "%04x.%s-%s", tag, ref->bus + 3, path);
    for (char *at = ret; *at; at++)
        if (*at == '/')
            *at = '.';
    return n < A11Y_ID_MAX;
}

int a11y_id_read(const char *id, unsigned tag, char ret_bus[32], char ret_path[256])
{
    char given[5], number[16];
    int used = 0;
    if (sscanf(id, "%4[0-9a-f].%15[0-9]-%n", given, number, &used) != 2 || used == 0 ||
        strlen(id) >= A11Y_ID_MAX)
        return -1;
    const char *rest = id + used;
    if (!rest[0] || strspn(rest, GOOD ".") != strlen(rest) || strstr(rest, "..") ||
        rest[strlen(rest) - 1] == '.')
        return -1;
    snprintf(ret_bus, 32, ":1.%s", number);
    snprintf(ret_path, 256, "%s%s", rest[0] == '.' ? "" : PATH_PREFIX, rest);
    for (char *at = ret_path; *at; at++)
        if (*at == '.')
            *at = '/';
    return strtoul(given, NULL, 16) != tag;
}

/* --- JSON ------------------------------------------------------------------------------------- */

static void set_text(json_t *object, const char *key, const char *text)
{
    json_t *value = text ? json_string(text) : NULL;
    if (value)
        json_object_set_new(object, key, value);
}

static json_t *states_json(uint64_t states)
{
    json_t *ret = json_array();
    for (int i = 0; i < 64; i++)
        if (states >> i & 1 && a11y_state_name(i))
            json_array_append_new(ret, json_string(a11y_state_name(i)));
    return ret;
}

/* A label's text is its name; a container's is a character (U+FFFC) for each child. */
static bool has_own_text(const struct a11y_node *self)
{
    const char *text = self->text;
    if (!text || (self->name && strcmp(self->name, text) == 0))
        return false;
    while (strncmp(text, "\xef\xbf\xbc", 3) == 0)
        text += 3;
    return *text;
}

json_t *a11y_node_json(const struct a11y_node *self, unsigned tag)
{
    char id[A11Y_ID_MAX];
    json_t *ret = json_object();
    if (a11y_id_write(&self->ref, tag, id))
        set_text(ret, "id", id);
    bool is_desktop = !self->parent && self->role == 0; /* nobody asks it */
    json_object_set_new(ret, "role",
                        json_string(is_desktop ? "desktop frame" : a11y_role_name(self->role)));
    set_text(ret, "name", self->name ? self->name : "");
    set_text(ret, "description", self->description);
    json_object_set_new(ret, "states", states_json(self->states));
    if (self->has_bounds)
        json_object_set_new(ret, "bounds",
                            json_pack("{s:i, s:i, s:i, s:i}", "x", self->x, "y", self->y, "width",
                                      self->width, "height", self->height));
    if (has_own_text(self))
        set_text(ret, "text", self->text);
    if (self->is_text_cut && has_own_text(self))
        json_object_set_new(ret, "text_truncated", json_true());
    if (self->has_value)
        json_object_set_new(ret, "value",
                            json_pack("{s:f, s:f, s:f}", "current", self->value, "minimum",
                                      self->minimum, "maximum", self->maximum));
    if (json_array_size(self->actions) > 0)
        json_object_set(ret, "actions", self->actions);
    return ret;
}

json_t *a11y_tree_json(const struct a11y_node *self, unsigned tag)
{
    json_t *ret = a11y_node_json(self, tag), *children = NULL;
    for (const struct a11y_node *child = self->first; child; child = child->next) {
        if (child->is_gone)
            continue;
        if (!children)
            children = json_array();
        json_array_append_new(children, a11y_tree_json(child, tag));
    }
    if (children)
        json_object_set_new(ret, "children", children);
    if (self->is_cut)
        json_object_set_new(ret, "more", json_true());
    return ret;
}
