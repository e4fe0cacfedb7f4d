/* What the guest's own desktop is asked: clipboard, windows, programs, the accessibility tree, the
 * keyboard's layout.
 *
 * A table: each operation has the helper's name for it, how long it may take beside what its
 * caller allows (wait_ms, within_ms), and two functions: one makes the helper's request of the
 * API's fields, one the answer of what came back. Most need neither, because the fields are the
 * same. What the guest says is JSON of bounded size and otherwise the guest's business: it goes
 * to the caller. */
#include "base/clock.h"
#include "farm/helper.h"
#include "farm/op.h"
#include "farm/sandbox-impl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ANSWER_US 15000000
#define TEXT_MAX (4 * 1024 * 1024)

struct ask;

struct ask_row {
    const char *name;
    const char *verb; /* "do" of the helper's request, or NULL */
    /* Changes the request, or makes the input. */
    int (*prepare)(struct ask *self, json_t *request, struct error *err);
    /* Fills the answer's body; without it the output is the body and the result is added. */
    int (*finish)(struct ask *self, const json_t *result, struct buf *output, struct error *err);
};

struct ask {
    struct op op;
    const struct ask_row *row;
    json_t *params;
    struct bytes *input;
    struct helper_call *call;
    char layout[32];
};

/* --- Answers ---------------------------------------------------------------------------------- */

static int merge_output(json_t *body, const struct buf *output, struct error *err)
{
    if (output->size == 0)
        return 0;
    auto_json json_t *value = json_loadb((const char *)output->data, output->size, 0, NULL);
    if (!json_is_object(value))
        return error_set(err, ERROR_GUEST_FAILED,
                         "the guest's desktop answered with something else than JSON");
    json_object_update(body, value);
    return 0;
}

static int finish_plain(struct ask *self, const json_t *result, struct buf *output,
                        struct error *err)
{
    int r = merge_output(self->op.body, output, err);
    json_object_update_missing(self->op.body, (json_t *)(uintptr_t)result);
    return r;
}

/* "window": {…} beside what was achieved. */
static int finish_under(struct ask *self, const char *key, const json_t *result, struct buf *output,
                        struct error *err)
{
    json_t *value = json_object();
    int r = merge_output(value, output, err);
    json_object_update_missing(self->op.body, (json_t *)(uintptr_t)result);
    json_object_set_new(self->op.body, key, output->size > 0 ? value : json_null());
    if (output->size == 0)
        json_decref(value);
    return r;
}

static int finish_window(struct ask *self, const json_t *result, struct buf *output,
                         struct error *err)
{
    return finish_under(self, "window", result, output, err);
}

static int finish_node(struct ask *self, const json_t *result, struct buf *output,
                       struct error *err)
{
    return finish_under(self, "node", result, output, err);
}

static int finish_tree(struct ask *self, const json_t *result, struct buf *output,
                       struct error *err)
{
    return finish_under(self, "tree", result, output, err);
}

/* --- Clipboard -------------------------------------------------------------------------------- */

static int prepare_get(struct ask *self maybe_unused, json_t *request,
                       struct error *err maybe_unused)
{
    return json_object_set_new(request, "max", json_integer(TEXT_MAX));
}

static int finish_get(struct ask *self, const json_t *result, struct buf *output, struct error *err)
{
    json_t *body = self->op.body;
    const char *type = json_get_string(result, "type", "");
    json_object_set_new(body, "type", *type ? json_string(type) : json_null());
    json_object_set(body, "targets", json_object_get(result, "targets"));
    json_object_set_new(body, "size", json_integer((json_int_t)output->size));
    if (strcmp(type, "text") == 0) {
        const char *text = output->data ? (const char *)output->data : "";
        json_t *value = json_stringn(text, output->size);
        if (!value)
            return error_set(err, ERROR_GUEST_FAILED,
                             "the guest's clipboard holds text that is no UTF-8");
        json_object_set_new(body, "text", value);
    } else if (strcmp(type, "image") == 0) {
        auto_buf struct buf coded = BUF_INIT;
        buf_append_base64(&coded, output->data, output->size);
        json_object_set_new(body, "image", json_pack("{s:s, s:s%}", "format", "png", "data",
                                                     buf_str(&coded), coded.size));
    }
    return 0;
}

