/* The QEMU source against a real QEMU: firmware text on a VGA, in seconds, without a guest. Skipped
 * where there is no QEMU. */
#include "base/clock.h"
#include "base/process.h"
#include "base/sock.h"
#include "display/display.h"
#include "display/source-qemu.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#define QEMU "/usr/bin/qemu-system-x86_64"
#define WAIT_US 30000000

struct guest {
    struct loop loop;
    struct worker_pool *pool;
    struct process *process;
    int qmp;
    struct qdbus *console;
    struct display *display;
    struct source *source;
    int64_t rss; /* what the watchdog is told */
    int n_frames, n_lost, n_pairs;
};

static void read_reply(int qmp, char *line, size_t size)
{
    size_t n = 0;
    struct pollfd p = { .fd = qmp, .events = POLLIN };
    do {
        for (n = 0; n + 1 < size && poll(&p, 1, WAIT_US / 1000) > 0 && read(qmp, line + n, 1) == 1;)
            if (line[n++] == '\n')
                break;
        line[n] = 0;
    } while (n > 0 && strstr(line, "\"event\""));
}

static void execute(struct guest *self, const char *command, int fd)
{
    char line[4096];
    int r = fd >= 0 ? sock_send_fd(self->qmp, command, strlen(command), fd)
                    : (int)write(self->qmp, command, strlen(command));
    cr_assert(ge(int, r, 0));
    read_reply(self->qmp, line, sizeof line);
    cr_assert(ne(ptr, strstr(line, "\"return\""), NULL), "%s: %s", command, line);
}

static void start_qemu(struct guest *self, const char *device)
{
    int pair[2];
    char line[4096];
    cr_assert(eq(int, sock_pair(pair, NULL), 0));
    /* A test that fails must not leave its QEMU behind. */
    const char *const argv[] = {
        "setpriv", "--pdeathsig", "KILL", QEMU, "-nodefaults", "-no-user-config", "-machine", "q35",
        "-accel", "tcg", "-m", "64", "-device", device, "-display", "dbus,p2p=yes", "-chardev",
        "socket,id=qmp,fd=10", "-mon", "chardev=qmp,mode=control", NULL,
    };
    struct process_fd fd = { pair[1], 10 };
    struct process_spec spec = { .argv = argv, .fds = &fd, .n_fds = 1 };
    cr_assert(eq(int, process_spawn(&self->process, &self->loop, &spec, NULL, NULL, NULL), 0));
    close(pair[1]);
    self->qmp = pair[0];
    read_reply(self->qmp, line, sizeof line);
    execute(self, "{\"execute\":\"qmp_capabilities\"}\n", -1);
}

static void on_console_closed(void *data, int why)
{
    (void)data;
    (void)why;
}

static void connect_console(struct guest *self)
{
    int pair[2];
    cr_assert(eq(int, sock_pair(pair, NULL), 0));
    execute(self, "{\"execute\":\"getfd\",\"arguments\":{\"fdname\":\"d\"}}\n", pair[1]);
    close(pair[1]);
    execute(self, "{\"execute\":\"add_client\",\"arguments\":{\"protocol\":\"@dbus-display\","
                  "\"fdname\":\"d\"}}\n", -1);
    cr_assert(eq(int, qdbus_new(&self->console, &self->loop, pair[0], NULL, on_console_closed, self,
                                NULL), 0));
}

static int make_pair(void *data, int ret_fds[2], struct error *err)
{
    struct guest *self = data;
    self->n_pairs++;
    return sock_pair(ret_fds, err);
}

static int64_t get_rss(void *data)
{
    return ((struct guest *)data)->rss;
}

static void on_frame(void *data, const struct frame_update *update)
{
    (void)update;
    ((struct guest *)data)->n_frames++;
}

static void on_lost(void *data, const struct error *why)
{
    (void)why;
    ((struct guest *)data)->n_lost++;
}

static const struct display_observer_ops ops = { .frame = on_frame, .lost = on_lost };

static void guest_init(struct guest *self, struct display_observer *observer, const char *device)
{
    if (access(QEMU, X_OK) < 0)
        cr_skip_test("no " QEMU);
    *self = (struct guest){ .rss = -1 };
    loop_init(&self->loop);
    self->pool = worker_pool_new(&self->loop, 1, 1);
    start_qemu(self, device);
    connect_console(self);
    struct source_qemu_config config = {
        .loop = &self->loop, .console = self->console, .pair = make_pair, .rss_anon = get_rss,
        .data = self,
    };
    self->source = source_qemu_new(&config);
    self->display = display_new(&self->loop, self->pool, NULL, NULL);
    display_observe(self->display, observer, &ops, self);
    cr_assert(eq(int, display_attach(self->display, self->source, NULL), 0));
}

static void guest_deinit(struct guest *self)
{
    display_free(self->display);
    qdbus_free(self->console);
    process_kill(self->process, SIGKILL);
    while (process_is_alive(self->process))
        loop_turn(&self->loop, true);
    process_free(self->process);
    close(self->qmp);
    worker_pool_free(self->pool);
    loop_deinit(&self->loop);
}

static void handle_deadline(void *data)
{
    *(bool *)data = true;
}

