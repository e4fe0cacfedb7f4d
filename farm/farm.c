/* The farm owns its sandboxes by a list in order of creation. */
#define LOG_MODULE "farm"
#include "farm/farm.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "farm/create.h"
#include "farm/flatten.h"
#include "farm/journal.h"
#include "farm/leaving.h"
#include "farm/pool.h"
#include "farm/quota.h"
#include "farm/recording.h"
#include "farm/sandbox-impl.h"
#include "farm/sweep.h"
#include "hypervisor/host-address.h"
#include "hypervisor/ram.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/sysinfo.h>

#define KIND "sandbox"
#define DEFAULT_SANDBOXES 64
#define DEFAULT_POOL 1
#define DEFAULT_CPUS_PER_CPU 8
#define DEFAULT_MEMORY_PERCENT 90

struct farm {
    struct loop *loop;
    struct worker_pool *pool;
    struct journal *journal;
    struct keys *keys;
    char *state_dir, *cache_dir, *qemu;
    int lock_fd;
    struct key_limits limits;
    int64_t linger_us;
    bool uses_templates;
    struct accel_choice accel;
    struct host_facts host_facts;
    struct error memory_err; /* why guests' memory cannot be read; not set: it can */
    struct cgroup_root *cgroups;
    char cgroup_fact[160];
    struct guest_host guest_host;
    struct host_address *host_address;
    struct list sandboxes;
    struct recordings *recordings;
    struct farm_stock stock;
    struct farm_counters counters;
    bool is_draining;
    int n_stopping;
    void (*on_stopped)(void *data);
    void *stopped_data;
    struct defer *stopped;
};

/* --- What the other files of farm/ ask for --------------------------------------------------------- */

struct loop *farm_loop(struct farm *self)
{
    return self->loop;
}

struct worker_pool *farm_pool(struct farm *self)
{
    return self->pool;
}

const struct guest_host *farm_guest_host(struct farm *self)
{
    return &self->guest_host;
}

enum accel farm_accel(const struct farm *self)
{
    return self->accel.accel;
}

const struct host_facts *farm_host_facts(const struct farm *self)
{
    return &self->host_facts;
}

struct farm_stock *farm_stock(struct farm *self)
{
    return &self->stock;
}

struct list *farm_sandboxes(struct farm *self)
{
    return &self->sandboxes;
}

struct journal *farm_journal(struct farm *self)
{
    return self->journal;
}

struct recordings *farm_recordings_of(struct farm *self)
{
    return self->recordings;
}

char *farm_path(struct farm *self, const char *folder, const char *id, const char *suffix)
{
    char *path = NULL;
    return asprintf(&path, "%s/%s/%s%s", self->state_dir, folder, id, suffix) < 0 ? NULL : path;
}

bool farm_uses_templates(const struct farm *self)
{
    return self->uses_templates;
}

int64_t farm_linger_us(const struct farm *self)
{
    return self->linger_us;
}

struct farm_counters *farm_counters(struct farm *self)
{
    return &self->counters;
}

struct keys *farm_keys(struct farm *self)
{
    return self->keys;
}

const char *farm_cache_dir(const struct farm *self)
{
    return self->cache_dir;
}

void farm_count_ignored_fields(struct farm *self, int n)
{
    self->counters.ignored_fields += n;
}

void farm_add(struct farm *self, struct sandbox *sandbox)
{
    sandbox->is_listed = true;
    list_append(&self->sandboxes, &sandbox->link);
}

void farm_remove(struct farm *self, struct sandbox *sandbox)
{
    struct error err = { 0 };
    list_remove(&sandbox->link);
    if (journal_remove(self->journal, KIND, sandbox->id, &err) < 0)
        log_warn("%s: %s", sandbox->id, err.message);
}

