/* The helper starts with the desktop's session, a moment after the desktop says that it is up, so a
 * desktop that knows no helper yet is asked again every RETRY_US, for LIMIT_US. A guest that has no
 * helper, or does not know the layout, keeps its own; the log says so, and texts are planned for the
 * layout that the sandbox was created with, because its image may well have it. */
#define LOG_MODULE "layout"
#include "farm/layout.h"

#include "base/clock.h"
#include "base/log.h"
#include "farm/farm.h"
#include "farm/helper.h"
#include "farm/sandbox-impl.h"
#include "farm/wait.h"

#include <stdio.h>
#include <string.h>

#define RETRY_US 300000
#define LIMIT_US 60000000
#define ANSWER_US 20000000

const char *layout_split(const char *layout, char *name)
{
    const char *variant = strchr(layout, '(');
    size_t end = strlen(layout);
    snprintf(name, 32, "%s", layout);
    if (!variant || end < 2 || layout[end - 1] != ')' || end >= 32)
        return "";
    name[end - 1] = '\0';
    name[variant - layout] = '\0';
    return name + (variant - layout) + 1;
}

static void end(struct sandbox *self)
{
    self->layout.is_due = false;
    if (self->layout.retry)
        timer_stop(self->layout.retry);
    farm_store(self->farm, self, NULL);
    if (sandbox_is_up(self))
        wait_desktop_is_up(self);
}

static void try_again(struct sandbox *self, const struct error *why)
{
    bool is_early = why->code == ERROR_NOT_READY || why->code == ERROR_TIMEOUT || why->code == ERROR_BUSY;
    if (is_early && clock_now_us() - self->layout.since_us < LIMIT_US) {
        timer_start(self->layout.retry, RETRY_US);
        return;
    }
    log_warn("%s: the guest keeps its keyboard layout instead of %s: %s", self->id, self->layout.name, why->message);
    end(self);
}

static void handle_set(void *data, const json_t *result maybe_unused, struct buf *output maybe_unused,
                       const struct error *err)
{
    struct sandbox *self = data;
    self->layout.call = NULL;
    if (err) {
        try_again(self, err);
        return;
    }
    log_debug("%s: the guest's keyboard layout is %s", self->id, self->layout.name);
    end(self);
}

static void ask(void *data)
{
    struct sandbox *self = data;
    struct error err = { 0 };
    if (self->layout.call)
        return;
    char name[sizeof self->layout.name];
    const char *variant = layout_split(self->layout.name, name);
    self->layout.call = helper_call_new(self, "keyboard.set", json_pack("{ss ss}", "layout", name, "variant", variant),
                                        NULL, ANSWER_US, handle_set, self, &err);
    if (!self->layout.call)
        try_again(self, &err);
}

void layout_begin(struct sandbox *self)
{
    bool has_helper = self->agent_kind == INSIDE_ANY || self->agent_kind == INSIDE_DESKFARM;
    if (has_helper && !self->layout.retry)
        self->layout.retry = timer_new(farm_loop(self->farm), ask, self);
    self->layout.is_due = has_helper && self->layout.retry;
}

void layout_desktop_is_up(struct sandbox *self)
{
    if (!self->layout.is_due || self->layout.call)
        return;
    if (!self->layout.retry)
        layout_begin(self); /* as the journal says */
    if (!self->layout.is_due)
        return;
    self->layout.since_us = clock_now_us();
    ask(self);
}

void layout_is_told(struct sandbox *self)
{
    if (!self->layout.is_due)
        return;
    layout_forget(self);
    end(self);
}

void layout_forget(struct sandbox *self)
{
    self->layout.call = helper_call_cancel(self->layout.call);
    if (self->layout.retry)
        timer_stop(self->layout.retry);
}

void layout_deinit(struct sandbox *self)
{
    layout_forget(self);
    self->layout.retry = timer_free(self->layout.retry);
}
