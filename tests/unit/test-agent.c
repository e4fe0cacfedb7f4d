/* The guest's agent from end to end: the host's object, the wire and the program; what a hostile
 * guest may try is in test-agent-hostile. */
#include "agent-fixture.h"

#include "base/fs.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#define EXIT(run) json_get_int((run)->result, "exit", -1)

static struct fixture fixture;
static struct run run;

static char *text_of(struct buf *buf)
{
    return (char *)(uintptr_t)buf_str(buf);
}

static void start(void)
{
    fixture_start(&fixture);
}

static void stop(void)
{
    run_deinit(&run);
    fixture_stop(&fixture);
}

TestSuite(agent, .init = start, .fini = stop);

/* --- Commands -------------------------------------------------------------------------------- */

Test(agent, runs_a_command)
{
    RUN(&fixture, &run, "{s:s, s:s}", "op", "exec", "command", "echo out; echo err >&2; exit 3");
    cr_assert(eq(str, text_of(&run.out), "out\n"));
    cr_assert(eq(str, text_of(&run.err), "err\n"));
    cr_assert(eq(int, (int)EXIT(&run), 3));
    cr_assert(run.eof[AGENT_STDOUT] && run.eof[AGENT_STDERR]);
    cr_assert(eq(int, run.n_events, 1), "its pid");
}

Test(agent, runs_argv_in_a_directory_with_an_environment)
{
    RUN(&fixture, &run, "{s:s, s:[s,s,s], s:s, s:{s:s, s:n}}", "op", "exec", "argv", "/bin/sh",
        "-c", "pwd; echo $A-$LANG-$#", "cwd", "/usr", "env", "A", "b c", "LANG");
    cr_assert(eq(str, text_of(&run.out), "/usr\nb c--0\n"));
}

/* The guest stands still for longer than the call may take. */
Test(agent, waits_as_much_longer_as_the_guest_stood_still)
{
    const int64_t limit_us = 300000;
    json_t *request = json_pack("{s:s, s:s}", "op", "exec", "command", "echo on");
    run.call = agent_call_new(fixture.agent, request, &run_ops, &run, limit_us);
    process_kill(fixture.process, SIGSTOP);
    agent_set_paused(fixture.agent, true);
    int64_t end_us = clock_now_us() + 2 * limit_us;
    WAIT_FOR(&fixture, clock_now_us() >= end_us);
    cr_assert(eq(int, run.n_ends, 0));
    process_kill(fixture.process, SIGCONT);
    agent_set_paused(fixture.agent, false);
    WAIT_FOR(&fixture, run.n_ends == 1);
    cr_assert(eq(str, text_of(&run.out), "on\n"));
}

