/* How the texts of a batch go into the guest.
 *
 * The route of each is settled before anything is injected: what the layout's keys make goes by them. For the
 * rest a Windows guest has Alt codes, and what those lack goes by the clipboard; others have the helper's keymap.
 * A caller may say what it wants instead. Where the guest's desktop is needed it is asked whether it is there,
 * once for the whole batch; without it the batch is refused as if nothing but keys existed.
 *
 * The answer to a text that went by the desktop means that the focused window has read it, so the next action
 * comes behind it. */
#include "base/clock.h"
#include "farm/batch-impl.h"
#include "input/text.h"

#include <string.h>

#define ASK_US 20000000
#define ASK_MAX (4 * 1024 * 1024)

/* --- Which way ------------------------------------------------------------------------------------- */

bool batch_text_is_helped(const struct action *action)
{
    return action->type == ACTION_TYPE && (action->route == TEXT_GUEST_KEYMAP || action->route == TEXT_CLIPBOARD);
}

/* Control characters and what Unicode says is none are on no key at all. */
static bool has_only_characters(const struct action *action)
{
    uint32_t c = 0;
    for (size_t at = 0; at < action->text_size;) {
        int n = text_next(action->text + at, action->text_size - at, &c);
        bool is_control = (c < 0x20 && c != '\n' && c != '\t' && c != '\r') || (c >= 0x7f && c < 0xa0);
        if (n <= 0 || is_control || (c & 0xfffe) == 0xfffe || (c >= 0xfdd0 && c <= 0xfdef))
            return false;
        at += (size_t)n;
    }
    return true;
}

/* The desktop's ways: the error is what is said when there is nobody. */
static int need_desktop(struct batch *self, size_t i, enum text_route route, const struct error *without)
{
    self->actions[i].route = route;
    if (self->without.is_set)
        return 0;
    self->without = *without;
    self->without.is_set = true;
    self->without_at = i;
    error_wrap(&self->without, "actions[%zu]", i);
    return 0;
}

static int check_plan(const struct action *action, struct plan_context *context, struct error *err)
{
    struct plan plan;
    int r = plan_action(&plan, action, context, err);
    if (r == 0)
        plan_deinit(&plan);
    return r;
}

/* What the layout lacks, when the caller does not mind how it comes. */
static int choose(struct batch *self, size_t i, struct plan_context *context, struct error *err)
{
    struct action *action = &self->actions[i];
    bool is_windows = self->op.sandbox->shape.profile == MACHINE_WINDOWS;
    struct error without = *err;
    if (!has_only_characters(action))
        return -1;
    *err = (struct error){ 0 };
    action->route = TEXT_ALT;
    if (is_windows && check_plan(action, context, NULL) == 0)
        return 0;
    return need_desktop(self, i, is_windows ? TEXT_CLIPBOARD : TEXT_GUEST_KEYMAP, &without);
}

int batch_text_check(struct batch *self, size_t i, struct plan_context *context, struct error *err)
{
    struct action *action = &self->actions[i];
    struct error without = { 0 };
    if (action->route == TEXT_GUEST_KEYMAP && !has_only_characters(action))
        return error_set(err, ERROR_UNTYPABLE, "the text has characters that no key can make");
    if (batch_text_is_helped(action)) {
        error_set(&without, ERROR_NOT_READY, "the guest's desktop has nobody to whom a text could go by %s",
                  text_route_names[action->route]);
        return need_desktop(self, i, (enum text_route)action->route, &without);
    }
    int r = check_plan(action, context, err);
    if (r < 0 && action->route == TEXT_AUTO && err && err->code == ERROR_UNTYPABLE)
        return choose(self, i, context, err);
    if (action->route == TEXT_AUTO)
        action->route = TEXT_KEYS;
    return r;
}

/* --- Is it there ----------------------------------------------------------------------------------- */

static void do_without(struct batch *self)
{
    struct error err = self->without;
    if (batch_refuse(self, self->without_at, -1, &err) < 0)
        op_fail(&self->op, &err);
    else
        batch_begin(self);
}

static void handle_there(void *data, const json_t *result maybe_unused, struct buf *output maybe_unused,
                         const struct error *err)
{
    struct batch *self = data;
    self->helper = NULL;
    if (err && err->code != ERROR_TOO_LARGE)
        do_without(self);
    else
        batch_begin(self);
}

/* One who has a clipboard need not have a keymap: each is asked for what it is to do. */
void batch_text_begin(struct batch *self)
{
    bool needs_keymap = false;
    for (size_t i = 0; i < self->n_actions; i++)
        needs_keymap |= self->actions[i].type == ACTION_TYPE && self->actions[i].route == TEXT_GUEST_KEYMAP;
    if (!self->without.is_set) {
        batch_begin(self);
        return;
    }
    json_t *request = needs_keymap ? json_object() : json_pack("{s:s, s:i}", "type", "text", "max", ASK_MAX);
    self->helper = helper_call_new(self->op.sandbox, needs_keymap ? "screen" : "clipboard.get", request, NULL, ASK_US,
                                   handle_there, self, NULL);
    if (!self->helper)
        do_without(self);
}

/* --- Playing --------------------------------------------------------------------------------------- */

void batch_text_result(json_t *result, enum text_route route, size_t n_characters, size_t n_entered)
{
    bool is_entered = route == TEXT_UNICODE || route == TEXT_ALT || route == TEXT_ALT_HEX;
    json_t *routes = json_object();
    if (!is_entered || n_characters > n_entered)
        json_object_set_new(routes, is_entered ? text_route_names[TEXT_KEYS] : text_route_names[route],
                            json_integer((json_int_t)(n_characters - n_entered)));
    if (is_entered)
        json_object_set_new(routes, text_route_names[route], json_integer((json_int_t)n_entered));
    json_object_set_new(result, "characters", json_integer((json_int_t)n_characters));
    json_object_set_new(result, "route", json_string(text_route_names[route]));
    json_object_set_new(result, "routes", routes);
}

/* The screen may change from the first key on and until the last: both are times of input. */
static void note_input(struct batch *self)
{
    display_input(self->op.sandbox->display, clock_now_us());
    batch_injected(&self->op);
}

/* Like the input's answer, it may come after its batch. */
static void handle_typed(void *data, const struct typed *typed, const struct error *err)
{
    struct sandbox *sandbox = data;
    struct batch *self = (struct batch *)sandbox->batch;
    int64_t now_us = clock_now_us();
    sandbox->typing = NULL;
    if (!self || !self->is_playing) {
        batch_start_next(sandbox);
        return;
    }
    note_input(self);
    self->is_playing = false;
    json_t *result = batch_add_result(self);
    json_object_set_new(result, "queued_us", json_integer(self->typing_us));
    json_object_set_new(result, "injected_us", json_pack("[II]", (json_int_t)self->typing_us, (json_int_t)now_us));
    batch_text_result(result, (enum text_route)self->actions[self->at].route, typed->n_characters, 0);
    json_object_set_new(result, "confirmed", json_boolean(typed->is_confirmed));
    batch_played(self, err);
}

void batch_text_play(struct batch *self)
{
    struct sandbox *sandbox = self->op.sandbox;
    struct error err = { 0 };
    self->typing_us = clock_now_us();
    sandbox->typing = typing_new(sandbox, &self->actions[self->at], handle_typed, sandbox, &err);
    self->is_playing = sandbox->typing != NULL;
    if (self->is_playing)
        note_input(self);
    else
        batch_fail(self, &err);
}
