/* The life of a sandbox: start, adoption, lease, end, and how the API shows it. */
#define LOG_MODULE "sandbox"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "farm/bake.h"
#include "farm/create.h"
#include "farm/farm.h"
#include "farm/fork.h"
#include "farm/job.h"
#include "farm/ocr.h"
#include "farm/op.h"
#include "farm/recording.h"
#include "farm/sandbox-impl.h"
#include "farm/sweep.h"
#include "farm/shell.h"
#include "farm/terminal.h"
#include "farm/vnc.h"
#include "farm/wait.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* A guest that is deleted is not asked politely: nobody will see its disk again. Its jail is
 * killed once QEMU had time to close. */
#define DELETE_GRACE_MS 0

/* As at creation (api/table.c). */
#define METADATA_MAX 64
#define METADATA_NAME_MAX 255
#define METADATA_VALUE_MAX 32768

static const char *const state_names[] = {
    [SANDBOX_PENDING] = "Pending",       [SANDBOX_RUNNING] = "Running",
    [SANDBOX_PAUSING] = "Pausing",       [SANDBOX_PAUSED] = "Paused",
    [SANDBOX_RESUMING] = "Resuming",     [SANDBOX_STOPPING] = "Stopping",
    [SANDBOX_HIBERNATING] = "Hibernating", [SANDBOX_HIBERNATED] = "Hibernated",
    [SANDBOX_WAKING] = "Waking",
    [SANDBOX_TERMINATED] = "Terminated", [SANDBOX_FAILED] = "Failed",
};
_Static_assert(ARRAY_LEN(state_names) == SANDBOX_STATE_COUNT, "one name per state");

struct deleter {
    struct list link;
    void (*done)(void *data);
    void *data;
};

const char *sandbox_state_name(enum sandbox_state state)
{
    return state_names[state];
}

int sandbox_state_parse(const char *name, enum sandbox_state *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(state_names); i++) {
        if (strcmp(name, state_names[i]) == 0) {
            *ret = (enum sandbox_state)i;
            return 0;
        }
    }
    return -EINVAL;
}

const char *sandbox_id(const struct sandbox *self)
{
    return self->id;
}

enum sandbox_state sandbox_get_state(const struct sandbox *self)
{
    return self->state;
}

void sandbox_set_state(struct sandbox *self, enum sandbox_state state, const char *reason,
                       const char *message)
{
    self->state = state;
    snprintf(self->reason, sizeof self->reason, "%s", reason);
    snprintf(self->message, sizeof self->message, "%s", message);
    log_info("%s: %s%s%s", self->id, state_names[state], *message ? ": " : "", message);
}

/* --- The object ---------------------------------------------------------------------------------- */

static void handle_lease(void *data);

struct sandbox *sandbox_new(struct farm *farm, const char *id, const json_t *request)
{
    struct sandbox *self = calloc(1, sizeof *self);
    if (!self)
        return NULL;
    self->refs = 1;
    self->farm = farm;
    snprintf(self->id, sizeof self->id, "%s", id);
    list_init(&self->link);
    list_init(&self->deleters);
    list_init(&self->ops);
    list_init(&self->held_input);
    list_init(&self->waiting);
    list_init(&self->up_waiters);
    list_init(&self->wakers);
    self->created_us = clock_wall_us();
    self->request = json_object();
    static const char *const kept[] = { "metadata", "entrypoint", "env", "recording" };
    for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
        json_t *value = json_object_get(request, kept[i]);
        if (value)
            json_object_set(self->request, kept[i], value);
    }
    self->lease = timer_new(farm_loop(farm), handle_lease, self);
    if (!self->request || !self->lease || use_init(self, NULL) < 0) {
        sandbox_unref(self);
        return NULL;
    }
    return self;
}

struct sandbox *sandbox_ref(struct sandbox *self)
{
    self->refs++;
    return self;
}

