/* A message is sent in the turn in which it falls due, or as soon as the socket to the viewer's process
 * takes it. An update of the screen costs a bit per changed tile and viewer, and one message of a few
 * bytes; the pixels are copied once for all (stream/vnc/picture.h). */
#include "stream/vnc/export.h"

#include "base/clock.h"
#include "stream/vnc/picture.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define MESSAGES_PER_TURN 64
#define TICK_US 1000000
#define OFF_WIDTH 640 /* what a desktop without a screen is shown as */
#define OFF_HEIGHT 480

struct vnc_export {
    struct loop *loop;
    struct display *display;
    const struct vnc_export_ops *ops;
    void *data;
    int fd; /* to the helper; -1: it does not run */
    struct watch *watch;
    struct timer *linger;
    struct list viewers;
    struct vnc_viewer *reading; /* whose messages are taken just now; NULL when it was freed by one */
    int n_viewers, n_greeted;
    uint32_t next_id;
    struct display_observer observer;
    struct vnc_picture picture;
};

struct vnc_viewer {
    struct list link;
    struct vnc_export *export;
    const struct vnc_viewer_ops *ops;
    void *data;
    int fd; /* to its process */
    struct watch *watch;
    struct timer *timer;
    bool can_control, is_greeted, is_paused;
    int64_t hello_due_us, blocked_us; /* since when the socket takes nothing; 0: it does */

    /* What its process is to be told. */
    bool has_screen, has_shape, has_cursor, has_role, has_refusal;
    uint64_t *damage; /* a bit per tile of the picture */
    int columns, rows;
    struct bytes *clipboard;
    size_t clipboard_sent;

    struct buf cut; /* pieces that have come */
};

/* --- The end of a viewer ---------------------------------------------------------------------- */

static void stop_helper(struct vnc_export *self)
{
    self->watch = watch_free(self->watch);
    util_close_ptr(&self->fd);
    self->fd = -1;
}

static void handle_linger(void *data)
{
    struct vnc_export *self = data;
    if (self->n_viewers == 0)
        stop_helper(self);
}

static void free_viewer(struct vnc_viewer *self)
{
    struct vnc_export *export = self->export;
    list_remove(&self->link);
    export->n_viewers--;
    if (self->is_greeted && --export->n_greeted == 0) {
        display_release(export->display);
        vnc_picture_deinit(&export->picture);
    }
    if (export->n_viewers == 0)
        timer_start(export->linger, VNC_LINGER_US);
    if (export->reading == self)
        export->reading = NULL;
    watch_free(self->watch);
    timer_free(self->timer);
    util_close_ptr(&self->fd);
    bytes_unref(self->clipboard);
    buf_deinit(&self->cut);
    free(self->damage);
    free(self);
}

void vnc_viewer_close(struct vnc_viewer *self)
{
    free_viewer(self);
}

static void drop(struct vnc_viewer *self, const char *why)
{
    const struct vnc_viewer_ops *ops = self->ops;
    void *data = self->data;
    free_viewer(self);
    ops->gone(data, why);
}

/* --- Out -------------------------------------------------------------------------------------- */

static int send_message(struct vnc_viewer *self, const struct vnc_message *message)
{
    return vnc_wire_send(self->fd, message, NULL, 0);
}

static int send_role(struct vnc_viewer *self)
{
    return send_message(self, &(struct vnc_message){ .type = VNC_ROLE, .is_on = self->can_control });
}

static int send_refusal(struct vnc_viewer *self)
{
    return send_message(self, &(struct vnc_message){ .type = VNC_REFUSED });
}

static int send_screen(struct vnc_viewer *self)
{
    const struct vnc_picture *picture = &self->export->picture;
    struct vnc_message message = { .type = VNC_SCREEN, .width = (uint16_t)picture->framebuffer->width,
                                   .height = (uint16_t)picture->framebuffer->height };
    return vnc_wire_send(self->fd, &message, &picture->read_fd, 1);
}

