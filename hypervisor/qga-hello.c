/* The beginning of a session with the QEMU guest agent: what it can do, what system it runs on, and
 * whether its file systems are frozen. They are when the guest comes out of a checkpoint that was taken
 * while they were, or when who froze them did not get to thaw them; nobody else would then. */
#define LOG_MODULE "qga"
#include "hypervisor/qga.h"

#include "base/log.h"

#include <stdio.h>
#include <string.h>

static void ready(struct qga *self)
{
    self->is_ready = true;
    log_debug("ready (%s)", self->is_windows ? "Windows" : json_get_string(self->os, "id", "unknown system"));
    auto_json json_t *welcome = json_pack("{s:s, s:s, s:o}", "backend", "qemu", "release", self->release, "ops",
                                          qga_call_ops(self));
    if (self->ops.on_ready && welcome)
        self->ops.on_ready(self->data, welcome);
}

static void handle_os(struct qga *self, const json_t *ret)
{
    json_decref(self->os);
    self->os = json_is_object(ret) ? json_incref((json_t *)(uintptr_t)ret) : NULL;
    self->is_windows = strcmp(json_get_string(self->os, "id", ""), "mswindows") == 0;
    ready(self);
}

static void ask_os(struct qga *self)
{
    if (!qga_has_command(self, "guest-get-osinfo") || qga_own_command(self, "guest-get-osinfo", handle_os) < 0)
        handle_os(self, NULL);
}

/* Most commands were switched off until now, so it is asked again what it can do. */
static void handle_thawed(struct qga *self, const json_t *ret)
{
    log_info("its file systems were frozen: %s", ret ? "thawed" : "they cannot be thawed");
    self->was_thawed = true;
    qga_hello(self);
}

static void handle_status(struct qga *self, const json_t *ret)
{
    const char *status = json_string_value(ret);
    bool is_frozen = status && strcmp(status, "frozen") == 0;
    if (!is_frozen || qga_own_command(self, "guest-fsfreeze-thaw", handle_thawed) < 0)
        ask_os(self);
}

/* Of printable ASCII: it goes into answers and the log. */
static void take_release(struct qga *self, const char *text)
{
    snprintf(self->release, sizeof self->release, "%s", text);
    for (char *at = self->release; *at; at++)
        if (*at < 0x20 || *at > 0x7e)
            *at = '?';
}

static void handle_info(struct qga *self, const json_t *ret)
{
    const json_t *commands = json_object_get(ret, "supported_commands");
    if (!ret) {
        qga_breach(self, "it does not tell what it can do");
        return;
    }
    json_decref(self->info);
    self->info = json_object();
    for (size_t i = 0; i < json_array_size(commands); i++) {
        const json_t *command = json_array_get(commands, i);
        if (json_get_bool(command, "enabled", false))
            json_object_set_new(self->info, json_get_string(command, "name", ""), json_true());
    }
    take_release(self, json_get_string(ret, "version", "?"));
    if (self->was_thawed || !qga_has_command(self, "guest-fsfreeze-status") ||
        qga_own_command(self, "guest-fsfreeze-status", handle_status) < 0)
        ask_os(self);
}

void qga_hello(struct qga *self)
{
    qga_own_command(self, "guest-info", handle_info);
}
