/* hypervisor/, the parts that need no guest: decisions, command lines (golden), limits, disks, and
 * QMP against peers that misbehave. */
#include "base/buf.h"
#include "base/fs.h"
#include "base/process.h"
#include "base/sock.h"
#include "hypervisor/accel.h"
#include "hypervisor/cgroup.h"
#include "hypervisor/disk.h"
#include "hypervisor/guest-args.h"
#include "hypervisor/guest-files.h"
#include "hypervisor/jail.h"
#include "hypervisor/machine.h"
#include "hypervisor/net.h"
#include "hypervisor/qmp.h"
#include "hypervisor/ram.h"
#include "hypervisor/tpm.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

/* --- Accelerator ----------------------------------------------------------------------------- */

Test(accel, decides)
{
    static const struct {
        enum accel_wish wish;
        struct accel_facts facts;
        enum accel accel;
        const char *reason; /* a part of it */
    } rows[] = {
        { ACCEL_WISH_AUTO, { 0, true }, ACCEL_KVM, "vmx or svm" },
        { ACCEL_WISH_AUTO, { 0, false }, ACCEL_TCG, "neither vmx nor svm" },
        { ACCEL_WISH_AUTO, { ENOENT, true }, ACCEL_TCG, "No such file" },
        { ACCEL_WISH_AUTO, { EACCES, true }, ACCEL_TCG, "Permission denied" },
        { ACCEL_WISH_KVM, { 0, false }, ACCEL_KVM, "as configured" },
        { ACCEL_WISH_TCG, { 0, true }, ACCEL_TCG, "as configured" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct accel_choice choice;
        cr_assert(eq(int, accel_decide(rows[i].wish, &rows[i].facts, &choice, NULL), 0));
        cr_assert(eq(int, choice.accel, rows[i].accel), "row %zu", i);
        cr_assert_not_null(strstr(choice.reason, rows[i].reason), "%s", choice.reason);
    }
}

Test(accel, refuses_to_pretend)
{
    struct error err = { 0 };
    struct accel_choice choice;
    struct accel_facts none = { ENOENT, false };
    cr_assert(lt(int, accel_decide(ACCEL_WISH_KVM, &none, &choice, &err), 0));
    cr_assert(eq(int, err.code, ERROR_CONFIG));
    enum accel_wish wish;
    cr_assert(lt(int, accel_parse("xen", &wish, &err), 0));
    cr_assert(eq(int, accel_parse("auto", &wish, &err), 0));
}

Test(accel, reads_flags_as_words)
{
    cr_assert(accel_cpuinfo_has_virt("model name\t: svm\nflags\t\t: fpu vme vmx est\n"));
    cr_assert(accel_cpuinfo_has_virt("flags\t\t: fpu svm"));
    cr_assert_not(accel_cpuinfo_has_virt("flags\t\t: fpu avmx vmxx svm_lock\nvmx flags\t: vnmi\n"));
    cr_assert_not(accel_cpuinfo_has_virt(""));
}

/* --- Golden command lines -------------------------------------------------------------------- */

/* One argument per line. DESKFARM_UPDATE_GOLDEN=1 writes the file instead. */
static void check_golden(const struct argv *argv, const char *name)
{
    auto_buf struct buf text = BUF_INIT, golden = BUF_INIT;
    char path[512];
    struct error err = { 0 };
    cr_assert_not_null(argv_get(argv));
    for (size_t i = 0; i < argv->n; i++)
        buf_printf(&text, "%s\n", argv->items[i]);
    snprintf(path, sizeof path, SOURCE_ROOT "/tests/golden/args-%s.txt", name);
    if (getenv("DESKFARM_UPDATE_GOLDEN"))
        cr_assert(eq(int, fs_write_atomic(path, text.data, text.size, 0644, &err), 0), "%s", err.message);
    cr_assert(eq(int, fs_read(path, 65536, &golden, &err), 0), "%s", err.message);
    cr_assert(eq(str, (char *)buf_str(&text), (char *)buf_str(&golden)), "%s", path);
}

static struct machine_spec desktop(void)
{
    return (struct machine_spec){
        .name = "sb-golden", .accel = ACCEL_TCG, .network = MACHINE_NETWORK_NAT, .cpus = 2,
        .memory_mib = 2048, .width = 1280, .height = 800, .kernel = "/cache/vmlinuz",
        .initrd = "/cache/initrd.img", .cmdline = "root=/dev/vda console=ttyS0",
        .base_disk = "/cache/disk.qcow2", .disk_bytes = INT64_C(8) << 30,
        .mac = "52:54:00:01:02:03", .uuid = "00000000-0000-4000-8000-000000000001",
        .vmgenid = "00000000-0000-4000-8000-000000000002",
    };
}

Test(guest_args, match_their_golden_files)
{
    struct machine_spec spec[11];
    static const char *const names[] = { "desktop-tcg", "desktop-kvm", "kernel-only", "bios-raw-disk",
                                         "generic-tcg", "generic-kvm", "generic-bios", "windows-11-kvm",
                                         "windows-driven-kvm", "installer", "restored-installer" };
    const struct machine_origin origin = { .ram_fd = 0, .layers = (const char *const[]){ "/layer" }, .n_layers = 1 };
    for (size_t i = 0; i < ARRAY_LEN(spec); i++)
        spec[i] = desktop();
    spec[1].accel = ACCEL_KVM;
    spec[2].base_disk = NULL;
    spec[2].disk_bytes = 0;
    spec[2].network = MACHINE_NETWORK_NONE;
    spec[3].kernel = spec[3].initrd = spec[3].cmdline = NULL;
    spec[3].base_format = "raw";
    spec[3].network = MACHINE_NETWORK_NONE;
    for (size_t i = 4; i < ARRAY_LEN(names); i++)
        spec[i].kernel = spec[i].initrd = spec[i].cmdline = NULL;
    for (size_t i = 4; i < 7; i++)
        spec[i].shape = *profile_shape("generic");
    spec[5].accel = ACCEL_KVM;
    spec[6].shape.firmware = FIRMWARE_BIOS;
    spec[6].shape.bus = BUS_NVME;
    spec[6].width = 3840;
    spec[6].height = 2160;
    for (size_t i = 7; i < 9; i++) {
        spec[i].shape = *profile_shape("windows");
        spec[i].accel = ACCEL_KVM;
    }
    spec[8].shape.firmware = FIRMWARE_UEFI; /* Windows 10 once its drivers are in */
    spec[8].shape.has_tpm = false;
    spec[8].shape.display = DISPLAY_VIRTIO;
    spec[8].shape.bus = BUS_VIRTIO;
    spec[8].shape.card = CARD_VIRTIO;
    for (size_t i = 9; i < 11; i++) {
        spec[i].shape = *profile_shape("generic");
        spec[i].base_disk = NULL;
        spec[i].media[0] = "/cache/system.iso";
        spec[i].media[1] = "/cache/drivers.iso";
    }
    spec[10].origin = &origin;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        auto_argv struct argv argv = ARGV_INIT;
        struct error err = { 0 };
        cr_assert(eq(int, machine_check(&spec[i], &err), 0), "%s", err.message);
        guest_args(&spec[i], "/usr/bin/qemu-system-x86_64", &argv);
        check_golden(&argv, names[i]);
    }
}

