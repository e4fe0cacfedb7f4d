/* The screen of one sandbox, as farm/ and stream/ use it.
 *
 * A source pushes pixels in; the display refines them and publishes frames to observers. Updates of
 * one turn of the loop become one frame. A quiet screen publishes at once; a busy one at most every
 * DISPLAY_PACE_US. The source runs only while somebody holds the display, and DISPLAY_LINGER_US
 * longer; unobserved it costs nothing but the memory of its tile hashes.
 *
 * Frame ids start at the wall clock in milliseconds when the display is made and grow by one with
 * every frame, which the pace keeps below the clock: no id comes twice, also after a restart of the
 * daemon. When a source comes back and all tile hashes are the old ones, the frame id stays.
 *
 * Everything happens on the loop. Observers and owner may do anything in a callback, display_free
 * included. */
#pragma once

#include "base/list.h"
#include "base/worker.h"
#include "display/cursor.h"
#include "display/frame.h"
#include "display/past.h"
#include "display/settle-history.h"
#include "display/source.h"

#define DISPLAY_PACE_US 8000
#define DISPLAY_LINGER_US 30000000
#define DISPLAY_WIDTH_MIN 320
#define DISPLAY_HEIGHT_MIN 200
/* Frames kept whole, the current one included. */
#define DISPLAY_FRAMES_KEPT 4
/* Geometry is kept for this many frame ids, in at most this many epochs. */
#define DISPLAY_IDS_KEPT 65536
#define DISPLAY_EPOCHS_KEPT 64

enum display_screen {
    DISPLAY_UNKNOWN, /* no source, or it has not said anything since it started */
    DISPLAY_OFF,     /* the guest shows nothing */
    DISPLAY_ON,      /* display_frame is what the screen shows (at most DISPLAY_PACE_US old) */
};

/* Why a frame was published. Borrowed, for the time of the call. */
struct frame_update {
    struct frame *frame;
    bool is_new_epoch;               /* another size than the frame before, or the first ever */
    const struct tile_change *changes; /* every tile that differs from the frame before */
    int n_changes;
};

/* Any entry may be NULL. */
struct display_observer_ops {
    /* screen became another value. UNKNOWN -> ON without a frame() means: unchanged since. Called
     * before the frame() that comes with it. */
    void (*screen)(void *data, enum display_screen screen);
    void (*frame)(void *data, const struct frame_update *update);
    /* Moved, shown, hidden, or another shape. */
    void (*cursor)(void *data, const struct cursor *cursor);
    /* The source is gone; screen(UNKNOWN) came before. The owner may attach another. Also called by
     * display_free. */
    void (*lost)(void *data, const struct error *why);
};

/* Embedded by the observer. */
struct display_observer {
    struct list link;
    const struct display_observer_ops *ops;
    void *data;
};

struct display_ops {
    /* The source failed or ended; it has been stopped and stays attached. The owner detaches it, or
     * attaches a new one, or calls display_restart. Not called for display_detach. */
    void (*lost)(void *data, const struct error *why);
};

struct display;
struct stills;

/* ops may be NULL. NULL when memory is short. */
struct display *display_new(struct loop *loop, struct worker_pool *pool,
                            const struct display_ops *ops, void *data);
/* Frees the source too; observers are told lost() and forgotten, stills under way are cancelled
 * with an error. Takes NULL, returns NULL. */
struct display *display_free(struct display *self);
struct loop *display_loop(const struct display *self);
void display_set_linger(struct display *self, int64_t linger_us);

/* Takes the source over, also on failure; one that was there is detached first. Starts it at once
 * when the display is held, and a failure to start is the result. */
int display_attach(struct display *self, struct source *source, struct error *err);
/* Stops and frees the source: call it before the connection below goes away. Keeps what is known of
 * the screen (hashes, ids, blinkers). Without a source it does nothing. */
void display_detach(struct display *self);
bool display_is_attached(const struct display *self);
/* Starts a source again that was lost. */
int display_restart(struct display *self, struct error *err);

/* Held: the source runs (or will, once attached). Counted. A start that fails shows as lost. */
void display_hold(struct display *self);
void display_release(struct display *self);

enum display_screen display_screen(const struct display *self);
/* The current frame, borrowed; NULL unless the screen is ON. */
struct frame *display_frame(const struct display *self);
/* Publishes what has arrived but waits for its pace: calls observers before it returns. For
 * whoever takes a still now. */
void display_flush(struct display *self);
/* A kept frame, borrowed, or NULL. */
struct frame *display_frame_by_id(const struct display *self, int64_t id);
/* Frames that answers named; whoever answers says which. */
struct past *display_past(const struct display *self);
/* The id of the newest frame ever published, 0 before the first; stale while unobserved. */
int64_t display_frame_id(const struct display *self);

struct frame_geometry {
    int64_t epoch;
    int width, height;
};
/* The size that frame id had. Positive DISPLAY_ID_UNKNOWN when it is not kept, or never was. */
enum { DISPLAY_ID_UNKNOWN = 1 };
int display_geometry(const struct display *self, int64_t id, struct frame_geometry *ret);

/* Asks the guest for another size: at least DISPLAY_WIDTH_MIN x DISPLAY_HEIGHT_MIN, at most
 * FRAME_SIZE_MAX a side. The answer, if any, is a new epoch. Errors: bad_value, unsupported,
 * not_ready (no source). Works unheld. */
int display_resize(struct display *self, int width, int height, struct error *err);

/* Borrowed, valid until the next turn. */
const struct cursor *display_cursor(const struct display *self);

/* Must be called for every injected press, release and motion, at its injection. */
void display_input(struct display *self, int64_t now_us);
/* When the last change that counts (no blinker) was captured; 0 when none was seen. */
int64_t display_last_change_us(const struct display *self);
/* The moment since when the screen has been watched without a gap; 0 while it is not ON. */
int64_t display_watched_since_us(const struct display *self);

/* ops and data are the observer's; it must not be on a list already. */
void display_observe(struct display *self, struct display_observer *observer,
                     const struct display_observer_ops *ops, void *data);
/* Legal at any time, also in a callback and for one that was never added (zeroed). */
void display_unobserve(struct display_observer *observer);

/* Encoded pictures of this display's frames (display/still.h). */
struct stills *display_stills(struct display *self);
/* The framebuffer's memfd for a helper process; -1 while the screen is not ON. Another with every
 * epoch and with every start of the source. Borrowed. */
int display_memfd(const struct display *self, struct frame_geometry *ret, int *ret_stride);

/* Counters since the start. */
struct display_stats {
    int64_t n_updates, n_update_bytes; /* from the source */
    int64_t n_refused;                 /* messages with bad arguments */
    int64_t n_frames, n_tiles;         /* published; tiles that really changed */
};
/* A listener is registered with the source: somebody looks, or did until a moment ago. */
bool display_is_watched(const struct display *self);
const struct display_stats *display_stats(const struct display *self);
