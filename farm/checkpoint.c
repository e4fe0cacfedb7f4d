/* Made on the loop, written and read by bulk workers. A worker gets paths and descriptors of its own
 * and touches no object; what it made is put in place on the loop. */
#define LOG_MODULE "checkpoint"
#include "farm/checkpoint.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "farm/farm.h"
#include "farm/flatten.h"
#include "farm/journal.h"
#include "farm/pool.h"
#include "farm/sandbox-impl.h"
#include "farm/sweep.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define KIND "checkpoint"
#define LOADED_MAX 8 /* layers of checkpoints that are kept in memory; templates come on top */

/* --- Chains -------------------------------------------------------------------------------------- */

json_t *chain_json(const struct chain *self)
{
    json_t *array = json_array();
    for (size_t i = 0; i < self->n; i++)
        json_array_append_new(array, json_string(self->ids[i]));
    return array;
}

int chain_add(struct chain *self, const char *id)
{
    if (self->n == GUEST_LAYERS_MAX)
        return -ENOSPC;
    snprintf(self->ids[self->n++], ID_MAX, "%s", id);
    return 0;
}

void chain_read(struct chain *self, const json_t *array)
{
    size_t i;
    json_t *id;
    self->n = 0;
    json_array_foreach(array, i, id)
        if (json_is_string(id) && id_is_valid(json_string_value(id)))
            chain_add(self, json_string_value(id));
}

/* --- The object ---------------------------------------------------------------------------------- */

static struct checkpoint *checkpoint_new(struct farm *farm, const char *id)
{
    struct checkpoint *self = calloc(1, sizeof *self);
    if (!self)
        return NULL;
    self->refs = 1;
    self->farm = farm;
    self->state_fd = -1;
    self->pool_size = -1;
    list_init(&self->link);
    self->created_us = clock_wall_us();
    self->used_us = clock_now_us();
    if (id)
        snprintf(self->id, sizeof self->id, "%s", id);
    else
        id_new("cp-", self->id);
    return self;
}

struct checkpoint *checkpoint_ref(struct checkpoint *self)
{
    if (self)
        self->refs++;
    return self;
}

struct checkpoint *checkpoint_unref(struct checkpoint *self)
{
    if (!self || --self->refs > 0)
        return NULL;
    ram_base_unref(self->base);
    ram_layer_unref(self->layer);
    util_close_ptr(&self->state_fd);
    free(self);
    return NULL;
}

/* The overlay that the guest wrote until now gets a name of its own: children and checkpoints need it
 * when the sandbox is gone. */
static int freeze_overlay(struct sandbox *sandbox, const char *frozen, struct error *err)
{
    char id[ID_MAX];
    id_new("ly-", id);
    if (sandbox->lineage.chain.n == GUEST_LAYERS_MAX)
        return error_set(err, ERROR_UNSUPPORTED, "the chain of disk layers is %d long already",
                         GUEST_LAYERS_MAX);
    auto_free char *path = farm_path(sandbox->farm, "layers", id, ".qcow2");
    if (!path || rename(frozen, path) < 0)
        return error_errno(err, path ? errno : ENOMEM, "keeping the disk layer");
    chmod(path, 0400);
    return chain_add(&sandbox->lineage.chain, id);
}

int checkpoint_link_overlay(struct sandbox *sandbox, char layer[ID_MAX], struct error *err)
{
    id_new("ly-", layer);
    auto_free char *path = farm_path(sandbox->farm, "layers", layer, ".qcow2");
    auto_free char *own = NULL;
    if (asprintf(&own, "%s/%s.qcow2", sandbox->dir, guest_disk_node(sandbox->guest)) < 0)
        own = NULL;
    if (!path || !own || link(own, path) < 0)
        return error_errno(err, path && own ? errno : ENOMEM, "keeping the disk layer");
    return 0;
}

int checkpoint_freeze(struct sandbox *sandbox, const char *frozen, struct error *err)
{
    int r = freeze_overlay(sandbox, frozen, err);
    return r < 0 ? r : farm_store(sandbox->farm, sandbox, err);
}

/* A fork of a fork may be made before the first one's guest has taken its releases. */
static void read_held_now(struct checkpoint_machine *m, const struct sandbox *sandbox)
{
    m->n_held = sandbox->input ? input_held(sandbox->input, m->held, CHECKPOINT_HELD_MAX) : 0;
    for (size_t i = 0; i < sandbox->n_lifted && m->n_held < CHECKPOINT_HELD_MAX; i++) {
        bool is_listed = false;
        for (size_t j = 0; j < m->n_held; j++)
            is_listed |= m->held[j] == sandbox->lifted[i];
        if (!is_listed)
            m->held[m->n_held++] = sandbox->lifted[i];
    }
}

