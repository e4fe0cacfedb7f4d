/* A fork is a checkpoint that is never stored and the restores from it. Its object lives from the
 * call to the answer, on the farm's list, so that a daemon that ends can free it.
 *
 * Costs: the parent is paused for devices, disk and the copy of its private pages; each child then
 * costs a QEMU and the writing of those pages, beside the parent. */
#define LOG_MODULE "fork"
#include "farm/fork.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "farm/create.h"
#include "farm/flatten.h"
#include "farm/freeze.h"
#include "farm/leaving.h"
#include "farm/quota.h"
#include "farm/recording.h"
#include "farm/sandbox-impl.h"
#include "farm/sweep.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define CHAIN_FULL (GUEST_LAYERS_MAX - 2) /* one layer is for a hibernation */
#define REBASE_LAYERS 16 /* a chain that is longer is being merged yet */

struct fork {
    struct list link;
    struct farm *farm;
    struct sandbox *sandbox; /* saved, or restored in place */
    struct principal who;
    json_t *request;
    struct checkpoint *checkpoint;
    json_t *children; /* ids */
    int n_left;
    bool is_saving, waits; /* for the disk's layers to be merged */
    guest_save_fn saved;
    struct freeze *freeze; /* NULL: the guest's file systems are not held still */
    int64_t reserved_mib; /* of disk, until the checkpoint is listed */
    struct error err;
    int64_t begin_us;
    fork_fn done;
    void *data;
};

static struct fork *fork_new(struct farm *farm, struct sandbox *sandbox, const json_t *request,
                             fork_fn done, void *data)
{
    struct fork *self = calloc(1, sizeof *self);
    if (!self)
        return NULL;
    *self = (struct fork){ .farm = farm, .sandbox = sandbox ? sandbox_ref(sandbox) : NULL, .begin_us = clock_now_us(),
                           .request = json_deep_copy(request), .children = json_array(), .done = done,
                           .data = data };
    list_append(&farm_stock(farm)->forks, &self->link);
    return self;
}

static void fork_free(struct fork *self)
{
    list_remove(&self->link);
    freeze_free(self->freeze);
    checkpoint_unref(self->checkpoint);
    sandbox_unref(self->sandbox);
    json_decref(self->request);
    json_decref(self->children);
    free(self);
}

void fork_free_all(struct farm_stock *stock)
{
    while (!list_empty(&stock->forks))
        fork_free(list_first(&stock->forks, struct fork, link));
}

int64_t fork_reserved_mib(struct farm *farm, const char *owner)
{
    const struct fork *it;
    int64_t sum = 0;
    list_for_each(it, &farm_stock(farm)->forks, link)
        if (it->sandbox && (!owner || strcmp(it->sandbox->owner, owner) == 0))
            sum += it->reserved_mib;
    return sum;
}

/* Takes over result. */
static void finish(struct fork *self, json_t *result)
{
    const struct error *err = self->err.is_set ? &self->err : NULL;
    if (self->done)
        self->done(self->data, err ? NULL : result, err);
    json_decref(result);
    fork_free(self);
}

static double ms(int64_t us)
{
    return (double)us / 1000;
}

/* --- Saving -------------------------------------------------------------------------------------- */

static int check_savable(struct sandbox *sandbox, struct error *err)
{
    if (sandbox->state == SANDBOX_RUNNING || sandbox->state == SANDBOX_PAUSED)
        return 0;
    bool is_gone = sandbox->state == SANDBOX_TERMINATED || sandbox->state == SANDBOX_FAILED ||
                   sandbox->state == SANDBOX_STOPPING;
    return error_set(err, is_gone ? ERROR_GUEST_GONE : ERROR_CONFLICT, "sandbox %s is %s", sandbox->id,
                     sandbox_state_name(sandbox->state));
}

/* A full chain takes no layer more. */
static bool is_chain_full(const struct sandbox *sandbox)
{
    return sandbox->charge.disk_mib > 0 && sandbox->lineage.chain.n >= CHAIN_FULL;
}

