#include "tests/bench/samples.h"

#include <stdio.h>

void samples_add(struct samples *self, int64_t us)
{
    if (self->n == self->capacity) {
        self->capacity = MAX(self->capacity * 2, (size_t)64);
        self->us = realloc(self->us, self->capacity * sizeof *self->us);
        if (!self->us)
            abort();
    }
    self->us[self->n++] = us;
}

void samples_deinit(struct samples *self)
{
    free(self->us);
    self->us = NULL;
    self->n = self->capacity = 0;
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static double percentile(const struct samples *self, size_t percent)
{
    size_t rank = (self->n * percent + 99) / 100;
    return (double)self->us[MAX(rank, (size_t)1) - 1] / 1e3;
}

void samples_print_head(const char *what)
{
    printf("\n| %s | n | min ms | p50 | p95 | p99 | bytes |\n|---|---:|---:|---:|---:|---:|---:|\n", what);
}

void samples_print(struct samples *self)
{
    if (self->n == 0)
        return;
    qsort(self->us, self->n, sizeof *self->us, compare);
    printf("| %s | %zu | %.3f | %.3f | %.3f | %.3f |", self->name, self->n, percentile(self, 0),
           percentile(self, 50), percentile(self, 95), percentile(self, 99));
    printf(self->bytes ? " %zu |" : " – |", self->bytes);
    printf(self->n_wrong ? " WRONG: %d\n" : "\n", self->n_wrong);
    fflush(stdout);
}
