/* The player: a plan, a place in it, and one of four things to wait for.
 *
 *   FLUSHING  the guest is taking the events up to the next pause
 *   PAUSING   it took them, and the plan wants time to pass
 *   READING   it took them, and its X server is to say that it has read them (input/reader.h)
 *   ENDING    the plan is over, failed or cancelled; what it held is being released
 *
 * Each wait goes on in step(). A cancel cuts a pause short and follows a flush. The plan of a text
 * is the largest thing here: about 40 bytes per character, 2.5 MiB at the limit. */
#include "input/input.h"

#include "base/clock.h"
#include "input/held.h"
#include "input/input-private.h"

#include <string.h>

#include <errno.h>

/* Text is typed as fast as the guest reads it, where somebody in the guest says how far it is. A longer one
 * (LONG_KEYS changes of keys) begins and ends with such a word: its characters are those that have arrived.
 *
 * Elsewhere it is typed as fast as the guest seems to live. The kernel buffers 15 characters, and nobody
 * outside sees when those overflow: BLIND_KEY_US lets a reader stand still for 120 ms. What is seen is how
 * late QEMU's answers and our own timers are: a machine that starves us starves the guest too. So the
 * pause after a character grows with the worst lateness of the last ones, up to 30 ms. Answers
 * within CALM_US are usual without KVM. */
enum { CALM_US = 8000, LATE_FACTOR = 3, LATE_PAUSE_MAX_US = 30000, BLIND_KEY_US = 4000 };
enum { LONG_KEYS = READER_MAX, UNREAD_MAX = 2 * READER_MAX };
/* After so long without a key the guest has read all, as far as nobody says otherwise. */
#define IDLE_US 500000

/* libinput takes a button that changes again within 25 ms as a switch that bounces; once it saw one,
 * it holds each release back for 12 ms to see whether it bounces. A pointer that moves meanwhile
 * takes the release along. */
#define BUTTON_GAP_US 30000

enum state { STATE_IDLE, STATE_FLUSHING, STATE_PAUSING, STATE_READING, STATE_ENDING };

struct input {
    struct sink *sink;
    struct keymap *keymap;
    struct timer *timer;
    struct held held;
    struct reader reader;
    int64_t key_us;    /* when a key changed last */
    uint64_t n_paused; /* changes of keys before the last pause of a text */
    struct {
        uint64_t n_keys; /* the changes of keys with which it is read */
        bool is_entered;
    } typed[UNREAD_MAX]; /* the last characters */
    int width, height; /* of the scanout */
    bool has_pointer;
    int fx, fy;
    double wheel_rest[2];

    enum state state;
    struct plan plan;
    size_t at;            /* next step */
    bool is_long;         /* it has many keys */
    struct error failure; /* why the action ends early */
    struct input_result result;
    input_done_fn done;
    void *data;
    int64_t due_us;    /* when the wait under way should be over */
    int64_t sent_us;   /* when the flush before it began */
    int64_t late_us;   /* how late recent ones were, fading */
    bool has_button;   /* a button changed since the last flush */
    int64_t button_us; /* when the guest took a button's last change */
    bool was_release;  /* that change */
    int n_resets;      /* under way */
    struct list flushes; /* of input/live.c, under way */
};

static void step(struct input *self);

static void handle_timer(void *data)
{
    step(data);
}

int input_new(struct input **ret, struct loop *loop, struct sink *sink, struct keymap *keymap,
              struct error *err)
{
    struct input *self = calloc(1, sizeof *self);
    if (!self) {
        sink_free(sink);
        return error_errno(err, ENOMEM, "preparing input");
    }
    self->sink = sink;
    list_init(&self->flushes);
    self->timer = timer_new(loop, handle_timer, self);
    self->keymap = keymap_ref(keymap);
    if (!self->timer) {
        input_free(self);
        return error_errno(err, ENOMEM, "preparing input");
    }
    *ret = self;
    return 0;
}

struct input *input_free(struct input *self)
{
    if (!self)
        return NULL;
    sink_free(self->sink);
    struct input_flush *flush, *next;
    list_for_each_safe(flush, next, &self->flushes, link) free(flush);
    timer_free(self->timer);
    keymap_unref(self->keymap);
    plan_deinit(&self->plan);
    free(self);
    return NULL;
}

/* --- What the guest is like ------------------------------------------------------------------- */

void input_set_keymap(struct input *self, struct keymap *keymap)
{
    keymap_ref(keymap);
    keymap_unref(self->keymap);
    self->keymap = keymap;
}

