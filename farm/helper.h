/* One request to deskfarm-desktop, the helper in the session of a guest's desktop. Not for web/. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"

#define HELPER_OUTPUT_MAX (12 * 1024 * 1024) /* bytes that a guest may answer */

struct sandbox;
struct helper_call;

/* Exactly once, never inside helper_call_new. result is borrowed, NULL on failure; output is what
 * came with it and may be taken by emptying the struct. err is NULL on success: not_ready without an
 * agent or without a desktop, unsupported for an agent that knows no helper, else the guest's. */
typedef void (*helper_done_fn)(void *data, const json_t *result, struct buf *output, const struct error *err);

/* name without "desktop."; request (stolen) holds its fields; input may be NULL. NULL with err set
 * when it cannot be sent. */
struct helper_call *helper_call_new(struct sandbox *sandbox, const char *name, json_t *request,
                                    struct bytes *input, int64_t timeout_us, helper_done_fn done,
                                    void *data, struct error *err);
/* The guest is told to end it; done runs when it has. */
void helper_call_close(struct helper_call *self);
/* done does not run. Takes NULL, returns NULL. */
struct helper_call *helper_call_cancel(struct helper_call *self);
