/* A ring of entries linked by age, found by chains from a table of twice as many buckets. Numbers
 * instead of pointers: 20 bytes per tile, one allocation. Entry 0 is the ring's head. */
#include "stream/kept.h"

struct entry {
    uint64_t hash;
    uint16_t newer, older, next; /* next in the bucket; 0 ends it */
};

struct kept {
    int n, max;
    unsigned mask;
    uint16_t *buckets;
    struct entry entries[]; /* max + 1 */
};

struct kept *kept_new(int n)
{
    n = CLAMP(n, 0, KEPT_MAX);
    unsigned n_buckets = 16;
    while (n_buckets < 2 * (unsigned)n)
        n_buckets *= 2;
    size_t entries = (size_t)(n + 1) * sizeof(struct entry);
    struct kept *self = calloc(1, sizeof *self + entries + n_buckets * sizeof *self->buckets);
    if (!self)
        return NULL;
    self->max = n;
    self->mask = n_buckets - 1;
    self->buckets = (uint16_t *)(void *)((char *)self->entries + entries);
    return self;
}

struct kept *kept_free(struct kept *self)
{
    free(self);
    return NULL;
}

static uint16_t *bucket_of(const struct kept *self, uint64_t hash)
{
    return &self->buckets[(unsigned)(hash ^ hash >> 32) & self->mask];
}

static uint16_t find(const struct kept *self, uint64_t hash)
{
    uint16_t at = *bucket_of(self, hash);
    while (at && self->entries[at].hash != hash)
        at = self->entries[at].next;
    return at;
}

bool kept_has(const struct kept *self, uint64_t hash)
{
    return find(self, hash) != 0;
}

static void unlink_age(struct kept *self, uint16_t at)
{
    struct entry *e = &self->entries[at];
    self->entries[e->newer].older = e->older;
    self->entries[e->older].newer = e->newer;
}

static void make_newest(struct kept *self, uint16_t at)
{
    struct entry *head = &self->entries[0], *e = &self->entries[at];
    e->newer = 0;
    e->older = head->older;
    self->entries[head->older].newer = at;
    head->older = at;
}

static uint16_t drop_oldest(struct kept *self)
{
    uint16_t at = self->entries[0].newer;
    uint16_t *link = bucket_of(self, self->entries[at].hash);
    while (*link != at)
        link = &self->entries[*link].next;
    *link = self->entries[at].next;
    unlink_age(self, at);
    return at;
}

void kept_use(struct kept *self, uint64_t hash)
{
    if (self->max == 0)
        return;
    uint16_t at = find(self, hash);
    if (at) {
        unlink_age(self, at);
    } else {
        at = self->n < self->max ? (uint16_t)++self->n : drop_oldest(self);
        uint16_t *bucket = bucket_of(self, hash);
        self->entries[at].hash = hash;
        self->entries[at].next = *bucket;
        *bucket = at;
    }
    make_newest(self, at);
}
