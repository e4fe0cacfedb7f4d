/* Hibernation: a sandbox goes to disk whole and leaves no process and no memory, and comes back.
 *
 *   RUNNING, PAUSED --hibernate--> HIBERNATING   the guest stands still; devices, pages and, of one
 *                                  that was powered on, all RAM are written to a hidden checkpoint
 *   HIBERNATING --written--> HIBERNATED          the journal says so, then QEMU is killed
 *   HIBERNATED --wake--> WAKING                  a QEMU is started and restored, as for a fork
 *   WAKING --restored--> RUNNING                 the hidden checkpoint is deleted
 *
 * The journal's HIBERNATED is the point of no return. A daemon that dies before it finds the guest
 * standing still and lets it go on; one that dies after it kills what is left of the guest. Its disk is
 * then a layer under its last name and a name in layers/: the link is made before, the old name goes
 * with the directory. A wake that fails, for want of a file or of quota, leaves it hibernating. */
#define LOG_MODULE "hibernate"
#include "base/fs.h"
#include "base/log.h"
#include "farm/create.h"
#include "farm/farm.h"
#include "farm/quota.h"
#include "farm/recording.h"
#include "farm/sandbox-impl.h"
#include "farm/sweep.h"
#include "hypervisor/save.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

struct waker {
    struct list link; /* of the sandbox; of nobody while it is being told */
    waker_fn done;
    void *data;
};

/* --- Who waits ---------------------------------------------------------------------------------- */

static void tell(struct sandbox *self, const struct error *err)
{
    struct list told = LIST_INIT(told);
    while (!list_empty(&self->wakers)) {
        struct waker *waker = list_first(&self->wakers, struct waker, link);
        list_remove(&waker->link);
        list_append(&told, &waker->link);
    }
    while (!list_empty(&told)) {
        struct waker *waker = list_first(&told, struct waker, link);
        waker_fn done = waker->done;
        void *data = waker->data;
        waker_cancel(waker);
        done(data, err);
    }
}

struct waker *waker_add(struct sandbox *sandbox, waker_fn done, void *data)
{
    struct waker *self = calloc(1, sizeof *self);
    if (!self)
        return NULL;
    *self = (struct waker){ .done = done, .data = data };
    list_append(&sandbox->wakers, &self->link);
    return self;
}

struct waker *waker_cancel(struct waker *self)
{
    if (self) {
        list_remove(&self->link);
        free(self);
    }
    return NULL;
}

int waker_new(struct waker **ret, struct sandbox *sandbox, waker_fn done, void *data, struct error *err)
{
    if (sandbox->state != SANDBOX_HIBERNATING && sandbox->state != SANDBOX_HIBERNATED &&
        sandbox->state != SANDBOX_WAKING)
        return 1;
    struct waker *self = waker_add(sandbox, done, data);
    if (!self)
        return error_errno(err, ENOMEM, "waking sandbox %s", sandbox->id);
    int r = sandbox_wake(sandbox, err);
    if (r < 0)
        waker_cancel(self);
    else
        *ret = self;
    return r;
}

/* --- Going to sleep ----------------------------------------------------------------------------- */

/* The guest goes on as it did before. */
static void stay(struct sandbox *self, const char *reason, const struct error *err)
{
    struct qmp *qmp = self->guest ? guest_qmp(self->guest) : NULL;
    self->asleep = checkpoint_unref(self->asleep);
    sweep_request(self->farm); /* what was written, and the link */
    if (self->state != SANDBOX_HIBERNATING)
        return;
    if (err)
        log_warn("%s: hibernating: %s", self->id, err->message);
    if (!self->sleeps_paused && qmp && guest_get_state(self->guest) == GUEST_PAUSED)
        qmp_execute(qmp, "cont", NULL, NULL, NULL);
    sandbox_set_state(self, self->sleeps_paused ? SANDBOX_PAUSED : SANDBOX_RUNNING, reason,
                      err ? err->message : "");
    if (!self->sleeps_paused) {
        inside_set_paused(self, false);
        desktop_lift_keys(self, NULL);
    }
    farm_store(self->farm, self, NULL);
    tell(self, NULL);
}

/* The memory that nobody else shares. */
static void drop_memory(struct sandbox *self)
{
    self->lineage.base = ram_base_unref(self->lineage.base);
    checkpoint_forget(self->asleep);
    self->asleep = checkpoint_unref(self->asleep);
}