void input_set_screen(struct input *self, int width, int height)
{
    if (width <= 0 || height <= 0)
        width = height = 0;
    if (width > 0 && self->width > 0) {
        self->fx = (int)((int64_t)self->fx * width / self->width);
        self->fy = (int)((int64_t)self->fy * height / self->height);
    } else if (width > 0) {
        self->has_pointer &= self->fx < width && self->fy < height;
    }
    if (width > 0) {
        self->width = width;
        self->height = height;
    }
}

void input_set_pointer(struct input *self, int fx, int fy)
{
    self->has_pointer = true;
    self->fx = fx;
    self->fy = fy;
}

void input_forget_pointer(struct input *self)
{
    self->has_pointer = false;
}

bool input_pointer(const struct input *self, int *ret_fx, int *ret_fy)
{
    if (self->has_pointer) {
        *ret_fx = self->fx;
        *ret_fy = self->fy;
    }
    return self->has_pointer;
}

size_t input_n_held(const struct input *self)
{
    return self->held.n_down;
}

bool input_is_busy(const struct input *self)
{
    return self->state != STATE_IDLE || self->n_resets > 0;
}

/* --- Playing ---------------------------------------------------------------------------------- */

static void handle_flushed(void *data, bool ok)
{
    struct input *self = data;
    if (!ok && !self->failure.is_set)
        error_set(&self->failure, ERROR_GUEST_GONE, "the guest does not take input");
    if (ok && self->state == STATE_FLUSHING) {
        self->result.injected_last_us = clock_now_us();
        if (self->result.injected_first_us == 0)
            self->result.injected_first_us = self->result.injected_last_us;
    }
    if (self->has_button)
        self->button_us = clock_now_us();
    self->has_button = false;
    step(self);
}

static void flush(struct input *self, enum state state)
{
    self->state = state;
    self->due_us = self->sent_us = clock_now_us();
    sink_flush(self->sink, handle_flushed, self);
}

static void pause_for(struct input *self, enum state state, int64_t us)
{
    self->state = state;
    self->due_us = clock_now_us() + us;
    timer_start(self->timer, us);
}

static void run_key(struct input *self, uint16_t what, bool is_down)
{
    if (what >= HELD_KEYS) {
        self->has_button = true;
        self->was_release = !is_down;
    } else {
        self->key_us = clock_now_us();
    }
    if (is_down)
        held_press(&self->held, self->sink, what);
    else
        held_release(&self->held, self->sink, what);
}

static void count_character(struct input *self, bool is_entered)
{
    size_t at = self->result.n_characters++ % UNREAD_MAX;
    self->result.n_entered += is_entered;
    self->typed[at].n_keys = self->sink->n_keys;
    self->typed[at].is_entered = is_entered;
}

/* Carries out one step that takes no time. */
static void run_step(struct input *self, const struct step *s)
{
    switch ((enum step_kind)s->kind) {
    case STEP_KEY: run_key(self, held_key(s->code), s->is_down); break;
    case STEP_BUTTON: run_key(self, held_button((enum button)s->code), s->is_down); break;
    case STEP_MOVE:
        input_set_pointer(self, s->fx, s->fy);
        sink_move(self->sink, s->fx, s->fy, self->width, self->height);
        break;
    case STEP_WHEEL: sink_wheel(self->sink, (enum wheel_axis)s->code, s->value); break;
    case STEP_LATCH: held_latch(&self->held, s->code); break;
    case STEP_UNLATCH:
        self->has_button |= s->code >= HELD_KEYS;
        self->was_release |= s->code >= HELD_KEYS;
        held_unlatch(&self->held, self->sink, s->code);
        break;
    case STEP_CLEAR: held_release_all(&self->held, self->sink); break;
    case STEP_CHARACTER: count_character(self, s->code != TEXT_KEYS); break;
    case STEP_PAUSE: break;
    }
}

static void finish(struct input *self)
{
    struct input_result result = self->result;
    struct error failure = self->failure;
    input_done_fn done = self->done;
    void *data = self->data;
    result.has_point = self->has_pointer;
    result.fx = self->fx;
    result.fy = self->fy;
    plan_deinit(&self->plan);
    self->done = NULL;
    self->state = STATE_IDLE;
    if (done)
        done(data, &result, failure.is_set ? &failure : NULL);
}

static void end(struct input *self)
{
    if (held_release_action(&self->held, self->sink) > 0)
        flush(self, STATE_ENDING);
    else
        pause_for(self, STATE_ENDING, 0); /* an answer never comes out of input_play */
}

/* How long a step must wait for the button before it; longer on a machine that is late, as guests
 * then take two events closer together than they were sent. */
static int64_t button_wait(const struct input *self, const struct step *s)
{
    bool is_button = s->kind == STEP_BUTTON || (s->kind == STEP_UNLATCH && s->code >= HELD_KEYS);
    if (!is_button && !(s->kind == STEP_MOVE && self->was_release))
        return 0;
    int64_t gap_us = BUTTON_GAP_US + MIN(self->late_us, LATE_PAUSE_MAX_US);
    return self->button_us + gap_us - clock_now_us();
}