Test(profile, is_read_with_what_an_image_changes)
{
    struct machine_shape shape, again;
    struct error err = { 0 };
    auto_json json_t *image = json_pack("{ss ss ss sb}", "profile", "windows", "firmware", "uefi", "disk_bus", "virtio",
                                        "tpm", 0);
    cr_assert(eq(int, profile_read(&shape, image, &err), 0), "%s", err.message);
    cr_assert(shape.profile == MACHINE_WINDOWS && shape.firmware == FIRMWARE_UEFI && shape.bus == BUS_VIRTIO);
    cr_assert(shape.display == DISPLAY_VGA && shape.input == INPUT_USB && !shape.has_tpm);
    auto_json json_t *written = profile_json(&shape);
    cr_assert(json_equal(written, image));
    cr_assert(eq(int, profile_read(&again, written, &err), 0));
    cr_assert(eq(int, memcmp(&again, &shape, sizeof shape), 0));

    auto_json json_t *nothing = json_object();
    cr_assert(eq(int, profile_read(&shape, nothing, &err), 0));
    cr_assert(shape.profile == MACHINE_LINUX && shape.firmware == FIRMWARE_BIOS && shape.input == INPUT_VIRTIO);
    cr_assert(eq(i64, profile_video_bytes(&shape, 1280, 800), 0));

    auto_json json_t *wrong = json_pack("{ss ss}", "profile", "generic", "disk_bus", "floppy");
    cr_assert(lt(int, profile_read(&shape, wrong, &err), 0));
    cr_assert(err.code == ERROR_BAD_VALUE && strstr(err.message, "disk_bus"));
    cr_assert_null(profile_shape("macos"));
}

