#include "farm/control.h"

#include "base/clock.h"
#include "farm/batch.h"
#include "farm/copied.h"
#include "farm/op.h"
#include "farm/recording.h"
#include "farm/sandbox-impl.h"
#include "stream/hub.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define TYPING_MAX 16384

struct control {
    struct sandbox *sandbox;
    struct hub *hub;
    struct list seats;
    struct seat *holder;
    struct copied *copied; /* while a holder wants to know */
    struct buf typing;     /* of the holder: text that waits for what is typed now */
    bool is_typing;
    bool has_batch; /* what seats were told last */
};

/* Made by the first who looks, kept until the desktop goes. */
static struct control *control_of(struct sandbox *sandbox, struct error *err)
{
    if (sandbox->control)
        return sandbox->control;
    struct control *self = sandbox->display ? calloc(1, sizeof *self) : NULL;
    if (!self) {
        error_set(err, ERROR_NOT_READY, "sandbox %s has no desktop", sandbox->id);
        return NULL;
    }
    self->sandbox = sandbox;
    self->typing.limit = TYPING_MAX;
    list_init(&self->seats);
    self->hub = hub_new(farm_loop(sandbox->farm), farm_pool(sandbox->farm), sandbox->display);
    if (!self->hub) {
        free(self);
        error_errno(err, ENOMEM, "preparing the stream");
        return NULL;
    }
    return sandbox->control = self;
}

struct hub *sandbox_hub(struct sandbox *self, struct error *err)
{
    struct control *control = control_of(self, err);
    return control ? control->hub : NULL;
}

static enum control_holder holder_of(const struct control *self)
{
    return self->holder ? CONTROL_PERSON : self->sandbox->batch ? CONTROL_AGENT : CONTROL_NOBODY;
}

static void tell(struct control *self, struct seat *seat)
{
    seat->ops->changed(seat->data, self->holder == seat, holder_of(self),
                       self->holder ? self->holder->name : "");
}

static void tell_all(struct control *self)
{
    struct seat *seat, *next;
    list_for_each_safe(seat, next, &self->seats, link)
        tell(self, seat);
}

struct control *control_free(struct control *self)
{
    if (!self)
        return NULL;
    if (self->holder)
        self->holder->live = live_free(self->holder->live);
    self->copied = copied_free(self->copied);
    self->holder = NULL;
    while (!list_empty(&self->seats)) {
        struct seat *seat = list_first(&self->seats, struct seat, link);
        list_remove(&seat->link);
        seat->sandbox = NULL;
    }
    hub_free(self->hub);
    buf_deinit(&self->typing);
    free(self);
    return NULL;
}

bool control_is_taken(const struct control *self, struct error *err)
{
    if (!self || !self->holder)
        return false;
    error_set(err, ERROR_CONFLICT,
              "%s controls the desktop of sandbox %s; wait with queue_ms, or until "
              "it is given back",
              *self->holder->name ? self->holder->name : "a person", self->sandbox->id);
    return true;
}

void control_note_batch(struct control *self)
{
    bool has_batch = self && self->sandbox->batch;
    if (!self || self->has_batch == has_batch)
        return;
    self->has_batch = has_batch;
    tell_all(self);
}

/* --- Seats ------------------------------------------------------------------------------------ */

int seat_init(struct seat *self, struct sandbox *sandbox, const char *name,
              const struct seat_ops *ops, void *data, struct error *err)
{
    struct control *control = control_of(sandbox, err);
    *self = (struct seat){ .ops = ops, .data = data };
    if (!control)
        return -ENOMEM;
    self->sandbox = sandbox;
    snprintf(self->name, sizeof self->name, "%s", name);
    list_append(&control->seats, &self->link);
    tell(control, self);
    return 0;
}

static struct control *control_in(const struct seat *self)
{
    return self->sandbox ? self->sandbox->control : NULL;
}

bool seat_is_control(const struct seat *self)
{
    struct control *control = control_in(self);
    return control && control->holder == self;
}

void seat_deinit(struct seat *self)
{
    seat_give_back(self);
    list_remove(&self->link);
    self->sandbox = NULL;
}

/* Whoever controls does so no more. What was held goes up. */
static void stand_up(struct control *self)
{
    if (self->holder)
        self->holder->live = live_free(self->holder->live);
    self->copied = copied_free(self->copied);
    self->typing.size = 0;
    self->holder = NULL;
    input_release_all(self->sandbox->input);
}

void seat_give_back(struct seat *self)
{
    if (!seat_is_control(self))
        return;
    struct control *control = control_in(self);
    stand_up(control);
    recording_event(control->sandbox, "control_given_back", json_pack("{ss}", "name", self->name));
    tell_all(control);
    batch_start_next(control->sandbox);
}