static void fall_asleep(struct sandbox *self)
{
    struct error why, err = { 0 };
    struct checkpoint *checkpoint = self->asleep;
    struct chain before = self->lineage.chain;
    self->lineage.chain = checkpoint->chain;
    snprintf(self->lineage.sleep, ID_MAX, "%s", checkpoint->id);
    sandbox_set_state(self, SANDBOX_HIBERNATED, "Hibernated", "");
    recording_event(self, "hibernated", NULL);
    if (farm_store(self->farm, self, &err) < 0) {
        self->lineage.chain = before;
        *self->lineage.sleep = 0;
        self->state = SANDBOX_HIBERNATING;
        checkpoint_delete(checkpoint);
        stay(self, "HibernateFailed", &err);
        return;
    }
    error_set(&why, ERROR_CONFLICT, "sandbox %s hibernates", self->id);
    if (lineage_part(self, &why, &err) < 0)
        log_warn("%s: %s", self->id, err.message);
    drop_memory(self);
    if (!list_empty(&self->wakers) || self->idle.n_uses > 0)
        sandbox_wake(self, NULL);
}

static void handle_stored(void *data, const struct error *err)
{
    struct sandbox *self = data;
    farm_stock(self->farm)->n_busy--;
    if (self->state == SANDBOX_HIBERNATING && !err && self->guest) {
        fall_asleep(self);
    } else {
        if (self->asleep && !err)
            checkpoint_delete(self->asleep);
        stay(self, "HibernateFailed", err);
    }
    sandbox_unref(self);
}

/* The guest stands still, its overlay is complete on disk: QEMU writes back what it holds of a disk when
 * it stops. */
static int take(struct sandbox *self, struct guest_saved *saved, struct error *err)
{
    char layer[ID_MAX] = "";
    int r = self->charge.disk_mib ? checkpoint_link_overlay(self, layer, err) : 0;
    if (r == 0 && !guest_is_restored(self->guest)) {
        saved->ram_fd = fcntl(guest_ram_fd(self->guest), F_DUPFD_CLOEXEC, 0);
        r = saved->ram_fd < 0 ? error_errno(err, errno, "keeping the guest's RAM") : 0;
    }
    if (r < 0)
        return r;
    self->asleep = checkpoint_take(self, saved, err);
    if (!self->asleep)
        return -EIO;
    self->asleep->is_hidden = true;
    return *layer ? chain_add(&self->asleep->chain, layer) : 0;
}

static void handle_saved(void *data, struct guest_saved *saved, const struct error *save_err)
{
    struct sandbox *self = data;
    struct error err = save_err ? *save_err : (struct error){ 0 };
    desktop_send_held(self);
    if (!save_err && self->state == SANDBOX_HIBERNATING && take(self, saved, &err) == 0) {
        farm_stock(self->farm)->n_busy++;
        sandbox_ref(self);
        checkpoint_store(self->asleep, handle_stored, self);
        return;
    }
    stay(self, "HibernateFailed", &err);
}

static int begin(struct sandbox *self, struct error *err)
{
    static const struct guest_save_params params = { .is_last = true };
    struct error why;
    int r = guest_save(self->guest, &params, handle_saved, self, err);
    if (r < 0)
        return r;
    self->sleeps_paused = self->state == SANDBOX_PAUSED;
    error_set(&why, ERROR_CONFLICT, "sandbox %s was hibernated", self->id);
    sandbox_set_state(self, SANDBOX_HIBERNATING, "", "");
    sandbox_fail_ops(self, &why);
    inside_set_paused(self, true);
    return farm_store(self->farm, self, NULL), 0;
}

int sandbox_hibernate(struct sandbox *self, struct error *err)
{
    if (self->state == SANDBOX_HIBERNATING || self->state == SANDBOX_HIBERNATED)
        return 0;
    if (self->state != SANDBOX_RUNNING && self->state != SANDBOX_PAUSED) {
        bool is_gone = self->state == SANDBOX_STOPPING || self->state == SANDBOX_TERMINATED ||
                       self->state == SANDBOX_FAILED;
        return error_set(err, is_gone ? ERROR_GUEST_GONE : ERROR_CONFLICT, "hibernating sandbox %s: it is %s",
                         self->id, sandbox_state_name(self->state));
    }
    if (!self->guest)
        return error_set(err, ERROR_GUEST_GONE, "hibernating sandbox %s: it has no guest", self->id);
    if (self->lineage.chain.n == GUEST_LAYERS_MAX)
        return error_set(err, ERROR_BUSY, "hibernating sandbox %s: its disk layers are being merged", self->id);
    int r = farm_check_memory(self->farm, err);
    if (r == 0)
        r = farm_check_ready(self->farm, err);
    if (r == 0)
        r = begin(self, err);
    if (r < 0)
        error_wrap(err, "hibernating sandbox %s", self->id);
    return r;
}

