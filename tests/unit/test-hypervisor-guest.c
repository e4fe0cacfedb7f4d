/* hypervisor/ on the real QEMU in its jail. Nothing is pretended: what these tests say about jails,
 * descriptors and memory is read from the kernel. */
#include "hypervisor-fixture.h"

#include "base/clock.h"
#include "base/qdbus.h"
#include "hypervisor/disk.h"
#include "hypervisor/jailed.h"
#include "hypervisor/ram.h"
#include "hypervisor/save.h"
#include "hypervisor/tpm.h"

#include <dirent.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>

TestSuite(guest_as_root, .fini = fixture_kill_what_is_left);
TestSuite(guest_as_user, .fini = fixture_kill_what_is_left);

/* Scenarios take who runs them: a row per kind of daemon. */
#define SCENARIO(name)                                                                             \
    static void name(struct fixture *f);                                                           \
    Test(guest_as_root, name)                                                                      \
    {                                                                                              \
        static struct fixture f;                                                                   \
        if (geteuid() != 0)                                                                        \
            cr_skip_test("not root");                                                              \
        fixture_init(&f);                                                                          \
        name(&f);                                                                                  \
        fixture_deinit(&f);                                                                        \
    }                                                                                              \
    Test(guest_as_user, name)                                                                      \
    {                                                                                              \
        static struct fixture f;                                                                   \
        fixture_become_user();                                                                     \
        fixture_init(&f);                                                                          \
        name(&f);                                                                                  \
        fixture_deinit(&f);                                                                        \
    }                                                                                              \
    static void name(struct fixture *f)

/* An empty disk as base, where everybody can read it. */
static void give_disk(struct fixture *f)
{
    struct error err = { 0 };
    snprintf(f->base, sizeof f->base, "%s.base", f->dir);
    cr_assert(eq(int, disk_create_overlay_now(f->base, 64 << 20, &err), 0), "%s", err.message);
    chmod(f->base, 0444);
    f->spec.base_disk = f->base;
    f->spec.disk_bytes = 128 << 20;
}

struct call {
    struct fixture *f;
    bool is_done;
    int fd;
    struct error err;
    char text[256];
};

static void handle_socket(void *data, int fd, const struct error *err)
{
    struct call *call = data;
    call->is_done = true;
    call->fd = fd;
    if (err)
        call->err = *err;
}

static int handle_name(sd_bus_message *m, void *data, sd_bus_error *ret maybe_unused)
{
    struct call *call = data;
    const char *name = "";
    call->is_done = true;
    if (sd_bus_message_is_method_error(m, NULL))
        name = sd_bus_message_get_error(m)->message;
    else
        sd_bus_message_read(m, "v", "s", &name);
    snprintf(call->text, sizeof call->text, "%s", name);
    return 0;
}

/* Asks the display bus for the machine's name. */
static void speak_dbus(struct fixture *f)
{
    struct call call = { .f = f, .fd = -1 };
    struct error err = { 0 };
    guest_dbus_socket(f->guest, handle_socket, &call);
    cr_assert(not(call.is_done), "an answer inside the call");
    fixture_wait(f, call.is_done);
    cr_assert(ge(int, call.fd, 0), "%s", call.err.message);
    struct qdbus *bus = NULL;
    cr_assert(eq(int, qdbus_new(&bus, &f->loop, call.fd, NULL, NULL, NULL, &err), 0), "%s", err.message);
    call.is_done = false;
    sd_bus_call_method_async(qdbus_bus(bus), NULL, NULL, "/org/qemu/Display1/VM",
                             "org.freedesktop.DBus.Properties", "Get", handle_name, &call, "ss",
                             "org.qemu.Display1.VM", "Name");
    qdbus_kick(bus);
    fixture_wait(f, call.is_done);
    cr_assert(eq(str, call.text, "sb-test"));
    qdbus_free(bus);
}

SCENARIO(starts_shows_its_display_and_quits)
{
    int64_t begin_us = clock_now_us();
    fixture_start_ready(f);
    cr_log_info("spawn to ready: %.1f ms", (double)(clock_now_us() - begin_us) / 1000);
    cr_assert(eq(int, guest_get_state(f->guest), GUEST_RUNNING));
    speak_dbus(f);
    speak_dbus(f); /* again: a display that is attached anew */
    guest_power_off(f->guest, 0);
    fixture_wait(f, f->has_ended);
    cr_assert(eq(int, f->why, GUEST_END_STOPPED), "%s", f->end_err.message);
}

