/* The table of operations, and how each kind is run. */
#include "images/agent/ops.h"

#include "base/clock.h"
#include "images/agent/helper.h"
#include "images/agent/port.h"

#include <string.h>
#include <sys/utsname.h>

static const struct op {
    const char *name;
    json_t *(*now)(const json_t *request);
    void (*start)(struct channel *channel, const json_t *request);
    work_fn work;
    bool has_stdin; /* of work */
} table[] = {
    { "ping", .now = system_ping },
    { "metrics", .now = system_metrics },
    { "clock", .now = system_clock },
    { "hostname", .now = system_hostname },
    { "entropy", .now = system_entropy },
    { "reset", .now = system_reset },
    { "exec", .start = exec_start },
    { "pty", .start = pty_start },
    { "tar", .start = tar_start },
    { "tcp", .start = tcp_start },
    { "stat", .work = files_stat },
    { "list", .work = files_list },
    { "read", .work = files_read },
    { "write", .work = files_write, .has_stdin = true },
    { "mkdir", .work = files_mkdir },
    { "move", .work = files_move },
    { "remove", .work = files_remove },
    { "permissions", .work = files_permissions },
    { "search", .work = search_run },
    { "replace", .work = search_replace },
    { "watch", .work = watch_run },
};

json_t *ops_welcome(void)
{
    struct utsname name = { 0 };
    uname(&name);
    json_t *ops = json_array();
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        json_array_append_new(ops, json_string(table[i].name));
    return json_pack("{s:i, s:s, s:s, s:s, s:o}", "version", AGENT_VERSION, "system", name.sysname,
                     "release", name.release, "machine", name.machine, "ops", ops);
}

static void start_work(struct channel *channel, const struct op *op, const json_t *request)
{
    struct spawn spec = { .work = op->work, .request = request, .has_stdin = op->has_stdin };
    if (user_find(request, &spec.user) < 0) {
        channel_fail(channel, "bad_value", "no such user or group");
        return;
    }
    int r = channel_spawn(channel, &spec);
    if (r < 0)
        channel_fail(channel, "failed", "%s: %s", op->name, strerror(-r));
    else
        channel_start(channel);
}

static void run(struct channel *channel, const json_t *request)
{
    const char *name = json_get_string(request, "op", "");
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        const struct op *op = &table[i];
        if (strcmp(op->name, name) != 0)
            continue;
        if (op->now)
            channel_end(channel, op->now(request));
        else if (op->start)
            op->start(channel, request);
        else
            start_work(channel, op, request);
        return;
    }
    channel_fail(channel, "unsupported", "this agent has no such operation");
}

void ops_request(uint16_t number, const uint8_t *json, size_t size)
{
    struct channel *open = channel_find(number);
    if (open) {
        channel_fail(open, "protocol", "a second request on an open channel");
        return;
    }
    struct channel *channel = channel_new(number);
    if (!channel) {
        port_send_json(AGENT_END, number, channel_error("busy", "too much is running"));
        return;
    }
    auto_json json_t *request = NULL;
    struct error err = { 0 };
    if (json_parse_object((const char *)json, size, &request, &err) < 0) {
        channel_fail(channel, "bad_json", "%s", err.message);
        return;
    }
    int64_t timeout_us = json_get_int(request, "timeout_us", 0);
    if (timeout_us > 0)
        channel->timeout_at_us = clock_now_us() + MIN(timeout_us, (int64_t)1 << 50);
    if (strncmp(json_get_string(request, "op", ""), "desktop.", 8) == 0)
        helper_start(channel, json, size);
    else
        run(channel, request);
}
