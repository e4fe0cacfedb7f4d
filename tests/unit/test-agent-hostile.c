/* The host's end of the agent against guests that flood, lie or stop reading, and the agent
 * against a host that does. The peer is a socket that the test writes to. */
#include "agent-fixture.h"

static struct fixture fixture;
static struct run run;
static uint64_t session;

/* The next frame that the host has sent, its payload as text. */
static enum agent_type read_frame(char payload[256])
{
    static struct agent_inbox inbox; /* each test is a process */
    struct agent_frame frame;
    if (inbox.tail == 0)
        agent_inbox_init(&inbox, AGENT_HOST, session);
    while (!agent_inbox_next(&inbox, &frame)) {
        size_t room;
        uint8_t *at = agent_inbox_space(&inbox, &room);
        ssize_t n = recv(fixture.port, at, room, MSG_DONTWAIT);
        if (n < 0)
            loop_turn(&fixture.loop, false);
        else
            agent_inbox_added(&inbox, (size_t)n);
    }
    if (frame.type == AGENT_HELLO)
        session = inbox.session = frame.session;
    snprintf(payload, 256, "%.*s", (int)MIN(frame.length, 255), (const char *)frame.payload);
    return frame.type;
}

static void expect_frame(enum agent_type type, char payload[256])
{
    enum agent_type got = read_frame(payload); /* eq() looks at its arguments more than once */
    cr_assert(eq(int, got, type));
}

static void say(enum agent_type type, uint8_t stream, uint16_t channel, const void *payload,
                size_t size)
{
    static uint8_t out[AGENT_FRAME_MAX];
    struct agent_frame frame = { type, stream, channel, (uint32_t)size,
                                 type == AGENT_KNOCK ? 0 : session, payload };
    agent_feed(fixture.agent, out, agent_wire_encode(out, &frame));
}

/* The port is the guest's end here; a call is open on channel 1. */
static void start(void)
{
    static const struct agent_ops ops = { handle_ready, handle_lost, handle_closed };
    char payload[256];
    int fds[2];
    fixture_init(&fixture);
    int r = sock_pair(fds, NULL);
    cr_assert(eq(int, r, 0));
    fixture.port = fds[1];
    r = agent_new(&fixture.agent, &fixture.loop, fds[0], &ops, &fixture, NULL);
    cr_assert(eq(int, r, 0));
    expect_frame(AGENT_HELLO, payload);
    say(AGENT_WELCOME, 0, 0, "{}", 2);
    cr_assert(eq(int, fixture.n_ready, 1));
    RUN_START(&fixture, &run, "{s:s}", "op", "exec");
    expect_frame(AGENT_REQUEST, payload);
    cr_assert(eq(str, payload, "{\"op\":\"exec\"}"));
}

static void stop(void)
{
    fixture_stop(&fixture);
    run_deinit(&run);
}

TestSuite(agent_host, .init = start, .fini = stop);