struct sandbox *sandbox_unref(struct sandbox *self)
{
    if (!self || --self->refs > 0)
        return NULL;
    /* First the guest: it answers what is under way, and those callbacks use the desktop. */
    self->guest = guest_free(self->guest);
    layout_deinit(self);
    inside_deinit(self);
    identity_forget(self);
    self->jobs = jobs_free(self->jobs);
    self->shells = shells_free(self->shells);
    self->terminals = terminals_free(self->terminals);
    self->vnc = vnc_free(self->vnc);
    self->ocr = ocr_free(self->ocr);
    recording_leave(self);
    desktop_deinit(self);
    lineage_deinit(self);
    hibernate_deinit(self);
    use_deinit(self);
    timer_free(self->lease);
    json_decref(self->request);
    free(self->dir);
    free(self);
    return NULL;
}

void sandbox_fail_ops(struct sandbox *self, const struct error *err)
{
    while (!list_empty(&self->ops)) {
        struct op *op = list_first(&self->ops, struct op, link);
        op_fail(op, err);
    }
}

/* --- The end ------------------------------------------------------------------------------------- */

static void remove_files(struct sandbox *self)
{
    struct error err = { 0 };
    /* A handful of files; the overlay is unlinked, its blocks are freed by the file system. */
    if (self->dir && fs_remove_tree(self->dir, &err) < 0)
        log_warn("%s: %s", self->id, err.message);
}

/* The guest is gone and the sandbox was deleted: tell everybody who waits. */
static void finish_delete(struct sandbox *self)
{
    struct list deleters = LIST_INIT(deleters);
    remove_files(self);
    sandbox_ref(self);
    sandbox_unlist(self);
    if (self->lineage.chain.n || self->lineage.base)
        sweep_request(self->farm);
    while (!list_empty(&self->deleters)) {
        struct deleter *waiter = list_first(&self->deleters, struct deleter, link);
        list_remove(&waiter->link);
        list_append(&deleters, &waiter->link);
    }
    while (!list_empty(&deleters)) {
        struct deleter *waiter = list_first(&deleters, struct deleter, link);
        list_remove(&waiter->link);
        waiter->done(waiter->data);
        free(waiter);
    }
    sandbox_unref(self);
}

void sandbox_unlist(struct sandbox *self)
{
    if (!self->is_listed)
        return;
    self->is_listed = false;
    farm_remove(self->farm, self);
    sandbox_unref(self);
}

void sandbox_delete(struct sandbox *self, void (*done)(void *data), void *data)
{
    struct deleter *waiter = done ? calloc(1, sizeof *waiter) : NULL;
    if (waiter) {
        waiter->done = done;
        waiter->data = data;
        list_append(&self->deleters, &waiter->link);
    }
    if (self->state != SANDBOX_STOPPING) {
        sandbox_set_state(self, SANDBOX_STOPPING, "Deleted", "");
        timer_stop(self->lease);
        struct error err = { 0 };
        error_set(&err, ERROR_CANCELLED, "sandbox %s was deleted", self->id);
        sandbox_fail_ops(self, &err);
        recording_end(self, "deleted");
        farm_counters(self->farm)->deleted++;
        /* A daemon that dies now must go on deleting, not adopt it. */
        farm_store(self->farm, self, NULL);
        hibernate_forget(self, &err);
        if (self->guest) {
            sandbox_vnc_close(self);
            desktop_disconnect(self);
            inside_disconnect(self);
            guest_power_off(self->guest, DELETE_GRACE_MS);
        } else {
            timer_start(self->lease, 0); /* nothing to wait for, but never inside the call */
        }
    }
}

static void handle_lease(void *data)
{
    struct sandbox *self = data;
    if (self->state == SANDBOX_STOPPING) {
        if (!self->guest)
            finish_delete(self);
        return;
    }
    int64_t left = self->expires_us - clock_wall_us();
    if (left > 0) {
        timer_start(self->lease, left);
        return;
    }
    log_info("%s: its lease ended", self->id);
    sandbox_delete(self, NULL, NULL);
}

static void arm_lease(struct sandbox *self)
{
    if (self->expires_us)
        timer_start(self->lease, self->expires_us - clock_wall_us());
    else
        timer_stop(self->lease);
}