SCENARIO(kills_a_guest_that_ignores_its_power_button)
{
    fixture_start_ready(f);
    guest_power_off(f->guest, 50);
    cr_assert(eq(int, guest_get_state(f->guest), GUEST_STOPPING));
    fixture_wait(f, f->has_ended);
    cr_assert(eq(int, f->why, GUEST_END_STOPPED));
}

SCENARIO(reports_a_death_with_its_signal)
{
    fixture_start_ready(f);
    kill(guest_pid(f->guest), SIGKILL);
    fixture_wait(f, f->has_ended);
    cr_assert(eq(int, f->why, GUEST_END_FAILED));
    cr_assert(eq(int, f->end_err.code, ERROR_GUEST_FAILED));
    cr_assert(eq(str, f->end_err.message, "QEMU ended with signal 9 (Killed)"));
}

SCENARIO(can_be_killed_while_it_starts)
{
    give_disk(f);
    fixture_start(f);
    guest_kill(f->guest);
    fixture_wait(f, f->has_ended);
    cr_assert(eq(int, f->why, GUEST_END_STOPPED));
}

SCENARIO(can_be_killed_right_after_the_spawn)
{
    fixture_start(f);
    guest_kill(f->guest);
    fixture_wait(f, f->has_ended);
    cr_assert(eq(int, f->why, GUEST_END_STOPPED));
}

SCENARIO(reports_the_words_of_a_qemu_that_refuses)
{
    f->spec.kernel = "/etc/debian_version"; /* no kernel */
    fixture_start(f);
    fixture_wait(f, f->has_ended);
    cr_assert(eq(int, f->why, GUEST_END_FAILED));
    cr_assert(eq(int, f->end_err.code, ERROR_GUEST_FAILED));
    cr_assert(eq(int, strncmp(f->end_err.message, "starting QEMU: QEMU ended with exit status 1: ", 46), 0),
              "%s", f->end_err.message);
    cr_assert_not_null(strstr(f->end_err.message, "kernel"), "%s", f->end_err.message);
}

SCENARIO(reports_an_image_that_is_not_there)
{
    f->spec.kernel = "/nonexistent/vmlinuz";
    fixture_start(f);
    fixture_wait(f, f->has_ended);
    cr_assert(eq(int, f->why, GUEST_END_FAILED));
    cr_assert_not_null(strstr(f->end_err.message, "/nonexistent/vmlinuz"), "%s", f->end_err.message);
}

SCENARIO(names_a_qemu_that_is_missing)
{
    struct error err = { 0 };
    f->host.qemu = "/nonexistent/qemu";
    cr_assert(lt(int, guest_start(&f->guest, &f->host, &f->spec, f->dir, fixture_uid(),
                                  &fixture_ops, f, &err), 0));
    cr_assert(eq(int, err.code, ERROR_GUEST_FAILED));
    cr_assert(eq(str, err.message, "starting QEMU: there is no program /nonexistent/qemu"));
}

SCENARIO(is_found_again_by_the_next_daemon)
{
    struct error err = { 0 };
    give_disk(f);
    fixture_start_ready(f);
    pid_t pid = guest_pid(f->guest);
    auto_json json_t *identity = guest_identity(f->guest);
    guest_free(f->guest);
    f->guest = NULL;
    f->is_ready = false;
    cr_assert(eq(int, guest_adopt(&f->guest, &f->host, identity, f->dir, &fixture_ops, f, &err), 0),
              "%s", err.message);
    fixture_wait(f, f->is_ready);
    cr_assert(eq(int, guest_pid(f->guest), pid));
    cr_assert(eq(int, guest_check_memory_access(f->guest, &err), 0), "%s", err.message);
    cr_assert(ge(int, guest_ram_fd(f->guest), 0));
    speak_dbus(f);
    guest_power_off(f->guest, 0);
    fixture_wait(f, f->has_ended);
    cr_assert(eq(int, f->why, GUEST_END_STOPPED));

    struct guest *gone = NULL;
    cr_assert(lt(int, guest_adopt(&gone, &f->host, identity, f->dir, &fixture_ops, f, &err), 0));
    cr_assert(eq(int, err.code, ERROR_GUEST_GONE));
}