/* A row per request that cannot be: what is answered. */
Test(agent, refuses_what_cannot_be)
{
    static const struct {
        const char *request;
        enum error_code code;
    } rows[] = {
        { "{\"op\": \"fly\"}", ERROR_UNSUPPORTED },
        { "{}", ERROR_UNSUPPORTED },
        { "{\"op\": \"exec\"}", ERROR_BAD_VALUE },
        { "{\"op\": \"exec\", \"argv\": []}", ERROR_BAD_VALUE },
        { "{\"op\": \"exec\", \"argv\": [1]}", ERROR_BAD_VALUE },
        { "{\"op\": \"exec\", \"argv\": [\"/nonexistent\"]}", ERROR_NOT_FOUND },
        { "{\"op\": \"exec\", \"command\": \"true\", \"user\": \"nobody-of-that-name\"}",
          ERROR_BAD_VALUE },
        { "{\"op\": \"exec\", \"command\": \"true\", \"cwd\": \"/nonexistent\"}", ERROR_NOT_FOUND },
        { "{\"op\": \"exec\", \"command\": \"true\", \"env\": {\"A=B\": \"\"}}", ERROR_BAD_VALUE },
        { "{\"op\": \"stat\"}", ERROR_BAD_VALUE },
        { "{\"op\": \"stat\", \"path\": \"relative\"}", ERROR_BAD_VALUE },
        { "{\"op\": \"stat\", \"path\": \"/nonexistent\"}", ERROR_NOT_FOUND },
        { "{\"op\": \"read\", \"path\": \"/\"}", ERROR_BAD_VALUE },
        { "{\"op\": \"read\", \"path\": \"/etc/passwd\", \"offset\": -1}", ERROR_BAD_VALUE },
        { "{\"op\": \"tcp\", \"port\": 0}", ERROR_BAD_VALUE },
        { "{\"op\": \"tcp\", \"port\": 1, \"host\": \"a.name\"}", ERROR_BAD_VALUE },
        { "{\"op\": \"tcp\", \"port\": 1}", ERROR_NOT_READY },
        { "{\"op\": \"hostname\", \"name\": \"no spaces\"}", ERROR_BAD_VALUE },
        { "{\"op\": \"entropy\", \"hex\": \"0\"}", ERROR_BAD_VALUE },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        json_t *request = json_loads(rows[i].request, 0, NULL);
        run_deinit(&run);
        run.call = agent_call_new(fixture.agent, request, &run_ops, &run, TEST_LIMIT_US);
        WAIT_FOR(&fixture, run.n_ends == 1);
        cr_assert(eq(int, run.error.code, rows[i].code), "%s: %s", rows[i].request,
                  run.error.message);
    }
}

/* What ends at once has said everything before its END. */
Test(agent, loses_no_byte_of_500_commands_that_end_at_once, .timeout = 60)
{
    static struct run runs[8];
    int n_started = 0, n_done = 0;
    char command[64], expected[64];
    while (n_done < 500) {
        for (size_t i = 0; i < ARRAY_LEN(runs) && n_started < 500; i++, n_started++) {
            snprintf(command, sizeof command, "echo line %zu; echo odd >&2; exit %zu", i, i);
            RUN_START(&fixture, &runs[i], "{s:s, s:s}", "op", "exec", "command", command);
        }
        for (size_t i = 0; i < ARRAY_LEN(runs) && n_done < n_started; i++, n_done++) {
            WAIT_FOR(&fixture, runs[i].n_ends == 1);
            snprintf(expected, sizeof expected, "line %zu\n", i);
            cr_assert(eq(str, text_of(&runs[i].out), expected));
            cr_assert(eq(str, text_of(&runs[i].err), "odd\n"));
            cr_assert(eq(sz, (size_t)EXIT(&runs[i]), i));
            run_deinit(&runs[i]);
        }
    }
}

Test(agent, carries_10_megabytes)
{
    RUN(&fixture, &run, "{s:s, s:s}", "op", "exec", "command",
        "head -c 10485760 /dev/zero | tr '\\0' x");
    cr_assert(eq(sz, run.out.size, 10485760));
    for (size_t i = 0; i < run.out.size; i++)
        if (run.out.data[i] != 'x')
            cr_fatal("byte %zu", i);
}

Test(agent, echoes_its_input)
{
    static char data[1 << 20];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (char)(i * 31 >> 3);
    RUN_START(&fixture, &run, "{s:s, s:[s], s:b}", "op", "exec", "argv", "cat", "stdin", 1);
    run_write_all(&fixture, &run, data, sizeof data);
    WAIT_FOR(&fixture, run.n_ends == 1);
    cr_assert(eq(sz, run.out.size, sizeof data));
    cr_assert(eq(int, memcmp(run.out.data, data, sizeof data), 0));
}

Test(agent, drops_input_that_nobody_reads)
{
    static char data[1 << 20];
    RUN_START(&fixture, &run, "{s:s, s:s, s:b}", "op", "exec", "command", "exec <&-; sleep 0.2",
              "stdin", 1);
    run_write_all(&fixture, &run, data, sizeof data);
    WAIT_FOR(&fixture, run.n_ends == 1);
    cr_assert(eq(int, (int)EXIT(&run), 0));
}