int sandbox_renew(struct sandbox *self, int64_t expires_wall_us, struct error *err)
{
    if (expires_wall_us && expires_wall_us <= clock_wall_us())
        return error_set(err, ERROR_BAD_VALUE, "expiresAt: it lies in the past");
    if (self->state == SANDBOX_STOPPING)
        return error_set(err, ERROR_CONFLICT, "sandbox %s is being deleted", self->id);
    int64_t before = self->expires_us;
    self->expires_us = expires_wall_us;
    int r = farm_store(self->farm, self, err);
    if (r < 0) {
        self->expires_us = before;
        return r;
    }
    arm_lease(self);
    return 0;
}

int sandbox_patch_metadata(struct sandbox *self, const json_t *patch, struct error *err)
{
    const char *name;
    json_t *value, *before = json_object_get(self->request, "metadata");
    auto_json json_t *after = before ? json_copy(before) : json_object();
    json_object_foreach((json_t *)(uintptr_t)patch, name, value) {
        if (json_is_null(value))
            json_object_del(after, name);
        else if (!json_is_string(value))
            return error_set(err, ERROR_BAD_TYPE, "%.64s: expected a string or null", name);
        else if (strlen(name) > METADATA_NAME_MAX || json_string_length(value) > METADATA_VALUE_MAX)
            return error_set(err, ERROR_BAD_VALUE, "%.64s: a name has at most %d bytes, a value %d",
                             name, METADATA_NAME_MAX, METADATA_VALUE_MAX);
        else
            json_object_set(after, name, value);
    }
    if (json_object_size(after) > METADATA_MAX)
        return error_set(err, ERROR_BAD_VALUE, "a sandbox has at most %d labels", METADATA_MAX);
    json_incref(before);
    json_object_set(self->request, "metadata", after);
    int r = farm_store(self->farm, self, err);
    if (r < 0 && before)
        json_object_set(self->request, "metadata", before);
    else if (r < 0)
        json_object_del(self->request, "metadata");
    json_decref(before);
    return r;
}

int sandbox_set_layout(struct sandbox *self, const char *layout, struct error *err)
{
    int r = desktop_set_layout(self, layout, err);
    if (r == 0)
        layout_is_told(self);
    return r < 0 ? r : farm_store(self->farm, self, err);
}

/* --- The guest ----------------------------------------------------------------------------------- */

static void handle_ready(void *data)
{
    struct sandbox *self = data;
    struct error err = { 0 };
    if (self->state == SANDBOX_STOPPING) {
        guest_power_off(self->guest, DELETE_GRACE_MS);
        return;
    }
    if (self->lineage.origin) {
        lineage_handle_ready(self);
        return;
    }
    if (self->is_adopted)
        lineage_adopt(self);
    sandbox_set_state(self, SANDBOX_RUNNING, "Started", "");
    if (self->is_adopted)
        pause_adopt(self, self->adopted_state);
    if (farm_store(self->farm, self, &err) < 0)
        log_warn("%s: %s", self->id, err.message);
    desktop_connect(self);
    inside_connect(self);
    if (self->is_adopted) {
        /* Which keys the last daemon left held, nobody knows. */
        self->is_adopted = false;
        if (self->state == SANDBOX_RUNNING)
            input_reset(self->input);
        else
            self->is_reset_due = true;
    }
}

static void handle_ended(void *data, enum guest_end why, const struct error *err)
{
    struct sandbox *self = data;
    sandbox_ref(self);
    sandbox_vnc_close(self);
    desktop_disconnect(self);
    inside_disconnect(self);
    identity_forget(self);
    self->guest = guest_free(self->guest);
    fork_handle_end(self);
    hibernate_handle_end(self);
    if (self->state == SANDBOX_STOPPING) {
        finish_delete(self);
    } else if (self->state == SANDBOX_WAKING) {
        /* lineage_handle_end below puts it back to sleep */
    } else if (self->state != SANDBOX_FAILED) {
        struct error gone = { 0 };
        if (why == GUEST_END_POWERED_OFF || why == GUEST_END_STOPPED) {
            sandbox_set_state(self, SANDBOX_TERMINATED, "PoweredOff", "");
            error_set(&gone, ERROR_GUEST_GONE, "the guest of sandbox %s was switched off", self->id);
        } else {
            farm_counters(self->farm)->failed++;
            sandbox_set_state(self, SANDBOX_FAILED, err ? error_code_name(err->code) : "guest_failed",
                      err ? err->message : "");
            error_set(&gone, ERROR_GUEST_GONE, "%s", err ? err->message : "the guest died");
        }
        sandbox_fail_ops(self, &gone);
        recording_end(self, self->state == SANDBOX_FAILED ? "failed" : "powered_off");
        farm_store(self->farm, self, NULL);
    }
    lineage_handle_end(self, err);
    bake_handle_end(self);
    sandbox_unref(self);
}

