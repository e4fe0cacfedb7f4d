/* Guest RAM as a memfd, and the view of it from outside the jail. */
#pragma once

#include "base/error.h"

#include <sys/types.h>

/* A memfd that can be sealed later, close-on-exec, of that size, with mode 0666: the jail's uid
 * opens it again through /proc/self/fd (mode 0600 would refuse a foreign uid). Costs no memory
 * until touched. */
int ram_create(const char *name, int64_t bytes, struct error *err);

/* Where a process maps its RAM (the largest mapping of a memfd that ram_create made). */
struct ram_mapping {
    uint64_t start, end; /* addresses in that process */
};
int ram_find_mapping(pid_t pid, struct ram_mapping *ret, struct error *err);
/* Memory of a device (a video memory, a flash): the one mapping of just that size that is private, of no
 * file, and has the fence behind it that QEMU puts there; of several, the one that is a flash of UEFI variables.
 * guest_failed when there is none, or more. */
int ram_find_beside(pid_t pid, int64_t bytes, struct ram_mapping *ret, struct error *err);
/* Of /proc/PID/maps as text: those that could be it, at most max of them in ret. Pure. Returns how many there are. */
int ram_match_beside(const char *maps, int64_t bytes, struct ram_mapping *ret, int max);
/* Whether this process may look into the memory of jails that it starts at all: an ordinary user may,
 * because it made their user namespace; root must not have lost CAP_SYS_PTRACE and CAP_DAC_OVERRIDE, as it
 * does under a service unit that bounds its capabilities. unsupported, with what to do. */
int ram_check_privilege(struct error *err);
/* The same of a list of effective capabilities, as /proc/PID/status has it (CapEff). Pure. */
int ram_check_capabilities(uint64_t effective, struct error *err);
/* Opens /proc/PID/mem and reads the first page of the mapping. */
int ram_check_access(pid_t pid, struct error *err);
