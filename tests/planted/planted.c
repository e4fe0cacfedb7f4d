/* Defects on purpose, in a test program like any other: what the sanitizers must report. */
#include <criterion/criterion.h>
#include <stdint.h>
#include <stdlib.h>

/* Volatile, so that no optimiser sees through. */
static volatile int eight = 8, forty = 40;
static void *volatile kept;

Test(planted, leak)
{
    kept = malloc(1234);
    kept = NULL;
}

Test(planted, overflow)
{
    volatile char *text = malloc((size_t)eight);
    cr_assert_not_null(text);
    text[eight] = 'x';
    free((char *)(uintptr_t)text);
}

Test(planted, shift)
{
    cr_assert_neq(1 << forty, 12345);
}

Test(planted, nothing)
{
    cr_assert_eq(eight, 8);
}