Test(agent, signals_the_whole_group)
{
    RUN_START(&fixture, &run, "{s:s, s:s}", "op", "exec", "command",
              "trap 'echo caught; exit 5' INT; echo ready; while :; do sleep 0.05; done");
    WAIT_FOR(&fixture, run.out.size > 0);
    int r = agent_call_control(run.call, json_pack("{s:s}", "signal", "INT"));
    cr_assert(eq(int, r, 0));
    WAIT_FOR(&fixture, run.n_ends == 1);
    cr_assert(eq(str, text_of(&run.out), "ready\ncaught\n"));
    cr_assert(eq(int, (int)EXIT(&run), 5));

    RUN_START(&fixture, (run_deinit(&run), &run), "{s:s, s:s}", "op", "exec", "command",
              "echo ready; exec sleep 100");
    WAIT_FOR(&fixture, run.out.size > 0);
    agent_call_control(run.call, json_pack("{s:i}", "signal", SIGKILL));
    WAIT_FOR(&fixture, run.n_ends == 1);
    cr_assert(eq(int, (int)json_get_int(run.result, "signal", 0), SIGKILL));
}

Test(agent, ends_what_takes_too_long)
{
    int64_t begin_us = clock_now_us();
    RUN(&fixture, &run, "{s:s, s:s, s:i}", "op", "exec", "command", "echo a; sleep 100",
        "timeout_us", 200000);
    cr_assert(json_get_bool(run.result, "timed_out", false));
    cr_assert(eq(str, text_of(&run.out), "a\n"));
    cr_assert(lt(long, (long)(clock_now_us() - begin_us), 5000000));
}

Test(agent, does_not_wait_for_what_a_command_left_behind)
{
    int64_t begin_us = clock_now_us();
    RUN(&fixture, &run, "{s:s, s:s, s:i}", "op", "exec", "command", "sleep 20 & echo left",
        "linger_us", 50000);
    cr_assert(eq(str, text_of(&run.out), "left\n"));
    cr_assert(lt(long, (long)(clock_now_us() - begin_us), 5000000));
}

Test(agent, limits_resources)
{
    RUN(&fixture, &run, "{s:s, s:s, s:{s:i}}", "op", "exec", "command", "ulimit -n", "rlimits",
        "nofile", 64);
    cr_assert(eq(str, text_of(&run.out), "64\n"));
}

Test(agent, acts_as_a_user)
{
    if (geteuid() != 0)
        cr_skip_test("needs root");
    RUN(&fixture, &run, "{s:s, s:s, s:s}", "op", "exec", "command", "id -un; id -gn; echo $HOME",
        "user", "daemon");
    cr_assert(eq(str, text_of(&run.out), "daemon\ndaemon\n/usr/sbin\n"));
    RUN(&fixture, &run, "{s:s, s:s, s:i}", "op", "exec", "command", "id -u; id -G", "user", 12345);
    cr_assert(eq(str, text_of(&run.out), "12345\n12345\n"));
    RUN(&fixture, &run, "{s:s, s:s, s:s}", "op", "read", "path", "/etc/shadow", "user", "daemon");
    cr_assert(eq(int, run.error.code, ERROR_FORBIDDEN));
}

Test(agent, cancels_a_call_and_uses_its_channel_again)
{
    static struct run second;
    RUN_START(&fixture, &run, "{s:s, s:s}", "op", "exec", "command", "while :; do echo y; done");
    WAIT_FOR(&fixture, run.out.size > 100000);
    size_t size = run.out.size;
    run.call = agent_call_cancel(run.call);
    for (int i = 0; i < 300; i++)
        RUN(&fixture, &second, "{s:s}", "op", "ping");
    cr_assert(eq(sz, run.out.size, size), "no callback follows");
    cr_assert(eq(int, run.n_ends, 0));
    run_deinit(&second);
}

