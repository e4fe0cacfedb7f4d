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
/* Opens /proc/PID/mem and reads the first page of the mapping. */
int ram_check_access(pid_t pid, struct error *err);