static int begin_save(struct fork *self, const struct chain *chain, struct error *err)
{
    struct sandbox *sandbox = self->sandbox;
    const char *paths[GUEST_LAYERS_MAX] = { NULL };
    struct guest_save_params params = { .disk_bytes = sandbox->charge.disk_mib << 20, .layers = paths };
    int r = 0;
    /* An ordinary user's QEMU has the template's layers by path, where it cannot write them. */
    params.n_origin = jail_needs_uid() ? 0 : flatten_shared(self->farm, sandbox->lineage.base, chain);
    if (guest_wants_layers(sandbox->guest) && chain->n <= REBASE_LAYERS)
        params.n_layers = chain->n - MIN(params.n_origin, chain->n);
    for (size_t i = 0; r == 0 && i < params.n_layers; i++) {
        paths[i] = farm_path(self->farm, "layers", chain->ids[params.n_origin + i], ".qcow2");
        r = paths[i] ? 0 : error_errno(err, ENOMEM, "saving the guest");
    }
    if (r == 0)
        r = guest_save(sandbox->guest, &params, self->saved, self, err);
    for (size_t i = 0; i < params.n_layers; i++)
        free((void *)(uintptr_t)paths[i]);
    return r;
}

static int try_save(struct fork *self, struct error *err)
{
    struct sandbox *sandbox = self->sandbox;
    int r = check_savable(sandbox, err);
    if (r == 0 && !sandbox->guest)
        r = error_set(err, ERROR_GUEST_GONE, "sandbox %s has no guest", sandbox->id);
    if (r == 0)
        r = begin_save(self, &sandbox->lineage.chain, err);
    if (r == 0) {
        farm_stock(self->farm)->n_busy++;
        self->is_saving = true;
    }
    return r;
}

/* Now, or when its layers have been merged. */
static int save(struct fork *self, guest_save_fn done, struct error *err)
{
    self->saved = done;
    int r = farm_check_memory(self->farm, err);
    if (r < 0 || !is_chain_full(self->sandbox))
        return r < 0 ? r : try_save(self, err);
    self->waits = true;
    flatten_request(self->farm);
    return 0;
}

static void finish(struct fork *self, json_t *result);

void fork_handle_flattened(struct farm *farm, bool is_over)
{
    struct fork *self, *next;
    list_for_each_safe(self, next, &farm_stock(farm)->forks, link) {
        if (!self->waits || (!is_over && is_chain_full(self->sandbox)))
            continue;
        self->waits = false;
        int r = is_chain_full(self->sandbox)
                    ? error_set(&self->err, ERROR_UNSUPPORTED, "the disk of sandbox %s has %d layers, and they cannot "
                                "be merged", self->sandbox->id, (int)self->sandbox->lineage.chain.n)
                    : try_save(self, &self->err);
        if (r < 0)
            finish(self, NULL);
    }
}

/* What the guest wrote until now is frozen even when the rest failed. */
static void take(struct fork *self, struct guest_saved *saved, const struct error *err)
{
    farm_stock(self->farm)->n_busy--;
    self->is_saving = false;
    desktop_send_held(self->sandbox);
    if (err) {
        self->err = *err;
        if (saved->frozen)
            checkpoint_freeze(self->sandbox, saved->frozen, NULL);
        return;
    }
    self->checkpoint = checkpoint_take(self->sandbox, saved, &self->err);
}

/* --- Checkpoint ---------------------------------------------------------------------------------- */

static void handle_stored(void *data, const struct error *err)
{
    struct fork *self = data;
    farm_stock(self->farm)->n_busy--;
    if (err) {
        self->err = *err;
        sweep_request(self->farm);
        finish(self, NULL);
        return;
    }
    json_t *result = checkpoint_json(self->checkpoint);
    json_object_set_new(result, "pause_ms", json_real(ms(self->checkpoint->times.pause)));
    json_object_set_new(result, "total_ms", json_real(ms(clock_now_us() - self->begin_us)));
    if (self->freeze)
        freeze_json(self->freeze, result);
    snprintf(self->sandbox->lineage.checkpoint, ID_MAX, "%s", self->checkpoint->id);
    recording_event(self->sandbox, "checkpoint", json_pack("{ss ss}", "checkpoint", self->checkpoint->id,
                                                           "name", self->checkpoint->name));
    farm_store(self->farm, self->sandbox, NULL);
    finish(self, result);
}

static void store(void *data)
{
    struct fork *self = data;
    snprintf(self->checkpoint->name, sizeof self->checkpoint->name, "%s",
             json_get_string(self->request, "name", ""));
    farm_stock(self->farm)->n_busy++;
    checkpoint_store(self->checkpoint, handle_stored, self);
}

