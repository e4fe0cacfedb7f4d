/* A guest of the least kind (SeaBIOS, 64 MiB, perhaps an empty disk), started for real and driven
 * by a loop of its own. Each scenario runs as root and as an ordinary user. */
#pragma once

#include "base/fs.h"
#include "base/id.h"
#include "hypervisor/guest-files.h"
#include "hypervisor/guest.h"
#include "hypervisor/jail.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#define TEST_USER 1999999 /* nobody's uid */
#define TEST_LIMIT_US 40000000

struct fixture {
    struct loop loop;
    struct worker_pool *pool;
    struct guest_host host;
    struct machine_spec spec;
    struct guest *guest;
    struct timer *limit;
    char dir[64], base[96];
    bool is_ready, has_ended, is_late, has_network;
    enum guest_end why;
    struct error end_err;
    char network_why[256];
    int n_events;
};

/* A test that failed leaves no QEMU and no directory behind. */
static struct fixture *fixture_current;

static maybe_unused void fixture_kill_what_is_left(void)
{
    struct fixture *self = fixture_current;
    if (self && self->guest && !self->has_ended && guest_pid(self->guest))
        kill(guest_pid(self->guest), SIGKILL);
    if (self)
        fs_remove_tree(self->dir, NULL);
}

static void fixture_on_ready(void *data)
{
    ((struct fixture *)data)->is_ready = true;
}

static void fixture_on_event(void *data, const char *name maybe_unused,
                             const json_t *args maybe_unused)
{
    ((struct fixture *)data)->n_events++;
}

static void fixture_on_ended(void *data, enum guest_end why, const struct error *err)
{
    struct fixture *self = data;
    self->has_ended = true;
    self->why = why;
    self->end_err = *err;
}

static void fixture_on_network(void *data, bool is_up, const char *why)
{
    struct fixture *self = data;
    self->has_network = is_up;
    snprintf(self->network_why, sizeof self->network_why, "%s", why);
}

static void fixture_handle_limit(void *data)
{
    ((struct fixture *)data)->is_late = true;
}

static const struct guest_ops fixture_ops = {
    .on_ready = fixture_on_ready,
    .on_event = fixture_on_event,
    .on_ended = fixture_on_ended,
    .on_network = fixture_on_network,
};

/* Turns the loop until the condition holds; fails the test when it takes too long. */
#define fixture_wait(self, condition)                                                              \
    do {                                                                                           \
        timer_start((self)->limit, TEST_LIMIT_US);                                                 \
        while (!(condition) && !(self)->is_late)                                                   \
            loop_turn(&(self)->loop, true);                                                        \
        timer_stop((self)->limit);                                                                 \
        cr_assert_not((self)->is_late, "waiting for " #condition " (network: %s, end: %s)",       \
                  (self)->network_why, (self)->end_err.message);                                   \
    } while (0)

/* From here on the test is what an ordinary user's daemon is. */
static maybe_unused void fixture_become_user(void)
{
    if (geteuid() != 0)
        return;
    cr_assert(eq(int, setgroups(0, NULL), 0));
    cr_assert(eq(int, setresgid(TEST_USER, TEST_USER, TEST_USER), 0));
    cr_assert(eq(int, setresuid(TEST_USER, TEST_USER, TEST_USER), 0));
    prctl(PR_SET_DUMPABLE, 1);
}

static maybe_unused void fixture_init(struct fixture *self)
{
    *self = (struct fixture){ 0 };
    fixture_current = self;
    signal(SIGPIPE, SIG_IGN);
    cr_assert(eq(int, loop_init(&self->loop), 0));
    self->pool = worker_pool_new(&self->loop, 1, 1);
    self->limit = timer_new(&self->loop, fixture_handle_limit, self);
    strcpy(self->dir, "/tmp/deskfarm-guest-XXXXXX");
    cr_assert_not_null(mkdtemp(self->dir));
    self->host = (struct guest_host){ .loop = &self->loop, .pool = self->pool };
    self->spec = (struct machine_spec){ .name = "sb-test", .cpus = 1, .memory_mib = 64,
                                        .width = 640, .height = 480 };
    machine_fill_ids(&self->spec);
}

static inline uid_t fixture_uid(void)
{
    return geteuid() == 0 ? JAIL_UID_FIRST + 42 : 0;
}

static maybe_unused void fixture_start(struct fixture *self)
{
    struct error err = { 0 };
    int r = guest_start(&self->guest, &self->host, &self->spec, self->dir, fixture_uid(),
                        &fixture_ops, self, &err);
    cr_assert(eq(int, r, 0), "%s", err.message);
}

static maybe_unused void fixture_start_ready(struct fixture *self)
{
    fixture_start(self);
    fixture_wait(self, self->is_ready || self->has_ended);
    cr_assert(self->is_ready, "%s", self->end_err.message);
}

static maybe_unused void fixture_deinit(struct fixture *self)
{
    if (self->guest && !self->has_ended) {
        guest_kill(self->guest);
        fixture_wait(self, self->has_ended);
    }
    self->guest = guest_free(self->guest);
    fixture_current = NULL;
    worker_pool_free(self->pool);
    timer_free(self->limit);
    loop_deinit(&self->loop);
    fs_remove_tree(self->dir, NULL);
    if (*self->base)
        unlink(self->base);
}
