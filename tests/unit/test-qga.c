/* The QEMU guest agent as a backend: commands and files, what it cannot do, and bad guests. */
#include "tests/unit/qga-guest.h"

#include <string.h>
#include <sys/socket.h>

TestSuite(qga, .init = host_start, .fini = host_stop, .timeout = 30);

/* --- The good case --------------------------------------------------------------------------- */

Test(qga, says_what_the_guest_can_do)
{
    cr_assert(eq(str, host.ops_of_guest,
                 "[\"ping\",\"exec\",\"read\",\"write\",\"clock\",\"facts\",\"stat\",\"mkdir\",\"move\",\"remove\"]"));
    cr_assert(agent_is_ready(host.agent));
}

Test(qga, runs_a_command_and_asks_until_it_has_ended)
{
    host_begin(json_pack("{s:s, s:s, s:s, s:s}", "op", "exec", "command", "echo", "user", "user", "cwd", "/tmp"));
    auto_json json_t *request = guest_hear("guest-exec");
    const json_t *args = json_object_get(request, "arguments");
    auto_buf struct buf words = BUF_INIT;
    json_write(json_object_get(args, "arg"), &words);
    cr_assert(eq(int, strcmp(json_get_string(args, "path", ""), "runuser"), 0));
    cr_assert(eq(str, text_of(&words),
                 "[\"-u\",\"user\",\"--\",\"/bin/sh\",\"-c\",\"cd -- \\\"$1\\\" && shift && exec "
                 "\\\"$@\\\"\",\"sh\",\"/tmp\",\"/bin/sh\",\"-c\",\"echo\"]"));
    guest_say("{\"return\": {\"pid\": 42}}\n");
    for (int i = 0; i < 3; i++)
        expect(guest_serve("guest-exec-status", "pid", "{\"return\": {\"exited\": false}}\n"), 42);
    guest_serve("guest-exec-status", NULL,
                "{\"return\": {\"exited\": true, \"exitcode\": 3, \"out-data\": \"b3V0\", \"err-data\": "
                "\"ZXJy\"}}\n");
    host_finish();
    cr_assert(eq(str, text_of(&host_run.out), "out"));
    cr_assert(eq(str, text_of(&host_run.err), "err"));
    expect(json_get_int(host_run.result, "exit", -1), 3);
    cr_assert(eq(int, host_run.n_events, 1));
    cr_assert(eq(int, host_run.n_eofs, 2));
}

Test(qga, hands_a_command_its_input_as_a_whole)
{
    host_begin(json_pack("{s:s, s:[s], s:b}", "op", "exec", "argv", "cat", "stdin", 1));
    agent_call_write(host_run.call, "in", 2);
    host_turn();
    agent_call_write(host_run.call, "put", 3);
    agent_call_eof(host_run.call);
    auto_json json_t *request = guest_hear("guest-exec");
    const char *input = json_get_string(json_object_get(request, "arguments"), "input-data", "");
    cr_assert(eq(int, strcmp(input, "aW5wdXQ="), 0), "%s", input);
    guest_say("{\"return\": {\"pid\": 1}}\n");
    guest_serve("guest-exec-status", NULL, "{\"return\": {\"exited\": true, \"signal\": 9}}\n");
    host_finish();
    expect(json_get_int(host_run.result, "signal", -1), 9);
    bool has_no_status = json_is_null(json_object_get(host_run.result, "exit"));
    cr_assert(has_no_status);
}

Test(qga, reads_a_file_piece_by_piece)
{
    host_begin(json_pack("{s:s, s:s, s:i, s:i}", "op", "read", "path", "/etc/motd", "offset", 2, "length", 6));
    guest_serve("guest-file-open", NULL, "{\"return\": 1000}\n");
    guest_serve("guest-file-seek", NULL, "{\"return\": {\"position\": 20, \"eof\": false}}\n");
    expect(guest_serve("guest-file-seek", "offset",
                       "{\"return\": {\"position\": 2, \"eof\": false}}\n"), 2);
    expect(guest_serve("guest-file-read", "count",
                       "{\"return\": {\"count\": 3, \"buf-b64\": \"YWJj\", \"eof\": false}}\n"), 6);
    expect(guest_serve("guest-file-read", "count",
                       "{\"return\": {\"count\": 3, \"buf-b64\": \"ZGVm\", \"eof\": false}}\n"), 3);
    host_finish();
    cr_assert(eq(str, text_of(&host_run.out), "abcdef"));
    expect(json_get_int(host_run.result, "size", -1), 20);
    expect(json_get_int(host_run.result, "sent", -1), 6);
    expect(guest_serve("guest-file-close", "handle", "{\"return\": {}}\n"), 1000);
}

