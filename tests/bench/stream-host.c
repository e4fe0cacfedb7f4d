/* The live view alone, for measuring and for looking at: a painter instead of a guest (painter.h),
 * the display, the hub, and a small HTTP server with the pages of web/ui and the stream's
 * WebSocket.
 *   stream-host WIDTHxHEIGHT UI-DIRECTORY PAGE-DIRECTORY [qemu]
 *
 * prints its port. With "qemu" the painter paints on a real QEMU's virtio-gpu (vm.h), we are the client of
 * that QEMU's D-Bus display, and the port of its own VNC server's WebSocket is printed too.
 * GET /scenario/NAME begins one, /stats tells CPU time and counts, /stream is the WebSocket; files are
 * served from the two directories. Not a server to be reached by anybody else. */
#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/sock.h"
#include "display/source-qemu.h"
#include "hypervisor/qmp.h"
#include "stream/hub.h"
#include "tests/bench/painter.h"
#include "web/ws-frame.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/sha.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <sys/socket.h>

struct host {
    struct loop loop;
    struct worker_pool *pool;
    struct painter painter;
    struct vm vm;
    struct qmp *qmp; /* NULL: the painter is the QEMU */
    struct qdbus *console;
    struct display *display;
    struct hub *hub;
    const char *ui, *pages;
};

struct conn {
    struct host *host;
    int fd;
    struct watch *watch;
    struct buf in, out;
    size_t sent;
    struct viewer *viewer; /* a WebSocket */
    bool wants_message, is_over;
};

static void close_conn(struct conn *self)
{
    viewer_free(self->viewer);
    watch_free(self->watch);
    close(self->fd);
    buf_deinit(&self->in);
    buf_deinit(&self->out);
    free(self);
}

/* --- Out -------------------------------------------------------------------------------------- */

static void put_frame(struct conn *self, enum ws_opcode opcode, const void *data, size_t size)
{
    uint8_t head[WS_HEADER_MAX];
    buf_append(&self->out, head, ws_frame_header(head, opcode, size));
    buf_append(&self->out, data, size);
}

/* False when the connection is over. */
static bool write_out(struct conn *self)
{
    for (;;) {
        while (self->sent < self->out.size) {
            ssize_t n = send(self->fd, self->out.data + self->sent, self->out.size - self->sent,
                             MSG_NOSIGNAL);
            if (n < 0) {
                watch_set(self->watch, WATCH_READ | WATCH_WRITE);
                return errno == EAGAIN;
            }
            self->sent += (size_t)n;
        }
        self->out.size = self->sent = 0;
        struct bytes *message =
            self->viewer && self->wants_message ? viewer_next(self->viewer) : NULL;
        if (!message)
            break;
        put_frame(self, WS_BINARY, message->data, message->size);
        bytes_unref(message);
    }
    self->wants_message = false;
    watch_set(self->watch, WATCH_READ);
    return !self->is_over;
}

static void on_wake(void *data)
{
    struct conn *self = data;
    self->wants_message = true;
    watch_set(self->watch, WATCH_READ | WATCH_WRITE);
}

/* As the daemon does: into QEMU's input layer. The viewer may have gone when that answers, so it is told
 * before. */
static void send_button(struct host *host, bool is_down)
{
    json_t *event = json_pack("{s:s, s:{s:s, s:b}}", "type", "btn", "data", "button", "left", "down",
                              is_down);
    qmp_execute(host->qmp, "input-send-event", json_pack("{s:[o]}", "events", event), NULL, NULL);
}

static void on_input(void *data, const struct client_record *input)
{
    struct conn *self = data;
    viewer_injected(self->viewer, input->id, clock_now_us());
    if (self->host->qmp && input->type == RECORD_BUTTON)
        send_button(self->host, input->is_down);
    else if (!self->host->qmp && input->is_down)
        painter_tell(&self->host->painter, "key");
}

static void on_wish(void *data, enum client_wish wish)
{
    struct conn *self = data;
    bool is_mine = wish != CLIENT_GIVE_BACK;
    viewer_set_role(self->viewer, is_mine ? VIEWER_CONTROL : VIEWER_VIEW,
                    is_mine ? VIEWER_PERSON : VIEWER_NOBODY, is_mine ? "you" : "");
}

static const struct viewer_ops viewer_ops = { .wake = on_wake, .input = on_input, .wish = on_wish };

/* --- HTTP ------------------------------------------------------------------------------------- */

static void answer(struct conn *self, const char *type, const void *data, size_t size)
{
    buf_printf(&self->out, "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
                           "Cache-Control: no-store\r\nAccess-Control-Allow-Origin: *\r\n"
                           "Connection: close\r\n\r\n", type, size);
    buf_append(&self->out, data, size);
    self->is_over = true;
}

