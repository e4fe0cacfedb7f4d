/* Saves a guest and restores it in a fresh QEMU, again and again, and times its agent.
 *
 *   restore IMAGE ROUNDS quiet|busy
 *
 * As forks will do it: the guest's RAM stays in one memfd, the rest is saved by
 * xen-save-devices-state and loaded by a QEMU that waits with -incoming. No jail. A JSON line per
 * round: milliseconds from `cont` to the agent's WELCOME, to the answer of a ping (it is usable), to
 * the end of the identity step (clock, host name, entropy) and to the end of a command that tells
 * the new name; by how much the clock was stepped, and within what time of being asked.
 *
 * busy: while the guest is saved, commands run and flood: two whose output is read, two whose output
 * nobody reads, two that take input without end; and two processes that go on over all rounds keep
 * the processors busy. Then the daemon's place is taken by somebody who reads nothing, until nothing
 * more comes: the state is saved in the middle of a buffer of the port. */
#include "base/clock.h"
#include "base/fs.h"
#include "base/id.h"
#include "base/process.h"
#include "base/sock.h"
#include "farm/image.h"
#include "hypervisor/accel.h"
#include "hypervisor/agent.h"
#include "hypervisor/disk.h"
#include "hypervisor/guest-args.h"
#include "hypervisor/guest-files.h"
#include "hypervisor/machine.h"
#include "hypervisor/qmp.h"

#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define LIMIT_US 120000000
#define FDSET_STATE 7
#define STALL_US 300000 /* without another byte */

static struct loop loop;
static struct timer *limit;
static struct process *qemu;
static struct guest_files files = GUEST_FILES_INIT;
static char dir[] = "/tmp/deskfarm-restore-XXXXXX";
static struct machine_spec spec;
static struct qmp *qmp;
static struct agent *agent;
static bool is_late, has_ended;
static int64_t welcome_us;

static void end(int status) __attribute__((noreturn));

static void end(int status)
{
    if (qemu && !has_ended)
        process_kill(qemu, SIGKILL);
    fs_remove_tree(dir, NULL);
    exit(status);
}

static void die(const char *format, ...) printf_like(1, 2) __attribute__((noreturn));

static void die(const char *format, ...)
{
    char words[512];
    va_list ap;
    va_start(ap, format);
    vfprintf(stderr, format, ap);
    va_end(ap);
    guest_files_words(files.fds[GUEST_FD_STDERR], words, sizeof words);
    fprintf(stderr, "\n%s%s", words, *words ? "\n" : "");
    end(1);
}

static void handle_late(void *data maybe_unused)
{
    is_late = true;
}

