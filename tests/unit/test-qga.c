/* The QEMU guest agent as a backend: this test is the guest, and answers line by line. */
#include "base/clock.h"
#include "base/sock.h"
#include "hypervisor/qga.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define LIMIT_US 20000000

static struct loop loop;
static struct agent *agent;
static struct timer *tick;
static int port = -1, n_ready, n_lost, n_closed;
static struct buf heard = BUF_INIT;
static char ops_of_guest[256];

static struct run {
    struct agent_call *call;
    struct buf out, err;
    int n_ends, n_events, n_eofs, n_writable;
    bool is_slow;
    json_t *result;
    struct error error;
} run;

static char *text_of(struct buf *buf)
{
    return (char *)(uintptr_t)buf_str(buf);
}

/* --- The guest ------------------------------------------------------------------------------- */

static void turn(void)
{
    timer_start(tick, 5000);
    loop_turn(&loop, true);
}

static void say(const char *text)
{
    size_t size = strlen(text);
    ssize_t n = send(port, text, size, 0);
    cr_assert(eq(long, n, (ssize_t)size));
}

static json_t *hear_any(const char *name)
{
    char chunk[65536];
    const char *end;
    int64_t until_us = clock_now_us() + LIMIT_US;
    while (!(end = memchr(heard.data ? heard.data : (const uint8_t *)"", '\n', heard.size))) {
        ssize_t n = recv(port, chunk, sizeof chunk, MSG_DONTWAIT);
        if (n > 0)
            buf_append(&heard, chunk, (size_t)n);
        else
            turn();
        cr_assert(lt(long, clock_now_us(), until_us), "nothing like %s is asked", name);
    }
    size_t size = (size_t)(end - (const char *)heard.data);
    const char *text = (const char *)heard.data;
    const char *start = memrchr(text, 0xff, size);
    json_t *request = NULL;
    int r = json_parse_object(start ? start + 1 : text, size - (start ? (size_t)(start + 1 - text) : 0),
                              &request, NULL);
    cr_assert(eq(int, r, 0));
    buf_consume(&heard, size + 1);
    return request;
}

static void answer_sync(const json_t *request)
{
    char reply[64];
    int64_t id = json_get_int(json_object_get(request, "arguments"), "id", 0);
    snprintf(reply, sizeof reply, "{\"return\": 1}\n\xff{\"return\": %lld}\n", (long long)id);
    say(reply);
}

/* The next request; its name is checked. As a guest does, it answers each of the syncs before it: the host asks
 * again when the first answer is late. */
static json_t *hear(const char *name)
{
    json_t *request = hear_any(name);
    const char *asked = json_get_string(request, "execute", "");
    while (strcmp(asked, name) != 0 && strcmp(asked, "guest-sync-delimited") == 0) {
        answer_sync(request);
        json_decref(request);
        request = hear_any(name);
        asked = json_get_string(request, "execute", "");
    }
    cr_assert(eq(int, strcmp(asked, name), 0), "%s and not %s is asked", asked, name);
    return request;
}

/* Hears a request and says its arguments' value, then answers. */
static int64_t serve(const char *name, const char *key, const char *reply)
{
    auto_json json_t *request = hear(name);
    int64_t value = key ? json_get_int(json_object_get(request, "arguments"), key, -1) : 0;
    say(reply);
    return value;
}

static void expect(int64_t value, int64_t wanted)
{
    cr_assert(eq(long, value, wanted));
}

static void sync_up(void)
{
    auto_json json_t *request = hear("guest-sync-delimited");
    answer_sync(request);
    serve("guest-info", NULL,
          "{\"return\": {\"version\": \"7.2.0\", \"supported_commands\": ["
          "{\"name\": \"guest-exec\", \"enabled\": true}, {\"name\": \"guest-ping\", \"enabled\": true},"
          "{\"name\": \"guest-file-open\", \"enabled\": true},"
          "{\"name\": \"guest-get-time\", \"enabled\": true},"
          "{\"name\": \"guest-get-host-name\", \"enabled\": false}]}}\n");
    while (n_ready == 0)
        turn();
}

/* --- The host -------------------------------------------------------------------------------- */

static void handle_ready(void *data maybe_unused, const json_t *welcome)
{
    auto_buf struct buf text = BUF_INIT;
    json_write(json_object_get(welcome, "ops"), &text);
    snprintf(ops_of_guest, sizeof ops_of_guest, "%s", buf_str(&text));
    n_ready++;
}

