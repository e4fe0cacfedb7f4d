/* What a guest may say to the host's end of its agent: two calls wait, one of them with input. Byte 0
 * says in how large pieces it arrives. The session is the seeds'. Every call ends exactly once. */
#include "base/sock.h"
#include "hypervisor/agent.h"

#define SESSION 0x1122334455667788u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct watcher {
    struct agent *agent;
    struct agent_call *calls[2];
    int n_ends;
    size_t n_bytes;
    bool has_called;
};

static void require(bool is_true)
{
    if (!is_true)
        abort();
}

static void handle_data(void *data, enum agent_stream stream, const uint8_t *bytes, size_t size)
{
    struct watcher *self = data;
    require(stream == AGENT_STDOUT || stream == AGENT_STDERR);
    require(size > 0 && size <= AGENT_PAYLOAD_MAX && bytes);
    self->n_bytes += size; /* never said to be dealt with */
    require(self->n_bytes <= 2 * AGENT_WINDOW);
}

static void handle_end(void *data, const json_t *result, const struct error *err)
{
    struct watcher *self = data;
    require(!result == !!err);
    self->n_ends++;
}

static const struct agent_call_ops call_ops = { .on_data = handle_data, .on_end = handle_end };

static void handle_ready(void *data, const json_t *welcome)
{
    struct watcher *self = data;
    require(json_is_object(welcome));
    if (self->has_called)
        return;
    self->has_called = true;
    for (int i = 0; i < 2; i++)
        self->calls[i] = agent_call_new(self->agent, json_pack("{s:s}", "op", "exec"), &call_ops,
                                        self, 0);
    agent_call_write(self->calls[1], "input", 5);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct agent_ops ops = { .on_ready = handle_ready };
    struct watcher watcher = { 0 };
    struct loop loop;
    int fds[2];
    if (size < 1 || loop_init(&loop) < 0)
        return 0;
    require(sock_pair(fds, NULL) == 0);
    require(agent_new(&watcher.agent, &loop, fds[0], &ops, &watcher, NULL) == 0);
    agent_set_session(watcher.agent, SESSION);
    size_t step = data[0] ? data[0] * 4u : size;
    for (size_t at = 1; at < size; at += step) {
        agent_feed(watcher.agent, data + at, MIN(step, size - at));
        loop_turn(&loop, false);
    }
    agent_free(watcher.agent);
    require(watcher.n_ends == (watcher.has_called ? 2 : 0));
    close(fds[1]);
    loop_deinit(&loop);
    return 0;
}