#define WAIT_FOR(condition)                                                                        \
    do {                                                                                           \
        is_late = false;                                                                           \
        timer_start(limit, LIMIT_US);                                                              \
        while (!(condition) && !is_late)                                                           \
            loop_turn(&loop, true);                                                                \
        timer_stop(limit);                                                                         \
        if (is_late)                                                                               \
            die("nothing within %d s: %s", LIMIT_US / 1000000, #condition);                        \
    } while (0)

static void pass(int64_t us)
{
    is_late = false;
    timer_start(limit, us);
    while (!is_late)
        loop_turn(&loop, true);
}

/* --- QEMU ------------------------------------------------------------------------------------ */

static void handle_exit(void *data maybe_unused, int status maybe_unused)
{
    has_ended = true;
}

static void replace_path(struct argv *argv, const char *jailed, const char *path)
{
    for (size_t i = 0; i < argv->n; i++) {
        const char *at = strstr(argv->items[i], jailed);
        if (!at || !path)
            continue;
        char *text = NULL;
        if (asprintf(&text, "%.*s%s%s", (int)(at - argv->items[i]), argv->items[i], path,
                     at + strlen(jailed)) < 0)
            die("out of memory");
        free(argv->items[i]);
        argv->items[i] = text;
    }
}

static void start_qemu(bool is_restored)
{
    struct error err = { 0 };
    auto_argv struct argv argv = ARGV_INIT;
    struct process_fd rows[GUEST_FD_COUNT];
    guest_args(&spec, "qemu-system-x86_64", &argv);
    replace_path(&argv, GUEST_PATH_KERNEL, spec.kernel);
    replace_path(&argv, GUEST_PATH_INITRD, spec.initrd);
    replace_path(&argv, GUEST_PATH_BASE, spec.base_disk);
    if (is_restored) {
        static const char *const incoming[] = { "-S", "-incoming", "defer", "-global",
                                                "migration.send-configuration=off", NULL };
        argv_add_all(&argv, incoming);
    }
    const struct process_spec process = { .argv = argv_get(&argv), .fds = rows,
                                          .n_fds = guest_files_rows(&files, rows) };
    has_ended = false;
    if (process_spawn(&qemu, &loop, &process, handle_exit, NULL, &err) < 0)
        die("%s", err.message);
    static const struct qmp_ops ops = { 0 };
    int fd = sock_connect(dir, GUEST_SOCK_QMP, &err);
    if (fd < 0 || qmp_new(&qmp, &loop, fd, &ops, NULL, &err) < 0)
        die("%s", err.message);
    WAIT_FOR(qmp_is_ready(qmp));
}

struct answer {
    json_t *result;
    struct error err;
    bool is_there;
};

static void handle_answer(void *data, json_t *result, const struct error *err)
{
    struct answer *answer = data;
    answer->is_there = true;
    answer->result = json_incref(result);
    if (err)
        answer->err = *err;
}

static json_t *command(const char *name, json_t *args, int fd)
{
    struct answer answer = { 0 };
    if (fd >= 0)
        qmp_execute_fd(qmp, name, args, fd, handle_answer, &answer);
    else
        qmp_execute(qmp, name, args, handle_answer, &answer);
    WAIT_FOR(answer.is_there);
    if (!answer.result)
        die("%s", answer.err.message);
    return answer.result;
}

static void run(const char *name, json_t *args, int fd)
{
    json_decref(command(name, args, fd));
}

static void wait_loaded(void)
{
    for (;;) {
        auto_json json_t *status = command("query-status", NULL, -1);
        if (strcmp(json_get_string(status, "status", ""), "inmigrate") != 0)
            return;
        pass(1000);
    }
}

static void connect_agent(void);

/* Leaves a QEMU that holds the guest as it was, standing still. */
static void save_and_restore(void)
{
    char path[64];
    auto_fd int state = memfd_create("state", MFD_CLOEXEC);
    snprintf(path, sizeof path, "/proc/self/fd/%d", state);
    run("stop", NULL, -1);
    run("add-fd", json_pack("{si}", "fdset-id", FDSET_STATE), open(path, O_WRONLY | O_CLOEXEC));
    run("xen-save-devices-state",
        json_pack("{ss sb}", "filename", "/dev/fdset/7", "live", 0), -1);
    qmp_execute(qmp, "quit", NULL, NULL, NULL);
    WAIT_FOR(has_ended);
    qmp = qmp_free(qmp);
    qemu = process_free(qemu);
    start_qemu(true);
    connect_agent(); /* before the state is there: farm/inside.c says why */
    agent_set_paused(agent, true);
    run("getfd", json_pack("{ss}", "fdname", "state"), open(path, O_RDONLY | O_CLOEXEC));
    run("migrate-incoming", json_pack("{ss}", "uri", "fd:state"), -1);
    wait_loaded();
}

/* --- The agent ------------------------------------------------------------------------------- */

struct task {
    struct agent_call *call;
    json_t *result;
    struct error err;
    int64_t end_us;
    size_t n_out;
    char out[64]; /* its beginning */
    bool reads, writes;
};

static const char zeros[32768];

static void feed(struct task *task)
{
    while (task->call && task->writes && agent_call_write(task->call, zeros, sizeof zeros) > 0)
        ;
}

static void handle_data(void *data, enum agent_stream stream maybe_unused, const uint8_t *bytes,
                        size_t size)
{
    struct task *task = data;
    if (task->n_out < sizeof task->out)
        memcpy(task->out + task->n_out, bytes, MIN(size, sizeof task->out - 1 - task->n_out));
    task->n_out += size;
    if (task->reads)
        agent_call_consumed(task->call, size);
}

static void handle_writable(void *data)
{
    feed(data);
}

static void handle_end(void *data, const json_t *result, const struct error *err)
{
    struct task *task = data;
    task->end_us = clock_now_us();
    task->call = NULL;
    task->result = json_incref((json_t *)(uintptr_t)result);
    if (err)
        task->err = *err;
}

static void begin(struct task *task, json_t *request)
{
    static const struct agent_call_ops ops = { .on_data = handle_data, .on_end = handle_end,
                                               .on_writable = handle_writable };
    task->call = agent_call_new(agent, request, &ops, task, LIMIT_US);
    feed(task);
}

static void finish(struct task *task)
{
    WAIT_FOR(task->end_us);
    if (!task->result)
        die("%s", task->err.message);
}

static void handle_ready(void *data maybe_unused, const json_t *welcome maybe_unused)
{
    welcome_us = clock_now_us();
}

static void handle_closed(void *data maybe_unused, const struct error *why)
{
    die("%s", why->message);
}

static void connect_agent(void)
{
    static const struct agent_ops ops = { .on_ready = handle_ready, .on_closed = handle_closed };
    struct error err = { 0 };
    welcome_us = 0;
    int fd = sock_connect(dir, GUEST_SOCK_AGENT, &err);
    if (fd < 0 || agent_new(&agent, &loop, fd, &ops, NULL, &err) < 0)
        die("%s", err.message);
}

/* The floods go to somebody who does not read: the port of QEMU is in the middle of a buffer then. */
static int stall(void)
{
    struct error err = { 0 };
    int size = 0, before;
    int fd = sock_connect(dir, GUEST_SOCK_AGENT, &err);
    if (fd < 0)
        die("%s", err.message);
    do {
        before = size;
        pass(STALL_US);
        ioctl(fd, FIONREAD, &size);
    } while (size == 0 || size > before);
    return fd;
}

/* --- Rounds ---------------------------------------------------------------------------------- */

static struct task floods[6];

static json_t *exec(const char *text, bool has_stdin, bool keep)
{
    return json_pack("{ss ss sb sb}", "op", "exec", "command", text, "stdin", has_stdin, "keep",
                     keep);
}

static void begin_floods(void)
{
    for (size_t i = 0; i < ARRAY_LEN(floods); i++) {
        floods[i] = (struct task){ .reads = i < 2, .writes = i >= 4 };
        begin(&floods[i], exec(i >= 4 ? "cat >/dev/null" : "yes", i >= 4, false));
    }
    WAIT_FOR(floods[0].n_out && floods[1].n_out);
    pass(200000);
}

static void do_round(int number, bool is_busy)
{
    struct task ping = { 0 }, echo = { .reads = true }, identity[3] = { 0 };
    char name[32];
    if (is_busy)
        begin_floods();
    int64_t began_us = clock_now_us();
    snprintf(name, sizeof name, "guest-%d", number);
    /* The connection is lost with QEMU: the calls end, and nobody is told anything more. */
    agent = agent_free(agent);
    auto_fd int stalled = is_busy ? stall() : -1;
    save_and_restore();
    int64_t start_us = clock_now_us();
    qmp_execute(qmp, "cont", NULL, NULL, NULL);
    agent_set_paused(agent, false);
    WAIT_FOR(welcome_us);
    begin(&ping, json_pack("{ss}", "op", "ping"));
    finish(&ping);
    int64_t told_us = clock_now_us();
    begin(&identity[0], json_pack("{ss sI}", "op", "clock", "wall_us", (json_int_t)clock_wall_us()));
    begin(&identity[1], json_pack("{ss ss}", "op", "hostname", "name", name));
    begin(&identity[2], json_pack("{ss ss}", "op", "entropy", "hex", "00112233445566778899aabbccddeeff"));
    for (size_t i = 0; i < ARRAY_LEN(identity); i++)
        finish(&identity[i]);
    begin(&echo, exec("hostname", false, false));
    finish(&echo);
    echo.out[strcspn(echo.out, "\n")] = 0;
    if (strcmp(echo.out, name) != 0)
        die("the guest's name is \"%s\" and not %s", echo.out, name);
    int64_t identity_us = MAX(identity[0].end_us, MAX(identity[1].end_us, identity[2].end_us));
    printf("{\"round\":%d,\"down_ms\":%.1f,\"welcome_ms\":%.1f,\"ping_ms\":%.1f,\"identity_ms\":%.1f,"
           "\"exec_ms\":%.1f,\"clock_step_ms\":%.1f,\"clock_set_within_ms\":%.1f}\n",
           number, (double)(start_us - began_us) / 1e3, (double)(welcome_us - start_us) / 1e3,
           (double)(ping.end_us - start_us) / 1e3, (double)(identity_us - start_us) / 1e3,
           (double)(echo.end_us - start_us) / 1e3,
           (double)(json_get_int(identity[0].result, "after_us", 0) -
                    json_get_int(identity[0].result, "before_us", 0)) / 1e3,
           (double)(identity[0].end_us - told_us) / 1e3);
    fflush(stdout);
    json_decref(ping.result);
    json_decref(echo.result);
    for (size_t i = 0; i < ARRAY_LEN(identity); i++)
        json_decref(identity[i].result);
}

static void boot(const char *name)
{
    const char *cache = getenv("DESKFARM_CACHE");
    struct error err = { 0 };
    struct image image;
    struct accel_facts facts = accel_look();
    struct accel_choice choice;
    accel_decide(ACCEL_WISH_AUTO, &facts, &choice, NULL);
    if (image_load(&image, cache ? cache : "/var/cache/deskfarm", name, &err) < 0)
        die("%s", err.message);
    spec = (struct machine_spec){
        .accel = choice.accel, .name = "restore", .cpus = image.cpus, .memory_mib = image.memory_mib,
        .width = image.width, .height = image.height,
    };
    image_fill_machine(&image, image.disk_bytes >> 20, &spec);
    machine_fill_ids(&spec);
    auto_free char *overlay = fs_join(dir, GUEST_FILE_OVERLAY);
    if ((machine_has_disk(&spec) && disk_create_overlay_now(overlay, spec.disk_bytes, &err) < 0) ||
        guest_files_open(&files, &spec, dir, &err) < 0)
        die("%s", err.message);
    start_qemu(false);
    connect_agent();
    WAIT_FOR(welcome_us);
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    if (!mkdtemp(dir) || loop_init(&loop) < 0 || !(limit = timer_new(&loop, handle_late, NULL)))
        return 1;
    bool is_busy = strcmp(argv[3], "busy") == 0;
    boot(argv[1]);
    pass(5000000); /* the boot is over, more or less: what is measured is the agent */
    struct task keepers[2] = { 0 };
    for (size_t i = 0; i < ARRAY_LEN(keepers) && is_busy; i++)
        begin(&keepers[i], exec(i ? "while :; do :; done" : "yes >/dev/null", false, true));
    for (int i = 1; i <= atoi(argv[2]); i++)
        do_round(i, is_busy);
    end(0);
}
