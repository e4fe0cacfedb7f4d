/* The course of a turn: find the calls, write them, then read the batch's results back onto them.
 *
 * An index into the batch's actions ties the two ends: each call owns a run of actions, a result of the
 * batch names its action, and "failed_action" says where the batch ended. */
#include "dialect/write.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

const char *const dialect_names[] = { "anthropic", "openai", "gemini", "ui_tars", "osworld", NULL };
const char *const turn_images_names[] = { "auto", "call", "last", "asked", NULL };

static const struct dialect_impl *const impls[DIALECT_COUNT] = {
    [DIALECT_ANTHROPIC] = &dialect_anthropic, [DIALECT_OPENAI] = &dialect_openai,
    [DIALECT_GEMINI] = &dialect_gemini,       [DIALECT_UI_TARS] = &dialect_ui_tars,
    [DIALECT_OSWORLD] = &dialect_osworld,
};

int dialect_parse(const char *name, enum dialect *ret)
{
    for (int i = 0; i < DIALECT_COUNT; i++) {
        if (strcmp(name, dialect_names[i]) == 0) {
            *ret = (enum dialect)i;
            return 0;
        }
    }
    return -EINVAL;
}

/* --- Reading ----------------------------------------------------------------------------------- */

struct turn_call *turn_add_call(struct turn *self, const json_t *source, const char *name, struct error *err)
{
    if (self->n_calls == TURN_CALLS_MAX) {
        error_set(err, ERROR_TOO_LARGE, "more than %d calls in one turn", TURN_CALLS_MAX);
        return NULL;
    }
    struct turn_call *call = &self->calls[self->n_calls++];
    *call = (struct turn_call){ .source = source, .name = name ? name : "", .first = json_array_size(self->actions) };
    return call;
}

const json_t *turn_own(struct turn *self, json_t *value)
{
    if (!self->owned)
        self->owned = json_array();
    if (!value || !self->owned || json_array_append_new(self->owned, value) < 0)
        return NULL;
    return value;
}

/* The picture that a call is answered with. A call that ends with one of its own (zoom) has it. */
static void add_shots(struct turn *self)
{
    const struct dialect_impl *impl = impls[self->dialect];
    auto_json json_t *old = self->actions;
    self->actions = json_array();
    for (size_t i = 0; i < self->n_calls && self->actions; i++) {
        struct turn_call *call = &self->calls[i];
        size_t first = call->first, n = call->n;
        bool is_last = i + 1 == self->n_calls, wants = call->is_asked;
        call->first = json_array_size(self->actions);
        for (size_t k = 0; k < n; k++)
            json_array_append(self->actions, json_array_get(old, first + k));
        switch (self->options.images) {
        case TURN_IMAGES_AUTO: wants |= impl->wants_shot(self, call, is_last); break;
        case TURN_IMAGES_CALL: wants = true; break;
        case TURN_IMAGES_LAST: wants |= is_last; break;
        default: break;
        }
        struct error ignored;
        struct write w = { self, call, NULL, &ignored };
        if (wants && !call->has_shot && !call->err.is_set && !call->is_end)
            write_shot(&w);
    }
}

int turn_new(struct turn **ret, enum dialect dialect, const json_t *said, const struct turn_options *options,
             struct error *err)
{
    struct turn *self = calloc(1, sizeof *self);
    if (!self)
        return error_errno(err, ENOMEM, "reading a turn");
    *self = (struct turn){ .dialect = dialect, .options = *options, .said = said, .image = options->image };
    if (!self->image.width || !self->image.height)
        self->image = turn_image_size(dialect, options->tool, options->screen);
    self->space = "image";
    self->actions = json_array();
    self->calls = calloc(TURN_CALLS_MAX, sizeof *self->calls);
    int r = self->actions && self->calls ? impls[dialect]->read(self, err) : error_errno(err, ENOMEM, "reading a turn");
    if (r == 0 && self->n_calls == 0)
        r = error_set(err, ERROR_BAD_VALUE, "no action of the dialect %s is in this", dialect_names[dialect]);
    if (r < 0) {
        turn_free(self);
        return r;
    }
    if (options->space)
        self->space = options->space;
    add_shots(self);
    *ret = self;
    return 0;
}

struct turn *turn_free(struct turn *self)
{
    if (self) {
        json_decref(self->owned);
        json_decref(self->actions);
        free(self->calls);
        free(self);
    }
    return NULL;
}

json_t *turn_request(const struct turn *self)
{
    json_t *request = json_pack("{sO sb sb}", "actions", self->actions, "partial", 1, "screenshot", 0);
    if (!request)
        return NULL;
    bool is_image = strcmp(self->space, "image") == 0;
    json_object_set_new(request, "space", json_string(is_image ? "frame" : self->space));
    if (is_image)
        json_object_set_new(request, "image", json_sprintf("%dx%d", self->image.width, self->image.height));
    return request;
}