static void handle_lost(void *data maybe_unused)
{
    n_lost++;
}

static void handle_closed(void *data maybe_unused, const struct error *why maybe_unused)
{
    n_closed++;
}

static void handle_event(void *data maybe_unused, const json_t *event maybe_unused)
{
    run.n_events++;
}

static void handle_data(void *data maybe_unused, enum agent_stream stream, const uint8_t *bytes,
                        size_t size)
{
    buf_append(stream == AGENT_STDOUT ? &run.out : &run.err, bytes, size);
    if (!run.is_slow)
        agent_call_consumed(run.call, size);
}

static void handle_eof(void *data maybe_unused, enum agent_stream stream maybe_unused)
{
    run.n_eofs++;
}

static void handle_writable(void *data maybe_unused)
{
    run.n_writable++;
}

static void handle_end(void *data maybe_unused, const json_t *result, const struct error *err)
{
    run.n_ends++;
    run.call = NULL;
    run.result = json_deep_copy(result);
    if (err)
        run.error = *err;
}

static void begin(json_t *request)
{
    static const struct agent_call_ops ops = { handle_event, handle_data, handle_eof,
                                               handle_writable, handle_end };
    run.call = agent_call_new(agent, request, &ops, NULL, LIMIT_US);
    cr_assert_not_null(run.call);
}

static void finish(void)
{
    int64_t until_us = clock_now_us() + LIMIT_US;
    while (run.n_ends == 0) {
        turn();
        cr_assert(lt(long, clock_now_us(), until_us));
    }
}

static void nothing(void *data maybe_unused)
{
}

static void start(void)
{
    static const struct agent_ops ops = { handle_ready, handle_lost, handle_closed };
    int fds[2], r = loop_init(&loop);
    cr_assert(eq(int, r, 0));
    r = sock_pair(fds, NULL);
    cr_assert(eq(int, r, 0));
    port = fds[1];
    tick = timer_new(&loop, nothing, NULL);
    r = agent_new_qga(&agent, &loop, fds[0], &ops, NULL, NULL);
    cr_assert(eq(int, r, 0));
    sync_up();
}


static void stop(void)
{
    agent = agent_free(agent);
    buf_deinit(&heard);
    buf_deinit(&run.out);
    buf_deinit(&run.err);
    json_decref(run.result);
    timer_free(tick);
    close(port);
    loop_deinit(&loop);
}

TestSuite(qga, .init = start, .fini = stop, .timeout = 30);

/* --- The good case --------------------------------------------------------------------------- */

Test(qga, says_what_the_guest_can_do)
{
    cr_assert(eq(str, ops_of_guest, "[\"ping\",\"exec\",\"read\",\"write\",\"clock\"]"));
    cr_assert(agent_is_ready(agent));
}

Test(qga, runs_a_command_and_asks_until_it_has_ended)
{
    begin(json_pack("{s:s, s:s, s:s, s:s}", "op", "exec", "command", "echo", "user", "user", "cwd", "/tmp"));
    auto_json json_t *request = hear("guest-exec");
    const json_t *args = json_object_get(request, "arguments");
    auto_buf struct buf words = BUF_INIT;
    json_write(json_object_get(args, "arg"), &words);
    cr_assert(eq(int, strcmp(json_get_string(args, "path", ""), "runuser"), 0));
    cr_assert(eq(str, text_of(&words),
                 "[\"-u\",\"user\",\"--\",\"/bin/sh\",\"-c\",\"cd -- \\\"$1\\\" && shift && exec "
                 "\\\"$@\\\"\",\"sh\",\"/tmp\",\"/bin/sh\",\"-c\",\"echo\"]"));
    say("{\"return\": {\"pid\": 42}}\n");
    for (int i = 0; i < 3; i++)
        expect(serve("guest-exec-status", "pid", "{\"return\": {\"exited\": false}}\n"), 42);
    serve("guest-exec-status", NULL,
          "{\"return\": {\"exited\": true, \"exitcode\": 3, \"out-data\": \"b3V0\", \"err-data\": "
          "\"ZXJy\"}}\n");
    finish();
    cr_assert(eq(str, text_of(&run.out), "out"));
    cr_assert(eq(str, text_of(&run.err), "err"));
    expect(json_get_int(run.result, "exit", -1), 3);
    cr_assert(eq(int, run.n_events, 1));
    cr_assert(eq(int, run.n_eofs, 2));
}

