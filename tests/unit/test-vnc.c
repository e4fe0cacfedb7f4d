/* The daemon's end of the VNC export: what a helper is told, what it is believed. The test plays the
 * helper and the processes of its viewers. */
#include "base/loop.h"
#include "base/worker.h"
#include "display/source-test.h"
#include "stream/vnc/export.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

enum { WIDTH = 700, HEIGHT = 500 };

static struct loop loop;
static struct worker_pool *pool;
static struct display *display;
static struct source *source;
static struct vnc_export *export;
static int helper_fd = -1; /* the helper's end */
static int n_starts, crash_status;
static bool is_crashed;

static int on_start(void *data, int fd, struct error *err)
{
    (void)data, (void)err;
    n_starts++;
    helper_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    fcntl(helper_fd, F_SETFL, O_NONBLOCK);
    return 0;
}

static void on_crashed(void *data, int status)
{
    (void)data;
    is_crashed = true;
    crash_status = status;
}

static void setup(void)
{
    static const struct vnc_export_ops ops = { on_start, on_crashed };
    loop_init(&loop);
    pool = worker_pool_new(&loop, 1, 1);
    display = display_new(&loop, pool, NULL, NULL);
    display_set_linger(display, 0);
    source = source_test_new(WIDTH, HEIGHT);
    display_attach(display, source, NULL);
    export = vnc_export_new(&loop, display, &ops, NULL);
}

static void teardown(void)
{
    vnc_export_free(export);
    util_close_ptr(&helper_fd);
    display_free(display);
    worker_pool_free(pool);
    loop_deinit(&loop);
}

TestSuite(vnc, .init = setup, .fini = teardown);

/* --- A viewer, with the other ends of all that it has ------------------------------------------- */

struct peer {
    struct vnc_viewer *viewer;
    int connection, channel;
    struct vnc_message add;
    int n_greeted, n_denied, n_keys, n_cuts, n_pointers;
    size_t n_cut;
    unsigned qnum;
    const char *gone;
};

static void on_greeted(void *data) { ((struct peer *)data)->n_greeted++; }
static void on_denied(void *data) { ((struct peer *)data)->n_denied++; }

static void on_key(void *data, unsigned qnum, uint32_t keysym, bool is_down)
{
    struct peer *self = data;
    (void)keysym, (void)is_down;
    self->n_keys++;
    self->qnum = qnum;
}

static void on_pointer(void *data, unsigned mask, int x, int y)
{
    (void)mask, (void)x, (void)y;
    ((struct peer *)data)->n_pointers++;
}

static void on_cut(void *data, const uint8_t *text, size_t size)
{
    struct peer *self = data;
    (void)text;
    self->n_cuts++;
    self->n_cut = size;
}

static void on_resize(void *data, int width, int height) { (void)data, (void)width, (void)height; }
static void on_gone(void *data, const char *why) { ((struct peer *)data)->gone = why; }

static const struct vnc_viewer_ops viewer_ops = { on_greeted, on_denied, on_key, on_pointer,
                                                  on_cut,     on_resize, on_gone };

static uint8_t packet[VNC_MESSAGE_MAX];

/* Its connection; the daemon's end of it waits in add.value. */
static struct peer add(bool can_control)
{
    int fds[2];
    socketpair(AF_UNIX, SOCK_STREAM, 0, fds);
    return (struct peer){ .connection = fds[0], .add = { .value = (uint32_t)fds[1], .is_on = can_control } };
}

/* Adds it, and takes the helper's copy of its descriptors. */
static void enter(struct peer *self)
{
    struct vnc_viewer_spec spec = { .fd = (int)self->add.value, .can_control = self->add.is_on,
                                    .password = "secret", .name = "desk", .ops = &viewer_ops, .data = self };
    int fds[2];
    cr_assert(eq(int, vnc_export_add(export, &spec, &self->viewer, NULL), 0));
    ptrdiff_t n = vnc_wire_receive(helper_fd, packet, fds, 2);
    cr_assert(gt(int, (int)n, 0));
    cr_assert(eq(int, vnc_wire_read(packet, (size_t)n, VNC_OF_DAEMON_TO_HELPER, &self->add), 0));
    cr_assert(fds[0] >= 0 && fds[1] >= 0);
    close(fds[0]);
    self->channel = fds[1];
    fcntl(self->channel, F_SETFL, O_NONBLOCK);
}

