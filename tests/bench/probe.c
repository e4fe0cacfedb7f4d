#include "tests/bench/probe.h"

#include "base/clock.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

static void take_event(struct probe *self, const json_t *event)
{
    const char *name = json_get_string(event, "ev", "");
    if (strcmp(name, "ready") == 0) {
        self->is_ready = true;
    } else if (strcmp(name, "painted") == 0) {
        self->painted_id = json_get_int(event, "id", 0);
    } else if (strcmp(name, "key") == 0) {
        self->n_keys++;
        self->key_us = clock_now_us();
    } else if (strcmp(name, "error") == 0 || strcmp(name, "fatal") == 0) {
        snprintf(self->error, sizeof self->error, "%s", json_get_string(event, "message", name));
    }
}

static void take_line(struct probe *self, const char *line, size_t size)
{
    auto_json json_t *event = NULL;
    if (size > 0 && line[0] == '{' && json_parse_object(line, size, &event, NULL) == 0)
        take_event(self, event);
}

static void handle_readable(void *data, int events maybe_unused)
{
    struct probe *self = data;
    void *at = buf_reserve(&self->in, 4096);
    ssize_t n = at ? read(self->fd, at, 4096) : 0;
    if (n <= 0) {
        self->is_closed = n == 0 || errno != EAGAIN;
        watch_set(self->watch, self->is_closed ? 0 : WATCH_READ);
        return;
    }
    self->in.size += (size_t)n;
    const uint8_t *end;
    while ((end = memchr(self->in.data, '\n', self->in.size))) {
        size_t size = (size_t)(end - self->in.data);
        take_line(self, (const char *)self->in.data, size);
        buf_consume(&self->in, size + 1);
    }
}

struct probe *probe_new(struct loop *loop, int fd)
{
    struct probe *self = calloc(1, sizeof *self);
    if (!self)
        abort();
    self->fd = fd;
    self->watch = watch_new(loop, fd, handle_readable, self);
    watch_set(self->watch, WATCH_READ);
    return self;
}

struct probe *probe_free(struct probe *self)
{
    if (!self)
        return NULL;
    watch_free(self->watch);
    buf_deinit(&self->in);
    close(self->fd);
    free(self);
    return NULL;
}

/* The guest reads slower than a socket takes, so this may wait; nothing else is going on then. */
static void write_all(int fd, const char *text, size_t size)
{
    while (size > 0) {
        ssize_t n = write(fd, text, size);
        if (n < 0 && errno != EAGAIN)
            return;
        if (n < 0)
            poll(&(struct pollfd){ .fd = fd, .events = POLLOUT }, 1, 1000);
        else {
            text += n;
            size -= (size_t)n;
        }
    }
}

int64_t probe_fill(struct probe *self, int x, int y, int w, int h, uint32_t colour)
{
    char line[200];
    int n = snprintf(line, sizeof line,
                     "{\"cmd\":\"fill\",\"id\":%lld,\"x\":%d,\"y\":%d,\"w\":%d,\"h\":%d,\"color\":\"#%06x\"}\n",
                     (long long)++self->last_id, x, y, w, h, (unsigned)colour & 0xffffff);
    write_all(self->fd, line, (size_t)n);
    return self->last_id;
}