int farm_store(struct farm *self, struct sandbox *sandbox, struct error *err)
{
    struct error local = { 0 };
    auto_json json_t *doc = sandbox_document(sandbox);
    int r = doc ? journal_put(self->journal, KIND, sandbox->id, doc, err ? err : &local)
                : error_errno(err, ENOMEM, "writing the journal");
    if (r < 0 && !err)
        log_warn("%s: %s", sandbox->id, local.message);
    return r;
}

/* --- Start ----------------------------------------------------------------------------------------- */

static int take_lock(struct farm *self, struct error *err)
{
    auto_free char *path = fs_join(self->state_dir, "lock");
    self->lock_fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (self->lock_fd < 0)
        return error_errno(err, errno, "opening %s/lock", self->state_dir);
    if (flock(self->lock_fd, LOCK_EX | LOCK_NB) < 0)
        return error_set(err, ERROR_CONFIG, "another deskfarmd uses %s; give this one its own --state-dir",
                         self->state_dir);
    return 0;
}

static void adopt_one(void *data, const char *id, const json_t *doc)
{
    struct farm *self = data;
    struct sandbox *sandbox = sandbox_new(self, id, json_object_get(doc, "request"));
    if (!sandbox || !(sandbox->dir = farm_sandbox_dir(self, id))) {
        log_error("%s: out of memory", id);
        return;
    }
    farm_add(self, sandbox);
    int r = sandbox_adopt(sandbox, doc);
    if (r > 0)
        guest_end_orphan(sandbox->dir); /* the daemon died before it wrote the guest's identity */
    log_info("%s: found in the journal; its guest %s", id, r > 0 ? "is gone" : "runs or has ended");
}

static void adopt_checkpoint(void *data, const char *id, const json_t *doc)
{
    checkpoint_adopt(data, id, doc);
}

static int make_folders(struct farm *self, struct error *err)
{
    static const char *const names[] = { "layers", "ram", "checkpoints" };
    int r = 0;
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(names); i++) {
        auto_free char *path = fs_join(self->state_dir, names[i]);
        r = path ? fs_mkdirs(path, 0700, err) : error_errno(err, ENOMEM, "starting the farm");
    }
    return r;
}

static void free_stock(struct farm *farm)
{
    struct farm_stock *self = &farm->stock;
    struct checkpoint *checkpoint, *tmp;
    bake_free_all(self);
    fork_free_all(self);
    pool_drop(farm, NULL);
    leaving_free_all(self);
    list_for_each_safe(checkpoint, tmp, &self->checkpoints, link) {
        list_remove(&checkpoint->link);
        checkpoint_unref(checkpoint);
    }
    self->sweep = timer_free(self->sweep);
    self->refill = timer_free(self->refill);
}

static void handle_new_address(void *data)
{
    struct farm *self = data;
    struct sandbox *sandbox;
    list_for_each(sandbox, &self->sandboxes, link)
        if (sandbox->guest)
            guest_restart_network(sandbox->guest, "the host has a new address, which is being closed");
}

static void fill_limits(struct farm *self, const struct key_limits *wish)
{
    struct sysinfo info;
    sysinfo(&info);
    int64_t total_mib = (int64_t)(info.totalram * info.mem_unit >> 20);
    self->limits = *wish;
    if (!self->limits.sandboxes)
        self->limits.sandboxes = DEFAULT_SANDBOXES;
    if (!self->limits.cpus)
        self->limits.cpus = DEFAULT_CPUS_PER_CPU * MAX(sysconf(_SC_NPROCESSORS_ONLN), 1);
    if (!self->limits.memory_mib)
        self->limits.memory_mib = total_mib * DEFAULT_MEMORY_PERCENT / 100;
}

/* What a hibernation wrote before the daemon died, and no sandbox sleeps in. */
static void drop_unused_sleeps(struct farm *self)
{
    struct checkpoint *checkpoint, *tmp;
    list_for_each_safe(checkpoint, tmp, &self->stock.checkpoints, link) {
        struct sandbox *sandbox;
        bool is_used = !checkpoint->is_hidden;
        list_for_each(sandbox, &self->sandboxes, link)
            is_used |= strcmp(sandbox->lineage.sleep, checkpoint->id) == 0;
        if (!is_used)
            checkpoint_delete(checkpoint);
    }
}