static void leave(struct peer *self)
{
    close(self->connection);
    close(self->channel);
}

static void turn(void)
{
    for (int i = 0; i < 5; i++)
        loop_turn(&loop, false);
}

static void say(struct peer *self, const struct vnc_message *message)
{
    cr_assert(eq(int, vnc_wire_send(self->channel, message, NULL, 0), 0));
    turn();
}

/* The next message; type 0 when there is none. A descriptor that came with it goes to *fd. */
static struct vnc_message hear(struct peer *self, int *fd)
{
    struct vnc_message message = { 0 };
    int got;
    ptrdiff_t n = vnc_wire_receive(self->channel, packet, &got, 1);
    if (n > 0)
        cr_assert(eq(int, vnc_wire_read(packet, (size_t)n, VNC_OF_DAEMON_TO_VIEWER, &message), 0));
    if (n > 0 && fd && got >= 0)
        *fd = got;
    else if (n > 0 && got >= 0)
        close(got);
    return message;
}

static void hear_all(struct peer *self)
{
    while (hear(self, NULL).type)
        ;
}

static void await_frame(void)
{
    int64_t id = display_frame_id(display);
    while (display_frame_id(display) == id)
        loop_turn(&loop, true);
}

/* --- What it is told ---------------------------------------------------------------------------- */

Test(vnc, holds_the_display_only_for_viewers_that_know_the_password)
{
    struct peer peer = add(true);
    enter(&peer);
    turn();
    cr_assert(eq(str, (char *)peer.add.payload, "secret"));
    cr_assert(not(source_test_is_running(source)));
    say(&peer, &(struct vnc_message){ .type = VNC_DENIED });
    cr_assert(eq(int, peer.n_denied, 1));
    cr_assert(not(source_test_is_running(source)));
    say(&peer, &(struct vnc_message){ .type = VNC_HELLO });
    cr_assert(eq(int, peer.n_greeted, 1));
    cr_assert(source_test_is_running(source));
    leave(&peer);
    turn();
    cr_assert(eq(str, (char *)peer.gone, "the viewer left"));
    while (source_test_is_running(source))
        loop_turn(&loop, true);
    cr_assert(eq(int, vnc_export_n_viewers(export), 0));
}

