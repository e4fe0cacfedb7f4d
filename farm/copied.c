/* One request to the guest at a time: clipboard.watch, which is answered when the count of changes is
 * another than the one seen, then clipboard.get, and so on. The first count is only noted. A guest
 * that was restored or whose session began anew counts from zero again, which is a change too. */
#include "farm/copied.h"

#include "base/loop.h"
#include "farm/helper.h"
#include "farm/sandbox-impl.h"

#include <string.h>

#define WATCH_US 600000000
#define GET_US 15000000
#define RETRY_US 10000000

struct copied {
    struct sandbox *sandbox;
    copied_fn fn;
    void *data;
    struct helper_call *call; /* under way, or NULL */
    struct timer *retry;
    int64_t seen; /* -1: no count yet */
};

static void watch(void *data);

static void handle_got(void *data, const json_t *result, struct buf *output,
                       const struct error *err maybe_unused)
{
    struct copied *self = data;
    self->call = NULL;
    if (result && strcmp(json_get_string(result, "type", ""), "text") == 0 && output->size > 0) {
        struct bytes *text = bytes_copy(output->data, output->size);
        if (text)
            self->fn(self->data, text);
        bytes_unref(text);
    }
    watch(self);
}

static void get(struct copied *self)
{
    json_t *request = json_pack("{s:s, s:i}", "type", "text", "max", COPIED_MAX);
    self->call = helper_call_new(self->sandbox, "clipboard.get", request, NULL, GET_US, handle_got, self, NULL);
    if (!self->call)
        timer_start(self->retry, RETRY_US);
}

static void handle_changed(void *data, const json_t *result, struct buf *output maybe_unused,
                           const struct error *err)
{
    struct copied *self = data;
    self->call = NULL;
    if (err && err->code == ERROR_UNSUPPORTED)
        return; /* for good: an agent that cannot tell */
    if (err && err->code != ERROR_TIMEOUT) {
        timer_start(self->retry, RETRY_US);
        return;
    }
    int64_t before = self->seen;
    if (result)
        self->seen = json_get_int(result, "changes", 0);
    if (result && before >= 0 && self->seen != before)
        get(self);
    else
        watch(self);
}

static void watch(void *data)
{
    struct copied *self = data;
    json_t *request = self->seen < 0 ? json_object() : json_pack("{s:I}", "seen", (json_int_t)self->seen);
    self->call = helper_call_new(self->sandbox, "clipboard.watch", request, NULL, WATCH_US, handle_changed,
                                 self, NULL);
    if (!self->call)
        timer_start(self->retry, RETRY_US);
}

struct copied *copied_new(struct sandbox *sandbox, copied_fn fn, void *data)
{
    struct copied *self = calloc(1, sizeof *self);
    if (!self)
        return NULL;
    *self = (struct copied){ .sandbox = sandbox, .fn = fn, .data = data, .seen = -1 };
    self->retry = timer_new(farm_loop(sandbox->farm), watch, self);
    if (!self->retry)
        return copied_free(self);
    watch(self);
    return self;
}

struct copied *copied_free(struct copied *self)
{
    if (!self)
        return NULL;
    helper_call_cancel(self->call);
    timer_free(self->retry);
    free(self);
    return NULL;
}