/* One whose reader is slow holds nobody else up, and the program waits. */
Test(agent, holds_up_a_program_whose_reader_is_slow)
{
    static struct run other;
    RUN_START(&fixture, &run, "{s:s, s:s}", "op", "exec", "command", "head -c 3000000 /dev/zero");
    run.is_slow = true;
    for (int i = 0; i < 50; i++)
        RUN(&fixture, &other, "{s:s, s:s}", "op", "exec", "command", "echo quick");
    cr_assert(eq(str, text_of(&other.out), "quick\n"));
    WAIT_FOR(&fixture, run.out.size > AGENT_WINDOW / 2);
    cr_assert(le(sz, run.out.size, AGENT_WINDOW));
    cr_assert(eq(int, run.n_ends, 0));
    run.is_slow = false;
    agent_call_consumed(run.call, run.n_unread);
    WAIT_FOR(&fixture, run.n_ends == 1);
    cr_assert(eq(sz, run.out.size, 3000000));
    run_deinit(&other);
}

/* --- Terminals ------------------------------------------------------------------------------- */

Test(agent, resizes_a_terminal)
{
    RUN_START(&fixture, &run, "{s:s, s:s, s:i, s:i}", "op", "pty", "command",
              "tty >/dev/null && stty size; trap 'stty size; exit' WINCH; echo ready; "
              "while :; do sleep 0.05; done", "columns", 100, "rows", 30);
    WAIT_FOR(&fixture, strstr(buf_str(&run.out), "ready\r\n"));
    cr_assert_not_null(strstr(buf_str(&run.out), "30 100\r\n"));
    agent_call_control(run.call, json_pack("{s:i, s:i}", "columns", 132, "rows", 43));
    WAIT_FOR(&fixture, run.n_ends == 1);
    cr_assert_not_null(strstr(buf_str(&run.out), "43 132\r\n"), "%s", buf_str(&run.out));
}

Test(agent, types_into_a_terminal)
{
    RUN_START(&fixture, &run, "{s:s, s:[s]}", "op", "pty", "argv", "cat");
    run_write_all(&fixture, &run, "hello\n", 6); /* and its end: the character for it */
    WAIT_FOR(&fixture, run.n_ends == 1);
    cr_assert(eq(str, text_of(&run.out), "hello\r\nhello\r\n"));
    cr_assert(eq(int, (int)EXIT(&run), 0));
}

Test(agent, interrupts_what_a_terminal_runs)
{
    RUN_START(&fixture, &run, "{s:s, s:s}", "op", "pty", "command", "echo ready; exec sleep 100");
    WAIT_FOR(&fixture, run.out.size > 0);
    agent_call_write(run.call, "\003", 1);
    WAIT_FOR(&fixture, run.n_ends == 1);
    cr_assert(eq(int, (int)json_get_int(run.result, "signal", 0), SIGINT));
}

/* --- Files ----------------------------------------------------------------------------------- */

static char *in_dir(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", fixture.dir, name);
    return path;
}

static void write_file(const char *path, const char *text)
{
    run_deinit(&run);
    RUN_START(&fixture, &run, "{s:s, s:s}", "op", "write", "path", path);
    run_write_all(&fixture, &run, text, strlen(text));
    WAIT_FOR(&fixture, run.n_ends == 1);
    cr_assert(eq(int, run.error.is_set, 0), "%s", run.error.message);
}

Test(agent, reads_ranges_of_files)
{
    static const struct {
        int offset, length;
        const char *text;
    } rows[] = { { 0, 10, "0123456789" }, { 3, 4, "3456" }, { 8, 100, "89" }, { 10, 1, "" },
                 { 99, 1, "" }, { 0, 0, "" } };
    const char *path = in_dir("deep/er/file");
    write_file(path, "0123456789");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        RUN(&fixture, &run, "{s:s, s:s, s:i, s:i}", "op", "read", "path", path, "offset",
            rows[i].offset, "length", rows[i].length);
        cr_assert(eq(str, text_of(&run.out), (char *)(uintptr_t)rows[i].text));
        cr_assert(eq(int, (int)json_get_int(run.result, "size", -1), 10));
    }
}

