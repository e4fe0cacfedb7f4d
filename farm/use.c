/* When a sandbox is used, and what becomes of one that is not.
 *
 * A use is a request of the API that reaches into the sandbox, for as long as it lasts; a connection
 * that stays open (a viewer, a terminal, a forwarded port) is one long use. Looking at lists and states
 * is none. The time without use begins when the last one ends; programs that run on in the guest do not
 * count, because a desktop is never without any. */
#define LOG_MODULE "use"
#include "base/clock.h"
#include "base/log.h"
#include "farm/farm.h"
#include "farm/sandbox-impl.h"
#include "farm/vnc.h"

#include <errno.h>
#include <string.h>

#define RETRY_US 5000000 /* when it cannot be done now, such as during a checkpoint */

static const char *const names[] = {
    [IDLE_NOTHING] = "none", [IDLE_HIBERNATE] = "hibernate", [IDLE_DELETE] = "delete",
};
_Static_assert(ARRAY_LEN(names) == IDLE_ACTION_COUNT, "one name per action");

static void arm(struct sandbox *self)
{
    if (self->idle.action == IDLE_NOTHING || self->idle.n_uses > 0)
        timer_stop(self->idle.timer);
    else
        timer_start(self->idle.timer, MAX(self->idle.used_us + self->idle.after_us - clock_now_us(), 0));
}

static void hibernate(struct sandbox *self)
{
    struct error err;
    if (self->state == SANDBOX_HIBERNATED || sandbox_hibernate(self, &err) == 0)
        return;
    log_debug("%s: %s", self->id, err.message);
    timer_start(self->idle.timer, RETRY_US);
}

static void handle_timer(void *data)
{
    struct sandbox *self = data;
    if (self->state == SANDBOX_STOPPING)
        return;
    if (clock_now_us() < self->idle.used_us + self->idle.after_us) {
        arm(self);
        return;
    }
    if (vnc_has_viewers(self->vnc)) {
        self->idle.used_us = clock_now_us();
        arm(self);
        return;
    }
    log_info("%s: nobody used it for %lld s", self->id, (long long)(self->idle.after_us / 1000000));
    if (self->idle.action == IDLE_DELETE)
        sandbox_delete(self, NULL, NULL);
    else
        hibernate(self);
}

int use_init(struct sandbox *self, struct error *err)
{
    self->idle.used_us = clock_now_us();
    self->idle.timer = timer_new(farm_loop(self->farm), handle_timer, self);
    return self->idle.timer ? 0 : error_errno(err, ENOMEM, "making a sandbox");
}

void use_deinit(struct sandbox *self)
{
    self->idle.timer = timer_free(self->idle.timer);
}

void sandbox_begin_use(struct sandbox *self)
{
    sandbox_ref(self);
    self->idle.n_uses++;
    arm(self);
    if (self->state == SANDBOX_HIBERNATED)
        sandbox_wake(self, NULL);
}

void sandbox_end_use(struct sandbox *self)
{
    self->idle.n_uses--;
    self->idle.used_us = clock_now_us();
    if (self->is_listed)
        arm(self);
    sandbox_unref(self);
}

void use_read(struct sandbox *self, const json_t *idle)
{
    const char *action = json_get_string(idle, "action", json_is_object(idle) ? "hibernate" : "none");
    self->idle.action = IDLE_NOTHING;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(names[i], action) == 0)
            self->idle.action = (enum idle_action)i;
    self->idle.after_us = json_get_int(idle, "seconds", 0) * 1000000;
    if (self->idle.after_us <= 0)
        self->idle.action = IDLE_NOTHING;
    arm(self);
}

json_t *use_json(const struct sandbox *self)
{
    if (self->idle.action == IDLE_NOTHING)
        return json_null();
    return json_pack("{sI ss}", "seconds", (json_int_t)(self->idle.after_us / 1000000), "action",
                     names[self->idle.action]);
}

int sandbox_set_idle(struct sandbox *self, const json_t *idle, struct error *err)
{
    auto_json json_t *before = use_json(self);
    self->idle.used_us = clock_now_us();
    use_read(self, idle);
    int r = farm_store(self->farm, self, err);
    if (r < 0)
        use_read(self, before);
    return r;
}