static void handle_saved_to_store(void *data, struct guest_saved *saved, const struct error *err)
{
    struct fork *self = data;
    take(self, saved, err);
    if (!self->checkpoint)
        finish(self, NULL);
    else if (self->freeze)
        freeze_thaw(self->freeze, store, self);
    else
        store(self);
}

static void handle_frozen(void *data)
{
    struct fork *self = data;
    if (save(self, handle_saved_to_store, &self->err) < 0)
        finish(self, NULL);
}

static int begin_checkpoint(struct fork *self, struct error *err)
{
    if (!json_get_bool(self->request, "freeze", false))
        return save(self, handle_saved_to_store, err);
    int r = check_savable(self->sandbox, err);
    self->freeze = r == 0 ? freeze_new(self->sandbox, handle_frozen, self) : NULL;
    return r == 0 && !self->freeze ? error_errno(err, ENOMEM, "taking a checkpoint") : r;
}

int sandbox_checkpoint(struct sandbox *sandbox, const json_t *request, fork_fn done, void *data,
                       struct error *err)
{
    struct fork *self = fork_new(sandbox->farm, sandbox, request, done, data);
    if (!self)
        return error_errno(err, ENOMEM, "taking a checkpoint");
    int64_t mib = 0;
    int r = farm_check_ready(sandbox->farm, err);
    if (r == 0)
        r = quota_check_checkpoint(sandbox->farm, sandbox, &mib, err);
    self->reserved_mib = mib;
    if (r == 0)
        r = begin_checkpoint(self, err);
    if (r < 0)
        fork_free(self);
    return r;
}

/* --- Sandboxes out of a checkpoint ----------------------------------------------------------------- */

static void read_machine(struct sandbox *self, const struct checkpoint_machine *machine)
{
    snprintf(self->image_name, sizeof self->image_name, "%s", machine->image_name);
    snprintf(self->image_hash, sizeof self->image_hash, "%s", machine->image_hash);
    snprintf(self->layout.name, sizeof self->layout.name, "%s", machine->layout);
    self->charge = (struct charge){ machine->cpus, machine->memory_mib, machine->disk_mib };
    self->network = machine->network;
    self->signals_up = machine->signals_up;
    self->shape = machine->shape;
    self->agent_kind = machine->agent;
    self->width = machine->width;
    self->height = machine->height;
}

static int take_uid(struct farm *farm, uid_t *ret, struct error *err)
{
    *ret = jail_needs_uid() ? farm_take_uid(farm) : 0;
    if (jail_needs_uid() && !*ret)
        return error_set(err, ERROR_QUOTA, "no uid is left for another jail");
    return 0;
}

/* A listed sandbox that is being restored. request: metadata, env, timeout. */
static int make_child(struct farm *farm, const struct principal *who, struct checkpoint *checkpoint,
                      const json_t *request, const struct sandbox *parent, lineage_fn done, void *data,
                      struct sandbox **ret, struct error *err)
{
    const struct checkpoint_machine *machine = &checkpoint->machine;
    const struct charge charge = { machine->cpus, machine->memory_mib, machine->disk_mib };
    uid_t uid = 0;
    char id[ID_MAX];
    int r = quota_check(farm, who, &charge, 1, err);
    if (r == 0)
        r = checkpoint_check_host(checkpoint, err);
    if (r == 0)
        r = take_uid(farm, &uid, err);
    if (r < 0)
        return r;
    id_new("sb-", id);
    struct sandbox *self = sandbox_new(farm, id, request);
    if (!self || !(self->dir = farm_sandbox_dir(farm, id))) {
        sandbox_unref(self);
        return error_errno(err, ENOMEM, "creating a sandbox");
    }
    snprintf(self->owner, sizeof self->owner, "%s", who->key_id);
    read_machine(self, machine);
    self->uid = uid;
    int64_t timeout_s = json_get_int(request, "timeout", 0);
    self->expires_us = timeout_s > 0 ? clock_wall_us() + timeout_s * 1000000 : 0;
    if (parent)
        snprintf(self->lineage.parent, ID_MAX, "%s", parent->id);
    self->lineage.is_unconfirmed = done != NULL; /* somebody waits to hear of it */
    use_read(self, json_object_get(request, "idle"));
    farm_add(farm, self);
    r = sandbox_prepare(self, err);
    if (r < 0) {
        fs_remove_tree(self->dir, NULL);
        sandbox_unlist(self);
        return r;
    }
    farm_counters(farm)->created++;
    lineage_start(self, checkpoint, done, data);
    *ret = self;
    return 0;
}

