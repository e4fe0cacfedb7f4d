#include "farm/track.h"

#include "base/clock.h"
#include "farm/sandbox-impl.h"
#include "stream/recorder.h"

#include <string.h>

struct step {
    int64_t before, after; /* frame ids; 0: none */
    int64_t injected_us;   /* of its first event; 0: none yet */
};

struct track {
    struct sandbox *sandbox;
    json_t *actions, *by; /* actions: with secrets taken out */
    json_t *space, *image, *dialect;
    char id[ID_MAX];
    size_t n, n_begun;
    struct step steps[];
};

static json_t *redact(const json_t *action)
{
    json_t *copy = json_copy((json_t *)(uintptr_t)action);
    if (json_get_bool(copy, "secret", false)) {
        json_object_set_new(copy, "text", json_null());
        json_object_set_new(copy, "redacted", json_true());
    }
    return copy;
}

struct track *track_new(struct sandbox *sandbox, const json_t *request)
{
    const json_t *actions = json_object_get(request, "actions");
    size_t n = json_array_size(actions);
    struct track *self = sandbox->recorder ? calloc(1, sizeof *self + n * sizeof *self->steps) : NULL;
    if (!self)
        return NULL;
    self->sandbox = sandbox;
    self->n = n;
    self->actions = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(self->actions, redact(json_array_get(actions, i)));
    self->by = json_incref(json_object_get(request, "by"));
    self->space = json_incref(json_object_get(request, "space"));
    self->image = json_incref(json_object_get(request, "image"));
    self->dialect = json_incref(json_object_get(request, "dialect"));
    id_new("ba-", self->id);
    return self;
}

struct track *track_free(struct track *self)
{
    if (self) {
        json_decref(self->actions);
        json_decref(self->by);
        json_decref(self->space);
        json_decref(self->image);
        json_decref(self->dialect);
        free(self);
    }
    return NULL;
}

static int64_t name_current(struct track *self)
{
    struct frame *frame = display_frame(self->sandbox->display);
    if (!frame)
        return 0;
    recorder_keep(self->sandbox->recorder, frame);
    return frame->id;
}

static void end_step(struct track *self)
{
    if (self->n_begun > 0 && !self->steps[self->n_begun - 1].after)
        self->steps[self->n_begun - 1].after = name_current(self);
}

void track_begin(struct track *self, size_t i)
{
    if (!self || i >= self->n)
        return;
    end_step(self);
    self->n_begun = i + 1;
    self->steps[i].before = name_current(self);
}

void track_injected(struct track *self, size_t i, int64_t now_us)
{
    if (!self || i >= self->n || self->steps[i].injected_us)
        return;
    self->steps[i].injected_us = now_us;
    self->steps[i].before = name_current(self);
}

/* One that was captured before the first event and is published after it. */
void track_frame(struct track *self, size_t i, struct frame *frame)
{
    if (!self || i >= self->n || frame->captured_us > self->steps[i].injected_us)
        return;
    self->steps[i].before = frame->id;
    recorder_keep(self->sandbox->recorder, frame);
}

static json_t *to_json(const struct track *self, const json_t *result, size_t i)
{
    const struct step *step = &self->steps[i];
    json_t *out = json_pack("{ss si sO}", "batch", self->id, "index", (int)i, "action",
                            json_array_get(self->actions, i));
    if (!out)
        return NULL;
    const char *key;
    json_t *value;
    if (step->injected_us && !result)
        json_object_set_new(out, "injected_us", json_pack("[I]", (json_int_t)step->injected_us));
    json_object_foreach((json_t *)(uintptr_t)result, key, value)
        if (strcmp(key, "image") != 0 && strcmp(key, "index") != 0)
            json_object_set(out, key, value);
    if (self->by)
        json_object_set(out, "by", self->by);
    if (self->space)
        json_object_set(out, "space", self->space);
    if (self->image)
        json_object_set(out, "image", self->image);
    if (self->dialect && i == 0) /* what was said became the whole batch */
        json_object_set(out, "dialect", self->dialect);
    const json_t *image = json_object_get(result, "image");
    if (image)
        json_object_set(out, "shown", json_object_get(image, "frame"));
    json_object_set_new(out, "before", json_integer((json_int_t)step->before));
    json_object_set_new(out, "after", json_integer((json_int_t)step->after));
    return out;
}

static void add_outcome(const struct track *self, json_t *record, size_t i, const char *outcome,
                        const json_t *settle, const struct error *err)
{
    bool is_secret = json_get_bool(json_array_get(self->actions, i), "redacted", false);
    json_object_set_new(record, "outcome", json_string(outcome));
    if (err)
        json_object_set_new(record, "error",
                            json_pack("{ss ss}", "code", error_code_name(err->code), "message",
                                      is_secret ? "" : err->message));
    if (!settle)
        return;
    json_object_set(record, "settle", (json_t *)(uintptr_t)settle);
    const json_t *waited = json_object_get(settle, "waited_ms");
    if (json_is_number(waited) && self->steps[i].injected_us)
        json_object_set_new(record, "settled_us",
                            json_integer((json_int_t)(self->steps[i].injected_us +
                                                      json_number_value(waited) * 1000)));
}

void track_write(struct track *self, const json_t *results, const json_t *settle, size_t settled,
                 const struct error *err)
{
    if (!self)
        return;
    end_step(self);
    for (size_t i = 0; i < self->n_begun; i++) {
        const json_t *result = json_array_get(results, i);
        auto_json json_t *record = to_json(self, result, i);
        auto_buf struct buf text = BUF_INIT;
        /* Results come in order; a failure is of the last that was begun. */
        bool is_last = i == self->n_begun - 1;
        const char *outcome = is_last && err ? "failed" : result ? "done" : "cancelled";
        if (!record)
            continue;
        add_outcome(self, record, i, outcome, i == settled ? settle : NULL, is_last ? err : NULL);
        if (json_write(record, &text) == 0)
            recorder_write(self->sandbox->recorder, RECORD_ACTION, 0, text.data, text.size);
    }
}
