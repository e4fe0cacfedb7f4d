#include "stream/packets.h"

#define BUCKETS 1024
#define OVERHEAD (sizeof(struct packet) + sizeof(struct bytes) + 32)

struct packets {
    size_t size, budget;
    struct list ages;
    struct packet *buckets[BUCKETS];
};

struct packets *packets_new(size_t budget)
{
    struct packets *self = calloc(1, sizeof *self);
    if (!self)
        return NULL;
    self->budget = budget;
    list_init(&self->ages);
    return self;
}

static struct packet **bucket_of(struct packets *self, uint64_t hash)
{
    return &self->buckets[hash % BUCKETS];
}

static size_t charge(const struct packet *packet)
{
    return OVERHEAD + (packet->data ? packet->data->size : 0);
}

static void drop(struct packets *self, struct packet *packet)
{
    struct packet **link = bucket_of(self, packet->hash);
    while (*link != packet)
        link = &(*link)->next;
    *link = packet->next;
    list_remove(&packet->link);
    self->size -= charge(packet);
    bytes_unref(packet->data);
    free(packet);
}

struct packets *packets_free(struct packets *self)
{
    while (self && !list_empty(&self->ages))
        drop(self, list_first(&self->ages, struct packet, link));
    free(self);
    return NULL;
}

const struct packet *packets_find(struct packets *self, uint64_t hash)
{
    struct packet *packet = *bucket_of(self, hash);
    while (packet && packet->hash != hash)
        packet = packet->next;
    if (packet) {
        list_remove(&packet->link);
        list_append(self->ages.next, &packet->link);
    }
    return packet;
}

void packets_insert(struct packets *self, uint64_t hash, enum tile_code code, uint32_t colour,
                    struct bytes *data)
{
    struct packet *packet = packets_find(self, hash) ? NULL : malloc(sizeof *packet);
    if (!packet) {
        bytes_unref(data);
        return;
    }
    struct packet **bucket = bucket_of(self, hash);
    *packet = (struct packet){ .next = *bucket, .hash = hash, .code = code, .colour = colour,
                               .data = data };
    *bucket = packet;
    list_append(self->ages.next, &packet->link);
    self->size += charge(packet);
    while (self->size > self->budget && self->ages.prev != self->ages.next)
        drop(self, list_entry(self->ages.prev, struct packet, link));
}

size_t packets_size(const struct packets *self)
{
    return self->size;
}
