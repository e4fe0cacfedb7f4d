/* The QEMU guest agent as a backend, in a guest that is Windows. */
#include "tests/unit/qga-guest.h"

#include <string.h>

TestSuite(qga_windows, .init = host_start, .fini = host_stop, .timeout = 30);

Test(qga_windows, says_what_a_windows_guest_can_do)
{
    guest_become_windows();
    cr_assert(agent_is_windows(host.agent));
    cr_assert_not_null(strstr(host.ops_of_guest, "\"stat\",\"list\",\"mkdir\",\"move\",\"remove\""));
    cr_assert_not_null(strstr(host.ops_of_guest, "\"desktop.launch\",\"desktop.clipboard.get\""));
}

Test(qga_windows, runs_a_command_of_windows)
{
    guest_become_windows();
    host_begin(json_pack("{s:s, s:s}", "op", "exec", "command", "ver"));
    auto_json json_t *request = guest_serve_program(9009, "out\r\n", "");
    cr_assert(eq(int, strcmp(request_path(request), "cmd.exe"), 0));
    cr_assert(eq(int, strcmp(request_last_word(request), "chcp 65001>nul&ver"), 0));
    cr_assert_null(json_object_get(json_object_get(request, "arguments"), "env"));
    host_finish();
    expect(json_get_int(host_run.result, "exit", -1), 9009);
    cr_assert(eq(str, text_of(&host_run.out), "out\r\n"));
}

Test(qga_windows, tells_what_ended_a_program_of_windows_as_its_status)
{
    guest_become_windows();
    host_begin(json_pack("{s:s, s:[s]}", "op", "exec", "argv", "a.exe"));
    json_t *request = guest_hear("guest-exec");
    request_expect_script(request, "exec");
    json_decref(request);
    guest_say("{\"return\": {\"pid\": 42}}\n");
    guest_serve("guest-exec-status", NULL, "{\"return\": {\"exited\": true, \"signal\": -1073741819}}\n");
    host_finish();
    expect(json_get_int(host_run.result, "exit", -1), 0xc0000005);
    bool has_no_signal = json_is_null(json_object_get(host_run.result, "signal"));
    cr_assert(has_no_signal);
}

Test(qga_windows, says_that_a_program_of_windows_could_not_be_started)
{
    guest_become_windows();
    host_begin(json_pack("{s:s, s:[s]}", "op", "exec", "argv", "nothing.exe"));
    json_decref(guest_serve_program(0x0df00002, "", "The system cannot find the file specified"));
    host_finish();
    cr_assert(eq(int, host_run.error.code, ERROR_NOT_FOUND));
    cr_assert_not_null(strstr(host_run.error.message, "cannot find the file"));
}

Test(qga_windows, ends_a_program_of_windows_with_all_that_it_started)
{
    guest_become_windows();
    host_begin(json_pack("{s:s, s:s}", "op", "exec", "command", "ping -t localhost"));
    json_decref(guest_hear("guest-exec"));
    guest_say("{\"return\": {\"pid\": 42}}\n");
    guest_serve("guest-exec-status", NULL, "{\"return\": {\"exited\": false}}\n");
    int r = agent_call_control(host_run.call, json_pack("{s:s}", "signal", "USR1"));
    cr_assert(lt(int, r, 0));
    host_run.call = agent_call_cancel(host_run.call);
    auto_json json_t *request = guest_hear("guest-exec");
    cr_assert(eq(int, strcmp(request_path(request), "taskkill.exe"), 0));
    cr_assert(request_has_word(request, "42"));
    cr_assert(request_has_word(request, "/T"));
    cr_assert(request_has_word(request, "/F"));
}

Test(qga_windows, hands_out_what_a_script_sends_and_its_result)
{
    guest_become_windows();
    host_begin(json_pack("{s:s, s:s}", "op", "list", "path", "C:\\Users"));
    json_t *request = guest_serve_program(0, "{\"path\":\"C:\\\\Users\\\\me\"}\n\n{\"count\":1}", "");
    request_expect_script(request, "list");
    json_decref(request);
    host_finish();
    expect(json_get_int(host_run.result, "count", 0), 1);
    cr_assert(eq(str, text_of(&host_run.out), "{\"path\":\"C:\\\\Users\\\\me\"}\n"));
}