static void answer_stats(struct conn *self)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    int64_t cpu_us = (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
                     usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
    struct hub_stats hub = hub_stats(self->host->hub);
    const struct display_stats *display = display_stats(self->host->display);
    auto_buf struct buf text = BUF_INIT;
    buf_printf(
        &text,
        "{\"now_us\":%lld,\"cpu_us\":%lld,\"viewers\":%d,\"jobs\":%lld,\"coded\":%lld,"
        "\"coding_us\":%lld,\"cache_bytes\":%zu,\"frames\":%lld,\"tiles\":%lld,\"rss_kib\":%ld,"
        "\"qemu_us\":%lld}",
        (long long)clock_now_us(), (long long)cpu_us, hub.n_viewers, (long long)hub.n_jobs,
        (long long)hub.n_coded, (long long)hub.coding_us, hub.cache_bytes,
        (long long)display->n_frames, (long long)display->n_tiles, usage.ru_maxrss,
        self->host->qmp ? (long long)vm_cpu_us(&self->host->vm) : 0);
    answer(self, "application/json", text.data, text.size);
}

static void answer_file(struct conn *self, const char *path)
{
    static const char *const types[][2] = { { ".js", "text/javascript" }, { ".html", "text/html" },
                                            { ".css", "text/css" }, { ".svg", "image/svg+xml" } };
    const char *dir = strncmp(path, "/ui/", 4) == 0 ? self->host->ui : self->host->pages;
    const char *slash = strrchr(path, '/'), *dot = strrchr(path, '.'), *type = "text/plain";
    auto_free char *file = fs_join(dir, slash + 1);
    auto_buf struct buf data = BUF_INIT;
    for (size_t i = 0; dot && i < ARRAY_LEN(types); i++)
        if (strcmp(dot, types[i][0]) == 0)
            type = types[i][1];
    if (!strstr(path, "..") && fs_read(file, 1 << 20, &data, NULL) >= 0)
        answer(self, type, data.data, data.size);
    self->is_over = true;
}

