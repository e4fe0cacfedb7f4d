/* By the helper's keymap it is one request, which ends when the focused window has read the text.
 *
 * By the clipboard it is a chain: what the clipboard holds is taken, the text is put there, the chord that pastes
 * is pressed, and when the focused program has taken the text, the old content comes back. Whatever fails on the
 * way, and a caller who goes, comes to that last step. Kept is a text or a picture of at most KEPT_MAX; other
 * kinds of content, and who owned them, are lost.
 *
 * That the program has taken the text is what the helper sees of its clipboard (images/agent/desktop/clipboard.c).
 * One that cannot count gets QUIET_US instead, and the text counts as not confirmed; so it does when only another
 * program took it, such as one that keeps clipboards. */
#include "farm/typing.h"

#include "farm/helper.h"
#include "farm/sandbox-impl.h"
#include "input/text.h"

#include <errno.h>
#include <string.h>

#define HELPER_US 20000000
#define CHARACTER_US 200000 /* that the helper may take for one, on a slow machine */
#define TEXT_US 600000000
#define QUIET_US 700000
#define KEPT_MAX (4 * 1024 * 1024)

struct typing {
    struct sandbox *sandbox;
    struct bytes *text;
    size_t n; /* characters of it */
    bool press_enter;
    struct chord paste_keys;
    struct typed typed;
    struct error failure;
    typing_done_fn done;
    void *data;

    struct helper_call *call; /* under way, or NULL */
    struct timer *timer;
    bool is_pressing; /* keys of ours are being played */
    bool is_lent;     /* the clipboard has the text: it must be given back */
    bool is_giving;   /* that is under way */
    bool is_closed;
    const char *kept_type; /* "text", "image"; NULL: there was nothing */
    struct bytes *kept;
    bool can_count;
    int64_t n_reads, n_others; /* before the chord */
};

static void give_back(struct typing *self);

struct typing *typing_free(struct typing *self)
{
    if (!self)
        return NULL;
    helper_call_cancel(self->call);
    timer_free(self->timer);
    bytes_unref(self->text);
    bytes_unref(self->kept);
    free(self);
    return NULL;
}

static void finish(struct typing *self)
{
    self->done(self->data, &self->typed, self->failure.is_set ? &self->failure : NULL);
    typing_free(self);
}

/* Keeps the first failure. */
static void note_failure(struct typing *self, const struct error *err)
{
    if (err && !self->failure.is_set) {
        self->failure = *err;
        self->failure.is_set = true;
    }
}

static int call(struct typing *self, const char *name, json_t *request, struct bytes *input, int64_t timeout_us,
                helper_done_fn done)
{
    struct error err = { 0 };
    self->call = helper_call_new(self->sandbox, name, request, input, timeout_us, done, self, &err);
    if (!self->call)
        note_failure(self, &err);
    return self->call ? 0 : -EIO;
}

static size_t count_characters(const struct action *action)
{
    size_t n = 0;
    uint32_t c;
    for (size_t at = 0; at < action->text_size; n++)
        at += (size_t)MAX(text_next(action->text + at, action->text_size - at, &c), 1);
    return n;
}

/* --- By the helper's keymap ----------------------------------------------------------------------- */

static void handle_typed(void *data, const json_t *typed, struct buf *output maybe_unused, const struct error *err)
{
    struct typing *self = data;
    self->call = NULL;
    note_failure(self, err);
    self->typed.n_characters = (size_t)MAX(json_get_int(typed, "characters", 0), 0);
    self->typed.is_confirmed = json_get_bool(typed, "confirmed", false);
    if (!err && !json_get_bool(typed, "whole", true))
        error_set(&self->failure, ERROR_TIMEOUT, "the focused window has read %zu of %zu characters",
                  self->typed.n_characters, self->n + self->press_enter);
    finish(self);
}

static int begin_typing(struct typing *self, int64_t delay_us)
{
    struct bytes *text = bytes_new(self->text->size + 1);
    if (!text)
        return error_errno(&self->failure, ENOMEM, "typing");
    memcpy(text->data, self->text->data, self->text->size);
    text->data[self->text->size] = '\n';
    text->size = self->text->size + self->press_enter;
    int64_t limit_us = HELPER_US + MIN((int64_t)text->size * (CHARACTER_US + delay_us), TEXT_US);
    int r = call(self, "type", json_pack("{s:I}", "delay_us", (json_int_t)delay_us), text, limit_us, handle_typed);
    bytes_unref(text);
    return r;
}

/* --- By the clipboard ----------------------------------------------------------------------------- */

static void handle_given_back(void *data, const json_t *result maybe_unused, struct buf *output maybe_unused,
                              const struct error *err)
{
    struct typing *self = data;
    self->call = NULL;
    if (!self->is_closed)
        note_failure(self, err);
    finish(self);
}

/* Nothing at all can only be written as an empty text. */
static void give_back(struct typing *self)
{
    json_t *request = json_pack("{s:s}", "type", self->kept_type ? self->kept_type : "text");
    self->is_giving = true;
    bool is_begun = self->is_lent && call(self, "clipboard.set", request, self->kept, HELPER_US, handle_given_back) == 0;
    if (!self->is_lent)
        json_decref(request);
    if (!is_begun)
        finish(self);
}

static void press(struct typing *self, struct chord *chord, input_done_fn done)
{
    struct sandbox *sandbox = self->sandbox;
    struct action action = { .type = ACTION_KEY, .keys = { chord, 1 }, .repeat = 1 };
    struct space space = { .kind = SPACE_NATIVE, .width = 1, .height = 1 };
    struct error err = { 0 };
    if (display_frame(sandbox->display)) {
        space.width = display_frame(sandbox->display)->width;
        space.height = display_frame(sandbox->display)->height;
    }
    self->is_pressing = input_play(sandbox->input, &action, &space, done, self, &err) == 0;
    if (!self->is_pressing) {
        note_failure(self, &err);
        give_back(self);
    }
}