SCENARIO(is_ended_by_a_daemon_that_does_not_know_it)
{
    cr_assert_eq(guest_end_orphan(f->dir), false);
    fixture_start_ready(f);
    struct guest_ops none = { 0 };
    auto_json json_t *identity = guest_identity(f->guest);
    struct process *qemu = NULL;
    struct error err = { 0 };
    cr_assert(eq(int, process_adopt(&qemu, &f->loop, guest_pid(f->guest), 0, NULL, NULL, &err), 0));
    f->guest = guest_free(f->guest);
    cr_assert_eq(guest_end_orphan(f->dir), true);
    fixture_wait(f, !process_is_alive(qemu));
    process_free(qemu);
    cr_assert_eq(guest_end_orphan(f->dir), false);
    cr_assert(lt(int, guest_adopt(&f->guest, &f->host, identity, f->dir, &none, f, &err), 0));
    f->guest = NULL;
}

static void note_carrier(void *data, const char *name, const json_t *args maybe_unused)
{
    struct fixture *f = data;
    f->n_events += strcmp(name, "NETDEV_STREAM_CONNECTED") == 0;
}

SCENARIO(has_a_network_that_survives_the_daemon)
{
    struct error err = { 0 };
    struct guest_ops ops = fixture_ops;
    ops.on_event = note_carrier;
    if (net_check(&err) < 0) {
        fixture_deinit(f);
        cr_skip_test("%s", err.message);
    }
    f->spec.network = MACHINE_NETWORK_NAT;
    cr_assert(eq(int, guest_start(&f->guest, &f->host, &f->spec, f->dir, fixture_uid(), &ops, f, &err), 0));
    fixture_wait(f, f->is_ready && f->has_network && f->n_events > 0);
    auto_json json_t *identity = guest_identity(f->guest);
    const json_t *net = json_object_get(identity, "net");
    pid_t pasta = (pid_t)json_get_int(net, "pid", 0);
    f->guest = guest_free(f->guest);
    f->is_ready = f->has_network = false;
    cr_assert(eq(int, guest_adopt(&f->guest, &f->host, identity, f->dir, &ops, f, &err), 0));
    fixture_wait(f, f->is_ready);
    auto_json json_t *again = guest_identity(f->guest);
    cr_assert_eq(json_equal(identity, again), 1);

    struct process *chain = NULL;
    cr_assert(eq(int, process_adopt(&chain, &f->loop, pasta, 0, NULL, NULL, &err), 0));
    guest_kill(f->guest);
    fixture_wait(f, f->has_ended && !process_is_alive(chain));
    process_free(chain);
}

/* Whether a process has the TPM's directory among its arguments: swtpm, or what builds its jail. */
static bool has_tpm_process(const char *name)
{
    char text[64];
    bool found = false;
    snprintf(text, sizeof text, "dir=" TPM_DIR "%s,", name);
    DIR *proc = opendir("/proc");
    for (struct dirent *entry; proc && !found && (entry = readdir(proc));) {
        char path[300];
        auto_buf struct buf words = BUF_INIT;
        snprintf(path, sizeof path, "/proc/%s/cmdline", entry->d_name);
        if (entry->d_name[0] >= '0' && entry->d_name[0] <= '9' && fs_read(path, 65536, &words, NULL) == 0)
            found = memmem(words.data, words.size, text, strlen(text)) != NULL;
    }
    if (proc)
        closedir(proc);
    return found;
}

static void give_tpm(struct fixture *f)
{
    struct error err = { 0 };
    f->spec.shape.has_tpm = true;
    if (profile_check_host(&f->spec.shape, &err) == 0)
        return;
    fixture_deinit(f);
    cr_skip_test("%s", err.message);
}