/* Turns the loop until the condition holds. */
#define run_until(guest, condition)                                                                \
    do {                                                                                           \
        bool is_late_ = false;                                                                     \
        struct timer *deadline_ = timer_new(&(guest)->loop, handle_deadline, &is_late_);           \
        timer_start(deadline_, WAIT_US);                                                           \
        while (!(condition) && !is_late_)                                                          \
            loop_turn(&(guest)->loop, true);                                                       \
        timer_free(deadline_);                                                                     \
        cr_assert(not(is_late_), "waited in vain for " #condition);                                \
    } while (0)

/* The share of pixels that are not black, in thousandths. */
static int lit(struct guest *self)
{
    struct frame *frame = display_frame(self->display);
    if (!frame)
        return 0;
    size_t n = (size_t)frame->width * (size_t)frame->height;
    uint32_t *pixels = malloc(n * 4);
    frame_read(frame, (struct rect){ 0, 0, frame->width, frame->height }, pixels, frame->width);
    size_t n_lit = 0;
    for (size_t i = 0; i < n; i++)
        n_lit += pixels[i] != 0xff000000;
    free(pixels);
    return (int)(n_lit * 1000 / n);
}

/* SeaBIOS writes its name and what it tried to boot from, in text mode; before that QEMU shows words of its
 * own. Of this size QEMU never says a scanout by itself. */
static void wait_for_firmware(struct guest *self)
{
    run_until(self, display_frame(self->display) && display_frame(self->display)->width == 720 &&
                        display_frame(self->display)->height == 400);
    run_until(self, lit(self) > 2);
}

static void check_screen(const char *device)
{
    struct guest guest;
    struct display_observer observer = { 0 };
    guest_init(&guest, &observer, device);
    display_hold(guest.display);
    wait_for_firmware(&guest);
    const struct display_stats *stats = display_stats(guest.display);
    /* Updates of a surface that is not ours yet may have been refused before. */
    cr_expect(le(i64, stats->n_refused, 100), "%s", device);
    cr_expect(eq(int, guest.n_lost, 0), "%s", device);
    guest_deinit(&guest);
}

Test(qemu, shows_firmware_text_on_std_vga, .timeout = 60)
{
    check_screen("VGA");
}

Test(qemu, shows_firmware_text_on_virtio_vga, .timeout = 60)
{
    check_screen("virtio-vga");
}

Test(qemu, has_a_screen_on_virtio_gpu_without_a_driver, .timeout = 60)
{
    struct guest guest;
    struct display_observer observer = { 0 };
    guest_init(&guest, &observer, "virtio-gpu-pci,xres=800,yres=600");
    display_hold(guest.display);
    run_until(&guest, display_screen(guest.display) != DISPLAY_UNKNOWN);
    cr_assert(eq(int, display_resize(guest.display, 1024, 768, NULL), 0));
    loop_turn(&guest.loop, false);
    guest_deinit(&guest);
}

Test(qemu, comes_back_with_the_same_frame_id, .timeout = 60)
{
    struct guest guest;
    struct display_observer observer = { 0 };
    guest_init(&guest, &observer, "VGA");
    display_set_linger(guest.display, 0);
    display_hold(guest.display);
    wait_for_firmware(&guest);
    execute(&guest, "{\"execute\":\"stop\"}\n", -1);
    /* QEMU draws by a clock; a screendump has it draw once more what the guest last wrote. */
    execute(&guest, "{\"execute\":\"screendump\",\"arguments\":{\"filename\":\"/dev/null\"}}\n", -1);
    int n_frames = -1;
    /* What was on its way when it stopped. */
    while (n_frames != guest.n_frames) {
        n_frames = guest.n_frames;
        int64_t until = clock_now_us() + 200000;
        while (clock_now_us() < until)
            loop_turn(&guest.loop, false);
    }
    int64_t id = display_frame_id(guest.display);
    int n_pairs = guest.n_pairs;
    display_release(guest.display);
    run_until(&guest, display_screen(guest.display) == DISPLAY_UNKNOWN);
    int64_t start = clock_now_us();
    display_hold(guest.display);
    run_until(&guest, display_screen(guest.display) == DISPLAY_ON);
    fprintf(stderr, "# listener back with a frame after %.1f ms\n",
            (double)(clock_now_us() - start) / 1e3);
    cr_assert(eq(i64, display_frame(guest.display)->id, id));
    cr_assert(eq(int, guest.n_frames, n_frames));
    cr_assert(eq(int, guest.n_pairs, n_pairs + 1));
    guest_deinit(&guest);
}

Test(qemu, death_is_a_loss, .timeout = 60)
{
    struct guest guest;
    struct display_observer observer = { 0 };
    guest_init(&guest, &observer, "VGA");
    display_hold(guest.display);
    run_until(&guest, guest.n_frames > 0);
    process_kill(guest.process, SIGKILL);
    run_until(&guest, guest.n_lost > 0);
    cr_assert(eq(int, display_screen(guest.display), DISPLAY_UNKNOWN));
    struct error err = { 0 };
    display_restart(guest.display, &err); /* fails now or is lost again: no crash */
    loop_turn(&guest.loop, false);
    guest_deinit(&guest);
}

Test(qemu, can_be_freed_while_it_registers, .timeout = 60)
{
    struct guest guest;
    struct display_observer observer = { 0 };
    guest_init(&guest, &observer, "VGA");
    display_hold(guest.display);
    display_detach(guest.display);
    guest.source = NULL;
    for (int i = 0; i < 20; i++)
        loop_turn(&guest.loop, false);
    cr_assert(eq(int, guest.n_lost, 0));
    guest_deinit(&guest);
}