json_t *turn_shot_request(const struct turn *self)
{
    return json_pack("{s[{ss si si ss si}] sb}", "actions", "type", "screenshot", "width", self->image.width, "height",
                     self->image.height, "format", self->options.format ? self->options.format : "png", "quality",
                     self->options.quality ? self->options.quality : 85, "screenshot", 0);
}

/* --- Answering --------------------------------------------------------------------------------- */

/* "actions[3] (click): x is …" without what only we know. */
static const char *strip(const char *message)
{
    if (strncmp(message, "actions[", 8) != 0)
        return message;
    const char *end = strstr(message, ": ");
    const char *field = strchr(message, ']');
    /* "actions[3].keys: unknown key": the field's name is ours, but it tells something. */
    if (field && field[1] == '.')
        return field + 2;
    return end ? strip(end + 2) : message;
}

static const json_t *result_of(const json_t *body, size_t action)
{
    const json_t *results = json_object_get(body, "results");
    for (size_t i = 0; i < json_array_size(results); i++) {
        const json_t *result = json_array_get(results, i);
        if (json_get_int(result, "index", -1) == (int64_t)action)
            return result;
    }
    return NULL;
}

static enum outcome outcome_of(const struct turn *self, const json_t *body, const struct error *failure, size_t at,
                               const char **message)
{
    const struct turn_call *call = &self->calls[at];
    int64_t failed = failure ? json_get_int(body, "failed_action", -1) : -1;
    if (failure && (failed < 0 || failed < (int64_t)call->first))
        return OUTCOME_SKIPPED;
    if (failure && failed < (int64_t)(call->first + call->n)) {
        *message = strip(failure->message);
        return OUTCOME_FAILED;
    }
    for (size_t i = 0; i < at; i++)
        if (self->calls[i].err.is_set)
            return OUTCOME_SKIPPED;
    *message = call->err.message;
    return call->err.is_set ? OUTCOME_FAILED : OUTCOME_DONE;
}

void turn_look(const struct turn *self, const json_t *body, const struct error *failure, size_t at,
               struct turn_outcome *ret)
{
    const struct turn_call *call = &self->calls[at];
    *ret = (struct turn_outcome){ 0 };
    ret->outcome = outcome_of(self, body, failure, at, &ret->message);
    if (ret->outcome != OUTCOME_DONE || call->n == 0)
        return;
    for (size_t i = 0; i < call->n; i++) {
        const json_t *result = result_of(body, call->first + i);
        const json_t *image = json_object_get(result, "image");
        if (image)
            ret->image = image;
        if (json_object_get(result, "native")) {
            ret->has_point = true;
            ret->x = json_get_number(result, "x", 0);
            ret->y = json_get_number(result, "y", 0);
            ret->native = json_object_get(result, "native");
        }
    }
}

const char *turn_mime(const json_t *image)
{
    const char *format = json_get_string(image, "format", "png");
    return strcmp(format, "jpeg") == 0 ? "image/jpeg" : strcmp(format, "webp") == 0 ? "image/webp" : "image/png";
}

json_t *turn_data_url(const json_t *image)
{
    auto_buf struct buf url = BUF_INIT;
    buf_printf(&url, "data:%s;base64,%s", turn_mime(image), json_get_string(image, "data", ""));
    return json_string(buf_str(&url));
}

json_t *turn_trouble(const struct turn_outcome *outcome)
{
    if (outcome->outcome == OUTCOME_SKIPPED)
        return json_string("Not executed: an earlier action of this turn failed.");
    return json_string(outcome->message && *outcome->message ? outcome->message : "The action failed.");
}

bool turn_lacks_image(const struct turn *self, const json_t *body, const struct error *failure)
{
    struct turn_outcome outcome;
    for (size_t i = 0; i < self->n_calls && impls[self->dialect]->shows_failures; i++) {
        turn_look(self, body, failure, i, &outcome);
        if (outcome.outcome != OUTCOME_DONE)
            return true;
    }
    return false;
}

json_t *turn_answer(const struct turn *self, const json_t *body, const struct error *failure, const json_t *image)
{
    return impls[self->dialect]->answer(self, body, failure, image);
}

json_t *turn_report(const struct turn *self, const json_t *body, const struct error *failure)
{
    static const char *const names[] = { "done", "failed", "not_executed" };
    json_t *report = json_array();
    for (size_t i = 0; i < self->n_calls; i++) {
        struct turn_outcome outcome;
        turn_look(self, body, failure, i, &outcome);
        json_t *row = json_pack("{ss ss}", "call", self->calls[i].name, "outcome", names[outcome.outcome]);
        if (outcome.outcome == OUTCOME_FAILED)
            json_object_set_new(row, "message", turn_trouble(&outcome));
        json_array_append_new(report, row);
    }
    return report;
}

json_t *turn_tools(enum dialect dialect, const char *tool, struct turn_size screen, struct turn_size image)
{
    if (!image.width || !image.height)
        image = turn_image_size(dialect, tool, screen);
    json_t *tools = impls[dialect]->tools(tool, image);
    return tools ? json_pack("{so s{si si}}", "tools", tools, "image", "width", image.width, "height", image.height)
                 : NULL;
}
