/* One connected consumer of a desktop's stream (docs/stream.md). Its owner moves messages: what the
 * client sent goes into viewer_feed; what the client is to get comes from viewer_next, asked for
 * when the transport takes another message.
 *
 * A viewer has no queue. It knows what its client's canvas shows, tile by tile; a message is made
 * from the newest frame at the moment when it can be sent, and at most VIEWER_UNACKED frames are
 * under way. So a slow client gets fewer frames, and never old ones; it costs nobody else anything.
 *
 * All on the loop. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "stream/client.h"

#define VIEWER_UNACKED 2
/* A message aims to be under way for this long, from what acknowledgements say of the link. */
#define VIEWER_TARGET_US 60000
#define VIEWER_BUDGET_MIN 2048
#define VIEWER_BUDGET_START 65536
#define VIEWER_BUDGET_MAX (2048 * 1024)
/* However quick the link: so many bytes at once, and then so many a second. What changes all the time
 * is lossy then; a changed screen is not. A message of VIEWER_BUDGET_FLOOR may always be sent. */
#define VIEWER_BURST VIEWER_BUDGET_MAX
#define VIEWER_BURST_RATE (8 * 1024 * 1024)
#define VIEWER_BUDGET_FLOOR (128 * 1024)
/* A lossy tile is sent exactly when it has been still for so long (sooner on a link whose budget is at
 * least VIEWER_BUDGET_FAST), with this share of the budget. */
#define VIEWER_REPAIR_US 150000
#define VIEWER_REPAIR_FAST_US 50000
#define VIEWER_BUDGET_FAST (256 * 1024)
#define VIEWER_REPAIR_SHARE 5 /* one fifth */
#define VIEWER_NAME_MAX 64
#define VIEWER_PICTURE_US 1000000

enum viewer_role { VIEWER_VIEW, VIEWER_CONTROL };
enum viewer_holder { VIEWER_NOBODY, VIEWER_PERSON, VIEWER_AGENT };

struct hub;
struct viewer;

/* Any but wake may be NULL. wake may be called at any time, also from viewer_feed, and must not
 * free a viewer; the others may free this one. */
struct viewer_ops {
    /* viewer_next has something: ask it when the transport takes a message. */
    void (*wake)(void *data);
    /* KEY to RELEASE, and TEXT, of a viewer in control. Points lie on the current screen. Tell
     * viewer_injected when it was handed to the guest. */
    void (*input)(void *data, const struct client_record *input);
    void (*wish)(void *data, enum client_wish wish);
    void (*paste)(void *data, const uint8_t *text, size_t n_text); /* in control */
    void (*resize)(void *data, int width, int height);             /* in control */
    /* The desktop is gone; nothing follows. The owner frees the viewer, now or later. */
    void (*ended)(void *data);
};

/* NULL when memory is short. Begins as VIEWER_VIEW. Holds the display while its page is shown. */
struct viewer *viewer_new(struct hub *hub, const struct viewer_ops *ops, void *data);
/* Takes NULL, returns NULL. */
struct viewer *viewer_free(struct viewer *self);

/* A message of the client. -EPROTO when it breaks the protocol: close the connection. VIEWER_FREED:
 * a callback freed the viewer. */
enum { VIEWER_FREED = 1 };
int viewer_feed(struct viewer *self, const uint8_t *data, size_t size, struct error *err);
/* The message to send now, which the caller owns; NULL when there is none until wake. */
struct bytes *viewer_next(struct viewer *self);

void viewer_set_role(struct viewer *self, enum viewer_role role, enum viewer_holder holder,
                     const char *name);
enum viewer_role viewer_role(const struct viewer *self);
/* Input id was handed to the guest at at_us: the first frame captured later answers it. */
void viewer_injected(struct viewer *self, uint64_t id, int64_t at_us);
/* The guest's clipboard, for a client that asked for it. Counted by the viewer. */
void viewer_set_clipboard(struct viewer *self, struct bytes *text);
/* Why the client's last record of that type was not done. */
void viewer_refuse(struct viewer *self, enum record_type type, const char *why);

/* For metrics and tests. */
struct viewer_stats {
    int64_t n_messages, n_bytes, n_frames;
    int64_t n_solid, n_coded, n_kept, n_lossy, n_moved; /* tiles */
    int64_t rtt_us; /* of the last acknowledged frame: sent -> acknowledged */
    int budget;     /* bytes per message at present */
};
const struct viewer_stats *viewer_stats(const struct viewer *self);

/* --- For the recorder (stream/recorder.h) ----------------------------------------------------- */

struct coder;
struct frame;

/* Whether the canvas is frame to the pixel, and was told so. */
bool viewer_is_exact(const struct viewer *self, const struct frame *frame);
/* The tiles of frame whose code viewer_write_exact needs from a job: ascending, at most
 * frame_n_tiles. is_begin: as for a client that has nothing. */
int viewer_exact_tiles(struct viewer *self, const struct frame *frame, bool is_begin, int *out);
/* Appends a message that makes the canvas frame to the pixel, whatever its size. codes: the tiles of
 * viewer_exact_tiles, coded. is_begin: SCREEN with RECORD_SCREEN_BEGIN comes first and the store
 * begins anew. No frame older than this one is sent afterwards. -ENOMEM: nothing was appended. */

int viewer_write_exact(struct viewer *self, const struct frame *frame, const struct coder *codes,
                       bool is_begin, struct buf *out);
