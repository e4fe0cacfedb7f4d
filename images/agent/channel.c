/* Output. A chunk is read straight into the frame that carries it. Reading stops while the channel
 * has no credit or the port is full; the pipe then holds the program up, and nothing grows here.
 *
 * The end. A program that has exited has written all it ever will, so its pipes are read until they
 * are empty before END is sent. Its own children may hold the pipes open: they get linger_us from
 * the exit on, then END goes out without them. A terminal hangs up by itself.
 *
 * Input waits in in_queue, which the credit bounds. A program that does not read any more makes the
 * rest of the input vanish, as a closed pipe would.
 *
 * What the helper does for a channel ends when the helper lets go of the result's pipe: only then is
 * END sent to a host that has closed it, so whatever the host does next comes behind it.
 *
 * Killing reaches the whole process group, which is a session of its own. */
#include "images/agent/channel.h"

#include "base/clock.h"
#include "images/agent/answer.h"
#include "images/agent/port.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>

#define KILL_AFTER_US 2000000
#define END_OF_TRANSMISSION "\004"
#define TURN_READS 4
#define HELPER_END_US 5000000 /* less than AGENT_END_US of hypervisor/agent.h */

static struct list channels = LIST_INIT(channels);
static struct channel *by_number[AGENT_CHANNELS + 1];
static int n_channels;
static bool is_one_waiting; /* for room in the port, perhaps */

static void check_end(struct channel *self);

int channels_count(void)
{
    return n_channels;
}

struct channel *channel_find(uint16_t number)
{
    return number <= AGENT_CHANNELS ? by_number[number] : NULL;
}

struct channel *channel_new(uint16_t number)
{
    struct channel *self = NULL;
    if (n_channels < CHANNELS_MAX && !by_number[number])
        self = calloc(1, sizeof *self);
    if (!self)
        return NULL;
    self->number = number;
    self->in.fd = self->out[0].fd = self->out[1].fd = self->result.fd = self->child.fd = -1;
    self->in_queue.limit = AGENT_WINDOW;
    self->result_text.limit = RESULT_MAX;
    self->started_us = clock_now_us();
    agent_credit_init(&self->credit);
    by_number[number] = self;
    list_append(&channels, &self->link);
    n_channels++;
    return self;
}

static void channel_free(struct channel *self)
{
    if (self->number)
        by_number[self->number] = NULL;
    list_remove(&self->link);
    n_channels--;
    source_close(&self->in);
    source_close(&self->out[0]);
    source_close(&self->out[1]);
    source_close(&self->result);
    source_close(&self->child);
    buf_deinit(&self->in_queue);
    buf_deinit(&self->result_text);
    free(self);
}

static void kill_group(const struct channel *self, int signo)
{
    /* One that was just forked may not have its group yet. */
    if (self->pid > 0 && !self->has_exited && kill(-self->pid, signo) < 0)
        kill(self->pid, signo);
}

/* The host hears of this channel no more. */
static void let_go(struct channel *self, bool is_killed)
{
    by_number[self->number] = NULL;
    self->number = 0;
    self->keep = !is_killed;
    if (is_killed)
        kill_group(self, SIGKILL);
    source_close(&self->in);
    if (self->pid == 0 || self->has_exited) {
        channel_free(self);
        return;
    }
    for (int i = 0; i < 2; i++)
        source_set(&self->out[i], EPOLLIN);
}

void channel_end(struct channel *self, json_t *result)
{
    if (self->number)
        port_send_json(AGENT_END, self->number, result);
    else
        json_decref(result);
    if (self->number)
        let_go(self, true);
    else
        channel_free(self);
}

void channel_event(struct channel *self, json_t *event)
{
    size_t size = port_send_json(AGENT_EVENT, self->number, event);
    agent_credit_sent(&self->credit, (uint32_t)size);
}

json_t *channel_error(const char *code, const char *format, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    /* A message that quotes bytes which are no UTF-8 cannot be JSON. */
    json_t *error = json_pack("{s:{s:s, s:s}}", "error", "code", code, "message", text);
    return error ? error : json_pack("{s:{s:s, s:s}}", "error", "code", code, "message", code);
}

void channel_fail(struct channel *self, const char *code, const char *format, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    channel_end(self, channel_error(code, "%s", text));
}

/* --- In -------------------------------------------------------------------------------------- */

static void give_credit(struct channel *self, size_t n)
{
    agent_credit_consumed(&self->credit, (uint32_t)n);
    uint32_t amount = agent_credit_give(&self->credit);
    if (amount == 0 || self->number == 0)
        return;
    uint8_t payload[4];
    agent_wire_put_u32(payload, amount);
    port_send(AGENT_CREDIT, self->number, payload, sizeof payload);
}

