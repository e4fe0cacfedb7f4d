/* Baking a template: an ordinary sandbox that nobody sees is powered on; when its desktop is up and
 * nothing has changed on its screen for a while it is saved for the last time, ended, and what it
 * leaves behind becomes the template.
 *
 *   BOOTING    until the guest says that its desktop is up, or where an image has no such word, until
 *              its agent answers; at most BOOT_LIMIT_US. Not at all where there is neither
 *   SETTLING   the screen stands still; where nothing else was said, the guest's processors, too
 *   SAVING     processors stopped, devices into memory
 *   ENDING     QEMU closes its disk and lets go of the RAM, which is then sealed
 *   STORING    RAM, devices to disk; the template is listed
 *
 * The first sandbox of its kind waits for its template, and so do those that come meanwhile. A machine
 * whose template could not be baked is powered on from then on, until the daemon starts anew. */
#define LOG_MODULE "bake"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "farm/bake.h"
#include "farm/create.h"
#include "farm/farm.h"
#include "farm/fork.h"
#include "farm/sandbox-impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define LOOK_US 200000
#define BOOT_LIMIT_US 600000000
#define FAILURES_MAX 64 /* machines that are remembered */
/* After a word of the guest the screen stands still soon. Without one, that is all there is to see: it must
 * have changed, and then stand still for as long as the image says, while the guest does not compute: firmware
 * that looks for its devices shows nothing for a while. */
#define TOLD_FIRST_MS 4000
#define TOLD_QUIET_MS 2000
#define TOLD_MAX_MS 30000
#define UNTOLD_FIRST_MS 60000
#define UNTOLD_LIMIT_US 240000000
#define UNTOLD_BUSY 0.5 /* of a processor: one that computes more is not up yet */

struct waiter {
    struct list link; /* of the bake */
    struct sandbox *sandbox;
};

/* A machine that no template could be baked of. */
struct failure {
    struct list link;
    struct checkpoint_machine machine;
};

struct bake {
    struct list link;
    struct list waiters;
    struct farm *farm;
    struct sandbox *sandbox;
    struct timer *timer;
    int64_t begin_us;
    struct op *settle;
    int n_settles;
    int64_t measure_us, busy_us; /* since when it is looked at, and guest_busy_us then */
    bool is_saving;
    int pool_size; /* -1: as the daemon's setting says */
    struct guest *guest; /* ours once it was saved */
    struct guest_saved saved;
    struct checkpoint *checkpoint;
    struct error err;
    fork_fn done;
    void *data;
};

static void waiter_free(struct waiter *self)
{
    list_remove(&self->link);
    sandbox_unref(self->sandbox);
    free(self);
}

static void bake_free(struct bake *self)
{
    list_remove(&self->link);
    timer_free(self->timer);
    if (self->settle)
        op_cancel(self->settle);
    guest_free(self->guest);
    guest_saved_deinit(&self->saved);
    checkpoint_unref(self->checkpoint);
    sandbox_unref(self->sandbox);
    while (!list_empty(&self->waiters))
        waiter_free(list_first(&self->waiters, struct waiter, link));
    free(self);
}

void bake_free_all(struct farm_stock *stock)
{
    while (!list_empty(&stock->bakes))
        bake_free(list_first(&stock->bakes, struct bake, link));
    while (!list_empty(&stock->bake_failures)) {
        struct failure *failure = list_first(&stock->bake_failures, struct failure, link);
        list_remove(&failure->link);
        free(failure);
    }
}

static struct failure *find_failure(struct farm_stock *stock, const struct checkpoint_machine *machine)
{
    struct failure *it;
    list_for_each(it, &stock->bake_failures, link)
        if (checkpoint_machine_serves(&it->machine, machine))
            return it;
    return NULL;
}

/* What will be no other the next time. */
static void remember_failure(struct bake *self)
{
    struct farm_stock *stock = farm_stock(self->farm);
    struct failure *it, *failure;
    struct checkpoint_machine machine;
    int n = 0;
    bool is_lasting = self->err.code == ERROR_TIMEOUT || self->err.code == ERROR_GUEST_FAILED || self->err.code == ERROR_UNSUPPORTED ||
                      self->err.code == ERROR_GUEST_GONE;
    list_for_each(it, &stock->bake_failures, link)
        n++;
    checkpoint_machine_of(self->sandbox, &machine);
    if (!is_lasting || n >= FAILURES_MAX || find_failure(stock, &machine))
        return;
    failure = calloc(1, sizeof *failure);
    if (!failure)
        return;
    failure->machine = machine;
    list_append(&stock->bake_failures, &failure->link);
}

