/* Requests for the desktop: the agent in between, and a helper of this test's own at the other
 * end. */
#include "agent-fixture.h"

#include <poll.h>
#include <sys/un.h>

static struct fixture fixture;
static struct run run;
static int helper = -1; /* connected */

/* One request as the helper gets it. */
static struct request {
    char text[65537];
    int data, result;
} request = { .data = -1, .result = -1 };

static int connect_helper(void)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    snprintf(address.sun_path, sizeof address.sun_path, "%s.run/desktop.sock", fixture.dir);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    cr_assert(ge(int, fd, 0));
    int r = connect(fd, (struct sockaddr *)&address, sizeof address);
    cr_assert(eq(int, r, 0), "%s: %s", address.sun_path, strerror(errno));
    /* The agent takes connections in its own time: a round trip behind it is after. */
    RUN(&fixture, &run, "{s:s}", "op", "ping");
    return fd;
}

static void start(void)
{
    fixture_start(&fixture);
}

static void close_request(void)
{
    util_close_ptr(&request.data);
    util_close_ptr(&request.result);
    request.data = request.result = -1;
}

static void stop(void)
{
    close_request();
    util_close_ptr(&helper);
    run_deinit(&run);
    fixture_stop(&fixture);
}

TestSuite(agent_helper, .init = start, .fini = stop);

static bool take_request(void)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(2 * sizeof(int))];
    } control;
    struct iovec part = { request.text, sizeof request.text - 1 };
    struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.space,
                              .msg_controllen = sizeof control.space };
    int fds[2];
    if (request.data >= 0)
        return true; /* it is here already */
    ssize_t n = recvmsg(helper, &message, MSG_CMSG_CLOEXEC);
    if (n <= 0)
        return false;
    request.text[n] = '\0';
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    cr_assert(header && header->cmsg_len == CMSG_LEN(sizeof fds));
    memcpy(fds, CMSG_DATA(header), sizeof fds);
    request.data = fds[0];
    request.result = fds[1];
    return true;
}

static void ask(const char *op)
{
    run_deinit(&run);
    RUN_START(&fixture, &run, "{s:s}", "op", op);
    WAIT_FOR(&fixture, take_request());
}

static void answer(const char *output, const char *result)
{
    ssize_t n = write(request.data, output, strlen(output));
    cr_assert(eq(long, (long)n, (long)strlen(output)));
    n = write(request.result, result, strlen(result));
    cr_assert(eq(long, (long)n, (long)strlen(result)));
    close_request();
    WAIT_FOR(&fixture, run.n_ends > 0);
}

static void expect_ping(void)
{
    struct run ping = { 0 };
    RUN(&fixture, &ping, "{s:s}", "op", "ping");
    cr_assert_not_null(ping.result);
    run_deinit(&ping);
}

Test(agent_helper, is_missed_while_there_is_none)
{
    RUN(&fixture, &run, "{s:s}", "op", "desktop.windows");
    cr_assert(eq(int, (int)run.error.code, ERROR_NOT_READY), "%s", run.error.message);
}

Test(agent_helper, gets_the_request_and_gives_output_and_result)
{
    helper = connect_helper();
    ask("desktop.windows");
    cr_assert_not_null(strstr(request.text, "\"desktop.windows\""));
    answer("{\"items\":[]}", "{\"count\":0}");
    cr_assert_not_null(run.result);
    cr_assert(eq(int, (int)json_get_int(run.result, "count", -1), 0));
    cr_assert(eq(str, (char *)(uintptr_t)buf_str(&run.out), "{\"items\":[]}"));
}

Test(agent_helper, gets_the_input_up_to_its_end)
{
    helper = connect_helper();
    ask("desktop.clipboard.set");
    static char sent[600000], got[600000];
    memset(sent, 'x', sizeof sent);
    size_t done = 0, n_got = 0;
    for (ssize_t n = 1; n != 0;) {
        done += agent_call_write(run.call, sent + done, sizeof sent - done);
        if (done == sizeof sent)
            agent_call_eof(run.call);
        timer_start(fixture.tick, 1000);
        loop_turn(&fixture.loop, true);
        n = recv(request.data, got + n_got, sizeof got - n_got + 1, MSG_DONTWAIT);
        if (n > 0)
            n_got += (size_t)n;
    }
    cr_assert(eq(long, (long)n_got, (long)sizeof sent));
    answer("", "{}");
    cr_assert_not_null(run.result);
}

/* A row per way to end badly: what the caller gets. */
Test(agent_helper, is_believed_nothing)
{
    static const struct {
        const char *result;
        enum error_code code;
    } rows[] = {
        { "", ERROR_NOT_READY },
        { "nonsense", ERROR_GUEST_FAILED },
        { "[1]", ERROR_GUEST_FAILED },
        { "{\"a\":1,\"a\":2}", ERROR_GUEST_FAILED },
        { "{\"error\":5}", ERROR_GUEST_FAILED },
        { "{\"error\":{\"code\":7,\"message\":\"x\"}}", ERROR_GUEST_FAILED },
        { "{\"error\":{\"code\":\"not_found\",\"message\":\"gone\",\"extra\":[[[1]]]}}",
          ERROR_NOT_FOUND },
        { "{\"error\":{\"code\":\"untypable\",\"message\":\"\"}}", ERROR_UNTYPABLE },
    };
    helper = connect_helper();
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        ask("desktop.screen");
        answer("", rows[i].result);
        cr_assert(eq(int, (int)run.error.code, (int)rows[i].code), "%s: %s", rows[i].result,
                  run.error.message);
    }
    expect_ping();
}