/* Nobody reads on: what is queued and what comes is dropped, and counts as dealt with. */
static void close_in(struct channel *self)
{
    size_t dropped = self->in_queue.size;
    buf_deinit(&self->in_queue);
    self->in_queue.limit = AGENT_WINDOW;
    if (self->is_socket && self->in.fd >= 0)
        shutdown(self->in.fd, SHUT_WR);
    source_close(&self->in);
    if (dropped)
        give_credit(self, dropped);
}

/* A terminal has no end of input; the character that means it ends a program that reads lines. */
static void finish_in(struct channel *self)
{
    if (!self->is_pty)
        close_in(self);
    else if (self->in.fd >= 0 && write(self->in.fd, END_OF_TRANSMISSION, 1) < 0)
        close_in(self);
}

static void pump_in(struct channel *self)
{
    while (self->in.fd >= 0 && self->in_queue.size > 0) {
        ssize_t n = write(self->in.fd, self->in_queue.data, self->in_queue.size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN) {
            source_set(&self->in, EPOLLOUT);
            return;
        }
        if (n < 0) {
            close_in(self);
            return;
        }
        buf_consume(&self->in_queue, (size_t)n);
        give_credit(self, (size_t)n);
    }
    source_set(&self->in, 0);
    if (self->in_eof)
        finish_in(self);
}

static void handle_connected(struct channel *self)
{
    int err = 0;
    socklen_t size = sizeof err;
    if (getsockopt(self->in.fd, SOL_SOCKET, SO_ERROR, &err, &size) < 0)
        err = errno;
    if (err) {
        channel_fail(self, err == ETIMEDOUT ? "timeout" : "refused", "connecting: %s",
                     strerror(err));
        return;
    }
    self->is_connecting = false;
    self->timeout_at_us = 0;
    channel_event(self, json_pack("{s:b}", "connected", 1));
    channel_start(self);
}

static void handle_in(void *data, uint32_t events maybe_unused)
{
    struct channel *self = data;
    if (self->is_connecting) {
        handle_connected(self);
        return;
    }
    pump_in(self);
    check_end(self);
}

void channel_take(struct channel *self, const uint8_t *data, size_t size)
{
    if (self->in_eof || agent_credit_received(&self->credit, (uint32_t)size) < 0) {
        channel_fail(self, "protocol", "more input than was allowed");
        return;
    }
    give_credit(self, AGENT_OVERHEAD);
    if (self->in.fd < 0) {
        give_credit(self, size);
        return;
    }
    if (buf_append(&self->in_queue, data, size) < 0) {
        channel_fail(self, "no_memory", "no memory for input");
        return;
    }
    if (!self->is_connecting) {
        pump_in(self);
        check_end(self);
    }
}

void channel_take_eof(struct channel *self)
{
    self->in_eof = true;
    if (!self->is_connecting) {
        pump_in(self);
        check_end(self);
    }
}

/* --- Out ------------------------------------------------------------------------------------- */

static void finish_out(struct channel *self, int i)
{
    source_close(&self->out[i]);
    if (self->out_done[i])
        return;
    self->out_done[i] = true;
    if (self->number)
        port_send_eof(self->number, (enum agent_stream)(AGENT_STDOUT + i));
}

static void drop_out(struct channel *self, int i)
{
    static char dropped[AGENT_CHUNK];
    ssize_t n = read(self->out[i].fd, dropped, sizeof dropped);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        finish_out(self, i);
}

/* Reads one chunk. 1: there may be more; 0: none for now, by the program's fault or ours. */
static int pump_chunk(struct channel *self, int i, bool *ret_is_empty)
{
    size_t room = agent_credit_room(&self->credit);
    uint8_t *at = room == 0 || port_is_full() ? NULL : port_data_begin(room);
    if (!at) {
        is_one_waiting = true;
        source_set(&self->out[i], 0); /* until channels_resume or channel_credit */
        return 0;
    }
    ssize_t n = read(self->out[i].fd, at, room);
    if (n < 0 && errno == EINTR)
        return 1;
    if (n < 0 && errno == EAGAIN) {
        *ret_is_empty = true;
        source_set(&self->out[i], EPOLLIN);
        return 0;
    }
    if (n <= 0) { /* EIO: the last one has closed the terminal */
        *ret_is_empty = true;
        finish_out(self, i);
        return 0;
    }
    agent_credit_sent(&self->credit, (uint32_t)n);
    port_data_end(self->number, (enum agent_stream)(AGENT_STDOUT + i), (size_t)n);
    return 1;
}

static void pump_out(struct channel *self, int i)
{
    bool is_empty = self->out[i].fd < 0;
    /* Of one that has exited everything: no event follows the last byte. The credit bounds it. */
    for (int n = 0; (n < TURN_READS || self->has_exited) && self->out[i].fd >= 0; n++) {
        if (self->number == 0)
            drop_out(self, i);
        else if (pump_chunk(self, i, &is_empty) == 0)
            break;
    }
    if (!is_empty || self->number == 0 || !self->has_exited)
        return;
    if (self->linger_at_us && clock_now_us() >= self->linger_at_us)
        finish_out(self, i);
}