static bool is_damaged(const struct vnc_viewer *self, int tile)
{
    return self->damage[tile / 64] >> tile % 64 & 1;
}

/* The damaged tiles from at on, as runs in rows. Returns where it stopped. */
static int collect_rects(const struct vnc_viewer *self, int at, struct vnc_rect *rects, size_t *ret_n)
{
    const struct framebuffer *fb = self->export->picture.framebuffer;
    int end = self->columns * self->rows;
    size_t n = 0;
    while (at < end && n < VNC_RECTS_MAX) {
        int first = at;
        while (at < end && is_damaged(self, at) && (at == first || at % self->columns))
            at++;
        if (at == first) {
            at++;
            continue;
        }
        int x = first % self->columns * TILE_SIZE, y = first / self->columns * TILE_SIZE;
        rects[n++] = (struct vnc_rect){ (uint16_t)x, (uint16_t)y,
                                        (uint16_t)MIN((at - first) * TILE_SIZE, fb->width - x),
                                        (uint16_t)MIN(TILE_SIZE, fb->height - y) };
    }
    *ret_n = n;
    return at;
}

static int send_damage(struct vnc_viewer *self)
{
    static struct vnc_rect rects[VNC_RECTS_MAX];
    int end = self->columns * self->rows;
    for (int at = 0; at < end;) {
        size_t n;
        int next = collect_rects(self, at, rects, &n);
        int r = n ? send_message(self, &(struct vnc_message){ .type = VNC_DAMAGE, .payload = (const uint8_t *)rects,
                                                              .size = n * sizeof *rects }) : 0;
        if (r < 0)
            return r;
        for (; at < next; at++)
            self->damage[at / 64] &= ~(1ull << at % 64);
    }
    return 0;
}

static bool has_damage(const struct vnc_viewer *self)
{
    for (int i = 0; i < (self->columns * self->rows + 63) / 64; i++)
        if (self->damage[i])
            return true;
    return false;
}

static uint32_t straight(uint32_t pixel)
{
    uint32_t alpha = pixel >> 24;
    if (alpha == 0 || alpha == 255)
        return alpha ? pixel : 0;
    uint32_t out = alpha << 24;
    for (int shift = 0; shift < 24; shift += 8)
        out |= MIN((pixel >> shift & 0xff) * 255 / alpha, 255u) << shift;
    return out;
}

/* A larger shape is cut to what lies around its hotspot. */
static int send_shape(struct vnc_viewer *self)
{
    static uint32_t pixels[VNC_CURSOR_SIDE_MAX * VNC_CURSOR_SIDE_MAX];
    const struct cursor *cursor = display_cursor(self->export->display);
    const struct cursor_shape *shape = cursor->is_visible ? cursor->shape : NULL;
    if (!shape)
        return send_message(self, &(struct vnc_message){ .type = VNC_SHAPE });
    int w = MIN(shape->width, VNC_CURSOR_SIDE_MAX), h = MIN(shape->height, VNC_CURSOR_SIDE_MAX);
    int left = CLAMP(shape->hot_x - w / 2, 0, shape->width - w);
    int top = CLAMP(shape->hot_y - h / 2, 0, shape->height - h);
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++)
            pixels[y * w + x] = straight(shape->pixels[(top + y) * shape->width + left + x]);
    return send_message(self, &(struct vnc_message){
        .type = VNC_SHAPE, .width = (uint16_t)w, .height = (uint16_t)h, .x = shape->hot_x - left,
        .y = shape->hot_y - top, .payload = (const uint8_t *)pixels, .size = (size_t)w * (size_t)h * 4 });
}

static int send_cursor(struct vnc_viewer *self)
{
    int x = 0, y = 0;
    bool is_visible = cursor_point(display_cursor(self->export->display), &x, &y);
    return send_message(self, &(struct vnc_message){ .type = VNC_CURSOR, .is_on = is_visible, .x = x, .y = y });
}

