/* Commands by way of the QEMU guest agent.
 *
 * On Linux another user and a directory are made with runuser or setpriv and with sh. Signals go to
 * the process itself, not to what it started. On Windows commands run as the agent's own user, which
 * is LocalSystem, in session 0; hypervisor/windows-script.h makes what is asked. */
#include "hypervisor/qga-call.h"

#include "base/clock.h"
#include "hypervisor/windows-script.h"
#include "hypervisor/windows.h"

#include <stdio.h>
#include <string.h>

/* --- The end ---------------------------------------------------------------------------------- */

static json_t *number_or_null(const json_t *value)
{
    return json_is_integer(value) ? json_integer(json_integer_value(value)) : json_null();
}

/* What ended a process of Windows is its exit status as well: the guest agent calls the numbers of
 * exceptions (0xc0000005) signals, and none is one. */
static void set_exit(const struct qga_call *self, const json_t *status, json_t *result)
{
    const json_t *code = json_object_get(status, "exitcode"), *signal = json_object_get(status, "signal");
    if (self->qga->is_windows) {
        code = json_is_integer(code) ? code : signal;
        signal = NULL;
    }
    json_object_set_new(result, "exit", number_or_null(code));
    json_object_set_new(result, "signal", number_or_null(signal));
    if (self->qga->is_windows && json_is_integer(code))
        json_object_set_new(result, "exit", json_integer((uint32_t)json_integer_value(code)));
}

/* Whether the script that runs a program of Windows could not start it; then the call has ended. */
static bool could_not_start(struct qga_call *self, const json_t *result)
{
    int64_t status = json_get_int(result, "exit", 0);
    struct error err;
    if (!self->is_wrapped || (status & ~(int64_t)0xffff) != WINDOWS_NOT_STARTED)
        return false;
    agent_guest_error(&err, self->name, windows_error_code(status & 0xffff),
                      self->out[1].size ? buf_str(&self->out[1]) : "it could not be started");
    qga_call_end(self, NULL, &err);
    return true;
}

static void handle_exit(struct qga_call *self, const json_t *status)
{
    if (qga_call_append(self, 0, status, "out-data") < 0 || qga_call_append(self, 1, status, "err-data") < 0) {
        qga_call_fail(self, ERROR_GUEST_FAILED, "the guest's agent answered something else than base64");
        return;
    }
    auto_json json_t *result = json_pack("{s:b, s:I, s:b}", "timed_out", self->is_killed, "duration_us",
                                         (json_int_t)(clock_now_us() - self->started_us), "truncated",
                                         json_get_bool(status, "out-truncated", false) ||
                                             json_get_bool(status, "err-truncated", false));
    set_exit(self, status, result);
    if (could_not_start(self, result))
        return;
    self->result = json_incref(result);
    qga_call_deliver(self);
}

static void handle_started(struct qga_call *self)
{
    int64_t limit_us = json_get_int(self->request, "timeout_us", 0);
    if (limit_us > 0)
        self->kill_at_us = self->started_us + MIN(limit_us, (int64_t)1 << 50);
    auto_json json_t *event = json_pack("{s:I}", "pid", (json_int_t)self->pid);
    if (self->ops->on_event && event)
        self->ops->on_event(self->data, event);
}

/* --- Linux ------------------------------------------------------------------------------------ */

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

static json_t *linux_exec(struct qga_call *self, struct error *err)
{
    json_t *words = make_words(self->request);
    if (!words) {
        error_set(err, ERROR_BAD_VALUE, "exec: argv or command, and a user by name, are needed");
        return NULL;
    }
    json_t *path = json_incref(json_array_get(words, 0));
    json_array_remove(words, 0);
    return json_pack("{s:o, s:o, s:o, s:b}", "path", path, "arg", words, "env", make_env(self->request),
                     "capture-output", 1);
}

/* --- Starting --------------------------------------------------------------------------------- */

static void start_program(struct qga_call *self)
{
    struct error err = { 0 };
    json_t *args = self->qga->is_windows ? windows_exec(self->request, &err) : linux_exec(self, &err);
    self->is_started = self->feeds_program = true;
    self->is_wrapped = args && strcmp(json_get_string(args, "path", ""), WINDOWS_POWERSHELL) == 0;
    if (args)
        qga_run(self, args, handle_started, handle_exit);
    else
        qga_call_end(self, NULL, &err);
}

void qga_exec_go_on(struct qga_call *self)
{
    if (!self->is_started && self->has_in_eof)
        start_program(self);
}

/* Why it cannot be had, or NULL. */
static const char *lack(const struct qga_call *self)
{
    const json_t *user = json_object_get(self->request, "user"), *group = json_object_get(self->request, "group");
    if (json_object_get(self->request, "rlimits"))
        return "the QEMU guest agent sets no limits";
    if (self->qga->is_windows && (user || group))
        return "commands run as LocalSystem on Windows: another user needs that one's password";
    if (group && !json_is_integer(user))
        return "the QEMU guest agent sets a group only for a user given by number";
    return NULL;
}

void qga_exec_begin(struct qga_call *self)
{
    const char *what = lack(self);
    self->has_second = true;
    if (what)
        qga_call_fail(self, ERROR_UNSUPPORTED, what);
    else if (!json_get_bool(self->request, "stdin", false))
        start_program(self);
}

void qga_exec_tick(struct qga_call *self, int64_t now_us)
{
    if (!self->kill_at_us || now_us < self->kill_at_us)
        return;
    self->kill_at_us = 0;
    self->is_killed = true;
    qga_call_signal(self, "KILL");
}