int farm_create_from(struct farm *farm, const struct principal *who, const char *id,
                     const json_t *request, struct sandbox **ret, struct error *err)
{
    struct checkpoint *checkpoint = checkpoint_find(farm, who, id, err);
    return checkpoint ? make_child(farm, who, checkpoint, request, NULL, NULL, NULL, ret, err) : -ENOENT;
}

/* --- Fork ---------------------------------------------------------------------------------------- */

static struct sandbox *find_child(struct fork *self, size_t i)
{
    struct sandbox *sandbox;
    const char *id = json_string_value(json_array_get(self->children, i));
    list_for_each(sandbox, farm_sandboxes(self->farm), link)
        if (strcmp(sandbox->id, id) == 0)
            return sandbox;
    return NULL;
}

static void delete_children(struct fork *self)
{
    for (size_t i = 0; i < json_array_size(self->children); i++) {
        struct sandbox *child = find_child(self, i);
        if (child)
            sandbox_delete(child, NULL, NULL);
    }
}

static void finish_fork(struct fork *self)
{
    if (self->err.is_set) {
        error_wrap(&self->err, "forking %s", self->sandbox ? self->sandbox->id : self->checkpoint->id);
        delete_children(self);
        finish(self, NULL);
        return;
    }
    json_t *items = json_array();
    for (size_t i = 0; i < json_array_size(self->children); i++) {
        struct sandbox *child = find_child(self, i);
        if (!child)
            continue;
        child->lineage.is_unconfirmed = false;
        farm_store(self->farm, child, NULL);
        json_array_append_new(items, sandbox_json(child));
    }
    if (!self->sandbox) {
        finish(self, json_pack("{so sf}", "items", items, "total_ms",
                               ms(clock_now_us() - self->begin_us)));
        return;
    }
    const struct guest_save_times *t = &self->checkpoint->times;
    int64_t pages = self->checkpoint->layer ? ram_layer_pages(self->checkpoint->layer) : 0;
    finish(self, json_pack("{so sf sf sf sI sf}", "items", items, "pause_ms", ms(t->pause), "devices_ms",
                           ms(t->devices), "copy_ms", ms(t->copy), "dirty_bytes",
                           (json_int_t)(pages * RAM_PAGE), "total_ms", ms(clock_now_us() - self->begin_us)));
}

static void handle_child_told(void *data, const struct error *err)
{
    struct fork *self = data;
    if (err && !self->err.is_set)
        self->err = *err;
    if (--self->n_left == 0)
        finish_fork(self);
}

static void handle_child(void *data, struct sandbox *child, const struct error *err)
{
    struct fork *self = data;
    bool waits = strcmp(json_get_string(self->request, "wait", "running"), "identity") == 0;
    if (err || !waits || !waker_add(child, handle_child_told, self))
        handle_child_told(self, err);
}

/* As many as asked for, of self->checkpoint; then the fork is answered. */
static void make_children(struct fork *self, const struct sandbox *parent)
{
    int count = (int)json_get_int(self->request, "count", 1);
    self->n_left = 1; /* this call's own */
    for (int i = 0; self->checkpoint && !self->err.is_set && i < count; i++) {
        struct sandbox *child = NULL;
        self->n_left++;
        if (make_child(self->farm, &self->who, self->checkpoint, self->request, parent, handle_child, self,
                       &child, &self->err) < 0)
            self->n_left--;
        else
            json_array_append_new(self->children, json_string(child->id));
        if (child)
            child->lineage.begin_us = self->begin_us; /* its clocks begin with the call */
    }
    if (self->sandbox && json_array_size(self->children) > 0)
        recording_event(self->sandbox, "forked", json_pack("{sO}", "children", self->children));
    if (--self->n_left == 0)
        finish_fork(self);
}

static void handle_saved_to_fork(void *data, struct guest_saved *saved, const struct error *err)
{
    struct fork *self = data;
    take(self, saved, err);
    make_children(self, self->sandbox);
}

static void handle_loaded_to_fork(void *data, const struct error *err)
{
    struct fork *self = data;
    if (err)
        self->err = *err;
    make_children(self, NULL);
}

