/* Each item has at most one other above it:
 *
 *   a checkpoint   the sandbox that it was taken of; when that is gone, the checkpoint before it
 *   a sandbox      the one that it was forked from; else the checkpoint or template that it came from
 *
 * A sandbox that went back to a checkpoint of its own stays where it is, and the checkpoint below it.
 * Going back to what came from oneself could close a ring: it is cut open above that sandbox. */
#include "farm/tree.h"

#include "base/clock.h"
#include "farm/checkpoint.h"
#include "farm/sandbox-impl.h"

#include <string.h>

static json_t *checkpoint_item(const struct checkpoint *self)
{
    char created[CLOCK_RFC3339_MAX];
    clock_format(self->created_us, created);
    return json_pack("{ss ss ss ss ss ss ss ss}", "kind", self->is_template ? "template" : "checkpoint", "id",
                     self->id, "name", self->name, "sandbox", self->sandbox, "checkpoint", self->parent,
                     "state", "", "image", self->machine.image_name, "created_at", created);
}

static json_t *sandbox_item(const struct sandbox *self)
{
    char created[CLOCK_RFC3339_MAX];
    clock_format(self->created_us, created);
    return json_pack("{ss ss ss ss ss ss ss ss}", "kind", "sandbox", "id", self->id, "name", "", "sandbox",
                     self->lineage.parent, "checkpoint", self->lineage.checkpoint, "state",
                     sandbox_state_name(self->state), "image", self->image_name, "created_at", created);
}

static const char *text(const json_t *item, const char *name)
{
    return json_get_string(item, name, "");
}

/* Past checkpoints that were taken of the sandbox itself. */
static const char *foreign_checkpoint(const json_t *map, const json_t *item)
{
    const char *id = text(item, "checkpoint");
    for (size_t steps = json_object_size(map); steps > 0; steps--) {
        const json_t *checkpoint = json_object_get(map, id);
        if (!checkpoint || strcmp(text(checkpoint, "sandbox"), text(item, "id")) != 0)
            return id;
        id = text(checkpoint, "checkpoint");
    }
    return "";
}

static const char *parent_of(const json_t *map, const json_t *item)
{
    const char *sandbox = text(item, "sandbox");
    if (json_object_get(map, sandbox))
        return sandbox;
    const char *checkpoint = foreign_checkpoint(map, item);
    return json_object_get(map, checkpoint) ? checkpoint : "";
}

/* Whether the way up from an item leads back to it. */
static bool is_in_ring(const json_t *map, const json_t *item)
{
    const char *id = text(item, "parent");
    for (size_t steps = json_object_size(map); *id && steps > 0; steps--) {
        if (strcmp(id, text(item, "id")) == 0)
            return true;
        id = text(json_object_get(map, id), "parent");
    }
    return false;
}

static void join(json_t *items)
{
    size_t i;
    json_t *item;
    auto_json json_t *map = json_object();
    json_array_foreach (items, i, item)
        json_object_set(map, text(item, "id"), item);
    json_array_foreach (items, i, item)
        json_object_set_new(item, "parent", json_string(parent_of(map, item)));
    json_array_foreach (items, i, item)
        if (strcmp(text(item, "kind"), "sandbox") == 0 && is_in_ring(map, item))
            json_object_set_new(item, "parent", json_string(""));
}

json_t *farm_tree(struct farm *farm, const struct principal *who)
{
    json_t *items = json_array();
    struct checkpoint *checkpoint;
    struct sandbox *sandbox;
    list_for_each(checkpoint, &farm_stock(farm)->checkpoints, link)
        if (checkpoint_find(farm, who, checkpoint->id, NULL))
            json_array_append_new(items, checkpoint_item(checkpoint));
    list_for_each(sandbox, farm_sandboxes(farm), link)
        if (farm_find(farm, who, sandbox->id, NULL))
            json_array_append_new(items, sandbox_item(sandbox));
    join(items);
    return json_pack("{so}", "items", items);
}
