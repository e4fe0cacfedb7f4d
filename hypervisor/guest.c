/* A guest goes through four hands: the worker that makes the overlay, bwrap, QEMU's start, QMP.
 * Each hand-over is a callback, and each failure ends in one place, finish(), which reports it
 * once.
 *
 * The start does not poll. The daemon's own listening sockets wait for QEMU: the QMP connection is
 * made before QEMU runs, sits in the backlog and is accepted when QEMU gets there.
 *
 * Who ended it: QEMU sends SHUTDOWN with guest=true when the guest's operating system powered off;
 * guest_power_off and guest_kill set is_stop_wanted; everything else is a death. After an adoption
 * the exit status is unknown, so the events decide alone.
 *
 * Network: a net object (hypervisor/net.h) that is made when QMP is up. That a network cannot be
 * had is told by on_network and does not end the guest.
 *
 * Memory for one guest here: about 1 KiB, and 64 KiB of QEMU's words. */
#define LOG_MODULE "guest"
#include "hypervisor/guest-private.h"

#include "hypervisor/guest-files.h"

#include "base/log.h"
#include "base/sock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define START_LIMIT_US 30000000   /* QEMU must speak QMP by then */
#define RECONNECT_US 100000
#define RECONNECT_MAX_US 5000000
#define QUIT_LIMIT_US 2000000     /* from quit to kill */
#define DISK_QDEV "/machine/peripheral/" GUEST_DEVICE_DISK
#define WORDS_IN_ERROR 400        /* bytes of last words in a message */

const char *guest_state_name(enum guest_state state)
{
    static const char *const names[] = { "starting", "running", "paused", "stopping", "ended" };
    _Static_assert(ARRAY_LEN(names) == GUEST_STATE_COUNT, "one name per state");
    return names[state];
}

/* --- The end --------------------------------------------------------------------------------- */

static void describe_death(struct guest *self, int status, struct error *err)
{
    char how[64], words[WORDS_IN_ERROR];
    process_status_text(status, how, sizeof how);
    guest_last_words(self, words, sizeof words);
    error_set(err, ERROR_GUEST_FAILED, "QEMU ended with %s%s%s", how, *words ? ": " : "", words);
    if (!self->was_ready)
        error_wrap(err, "starting QEMU");
}

/* QEMU ends when it cannot load a state; what it said is worth more than that it is gone. */
static void end_restore(struct guest *self, int status)
{
    struct error err;
    describe_death(self, status, &err);
    restore_handle_end(self->restore, &err);
}

/* Reports the end, once. The guest may be freed in there. */
static void finish(struct guest *self, int status)
{
    struct error err = { 0 };
    enum guest_end why = GUEST_END_FAILED;
    self->state = GUEST_ENDED;
    timer_stop(self->timer);
    timer_stop(self->reconnect_timer);
    if (self->net)
        net_stop(self->net);
    self->net = net_free(self->net);
    /* A swtpm that comes up when the guest's directory is gone would be found by nobody. */
    self->is_awaiting_tpm = self->tpm && tpm_kill(self->tpm) > 0;
    if (self->is_awaiting_tpm) {
        self->end_status = status;
        return;
    }
    self->tpm = tpm_free(self->tpm);
    self->qmp = qmp_free(self->qmp);
    if (self->restore)
        end_restore(self, status);
    if (self->failure.is_set && !self->is_stop_wanted)
        err = self->failure;
    else if (self->is_stop_wanted)
        why = self->is_powered_off ? GUEST_END_POWERED_OFF : GUEST_END_STOPPED;
    else if (self->is_powered_off && status <= 0)
        why = GUEST_END_POWERED_OFF;
    else
        describe_death(self, status, &err);
    if (self->host->cgroups && *self->cgroup)
        cgroup_remove(self->host->cgroups, self->cgroup);
    if (self->ops.on_ended)
        self->ops.on_ended(self->data, why, &err);
}

static void handle_end_defer(void *data)
{
    finish(data, -1);
}

void guest_end_early(struct guest *self, const struct error *err)
{
    if (err) {
        self->failure = *err;
        error_wrap(&self->failure, "starting QEMU");
    }
    defer_request(self->end_defer);
}

void guest_handle_jail_exit(void *data, int status, const struct error *err)
{
    struct guest *self = data;
    if (err) {
        self->failure = *err;
        error_wrap(&self->failure, "starting QEMU");
    }
    finish(self, status);
}

/* --- The network ----------------------------------------------------------------------------- */

void guest_handle_net_change(void *data, bool is_up, const char *why)
{
    struct guest *self = data;
    if (self->ops.on_network)
        self->ops.on_network(self->data, is_up, why);
}

void guest_open_network(struct guest *self)
{
    if (self->network == MACHINE_NETWORK_NONE || self->net)
        return;
    struct net_config config = { .dir = self->dir, .uid = self->uid,
                                 .egress = self->host->egress };
    struct error err;
    if (net_new(&self->net, self->host->loop, &config, guest_handle_net_change, self, &err) < 0)
        log_debug("%s: %s", self->name, err.message);
}

/* --- The TPM ---------------------------------------------------------------------------------- */