/* Those that wait are started, whichever way. */
static void serve(struct bake *self)
{
    while (!list_empty(&self->waiters)) {
        struct waiter *waiter = list_first(&self->waiters, struct waiter, link);
        create_handle_baked(waiter->sandbox, self->err.is_set ? NULL : self->checkpoint,
                            self->err.is_set ? &self->err : NULL);
        waiter_free(waiter);
    }
}

static void finish(struct bake *self)
{
    auto_json json_t *result = self->checkpoint ? checkpoint_json(self->checkpoint) : NULL;
    sandbox_delete(self->sandbox, NULL, NULL);
    if (self->err.is_set)
        error_wrap(&self->err, "baking a template of %s", self->sandbox->image_name);
    else if (result)
        json_object_set_new(result, "total_ms", json_real((double)(clock_now_us() - self->begin_us) / 1000));
    if (self->err.is_set) {
        log_warn("%s", self->err.message);
        remember_failure(self);
    }
    serve(self);
    if (self->done)
        self->done(self->data, self->err.is_set ? NULL : result, self->err.is_set ? &self->err : NULL);
    bake_free(self);
}

static void handle_stored(void *data, const struct error *err)
{
    struct bake *self = data;
    farm_stock(self->farm)->n_busy--;
    if (err)
        self->err = *err;
    finish(self);
}

static void store(struct bake *self)
{
    self->checkpoint = checkpoint_take(self->sandbox, &self->saved, &self->err);
    if (!self->checkpoint) {
        finish(self);
        return;
    }
    self->checkpoint->is_template = true;
    self->checkpoint->pool_size = self->pool_size;
    self->checkpoint->wants_spares = self->pool_size > 0;
    *self->checkpoint->sandbox = 0;
    *self->checkpoint->owner = 0;
    farm_stock(self->farm)->n_busy++;
    checkpoint_store(self->checkpoint, handle_stored, self);
}

static void handle_ended(void *data, enum guest_end why, const struct error *err)
{
    struct bake *self = data;
    self->saved.ram_fd = fcntl(guest_ram_fd(self->guest), F_DUPFD_CLOEXEC, 0);
    self->guest = guest_free(self->guest);
    if (self->sandbox->charge.disk_mib)
        self->saved.frozen = fs_join(self->sandbox->dir, "overlay.qcow2");
    if (why == GUEST_END_FAILED)
        self->err = *err;
    else
        ram_seal(self->saved.ram_fd, &self->err);
    if (self->err.is_set)
        finish(self);
    else
        store(self);
}

static void handle_saved(void *data, struct guest_saved *saved, const struct error *err)
{
    static const struct guest_ops ops = { .on_ended = handle_ended };
    struct bake *self = data;
    struct error why;
    if (err) {
        self->err = *err;
        finish(self);
        return;
    }
    self->saved = *saved;
    *saved = (struct guest_saved)GUEST_SAVED_INIT;
    error_set(&why, ERROR_CANCELLED, "the template is saved");
    self->guest = sandbox_take_guest(self->sandbox, &why);
    guest_set_ops(self->guest, &ops, self);
    guest_power_off(self->guest, 0);
}

static bool is_told(const struct sandbox *sandbox);

static void measure(struct bake *self)
{
    self->measure_us = clock_now_us();
    self->busy_us = self->sandbox->guest ? guest_busy_us(self->sandbox->guest) : -1;
}

/* Of one that says nothing: it computed while its screen stood still, or that is not known yet. A screen that has stood
 * still long enough already is settled at once, which is too short a while to see a guest compute. */
static bool must_settle_again(struct bake *self)
{
    const struct sandbox *sandbox = self->sandbox;
    int64_t now_us = clock_now_us(), busy_us = sandbox->guest ? guest_busy_us(sandbox->guest) : -1;
    int64_t measured_us = now_us - self->measure_us;
    if (is_told(sandbox) || self->busy_us < 0 || busy_us < 0 || now_us - self->begin_us > UNTOLD_LIMIT_US)
        return false;
    if (measured_us < (int64_t)sandbox->settle_ms * 1000)
        return true;
    if ((double)(busy_us - self->busy_us) <= UNTOLD_BUSY * (double)measured_us)
        return false;
    measure(self);
    return true;
}