static void begin_again(struct farm *self)
{
    struct sandbox *sandbox, *tmp;
    list_for_each_safe(sandbox, tmp, &self->sandboxes, link)
        if (sandbox->must_begin)
            sandbox_begin_again(sandbox);
}

static int open_farm(struct farm *self, const struct farm_config *config, struct error *err)
{
    enum accel_wish wish;
    auto_free char *sandboxes = fs_join(config->state_dir, "sandboxes");
    struct accel_facts facts = accel_look();
    int r = accel_parse(config->accel, &wish, err);
    if (r == 0 && config->boot && strcmp(config->boot, "auto") != 0 && strcmp(config->boot, "cold") != 0)
        r = error_set(err, ERROR_CONFIG, "boot: \"%.40s\" is neither auto nor cold", config->boot);
    if (r == 0)
        r = accel_decide(wish, &facts, &self->accel, err);
    if (r == 0)
        r = sandboxes ? fs_mkdirs(sandboxes, 0700, err) : -ENOMEM;
    if (r == 0)
        r = take_lock(self, err);
    if (r == 0)
        r = journal_new(&self->journal, config->state_dir, self->pool, err);
    if (r == 0)
        r = keys_new(&self->keys, self->journal, err);
    if (r < 0)
        return r;
    host_facts_look(&self->host_facts, self->qemu);
    if (ram_check_privilege(&self->memory_err) < 0)
        log_error("%s", self->memory_err.message);
    log_info("accelerator %s: %s", accel_name(self->accel.accel), self->accel.reason);
    self->cgroups = cgroup_root_new(self->cgroup_fact);
    log_info("limits: %s", self->cgroup_fact);
    self->guest_host = (struct guest_host){ .loop = self->loop, .pool = self->pool,
                                            .cgroups = self->cgroups, .qemu = self->qemu };
    r = host_address_new(&self->host_address, self->loop, handle_new_address, self, err);
    if (r == 0)
        r = make_folders(self, err);
    struct recording_limits limits = {
        !config->is_recording_off, config->record_days < 0 ? RECORDING_DAYS : config->record_days,
        config->record_mib,
    };
    if (r == 0)
        r = recordings_new(&self->recordings, self, &limits, err);
    if (r == 0)
        r = journal_each(self->journal, "checkpoint", adopt_checkpoint, self, err);
    if (r == 0)
        r = journal_each(self->journal, KIND, adopt_one, self, err);
    if (r == 0) {
        sweep_end_strays(self);
        drop_unused_sleeps(self);
        begin_again(self);
        sweep_begin(self);
        flatten_request(self);
    }
    return r;
}

int farm_new(struct farm **ret, const struct farm_config *config, struct loop *loop,
             struct worker_pool *pool, struct error *err)
{
    struct farm *self = calloc(1, sizeof *self);
    if (!self)
        return error_errno(err, ENOMEM, "starting the farm");
    self->loop = loop;
    self->pool = pool;
    self->lock_fd = -1;
    self->linger_us = config->linger_us;
    self->uses_templates = !config->boot || strcmp(config->boot, "cold") != 0;
    list_init(&self->sandboxes);
    list_init(&self->stock.checkpoints);
    list_init(&self->stock.bases);
    list_init(&self->stock.bakes);
    list_init(&self->stock.bake_failures);
    list_init(&self->stock.transfers);
    list_init(&self->stock.forks);
    list_init(&self->stock.exports);
    list_init(&self->stock.imports);
    list_init(&self->stock.spares);
    self->stock.pool_size = config->pool < 0 ? DEFAULT_POOL : config->pool;
    list_init(&self->stock.leaving);
    self->state_dir = strdup(config->state_dir);
    self->cache_dir = strdup(config->cache_dir);
    self->qemu = config->qemu ? strdup(config->qemu) : NULL;
    fill_limits(self, &config->host_limits);
    int r = self->state_dir && self->cache_dir ? open_farm(self, config, err)
                                               : error_errno(err, ENOMEM, "starting the farm");
    if (r < 0) {
        farm_free(self);
        return r;
    }
    *ret = self;
    return 0;
}

