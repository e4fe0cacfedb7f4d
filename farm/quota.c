/* Limits are sums over the farm's lists: with a few hundred sandboxes a walk costs microseconds, and there is
 * no counter that could drift. A checkpoint that is under way counts with the most that it can take
 * (fork_reserved_mib), so that several at once find no room that is promised already. */
#include "farm/quota.h"

#include "farm/checkpoint.h"
#include "farm/farm.h"
#include "farm/sandbox-impl.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define STATE_MIB 16 /* of devices; 8 are usual */

static int64_t mib_of(int64_t bytes)
{
    return (bytes + (1 << 20) - 1) >> 20;
}

static bool is_owned(const char *by, const char *owner)
{
    return !owner || strcmp(by, owner) == 0;
}

static bool has_template_below(struct farm *farm, const struct ram_base *base)
{
    const struct checkpoint *it;
    list_for_each(it, &farm_stock(farm)->checkpoints, link)
        if (it->is_template && it->base == base)
            return true;
    return false;
}

/* Several checkpoints may share the RAM below them: the first one of the list has it. */
static bool is_first_above(struct farm *farm, const struct checkpoint *checkpoint)
{
    const struct checkpoint *it;
    list_for_each(it, &farm_stock(farm)->checkpoints, link)
        if (it->base == checkpoint->base)
            return it == checkpoint;
    return false;
}

static int64_t checkpoints_mib(struct farm *farm, const char *owner)
{
    const struct checkpoint *it;
    int64_t sum = fork_reserved_mib(farm, owner);
    list_for_each(it, &farm_stock(farm)->checkpoints, link) {
        if (it->is_template || !is_owned(it->owner, owner))
            continue;
        sum += mib_of(it->bytes + it->disk_bytes);
        if (is_first_above(farm, it) && !has_template_below(farm, it->base))
            sum += mib_of(it->base->stored_bytes);
    }
    return sum;
}

struct key_limits quota_held(struct farm *farm, const char *owner)
{
    struct key_limits sum = { .disk_mib = checkpoints_mib(farm, owner) };
    const struct sandbox *sandbox;
    list_for_each(sandbox, farm_sandboxes(farm), link) {
        if (!is_owned(sandbox->owner, owner))
            continue;
        sum.sandboxes++;
        sum.disk_mib += sandbox->charge.disk_mib;
        if (sandbox->state != SANDBOX_FAILED && sandbox->state != SANDBOX_TERMINATED &&
            sandbox->state != SANDBOX_HIBERNATED) {
            sum.cpus += sandbox->charge.cpus;
            sum.memory_mib += sandbox->charge.memory_mib;
        }
    }
    return sum;
}

static int check(const char *whose, const char *what, int64_t held, int64_t more, int64_t limit, struct error *err)
{
    if (!limit || more == 0 || held + more <= limit)
        return 0;
    return error_set(err, ERROR_QUOTA, "%s limit of %lld %s would be exceeded: %lld in use, %lld asked for",
                     whose, (long long)limit, what, (long long)held, (long long)more);
}

static int check_all(const char *whose, const struct key_limits *held, const struct key_limits *more,
                     const struct key_limits *limits, struct error *err)
{
    int r = check(whose, "sandboxes", held->sandboxes, more->sandboxes, limits->sandboxes, err);
    if (r == 0)
        r = check(whose, "CPUs", held->cpus, more->cpus, limits->cpus, err);
    if (r == 0)
        r = check(whose, "MiB of memory", held->memory_mib, more->memory_mib, limits->memory_mib, err);
    if (r == 0)
        r = check(whose, "MiB of disk", held->disk_mib, more->disk_mib, limits->disk_mib, err);
    return r;
}

static int check_both(struct farm *farm, const char *owner, const struct key_limits *own_limits,
                      const struct key_limits *more, struct error *err)
{
    struct key_limits own = quota_held(farm, owner), all = quota_held(farm, NULL);
    int r = check_all("this key's", &own, more, own_limits, err);
    return r < 0 ? r : check_all("the daemon's", &all, more, farm_limits(farm), err);
}

int quota_check(struct farm *farm, const struct principal *who, const struct charge *each, int64_t count,
                struct error *err)
{
    const struct key_limits more = { count, each->cpus * count, each->memory_mib * count, each->disk_mib * count };
    return check_both(farm, who->key_id, &who->limits, &more, err);
}

int quota_check_wake(struct farm *farm, const struct sandbox *sandbox, struct error *err)
{
    const struct key_limits more = { .cpus = sandbox->charge.cpus, .memory_mib = sandbox->charge.memory_mib };
    struct key_limits limits = { 0 };
    keys_limits(farm_keys(farm), sandbox->owner, &limits);
    return check_both(farm, sandbox->owner, &limits, &more, err);
}

/* Of the overlay that the guest writes. */
static int64_t overlay_mib(const struct sandbox *sandbox)
{
    struct stat st = { 0 };
    char path[4352];
    if (!sandbox->guest || !sandbox->charge.disk_mib)
        return 0;
    snprintf(path, sizeof path, "%s/%s.qcow2", sandbox->dir, guest_disk_node(sandbox->guest));
    return stat(path, &st) == 0 ? mib_of(st.st_blocks * 512) : 0;
}

int quota_check_disk(struct farm *farm, const char *owner, int64_t mib, struct error *err)
{
    const struct key_limits more = { .disk_mib = mib };
    struct key_limits limits = { 0 };
    keys_limits(farm_keys(farm), owner, &limits);
    return check_both(farm, owner, &limits, &more, err);
}

int quota_check_checkpoint(struct farm *farm, const struct sandbox *sandbox, int64_t *ret_mib, struct error *err)
{
    *ret_mib = sandbox->charge.memory_mib + STATE_MIB + overlay_mib(sandbox);
    return quota_check_disk(farm, sandbox->owner, *ret_mib, err);
}