Test(qga, writes_a_file_that_gets_its_name_when_it_is_whole)
{
    host_begin(json_pack("{s:s, s:s, s:i, s:s}", "op", "write", "path", "/tmp/file", "mode", 0640, "owner", "me"));
    auto_json json_t *open = guest_hear("guest-file-open");
    cr_assert(eq(int, strncmp(request_path(open), "/tmp/file.", 10), 0), "%s", request_path(open));
    guest_say("{\"return\": 7}\n");
    cr_assert(eq(sz, agent_call_write(host_run.call, "content", 7), 7));
    guest_serve("guest-file-write", NULL, "{\"return\": {\"count\": 4, \"eof\": false}}\n");
    agent_call_eof(host_run.call);
    auto_json json_t *rest = guest_hear("guest-file-write");
    const char *text = json_get_string(json_object_get(rest, "arguments"), "buf-b64", "");
    cr_assert(eq(int, strcmp(text, "ZW50"), 0), "%s", text);
    guest_say("{\"return\": {\"count\": 3, \"eof\": false}}\n");
    guest_serve("guest-file-flush", NULL, "{\"return\": {}}\n");
    expect(guest_serve("guest-file-close", "handle", "{\"return\": {}}\n"), 7);
    auto_json json_t *place = guest_serve_program(0, "", "");
    cr_assert(request_has_word(place, request_path(open)));
    cr_assert(request_has_word(place, "/tmp/file"));
    cr_assert(request_has_word(place, "640"));
    cr_assert(eq(int, strcmp(request_last_word(place), "me"), 0));
    host_finish();
    expect(json_get_int(host_run.result, "size", -1), 7);
}

Test(qga, makes_the_directory_of_a_file)
{
    host_begin(json_pack("{s:s, s:s}", "op", "write", "path", "/new/dir/file"));
    agent_call_write(host_run.call, "content", 7);
    guest_serve("guest-file-open", NULL,
                "{\"error\": {\"class\": \"GenericError\", \"desc\": \"No such file or directory\"}}\n");
    auto_json json_t *made = guest_serve_program(0, "", "");
    cr_assert(eq(int, strcmp(request_path(made), "mkdir"), 0));
    cr_assert(eq(int, strcmp(request_last_word(made), "/new/dir"), 0));
    cr_assert_null(json_object_get(json_object_get(made, "arguments"), "input-data")); /* it is the file's */
    guest_serve("guest-file-open", NULL,
                "{\"error\": {\"class\": \"GenericError\", \"desc\": \"No such file or directory\"}}\n");
    host_finish();
    cr_assert(eq(int, host_run.error.code, ERROR_NOT_FOUND)); /* and not made again */
}

Test(qga, a_part_of_a_file_goes_when_its_caller_does)
{
    host_begin(json_pack("{s:s, s:s}", "op", "write", "path", "/tmp/file"));
    auto_json json_t *open = guest_hear("guest-file-open");
    guest_say("{\"return\": 7}\n");
    host_turn();
    host_run.call = agent_call_cancel(host_run.call);
    expect(guest_serve("guest-file-close", "handle", "{\"return\": {}}\n"), 7);
    auto_json json_t *clean = guest_hear("guest-exec");
    cr_assert(eq(int, strcmp(request_path(clean), "rm"), 0));
    cr_assert(eq(int, strcmp(request_last_word(clean), request_path(open)), 0));
}

Test(qga, says_why_a_file_did_not_get_its_name)
{
    host_begin(json_pack("{s:s, s:s}", "op", "write", "path", "/tmp"));
    guest_serve("guest-file-open", NULL, "{\"return\": 7}\n");
    agent_call_eof(host_run.call);
    guest_serve("guest-file-flush", NULL, "{\"return\": {}}\n");
    guest_serve("guest-file-close", NULL, "{\"return\": {}}\n");
    json_decref(guest_serve_program(1, "", "mv: cannot overwrite directory '/tmp' with non-directory\n"));
    host_finish();
    cr_assert(eq(int, host_run.error.code, ERROR_BAD_VALUE));
}

Test(qga, sets_the_clock_though_there_is_no_hardware_clock)
{
    host_begin(json_pack("{s:s, s:I}", "op", "clock", "wall_us", (json_int_t)1700000000000000));
    guest_serve("guest-get-time", NULL, "{\"return\": 1600000000000000000}\n");
    expect(guest_serve("guest-set-time", "time",
                       "{\"error\": {\"class\": \"GenericError\", \"desc\": \"hwclock\"}}\n"), 1700000000000000000);
    guest_serve("guest-get-time", NULL, "{\"return\": 1700000000100000000}\n");
    host_finish();
    expect(json_get_int(host_run.result, "before_us", 0), 1600000000000000);
    expect(json_get_int(host_run.result, "after_us", 0), 1700000000100000);
}

Test(qga, ends_in_the_guest_what_is_cancelled)
{
    host_begin(json_pack("{s:s, s:s}", "op", "exec", "command", "sleep 100"));
    guest_serve("guest-exec", NULL, "{\"return\": {\"pid\": 42}}\n");
    guest_serve("guest-exec-status", NULL, "{\"return\": {\"exited\": false}}\n");
    host_run.call = agent_call_cancel(host_run.call);
    auto_json json_t *request = guest_hear("guest-exec");
    auto_buf struct buf words = BUF_INIT;
    json_write(json_object_get(json_object_get(request, "arguments"), "arg"), &words);
    cr_assert_not_null(strstr(buf_str(&words), "\"KILL\",\"42\""));
    cr_assert(eq(int, host_run.n_ends, 0));
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
        host_again();
        host_begin(json_loads(requests[i], 0, NULL));
        host_finish();
        cr_assert(eq(int, host_run.error.code, ERROR_UNSUPPORTED), "%s", requests[i]);
    }
}

