/* A sandbox: one guest with its screen, its input and its lease. What the API shows.
 *
 * Operations on the desktop take time. Each returns a handle (struct op) or NULL when it failed at
 * once (err is filled, done never runs). Otherwise done runs exactly once on the loop, never inside
 * the call that started it, unless the handle is cancelled first: then done does not run, the
 * batch is aborted and what it held is released. The handle dies with done or cancel. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"

struct agent;
struct sandbox;
struct op;

/* Operations and the transitions they make:
 *   create   -> PENDING     overlay and jail are being made, QEMU is starting
 *   (QMP up) -> RUNNING     screen and input work; the guest may still be booting
 *   delete   -> STOPPING    power-off asked for, then kill; the object goes when QEMU is gone
 *   (QEMU ended by itself) -> TERMINATED (clean power-off) or FAILED (with QEMU's last words);
 *                              kept until deleted or its lease ends
 *   pause    -> PAUSING     then PAUSED: the processors stand still, the screen can be looked at
 *   resume   -> RESUMING    then RUNNING once the guest knows the time again (farm/pause.c)
 *   hibernate -> HIBERNATING   then HIBERNATED: all of it is on disk, no process and no memory is left
 *   wake     -> WAKING      then RUNNING; whoever uses the sandbox wakes it (farm/hibernate.c) */
enum sandbox_state {
    SANDBOX_PENDING,
    SANDBOX_RUNNING,
    SANDBOX_PAUSING,
    SANDBOX_PAUSED,
    SANDBOX_RESUMING,
    SANDBOX_HIBERNATING,
    SANDBOX_HIBERNATED,
    SANDBOX_WAKING,
    SANDBOX_STOPPING,
    SANDBOX_TERMINATED,
    SANDBOX_FAILED,
    SANDBOX_STATE_COUNT,
};

const char *sandbox_state_name(enum sandbox_state state); /* "Pending", … */
int sandbox_state_parse(const char *name, enum sandbox_state *ret);

struct sandbox *sandbox_ref(struct sandbox *self);
struct sandbox *sandbox_unref(struct sandbox *self);
const char *sandbox_id(const struct sandbox *self);
enum sandbox_state sandbox_get_state(const struct sandbox *self);
/* The OpenSandbox shape: {"id","image":{"uri"},"status":{"state","reason","message"},"metadata",
 * "entrypoint","createdAt","expiresAt", + ours: "desktop":{"width","height","ready"},"resources"}. */
json_t *sandbox_json(const struct sandbox *self);

/* Ends the guest and forgets the sandbox; idempotent while it is stopping. done may be NULL. */
void sandbox_delete(struct sandbox *self, void (*done)(void *data), void *data);
/* Moves the lease's end. expires_us 0: no end. bad_value when it lies in the past. */
int sandbox_renew(struct sandbox *self, int64_t expires_wall_us, struct error *err);

/* Ask; the state tells when it is done. 0 also when it is so already. conflict or guest_gone when
 * the state does not allow it, not_ready while QEMU does not answer. */
int sandbox_pause(struct sandbox *self, struct error *err);
int sandbox_resume(struct sandbox *self, struct error *err);
/* The same for hibernation. Waking asks for the limits of the host again: quota_exceeded. */
int sandbox_hibernate(struct sandbox *self, struct error *err);
int sandbox_wake(struct sandbox *self, struct error *err);

/* Somebody uses it: an idle time does not run, and a sandbox that hibernates is woken. Each begin is
 * followed by one end. */
void sandbox_begin_use(struct sandbox *self);
void sandbox_end_use(struct sandbox *self);
/* What happens after how long without use: {"seconds","action":"hibernate" or "delete"}, NULL or null:
 * nothing. Kept with the sandbox. */
int sandbox_set_idle(struct sandbox *self, const json_t *idle, struct error *err);

/* err NULL: it is awake, and its agent has answered or did not in time. */
typedef void (*waker_fn)(void *data, const struct error *err);
struct waker;
/* Wakes it and tells when. Positive 1: it is awake, done never runs. Otherwise done runs once, later,
 * unless waker_cancel comes first. */
int waker_new(struct waker **ret, struct sandbox *sandbox, waker_fn done, void *data, struct error *err);
/* Takes NULL, returns NULL. */
struct waker *waker_cancel(struct waker *self);

/* A JSON merge patch of the labels: null removes, strings set. All or nothing. */
int sandbox_patch_metadata(struct sandbox *self, const json_t *patch, struct error *err);

/* The agent inside the guest, whichever backend speaks there. NULL with err: not_ready (booting),
 * conflict (paused), guest_gone, unsupported (an image without an agent). Borrowed for this turn of
 * the loop; open calls on it end by themselves (guest_gone) when it goes. */
