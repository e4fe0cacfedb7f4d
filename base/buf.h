/* Bytes in two forms: `struct buf` grows while somebody builds it, `struct bytes` is counted and
 * never changes once it is made, so threads may read it without a lock. */
#pragma once

#include "base/util.h"

#include <stdarg.h>
#include <stdatomic.h>

struct bytes {
    _Atomic int refs;
    size_t size;
    uint8_t data[];
};

/* A counted buffer of size bytes, contents not set. NULL when memory is short. */
struct bytes *bytes_new(size_t size);
struct bytes *bytes_copy(const void *data, size_t size);
struct bytes *bytes_ref(struct bytes *self);
/* Takes NULL, returns NULL. Safe from any thread. */
struct bytes *bytes_unref(struct bytes *self);

static inline void bytes_unref_ptr(struct bytes **p)
{
    bytes_unref(*p);
}
#define auto_bytes __attribute__((cleanup(bytes_unref_ptr)))

struct buf {
    uint8_t *data;
    size_t size, capacity;
    size_t limit; /* growth beyond it fails; 0 means 1 GiB */
    bool failed;  /* out of memory or over the limit: later appends do nothing */
};

#define BUF_INIT { 0 }

void buf_deinit(struct buf *self);
/* Makes room for n more bytes and returns where they go, or NULL. */
void *buf_reserve(struct buf *self, size_t n);
int buf_append(struct buf *self, const void *data, size_t n);
int buf_puts(struct buf *self, const char *text);
int buf_printf(struct buf *self, const char *format, ...) printf_like(2, 3);
int buf_vprintf(struct buf *self, const char *format, va_list ap);
/* Drops the first n bytes. */
void buf_consume(struct buf *self, size_t n);
/* Standard base64 with padding (RFC 4648 section 4). */
int buf_append_base64(struct buf *self, const void *data, size_t n);
/* Appends the bytes of such text; padding is required. -EINVAL when it is none, and then some of
 * them may have been appended. */
int buf_append_base64_text(struct buf *self, const char *text, size_t n);
/* The contents as a string; valid until the next change. Never NULL. */
const char *buf_str(struct buf *self);

static inline void buf_deinit_ptr(struct buf *b)
{
    buf_deinit(b);
}
#define auto_buf __attribute__((cleanup(buf_deinit_ptr)))
