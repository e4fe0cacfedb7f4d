/* A ring of events and one flush under way.
 *
 * The guest answers a flush when its devices have all events before it, which takes a millisecond or
 * two. Until then nothing more is injected, so a guest that is slow is waited for, and moves that
 * come meanwhile are merged into the last one that waits: the pointer is where the person has it,
 * not where it was. A change of a button that comes too soon after the last waits for its time, and
 * everything behind it too. */
#include "input/live.h"

#include "base/clock.h"
#include "input/held.h"
#include "input/input-private.h"

struct live {
    struct input *input;
    struct timer *timer;
    live_taken_fn taken;
    void *data;
    struct live_event events[LIVE_EVENTS_MAX]; /* a ring */
    size_t first, n;
    bool is_down[HELD_COUNT]; /* pressed through this object */
    struct input_flush *flush; /* under way, or NULL */
};

static void pump(struct live *self);

static void handle_taken(void *data, bool ok maybe_unused)
{
    struct input_flush *flush = data;
    struct live *self = flush->owner;
    uint64_t id = flush->id;
    list_remove(&flush->link);
    free(flush);
    if (!self)
        return;
    self->flush = NULL;
    input_note_taken(self->input);
    if (self->taken)
        self->taken(self->data, id, clock_now_us());
    pump(self);
}

static void handle_timer(void *data)
{
    pump(data);
}

struct live *live_new(struct loop *loop, struct input *input, live_taken_fn taken, void *data)
{
    struct live *self = calloc(1, sizeof *self);
    if (!self)
        return NULL;
    self->input = input;
    self->taken = taken;
    self->data = data;
    self->timer = timer_new(loop, handle_timer, self);
    return self->timer ? self : live_free(self);
}

struct live *live_free(struct live *self)
{
    if (!self)
        return NULL;
    live_release(self);
    if (self->flush)
        self->flush->owner = NULL;
    timer_free(self->timer);
    free(self);
    return NULL;
}

size_t live_depth(const struct live *self)
{
    return self->n;
}

/* --- Injecting -------------------------------------------------------------------------------- */

static uint16_t what_of(const struct live_event *event)
{
    return event->kind == LIVE_KEY ? held_key(event->code) : held_button((enum button)event->code);
}

/* A press outlives every action; an unlatch ends it whoever else holds the key. */
static void change(struct live *self, const struct live_event *event)
{
    uint16_t what = what_of(event);
    if (event->is_down) {
        enum step_kind kind = event->kind == LIVE_KEY ? STEP_KEY : STEP_BUTTON;
        input_inject(self->input, &(struct step){ .kind = kind, .is_down = true, .code = event->code });
    }
    input_inject(self->input, &(struct step){ .kind = event->is_down ? STEP_LATCH : STEP_UNLATCH, .code = what });
    self->is_down[what] = event->is_down;
}

static struct step step_of(const struct live_event *event)
{
    switch (event->kind) {
    case LIVE_KEY:
    case LIVE_BUTTON: return (struct step){ .kind = STEP_UNLATCH, .code = what_of(event) };
    case LIVE_MOVE: return (struct step){ .kind = STEP_MOVE, .fx = (int16_t)event->fx, .fy = (int16_t)event->fy };
    case LIVE_WHEEL: break;
    }
    return (struct step){ .kind = STEP_WHEEL, .code = event->code, .value = event->notches };
}

static void inject(struct live *self, const struct live_event *event)
{
    struct step step = step_of(event);
    int width, height;
    bool has_screen = input_screen(self->input, &width, &height);
    if (event->kind == LIVE_KEY || event->kind == LIVE_BUTTON) {
        change(self, event);
    } else if (event->kind == LIVE_WHEEL) {
        input_inject(self->input, &step);
    } else if (has_screen) {
        step.fx = (int16_t)CLAMP(event->fx, 0, width - 1);
        step.fy = (int16_t)CLAMP(event->fy, 0, height - 1);
        input_inject(self->input, &step);
    }
}

/* Injects what may go out now. */
static void pump(struct live *self)
{
    uint64_t id = 0;
    bool has_events = false;
    while (!self->flush && self->n > 0) {
        const struct live_event *event = &self->events[self->first];
        struct step step = step_of(event);
        int64_t wait_us = input_wait_us(self->input, &step);
        if (wait_us > 0 && !has_events)
            timer_start(self->timer, wait_us);
        if (wait_us > 0)
            break;
        inject(self, event);
        id = event->id;
        has_events = true;
        self->first = (self->first + 1) % LIVE_EVENTS_MAX;
        self->n--;
    }
    if (!has_events)
        return;
    self->flush = input_flush_new(self->input, handle_taken, self, id);
    if (!self->flush)
        timer_start(self->timer, 10000); /* memory is short: what waits goes out later */
}

/* --- Feeding ---------------------------------------------------------------------------------- */

static bool is_known(const struct live *self, const struct live_event *event)
{
    switch (event->kind) {
    case LIVE_KEY: return event->code < HELD_KEYS && input_key_test(self->input)(event->code);
    case LIVE_BUTTON: return event->code < BUTTON_COUNT;
    case LIVE_WHEEL: return event->code <= WHEEL_HORIZONTAL && event->notches >= -64 && event->notches <= 64;
    case LIVE_MOVE: return true;
    }
    return false;
}

int live_feed(struct live *self, const struct live_event *event)
{
    if (!is_known(self, event))
        return 0;
    struct live_event *last = &self->events[(self->first + self->n + LIVE_EVENTS_MAX - 1) % LIVE_EVENTS_MAX];
    if (event->kind == LIVE_MOVE && self->n > 0 && last->kind == LIVE_MOVE) {
        *last = *event;
        return 0;
    }
    if (self->n == LIVE_EVENTS_MAX)
        return LIVE_FULL;
    struct live_event *place = &self->events[(self->first + self->n) % LIVE_EVENTS_MAX];
    *place = *event;
    if (event->kind == LIVE_MOVE) {
        /* Steps hold 16 bits; screens are smaller. */
        place->fx = CLAMP(event->fx, 0, INT16_MAX);
        place->fy = CLAMP(event->fy, 0, INT16_MAX);
    }
    self->n++;
    if (!self->flush && !timer_is_active(self->timer))
        pump(self);
    return 0;
}

void live_release(struct live *self)
{
    bool has_events = false;
    self->n = 0;
    if (self->timer)
        timer_stop(self->timer);
    for (uint16_t what = HELD_COUNT; what-- > 0;) {
        if (!self->is_down[what])
            continue;
        self->is_down[what] = false;
        input_inject(self->input, &(struct step){ .kind = STEP_UNLATCH, .code = what });
        has_events = true;
    }
    if (has_events)
        input_flush(self->input, NULL, NULL);
}
