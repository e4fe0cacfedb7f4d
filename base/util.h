/* Small things that every file uses: cleanup attributes, arithmetic, container_of. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define CLAMP(v, lo, hi) ((v) < (lo) ? (lo) : (v) > (hi) ? (hi) : (v))
#define container_of(ptr, type, member) ((type *)((char *)(ptr) - offsetof(type, member)))
#define maybe_unused __attribute__((unused))
#define printf_like(f, a) __attribute__((format(printf, f, a)))

static inline void util_free_ptr(void *p)
{
    free(*(void **)p);
}

static inline void util_close_ptr(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

/* Locals that clean up after themselves; a steal hands the value to its next owner. */
#define auto_free __attribute__((cleanup(util_free_ptr)))
#define auto_fd __attribute__((cleanup(util_close_ptr)))

static inline int steal_fd(int *fd)
{
    int value = *fd;
    *fd = -1;
    return value;
}

#define steal_ptr(p)                                                                               \
    ({                                                                                             \
        __typeof__(*(p)) stolen_ = *(p);                                                           \
        *(p) = NULL;                                                                               \
        stolen_;                                                                                   \
    })
