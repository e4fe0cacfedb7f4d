/* The text on a sandbox's screen, read by a helper (display/ocr/) and kept by tile (display/words.h).
 * Not for web/. */
#pragma once

#include "base/error.h"
#include "display/words.h"

#define OCR_ANSWER_US 60000000 /* a helper that needs longer for one picture is ended */
#define OCR_IDLE_US 30000000   /* without work it ends after this long */
#define OCR_HELPERS_MAX 32     /* of all sandboxes; about 60 MB each */

struct sandbox;
struct ocr;
struct ocr_read;

/* The words whose middle lies in the region, in reading order (words_get), borrowed for the call; with
 * err set there are none: unsupported without Tesseract, quota_exceeded, guest_failed. The read is gone. */
typedef void (*ocr_fn)(void *data, const struct word *list, int n, const struct error *err);

/* Reads region of frame. Reads of one sandbox are done one after the other; what is known costs nothing.
 * fn never runs inside the call. NULL when memory is short. */
struct ocr_read *ocr_read_start(struct sandbox *sandbox, struct frame *frame, struct rect region, ocr_fn fn,
                                void *data);
/* fn does not run. Takes NULL, returns NULL. */
struct ocr_read *ocr_read_cancel(struct ocr_read *self);

/* The sandbox's; reads must be over. Takes NULL, returns NULL. */
struct ocr *ocr_free(struct ocr *self);