/* Until the last byte is there the old file is; a writer that goes away changes nothing. */
Test(agent, writes_whole_or_not_at_all)
{
    struct stat info;
    auto_buf struct buf text = BUF_INIT;
    const char *path = in_dir("file");
    write_file(path, "old");
    cr_assert(eq(int, chmod(path, 0751), 0));
    run_deinit(&run);
    RUN_START(&fixture, &run, "{s:s, s:s}", "op", "write", "path", path);
    agent_call_write(run.call, "half", 4);
    static struct run other;
    RUN(&fixture, &other, "{s:s, s:s}", "op", "stat", "path", path);
    cr_assert(eq(int, (int)json_get_int(other.result, "size", -1), 3));
    run.call = agent_call_cancel(run.call);
    RUN(&fixture, &other, "{s:s, s:s}", "op", "stat", "path", path);
    cr_assert(eq(int, fs_read(path, 100, &text, NULL), 0));
    cr_assert(eq(str, text_of(&text), "old"));

    write_file(path, "new text");
    cr_assert(eq(int, stat(path, &info), 0));
    cr_assert(eq(int, (int)info.st_size, 8));
    cr_assert(eq(int, (int)(info.st_mode & 07777), 0751), "the mode stays");
    RUN(&fixture, &other, "{s:s, s:s}", "op", "list", "path", fixture.dir);
    cr_assert(eq(int, (int)json_get_int(other.result, "count", 0), 1), "nothing is left behind");
    run_deinit(&other);
}

/* To where it leads, which may be another file system. */
Test(agent, writes_through_a_link)
{
    struct stat info;
    auto_buf struct buf text = BUF_INIT;
    char there[] = "/dev/shm/deskfarm-agent-XXXXXX", link[128];
    int fd = mkstemp(there);
    cr_assert(ge(int, fd, 0));
    close(fd);
    strcpy(link, in_dir("link"));
    cr_assert(eq(int, symlink(there, link), 0));
    write_file(link, "text");
    cr_assert(eq(int, lstat(link, &info), 0));
    bool is_link = S_ISLNK(info.st_mode);
    cr_assert(is_link, "the link stays");
    cr_assert(eq(int, fs_read(there, 100, &text, NULL), 0));
    cr_assert(eq(str, text_of(&text), "text"));
    unlink(there);
}

Test(agent, makes_moves_lists_and_removes)
{
    char from[128], to[128];
    write_file(in_dir("a/one.txt"), "1");
    write_file(in_dir("a/two.txt"), "2");
    RUN(&fixture, &run, "{s:s, s:s, s:i}", "op", "mkdir", "path", in_dir("b/c"), "mode", 0700);
    cr_assert(eq(int, run.error.is_set, 0));
    strcpy(from, in_dir("a/two.txt"));
    strcpy(to, in_dir("b/c/three.txt"));
    RUN(&fixture, &run, "{s:s, s:s, s:s}", "op", "move", "from", from, "to", to);
    cr_assert(eq(int, run.error.is_set, 0));
    RUN(&fixture, &run, "{s:s, s:s, s:i}", "op", "list", "path", fixture.dir, "depth", 9);
    cr_assert(eq(int, (int)json_get_int(run.result, "count", 0), 5));
    cr_assert_not_null(strstr(buf_str(&run.out), "b/c/three.txt"));
    RUN(&fixture, &run, "{s:s, s:s, s:i}", "op", "list", "path", fixture.dir, "limit", 1);
    cr_assert(json_get_bool(run.result, "truncated", false));
    RUN(&fixture, &run, "{s:s, s:s}", "op", "remove", "path", in_dir("b"));
    cr_assert(eq(int, run.error.code, ERROR_CONFLICT));
    RUN(&fixture, &run, "{s:s, s:s, s:b}", "op", "remove", "path", in_dir("b"), "recursive", 1);
    cr_assert(eq(int, (int)json_get_int(run.result, "count", 0), 3));
    RUN(&fixture, &run, "{s:s, s:s, s:i}", "op", "permissions", "path", in_dir("a/one.txt"), "mode",
        0600);
    RUN(&fixture, &run, "{s:s, s:s}", "op", "stat", "path", in_dir("a/one.txt"));
    cr_assert(eq(int, (int)json_get_int(run.result, "mode", 0), 0600));
}

