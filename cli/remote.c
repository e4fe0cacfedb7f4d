/* One loop over three descriptors: the WebSocket, our stdin and the pipe that signals write to. Our
 * stdout is written to until it has taken everything; meanwhile the socket is not read, so the guest
 * waits for whoever reads us. Stdin is not read while SEND_HIGH bytes wait to be sent. */
#include "cli/remote.h"

#include "cli/terminal.h"
#include "cli/websocket.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SEND_HIGH ((size_t)256 * 1024)
#define STDIN_BYTES 65536
#define ENDINGS_MAX 3

struct remote {
    struct cli *cli;
    const struct remote_io *io;
    struct remote_end *end;
    struct websocket *socket;
    int stdin_fd;
    int n_endings;        /* signals that asked us to end */
    bool is_over, is_cut; /* cut: nobody takes the output any more */
};

/* --- From the guest --------------------------------------------------------------------------- */

static int write_out(void *data maybe_unused, int stream, const uint8_t *bytes, size_t size)
{
    int fd = stream == 2 ? STDERR_FILENO : STDOUT_FILENO;
    while (size > 0) {
        ssize_t n = write(fd, bytes, size);
        if (n < 0 && errno == EAGAIN) {
            struct pollfd wait = { .fd = fd, .events = POLLOUT };
            poll(&wait, 1, 1000);
        } else if (n < 0 && errno != EINTR) {
            return -errno;
        }
        bytes += n > 0 ? n : 0;
        size -= n > 0 ? (size_t)n : 0;
    }
    return 0;
}

static void handle_word(struct remote *self, const json_t *word)
{
    struct remote_end *end = self->end;
    const json_t *error = json_object_get(word, "error");
    self->is_over = !json_object_get(word, "pid");
    if (json_is_object(error)) {
        snprintf(end->code, sizeof end->code, "%s", json_get_string(error, "code", "failed"));
        snprintf(end->message, sizeof end->message, "%s", json_get_string(error, "message", ""));
    } else if (self->is_over) {
        end->has_exit = true;
        end->has_timed_out = json_get_bool(word, "timed_out", false);
        int number = (int)json_get_int(word, "signal", 0);
        end->exit = number ? 128 + number : (int)json_get_int(word, "exit", 0);
    }
}

static void handle_message(void *data, bool is_text, const uint8_t *bytes, size_t size)
{
    struct remote *self = data;
    if (is_text) {
        auto_json json_t *word = NULL;
        if (json_parse_object((const char *)bytes, size, &word, NULL) == 0)
            handle_word(self, word);
        return;
    }
    if (size < 1 || self->is_cut)
        return;
    remote_fn fn = self->io->fn ? self->io->fn : write_out;
    self->is_cut = fn(self->io->data, bytes[0], bytes + 1, size - 1) < 0;
}

/* --- To the guest ----------------------------------------------------------------------------- */

static int send_word(struct remote *self, json_t *word)
{
    auto_buf struct buf text = BUF_INIT;
    json_write(word, &text);
    json_decref(word);
    return websocket_send(self->socket, true, text.data, text.size);
}

static int end_stdin(struct remote *self)
{
    self->stdin_fd = -1;
    return send_word(self, json_pack("{s:b}", "eof", 1));
}

static int read_stdin(struct remote *self)
{
    static char bytes[STDIN_BYTES];
    ssize_t n = read(self->stdin_fd, bytes, sizeof bytes);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n <= 0)
        return end_stdin(self);
    if (self->io->on_sent)
        self->io->on_sent(self->io->data, (size_t)n);
    return websocket_send(self->socket, false, bytes, (size_t)n);
}

static int resize(struct remote *self)
{
    int columns, rows;
    if (!self->io->has_terminal || !terminal_size(&columns, &rows))
        return 0;
    return send_word(self, json_pack("{s:i,s:i}", "columns", columns, "rows", rows));
}

static int handle_signal(struct remote *self, int number)
{
    static const char *const names[] = {
        [SIGINT] = "INT", [SIGTERM] = "TERM", [SIGHUP] = "HUP", [SIGQUIT] = "QUIT"
    };
    if (number == SIGWINCH)
        return resize(self);
    if (number < 1 || number >= (int)ARRAY_LEN(names) || !names[number])
        return 0;
    if (++self->n_endings >= ENDINGS_MAX) {
        self->is_cut = true;
        return 0;
    }
    return send_word(self, json_pack("{s:s}", "signal", names[number]));
}

/* --- The loop --------------------------------------------------------------------------------- */

static int turn(struct remote *self)
{
    bool wants_stdin = self->stdin_fd >= 0 && websocket_queued(self->socket) < SEND_HIGH;
    struct pollfd fds[] = {
        { .fd = websocket_fd(self->socket), .events = websocket_events(self->socket) },
        { .fd = terminal_signals(), .events = POLLIN },
        { .fd = wants_stdin ? self->stdin_fd : -1, .events = POLLIN },
    };
    if (poll(fds, ARRAY_LEN(fds), -1) < 0 && errno != EINTR)
        return -errno;
    int r = 0;
    for (int number; r == 0 && (number = terminal_next_signal()) > 0;)
        r = handle_signal(self, number);
    if (r == 0 && fds[2].revents)
        r = read_stdin(self);
    return r < 0 ? r : websocket_service(self->socket);
}

/* The first message is the body. */
static int begin(struct remote *self, const json_t *body)
{
    auto_buf struct buf text = BUF_INIT;
    json_write(body, &text);
    int r = websocket_send(self->socket, true, text.data, text.size);
    return r == 0 && self->stdin_fd < 0 ? end_stdin(self) : r;
}

static int run(struct remote *self, const json_t *body)
{
    int r = begin(self, body);
    while (r == 0 && !self->is_cut)
        r = turn(self);
    if (self->is_over)
        return CLI_OK;
    if (self->is_cut) {
        self->end->has_exit = true;
        self->end->exit = self->n_endings >= ENDINGS_MAX ? 128 + SIGINT : 128 + SIGPIPE;
        return CLI_OK;
    }
    return cli_fail(self->cli, CLI_UNREACHABLE, "unreachable",
                    "the connection to the daemon was lost");
}

int remote_run(struct cli *cli, struct request *request, const struct remote_io *io,
               struct remote_end *ret)
{
    struct error err = { 0 };
    struct remote self = { .cli = cli, .io = io, .end = ret, .stdin_fd = io->stdin_fd };
    *ret = (struct remote_end){ 0 };
    if (request_check(request, &err) < 0)
        return cli_fail_error(cli, CLI_USAGE, &err);
    int status = websocket_open(&self.socket, cli, request, "deskfarm.exec", handle_message, &self);
    if (status != CLI_OK)
        return status;
    terminal_start(io->has_terminal);
    status = run(&self, request->body);
    terminal_stop();
    websocket_free(self.socket);
    return status;
}

int remote_run_argv(struct cli *cli, const char *id, const char *user, const char *const *argv,
                    const struct remote_io *io, struct remote_end *ret)
{
    json_t *words = json_array();
    for (; *argv; argv++)
        json_array_append_new(words, json_string(*argv));
    struct request request = {
        .op = &api_table[API_EXEC],
        .path = json_pack("{s:s}", "id", id),
        .query = json_object(),
        .body = json_pack("{s:o}", "argv", words),
        .own = json_object(),
    };
    if (user)
        json_object_set_new(request.body, "user", json_string(user));
    int status = remote_run(cli, &request, io, ret);
    request_deinit(&request);
    return status;
}
