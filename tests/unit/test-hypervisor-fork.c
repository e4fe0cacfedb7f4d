/* Templates, checkpoints and forks on the probe guest, for real: what a fork is, is asked in the
 * guest itself, by its console. */
#include "hypervisor-fixture.h"

#include "base/clock.h"
#include "hypervisor/disk.h"
#include "hypervisor/disk-merge.h"
#include "hypervisor/guest-args.h"
#include "hypervisor/restore.h"
#include "hypervisor/save.h"
#include "tests/unit/count.h"

#include <poll.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define GUESTS 16
#define DISK_BYTES (64 << 20)

/* One guest of a test, with its console. */
struct member {
    struct farm *farm;
    struct guest *guest;
    char dir[96];
    int console;
    struct buf in;
    json_t *answer;
    bool is_ready, has_ended;
    struct error err;
    bool is_saved, is_restored;
    struct guest_saved saved;
    struct guest_restore_times restore_times;
    int64_t restored_us;
};

struct farm {
    struct fixture f;
    char kernel[256], initrd[256], cmdline[256], base[128];
    struct member members[GUESTS];
    int n;
    int ram_fd, state_fd; /* of the template */
    char layer[128];      /* its overlay */
};

static struct farm farm;

static void kill_all(void)
{
    for (int i = 0; i < farm.n; i++)
        if (farm.members[i].guest && !farm.members[i].has_ended && guest_pid(farm.members[i].guest))
            kill(guest_pid(farm.members[i].guest), SIGKILL);
    fixture_kill_what_is_left();
}

TestSuite(fork_as_root, .fini = kill_all, .timeout = 120);
TestSuite(fork_as_user, .fini = kill_all, .timeout = 120);

/* --- The probe image --------------------------------------------------------------------------- */

static bool find_image(struct farm *self)
{
    const char *cache = getenv("DESKFARM_CACHE");
    char path[256];
    auto_buf struct buf text = BUF_INIT;
    auto_json json_t *doc = NULL;
    snprintf(path, sizeof path, "%s/images/probe/image.json", cache ? cache : "/var/cache/deskfarm");
    if (fs_read(path, 65536, &text, NULL) < 0 ||
        json_parse_object((const char *)text.data, text.size, &doc, NULL) < 0)
        return false;
    char *slash = strrchr(path, '/');
    *slash = 0;
    snprintf(self->kernel, sizeof self->kernel, "%s/%s", path, json_get_string(doc, "kernel", ""));
    snprintf(self->initrd, sizeof self->initrd, "%s/%s", path, json_get_string(doc, "initrd", ""));
    snprintf(self->cmdline, sizeof self->cmdline, "%s", json_get_string(doc, "cmdline", ""));
    return true;
}

static void handle_ready(void *data)
{
    ((struct member *)data)->is_ready = true;
}

static void handle_ended(void *data, enum guest_end why maybe_unused, const struct error *err)
{
    struct member *self = data;
    self->has_ended = true;
    self->err = *err;
}

static const struct guest_ops ops = { .on_ready = handle_ready, .on_ended = handle_ended };

/* Starts the next guest; origin NULL: by power-on. Each has a uid of its own. */
static struct member *start(struct farm *self, const struct machine_origin *origin)
{
    struct member *m = &self->members[self->n];
    struct machine_spec spec = self->f.spec;
    struct error err = { 0 };
    char name[16];
    *m = (struct member){ .farm = self, .console = -1, .saved = GUEST_SAVED_INIT };
    snprintf(name, sizeof name, "sb-%d", self->n);
    snprintf(m->dir, sizeof m->dir, "%s/%s", self->f.dir, name);
    cr_assert(eq(int, mkdir(m->dir, 0700), 0));
    spec.name = name;
    spec.origin = origin;
    machine_fill_ids(&spec);
    uid_t uid = fixture_uid() ? fixture_uid() + (uid_t)self->n : 0;
    self->n++;
    cr_assert(eq(int, guest_start(&m->guest, &self->f.host, &spec, m->dir, uid, &ops, m, &err), 0), "%s",
              err.message);
    fixture_wait(&self->f, m->is_ready || m->has_ended);
    cr_assert(m->is_ready, "%s", m->err.message);
    return m;
}