static void handle_settled(void *data, struct answer *answer)
{
    static const struct guest_save_params params = { .is_last = true };
    struct bake *self = data;
    self->settle = NULL;
    json_decref(answer->body);
    if (answer->err.is_set)
        self->err = answer->err;
    bytes_unref(answer->image);
    if (!self->err.is_set && must_settle_again(self)) {
        timer_start(self->timer, LOOK_US);
        return;
    }
    self->is_saving = true;
    if (!self->err.is_set && !self->sandbox->guest)
        error_set(&self->err, ERROR_GUEST_GONE, "the guest ended");
    if (self->err.is_set || guest_save(self->sandbox->guest, &params, handle_saved, self, &self->err) < 0)
        finish(self);
}

static bool is_up(const struct sandbox *sandbox)
{
    if (sandbox->state != SANDBOX_RUNNING || !sandbox->guest || !sandbox->console || sandbox->layout.is_due)
        return false;
    if (sandbox->signals_up)
        return guest_is_up(sandbox->guest);
    return sandbox->agent_kind == INSIDE_NONE || (sandbox->agent && agent_is_ready(sandbox->agent));
}

static bool is_told(const struct sandbox *sandbox)
{
    return sandbox->signals_up || sandbox->agent_kind != INSIDE_NONE;
}

/* How long the screen must stand still. */
static json_t *settle_params(const struct bake *self)
{
    const struct sandbox *sandbox = self->sandbox;
    int first_ms = self->n_settles ? sandbox->settle_ms : UNTOLD_FIRST_MS;
    if (is_told(sandbox))
        return json_pack("{sb si si si ss}", "settle", 1, "first_ms", TOLD_FIRST_MS, "quiet_ms", TOLD_QUIET_MS,
                         "max_ms", TOLD_MAX_MS, "format", "jpeg");
    return json_pack("{sb si si si ss}", "settle", 1, "first_ms", first_ms, "quiet_ms", sandbox->settle_ms,
                     "max_ms", UNTOLD_FIRST_MS + 2 * sandbox->settle_ms, "format", "jpeg");
}

static void settle(struct bake *self)
{
    auto_json json_t *params = settle_params(self);
    if (self->n_settles == 0)
        measure(self);
    self->settle = sandbox_screenshot(self->sandbox, params, handle_settled, self, &self->err);
    self->n_settles++;
    if (!self->settle)
        finish(self);
}

static void handle_look(void *data)
{
    struct bake *self = data;
    struct sandbox *sandbox = self->sandbox;
    if (self->checkpoint) { /* there was one already */
        finish(self);
        return;
    }
    if (sandbox->state != SANDBOX_PENDING && sandbox->state != SANDBOX_RUNNING)
        error_set(&self->err, ERROR_GUEST_FAILED, "the guest is %s%s%s", sandbox_state_name(sandbox->state),
                  *sandbox->message ? ": " : "", sandbox->message);
    else if (clock_now_us() - self->begin_us > BOOT_LIMIT_US)
        error_set(&self->err, ERROR_TIMEOUT, "the desktop was not up within %d s", BOOT_LIMIT_US / 1000000);
    if (!self->err.is_set && !is_up(sandbox)) {
        timer_start(self->timer, LOOK_US);
        return;
    }
    if (self->err.is_set)
        finish(self);
    else
        settle(self);
}

/* What a request asks for decides whether there is one already. */
static struct checkpoint *find_existing(struct farm *farm, struct sandbox *sandbox)
{
    struct checkpoint_machine machine;
    checkpoint_machine_of(sandbox, &machine);
    return checkpoint_find_template(farm, &machine);
}

static struct failure *find_failure_of(struct farm *farm, struct sandbox *sandbox)
{
    struct checkpoint_machine machine;
    checkpoint_machine_of(sandbox, &machine);
    return find_failure(farm_stock(farm), &machine);
}