Test(agent_helper, result_beyond_its_limit_is_none)
{
    static char result[20000];
    memset(result, ' ', sizeof result - 1);
    result[0] = '{';
    result[sizeof result - 2] = '}';
    helper = connect_helper();
    ask("desktop.screen");
    answer("", result);
    cr_assert(run.error.is_set);
    expect_ping();
}

Test(agent_helper, that_does_not_read_costs_its_socket_only)
{
    static struct run runs[32];
    static char filler[60000];
    int n_busy = 0;
    memset(filler, 'x', sizeof filler - 1);
    helper = connect_helper();
    for (size_t i = 0; i < ARRAY_LEN(runs); i++) {
        RUN_START(&fixture, &runs[i], "{s:s, s:s}", "op", "desktop.windows", "filler", filler);
        expect_ping();
    }
    for (size_t i = 0; i < ARRAY_LEN(runs); i++)
        n_busy += runs[i].error.code == ERROR_BUSY;
    cr_assert(gt(int, n_busy, 16), "%d of 32 requests were refused", n_busy);
    for (size_t i = 0; i < ARRAY_LEN(runs); i++) {
        agent_call_cancel(runs[i].call);
        run_deinit(&runs[i]);
    }
}

Test(agent_helper, that_hangs_lets_the_request_time_out)
{
    helper = connect_helper();
    run_deinit(&run);
    RUN_START(&fixture, &run, "{s:s, s:i}", "op", "desktop.windows", "timeout_us", 50000);
    WAIT_FOR(&fixture, run.n_ends > 0);
    cr_assert(eq(int, (int)run.error.code, ERROR_TIMEOUT), "%s", run.error.message);
}

Test(agent_helper, hears_that_nobody_waits_any_more)
{
    char byte;
    helper = connect_helper();
    ask("desktop.windows");
    run.call = agent_call_cancel(run.call);
    WAIT_FOR(&fixture, recv(request.data, &byte, 1, MSG_DONTWAIT) == 0 ||
                           send(request.data, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0);
}

static bool is_hung_up(void)
{
    struct pollfd poll_fd = { .fd = request.data, .events = POLLIN };
    return poll(&poll_fd, 1, 0) == 1 && poll_fd.revents & POLLHUP;
}

/* What the host does next comes behind all that the helper did. */
Test(agent_helper, ends_a_closed_request_itself)
{
    helper = connect_helper();
    ask("desktop.type");
    agent_call_close(run.call);
    WAIT_FOR(&fixture, is_hung_up());
    expect_ping();
    cr_assert(eq(int, run.n_ends, 0), "the helper is still at it");
    close_request();
    WAIT_FOR(&fixture, run.n_ends > 0);
    cr_assert(eq(int, (int)run.error.code, ERROR_CANCELLED), "%s", run.error.message);
    expect_ping();
}

Test(agent_helper, that_floods_is_held_up)
{
    static char flood[65536];
    size_t n_taken = 0;
    helper = connect_helper();
    ask("desktop.windows");
    run.is_slow = true;
    fcntl(request.data, F_SETFL, O_NONBLOCK);
    for (int i = 0; i < 400; i++) {
        ssize_t n = send(request.data, flood, sizeof flood, MSG_NOSIGNAL);
        n_taken += n > 0 ? (size_t)n : 0;
        timer_start(fixture.tick, 1000);
        loop_turn(&fixture.loop, true);
    }
    cr_assert(le(long, (long)run.n_unread, (long)AGENT_WINDOW));
    cr_assert(lt(long, (long)n_taken, 4 * 1024 * 1024));
    expect_ping();
}

Test(agent_helper, that_speaks_is_let_go)
{
    helper = connect_helper();
    ssize_t n = send(helper, "hello", 5, MSG_NOSIGNAL);
    cr_assert(eq(long, (long)n, 5));
    char byte;
    WAIT_FOR(&fixture, recv(helper, &byte, 1, MSG_DONTWAIT) == 0);
    RUN(&fixture, &run, "{s:s}", "op", "desktop.windows");
    cr_assert(eq(int, (int)run.error.code, ERROR_NOT_READY));
}

Test(agent_helper, is_whoever_connected_last)
{
    int first = connect_helper();
    helper = connect_helper();
    char byte;
    WAIT_FOR(&fixture, recv(first, &byte, 1, MSG_DONTWAIT) == 0);
    close(first);
    ask("desktop.screen");
    answer("", "{}");
    cr_assert_not_null(run.result);
}