struct farm *farm_free(struct farm *self)
{
    if (!self)
        return NULL;
    struct sandbox *sandbox, *tmp;
    checkpoint_cut_off_all(&self->stock);
    export_cut_off_all(&self->stock);
    import_cut_off_all(&self->stock);
    flatten_cut_off(&self->stock);
    list_for_each_safe(sandbox, tmp, &self->sandboxes, link) {
        list_remove(&sandbox->link);
        sandbox->is_listed = false;
        sandbox_unref(sandbox);
    }
    self->recordings = recordings_free(self->recordings);
    free_stock(self);
    defer_free(self->stopped);
    host_address_free(self->host_address);
    cgroup_root_free(self->cgroups);
    keys_free(self->keys);
    journal_free(self->journal);
    util_close_ptr(&self->lock_fd);
    free(self->state_dir);
    free(self->cache_dir);
    free(self->qemu);
    free(self);
    return NULL;
}

/* --- The end ------------------------------------------------------------------------------------- */

void farm_drain(struct farm *self)
{
    self->is_draining = true;
}

static void handle_all_stopped(void *data)
{
    struct farm *self = data;
    self->on_stopped(self->stopped_data);
}

static void handle_one_stopped(void *data)
{
    struct farm *self = data;
    if (--self->n_stopping == 0)
        defer_request(self->stopped);
}

void farm_stop_all(struct farm *self, void (*done)(void *data), void *data)
{
    struct sandbox *sandbox, *tmp;
    farm_drain(self);
    self->on_stopped = done;
    self->stopped_data = data;
    self->stopped = defer_new(self->loop, handle_all_stopped, self);
    self->n_stopping = 1;
    list_for_each_safe(sandbox, tmp, &self->sandboxes, link) {
        self->n_stopping++;
        sandbox_delete(sandbox, handle_one_stopped, self);
    }
    handle_one_stopped(self);
}

/* --- Limits ---------------------------------------------------------------------------------------- */

int farm_check_memory(const struct farm *self, struct error *err)
{
    if (!self->memory_err.is_set)
        return 0;
    if (err)
        *err = self->memory_err;
    return -EPERM;
}

int farm_check_ready(struct farm *self, struct error *err)
{
    if (self->is_draining)
        return error_set(err, ERROR_NOT_READY, "the daemon is draining");
    int64_t n_free = fs_free_bytes(self->state_dir);
    if (n_free >= 0 && n_free < DISK_FREE_MIN)
        return error_set(err, ERROR_DISK_FULL, "%s has %lld MiB left", self->state_dir,
                         (long long)(n_free >> 20));
    return 0;
}

const struct key_limits *farm_limits(const struct farm *self)
{
    return &self->limits;
}

/* As root each jail has a uid of its own. */
uid_t farm_take_uid(struct farm *self)
{
    for (uid_t uid = JAIL_UID_FIRST; uid < JAIL_UID_FIRST + JAIL_UID_COUNT; uid++) {
        struct sandbox *sandbox;
        bool is_taken = leaving_has_uid(&self->stock, uid) || pool_has_uid(&self->stock, uid);
        list_for_each(sandbox, &self->sandboxes, link)
            is_taken |= sandbox->uid == uid;
        if (!is_taken)
            return uid;
    }
    return 0;
}

char *farm_sandbox_dir(struct farm *self, const char *id)
{
    char *dir = NULL;
    return asprintf(&dir, "%s/sandboxes/%s", self->state_dir, id) < 0 ? NULL : dir;
}

