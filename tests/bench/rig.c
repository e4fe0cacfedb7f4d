#include "tests/bench/rig.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/sock.h"
#include "display/source-qemu.h"
#include "farm/image.h"
#include "hypervisor/guest-args.h"
#include "hypervisor/machine.h"
#include "input/sink-qmp.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define OTHER_QMP_FD GUEST_FD_COUNT
#define OTHER_QMP_SOCK "other.sock"

static volatile pid_t qemu_pid;

static void kill_qemu(void)
{
    if (qemu_pid > 0)
        kill(qemu_pid, SIGKILL);
}

static void handle_signal(int signo)
{
    kill_qemu();
    signal(signo, SIG_DFL);
    raise(signo);
}

void rig_die(struct rig *self, const char *format, ...)
{
    char words[512];
    va_list ap;
    va_start(ap, format);
    vfprintf(stderr, format, ap);
    va_end(ap);
    guest_files_words(self->files.fds[GUEST_FD_STDERR], words, sizeof words);
    fprintf(stderr, "\n%s%s", words, *words ? "\n" : "");
    if (self->probe && *self->probe->error)
        fprintf(stderr, "The guest: %s\n", self->probe->error);
    kill_qemu();
    if (*self->dir)
        fs_remove_tree(self->dir, NULL);
    exit(1);
}

static void handle_late(void *data)
{
    ((struct rig *)data)->is_late = true;
}

void rig_pass(struct rig *self, int64_t us)
{
    self->is_late = false;
    timer_start(self->limit, us);
    while (!self->is_late)
        loop_turn(&self->loop, true);
}

/* --- QMP ----------------------------------------------------------------------------------------- */

struct call {
    json_t *result;
    struct error err;
    int64_t us;
};

static void handle_call(void *data, json_t *result, const struct error *err)
{
    struct call *call = data;
    call->us = clock_now_us();
    call->result = json_incref(result);
    if (err)
        call->err = *err;
}

json_t *rig_call(struct rig *self, struct qmp *qmp, const char *command, json_t *args, int fd,
                 int64_t *ret_us)
{
    struct call call = { 0 };
    if (fd >= 0)
        qmp_execute_fd(qmp, command, args, fd, handle_call, &call);
    else
        qmp_execute(qmp, command, args, handle_call, &call);
    rig_wait(self, call.us);
    if (!call.result)
        rig_die(self, "%s", call.err.message);
    if (ret_us)
        *ret_us = call.us;
    return call.result;
}

static struct qmp *connect_qmp(struct rig *self, const char *name)
{
    struct error err = { 0 };
    static const struct qmp_ops ops = { 0 };
    struct qmp *qmp;
    int fd = sock_connect(self->dir, name, &err);
    if (fd < 0 || qmp_new(&qmp, &self->loop, fd, &ops, NULL, &err) < 0)
        rig_die(self, "%s", err.message);
    rig_wait(self, qmp_is_ready(qmp));
    return qmp;
}

/* --- QEMU ---------------------------------------------------------------------------------------- */

static void replace_path(struct argv *argv, const char *jailed, const char *path)
{
    for (size_t i = 0; i < argv->n; i++)
        if (strcmp(argv->items[i], jailed) == 0) {
            free(argv->items[i]);
            argv->items[i] = strdup(path);
        }
}

static void handle_exit(void *data, int status)
{
    struct rig *self = data;
    char text[64];
    qemu_pid = 0;
    process_status_text(status, text, sizeof text);
    rig_die(self, "QEMU ended: %s", text);
}

