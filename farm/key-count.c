/* The question goes out while keys do, and waits in the guest until its answer is true (images/agent/desktop/keys.c):
 * one round trip per dozen of key changes, some milliseconds, in which the next dozen goes out. */
#include "farm/key-count.h"

#include "farm/helper.h"
#include "farm/sandbox-impl.h"

#define STUCK_US 10000000 /* so long may the guest's X server stand still */

static void handle_count(void *data, const json_t *result, struct buf *output maybe_unused, const struct error *err)
{
    struct sandbox *self = data;
    self->key_count = NULL;
    if (err) {
        input_no_answer(self->input, err->code == ERROR_TIMEOUT);
        return;
    }
    struct reader_answer answer = {
        .count = json_get_int(result, "count", 0),
        .since = json_get_int(result, "since", 0),
        .is_still = json_get_bool(result, "still", false),
    };
    input_answer(self->input, &answer);
}

static bool ask(void *data, int64_t until)
{
    struct sandbox *self = data;
    json_t *request = json_pack("{sI}", "until", (json_int_t)until);
    self->key_count = helper_call_new(self, "keys", request, NULL, STUCK_US, handle_count, self, NULL);
    return self->key_count != NULL;
}

void key_count_init(struct sandbox *self)
{
    input_set_reader(self->input, ask, self);
}

void key_count_stop(struct sandbox *self)
{
    self->key_count = helper_call_cancel(self->key_count);
}