void checkpoint_machine_of(const struct sandbox *sandbox, struct checkpoint_machine *ret)
{
    *ret = (struct checkpoint_machine){
        .cpus = (int)sandbox->charge.cpus, .memory_mib = (int)sandbox->charge.memory_mib,
        .disk_mib = sandbox->charge.disk_mib, .width = sandbox->width, .height = sandbox->height,
        .network = sandbox->network, .agent = sandbox->agent_kind, .signals_up = sandbox->signals_up,
        .shape = sandbox->shape,
        .accel = farm_accel(sandbox->farm),
    };
    read_held_now(ret, sandbox);
    snprintf(ret->image_name, sizeof ret->image_name, "%s", sandbox->image_name);
    snprintf(ret->image_hash, sizeof ret->image_hash, "%s", sandbox->image_hash);
    snprintf(ret->layout, sizeof ret->layout, "%s", sandbox->layout.name);
}

static int take_parts(struct checkpoint *self, struct sandbox *sandbox, struct guest_saved *saved,
                      struct error *err)
{
    struct stat st;
    if (saved->frozen && stat(saved->frozen, &st) == 0)
        self->disk_bytes = st.st_blocks * 512;
    int r = saved->frozen ? checkpoint_freeze(sandbox, saved->frozen, err) : 0;
    if (r < 0)
        return r;
    int64_t bytes = sandbox->charge.memory_mib << 20;
    self->base = saved->ram_fd >= 0 ? ram_base_new(self->farm, steal_fd(&saved->ram_fd), bytes)
                                    : ram_base_ref(sandbox->lineage.base);
    if (!self->base)
        return error_set(err, ERROR_INTERNAL, "the RAM below the sandbox is not known");
    self->state_fd = steal_fd(&saved->state_fd);
    self->layer = steal_ptr(&saved->layer);
    self->has_layer = self->layer != NULL;
    self->chain = sandbox->lineage.chain;
    return 0;
}

struct checkpoint *checkpoint_take(struct sandbox *sandbox, struct guest_saved *saved, struct error *err)
{
    struct checkpoint *self = checkpoint_new(sandbox->farm, NULL);
    if (!self) {
        error_errno(err, ENOMEM, "making a checkpoint");
        return NULL;
    }
    checkpoint_machine_of(sandbox, &self->machine);
    snprintf(self->owner, sizeof self->owner, "%s", sandbox->owner);
    snprintf(self->sandbox, sizeof self->sandbox, "%s", sandbox->id);
    snprintf(self->parent, sizeof self->parent, "%s", sandbox->lineage.checkpoint);
    self->times = saved->times;
    self->host = *farm_host_facts(sandbox->farm);
    if (take_parts(self, sandbox, saved, err) < 0)
        return checkpoint_unref(self);
    return self;
}

/* --- Files --------------------------------------------------------------------------------------- */

/* One job of a worker: paths and descriptors, and what came out. */
struct transfer {
    struct list link; /* of the farm */
    struct checkpoint *checkpoint; /* NULL: the farm is gone */
    checkpoint_fn done;
    void *data;
    char *state_path, *layer_path, *base_path; /* NULL: not needed */
    int state_fd, base_fd;                     /* our own copies when storing; results when loading */
    struct ram_layer *layer;
    int64_t ram_bytes;
    char label[ID_MAX];
    struct error err;
};

static void transfer_free(struct transfer *self)
{
    list_remove(&self->link);
    checkpoint_unref(self->checkpoint);
    util_close_ptr(&self->state_fd);
    util_close_ptr(&self->base_fd);
    ram_layer_unref(self->layer);
    free(self->state_path);
    free(self->layer_path);
    free(self->base_path);
    free(self);
}