static void spawn(struct rig *self, const struct machine_spec *spec)
{
    struct error err = { 0 };
    auto_argv struct argv argv = ARGV_INIT;
    struct process_fd rows[GUEST_FD_COUNT + 1];
    auto_fd int other = sock_listen(self->dir, OTHER_QMP_SOCK, &err);
    if (other < 0 || guest_files_open(&self->files, spec, self->dir, &err) < 0)
        rig_die(self, "%s", err.message);
    guest_args(spec, "qemu-system-x86_64", &argv);
    replace_path(&argv, GUEST_PATH_KERNEL, spec->kernel);
    replace_path(&argv, GUEST_PATH_INITRD, spec->initrd);
    argv_add(&argv, "-chardev");
    argv_addf(&argv, "socket,id=other,fd=%d,server=on,wait=off", OTHER_QMP_FD);
    argv_add(&argv, "-mon");
    argv_add(&argv, "chardev=other,mode=control");
    argv_add(&argv, "-vnc");
    argv_addf(&argv, "unix:%s", self->vnc_path);
    size_t n = guest_files_rows(&self->files, rows);
    rows[n++] = (struct process_fd){ other, OTHER_QMP_FD };
    const struct process_spec process = { .argv = argv_get(&argv), .fds = rows, .n_fds = n };
    if (process_spawn(&self->qemu, &self->loop, &process, handle_exit, self, &err) < 0)
        rig_die(self, "%s", err.message);
    qemu_pid = process_pid(self->qemu);
}

static void choose_accel(struct rig *self)
{
    struct accel_facts facts = accel_look();
    struct accel_choice choice;
    accel_decide(ACCEL_WISH_AUTO, &facts, &choice, NULL);
    self->accel = choice.accel;
}

static void boot(struct rig *self, int width, int height)
{
    const char *cache = getenv("DESKFARM_CACHE");
    struct error err = { 0 };
    struct image image;
    if (image_load(&image, cache ? cache : "/var/cache/deskfarm", "probe", &err) < 0) {
        fprintf(stderr, "%s\n", err.message);
        exit(77);
    }
    struct machine_spec spec = {
        .accel = self->accel, .name = "bench", .cpus = image.cpus, .memory_mib = image.memory_mib,
        .width = width, .height = height, .kernel = image.kernel, .initrd = image.initrd,
        .cmdline = image.cmdline,
    };
    machine_fill_ids(&spec);
    spawn(self, &spec);
    int console = sock_connect(self->dir, GUEST_SOCK_CONSOLE, &err);
    if (console < 0)
        rig_die(self, "%s", err.message);
    self->probe = probe_new(&self->loop, console);
    self->qmp = connect_qmp(self, GUEST_SOCK_QMP);
    self->other_qmp = connect_qmp(self, OTHER_QMP_SOCK);
    auto_json json_t *version = rig_call(self, self->qmp, "query-version", NULL, -1, NULL);
    const json_t *numbers = json_object_get(version, "qemu");
    snprintf(self->qemu_version, sizeof self->qemu_version, "%lld.%lld.%lld%.40s",
             (long long)json_get_int(numbers, "major", 0), (long long)json_get_int(numbers, "minor", 0),
             (long long)json_get_int(numbers, "micro", 0), json_get_string(version, "package", ""));
    rig_wait(self, self->probe->is_ready);
    image_deinit(&image);
}

/* --- Display and input ---------------------------------------------------------------------------- */

static void handle_console_closed(void *data, int why)
{
    rig_die(data, "QEMU closed the display connection: %s", strerror(-why));
}

static int make_pair(void *data maybe_unused, int ret_fds[2], struct error *err)
{
    return sock_pair(ret_fds, err);
}

static void handle_lost(void *data, const struct error *why)
{
    rig_die(data, "%s", why->message);
}

static void attach_display(struct rig *self)
{
    static const struct display_ops ops = { .lost = handle_lost };
    struct error err = { 0 };
    int fds[2];
    if (sock_pair(fds, &err) < 0)
        rig_die(self, "%s", err.message);
    json_decref(rig_call(self, self->qmp, "getfd", json_pack("{ss}", "fdname", "display"), fds[1], NULL));
    json_decref(rig_call(self, self->qmp, "add_client",
                         json_pack("{ss ss}", "protocol", "@dbus-display", "fdname", "display"), -1, NULL));
    if (qdbus_new(&self->console, &self->loop, fds[0], NULL, handle_console_closed, self, &err) < 0)
        rig_die(self, "%s", err.message);
    const struct source_qemu_config config = {
        .loop = &self->loop, .console = self->console, .pair = make_pair, .data = self,
    };
    self->display = display_new(&self->loop, self->pool, &ops, self);
    display_hold(self->display);
    if (display_attach(self->display, source_qemu_new(&config), &err) < 0)
        rig_die(self, "%s", err.message);
    rig_wait(self, display_screen(self->display) == DISPLAY_ON);
}