static void stop(struct member *m)
{
    guest_kill(m->guest);
    fixture_wait(&m->farm->f, m->has_ended);
    m->guest = guest_free(m->guest);
    util_close_ptr(&m->console);
    m->console = -1;
    buf_deinit(&m->in);
    guest_saved_deinit(&m->saved);
}

/* --- The guest's words --------------------------------------------------------------------------- */

/* Waits for the next report of that kind. */
static json_t *await(struct member *m, const char *kind)
{
    for (int64_t end_us = clock_now_us() + 60000000; clock_now_us() < end_us;) {
        uint8_t *end = m->in.size ? memchr(m->in.data, '\n', m->in.size) : NULL;
        if (!end) {
            poll(&(struct pollfd){ .fd = m->console, .events = POLLIN }, 1, 1000);
            void *at = buf_reserve(&m->in, 4096);
            ssize_t n = read(m->console, at, 4096);
            m->in.size += n > 0 ? (size_t)n : 0;
            continue;
        }
        json_t *event = NULL;
        size_t size = (size_t)(end - m->in.data);
        if (size && m->in.data[0] == '{')
            json_parse_object((const char *)m->in.data, size, &event, NULL);
        buf_consume(&m->in, size + 1);
        if (event && strcmp(json_get_string(event, "ev", ""), kind) == 0)
            return event;
        json_decref(event);
    }
    cr_assert(false, "the guest said no %s", kind);
    return NULL;
}

static void listen_to(struct member *m)
{
    struct error err = { 0 };
    m->console = guest_console_connect(m->guest, &err);
    cr_assert(ge(int, m->console, 0), "%s", err.message);
}

static json_t *ask(struct member *m, const char *command)
{
    cr_assert(eq(sz, (size_t)write(m->console, command, strlen(command)), strlen(command)));
    return await(m, "ok");
}

static void press(struct member *m, const char *key, bool is_down)
{
    qmp_execute(guest_qmp(m->guest), "input-send-event",
                json_pack("{s[{ss s{sb s{ss ss}}}]}", "events", "type", "key", "data", "down", is_down, "key",
                          "type", "qcode", "data", key), NULL, NULL);
    for (int i = 0; i < 3; i++)
        loop_turn(&m->farm->f.loop, false);
    bool is_there = false;
    while (!is_there) { /* a key that is held repeats itself */
        auto_json json_t *event = await(m, "key");
        is_there = json_get_bool(event, "down", false) == is_down && !json_get_bool(event, "repeat", false);
    }
}

/* The evdev codes that the guest believes are held. */
static void keys_are(struct member *m, const char *expected)
{
    auto_json json_t *answer = ask(m, "{\"cmd\":\"keys_down\"}\n");
    auto_free char *keys = json_dumps(json_object_get(answer, "keys"), JSON_COMPACT);
    cr_assert(eq(str, keys, (char *)(uintptr_t)expected));
}

/* --- Saving and restoring ------------------------------------------------------------------------ */

static void handle_saved(void *data, struct guest_saved *saved, const struct error *err)
{
    struct member *m = data;
    m->is_saved = true;
    m->err = err ? *err : (struct error){ 0 };
    m->saved = *saved;
    *saved = (struct guest_saved)GUEST_SAVED_INIT;
}

static void save(struct member *m, bool is_last)
{
    struct error err = { 0 };
    struct guest_save_params params = { .disk_bytes = is_last ? 0 : m->farm->f.spec.disk_bytes,
                                        .is_last = is_last };
    guest_saved_deinit(&m->saved);
    m->is_saved = false;
    cr_assert(eq(int, guest_save(m->guest, &params, handle_saved, m, &err), 0), "%s", err.message);
    cr_assert(lt(int, guest_save(m->guest, &params, handle_saved, m, &err), 0));
    cr_assert(eq(int, err.code, ERROR_BUSY));
    fixture_wait(&m->farm->f, m->is_saved);
    cr_assert_not(m->err.is_set, "%s", m->err.message);
    const struct guest_save_times *t = &m->saved.times;
    cr_log_info("save: prepare %.1f, devices and disk %.1f, copy %.1f (%lld pages, %lld runs), pause %.1f ms",
                (double)t->prepare / 1e3, (double)t->devices / 1e3, (double)t->copy / 1e3,
                m->saved.layer ? (long long)ram_layer_pages(m->saved.layer) : 0,
                m->saved.layer ? (long long)ram_layer_runs(m->saved.layer) : 0, (double)t->pause / 1e3);
}