Test(profile, has_video_memory_for_its_screen)
{
    const struct machine_shape *shape = profile_shape("generic");
    cr_assert(eq(i64, profile_video_bytes(shape, 640, 480), 16 << 20));
    cr_assert(eq(i64, profile_video_bytes(shape, 2560, 1600), 16 << 20));
    cr_assert(eq(i64, profile_video_bytes(shape, 3840, 2160), 32 << 20));
    cr_assert(eq(i64, profile_video_bytes(shape, 8192, 8192), 256 << 20));
}

Test(ram, finds_a_devices_memory_among_mappings)
{
    static const char maps[] =
        "10000000-11000000 rw-p 00000000 00:00 0 \n" /* of the size, without a fence */
        "20000000-21000000 rwxp 00000000 00:00 0 \n" /* code */
        "21000000-21001000 ---p 00000000 00:00 0 \n"
        "30000000-31000000 rw-p 00000000 fe:00 77                  /usr/lib/x\n" /* of a file */
        "31000000-31001000 ---p 00000000 00:00 0 \n"
        "40000000-41000000 rw-p 00000000 00:00 0                   [heap]\n"
        "41000000-41001000 ---p 00000000 00:00 0 \n"
        "50000000-51000000 rw-p 00000000 00:00 0 \n"
        "51000000-51001000 ---p 00000000 00:00 0 \n"
        "60000000-60800000 rw-p 00000000 00:00 0 \n"
        "60800000-60801000 ---p 00000000 00:00 0 \n";
    static const char heaps[] =
        "7f0000000000-7f0000084000 rw-p 00000000 00:00 0 \n" /* of a thread, and what it may grow into */
        "7f0000084000-7f0004000000 ---p 00000000 00:00 0 \n"
        "7f0005000000-7f0005084000 rw-p 00000000 00:00 0 \n"
        "7f0005084000-7f0005085000 ---p 00000000 00:00 0 \n";
    struct ram_mapping found;
    cr_assert(eq(int, ram_match_beside(heaps, 540672, &found, 1), 1));
    cr_assert(eq(u64, found.start, 0x7f0005000000));
    cr_assert(eq(int, ram_match_beside(maps, 16 << 20, &found, 1), 1));
    cr_assert(eq(u64, found.start, 0x50000000));
    cr_assert(eq(u64, found.end, 0x51000000));
    cr_assert(eq(int, ram_match_beside(maps, 32 << 20, &found, 1), 0));
    cr_assert(eq(int, ram_match_beside("", 1, &found, 1), 0));
    cr_assert(eq(int, ram_match_beside("nonsense\n\n50000000-51000000 rw-p", 16 << 20, &found, 1), 0));
}

Test(jail, matches_its_golden_files)
{
    static const struct jail_bind binds[] = {
        { "/usr/bin/qemu-system-x86_64", "/usr/bin/qemu-system-x86_64" },
        { "/cache/disk.qcow2", "/image/disk" },
    };
    const struct jail_spec user = {
        .info_fd = 10, .block_fd = 11, .binds = binds, .n_binds = ARRAY_LEN(binds),
        .n_files_max = 1024, .n_threads_max = 512, .locked_bytes_max = 65536,
        .file_bytes_max = INT64_C(8) << 30,
    };
    struct jail_spec root = user, kvm = user, network = user, tpm = user;
    root.uid = kvm.uid = network.uid = JAIL_UID_FIRST + 7;
    kvm.with_kvm = true;
    kvm.kvm_gid = 104;
    tpm.is_bare = true;
    tpm.scratch = TPM_DIR "sb-golden";
    network.for_network = true;
    network.resolv_fd = 4;
    network.tun = "/state/sandboxes/sb-golden/tun";
    const struct {
        const struct jail_spec *spec;
        const char *name;
    } rows[] = { { &user, "jail-user" }, { &root, "jail-root" }, { &kvm, "jail-root-kvm" },
                 { &network, "jail-network" }, { &tpm, "jail-tpm" } };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_argv struct argv argv = ARGV_INIT;
        jail_args(rows[i].spec, &argv);
        check_golden(&argv, rows[i].name);
    }
}

Test(tpm, matches_its_golden_file)
{
    auto_argv struct argv argv = ARGV_INIT;
    tpm_args("sb-golden", &argv);
    check_golden(&argv, "tpm");
}

/* --- Limits ---------------------------------------------------------------------------------- */

