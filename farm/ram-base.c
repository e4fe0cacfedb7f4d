#include "farm/ram-base.h"

#include "farm/sandbox-impl.h"

#include <stdio.h>
#include <string.h>

static struct ram_base *add(struct farm *farm, const char *id, int fd, int64_t bytes)
{
    struct ram_base *self = calloc(1, sizeof *self);
    if (!self) {
        util_close_ptr(&fd);
        return NULL;
    }
    self->refs = 1;
    self->fd = fd;
    self->bytes = bytes;
    snprintf(self->id, sizeof self->id, "%s", id);
    list_append(&farm_stock(farm)->bases, &self->link);
    return self;
}

struct ram_base *ram_base_new(struct farm *farm, int fd, int64_t bytes)
{
    char id[ID_MAX];
    id_new("ram-", id);
    return add(farm, id, fd, bytes);
}

struct ram_base *ram_base_get(struct farm *farm, const char *id, int64_t bytes)
{
    struct ram_base *self;
    list_for_each(self, &farm_stock(farm)->bases, link)
        if (strcmp(self->id, id) == 0)
            return ram_base_ref(self);
    return add(farm, id, -1, bytes);
}

struct ram_base *ram_base_ref(struct ram_base *self)
{
    if (self)
        self->refs++;
    return self;
}

struct ram_base *ram_base_unref(struct ram_base *self)
{
    if (self && --self->refs == 0) {
        list_remove(&self->link);
        util_close_ptr(&self->fd);
        free(self);
    }
    return NULL;
}
