/* Making a guest's process, and finding one that runs already.
 *
 * The spec is used up at once: arguments and bind mounts are written down, because the overlay may
 * still have to be made by a worker before QEMU can start. Descriptors are opened last and belong
 * to the child; we keep three of them: RAM (checkpoints), QEMU's words, and the listening QMP
 * socket (guest_socket_pair). A daemon that adopts a guest takes the same three out of the
 * process. */
#include "hypervisor/guest-private.h"

#include "hypervisor/disk.h"
#include "hypervisor/guest-files.h"

#include "base/fs.h"
#include "base/id.h"
#include "base/sock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#define QEMU_PIDS 512 /* threads of a guest, for its cgroup */
#define BINDS_MAX (4 + MACHINE_MEDIA_MAX + GUEST_LAYERS_MAX)

static void handle_jail_started(void *data maybe_unused) {}

static const struct jailed_ops jailed_ops = { .on_started = handle_jail_started,
                                              .on_exit = guest_handle_jail_exit };

/* The image's files, as bind mounts. bind_paths holds from, to, from, to … */
static size_t collect_binds(const struct guest *self, struct jail_bind *binds)
{
    size_t n = 0;
    for (size_t i = 0; i + 1 < self->bind_paths.n; i += 2)
        binds[n++] = (struct jail_bind){ self->bind_paths.items[i], self->bind_paths.items[i + 1] };
    return n;
}

static int spawn(struct guest *self, const struct guest_files *files, struct error *err)
{
    struct process_fd rows[GUEST_FD_COUNT];
    struct jail_bind binds[BINDS_MAX];
    bool with_kvm = self->spec.accel == ACCEL_KVM;
    struct jailed_spec spec = {
        .jail = { .uid = self->uid, .with_kvm = with_kvm,
                  .kvm_gid = with_kvm ? jail_kvm_gid() : 0, .binds = binds,
                  .n_binds = collect_binds(self, binds) },
        .program = argv_get(&self->qemu_args),
        .fds = rows,
        .n_fds = guest_files_rows(files, rows),
        .file_bytes = self->file_bytes,
        .cgroups = self->host->cgroups,
        .cgroup = self->name,
        .cgroup_limits = { .memory_bytes = cgroup_guest_memory(self->spec.memory_mib),
                           .cpu_weight = 100, .cpus = self->spec.cpus + 1, .pids = QEMU_PIDS },
    };
    int r = jailed_start(&self->jailed, self->host->loop, &spec, &jailed_ops, self, err);
    if (r == 0)
        snprintf(self->cgroup, sizeof self->cgroup, "%s", jailed_cgroup(self->jailed));
    return r;
}

static int launch(struct guest *self, struct error *err)
{
    struct guest_files files = GUEST_FILES_INIT;
    int r = guest_files_open(&files, &self->spec, self->dir, err);
    if (r == 0 && self->spec.shape.has_tpm)
        r = tpm_start(&self->tpm, &files.fds[GUEST_FD_TPM], self->host->loop, self->name, self->uid,
                      guest_handle_tpm_end, self, err);
    if (r == 0)
        r = spawn(self, &files, err);
    if (r == 0) {
        self->qmp_listen_fd = steal_fd(&files.fds[GUEST_FD_QMP]);
        util_close_ptr(&self->ram_fd);
        self->ram_fd = steal_fd(&files.fds[GUEST_FD_RAM]);
        self->words_fd = steal_fd(&files.fds[GUEST_FD_STDERR]);
        guest_await_qmp(self);
    }
    guest_files_close(&files);
    argv_deinit(&self->qemu_args);
    argv_deinit(&self->bind_paths);
    self->spec = (struct machine_spec){ 0 };
    return r;
}

static void handle_disk(void *data, const struct error *err)
{
    struct guest *self = data;
    struct error failure;
    self->is_disk_pending = false;
    if (self->is_freed)
        guest_destroy(self);
    else if (err)
        guest_end_early(self, err);
    else if (self->is_stop_wanted)
        guest_end_early(self, NULL);
    else if (launch(self, &failure) < 0)
        guest_end_early(self, &failure);
}

static int start_disk_or_launch(struct guest *self, struct error *err)
{
    auto_free char *path = fs_join(self->dir, GUEST_FILE_OVERLAY);
    if (!path)
        return error_errno(err, ENOMEM, "creating the overlay");
    if (!machine_has_disk(&self->spec) || access(path, F_OK) == 0)
        return launch(self, err);
    int r = disk_create_overlay(self->host->pool, path, self->spec.disk_bytes, handle_disk, self,
                                err);
    self->is_disk_pending = r == 0;
    return r;
}