Test(qga, hands_a_command_its_input_as_a_whole)
{
    begin(json_pack("{s:s, s:[s], s:b}", "op", "exec", "argv", "cat", "stdin", 1));
    agent_call_write(run.call, "in", 2);
    turn();
    agent_call_write(run.call, "put", 3);
    agent_call_eof(run.call);
    auto_json json_t *request = hear("guest-exec");
    const char *input = json_get_string(json_object_get(request, "arguments"), "input-data", "");
    cr_assert(eq(int, strcmp(input, "aW5wdXQ="), 0), "%s", input);
    say("{\"return\": {\"pid\": 1}}\n");
    serve("guest-exec-status", NULL, "{\"return\": {\"exited\": true, \"signal\": 9}}\n");
    finish();
    expect(json_get_int(run.result, "signal", -1), 9);
    bool has_no_status = json_is_null(json_object_get(run.result, "exit"));
    cr_assert(has_no_status);
}

Test(qga, reads_a_file_piece_by_piece)
{
    begin(json_pack("{s:s, s:s, s:i, s:i}", "op", "read", "path", "/etc/motd", "offset", 2, "length", 6));
    serve("guest-file-open", NULL, "{\"return\": 1000}\n");
    serve("guest-file-seek", NULL, "{\"return\": {\"position\": 20, \"eof\": false}}\n");
    expect(serve("guest-file-seek", "offset",
                             "{\"return\": {\"position\": 2, \"eof\": false}}\n"), 2);
    expect(serve("guest-file-read", "count",
                             "{\"return\": {\"count\": 3, \"buf-b64\": \"YWJj\", \"eof\": false}}\n"), 6);
    expect(serve("guest-file-read", "count",
                             "{\"return\": {\"count\": 3, \"buf-b64\": \"ZGVm\", \"eof\": false}}\n"), 3);
    finish();
    cr_assert(eq(str, text_of(&run.out), "abcdef"));
    expect(json_get_int(run.result, "size", -1), 20);
    expect(json_get_int(run.result, "sent", -1), 6);
    expect(serve("guest-file-close", "handle", "{\"return\": {}}\n"), 1000);
}

Test(qga, writes_a_file)
{
    begin(json_pack("{s:s, s:s}", "op", "write", "path", "/tmp/file"));
    serve("guest-file-open", NULL, "{\"return\": 7}\n");
    cr_assert(eq(sz, agent_call_write(run.call, "content", 7), 7));
    serve("guest-file-write", NULL, "{\"return\": {\"count\": 4, \"eof\": false}}\n");
    agent_call_eof(run.call);
    auto_json json_t *rest = hear("guest-file-write");
    const char *text = json_get_string(json_object_get(rest, "arguments"), "buf-b64", "");
    cr_assert(eq(int, strcmp(text, "ZW50"), 0), "%s", text);
    say("{\"return\": {\"count\": 3, \"eof\": false}}\n");
    serve("guest-file-flush", NULL, "{\"return\": {}}\n");
    finish();
    expect(json_get_int(run.result, "size", -1), 7);
}

Test(qga, sets_the_clock_though_there_is_no_hardware_clock)
{
    begin(json_pack("{s:s, s:I}", "op", "clock", "wall_us", (json_int_t)1700000000000000));
    serve("guest-get-time", NULL, "{\"return\": 1600000000000000000}\n");
    expect(serve("guest-set-time", "time",
                             "{\"error\": {\"class\": \"GenericError\", \"desc\": \"hwclock\"}}\n"), 1700000000000000000);
    serve("guest-get-time", NULL, "{\"return\": 1700000000100000000}\n");
    finish();
    expect(json_get_int(run.result, "before_us", 0), 1600000000000000);
    expect(json_get_int(run.result, "after_us", 0), 1700000000100000);
}

Test(qga, ends_in_the_guest_what_is_cancelled)
{
    begin(json_pack("{s:s, s:s}", "op", "exec", "command", "sleep 100"));
    serve("guest-exec", NULL, "{\"return\": {\"pid\": 42}}\n");
    serve("guest-exec-status", NULL, "{\"return\": {\"exited\": false}}\n");
    run.call = agent_call_cancel(run.call);
    auto_json json_t *request = hear("guest-exec");
    auto_buf struct buf words = BUF_INIT;
    json_write(json_object_get(json_object_get(request, "arguments"), "arg"), &words);
    cr_assert_not_null(strstr(buf_str(&words), "\"KILL\",\"42\""));
    cr_assert(eq(int, run.n_ends, 0));
}

