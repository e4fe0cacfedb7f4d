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

#define COMMAND(name) "{\"name\": \"" name "\", \"enabled\": true}"
#define INFO(more)                                                                                \
    "{\"return\": {\"version\": \"7.2.0\", \"supported_commands\": [" COMMAND("guest-exec") "," \
    COMMAND("guest-info") "," COMMAND("guest-ping") "," COMMAND("guest-file-open") "," COMMAND("guest-get-time") "," more     \
    "{\"name\": \"guest-get-host-name\", \"enabled\": false}]}}\n"
#define WITH_OS COMMAND("guest-get-osinfo") ","
#define WITH_FREEZE COMMAND("guest-fsfreeze-status") "," COMMAND("guest-fsfreeze-freeze") "," \
    COMMAND("guest-fsfreeze-thaw") ","
#define WINDOWS_OS                                                                                 \
    "{\"return\": {\"id\": \"mswindows\", \"pretty-name\": \"Windows 11 Enterprise\", \"version\": " \
    "\"Microsoft Windows 11\", \"kernel-release\": \"22631\", \"machine\": \"x86_64\"}}\n"

static void serve_sync(void)
{
    auto_json json_t *request = hear("guest-sync-delimited");
    answer_sync(request);
}

static void wait_ready(void)
{
    while (n_ready == 0)
        turn();
}

static void sync_up(void)
{
    serve_sync();
    serve("guest-info", NULL, INFO(""));
    wait_ready();
}

/* A new session, in which the guest is Windows. */
static void become_windows(void)
{
    n_ready = 0;
    agent_restart(agent);
    serve_sync();
    serve("guest-info", NULL, INFO(WITH_OS));
    serve("guest-get-osinfo", NULL, WINDOWS_OS);
    wait_ready();
}

/* The bytes of a text in base64 as an answer's member. */
static void say_exited(int64_t code, const char *out, const char *err)
{
    auto_buf struct buf line = BUF_INIT;
    buf_printf(&line, "{\"return\": {\"exited\": true, \"exitcode\": %lld, \"out-data\": \"", (long long)code);
    buf_append_base64(&line, out, strlen(out));
    buf_puts(&line, "\", \"err-data\": \"");
    buf_append_base64(&line, err, strlen(err));
    buf_puts(&line, "\"}}\n");
    say(buf_str(&line));
}

/* A program that is started, and what it comes to. Returns the request. */
static json_t *serve_program(int64_t code, const char *out, const char *err)
{
    json_t *request = hear("guest-exec");
    say("{\"return\": {\"pid\": 42}}\n");
    json_decref(hear("guest-exec-status"));
    say_exited(code, out, err);
    return request;
}

static const char *last_word(const json_t *request)
{
    const json_t *words = json_object_get(json_object_get(request, "arguments"), "arg");
    return json_string_value(json_array_get(words, json_array_size(words) - 1));
}

static const char *path_of(const json_t *request)
{
    return json_get_string(json_object_get(request, "arguments"), "path", "");
}

static bool has_word(const json_t *request, const char *word)
{
    const json_t *words = json_object_get(json_object_get(request, "arguments"), "arg");
    for (size_t i = 0; i < json_array_size(words); i++)
        if (strcmp(json_string_value(json_array_get(words, i)), word) == 0)
            return true;
    return false;
}

