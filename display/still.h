/* Stills: a frame, or a region of it, as PNG, JPEG or WebP in any size.
 *
 * Encoded on latency workers, cached by frame, cursor (when drawn) and parameters; two equal
 * requests under way share one encoding. The cache holds at most a given number of bytes per
 * display and drops the least recently used first.
 *
 * PNG is RGB8 and lossless. JPEG is 4:4:4 from quality 80 on and 4:2:0 below: text with thin
 * coloured strokes smears under 4:2:0, and who asks for a low quality wants few bytes. WebP is
 * lossless at quality 100. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/worker.h"
#include "display/cursor.h"
#include "display/frame.h"

#define STILLS_CACHE_BYTES ((size_t)4 << 20)
/* Requests under way per display; more are refused with quota_exceeded. */
#define STILLS_JOBS_MAX 32
#define STILL_SIZE_MAX 8192
#define STILL_PIXELS_MAX (32 << 20) /* of the image: the largest frame unscaled */
#define STILL_QUALITY_DEFAULT 85

enum still_format { STILL_PNG, STILL_JPEG, STILL_WEBP, STILL_FORMAT_COUNT };
/* "png", "jpeg", "webp"; -EINVAL for anything else ("jpg" is taken too). */
int still_format_parse(const char *name, enum still_format *ret);
const char *still_format_name(enum still_format format);
const char *still_format_mime(enum still_format format);

struct still_params {
    enum still_format format;
    struct rect region; /* framebuffer pixels; w 0: the whole frame */
    /* Image pixels. Both 0: as large as the region. One 0: follows the region's proportions.
     * Smaller: every image pixel is the area average of what it covers. Larger: bilinear. */
    int width, height;
    int quality; /* 1..100 for JPEG and WebP; 0: the default; PNG ignores it */
    bool with_cursor;
};

/* The size that fits region into max_width x max_height pixels with its proportions, never larger
 * than the region; 0 in a maximum means no limit. At least 1x1. */
void still_fit(struct rect region, int max_width, int max_height, int *ret_width, int *ret_height);
/* Fills in defaults (region, size, quality) for frame and checks all: bad_value, outside_screen. */
int still_params_resolve(struct still_params *params, const struct frame *frame, struct error *err);

/* Borrowed for the call; reference bytes to keep them. */
struct still {
    struct bytes *bytes;
    int64_t frame_id, epoch;
    int64_t captured_us;
    int frame_width, frame_height;
    struct still_params params; /* resolved: region and size as drawn */
    bool is_cached;
    int64_t encode_us; /* time on the worker, 0 when cached */
};

struct stills;
struct still_request;

/* A finished request; it is gone, do not cancel it. still is NULL on failure, err then says why. */
typedef void (*still_fn)(void *data, const struct still *still, const struct error *err);

struct stills *stills_new(struct loop *loop, struct worker_pool *pool, size_t cache_bytes);
/* Requests under way are answered with cancelled. Takes NULL, returns NULL. */
struct stills *stills_free(struct stills *self);

/* Asks for a still of frame, with cursor drawn when params say so (may be NULL otherwise). params
 * need not be resolved. fn is called once, never from within this call, unless the request is
 * cancelled. *ret (may be NULL) is a handle for that. */
int stills_request(struct stills *self, struct frame *frame, const struct cursor *cursor,
                   const struct still_params *params, still_fn fn, void *data,
                   struct still_request **ret, struct error *err);
/* fn will not be called. Takes NULL, returns NULL. An encoding that nobody waits for any more still
 * ends, and goes into the cache. */
struct still_request *still_cancel(struct still_request *self);

/* The worker's part, synchronous: for tests, benchmarks and callers that are on a worker. params
 * must be resolved. NULL when memory is short or the encoder fails. */
struct bytes *still_encode(const struct frame *frame, const struct cursor *cursor,
                           const struct still_params *params);
