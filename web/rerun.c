/* A chain of operations on the sandbox and questions about its recording, one at a time; each callback begins the
 * next. Both screens are read from recordings, so both stay to be looked at. */
#define LOG_MODULE "rerun"
#include "web/rerun.h"

#include "base/clock.h"
#include "base/id.h"
#include "base/list.h"
#include "base/log.h"
#include "farm/recording.h"
#include "farm/sandbox.h"
#include "replay/query.h"

#include <stdio.h>
#include <string.h>

#define POLL_US 100000
#define BOOT_US ((int64_t)300000000)
#define UP_MS 180000
#define LEASE_S 3600
#define SWEEP_US 60000000
#define LOOK_MS 500 /* of patience at a time */

enum rerun_state { RERUN_STARTING, RERUN_RUNNING, RERUN_DONE, RERUN_FAILED, RERUN_CANCELLED };
static const char *const state_names[] = { "starting", "running", "done", "failed", "cancelled" };

struct reruns {
    struct loop *loop;
    struct farm *farm;
    struct list all;
    int n;
    struct timer *sweep;
};

struct rerun {
    struct list link;
    struct reruns *owner;
    char id[ID_MAX], recording[ID_MAX], sandbox[ID_MAX], again[ID_MAX]; /* again: the recording of this run */
    struct principal who;
    enum rerun_state state;
    struct error err;
    bool is_paced, keeps, goes_on; /* as recorded; the sandbox stays; past a difference */
    int64_t patience_us, max_pixels;
    json_t *mask, *secrets;
    json_t *batches, *steps, *difference;
    size_t at;             /* batches that were sent */
    int64_t begun_us, boot_until_us, ended_us;
    int64_t looked_until_us; /* patience with this step's screen */
    int64_t frame;         /* the sandbox's, as last told */
    struct op *op;
    struct query *query;
    struct timer *timer;
    void (*on_timer)(struct rerun *self);
};

/* --- Ends ------------------------------------------------------------------------------------- */

static struct sandbox *find_sandbox(struct rerun *self, struct error *err)
{
    return farm_find(self->owner->farm, &self->who, self->sandbox, err);
}

static void end(struct rerun *self, enum rerun_state state)
{
    self->state = state;
    self->ended_us = clock_now_us();
    op_cancel(self->op);
    self->op = NULL;
    self->query = query_cancel(self->query);
    timer_stop(self->timer);
    json_decref(self->secrets);
    self->secrets = NULL;
    struct sandbox *sandbox = *self->sandbox && !self->keeps ? find_sandbox(self, NULL) : NULL;
    if (sandbox)
        sandbox_delete(sandbox, NULL, NULL);
}

static void fail(struct rerun *self, const struct error *err)
{
    self->err = *err;
    self->err.is_set = true;
    log_info("%s: %s", self->id, err->message);
    end(self, RERUN_FAILED);
}

static void handle_timer(void *data)
{
    struct rerun *self = data;
    self->on_timer(self);
}

static void after(struct rerun *self, int64_t delay_us, void (*fn)(struct rerun *self))
{
    self->on_timer = fn;
    timer_start(self->timer, MAX(delay_us, 0));
}

/* --- Operations and questions ------------------------------------------------------------------ */

typedef struct op *(*ask_fn)(struct sandbox *, const json_t *, answer_fn, void *, struct error *);

/* Takes request. */
static void ask(struct rerun *self, ask_fn start, json_t *request, answer_fn done)
{
    struct error err = { 0 };
    struct sandbox *sandbox = find_sandbox(self, &err);
    self->op = sandbox ? start(sandbox, request, done, self, &err) : NULL;
    json_decref(request);
    if (!self->op)
        fail(self, &err);
}

/* Takes what the answer holds. False: it was an error. */
static bool take(struct rerun *self, struct answer *answer, struct error *err)
{
    self->op = NULL;
    self->frame = json_get_int(answer->body, "frame", self->frame);
    json_decref(answer->body);
    bytes_unref(answer->image);
    *err = answer->err;
    return !answer->err.is_set;
}

static void question(struct rerun *self, enum query_kind kind, const json_t *dirs, const json_t *options, query_fn fn)
{
    struct error err = { 0 };
    auto_free char *dir = farm_recording_dir(self->owner->farm, &self->who, self->recording, &err);
    struct query_params params = { .kind = kind, .dir = dir, .dirs = dirs, .options = options };
    self->query = dir ? query_start(farm_pool(self->owner->farm), &params, fn, self) : NULL;
    if (self->query)
        return;
    if (dir)
        error_set(&err, ERROR_INTERNAL, "out of memory");
    fail(self, &err);
}

