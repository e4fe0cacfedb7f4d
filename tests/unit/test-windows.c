/* What Windows wants otherwise: command lines, paths, encodings, scripts. */
#include "base/json.h"
#include "hypervisor/windows-script.h"
#include "hypervisor/windows.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <string.h>

/* --- Command lines ---------------------------------------------------------------------------- */

/* The examples of Microsoft's page of CommandLineToArgvW, and its borders. */
Test(windows, quotes_a_word_so_that_it_is_taken_apart_as_it_was)
{
    static const struct {
        const char *word, *line;
    } rows[] = {
        { "plain", "plain" },
        { "", "\"\"" },
        { "a b", "\"a b\"" },
        { "a\tb", "\"a\tb\"" },
        { "C:\\Program Files\\", "\"C:\\Program Files\\\\\"" },
        { "C:\\dir\\", "C:\\dir\\" },
        { "a\"b", "\"a\\\"b\"" },
        { "a\\\"b", "\"a\\\\\\\"b\"" },
        { "a\\\\b c", "\"a\\\\b c\"" },
        { "\\\\server\\share", "\\\\server\\share" },
        { "%PATH%", "%PATH%" },
        { "\xc3\xa9t\xc3\xa9", "\xc3\xa9t\xc3\xa9" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_buf struct buf line = BUF_INIT;
        windows_quote(&line, rows[i].word);
        cr_expect(eq(int, strcmp(buf_str(&line), rows[i].line), 0), "%s: %s", rows[i].word, buf_str(&line));
    }
}

Test(windows, parts_words_by_a_blank)
{
    auto_buf struct buf line = BUF_INIT;
    auto_json json_t *words = json_pack("[s,s,s,s]", "x", "a b", "", "c");
    auto_json json_t *bad = json_pack("[s,i]", "x", 7);
    int r = windows_quote_all(&line, words, 1), bad_r = windows_quote_all(&line, bad, 0);
    cr_assert(eq(int, r, 0));
    cr_assert(lt(int, bad_r, 0));
    cr_assert_not_null(strstr(buf_str(&line), "\"a b\" \"\" c"));
}

Test(windows, knows_a_batch_file)
{
    static const char *const batch[] = { "a.bat", "C:\\x\\A.CMD", "a.cmd ", "a.bat." };
    static const char *const others[] = { "cmd.exe", "bat", "a.bat.exe", "" };
    for (size_t i = 0; i < ARRAY_LEN(batch); i++)
        cr_expect(windows_is_batch(batch[i]), "%s", batch[i]);
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        cr_expect(not(windows_is_batch(others[i])), "%s", others[i]);
}

/* --- UTF-16 ----------------------------------------------------------------------------------- */

Test(windows, encodes_a_script_in_utf16)
{
    static const struct {
        const char *text, *coded;
    } rows[] = {
        { "a", "YQA=" }, { "\xc3\xa9", "6QA=" }, { "\xe2\x82\xac", "rCA=" }, { "\xf0\x9f\x99\x82", "PdhC3g==" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_buf struct buf coded = BUF_INIT;
        int r = windows_encode(&coded, rows[i].text);
        cr_expect(eq(int, r, 0));
        cr_expect(eq(int, strcmp(buf_str(&coded), rows[i].coded), 0), "%s: %s", rows[i].text, buf_str(&coded));
    }
    cr_expect(eq(sz, windows_units("a\xc3\xa9\xf0\x9f\x99\x82"), 4));
}

Test(windows, refuses_to_encode_what_is_no_utf8)
{
    static const char *const bad[] = { "\x80", "\xc3", "\xc0\xaf", "\xff", "\xf0\x9f\x99" };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        auto_buf struct buf coded = BUF_INIT;
        int r = windows_encode(&coded, bad[i]);
        cr_expect(lt(int, r, 0), "row %zu", i);
    }
}

/* --- Paths ------------------------------------------------------------------------------------ */

Test(windows, takes_absolute_paths)
{
    static const char *const good[] = {
        "C:\\", "c:/", "C:\\Users\\me\\a b.txt", "C:/Users\\x", "\\\\server\\share", "//server/share/a",
        "C:\\.git\\..\\x", "C:\\console.txt", "C:\\com10", "C:\\\xe6\x97\xa5\xe6\x9c\xac.txt", "C:\\a\\\\b\\",
    };
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        cr_expect_null(windows_path_fault(good[i]), "%s", good[i]);
}

Test(windows, says_what_is_wrong_with_others)
{
    static const struct {
        const char *path, *part;
    } rows[] = {
        { "", "absolute" },          { "a.txt", "absolute" },        { "/tmp/a", "absolute" },
        { "\\a", "absolute" },       { "C:", "drive" },              { "C:a.txt", "drive" },
        { "\\\\.\\pipe\\x", "devices" }, { "\\\\?\\C:\\x", "devices" }, { "\\\\", "devices" },
        { "\\\\server", "share" },   { "C:\\a|b", "names\0" },       { "C:\\a:stream", "control" },
        { "C:\\a*", "control" },     { "C:\\a\nb", "control" },      { "C:\\a.", "full stop" },
        { "C:\\a \\b", "full stop" }, { "C:\\nul", "device" },       { "C:\\x\\Com1.txt", "device" },
        { "C:\\CON .a", "device" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *fault = windows_path_fault(rows[i].path);
        cr_expect_not_null(fault, "%s", rows[i].path);
        if (fault && strcmp(rows[i].part, "names") != 0)
            cr_expect_not_null(strstr(fault, rows[i].part), "%s: %s", rows[i].path, fault);
    }
}

/* --- Errors ----------------------------------------------------------------------------------- */

Test(windows, knows_errors_by_number_and_by_their_english_text)
{
    cr_expect(eq(int, windows_error_code(2), ERROR_NOT_FOUND));
    cr_expect(eq(int, windows_error_code(5), ERROR_FORBIDDEN));
    cr_expect(eq(int, windows_error_code(145), ERROR_CONFLICT));
    cr_expect(eq(int, windows_error_code(336), ERROR_BAD_VALUE));
    cr_expect(eq(int, windows_error_code(99999), ERROR_GUEST_FAILED));
    cr_expect(eq(int, windows_message_code("failed to open file 'C:\\x': The system cannot find the file specified."),
                 ERROR_NOT_FOUND));
    cr_expect(eq(int, windows_message_code("Das System kann die angegebene Datei nicht finden."), ERROR_GUEST_FAILED));
}

/* --- Commands --------------------------------------------------------------------------------- */

/* The script of a guest-exec: UTF-16LE with nothing but ASCII in it here. */
static char *script_of(const json_t *args)
{
    const json_t *words = json_object_get(args, "arg");
    const char *coded = json_string_value(json_array_get(words, json_array_size(words) - 1));
    struct buf units = BUF_INIT, text = BUF_INIT;
    cr_assert(eq(str, (char *)(uintptr_t)json_string_value(json_array_get(words, json_array_size(words) - 2)), "-EncodedCommand"));
    int r = buf_append_base64_text(&units, coded, strlen(coded));
    cr_assert(eq(int, r, 0));
    for (size_t i = 0; i < units.size; i += 2)
        buf_append(&text, units.data + i, 1);
    char *ret = strdup(buf_str(&text));
    buf_deinit(&units);
    buf_deinit(&text);
    return ret;
}

/* What the script's $p is. New reference. */
static json_t *facts_of(const char *script)
{
    auto_buf struct buf text = BUF_INIT;
    const char *begin = strstr(script, "FromBase64String('");
    cr_assert_not_null(begin);
    begin += strlen("FromBase64String('");
    int r = buf_append_base64_text(&text, begin, strcspn(begin, "'"));
    cr_assert(eq(int, r, 0));
    json_t *facts = NULL;
    r = json_parse_object((const char *)text.data, text.size, &facts, NULL);
    cr_assert(eq(int, r, 0));
    return facts;
}

static json_t *exec(json_t *request, struct error *err)
{
    json_t *args = windows_exec(request, err);
    json_decref(request);
    return args;
}

Test(windows, gives_a_simple_command_to_cmd_at_once)
{
    struct error err = { 0 };
    auto_json json_t *args = exec(json_pack("{s:s, s:{}}", "command", "dir C:\\Users & ver", "env"), &err);
    auto_buf struct buf text = BUF_INIT;
    json_write(json_object_get(args, "arg"), &text);
    cr_assert(eq(int, strcmp(json_get_string(args, "path", ""), "cmd.exe"), 0));
    cr_assert(eq(str, (char *)(uintptr_t)buf_str(&text),
                 "[\"/d\",\"/s\",\"/c\",\"chcp 65001>nul&dir C:\\\\Users & ver\"]"));
    cr_assert_null(json_object_get(args, "env")); /* it would be all that the program has */
}

Test(windows, puts_other_commands_into_a_script)
{
    static const char *const commands[] = { "echo \"a b\"", "dir C:\\" };
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        struct error err = { 0 };
        auto_json json_t *args = exec(json_pack("{s:s}", "command", commands[i]), &err);
        cr_assert(eq(int, strcmp(json_get_string(args, "path", ""), "powershell.exe"), 0));
        auto_free char *script = script_of(args);
        auto_json json_t *facts = facts_of(script);
        char line[64];
        snprintf(line, sizeof line, "/d /s /c \"chcp 65001>nul&%s\"", commands[i]);
        cr_assert(eq(int, strcmp(json_get_string(facts, "line", ""), line), 0), "%s", json_get_string(facts, "line", ""));
        cr_assert_not_null(strstr(script, "# deskfarm exec\n"));
        cr_assert_null(strstr(script, commands[i])); /* only coded: a text is never read as a script */
    }
}

Test(windows, hands_words_directory_and_environment_to_the_script)
{
    struct error err = { 0 };
    auto_json json_t *args = exec(json_pack("{s:[s,s,s], s:s, s:{s:s, s:n}}", "argv", "C:\\p q\\a.exe", "x \"y\"", "",
                                            "cwd", "D:/work", "env", "NAME", "v';exit", "GONE"), &err);
    auto_free char *script = script_of(args);
    auto_json json_t *facts = facts_of(script);
    auto_buf struct buf env = BUF_INIT;
    json_write(json_object_get(facts, "env"), &env);
    cr_assert(eq(int, strcmp(json_get_string(facts, "file", ""), "C:\\p q\\a.exe"), 0));
    cr_assert(eq(int, strcmp(json_get_string(facts, "line", ""), "\"x \\\"y\\\"\" \"\""), 0));
    cr_assert(eq(int, strcmp(json_get_string(facts, "cwd", ""), "D:/work"), 0));
    cr_assert(eq(str, (char *)(uintptr_t)buf_str(&env), "[[\"NAME\",\"v';exit\"],[\"GONE\",null]]"));
}

Test(windows, refuses_commands_that_would_be_something_else)
{
    static const struct {
        const char *request, *part;
        enum error_code code;
    } rows[] = {
        { "{\"argv\": [\"a.bat\", \"x\"]}", "cmd.exe", ERROR_BAD_VALUE },
        { "{\"command\": \"a\\nb\"}", "one line", ERROR_BAD_VALUE },
        { "{\"command\": \"a\", \"cwd\": \"/tmp\"}", "cwd", ERROR_BAD_VALUE },
        { "{\"argv\": []}", "needed", ERROR_BAD_VALUE },
        { "{\"argv\": [7]}", "needed", ERROR_BAD_VALUE },
        { "{}", "needed", ERROR_BAD_VALUE },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct error err = { 0 };
        json_t *args = exec(json_loads(rows[i].request, 0, NULL), &err);
        cr_expect_null(args);
        cr_expect(eq(int, err.code, rows[i].code), "%s", rows[i].request);
        cr_expect_not_null(strstr(err.message, rows[i].part), "%s", err.message);
    }
    struct error err = { 0 };
    char *long_word = calloc(1, 40001);
    memset(long_word, 'a', 40000);
    json_t *args = exec(json_pack("{s:s}", "command", long_word), &err);
    cr_expect_null(args);
    cr_expect(eq(int, err.code, ERROR_TOO_LARGE));
    free(long_word);
}

/* --- Scripts ---------------------------------------------------------------------------------- */

Test(windows, every_script_fits_a_command_line_beside_a_long_path)
{
    static const char *const ops[] = { "stat", "list", "mkdir", "move", "remove", "permissions", "place", "probe",
                                       "metrics", "desktop.launch", "desktop.launch.entry", "desktop.clipboard.get",
                                       "desktop.clipboard.set" };
    char path[300] = "C:\\";
    memset(path + 3, 'x', sizeof path - 4);
    for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
        struct error err = { 0 };
        auto_json json_t *request = json_pack("{s:s, s:s, s:s, s:s, s:s, s:[s]}", "path", path, "from", path, "to", path,
                                              "temp", path, "entry", "notepad", "argv", path);
        if (strcmp(ops[i], "desktop.launch") == 0)
            json_object_del(request, "entry");
        auto_json json_t *args = windows_script(ops[i], request, &err);
        cr_assert_not_null(args, "%s: %s", ops[i], err.message);
        auto_free char *script = script_of(args);
        char first[64];
        snprintf(first, sizeof first, "# deskfarm %s\n", ops[i]);
        cr_assert(eq(int, strncmp(script, first, strlen(first)), 0), "%s", script);
        cr_assert_not_null(strstr(script, "ConvertTo-Json"));
    }
}

