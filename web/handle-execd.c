/* The small parts of the execd protocol: whether it is there, what the guest uses, what goes out of
 * it, and what is not supported. */
#include "base/clock.h"
#include "hypervisor/agent.h"
#include "web/event.h"
#include "web/execd.h"
#include "web/inside.h"
#include "web/route.h"
#include "web/server.h"
#include "web/stream.h"

#include <string.h>

#define ANSWER_US 5000000
#define WATCH_US 1000000
#define MIB (1024.0 * 1024)

/* --- Ping ---------------------------------------------------------------------------------------
 */

static void answer_ping(struct request *request, const json_t *result maybe_unused)
{
    static const char text[] = "pong\n";
    request_answer_bytes(request, 200, "text/plain; charset=utf-8",
                         bytes_copy(text, sizeof text - 1));
}

/* A round trip: an agent that hangs is not healthy. */
void handle_execd_ping(struct request *self)
{
    inside_ask(self, json_pack("{s:s}", "op", "ping"), ANSWER_US, answer_ping);
}

/* --- Metrics ------------------------------------------------------------------------------------
 */

static json_t *metrics_json(const json_t *result)
{
    double total = json_get_number(result, "mem_total_bytes", 0);
    double available = json_get_number(result, "mem_available_bytes", 0);
    return json_pack("{s:f,s:f,s:f,s:f,s:I}", "cpu_count", json_get_number(result, "cpu_count", 0),
                     "cpu_used_pct", json_get_number(result, "cpu_used_pct", 0), "mem_total_mib",
                     total / MIB, "mem_used_mib", MAX(total - available, 0) / MIB, "timestamp",
                     (json_int_t)(clock_wall_us() / 1000));
}

static void answer_metrics(struct request *request, const json_t *result)
{
    request_answer_json(request, 200, metrics_json(result));
}

void handle_guest_metrics(struct request *self)
{
    inside_ask(self, json_pack("{s:s}", "op", "metrics"), ANSWER_US, answer_metrics);
}

/* --- Metrics, again and again -------------------------------------------------------------------
 */

struct watching {
    struct request *request; /* until the first answer */
    struct sandbox *sandbox; /* a reference */
    struct stream *stream;   /* from then on */
    struct agent_call *call;
    struct timer *timer;
    enum event_format format;
};

static void watching_free(struct watching *self)
{
    agent_call_cancel(self->call);
    timer_free(self->timer);
    sandbox_unref(self->sandbox);
    free(self);
}

static void handle_watcher_gone(void *data)
{
    watching_free(data);
}

static int ask_metrics(struct watching *self, struct error *err);

static void end_watching(struct watching *self, const struct error *err)
{
    if (self->stream)
        stream_end(self->stream);
    else
        request_answer_error(self->request, err);
    watching_free(self);
}

static void handle_tick(void *data)
{
    struct watching *self = data;
    struct error err = { 0 };
    if (ask_metrics(self, &err) < 0)
        end_watching(self, &err);
}

static void handle_metrics_end(void *data, const json_t *result, const struct error *err)
{
    static const struct stream_ops ops = { .on_gone = handle_watcher_gone };
    struct watching *self = data;
    self->call = NULL;
    if (!err && !self->stream)
        self->stream = stream_new(self->request, 200, event_content_type(self->format), -1, &ops,
                                  self);
    if (err || !self->stream) {
        end_watching(self, err);
        return;
    }
    /* A caller who does not read misses some: each is the newest. */
    if (!stream_is_full(self->stream)) {
        event_json(stream_begin_piece(self->stream), self->format, metrics_json(result));
        stream_end_piece(self->stream);
    }
    timer_start(self->timer, WATCH_US);
}

static int ask_metrics(struct watching *self, struct error *err)
{
    static const struct agent_call_ops ops = { .on_end = handle_metrics_end };
    struct agent *agent = sandbox_agent(self->sandbox, err);
    if (!agent)
        return -1;
    self->call = agent_call_new(agent, json_pack("{s:s}", "op", "metrics"), &ops, self, ANSWER_US);
    return self->call ? 0 : error_set(err, ERROR_BUSY, "too much is running in this guest");
}

void handle_guest_metrics_watch(struct request *self)
{
    struct error err = { 0 };
    struct sandbox *sandbox = execd_sandbox(self);
    struct watching *watching = sandbox ? calloc(1, sizeof *watching) : NULL;
    if (!sandbox)
        return;
    if (watching) {
        watching->request = self;
        watching->sandbox = sandbox_ref(sandbox);
        watching->format = event_format(self->accept);
        watching->timer = timer_new(self->web->loop, handle_tick, watching);
    }
    if (!watching || !watching->timer)
        error_set(&err, ERROR_INTERNAL, "out of memory");
    else if (ask_metrics(watching, &err) == 0) {
        request_on_gone(self, handle_watcher_gone, watching);
        return;
    }
    request_answer_error(self, &err);
    if (watching)
        watching_free(watching);
}

/* --- Egress -------------------------------------------------------------------------------------
 */

/* What the sandbox's network is, in the protocol's words. */
void handle_egress_get(struct request *self)
{
    struct sandbox *sandbox = execd_sandbox(self);
    if (!sandbox)
        return;
    auto_json json_t *shown = sandbox_json(sandbox);
    const char *network = json_get_string(shown, "network", "none");
    bool is_open = strcmp(network, "none") != 0;
    request_answer_json(self, 200,
                        json_pack("{s:s,s:s,s:{s:s,s:[]}}", "status", "ok", "mode", network,
                                  "policy", "defaultAction", is_open ? "allow" : "deny", "egress"));
}

/* --- What there is not --------------------------------------------------------------------------
 */

static void refuse(struct request *self, const char *text)
{
    struct error err = { 0 };
    if (!execd_sandbox(self))
        return;
    error_set(&err, ERROR_UNSUPPORTED, "%s", text);
    request_answer_error(self, &err);
}

static void refuse_rules(struct request *self)
{
    refuse(self, "rules of a running sandbox cannot be changed; choose network nat or none when it "
                 "is created");
}

void handle_egress_patch(struct request *self)
{
    refuse_rules(self);
}

void handle_egress_delete(struct request *self)
{
    refuse_rules(self);
}

static const char no_isolation[] =
    "there are no sandboxes inside a sandbox; create one more, or run the command as another user";

void handle_isolated_capabilities(struct request *self)
{
    if (execd_sandbox(self))
        request_answer_json(
            self, 200, json_pack("{s:b,s:s}", "available", 0, "message", no_isolation));
}

void handle_isolated_list(struct request *self)
{
    refuse(self, no_isolation);
}

void handle_isolated_create(struct request *self)
{
    refuse(self, no_isolation);
}

static void refuse_code(struct request *self)
{
    refuse(self, "there are no language kernels in the guests; run an interpreter as a command");
}

void handle_code_run(struct request *self)
{
    refuse_code(self);
}

void handle_code_interrupt(struct request *self)
{
    refuse_code(self);
}

void handle_code_context_create(struct request *self)
{
    refuse_code(self);
}

void handle_code_context_list(struct request *self)
{
    refuse_code(self);
}

void handle_code_context_clear(struct request *self)
{
    refuse_code(self);
}

void handle_code_context_get(struct request *self)
{
    refuse_code(self);
}

void handle_code_context_delete(struct request *self)
{
    refuse_code(self);
}
