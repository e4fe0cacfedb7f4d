/* The machine that figures were taken on, and whether anybody else kept it busy meanwhile. */
#pragma once

#include "base/util.h"

#include <sys/types.h>

/* CPU, number of CPUs and kernel, a line each. */
void host_print(void);

/* CPU time that neither this process nor a guest of its used. */
struct host_load {
    pid_t guest;
    int64_t start_us, others_us;
};

/* guest may be 0. */
void host_load_begin(struct host_load *self, pid_t guest);
/* Prints the others' share of all CPUs since the beginning. */
void host_load_print(const struct host_load *self);