static void handle_network(void *data, bool is_up, const char *why)
{
    struct sandbox *self = data;
    if (!is_up) {
        log_warn("%s: network down: %s", self->id, why);
        return;
    }
    log_debug("%s: network up", self->id);
    /* The identity now names the network's processes: an adoption finds them. */
    if (self->state != SANDBOX_PENDING && self->state != SANDBOX_STOPPING)
        farm_store(self->farm, self, NULL);
}

static void handle_up(void *data, bool is_up)
{
    struct sandbox *self = data;
    log_info("%s: the desktop is %s", self->id, is_up ? "up" : "down");
    if (is_up)
        layout_desktop_is_up(self);
    if (sandbox_is_up(self))
        wait_desktop_is_up(self);
}

bool sandbox_is_up(const struct sandbox *self)
{
    return self->guest && guest_is_up(self->guest) && !self->layout.is_due;
}

static const struct guest_ops guest_ops = {
    .on_up = handle_up,
    .on_ready = handle_ready,
    .on_ended = handle_ended,
    .on_network = handle_network,
};

int sandbox_use_guest(struct sandbox *self, struct guest *guest, uid_t uid, struct error *err)
{
    int r = guest_move(guest, self->dir, err);
    if (r < 0)
        return r;
    self->uid = uid;
    self->guest = guest;
    guest_set_ops(guest, &guest_ops, self);
    farm_store(self->farm, self, NULL);
    return 0;
}

struct guest *sandbox_take_guest(struct sandbox *self, const struct error *why)
{
    sandbox_fail_ops(self, why);
    desktop_disconnect(self);
    inside_disconnect(self);
    identity_forget(self);
    return steal_ptr(&self->guest);
}

int sandbox_start_guest(struct sandbox *self, const struct image *image, const struct machine_origin *origin,
                   struct error *err)
{
    struct machine_spec spec = {
        .origin = origin,
        .accel = farm_accel(self->farm),
        .network = self->network,
        .name = self->id,
        .cpus = (int)self->charge.cpus,
        .memory_mib = (int)self->charge.memory_mib,
        .width = self->width,
        .height = self->height,
    };
    image_fill_machine(image, self->charge.disk_mib, &spec);
    machine_fill_ids(&spec);
    return guest_start(&self->guest, farm_guest_host(self->farm), &spec, self->dir, self->uid, &guest_ops,
                       self, err);
}

int sandbox_prepare(struct sandbox *self, struct error *err)
{
    int r = fs_mkdirs(self->dir, 0700, err);
    if (r == 0)
        r = desktop_init(self, err);
    if (r == 0)
        r = inside_init(self, err);
    if (r == 0)
        r = farm_store(self->farm, self, err);
    if (r == 0)
        arm_lease(self);
    return r;
}

int sandbox_start(struct sandbox *self, const struct image *image, struct error *err)
{
    int r = sandbox_prepare(self, err);
    if (r == 0)
        r = sandbox_start_guest(self, image, NULL, err);
    if (r < 0)
        remove_files(self);
    return r;
}

/* --- The journal --------------------------------------------------------------------------------- */