static void handle_entered(void *data, const struct input_result *result maybe_unused, const struct error *err)
{
    struct typing *self = data;
    self->is_pressing = false;
    note_failure(self, err);
    give_back(self);
}

static void end_paste(struct typing *self)
{
    struct chord enter;
    bool has_enter = self->press_enter && !self->failure.is_set && chord_parse(&enter, "Return", strlen("Return"), NULL) == 0;
    if (has_enter)
        press(self, &enter, handle_entered);
    else
        give_back(self);
}

static void handle_taken(void *data, const json_t *result, struct buf *output maybe_unused, const struct error *err)
{
    struct typing *self = data;
    self->call = NULL;
    note_failure(self, err);
    self->typed.is_confirmed = json_get_int(result, "reads", self->n_reads) != self->n_reads;
    bool is_taken = self->typed.is_confirmed || json_get_int(result, "others", self->n_others) != self->n_others;
    if (!err && !is_taken)
        error_set(&self->failure, ERROR_TIMEOUT, "no program took the text from the clipboard");
    self->typed.n_characters = is_taken ? self->n : 0;
    end_paste(self);
}

static void handle_quiet(void *data)
{
    struct typing *self = data;
    self->typed.n_characters = self->n;
    end_paste(self);
}

static void handle_pressed(void *data, const struct input_result *result maybe_unused, const struct error *err)
{
    struct typing *self = data;
    self->is_pressing = false;
    note_failure(self, err);
    if (err || self->is_closed)
        give_back(self);
    else if (!self->can_count)
        timer_start(self->timer, QUIET_US);
    else if (call(self, "clipboard.reads", json_pack("{s:I}", "seen", (json_int_t)self->n_reads), NULL, HELPER_US,
                  handle_taken) < 0)
        give_back(self);
}

static void handle_counted(void *data, const json_t *result, struct buf *output maybe_unused, const struct error *err)
{
    struct typing *self = data;
    self->call = NULL;
    self->can_count = !err;
    self->n_reads = json_get_int(result, "reads", 0);
    self->n_others = json_get_int(result, "others", 0);
    if (self->is_closed)
        give_back(self);
    else
        press(self, &self->paste_keys, handle_pressed);
}

static void handle_lent(void *data, const json_t *result maybe_unused, struct buf *output maybe_unused,
                        const struct error *err)
{
    struct typing *self = data;
    self->call = NULL;
    self->is_lent = true; /* also when it failed half-way */
    note_failure(self, err);
    if (err || self->is_closed || call(self, "clipboard.reads", json_object(), NULL, HELPER_US, handle_counted) < 0)
        give_back(self);
}

static void handle_kept(void *data, const json_t *result, struct buf *output, const struct error *err);

static int keep(struct typing *self, const char *type)
{
    json_t *request = json_pack("{s:s, s:i}", "type", type, "max", KEPT_MAX);
    return call(self, "clipboard.get", request, NULL, HELPER_US, handle_kept);
}

static void handle_kept(void *data, const json_t *result, struct buf *output, const struct error *err)
{
    struct typing *self = data;
    const char *type = json_get_string(result, "type", "");
    bool has_image = false;
    size_t i;
    json_t *target;
    self->call = NULL;
    note_failure(self, err);
    json_array_foreach(json_object_get(result, "targets"), i, target)
    {
        const char *name = json_string_value(target) ? json_string_value(target) : "";
        has_image |= strcmp(name, "image/png") == 0 || strcmp(name, "Bitmap") == 0; /* of X, of Windows */
    }
    if (strcmp(type, "text") == 0 || strcmp(type, "image") == 0) {
        self->kept_type = *type == 't' ? "text" : "image";
        self->kept = bytes_copy(output->data ? output->data : (const void *)"", output->size);
        if (!self->kept)
            error_errno(&self->failure, ENOMEM, "keeping the clipboard");
    } else if (!err && !self->is_closed && has_image && keep(self, "image") == 0) {
        return;
    }
    if (self->failure.is_set || self->is_closed ||
        call(self, "clipboard.set", json_pack("{s:s}", "type", "text"), self->text, HELPER_US, handle_lent) < 0)
        finish(self);
}

/* --- Both ----------------------------------------------------------------------------------------- */

struct typing *typing_new(struct sandbox *sandbox, const struct action *action, typing_done_fn done, void *data,
                          struct error *err)
{
    struct typing *self = calloc(1, sizeof *self);
    if (!self) {
        error_errno(err, ENOMEM, "typing");
        return NULL;
    }
    self->sandbox = sandbox;
    self->done = done;
    self->data = data;
    self->press_enter = action->press_enter;
    self->paste_keys = action->paste_keys;
    self->n = count_characters(action);
    self->text = bytes_copy(action->text, action->text_size);
    self->timer = timer_new(farm_loop(sandbox->farm), handle_quiet, self);
    int r = !self->text || !self->timer         ? error_errno(&self->failure, ENOMEM, "typing")
            : action->route == TEXT_CLIPBOARD ? keep(self, "text")
                                                : begin_typing(self, (int64_t)action->delay_ms * 1000);
    if (r == 0)
        return self;
    if (err)
        *err = self->failure;
    return typing_free(self);
}

void typing_close(struct typing *self)
{
    self->is_closed = true;
    if (self->is_pressing) {
        input_cancel(self->sandbox->input);
    } else if (self->is_lent && !self->is_giving) {
        self->call = helper_call_cancel(self->call);
        timer_stop(self->timer);
        give_back(self);
    } else if (!self->is_lent && !self->kept) {
        helper_call_close(self->call);
    }
}