static struct transfer *transfer_new(struct checkpoint *checkpoint, checkpoint_fn done, void *data)
{
    struct transfer *self = calloc(1, sizeof *self);
    if (!self)
        return NULL;
    *self = (struct transfer){ .checkpoint = checkpoint_ref(checkpoint), .done = done, .data = data,
                               .state_fd = -1, .base_fd = -1, .ram_bytes = checkpoint->base->bytes };
    list_append(&farm_stock(checkpoint->farm)->transfers, &self->link);
    snprintf(self->label, sizeof self->label, "%s", checkpoint->base->id);
    self->state_path = farm_path(checkpoint->farm, "checkpoints", checkpoint->id, ".state");
    if (checkpoint->has_layer)
        self->layer_path = farm_path(checkpoint->farm, "checkpoints", checkpoint->id, ".ram");
    self->base_path = farm_path(checkpoint->farm, "ram", checkpoint->base->id, ".ram");
    if (self->state_path && self->base_path && (self->layer_path || !checkpoint->has_layer))
        return self;
    transfer_free(self);
    return NULL;
}

static void handle_transferred(void *data)
{
    struct transfer *self = data;
    self->done(self->data, self->err.is_set ? &self->err : NULL);
    transfer_free(self);
}

void checkpoint_cut_off_all(struct farm_stock *stock)
{
    struct error err;
    error_set(&err, ERROR_CANCELLED, "the daemon ends");
    while (!list_empty(&stock->transfers)) {
        struct transfer *self = list_first(&stock->transfers, struct transfer, link);
        list_remove(&self->link);
        self->done(self->data, &err);
        self->checkpoint = checkpoint_unref(self->checkpoint);
    }
}

static void submit(struct checkpoint *checkpoint, struct transfer *self, work_fn work, work_fn done)
{
    if (worker_submit(farm_pool(checkpoint->farm), WORK_BULK, work, done, self) < 0) {
        error_errno(&self->err, ENOMEM, "reading or writing a checkpoint");
        done(self);
    }
}

/* --- Storing --- */

/* Under a temporary name until it is whole: a daemon that dies leaves nothing that looks good. */
static int store_base(const struct transfer *self, struct error *err)
{
    auto_free char *temporary = NULL;
    if (asprintf(&temporary, "%s.tmp", self->base_path) < 0)
        return error_errno(err, ENOMEM, "writing %s", self->base_path);
    unlink(temporary);
    int r = ram_store(self->base_fd, temporary, err);
    if (r == 0 && rename(temporary, self->base_path) < 0)
        r = error_errno(err, errno, "writing %s", self->base_path);
    return r;
}

static void work_store(void *data)
{
    struct transfer *self = data;
    int r = self->base_fd >= 0 ? store_base(self, &self->err) : 0;
    if (r == 0)
        r = ram_store(self->state_fd, self->state_path, &self->err);
    if (r == 0 && self->layer)
        r = ram_layer_store(self->layer, self->layer_path, &self->err);
    if (r < 0) {
        unlink(self->state_path);
        if (self->layer)
            unlink(self->layer_path);
    }
}

static json_t *held_json(const struct checkpoint_machine *m)
{
    json_t *array = json_array();
    for (size_t i = 0; i < m->n_held; i++)
        json_array_append_new(array, json_integer(m->held[i]));
    return array;
}

json_t *checkpoint_document(const struct checkpoint *self)
{
    const struct checkpoint_machine *m = &self->machine;
    return json_pack("{s{ss ss ss} si sb ss ss ss ss sb sI sI sI ss sI sb so s{ss ss ss si si si si sI ss ss si sb so so}}", "host", "qemu",
                     self->host.qemu, "cpu_model", self->host.cpu_model, "kernel", self->host.kernel, "pool",
                     self->pool_size, "hidden",
                     self->is_hidden, "owner", self->owner, "name", self->name, "sandbox", self->sandbox, "parent", self->parent,
                     "template", self->is_template, "created_us", (json_int_t)self->created_us, "bytes",
                     (json_int_t)self->bytes, "disk_bytes", (json_int_t)self->disk_bytes, "base", self->base->id, "base_bytes",
                     (json_int_t)self->base->bytes, "layer", self->has_layer, "chain",
                     chain_json(&self->chain), "machine", "image", m->image_name, "hash", m->image_hash,
                     "layout", m->layout, "cpus", m->cpus, "memory_mib", m->memory_mib, "width", m->width,
                     "height", m->height, "disk_mib", (json_int_t)m->disk_mib, "network",
                     machine_network_name(m->network), "agent", inside_kind_name(m->agent), "accel",
                     (int)m->accel, "signals_up", m->signals_up, "shape", profile_json(&m->shape), "held", held_json(m));
}

static void list(struct checkpoint *self)
{
    list_append(&farm_stock(self->farm)->checkpoints, &self->link);
    self->is_listed = true;
    checkpoint_ref(self);
    flatten_request(self->farm);
}

