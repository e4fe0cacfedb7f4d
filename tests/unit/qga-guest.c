/* The test is the guest, and answers line by line at one end of a pair of sockets; the host's agent has the other
 * end. Both are in one thread: whoever waits for the other turns the host's loop. Each test is a process, so that
 * there is one guest, one host and one call at a time. */
#include "tests/unit/qga-guest.h"

#include "base/clock.h"
#include "base/sock.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define WINDOWS_OS                                                                                 \
    "{\"return\": {\"id\": \"mswindows\", \"pretty-name\": \"Windows 11 Enterprise\", \"version\": " \
    "\"Microsoft Windows 11\", \"kernel-release\": \"22631\", \"machine\": \"x86_64\"}}\n"

struct host host;
struct host_run host_run;
int guest_port = -1;

static struct loop loop;
static struct timer *tick;
static struct buf heard = BUF_INIT;

/* --- The guest ------------------------------------------------------------------------------- */

void guest_say(const char *text)
{
    size_t size = strlen(text);
    ssize_t n = send(guest_port, text, size, 0);
    cr_assert(eq(long, n, (ssize_t)size));
}

static json_t *hear_any(const char *name)
{
    char chunk[65536];
    const char *end;
    int64_t until_us = clock_now_us() + TEST_LIMIT_US;
    while (!(end = memchr(heard.data ? heard.data : (const uint8_t *)"", '\n', heard.size))) {
        ssize_t n = recv(guest_port, chunk, sizeof chunk, MSG_DONTWAIT);
        if (n > 0)
            buf_append(&heard, chunk, (size_t)n);
        else
            host_turn();
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
    guest_say(reply);
}

json_t *guest_hear(const char *name)
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

void guest_forget(void)
{
    buf_consume(&heard, heard.size);
}

int64_t guest_serve(const char *name, const char *key, const char *reply)
{
    auto_json json_t *request = guest_hear(name);
    int64_t value = key ? json_get_int(json_object_get(request, "arguments"), key, -1) : 0;
    guest_say(reply);
    return value;
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
    guest_say(buf_str(&line));
}

json_t *guest_serve_program(int64_t code, const char *out, const char *err)
{
    json_t *request = guest_hear("guest-exec");
    guest_say("{\"return\": {\"pid\": 42}}\n");
    json_decref(guest_hear("guest-exec-status"));
    say_exited(code, out, err);
    return request;
}

static void serve_sync(void)
{
    auto_json json_t *request = guest_hear("guest-sync-delimited");
    answer_sync(request);
}

void guest_sync_up(void)
{
    serve_sync();
    guest_serve("guest-info", NULL, INFO(""));
    host_wait_ready();
}

void guest_become(const char *info)
{
    host.n_ready = 0;
    agent_restart(host.agent);
    serve_sync();
    guest_serve("guest-info", NULL, info);
}

void guest_become_windows(void)
{
    guest_become(INFO(WITH_OS));
    guest_serve("guest-get-osinfo", NULL, WINDOWS_OS);
    host_wait_ready();
}

/* --- What a request asks for ----------------------------------------------------------------- */

const char *request_path(const json_t *request)
{
    return json_get_string(json_object_get(request, "arguments"), "path", "");
}

const char *request_last_word(const json_t *request)
{
    const json_t *words = json_object_get(json_object_get(request, "arguments"), "arg");
    return json_string_value(json_array_get(words, json_array_size(words) - 1));
}

bool request_has_word(const json_t *request, const char *word)
{
    const json_t *words = json_object_get(json_object_get(request, "arguments"), "arg");
    for (size_t i = 0; i < json_array_size(words); i++)
        if (strcmp(json_string_value(json_array_get(words, i)), word) == 0)
            return true;
    return false;
}

void request_expect_script(const json_t *request, const char *op)
{
    auto_buf struct buf units = BUF_INIT, text = BUF_INIT;
    const char *coded = request_last_word(request);
    char first[64];
    cr_assert(eq(int, strcmp(request_path(request), "powershell.exe"), 0), "%s", request_path(request));
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
    snprintf(host.ops_of_guest, sizeof host.ops_of_guest, "%s", buf_str(&text));
    host.n_ready++;
}

static void handle_lost(void *data maybe_unused)
{
    host.n_lost++;
}

static void handle_closed(void *data maybe_unused, const struct error *why maybe_unused)
{
    host.n_closed++;
}

static void handle_event(void *data maybe_unused, const json_t *event maybe_unused)
{
    host_run.n_events++;
}

static void handle_data(void *data maybe_unused, enum agent_stream stream, const uint8_t *bytes,
                        size_t size)
{
    buf_append(stream == AGENT_STDOUT ? &host_run.out : &host_run.err, bytes, size);
    if (!host_run.is_slow)
        agent_call_consumed(host_run.call, size);
}

static void handle_eof(void *data maybe_unused, enum agent_stream stream maybe_unused)
{
    host_run.n_eofs++;
}

static void handle_writable(void *data maybe_unused)
{
    host_run.n_writable++;
}

static void handle_end(void *data maybe_unused, const json_t *result, const struct error *err)
{
    host_run.n_ends++;
    host_run.call = NULL;
    host_run.result = json_deep_copy(result);
    if (err)
        host_run.error = *err;
}

/* Armed anew: it may come due before the turn begins to wait, and something has to end that. */
static void handle_tick(void *data maybe_unused)
{
    timer_start(tick, 5000);
}

void host_start(void)
{
    static const struct agent_ops ops = { handle_ready, handle_lost, handle_closed };
    int fds[2], r = loop_init(&loop);
    cr_assert(eq(int, r, 0));
    r = sock_pair(fds, NULL);
    cr_assert(eq(int, r, 0));
    guest_port = fds[1];
    tick = timer_new(&loop, handle_tick, NULL);
    r = agent_new_qga(&host.agent, &loop, fds[0], &ops, NULL, NULL);
    cr_assert(eq(int, r, 0));
    guest_sync_up();
}

void host_stop(void)
{
    host.agent = agent_free(host.agent);
    buf_deinit(&heard);
    buf_deinit(&host_run.out);
    buf_deinit(&host_run.err);
    json_decref(host_run.result);
    timer_free(tick);
    close(guest_port);
    loop_deinit(&loop);
}

void host_turn(void)
{
    timer_start(tick, 5000);
    loop_turn(&loop, true);
}

void host_wait_ready(void)
{
    while (host.n_ready == 0)
        host_turn();
}

void host_begin(json_t *request)
{
    static const struct agent_call_ops ops = { handle_event, handle_data, handle_eof,
                                               handle_writable, handle_end };
    host_run.call = agent_call_new(host.agent, request, &ops, NULL, TEST_LIMIT_US);
    cr_assert_not_null(host_run.call);
}

void host_finish(void)
{
    int64_t until_us = clock_now_us() + TEST_LIMIT_US;
    while (host_run.n_ends == 0) {
        host_turn();
        cr_assert(lt(long, clock_now_us(), until_us));
    }
}

void host_again(void)
{
    buf_deinit(&host_run.out);
    buf_deinit(&host_run.err);
    json_decref(host_run.result);
    host_run = (struct host_run){ 0 };
}

void expect_ping(void)
{
    host_again();
    host_begin(json_pack("{s:s}", "op", "ping"));
    guest_serve("guest-ping", NULL, "{\"return\": {}}\n");
    host_finish();
    cr_assert_not_null(host_run.result);
}