SCENARIO(has_a_tpm_that_survives_the_daemon_and_ends_behind_qemu)
{
    struct error err = { 0 };
    give_tpm(f);
    fixture_start_ready(f);
    auto_json json_t *identity = guest_identity(f->guest);
    pid_t pid = (pid_t)json_get_int(json_object_get(identity, "tpm"), "pid", 0);
    cr_assert(gt(int, pid, 1));
    f->guest = guest_free(f->guest);
    f->is_ready = false;
    cr_assert(eq(int, guest_adopt(&f->guest, &f->host, identity, f->dir, &fixture_ops, f, &err), 0), "%s", err.message);
    fixture_wait(f, f->is_ready);
    auto_json json_t *again = guest_identity(f->guest);
    cr_assert_eq(json_equal(identity, again), 1);

    struct process *swtpm = NULL;
    cr_assert(eq(int, process_adopt(&swtpm, &f->loop, pid, 0, NULL, NULL, &err), 0));
    kill(guest_pid(f->guest), SIGKILL);
    fixture_wait(f, f->has_ended && !process_is_alive(swtpm));
    process_free(swtpm);
}

SCENARIO(goes_on_without_its_tpm_and_is_not_saved)
{
    struct error err = { 0 };
    struct guest_save_params params = { 0 };
    give_tpm(f);
    fixture_start_ready(f);
    auto_json json_t *identity = guest_identity(f->guest);
    kill((pid_t)json_get_int(json_object_get(identity, "tpm"), "pid", 0), SIGKILL);
    for (bool is_told = false; !is_told;) {
        loop_turn(&f->loop, true);
        auto_json json_t *now = guest_identity(f->guest);
        is_told = json_get_bool(now, "lost_tpm", false);
    }
    cr_assert(eq(int, guest_get_state(f->guest), GUEST_RUNNING));
    cr_assert(lt(int, guest_save(f->guest, &params, NULL, NULL, &err), 0));
    cr_assert(eq(int, err.code, ERROR_GUEST_FAILED));
    cr_assert_not_null(strstr(err.message, "its TPM is gone"), "%s", err.message);
    guest_kill(f->guest);
    fixture_wait(f, f->has_ended);
}

SCENARIO(leaves_no_tpm_when_it_is_killed_while_it_starts)
{
    char name[32];
    snprintf(name, sizeof name, "sb-tpm-%d", (int)getpid());
    give_tpm(f);
    f->spec.name = name;
    fixture_start(f);
    guest_kill(f->guest);
    fixture_wait(f, f->has_ended);
    /* Nobody tells of a process that was forgotten: it is asked for. */
    int64_t end_us = clock_now_us() + TEST_LIMIT_US;
    do {
        poll(NULL, 0, 10);
        loop_turn(&f->loop, false);
    } while (has_tpm_process(name) && clock_now_us() < end_us);
    cr_assert_not(has_tpm_process(name));
}

SCENARIO(lets_its_memory_be_read_and_written)
{
    struct error err = { 0 };
    struct ram_mapping mapping;
    fixture_start_ready(f);
    cr_assert(eq(int, guest_check_memory_access(f->guest, &err), 0), "%s", err.message);
    cr_assert(eq(int, ram_find_mapping(guest_pid(f->guest), &mapping, &err), 0));
    cr_assert(eq(u64, mapping.end - mapping.start, 64 << 20));
    /* What is written from outside is what the guest's RAM file holds. */
    char path[64], seen[6] = "";
    snprintf(path, sizeof path, "/proc/%d/mem", (int)guest_pid(f->guest));
    auto_fd int mem = open(path, O_RDWR | O_CLOEXEC);
    cr_assert(eq(int, (int)pwrite(mem, "hello", 5, (off_t)(mapping.start + (32 << 20))), 5));
    cr_assert(eq(int, (int)pread(guest_ram_fd(f->guest), seen, 5, 32 << 20), 5));
    cr_assert(eq(str, seen, "hello"));
    cr_assert(gt(i64, guest_memory_bytes(f->guest), 1 << 20));
}

/* Descriptors that a QEMU has: ours by number, its own by kind. Everything else is a leak. */
static bool is_expected(int fd, const char *target)
{
    static const char *const own[] = { "anon_inode:", "/dev/null", "/memfd:deskfarm-", "socket:",
                                       "/dev/kvm" };
    if (fd == 0 || fd == 1)
        return strcmp(target, "/dev/null") == 0;
    for (size_t i = 0; i < ARRAY_LEN(own); i++)
        if (strncmp(target, own[i], strlen(own[i])) == 0)
            return true;
    /* Its firmware stays open: that is a flash, which is read as the guest does. */
    return strstr(target, GUEST_FILE_OVERLAY) || strcmp(target, GUEST_PATH_BASE) == 0 ||
           strcmp(target, profile_firmware(&(struct machine_shape){ 0 })) == 0 ||
           strncmp(target, "pipe:", 5) == 0;
}

