/* Questions about recordings, answered on a worker and handed back on the loop. */
#pragma once

#include "base/json.h"
#include "base/worker.h"

#define QUERY_RESULTS_MAX 10000
#define QUERY_FRAME_SIDE_MAX 8192

enum query_kind {
    QUERY_INDEX,    /* -> json: segments, places to begin at, frames (docs/api.md, recording_index) */
    QUERY_SEGMENTS, /* -> json: [[number, bytes]…] */
    QUERY_FRAME,    /* -> bytes, an image, and json that describes it */
    QUERY_NOTES,    /* -> json: {"items":[…]}: actions, events, marks */
    QUERY_SEARCH,   /* likewise of several recordings: dirs */
    QUERY_COMPARE,  /* of two: dirs "a" and "b" -> json: frame (of a), pixels, x, y, width, height */
    QUERY_READ,     /* -> bytes of a segment */
    QUERY_FILE,     /* -> bytes of the file that dir names */
};

struct query_params {
    enum query_kind kind;
    const char *dir;    /* the recording's folder; not for QUERY_SEARCH */
    const json_t *dirs; /* QUERY_SEARCH: {"recording id": folder} */
    /* QUERY_FRAME: one of frame, time_us, at_ms; width, height (0: as it is), format ("png", "jpeg"),
     * quality, cursor. QUERY_NOTES and QUERY_SEARCH: kind ("action", "event", "mark"), q, from_us,
     * until_us, limit. QUERY_INDEX: segment, offset: only what lies behind. QUERY_COMPARE: frames (of a; the
     * nearest counts), frame (of b), mask (replay/compare.h). Copied. */
    const json_t *options;
    int segment;        /* QUERY_READ: number */
    int64_t offset, size;
};

struct query_answer {
    json_t *json;        /* the receiver's, or NULL */
    struct bytes *bytes; /* likewise */
    const char *content_type; /* of bytes; static */
};

struct query;

/* err NULL: answer is good. Never from within query_start. */
typedef void (*query_fn)(void *data, struct query_answer *answer, const struct error *err);

/* NULL when memory is short. */
struct query *query_start(struct worker_pool *pool, const struct query_params *params, query_fn fn,
                          void *data);
/* fn will not run. Takes NULL, returns NULL. */
struct query *query_cancel(struct query *self);

/* The worker's part, synchronous: for tests and for whoever is on a worker. */
int query_run(const struct query_params *params, struct query_answer *ret, struct error *err);
