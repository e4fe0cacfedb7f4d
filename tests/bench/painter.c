#include "tests/bench/painter.h"

#include "base/clock.h"
#include "base/loop.h"
#include "base/sock.h"
#include "tests/bench/content.h"
#include "tests/bench/gpu.h"

#include <pixman.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <systemd/sd-bus.h>

#define LISTENER_PATH "/org/qemu/Display1/Listener"
#define LISTENER_INTERFACE "org.qemu.Display1.Listener"

struct screen {
    int width, height, n; /* n: pictures painted in this scenario */
    uint32_t *pixels, *page; /* page: a tall text, for scrolls */
    uint32_t seed;
    sd_bus *console, *listener;
    struct gpu *gpu; /* of a QEMU; else it is one itself */
    int trace_fd;    /* what that QEMU's input layer gets; -1 */
    const struct scenario *scenario;
    int64_t next_us;
};

struct scenario {
    const char *name;
    int64_t every_us; /* 0: never */
    void (*paint)(struct screen *self);
};

#define PAGE_HEIGHT 4000

static void fill(struct screen *self, int x, int y, int w, int h, uint32_t colour)
{
    content_fill(self->pixels, self->width, self->height, x, y, w, h, colour);
}

/* --- D-Bus ------------------------------------------------------------------------------------ */

static void send_pixels(struct screen *self, const char *member, struct rect r)
{
    sd_bus_message *m = NULL;
    bool is_update = strcmp(member, "Update") == 0;
    uint8_t *space;
    size_t row = (size_t)r.w * 4;
    if (!self->listener || sd_bus_message_new_method_call(self->listener, &m, NULL, LISTENER_PATH,
                                                          LISTENER_INTERFACE, member) < 0)
        return;
    if (is_update)
        sd_bus_message_append(m, "iiiiuu", r.x, r.y, r.w, r.h, (uint32_t)row,
                              (uint32_t)PIXMAN_x8r8g8b8);
    else
        sd_bus_message_append(m, "uuuu", r.w, r.h, (uint32_t)row, (uint32_t)PIXMAN_x8r8g8b8);
    if (sd_bus_message_append_array_space(m, 'y', row * (size_t)r.h, (void **)&space) >= 0) {
        for (int y = 0; y < r.h; y++)
            memcpy(space + (size_t)y * row, self->pixels + (r.y + y) * self->width + r.x, row);
        sd_bus_message_set_expect_reply(m, 0);
        sd_bus_send(self->listener, m, NULL);
        sd_bus_flush(self->listener);
    }
    sd_bus_message_unref(m);
}

static void send_update(struct screen *self, int x, int y, int w, int h)
{
    struct rect all = { 0, 0, self->width, self->height };
    struct rect r = rect_intersect((struct rect){ x, y, w, h }, all);
    if (self->gpu)
        gpu_flush(self->gpu, r);
    else
        send_pixels(self, "Update", r);
}

static sd_bus *serve(int fd)
{
    sd_bus *bus = NULL;
    sd_id128_t id = { 0 };
    sd_id128_randomize(&id);
    sd_bus_new(&bus);
    sd_bus_set_fd(bus, fd, fd);
    sd_bus_set_server(bus, 1, id);
    sd_bus_set_trusted(bus, 1);
    sd_bus_negotiate_fds(bus, 1);
    return bus;
}

static int handle_register(sd_bus_message *m, void *data, sd_bus_error *e maybe_unused)
{
    struct screen *self = data;
    int fd;
    if (sd_bus_message_read(m, "h", &fd) < 0)
        return -EINVAL;
    if (self->listener)
        sd_bus_close_unref(self->listener);
    self->listener = serve(dup(fd));
    sd_bus_start(self->listener);
    sd_bus_reply_method_return(m, "");
    send_pixels(self, "Scanout", (struct rect){ 0, 0, self->width, self->height });
    return 1;
}

static int handle_size(sd_bus_message *m, void *data maybe_unused, sd_bus_error *e maybe_unused)
{
    return sd_bus_reply_method_return(m, "");
}