Test(machine, refuses_what_is_outside_its_limits)
{
    struct error err = { 0 };
    struct machine_spec good = desktop();
    cr_assert(eq(int, machine_check(&good, &err), 0), "%s", err.message);
    auto_free char *long_line = calloc(1, MACHINE_CMDLINE_MAX + 2);
    memset(long_line, 'x', MACHINE_CMDLINE_MAX + 1);
#define BAD(field, value)                                                                          \
    do {                                                                                           \
        struct machine_spec bad = desktop();                                                       \
        bad.field = value;                                                                         \
        cr_assert(lt(int, machine_check(&bad, &err), 0), #field " = " #value);                     \
        cr_assert(eq(int, err.code, ERROR_BAD_VALUE));                                             \
    } while (0)
    BAD(cpus, 0);
    BAD(cpus, MACHINE_CPUS_MAX + 1);
    BAD(memory_mib, MACHINE_MEMORY_MIB_MIN - 1);
    BAD(memory_mib, MACHINE_MEMORY_MIB_MAX + 1);
    BAD(width, 0);
    BAD(height, MACHINE_SIDE_MAX + 1);
    BAD(disk_bytes, 0);
    BAD(disk_bytes, 1000);
    BAD(disk_bytes, MACHINE_DISK_BYTES_MAX + 512);
    BAD(kernel, "vmlinuz");
    BAD(kernel, NULL);
    BAD(base_disk, "disk");
    BAD(media[0], "system.iso");
    BAD(base_format, "vmdk");
    BAD(name, NULL);
    BAD(name, "a,id=b");
    BAD(name, "../x");
    BAD(cmdline, long_line);
    BAD(mac[0], 'x');
    BAD(uuid[8], '_');
    BAD(vmgenid[0], 0);
#undef BAD
}

Test(machine, makes_ids_that_are_valid_and_differ)
{
    struct machine_spec a = desktop(), b = desktop();
    machine_fill_ids(&a);
    machine_fill_ids(&b);
    cr_assert(eq(int, machine_check(&a, NULL), 0));
    cr_assert(ne(str, a.uuid, b.uuid));
    cr_assert(ne(str, a.uuid, a.vmgenid));
}

Test(machine, knows_its_networks)
{
    enum machine_network network;
    enum net_egress egress;
    cr_assert(eq(int, machine_network_parse("nat", &network, NULL), 0));
    cr_assert(lt(int, machine_network_parse("bridge", &network, NULL), 0));
    cr_assert(eq(int, net_egress_parse("all", &egress, NULL), 0));
    cr_assert(lt(int, net_egress_parse("", &egress, NULL), 0));
}

Test(jail, reads_bwraps_pid_in_pieces)
{
    static const char whole[] = "{\n    \"child-pid\": 12345,\n    \"net-namespace\": 4026531840\n}\n";
    for (size_t n = 0; n < sizeof whole - 1; n++) {
        char text[sizeof whole] = { 0 };
        memcpy(text, whole, n);
        bool is_whole = memchr(text, '}', n);
        cr_assert(eq(int, jail_parse_info(text, n), is_whole ? 12345 : 0), "%zu bytes", n);
    }
    static const char *const bad[] = { "}", "{}", "{\"child-pid\": }", "{\"child-pid\": 1}",
                                       "{\"child-pid\": 99999999999}", "{\"child-pid\": -5}" };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        cr_assert(lt(int, jail_parse_info(bad[i], strlen(bad[i])), 0), "%s", bad[i]);
}

Test(cgroup, says_what_it_found)
{
    char fact[160] = "";
    struct cgroup_root *root = cgroup_root_new(fact);
    cr_assert(gt(sz, strlen(fact), 0));
    cgroup_root_free(root);
    cr_assert(eq(i64, cgroup_guest_memory(1024), INT64_C(1472) << 20));
}

Test(words, are_bounded_and_harmless)
{
    int fd = memfd_create("words", MFD_CLOEXEC);
    char out[64];
    guest_files_words(fd, out, sizeof out);
    cr_assert(eq(str, out, ""));
    dprintf(fd, "first\nsecond \x1b[31m caf\xc3\xa9 \xff\n\n");
    guest_files_words(fd, out, sizeof out);
    cr_assert(eq(str, out, "first; second  [31m caf\xc3\xa9 ?"));
    for (int i = 0; i < 1000; i++)
        dprintf(fd, "line %d\n", i);
    guest_files_words(fd, out, sizeof out);
    cr_assert(eq(str, out, "line 997; line 998; line 999"));
    close(fd);
}

/* --- Disks ----------------------------------------------------------------------------------- */

/* Runs a tool and returns its exit status. */
static int run(const char *const *argv)
{
    struct loop loop;
    struct process *process = NULL;
    struct error err = { 0 };
    loop_init(&loop);
    const struct process_spec spec = { .argv = argv };
    cr_assert(eq(int, process_spawn(&process, &loop, &spec, NULL, NULL, &err), 0), "%s", err.message);
    while (process_is_alive(process))
        loop_turn(&loop, true);
    int status = 0;
    waitpid(process_pid(process), &status, 0);
    process_free(process);
    loop_deinit(&loop);
    return status;
}

Test(disk, is_a_qcow2_that_qemu_finds_clean)
{
    static const int64_t sizes[] = { 1 << 20, INT64_C(512) << 20, (INT64_C(512) << 20) + 512,
                                     INT64_C(20) << 30, MACHINE_DISK_BYTES_MAX };
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        char dir[] = "/tmp/deskfarm-disk-XXXXXX";
        struct error err = { 0 };
        cr_assert_not_null(mkdtemp(dir));
        auto_free char *path = fs_join(dir, "overlay.qcow2");
        cr_assert(eq(int, disk_create_overlay_now(path, sizes[i], &err), 0), "%s", err.message);
        const char *const check[] = { "qemu-img", "check", "-q", "-f", "qcow2", path, NULL };
        cr_assert(eq(int, run(check), 0), "%lld bytes", (long long)sizes[i]);
        const char *const use[] = { "qemu-io", "-f", "qcow2", "-c", "write -P 7 0 64k", "-c",
                                    "read -P 7 0 64k", path, NULL };
        cr_assert(eq(int, run(use), 0));
        cr_assert(eq(int, run(check), 0));
        cr_assert(lt(int, disk_create_overlay_now(path, sizes[i], &err), 0), "it replaced a disk");
        fs_remove_tree(dir, NULL);
    }
}

