/* deskfarm-agent as an ordinary process on a socketpair in place of the guest's port, and the
 * host's end of it. */
#pragma once

#include "base/clock.h"
#include "base/process.h"
#include "base/sock.h"
#include "hypervisor/agent.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define TEST_LIMIT_US 30000000

struct fixture {
    struct loop loop;
    struct agent *agent;
    struct process *process;
    struct timer *tick;
    int port; /* a duplicate of the host's end: outlives an agent object, as QEMU's port does */
    int n_ready, n_lost, n_closed;
    struct error closed;
    char dir[64];
};

/* One call and all that came of it. */
struct run {
    struct agent_call *call;
    struct buf out, err;
    bool eof[AGENT_STREAM_COUNT];
    bool is_slow; /* says of no byte that it has dealt with it */
    size_t n_unread;
    int n_events, n_ends, n_writable;
    char event[256]; /* the last */
    json_t *result;
    struct error error;
};

static inline void handle_ready(void *data, const json_t *welcome maybe_unused)
{
    ((struct fixture *)data)->n_ready++;
}

static inline void handle_lost(void *data)
{
    ((struct fixture *)data)->n_lost++;
}

static inline void handle_closed(void *data, const struct error *why)
{
    struct fixture *self = data;
    self->n_closed++;
    self->closed = *why;
}

static inline void handle_tick(void *data maybe_unused)
{
}

/* The tick: a turn may meet the condition and then wait for something else. */
#define WAIT_FOR(fixture, condition)                                                               \
    do {                                                                                           \
        int64_t end_us_ = clock_now_us() + TEST_LIMIT_US;                                          \
        while (!(condition) && clock_now_us() < end_us_) {                                         \
            timer_start((fixture)->tick, 10000);                                                   \
            loop_turn(&(fixture)->loop, true);                                                     \
        }                                                                                          \
        timer_stop((fixture)->tick);                                                               \
        bool is_met_ = (condition);                                                                \
        cr_assert(is_met_, "within %d s", TEST_LIMIT_US / 1000000);                                \
    } while (0)

static inline void fixture_init(struct fixture *self)
{
    *self = (struct fixture) { .port = -1 };
    int r = loop_init(&self->loop);
    cr_assert(eq(int, r, 0));
    self->tick = timer_new(&self->loop, handle_tick, self);
    strcpy(self->dir, "/tmp/deskfarm-agent-XXXXXX");
    char *dir = mkdtemp(self->dir);
    cr_assert_not_null(dir);
}

static inline void fixture_connect(struct fixture *self)
{
    static const struct agent_ops ops = { handle_ready, handle_lost, handle_closed };
    int fd = fcntl(self->port, F_DUPFD_CLOEXEC, 3);
    cr_assert(ge(int, fd, 0));
    int r = agent_new(&self->agent, &self->loop, fd, &ops, self, NULL);
    cr_assert(eq(int, r, 0));
}

/* The program is beside the test in the build tree. */
static inline void fixture_spawn(struct fixture *self)
{
    char path[512];
    int fds[2];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 64);
    cr_assert(gt(long, (long)n, 0));
    path[n] = '\0';
    strcpy(strrchr(path, '/'), "/../../images/agent/deskfarm-agent");
    int r = sock_pair(fds, NULL);
    cr_assert(eq(int, r, 0));
    char desktop[80];
    snprintf(desktop, sizeof desktop, "%s.run/desktop.sock", self->dir);
    const struct passwd *user = getpwuid(geteuid());
    cr_assert_not_null(user);
    const char *argv[] = { path, "--fd", "3", "--desktop", desktop, "--user", user->pw_name, NULL };
    struct process_fd child[] = { { fds[1], 3 }, { STDERR_FILENO, 2 } };
    struct process_spec spec = { .argv = argv, .fds = child, .n_fds = 2 };
    r = process_spawn(&self->process, &self->loop, &spec, NULL, NULL, NULL);
    cr_assert(eq(int, r, 0));
    close(fds[1]);
    self->port = fds[0];
}

static inline void fixture_start(struct fixture *self)
{
    fixture_init(self);
    fixture_spawn(self);
    fixture_connect(self);
    WAIT_FOR(self, self->n_ready == 1);
}

static inline void fixture_stop(struct fixture *self)
{
    self->agent = agent_free(self->agent);
    util_close_ptr(&self->port);
    if (self->process)
        process_kill(self->process, SIGKILL);
    self->process = process_free(self->process);
    timer_free(self->tick);
    loop_deinit(&self->loop);
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s %s.run", self->dir, self->dir);
    int r = system(command);
    cr_assert(eq(int, r, 0));
}

/* --- Calls ----------------------------------------------------------------------------------- */

static inline void run_event(void *data, const json_t *event)
{
    struct run *run = data;
    auto_buf struct buf text = BUF_INIT;
    json_write(event, &text);
    snprintf(run->event, sizeof run->event, "%s", buf_str(&text));
    run->n_events++;
}

static inline void run_data(void *data, enum agent_stream stream, const uint8_t *bytes, size_t size)
{
    struct run *run = data;
    buf_append(stream == AGENT_STDOUT ? &run->out : &run->err, bytes, size);
    run->n_unread += size;
    if (!run->is_slow)
        agent_call_consumed(run->call, size);
}

static inline void run_eof(void *data, enum agent_stream stream)
{
    ((struct run *)data)->eof[stream] = true;
}

static inline void run_writable(void *data)
{
    ((struct run *)data)->n_writable++;
}

static inline void run_end(void *data, const json_t *result, const struct error *err)
{
    struct run *run = data;
    run->n_ends++;
    run->call = NULL;
    if (result)
        run->result = json_deep_copy(result);
    else
        run->error = *err;
}

static const struct agent_call_ops run_ops = {
    run_event, run_data, run_eof, run_writable, run_end,
};

static inline void run_deinit(struct run *run)
{
    buf_deinit(&run->out);
    buf_deinit(&run->err);
    json_decref(run->result);
    *run = (struct run) { 0 };
}

/* format as json_pack's. */
#define RUN_START(fixture, run, ...)                                                               \
    ((run)->call = agent_call_new((fixture)->agent, json_pack(__VA_ARGS__), &run_ops, (run),       \
                                  TEST_LIMIT_US))
#define RUN(fixture, run, ...)                                                                     \
    do {                                                                                           \
        run_deinit(run);                                                                           \
        RUN_START(fixture, run, __VA_ARGS__);                                                      \
        WAIT_FOR(fixture, (run)->n_ends > 0);                                                      \
    } while (0)

static inline void run_write_all(struct fixture *self, struct run *run, const void *data,
                                 size_t size)
{
    size_t done = 0;
    while (done < size) {
        int n = run->n_writable;
        done += agent_call_write(run->call, (const char *)data + done, size - done);
        if (done < size)
            WAIT_FOR(self, run->n_writable > n || run->n_ends > 0);
        cr_assert(eq(int, run->n_ends, 0));
    }
    agent_call_eof(run->call);
}