static void note_lateness(struct input *self)
{
    int64_t late_us = MAX(clock_now_us() - self->due_us - CALM_US, 0);
    self->late_us = MAX(late_us, self->late_us - self->late_us / 32);
}

static int64_t pause_length(const struct input *self, const struct step *s)
{
    bool is_text = self->at + 1 < self->plan.n_steps && s[1].kind == STEP_CHARACTER;
    bool is_read = reader_is_there(&self->reader);
    int64_t us = (int64_t)s->value * 1000;
    if (!is_text)
        return us;
    if (us == 0 && !is_read)
        us = BLIND_KEY_US * (int64_t)(self->sink->n_keys - self->n_paused);
    /* The guest had the time in which QEMU took the strokes, too. */
    us = MAX(us - (clock_now_us() - self->sent_us), INT64_C(0));
    return is_read ? us : us + MIN(LATE_FACTOR * self->late_us, LATE_PAUSE_MAX_US);
}

/* Whether the next step, or after the last one the end, has to wait until the guest has read more. */
static bool waits_for_reader(struct input *self)
{
    uint64_t n_sent = self->sink->n_keys;
    if (self->at == self->plan.n_steps)
        return self->is_long && !reader_has_all(&self->reader, n_sent);
    const struct step *s = &self->plan.steps[self->at];
    if (s->kind != STEP_KEY || !s->is_down)
        return false;
    if (clock_now_us() - self->key_us > IDLE_US)
        reader_note_idle(&self->reader, n_sent);
    return (self->is_long && !reader_has_base(&self->reader, n_sent)) || !reader_has_room(&self->reader, n_sent);
}

/* Runs up to the next wait. A pause waits for the events before it and then for its time. */
static void run(struct input *self)
{
    bool has_events = false;
    for (; self->at < self->plan.n_steps; self->at++) {
        const struct step *s = &self->plan.steps[self->at];
        int64_t early_us = button_wait(self, s);
        bool is_early = early_us > 0 || s->kind == STEP_PAUSE;
        if (has_events && (is_early || waits_for_reader(self)))
            break;
        if (!has_events && !is_early && waits_for_reader(self)) {
            self->state = STATE_READING;
            return;
        }
        if (s->kind == STEP_PAUSE || early_us > 0) {
            pause_for(self, STATE_PAUSING, early_us > 0 ? early_us : pause_length(self, s));
            self->n_paused = self->sink->n_keys;
            self->at += s->kind == STEP_PAUSE;
            return;
        }
        run_step(self, s);
        has_events |= s->kind != STEP_LATCH && s->kind != STEP_CHARACTER;
    }
    if (has_events)
        flush(self, STATE_FLUSHING);
    else if (waits_for_reader(self))
        self->state = STATE_READING;
    else
        end(self);
}

/* A wait is over: what is next? */
static void step(struct input *self)
{
    note_lateness(self);
    if (self->state == STATE_ENDING)
        finish(self);
    else if (self->failure.is_set)
        end(self);
    else
        run(self);
}

static bool has_many_keys(const struct plan *plan)
{
    size_t n = 0;
    for (size_t i = 0; i < plan->n_steps && n < LONG_KEYS; i++)
        n += plan->steps[i].kind == STEP_KEY;
    return n == LONG_KEYS;
}

int input_play(struct input *self, const struct action *action, const struct space *space,
               input_done_fn done, void *data, struct error *err)
{
    if (input_is_busy(self))
        return error_set(err, ERROR_BUSY, "another action is being played");
    struct plan_context context = {
        .keymap = self->keymap,
        .has_key = self->sink->has_key,
        .space = space,
        .has_pointer = self->has_pointer,
        .fx = self->fx,
        .fy = self->fy,
        .wheel_rest = { self->wheel_rest[0], self->wheel_rest[1] },
    };
    int r = plan_action(&self->plan, action, &context, err);
    if (r < 0)
        return r;
    input_set_screen(self, space->width, space->height);
    self->wheel_rest[0] = context.wheel_rest[0];
    self->wheel_rest[1] = context.wheel_rest[1];
    self->at = 0;
    self->is_long = has_many_keys(&self->plan);
    self->n_paused = self->sink->n_keys;
    self->failure = (struct error){ 0 };
    self->result = (struct input_result){ .queued_us = clock_now_us() };
    self->done = done;
    self->data = data;
    run(self);
    return 0;
}

void input_cancel(struct input *self)
{
    if (self->state == STATE_IDLE || self->state == STATE_ENDING)
        return;
    if (!self->failure.is_set)
        error_set(&self->failure, ERROR_CANCELLED, "the action was cancelled");
    /* A flush that is under way ends by itself. */
    if (self->state == STATE_PAUSING || self->state == STATE_READING) {
        timer_stop(self->timer);
        end(self);
    }
}