Test(qga_windows, tells_a_scripts_error_by_its_number_whatever_its_language)
{
    guest_become_windows();
    host_begin(json_pack("{s:s, s:s}", "op", "stat", "path", "C:\\fehlt"));
    json_decref(guest_serve_program(0,
                                    "\n{\"error\":{\"number\":2,\"text\":\"Die Datei wurde nicht gefunden.\"}}", ""));
    host_finish();
    cr_assert(eq(int, host_run.error.code, ERROR_NOT_FOUND));
    cr_assert_not_null(strstr(host_run.error.message, "Die Datei"));
}

/* CreateFile says of a directory that access is denied. */
Test(qga_windows, asks_why_a_file_of_windows_cannot_be_opened)
{
    guest_become_windows();
    host_begin(json_pack("{s:s, s:s}", "op", "read", "path", "C:\\Windows"));
    guest_serve("guest-file-open", NULL,
                "{\"error\": {\"class\": \"GenericError\", \"desc\": \"failed to open file 'C:\\\\Windows': Zugriff "
                "verweigert\"}}\n");
    json_t *request = guest_serve_program(0, "\n{\"error\":{\"number\":336,\"text\":\"a directory\"}}", "");
    request_expect_script(request, "probe");
    json_decref(request);
    host_finish();
    cr_assert(eq(int, host_run.error.code, ERROR_BAD_VALUE));
}

Test(qga_windows, writes_a_file_of_windows_into_a_new_directory)
{
    guest_become_windows();
    host_begin(json_pack("{s:s, s:s, s:i}", "op", "write", "path", "C:\\new/a.txt", "mode", 0644));
    guest_serve("guest-file-open", NULL,
                "{\"error\": {\"class\": \"GenericError\", \"desc\": \"failed to open file: The system cannot find the "
                "path specified.\"}}\n");
    json_t *request = guest_serve_program(0, "\n{}", "");
    request_expect_script(request, "mkdir");
    json_decref(request);
    guest_serve("guest-file-open", NULL, "{\"return\": 7}\n");
    agent_call_eof(host_run.call);
    guest_serve("guest-file-flush", NULL, "{\"return\": {}}\n");
    guest_serve("guest-file-close", NULL, "{\"return\": {}}\n");
    request = guest_serve_program(0, "\n{}", "");
    request_expect_script(request, "place");
    json_decref(request);
    host_finish();
    expect(json_get_int(host_run.result, "size", -1), 0);
}

Test(qga_windows, hands_the_clipboard_of_windows_its_text_as_input)
{
    guest_become_windows();
    host_begin(json_pack("{s:s, s:s}", "op", "desktop.clipboard.set", "type", "text"));
    agent_call_write(host_run.call, "hello", 5);
    agent_call_eof(host_run.call);
    json_t *request = guest_serve_program(0, "\n{\"size\":5}", "");
    request_expect_script(request, "desktop.clipboard.set");
    const char *input = json_get_string(json_object_get(request, "arguments"), "input-data", "");
    cr_assert(eq(int, strcmp(input, "aGVsbG8="), 0), "%s", input);
    json_decref(request);
    host_finish();
    expect(json_get_int(host_run.result, "size", -1), 5);
}

Test(qga_windows, refuses_what_windows_lacks)
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
    guest_become_windows();
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        host_again();
        host_begin(json_loads(rows[i].request, 0, NULL));
        host_finish();
        cr_expect(eq(int, host_run.error.code, rows[i].code), "%s: %s", rows[i].request, host_run.error.message);
        cr_expect_not_null(strstr(host_run.error.message, rows[i].part), "%s", host_run.error.message);
    }
}

/* The machine went down in the middle of a command; its agent is another process afterwards. */
Test(qga_windows, a_reboot_in_the_middle_ends_the_command_and_nothing_else)
{
    guest_become_windows();
    host_begin(json_pack("{s:s, s:s}", "op", "exec", "command", "long"));
    json_decref(guest_hear("guest-exec"));
    guest_say("{\"return\": {\"pid\": 42}}\n");
    guest_serve("guest-exec-status", NULL,
                "{\"error\": {\"class\": \"GenericError\", \"desc\": \"PID 42 does not exist\"}}\n");
    host_finish();
    cr_assert(eq(int, host_run.error.code, ERROR_GUEST_GONE), "%s", host_run.error.message);
    expect_ping(); /* and no taskkill before it */
}
