/* Amounts as Kubernetes and OpenSandbox write them: "2", "500m", "1.5", "2Gi", "512M". */
#pragma once

#include "base/util.h"

/* The amount in units (bytes, CPUs). -EINVAL for anything else, for negative and for huge values. */
int quantity_parse(const char *text, double *ret);
/* Rounds up to 1, 2, 4, 8, … times step, so that one template serves many requests. */
int64_t quantity_round_up(double amount, int64_t step);
