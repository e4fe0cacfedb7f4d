/* One object per restore, cut off when the guest is freed and gone with the last answer.
 *
 * That the devices are loaded is seen by the RESUME event: QEMU starts the guest by itself, because
 * it ran when it was saved. A QEMU that cannot load them ends, and its words say why. */
#include "hypervisor/restore.h"

#include "base/clock.h"
#include "hypervisor/guest-args.h"
#include "hypervisor/guest-private.h"
#include "hypervisor/qmp-batch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define STATE_NAME "state"
#define LIMIT_US 20000000

struct restore {
    int refs;            /* the guest's, and one for each answer to come */
    struct guest *guest; /* NULL once this has ended or the guest was freed */
    struct ram_layer *layer;
    struct ram_view view;
    guest_restore_fn done;
    void *data;
    struct timer *limit;
    struct error err, inject_err;
    struct guest_restore_times times;
    int64_t begin_us, load_us;
    bool is_attaching, is_injecting, is_loading;
};

static void unref(struct restore *self)
{
    if (--self->refs > 0)
        return;
    ram_layer_unref(self->layer);
    ram_view_close(&self->view);
    timer_free(self->limit);
    free(self);
}

void restore_cut_off(struct restore *self)
{
    self->guest->restore = NULL;
    self->guest = NULL;
    timer_stop(self->limit);
    unref(self);
}

static void finish(struct restore *self, const struct error *err)
{
    if (!self->guest)
        return;
    if (err && !self->err.is_set)
        self->err = *err;
    if (self->err.is_set)
        error_wrap(&self->err, "restoring the guest");
    else
        self->guest->is_waiting = false;
    self->refs++;
    restore_cut_off(self);
    self->done(self->data, &self->times, self->err.is_set ? &self->err : NULL);
    unref(self);
}

void restore_handle_resume(struct restore *self)
{
    if (!self->is_loading)
        return;
    self->times.load = clock_now_us() - self->load_us;
    finish(self, NULL);
}

void restore_handle_end(struct restore *self, const struct error *err)
{
    finish(self, err);
}

/* --- Devices ------------------------------------------------------------------------------------ */

static void handle_late(void *data)
{
    struct restore *self = data;
    struct error err;
    error_set(&err, ERROR_TIMEOUT, "%s took longer than %d s",
              self->is_attaching   ? "opening its disk"
              : self->is_injecting ? "writing its memory"
                                   : "loading its devices", LIMIT_US / 1000000);
    finish(self, &err);
}

static void handle_loading(void *data, json_t *result maybe_unused, const struct error *err)
{
    struct restore *self = data;
    if (err)
        finish(self, err);
    unref(self);
}

/* Once disk and RAM are there. */
static void load(struct restore *self)
{
    struct qmp *qmp = self->guest ? guest_qmp(self->guest) : NULL;
    struct error gone;
    error_set(&gone, ERROR_GUEST_GONE, "the connection to QEMU ended");
    if (self->is_attaching || self->is_injecting)
        return;
    if (self->err.is_set || !qmp) {
        finish(self, &gone);
        return;
    }
    self->load_us = clock_now_us();
    self->is_loading = true;
    self->refs++;
    qmp_execute(qmp, "migrate-incoming", json_pack("{ss}", "uri", "fd:" STATE_NAME), handle_loading, self);
}

/* --- RAM ---------------------------------------------------------------------------------------- */

static void work_inject(void *data)
{
    struct restore *self = data;
    self->inject_err.is_set = false;
    ram_layer_inject(self->layer, &self->view, &self->inject_err);
}

static void handle_injected(void *data)
{
    struct restore *self = data;
    self->is_injecting = false;
    self->times.inject = clock_now_us() - self->begin_us;
    if (self->inject_err.is_set && !self->err.is_set)
        self->err = self->inject_err;
    load(self);
    unref(self);
}

static int begin_inject(struct restore *self, struct error *err)
{
    if (!self->layer || ram_layer_pages(self->layer) == 0)
        return 0;
    int r = ram_view_open(&self->view, guest_pid(self->guest), self->guest->beside, err);
    if (r < 0)
        return r;
    /* A pool that goes away answers without having worked. */
    error_set(&self->inject_err, ERROR_CANCELLED, "the pages were not written");
    if (worker_submit(self->guest->host->pool, WORK_BULK, work_inject, handle_injected, self) < 0)
        return error_errno(err, ENOMEM, "writing the guest's pages");
    self->refs++;
    self->is_injecting = true;
    return 0;
}

/* --- Disk --------------------------------------------------------------------------------------- */

static void handle_attached(void *data, const struct error *err)
{
    struct restore *self = data;
    self->is_attaching = false;
    self->times.attach = clock_now_us() - self->begin_us;
    if (err && !self->err.is_set)
        self->err = *err;
    load(self);
    unref(self);
}

/* Frozen layers are opened without locks: the QEMU that wrote one keeps its descriptor for writing, and
 * with that the lock, until it ends. */