static int send_clipboard(struct vnc_viewer *self)
{
    int r = 0;
    while (r == 0 && self->clipboard) {
        size_t n = MIN(self->clipboard->size - self->clipboard_sent, VNC_PAYLOAD_MAX / 2);
        bool is_last = self->clipboard_sent + n == self->clipboard->size;
        r = send_message(self, &(struct vnc_message){ .type = VNC_CLIPBOARD, .is_on = is_last, .size = n,
                                                      .payload = self->clipboard->data + self->clipboard_sent });
        if (r == 0)
            self->clipboard_sent += n;
        if (r == 0 && is_last)
            self->clipboard = bytes_unref(self->clipboard);
    }
    return r;
}

/* One kind of message: sent when it is due, due no more when it was sent. */
static int send_one(struct vnc_viewer *self, bool *is_due, int (*send)(struct vnc_viewer *self))
{
    int r = *is_due ? send(self) : 0;
    if (r == 0)
        *is_due = false;
    return r;
}

static int send_all(struct vnc_viewer *self)
{
    int r = send_one(self, &self->has_role, send_role);
    if (!self->export->picture.framebuffer)
        return r;
    if (r == 0)
        r = send_one(self, &self->has_screen, send_screen);
    if (r == 0 && has_damage(self))
        r = send_damage(self);
    if (r == 0)
        r = send_one(self, &self->has_shape, send_shape);
    if (r == 0)
        r = send_one(self, &self->has_cursor, send_cursor);
    if (r == 0)
        r = send_one(self, &self->has_refusal, send_refusal);
    return r == 0 ? send_clipboard(self) : r;
}

static void watch_socket(struct vnc_viewer *self)
{
    watch_set(self->watch, (self->is_paused ? WATCH_GONE : WATCH_READ) | (self->blocked_us ? WATCH_WRITE : 0));
}

/* Tells what the socket takes now. A socket that fails otherwise than by being full has ended, which
 * shows when it is read. */
static void flush(struct vnc_viewer *self)
{
    int r = self->is_greeted ? send_all(self) : 0;
    if (r == -EAGAIN && !self->blocked_us)
        self->blocked_us = clock_now_us();
    else if (r != -EAGAIN)
        self->blocked_us = 0;
    watch_socket(self);
}

/* --- The screen ------------------------------------------------------------------------------- */

/* The picture is another: all of it is new, and what was damaged before does not count. */
static void begin_screen(struct vnc_viewer *self)
{
    const struct framebuffer *fb = self->export->picture.framebuffer;
    int columns = frame_columns(fb->width), rows = frame_columns(fb->height);
    free(self->damage);
    self->damage = calloc((size_t)(columns * rows + 63) / 64, sizeof *self->damage);
    self->columns = self->damage ? columns : 0;
    self->rows = self->damage ? rows : 0;
    self->has_screen = self->has_shape = self->has_cursor = true;
}

static void begin_picture(struct vnc_export *self, const struct frame *frame)
{
    struct vnc_viewer *viewer;
    int r = frame ? vnc_picture_begin(&self->picture, frame, NULL)
                  : vnc_picture_begin_black(&self->picture, OFF_WIDTH, OFF_HEIGHT, NULL);
    if (r < 0)
        return; /* memory is short: the next frame tries again, or its viewers are dropped */
    list_for_each(viewer, &self->viewers, link)
    {
        if (!viewer->is_greeted)
            continue;
        begin_screen(viewer);
        flush(viewer);
    }
}

static void handle_frame(void *data, const struct frame_update *update)
{
    struct vnc_export *self = data;
    struct vnc_viewer *viewer;
    if (self->n_greeted == 0)
        return;
    if (!vnc_picture_fits(&self->picture, update->frame)) {
        begin_picture(self, update->frame);
        return;
    }
    for (int i = 0; i < update->n_changes; i++)
        vnc_picture_copy(&self->picture, update->frame, update->changes[i].index);
    list_for_each(viewer, &self->viewers, link)
    {
        for (int i = 0; viewer->columns && i < update->n_changes; i++) {
            int tile = update->changes[i].index;
            viewer->damage[tile / 64] |= 1ull << tile % 64;
        }
        flush(viewer);
    }
}