/* The guest goes on with a TPM that fails, as a machine would. */
void guest_handle_tpm_end(void *data, const char *why)
{
    struct guest *self = data;
    self->tpm = tpm_free(self->tpm);
    if (self->is_awaiting_tpm) {
        finish(self, self->end_status);
        return;
    }
    self->has_lost_tpm = true;
    if (*why)
        log_warn("%s: %s", self->name, why);
    if (*why && !self->was_ready && !self->failure.is_set)
        error_set(&self->failure, ERROR_GUEST_FAILED, "starting QEMU: %s", why);
}

/* --- QMP ------------------------------------------------------------------------------------- */

static void become_ready(struct guest *self, bool is_running)
{
    bool is_first = !self->was_ready;
    self->was_ready = true;
    self->reconnect_us = RECONNECT_US;
    if (self->state != GUEST_STOPPING)
        self->state = is_running ? GUEST_RUNNING : GUEST_PAUSED;
    if (!is_first)
        return;
    if (self->state != GUEST_STOPPING)
        timer_stop(self->timer);
    if (!self->is_restored)
        guest_open_network(self);
    if (self->ops.on_ready)
        self->ops.on_ready(self->data);
}

static void handle_status(void *data, json_t *result, const struct error *err)
{
    struct guest *self = data;
    if (err || self->state == GUEST_ENDED || !self->qmp)
        return; /* the connection is gone; its end is handled there */
    become_ready(self, json_get_bool(result, "running", true));
}

static void set_up(struct guest *self, bool is_up)
{
    if (self->is_up == is_up)
        return;
    self->is_up = is_up;
    if (self->was_ready && self->ops.on_up)
        self->ops.on_up(self->data, is_up);
}

/* An adopted guest said so long ago. */
static void handle_chardevs(void *data, json_t *result, const struct error *err)
{
    struct guest *self = data;
    size_t i;
    json_t *chardev;
    if (err)
        return;
    json_array_foreach(result, i, chardev)
        if (strcmp(json_get_string(chardev, "label", ""), GUEST_READY_CHARDEV) == 0)
            set_up(self, json_get_bool(chardev, "frontend-open", false));
}

void guest_restart_network(struct guest *self, const char *why)
{
    if (self->net)
        net_restart(self->net, why);
}

bool guest_is_up(const struct guest *self)
{
    return self->is_up;
}

/* An adopted guest's disk may have been frozen since its identity was written. */
static void handle_block(void *data, json_t *result, const struct error *err)
{
    struct guest *self = data;
    size_t i;
    json_t *device;
    if (err)
        return;
    json_array_foreach(result, i, device) {
        const json_t *inserted = json_object_get(device, "inserted");
        if (strncmp(json_get_string(device, "qdev", ""), DISK_QDEV, sizeof DISK_QDEV - 1) != 0)
            continue;
        snprintf(self->node, sizeof self->node, "%s", json_get_string(inserted, "node-name", ""));
        if (sscanf(self->node, GUEST_NODE_OVERLAY "-%d", &self->n_overlays) != 1)
            self->n_overlays = 1;
    }
}

void guest_set_ops(struct guest *self, const struct guest_ops *new_ops, void *data)
{
    self->ops = *new_ops;
    self->data = data;
}

int guest_move(struct guest *self, const char *dir, struct error *err)
{
    auto_free char *copy = strdup(dir);
    if (!copy || rename(self->dir, dir) < 0)
        return error_errno(err, copy ? errno : ENOMEM, "moving %s", self->dir);
    char *before = self->dir;
    self->dir = steal_ptr(&copy);
    free(before);
    return 0;
}

bool guest_is_restored(const struct guest *self)
{
    return self->is_restored;
}

bool guest_is_saving(const struct guest *self)
{
    return self->save != NULL;
}

const char *guest_disk_node(const struct guest *self)
{
    return self->node;
}

static void handle_qmp_ready(void *data)
{
    struct guest *self = data;
    if (self->is_adopted)
        qmp_execute(self->qmp, "query-block", NULL, handle_block, self);
    qmp_execute(self->qmp, "query-status", NULL, handle_status, self);
    qmp_execute(self->qmp, "query-chardev", NULL, handle_chardevs, self);
}

static void handle_qmp_event(void *data, const char *name, const json_t *args)
{
    struct guest *self = data;
    if (strcmp(name, "SHUTDOWN") == 0) {
        self->is_powered_off |= json_get_bool(args, "guest", false);
        self->state = GUEST_STOPPING;
    } else if (strcmp(name, "STOP") == 0 && self->state == GUEST_RUNNING) {
        self->state = GUEST_PAUSED;
    } else if (strcmp(name, "RESUME") == 0 && self->state == GUEST_PAUSED) {
        self->state = GUEST_RUNNING;
        if (self->restore)
            restore_handle_resume(self->restore);
    }
    if (strcmp(name, "VSERPORT_CHANGE") == 0 &&
        strcmp(json_get_string(args, "id", ""), GUEST_READY_DEVICE) == 0)
        set_up(self, json_get_bool(args, "open", false));
    else if (self->was_ready && self->ops.on_event)
        self->ops.on_event(self->data, name, args);
}