Test(agent, searches_and_replaces)
{
    write_file(in_dir("x/a.c"), "int needle;\nint hay;\nNeedle needle\n");
    write_file(in_dir("x/b.h"), "no needle here\n");
    RUN(&fixture, &run, "{s:s, s:s, s:s, s:s}", "op", "search", "path", fixture.dir, "glob", "*.c",
        "content", "needle");
    cr_assert(eq(int, (int)json_get_int(run.result, "count", 0), 2));
    const char *match = "\"line\":3,\"column\":8,\"text\":\"Needle needle\"";
    cr_assert_not_null(strstr(buf_str(&run.out), match), "%s", buf_str(&run.out));
    RUN(&fixture, &run, "{s:s, s:s, s:s, s:b}", "op", "search", "path", fixture.dir, "content",
        "^n.*e$", "regex", 1);
    cr_assert(eq(int, (int)json_get_int(run.result, "count", 0), 1));
    RUN(&fixture, &run, "{s:s, s:s, s:s}", "op", "search", "path", fixture.dir, "glob", "x/*.h");
    cr_assert(eq(int, (int)json_get_int(run.result, "count", 0), 1));
    RUN(&fixture, &run, "{s:s, s:s, s:s, s:s}", "op", "replace", "path", in_dir("x/a.c"), "old",
        "needle", "new", "pin");
    cr_assert(eq(int, (int)json_get_int(run.result, "count", 0), 2));
    RUN(&fixture, &run, "{s:s, s:s}", "op", "read", "path", in_dir("x/a.c"));
    cr_assert(eq(str, text_of(&run.out), "int pin;\nint hay;\nNeedle pin\n"));
}

Test(agent, watches_a_tree)
{
    static struct run other;
    RUN_START(&fixture, &run, "{s:s, s:s, s:b}", "op", "watch", "path", fixture.dir,
              "recursive", 1);
    WAIT_FOR(&fixture, strstr(buf_str(&run.out), "ready"));
    RUN(&fixture, &other, "{s:s, s:s}", "op", "mkdir", "path", in_dir("new"));
    WAIT_FOR(&fixture, strstr(buf_str(&run.out), "/new\""));
    RUN(&fixture, &other, "{s:s, s:s, s:s}", "op", "exec", "command", "echo x >file; mv file moved",
        "cwd", in_dir("new"));
    WAIT_FOR(&fixture, strstr(buf_str(&run.out), "/new/moved"));
    run.call = agent_call_cancel(run.call);
    run_deinit(&other);
}

Test(agent, carries_a_directory_as_tar)
{
    static struct run up;
    char to[128];
    write_file(in_dir("from/file"), "content");
    run_deinit(&run);
    RUN(&fixture, &run, "{s:s, s:s, s:s}", "op", "tar", "path", in_dir("from"), "direction",
        "down");
    cr_assert(eq(int, (int)EXIT(&run), 0));
    strcpy(to, in_dir("to"));
    int r = mkdir(to, 0755);
    cr_assert(eq(int, r, 0));
    RUN_START(&fixture, &up, "{s:s, s:s, s:s}", "op", "tar", "path", to, "direction", "up");
    run_write_all(&fixture, &up, run.out.data, run.out.size);
    WAIT_FOR(&fixture, up.n_ends == 1);
    cr_assert(eq(int, (int)EXIT(&up), 0));
    cr_assert(eq(int, access(in_dir("to/file"), F_OK), 0));
    run_deinit(&up);
}

/* --- Connections ----------------------------------------------------------------------------- */