Test(disk, says_that_the_disk_is_full)
{
    struct error err = { 0 };
    cr_assert(lt(int, disk_create_overlay_now("/proc/deskfarm.qcow2", 1 << 20, &err), 0));
    cr_assert(eq(int, err.code, ERROR_INTERNAL));
    /* A full file system, without root: the largest file that this process may write. */
    if (geteuid() == 0 && access("/dev/shm", W_OK) == 0) {
        char dir[] = "/dev/shm/deskfarm-full-XXXXXX";
        cr_assert_not_null(mkdtemp(dir));
        const char *const mount[] = { "mount", "-t", "tmpfs", "-o", "size=1m", "none", dir, NULL };
        if (run(mount) == 0) {
            auto_free char *path = fs_join(dir, "overlay.qcow2");
            cr_assert(lt(int, disk_create_overlay_now(path, 1 << 20, &err), 0));
            cr_assert(eq(int, err.code, ERROR_DISK_FULL), "%s", err.message);
            cr_assert(lt(int, access(path, F_OK), 0), "something was left behind");
            const char *const umount[] = { "umount", dir, NULL };
            run(umount);
        }
        rmdir(dir);
    }
}

Test(disk, rounds_up)
{
    int64_t bytes;
    struct error err = { 0 };
    cr_assert(eq(int, disk_round(1, &bytes, &err), 0));
    cr_assert(eq(i64, bytes, 1 << 20));
    cr_assert(eq(int, disk_round(3 << 20, &bytes, &err), 0));
    cr_assert(eq(i64, bytes, 3 << 20));
    cr_assert(lt(int, disk_round(0, &bytes, &err), 0));
    cr_assert(lt(int, disk_round(INT64_MAX, &bytes, &err), 0));
}

/* --- QMP ------------------------------------------------------------------------------------- */

#define GREETING "{\"QMP\": {\"version\": {}, \"capabilities\": []}}\r\n"
#define CAPABILITIES "{\"return\": {}, \"id\": 1}\r\n"

/* A client and the end of a peer that says what the test wants. */
struct peer {
    struct loop loop;
    struct qmp *qmp;
    int fd;
    bool is_ready, frees_on_close;
    int n_events, n_closed, n_done, n_failed;
    struct error why, err;
    char last_event[64], result[256];
};

static void peer_ready(void *data)
{
    ((struct peer *)data)->is_ready = true;
}

static void peer_event(void *data, const char *name, const json_t *args)
{
    struct peer *peer = data;
    peer->n_events++;
    cr_assert_eq(json_typeof(args), JSON_OBJECT);
    snprintf(peer->last_event, sizeof peer->last_event, "%s", name);
}

static void peer_closed(void *data, const struct error *why)
{
    struct peer *peer = data;
    peer->n_closed++;
    peer->why = *why;
    if (peer->frees_on_close)
        peer->qmp = qmp_free(peer->qmp);
}

static void peer_done(void *data, json_t *result, const struct error *err)
{
    struct peer *peer = data;
    peer->n_done++;
    if (err) {
        peer->n_failed++;
        peer->err = *err;
    } else {
        snprintf(peer->result, sizeof peer->result, "%s", json_get_string(result, "answer", ""));
    }
}