static void handle_restored(void *data, const struct guest_restore_times *times, const struct error *err)
{
    struct member *m = data;
    m->is_restored = true;
    m->restored_us = clock_now_us();
    m->restore_times = *times;
    if (err)
        m->err = *err;
}

/* What the template and the layers above it hold, as a running guest. */
static struct member *restore(struct farm *self, int state_fd, struct ram_layer *layer,
                              const char *const *layers, size_t n_layers)
{
    struct error err = { 0 };
    const char *const known[] = { self->layer };
    const struct machine_origin origin = { .ram_fd = self->ram_fd, .layers = known, .n_layers = 1 };
    const struct guest_restore_params params = { .state_fd = state_fd, .layer = layer, .layers = layers,
                                                 .n_layers = n_layers };
    int64_t begin_us = clock_now_us();
    struct member *m = start(self, &origin);
    int64_t ready_us = clock_now_us();
    cr_assert(eq(int, guest_restore(m->guest, &params, handle_restored, m, &err), 0), "%s", err.message);
    fixture_wait(&self->f, m->is_restored);
    char words[1000];
    guest_last_words(m->guest, words, sizeof words);
    cr_assert_not(m->err.is_set, "%s: %s", m->err.message, words);
    cr_log_info("restore: start %.1f, attach %.1f, inject %.1f, load %.1f; running after %.1f ms",
                (double)(ready_us - begin_us) / 1e3, (double)m->restore_times.attach / 1e3,
                (double)m->restore_times.inject / 1e3, (double)m->restore_times.load / 1e3,
                (double)(m->restored_us - ready_us) / 1e3);
    cr_assert(eq(int, guest_get_state(m->guest), GUEST_RUNNING));
    listen_to(m);
    return m;
}

/* A fork of a running guest whose frozen overlays are layers. */
static struct member *fork_guest(struct member *parent, const char **layers, size_t *n_layers)
{
    save(parent, false);
    layers[(*n_layers)++] = parent->saved.frozen;
    return restore(parent->farm, parent->saved.state_fd, parent->saved.layer, layers, *n_layers);
}

static uint64_t hash_file(int fd)
{
    struct stat st;
    uint64_t hash = 14695981039346656037u;
    fstat(fd, &st);
    const uint64_t *map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    for (size_t i = 0; i < (size_t)st.st_size / 8; i++)
        hash = (hash ^ map[i]) * 1099511628211u;
    munmap((void *)(uintptr_t)map, (size_t)st.st_size);
    return hash;
}

/* Boots the probe, and leaves its RAM, devices and disk behind. */
static void bake(struct farm *self)
{
    struct error err = { 0 };
    snprintf(self->base, sizeof self->base, "%s.base", self->f.dir);
    strcpy(self->f.base, self->base);
    cr_assert(eq(int, disk_create_overlay_now(self->base, DISK_BYTES, &err), 0), "%s", err.message);
    chmod(self->base, 0444);
    self->f.spec = (struct machine_spec){ .cpus = 2, .memory_mib = 512, .width = 640, .height = 480,
                                          .kernel = self->kernel, .initrd = self->initrd,
                                          .cmdline = self->cmdline, .base_disk = self->base,
                                          .disk_bytes = DISK_BYTES };
    struct member *m = start(self, NULL);
    listen_to(m);
    json_decref(await(m, "ready"));
    save(m, true);
    self->ram_fd = fcntl(guest_ram_fd(m->guest), F_DUPFD_CLOEXEC, 0);
    self->state_fd = steal_fd(&m->saved.state_fd);
    snprintf(self->layer, sizeof self->layer, "%s/" GUEST_FILE_OVERLAY, m->dir);
    cr_assert(lt(int, ram_seal(self->ram_fd, &err), 0), "a guest still writes this RAM");
    stop(m);
    chmod(self->layer, 0444);
    chmod(m->dir, 0711);
    chmod(self->f.dir, 0711);
    cr_assert(eq(int, ram_seal(self->ram_fd, &err), 0), "%s", err.message);
}