/* What a child takes over from its parent unless the request says otherwise. */
static void inherit(struct fork *self)
{
    static const char *const names[] = { "metadata", "env", "entrypoint", "recording" };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        json_t *value = json_object_get(self->sandbox->request, names[i]);
        if (value && !json_object_get(self->request, names[i]))
            json_object_set(self->request, names[i], value);
    }
}

static int check_quota(struct farm *farm, const struct principal *who,
                       const struct checkpoint_machine *machine, int64_t count, struct error *err)
{
    const struct charge charge = { machine->cpus, machine->memory_mib, machine->disk_mib };
    return quota_check(farm, who, &charge, count, err);
}

int sandbox_fork(struct farm *farm, const struct principal *who, struct sandbox *sandbox,
                 const json_t *request, fork_fn done, void *data, struct error *err)
{
    struct checkpoint_machine machine;
    checkpoint_machine_of(sandbox, &machine);
    int r = farm_check_ready(farm, err);
    if (r == 0)
        r = check_quota(farm, who, &machine, json_get_int(request, "count", 1), err);
    if (r < 0)
        return r;
    struct fork *self = fork_new(farm, sandbox, request, done, data);
    if (!self)
        return error_errno(err, ENOMEM, "forking");
    self->who = *who;
    inherit(self);
    r = save(self, handle_saved_to_fork, err);
    if (r < 0)
        fork_free(self);
    return r;
}

int farm_fork_checkpoint(struct farm *farm, const struct principal *who, const char *id,
                         const json_t *request, fork_fn done, void *data, struct error *err)
{
    struct checkpoint *checkpoint = checkpoint_find(farm, who, id, err);
    int r = checkpoint ? farm_check_ready(farm, err) : -ENOENT;
    if (r == 0)
        r = check_quota(farm, who, &checkpoint->machine, json_get_int(request, "count", 1), err);
    if (r < 0)
        return r;
    struct fork *self = fork_new(farm, NULL, request, done, data);
    if (!self)
        return error_errno(err, ENOMEM, "forking");
    self->who = *who;
    self->checkpoint = checkpoint_ref(checkpoint);
    checkpoint_load(checkpoint, handle_loaded_to_fork, self);
    return 0;
}

/* --- Going back ---------------------------------------------------------------------------------- */

static void handle_back(void *data, struct sandbox *sandbox, const struct error *err)
{
    struct fork *self = data;
    if (err) {
        self->err = *err;
        finish(self, NULL);
        return;
    }
    if (*sandbox->lineage.sleep)
        hibernate_forget(sandbox, NULL);
    json_t *result = sandbox_json(sandbox);
    json_object_set_new(result, "total_ms", json_real(ms(clock_now_us() - self->begin_us)));
    finish(self, result);
}

static int check_restorable(struct sandbox *sandbox, const struct checkpoint *checkpoint, struct error *err)
{
    struct checkpoint_machine now;
    const struct checkpoint_machine *then = &checkpoint->machine;
    checkpoint_machine_of(sandbox, &now);
    if (sandbox->state != SANDBOX_RUNNING && sandbox->state != SANDBOX_PAUSED &&
        sandbox->state != SANDBOX_TERMINATED && sandbox->state != SANDBOX_FAILED &&
        sandbox->state != SANDBOX_HIBERNATED)
        return error_set(err, ERROR_CONFLICT, "sandbox %s is %s", sandbox->id,
                         sandbox_state_name(sandbox->state));
    if (sandbox->guest && guest_is_saving(sandbox->guest))
        return error_set(err, ERROR_BUSY, "sandbox %s is being saved", sandbox->id);
    if (checkpoint_check_host(checkpoint, err) < 0)
        return -EINVAL;
    if (now.cpus != then->cpus || now.memory_mib != then->memory_mib || now.disk_mib != then->disk_mib ||
        now.network != then->network || now.accel != then->accel ||
        strcmp(now.image_hash, then->image_hash) != 0)
        return error_set(err, ERROR_CONFLICT, "checkpoint %s is of another machine", checkpoint->id);
    return 0;
}

