/* Sizes come from the guest, by way of QEMU, so everything is checked here and nowhere else.
 *
 * 32-bit formats with red, green and blue in our order are copied row by row with the X byte set;
 * QEMU's virtio-gpu and 32-bit VGA modes always give those. The others (VGA's 15, 16 and 24-bit
 * modes, foreign byte orders) go through pixman. The memory is bounded by FRAME_BYTES_MAX. */
#include "display/framebuffer.h"

#include <errno.h>
#include <fcntl.h>
#include <pixman.h>
#include <string.h>
#include <sys/mman.h>

static const struct {
    pixman_format_code_t code;
    int bytes; /* per pixel */
    bool is_plain;
} formats[] = {
    { PIXMAN_x8r8g8b8, 4, true },      { PIXMAN_a8r8g8b8, 4, true },
    { PIXMAN_x8b8g8r8, 4, false },     { PIXMAN_a8b8g8r8, 4, false },
    { PIXMAN_b8g8r8x8, 4, false },     { PIXMAN_b8g8r8a8, 4, false },
    { PIXMAN_r8g8b8x8, 4, false },     { PIXMAN_r8g8b8a8, 4, false },
    { PIXMAN_x2r10g10b10, 4, false },  { PIXMAN_r8g8b8, 3, false },
    { PIXMAN_b8g8r8, 3, false },       { PIXMAN_r5g6b5, 2, false },
    { PIXMAN_b5g6r5, 2, false },       { PIXMAN_x1r5g5b5, 2, false },
    { PIXMAN_a1r5g5b5, 2, false },
};

/* -1 when we cannot convert it. */
static int find_format(uint32_t code)
{
    for (size_t i = 0; i < ARRAY_LEN(formats); i++)
        if ((uint32_t)formats[i].code == code)
            return (int)i;
    return -1;
}

int pixels_check(const struct pixels *p, struct error *err)
{
    int format = find_format(p->format);
    if (format < 0)
        return error_set(err, ERROR_UNSUPPORTED, "pixel format 0x%x", (unsigned)p->format);
    if (p->width < 1 || p->height < 1 || p->width > FRAME_SIZE_MAX || p->height > FRAME_SIZE_MAX ||
        (size_t)p->width * p->height * 4 > FRAME_BYTES_MAX)
        return error_set(err, ERROR_GUEST_FAILED, "a size of %ux%u pixels", (unsigned)p->width,
                         (unsigned)p->height);
    size_t row = (size_t)p->width * (size_t)formats[format].bytes;
    if (p->stride < row || p->stride > INT32_MAX)
        return error_set(err, ERROR_GUEST_FAILED, "a stride of %u bytes for %u pixels",
                         (unsigned)p->stride, (unsigned)p->width);
    /* The last row may be cut after its last pixel. */
    if (p->size < row || (uint64_t)p->stride * (p->height - 1) > p->size - row)
        return error_set(err, ERROR_GUEST_FAILED, "%zu bytes for %u rows of %u", p->size,
                         (unsigned)p->height, (unsigned)p->stride);
    return 0;
}

int framebuffer_new(struct framebuffer **ret, int width, int height, int64_t epoch,
                    struct error *err)
{
    if (width < 1 || height < 1 || width > FRAME_SIZE_MAX || height > FRAME_SIZE_MAX ||
        (size_t)width * (size_t)height * 4 > FRAME_BYTES_MAX)
        return error_set(err, ERROR_GUEST_FAILED, "a framebuffer of %dx%d pixels", width, height);
    struct framebuffer *self = calloc(1, sizeof *self);
    if (!self)
        return error_errno(err, ENOMEM, "making a framebuffer");
    *self = (struct framebuffer){ .fd = -1, .width = width, .height = height, .stride = width * 4,
                                  .size = (size_t)width * (size_t)height * 4, .epoch = epoch };
    self->fd = memfd_create("deskfarm-framebuffer", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (self->fd < 0 || ftruncate(self->fd, (off_t)self->size) < 0 ||
        fcntl(self->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
        int r = error_errno(err, errno, "making a framebuffer of %zu bytes", self->size);
        framebuffer_free(self);
        return r;
    }
    void *map = mmap(NULL, self->size, PROT_READ | PROT_WRITE, MAP_SHARED, self->fd, 0);
    if (map == MAP_FAILED) {
        int r = error_errno(err, errno, "mapping a framebuffer of %zu bytes", self->size);
        framebuffer_free(self);
        return r;
    }
    self->pixels = map;
    for (size_t i = 0; i < self->size / 4; i++)
        self->pixels[i] = 0xff000000u;
    *ret = self;
    return 0;
}

struct framebuffer *framebuffer_free(struct framebuffer *self)
{
    if (!self)
        return NULL;
    if (self->pixels)
        munmap(self->pixels, self->size);
    if (self->fd >= 0)
        close(self->fd);
    free(self);
    return NULL;
}

static void copy_plain(struct framebuffer *self, int x, int y, const struct pixels *p)
{
    for (uint32_t row = 0; row < p->height; row++) {
        const uint8_t *from = (const uint8_t *)p->data + (size_t)row * p->stride;
        uint32_t *to = self->pixels + ((size_t)y + row) * (size_t)self->width + (size_t)x;
        memcpy(to, from, (size_t)p->width * 4);
        for (uint32_t i = 0; i < p->width; i++)
            to[i] |= 0xff000000u;
    }
}

/* Row by row through an aligned copy, because pixman wants aligned rows and D-Bus promises none. */
static int copy_converted(struct framebuffer *self, int x, int y, const struct pixels *p,
                          int format)
{
    size_t bytes = (size_t)p->width * (size_t)formats[format].bytes;
    size_t aligned = (bytes + 3) & ~(size_t)3;
    auto_free uint32_t *line = calloc(1, aligned);
    pixman_image_t *from = line ? pixman_image_create_bits_no_clear(formats[format].code,
        (int)p->width, 1, line, (int)aligned) : NULL;
    pixman_image_t *to = pixman_image_create_bits_no_clear(PIXMAN_x8r8g8b8, self->width,
        self->height, self->pixels, self->stride);
    int r = from && to ? 0 : -ENOMEM;
    for (uint32_t row = 0; r == 0 && row < p->height; row++) {
        memcpy(line, (const uint8_t *)p->data + (size_t)row * p->stride, bytes);
        pixman_image_composite32(PIXMAN_OP_SRC, from, NULL, to, 0, 0, 0, 0, x, y + (int)row,
                                 (int)p->width, 1);
        uint32_t *out = self->pixels + ((size_t)y + row) * (size_t)self->width + (size_t)x;
        for (uint32_t i = 0; i < p->width; i++)
            out[i] |= 0xff000000u;
    }
    if (from)
        pixman_image_unref(from);
    if (to)
        pixman_image_unref(to);
    return r;
}

int framebuffer_write(struct framebuffer *self, int x, int y, const struct pixels *p,
                      struct error *err)
{
    int r = pixels_check(p, err);
    if (r < 0)
        return r;
    struct rect rect = { x, y, (int)p->width, (int)p->height };
    if (!rect_fits(rect, self->width, self->height))
        return error_set(err, ERROR_GUEST_FAILED, "an update of %dx%d at %d,%d on a %dx%d scanout",
                         rect.w, rect.h, x, y, self->width, self->height);
    int format = find_format(p->format);
    if (formats[format].is_plain) {
        copy_plain(self, x, y, p);
        return 0;
    }
    r = copy_converted(self, x, y, p, format);
    return r < 0 ? error_errno(err, -r, "converting pixels") : 0;
}