static void set_up(void)
{
    farm = (struct farm){ .ram_fd = -1, .state_fd = -1 };
    fixture_init(&farm.f);
    if (!find_image(&farm)) {
        fixture_deinit(&farm.f);
        cr_skip_test("the probe image is not built");
    }
    bake(&farm);
}

static void tear_down(void)
{
    for (int i = 0; i < farm.n; i++)
        if (farm.members[i].guest)
            stop(&farm.members[i]);
    util_close_ptr(&farm.ram_fd);
    util_close_ptr(&farm.state_fd);
    fixture_deinit(&farm.f);
}

#define SCENARIO(name)                                                                             \
    static void name(struct farm *self);                                                           \
    Test(fork_as_root, name)                                                                       \
    {                                                                                              \
        if (geteuid() != 0)                                                                        \
            cr_skip_test("not root");                                                              \
        set_up();                                                                                  \
        name(&farm);                                                                               \
        tear_down();                                                                               \
    }                                                                                              \
    Test(fork_as_user, name)                                                                       \
    {                                                                                              \
        fixture_become_user();                                                                     \
        set_up();                                                                                  \
        name(&farm);                                                                               \
        tear_down();                                                                               \
    }                                                                                              \
    static void name(struct farm *self)

SCENARIO(forks_of_forks_diverge_and_leave_the_template_as_it_was)
{
    const char *layers[GUEST_LAYERS_MAX];
    size_t n_layers = 0;
    uint64_t before = hash_file(self->ram_fd);
    struct member *parent = restore(self, self->state_fd, NULL, NULL, 0);
    json_decref(ask(parent, "{\"cmd\":\"hello\"}\n"));
    press(parent, "a", true);
    keys_are(parent, "[30]");

    struct member *child = fork_guest(parent, layers, &n_layers);
    layers[0] = strdup(layers[0]);
    keys_are(child, "[30]");
    press(parent, "a", false);
    press(parent, "b", true);
    keys_are(parent, "[48]");
    keys_are(child, "[30]");

    press(child, "c", true);
    struct member *grandchild = fork_guest(child, layers, &n_layers);
    stop(child);
    keys_are(grandchild, "[30,46]");
    keys_are(parent, "[48]");

    press(parent, "b", false); /* or it repeats, into a console that nobody reads now */
    for (int i = 0; i < 3; i++) {
        size_t n = i + 1; /* the frozen overlays of this one parent */
        static const char *own[GUEST_LAYERS_MAX];
        save(parent, false);
        if (i == 0)
            own[0] = layers[0];
        own[n] = strdup(parent->saved.frozen);
        struct member *next = restore(self, parent->saved.state_fd, parent->saved.layer, own, n + 1);
        keys_are(next, "[]");
        stop(next);
    }
    struct member *again = restore(self, self->state_fd, NULL, NULL, 0);
    keys_are(again, "[]");
    cr_assert(eq(u64, hash_file(self->ram_fd), before));
}

/* --- More saves than one QEMU takes layers -------------------------------------------------------- */

#define MERGED 6
#define PIECE 65536

struct answer {
    bool is_there;
    struct error err;
};

static void handle_answer(void *data, json_t *result maybe_unused, const struct error *err)
{
    struct answer *self = data;
    self->is_there = true;
    if (err)
        self->err = *err;
}

static void execute(struct member *m, const char *command, json_t *args, int fd)
{
    struct answer answer = { 0 };
    if (fd >= 0)
        qmp_execute_fd(guest_qmp(m->guest), command, args, fd, handle_answer, &answer);
    else
        qmp_execute(guest_qmp(m->guest), command, args, handle_answer, &answer);
    fixture_wait(&m->farm->f, answer.is_there);
    cr_assert_not(answer.err.is_set, "%s: %s", command, answer.err.message);
}

