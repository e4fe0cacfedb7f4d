/* Programs by way of the QEMU guest agent, for the operations that need one.
 *
 * guest-exec captures the output and hands it over at the end, which is asked for with
 * guest-exec-status after 5 ms and then less and less often, up to every 250 ms. */
#include "hypervisor/qga-call.h"

#include "base/clock.h"
#include "hypervisor/windows-script.h"

#include <stdio.h>
#include <string.h>

#define POLL_FIRST_US 5000
#define POLL_MAX_US 250000

/* An agent that was started again, perhaps with its guest, knows none of the processes before. */
static void lose_program(struct qga_call *self, const struct error *err)
{
    struct error gone;
    self->pid = 0;
    error_set(&gone, ERROR_GUEST_GONE, "%s: the guest or its agent was started again meanwhile (%s)", self->name,
              err->message);
    qga_call_end(self, NULL, err->code == ERROR_GUEST_FAILED ? &gone : err);
}

static void handle_status(struct qga_call *self, const json_t *ret, const struct error *err)
{
    if (err) {
        self->is_asking = false;
        lose_program(self, err);
        return;
    }
    self->is_asking = false;
    if (!json_get_bool(ret, "exited", false)) {
        self->poll_us = MIN(self->poll_us * 3 / 2, (int64_t)POLL_MAX_US);
        self->poll_at_us = clock_now_us() + self->poll_us;
        return;
    }
    self->pid = 0;
    self->on_exit(self, ret);
}

static void handle_started(struct qga_call *self, const json_t *ret, const struct error *err)
{
    if (!qga_call_take(self, err))
        return;
    self->pid = json_get_int(ret, "pid", 0);
    if (self->pid <= 0) {
        self->pid = 0;
        qga_call_fail(self, ERROR_GUEST_FAILED, "the guest's agent did not tell a pid");
        return;
    }
    self->started_us = clock_now_us();
    self->poll_us = POLL_FIRST_US;
    self->poll_at_us = self->started_us + POLL_FIRST_US;
    if (self->on_start)
        self->on_start(self);
}

void qga_run(struct qga_call *self, json_t *args, void (*on_start)(struct qga_call *self), qga_exit_fn on_exit)
{
    self->on_start = on_start;
    self->on_exit = on_exit;
    if (self->feeds_program && self->in.size > 0) {
        auto_buf struct buf text = BUF_INIT;
        buf_append_base64(&text, self->in.data, self->in.size);
        json_object_set_new(args, "input-data", json_string(buf_str(&text)));
        self->in.size = 0;
    }
    qga_call_ask(self, "guest-exec", args, handle_started);
}

void qga_run_tick(struct qga_call *self, int64_t now_us)
{
    if (!self->poll_at_us || now_us < self->poll_at_us)
        return;
    self->poll_at_us = 0;
    qga_call_ask(self, "guest-exec-status", json_pack("{s:I}", "pid", (json_int_t)self->pid), handle_status);
}

/* --- Scripts of Windows ----------------------------------------------------------------------- */

/* What it sent goes to out[0]. NULL: err says what it came to. */
static json_t *take_result(struct qga_call *self, const json_t *status, struct error *err)
{
    size_t before = self->out[0].size;
    if (qga_call_append(self, 0, status, "out-data") < 0) {
        error_set(err, ERROR_GUEST_FAILED, "the guest's agent answered something else than base64");
        return NULL;
    }
    size_t size = self->out[0].size - before;
    json_t *result = windows_result(self->name, self->out[0].data + before, &size, err);
    if (json_get_bool(status, "out-truncated", false)) {
        json_decref(result);
        result = NULL;
        error_set(err, ERROR_TOO_LARGE, "the guest's agent cut the output off");
    }
    self->out[0].size = before + (result ? size : 0);
    return result;
}

static void handle_script(struct qga_call *self, const json_t *status)
{
    struct error err = { 0 }, told;
    auto_json json_t *result = take_result(self, status, &err);
    if (!result)
        agent_guest_error(&told, self->name, err.code, err.message);
    self->on_script(self, result, result ? NULL : &told);
}

void qga_script(struct qga_call *self, const char *op, const json_t *request, qga_done_fn done)
{
    struct error err = { 0 };
    json_t *args = windows_script(op, request, &err);
    self->on_script = done;
    if (args)
        qga_run(self, args, NULL, handle_script);
    else
        qga_call_end(self, NULL, &err);
}

static void handle_done(struct qga_call *self, const json_t *result, const struct error *err)
{
    if (err) {
        qga_call_end(self, NULL, err);
        return;
    }
    self->result = json_incref((json_t *)(uintptr_t)result);
    qga_call_deliver(self);
}

void qga_script_begin(struct qga_call *self)
{
    if (!self->op->has_input)
        qga_script(self, self->name, self->request, handle_done);
}

void qga_script_go_on(struct qga_call *self)
{
    if (self->op->has_input && self->has_in_eof && !self->is_started) {
        self->is_started = self->feeds_program = true;
        qga_script(self, self->name, self->request, handle_done);
    }
}

/* --- Signals ---------------------------------------------------------------------------------- */

/* Windows has none: INT and TERM ask the windows of the process and of what it started to close, KILL
 * ends them all. A command that has no window does not hear the first. */
static json_t *taskkill(const char *pid, bool is_kill)
{
    json_t *words = json_pack("[s,s,s]", "/T", "/PID", pid);
    if (is_kill)
        json_array_append_new(words, json_string("/F"));
    return json_pack("{s:s, s:o}", "path", "taskkill.exe", "arg", words);
}

int qga_call_signal(struct qga_call *self, const char *name)
{
    char pid[24];
    bool is_kill = strcmp(name, "KILL") == 0;
    snprintf(pid, sizeof pid, "%lld", (long long)self->pid);
    if (!self->qga->is_windows)
        return qga_command(self->qga, "guest-exec",
                           json_pack("{s:s, s:[s,s,s,s,s]}", "path", "/bin/sh", "arg", "-c",
                                     "kill -s \"$1\" \"$2\"", "sh", name, pid), NULL, NULL);
    if (!is_kill && strcmp(name, "INT") != 0 && strcmp(name, "TERM") != 0)
        return -EINVAL;
    return qga_command(self->qga, "guest-exec", taskkill(pid, is_kill), NULL, NULL);
}
