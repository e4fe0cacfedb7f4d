/* exec, pty and tar: programs.
 *
 *   {"op": "exec", "argv": ["ls", "-l"] | "command": "ls | wc -l", "user", "group", "cwd",
 *    "env": {"A": "b"}, "stdin": true, "timeout_us", "rlimits": {"nofile": 64}, "linger_us",
 *    "keep"}
 *   {"op": "pty", the same, "columns": 80, "rows": 24}: argv may be absent (the user's shell)
 *   {"op": "tar", "path": "/dir", "direction": "down" | "up", "user"}
 *
 * A command is given to /bin/sh -c. The environment is a fresh one for the user; request's entries
 * replace it one by one, null removes. */
#include "images/agent/ops.h"

#include <stdio.h>
#include <string.h>

#define ARGS_MAX 1024
#define ENV_MAX 512
#define LINGER_US 200000
#define LINGER_MAX_US 10000000

/* Everything that the strings of argv and envp live in. */
struct program {
    const char *argv[ARGS_MAX + 1];
    char *envp[ENV_MAX + 1];
    int n_envp;
};

static void program_deinit(struct program *self)
{
    for (int i = 0; i < self->n_envp; i++)
        free(self->envp[i]);
}
#define auto_program __attribute__((cleanup(program_deinit)))

static void env_unset(struct program *self, const char *name)
{
    size_t size = strlen(name);
    for (int i = 0; i < self->n_envp; i++) {
        if (strncmp(self->envp[i], name, size) != 0 || self->envp[i][size] != '=')
            continue;
        free(self->envp[i]);
        self->envp[i] = self->envp[--self->n_envp];
        self->envp[self->n_envp] = NULL;
        return;
    }
}

static bool env_set(struct program *self, const char *name, const char *value)
{
    env_unset(self, name);
    char *text;
    if (self->n_envp >= ENV_MAX || asprintf(&text, "%s=%s", name, value) < 0)
        return false;
    self->envp[self->n_envp++] = text;
    return true;
}

static void set_base_env(struct program *self, const struct user *user, bool is_pty)
{
    char runtime[64], bus[96];
    env_set(self, "PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    env_set(self, "LANG", "C.UTF-8");
    env_set(self, "HOME", user->home);
    env_set(self, "SHELL", user->shell);
    if (user->name[0]) {
        env_set(self, "USER", user->name);
        env_set(self, "LOGNAME", user->name);
    }
    if (is_pty)
        env_set(self, "TERM", "xterm-256color");
    /* The desktop, where there is one: what a program needs to show a window. */
    if (access("/tmp/.X11-unix/X0", F_OK) == 0)
        env_set(self, "DISPLAY", ":0");
    snprintf(runtime, sizeof runtime, "/run/user/%u", (unsigned)user->uid);
    if (access(runtime, F_OK) == 0) {
        env_set(self, "XDG_RUNTIME_DIR", runtime);
        snprintf(bus, sizeof bus, "unix:path=%s/bus", runtime);
        env_set(self, "DBUS_SESSION_BUS_ADDRESS", bus);
    }
}

static bool set_env(struct program *self, const json_t *env)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)env, name, value)
    {
        if (!name[0] || strchr(name, '='))
            return false;
        if (json_is_null(value))
            env_unset(self, name);
        else if (!json_is_string(value) || !env_set(self, name, json_string_value(value)))
            return false;
    }
    return true;
}

static bool set_argv(struct program *self, const json_t *argv)
{
    size_t n = json_array_size(argv);
    if (n < 1 || n > ARGS_MAX)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!(self->argv[i] = json_string_value(json_array_get(argv, i))))
            return false;
    return self->argv[0][0] != '\0';
}

static bool set_program(struct program *self, const json_t *request, const struct user *user,
                        bool is_pty)
{
    const char *command = json_get_string(request, "command", NULL);
    if (command) {
        self->argv[0] = "/bin/sh";
        self->argv[1] = "-c";
        self->argv[2] = command;
        return true;
    }
    if (is_pty && !json_object_get(request, "argv")) {
        self->argv[0] = user->shell;
        return true;
    }
    return set_argv(self, json_object_get(request, "argv"));
}

static void start(struct channel *channel, struct spawn *spec)
{
    int r = channel_spawn(channel, spec);
    if (r < 0) {
        channel_fail(channel, "failed", "starting %s: %s", spec->argv[0], strerror(-r));
        return;
    }
    channel_event(channel, json_pack("{s:i}", "pid", (int)channel->pid));
    channel_start(channel);
}

static void start_program(struct channel *channel, const json_t *request, bool is_pty)
{
    auto_program struct program program = { 0 };
    struct spawn spec = {
        .argv = program.argv,
        .envp = program.envp,
        .request = request,
        .has_stdin = json_get_bool(request, "stdin", false),
        .is_pty = is_pty,
        .columns = json_get_int(request, "columns", 80),
        .rows = json_get_int(request, "rows", 24),
    };
    if (user_find(request, &spec.user) < 0) {
        channel_fail(channel, "bad_value", "no such user or group");
        return;
    }
    set_base_env(&program, &spec.user, is_pty);
    if (!set_env(&program, json_object_get(request, "env"))) {
        channel_fail(channel, "bad_value", "env: an object of at most %d strings is needed",
                     ENV_MAX);
        return;
    }
    if (!set_program(&program, request, &spec.user, is_pty)) {
        channel_fail(channel, "bad_value", "argv: 1 to %d strings are needed, or a command",
                     ARGS_MAX);
        return;
    }
    /* A home that does not exist is no reason to fail; a directory that was asked for is. */
    spec.cwd = json_get_string(request, "cwd", NULL);
    if (!spec.cwd)
        spec.cwd = access(spec.user.home, X_OK) == 0 ? spec.user.home : "/";
    channel->keep = json_get_bool(request, "keep", false);
    channel->linger_us = CLAMP(json_get_int(request, "linger_us", LINGER_US), 0, LINGER_MAX_US);
    start(channel, &spec);
}

void exec_start(struct channel *channel, const json_t *request)
{
    start_program(channel, request, false);
}

void pty_start(struct channel *channel, const json_t *request)
{
    start_program(channel, request, true);
}

void tar_start(struct channel *channel, const json_t *request)
{
    auto_program struct program program = { 0 };
    const char *path = json_get_string(request, "path", "");
    bool is_up = strcmp(json_get_string(request, "direction", "down"), "up") == 0;
    const char *down[] = { "tar", "-C", path, "-cf", "-", ".", NULL };
    const char *up[] = { "tar", "-C", path, "--no-same-owner", "-xf", "-", NULL };
    struct spawn spec = { .argv = is_up ? up : down, .envp = program.envp, .has_stdin = is_up };
    if (path[0] != '/') {
        channel_fail(channel, "bad_value", "path: an absolute path is needed");
        return;
    }
    if (user_find(request, &spec.user) < 0) {
        channel_fail(channel, "bad_value", "no such user or group");
        return;
    }
    set_base_env(&program, &spec.user, false);
    start(channel, &spec);
}