static void handle_out(struct channel *self, int i)
{
    pump_out(self, i);
    check_end(self);
}

static void handle_stdout(void *data, uint32_t events maybe_unused)
{
    handle_out(data, 0);
}

static void handle_stderr(void *data, uint32_t events maybe_unused)
{
    handle_out(data, 1);
}

void channel_credit(struct channel *self, uint32_t amount)
{
    if (agent_credit_granted(&self->credit, amount) < 0) {
        channel_fail(self, "protocol", "more credit than a window has");
        return;
    }
    for (int i = 0; i < 2; i++)
        if (!self->is_connecting)
            source_set(&self->out[i], EPOLLIN);
}

void channels_resume(void)
{
    struct channel *self;
    if (!is_one_waiting || port_is_full())
        return;
    is_one_waiting = false;
    list_for_each(self, &channels, link)
        for (int i = 0; i < 2; i++)
            if (self->out[i].fd >= 0 && !self->is_connecting &&
                (self->number == 0 || agent_credit_room(&self->credit) > 0))
                source_set(&self->out[i], EPOLLIN);
}

/* --- The end --------------------------------------------------------------------------------- */

static void read_result(struct channel *self)
{
    char chunk[1024];
    ssize_t n;
    while (self->result.fd >= 0 && (n = read(self->result.fd, chunk, sizeof chunk)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return; /* EAGAIN: a grandchild holds it open; what the child said is here */
        buf_append(&self->result_text, chunk, (size_t)n);
    }
}

/* What the child itself said, or an object of its exit status alone. */
static json_t *child_result(struct channel *self)
{
    json_t *result = NULL;
    read_result(self);
    if (self->result_text.size > 0 && !self->result_text.failed)
        result = json_loadb((const char *)self->result_text.data, self->result_text.size, 0, NULL);
    if (!json_is_object(result)) {
        json_decref(result);
        result = json_object();
    }
    bool has_signal = WIFSIGNALED(self->status);
    json_object_set_new(result, "exit", has_signal ? json_null()
                                                   : json_integer(WEXITSTATUS(self->status)));
    json_object_set_new(result, "signal", has_signal ? json_integer(WTERMSIG(self->status))
                                                     : json_null());
    json_object_set_new(result, "timed_out", json_boolean(self->timed_out));
    json_object_set_new(result, "duration_us", json_integer(clock_now_us() - self->started_us));
    return result;
}

static void check_end(struct channel *self)
{
    if (self->is_connecting)
        return;
    if (self->number == 0) {
        if (self->pid == 0 || self->has_exited)
            channel_free(self);
        return;
    }
    if (!self->out_done[0] || !self->out_done[1])
        return;
    if (self->is_helped) {
        read_result(self);
        channel_end(self, answer_read(self->result_text.data, self->result_text.size));
        return;
    }
    if (self->is_socket) {
        if (self->in.fd < 0)
            channel_end(self, json_object());
    } else if (self->has_exited) {
        channel_end(self, child_result(self));
    }
}

static void handle_child(void *data, uint32_t events maybe_unused)
{
    struct channel *self = data;
    if (waitpid(self->pid, &self->status, WNOHANG) != self->pid)
        return;
    self->has_exited = true;
    source_close(&self->child);
    self->timeout_at_us = self->kill_at_us = 0;
    self->linger_at_us = clock_now_us() + self->linger_us;
    for (int i = 0; i < 2; i++)
        if (self->number)
            pump_out(self, i);
    check_end(self);
}

void channel_start(struct channel *self)
{
    self->in.fn = handle_in;
    self->out[0].fn = handle_stdout;
    self->out[1].fn = handle_stderr;
    self->child.fn = handle_child;
    self->in.data = self->out[0].data = self->out[1].data = self->child.data = self;
    if (self->is_connecting) {
        source_set(&self->in, EPOLLOUT);
        return;
    }
    for (int i = 0; i < 2; i++) {
        self->out_done[i] = self->out[i].fd < 0;
        source_set(&self->out[i], EPOLLIN);
    }
    source_set(&self->child, EPOLLIN);
    if (self->in_queue.size > 0 || self->in_eof)
        pump_in(self);
}

/* --- Words from the host ---------------------------------------------------------------------- */

static const struct {
    const char *name;
    int signo;
} signals[] = {
    { "HUP", SIGHUP }, { "INT", SIGINT }, { "QUIT", SIGQUIT }, { "KILL", SIGKILL },
    { "USR1", SIGUSR1 }, { "USR2", SIGUSR2 }, { "TERM", SIGTERM }, { "CONT", SIGCONT },
    { "STOP", SIGSTOP }, { "TSTP", SIGTSTP }, { "WINCH", SIGWINCH },
};

static int parse_signal(const json_t *value)
{
    if (json_is_integer(value)) {
        json_int_t signo = json_integer_value(value);
        return signo > 0 && signo < NSIG ? (int)signo : 0;
    }
    const char *name = json_string_value(value);
    if (name && strncmp(name, "SIG", 3) == 0)
        name += 3;
    for (size_t i = 0; name && i < ARRAY_LEN(signals); i++)
        if (strcmp(name, signals[i].name) == 0)
            return signals[i].signo;
    return 0;
}

/* On a terminal the signal goes to whatever is in the foreground, as from its keyboard. */
static void send_signal(struct channel *self, int signo)
{
    pid_t group = 0;
    if (self->is_pty && self->in.fd >= 0 && ioctl(self->in.fd, TIOCGPGRP, &group) == 0 &&
        group > 1 && kill(-group, signo) == 0)
        return;
    kill_group(self, signo);
}

static void resize(const struct channel *self, int64_t columns, int64_t rows)
{
    struct winsize size = { .ws_col = (unsigned short)CLAMP(columns, 1, 4096),
                            .ws_row = (unsigned short)CLAMP(rows, 1, 4096) };
    if (self->is_pty && self->in.fd >= 0)
        ioctl(self->in.fd, TIOCSWINSZ, &size);
}

void channel_control(struct channel *self, const uint8_t *json, size_t size)
{
    auto_json json_t *word = NULL;
    if (json_parse_object((const char *)json, size, &word, NULL) < 0)
        return;
    int signo = parse_signal(json_object_get(word, "signal"));
    if (signo)
        send_signal(self, signo);
    if (json_object_get(word, "columns"))
        resize(self, json_get_int(word, "columns", 80), json_get_int(word, "rows", 24));
}

static void handle_let_go(void *data, uint32_t events maybe_unused)
{
    struct channel *self = data;
    char chunk[1024];
    ssize_t n = read(self->result.fd, chunk, sizeof chunk);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        channel_fail(self, "cancelled", "closed by the host");
}

/* Both ends of ours at once: the helper shall take it for a hang-up, not for the end of the input. */
static void hang_up(struct channel *self)
{
    self->is_closing = true;
    source_close(&self->in);
    source_close(&self->out[0]);
    self->timeout_at_us = clock_now_us() + HELPER_END_US;
    self->result.fn = handle_let_go;
    source_set(&self->result, EPOLLIN);
}

void channel_cancel(struct channel *self)
{
    if (!self->is_helped)
        channel_fail(self, "cancelled", "closed by the host");
    else if (!self->is_closing)
        hang_up(self);
}

void channels_reset(void)
{
    struct channel *self, *next;
    list_for_each_safe(self, next, &channels, link)
        if (self->number)
            let_go(self, !self->keep);
}

/* --- Time ------------------------------------------------------------------------------------ */

static void handle_timeout(struct channel *self, int64_t now_us)
{
    self->timeout_at_us = 0;
    self->timed_out = true;
    if (self->is_connecting) {
        channel_fail(self, "timeout", "connecting took too long");
        return;
    }
    if (self->is_helped) {
        channel_fail(self, "timeout", "the desktop's helper did not answer in time");
        return;
    }
    kill_group(self, SIGTERM);
    kill_group(self, SIGCONT);
    self->kill_at_us = now_us + KILL_AFTER_US;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a == 0 ? b : b == 0 ? a : MIN(a, b);
}

/* What is due of one channel; it may be gone afterwards. */
static void tick(struct channel *self, int64_t now_us)
{
    if (self->kill_at_us && now_us >= self->kill_at_us) {
        self->kill_at_us = 0;
        kill_group(self, SIGKILL);
    }
    if (self->has_exited && self->linger_at_us && now_us >= self->linger_at_us) {
        /* Those with unread output are finished when it has been read. */
        for (int i = 0; i < 2; i++)
            if (self->out[i].fd >= 0 && self->out[i].events)
                pump_out(self, i);
        check_end(self);
    } else if (self->timeout_at_us && now_us >= self->timeout_at_us) {
        handle_timeout(self, now_us);
    }
}

int64_t channels_tick(void)
{
    struct channel *self, *next;
    int64_t now_us = clock_now_us(), first = 0;
    list_for_each_safe(self, next, &channels, link)
        tick(self, now_us);
    list_for_each(self, &channels, link) {
        first = earlier(first, self->timeout_at_us);
        first = earlier(first, self->kill_at_us);
        if (self->has_exited && self->linger_at_us > now_us)
            first = earlier(first, self->linger_at_us);
    }
    return first ? MAX(first - now_us, 0) : -1;
}