/* --- Looking ------------------------------------------------------------------------------------- */

static bool may_see(const struct principal *who, const struct sandbox *sandbox)
{
    return !sandbox->is_hidden && (who->role == ROLE_ADMIN || strcmp(sandbox->owner, who->key_id) == 0);
}

struct sandbox *farm_find(struct farm *self, const struct principal *who, const char *id,
                          struct error *err)
{
    struct sandbox *sandbox;
    list_for_each(sandbox, &self->sandboxes, link)
        if (strcmp(sandbox->id, id) == 0 && may_see(who, sandbox))
            return sandbox;
    error_set(err, ERROR_NOT_FOUND, "no sandbox %.40s", id);
    return NULL;
}

static bool matches(const struct sandbox *sandbox, const struct farm_filter *filter)
{
    const char *key;
    json_t *want;
    bool has_state = !filter->states;
    for (const char *const *state = filter->states; state && *state; state++)
        has_state |= strcmp(*state, sandbox_state_name(sandbox->state)) == 0;
    if (!has_state)
        return false;
    const json_t *have = json_object_get(sandbox->request, "metadata");
    json_object_foreach((json_t *)(uintptr_t)filter->metadata, key, want)
        if (!json_equal(json_object_get(have, key), want))
            return false;
    return true;
}

json_t *farm_list(struct farm *self, const struct principal *who, const struct farm_filter *filter)
{
    json_t *items = json_array();
    int64_t total = 0, first = (int64_t)(filter->page - 1) * filter->page_size;
    for (struct list *at = self->sandboxes.prev; at != &self->sandboxes; at = at->prev) {
        struct sandbox *sandbox = list_entry(at, struct sandbox, link);
        if (!may_see(who, sandbox) || !matches(sandbox, filter))
            continue;
        if (total >= first && total < first + filter->page_size)
            json_array_append_new(items, sandbox_json(sandbox));
        total++;
    }
    int64_t pages = (total + filter->page_size - 1) / filter->page_size;
    return json_pack("{so s{si si sI sI sb}}", "items", items, "pagination", "page", filter->page,
                     "pageSize", filter->page_size, "totalItems", (json_int_t)total, "totalPages",
                     (json_int_t)pages, "hasNextPage", filter->page < pages);
}

json_t *farm_images(struct farm *self)
{
    json_t *items = json_array();
    image_list(self->cache_dir, items);
    return json_pack("{so}", "items", items);
}

static json_t *limits_json(const struct key_limits *limits)
{
    return json_pack("{sI sI sI sI}", "sandboxes", (json_int_t)limits->sandboxes, "cpus",
                     (json_int_t)limits->cpus, "memory_mib", (json_int_t)limits->memory_mib,
                     "disk_mib", (json_int_t)limits->disk_mib);
}

json_t *farm_info(struct farm *self)
{
    struct error err = { 0 };
    struct key_limits held = quota_held(self, NULL);
    bool has_network = net_check(&err) == 0;
    return json_pack("{ss ss ss sb ss so so sb ss so ss}", "version", DESKFARM_VERSION, "accel",
                     accel_name(self->accel.accel), "accel_reason", self->accel.reason, "network",
                     has_network, "network_reason", has_network ? "" : err.message, "limits",
                     limits_json(&self->limits), "held", limits_json(&held), "draining",
                     self->is_draining, "qemu", self->host_facts.qemu, "pool",
                     json_pack("{si si sI}", "size", self->stock.pool_size, "spares", pool_count(&self->stock),
                               "bytes", (json_int_t)pool_bytes(&self->stock, NULL)),
                     "memory_access", self->memory_err.is_set ? self->memory_err.message : "ok");
}

