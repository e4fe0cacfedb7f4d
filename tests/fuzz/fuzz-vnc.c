/* What deskfarm-vnc may send: any packets are taken or drop their viewer, from a viewer's process and
 * from the helper; and what either end reads keeps its limits. Input: packets, each behind two bytes of
 * its size. */
#include "base/loop.h"
#include "stream/vnc/export.h"

#include <fcntl.h>
#include <sys/socket.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct loop loop;
static struct vnc_export *export;
static int helper = -1;
static bool is_gone;

static int on_start(void *data maybe_unused, int fd, struct error *err maybe_unused)
{
    util_close_ptr(&helper);
    helper = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    return 0;
}

static void on_crashed(void *data maybe_unused, int status maybe_unused) {}
static void on_told(void *data maybe_unused) {}
static void on_key(void *data maybe_unused, unsigned qnum, uint32_t keysym maybe_unused, bool is_down maybe_unused)
{
    if (qnum > UINT16_MAX)
        abort();
}
static void on_pointer(void *data maybe_unused, unsigned mask maybe_unused, int x maybe_unused, int y maybe_unused) {}
static void on_cut(void *data maybe_unused, const uint8_t *text maybe_unused, size_t size)
{
    if (size > VNC_TEXT_MAX)
        abort();
}
static void on_resize(void *data maybe_unused, int width, int height)
{
    if (width < 1 || height < 1 || width > VNC_SIDE_MAX || height > VNC_SIDE_MAX)
        abort();
}
static void on_gone(void *data maybe_unused, const char *why maybe_unused)
{
    is_gone = true;
}

static struct vnc_viewer *add_viewer(void)
{
    static const struct vnc_viewer_ops ops = { on_told, on_told, on_key, on_pointer, on_cut, on_resize, on_gone };
    int fds[2];
    struct vnc_viewer *viewer = NULL;
    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds);
    struct vnc_viewer_spec spec = { .fd = fds[1], .can_control = true, .ops = &ops };
    is_gone = vnc_export_add(export, &spec, &viewer, NULL) < 0;
    close(fds[0]);
    static uint8_t packet[VNC_MESSAGE_MAX];
    int got[2];
    if (helper >= 0 && !is_gone && vnc_wire_receive(helper, packet, got, 2) > 0) {
        util_close_ptr(&got[0]);
        util_close_ptr(&got[1]);
    }
    return viewer;
}

static void set_up(void)
{
    static const struct vnc_export_ops ops = { on_start, on_crashed };
    loop_init(&loop);
    struct worker_pool *pool = worker_pool_new(&loop, 1, 1);
    export = vnc_export_new(&loop, display_new(&loop, pool, NULL, NULL), &ops, NULL);
}

/* What was read lies inside the packet. */
static void check(const uint8_t *packet, size_t size)
{
    static const enum vnc_end ends[] = { VNC_OF_HELPER, VNC_OF_VIEWER, VNC_OF_DAEMON_TO_HELPER, VNC_OF_DAEMON_TO_VIEWER };
    struct vnc_message m;
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        if (vnc_wire_read(packet, size, ends[i], &m) < 0)
            continue;
        if (m.payload != packet + VNC_HEADER || m.size != size - VNC_HEADER || m.width > VNC_SIDE_MAX)
            abort();
        for (size_t j = 0; m.type == VNC_DAMAGE && j < m.size / sizeof(struct vnc_rect); j++)
            vnc_wire_rect(&m, j);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!export)
        set_up();
    struct vnc_viewer *viewer = add_viewer();
    while (size >= 2 && !is_gone) {
        size_t n = MIN((size_t)(data[0] | data[1] << 8), size - 2);
        check(data + 2, n);
        vnc_viewer_feed(viewer, data + 2, n);
        data += 2 + n;
        size -= 2 + n;
    }
    if (!is_gone)
        vnc_viewer_close(viewer);
    loop_turn(&loop, false);
    return 0;
}