static void handle_qmp_closed(void *data, const struct error *why)
{
    struct guest *self = data;
    log_debug("%s: %s", self->name, why->message);
    self->qmp = qmp_free(self->qmp);
    timer_start(self->reconnect_timer, self->reconnect_us);
    self->reconnect_us = MIN(self->reconnect_us * 2, (int64_t)RECONNECT_MAX_US);
}

static void connect_qmp(struct guest *self)
{
    static const struct qmp_ops ops = { .on_ready = handle_qmp_ready,
                                        .on_event = handle_qmp_event,
                                        .on_closed = handle_qmp_closed };
    struct error err = { 0 };
    int fd = sock_connect(self->dir, GUEST_SOCK_QMP, &err);
    if (fd >= 0 && qmp_new(&self->qmp, self->host->loop, fd, &ops, self, &err) == 0)
        return;
    log_debug("%s: %s", self->name, err.message);
    timer_start(self->reconnect_timer, self->reconnect_us);
}

void guest_await_qmp(struct guest *self)
{
    connect_qmp(self);
    timer_start(self->timer, START_LIMIT_US);
}

static void handle_reconnect(void *data)
{
    struct guest *self = data;
    if (self->state != GUEST_ENDED && !self->qmp)
        connect_qmp(self);
}

/* --- Power-off ------------------------------------------------------------------------------- */

static void handle_timer(void *data)
{
    struct guest *self = data;
    if (self->state == GUEST_STARTING) {
        error_set(&self->failure, ERROR_GUEST_FAILED,
                  "starting QEMU: it did not answer within %d s", (int)(START_LIMIT_US / 1000000));
        if (self->jailed)
            jailed_kill(self->jailed);
    } else if (!self->is_quit_sent && self->qmp) {
        self->is_quit_sent = true;
        qmp_execute(self->qmp, "quit", NULL, NULL, NULL);
        timer_start(self->timer, QUIT_LIMIT_US);
    } else if (self->jailed) {
        jailed_kill(self->jailed);
    }
}

void guest_power_off(struct guest *self, int grace_ms)
{
    if (self->state == GUEST_ENDED)
        return;
    if (!self->was_ready || !self->qmp) {
        guest_kill(self);
        return;
    }
    bool is_first = !self->is_stop_wanted;
    self->is_stop_wanted = true;
    self->state = GUEST_STOPPING;
    if (grace_ms > 0 && is_first)
        qmp_execute(self->qmp, "system_powerdown", NULL, NULL, NULL);
    if (!self->is_quit_sent)
        timer_start(self->timer, (int64_t)MAX(grace_ms, 0) * 1000);
}

void guest_kill(struct guest *self)
{
    if (self->state == GUEST_ENDED)
        return;
    self->is_stop_wanted = true;
    self->state = GUEST_STOPPING;
    if (self->jailed)
        jailed_kill(self->jailed);
    else if (!self->is_disk_pending)
        defer_request(self->end_defer);
}

/* --- Life ------------------------------------------------------------------------------------ */

struct guest *guest_new(const struct guest_host *host, const char *name, const char *dir,
                        const struct guest_ops *ops, void *data)
{
    struct guest *self = calloc(1, sizeof *self);
    if (!self)
        return NULL;
    self->host = host;
    self->ops = *ops;
    self->data = data;
    self->qmp_listen_fd = self->ram_fd = self->words_fd = -1;
    self->reconnect_us = RECONNECT_US;
    self->name = strdup(name);
    self->dir = strdup(dir);
    self->timer = timer_new(host->loop, handle_timer, self);
    self->reconnect_timer = timer_new(host->loop, handle_reconnect, self);
    self->end_defer = defer_new(host->loop, handle_end_defer, self);
    if (!self->name || !self->dir || !self->timer || !self->reconnect_timer || !self->end_defer) {
        guest_free(self);
        return NULL;
    }
    return self;
}

void guest_destroy(struct guest *self)
{
    if (self->is_disk_pending)
        return; /* the worker's answer comes back and ends here again */
    free(self->dir);
    free(self->name);
    free(self);
}

struct guest *guest_free(struct guest *self)
{
    if (!self)
        return NULL;
    self->is_freed = true;
    self->state = GUEST_ENDED;
    self->ops = (struct guest_ops){ 0 };
    if (self->save)
        save_cut_off(self->save);
    if (self->restore)
        restore_cut_off(self->restore);
    self->save = NULL;
    self->net = net_free(self->net);
    self->tpm = tpm_free(self->tpm);
    self->qmp = qmp_free(self->qmp);
    self->jailed = jailed_free(self->jailed);
    self->timer = timer_free(self->timer);
    self->reconnect_timer = timer_free(self->reconnect_timer);
    self->end_defer = defer_free(self->end_defer);
    util_close_ptr(&self->qmp_listen_fd);
    util_close_ptr(&self->ram_fd);
    util_close_ptr(&self->words_fd);
    argv_deinit(&self->qemu_args);
    argv_deinit(&self->bind_paths);
    guest_destroy(self);
    return NULL;
}