void farm_metrics(struct farm *self, struct buf *out)
{
    int by_state[SANDBOX_STATE_COUNT] = { 0 };
    int64_t frames = 0, tiles = 0, refused = 0, agents = 0, updates = 0, attached = 0;
    struct key_limits held = quota_held(self, NULL);
    int64_t recorded_bytes;
    int n_recording;
    struct sandbox *sandbox;
    recordings_count(self->recordings, &recorded_bytes, &n_recording);
    list_for_each(sandbox, &self->sandboxes, link) {
        by_state[sandbox->state]++;
        agents += sandbox->agent && agent_is_ready(sandbox->agent);
        const struct display_stats *stats = display_stats(sandbox->display);
        frames += stats->n_frames;
        tiles += stats->n_tiles;
        refused += stats->n_refused;
        updates += stats->n_updates;
        attached += display_is_watched(sandbox->display);
    }
    buf_printf(out, "# HELP deskfarm_sandboxes Sandboxes by state.\n# TYPE deskfarm_sandboxes gauge\n");
    for (int i = 0; i < SANDBOX_STATE_COUNT; i++)
        buf_printf(out, "deskfarm_sandboxes{state=\"%s\"} %d\n", sandbox_state_name((enum sandbox_state)i),
                   by_state[i]);
    const struct farm_counters *c = &self->counters;
    const struct {
        const char *name, *type, *help;
        int64_t value;
    } rows[] = {
        { "sandboxes_created_total", "counter", "Sandboxes created.", c->created },
        { "sandboxes_deleted_total", "counter", "Sandboxes deleted.", c->deleted },
        { "sandboxes_failed_total", "counter", "Guests that died.", c->failed },
        { "sandboxes_adopted_total", "counter", "Guests found running at the start.", c->adopted },
        { "batches_total", "counter", "Action batches begun.", c->batches },
        { "actions_total", "counter", "Actions played.", c->actions },
        { "stills_total", "counter", "Screenshots answered.", c->stills },
        { "ignored_fields_total", "counter", "Unknown fields on compatible routes.", c->ignored_fields },
        { "ocr_parts_total", "counter", "Parts of screens whose text was read.", c->ocr_parts },
        { "ocr_helpers", "gauge", "Readers of text that run.", c->ocr_helpers },
        { "agents", "gauge", "Guests whose agent answers.", agents },
        { "agent_sessions_total", "counter", "Times that an agent began to answer.", c->agent_sessions },
        { "agent_closed_total", "counter", "Connections to agents that ended or broke the rules.",
          c->agent_closed },
        { "frames", "gauge", "Frames published by the present sandboxes.", frames },
        { "tiles", "gauge", "Tiles changed in the present sandboxes.", tiles },
        { "displays_watched", "gauge", "Screens that QEMU reports changes of; of a VGA it looks for them then.", attached },
        { "display_updates", "gauge", "Changes that QEMU reported of the present sandboxes.", updates },
        { "display_refused", "gauge", "Display messages refused.", refused },
        { "recordings_running", "gauge", "Recordings that are being written.", n_recording },
        { "recordings_bytes", "gauge", "Bytes of all recordings.", recorded_bytes },
        { "spares", "gauge", "QEMUs that wait for a state.", pool_count(&self->stock) },
        { "spares_bytes", "gauge", "Memory that they hold.", pool_bytes(&self->stock, NULL) },
        { "cpus_held", "gauge", "Virtual CPUs of living guests.", held.cpus },
        { "memory_held_mib", "gauge", "Memory of living guests.", held.memory_mib },
        { "memory_limit_mib", "gauge", "Memory that guests may hold.", self->limits.memory_mib },
        { "jobs_latency", "gauge", "Latency jobs waiting or running.", worker_depth(self->pool, WORK_LATENCY) },
        { "jobs_bulk", "gauge", "Bulk jobs waiting or running.", worker_depth(self->pool, WORK_BULK) },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        buf_printf(out, "# HELP deskfarm_%s %s\n# TYPE deskfarm_%s %s\ndeskfarm_%s %lld\n", rows[i].name,
                   rows[i].help, rows[i].name, rows[i].type, rows[i].name, (long long)rows[i].value);
}
