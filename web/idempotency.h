/* Answers kept under the Idempotency-Key of their request, so that a caller that lost the answer
 * may ask again without doing it twice.
 *
 * A key belongs to its caller (the id of the API key) and to one request: the same key with another
 * method, path or body is a mismatch. Bounds: 1024 entries, 64 MiB of answers, 24 hours; the oldest
 * finished entry goes first. An answer of more than 8 MiB is not kept. */
#pragma once

#include "base/buf.h"
#include "base/list.h"

#define IDEMPOTENCY_KEY_MAX 128

struct idempotency;

/* An answer as it was sent. headers are "name: value\r\n" lines or NULL. */
struct kept_answer {
    int status;
    char *headers;
    struct bytes *payload; /* NULL: none */
};

struct idempotency *idempotency_new(void);
struct idempotency *idempotency_free(struct idempotency *self);

struct idempotency_entry;

enum {
    IDEMPOTENCY_NEW = 0,    /* *ret is reserved: end it with idempotency_keep or idempotency_drop */
    IDEMPOTENCY_REPLAY = 1, /* *ret_answer is what was sent; borrowed for this call's turn */
    IDEMPOTENCY_MISMATCH = 2, /* the key was used for another request */
    IDEMPOTENCY_RUNNING = 3,  /* the first request has no answer yet */
};

/* key has 1 to IDEMPOTENCY_KEY_MAX bytes. request is all that makes the request what it is (method,
 * path, body); only its hash (XXH3, 128 bits) is kept. -ENOMEM when memory is short or all entries
 * run. */
int idempotency_begin(struct idempotency *self, const char *owner, const char *key,
                      const void *request, size_t size, int64_t now_us,
                      struct idempotency_entry **ret, const struct kept_answer **ret_answer);
/* Keeps the answer; copies headers, takes a reference on payload. */
void idempotency_keep(struct idempotency *self, struct idempotency_entry *entry, int status,
                      const char *headers, struct bytes *payload);
/* Forgets a reservation: the request was not carried out. */
void idempotency_drop(struct idempotency *self, struct idempotency_entry *entry);
