/* Several frozen overlays become one that reads the same. */
#pragma once

#include "base/error.h"

#include <stddef.h>

/* Writes to `to`, which must not exist, what the layers (bottom first) hold together of a disk of that size;
 * what none of them has stays with what lies below. Synced; nothing is left behind on failure. The
 * layers were written by QEMU for a guest, and are not believed: bad_value for anything but the plain
 * qcow2 that disk_create_overlay makes and QEMU fills. Blocks: a worker's. */
int disk_merge(const char *const *layers, size_t n_layers, int64_t disk_bytes, const char *to,
               struct error *err);