static const sd_bus_vtable console_vtable[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_METHOD("RegisterListener", "h", "", handle_register, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("SetUIInfo", "qqiiuu", "", handle_size, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_VTABLE_END,
};

/* --- Scenarios -------------------------------------------------------------------------------- */

static void stamp(struct screen *self)
{
    uint64_t now = (uint64_t)clock_now_us() >> PAINTER_STAMP_SHIFT;
    for (int i = 0; i < PAINTER_STAMP; i++) {
        uint32_t grey = (uint32_t)(now >> 2 * (PAINTER_STAMP - 1 - i) & 3) * 85;
        fill(self, PAINTER_STAMP_X + i * 8, PAINTER_STAMP_Y, 8, 8, 0xff000000u | grey * 0x10101u);
    }
}

/* All in one update, as a guest's refresh: whatever is painted covers the stamp. */
static void publish(struct screen *self, int x, int y, int w, int h)
{
    struct rect mark = { PAINTER_STAMP_X, PAINTER_STAMP_Y, PAINTER_STAMP * 8, 8 };
    struct rect all = rect_union((struct rect){ x, y, w, h }, mark);
    stamp(self);
    send_update(self, all.x, all.y, all.w, all.h);
}

static void paint_desktop(struct screen *self)
{
    int w = self->width, h = self->height;
    for (int y = 0; y < h; y++)
        fill(self, 0, y, w, 1, 0xff203050u + (uint32_t)(y * 64 / h) * 0x10101u);
    fill(self, 40, 80, w - 80, h - 120, 0xffffffff);
    content_text(self->pixels, w, h, 50, 90, (w - 110) / 8, (h - 150) / 17, 5);
    fill(self, 0, 0, w, 40, 0xff303030);
}

static void paint_caret(struct screen *self)
{
    fill(self, 322, 306, 2, 13, self->n % 2 ? 0xffffffff : 0xff000000);
    publish(self, 322, 306, 2, 13);
}

static void paint_letter(struct screen *self)
{
    int column = self->n % 40, line = self->n / 40 % 3, x = PAINTER_STAMP_X + column * 8,
        y = 306 + line * 17;
    fill(self, x, y, 8, 17, 0xffffffff);
    content_text(self->pixels, self->width, self->height, x, y, 1, 1, ++self->seed * 977 + 3);
    publish(self, x, y, 16, 17);
}

/* Moves rows of a box up by dy. */
static void move_up(struct screen *self, struct rect r, int dy)
{
    for (int y = r.y; y + dy < r.y + r.h; y++)
        memmove(self->pixels + y * self->width + r.x, self->pixels + (y + dy) * self->width + r.x,
                (size_t)r.w * 4);
}

static void paint_terminal(struct screen *self)
{
    struct rect r = { 64, 100, 80 * 8, 30 * 17 };
    move_up(self, r, 17);
    fill(self, r.x, r.y + r.h - 17, r.w, 17, 0xff101010);
    content_text(self->pixels, self->width, self->height, r.x, r.y + r.h - 16, 80, 1,
                 ++self->seed * 31 + 7);
    publish(self, r.x, r.y, r.w, r.h);
}

static void paint_page(struct screen *self)
{
    struct rect r = { 100, 90, self->width - 200, self->height - 150 };
    int top = self->n * 40 % (PAGE_HEIGHT - r.h);
    for (int y = 0; y < r.h; y++)
        memcpy(self->pixels + (r.y + y) * self->width + r.x,
               self->page + (size_t)(top + y) * (size_t)self->width, (size_t)r.w * 4);
    publish(self, r.x, r.y, r.w, r.h);
}

static void paint_drag(struct screen *self)
{
    int before = (self->n - 1) * 7 % 400, x = 60 + self->n * 7 % 400, y = 120 + self->n * 3 % 200;
    paint_desktop(self);
    fill(self, x, y, 420, 300, 0xffe8e8f0);
    fill(self, x, y, 420, 24, 0xff4060a0);
    content_text(self->pixels, self->width, self->height, x + 8, y + 30, 50, 15, 77);
    publish(self, MIN(60 + before, x), 120 - 6, 420 + 420, 520);
}

/* A picture that moves: smooth waves with grain. */
static void paint_film(struct screen *self, struct rect r)
{
    for (int y = r.y; y < r.y + r.h; y++)
        for (int x = r.x; x < r.x + r.w; x++) {
            uint32_t v = (uint32_t)((x * 3 + self->n * 9) ^ (y * 2 + self->n * 5));
            uint32_t grain = content_random(&self->seed) & 0x070707;
            self->pixels[y * self->width + x] = 0xff000000u + ((v & 0xff) << 16) +
                                                ((v * 2 & 0xff) << 8) +
                                                ((uint32_t)(x + y + self->n) & 0xff) / 8 + grain;
        }
    publish(self, r.x, r.y, r.w, r.h);
}

static void paint_video(struct screen *self)
{
    paint_film(self, (struct rect){ 192, 128, 640, 360 });
}

static void paint_full(struct screen *self)
{
    paint_film(self, (struct rect){ 0, 0, self->width, self->height });
}

static void paint_switch(struct screen *self)
{
    if (self->n % 2)
        paint_desktop(self);
    else {
        fill(self, 100, 100, 800, 560, 0xff101418);
        content_text(self->pixels, self->width, self->height, 110, 110, 96, 30, 1234);
    }
    publish(self, 0, 40, self->width, self->height - 40);
}

static const struct scenario scenarios[] = {
    { "idle", 0, NULL },
    { "caret", 500000, paint_caret },
    { "typing", 200000, paint_letter },
    { "terminal", 50000, paint_terminal },
    { "page", 16667, paint_page },
    { "drag", 16667, paint_drag },
    { "video", 33333, paint_video },
    { "full", 33333, paint_full },
    { "switch", 700000, paint_switch },
    { "single", 5000000, paint_letter },
};

/* --- The process ------------------------------------------------------------------------------ */

static void obey(struct screen *self, const char *word)
{
    if (strcmp(word, "key") == 0) {
        self->n++;
        paint_letter(self);
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(scenarios); i++)
        if (strcmp(word, scenarios[i].name) == 0) {
            self->scenario = &scenarios[i];
            self->n = 0;
            self->next_us = clock_now_us() + MIN(scenarios[i].every_us, 1000000);
            paint_desktop(self);
            publish(self, 0, 0, self->width, self->height);
        }
}

static void read_words(struct screen *self, int fd)
{
    char words[256];
    ssize_t n = read(fd, words, sizeof words - 1);
    if (n == 0)
        _exit(0);
    words[MAX(n, 0)] = 0;
    char *rest = NULL;
    for (char *word = strtok_r(words, "\n", &rest); word; word = strtok_r(NULL, "\n", &rest))
        obey(self, word);
}

static void tick(struct screen *self)
{
    if (!self->scenario->every_us || clock_now_us() < self->next_us)
        return;
    self->next_us = MAX(self->next_us + self->scenario->every_us, clock_now_us());
    self->n++;
    self->scenario->paint(self);
}

/* QEMU's lines. A key paints at once. */
static void read_trace(struct screen *self)
{
    char words[512];
    ssize_t n = read(self->trace_fd, words, sizeof words - 1);
    if (n <= 0)
        _exit(0);
    words[n] = 0;
    if (strstr(words, "input_event_btn") && strstr(words, "down 1"))
        obey(self, "key");
    else if (!strstr(words, "input_event"))
        fputs(words, stderr);
}

static void serve_bus(struct screen *self)
{
    while (sd_bus_process(self->console, NULL) > 0) {}
    while (self->listener && sd_bus_process(self->listener, NULL) > 0) {}
    if (self->listener && sd_bus_is_open(self->listener) <= 0)
        self->listener = sd_bus_close_unref(self->listener);
}

static void run(struct screen *self, int control_fd)
{
    for (;;) {
        if (self->console)
            serve_bus(self);
        tick(self);
        int64_t left =
            self->scenario->every_us ? MAX(self->next_us - clock_now_us(), 0) : 1000000000;
        struct pollfd polls[] = {
            { .fd = control_fd, .events = POLLIN },
            { .fd = self->trace_fd, .events = POLLIN },
            { .fd = self->console ? sd_bus_get_fd(self->console) : -1, .events = POLLIN },
            { .fd = self->listener ? sd_bus_get_fd(self->listener) : -1, .events = POLLIN },
        };
        struct timespec wait = { left / 1000000, left % 1000000 * 1000 };
        ppoll(polls, ARRAY_LEN(polls), &wait, NULL);
        if (polls[0].revents)
            read_words(self, control_fd);
        if (polls[1].revents)
            read_trace(self);
    }
}

static void offer_bus(struct screen *self, int fd)
{
    self->console = serve(fd);
    sd_bus_add_object_vtable(self->console, NULL, "/org/qemu/Display1/Console_0",
                             "org.qemu.Display1.Console", console_vtable, self);
    sd_bus_start(self->console);
}

static void paint_page_once(struct screen *self)
{
    self->page = calloc((size_t)self->width * PAGE_HEIGHT, 4);
    content_fill(self->page, self->width, PAGE_HEIGHT, 0, 0, self->width, PAGE_HEIGHT, 0xffffffff);
    content_text(self->page, self->width, PAGE_HEIGHT, 4, 4, (self->width - 210) / 8,
                 PAGE_HEIGHT / 17 - 1, 42);
}

void painter_start(struct painter *self, int width, int height, const struct vm *vm)
{
    int console[2] = { -1, -1 }, control[2];
    if (sock_pair(control, NULL) < 0 || (!vm && sock_pair(console, NULL) < 0)) {
        perror("socketpair");
        exit(1);
    }
    self->console_fd = console[0];
    self->control_fd = control[0];
    self->pid = fork();
    if (self->pid != 0) {
        util_close_ptr(&console[1]);
        close(control[1]);
        return;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    util_close_ptr(&console[0]);
    close(control[0]);
    struct gpu gpu;
    struct screen screen = { .width = width, .height = height, .seed = 1, .trace_fd = -1,
                             .scenario = &scenarios[0] };
    paint_page_once(&screen);
    if (vm) {
        gpu_start(&gpu, vm->qtest_fd, vm->ram_fd, width, height);
        screen.gpu = &gpu;
        screen.pixels = gpu.pixels;
        screen.trace_fd = vm->trace_fd;
    } else {
        screen.pixels = calloc((size_t)width * (size_t)height, 4);
        offer_bus(&screen, console[1]);
    }
    paint_desktop(&screen);
    send_update(&screen, 0, 0, width, height);
    run(&screen, control[1]);
}

void painter_tell(const struct painter *self, const char *word)
{
    char line[64];
    int n = snprintf(line, sizeof line, "%s\n", word);
    if (write(self->control_fd, line, (size_t)n) != n)
        perror("painter");
}

void painter_stop(struct painter *self)
{
    kill(self->pid, SIGKILL);
    waitpid(self->pid, NULL, 0);
    close(self->control_fd);
}