/* --- What it cannot do, and bad guests -------------------------------------------------------- */

Test(qga, refuses_what_it_cannot_do)
{
    static const char *const requests[] = {
        "{\"op\": \"pty\"}", "{\"op\": \"tar\"}", "{\"op\": \"fly\"}", "{\"op\": \"hostname\"}",
        "{\"op\": \"write\", \"path\": \"/a\", \"mode\": 420}",
        "{\"op\": \"exec\", \"command\": \"true\", \"rlimits\": {}}",
    };
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        run = (struct run){ 0 };
        begin(json_loads(requests[i], 0, NULL));
        finish();
        cr_assert(eq(int, run.error.code, ERROR_UNSUPPORTED), "%s", requests[i]);
    }
}

Test(qga, tells_a_guests_error)
{
    begin(json_pack("{s:s, s:s}", "op", "read", "path", "/nonexistent"));
    serve("guest-file-open", NULL,
          "{\"error\": {\"class\": \"GenericError\", \"desc\": \"failed to open: No such file or "
          "directory\\u0007\"}}\n");
    finish();
    cr_assert(eq(int, run.error.code, ERROR_NOT_FOUND));
    cr_assert_null(strchr(run.error.message, '\a'));
}

/* A row per answer that no guest agent would give to the first question of that request. */
Test(qga, ends_the_call_of_a_guest_that_lies)
{
    static const struct {
        const char *request, *asked, *answer;
    } rows[] = {
        { "{\"op\": \"exec\", \"command\": \"a\"}", "guest-exec", "{\"return\": {\"pid\": \"x\"}}\n" },
        { "{\"op\": \"exec\", \"command\": \"a\"}", "guest-exec", "{\"return\": {\"pid\": -4}}\n" },
        { "{\"op\": \"exec\", \"command\": \"a\"}", "guest-exec", "{}\n" },
        { "{\"op\": \"read\", \"path\": \"/a\"}", "guest-file-open", "{\"return\": []}\n" },
        { "{\"op\": \"read\", \"path\": \"/a\"}", "guest-file-open", "{\"error\": 7}\n" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        run = (struct run){ 0 };
        begin(json_loads(rows[i].request, 0, NULL));
        serve(rows[i].asked, NULL, rows[i].answer);
        finish();
        cr_assert(eq(int, run.error.code, ERROR_GUEST_FAILED), "row %zu", i);
        cr_assert(eq(int, n_closed, 0));
    }
}

Test(qga, skips_an_answer_that_is_too_long_and_goes_on)
{
    static char chunk[65536];
    memset(chunk, 'x', sizeof chunk - 1);
    begin(json_pack("{s:s}", "op", "ping"));
    json_decref(hear("guest-ping"));
    for (size_t sent = 0; sent < QGA_LINE_MAX + AGENT_NOISE_MAX; sent += sizeof chunk - 1) {
        for (size_t at = 0; at < sizeof chunk - 1;) {
            ssize_t n = send(port, chunk + at, sizeof chunk - 1 - at, MSG_DONTWAIT);
            if (n > 0)
                at += (size_t)n;
            turn();
        }
    }
    say("\n");
    finish();
    cr_assert(eq(int, run.error.code, ERROR_TOO_LARGE));
    run = (struct run){ 0 };
    begin(json_pack("{s:s}", "op", "ping"));
    serve("guest-ping", NULL, "{\"return\": {}}\n");
    finish();
    cr_assert_not_null(run.result);
}

Test(qga, closes_on_a_flood)
{
    static char chunk[65536];
    memset(chunk, '\n', sizeof chunk - 1);
    for (size_t sent = 0; sent < 3 * AGENT_NOISE_MAX && n_closed == 0; sent += sizeof chunk - 1) {
        ssize_t n = send(port, chunk, sizeof chunk - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
        (void)n;
        turn();
    }
    cr_assert(eq(int, n_closed, 1));
    begin(json_pack("{s:s}", "op", "ping"));
    finish();
    cr_assert(eq(int, run.error.code, ERROR_GUEST_GONE));
}

Test(qga, begins_anew_when_told_to)
{
    begin(json_pack("{s:s}", "op", "ping"));
    agent_restart(agent);
    finish();
    cr_assert(eq(int, run.error.code, ERROR_GUEST_GONE));
    cr_assert(eq(int, n_lost, 1));
    n_ready = 0;
    buf_consume(&heard, heard.size);
    sync_up();
    cr_assert(agent_is_ready(agent));
}