static json_t *node_args(const char *node, const char *backing, int fdset, bool is_writable)
{
    char path[32], file[40];
    snprintf(path, sizeof path, "/dev/fdset/%d", fdset);
    snprintf(file, sizeof file, "%s-file", node);
    return json_pack("{ss ss ss sb sb s{ss ss ss sb sb ss ss} ss}", "driver", "qcow2", "node-name", node,
                     "backing", backing, "read-only", !is_writable, "auto-read-only", 0, "file", "driver",
                     "file", "node-name", file, "filename", path, "read-only", !is_writable,
                     "auto-read-only", 0, "locking", is_writable ? "auto" : "off", "discard", "unmap", "discard",
                     "unmap");
}

/* Opens the layers that the origin lacks, then the guest's own overlay, and gives it to the device. */
static void add_disk(struct restore *self, struct qmp_batch *batch, int *fds, size_t n)
{
    struct guest *guest = self->guest;
    char below[32], node[32];
    snprintf(below, sizeof below, "%s", guest->node);
    for (size_t i = 0; i < n; i++) {
        int set = GUEST_FDSET_RESTORED + (int)i;
        snprintf(node, sizeof node, GUEST_NODE_FORK, (int)i + 1);
        qmp_batch_add_fd(batch, "add-fd", json_pack("{si}", "fdset-id", set), steal_fd(&fds[i]));
        qmp_batch_add(batch, "blockdev-add", node_args(node, below, set, false));
        snprintf(below, sizeof below, "%s", node);
    }
    qmp_batch_add(batch, "blockdev-add",
                  node_args(GUEST_NODE_OVERLAY, below, GUEST_FDSET_OVERLAY, true));
    qmp_batch_add(batch, "qom-set",
                  json_pack("{ss ss ss}", "path", "/machine/peripheral/" GUEST_DEVICE_DISK, "property",
                            "drive", "value", GUEST_NODE_OVERLAY));
    qmp_batch_add(batch, "blockdev-del", json_pack("{ss}", "node-name", GUEST_NODE_PLACEHOLDER));
    snprintf(guest->node, sizeof guest->node, "%s", GUEST_NODE_OVERLAY);
    guest->n_low = (int)n;
}

static int open_layers(const struct guest_restore_params *params, int *fds, struct error *err)
{
    for (size_t i = 0; i < params->n_layers; i++) {
        fds[i] = open(params->layers[i], O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fds[i] < 0)
            return error_errno(err, errno, "opening %s", params->layers[i]);
    }
    return 0;
}

/* A descriptor of its own: several guests read the same state at once. */
static int open_state(int fd, struct error *err)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int own = open(path, O_RDONLY | O_CLOEXEC);
    return own < 0 ? error_errno(err, errno, "opening the device state") : own;
}

static int begin(struct restore *self, const struct guest_restore_params *params, struct error *err)
{
    int fds[GUEST_LAYERS_MAX];
    if (params->n_layers > GUEST_LAYERS_MAX)
        return error_set(err, ERROR_UNSUPPORTED, "a chain of more than %d disk layers", GUEST_LAYERS_MAX);
    for (size_t i = 0; i < GUEST_LAYERS_MAX; i++)
        fds[i] = -1;
    auto_fd int state = open_state(params->state_fd, err);
    int r = state < 0 ? state : open_layers(params, fds, err);
    struct qmp_batch *batch = r < 0 ? NULL : qmp_batch_begin(self->guest->qmp, handle_attached, self);
    if (batch) {
        self->is_attaching = true;
        self->refs++;
        qmp_batch_add_fd(batch, "getfd", json_pack("{ss}", "fdname", STATE_NAME), steal_fd(&state));
        if (*self->guest->node)
            add_disk(self, batch, fds, params->n_layers);
        qmp_batch_end(batch);
    }
    for (size_t i = 0; i < params->n_layers; i++)
        util_close_ptr(&fds[i]);
    return batch ? 0 : r < 0 ? r : error_errno(err, ENOMEM, "restoring the guest");
}

int guest_restore(struct guest *guest, const struct guest_restore_params *params, guest_restore_fn done,
                  void *data, struct error *err)
{
    if (!guest->qmp || !qmp_is_ready(guest->qmp) || !guest->was_ready)
        return error_set(err, ERROR_NOT_READY, "restoring the guest: its control connection is not up");
    if (!guest->is_waiting || guest->restore)
        return error_set(err, ERROR_CONFLICT, "restoring the guest: it does not wait for a state");
    struct restore *self = calloc(1, sizeof *self);
    if (self)
        self->limit = timer_new(guest->host->loop, handle_late, self);
    if (!self || !self->limit) {
        free(self);
        return error_errno(err, ENOMEM, "restoring the guest");
    }
    self->refs = 1;
    self->guest = guest;
    guest->restore = self;
    self->layer = ram_layer_ref(params->layer);
    self->view = (struct ram_view)RAM_VIEW_INIT;
    self->done = done;
    self->data = data;
    self->begin_us = clock_now_us();
    int r = begin_inject(self, err);
    if (r == 0)
        r = begin(self, params, err);
    if (r < 0) {
        error_wrap(err, "restoring the guest");
        restore_cut_off(self);
        return r;
    }
    timer_start(self->limit, LIMIT_US);
    return 0;
}
