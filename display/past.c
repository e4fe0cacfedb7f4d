#include "display/past.h"

#include <string.h>

struct entry {
    struct past_frame at;
    uint64_t *hashes;
    size_t bytes; /* of tiles that the next newer entry does not have; of the newest 0 */
};

struct past {
    struct entry entries[PAST_FRAMES]; /* oldest first */
    int n;
    size_t bytes;
};

struct past *past_new(void)
{
    return calloc(1, sizeof(struct past));
}

static void drop_frame(struct past *self, struct entry *entry)
{
    entry->at.frame = frame_unref(entry->at.frame);
    self->bytes -= entry->bytes;
    entry->bytes = 0;
}

static void remove_entry(struct past *self, int at)
{
    drop_frame(self, &self->entries[at]);
    free(self->entries[at].hashes);
    self->n--;
    memmove(&self->entries[at], &self->entries[at + 1], (size_t)(self->n - at) * sizeof self->entries[0]);
}

struct past *past_free(struct past *self)
{
    while (self && self->n > 0)
        remove_entry(self, self->n - 1);
    free(self);
    return NULL;
}

void past_drop_pixels(struct past *self)
{
    for (int i = 0; i < self->n; i++)
        drop_frame(self, &self->entries[i]);
}

static size_t own_bytes(const struct frame *frame, const struct frame *newer)
{
    size_t n = 0;
    bool is_same = frame->width == newer->width && frame->height == newer->height;
    for (int i = 0; i < frame_n_tiles(frame); i++)
        n += !is_same || frame->tiles[i] != newer->tiles[i];
    return n * sizeof(struct tile);
}

static int find(const struct past *self, int64_t id)
{
    for (int i = self->n - 1; i >= 0; i--)
        if (self->entries[i].at.id == id)
            return i;
    return -1;
}

/* The newest but this one is what may still grow: its tiles are counted against the new one. */
static void count_newest(struct past *self, struct frame *newer)
{
    struct entry *entry = self->n ? &self->entries[self->n - 1] : NULL;
    if (!entry || !entry->at.frame)
        return;
    self->bytes -= entry->bytes;
    entry->bytes = own_bytes(entry->at.frame, newer);
    self->bytes += entry->bytes;
    for (int i = 0; i < self->n && self->bytes > PAST_BYTES; i++)
        drop_frame(self, &self->entries[i]);
}

void past_keep(struct past *self, struct frame *frame)
{
    int there = find(self, frame->id);
    if (there >= 0 && there == self->n - 1 && self->entries[there].at.frame)
        return;
    if (there >= 0)
        remove_entry(self, there);
    else if (self->n == PAST_FRAMES)
        remove_entry(self, 0);
    uint64_t *hashes = malloc((size_t)frame_n_tiles(frame) * sizeof *hashes);
    if (!hashes)
        return;
    for (int i = 0; i < frame_n_tiles(frame); i++)
        hashes[i] = frame->tiles[i]->hash;
    count_newest(self, frame);
    self->entries[self->n++] = (struct entry){
        .at = { frame->id, frame->width, frame->height, hashes, frame_ref(frame) }, .hashes = hashes,
    };
}

bool past_find(const struct past *self, int64_t id, struct past_frame *ret)
{
    int at = find(self, id);
    if (at >= 0)
        *ret = self->entries[at].at;
    return at >= 0;
}