Test(qga, tells_a_guests_error)
{
    host_begin(json_pack("{s:s, s:s}", "op", "read", "path", "/nonexistent"));
    guest_serve("guest-file-open", NULL,
                "{\"error\": {\"class\": \"GenericError\", \"desc\": \"failed to open: No such file or "
                "directory\\u0007\"}}\n");
    host_finish();
    cr_assert(eq(int, host_run.error.code, ERROR_NOT_FOUND));
    cr_assert_null(strchr(host_run.error.message, '\a'));
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
        host_again();
        host_begin(json_loads(rows[i].request, 0, NULL));
        guest_serve(rows[i].asked, NULL, rows[i].answer);
        host_finish();
        cr_assert(eq(int, host_run.error.code, ERROR_GUEST_FAILED), "row %zu", i);
        cr_assert(eq(int, host.n_closed, 0));
    }
}

Test(qga, skips_an_answer_that_is_too_long_and_goes_on)
{
    static char chunk[65536];
    memset(chunk, 'x', sizeof chunk - 1);
    host_begin(json_pack("{s:s}", "op", "ping"));
    json_decref(guest_hear("guest-ping"));
    for (size_t sent = 0; sent < QGA_LINE_MAX + AGENT_NOISE_MAX; sent += sizeof chunk - 1) {
        for (size_t at = 0; at < sizeof chunk - 1;) {
            ssize_t n = send(guest_port, chunk + at, sizeof chunk - 1 - at, MSG_DONTWAIT);
            if (n > 0)
                at += (size_t)n;
            host_turn();
        }
    }
    guest_say("\n");
    host_finish();
    cr_assert(eq(int, host_run.error.code, ERROR_TOO_LARGE));
    expect_ping();
}

Test(qga, closes_on_a_flood)
{
    static char chunk[65536];
    memset(chunk, '\n', sizeof chunk - 1);
    for (size_t sent = 0; sent < 3 * AGENT_NOISE_MAX && host.n_closed == 0; sent += sizeof chunk - 1) {
        ssize_t n = send(guest_port, chunk, sizeof chunk - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
        (void)n;
        host_turn();
    }
    cr_assert(eq(int, host.n_closed, 1));
    host_begin(json_pack("{s:s}", "op", "ping"));
    host_finish();
    cr_assert(eq(int, host_run.error.code, ERROR_GUEST_GONE));
}

Test(qga, begins_anew_when_told_to)
{
    host_begin(json_pack("{s:s}", "op", "ping"));
    agent_restart(host.agent);
    host_finish();
    cr_assert(eq(int, host_run.error.code, ERROR_GUEST_GONE));
    cr_assert(eq(int, host.n_lost, 1));
    host.n_ready = 0;
    guest_forget();
    guest_sync_up();
    cr_assert(agent_is_ready(host.agent));
}

/* --- Files by programs ------------------------------------------------------------------------ */

Test(qga, describes_a_file_by_stat)
{
    host_begin(json_pack("{s:s, s:s}", "op", "stat", "path", "/etc/motd"));
    auto_json json_t *request = guest_serve_program(0, "81a4 286 0 42 1700000000 root shadow\n", "");
    cr_assert(request_has_word(request, "/etc/motd"));
    host_finish();
    expect(json_get_int(host_run.result, "size", -1), 286);
    expect(json_get_int(host_run.result, "mode", -1), 0644);
    expect(json_get_int(host_run.result, "mtime_us", -1), 1700000000000000);
    cr_assert(eq(int, strcmp(json_get_string(host_run.result, "type", ""), "file"), 0));
    cr_assert(eq(int, strcmp(json_get_string(host_run.result, "group", ""), "shadow"), 0));
}

Test(qga, takes_no_lies_for_a_files_description)
{
    static const char *const lies[] = { "", "81a4", "zz 1 1 1 1 a b", "81a4 -1 0 0 0 a b", "81a4 1 0 0 99999999999999999 a b" };
    for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
        host_again();
        host_begin(json_pack("{s:s, s:s}", "op", "stat", "path", "/a"));
        json_decref(guest_serve_program(0, lies[i], ""));
        host_finish();
        cr_expect(eq(int, host_run.error.code, ERROR_GUEST_FAILED), "%s", lies[i]);
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
        host_again();
        host_begin(json_loads(rows[i].request, 0, NULL));
        json_decref(guest_serve_program(1, "", rows[i].said));
        host_finish();
        cr_expect(eq(int, host_run.error.code, rows[i].code), "%s", rows[i].said);
    }
}