/* --- What the guest has read ------------------------------------------------------------------- */

void input_set_reader(struct input *self, reader_ask_fn ask, void *data)
{
    self->reader.ask = ask;
    self->reader.data = data;
}

static void go_on(struct input *self)
{
    if (self->state != STATE_READING)
        return;
    self->due_us = clock_now_us();
    step(self);
}

void input_answer(struct input *self, const struct reader_answer *answer)
{
    reader_take(&self->reader, answer, self->sink->n_keys);
    go_on(self);
}

/* Characters that the guest has taken and not read did not arrive. */
static void fail_unread(struct input *self)
{
    struct input_result *result = &self->result;
    for (size_t i = 0; i < UNREAD_MAX && result->n_characters > 0; i++) {
        size_t at = (result->n_characters - 1) % UNREAD_MAX;
        if (self->typed[at].n_keys <= self->reader.n_seen)
            break;
        result->n_characters--;
        result->n_entered -= self->typed[at].is_entered;
    }
    error_set(&self->failure, ERROR_TIMEOUT, "the guest does not read its keyboard: %zu characters were read",
              result->n_characters);
}

void input_no_answer(struct input *self, bool is_stuck)
{
    reader_take_none(&self->reader, is_stuck);
    if (is_stuck && self->state == STATE_READING && !self->failure.is_set)
        fail_unread(self);
    go_on(self);
}

void input_release_all(struct input *self)
{
    input_cancel(self);
    held_release_all(&self->held, self->sink);
    sink_flush(self->sink, NULL, NULL);
}

/* --- For live.c -------------------------------------------------------------------------------- */

void input_inject(struct input *self, const struct step *s)
{
    if (s->kind != STEP_MOVE || self->width > 0)
        run_step(self, s);
}

int64_t input_wait_us(const struct input *self, const struct step *s)
{
    if (self->has_button)
        return s->kind == STEP_MOVE || s->code >= HELD_KEYS ? BUTTON_GAP_US : 0;
    return button_wait(self, s);
}

void input_flush(struct input *self, sink_done_fn done, void *data)
{
    sink_flush(self->sink, done, data);
}

struct input_flush *input_flush_new(struct input *self, sink_done_fn done, void *owner, uint64_t id)
{
    struct input_flush *flush = calloc(1, sizeof *flush);
    if (!flush)
        return NULL;
    flush->owner = owner;
    flush->id = id;
    list_append(&self->flushes, &flush->link);
    sink_flush(self->sink, done, flush);
    return flush;
}

void input_note_taken(struct input *self)
{
    if (self->has_button)
        self->button_us = clock_now_us();
    self->has_button = false;
}

bool input_screen(const struct input *self, int *ret_width, int *ret_height)
{
    *ret_width = self->width;
    *ret_height = self->height;
    return self->width > 0;
}

static void handle_reset(void *data, bool ok maybe_unused)
{
    struct input *self = data;
    self->n_resets--;
}

void input_reset(struct input *self)
{
    input_cancel(self);
    held_release_all(&self->held, self->sink);
    self->has_pointer = false;
    /* Most of these keys are not down: the guest drops their release. */
    for (uint16_t code = KEY_ESC; code < HELD_KEYS; code++) {
        if (self->sink->has_key(code))
            sink_key(self->sink, code, false);
    }
    for (int button = 0; button < BUTTON_COUNT; button++)
        sink_button(self->sink, (enum button)button, false);
    reader_reset(&self->reader, self->sink->n_keys);
    self->n_resets++;
    sink_flush(self->sink, handle_reset, self);
}

void input_lift(struct input *self, const uint16_t *held, size_t n)
{
    input_cancel(self);
    held_release_all(&self->held, self->sink);
    self->has_pointer = false;
    for (size_t i = n; i-- > 0;) {
        if (held[i] < HELD_KEYS && self->sink->has_key(held[i]))
            sink_key(self->sink, held[i], false);
        else if (held[i] >= HELD_KEYS && held[i] < HELD_COUNT)
            sink_button(self->sink, (enum button)(held[i] - HELD_KEYS), false);
    }
    reader_reset(&self->reader, self->sink->n_keys);
    self->n_resets++;
    sink_flush(self->sink, handle_reset, self);
}

size_t input_held(const struct input *self, uint16_t *ret, size_t max)
{
    size_t n = MIN(self->held.n_down, max);
    memcpy(ret, self->held.order, n * sizeof *ret);
    return n;
}

bool (*input_key_test(const struct input *self))(uint16_t code)
{
    return self->sink->has_key;
}