Test(vnc, shows_the_picture_and_tells_of_each_change)
{
    struct peer peer = add(true);
    int fd = -1;
    enter(&peer);
    say(&peer, &(struct vnc_message){ .type = VNC_HELLO });
    while (!display_frame(display))
        loop_turn(&loop, true);
    cr_assert(eq(int, hear(&peer, NULL).type, VNC_ROLE));
    struct vnc_message screen = hear(&peer, &fd);
    cr_assert(eq(int, screen.type, VNC_SCREEN));
    cr_assert(screen.width == WIDTH && screen.height == HEIGHT && fd >= 0);
    const uint32_t *pixels = mmap(NULL, WIDTH * HEIGHT * 4, PROT_READ, MAP_SHARED, fd, 0);
    cr_assert(pixels != MAP_FAILED);
    cr_assert(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
    for (int i = 0; i < WIDTH * HEIGHT; i += 997)
        cr_assert(eq(u32, pixels[i], source_test_pixel(i % WIDTH, i / WIDTH)));
    hear_all(&peer);
    source_test_fill(source, (struct rect){ 690, 490, 10, 10 }, 0xff123456u);
    await_frame();
    struct vnc_message damage = hear(&peer, NULL);
    cr_assert(eq(int, damage.type, VNC_DAMAGE));
    cr_assert(eq(sz, damage.size, sizeof(struct vnc_rect)));
    struct vnc_rect rect = vnc_wire_rect(&damage, 0);
    cr_assert(rect.x == 640 && rect.y == 448 && rect.width == 60 && rect.height == 52);
    cr_assert(eq(u32, pixels[495 * WIDTH + 695], 0xff123456u));
    source_test_resize(source, 320, 200);
    await_frame();
    screen = hear(&peer, NULL);
    cr_assert(screen.type == VNC_SCREEN && screen.width == 320 && screen.height == 200);
    leave(&peer);
}

Test(vnc, merges_what_a_viewer_does_not_take)
{
    struct peer good = add(false), slow = add(false);
    enter(&good);
    enter(&slow);
    say(&good, &(struct vnc_message){ .type = VNC_HELLO });
    say(&slow, &(struct vnc_message){ .type = VNC_HELLO });
    while (!display_frame(display))
        loop_turn(&loop, true);
    int n_good = 0, n_slow = 0;
    for (int i = 0; i < 400; i++) {
        source_test_fill(source, (struct rect){ i % 600, i % 400, 64, 64 }, 0xff000000u + (uint32_t)i);
        display_flush(display);
        for (struct vnc_message m = hear(&good, NULL); m.type; m = hear(&good, NULL))
            n_good += m.type == VNC_DAMAGE;
    }
    turn();
    cr_assert(ge(int, n_good, 350));
    for (int quiet = 0; quiet < 5; quiet++) {
        for (struct vnc_message m = hear(&slow, NULL); m.type; m = hear(&slow, NULL))
            n_slow += m.type == VNC_DAMAGE;
        turn();
    }
    cr_assert(lt(int, n_slow, n_good));
    cr_assert(eq(int, vnc_export_n_viewers(export), 2));
    leave(&good);
    leave(&slow);
}

/* --- What it is believed ------------------------------------------------------------------------ */

Test(vnc, believes_input_of_viewers_in_control_alone)
{
    struct peer boss = add(true), guest = add(false);
    struct vnc_message key = { .type = VNC_KEY, .number = 30, .value = 'a', .is_on = true };
    struct vnc_message pointer = { .type = VNC_POINTER, .number = 1, .x = -1, .y = 70000 };
    enter(&boss);
    enter(&guest);
    say(&boss, &key); /* before the password */
    cr_assert(eq(int, boss.n_keys, 0));
    say(&boss, &(struct vnc_message){ .type = VNC_HELLO });
    say(&guest, &(struct vnc_message){ .type = VNC_HELLO });
    say(&boss, &key);
    say(&guest, &key);
    say(&boss, &pointer);
    say(&guest, &pointer);
    say(&guest, &(struct vnc_message){ .type = VNC_CUT, .is_on = true, .payload = (const uint8_t *)"x", .size = 1 });
    cr_assert(boss.n_keys == 1 && boss.n_pointers == 1 && boss.qnum == 30);
    cr_assert(guest.n_keys == 0 && guest.n_pointers == 0 && guest.n_cuts == 0);
    vnc_viewer_set_control(boss.viewer, false);
    say(&boss, &key);
    cr_assert(eq(int, boss.n_keys, 1));
    leave(&boss);
    leave(&guest);
}

Test(vnc, puts_a_text_together_and_drops_one_that_is_too_long)
{
    static uint8_t piece[VNC_PAYLOAD_MAX];
    struct peer peer = add(true);
    struct vnc_message cut = { .type = VNC_CUT, .payload = piece, .size = sizeof piece };
    enter(&peer);
    say(&peer, &(struct vnc_message){ .type = VNC_HELLO });
    say(&peer, &cut);
    cut.is_on = true;
    say(&peer, &cut);
    cr_assert(peer.n_cuts == 1 && peer.n_cut == 2 * sizeof piece);
    cut.is_on = false;
    for (int i = 0; i < 20; i++)
        say(&peer, &cut);
    cut.is_on = true;
    say(&peer, &cut);
    cr_assert(eq(int, peer.n_cuts, 1));
    say(&peer, &cut);
    cr_assert(eq(int, peer.n_cuts, 2));
    leave(&peer);
}

Test(vnc, drops_a_viewer_whose_process_talks_nonsense)
{
    struct peer peer = add(true), other = add(true);
    enter(&peer);
    enter(&other);
    cr_assert(eq(int, (int)send(peer.channel, "nonsense", 8, 0), 8));
    turn();
    cr_assert(eq(str, (char *)peer.gone, "the VNC helper sent what it may not"));
    cr_assert(other.gone == NULL);
    leave(&peer);
    leave(&other);
}

Test(vnc, drops_all_when_the_helper_dies_and_starts_another)
{
    struct peer peer = add(true), next = add(true);
    enter(&peer);
    close(helper_fd);
    helper_fd = -1;
    turn();
    cr_assert(is_crashed);
    cr_assert(eq(str, (char *)peer.gone, "the VNC helper ended"));
    enter(&next);
    cr_assert(eq(int, n_starts, 2));
    is_crashed = false;
    vnc_wire_send(helper_fd, &(struct vnc_message){ .type = VNC_ENDED, .value = 2, .number = SIGSEGV }, NULL, 0);
    turn();
    cr_assert(is_crashed && crash_status == SIGSEGV);
    cr_assert(next.gone == NULL);
    leave(&peer);
    leave(&next);
}

Test(vnc, refuses_more_viewers_than_it_may_have)
{
    struct peer peers[VNC_VIEWERS_MAX + 1];
    struct error err = { 0 };
    for (int i = 0; i < VNC_VIEWERS_MAX; i++) {
        peers[i] = add(false);
        enter(&peers[i]);
    }
    struct peer *last = &peers[VNC_VIEWERS_MAX];
    *last = add(false);
    struct vnc_viewer_spec spec = { .fd = (int)last->add.value, .ops = &viewer_ops, .data = last };
    cr_assert(lt(int, vnc_export_add(export, &spec, &last->viewer, &err), 0));
    cr_assert(eq(int, err.code, ERROR_QUOTA));
    cr_assert(eq(int, (int)recv(last->connection, packet, 1, 0), 0)); /* and hung up */
}

/* --- The wire ----------------------------------------------------------------------------------- */

Test(vnc_wire, reads_what_was_written)
{
    struct vnc_rect rects[2] = { { 1, 2, 3, 4 }, { 8000, 8001, 192, 190 } };
    struct vnc_message message = { .type = VNC_DAMAGE, .payload = (const uint8_t *)rects, .size = sizeof rects }, back;
    vnc_wire_header(&message, packet);
    memcpy(packet + VNC_HEADER, rects, sizeof rects);
    cr_assert(eq(int, vnc_wire_read(packet, VNC_HEADER + sizeof rects, VNC_OF_DAEMON_TO_VIEWER, &back), 0));
    cr_assert(eq(int, vnc_wire_rect(&back, 1).y, 8001));
    cr_assert(eq(int, vnc_wire_read(packet, VNC_HEADER + sizeof rects, VNC_OF_VIEWER, &back), -EPROTO));
    cr_assert(eq(int, vnc_wire_read(packet, VNC_HEADER + sizeof rects - 1, VNC_OF_DAEMON_TO_VIEWER, &back), -EPROTO));
}

Test(vnc_wire, refuses_what_breaks_its_limits)
{
    static const struct {
        struct vnc_message message;
        enum vnc_end from;
        const char *what;
    } rows[] = {
        { { .type = VNC_SCREEN, .width = 8193, .height = 1 }, VNC_OF_DAEMON_TO_VIEWER, "too wide" },
        { { .type = VNC_SCREEN, .width = 1 }, VNC_OF_DAEMON_TO_VIEWER, "no height" },
        { { .type = VNC_SHAPE, .width = 129, .height = 1 }, VNC_OF_DAEMON_TO_VIEWER, "a large cursor" },
        { { .type = VNC_SHAPE, .width = 4, .height = 4 }, VNC_OF_DAEMON_TO_VIEWER, "a cursor without pixels" },
        { { .type = VNC_DAMAGE }, VNC_OF_DAEMON_TO_VIEWER, "no rectangle" },
        { { .type = VNC_SIZE, .width = 1 }, VNC_OF_VIEWER, "no height" },
        { { .type = VNC_TYPE_COUNT }, VNC_OF_VIEWER, "no such type" },
        { { .type = VNC_ADD }, VNC_OF_DAEMON_TO_HELPER, "no password and name" },
    };
    struct vnc_message back;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        vnc_wire_header(&rows[i].message, packet);
        cr_assert(eq(int, vnc_wire_read(packet, VNC_HEADER, rows[i].from, &back), -EPROTO), "%s", rows[i].what);
    }
}