static void handle_screen(void *data, enum display_screen screen)
{
    struct vnc_export *self = data;
    if (self->n_greeted > 0 && screen == DISPLAY_OFF)
        begin_picture(self, NULL);
    else if (self->n_greeted > 0 && screen == DISPLAY_ON && display_frame(self->display))
        begin_picture(self, display_frame(self->display));
}

static void handle_cursor(void *data, const struct cursor *cursor maybe_unused)
{
    struct vnc_export *self = data;
    struct vnc_viewer *viewer;
    list_for_each(viewer, &self->viewers, link)
    {
        viewer->has_shape = viewer->has_cursor = true;
        flush(viewer);
    }
}

/* --- In --------------------------------------------------------------------------------------- */

static void greet(struct vnc_viewer *self)
{
    struct vnc_export *export = self->export;
    if (self->is_greeted)
        return;
    self->is_greeted = true;
    if (++export->n_greeted == 1)
        display_hold(export->display);
    const struct frame *frame = display_frame(export->display);
    if (export->picture.framebuffer)
        begin_screen(self);
    else if (frame || display_screen(export->display) == DISPLAY_OFF)
        begin_picture(export, frame);
    self->has_role = true;
    flush(self);
    self->ops->greeted(self->data);
}

static void take_cut(struct vnc_viewer *self, const struct vnc_message *m)
{
    bool is_whole = m->is_on;
    buf_append(&self->cut, m->payload, m->size);
    if (!is_whole)
        return;
    struct buf text = self->cut;
    self->cut = (struct buf){ .limit = VNC_TEXT_MAX };
    if (!text.failed && self->can_control)
        self->ops->cut(self->data, text.data, text.size);
    buf_deinit(&text);
}

/* May free the viewer. */
static void take(struct vnc_viewer *self, const struct vnc_message *m)
{
    if (m->type == VNC_HELLO)
        greet(self);
    else if (m->type == VNC_DENIED)
        self->ops->denied(self->data);
    else if (m->type == VNC_CUT)
        take_cut(self, m);
    else if (!self->can_control || !self->is_greeted)
        return;
    else if (m->type == VNC_KEY)
        self->ops->key(self->data, m->number, m->value, m->is_on);
    else if (m->type == VNC_POINTER)
        self->ops->pointer(self->data, m->number, m->x, m->y);
    else if (m->type == VNC_SIZE)
        self->ops->resize(self->data, m->width, m->height);
}

int vnc_viewer_feed(struct vnc_viewer *self, const uint8_t *packet, size_t size)
{
    struct vnc_message message;
    if (vnc_wire_read(packet, size, VNC_OF_VIEWER, &message) < 0) {
        drop(self, "the VNC helper sent what it may not");
        return -EPROTO;
    }
    take(self, &message);
    return 0;
}

static void read_viewer(struct vnc_viewer *self)
{
    static uint8_t packet[VNC_MESSAGE_MAX];
    struct vnc_export *export = self->export;
    export->reading = self;
    for (int i = 0; i < MESSAGES_PER_TURN && export->reading && !self->is_paused; i++) {
        int fd;
        ptrdiff_t n = vnc_wire_receive(self->fd, packet, &fd, 1);
        util_close_ptr(&fd);
        if (n == -EAGAIN)
            break;
        if (n <= 0)
            drop(self, "the viewer left");
        else
            vnc_viewer_feed(self, packet, (size_t)n);
    }
    export->reading = NULL;
}

static void handle_socket(void *data, int events)
{
    struct vnc_viewer *self = data;
    if (events & WATCH_WRITE)
        flush(self);
    if (self->is_paused && events & WATCH_GONE)
        drop(self, "the viewer left");
    else if (events & WATCH_READ)
        read_viewer(self);
}

