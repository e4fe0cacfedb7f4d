#define LOG_MODULE "lineage"
#include "farm/lineage.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "farm/create.h"
#include "farm/farm.h"
#include "farm/flatten.h"
#include "farm/leaving.h"
#include "farm/pool.h"
#include "farm/sandbox-impl.h"
#include "hypervisor/guest-files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define IDENTITY_WAIT_US 5000000 /* forks of a large guest on a busy host take a second */

void lineage_deinit(struct sandbox *self)
{
    self->lineage.origin = checkpoint_unref(self->lineage.origin);
    self->lineage.base = ram_base_unref(self->lineage.base);
    self->lineage.done = NULL;
}

/* The restore is over; the sandbox may be gone after this. */
static void report(struct sandbox *self, const struct error *err)
{
    struct lineage *lineage = &self->lineage;
    lineage_fn done = lineage->done;
    lineage->done = NULL;
    lineage->origin = checkpoint_unref(lineage->origin);
    if (done)
        done(lineage->data, self, err);
}

void lineage_fail(struct sandbox *self, const struct error *err)
{
    sandbox_ref(self);
    if (hibernate_handle_failed(self, err)) {
        report(self, err);
        sandbox_unref(self);
        return;
    }
    if (self->state != SANDBOX_STOPPING) {
        farm_counters(self->farm)->failed++;
        sandbox_set_state(self, SANDBOX_FAILED, error_code_name(err->code), err->message);
        farm_store(self->farm, self, NULL);
    }
    if (self->guest)
        guest_kill(self->guest);
    report(self, err);
    sandbox_unref(self);
}

/* --- Running again ------------------------------------------------------------------------------- */

static void handle_told(void *data)
{
    struct sandbox *self = data;
    if (self->guest)
        guest_open_network(self->guest);
    hibernate_handle_awake(self);
}

static void handle_restored(void *data, const struct guest_restore_times *times, const struct error *err)
{
    struct sandbox *self = data;
    self->lineage.times = *times;
    if (err) {
        lineage_fail(self, err);
        return;
    }
    self->lineage.running_us = clock_now_us();
    if (self->state == SANDBOX_STOPPING)
        return;
    sandbox_set_state(self, SANDBOX_RUNNING, self->state == SANDBOX_WAKING ? "Woken" : "Restored", "");
    desktop_connect(self);
    inside_set_paused(self, false);
    desktop_lift_keys(self, &self->lineage.origin->machine); /* that were held where the state comes from */
    const int connections = self->network == MACHINE_NETWORK_NONE ? 0 : IDENTITY_CONNECTIONS;
    identity_refresh(self, IDENTITY_CLOCK | IDENTITY_HOSTNAME | IDENTITY_ENTROPY | connections,
                     self->agent_kind == INSIDE_NONE ? 0 : IDENTITY_WAIT_US, handle_told, self);
    flatten_request(self->farm);
    report(self, NULL); /* which may have to be in the journal, too */
    farm_store(self->farm, self, NULL);
}

void lineage_handle_ready(struct sandbox *self)
{
    struct checkpoint *origin = self->lineage.origin;
    const char *paths[GUEST_LAYERS_MAX] = { NULL };
    struct error err = { 0 };
    int r = 0;
    size_t n = origin->chain.n - self->lineage.n_known;
    self->lineage.start_us = clock_now_us();
    for (size_t i = 0; r == 0 && i < n; i++) {
        paths[i] = farm_path(self->farm, "layers", origin->chain.ids[self->lineage.n_known + i],
                             ".qcow2");
        r = paths[i] ? 0 : error_errno(&err, ENOMEM, "restoring");
    }
    const struct guest_restore_params params = { .state_fd = origin->state_fd, .layer = origin->layer,
                                                 .layers = paths, .n_layers = n };
    inside_connect(self);
    if (r == 0) {
        desktop_connect(self); /* in time, so that the screen is there as soon as it runs */
        r = guest_restore(self->guest, &params, handle_restored, self, &err);
    }
    for (size_t i = 0; i < n; i++)
        free((void *)(uintptr_t)paths[i]);
    if (r < 0)
        lineage_fail(self, &err);
}

void lineage_handle_end(struct sandbox *self, const struct error *err)
{
    struct error gone;
    error_set(&gone, ERROR_GUEST_GONE, "the guest ended while it was being restored");
    if (!self->lineage.origin)
        return;
    err = err && err->is_set ? err : &gone;
    hibernate_handle_failed(self, err);
    report(self, err);
}

/* --- Starting ------------------------------------------------------------------------------------ */

