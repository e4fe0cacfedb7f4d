/* One object per save, which outlives the guest while its worker runs: guest_free only cuts it off.
 *
 * All commands of a phase go out at once; QEMU runs them in order. A failure is looked at when all
 * have answered, so the disk may be frozen although the devices could not be saved. */
#include "hypervisor/save.h"

#include "base/clock.h"
#include "base/id.h"
#include "hypervisor/disk.h"
#include "hypervisor/guest-args.h"
#include "hypervisor/guest-private.h"
#include "hypervisor/qmp-batch.h"
#include "hypervisor/rebase.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define FDSET_STATE 90
#define REBASE_DEPTH 16

struct save {
    struct guest *guest; /* NULL once it was freed */
    struct guest_save_params params;
    char *overlay; /* path of the new one; NULL: the disk is not frozen */
    char node[32]; /* its node */
    guest_save_fn done;
    void *data;
    struct guest_saved saved;
    struct ram_view view;
    int layers[GUEST_LAYERS_MAX]; /* the disk is to stand on these from now on; n_layers 0: stays */
    size_t n_layers;
    int ram_fd; /* of a guest with shared RAM */
    int writer_fd; /* of the device state, until QEMU has it */
    char name[ID_MAX];
    bool was_running, is_working;
    bool has_overlay; /* QEMU was told to open it */
    struct error err;
    int64_t begin_us, stop_us;
};

void guest_saved_deinit(struct guest_saved *self)
{
    util_close_ptr(&self->state_fd);
    util_close_ptr(&self->ram_fd);
    ram_layer_unref(self->layer);
    free(self->frozen);
    *self = (struct guest_saved)GUEST_SAVED_INIT;
}

static void destroy(struct save *self)
{
    guest_saved_deinit(&self->saved);
    ram_view_close(&self->view);
    for (size_t i = 0; i < self->n_layers; i++)
        util_close_ptr(&self->layers[i]);
    util_close_ptr(&self->ram_fd);
    util_close_ptr(&self->writer_fd);
    free(self->overlay);
    free(self);
}

static void fail(struct save *self, const struct error *err)
{
    if (err && !self->err.is_set)
        self->err = *err;
}

static void finish(struct save *self)
{
    self->is_working = false;
    if (self->overlay && !self->saved.frozen)
        unlink(self->overlay);
    if (!self->guest) {
        destroy(self);
        return;
    }
    self->guest->save = NULL;
    self->saved.times.pause = clock_now_us() - self->stop_us;
    if (self->err.is_set)
        error_wrap(&self->err, "saving the guest");
    self->done(self->data, &self->saved, self->err.is_set ? &self->err : NULL);
    destroy(self);
}

void save_cut_off(struct save *self)
{
    self->guest = NULL;
    if (!self->is_working)
        destroy(self);
}

/* --- After -------------------------------------------------------------------------------------- */

static void handle_continued(void *data, const struct error *err)
{
    struct save *self = data;
    fail(self, err);
    finish(self);
}

static void go_on(struct save *self)
{
    struct qmp *qmp = self->guest ? guest_qmp(self->guest) : NULL;
    bool must_run = self->was_running && (!self->params.is_last || self->err.is_set);
    struct qmp_batch *batch = qmp ? qmp_batch_begin(qmp, handle_continued, self) : NULL;
    if (!batch) {
        finish(self);
        return;
    }
    if (must_run)
        qmp_batch_add(batch, "cont", NULL);
    qmp_batch_add(batch, "remove-fd", json_pack("{si}", "fdset-id", FDSET_STATE));
    qmp_batch_end(batch);
    if (self->has_overlay && !self->saved.frozen)
        qmp_execute(qmp, "blockdev-del", json_pack("{ss}", "node-name", self->node), NULL, NULL);
}

/* --- In the pause ------------------------------------------------------------------------------- */

static void work_copy(void *data)
{
    struct save *self = data;
    int64_t begin_us = clock_now_us();
    int r = self->view.mem_fd >= 0 ? ram_layer_capture(&self->saved.layer, &self->view, &self->err) : 0;
    if (r == 0 && self->ram_fd >= 0 && !self->params.is_last)
        self->saved.ram_fd = ram_copy(self->ram_fd, self->name, &self->err);
    self->saved.times.copy = clock_now_us() - begin_us;
}

static void handle_copied(void *data)
{
    go_on(data);
}

static int seal_state(struct save *self)
{
    struct stat st;
    if (fstat(self->saved.state_fd, &st) < 0 || st.st_size == 0 || st.st_size > SAVE_STATE_MAX)
        return error_set(&self->err, ERROR_GUEST_FAILED, "QEMU wrote no device state, or too much");
    return ram_seal(self->saved.state_fd, &self->err);
}