static void upgrade(struct conn *self, const char *head)
{
    const char *key = strcasestr(head, "\r\nSec-WebSocket-Key: ");
    char text[96];
    uint8_t hash[SHA_DIGEST_LENGTH];
    int one = 1;
    if (!key)
        return;
    int n = snprintf(text, sizeof text, "%.24s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key + 21);
    SHA1((const uint8_t *)text, (size_t)n, hash);
    buf_puts(&self->out,
             "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
             "Sec-WebSocket-Protocol: deskfarm.stream.1\r\nSec-WebSocket-Accept: ");
    buf_append_base64(&self->out, hash, sizeof hash);
    buf_puts(&self->out, "\r\n\r\n");
    setsockopt(self->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    int low = 128 * 1024;
    setsockopt(self->fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &low, sizeof low);
    self->viewer = viewer_new(self->host->hub, &viewer_ops, self);
}

static void take_request(struct conn *self)
{
    const char *text = buf_str(&self->in), *end = strstr(text, "\r\n\r\n");
    char path[256] = "";
    if (!end || sscanf(text, "GET %255s", path) != 1)
        return;
    path[strcspn(path, "?")] = 0;
    if (strcmp(path, "/stream") == 0)
        upgrade(self, text);
    else if (strcmp(path, "/stats") == 0)
        answer_stats(self);
    else if (strncmp(path, "/scenario/", 10) == 0) {
        painter_tell(&self->host->painter, path + 10);
        answer(self, "text/plain", "", 0);
    } else
        answer_file(self, path);
    buf_consume(&self->in, (size_t)(end + 4 - text));
}

/* --- In --------------------------------------------------------------------------------------- */

/* False when the connection is over. */
static bool take_frames(struct conn *self)
{
    struct ws_frame frame;
    while (ws_frame_parse(&frame, self->in.data, self->in.size) == 0 &&
           self->in.size >= frame.header + frame.length) {
        uint8_t *payload = self->in.data + frame.header;
        struct error err = { 0 };
        ws_frame_unmask(payload, frame.length, frame.mask);
        if (frame.opcode == WS_CLOSE)
            return false;
        if (frame.opcode == WS_PING)
            put_frame(self, WS_PONG, payload, frame.length);
        else if (viewer_feed(self->viewer, payload, frame.length, &err) < 0) {
            fprintf(stderr, "viewer: %s\n", err.message);
            return false;
        }
        buf_consume(&self->in, frame.header + frame.length);
    }
    return true;
}

static void handle_conn(void *data, int events)
{
    struct conn *self = data;
    bool is_open = true;
    if (events & WATCH_READ) {
        uint8_t *room = buf_reserve(&self->in, 65536);
        ssize_t n = recv(self->fd, room, 65536, 0);
        is_open = n > 0 || (n < 0 && errno == EAGAIN);
        self->in.size += n > 0 ? (size_t)n : 0;
        if (is_open && !self->viewer)
            take_request(self);
        if (is_open && self->viewer)
            is_open = take_frames(self);
    }
    if (!is_open || !write_out(self))
        close_conn(self);
}

static void handle_listener(void *data, int events maybe_unused)
{
    struct host *host = ((struct conn *)data)->host;
    int fd = accept4(((struct conn *)data)->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return;
    struct conn *conn = calloc(1, sizeof *conn);
    conn->host = host;
    conn->fd = fd;
    conn->watch = watch_new(&host->loop, fd, handle_conn, conn);
    watch_set(conn->watch, WATCH_READ);
}

static int make_pair(void *data maybe_unused, int ret_fds[2], struct error *err)
{
    return sock_pair(ret_fds, err);
}

static void on_console_closed(void *data maybe_unused, int why)
{
    fprintf(stderr, "the painter has gone: %s\n", strerror(-why));
    exit(1);
}

static void listen_on_loopback(struct host *host)
{
    struct conn *listener = calloc(1, sizeof *listener);
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof address;
    listener->host = host;
    listener->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (bind(listener->fd, (struct sockaddr *)&address, size) < 0 || listen(listener->fd, 64) < 0) {
        perror("listen");
        exit(1);
    }
    getsockname(listener->fd, (struct sockaddr *)&address, &size);
    listener->watch = watch_new(&host->loop, listener->fd, handle_listener, listener);
    watch_set(listener->watch, WATCH_READ);
    printf("%d", ntohs(address.sin_port));
    if (host->qmp)
        printf(" %d", host->vm.vnc_port);
    puts("");
    fflush(stdout);
}

static void handle_stdin(void *data, int events maybe_unused)
{
    char byte;
    if (read(STDIN_FILENO, &byte, 1) <= 0)
        loop_stop(&((struct host *)data)->loop);
}

static void handle_answer(void *data maybe_unused, json_t *result maybe_unused,
                          const struct error *err)
{
    if (!err)
        return;
    fprintf(stderr, "%s\n", err->message);
    exit(1);
}

/* Gives QEMU one end of a socket for its D-Bus display; the other is the console's. */
static int join_qemu(struct host *host, struct error *err)
{
    static const struct qmp_ops ops = { 0 };
    int fds[2];
    if (qmp_new(&host->qmp, &host->loop, host->vm.qmp_fd, &ops, NULL, err) < 0 ||
        sock_pair(fds, err) < 0)
        return -1;
    qmp_execute_fd(host->qmp, "getfd", json_pack("{ss}", "fdname", "display"), fds[1], handle_answer,
                   NULL);
    qmp_execute(host->qmp, "add_client",
                json_pack("{ss ss}", "protocol", "@dbus-display", "fdname", "display"), handle_answer,
                NULL);
    return fds[0];
}

static int show_screen(struct host *host, struct error *err)
{
    int fd = host->painter.console_fd >= 0 ? host->painter.console_fd : join_qemu(host, err);
    if (fd < 0 || qdbus_new(&host->console, &host->loop, fd, NULL, on_console_closed, host, err) < 0)
        return -1;
    struct source_qemu_config config = { .loop = &host->loop, .pair = make_pair, .data = host,
                                         .console = host->console };
    return display_attach(host->display, source_qemu_new(&config), err);
}

int main(int argc, char **argv)
{
    struct host host = { 0 };
    struct error err = { 0 };
    int width = 0, height = 0;
    bool has_qemu = argc == 5 && strcmp(argv[4], "qemu") == 0;
    if ((argc != 4 && !has_qemu) || sscanf(argv[1], "%dx%d", &width, &height) != 2) {
        fprintf(stderr, "usage: stream-host WIDTHxHEIGHT UI-DIRECTORY PAGE-DIRECTORY [qemu]\n");
        return 2;
    }
    host.ui = argv[2];
    host.pages = argv[3];
    signal(SIGPIPE, SIG_IGN);
    if (has_qemu)
        vm_start(&host.vm);
    painter_start(&host.painter, width, height, has_qemu ? &host.vm : NULL);
    loop_init(&host.loop);
    host.pool = worker_pool_new(&host.loop, 0, 1);
    host.display = display_new(&host.loop, host.pool, NULL, NULL);
    host.hub = hub_new(&host.loop, host.pool, host.display);
    if (show_screen(&host, &err) < 0) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    listen_on_loopback(&host);
    struct watch *input = watch_new(&host.loop, STDIN_FILENO, handle_stdin, &host);
    watch_set(input, WATCH_READ);
    loop_run(&host.loop);
    painter_stop(&host.painter);
    if (has_qemu)
        vm_stop(&host.vm);
    _exit(0);
}