static int listen_tcp(int *ret_port)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert(eq(int, bind(fd, (struct sockaddr *)&address, sizeof address), 0));
    cr_assert(eq(int, listen(fd, 16), 0));
    cr_assert(eq(int, getsockname(fd, (struct sockaddr *)&address, &size), 0));
    *ret_port = ntohs(address.sin_port);
    return fd;
}

/* The client ends its direction first; the answer still comes whole. */
Test(agent, forwards_a_connection_with_half_close)
{
    int port;
    char data[64] = "";
    auto_fd int listener = listen_tcp(&port);
    RUN_START(&fixture, &run, "{s:s, s:i}", "op", "tcp", "port", port);
    WAIT_FOR(&fixture, run.n_events == 1);
    auto_fd int server = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    cr_assert(ge(int, server, 0));
    run_write_all(&fixture, &run, "question", 8);
    size_t n = 0;
    for (ssize_t got; (got = read(server, data + n, sizeof data - 1 - n)) != 0;) {
        cr_assert(got > 0 || errno == EAGAIN);
        n += got > 0 ? (size_t)got : 0;
        loop_turn(&fixture.loop, false);
    }
    cr_assert(eq(str, data, "question"));
    cr_assert(eq(int, run.n_ends, 0));
    ssize_t sent = write(server, "answer", 6);
    cr_assert(eq(long, sent, 6));
    close(steal_fd(&server));
    WAIT_FOR(&fixture, run.n_ends == 1);
    cr_assert(eq(str, text_of(&run.out), "answer"));
    cr_assert(run.eof[AGENT_STDOUT]);
}

Test(agent, forwards_a_hundred_connections)
{
    static struct run runs[100];
    int port, servers[100];
    auto_fd int listener = listen_tcp(&port);
    for (size_t i = 0; i < ARRAY_LEN(runs); i++) {
        RUN_START(&fixture, &runs[i], "{s:s, s:i}", "op", "tcp", "port", port);
        WAIT_FOR(&fixture, runs[i].n_events == 1);
        servers[i] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    }
    for (size_t i = 0; i < ARRAY_LEN(runs); i++) {
        char byte = (char)i;
        ssize_t n = write(servers[i], &byte, 1);
        cr_assert(eq(long, n, 1));
        close(servers[i]);
        agent_call_eof(runs[i].call);
    }
    for (size_t i = 0; i < ARRAY_LEN(runs); i++) {
        WAIT_FOR(&fixture, runs[i].n_ends == 1);
        cr_assert(eq(sz, runs[i].out.size, 1));
        cr_assert(eq(int, runs[i].out.data[0], (int)i));
        run_deinit(&runs[i]);
    }
}

/* --- The system ------------------------------------------------------------------------------ */

Test(agent, measures_itself)
{
    RUN(&fixture, &run, "{s:s}", "op", "metrics");
    cr_assert(ge(int, (int)json_get_int(run.result, "cpu_count", 0), 1));
    cr_assert(gt(long, (long)json_get_int(run.result, "mem_total_bytes", 0), 0));
    cr_assert(gt(long, (long)json_get_int(run.result, "disk_total_bytes", 0), 0));
    RUN(&fixture, &run, "{s:s}", "op", "clock");
    int64_t off_us = json_get_int(run.result, "after_us", 0) - clock_wall_us();
    cr_assert(lt(long, labs((long)off_us), 5000000));
    RUN(&fixture, &run, "{s:s}", "op", "hostname");
    cr_assert_not_null(json_get_string(run.result, "name", NULL));
}

/* --- Sessions -------------------------------------------------------------------------------- */

/* The host ends in the middle of everything and comes again, with no memory, on the same port: one
 * round trip. What ran is gone, but for what was to be kept. */