Test(windows, refuses_what_no_script_does)
{
    static const struct {
        const char *op, *request;
        enum error_code code;
    } rows[] = {
        { "desktop.windows", "{}", ERROR_UNSUPPORTED },
        { "permissions", "{\"path\": \"C:\\\\a\", \"owner\": \"me\"}", ERROR_UNSUPPORTED },
        { "stat", "{\"path\": \"/etc/passwd\"}", ERROR_BAD_VALUE },
        { "move", "{\"from\": \"C:\\\\a\", \"to\": \"b\"}", ERROR_BAD_VALUE },
        { "desktop.launch", "{}", ERROR_BAD_VALUE },
        { "desktop.launch", "{\"entry\": \"a b\"}", ERROR_BAD_VALUE },
        { "desktop.launch", "{\"entry\": \"x';y\"}", ERROR_BAD_VALUE },
        { "desktop.launch", "{\"argv\": [\"a\"], \"env\": {\"A\": \"b\"}}", ERROR_UNSUPPORTED },
        { "desktop.clipboard.get", "{\"selection\": \"primary\"}", ERROR_UNSUPPORTED },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct error err = { 0 };
        auto_json json_t *request = json_loads(rows[i].request, 0, NULL);
        json_t *args = windows_script(rows[i].op, request, &err);
        cr_expect_null(args, "%s", rows[i].request);
        cr_expect(eq(int, err.code, rows[i].code), "%s: %s", rows[i].request, err.message);
    }
}

