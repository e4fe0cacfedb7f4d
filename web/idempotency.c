#include "web/idempotency.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#define ENTRIES_MAX 1024
#define TOTAL_BYTES_MAX ((size_t)64 << 20)
#define ANSWER_BYTES_MAX ((size_t)8 << 20)
#define LIFE_US ((int64_t)24 * 3600 * 1000000)

struct idempotency_entry {
    struct list link; /* oldest first */
    char owner[32];
    char key[IDEMPOTENCY_KEY_MAX + 1];
    XXH128_hash_t request;
    int64_t began_us;
    bool is_done;
    struct kept_answer answer;
};

struct idempotency {
    struct list entries;
    size_t n, total_bytes;
};

struct idempotency *idempotency_new(void)
{
    struct idempotency *self = calloc(1, sizeof *self);
    if (self)
        list_init(&self->entries);
    return self;
}

static size_t answer_bytes(const struct kept_answer *answer)
{
    return (answer->headers ? strlen(answer->headers) : 0) +
           (answer->payload ? answer->payload->size : 0);
}

void idempotency_drop(struct idempotency *self, struct idempotency_entry *entry)
{
    list_remove(&entry->link);
    self->n--;
    self->total_bytes -= answer_bytes(&entry->answer);
    bytes_unref(entry->answer.payload);
    free(entry->answer.headers);
    free(entry);
}

struct idempotency *idempotency_free(struct idempotency *self)
{
    if (!self)
        return NULL;
    while (!list_empty(&self->entries))
        idempotency_drop(self, list_first(&self->entries, struct idempotency_entry, link));
    free(self);
    return NULL;
}

/* Entries are in order of age, so this stops at the first that may stay. One that runs is never
 * dropped: its request holds it. */
static void expire(struct idempotency *self, int64_t now_us, size_t room_entries, size_t room_bytes)
{
    struct idempotency_entry *entry, *next;
    list_for_each_safe (entry, next, &self->entries, link) {
        bool is_old = now_us - entry->began_us > LIFE_US;
        bool is_full = self->n + room_entries > ENTRIES_MAX ||
                       self->total_bytes + room_bytes > TOTAL_BYTES_MAX;
        if (!is_old && !is_full)
            return;
        if (entry->is_done)
            idempotency_drop(self, entry);
    }
}

static struct idempotency_entry *find(struct idempotency *self, const char *owner, const char *key)
{
    struct idempotency_entry *entry;
    list_for_each (entry, &self->entries, link) {
        if (strcmp(entry->key, key) == 0 && strcmp(entry->owner, owner) == 0)
            return entry;
    }
    return NULL;
}

int idempotency_begin(struct idempotency *self, const char *owner, const char *key,
                      const void *request, size_t size, int64_t now_us,
                      struct idempotency_entry **ret, const struct kept_answer **ret_answer)
{
    expire(self, now_us, 1, 0);
    XXH128_hash_t hash = XXH3_128bits(request, size);
    struct idempotency_entry *entry = find(self, owner, key);
    if (entry) {
        if (!XXH128_isEqual(entry->request, hash))
            return IDEMPOTENCY_MISMATCH;
        *ret_answer = &entry->answer;
        return entry->is_done ? IDEMPOTENCY_REPLAY : IDEMPOTENCY_RUNNING;
    }
    entry = self->n < ENTRIES_MAX ? calloc(1, sizeof *entry) : NULL;
    if (!entry)
        return -ENOMEM;
    snprintf(entry->owner, sizeof entry->owner, "%s", owner);
    snprintf(entry->key, sizeof entry->key, "%s", key);
    entry->request = hash;
    entry->began_us = now_us;
    list_append(&self->entries, &entry->link);
    self->n++;
    *ret = entry;
    return IDEMPOTENCY_NEW;
}

void idempotency_keep(struct idempotency *self, struct idempotency_entry *entry, int status,
                      const char *headers, struct bytes *payload)
{
    struct kept_answer answer = { .status = status,
                                  .headers = strdup(headers ? headers : ""),
                                  .payload = payload };
    size_t size = answer_bytes(&answer);
    if (!answer.headers || size > ANSWER_BYTES_MAX) {
        free(answer.headers);
        idempotency_drop(self, entry);
        return;
    }
    /* Nothing is done yet at entry, so it survives the expiry that makes room for it. */
    expire(self, entry->began_us, 0, size);
    bytes_ref(payload);
    entry->answer = answer;
    entry->is_done = true;
    self->total_bytes += size;
}