/* --- Comparing -------------------------------------------------------------------------------- */

static void go_on(struct rerun *self);
static void look_again(struct rerun *self);

/* Frames that the screen may be after the step: before the first batch there is one. */
static json_t *frames_of(const struct rerun *self)
{
    return self->at ? json_object_get(json_array_get(self->batches, self->at - 1), "frames")
                    : json_object_get(json_array_get(self->batches, 0), "begin");
}

static void add_step(struct rerun *self, const json_t *compared)
{
    const json_t *batch = self->at ? json_array_get(self->batches, self->at - 1) : NULL;
    int64_t pixels = json_get_int(compared, "pixels", 0);
    json_t *step = json_pack("{si sb sI sO sI}", "step", (int)self->at, "equal", pixels <= self->max_pixels, "pixels",
                             (json_int_t)pixels, "frame", json_object_get(compared, "frame"), "again_frame",
                             (json_int_t)self->frame);
    if (batch)
        json_object_set(step, "action", json_object_get(batch, "first"));
    if (pixels > 0)
        json_object_set_new(step, "region", json_pack("{sO sO sO sO}", "x", json_object_get(compared, "x"), "y",
                                                      json_object_get(compared, "y"), "width",
                                                      json_object_get(compared, "width"), "height",
                                                      json_object_get(compared, "height")));
    json_array_append_new(self->steps, step);
    if (pixels > self->max_pixels && !self->difference)
        self->difference = json_incref(step);
}

static void handle_compared(void *data, struct query_answer *answer, const struct error *err)
{
    struct rerun *self = data;
    auto_json json_t *compared = answer->json;
    self->query = NULL;
    if (err) {
        fail(self, err);
        return;
    }
    bool is_equal = json_get_int(compared, "pixels", 0) <= self->max_pixels;
    if (!is_equal && clock_now_us() < self->looked_until_us) {
        look_again(self);
        return;
    }
    add_step(self, compared);
    go_on(self);
}

static void compare(struct rerun *self)
{
    struct error err = { 0 };
    auto_free char *a = farm_recording_dir(self->owner->farm, &self->who, self->recording, &err);
    auto_free char *b = a ? farm_recording_dir(self->owner->farm, &self->who, self->again, &err) : NULL;
    if (!b) {
        fail(self, &err);
        return;
    }
    auto_json json_t *dirs = json_pack("{ss ss}", "a", a, "b", b);
    auto_json json_t *options = json_pack("{sO sI sO*}", "frames", frames_of(self), "frame", (json_int_t)self->frame,
                                          "mask", self->mask);
    question(self, QUERY_COMPARE, dirs, options, handle_compared);
}

static void handle_looked(void *data, struct answer *answer)
{
    struct rerun *self = data;
    struct error err;
    if (take(self, answer, &err) || err.code == ERROR_TIMEOUT)
        compare(self);
    else
        fail(self, &err);
}

static void look_again(struct rerun *self)
{
    ask(self, sandbox_wait,
        json_pack("{ss sI si}", "for", "change", "since", (json_int_t)self->frame, "max_ms", LOOK_MS), handle_looked);
}

static void begin_compare(struct rerun *self)
{
    self->looked_until_us = clock_now_us() + self->patience_us;
    compare(self);
}

/* --- Sending ---------------------------------------------------------------------------------- */

static void look_now(struct rerun *self)
{
    ask(self, sandbox_wait, json_pack("{ss si si}", "for", "settled", "quiet_ms", 0, "max_ms", 1), handle_looked);
}

/* At the recorded pace the screen is looked at when the next batch is due; behind the last one it settles. */
static void handle_sent(void *data, struct answer *answer)
{
    struct rerun *self = data;
    struct error err;
    if (!take(self, answer, &err)) {
        error_wrap(&err, "step %zu", self->at);
        fail(self, &err);
        return;
    }
    self->looked_until_us = clock_now_us() + self->patience_us;
    const json_t *next = self->is_paced ? json_array_get(self->batches, self->at) : NULL;
    if (!next) {
        compare(self);
        return;
    }
    const json_t *first = json_array_get(self->batches, 0);
    int64_t due_us = self->begun_us + json_get_int(next, "at_us", 0) - json_get_int(first, "at_us", 0);
    self->looked_until_us = MAX(due_us, clock_now_us()) + self->patience_us;
    after(self, due_us - clock_now_us(), look_now);
}