SCENARIO(has_no_descriptor_that_is_not_its_own)
{
    /* What a careless library leaves open in a daemon. */
    int careless[3] = { open("/etc/passwd", O_RDONLY), socket(AF_INET, SOCK_STREAM, 0),
                        open(f->dir, O_RDONLY | O_DIRECTORY) };
    char ours[64];
    snprintf(ours, sizeof ours, "socket:[%d]", 0);
    struct stat st;
    fstat(careless[1], &st);
    snprintf(ours, sizeof ours, "socket:[%lu]", (unsigned long)st.st_ino);
    give_disk(f);
    fixture_start_ready(f);
    int n = 0;
    for (int fd = 0; fd < 1024; fd++) {
        char path[64], target[256];
        snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)guest_pid(f->guest), fd);
        ssize_t size = readlink(path, target, sizeof target - 1);
        if (size < 0) {
            cr_assert(eq(int, errno, ENOENT));
            continue;
        }
        target[size] = 0;
        n++;
        cr_assert(is_expected(fd, target), "descriptor %d is %s", fd, target);
        cr_assert(ne(str, target, ours), "descriptor %d leaked", fd);
    }
    cr_assert(ge(int, n, GUEST_FD_COUNT - 1));
    for (size_t i = 0; i < ARRAY_LEN(careless); i++)
        close(careless[i]);
}

/* A line of /proc/PID/status. */
static void read_status(pid_t pid, const char *field, char *out, size_t size)
{
    char path[64];
    auto_buf struct buf text = BUF_INIT;
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    cr_assert(eq(int, fs_read(path, 65536, &text, NULL), 0));
    const char *at = strstr(buf_str(&text), field);
    cr_assert_not_null(at);
    snprintf(out, size, "%.*s", (int)strcspn(at, "\n"), at);
}

SCENARIO(runs_without_rights)
{
    char line[256], expected[64];
    fixture_start_ready(f);
    pid_t pid = guest_pid(f->guest);
    int uid = geteuid() == 0 ? (int)fixture_uid() : TEST_USER;
    snprintf(expected, sizeof expected, "Uid:\t%d\t%d\t%d\t%d", uid, uid, uid, uid);
    read_status(pid, "Uid:", line, sizeof line);
    if (getuid() == 0 || getuid() == TEST_USER)
        cr_assert(eq(str, line, expected));
    read_status(pid, "CapEff:", line, sizeof line);
    cr_assert(eq(str, line, "CapEff:\t0000000000000000"));
    read_status(pid, "CapBnd:", line, sizeof line);
    cr_assert(eq(str, line, "CapBnd:\t0000000000000000"));
    read_status(pid, "NoNewPrivs:", line, sizeof line);
    cr_assert(eq(str, line, "NoNewPrivs:\t1"));
    read_status(pid, "Seccomp:", line, sizeof line);
    cr_assert(eq(str, line, "Seccomp:\t2"));
    auto_buf struct buf limits = BUF_INIT;
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/limits", (int)pid);
    cr_assert(eq(int, fs_read(path, 65536, &limits, NULL), 0));
    cr_assert_not_null(strstr(buf_str(&limits), "Max core file size        0                    0"));
    cr_assert_not_null(strstr(buf_str(&limits), "Max open files            1024                 1024"));
}

/* --- A jail with another program in it ------------------------------------------------------- */

struct probe {
    bool has_ended;
    int status;
};

static void probe_started(void *data maybe_unused) {}

static void probe_exit(void *data, int status, const struct error *err maybe_unused)
{
    struct probe *probe = data;
    probe->has_ended = true;
    probe->status = status;
}

