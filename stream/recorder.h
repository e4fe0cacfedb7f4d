/* Records one desktop: a viewer whose client is a file (docs/stream.md, "In a recording").
 *
 * It follows the screen as any viewer does, tiles exact at once or as JPEG and H.264 first and exact
 * when still, so what a live viewer made is coded once for both. Beyond that a frame may be named:
 * it is then written exact whatever that takes, and a barrier tells when it is in the file. Every
 * frame that was published and not written is at least listed.
 *
 *   RECORDER_ON      writes
 *   RECORDER_FULL    the file system is full, or another error: the segment was ended, barriers are
 *                    passed, and a new segment is tried every RECORDER_RETRY_US
 *   RECORDER_ENDED   after recorder_end
 *
 * All on the loop. */
#pragma once

#include "display/display.h"
#include "stream/hub.h"

#define RECORDER_PACE_US 40000          /* frames of a busy screen come this far apart */
#define RECORDER_RATE (1 << 20)         /* bytes per second that a busy screen may write */
#define RECORDER_BURST (4 << 20)        /* before that counts */
#define RECORDER_SNAPSHOT_BYTES (1 << 20) /* a place to begin at after so many bytes */
#define RECORDER_SEGMENT_BYTES (16 << 20)
#define RECORDER_SEGMENT_US ((int64_t)900000000)
#define RECORDER_RETRY_US 2000000
#define RECORDER_FREE_MIN ((int64_t)64 << 20) /* bytes that a retry wants to find free; see SEGMENT_RESERVE */
#define RECORDER_KEPT 1024              /* tiles that a reader has to keep */

enum recorder_state { RECORDER_ON, RECORDER_FULL, RECORDER_ENDED };

struct recorder;

struct recorder_ops {
    /* Never from within a call, but for recorder_end. why: of RECORDER_FULL. */
    void (*state)(void *data, enum recorder_state state, const struct error *why);
    /* A segment was begun: its number, from first on. */
    void (*segment)(void *data, int number);
};

struct recorder_config {
    struct loop *loop;
    struct worker_pool *pool;
    struct display *display;
    struct hub *hub;
    const char *dir;   /* exists; segments are NNNNNN.dfr in it */
    int first;         /* number of the first segment */
    const char *meta;  /* JSON members of META in each segment, without braces; "" for none */
    const struct recorder_ops *ops;
    void *data;
};

/* NULL when memory is short, or the hub has too many viewers. */
struct recorder *recorder_new(const struct recorder_config *config);
/* Writes what is left, ends the segment and answers barriers. event: JSON of a last EVENT, or
 * NULL. */
void recorder_end(struct recorder *self, const char *event);
/* recorder_end, then frees. Takes NULL, returns NULL. */
struct recorder *recorder_free(struct recorder *self);

enum recorder_state recorder_state(const struct recorder *self);
/* Why the last segment could not be written; "" while all is well. */
const char *recorder_trouble(const struct recorder *self);
/* The segment that is written, and its bytes; 0 while there is none. */
int recorder_segment(const struct recorder *self, int64_t *ret_size);

/* Names the display's current frame, or one that was it since the last turn: it will be exact. */
void recorder_keep(struct recorder *self, struct frame *frame);
/* Appends a record with the time of now. */
void recorder_write(struct recorder *self, enum record_type type, unsigned flags, const void *payload,
                    size_t size);

/* Runs fn once all that was named and appended before is in the file (is_written), or cannot be.
 * Never from within the call. NULL when that is so already (nothing to wait for), or memory is short;
 * fn does not run then. Gone after fn. */
struct barrier;
typedef void (*barrier_fn)(void *data, bool is_written);
struct barrier *recorder_barrier(struct recorder *self, barrier_fn fn, void *data);
/* Takes NULL, returns NULL. */
struct barrier *barrier_cancel(struct barrier *self);

struct recorder_stats {
    int64_t n_bytes, n_frames, n_exact, n_begins, n_passed;
};
const struct recorder_stats *recorder_stats(const struct recorder *self);