json_t *sandbox_document(const struct sandbox *self)
{
    json_t *identity = self->guest ? guest_identity(self->guest) : NULL;
    return json_pack("{so ss ss ss ss sO ss ss sI sI sI sI sI ss sb ss si si sI ss so so sb sb so}", "idle", use_json(self), "owner", self->owner,
                     "state", state_names[self->state], "reason", self->reason, "message",
                     self->message, "request", self->request, "image", self->image_name, "image_hash",
                     self->image_hash, "created_us", (json_int_t)self->created_us, "expires_us",
                     (json_int_t)self->expires_us, "cpus", (json_int_t)self->charge.cpus, "memory_mib",
                     (json_int_t)self->charge.memory_mib, "disk_mib",
                     (json_int_t)self->charge.disk_mib, "network",
                     machine_network_name(self->network), "signals_up", self->signals_up, "agent",
                     inside_kind_name(self->agent_kind), "width", self->width, "height",
                     self->height, "uid", (json_int_t)self->uid, "layout", self->layout.name, "guest",
                     identity ? identity : json_null(), "lineage", lineage_json(self), "hidden", self->is_hidden, "layout_due",
                     self->layout.is_due, "shape", profile_json(&self->shape));
}

static void read_document(struct sandbox *self, const json_t *doc)
{
    snprintf(self->owner, sizeof self->owner, "%s", json_get_string(doc, "owner", ""));
    snprintf(self->image_name, sizeof self->image_name, "%s", json_get_string(doc, "image", ""));
    snprintf(self->image_hash, sizeof self->image_hash, "%s", json_get_string(doc, "image_hash", ""));
    snprintf(self->layout.name, sizeof self->layout.name, "%s", json_get_string(doc, "layout", "us"));
    self->layout.is_due = json_get_bool(doc, "layout_due", false);
    self->created_us = json_get_int(doc, "created_us", self->created_us);
    self->expires_us = json_get_int(doc, "expires_us", 0);
    self->charge = (struct charge){ json_get_int(doc, "cpus", 0), json_get_int(doc, "memory_mib", 0),
                                    json_get_int(doc, "disk_mib", 0) };
    machine_network_parse(json_get_string(doc, "network", "none"), &self->network, NULL);
    self->signals_up = json_get_bool(doc, "signals_up", false);
    profile_read(&self->shape, json_object_get(doc, "shape"), NULL);
    self->agent_kind = inside_kind_parse(json_get_string(doc, "agent", "any"));
    self->width = (int)json_get_int(doc, "width", 0);
    self->height = (int)json_get_int(doc, "height", 0);
    self->uid = (uid_t)json_get_int(doc, "uid", 0);
    self->is_hidden = json_get_bool(doc, "hidden", false);
    lineage_read(self, json_object_get(doc, "lineage"));
    use_read(self, json_object_get(doc, "idle"));
}

/* What a dead daemon had begun and nobody has seen is begun again, in a fresh directory. Its display and input are there
 * since it was adopted. */
void sandbox_begin_again(struct sandbox *self)
{
    struct error err = { 0 };
    struct checkpoint *origin = self->lineage.origin;
    uid_t uid = self->uid;
    self->must_begin = false;
    guest_end_orphan(self->dir);
    int r = lineage_part(self, &err, &err);
    self->uid = uid;
    sandbox_set_state(self, SANDBOX_PENDING, "Restarting", "the daemon ended while it was being started");
    if (r == 0)
        r = fs_mkdirs(self->dir, 0700, &err);
    if (r == 0 && origin)
        lineage_start(self, origin, NULL, NULL);
    else if (r == 0)
        r = create_begin_again(self, &err);
    if (r < 0)
        lineage_fail(self, &err);
}

