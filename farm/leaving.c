#include "farm/leaving.h"

#include "base/fs.h"
#include "farm/farm.h"
#include "farm/sandbox-impl.h"

struct leaving {
    struct list link;
    struct guest *guest;
    char *dir;
    uid_t uid;
};

static void leaving_free(struct leaving *self)
{
    list_remove(&self->link);
    guest_free(self->guest);
    free(self->dir);
    free(self);
}

static void handle_ended(void *data, enum guest_end why maybe_unused, const struct error *err maybe_unused)
{
    struct leaving *self = data;
    if (self->dir)
        fs_remove_tree(self->dir, NULL);
    leaving_free(self);
}

void leaving_add(struct farm *farm, struct guest *guest, char *dir, uid_t uid)
{
    static const struct guest_ops ops = { .on_ended = handle_ended };
    struct leaving *self = guest ? calloc(1, sizeof *self) : NULL;
    if (!self) {
        if (dir)
            fs_remove_tree(dir, NULL);
        guest_free(guest);
        free(dir);
        return;
    }
    *self = (struct leaving){ .guest = guest, .dir = dir, .uid = uid };
    list_append(&farm_stock(farm)->leaving, &self->link);
    guest_set_ops(guest, &ops, self);
    guest_kill(guest);
}

bool leaving_has_uid(const struct farm_stock *stock, uid_t uid)
{
    struct leaving *it;
    list_for_each(it, &stock->leaving, link)
        if (it->uid == uid)
            return true;
    return false;
}

void leaving_free_all(struct farm_stock *stock)
{
    while (!list_empty(&stock->leaving)) {
        struct leaving *self = list_first(&stock->leaving, struct leaving, link);
        if (self->dir)
            fs_remove_tree(self->dir, NULL);
        leaving_free(self);
    }
}