static void handle_frozen(void *data, json_t *result maybe_unused, const struct error *err)
{
    struct save *self = data;
    fail(self, err);
    if (err || !self->guest)
        return;
    if (asprintf(&self->saved.frozen, "%s/%s.qcow2", self->guest->dir, self->guest->node) < 0)
        error_errno(&self->err, ENOMEM, "freezing the disk");
    snprintf(self->guest->node, sizeof self->guest->node, "%s", self->node);
}

static void handle_devices(void *data, const struct error *err)
{
    struct save *self = data;
    self->saved.times.devices = clock_now_us() - self->stop_us;
    fail(self, err);
    bool is_good = self->guest && !self->err.is_set && seal_state(self) == 0;
    if (is_good && worker_submit(self->guest->host->pool, WORK_BULK, work_copy, handle_copied, self) == 0)
        return;
    if (is_good)
        error_errno(&self->err, ENOMEM, "copying the guest's pages");
    go_on(self);
}

/* QEMU wants a descriptor that can only be written. */
static int open_for_write(int fd)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return open(path, O_WRONLY | O_CLOEXEC);
}

static void stop_and_save(struct save *self)
{
    struct qmp *qmp = self->guest ? guest_qmp(self->guest) : NULL;
    struct qmp_batch *batch = qmp ? qmp_batch_begin(qmp, handle_devices, self) : NULL;
    self->stop_us = clock_now_us();
    self->saved.times.prepare = self->stop_us - self->begin_us;
    if (!batch) {
        error_set(&self->err, ERROR_GUEST_GONE, "the connection to QEMU ended");
        finish(self);
        return;
    }
    char path[32];
    snprintf(path, sizeof path, "/dev/fdset/%d", FDSET_STATE);
    self->was_running = guest_get_state(self->guest) == GUEST_RUNNING;
    qmp_batch_add(batch, "stop", NULL);
    if (self->overlay)
        qmp_execute(qmp, "blockdev-snapshot",
                    json_pack("{ss ss}", "node", self->guest->node, "overlay", self->node), handle_frozen,
                    self);
    /* Not "live": the guest may go on, its disks stay its own. */
    qmp_batch_add(batch, "xen-save-devices-state", json_pack("{ss sb}", "filename", path, "live", 0));
    qmp_batch_end(batch);
}

/* --- Before ------------------------------------------------------------------------------------- */

static void handle_prepared(void *data, const struct error *err)
{
    struct save *self = data;
    fail(self, err);
    if (!self->err.is_set && self->guest) {
        stop_and_save(self);
        return;
    }
    self->stop_us = clock_now_us();
    go_on(self);
}

static int open_overlay(struct save *self, int fds[2], struct error *err)
{
    static const int modes[] = { O_RDWR, O_RDONLY };
    for (int i = 0; i < 2; i++) {
        fds[i] = open(self->overlay, modes[i] | O_CLOEXEC | O_NOFOLLOW);
        if (fds[i] < 0)
            return error_errno(err, errno, "opening %s", self->overlay);
    }
    return 0;
}

/* The overlay gets two descriptors: a later save reopens it read-only. */
static void add_overlay(struct save *self, struct qmp_batch *batch, int fds[2])
{
    char path[32], file[40];
    int set = GUEST_FDSET_SAVED + self->guest->n_overlays;
    self->has_overlay = true;
    snprintf(path, sizeof path, "/dev/fdset/%d", set);
    snprintf(file, sizeof file, "%s-file", self->node);
    for (int i = 0; i < 2; i++)
        qmp_batch_add_fd(batch, "add-fd", json_pack("{si}", "fdset-id", set), steal_fd(&fds[i]));
    qmp_batch_add(batch, "blockdev-add",
                  json_pack("{ss ss s{ss ss ss ss} sn ss}", "driver", "qcow2", "node-name", self->node,
                            "file", "driver", "file", "node-name", file, "filename", path, "discard",
                            "unmap", "backing", "discard", "unmap"));
}

static int prepare(struct save *self, struct error *err)
{
    int fds[2] = { -1, -1 };
    int r = self->overlay ? open_overlay(self, fds, err) : 0;
    struct qmp *qmp = r == 0 && self->guest ? guest_qmp(self->guest) : NULL;
    struct qmp_batch *batch = qmp ? qmp_batch_begin(qmp, handle_prepared, self) : NULL;
    if (batch) {
        qmp_batch_add_fd(batch, "add-fd", json_pack("{si}", "fdset-id", FDSET_STATE),
                         steal_fd(&self->writer_fd));
        if (self->n_layers > 0)
            rebase_add(self->guest, batch, self->params.n_origin, self->layers, self->n_layers);
        if (self->overlay)
            add_overlay(self, batch, fds);
        qmp_batch_end(batch);
    } else if (r == 0) {
        r = error_set(err, ERROR_GUEST_GONE, "the connection to QEMU ended");
    }
    util_close_ptr(&fds[0]);
    util_close_ptr(&fds[1]);
    return r;
}

