/* launch: starts a program of the session and finds its windows.
 *
 *   {"entry": "mousepad"} or {"argv": [...]} or {"urls": ["https://…"]} alone (its usual program)
 *   "urls", "cwd", "env": {name: value}, "wait_us": until a window of it is there (0: do not wait)
 *   → output: {"pid", "windows": [window, …]}; {"pid", "count"}
 *
 * An entry is the name of a .desktop file, as in a menu; without one of that name, a program of
 * that name. A window is its own when it carries the startup id that the program was given, or
 * belongs to the process or one that descends from it. A program that hands the work over to one
 * that runs already (a browser) is found by the startup id where it passes that on; else by a new
 * window of the class that the entry names or is called.
 *
 * The program outlives the helper. Its output goes where the helper's goes. */
#include "images/agent/desktop/desktop.h"
#include "images/agent/desktop/entry.h"
#include "images/agent/desktop/window.h"
#include "images/agent/desktop/x11.h"

#include <X11/Xutil.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define ENTRY_FILE_MAX 65536
#define URLS_MAX 32
#define ENV_MAX 64
#define WAIT_MAX_US 120000000
#define ANCESTORS_MAX 32

extern char **environ;

struct launch {
    struct window_watcher watcher;
    struct task *task;
    pid_t pid;
    char startup_id[96], class[256];
    Window before[WINDOWS_MAX];
    size_t n_before;
    struct entry entry;
    char room[2 * ENTRY_TEXT_MAX];
    const char *argv[ENTRY_ARGS_MAX + 1];
};

/* --- What to start ---------------------------------------------------------------------------- */

static int read_entry(const char *dir, const char *name, struct entry *ret)
{
    char path[4096];
    static char text[ENTRY_FILE_MAX];
    const char *suffix =
        strlen(name) > 8 && strcmp(name + strlen(name) - 8, ".desktop") == 0 ? "" : ".desktop";
    snprintf(path, sizeof path, "%s/applications/%s%s", dir, name, suffix);
    auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text);
    return n > 0 && entry_parse(text, (size_t)n, ret) ? 0 : -ENOENT;
}

static int find_entry(const char *name, struct entry *ret)
{
    char dirs[8192], home[4096];
    const char *given = getenv("XDG_DATA_DIRS"), *data_home = getenv("XDG_DATA_HOME");
    snprintf(home, sizeof home, "%s/.local/share", getenv("HOME") ? getenv("HOME") : "");
    snprintf(dirs, sizeof dirs, "%s:%s", data_home && *data_home ? data_home : home,
             given && *given ? given : "/usr/local/share:/usr/share");
    char *state = NULL;
    if (strchr(name, '/') || name[0] == '.')
        return -ENOENT;
    for (char *dir = strtok_r(dirs, ":", &state); dir; dir = strtok_r(NULL, ":", &state))
        if (read_entry(dir, name, ret) == 0)
            return 0;
    return -ENOENT;
}