void checkpoint_forget(struct checkpoint *self)
{
    self->layer = ram_layer_unref(self->layer);
    util_close_ptr(&self->state_fd);
    self->state_fd = -1;
    if (self->base->refs == 1 && self->base->is_stored) {
        util_close_ptr(&self->base->fd);
        self->base->fd = -1;
    }
}

/* Layers that were not used for longest leave memory; their files have them. */
static void forget_old_layers(struct farm *farm)
{
    for (;;) {
        struct checkpoint *it, *oldest = NULL;
        int n = 0;
        list_for_each(it, &farm_stock(farm)->checkpoints, link) {
            if (it->is_template || it->state_fd < 0 || it->refs > 1)
                continue;
            n++;
            if (!oldest || it->used_us < oldest->used_us)
                oldest = it;
        }
        if (n <= LOADED_MAX)
            return;
        checkpoint_forget(oldest);
    }
}

static void handle_stored(void *data)
{
    struct transfer *self = data;
    struct checkpoint *checkpoint = self->checkpoint;
    struct stat st;
    if (!checkpoint) {
        transfer_free(self);
        return;
    }
    if (!self->err.is_set) {
        checkpoint->base->is_stored = true;
        if (self->base_path && stat(self->base_path, &st) == 0)
            checkpoint->base->stored_bytes = st.st_blocks * 512;
        checkpoint->bytes = stat(self->state_path, &st) == 0 ? st.st_size : 0;
        if (self->layer_path && stat(self->layer_path, &st) == 0)
            checkpoint->bytes += st.st_size;
        auto_json json_t *doc = checkpoint_document(checkpoint);
        if (journal_put(farm_journal(checkpoint->farm), KIND, checkpoint->id, doc, &self->err) == 0) {
            list(checkpoint);
            forget_old_layers(checkpoint->farm);
        }
    }
    if (self->err.is_set)
        error_wrap(&self->err, "storing the checkpoint");
    handle_transferred(self);
}

void checkpoint_store(struct checkpoint *self, checkpoint_fn done, void *data)
{
    struct transfer *job = transfer_new(self, done, data);
    struct error err;
    if (!job) {
        error_errno(&err, ENOMEM, "storing the checkpoint");
        done(data, &err);
        return;
    }
    job->state_fd = fcntl(self->state_fd, F_DUPFD_CLOEXEC, 0);
    if (!self->base->is_stored)
        job->base_fd = fcntl(self->base->fd, F_DUPFD_CLOEXEC, 0);
    job->layer = ram_layer_ref(self->layer);
    submit(self, job, work_store, handle_stored);
}

/* --- Loading --- */

static void work_load(void *data)
{
    struct transfer *self = data;
    int r = 0;
    if (self->base_path)
        r = self->base_fd = ram_load(self->base_path, self->label, self->ram_bytes, &self->err);
    if (r >= 0 && self->state_path)
        r = self->state_fd = ram_load_sealed(self->state_path, CHECKPOINT_STATE_MAX, &self->err);
    if (r >= 0 && self->layer_path)
        ram_layer_load(&self->layer, self->layer_path, self->ram_bytes, &self->err);
}

/* Somebody else may have loaded the same meanwhile: what is there stays. */
static void handle_loaded(void *data)
{
    struct transfer *self = data;
    struct checkpoint *checkpoint = self->checkpoint;
    if (!checkpoint) {
        transfer_free(self);
        return;
    }
    if (checkpoint->base->fd < 0)
        checkpoint->base->fd = steal_fd(&self->base_fd);
    if (checkpoint->state_fd < 0)
        checkpoint->state_fd = steal_fd(&self->state_fd);
    if (!checkpoint->layer)
        checkpoint->layer = steal_ptr(&self->layer);
    if (self->err.is_set)
        error_wrap(&self->err, "loading checkpoint %s", checkpoint->id);
    handle_transferred(self);
}

static void drop_path(char **path, bool is_needed)
{
    if (is_needed)
        return;
    free(*path);
    *path = NULL;
}

void checkpoint_load(struct checkpoint *self, checkpoint_fn done, void *data)
{
    struct transfer *job = transfer_new(self, done, data);
    struct error err;
    if (!job) {
        error_errno(&err, ENOMEM, "loading a checkpoint");
        done(data, &err);
        return;
    }
    self->used_us = clock_now_us();
    drop_path(&job->base_path, self->base->fd < 0);
    drop_path(&job->state_path, self->state_fd < 0);
    drop_path(&job->layer_path, self->has_layer && !self->layer);
    submit(self, job, work_load, handle_loaded);
}