static int base64_value(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* Standard base64 with padding. NULL when it is none. */
static struct bytes *decode_base64(const char *text, size_t size)
{
    size_t n_pad = size >= 2 && text[size - 1] == '=' ? 1 + (text[size - 2] == '=') : 0;
    struct bytes *ret = size % 4 == 0 ? bytes_new(size / 4 * 3 + 1) : NULL;
    uint32_t bits = 0;
    for (size_t i = 0; ret && i < size - n_pad; i++) {
        int value = base64_value(text[i]);
        if (value < 0)
            return bytes_unref(ret);
        bits = bits << 6 | (uint32_t)value;
        if (i % 4 > 0)
            ret->data[i / 4 * 3 + i % 4 - 1] = (uint8_t)(bits >> (2 * (3 - i % 4)));
    }
    if (ret)
        ret->size = size / 4 * 3 - n_pad;
    return ret;
}

static int prepare_set(struct ask *self, json_t *request, struct error *err)
{
    const json_t *text = json_object_get(self->params, "text");
    const json_t *image = json_object_get(self->params, "image");
    if (!text == !image)
        return error_set(err, ERROR_BAD_VALUE, "text or image: exactly one of the two");
    json_object_del(request, "text");
    json_object_del(request, "image");
    json_object_set_new(request, "type", json_string(text ? "text" : "image"));
    self->input = text ? bytes_copy(json_string_value(text), json_string_length(text))
                       : decode_base64(json_string_value(image), json_string_length(image));
    if (!self->input)
        return error_set(err, ERROR_BAD_VALUE, "image: no PNG in base64");
    return 0;
}

/* --- Nodes ------------------------------------------------------------------------------------ */

static int prepare_value(struct ask *self, json_t *request, struct error *err)
{
    const json_t *text = json_object_get(self->params, "text");
    if (!text == !json_object_get(self->params, "value"))
        return error_set(err, ERROR_BAD_VALUE, "text or value: exactly one of the two");
    json_object_set_new(request, "do", json_string(text ? "set_text" : "set_value"));
    json_object_del(request, "text");
    if (text)
        self->input = bytes_copy(json_string_value(text), json_string_length(text));
    return text && !self->input ? error_errno(err, ENOMEM, "sending text") : 0;
}

/* --- Keyboard --------------------------------------------------------------------------------- */

/* The daemon's own keymap must know it, or text could not be planned for it. */
static int prepare_layout(struct ask *self, json_t *request maybe_unused, struct error *err)
{
    struct keymap *keymap = NULL;
    const char *layout = json_get_string(self->params, "layout", "us");
    const char *variant = json_get_string(self->params, "variant", "");
    int n =
        snprintf(self->layout, sizeof self->layout, *variant ? "%s(%s)" : "%s", layout, variant);
    if (n >= (int)sizeof self->layout)
        return error_set(err, ERROR_BAD_VALUE, "layout, variant: too long");
    int r = keymap_new(&keymap, layout, variant, err);
    keymap_unref(keymap);
    return r;
}

static int finish_layout(struct ask *self, const json_t *result, struct buf *output maybe_unused,
                         struct error *err)
{
    json_object_update(self->op.body, (json_t *)(uintptr_t)result);
    return sandbox_set_layout(self->op.sandbox, self->layout, err);
}

/* --- The operation ---------------------------------------------------------------------------- */

static void handle_done(void *data, const json_t *result, struct buf *output,
                        const struct error *failure)
{
    struct ask *self = data;
    struct answer answer = { 0 };
    struct error err = { 0 };
    self->call = NULL;
    if (failure) {
        op_fail(&self->op, failure);
        return;
    }
    int r = self->row->finish ? self->row->finish(self, result, output, &err)
                              : finish_plain(self, result, output, &err);
    if (r < 0)
        op_fail(&self->op, &err);
    else
        op_finish(&self->op, &answer);
}

/* Milliseconds of the API are microseconds in the guest. */
static int64_t move_wait(json_t *request, const char *from, const char *to)
{
    const json_t *ms = json_object_get(request, from);
    int64_t us = ms ? (int64_t)(json_number_value(ms) * 1000) : 0;
    if (ms)
        json_object_set_new(request, to, json_integer(us));
    json_object_del(request, from);
    return us;
}

static void begin(struct op *op)
{
    struct ask *self = (struct ask *)op;
    struct error err = { 0 };
    json_t *request = json_copy(self->params);
    int64_t wait_us =
        move_wait(request, "wait_ms", "wait_us") + move_wait(request, "within_ms", "within_us");
    if (self->row->verb)
        json_object_set_new(request, "do", json_string(self->row->verb));
    int r = self->row->prepare ? self->row->prepare(self, request, &err) : 0;
    if (r == 0)
        self->call = helper_call_new(op->sandbox, self->row->name, json_incref(request),
                                     self->input, ANSWER_US + wait_us, handle_done, self, &err);
    json_decref(request);
    if (!self->call)
        op_fail(op, &err);
}

static void stop(struct op *op, bool is_aborted maybe_unused)
{
    struct ask *self = (struct ask *)op;
    self->call = helper_call_cancel(self->call);
}

static void deinit(struct op *op)
{
    struct ask *self = (struct ask *)op;
    json_decref(self->params);
    bytes_unref(self->input);
}

static struct op *start(struct sandbox *sandbox, const struct ask_row *row, const json_t *params,
                        answer_fn done, void *data, struct error *err)
{
    static const struct op_impl impl = {
        .begin = begin, .stop = stop, .deinit = deinit, .is_blind = true
    };
    struct op *op = op_new(sizeof(struct ask), &impl, sandbox, done, data, err);
    if (!op)
        return NULL;
    struct ask *self = (struct ask *)op;
    self->row = row;
    self->params = params ? json_copy((json_t *)(uintptr_t)params) : json_object();
    if (!self->params) {
        error_errno(err, ENOMEM, "asking the guest's desktop");
        return op_drop(op);
    }
    return op_start(op);
}

#define ASK(function, ...)                                                                         \
    struct op *function(struct sandbox *self, const json_t *params, answer_fn done, void *data,    \
                        struct error *err)                                                         \
    {                                                                                              \
        static const struct ask_row row = { __VA_ARGS__ };                                         \
        return start(self, &row, params, done, data, err);                                         \
    }

ASK(sandbox_clipboard_get, "clipboard.get", NULL, prepare_get, finish_get)
ASK(sandbox_clipboard_set, "clipboard.set", NULL, prepare_set, NULL)
ASK(sandbox_windows, "windows", NULL, NULL, NULL)
ASK(sandbox_window_get, "window", "get", NULL, finish_window)
ASK(sandbox_window_activate, "window", "activate", NULL, finish_window)
ASK(sandbox_window_close, "window", "close", NULL, finish_window)
ASK(sandbox_window_place, "window", "place", NULL, finish_window)
ASK(sandbox_window_state, "window", "state", NULL, finish_window)
ASK(sandbox_start_program, "launch", NULL, NULL, NULL)
ASK(sandbox_a11y_tree, "a11y.tree", NULL, NULL, finish_tree)
ASK(sandbox_a11y_find, "a11y.find", NULL, NULL, NULL)
ASK(sandbox_a11y_node, "a11y.node", "get", NULL, finish_node)
ASK(sandbox_a11y_focus, "a11y.node", "focus", NULL, finish_node)
ASK(sandbox_a11y_invoke, "a11y.node", "invoke", NULL, finish_node)
ASK(sandbox_a11y_value, "a11y.node", NULL, prepare_value, finish_node)
ASK(sandbox_keyboard_get, "keyboard.get", NULL, NULL, NULL)
ASK(sandbox_keyboard_set, "keyboard.set", NULL, prepare_layout, finish_layout)
