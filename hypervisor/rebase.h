/* The chain of layers below the disk that a guest writes, made short while it runs.
 *
 * Each save puts one overlay more into a QEMU: a descriptor or three, and a step for every read of what
 * was not written since. Once layers were merged on disk (hypervisor/disk-merge.h), the QEMU can open the
 * merged ones instead: they read the same. `blockdev-reopen` swaps what is below the overlay in some
 * milliseconds; the guest runs on. */
#pragma once

#include "hypervisor/qmp-batch.h"

#include <stddef.h>

struct guest;

/* How many layers the QEMU opened since its start or its last rebase. */
int rebase_depth(const struct guest *guest);
/* Adds the commands: the layers (bottom first; descriptors to read, taken over) come in below the overlay that is
 * written now, above the base disk and so many layers of the origin, and what was there goes. */
void rebase_add(struct guest *guest, struct qmp_batch *batch, size_t n_origin, int *fds, size_t n);
