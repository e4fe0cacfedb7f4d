/* hypervisor/host-address: a new address of the host is told once, an old one never. Real interfaces in a
 * network namespace of the test's own. */
#include "hypervisor/host-address.h"

#include "base/clock.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <sched.h>

struct seen {
    struct loop loop;
    int n;
};

static void count(void *data)
{
    struct seen *seen = data;
    seen->n++;
}

static void turn_for(struct seen *seen, int64_t us)
{
    struct timer *timer = timer_new(&seen->loop, count, seen);
    int before = seen->n;
    timer_start(timer, us);
    while (timer_is_active(timer))
        loop_turn(&seen->loop, true);
    timer_free(timer);
    seen->n -= seen->n > before ? 1 : 0; /* the timer's own */
}

Test(host_address, tells_of_new_ones_only)
{
    struct seen seen = { 0 };
    struct error err = { 0 };
    struct host_address *watch = NULL;
    if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0 && unshare(CLONE_NEWNET) < 0)
        cr_skip_test("needs a network namespace of its own");
    if (system("ip link set lo up && ip addr add 192.0.2.55/32 dev lo") != 0)
        cr_skip_test("needs ip(8)");
    loop_init(&seen.loop);
    cr_assert(eq(int, host_address_new(&watch, &seen.loop, count, &seen, &err), 0), "%s", err.message);
    turn_for(&seen, 150000);
    cr_assert(eq(int, seen.n, 0));
    cr_assert(eq(int, system("ip addr add 192.0.2.56/32 dev lo && ip addr add 192.0.2.57/32 dev lo"), 0));
    while (seen.n == 0)
        loop_turn(&seen.loop, true);
    cr_assert(eq(int, system("ip addr change 192.0.2.56/32 dev lo valid_lft 900 preferred_lft 900"), 0));
    turn_for(&seen, 150000);
    cr_assert(eq(int, seen.n, 1));
    host_address_free(watch);
    loop_deinit(&seen.loop);
}