/* --- The journal --------------------------------------------------------------------------------- */

static void read_held(struct checkpoint_machine *m, const json_t *array)
{
    m->n_held = MIN(json_array_size(array), (size_t)CHECKPOINT_HELD_MAX);
    for (size_t i = 0; i < m->n_held; i++)
        m->held[i] = (uint16_t)json_integer_value(json_array_get(array, i));
}

static void read_machine(struct checkpoint_machine *m, const json_t *doc)
{
    snprintf(m->image_name, sizeof m->image_name, "%s", json_get_string(doc, "image", ""));
    snprintf(m->image_hash, sizeof m->image_hash, "%s", json_get_string(doc, "hash", ""));
    snprintf(m->layout, sizeof m->layout, "%s", json_get_string(doc, "layout", "us"));
    m->cpus = (int)json_get_int(doc, "cpus", 1);
    m->memory_mib = (int)json_get_int(doc, "memory_mib", 0);
    m->width = (int)json_get_int(doc, "width", 0);
    m->height = (int)json_get_int(doc, "height", 0);
    m->disk_mib = json_get_int(doc, "disk_mib", 0);
    machine_network_parse(json_get_string(doc, "network", "none"), &m->network, NULL);
    m->agent = inside_kind_parse(json_get_string(doc, "agent", "any"));
    m->accel = (enum accel)json_get_int(doc, "accel", 0);
    m->signals_up = json_get_bool(doc, "signals_up", false);
    profile_read(&m->shape, json_object_get(doc, "shape"), NULL);
    read_held(m, json_object_get(doc, "held"));
}

void checkpoint_read_host(struct host_facts *host, const json_t *doc)
{
    snprintf(host->qemu, sizeof host->qemu, "%s", json_get_string(doc, "qemu", ""));
    snprintf(host->cpu_model, sizeof host->cpu_model, "%s", json_get_string(doc, "cpu_model", ""));
    snprintf(host->kernel, sizeof host->kernel, "%s", json_get_string(doc, "kernel", ""));
}

int checkpoint_check_host(const struct checkpoint *self, struct error *err)
{
    if (self->machine.accel != farm_accel(self->farm))
        return error_set(err, ERROR_CONFLICT, "checkpoint %s was taken under %s, and this daemon uses %s", self->id,
                         accel_name(self->machine.accel), accel_name(farm_accel(self->farm)));
    int r = host_facts_check(&self->host, farm_host_facts(self->farm), self->machine.accel, err);
    if (r < 0)
        error_wrap(err, "checkpoint %s does not load here", self->id);
    return r;
}

int checkpoint_set_pool(struct checkpoint *self, int size, struct error *err)
{
    int before = self->pool_size;
    self->pool_size = size;
    auto_json json_t *doc = checkpoint_document(self);
    int r = journal_put(farm_journal(self->farm), KIND, self->id, doc, err);
    if (r < 0)
        self->pool_size = before;
    else
        pool_resize(self->farm, self);
    return r;
}

static void look_at_base(struct checkpoint *self)
{
    struct stat st;
    auto_free char *path = farm_path(self->farm, "ram", self->base->id, ".ram");
    if (path && stat(path, &st) == 0)
        self->base->stored_bytes = st.st_blocks * 512;
}

void checkpoint_adopt(struct farm *farm, const char *id, const json_t *doc)
{
    struct checkpoint *self = checkpoint_new(farm, id);
    const char *base = json_get_string(doc, "base", "");
    if (!self || !id_is_valid(base)) {
        checkpoint_unref(self);
        return;
    }
    snprintf(self->owner, sizeof self->owner, "%s", json_get_string(doc, "owner", ""));
    snprintf(self->name, sizeof self->name, "%s", json_get_string(doc, "name", ""));
    snprintf(self->sandbox, sizeof self->sandbox, "%s", json_get_string(doc, "sandbox", ""));
    snprintf(self->parent, sizeof self->parent, "%s", json_get_string(doc, "parent", ""));
    self->is_template = json_get_bool(doc, "template", false);
    self->is_hidden = json_get_bool(doc, "hidden", false);
    self->created_us = json_get_int(doc, "created_us", 0);
    self->bytes = json_get_int(doc, "bytes", 0);
    self->disk_bytes = json_get_int(doc, "disk_bytes", 0);
    self->has_layer = json_get_bool(doc, "layer", false);
    self->pool_size = (int)CLAMP(json_get_int(doc, "pool", -1), -1, 64);
    self->wants_spares = self->is_template && self->pool_size > 0;
    checkpoint_read_host(&self->host, json_object_get(doc, "host"));
    chain_read(&self->chain, json_object_get(doc, "chain"));
    read_machine(&self->machine, json_object_get(doc, "machine"));
    self->base = ram_base_get(farm, base, json_get_int(doc, "base_bytes", 0));
    if (self->base) {
        self->base->is_stored = true;
        look_at_base(self);
        list(self);
    }
    checkpoint_unref(self);
}