static const struct qmp_ops peer_ops = { peer_ready, peer_event, peer_closed };

static void peer_init(struct peer *peer)
{
    int fds[2];
    struct error err = { 0 };
    *peer = (struct peer){ 0 };
    signal(SIGPIPE, SIG_IGN);
    loop_init(&peer->loop);
    cr_assert(eq(int, sock_pair(fds, &err), 0));
    peer->fd = fds[1];
    cr_assert(eq(int, qmp_new(&peer->qmp, &peer->loop, fds[0], &peer_ops, peer, &err), 0));
}

static void peer_turns(struct peer *peer)
{
    for (int i = 0; i < 20; i++)
        loop_turn(&peer->loop, false);
}

static void peer_say(struct peer *peer, const char *text)
{
    cr_assert(eq(int, (int)write(peer->fd, text, strlen(text)), (int)strlen(text)));
    peer_turns(peer);
}

static void peer_greet(struct peer *peer)
{
    char drop[512];
    peer_say(peer, GREETING);
    cr_assert(gt(int, (int)read(peer->fd, drop, sizeof drop), 0));
    peer_say(peer, CAPABILITIES);
    cr_assert(peer->is_ready);
}

static void peer_deinit(struct peer *peer)
{
    qmp_free(peer->qmp);
    close(peer->fd);
    loop_deinit(&peer->loop);
}

static void peer_hear(struct peer *peer, char *out, size_t size)
{
    peer_turns(peer);
    ssize_t n = read(peer->fd, out, size - 1);
    out[MAX(n, 0)] = 0;
}

Test(qmp, sends_early_commands_after_the_capabilities)
{
    struct peer peer;
    char text[1024];
    peer_init(&peer);
    qmp_execute(peer.qmp, "early", json_pack("{s:i}", "a", 1), peer_done, &peer);
    peer_hear(&peer, text, sizeof text);
    cr_assert(eq(str, text, ""));
    peer_say(&peer, GREETING);
    peer_hear(&peer, text, sizeof text);
    cr_assert(eq(str, text, "{\"execute\":\"qmp_capabilities\",\"id\":2}\n"));
    peer_say(&peer, "{\"return\": {}, \"id\": 2}\n");
    peer_hear(&peer, text, sizeof text);
    cr_assert(eq(str, text, "{\"execute\":\"early\",\"id\":1,\"arguments\":{\"a\":1}}\n"));
    peer_say(&peer, "{\"return\": {\"answer\": \"yes\"}, \"id\": 1}\n");
    cr_assert(eq(int, peer.n_done, 1));
    cr_assert(eq(str, peer.result, "yes"));
    peer_deinit(&peer);
}

Test(qmp, takes_answers_in_any_order_and_in_pieces)
{
    static const char answers[] = "{\"return\": {\"answer\": \"b\"}, \"id\": 3}\r\n"
                                  "{\"event\": \"STOP\", \"timestamp\": {}}\r\n"
                                  "{\"return\": {\"answer\": \"a\"}, \"id\": 2}\r\n";
    struct peer peer;
    peer_init(&peer);
    peer_greet(&peer);
    qmp_execute(peer.qmp, "a", NULL, peer_done, &peer);
    qmp_execute(peer.qmp, "b", NULL, peer_done, &peer);
    peer_turns(&peer);
    for (size_t i = 0; i < sizeof answers - 1; i++) {
        char one[2] = { answers[i], 0 };
        peer_say(&peer, one);
    }
    cr_assert(eq(int, peer.n_done, 2));
    cr_assert(eq(int, peer.n_failed, 0));
    cr_assert(eq(str, peer.result, "a"));
    cr_assert(eq(str, peer.last_event, "STOP"));
    peer_deinit(&peer);
}

Test(qmp, passes_errors_on)
{
    struct peer peer;
    peer_init(&peer);
    peer_greet(&peer);
    qmp_execute(peer.qmp, "cont", NULL, peer_done, &peer);
    peer_turns(&peer);
    peer_say(&peer, "{\"error\": {\"class\": \"GenericError\", \"desc\": \"no\"}, \"id\": 2}\n");
    cr_assert(eq(str, peer.err.message, "QMP cont: no"));
    cr_assert(eq(int, peer.err.code, ERROR_GUEST_FAILED));
    qmp_execute(peer.qmp, "stop", NULL, peer_done, &peer);
    peer_turns(&peer);
    peer_say(&peer, "{\"error\": 7, \"id\": 3}\n");
    cr_assert(eq(int, peer.n_failed, 2));
    cr_assert(eq(int, peer.n_closed, 0));
    peer_deinit(&peer);
}

