/* A batch of events is handled one after another, and handling one may close the source of another.
 * Closing therefore takes the source out of the batch under way. */
#include "images/agent/loop.h"

#include <errno.h>
#include <fcntl.h>

#define BATCH 32

static int epoll_fd = -1;
static struct epoll_event batch[BATCH];
static int n_batch;

int loop_open(void)
{
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    return epoll_fd < 0 ? -errno : 0;
}

void source_open(struct source *self, int fd, source_fn fn, void *data)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags >= 0)
        fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    *self = (struct source) { .fd = fd, .fn = fn, .data = data };
}

void source_set(struct source *self, uint32_t events)
{
    if (self->fd < 0 || events == self->events)
        return;
    struct epoll_event event = { .events = events, .data.ptr = self };
    int what = !events ? EPOLL_CTL_DEL : self->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    if (epoll_ctl(epoll_fd, what, self->fd, &event) == 0)
        self->events = events;
}

void source_close(struct source *self)
{
    if (self->fd < 0)
        return;
    source_set(self, 0);
    close(self->fd);
    self->fd = -1;
    for (int i = 0; i < n_batch; i++)
        if (batch[i].data.ptr == self)
            batch[i].data.ptr = NULL;
}

void loop_turn(int64_t timeout_us)
{
    int timeout_ms = timeout_us < 0 ? -1 : (int)MIN((timeout_us + 999) / 1000, 60000);
    n_batch = epoll_wait(epoll_fd, batch, BATCH, timeout_ms);
    for (int i = 0; i < n_batch; i++) {
        struct source *source = batch[i].data.ptr;
        /* Its owner may have lost interest since the kernel reported it. */
        if (source && source->events)
            source->fn(source->data, batch[i].events);
    }
    n_batch = 0;
}
