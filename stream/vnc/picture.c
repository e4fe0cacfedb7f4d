#include "stream/vnc/picture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

void vnc_picture_deinit(struct vnc_picture *self)
{
    util_close_ptr(&self->read_fd);
    self->read_fd = -1;
    self->framebuffer = framebuffer_free(self->framebuffer);
}

/* The descriptor that leaves this process cannot write, nor be opened again for it by another user. */
static int open_read_only(int fd, struct error *err)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int copy = fchmod(fd, 0600) == 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    return copy >= 0 ? copy : error_errno(err, errno, "opening a picture for reading");
}

int vnc_picture_begin_black(struct vnc_picture *self, int width, int height, struct error *err)
{
    vnc_picture_deinit(self);
    int r = framebuffer_new(&self->framebuffer, width, height, 0, err);
    if (r == 0)
        r = self->read_fd = open_read_only(self->framebuffer->fd, err);
    if (r < 0)
        vnc_picture_deinit(self);
    return r < 0 ? r : 0;
}

int vnc_picture_begin(struct vnc_picture *self, const struct frame *frame, struct error *err)
{
    int r = vnc_picture_begin_black(self, frame->width, frame->height, err);
    if (r == 0)
        frame_read(frame, (struct rect){ 0, 0, frame->width, frame->height },
                   self->framebuffer->pixels, frame->width);
    return r;
}

bool vnc_picture_fits(const struct vnc_picture *self, const struct frame *frame)
{
    return self->framebuffer && self->framebuffer->width == frame->width &&
           self->framebuffer->height == frame->height;
}

void vnc_picture_copy(struct vnc_picture *self, const struct frame *frame, int tile)
{
    struct rect r = frame_tile_rect(frame, tile);
    const uint32_t *from = frame->tiles[tile]->pixels;
    for (int y = 0; y < r.h; y++)
        memcpy(self->framebuffer->pixels + (size_t)(r.y + y) * (size_t)frame->width + r.x,
               from + y * TILE_SIZE, (size_t)r.w * sizeof *from);
}