struct agent *sandbox_agent(struct sandbox *self, struct error *err);
/* The environment that the creator gave, for commands in the guest: an object of strings, or NULL.
 * Borrowed. What a command brings itself goes before it. */
const json_t *sandbox_env(const struct sandbox *self);

/* The answer of a desktop operation. image is NULL when none was asked for or nothing changed. body holds
 * everything but the image bytes; where the image goes, body["image"] has id, frame, format, … and
 * no "data". The receiver owns body and image. etag is "" when there is no image. On failure err is
 * set and body may still hold the results of what was done before. */
struct answer {
    json_t *body;
    struct bytes *image;
    const char *content_type; /* of image; static */
    char etag[96];            /* without quotes */
    bool is_unchanged;        /* if_changed_since named the frame that is still shown */
    struct error err;
};

typedef void (*answer_fn)(void *data, struct answer *answer);

/* GET …/desktop/screenshot: params as its row of the API table validated them (numbers are numbers):
 * format, quality, x, y, width, height (region, native), out_width, out_height, scale, cursor,
 * if_changed_since, wait_ms, settle, first_ms, quiet_ms, max_ms, mask. */
struct op *sandbox_screenshot(struct sandbox *self, const json_t *params, answer_fn done, void *data,
                              struct error *err);
/* POST …/desktop/actions. busy when a batch runs and queue_ms passes first. */
struct op *sandbox_act(struct sandbox *self, const json_t *request, answer_fn done, void *data,
                       struct error *err);
/* POST …/desktop/wait: answers without an image unless one is asked for. */
struct op *sandbox_wait(struct sandbox *self, const json_t *request, answer_fn done, void *data,
                        struct error *err);
/* POST …/desktop/find: where a text or a picture is. */
struct op *sandbox_find(struct sandbox *self, const json_t *request, answer_fn done, void *data,
                        struct error *err);
/* POST …/desktop/marks: a screenshot with numbered boxes, and their list. */
struct op *sandbox_marks(struct sandbox *self, const json_t *request, answer_fn done, void *data,
                         struct error *err);
/* GET …/desktop/compare: what differs between two frames. */
struct op *sandbox_compare(struct sandbox *self, const json_t *params, answer_fn done, void *data,
                           struct error *err);
/* POST …/desktop/watch: on_event gets every event (borrowed, for the call), done the end. Both with data. */
typedef void (*watch_event_fn)(void *data, const json_t *event);
struct op *sandbox_watch(struct sandbox *self, const json_t *request, watch_event_fn on_event, answer_fn done,
                         void *data, struct error *err);
/* GET …/desktop/display: {"width","height","frame","epoch","ready","cursor":{…}} */
json_t *sandbox_display_json(struct sandbox *self);
/* PUT …/desktop/display {"width","height"}: asks the guest and answers when the screen has that size,
 * or with timeout after max_ms. */
struct op *sandbox_resize(struct sandbox *self, const json_t *request, answer_fn done, void *data,
                          struct error *err);

/* The layout that the guest's keyboard has: "de", or with a variant "de(nodeadkeys)". Kept with the
 * sandbox. bad_value when xkbcommon does not know it. */
int sandbox_set_layout(struct sandbox *self, const char *layout, struct error *err);

/* What the guest's own desktop is asked, through the helper in its session: clipboard, windows,
 * programs, accessible nodes, layout. params are the fields of the row of that name, with what its
 * path named as "id" (of a window) or "node". not_ready while no desktop is up in the guest,
 * unsupported for a guest that has no helper. keyboard_set changes the layout in the guest, and then
 * that of sandbox_set_layout. */
#define SANDBOX_ASK(function)                                                                      \
    struct op *function(struct sandbox *self, const json_t *params, answer_fn done, void *data,    \
                        struct error *err);
SANDBOX_ASK(sandbox_clipboard_get)
SANDBOX_ASK(sandbox_clipboard_set)
SANDBOX_ASK(sandbox_windows)
SANDBOX_ASK(sandbox_window_get)
SANDBOX_ASK(sandbox_window_activate)
SANDBOX_ASK(sandbox_window_close)
SANDBOX_ASK(sandbox_window_place)
SANDBOX_ASK(sandbox_window_state)
SANDBOX_ASK(sandbox_start_program)
SANDBOX_ASK(sandbox_a11y_tree)
SANDBOX_ASK(sandbox_a11y_find)
SANDBOX_ASK(sandbox_a11y_node)
SANDBOX_ASK(sandbox_a11y_focus)
SANDBOX_ASK(sandbox_a11y_invoke)
SANDBOX_ASK(sandbox_a11y_value)
SANDBOX_ASK(sandbox_keyboard_get)
SANDBOX_ASK(sandbox_keyboard_set)
#undef SANDBOX_ASK

/* Takes NULL. */
void op_cancel(struct op *op);