int farm_bake(struct farm *farm, const struct principal *who, const json_t *request, fork_fn done,
              void *data, struct error *err)
{
    auto_json json_t *wish = json_deep_copy(request);
    struct sandbox *sandbox = NULL;
    struct bake *self = calloc(1, sizeof *self);
    if (!self || !wish) {
        free(self);
        return error_errno(err, ENOMEM, "baking a template");
    }
    json_object_set_new(wish, "boot", json_string("cold"));
    int r = farm_create(farm, who, wish, &sandbox, err);
    if (r < 0) {
        free(self);
        return r;
    }
    sandbox->is_hidden = true;
    farm_store(farm, sandbox, NULL);
    struct failure *failure = find_failure_of(farm, sandbox);
    if (failure) { /* whoever asks for it by name tries again */
        list_remove(&failure->link);
        free(failure);
    }
    *self = (struct bake){ .farm = farm, .sandbox = sandbox_ref(sandbox), .begin_us = clock_now_us(),
                           .saved = GUEST_SAVED_INIT, .pool_size = json_is_integer(json_object_get(request, "pool"))
                                            ? (int)json_get_int(request, "pool", 0) : -1,
                           .done = done, .data = data };
    list_init(&self->waiters);
    list_append(&farm_stock(farm)->bakes, &self->link);
    self->timer = timer_new(farm_loop(farm), handle_look, self);
    self->checkpoint = checkpoint_ref(find_existing(farm, sandbox));
    timer_start(self->timer, self->checkpoint ? 0 : LOOK_US);
    return 0;
}

/* --- On first use --------------------------------------------------------------------------------- */

static struct bake *find_bake(struct sandbox *sandbox)
{
    struct checkpoint_machine wanted, machine;
    struct bake *self;
    checkpoint_machine_of(sandbox, &wanted);
    list_for_each(self, &farm_stock(sandbox->farm)->bakes, link) {
        checkpoint_machine_of(self->sandbox, &machine);
        if (checkpoint_machine_serves(&machine, &wanted))
            return self;
    }
    return NULL;
}

/* The request whose machine is the sandbox's. */
static json_t *request_of(const struct sandbox *sandbox)
{
    char cpu[32], memory[32], disk[32];
    snprintf(cpu, sizeof cpu, "%lld", (long long)sandbox->charge.cpus);
    snprintf(memory, sizeof memory, "%lldMi", (long long)sandbox->charge.memory_mib);
    snprintf(disk, sizeof disk, "%lldMi", (long long)sandbox->charge.disk_mib);
    json_t *limits = json_pack("{ss ss}", "cpu", cpu, "memory", memory);
    if (sandbox->charge.disk_mib)
        json_object_set_new(limits, "disk", json_string(disk));
    return json_pack("{s{so} so s{si si} ss}", "image", "uri",
                     json_sprintf("%s-%s", sandbox->image_name, sandbox->image_hash), "resourceLimits", limits,
                     "display", "width", sandbox->width, "height", sandbox->height, "network",
                     machine_network_name(sandbox->network));
}

/* It is everybody's: charged to the host, not to the key that came first. */
int bake_begin(struct sandbox *sandbox, struct error *err)
{
    const struct principal farm = { .role = ROLE_ADMIN };
    if (find_bake(sandbox))
        return 0;
    if (find_failure_of(sandbox->farm, sandbox))
        return error_set(err, ERROR_GUEST_FAILED, "a template of %s could not be baked; see the log",
                         sandbox->image_name);
    auto_json json_t *request = request_of(sandbox);
    return request ? farm_bake(sandbox->farm, &farm, request, NULL, NULL, err)
                   : error_errno(err, ENOMEM, "baking a template");
}

int bake_await(struct sandbox *sandbox)
{
    struct error err;
    int r = bake_begin(sandbox, &err);
    struct bake *bake = r < 0 ? NULL : find_bake(sandbox);
    struct waiter *waiter = bake ? calloc(1, sizeof *waiter) : NULL;
    if (!waiter) {
        log_info("%s: no template: %s", sandbox->id, r < 0 ? err.message : "out of memory");
        return -EAGAIN;
    }
    waiter->sandbox = sandbox_ref(sandbox);
    list_append(&bake->waiters, &waiter->link);
    return 0;
}

void bake_handle_end(struct sandbox *sandbox)
{
    struct bake *self;
    list_for_each(self, &farm_stock(sandbox->farm)->bakes, link) {
        if (self->sandbox != sandbox || !self->is_saving || self->guest || self->checkpoint)
            continue;
        if (!self->err.is_set)
            error_set(&self->err, ERROR_GUEST_GONE, "the guest ended while it was being saved");
        finish(self);
        return;
    }
}
