/* Taking the state of a running guest: RAM, devices and disk in one pause.
 *
 *   before   an overlay is made, overlay-N.qcow2 in the guest's directory, and opened by QEMU
 *   pause    `stop`; devices into a memfd; the old overlay frozen under the new one; private pages
 *            copied out by a worker
 *   after    `cont`, unless the guest was paused before or is to be ended
 *
 * Whatever fails, a guest that ran before runs on afterwards; the new overlay may be in use then
 * (guest_disk_node says it), which harms nothing. */
#pragma once

#include "hypervisor/guest.h"
#include "hypervisor/ram-layer.h"

#define SAVE_STATE_MAX (256 << 20) /* bytes of device state; 8 MiB are usual */

struct guest_save_params {
    int64_t disk_bytes; /* size of the guest's disk; 0: it has none, or it ends now and its overlay is
                         * as good as frozen */
    const char *const *layers; /* what lies below the overlay that it writes now, bottom first, by path: it
                                * stands on these from now on (hypervisor/rebase.h); only for a guest that
                                * wants them. Borrowed for the call */
    size_t n_layers;
    size_t n_origin;    /* layers of its origin that those stand on */
    bool is_last;       /* the guest does not go on: RAM that is not private stays in its memfd */
};

/* How long the steps took, microseconds. */
struct guest_save_times {
    int64_t prepare, devices, copy, pause;
};

/* What a restore needs, counted by its descriptors. */
struct guest_saved {
    int state_fd;            /* sealed memfd: the devices */
    struct ram_layer *layer; /* of a guest that was restored itself: above the same RAM; of one that was powered
                              * on: memory of its devices, NULL when they have none */
    int ram_fd;              /* of one that was powered on: all its RAM; sealed; -1 when is_last */
    char *frozen;            /* path of the overlay that the guest wrote before, frozen now; NULL when
                              * disk_bytes was 0 */
    struct guest_save_times times;
};

#define GUEST_SAVED_INIT { -1, NULL, -1, NULL, { 0 } }
void guest_saved_deinit(struct guest_saved *self);

/* saved is the receiver's to take from; what it leaves is freed. On failure err is set; frozen may be
 * set then, too. Runs once, never inside guest_save. */
typedef void (*guest_save_fn)(void *data, struct guest_saved *saved, const struct error *err);

/* It was saved so often that layers which were merged meanwhile should take the place of what it has open. */
bool guest_wants_layers(const struct guest *guest);
/* params is copied. unsupported when a device of it cannot be saved, busy when a save is under way, not_ready without QMP. done does not run when
 * this fails, nor after guest_free. */
int guest_save(struct guest *self, const struct guest_save_params *params, guest_save_fn done,
               void *data, struct error *err);