/* The script of a request begins with its name. */
static void expect_script(const json_t *request, const char *op)
{
    auto_buf struct buf units = BUF_INIT, text = BUF_INIT;
    const char *coded = last_word(request);
    char first[64];
    cr_assert(eq(int, strcmp(path_of(request), "powershell.exe"), 0), "%s", path_of(request));
    buf_append_base64_text(&units, coded, strlen(coded));
    for (size_t i = 0; i < units.size; i += 2)
        buf_append(&text, units.data + i, 1);
    int n = snprintf(first, sizeof first, "# deskfarm %s\n", op);
    cr_assert(eq(int, strncmp(buf_str(&text), first, (size_t)n), 0), "%s", buf_str(&text));
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

/* For the next call. */
static void again(void)
{
    buf_deinit(&run.out);
    buf_deinit(&run.err);
    json_decref(run.result);
    run = (struct run){ 0 };
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

/* Armed anew: it may come due before the turn begins to wait, and something has to end that. */
static void handle_tick(void *data maybe_unused)
{
    timer_start(tick, 5000);
}

static void start(void)
{
    static const struct agent_ops ops = { handle_ready, handle_lost, handle_closed };
    int fds[2], r = loop_init(&loop);
    cr_assert(eq(int, r, 0));
    r = sock_pair(fds, NULL);
    cr_assert(eq(int, r, 0));
    port = fds[1];
    tick = timer_new(&loop, handle_tick, NULL);
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
    cr_assert(eq(str, ops_of_guest, "[\"ping\",\"exec\",\"read\",\"write\",\"clock\",\"facts\",\"stat\",\"mkdir\",\"move\",\"remove\"]"));
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

Test(qga, writes_a_file_that_gets_its_name_when_it_is_whole)
{
    begin(json_pack("{s:s, s:s, s:i, s:s}", "op", "write", "path", "/tmp/file", "mode", 0640, "owner", "me"));
    auto_json json_t *open = hear("guest-file-open");
    cr_assert(eq(int, strncmp(path_of(open), "/tmp/file.", 10), 0), "%s", path_of(open));
    say("{\"return\": 7}\n");
    cr_assert(eq(sz, agent_call_write(run.call, "content", 7), 7));
    serve("guest-file-write", NULL, "{\"return\": {\"count\": 4, \"eof\": false}}\n");
    agent_call_eof(run.call);
    auto_json json_t *rest = hear("guest-file-write");
    const char *text = json_get_string(json_object_get(rest, "arguments"), "buf-b64", "");
    cr_assert(eq(int, strcmp(text, "ZW50"), 0), "%s", text);
    say("{\"return\": {\"count\": 3, \"eof\": false}}\n");
    serve("guest-file-flush", NULL, "{\"return\": {}}\n");
    expect(serve("guest-file-close", "handle", "{\"return\": {}}\n"), 7);
    auto_json json_t *place = serve_program(0, "", "");
    cr_assert(has_word(place, path_of(open)));
    cr_assert(has_word(place, "/tmp/file"));
    cr_assert(has_word(place, "640"));
    cr_assert(eq(int, strcmp(last_word(place), "me"), 0));
    finish();
    expect(json_get_int(run.result, "size", -1), 7);
}

Test(qga, makes_the_directory_of_a_file)
{
    begin(json_pack("{s:s, s:s}", "op", "write", "path", "/new/dir/file"));
    agent_call_write(run.call, "content", 7);
    serve("guest-file-open", NULL,
          "{\"error\": {\"class\": \"GenericError\", \"desc\": \"No such file or directory\"}}\n");
    auto_json json_t *made = serve_program(0, "", "");
    cr_assert(eq(int, strcmp(path_of(made), "mkdir"), 0));
    cr_assert(eq(int, strcmp(last_word(made), "/new/dir"), 0));
    cr_assert_null(json_object_get(json_object_get(made, "arguments"), "input-data")); /* it is the file's */
    serve("guest-file-open", NULL,
          "{\"error\": {\"class\": \"GenericError\", \"desc\": \"No such file or directory\"}}\n");
    finish();
    cr_assert(eq(int, run.error.code, ERROR_NOT_FOUND)); /* and not made again */
}

Test(qga, a_part_of_a_file_goes_when_its_caller_does)
{
    begin(json_pack("{s:s, s:s}", "op", "write", "path", "/tmp/file"));
    auto_json json_t *open = hear("guest-file-open");
    say("{\"return\": 7}\n");
    turn();
    run.call = agent_call_cancel(run.call);
    expect(serve("guest-file-close", "handle", "{\"return\": {}}\n"), 7);
    auto_json json_t *clean = hear("guest-exec");
    cr_assert(eq(int, strcmp(path_of(clean), "rm"), 0));
    cr_assert(eq(int, strcmp(last_word(clean), path_of(open)), 0));
}

Test(qga, says_why_a_file_did_not_get_its_name)
{
    begin(json_pack("{s:s, s:s}", "op", "write", "path", "/tmp"));
    serve("guest-file-open", NULL, "{\"return\": 7}\n");
    agent_call_eof(run.call);
    serve("guest-file-flush", NULL, "{\"return\": {}}\n");
    serve("guest-file-close", NULL, "{\"return\": {}}\n");
    json_decref(serve_program(1, "", "mv: cannot overwrite directory '/tmp' with non-directory\n"));
    finish();
    cr_assert(eq(int, run.error.code, ERROR_BAD_VALUE));
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
        "{\"op\": \"list\", \"path\": \"/a\"}", "{\"op\": \"freeze\"}", "{\"op\": \"desktop.launch\"}",
        "{\"op\": \"exec\", \"command\": \"true\", \"rlimits\": {}}",
    };
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        again();
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
        again();
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
    again();
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

/* --- Files by programs ------------------------------------------------------------------------ */

Test(qga, describes_a_file_by_stat)
{
    begin(json_pack("{s:s, s:s}", "op", "stat", "path", "/etc/motd"));
    auto_json json_t *request = serve_program(0, "81a4 286 0 42 1700000000 root shadow\n", "");
    cr_assert(has_word(request, "/etc/motd"));
    finish();
    expect(json_get_int(run.result, "size", -1), 286);
    expect(json_get_int(run.result, "mode", -1), 0644);
    expect(json_get_int(run.result, "mtime_us", -1), 1700000000000000);
    cr_assert(eq(int, strcmp(json_get_string(run.result, "type", ""), "file"), 0));
    cr_assert(eq(int, strcmp(json_get_string(run.result, "group", ""), "shadow"), 0));
}

Test(qga, takes_no_lies_for_a_files_description)
{
    static const char *const lies[] = { "", "81a4", "zz 1 1 1 1 a b", "81a4 -1 0 0 0 a b", "81a4 1 0 0 99999999999999999 a b" };
    for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
        again();
        begin(json_pack("{s:s, s:s}", "op", "stat", "path", "/a"));
        json_decref(serve_program(0, lies[i], ""));
        finish();
        cr_expect(eq(int, run.error.code, ERROR_GUEST_FAILED), "%s", lies[i]);
    }
}

Test(qga, tells_the_errors_of_programs)
{
    static const struct {
        const char *request, *said;
        enum error_code code;
    } rows[] = {
        { "{\"op\": \"remove\", \"path\": \"/a\"}", "rmdir: failed to remove '/a': Directory not empty", ERROR_CONFLICT },
        { "{\"op\": \"stat\", \"path\": \"/a\"}", "stat: cannot statx '/a': No such file or directory", ERROR_NOT_FOUND },
        { "{\"op\": \"move\", \"from\": \"/a\", \"to\": \"/b\", \"overwrite\": false}", "File exists", ERROR_CONFLICT },
        { "{\"op\": \"mkdir\", \"path\": \"/proc/a\"}", "mkdir: cannot create directory: Permission denied", ERROR_FORBIDDEN },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        again();
        begin(json_loads(rows[i].request, 0, NULL));
        json_decref(serve_program(1, "", rows[i].said));
        finish();
        cr_expect(eq(int, run.error.code, rows[i].code), "%s", rows[i].said);
    }
}

/* --- Facts and freezing ----------------------------------------------------------------------- */

static void become(const char *info)
{
    n_ready = 0;
    agent_restart(agent);
    serve_sync();
    serve("guest-info", NULL, info);
}

Test(qga, tells_facts_and_leaves_out_what_the_guest_does)
{
    become(INFO(COMMAND("guest-network-get-interfaces") "," COMMAND("guest-get-users") "," WITH_OS));
    serve("guest-get-osinfo", NULL, "{\"return\": {\"id\": \"debian\", \"machine\": 7}}\n");
    wait_ready();
    begin(json_pack("{s:s}", "op", "facts"));
    serve("guest-get-users", NULL, "{\"error\": {\"class\": \"GenericError\", \"desc\": \"no\"}}\n");
    serve("guest-network-get-interfaces", NULL,
          "{\"return\": [{\"name\": \"eth0\", \"hardware-address\": \"52:54:00:12:34:56\", \"ip-addresses\": "
          "[{\"ip-address\": \"10.0.2.15\", \"ip-address-type\": \"ipv4\", \"prefix\": 24}]}, 7]}\n");
    finish();
    auto_buf struct buf text = BUF_INIT;
    json_write(run.result, &text);
    cr_assert(eq(str, text_of(&text),
                 "{\"agent\":\"qemu\",\"release\":\"7.2.0\",\"os\":{\"id\":\"debian\",\"name\":null,\"version\":null,"
                 "\"kernel\":null,\"machine\":null},\"hostname\":null,\"users\":null,\"interfaces\":[{\"name\":\"eth0\","
                 "\"mac\":\"52:54:00:12:34:56\",\"addresses\":[{\"address\":\"10.0.2.15\",\"prefix\":24}]},"
                 "{\"name\":null,\"mac\":null,\"addresses\":[]}]}"));
}

static void become_freezable(void)
{
    become(INFO(WITH_FREEZE));
    serve("guest-fsfreeze-status", NULL, "{\"return\": \"thawed\"}\n");
    wait_ready();
}

static int n_other;

static void handle_other(void *data maybe_unused, const json_t *result, const struct error *err maybe_unused)
{
    n_other += result ? 1 : 100;
}

Test(qga, lets_commands_wait_while_the_guest_is_frozen)
{
    static const struct agent_call_ops other = { .on_end = handle_other };
    become_freezable();
    begin(json_pack("{s:s}", "op", "freeze"));
    serve("guest-fsfreeze-freeze", NULL, "{\"return\": 2}\n");
    finish();
    expect(json_get_int(run.result, "count", 0), 2);
    agent_call_new(agent, json_pack("{s:s}", "op", "ping"), &other, NULL, LIMIT_US);
    turn();
    again();
    begin(json_pack("{s:s}", "op", "thaw"));
    serve("guest-fsfreeze-thaw", NULL, "{\"return\": 2}\n"); /* hear would fail on the ping */
    finish();
    serve("guest-ping", NULL, "{\"return\": {}}\n");
    while (n_other == 0)
        turn();
    cr_assert(eq(int, n_other, 1));
}

Test(qga, thaws_what_it_was_told_to_forget)
{
    become_freezable();
    begin(json_pack("{s:s}", "op", "freeze"));
    json_decref(hear("guest-fsfreeze-freeze"));
    run.call = agent_call_cancel(run.call);
    say("{\"return\": 2}\n");
    serve("guest-fsfreeze-thaw", NULL, "{\"return\": 2}\n");
    begin(json_pack("{s:s}", "op", "ping"));
    serve("guest-ping", NULL, "{\"return\": {}}\n");
    finish();
    cr_assert_not_null(run.result);
}

Test(qga, thaws_though_who_asked_for_it_has_gone)
{
    become_freezable();
    begin(json_pack("{s:s}", "op", "freeze"));
    serve("guest-fsfreeze-freeze", NULL, "{\"return\": 2}\n");
    finish();
    begin(json_pack("{s:s}", "op", "thaw"));
    json_decref(hear("guest-fsfreeze-thaw"));
    run.call = agent_call_cancel(run.call);
    say("{\"return\": 2}\n");
    serve("guest-fsfreeze-thaw", NULL, "{\"return\": 0}\n");
    again();
    begin(json_pack("{s:s}", "op", "ping"));
    serve("guest-ping", NULL, "{\"return\": {}}\n");
    finish();
    cr_assert_not_null(run.result);
}

Test(qga, a_freeze_that_fails_leaves_nothing_waiting)
{
    become_freezable();
    begin(json_pack("{s:s}", "op", "freeze"));
    serve("guest-fsfreeze-freeze", NULL, "{\"error\": {\"class\": \"GenericError\", \"desc\": \"VSS\"}}\n");
    finish();
    cr_assert(eq(int, run.error.code, ERROR_GUEST_FAILED));
    again();
    begin(json_pack("{s:s}", "op", "ping"));
    serve("guest-ping", NULL, "{\"return\": {}}\n");
    finish();
    cr_assert_not_null(run.result);
}

/* Out of a checkpoint that was taken while it was frozen. */
Test(qga, thaws_a_guest_that_is_found_frozen)
{
    become(INFO(WITH_FREEZE));
    serve("guest-fsfreeze-status", NULL, "{\"return\": \"frozen\"}\n");
    serve("guest-fsfreeze-thaw", NULL, "{\"return\": 2}\n");
    cr_assert(eq(int, n_ready, 0));
    serve("guest-info", NULL, INFO(WITH_FREEZE));
    wait_ready();
}

/* --- Windows ---------------------------------------------------------------------------------- */

Test(qga, says_what_a_windows_guest_can_do)
{
    become_windows();
    cr_assert(agent_is_windows(agent));
    cr_assert_not_null(strstr(ops_of_guest, "\"stat\",\"list\",\"mkdir\",\"move\",\"remove\""));
    cr_assert_not_null(strstr(ops_of_guest, "\"desktop.launch\",\"desktop.clipboard.get\""));
}

Test(qga, runs_a_command_of_windows)
{
    become_windows();
    begin(json_pack("{s:s, s:s}", "op", "exec", "command", "ver"));
    auto_json json_t *request = serve_program(9009, "out\r\n", "");
    cr_assert(eq(int, strcmp(path_of(request), "cmd.exe"), 0));
    cr_assert(eq(int, strcmp(last_word(request), "chcp 65001>nul&ver"), 0));
    cr_assert_null(json_object_get(json_object_get(request, "arguments"), "env"));
    finish();
    expect(json_get_int(run.result, "exit", -1), 9009);
    cr_assert(eq(str, text_of(&run.out), "out\r\n"));
}

Test(qga, tells_what_ended_a_program_of_windows_as_its_status)
{
    become_windows();
    begin(json_pack("{s:s, s:[s]}", "op", "exec", "argv", "a.exe"));
    json_t *request = hear("guest-exec");
    expect_script(request, "exec");
    json_decref(request);
    say("{\"return\": {\"pid\": 42}}\n");
    serve("guest-exec-status", NULL, "{\"return\": {\"exited\": true, \"signal\": -1073741819}}\n");
    finish();
    expect(json_get_int(run.result, "exit", -1), 0xc0000005);
    bool has_no_signal = json_is_null(json_object_get(run.result, "signal"));
    cr_assert(has_no_signal);
}

Test(qga, says_that_a_program_of_windows_could_not_be_started)
{
    become_windows();
    begin(json_pack("{s:s, s:[s]}", "op", "exec", "argv", "nothing.exe"));
    json_decref(serve_program(0x0df00002, "", "The system cannot find the file specified"));
    finish();
    cr_assert(eq(int, run.error.code, ERROR_NOT_FOUND));
    cr_assert_not_null(strstr(run.error.message, "cannot find the file"));
}

Test(qga, ends_a_program_of_windows_with_all_that_it_started)
{
    become_windows();
    begin(json_pack("{s:s, s:s}", "op", "exec", "command", "ping -t localhost"));
    json_decref(hear("guest-exec"));
    say("{\"return\": {\"pid\": 42}}\n");
    serve("guest-exec-status", NULL, "{\"return\": {\"exited\": false}}\n");
    int r = agent_call_control(run.call, json_pack("{s:s}", "signal", "USR1"));
    cr_assert(lt(int, r, 0));
    run.call = agent_call_cancel(run.call);
    auto_json json_t *request = hear("guest-exec");
    cr_assert(eq(int, strcmp(path_of(request), "taskkill.exe"), 0));
    cr_assert(has_word(request, "42"));
    cr_assert(has_word(request, "/T"));
    cr_assert(has_word(request, "/F"));
}

Test(qga, hands_out_what_a_script_sends_and_its_result)
{
    become_windows();
    begin(json_pack("{s:s, s:s}", "op", "list", "path", "C:\\Users"));
    json_t *request = serve_program(0, "{\"path\":\"C:\\\\Users\\\\me\"}\n\n{\"count\":1}", "");
    expect_script(request, "list");
    json_decref(request);
    finish();
    expect(json_get_int(run.result, "count", 0), 1);
    cr_assert(eq(str, text_of(&run.out), "{\"path\":\"C:\\\\Users\\\\me\"}\n"));
}

Test(qga, tells_a_scripts_error_by_its_number_whatever_its_language)
{
    become_windows();
    begin(json_pack("{s:s, s:s}", "op", "stat", "path", "C:\\fehlt"));
    json_decref(serve_program(0, "\n{\"error\":{\"number\":2,\"text\":\"Die Datei wurde nicht gefunden.\"}}", ""));
    finish();
    cr_assert(eq(int, run.error.code, ERROR_NOT_FOUND));
    cr_assert_not_null(strstr(run.error.message, "Die Datei"));
}

/* CreateFile says of a directory that access is denied. */
Test(qga, asks_why_a_file_of_windows_cannot_be_opened)
{
    become_windows();
    begin(json_pack("{s:s, s:s}", "op", "read", "path", "C:\\Windows"));
    serve("guest-file-open", NULL,
          "{\"error\": {\"class\": \"GenericError\", \"desc\": \"failed to open file 'C:\\\\Windows': Zugriff "
          "verweigert\"}}\n");
    json_t *request = serve_program(0, "\n{\"error\":{\"number\":336,\"text\":\"a directory\"}}", "");
    expect_script(request, "probe");
    json_decref(request);
    finish();
    cr_assert(eq(int, run.error.code, ERROR_BAD_VALUE));
}

Test(qga, writes_a_file_of_windows_into_a_new_directory)
{
    become_windows();
    begin(json_pack("{s:s, s:s, s:i}", "op", "write", "path", "C:\\new/a.txt", "mode", 0644));
    serve("guest-file-open", NULL,
          "{\"error\": {\"class\": \"GenericError\", \"desc\": \"failed to open file: The system cannot find the path "
          "specified.\"}}\n");
    json_t *request = serve_program(0, "\n{}", "");
    expect_script(request, "mkdir");
    json_decref(request);
    serve("guest-file-open", NULL, "{\"return\": 7}\n");
    agent_call_eof(run.call);
    serve("guest-file-flush", NULL, "{\"return\": {}}\n");
    serve("guest-file-close", NULL, "{\"return\": {}}\n");
    request = serve_program(0, "\n{}", "");
    expect_script(request, "place");
    json_decref(request);
    finish();
    expect(json_get_int(run.result, "size", -1), 0);
}

Test(qga, hands_the_clipboard_of_windows_its_text_as_input)
{
    become_windows();
    begin(json_pack("{s:s, s:s}", "op", "desktop.clipboard.set", "type", "text"));
    agent_call_write(run.call, "hello", 5);
    agent_call_eof(run.call);
    json_t *request = serve_program(0, "\n{\"size\":5}", "");
    expect_script(request, "desktop.clipboard.set");
    const char *input = json_get_string(json_object_get(request, "arguments"), "input-data", "");
    cr_assert(eq(int, strcmp(input, "aGVsbG8="), 0), "%s", input);
    json_decref(request);
    finish();
    expect(json_get_int(run.result, "size", -1), 5);
}

Test(qga, refuses_what_windows_lacks)
{
    static const struct {
        const char *request, *part;
        enum error_code code;
    } rows[] = {
        { "{\"op\": \"pty\"}", "terminals", ERROR_UNSUPPORTED },
        { "{\"op\": \"tcp\"}", "connections", ERROR_UNSUPPORTED },
        { "{\"op\": \"desktop.a11y.tree\"}", "screen", ERROR_UNSUPPORTED },
        { "{\"op\": \"exec\", \"command\": \"a\", \"user\": \"me\"}", "LocalSystem", ERROR_UNSUPPORTED },
        { "{\"op\": \"write\", \"path\": \"C:\\\\a\", \"owner\": \"me\"}", "owner", ERROR_UNSUPPORTED },
        { "{\"op\": \"read\", \"path\": \"/etc/passwd\"}", "Windows", ERROR_BAD_VALUE },
        { "{\"op\": \"freeze\"}", "switched off", ERROR_UNSUPPORTED },
    };
    become_windows();
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        again();
        begin(json_loads(rows[i].request, 0, NULL));
        finish();
        cr_expect(eq(int, run.error.code, rows[i].code), "%s: %s", rows[i].request, run.error.message);
        cr_expect_not_null(strstr(run.error.message, rows[i].part), "%s", run.error.message);
    }
}

/* The machine went down in the middle of a command; its agent is another process afterwards. */
Test(qga, a_reboot_in_the_middle_ends_the_command_and_nothing_else)
{
    become_windows();
    begin(json_pack("{s:s, s:s}", "op", "exec", "command", "long"));
    json_decref(hear("guest-exec"));
    say("{\"return\": {\"pid\": 42}}\n");
    serve("guest-exec-status", NULL,
          "{\"error\": {\"class\": \"GenericError\", \"desc\": \"PID 42 does not exist\"}}\n");
    finish();
    cr_assert(eq(int, run.error.code, ERROR_GUEST_GONE), "%s", run.error.message);
    again();
    begin(json_pack("{s:s}", "op", "ping"));
    serve("guest-ping", NULL, "{\"return\": {}}\n"); /* and no taskkill before it */
    finish();
    cr_assert_not_null(run.result);
}