/* Once the checkpoint is in memory, so that one that cannot be read harms nothing. */
static void handle_loaded_back(void *data, const struct error *err)
{
    struct fork *self = data;
    struct sandbox *sandbox = self->sandbox;
    struct error why;
    uid_t uid = 0;
    int r = err ? -EIO : check_restorable(sandbox, self->checkpoint, &self->err);
    if (err)
        self->err = *err;
    if (r == 0)
        r = take_uid(self->farm, &uid, &self->err);
    if (r == 0) {
        /* A daemon that dies from here on begins it again. */
        lineage_intend(sandbox, self->checkpoint);
        error_set(&why, ERROR_CONFLICT, "sandbox %s went back to a checkpoint", sandbox->id);
        r = lineage_part(sandbox, &why, &self->err);
        sandbox->uid = uid;
    }
    if (r == 0)
        r = fs_mkdirs(sandbox->dir, 0700, &self->err);
    if (r < 0 && self->checkpoint == sandbox->lineage.origin)
        lineage_fail(sandbox, &self->err);
    if (r < 0) {
        finish(self, NULL);
        return;
    }
    recording_event(sandbox, "restored", json_pack("{ss}", "checkpoint", self->checkpoint->id));
    sandbox_set_state(sandbox, SANDBOX_PENDING, "Restoring", "");
    lineage_start(sandbox, self->checkpoint, handle_back, self);
}

int sandbox_restore(struct farm *farm, const struct principal *who, struct sandbox *sandbox,
                    const json_t *request, fork_fn done, void *data, struct error *err)
{
    struct checkpoint *checkpoint =
        checkpoint_find(farm, who, json_get_string(request, "checkpoint", ""), err);
    int r = checkpoint ? check_restorable(sandbox, checkpoint, err) : -ENOENT;
    if (r == 0)
        r = farm_check_ready(farm, err);
    if (r < 0)
        return r;
    struct fork *self = fork_new(farm, sandbox, request, done, data);
    if (!self)
        return error_errno(err, ENOMEM, "restoring");
    self->checkpoint = checkpoint_ref(checkpoint);
    checkpoint_load(checkpoint, handle_loaded_back, self);
    return 0;
}

/* A guest that is gone answers no save. */
void fork_handle_end(struct sandbox *sandbox)
{
    struct fork *self, *tmp;
    list_for_each_safe(self, tmp, &farm_stock(sandbox->farm)->forks, link) {
        if (self->sandbox != sandbox || !self->is_saving)
            continue;
        farm_stock(self->farm)->n_busy--;
        self->is_saving = false;
        error_set(&self->err, ERROR_GUEST_GONE, "the guest of sandbox %s ended while it was being saved",
                  sandbox->id);
        finish(self, NULL);
    }
}

/* --- Looking ------------------------------------------------------------------------------------- */

json_t *farm_checkpoints(struct farm *farm, const struct principal *who, const char *sandbox,
                         bool templates)
{
    json_t *items = json_array();
    struct checkpoint *it;
    list_for_each(it, &farm_stock(farm)->checkpoints, link)
        if (it->is_template == templates && (!sandbox || strcmp(it->sandbox, sandbox) == 0) &&
            checkpoint_find(farm, who, it->id, NULL))
            json_array_append_new(items, checkpoint_json(it));
    return json_pack("{so}", "items", items);
}

json_t *farm_checkpoint(struct farm *farm, const struct principal *who, const char *id,
                        struct error *err)
{
    struct checkpoint *checkpoint = checkpoint_find(farm, who, id, err);
    return checkpoint ? checkpoint_json(checkpoint) : NULL;
}

json_t *farm_set_template(struct farm *farm, const struct principal *who, const char *id, const json_t *request,
                          struct error *err)
{
    struct checkpoint *checkpoint = checkpoint_find(farm, who, id, err);
    const json_t *pool = json_object_get(request, "pool");
    if (checkpoint && !checkpoint->is_template) {
        error_set(err, ERROR_CONFLICT, "%s is no template", checkpoint->id);
        checkpoint = NULL;
    }
    if (!checkpoint)
        return NULL;
    if (pool && checkpoint_set_pool(checkpoint, json_is_integer(pool) ? (int)json_integer_value(pool) : -1, err) < 0)
        return NULL;
    return checkpoint_json(checkpoint);
}

int farm_delete_checkpoint(struct farm *farm, const struct principal *who, const char *id,
                           struct error *err)
{
    struct checkpoint *checkpoint = checkpoint_find(farm, who, id, err);
    if (!checkpoint)
        return -ENOENT;
    if (checkpoint->is_template && who->role != ROLE_ADMIN)
        return error_set(err, ERROR_FORBIDDEN, "only an admin may delete a template");
    checkpoint_delete(checkpoint);
    return 0;
}
