/* Commands by way of the QEMU guest agent.
 *
 * guest-exec captures the output and hands it over at the end, which is asked for with
 * guest-exec-status after 5 ms and then less and less often, up to every 250 ms. Another user and a
 * directory are made with runuser or setpriv and with sh, so they need a Linux guest.
 * Signals go to the process itself, not to what it started. */
#include "hypervisor/qga-call.h"

#include "base/clock.h"

#include <stdio.h>
#include <string.h>

#define POLL_FIRST_US 5000
#define POLL_MAX_US 250000

static void handle_status(struct qga_call *self, const json_t *ret, const struct error *err)
{
    if (!qga_call_take(self, err))
        return;
    if (!json_get_bool(ret, "exited", false)) {
        self->poll_us = MIN(self->poll_us * 3 / 2, (int64_t)POLL_MAX_US);
        self->poll_at_us = clock_now_us() + self->poll_us;
        return;
    }
    if (qga_call_append(self, 0, ret, "out-data") < 0 || qga_call_append(self, 1, ret, "err-data") < 0) {
        self->pid = 0;
        qga_call_fail(self, ERROR_GUEST_FAILED, "the guest's agent answered something else than base64");
        return;
    }
    const json_t *code = json_object_get(ret, "exitcode"), *signal = json_object_get(ret, "signal");
    self->result = json_pack("{s:o, s:o, s:b, s:I, s:b}", "exit",
                             json_is_integer(code) ? json_integer(json_integer_value(code)) : json_null(),
                             "signal",
                             json_is_integer(signal) ? json_integer(json_integer_value(signal))
                                                     : json_null(),
                             "timed_out", self->is_killed, "duration_us",
                             (json_int_t)(clock_now_us() - self->started_us), "truncated",
                             json_get_bool(ret, "out-truncated", false) ||
                                 json_get_bool(ret, "err-truncated", false));
    qga_call_deliver(self);
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
    int64_t limit_us = json_get_int(self->request, "timeout_us", 0);
    if (limit_us > 0)
        self->kill_at_us = self->started_us + MIN(limit_us, (int64_t)1 << 50);
    auto_json json_t *event = json_pack("{s:I}", "pid", (json_int_t)self->pid);
    if (self->ops->on_event && event)
        self->ops->on_event(self->data, event);
}

static void add(json_t *list, const char *text)
{
    json_array_append_new(list, json_string(text));
}

/* How another user is become: by name with all groups, by number with one. */
static bool add_user(const json_t *request, json_t *words)
{
    const json_t *user = json_object_get(request, "user"), *group = json_object_get(request, "group");
    const char *name = json_string_value(user);
    if (json_is_integer(user)) {
        json_int_t uid = json_integer_value(user);
        json_int_t gid = json_is_integer(group) ? json_integer_value(group) : uid;
        add(words, "setpriv");
        json_array_append_new(words, json_sprintf("--reuid=%lld", (long long)uid));
        json_array_append_new(words, json_sprintf("--regid=%lld", (long long)gid));
        add(words, "--clear-groups");
        add(words, "--");
        return uid >= 0 && gid >= 0;
    }
    if (!user || (name && strcmp(name, "root") == 0))
        return true;
    if (!name || !qga_call_is_clean(name))
        return false;
    add(words, "runuser");
    add(words, "-u");
    add(words, name);
    add(words, "--");
    return true;
}

/* What comes before the command itself. False: it cannot be had. */
static bool add_prefix(const json_t *request, json_t *words)
{
    const char *cwd = json_get_string(request, "cwd", NULL);
    if (!add_user(request, words))
        return false;
    if (cwd) {
        static const char *const change[] = { "/bin/sh", "-c", "cd -- \"$1\" && shift && exec \"$@\"",
                                              "sh" };
        for (size_t i = 0; i < ARRAY_LEN(change); i++)
            add(words, change[i]);
        add(words, cwd);
    }
    return true;
}

static json_t *make_words(const json_t *request)
{
    json_t *words = json_array();
    const json_t *argv = json_object_get(request, "argv");
    const char *command = json_get_string(request, "command", NULL);
    bool is_good = add_prefix(request, words) && json_array_size(argv) <= QGA_ARGS_MAX;
    if (command && !argv) {
        add(words, "/bin/sh");
        add(words, "-c");
        add(words, command);
    }
    for (size_t i = 0; is_good && i < json_array_size(argv); i++) {
        is_good = json_is_string(json_array_get(argv, i));
        json_array_append(words, json_array_get(argv, i));
    }
    if (is_good && (command || json_array_size(argv) > 0))
        return words;
    json_decref(words);
    return NULL;
}

static json_t *make_env(const json_t *request)
{
    const char *user = json_get_string(request, "user", "root"), *name;
    bool is_root = strcmp(user, "root") == 0;
    char home[128];
    snprintf(home, sizeof home, is_root ? "/root" : "/home/%s", user);
    json_t *value;
    auto_json json_t *map =
        json_pack("{s:s, s:s, s:s, s:s, s:s}", "PATH",
                  "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG", "C.UTF-8",
                  "HOME", home, "USER", is_root ? "root" : user, "LOGNAME", is_root ? "root" : user);
    json_object_foreach(json_object_get(request, "env"), name, value) {
        if (json_is_null(value))
            json_object_del(map, name);
        else if (json_is_string(value) && *name && !strchr(name, '='))
            json_object_set(map, name, value);
    }
    json_t *list = json_array();
    json_object_foreach(map, name, value)
        json_array_append_new(list, json_sprintf("%s=%s", name, json_string_value(value)));
    return list;
}

static void start_program(struct qga_call *self)
{
    self->is_started = true;
    json_t *words = make_words(self->request);
    if (!words) {
        qga_call_fail(self, ERROR_BAD_VALUE, "argv or command, and a user by name, are needed");
        return;
    }
    json_t *path = json_incref(json_array_get(words, 0));
    json_array_remove(words, 0);
    json_t *args = json_pack("{s:o, s:o, s:o, s:b}", "path", path, "arg", words, "env",
                             make_env(self->request), "capture-output", 1);
    if (self->in.size > 0) {
        auto_buf struct buf text = BUF_INIT;
        buf_append_base64(&text, self->in.data, self->in.size);
        json_object_set_new(args, "input-data", json_string(buf_str(&text)));
    }
    qga_call_ask(self, "guest-exec", args, handle_started);
}

void qga_exec_go_on(struct qga_call *self)
{
    if (!self->is_started && self->has_in_eof)
        start_program(self);
}

void qga_exec_begin(struct qga_call *self)
{
    self->has_second = true;
    bool has_uid = json_is_integer(json_object_get(self->request, "user"));
    if (json_object_get(self->request, "rlimits") ||
        (json_object_get(self->request, "group") && !has_uid))
        qga_call_fail(self, ERROR_UNSUPPORTED,
             "the QEMU guest agent sets no limits, and a group only for a user given by number");
    else if (!json_get_bool(self->request, "stdin", false))
        start_program(self);
}

void qga_exec_tick(struct qga_call *self, int64_t now_us)
{
    if (self->kill_at_us && now_us >= self->kill_at_us) {
        self->kill_at_us = 0;
        self->is_killed = true;
        qga_call_signal(self, "KILL");
    }
    if (!self->poll_at_us || now_us < self->poll_at_us)
        return;
    self->poll_at_us = 0;
    qga_call_ask(self, "guest-exec-status", json_pack("{s:I}", "pid", (json_int_t)self->pid), handle_status);
}