/* Finds a program as execvp would. */
static int find_program(const char *name, char out[4096], struct error *err)
{
    static const char usual[] = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin";
    const char *path = strchr(name, '/') ? "" : usual;
    for (;;) {
        int n = (int)strcspn(path, ":");
        snprintf(out, 4096, "%.*s%s%s", n, path, n ? "/" : "", name);
        if (access(out, X_OK) == 0)
            return 0;
        if (!path[n])
            break;
        path += n + 1;
    }
    return error_set(err, ERROR_GUEST_FAILED, "there is no program %s", name);
}

static void add_bind(struct guest *self, const char *from, const char *to, const char **moved)
{
    if (!from)
        return;
    argv_add(&self->bind_paths, from);
    argv_add(&self->bind_paths, to);
    if (moved)
        *moved = self->bind_paths.failed ? NULL : self->bind_paths.items[self->bind_paths.n - 2];
}

/* The RAM's descriptor and the layers outlive this call with the guest. */
static void plan_origin(struct guest *self, const struct machine_spec *spec)
{
    self->n_overlays = machine_has_disk(spec);
    snprintf(self->node, sizeof self->node, "%s", machine_has_disk(spec) ? GUEST_NODE_OVERLAY : "");
    if (!spec->origin)
        return;
    self->is_restored = self->is_waiting = true;
    self->ram_fd = fcntl(spec->origin->ram_fd, F_DUPFD_CLOEXEC, 0);
    self->origin = (struct machine_origin){ .ram_fd = self->ram_fd };
    self->spec.origin = &self->origin;
    if (machine_has_disk(spec))
        snprintf(self->node, sizeof self->node, GUEST_NODE_BASE);
    for (size_t i = 0; i < spec->origin->n_layers; i++) {
        char path[32];
        snprintf(path, sizeof path, GUEST_PATH_LAYER, (int)i + 1);
        add_bind(self, spec->origin->layers[i], path, NULL);
        snprintf(self->node, sizeof self->node, GUEST_NODE_LAYER, (int)i + 1);
    }
}

static int plan(struct guest *self, const struct machine_spec *spec, struct error *err)
{
    char qemu[4096], program[4096], path[32];
    int r = profile_check_host(&spec->shape, err);
    if (r == 0)
        r = find_program(self->host->qemu ? self->host->qemu : "qemu-system-x86_64", qemu, err);
    if (r == 0)
        r = find_program("bwrap", program, err);
    if (r == 0 && self->uid)
        r = find_program("setpriv", program, err);
    if (r < 0)
        return r;
    self->spec = *spec;
    self->spec.name = self->name;
    self->spec.cmdline = NULL; /* in the arguments already */
    add_bind(self, qemu, qemu, NULL);
    add_bind(self, spec->kernel, GUEST_PATH_KERNEL, &self->spec.kernel);
    add_bind(self, spec->initrd, GUEST_PATH_INITRD, &self->spec.initrd);
    add_bind(self, spec->base_disk, GUEST_PATH_BASE, &self->spec.base_disk);
    for (int i = 0; i < MACHINE_MEDIA_MAX && spec->media[i]; i++) {
        snprintf(path, sizeof path, GUEST_PATH_MEDIA, i + 1);
        add_bind(self, spec->media[i], path, &self->spec.media[i]);
    }
    plan_origin(self, spec);
    guest_args(spec, qemu, &self->qemu_args);
    if (!argv_get(&self->qemu_args) || !argv_get(&self->bind_paths))
        return error_errno(err, ENOMEM, "writing QEMU's arguments");
    /* The largest file is the overlay with its tables, or the RAM. */
    int64_t disk = machine_has_disk(spec) ? spec->disk_bytes + spec->disk_bytes / 64 + (64 << 20) : 0;
    self->file_bytes = MAX(disk, (int64_t)spec->memory_mib << 20);
    return 0;
}

int guest_start(struct guest **ret, const struct guest_host *host, const struct machine_spec *spec,
                const char *dir, uid_t uid, const struct guest_ops *ops, void *data,
                struct error *err)
{
    int r = machine_check(spec, err);
    if (r < 0)
        return r;
    struct guest *self = guest_new(host, spec->name, dir, ops, data);
    if (!self)
        return error_errno(err, ENOMEM, "starting QEMU");
    self->network = spec->network;
    self->cannot_save = !profile_can_save(&spec->shape);
    self->beside[0] = profile_video_bytes(&spec->shape, spec->width, spec->height);
    self->beside[1] = profile_flash_bytes(&spec->shape);
    self->uid = jail_needs_uid() ? uid : 0;
    if (jail_needs_uid() && uid == 0)
        r = error_set(err, ERROR_INTERNAL, "as root a guest needs a uid of its own");
    if (r == 0)
        r = plan(self, spec, err);
    if (r == 0)
        r = start_disk_or_launch(self, err);
    if (r < 0) {
        error_wrap(err, "starting QEMU");
        guest_free(self);
        return r;
    }
    *ret = self;
    return 0;
}

/* --- Adoption -------------------------------------------------------------------------------- */