static void handle_tick(void *data)
{
    struct vnc_viewer *self = data;
    int64_t now_us = clock_now_us();
    if (!self->is_greeted && now_us > self->hello_due_us)
        drop(self, "no password came");
    else if (self->blocked_us && now_us - self->blocked_us > VNC_STALL_US)
        drop(self, "the viewer takes nothing any more");
    else
        timer_start(self->timer, TICK_US);
}

/* --- The helper ------------------------------------------------------------------------------- */

static void lose_helper(struct vnc_export *self)
{
    bool had_viewers = self->n_viewers > 0;
    stop_helper(self);
    while (!list_empty(&self->viewers))
        drop(list_first(&self->viewers, struct vnc_viewer, link), "the VNC helper ended");
    if (had_viewers)
        self->ops->crashed(self->data, 0);
}

static void handle_helper(void *data, int events maybe_unused)
{
    static uint8_t packet[VNC_MESSAGE_MAX];
    struct vnc_export *self = data;
    struct vnc_message message;
    int fd;
    ptrdiff_t n = vnc_wire_receive(self->fd, packet, &fd, 1);
    util_close_ptr(&fd);
    if (n == -EAGAIN)
        return;
    if (n <= 0 || vnc_wire_read(packet, (size_t)n, VNC_OF_HELPER, &message) < 0)
        lose_helper(self);
    else if (message.number != 0)
        self->ops->crashed(self->data, message.number);
}

static int make_pair(int fds[2], struct error *err)
{
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
        return error_errno(err, errno, "creating a socket pair");
    fcntl(fds[0], F_SETFL, O_NONBLOCK); /* ours; the other end may wait */
    return 0;
}

static int start_helper(struct vnc_export *self, struct error *err)
{
    int fds[2];
    int r = make_pair(fds, err);
    if (r < 0)
        return r;
    auto_fd int theirs = fds[1];
    self->fd = fds[0];
    self->watch = watch_new(self->loop, self->fd, handle_helper, self);
    r = self->watch ? self->ops->start(self->data, theirs, err)
                    : error_errno(err, ENOMEM, "starting the VNC helper");
    if (r < 0)
        stop_helper(self);
    else
        watch_set(self->watch, WATCH_READ);
    return r;
}

struct vnc_export *vnc_export_new(struct loop *loop, struct display *display,
                                  const struct vnc_export_ops *ops, void *data)
{
    static const struct display_observer_ops observer_ops = {
        .screen = handle_screen, .frame = handle_frame, .cursor = handle_cursor,
    };
    struct vnc_export *self = calloc(1, sizeof *self);
    if (!self)
        return NULL;
    *self = (struct vnc_export){ .loop = loop, .display = display, .ops = ops, .data = data, .fd = -1,
                                 .next_id = 1, .picture = VNC_PICTURE_INIT };
    list_init(&self->viewers);
    self->linger = timer_new(loop, handle_linger, self);
    if (!self->linger)
        return vnc_export_free(self);
    display_observe(display, &self->observer, &observer_ops, self);
    return self;
}

struct vnc_export *vnc_export_free(struct vnc_export *self)
{
    if (!self)
        return NULL;
    while (!list_empty(&self->viewers))
        free_viewer(list_first(&self->viewers, struct vnc_viewer, link));
    display_unobserve(&self->observer);
    stop_helper(self);
    timer_free(self->linger);
    free(self);
    return NULL;
}

int vnc_export_n_viewers(const struct vnc_export *self)
{
    return self->n_viewers;
}

/* --- Viewers ---------------------------------------------------------------------------------- */