static void send_batch(struct rerun *self)
{
    const json_t *batch = json_array_get(self->batches, self->at);
    bool is_last = self->at + 1 == json_array_size(self->batches);
    json_t *request = json_deep_copy(json_object_get(batch, "request"));
    json_object_set_new(request, "screenshot", json_false());
    if (self->is_paced && !is_last)
        json_object_set_new(request, "settle", json_false());
    json_object_set_new(request, "queue_ms", json_integer(10000));
    json_object_set_new(request, "by", json_pack("{ss ss}", "key", self->who.key_id, "dialect", "rerun"));
    if (self->at == 0)
        self->begun_us = clock_now_us();
    self->at++;
    ask(self, sandbox_act, request, handle_sent);
}

static void go_on(struct rerun *self)
{
    bool is_over = self->at == json_array_size(self->batches) || (self->difference && !self->goes_on);
    if (is_over)
        end(self, RERUN_DONE);
    else
        send_batch(self);
}

/* --- The sandbox ------------------------------------------------------------------------------ */

static void handle_up(void *data, struct answer *answer)
{
    struct rerun *self = data;
    struct error err;
    bool is_up = take(self, answer, &err);
    struct sandbox *found = is_up ? find_sandbox(self, &err) : NULL;
    if (!found) {
        fail(self, &err);
        return;
    }
    auto_json json_t *sandbox = sandbox_json(found);
    snprintf(self->again, sizeof self->again, "%s",
             json_get_string(json_object_get(sandbox, "recording"), "id", ""));
    self->state = RERUN_RUNNING;
    begin_compare(self);
}

static void wait_running(struct rerun *self)
{
    struct error err = { 0 };
    struct sandbox *sandbox = find_sandbox(self, &err);
    enum sandbox_state state = sandbox ? sandbox_get_state(sandbox) : SANDBOX_FAILED;
    if (sandbox && state == SANDBOX_RUNNING) {
        ask(self, sandbox_wait, json_pack("{ss si}", "for", "up", "max_ms", UP_MS), handle_up);
        return;
    }
    if (sandbox && state == SANDBOX_PENDING && clock_now_us() < self->boot_until_us) {
        after(self, POLL_US, wait_running);
        return;
    }
    if (sandbox)
        error_set(&err, ERROR_TIMEOUT, "sandbox %s is %s", self->sandbox, sandbox_state_name(state));
    fail(self, &err);
}

static void make_sandbox(struct rerun *self)
{
    struct error err = { 0 };
    struct farm *farm = self->owner->farm;
    struct sandbox *sandbox = NULL;
    auto_json json_t *request = farm_recording_again(farm, &self->who, self->recording, &err);
    json_object_set_new(request, "recording", json_true());
    json_object_set_new(request, "timeout", json_integer(LEASE_S));
    json_object_set_new(request, "metadata", json_pack("{ss ss}", "rerun", self->id, "rerun_of", self->recording));
    if (!request || farm_create(farm, &self->who, request, &sandbox, &err) < 0) {
        fail(self, &err);
        return;
    }
    snprintf(self->sandbox, sizeof self->sandbox, "%s", sandbox_id(sandbox));
    self->boot_until_us = clock_now_us() + BOOT_US;
    after(self, 0, wait_running);
}

/* The frame before the first action is what the run begins with. */
static void note_begin(struct rerun *self, const json_t *items)
{
    json_t *batch = json_array_get(self->batches, 0), *note;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)items, i, note)
        if (strcmp(json_get_string(note, "id", ""), json_get_string(batch, "first", "?")) == 0)
            json_object_set_new(batch, "begin", json_pack("[O]", json_object_get(note, "before")));
}

static void handle_actions(void *data, struct query_answer *answer, const struct error *query_err)
{
    struct rerun *self = data;
    struct error err = { 0 };
    auto_json json_t *found = answer->json;
    const json_t *items = json_object_get(found, "items");
    self->query = NULL;
    if (!query_err)
        self->batches = rerun_plan(items, self->secrets, &err);
    if (!self->batches) {
        fail(self, query_err ? query_err : &err);
        return;
    }
    note_begin(self, items);
    make_sandbox(self);
}

/* --- All of them ------------------------------------------------------------------------------ */

