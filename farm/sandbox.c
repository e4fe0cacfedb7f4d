/* The life of a sandbox: start, adoption, lease, end, and how the API shows it. */
#define LOG_MODULE "sandbox"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "farm/farm.h"
#include "farm/op.h"
#include "farm/sandbox-impl.h"
#include "farm/wait.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* A guest that is deleted is not asked politely: nobody will see its disk again. Its jail is
 * killed once QEMU had time to close. */
#define DELETE_GRACE_MS 0

static const char *const state_names[] = {
    [SANDBOX_PENDING] = "Pending",       [SANDBOX_RUNNING] = "Running",
    [SANDBOX_STOPPING] = "Stopping",     [SANDBOX_TERMINATED] = "Terminated",
    [SANDBOX_FAILED] = "Failed",
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

static void set_state(struct sandbox *self, enum sandbox_state state, const char *reason,
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
    list_init(&self->waiting);
    list_init(&self->up_waiters);
    self->created_us = clock_wall_us();
    self->request = json_object();
    static const char *const kept[] = { "metadata", "entrypoint" };
    for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
        json_t *value = json_object_get(request, kept[i]);
        if (value)
            json_object_set(self->request, kept[i], value);
    }
    self->lease = timer_new(farm_loop(farm), handle_lease, self);
    if (!self->request || !self->lease) {
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
    desktop_deinit(self);
    timer_free(self->lease);
    json_decref(self->request);
    free(self->dir);
    free(self);
    return NULL;
}

static void fail_ops(struct sandbox *self, const struct error *err)
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
        set_state(self, SANDBOX_STOPPING, "Deleted", "");
        timer_stop(self->lease);
        struct error err = { 0 };
        error_set(&err, ERROR_CANCELLED, "sandbox %s was deleted", self->id);
        fail_ops(self, &err);
        farm_counters(self->farm)->deleted++;
        /* A daemon that dies now must go on deleting, not adopt it. */
        farm_store(self->farm, self, NULL);
        if (self->guest) {
            desktop_disconnect(self);
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

int sandbox_set_layout(struct sandbox *self, const char *layout, struct error *err)
{
    int r = desktop_set_layout(self, layout, err);
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
    set_state(self, SANDBOX_RUNNING, "Started", "");
    if (farm_store(self->farm, self, &err) < 0)
        log_warn("%s: %s", self->id, err.message);
    desktop_connect(self);
    if (self->is_adopted) {
        /* Which keys the last daemon left held, nobody knows. */
        self->is_adopted = false;
        input_reset(self->input);
    }
}

static void handle_ended(void *data, enum guest_end why, const struct error *err)
{
    struct sandbox *self = data;
    sandbox_ref(self);
    desktop_disconnect(self);
    self->guest = guest_free(self->guest);
    if (self->state == SANDBOX_STOPPING) {
        finish_delete(self);
    } else {
        struct error gone = { 0 };
        if (why == GUEST_END_POWERED_OFF || why == GUEST_END_STOPPED) {
            set_state(self, SANDBOX_TERMINATED, "PoweredOff", "");
            error_set(&gone, ERROR_GUEST_GONE, "the guest of sandbox %s was switched off", self->id);
        } else {
            farm_counters(self->farm)->failed++;
            set_state(self, SANDBOX_FAILED, err ? error_code_name(err->code) : "guest_failed",
                      err ? err->message : "");
            error_set(&gone, ERROR_GUEST_GONE, "%s", err ? err->message : "the guest died");
        }
        fail_ops(self, &gone);
        farm_store(self->farm, self, NULL);
    }
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
    if (self->state == SANDBOX_RUNNING)
        farm_store(self->farm, self, NULL);
}

static void handle_up(void *data, bool is_up)
{
    struct sandbox *self = data;
    log_info("%s: the desktop is %s", self->id, is_up ? "up" : "down");
    if (is_up)
        wait_desktop_is_up(self);
}

static const struct guest_ops guest_ops = {
    .on_up = handle_up,
    .on_ready = handle_ready,
    .on_ended = handle_ended,
    .on_network = handle_network,
};

int sandbox_start(struct sandbox *self, const struct image *image, struct error *err)
{
    struct machine_spec spec = {
        .profile = MACHINE_LINUX,
        .accel = farm_accel(self->farm),
        .network = self->network,
        .name = self->id,
        .cpus = (int)self->charge.cpus,
        .memory_mib = (int)self->charge.memory_mib,
        .width = self->width,
        .height = self->height,
        .kernel = image->kernel,
        .initrd = image->initrd,
        .cmdline = image->cmdline,
        .base_disk = image->disk,
        .disk_bytes = image->disk ? self->charge.disk_mib << 20 : 0,
    };
    machine_fill_ids(&spec);
    int r = machine_check(&spec, err);
    if (r == 0)
        r = fs_mkdirs(self->dir, 0700, err);
    if (r == 0)
        r = desktop_init(self, err);
    if (r == 0)
        r = farm_store(self->farm, self, err);
    if (r == 0)
        r = guest_start(&self->guest, farm_guest_host(self->farm), &spec, self->dir, self->uid,
                        &guest_ops, self, err);
    if (r < 0) {
        remove_files(self);
        return r;
    }
    arm_lease(self);
    return 0;
}

/* --- The journal --------------------------------------------------------------------------------- */

json_t *sandbox_document(const struct sandbox *self)
{
    json_t *identity = self->guest ? guest_identity(self->guest) : NULL;
    return json_pack("{ss ss ss ss sO ss ss sI sI sI sI sI ss sb si si sI ss so}", "owner", self->owner,
                     "state", state_names[self->state], "reason", self->reason, "message",
                     self->message, "request", self->request, "image", self->image_name, "image_hash",
                     self->image_hash, "created_us", (json_int_t)self->created_us, "expires_us",
                     (json_int_t)self->expires_us, "cpus", (json_int_t)self->charge.cpus, "memory_mib",
                     (json_int_t)self->charge.memory_mib, "disk_mib",
                     (json_int_t)self->charge.disk_mib, "network",
                     machine_network_name(self->network), "signals_up", self->signals_up, "width", self->width, "height",
                     self->height, "uid", (json_int_t)self->uid, "layout", self->layout, "guest",
                     identity ? identity : json_null());
}

static void read_document(struct sandbox *self, const json_t *doc)
{
    snprintf(self->owner, sizeof self->owner, "%s", json_get_string(doc, "owner", ""));
    snprintf(self->image_name, sizeof self->image_name, "%s", json_get_string(doc, "image", ""));
    snprintf(self->image_hash, sizeof self->image_hash, "%s", json_get_string(doc, "image_hash", ""));
    snprintf(self->layout, sizeof self->layout, "%s", json_get_string(doc, "layout", "us"));
    self->created_us = json_get_int(doc, "created_us", self->created_us);
    self->expires_us = json_get_int(doc, "expires_us", 0);
    self->charge = (struct charge){ json_get_int(doc, "cpus", 0), json_get_int(doc, "memory_mib", 0),
                                    json_get_int(doc, "disk_mib", 0) };
    machine_network_parse(json_get_string(doc, "network", "none"), &self->network, NULL);
    self->signals_up = json_get_bool(doc, "signals_up", false);
    self->width = (int)json_get_int(doc, "width", 0);
    self->height = (int)json_get_int(doc, "height", 0);
    self->uid = (uid_t)json_get_int(doc, "uid", 0);
}

int sandbox_adopt(struct sandbox *self, const json_t *doc)
{
    struct error err = { 0 };
    enum sandbox_state state = SANDBOX_FAILED;
    read_document(self, doc);
    sandbox_state_parse(json_get_string(doc, "state", ""), &state);
    const json_t *identity = json_object_get(doc, "guest");
    int r = desktop_init(self, &err);
    bool was_alive = state == SANDBOX_PENDING || state == SANDBOX_RUNNING || state == SANDBOX_STOPPING;
    if (r == 0 && was_alive && json_is_object(identity))
        r = guest_adopt(&self->guest, farm_guest_host(self->farm), identity, self->dir, &guest_ops, self,
                        &err);
    else if (r == 0 && was_alive)
        r = error_set(&err, ERROR_GUEST_GONE, "the daemon ended while the guest was starting");
    if (r < 0) {
        desktop_disconnect(self);
        if (state == SANDBOX_STOPPING) {
            self->state = state;
            timer_start(self->lease, 0);
        } else {
            set_state(self, SANDBOX_FAILED, "guest_gone", err.message);
            arm_lease(self);
        }
        return 1;
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
    json_object_set_new(out, "desktop", sandbox_display_json((struct sandbox *)(uintptr_t)self));
    return out;
}
