/* What of this host a saved state depends on. A state loads into the QEMU version that wrote it; under KVM
 * it also needs the processor, because the guest has seen its features. The kernel is for readers. */
#pragma once

#include "base/error.h"
#include "hypervisor/accel.h"

struct host_facts {
    char qemu[64], cpu_model[128], kernel[80]; /* "": not known */
};

/* Asks QEMU (NULL: the one in PATH) for its version, and the kernel for the rest. Blocks for as long as
 * QEMU takes to print a line: some 30 ms, at most 5 s. What cannot be found out stays "". */
void host_facts_look(struct host_facts *ret, const char *qemu);
/* The version in the first line that `qemu --version` prints; "" when there is none. Pure. */
void host_facts_parse_version(const char *text, char *out, size_t size);
/* conflict that says what differs when a state of there does not load here. What is not known passes. */
int host_facts_check(const struct host_facts *there, const struct host_facts *here, enum accel accel,
                     struct error *err);