/* A checkpoint belongs to one build of an image, whatever the name means by now. */
static int load_image(struct sandbox *self, struct image *ret, struct error *err)
{
    char name[160];
    snprintf(name, sizeof name, "%s-%s", self->image_name, self->image_hash);
    int r = image_load(ret, farm_cache_dir(self->farm), name, err);
    if (r < 0)
        error_wrap(err, "the image of the checkpoint");
    return r;
}

static int launch(struct sandbox *self, struct error *err)
{
    struct image image = { 0 };
    const char *paths[GUEST_LAYERS_MAX] = { NULL };
    const struct chain *chain = &self->lineage.origin->chain;
    /* As root QEMU gets layers as descriptors, which another uid cannot open anew; otherwise by path,
     * read-only. */
    struct machine_origin origin = { .ram_fd = self->lineage.base->fd, .layers = paths,
                                     .n_layers = jail_needs_uid() ? 0 : chain->n };
    self->lineage.n_known = origin.n_layers;
    int r = load_image(self, &image, err);
    for (size_t i = 0; r == 0 && i < origin.n_layers; i++) {
        paths[i] = farm_path(self->farm, "layers", chain->ids[i], ".qcow2");
        r = paths[i] ? 0 : error_errno(err, ENOMEM, "restoring");
    }
    if (r == 0)
        r = sandbox_start_guest(self, &image, &origin, err);
    for (size_t i = 0; i < origin.n_layers; i++)
        free((void *)(uintptr_t)paths[i]);
    image_deinit(&image);
    return r;
}

/* A QEMU from the pool, or a new one. */
static void begin(struct sandbox *self, struct error *err)
{
    char *dir = NULL;
    uid_t uid = 0;
    struct checkpoint *origin = self->lineage.origin;
    struct guest *guest = pool_claim(self->farm, origin, &dir, &uid, &self->lineage.n_known);
    pool_touch(self->farm, origin);
    self->lineage.is_pooled = guest != NULL;
    if (!guest) {
        launch(self, err);
        return;
    }
    if (sandbox_use_guest(self, guest, uid, err) == 0)
        lineage_handle_ready(self);
    else
        leaving_add(self->farm, guest, steal_ptr(&dir), uid);
    free(dir);
}

static void handle_loaded(void *data, const struct error *load_err)
{
    struct sandbox *self = data;
    struct error err = load_err ? *load_err : (struct error){ 0 };
    bool is_wanted = self->lineage.origin && self->state != SANDBOX_STOPPING && !self->guest;
    if (is_wanted && !load_err)
        begin(self, &err);
    if (is_wanted && err.is_set)
        lineage_fail(self, &err);
    else if (!is_wanted)
        report(self, &err);
    sandbox_unref(self);
}

void lineage_intend(struct sandbox *self, struct checkpoint *checkpoint)
{
    struct checkpoint *before = self->lineage.origin;
    self->lineage.origin = checkpoint_ref(checkpoint);
    checkpoint_unref(before);
    farm_store(self->farm, self, NULL);
}

void lineage_start(struct sandbox *self, struct checkpoint *checkpoint, lineage_fn done, void *data)
{
    struct lineage *lineage = &self->lineage;
    struct checkpoint *before = lineage->origin; /* may be the same */
    ram_base_unref(lineage->base);
    lineage->base = ram_base_ref(checkpoint->base);
    lineage->origin = checkpoint_ref(checkpoint);
    checkpoint_unref(before);
    lineage->chain = checkpoint->chain;
    lineage->done = done;
    lineage->data = data;
    lineage->begin_us = clock_now_us();
    lineage->running_us = 0;
    if (!checkpoint->is_hidden)
        snprintf(lineage->checkpoint, sizeof lineage->checkpoint, "%s",
                 checkpoint->is_listed ? checkpoint->id : checkpoint->parent);
    farm_store(self->farm, self, NULL);
    sandbox_ref(self);
    checkpoint_load(checkpoint, handle_loaded, self);
}

static json_t *ms(int64_t us)
{
    return json_real((double)us / 1000);
}

json_t *lineage_times_json(const struct sandbox *self)
{
    const struct lineage *l = &self->lineage;
    int64_t ready_us = l->start_us + MAX(l->times.attach, l->times.inject) - l->begin_us;
    return json_pack("{so so so so so so sb}", "qemu_ms", ms(l->start_us - l->begin_us), "attach_ms",
                     ms(l->times.attach), "pages_ms", ms(l->times.inject), "ready_ms", ms(ready_us),
                     "devices_ms", ms(l->times.load), "running_ms", ms(l->running_us - l->begin_us),
                     "pooled", l->is_pooled);
}

