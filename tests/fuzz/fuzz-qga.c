/* What a guest may say in place of its QEMU guest agent: a command, a file to read and one to write
 * wait, and what a Windows guest would be asked beside that. Byte 0 says in how large pieces it arrives; the
 * guest answers the sync with 7. Every call ends exactly once. The same bytes are also a path, a word and
 * a script's output of Windows. */
#include "base/sock.h"
#include "hypervisor/qga.h"
#include "hypervisor/windows-script.h"
#include "hypervisor/windows.h"

#include <string.h>

#define SYNC 7

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct watcher {
    struct agent *agent;
    int n_calls, n_ends;
    bool has_called;
};

static void require(bool is_true)
{
    if (!is_true)
        abort();
}

static void handle_data(void *data maybe_unused, enum agent_stream stream, const uint8_t *bytes,
                        size_t size)
{
    require(stream == AGENT_STDOUT || stream == AGENT_STDERR);
    require(size > 0 && size <= AGENT_PAYLOAD_MAX && bytes);
}

static void handle_end(void *data, const json_t *result, const struct error *err)
{
    struct watcher *self = data;
    require(!result == !!err);
    self->n_ends++;
}

static void handle_ready(void *data, const json_t *welcome)
{
    static const struct agent_call_ops ops = { .on_data = handle_data, .on_end = handle_end };
    static const char *const requests[] = {
        "{\"op\": \"exec\", \"command\": \"true\"}", "{\"op\": \"read\", \"path\": \"/a\"}",
        "{\"op\": \"write\", \"path\": \"/a\"}", "{\"op\": \"clock\", \"wall_us\": 5000000}",
        "{\"op\": \"facts\"}", "{\"op\": \"freeze\"}", "{\"op\": \"list\", \"path\": \"C:\\\\\"}",
        "{\"op\": \"read\", \"path\": \"C:\\\\a\"}", "{\"op\": \"exec\", \"argv\": [\"a.exe\"]}",
    };
    struct watcher *self = data;
    require(json_is_object(welcome));
    for (size_t i = 0; i < ARRAY_LEN(requests) && !self->has_called; i++) {
        json_t *request = json_loads(requests[i], 0, NULL);
        struct agent_call *call = agent_call_new(self->agent, request, &ops, self, 0);
        require(call);
        self->n_calls++;
        if (i == 2)
            agent_call_write(call, "input", 5);
    }
    self->has_called = true;
}

/* Quoting gives a word that a count of its quotes shows to be whole; the rest must only not fall over. */
static void try_windows(const uint8_t *data, size_t size)
{
    auto_buf struct buf line = BUF_INIT, coded = BUF_INIT;
    struct error err;
    size_t rest = size;
    auto_free char *text = strndup((const char *)data, size);
    require(text);
    windows_quote(&line, text);
    require(line.size >= strlen(text));
    windows_encode(&coded, text);
    windows_path_fault(text);
    windows_is_batch(text);
    windows_message_code(text);
    auto_json json_t *result = windows_result("x", data, &rest, &err);
    require(rest <= size);
    auto_json json_t *request = json_pack("{s:s}", "command", text); /* NULL: it is no UTF-8 */
    auto_json json_t *args = request ? windows_exec(request, &err) : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct agent_ops ops = { .on_ready = handle_ready };
    struct watcher watcher = { 0 };
    struct loop loop;
    int fds[2];
    if (size < 1 || loop_init(&loop) < 0)
        return 0;
    try_windows(data + 1, size - 1);
    require(sock_pair(fds, NULL) == 0);
    require(agent_new_qga(&watcher.agent, &loop, fds[0], &ops, &watcher, NULL) == 0);
    qga_set_sync(watcher.agent, SYNC);
    /* A command is only answered once it is out, so each line gets a turn. */
    size_t step = data[0] ? data[0] * 4u : size;
    for (size_t at = 1; at < size;) {
        const uint8_t *end = memchr(data + at, '\n', size - at);
        size_t n = MIN(step, end ? (size_t)(end + 1 - (data + at)) : size - at);
        qga_feed(watcher.agent, data + at, n);
        loop_turn(&loop, false);
        loop_turn(&loop, false);
        at += n;
    }
    agent_free(watcher.agent);
    require(watcher.n_ends == watcher.n_calls);
    close(fds[1]);
    loop_deinit(&loop);
    return 0;
}