/* A row per breach; the connection ends with what it was, and the call with it. */
Test(agent_host, ends_with_a_guest_that_breaks_the_rules)
{
    static const struct {
        enum agent_type type;
        uint8_t stream;
        uint16_t channel;
        const char *payload;
        size_t size;
        const char *why;
    } rows[] = {
        { AGENT_WELCOME, 0, 0, "{}", 2, "second welcome" },
        { AGENT_DATA, 1, 2, "x", 1, "not open" },
        { AGENT_END, 0, 256, "{}", 2, "not open" },
        { AGENT_CREDIT, 0, 1, "\1\0\0\0", 4, "more credit" },
        { AGENT_EVENT, 0, 1, "[]", 2, "no JSON object" },
        { AGENT_END, 0, 1, "{\"a\"", 4, "no JSON object" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (i > 0) {
            stop();
            start();
        }
        say(rows[i].type, rows[i].stream, rows[i].channel, rows[i].payload, rows[i].size);
        cr_assert(eq(int, fixture.n_closed, 1), "row %zu", i);
        cr_assert_not_null(strstr(fixture.closed.message, rows[i].why), "%s",
                           fixture.closed.message);
        cr_assert(eq(int, run.error.code, ERROR_GUEST_GONE));
        session = 0;
    }
}

Test(agent_host, takes_no_more_output_than_it_allowed)
{
    static char data[AGENT_PAYLOAD_MAX];
    run.is_slow = true;
    for (int i = 0; i < 100 && !fixture.n_closed; i++)
        say(AGENT_DATA, AGENT_STDOUT, 1, data, sizeof data);
    cr_assert_not_null(strstr(fixture.closed.message, "more output"));
    cr_assert(le(sz, run.out.size, AGENT_WINDOW));
}

Test(agent_host, takes_no_output_after_its_end)
{
    say(AGENT_EOF, AGENT_STDOUT, 1, NULL, 0);
    say(AGENT_DATA, AGENT_STDERR, 1, "x", 1);
    cr_assert(eq(int, fixture.n_closed, 0));
    say(AGENT_DATA, AGENT_STDOUT, 1, "x", 1);
    cr_assert_not_null(strstr(fixture.closed.message, "after its end"));
}

Test(agent_host, gives_up_on_noise)
{
    static char noise[65536];
    size_t n = 0;
    memset(noise, 'D', sizeof noise);
    for (; !fixture.n_closed && n < 1000; n++)
        agent_feed(fixture.agent, noise, sizeof noise);
    cr_assert(le(sz, n, AGENT_NOISE_MAX / sizeof noise + 1));
    cr_assert_not_null(strstr(fixture.closed.message, "means nothing"));
}

Test(agent_host, gives_up_on_knocking)
{
    for (int i = 0; i < 1000000 && !fixture.n_closed; i++)
        say(AGENT_KNOCK, 0, 0, NULL, 0);
    cr_assert(eq(int, fixture.n_closed, 1));
    cr_assert(eq(int, fixture.n_ready, 1));
}

/* The guest reads nothing: what waits for it is bounded, and calls are refused or time out. */
Test(agent_host, queues_no_more_than_its_limit_for_a_guest_that_does_not_read)
{
    static char data[1 << 20];
    int n_busy = 0, n_timeout = 0;
    static struct run runs[AGENT_CHANNELS];
    for (size_t i = 0; i < AGENT_CHANNELS - 1; i++) {
        json_t *request = json_pack("{s:s, s:o}", "op", "exec", "command",
                                    json_stringn(memset(data, 'x', 60000), 60000));
        runs[i].call = agent_call_new(fixture.agent, request, &run_ops, &runs[i], 300000);
    }
    size_t taken = agent_call_write(run.call, data, sizeof data);
    cr_assert(eq(sz, taken, 0), "the queue is full");
    struct agent_call *more = agent_call_new(fixture.agent, json_object(), NULL, NULL, 0);
    cr_assert_null(more, "all are taken");
    for (size_t i = 0; i < AGENT_CHANNELS - 1; i++) {
        WAIT_FOR(&fixture, runs[i].n_ends == 1);
        n_busy += runs[i].error.code == ERROR_BUSY;
        n_timeout += runs[i].error.code == ERROR_TIMEOUT;
    }
    cr_assert(gt(int, n_timeout, 0));
    cr_assert(le(int, n_timeout, AGENT_QUEUE_MAX / 60000));
    cr_assert(eq(int, n_busy, AGENT_CHANNELS - 1 - n_timeout));
}

/* What the guest says in an error is one line without control characters. */
Test(agent_host, cleans_the_guests_words)
{
    static const char end[] = "{\"error\":{\"code\":\"?\",\"message\":\"a\\n\\u001b[2Jb\"}}";
    say(AGENT_END, 0, 1, end, sizeof end - 1);
    cr_assert(eq(int, run.error.code, ERROR_GUEST_FAILED));
    cr_assert(eq(str, run.error.message, "in the guest: exec: a  [2Jb"));
    cr_assert(eq(int, fixture.n_closed, 0));
}

Test(agent_host, notices_that_the_socket_ended)
{
    close(steal_fd(&fixture.port));
    WAIT_FOR(&fixture, fixture.n_closed == 1);
    cr_assert(eq(int, run.error.code, ERROR_GUEST_GONE));
    cr_assert(eq(int, run.n_ends, 1));
}

static void end_and_free(void *data, const json_t *result maybe_unused,
                         const struct error *err maybe_unused)
{
    fixture.agent = agent_free(fixture.agent);
    ++*(int *)data;
}

Test(agent_host, may_be_freed_in_its_callbacks)
{
    static const struct agent_call_ops ops = { .on_end = end_and_free };
    char payload[256];
    int n_ends = 0;
    agent_call_new(fixture.agent, json_pack("{s:s}", "op", "ping"), &ops, &n_ends, 0);
    expect_frame(AGENT_REQUEST, payload);
    say(AGENT_END, 0, 2, "{}", 2);
    cr_assert(eq(int, n_ends, 1));
    cr_assert(eq(int, run.error.code, ERROR_CANCELLED));
}

Test(agent_host, closes_a_call_in_the_guest)
{
    char payload[256];
    run.call = agent_call_cancel(run.call);
    expect_frame(AGENT_CLOSE, payload);
    say(AGENT_DATA, AGENT_STDOUT, 1, "late", 4);
    say(AGENT_END, 0, 1, "{}", 2);
    cr_assert(eq(int, run.n_ends, 0));
    cr_assert(eq(sz, run.out.size, 0));
    cr_assert(eq(int, fixture.n_closed, 0));
}

/* --- The agent against its host --------------------------------------------------------------- */

static uint8_t block[AGENT_FRAME_MAX];

static void tell(enum agent_type type, uint16_t channel, uint64_t to, const char *payload)
{
    struct agent_frame frame = { type, 0, channel, payload ? (uint32_t)strlen(payload) : 0, to,
                                 (const uint8_t *)payload };
    ssize_t size = (ssize_t)agent_wire_encode(block, &frame);
    ssize_t n = send(fixture.port, block, (size_t)size, 0);
    cr_assert(eq(long, n, size));
}

static void start_agent(void)
{
    fixture_init(&fixture);
    fixture_spawn(&fixture);
    fcntl(fixture.port, F_SETFL, fcntl(fixture.port, F_GETFL) & ~O_NONBLOCK);
}

TestSuite(agent_guest, .init = start_agent, .fini = stop);

/* It lives, and answers. */
static void check_alive(void)
{
    fcntl(fixture.port, F_SETFL, fcntl(fixture.port, F_GETFL) | O_NONBLOCK);
    fixture_connect(&fixture);
    WAIT_FOR(&fixture, fixture.n_ready == 1);
    RUN(&fixture, &run, "{s:s, s:s}", "op", "exec", "command", "echo alive");
    cr_assert(eq(int, strcmp(buf_str(&run.out), "alive\n"), 0));
}

Test(agent_guest, survives_what_belongs_to_no_channel)
{
    tell(AGENT_HELLO, 0, 5, NULL);
    tell(AGENT_CLOSE, 7, 5, NULL);
    tell(AGENT_DATA, 7, 5, "data");
    tell(AGENT_EOF, 7, 5, NULL);
    tell(AGENT_CONTROL, 7, 5, "{}");
    tell(AGENT_CREDIT, 7, 5, "\1\1\1\1");
    tell(AGENT_REQUEST, 7, 6, "{\"op\":\"ping\"}"); /* another session's */
    check_alive();
}

Test(agent_guest, survives_nonsense)
{
    tell(AGENT_HELLO, 0, 5, NULL);
    tell(AGENT_REQUEST, 1, 5, "{{");
    tell(AGENT_REQUEST, 1, 5, "[]");
    tell(AGENT_REQUEST, 1, 5, "{\"op\":\"exec\",\"command\":\"sleep 100\"}");
    tell(AGENT_CONTROL, 1, 5, "{\"signal\":\"NOSUCH\",\"columns\":\"wide\"}");
    tell(AGENT_CONTROL, 1, 5, "no JSON");
    tell(AGENT_CREDIT, 1, 5, "\377\377\377\377");
    tell(AGENT_REQUEST, 2, 5, "{\"op\":\"exec\",\"command\":\"sleep 100\"}");
    tell(AGENT_REQUEST, 2, 5, "{\"op\":\"exec\",\"command\":\"sleep 100\"}"); /* again */
    check_alive();
}

/* A host that asks and never reads: the agent stops taking, and does not grow. */
Test(agent_guest, does_not_grow_for_a_host_that_does_not_read)
{
    char path[64], line[256];
    long kib = 0;
    struct agent_frame frame = { AGENT_REQUEST, 0, 1, 14, 5,
                                 (const uint8_t *)"{\"op\": \"ping\"}" };
    tell(AGENT_HELLO, 0, 5, NULL);
    size_t size = agent_wire_encode(block, &frame);
    int64_t end_us = clock_now_us() + 1000000;
    while (clock_now_us() < end_us)
        if (send(fixture.port, block, size, MSG_DONTWAIT) != (ssize_t)size)
            usleep(20000);
    snprintf(path, sizeof path, "/proc/%d/status", (int)process_pid(fixture.process));
    FILE *file = fopen(path, "r");
    while (file && fgets(line, sizeof line, file))
        sscanf(line, "VmData: %ld", &kib);
    fclose(file);
    cr_assert(gt(long, kib, 0));
    if (!getenv("ASAN_OPTIONS"))
        cr_assert(lt(long, kib, 16 * 1024));
}