json_t *guest_identity(const struct guest *self)
{
    if (!self->jailed || !jailed_pid(self->jailed))
        return NULL;
    json_t *object = json_pack("{s:s, s:s, s:i, s:I, s:i, s:s, s:b, s:[I,I], s:b}", "name", self->name, "cgroup",
                               self->cgroup, "pid",
                               (int)jailed_pid(self->jailed), "start_time",
                               (json_int_t)jailed_start_time(self->jailed), "uid", (int)self->uid,
                               "network", machine_network_name(self->network), "restored",
                               self->is_restored, "beside", (json_int_t)self->beside[0],
                               (json_int_t)self->beside[1], "cannot_save", self->cannot_save);
    if (object && self->net)
        json_object_set_new(object, "net", net_identity(self->net));
    if (object && self->tpm)
        json_object_set_new(object, "tpm", tpm_identity(self->tpm));
    if (object && self->has_lost_tpm)
        json_object_set_new(object, "lost_tpm", json_true());
    return object;
}

/* Gets back what only the process has. */
static int take_descriptors(struct guest *self, struct error *err)
{
    const struct {
        int *to, fd;
    } rows[] = {
        { &self->words_fd, GUEST_FD_STDERR },
        { &self->qmp_listen_fd, GUEST_FD_QMP },
        { &self->ram_fd, GUEST_FD_RAM },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        *rows[i].to = jailed_get_fd(self->jailed, rows[i].fd, err);
        if (*rows[i].to < 0)
            return *rows[i].to;
    }
    return 0;
}

int guest_adopt(struct guest **ret, const struct guest_host *host, const json_t *identity,
                const char *dir, const struct guest_ops *ops, void *data, struct error *err)
{
    const char *name = json_get_string(identity, "name", NULL);
    int64_t pid = json_get_int(identity, "pid", 0), start = json_get_int(identity, "start_time", 0);
    if (!name || !id_is_valid(name) || pid <= 1 || pid > INT32_MAX || start <= 0)
        return error_set(err, ERROR_GUEST_GONE, "the journal does not say which process it is");
    struct guest *self = guest_new(host, name, dir, ops, data);
    if (!self)
        return error_errno(err, ENOMEM, "adopting %s", name);
    self->uid = (uid_t)json_get_int(identity, "uid", 0);
    snprintf(self->cgroup, sizeof self->cgroup, "%s", json_get_string(identity, "cgroup", name));
    self->is_adopted = true;
    self->is_restored = json_get_bool(identity, "restored", false);
    self->cannot_save = json_get_bool(identity, "cannot_save", false);
    for (size_t i = 0; i < RAM_BESIDE_MAX; i++)
        self->beside[i] = json_integer_value(json_array_get(json_object_get(identity, "beside"), i));
    machine_network_parse(json_get_string(identity, "network", "none"), &self->network, NULL);
    int r = jailed_adopt(&self->jailed, host->loop, (pid_t)pid, (uint64_t)start, &jailed_ops, self,
                         err);
    if (r < 0)
        r = error_set(err, ERROR_GUEST_GONE, "the guest ended while no daemon was running");
    else if ((r = take_descriptors(self, err)) == -ESRCH || r == -EBADF)
        r = error_set(err, ERROR_GUEST_GONE, "the guest ended just now"); /* not reaped yet */
    if (r < 0) {
        guest_free(self);
        return r;
    }
    const json_t *net = json_object_get(identity, "net");
    struct net_config config = { .dir = self->dir, .uid = self->uid, .egress = host->egress };
    if (self->network != MACHINE_NETWORK_NONE && net)
        net_adopt(&self->net, host->loop, &config, net, guest_handle_net_change, self,
                  NULL);
    const json_t *tpm = json_object_get(identity, "tpm");
    self->has_lost_tpm = json_get_bool(identity, "lost_tpm", false) ||
                         (tpm && tpm_adopt(&self->tpm, host->loop, tpm, guest_handle_tpm_end, self, NULL) < 0);
    guest_await_qmp(self);
    *ret = self;
    return 0;
}

bool guest_end_orphan(const char *dir)
{
    struct ucred peer = { 0 };
    socklen_t size = sizeof peer;
    char path[64];
    auto_buf struct buf name = BUF_INIT;
    auto_fd int sock = sock_connect(dir, GUEST_SOCK_QMP, NULL);
    if (sock < 0 || getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 || peer.pid <= 1)
        return false;
    auto_fd int pidfd = (int)syscall(SYS_pidfd_open, peer.pid, 0);
    /* These are the credentials of whoever called listen(), QEMU if it came that far. The pid may
     * have gone to somebody else; with the pidfd open, it cannot any more. */
    snprintf(path, sizeof path, "/proc/%d/comm", (int)peer.pid);
    if (pidfd < 0 || fs_read(path, 64, &name, NULL) < 0 ||
        strncmp(buf_str(&name), "qemu-system-", 12) != 0)
        return false;
    return syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0) == 0;
}