static int send_add(struct vnc_export *self, const struct vnc_viewer_spec *spec, int channel)
{
    uint8_t payload[VNC_PASSWORD_MAX + 1 + VNC_NAME_MAX] = { 0 };
    const char *password = spec->password ? spec->password : "", *name = spec->name ? spec->name : "";
    size_t n = strnlen(password, VNC_PASSWORD_MAX), n_name = strnlen(name, VNC_NAME_MAX);
    int fds[2] = { spec->fd, channel };
    memcpy(payload, password, n);
    memcpy(payload + n + 1, name, n_name);
    struct vnc_message message = { .type = VNC_ADD, .value = self->next_id++, .is_on = spec->can_control,
                                   .payload = payload, .size = n + 1 + n_name };
    int r = vnc_wire_send(self->fd, &message, fds, 2);
    explicit_bzero(payload, sizeof payload);
    return r;
}

static struct vnc_viewer *new_viewer(struct vnc_export *export, const struct vnc_viewer_spec *spec, int fd)
{
    struct vnc_viewer *self = calloc(1, sizeof *self);
    if (!self) {
        close(fd);
        return NULL;
    }
    *self = (struct vnc_viewer){ .export = export, .ops = spec->ops, .data = spec->data, .fd = fd,
                                 .can_control = spec->can_control, .cut = { .limit = VNC_TEXT_MAX },
                                 .hello_due_us = clock_now_us() + VNC_HELLO_US };
    list_append(&export->viewers, &self->link);
    export->n_viewers++;
    self->watch = watch_new(export->loop, fd, handle_socket, self);
    self->timer = timer_new(export->loop, handle_tick, self);
    if (self->watch && self->timer)
        return self;
    free_viewer(self);
    return NULL;
}

static int add(struct vnc_export *self, const struct vnc_viewer_spec *spec, struct vnc_viewer **ret,
               struct error *err)
{
    int fds[2];
    if (self->n_viewers >= VNC_VIEWERS_MAX)
        return error_set(err, ERROR_QUOTA, "%d VNC viewers are there already", VNC_VIEWERS_MAX);
    int r = self->fd < 0 ? start_helper(self, err) : 0;
    if (r == 0)
        r = make_pair(fds, err);
    if (r < 0)
        return r;
    auto_fd int theirs = fds[1];
    struct vnc_viewer *viewer = new_viewer(self, spec, fds[0]);
    if (!viewer)
        return error_errno(err, ENOMEM, "adding a VNC viewer");
    r = send_add(self, spec, theirs);
    if (r < 0) {
        free_viewer(viewer);
        return error_errno(err, -r, "handing a viewer to the VNC helper");
    }
    watch_socket(viewer);
    timer_start(viewer->timer, TICK_US);
    *ret = viewer;
    return 0;
}

int vnc_export_add(struct vnc_export *self, const struct vnc_viewer_spec *spec,
                   struct vnc_viewer **ret, struct error *err)
{
    int r = add(self, spec, ret, err);
    close(spec->fd);
    if (self->n_viewers == 0)
        timer_start(self->linger, VNC_LINGER_US);
    return r;
}

void vnc_viewer_set_control(struct vnc_viewer *self, bool can_control)
{
    self->has_role |= self->can_control != can_control;
    self->can_control = can_control;
    flush(self);
}

bool vnc_viewer_can_control(const struct vnc_viewer *self)
{
    return self->can_control;
}

void vnc_viewer_pause(struct vnc_viewer *self, bool is_paused)
{
    self->is_paused = is_paused;
    watch_socket(self);
}

void vnc_viewer_set_clipboard(struct vnc_viewer *self, struct bytes *text)
{
    /* One that is on its way is sent to its end first, or two would be mixed. */
    if (self->clipboard && self->clipboard_sent > 0)
        return;
    bytes_unref(self->clipboard);
    self->clipboard = text && text->size <= VNC_TEXT_MAX ? bytes_ref(text) : NULL;
    self->clipboard_sent = 0;
    flush(self);
}

void vnc_viewer_refuse_size(struct vnc_viewer *self)
{
    self->has_refusal = true;
    flush(self);
}