static void handle_overlay(void *data, const struct error *err)
{
    struct save *self = data;
    fail(self, err);
    if (self->err.is_set || !self->guest || prepare(self, &self->err) < 0) {
        self->stop_us = clock_now_us();
        finish(self);
    }
}

static int begin(struct save *self, struct error *err)
{
    self->saved.state_fd = memfd_create("deskfarm-state", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    self->writer_fd = self->saved.state_fd < 0 ? -1 : open_for_write(self->saved.state_fd);
    if (self->writer_fd < 0 || fchmod(self->saved.state_fd, 0400) < 0)
        return error_errno(err, errno, "making room for the device state");
    self->is_working = true;
    self->guest->n_overlays += self->overlay != NULL;
    return self->overlay ? disk_create_overlay(self->guest->host->pool, self->overlay,
                                               self->params.disk_bytes, handle_overlay, self, err)
                         : prepare(self, err);
}

bool guest_wants_layers(const struct guest *guest)
{
    return rebase_depth(guest) >= REBASE_DEPTH;
}

static int open_layers(struct save *self, struct error *err)
{
    const struct guest_save_params *params = &self->params;
    for (size_t i = 0; self->overlay && i < MIN(params->n_layers, (size_t)GUEST_LAYERS_MAX); i++) {
        self->layers[i] = open(params->layers[i], O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (self->layers[i] < 0)
            return error_errno(err, errno, "opening %s", params->layers[i]);
        self->n_layers++;
    }
    return 0;
}

static int look_at_ram(struct save *self, struct error *err)
{
    struct guest *guest = self->guest;
    bool has_beside = guest->beside[0] || guest->beside[1];
    int r = guest->is_restored || has_beside ? ram_view_open(&self->view, guest_pid(guest), guest->beside, err) : 0;
    if (r < 0 || guest->is_restored)
        return r;
    self->ram_fd = fcntl(guest->ram_fd, F_DUPFD_CLOEXEC, 0);
    return self->ram_fd < 0 ? error_errno(err, errno, "looking at the guest's RAM") : 0;
}

static int new_save(struct save **ret, struct guest *guest, const struct guest_save_params *params)
{
    struct save *self = calloc(1, sizeof *self);
    if (!self)
        return -ENOMEM;
    self->guest = guest;
    self->params = *params;
    self->saved = (struct guest_saved)GUEST_SAVED_INIT;
    self->view = (struct ram_view)RAM_VIEW_INIT;
    self->ram_fd = self->writer_fd = -1;
    self->begin_us = clock_now_us();
    snprintf(self->name, sizeof self->name, "%s", guest->name);
    snprintf(self->node, sizeof self->node, GUEST_NODE_OVERLAY "-%d", guest->n_overlays + 1);
    if (params->disk_bytes && *guest->node &&
        asprintf(&self->overlay, "%s/%s.qcow2", guest->dir, self->node) < 0) {
        free(self);
        return -ENOMEM;
    }
    *ret = self;
    return 0;
}

int guest_save(struct guest *guest, const struct guest_save_params *params, guest_save_fn done,
               void *data, struct error *err)
{
    struct save *self = NULL;
    if (!guest->qmp || !qmp_is_ready(guest->qmp) || !guest_pid(guest) || !guest->was_ready)
        return error_set(err, ERROR_NOT_READY, "saving the guest: its control connection is not up");
    if (guest->cannot_save)
        return error_set(err, ERROR_UNSUPPORTED, "saving the guest: its disk is an NVMe drive, of which QEMU saves no state");
    if (guest->has_lost_tpm)
        return error_set(err, ERROR_GUEST_FAILED, "saving the guest: its TPM is gone, and with it the state of it");
    if (guest->save || guest->is_waiting)
        return error_set(err, ERROR_BUSY, "saving the guest: it is being saved or restored");
    if (rebase_depth(guest) >= GUEST_OVERLAYS_MAX && params->n_layers == 0)
        return error_set(err, ERROR_BUSY, "saving the guest: its disk was frozen %d times, and those layers are not "
                         "merged yet", GUEST_OVERLAYS_MAX);
    if (new_save(&self, guest, params) < 0)
        return error_errno(err, ENOMEM, "saving the guest");
    self->done = done;
    self->data = data;
    int r = look_at_ram(self, err);
    if (r == 0)
        r = open_layers(self, err);
    if (r == 0)
        r = begin(self, err);
    if (r < 0) {
        error_wrap(err, "saving the guest");
        destroy(self);
        return r;
    }
    guest->save = self;
    return 0;
}