/* --- Waking up ---------------------------------------------------------------------------------- */

static void handle_restored(void *data maybe_unused, struct sandbox *self, const struct error *err)
{
    if (err)
        return; /* hibernate_handle_failed has seen it */
    recording_event(self, "woken", NULL);
    struct checkpoint *slept_in = checkpoint_find_hidden(self->farm, self->lineage.sleep);
    *self->lineage.sleep = 0;
    /* In this order: a sandbox may not name what is gone. */
    if (farm_store(self->farm, self, NULL) == 0 && slept_in)
        checkpoint_delete(slept_in);
}

static int start(struct sandbox *self, struct error *err)
{
    struct checkpoint *checkpoint = checkpoint_find_hidden(self->farm, self->lineage.sleep);
    if (!checkpoint)
        return error_set(err, ERROR_INTERNAL, "what sandbox %s hibernates in is gone", self->id);
    int r = quota_check_wake(self->farm, self, err);
    if (r == 0 && jail_needs_uid() && !(self->uid = farm_take_uid(self->farm)))
        r = error_set(err, ERROR_QUOTA, "no uid is left for another jail");
    if (r == 0)
        r = fs_mkdirs(self->dir, 0700, err);
    if (r < 0)
        return r;
    sandbox_set_state(self, SANDBOX_WAKING, "Waking", "");
    lineage_start(self, checkpoint, handle_restored, self);
    return 0;
}

int sandbox_wake(struct sandbox *self, struct error *err)
{
    struct error local;
    err = err ? err : &local;
    if (self->state == SANDBOX_HIBERNATING || self->state == SANDBOX_WAKING)
        return 0; /* who waits is told when it is awake; fall_asleep looks */
    if (self->state == SANDBOX_RUNNING)
        return 0;
    if (self->state != SANDBOX_HIBERNATED)
        return error_set(err, ERROR_CONFLICT, "waking sandbox %s: it is %s", self->id,
                         sandbox_state_name(self->state));
    int r = start(self, err);
    if (r < 0) {
        error_wrap(err, "waking sandbox %s", self->id);
        log_warn("%s", err->message);
    }
    return r;
}

void hibernate_handle_awake(struct sandbox *self)
{
    tell(self, NULL);
}

bool hibernate_handle_failed(struct sandbox *self, const struct error *err)
{
    struct error part_err;
    if (!*self->lineage.sleep || (self->state != SANDBOX_WAKING && self->state != SANDBOX_PENDING))
        return false;
    self->lineage.base = ram_base_unref(self->lineage.base);
    sandbox_set_state(self, SANDBOX_HIBERNATED, "WakeFailed", err->message);
    if (lineage_part(self, err, &part_err) < 0)
        log_warn("%s: %s", self->id, part_err.message);
    self->uid = 0;
    farm_store(self->farm, self, NULL);
    tell(self, err);
    return true;
}

void hibernate_handle_end(struct sandbox *self)
{
    struct error err;
    error_set(&err, ERROR_GUEST_GONE, "the guest of sandbox %s ended", self->id);
    if (self->state != SANDBOX_WAKING)
        tell(self, &err);
}

/* --- Journal and end ---------------------------------------------------------------------------- */

void hibernate_deinit(struct sandbox *self)
{
    self->asleep = checkpoint_unref(self->asleep);
    while (!list_empty(&self->wakers))
        waker_cancel(list_first(&self->wakers, struct waker, link));
}

int hibernate_adopt(struct sandbox *self, enum sandbox_state before)
{
    if (!*self->lineage.sleep || before == SANDBOX_STOPPING)
        return 0;
    struct error err = { 0 };
    guest_end_orphan(self->dir);
    if (lineage_part(self, &err, &err) < 0) /* the daemon may have died before it did */
        log_warn("%s: %s", self->id, err.message);
    self->lineage.base = ram_base_unref(self->lineage.base);
    sandbox_set_state(self, SANDBOX_HIBERNATED, "Hibernated", "");
    return 1;
}

void hibernate_forget(struct sandbox *self, const struct error *err)
{
    struct checkpoint *slept_in = checkpoint_find_hidden(self->farm, self->lineage.sleep);
    if (slept_in)
        checkpoint_delete(slept_in);
    *self->lineage.sleep = 0;
    tell(self, err);
}