static int list_strings(const json_t *array, const char **ret, int max)
{
    int n = 0;
    size_t i;
    json_t *value;
    json_array_foreach(array, i, value)
        if (json_is_string(value) && n < max)
            ret[n++] = json_string_value(value);
    return n;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Fills argv and class. False: the task has failed. */
static bool choose_command(struct launch *self)
{
    const json_t *request = self->task->request;
    const char *urls[URLS_MAX];
    int n_urls = list_strings(json_object_get(request, "urls"), urls, URLS_MAX);
    const char *name = json_get_string(request, "entry", NULL);
    int n = list_strings(json_object_get(request, "argv"), self->argv, ENTRY_ARGS_MAX);
    if (n == 0 && name && find_entry(name, &self->entry) == 0) {
        n = entry_command(&self->entry, urls, n_urls, self->room, self->argv);
        snprintf(self->class, sizeof self->class, "%s",
                 self->entry.class[0] ? self->entry.class : n > 0 ? base_name(self->argv[0]) : "");
    } else if (n == 0) {
        bool is_url = !name && n_urls > 0;
        if (name || is_url)
            self->argv[n++] = is_url ? "xdg-open" : name;
        for (int i = 0; i < n_urls; i++)
            self->argv[n++] = urls[i];
        snprintf(self->class, sizeof self->class, "%s", is_url ? "" : name ? base_name(name) : "");
    }
    self->argv[n] = NULL;
    if (n == 0 || !self->argv[0][0])
        task_fail(self->task, "bad_value", "entry, argv or urls: what to start?");
    return n > 0 && self->argv[0][0];
}

/* --- Starting it ------------------------------------------------------------------------------ */

static char **make_environment(const struct launch *self, char *room, size_t room_size)
{
    const json_t *wishes = json_object_get(self->task->request, "env");
    size_t n = 0, used = 0, n_old = 0;
    while (environ[n_old])
        n_old++;
    char **ret = calloc(n_old + ENV_MAX + 2, sizeof *ret);
    for (size_t i = 0; ret && i < n_old; i++)
        if (strncmp(environ[i], "DESKTOP_STARTUP_ID=", 19) != 0)
            ret[n++] = environ[i];
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)wishes, key, value) {
        int size = snprintf(room + used, room_size - used, "%s=%s", key,
                            json_is_string(value) ? json_string_value(value) : "");
        if (!ret || size < 0 || (size_t)size >= room_size - used || n >= n_old + ENV_MAX)
            break;
        ret[n++] = room + used;
        used += (size_t)size + 1;
    }
    int size = snprintf(room + used, room_size - used, "DESKTOP_STARTUP_ID=%s", self->startup_id);
    if (ret && size > 0 && (size_t)size < room_size - used)
        ret[n++] = room + used;
    return ret;
}

static void run_child(const struct launch *self, char **env, int report)
{
    const char *cwd = json_get_string(self->task->request, "cwd", NULL);
    for (int signo = 1; signo < NSIG; signo++)
        signal(signo, SIG_DFL);
    setsid();
    if (!cwd && self->entry.path[0])
        cwd = self->entry.path;
    if (!cwd)
        cwd = getenv("HOME");
    int null = open("/dev/null", O_RDONLY);
    if (null >= 0)
        dup2(null, 0);
    int err = 0;
    if (cwd && chdir(cwd) < 0 && json_object_get(self->task->request, "cwd"))
        err = errno;
    if (!err) {
        execvpe(self->argv[0], (char *const *)(uintptr_t)self->argv, env);
        err = errno;
    }
    if (write(report, &err, sizeof err) < 0)
        _exit(126);
    _exit(127);
}

/* 0, or what exec said. */
static int spawn_program(struct launch *self)
{
    static char room[65536];
    int fds[2], err = 0;
    auto_free char **env = make_environment(self, room, sizeof room);
    if (!env || pipe2(fds, O_CLOEXEC) < 0)
        return -ENOMEM;
    self->pid = fork();
    if (self->pid == 0)
        run_child(self, env, fds[1]);
    close(fds[1]);
    if (self->pid < 0)
        err = errno;
    else if (read(fds[0], &err, sizeof err) != sizeof err)
        err = 0; /* closed by exec */
    close(fds[0]);
    return -err;
}

/* --- Its windows ------------------------------------------------------------------------------ */

static pid_t parent_of(pid_t pid)
{
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (n <= 0)
        return 0;
    text[n] = '\0';
    const char *end = strrchr(text, ')'); /* the name may hold anything */
    int parent = 0;
    return end && sscanf(end + 1, " %*c %d", &parent) == 1 ? (pid_t)parent : 0;
}

/* A child of it, or of a session that it began: a script that ended leaves its children to
 * others. */