Test(windows, a_clipboard_type_is_one_of_two_words)
{
    struct error err = { 0 };
    auto_json json_t *request = json_pack("{s:s}", "type", "text'; Remove-Item C:\\");
    auto_json json_t *args = windows_script("desktop.clipboard.set", request, &err);
    auto_free char *script = script_of(args);
    auto_json json_t *facts = facts_of(script);
    cr_assert(eq(int, strcmp(json_get_string(facts, "type", "?"), ""), 0));
}

Test(windows, takes_a_result_off_the_output)
{
    static const char good[] = "some\nbytes\n{\"size\":3}", bad[] = "\n{\"error\":{\"number\":5,\"text\":\"nein\"}}";
    struct error err = { 0 };
    size_t size = sizeof good - 1;
    auto_json json_t *result = windows_result("x", (const uint8_t *)good, &size, &err);
    cr_assert(eq(long, json_get_int(result, "size", 0), 3));
    cr_assert(eq(sz, size, 10));
    size = sizeof bad - 1;
    json_t *none = windows_result("x", (const uint8_t *)bad, &size, &err);
    cr_assert_null(none);
    cr_assert(eq(int, err.code, ERROR_FORBIDDEN));
    static const char *const odd[] = { "", "{}", "\n", "\n[1]", "\n{\"a\":1}\n", "text" };
    for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
        size = strlen(odd[i]);
        none = windows_result("x", (const uint8_t *)odd[i], &size, &err);
        cr_expect_null(none, "%s", odd[i]);
    }
    size = 0;
    none = windows_result("x", NULL, &size, &err);
    cr_expect_null(none);
}
