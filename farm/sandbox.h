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

struct sandbox;
struct op;

/* Operations and the transitions they make:
 *   create   -> PENDING     overlay and jail are being made, QEMU is starting
 *   (QMP up) -> RUNNING     screen and input work; the guest may still be booting
 *   delete   -> STOPPING    power-off asked for, then kill; the object goes when QEMU is gone
 *   (QEMU ended by itself) -> TERMINATED (clean power-off) or FAILED (with QEMU's last words);
 *                              kept until deleted or its lease ends
 *   The other OpenSandbox states (Pausing, Paused, Resuming) come with checkpoints. */
enum sandbox_state {
    SANDBOX_PENDING,
    SANDBOX_RUNNING,
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
/* GET …/desktop/display: {"width","height","frame","epoch","ready","cursor":{…}} */
json_t *sandbox_display_json(struct sandbox *self);
/* PUT …/desktop/display {"width","height"}: asks the guest and answers when the screen has that size,
 * or with timeout after max_ms. */
struct op *sandbox_resize(struct sandbox *self, const json_t *request, answer_fn done, void *data,
                          struct error *err);

/* The layout that the guest's keyboard has: {"layout"}. Kept with the sandbox. bad_value when
 * xkbcommon does not know it. */
int sandbox_set_layout(struct sandbox *self, const char *layout, struct error *err);

/* Takes NULL. */
void op_cancel(struct op *op);