/* --- Parting -------------------------------------------------------------------------------------- */

/* sandboxes/ID-N, the first that is not there. */
static char *next_dir(struct sandbox *sandbox)
{
    char name[ID_MAX + 16];
    for (int i = 1; i < 10000; i++) {
        snprintf(name, sizeof name, "%s-%d", sandbox->id, i);
        auto_free char *dir = farm_sandbox_dir(sandbox->farm, name);
        if (!dir || access(dir, F_OK) < 0)
            return steal_ptr(&dir);
    }
    return NULL;
}

/* The old guest goes while the new one comes, each in a directory and under a uid of its own. */
int lineage_part(struct sandbox *self, const struct error *why, struct error *err)
{
    auto_free char *old_dir = next_dir(self);
    int r = old_dir ? 0 : error_errno(err, ENOMEM, "parting with a guest");
    if (r == 0 && rename(self->dir, old_dir) < 0 && errno != ENOENT)
        r = error_errno(err, errno, "moving %s", self->dir);
    /* A guest whose directory cannot be moved is killed all the same. */
    leaving_add(self->farm, sandbox_take_guest(self, why), r == 0 ? steal_ptr(&old_dir) : NULL, self->uid);
    self->uid = 0;
    return r;
}

/* --- The journal --------------------------------------------------------------------------------- */

json_t *lineage_json(const struct sandbox *self)
{
    const struct lineage *lineage = &self->lineage;
    json_t *out = json_pack("{so ss ss sb ss ss sb}", "chain", chain_json(&lineage->chain), "parent",
                            lineage->parent, "checkpoint", lineage->checkpoint, "restoring",
                            lineage->origin != NULL, "origin", lineage->origin ? lineage->origin->id : "",
                            "sleep", lineage->sleep, "unconfirmed", lineage->is_unconfirmed);
    if (lineage->base) {
        json_object_set_new(out, "base", json_string(lineage->base->id));
        json_object_set_new(out, "base_bytes", json_integer((json_int_t)lineage->base->bytes));
    }
    return out;
}

void lineage_read(struct sandbox *self, const json_t *doc)
{
    struct lineage *lineage = &self->lineage;
    const char *base = json_get_string(doc, "base", NULL);
    chain_read(&lineage->chain, json_object_get(doc, "chain"));
    snprintf(lineage->parent, sizeof lineage->parent, "%s", json_get_string(doc, "parent", ""));
    snprintf(lineage->checkpoint, sizeof lineage->checkpoint, "%s", json_get_string(doc, "checkpoint", ""));
    snprintf(lineage->sleep, sizeof lineage->sleep, "%s", json_get_string(doc, "sleep", ""));
    lineage->is_unconfirmed = json_get_bool(doc, "unconfirmed", false);
    if (base && id_is_valid(base))
        lineage->base = ram_base_get(self->farm, base, json_get_int(doc, "base_bytes", 0));
}

/* "overlay" is 1, "overlay-N" is N, everything else 0. */
static int overlay_number(const char *name)
{
    int n = 0;
    if (strcmp(name, GUEST_FILE_OVERLAY) == 0)
        return 1;
    return sscanf(name, GUEST_NODE_OVERLAY "-%d.qcow2", &n) == 1 ? n : 0;
}

/* Files of numbers below the one that is written now are frozen and nobody wrote that down; those above
 * were never used. */
static void settle_overlays(struct sandbox *self)
{
    struct dirent **entries = NULL;
    struct error err = { 0 };
    char current[64];
    snprintf(current, sizeof current, "%s.qcow2", guest_disk_node(self->guest));
    int now = overlay_number(current);
    int n = now ? scandir(self->dir, &entries, NULL, versionsort) : 0;
    for (int i = 0; i < n; i++) {
        int number = overlay_number(entries[i]->d_name);
        auto_free char *path = number ? fs_join(self->dir, entries[i]->d_name) : NULL;
        if (path && number < now && checkpoint_freeze(self, path, &err) < 0)
            log_warn("%s: %s", self->id, err.message);
        else if (path && number > now)
            unlink(path);
        free(entries[i]);
    }
    free(entries);
}

void lineage_adopt(struct sandbox *self)
{
    settle_overlays(self);
    if (self->lineage.base && self->lineage.base->fd < 0)
        self->lineage.base->fd = fcntl(guest_ram_fd(self->guest), F_DUPFD_CLOEXEC, 0);
}