Test(agent, answers_a_new_host_at_once)
{
    int64_t worst_us = 0;
    static char junk[100000];
    for (int i = 0; i < 20; i++) {
        run_deinit(&run);
        RUN_START(&fixture, &run, "{s:s, s:s, s:b}", "op", "exec", "command",
                  "cat >/dev/null & while :; do echo flood; done", "stdin", 1);
        WAIT_FOR(&fixture, run.out.size > 10000);
        agent_call_write(run.call, junk, sizeof junk);
        /* A part of that gets through, in the middle of a frame; as the socket was cut. */
        fixture.agent = agent_free(fixture.agent);
        cr_assert(eq(int, run.error.code, ERROR_CANCELLED));
        ssize_t n = send(fixture.port, "DFA\1\7\0\1", 7, 0);
        cr_assert(n == 7 || errno == EAGAIN);

        int64_t begin_us = clock_now_us();
        fixture.n_ready = 0;
        fixture_connect(&fixture);
        WAIT_FOR(&fixture, fixture.n_ready == 1);
        worst_us = MAX(worst_us, clock_now_us() - begin_us);
        RUN(&fixture, &run, "{s:s, s:s}", "op", "exec", "command", "echo again");
        cr_assert(eq(str, text_of(&run.out), "again\n"));
    }
    cr_assert(lt(long, (long)worst_us, 1000000), "%ld us", (long)worst_us);
}

Test(agent, keeps_what_was_to_be_kept)
{
    RUN_START(&fixture, &run, "{s:s, s:s, s:b, s:s}", "op", "exec", "command",
              "echo begun; sleep 0.3; echo more; echo done >kept", "keep", 1, "cwd", fixture.dir);
    WAIT_FOR(&fixture, run.out.size > 0);
    agent_restart(fixture.agent);
    WAIT_FOR(&fixture, fixture.n_ready == 2);
    cr_assert(eq(int, fixture.n_lost, 1));
    cr_assert(eq(int, run.error.code, ERROR_GUEST_GONE));
    RUN(&fixture, &run, "{s:s, s:s, s:s}", "op", "exec", "command",
        "while ! [ -s kept ]; do sleep 0.05; done", "cwd", fixture.dir);
    cr_assert(eq(int, (int)EXIT(&run), 0));
}

Test(agent, kills_what_was_not_to_be_kept)
{
    RUN_START(&fixture, &run, "{s:s, s:s}", "op", "exec", "command", "echo $$; exec sleep 100");
    WAIT_FOR(&fixture, run.out.size > 0);
    int pid = atoi(buf_str(&run.out));
    agent_restart(fixture.agent);
    WAIT_FOR(&fixture, fixture.n_ready == 2);
    char command[128];
    snprintf(command, sizeof command, "while kill -0 %d 2>/dev/null; do sleep 0.05; done", pid);
    RUN(&fixture, &run, "{s:s, s:s}", "op", "exec", "command", command);
    cr_assert(eq(int, (int)EXIT(&run), 0));
}

/* The guest was booted again: another agent on the same port. */
Test(agent, notices_that_the_agent_was_started_again)
{
    RUN_START(&fixture, &run, "{s:s, s:s}", "op", "exec", "command", "echo x; sleep 100");
    WAIT_FOR(&fixture, run.out.size > 0);
    uint8_t knock[AGENT_OVERHEAD];
    struct agent_frame frame = { .type = AGENT_KNOCK };
    agent_feed(fixture.agent, knock, agent_wire_encode(knock, &frame));
    WAIT_FOR(&fixture, fixture.n_ready == 2);
    cr_assert(eq(int, run.error.code, ERROR_GUEST_GONE));
    RUN(&fixture, &run, "{s:s}", "op", "ping");
    cr_assert_not_null(run.result);
}

/* Calls have limits of their own here, whatever the guest does. */
Test(agent, times_out_a_call)
{
    run.call = agent_call_new(fixture.agent, json_pack("{s:s, s:s}", "op", "exec", "command",
                                                       "sleep 100"), &run_ops, &run, 100000);
    WAIT_FOR(&fixture, run.n_ends == 1);
    cr_assert(eq(int, run.error.code, ERROR_TIMEOUT));
    RUN(&fixture, &run, "{s:s}", "op", "ping");
    cr_assert_not_null(run.result);
}