/* As the guest's driver would. */
static void write_piece(struct member *m, int i)
{
    char line[120];
    snprintf(line, sizeof line, "qemu-io -d /machine/peripheral/" GUEST_DEVICE_DISK "/virtio-backend \"write -P %d %d %d\"", i + 1,
             i * PIECE, PIECE);
    execute(m, "human-monitor-command", json_pack("{ss}", "command-line", line), -1);
}

/* What the guest's driver would read: QEMU copies it out. */
static void check_pieces(struct member *m, int n)
{
    static uint8_t piece[PIECE];
    char name[16];
    int fd = memfd_create("copy", MFD_CLOEXEC);
    cr_assert(eq(int, ftruncate(fd, DISK_BYTES), 0));
    fchmod(fd, 0666);
    snprintf(name, sizeof name, "copy-%d", n);
    execute(m, "add-fd", json_pack("{si}", "fdset-id", 5000 + n), fcntl(fd, F_DUPFD_CLOEXEC, 0));
    char path[32];
    snprintf(path, sizeof path, "/dev/fdset/%d", 5000 + n);
    execute(m, "blockdev-add", json_pack("{ss ss ss}", "driver", "file", "node-name", name, "filename", path), -1);
    execute(m, "blockdev-backup", json_pack("{ss ss ss ss}", "job-id", name, "device", guest_disk_node(m->guest), "target",
                                            name, "sync", "full"), -1);
    for (int i = 0; i < n; i++) {
        const uint8_t want = (uint8_t)(i + 1);
        for (int64_t end_us = clock_now_us() + 20000000;;) {
            cr_assert(eq(int, (int)pread(fd, piece, PIECE, (off_t)i * PIECE), PIECE));
            if (piece[0] == want && memcmp(piece, piece + 1, PIECE - 1) == 0)
                break;
            cr_assert(lt(i64, clock_now_us(), end_us), "piece %d of %d is %d", i, n, piece[0]);
            execute(m, "query-block-jobs", NULL, -1);
        }
    }
    close(fd);
}

/* What the chain has become: its first layers in one, as farm/flatten.h does. */
static void merge(char **paths, size_t *n, const char *dir, int i)
{
    struct error err = { 0 };
    char *to = NULL;
    cr_assert(gt(int, asprintf(&to, "%s/merged-%d", dir, i), 0));
    cr_assert(eq(int, disk_merge((const char *const *)paths, MERGED, DISK_BYTES, to, &err), 0), "%s", err.message);
    for (int k = 0; k < MERGED; k++) {
        unlink(paths[k]); /* QEMU has it open */
        free(paths[k]);
    }
    paths[0] = to;
    memmove(paths + 1, paths + MERGED, (*n - MERGED) * sizeof *paths);
    *n -= MERGED - 1;
}

SCENARIO(a_guest_is_saved_more_often_than_one_qemu_takes_layers)
{
    char *paths[MERGED + 1];
    size_t n = 0;
    int n_rebased = 0, n_saves = count_of(70, 36);
    struct member *m = restore(self, self->state_fd, NULL, NULL, 0);
    for (int i = 0; i < n_saves; i++) {
        write_piece(m, i);
        const bool wants = guest_wants_layers(m->guest);
        struct guest_save_params params = { .disk_bytes = DISK_BYTES, .layers = (const char *const *)paths, .n_layers = wants ? n : 0,
                                            .n_origin = 1 };
        struct error err = { 0 };
        guest_saved_deinit(&m->saved);
        m->is_saved = false;
        n_rebased += wants;
        cr_assert(eq(int, guest_save(m->guest, &params, handle_saved, m, &err), 0), "%s", err.message);
        fixture_wait(&self->f, m->is_saved);
        cr_assert_not(m->err.is_set, "save %d: %s", i, m->err.message);
        cr_assert_not(wants && guest_wants_layers(m->guest));
        paths[n++] = strdup(m->saved.frozen);
        if (n == MERGED + 1)
            merge(paths, &n, self->f.dir, i);
        if (wants)
            check_pieces(m, i + 1);
    }
    cr_assert(eq(int, n_rebased, n_saves / 16));
    check_pieces(m, n_saves);
    struct member *other = restore(self, m->saved.state_fd, m->saved.layer, (const char *const *)paths, n);
    check_pieces(other, n_saves);
    for (size_t i = 0; i < n; i++)
        free(paths[i]);
}
