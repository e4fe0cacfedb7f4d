/* Giving a guest that waits (machine_spec.origin) the state of another: disk layers, RAM, devices.
 *
 * Disk and RAM go at the same time, the devices when both are there; then the guest runs. Its
 * network stays shut until guest_open_network. */
#pragma once

#include "hypervisor/guest.h"
#include "hypervisor/ram-layer.h"

struct guest_restore_params {
    int state_fd;             /* borrowed: guest_saved.state_fd */
    struct ram_layer *layer;  /* NULL: RAM is the origin's */
    const char *const *layers; /* frozen overlays, bottom first, from the origin's last on: those of the
                                * origin are not repeated */
    size_t n_layers;
};

/* How long the steps took, microseconds. */
struct guest_restore_times {
    int64_t attach, inject, load; /* attach and inject overlap */
};

/* err NULL: it runs. On failure the guest is of no more use. Never inside guest_restore. */
typedef void (*guest_restore_fn)(void *data, const struct guest_restore_times *times,
                                 const struct error *err);

/* params is used up before this returns. not_ready before on_ready; conflict when it does not wait
 * (any more). done does not run when this fails, nor after guest_free. */
int guest_restore(struct guest *self, const struct guest_restore_params *params, guest_restore_fn done,
                  void *data, struct error *err);