Test(qmp, gives_up_on_a_command_and_drops_its_late_answer)
{
    struct peer peer;
    peer_init(&peer);
    peer_greet(&peer);
    qmp_execute_timeout(peer.qmp, "slow", NULL, 1000, peer_done, &peer);
    while (!peer.n_done)
        loop_turn(&peer.loop, true);
    cr_assert(eq(int, peer.err.code, ERROR_TIMEOUT));
    peer_say(&peer, "{\"return\": {}, \"id\": 2}\n");
    cr_assert(eq(int, peer.n_done, 1));
    cr_assert(eq(int, peer.n_closed, 0));
    peer_deinit(&peer);
}

Test(qmp, ignores_answers_that_nobody_asked_for)
{
    struct peer peer;
    peer_init(&peer);
    peer_greet(&peer);
    peer_say(&peer, "{\"return\": {}, \"id\": 99}\n{\"return\": {}}\n{\"error\": {}, \"id\": \"x\"}\n{}\n\n"
                    "{\"event\": 5}\n{\"event\": \"RESUME\", \"data\": []}\n");
    cr_assert(eq(int, peer.n_events, 1));
    cr_assert(eq(int, peer.n_closed, 0));
    peer_deinit(&peer);
}

/* What a hostile QEMU may say, before or after the greeting: the connection ends, once, and a
 * command that waits is answered. */
