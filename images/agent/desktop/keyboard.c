/* The keyboard's layout.
 *
 *   keyboard.get {} → {"layout", "variant", "model", "options", "group", "caps_lock", "num_lock"}
 *   keyboard.set {"layout", "variant"} → the same
 *
 * Rules become a keymap by libxkbfile's tables, which is what setxkbmap is: that program is run,
 * with names that hold nothing but the characters of layout names. X then gives the keymap to all
 * keyboards, the host's among them. */
#include "images/agent/desktop/keyboard.h"

#include "images/agent/desktop/x11.h"

#include <X11/XKBlib.h>
#include <X11/Xatom.h>
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define NAME_MAX_ 128
#define SET_US 10000000

extern char **environ;

enum { RULES, MODEL, LAYOUT, VARIANT, OPTIONS, N_NAMES };

/* The root window's property: five strings, each ended by NUL. */
static void read_names(char names[N_NAMES][NAME_MAX_])
{
    size_t size, at = 0;
    memset(names, 0, N_NAMES * NAME_MAX_);
    char *text = x11_property(x11_root(), x11_atom(X11_XKB_RULES), XA_STRING, 8, &size);
    for (int i = 0; i < N_NAMES && at < size; i++) {
        size_t n = strnlen(text + at, size - at);
        memcpy(names[i], text + at, MIN(n, NAME_MAX_ - 1));
        at += n + 1;
    }
    if (text)
        XFree(text);
}

static json_t *describe(void)
{
    char names[N_NAMES][NAME_MAX_];
    XkbStateRec state = { 0 };
    unsigned indicators = 0;
    read_names(names);
    XkbGetState(x11_display(), XkbUseCoreKbd, &state);
    XkbGetIndicatorState(x11_display(), XkbUseCoreKbd, &indicators);
    return json_pack("{s:s, s:s, s:s, s:s, s:i, s:b, s:b}", "layout", names[LAYOUT], "variant",
                     names[VARIANT], "model", names[MODEL], "options", names[OPTIONS], "group",
                     state.group, "caps_lock", (state.locked_mods & LockMask) != 0, "num_lock",
                     (state.locked_mods & Mod2Mask) != 0);
}

void keyboard_get(struct task *task)
{
    json_t *result = describe();
    if (result)
        task_finish(task, result);
    else
        task_fail(task, "failed", "the keyboard's names are no text");
}

/* --- Setting ---------------------------------------------------------------------------------- */

struct setting {
    struct source child; /* a pidfd */
    pid_t pid;
};

static void stop_setting(struct task *task)
{
    struct setting *self = task->state;
    if (self->child.fd >= 0)
        kill(self->pid, SIGKILL);
    source_close(&self->child);
    free(self);
}

/* setxkbmap sets the property when the server has taken the keymap. */
static void handle_done(void *data, uint32_t events maybe_unused)
{
    struct task *task = data;
    struct setting *self = task->state;
    char names[N_NAMES][NAME_MAX_];
    source_close(&self->child);
    read_names(names);
    if (strcmp(names[LAYOUT], json_get_string(task->request, "layout", "us")) != 0 ||
        strcmp(names[VARIANT], json_get_string(task->request, "variant", "")) != 0)
        task_fail(task, "bad_value", "the guest has no keyboard layout %.64s %.64s",
                  json_get_string(task->request, "layout", "us"),
                  json_get_string(task->request, "variant", ""));
    else
        keyboard_get(task);
}

static void handle_late(void *data)
{
    task_fail(data, "timeout", "setxkbmap does not end");
}

static bool is_name(const char *name)
{
    static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-,";
    return name[0] != '-' && strlen(name) < NAME_MAX_ && strspn(name, good) == strlen(name);
}

static int spawn_program(pid_t *ret, const char *const *argv)
{
    posix_spawnattr_t attr;
    sigset_t all;
    sigfillset(&all);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setsigdefault(&attr, &all);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGDEF);
    int r = posix_spawnp(ret, argv[0], NULL, &attr, (char *const *)(uintptr_t)argv, environ);
    posix_spawnattr_destroy(&attr);
    return -r;
}

void keyboard_set(struct task *task)
{
    const char *layout = json_get_string(task->request, "layout", "us");
    const char *variant = json_get_string(task->request, "variant", "");
    if (!layout[0] || !is_name(layout) || !is_name(variant)) {
        task_fail(task, "bad_value", "layout, variant: letters, digits, '_', '-' and ','");
        return;
    }
    struct setting *self = calloc(1, sizeof *self);
    if (!self) {
        task_fail(task, "no_memory", "no memory to set the layout");
        return;
    }
    self->child.fd = -1;
    task->state = self;
    task->stop = stop_setting;
    typing_restore();
    const char *const argv[] = { "setxkbmap", "-layout", layout, "-variant", variant, NULL };
    int r = spawn_program(&self->pid, argv);
    int fd = r < 0 ? -1 : (int)syscall(SYS_pidfd_open, self->pid, 0);
    if (r == 0 && fd < 0 && errno == ESRCH) {
        handle_done(task, 0); /* it has ended already */
        return;
    }
    if (fd < 0) {
        task_fail(task, "failed", "starting setxkbmap: %s", strerror(r < 0 ? -r : errno));
        return;
    }
    source_open(&self->child, fd, handle_done, task);
    source_set(&self->child, EPOLLIN);
    alarm_set(&task->alarm, SET_US, handle_late, task);
}