static void forget(struct rerun *self)
{
    list_remove(&self->link);
    self->owner->n--;
    timer_free(self->timer);
    json_decref(self->mask);
    json_decref(self->secrets);
    json_decref(self->batches);
    json_decref(self->steps);
    json_decref(self->difference);
    free(self);
}

static void handle_sweep(void *data)
{
    struct reruns *self = data;
    struct rerun *it, *next;
    list_for_each_safe(it, next, &self->all, link)
        if (it->ended_us && clock_now_us() > it->ended_us + RERUNS_KEPT_US)
            forget(it);
    if (self->n > 0)
        timer_start(self->sweep, SWEEP_US);
}

struct reruns *reruns_new(struct loop *loop, struct farm *farm)
{
    struct reruns *self = calloc(1, sizeof *self);
    if (!self)
        return NULL;
    *self = (struct reruns){ .loop = loop, .farm = farm, .sweep = timer_new(loop, handle_sweep, self) };
    list_init(&self->all);
    return self->sweep ? self : reruns_free(self);
}

/* The daemon leaves: what runs is given up, its sandbox goes with its lease. */
struct reruns *reruns_free(struct reruns *self)
{
    if (!self)
        return NULL;
    while (!list_empty(&self->all)) {
        struct rerun *it = list_first(&self->all, struct rerun, link);
        op_cancel(it->op);
        query_cancel(it->query);
        forget(it);
    }
    timer_free(self->sweep);
    free(self);
    return NULL;
}

struct rerun *rerun_start(struct reruns *self, const struct principal *who, const char *recording, const json_t *body,
                          struct error *err)
{
    auto_json json_t *known = farm_recording(self->farm, who, recording, err);
    struct rerun *it = NULL;
    if (!known)
        return NULL;
    if (self->n >= RERUNS_MAX) {
        error_set(err, ERROR_QUOTA, "%d reruns are under way or kept; delete one, or wait an hour", self->n);
        return NULL;
    }
    it = calloc(1, sizeof *it);
    struct timer *timer = it ? timer_new(self->loop, handle_timer, it) : NULL;
    if (!timer) {
        free(it);
        error_set(err, ERROR_INTERNAL, "out of memory");
        return NULL;
    }
    *it = (struct rerun){
        .owner = self, .who = *who, .timer = timer, .steps = json_array(),
        .is_paced = strcmp(json_get_string(body, "pace", "settled"), "recorded") == 0,
        .keeps = json_get_bool(body, "keep", false), .goes_on = json_get_bool(body, "go_on", false),
        .patience_us = json_get_int(body, "patience_ms", 2000) * 1000,
        .max_pixels = json_get_int(body, "max_pixels", 0),
        .mask = json_incref(json_object_get(body, "mask")), .secrets = json_incref(json_object_get(body, "secrets")),
    };
    id_new("rr-", it->id);
    snprintf(it->recording, sizeof it->recording, "%s", recording);
    list_init(&it->link);
    list_append(&self->all, &it->link);
    self->n++;
    timer_start(self->sweep, SWEEP_US);
    auto_json json_t *options = json_pack("{ss}", "kind", "action");
    question(it, QUERY_NOTES, NULL, options, handle_actions);
    return it;
}

struct rerun *rerun_find(struct reruns *self, const struct principal *who, const char *id, struct error *err)
{
    struct rerun *it;
    list_for_each(it, &self->all, link)
        if (strcmp(it->id, id) == 0 && (who->role == ROLE_ADMIN || strcmp(it->who.key_id, who->key_id) == 0))
            return it;
    error_set(err, ERROR_NOT_FOUND, "no rerun %.40s, or not any more", id);
    return NULL;
}

json_t *rerun_json(const struct rerun *self)
{
    size_t n = json_array_size(self->batches);
    json_t *out = json_pack("{ss ss ss ss ss ss sf sO sO?}", "id", self->id, "recording", self->recording, "state",
                            state_names[self->state], "sandbox", self->sandbox, "again", self->again, "pace",
                            self->is_paced ? "recorded" : "settled", "progress",
                            self->state == RERUN_DONE ? 1.0 : n ? (double)self->at / (double)(n + 1) : 0.0, "steps",
                            self->steps, "difference", self->difference);
    if (out && self->err.is_set)
        json_object_set_new(out, "error", json_pack("{ss ss}", "code", error_code_name(self->err.code), "message",
                                                    self->err.message));
    return out;
}

void rerun_delete(struct rerun *self)
{
    if (!self->ended_us)
        end(self, RERUN_CANCELLED);
    forget(self);
}