Test(qmp, closes_a_peer_that_breaks_the_protocol)
{
    static const struct {
        bool greets;
        const char *text;
    } rows[] = {
        { false, "hello\n" }, { false, "{}\n" }, { false, "{\"return\": {}, \"id\": 1}\n" },
        { false, "[]\n" }, { false, "{\"QMP\": \n" }, { true, "{\"a\": 1, \"a\": 2}\n" },
        { true, "null\n" }, { true, "{\"x\": \"\xff\xfe\"}\n" }, { true, "{\"event\": \"STOP\"\n" },
        { true, "{\"x\": [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}\n" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct peer peer;
        peer_init(&peer);
        if (rows[i].greets)
            peer_greet(&peer);
        qmp_execute(peer.qmp, "waiting", NULL, peer_done, &peer);
        peer_turns(&peer);
        peer_say(&peer, rows[i].text);
        cr_assert(eq(int, peer.n_closed, 1), "row %zu", i);
        cr_assert(eq(int, peer.n_failed, 1));
        cr_assert(eq(int, peer.err.code, ERROR_GUEST_GONE));
        qmp_execute(peer.qmp, "too late", NULL, peer_done, &peer);
        cr_assert(eq(int, peer.n_failed, 1), "answered inside the call");
        peer_turns(&peer);
        cr_assert(eq(int, peer.n_failed, 2));
        peer_deinit(&peer);
    }
}

Test(qmp, bounds_a_line)
{
    struct peer peer;
    char chunk[4096];
    memset(chunk, 'x', sizeof chunk);
    peer_init(&peer);
    size_t sent = 0;
    while (!peer.n_closed && sent < 4 * QMP_LINE_MAX) {
        ssize_t n = send(peer.fd, chunk, sizeof chunk, MSG_NOSIGNAL);
        sent += n > 0 ? (size_t)n : 0;
        loop_turn(&peer.loop, false);
    }
    cr_assert(eq(int, peer.n_closed, 1));
    cr_assert(lt(sz, sent, 2 * QMP_LINE_MAX));
    peer_deinit(&peer);
}

Test(qmp, bounds_what_waits_for_a_peer_that_does_not_read)
{
    struct peer peer;
    peer_init(&peer);
    peer_greet(&peer);
    auto_free char *big = calloc(1, 100001);
    memset(big, 'y', 100000);
    for (int i = 0; i < 100; i++)
        qmp_execute(peer.qmp, "big", json_pack("{s:s}", "x", big), peer_done, &peer);
    peer_turns(&peer);
    cr_assert(gt(int, peer.n_failed, 50));
    cr_assert(eq(int, peer.err.code, ERROR_BUSY));
    for (int i = 0; i < 2 * QMP_COMMANDS_MAX; i++)
        qmp_execute(peer.qmp, "small", NULL, peer_done, &peer);
    peer_turns(&peer);
    cr_assert(ge(int, peer.n_failed, QMP_COMMANDS_MAX));
    cr_assert(eq(int, peer.n_closed, 0));
    int n_before = peer.n_done;
    peer.qmp = qmp_free(peer.qmp);
    cr_assert(gt(int, peer.n_done, n_before));
    cr_assert(eq(int, peer.n_done, 100 + 2 * QMP_COMMANDS_MAX));
    cr_assert(eq(int, peer.err.code, ERROR_CANCELLED));
    peer_deinit(&peer);
}

Test(qmp, may_be_freed_when_it_closes)
{
    struct peer peer;
    peer_init(&peer);
    peer.frees_on_close = true;
    peer_greet(&peer);
    qmp_execute(peer.qmp, "waiting", NULL, peer_done, &peer);
    peer_turns(&peer);
    peer_say(&peer, "{\"event\": \"STOP\"}\nrubbish\n{\"event\": \"RESUME\"}\n");
    cr_assert_null(peer.qmp);
    cr_assert(eq(int, peer.n_done, 1));
    cr_assert(eq(str, peer.last_event, "STOP"));
    peer_deinit(&peer);
}

static void done_again(void *data, json_t *result maybe_unused, const struct error *err)
{
    struct peer *peer = data;
    if (err && ++peer->n_done < 1000 && peer->qmp)
        qmp_execute(peer->qmp, "again", NULL, done_again, peer);
}

Test(qmp, is_not_trapped_by_a_caller_that_always_tries_again)
{
    struct peer peer;
    peer_init(&peer);
    peer_greet(&peer);
    qmp_execute(peer.qmp, "again", NULL, done_again, &peer);
    peer_turns(&peer);
    shutdown(peer.fd, SHUT_RDWR);
    peer_turns(&peer);
    cr_assert(eq(int, peer.n_closed, 1));
    peer_deinit(&peer);
}

static int count_fds(void)
{
    int n = 0;
    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

Test(qmp, sends_descriptors_and_keeps_none_that_it_is_sent)
{
    struct peer peer;
    peer_init(&peer);
    peer_greet(&peer);
    int pipe_fds[2];
    cr_assert(eq(int, pipe2(pipe_fds, O_CLOEXEC), 0));
    int before = count_fds();
    qmp_execute_fd(peer.qmp, "getfd", json_pack("{s:s}", "fdname", "x"), dup(pipe_fds[1]), peer_done, &peer);
    peer_turns(&peer);
    cr_assert(eq(int, count_fds(), before), "our copy is still open");
    char text[256], control[64];
    struct iovec iov = { text, sizeof text };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
                          .msg_controllen = sizeof control };
    cr_assert(gt(int, (int)recvmsg(peer.fd, &msg, MSG_CMSG_CLOEXEC), 0));
    struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
    cr_assert_not_null(cmsg);
    int received;
    memcpy(&received, CMSG_DATA(cmsg), sizeof received);
    cr_assert(eq(int, (int)write(received, "k", 1), 1));
    close(received);

    cr_assert(eq(int, sock_send_fd(peer.fd, "{\"event\": \"STOP\"}\n", 18, pipe_fds[0]), 0));
    peer_turns(&peer);
    cr_assert(eq(int, peer.n_events, 1));
    cr_assert(eq(int, count_fds(), before));
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    peer_deinit(&peer);
}

/* The real one, without a machine: up in a blink. */
Test(qmp, speaks_with_qemu)
{
    struct peer peer;
    struct error err = { 0 };
    peer_init(&peer);
    const char *const argv[] = { "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-S",
                                 "-machine", "none", "-display", "none", "-chardev",
                                 "socket,id=qmp,fd=3", "-mon", "chardev=qmp,mode=control", NULL };
    const struct process_fd fds[] = { { peer.fd, 3 } };
    const struct process_spec spec = { .argv = argv, .fds = fds, .n_fds = 1 };
    struct process *qemu = NULL;
    cr_assert(eq(int, process_spawn(&qemu, &peer.loop, &spec, NULL, NULL, &err), 0), "%s", err.message);
    close(peer.fd);
    peer.fd = -1;
    qmp_execute(peer.qmp, "query-name", NULL, peer_done, &peer);
    qmp_execute(peer.qmp, "no-such-command", NULL, peer_done, &peer);
    auto_fd int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    qmp_execute_fd(peer.qmp, "getfd", json_pack("{s:s}", "fdname", "x"), dup(null), peer_done, &peer);
    while (peer.n_done < 3 && !peer.n_closed)
        loop_turn(&peer.loop, true);
    cr_assert(peer.is_ready);
    cr_assert(eq(int, peer.n_done, 3));
    cr_assert(eq(int, peer.n_failed, 1));
    cr_assert_not_null(strstr(peer.err.message, "no-such-command"), "%s", peer.err.message);
    qmp_execute(peer.qmp, "quit", NULL, peer_done, &peer);
    while (process_is_alive(qemu) || !peer.n_closed)
        loop_turn(&peer.loop, true);
    process_free(qemu);
    peer_deinit(&peer);
}
