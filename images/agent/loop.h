/* The agent's event loop: epoll over sources. One thread, no allocation. */
#pragma once

#include "base/util.h"

#include <sys/epoll.h>

typedef void (*source_fn)(void *data, uint32_t events);

/* Plain memory inside its owner; fd is the source's own. */
struct source {
    int fd; /* -1: closed */
    uint32_t events;
    source_fn fn;
    void *data;
};

int loop_open(void);
/* Takes over fd and makes it non-blocking. */
void source_open(struct source *self, int fd, source_fn fn, void *data);
/* 0 takes it out of the set, so that a hang-up does not spin while nobody may read. */
void source_set(struct source *self, uint32_t events);
/* Its function does not run again. Takes a closed one. */
void source_close(struct source *self);
/* Waits at most timeout_us (negative: for ever) and runs what is ready. */
void loop_turn(int64_t timeout_us);