int sandbox_adopt(struct sandbox *self, const json_t *doc)
{
    struct error err = { 0 };
    enum sandbox_state state = SANDBOX_FAILED;
    read_document(self, doc);
    sandbox_state_parse(json_get_string(doc, "state", ""), &state);
    const json_t *identity = json_object_get(doc, "guest"), *lineage = json_object_get(doc, "lineage");
    int r = desktop_init(self, &err);
    if (r == 0)
        r = inside_init(self, &err);
    bool was_alive = state != SANDBOX_TERMINATED && state != SANDBOX_FAILED;
    bool is_doomed = self->is_hidden || self->lineage.is_unconfirmed || state == SANDBOX_STOPPING;
    bool was_begun = json_get_bool(lineage, "restoring", false) || !json_is_object(identity);
    if (r == 0 && hibernate_adopt(self, state) > 0) {
        arm_lease(self);
        return 0;
    }
    struct checkpoint *origin = checkpoint_find_any(self->farm, json_get_string(lineage, "origin", ""));
    if (r == 0 && was_alive && !is_doomed && was_begun && (origin || !json_get_bool(lineage, "restoring", false))) {
        self->lineage.origin = checkpoint_ref(origin);
        self->must_begin = true;
        arm_lease(self);
        return 0;
    }
    if (r == 0 && was_alive && json_get_bool(lineage, "restoring", false))
        r = error_set(&err, ERROR_GUEST_GONE, "the daemon ended while the sandbox was being restored");
    if (r == 0 && was_alive && json_is_object(identity))
        r = guest_adopt(&self->guest, farm_guest_host(self->farm), identity, self->dir, &guest_ops, self,
                        &err);
    else if (r == 0 && was_alive)
        r = error_set(&err, ERROR_GUEST_GONE, "the daemon ended while the guest was starting");
    if (r < 0) {
        desktop_disconnect(self);
        if (is_doomed) {
            self->state = SANDBOX_STOPPING;
            timer_start(self->lease, 0);
        } else {
            sandbox_set_state(self, SANDBOX_FAILED, "guest_gone", err.message);
            arm_lease(self);
        }
        return 1;
    }
    if (is_doomed && state != SANDBOX_STOPPING) {
        /* A template was being baked in it, or its fork was never answered. */
        self->state = SANDBOX_PENDING;
        sandbox_delete(self, NULL, NULL);
        return 0;
    }
    if (!was_alive) {
        snprintf(self->reason, sizeof self->reason, "%s", json_get_string(doc, "reason", ""));
        snprintf(self->message, sizeof self->message, "%s", json_get_string(doc, "message", ""));
        self->state = state;
    } else if (state == SANDBOX_STOPPING) {
        self->state = state;
        return 0;
    } else {
        self->state = SANDBOX_PENDING;
        self->is_adopted = true;
        self->adopted_state = state;
        farm_counters(self->farm)->adopted++;
    }
    arm_lease(self);
    return 0;
}

/* --- The API's view ------------------------------------------------------------------------------ */

json_t *sandbox_json(const struct sandbox *self)
{
    char created[CLOCK_RFC3339_MAX], expires[CLOCK_RFC3339_MAX], memory[32], disk[32], cpu[32];
    clock_format(self->created_us, created);
    snprintf(cpu, sizeof cpu, "%lld", (long long)self->charge.cpus);
    snprintf(memory, sizeof memory, "%lldMi", (long long)self->charge.memory_mib);
    snprintf(disk, sizeof disk, "%lldMi", (long long)self->charge.disk_mib);
    json_t *metadata = json_object_get(self->request, "metadata");
    json_t *entrypoint = json_object_get(self->request, "entrypoint");
    json_t *out = json_pack("{ss s{ss ss} s{ss ss ss} so so ss s{ss ss ss} ss}", "id", self->id,
                            "image", "uri", self->image_name, "hash", self->image_hash, "status",
                            "state", state_names[self->state], "reason", self->reason, "message",
                            self->message, "metadata",
                            metadata ? json_incref(metadata) : json_object(), "entrypoint",
                            json_is_array(entrypoint) ? json_incref(entrypoint) : json_array(),
                            "createdAt", created, "resourceLimits", "cpu", cpu, "memory", memory,
                            "disk", disk, "network", machine_network_name(self->network));
    if (self->expires_us) {
        clock_format(self->expires_us, expires);
        json_object_set_new(out, "expiresAt", json_string(expires));
    }
    json_object_set_new(out, "idle", use_json(self));
    json_object_set_new(out, "identity", identity_json(self));
    if (*self->lineage.parent)
        json_object_set_new(out, "parent", json_string(self->lineage.parent));
    if (*self->lineage.checkpoint)
        json_object_set_new(out, "checkpoint", json_string(self->lineage.checkpoint));
    if (self->lineage.running_us)
        json_object_set_new(out, "times", lineage_times_json(self));
    json_object_set_new(out, "recording", recording_json_of(self));
    json_object_set_new(out, "agent", json_string(inside_state_name(self)));
    json_object_set_new(out, "desktop", sandbox_display_json((struct sandbox *)(uintptr_t)self));
    return out;
}