/* An agent's batch is under way: it ends, and its caller learns why. */
static void stop_batch(struct control *self, const struct seat *seat)
{
    struct error err = { 0 };
    error_set(&err, ERROR_CONFLICT, "%s took over the desktop of sandbox %s",
              *seat->name ? seat->name : "a person", self->sandbox->id);
    op_fail(self->sandbox->batch, &err);
}

static void handle_copied(void *data, struct bytes *text)
{
    struct seat *seat = data;
    seat->ops->copied(seat->data, text);
}

int seat_take(struct seat *self, bool take_over, struct error *err)
{
    struct control *control = control_in(self);
    if (!control || !control->sandbox->guest)
        return error_set(err, ERROR_GUEST_GONE, "the desktop has gone");
    if (control->holder == self)
        return 0;
    if (!take_over && control_is_taken(control, err))
        return -EBUSY;
    if (!take_over && control->sandbox->batch)
        return error_set(err, ERROR_CONFLICT, "an agent is acting on this desktop");
    struct live *live = live_new(farm_loop(control->sandbox->farm), control->sandbox->input,
                                 self->ops->taken, self->data);
    if (!live)
        return error_errno(err, ENOMEM, "taking control");
    /* In this order: the next batch finds a person. */
    stand_up(control);
    control->holder = self;
    self->live = live;
    if (self->ops->copied)
        control->copied = copied_new(control->sandbox, handle_copied, self);
    recording_event(control->sandbox, "control_taken",
                    json_pack("{ss sb}", "name", self->name, "over", control->sandbox->batch != NULL));
    if (control->sandbox->batch)
        stop_batch(control, self);
    tell_all(control);
    return 0;
}

/* --- Acting ----------------------------------------------------------------------------------- */

void seat_feed(struct seat *self, const struct live_event *event)
{
    if (!seat_is_control(self))
        return;
    recording_live(self->sandbox, event);
    live_feed(self->live, event);
}

void seat_release(struct seat *self)
{
    if (seat_is_control(self))
        live_release(self->live);
}

static void type_next(struct sandbox *sandbox);

static void handle_typed(void *data, const struct input_result *result maybe_unused,
                         const struct error *err maybe_unused)
{
    struct sandbox *sandbox = data;
    if (!sandbox->control)
        return;
    sandbox->control->is_typing = false;
    if (sandbox->control->typing.size > 0)
        type_next(sandbox);
}

static int type(struct sandbox *sandbox, const char *text, size_t n_text, struct error *err)
{
    auto_json json_t *object = json_pack("{s:s, s:s%}", "type", "type", "text", text, n_text);
    const struct frame *frame = display_frame(sandbox->display);
    struct action action;
    if (!object || !frame)
        return error_set(err, ERROR_BAD_VALUE, "text that is not UTF-8, or no screen");
    int r = action_parse(&action, object, "text", err);
    if (r < 0)
        return r;
    struct space space = { .kind = SPACE_NATIVE, .width = frame->width, .height = frame->height };
    r = input_play(sandbox->input, &action, &space, handle_typed, sandbox, err);
    action_deinit(&action);
    sandbox->control->is_typing = r == 0;
    return r;
}

/* What cannot be typed is dropped: nobody waits for an answer any more. */
static void type_next(struct sandbox *sandbox)
{
    struct buf text = sandbox->control->typing;
    sandbox->control->typing = (struct buf){ .limit = TYPING_MAX };
    type(sandbox, (const char *)text.data, text.size, NULL);
    buf_deinit(&text);
}

/* A touch keyboard sends letter by letter, quicker than they are typed. */
int seat_type(struct seat *self, const char *text, size_t n_text, struct error *err)
{
    if (!seat_is_control(self))
        return error_set(err, ERROR_CONFLICT, "this viewer does not control the desktop");
    struct control *control = control_in(self);
    recording_event(self->sandbox, "typed", json_pack("{ss ss%}", "name", self->name, "text", text, n_text));
    if (!control->is_typing)
        return type(self->sandbox, text, n_text, err);
    if (buf_append(&control->typing, text, n_text) == 0)
        return 0;
    control->typing.failed = false;
    return error_set(err, ERROR_BUSY, "more than %d bytes of text wait to be typed", TYPING_MAX);
}

int seat_resize(struct seat *self, int width, int height, struct error *err)
{
    if (!seat_is_control(self))
        return error_set(err, ERROR_CONFLICT, "this viewer does not control the desktop");
    return display_resize(self->sandbox->display, width, height, err);
}