struct submission {
    sink_qmp_done_fn done;
    void *data;
};

static void handle_submitted(void *data, json_t *result, const struct error *err maybe_unused)
{
    struct submission *job = data;
    job->done(job->data, result);
    free(job);
}

static int submit(void *data, const char *command, json_t *arguments, sink_qmp_done_fn done,
                  void *done_data)
{
    struct rig *self = data;
    struct submission *job = malloc(sizeof *job);
    if (!job)
        abort();
    *job = (struct submission){ done, done_data };
    if (strcmp(command, "input-send-event") == 0)
        display_input(self->display, clock_now_us());
    qmp_execute(self->qmp, command, arguments, handle_submitted, job);
    return 0;
}

static void attach_input(struct rig *self)
{
    struct error err = { 0 };
    struct keymap *keymap;
    if (keymap_new(&keymap, "us", NULL, &err) < 0 ||
        input_new(&self->input, &self->loop, sink_qmp_new(&self->loop, NULL, submit, self), keymap, &err) < 0)
        rig_die(self, "%s", err.message);
    keymap_unref(keymap);
}

struct play {
    struct input_result result;
    struct error err;
    bool is_done;
};

static void handle_played(void *data, const struct input_result *result, const struct error *err)
{
    struct play *play = data;
    play->result = *result;
    play->is_done = true;
    if (err)
        play->err = *err;
}

struct input_result rig_play(struct rig *self, const char *action_json)
{
    struct error err = { 0 };
    struct action action;
    struct play play = { 0 };
    auto_json json_t *object = json_loads(action_json, 0, NULL);
    const struct frame *frame = display_frame(self->display);
    const struct space space = { .kind = SPACE_NATIVE, .width = frame->width, .height = frame->height };
    if (action_parse(&action, object, "action", &err) < 0 ||
        input_play(self->input, &action, &space, handle_played, &play, &err) < 0)
        rig_die(self, "%s", err.message);
    action_deinit(&action);
    rig_wait(self, play.is_done);
    if (play.err.is_set)
        rig_die(self, "%s", play.err.message);
    return play.result;
}

uint32_t rig_pixel(const struct rig *self, int x, int y)
{
    const struct frame *frame = display_frame(self->display);
    if (!frame)
        return 0;
    const struct tile *tile = frame->tiles[y / TILE_SIZE * frame->columns + x / TILE_SIZE];
    return tile->pixels[y % TILE_SIZE * TILE_SIZE + x % TILE_SIZE];
}

/* --- Start and stop ------------------------------------------------------------------------------- */

void rig_start(struct rig *self, int width, int height)
{
    *self = (struct rig){ .files = GUEST_FILES_INIT };
    signal(SIGPIPE, SIG_IGN);
    static const int ends[] = { SIGTERM, SIGINT, SIGHUP, SIGABRT, SIGSEGV };
    for (size_t i = 0; i < ARRAY_LEN(ends); i++)
        signal(ends[i], handle_signal);
    strcpy(self->dir, "/tmp/deskfarm-bench-XXXXXX");
    if (!mkdtemp(self->dir) || loop_init(&self->loop) < 0)
        abort();
    snprintf(self->vnc_path, sizeof self->vnc_path, "%s/vnc.sock", self->dir);
    self->pool = worker_pool_new(&self->loop, 0, 0);
    self->limit = timer_new(&self->loop, handle_late, self);
    choose_accel(self);
    boot(self, width, height);
    attach_display(self);
    attach_input(self);
}

void rig_stop(struct rig *self)
{
    input_free(self->input);
    display_free(self->display);
    qdbus_free(self->console);
    qmp_free(self->qmp);
    qmp_free(self->other_qmp);
    probe_free(self->probe);
    process_free(self->qemu);
    kill_qemu();
    guest_files_close(&self->files);
    worker_pool_free(self->pool);
    timer_free(self->limit);
    loop_deinit(&self->loop);
    fs_remove_tree(self->dir, NULL);
}