/* Runs a program in a jail that is built as QEMU's, and returns what it printed. */
static void run_in_jail(struct fixture *f, const char *const *program, char *out, size_t size)
{
    static const struct jailed_ops ops = { probe_started, probe_exit };
    struct error err = { 0 };
    struct probe probe = { 0 };
    int fds[2];
    cr_assert(eq(int, pipe2(fds, O_CLOEXEC), 0));
    const struct jail_bind binds[] = { { program[0], program[0] } };
    const struct process_fd child_fds[] = { { fds[1], 1 }, { fds[1], 2 } };
    const struct jailed_spec spec = {
        .jail = { .uid = fixture_uid(), .binds = binds, .n_binds = 1 },
        .program = program, .fds = child_fds, .n_fds = 2, .file_bytes = 1 << 20,
    };
    struct jailed *jailed = NULL;
    cr_assert(eq(int, jailed_start(&jailed, &f->loop, &spec, &ops, &probe, &err), 0), "%s", err.message);
    close(fds[1]);
    fixture_wait(f, probe.has_ended);
    size_t n = 0;
    ssize_t r;
    while (n + 1 < size && (r = read(fds[0], out + n, size - 1 - n)) > 0)
        n += (size_t)r;
    out[n] = 0;
    close(fds[0]);
    jailed_free(jailed);
}

SCENARIO(shows_its_jail_nothing_of_the_host)
{
    char out[8192];
    const char *const list[] = { "/usr/bin/find", "/", "-xdev", "-maxdepth", "2", "-not", "-path",
                                 "/proc/*", "-not", "-path", "/dev/*", NULL };
    run_in_jail(f, list, out, sizeof out);
    /* The whole tree, to the depth that was asked for. */
    static const char *const allowed[] = { "/", "/dev", "/proc", "/lib", "/lib64", "/usr", "/usr/lib",
                                           "/usr/share", "/usr/bin" };
    for (char *line = strtok(out, "\n"); line; line = strtok(NULL, "\n")) {
        bool is_known = false;
        for (size_t i = 0; i < ARRAY_LEN(allowed); i++)
            is_known |= strcmp(line, allowed[i]) == 0;
        cr_assert(is_known || strncmp(line, "/lib64/", 7) == 0, "the jail shows %s", line);
    }
}

SCENARIO(keeps_the_state_directory_from_its_jail)
{
    char out[1024], path[128];
    snprintf(path, sizeof path, "%s/journal.db", f->dir);
    cr_assert(eq(int, fs_write_atomic(path, "secret", 6, 0644, NULL), 0));
    const char *const read_it[] = { "/usr/bin/cat", path, NULL };
    run_in_jail(f, read_it, out, sizeof out);
    cr_assert_not_null(strstr(out, "No such file or directory"), "%s", out);

    /* Not through another process either: the jail sees no other. */
    const char *const processes[] = { "/usr/bin/ls", "/proc/1/root/", NULL };
    run_in_jail(f, processes, out, sizeof out);
    cr_assert_null(strstr(out, "home"), "%s", out);
}

SCENARIO(has_no_way_to_a_network)
{
    char out[4096];
    const char *const addresses[] = { "/usr/bin/cat", "/proc/net/dev", NULL };
    run_in_jail(f, addresses, out, sizeof out);
    cr_assert_not_null(strstr(out, "lo:"), "%s", out);
    cr_assert_null(strstr(out, "eth"), "%s", out);
}

Test(guest_as_root, does_not_share_its_uid_and_cannot_open_anothers_disk)
{
    if (geteuid() != 0)
        cr_skip_test("not root");
    static struct fixture f;
    fixture_init(&f);
    give_disk(&f);
    fixture_start_ready(&f);
    /* The same host path by way of the guest's own view: a process with the uid of another
     * sandbox. */
    char root[64], overlay[128];
    snprintf(root, sizeof root, "/proc/%d/fd/%d", (int)guest_pid(f.guest), GUEST_FD_OVERLAY_RW);
    snprintf(overlay, sizeof overlay, "%s/" GUEST_FILE_OVERLAY, f.dir);
    cr_assert(eq(int, setresuid(JAIL_UID_FIRST + 43, JAIL_UID_FIRST + 43, 0), 0));
    cr_assert(lt(int, open(overlay, O_RDONLY | O_CLOEXEC), 0));
    cr_assert(lt(int, open(root, O_RDONLY | O_CLOEXEC), 0));
    cr_assert(lt(int, kill(guest_pid(f.guest), 0), 0));
    /* And its own uid cannot reach the directory by path. */
    cr_assert(eq(int, setresuid(0, 0, 0), 0));
    cr_assert(eq(int, setresuid(fixture_uid(), fixture_uid(), 0), 0));
    cr_assert(lt(int, open(overlay, O_RDONLY | O_CLOEXEC), 0));
    cr_assert(eq(int, setresuid(0, 0, 0), 0));
    fixture_deinit(&f);
}