static bool descends(pid_t pid, pid_t from)
{
    if (pid > 1 && getsid(pid) == from)
        return true;
    for (int i = 0; i < ANCESTORS_MAX && pid > 1; i++, pid = parent_of(pid))
        if (pid == from)
            return true;
    return false;
}

static bool is_new(const struct launch *self, Window window)
{
    for (size_t i = 0; i < self->n_before; i++)
        if (self->before[i] == window)
            return false;
    return true;
}

static bool has_class(const struct launch *self, Window window)
{
    XClassHint hint = { 0 };
    if (!self->class[0] || !XGetClassHint(x11_display(), window, &hint))
        return false;
    bool has = (hint.res_name && strcasecmp(hint.res_name, self->class) == 0) ||
               (hint.res_class && strcasecmp(hint.res_class, self->class) == 0);
    if (hint.res_name)
        XFree(hint.res_name);
    if (hint.res_class)
        XFree(hint.res_class);
    return has;
}

static bool has_startup_id(const struct launch *self, Window window)
{
    char id[WINDOW_TEXT_MAX];
    window_text(window, x11_atom(X11_STARTUP_ID), id);
    return id[0] && strcmp(id, self->startup_id) == 0;
}

static bool is_own(const struct launch *self, Window window)
{
    long pid = 0;
    if (has_startup_id(self, window))
        return true;
    if (!is_new(self, window))
        return false;
    x11_number(window, x11_atom(X11_PID), &pid);
    /* What opens a URL hands it to whatever shows it. */
    bool is_url = !self->class[0] && strcmp(self->argv[0], "xdg-open") == 0;
    return (pid > 0 && descends((pid_t)pid, self->pid)) || has_class(self, window) || is_url;
}

static json_t *list_own(const struct launch *self)
{
    static Window list[WINDOWS_MAX];
    size_t n = window_list(list);
    json_t *items = json_array();
    for (size_t i = 0; i < n; i++) {
        json_t *window = is_own(self, list[i]) ? window_describe(list[i], window_active()) : NULL;
        if (window)
            json_array_append_new(items, window);
    }
    return items;
}

static void finish(struct launch *self, json_t *items)
{
    struct task *task = self->task;
    json_int_t count = (json_int_t)json_array_size(items), pid = self->pid;
    task_output_json(task, json_pack("{s:I, s:o}", "pid", pid, "windows", items));
    task_finish(task, json_pack("{s:I, s:I}", "pid", pid, "count", count));
}

static void check(void *data)
{
    struct launch *self = data;
    json_t *items = list_own(self);
    if (json_array_size(items) > 0)
        finish(self, items);
    else
        json_decref(items);
}

static void handle_late(void *data)
{
    struct launch *self = data;
    finish(self, list_own(self));
}

static void stop(struct task *task)
{
    struct launch *self = task->state;
    list_remove(&self->watcher.link);
    free(self);
}

static void start(struct launch *self)
{
    struct task *task = self->task;
    static unsigned count;
    int64_t wait_us = CLAMP(json_get_int(task->request, "wait_us", 10000000), 0, WAIT_MAX_US);
    snprintf(self->startup_id, sizeof self->startup_id, "deskfarm-%d-%u_TIME%lu", (int)getpid(),
             ++count, x11_time());
    self->n_before = window_list(self->before);
    int r = spawn_program(self);
    if (r < 0) {
        task_fail(task, r == -ENOENT ? "not_found" : r == -EACCES ? "forbidden" : "failed",
                  "starting %.200s: %s", self->argv[0], strerror(-r));
        return;
    }
    window_watch(&self->watcher, check, self);
    alarm_set(&task->alarm, wait_us, handle_late, self);
}

void launch_begin(struct task *task)
{
    struct launch *self = calloc(1, sizeof *self);
    if (!self) {
        task_fail(task, "no_memory", "no memory to start a program");
        return;
    }
    self->task = task;
    task->state = self;
    task->stop = stop;
    if (choose_command(self))
        start(self);
}
