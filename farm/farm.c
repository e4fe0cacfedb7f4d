/* The farm owns its sandboxes by a list in order of creation. Limits are sums over that list: with
 * a few hundred sandboxes a walk costs microseconds, and there is no counter that could drift. */
#define LOG_MODULE "farm"
#include "farm/farm.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "farm/create.h"
#include "farm/journal.h"
#include "farm/sandbox-impl.h"
#include "hypervisor/host-address.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/sysinfo.h>

#define KIND "sandbox"
#define DEFAULT_SANDBOXES 64
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
    struct accel_choice accel;
    struct cgroup_root *cgroups;
    char cgroup_fact[160];
    struct guest_host guest_host;
    struct host_address *host_address;
    struct list sandboxes;
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
    if (!sandbox || asprintf(&sandbox->dir, "%s/sandboxes/%s", self->state_dir, id) < 0) {
        log_error("%s: out of memory", id);
        return;
    }
    farm_add(self, sandbox);
    int r = sandbox_adopt(sandbox, doc);
    if (r > 0)
        guest_end_orphan(sandbox->dir); /* the daemon died before it wrote the guest's identity */
    log_info("%s: found in the journal; its guest %s", id, r > 0 ? "is gone" : "runs or has ended");
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

static int open_farm(struct farm *self, const struct farm_config *config, struct error *err)
{
    enum accel_wish wish;
    auto_free char *sandboxes = fs_join(config->state_dir, "sandboxes");
    struct accel_facts facts = accel_look();
    int r = accel_parse(config->accel, &wish, err);
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
    log_info("accelerator %s: %s", accel_name(self->accel.accel), self->accel.reason);
    self->cgroups = cgroup_root_new(self->cgroup_fact);
    log_info("limits: %s", self->cgroup_fact);
    self->guest_host = (struct guest_host){ .loop = self->loop, .pool = self->pool,
                                            .cgroups = self->cgroups, .qemu = self->qemu };
    r = host_address_new(&self->host_address, self->loop, handle_new_address, self, err);
    return r < 0 ? r : journal_each(self->journal, KIND, adopt_one, self, err);
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
    list_init(&self->sandboxes);
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
    list_for_each_safe(sandbox, tmp, &self->sandboxes, link) {
        list_remove(&sandbox->link);
        sandbox->is_listed = false;
        sandbox_unref(sandbox);
    }
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

static struct key_limits held_by(struct farm *self, const char *owner)
{
    struct key_limits sum = { 0 };
    struct sandbox *sandbox;
    list_for_each(sandbox, &self->sandboxes, link) {
        if (owner && strcmp(sandbox->owner, owner) != 0)
            continue;
        sum.sandboxes++;
        sum.disk_mib += sandbox->charge.disk_mib;
        if (sandbox->state != SANDBOX_FAILED && sandbox->state != SANDBOX_TERMINATED) {
            sum.cpus += sandbox->charge.cpus;
            sum.memory_mib += sandbox->charge.memory_mib;
        }
    }
    return sum;
}

static int check_limit(const char *whose, const char *what, int64_t held, int64_t more, int64_t limit,
                       struct error *err)
{
    if (!limit || held + more <= limit)
        return 0;
    return error_set(err, ERROR_QUOTA, "%s limit of %lld %s would be exceeded: %lld in use, %lld asked for",
                     whose, (long long)limit, what, (long long)held, (long long)more);
}

static int check_limits(const char *whose, const struct key_limits *held, const struct charge *more,
                        const struct key_limits *limits, struct error *err)
{
    int r = check_limit(whose, "sandboxes", held->sandboxes, 1, limits->sandboxes, err);
    if (r == 0)
        r = check_limit(whose, "CPUs", held->cpus, more->cpus, limits->cpus, err);
    if (r == 0)
        r = check_limit(whose, "MiB of memory", held->memory_mib, more->memory_mib, limits->memory_mib, err);
    if (r == 0)
        r = check_limit(whose, "MiB of disk", held->disk_mib, more->disk_mib, limits->disk_mib, err);
    return r;
}

int farm_check_quota(struct farm *self, const struct principal *who, const struct charge *more,
                     struct error *err)
{
    struct key_limits all = held_by(self, NULL), own = held_by(self, who->key_id);
    int r = check_limits("this key's", &own, more, &who->limits, err);
    return r < 0 ? r : check_limits("the daemon's", &all, more, &self->limits, err);
}

/* As root each jail has a uid of its own. */
uid_t farm_take_uid(struct farm *self)
{
    for (uid_t uid = JAIL_UID_FIRST; uid < JAIL_UID_FIRST + JAIL_UID_COUNT; uid++) {
        struct sandbox *sandbox;
        bool is_taken = false;
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
    return who->role == ROLE_ADMIN || strcmp(sandbox->owner, who->key_id) == 0;
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
    struct key_limits held = held_by(self, NULL);
    bool has_network = net_check(&err) == 0;
    return json_pack("{ss ss ss sb ss so so sb}", "version", DESKFARM_VERSION, "accel",
                     accel_name(self->accel.accel), "accel_reason", self->accel.reason, "network",
                     has_network, "network_reason", has_network ? "" : err.message, "limits",
                     limits_json(&self->limits), "held", limits_json(&held), "draining",
                     self->is_draining);
}

void farm_metrics(struct farm *self, struct buf *out)
{
    int by_state[SANDBOX_STATE_COUNT] = { 0 };
    int64_t frames = 0, tiles = 0, refused = 0;
    struct key_limits held = held_by(self, NULL);
    struct sandbox *sandbox;
    list_for_each(sandbox, &self->sandboxes, link) {
        by_state[sandbox->state]++;
        const struct display_stats *stats = display_stats(sandbox->display);
        frames += stats->n_frames;
        tiles += stats->n_tiles;
        refused += stats->n_refused;
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
        { "frames", "gauge", "Frames published by the present sandboxes.", frames },
        { "tiles", "gauge", "Tiles changed in the present sandboxes.", tiles },
        { "display_refused", "gauge", "Display messages refused.", refused },
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
