/* Durations of one operation, and the table that shows them. */
#pragma once

#include "base/util.h"

struct samples {
    const char *name;
    int64_t *us;
    size_t n, capacity;
    size_t bytes; /* of the newest result; 0: none to speak of */
    int n_wrong;  /* results that were not what they had to be */
};

void samples_add(struct samples *self, int64_t us);
void samples_deinit(struct samples *self);

/* A Markdown table: head, then one row each. Milliseconds; a percentile is the smallest sample that
 * so many of all samples do not exceed (nearest rank). */
void samples_print_head(const char *what);
void samples_print(struct samples *self);