void checkpoint_delete(struct checkpoint *self)
{
    struct error err = { 0 };
    struct farm *farm = self->farm;
    if (!self->is_listed)
        return;
    self->is_listed = false;
    list_remove(&self->link);
    if (journal_remove(farm_journal(farm), KIND, self->id, &err) < 0)
        log_warn("%s: %s", self->id, err.message);
    pool_drop(farm, self);
    checkpoint_unref(self);
    sweep_request(farm);
}

/* --- Looking ------------------------------------------------------------------------------------- */

json_t *checkpoint_json(const struct checkpoint *self)
{
    char created[CLOCK_RFC3339_MAX];
    clock_format(self->created_us, created);
    const struct checkpoint_machine *m = &self->machine;
    struct stat st = { 0 };
    if (self->base->fd < 0 || fstat(self->base->fd, &st) < 0)
        st.st_blocks = 0;
    return json_pack("{ss ss ss ss so sI ss ss ss ss sb ss ss ss sI sI si si si si si sI}", "accel", accel_name(m->accel), "qemu", self->host.qemu, "cpu_model", self->host.cpu_model,
                     "kernel", self->host.kernel, "pool",
                     self->is_template ? pool_json(self->farm, self) : json_null(), "ram_bytes",
                     (json_int_t)st.st_blocks * 512, "id", self->id, "name", self->name,
                     "sandbox", self->sandbox, "parent", self->parent, "template", self->is_template,
                     "image", m->image_name, "network", machine_network_name(m->network), "created_at", created,
                     "bytes", (json_int_t)self->bytes, "disk_bytes", (json_int_t)self->disk_bytes, "disk_layers", (int)self->chain.n, "cpus", m->cpus, "memory_mib", m->memory_mib, "width", m->width,
                     "height", m->height, "disk_mib", (json_int_t)m->disk_mib);
}

static bool may_see(const struct principal *who, const struct checkpoint *self)
{
    if (self->is_hidden)
        return false;
    return who->role == ROLE_ADMIN || self->is_template || strcmp(self->owner, who->key_id) == 0;
}

struct checkpoint *checkpoint_find(struct farm *farm, const struct principal *who, const char *id,
                                   struct error *err)
{
    struct checkpoint *self;
    list_for_each(self, &farm_stock(farm)->checkpoints, link)
        if (strcmp(self->id, id) == 0 && may_see(who, self))
            return self;
    error_set(err, ERROR_NOT_FOUND, "no checkpoint %.40s", id);
    return NULL;
}

struct checkpoint *checkpoint_find_any(struct farm *farm, const char *id)
{
    struct checkpoint *self;
    list_for_each(self, &farm_stock(farm)->checkpoints, link)
        if (strcmp(self->id, id) == 0)
            return self;
    return NULL;
}

struct checkpoint *checkpoint_find_hidden(struct farm *farm, const char *id)
{
    struct checkpoint *self = checkpoint_find_any(farm, id);
    return self && self->is_hidden ? self : NULL;
}

bool checkpoint_machine_serves(const struct checkpoint_machine *self, const struct checkpoint_machine *wanted)
{
    return strcmp(self->image_hash, wanted->image_hash) == 0 && self->cpus == wanted->cpus &&
           self->memory_mib == wanted->memory_mib && self->disk_mib == wanted->disk_mib &&
           self->width == wanted->width && self->height == wanted->height &&
           self->network == wanted->network && self->accel == wanted->accel;
}

struct checkpoint *checkpoint_find_template(struct farm *farm, const struct checkpoint_machine *machine)
{
    struct checkpoint *self;
    list_for_each(self, &farm_stock(farm)->checkpoints, link)
        if (self->is_template && checkpoint_machine_serves(&self->machine, machine) &&
            checkpoint_check_host(self, NULL) == 0)
            return self;
    return NULL;
}
