/* What hub.c and the viewer's files know of each other. */
#pragma once

#include "stream/coder.h"
#include "stream/heat.h"
#include "stream/hub.h"
#include "stream/kept.h"
#include "stream/packets.h"

struct hub {
    struct loop *loop;
    struct worker_pool *pool;
    struct display *display;
    struct display_observer observer;
    struct list viewers;
    struct packets *packets; /* NULL while nobody watches for long */

    /* What viewers are sent: the newest frame that is coded. */
    struct frame *frame;
    struct coder *done;   /* its JPEGs and copies; NULL when it needed no coding */
    int64_t base_id;      /* the frame that the copies start from; 0: none */
    struct coder *coding; /* under way, for a newer frame */

    /* The region that plays, at most one. */
    struct heat *heat;
    bool *is_costly;     /* per tile: its last code was long; n_costly of them */
    int n_costly;
    struct video *video; /* NULL: none */
    uint16_t video_id;   /* of this or the last one; never 0 once there was one */
    int64_t video_seq;   /* of the last access unit that was asked for; 0: none yet */
    int64_t video_key_us, video_hot_us;
    int64_t video_frame_id; /* the frame that the last unit shows */

    struct defer *turn;
    struct timer *pace;   /* for the next job, or the next repair */
    struct timer *linger;
    int64_t started_us, slow_started_us; /* of the last job, and of the last for slow viewers alone */
    int64_t slow_since_us; /* slow viewers are left out since then; 0: none is */
    int n_viewers, n_shown;
    struct hub_stats stats;
};

/* What one tile of the client's canvas shows. */
struct viewer_cell {
    uint64_t hash;    /* 0: nothing yet */
    int64_t lossy_us; /* when it was sent lossy; 0: it is exact */
};

struct viewer_sent {
    int64_t id, us;
    size_t bytes;
};

#define VIEWER_INPUTS 64

struct viewer_input {
    uint64_t id;
    int64_t us;
};

struct viewer {
    struct list link;
    struct hub *hub; /* NULL after its end */
    const struct viewer_ops *ops;
    void *data;
    bool *freed; /* set by viewer_free while viewer_feed runs */

    /* What the client said. */
    bool is_greeted, is_shown, is_pictures;
    unsigned flags; /* of HELLO */
    int picture_width, picture_height;
    struct kept *kept;
    int n_kept;

    /* The client's canvas. */
    int64_t epoch; /* 0: none */
    int width, height, n_cells;
    struct viewer_cell *cells;
    int64_t exact_id; /* the canvas is this frame to the pixel; 0: of none */
    int64_t floor_id; /* older frames are of no use any more */
    uint16_t video_id;  /* the region that the client decodes; 0: none */
    int64_t video_seq;  /* the last access unit that it got */
    bool uses_video;    /* its link takes the region's units */
    int next_tile;    /* where the last message that was cut off stopped */

    /* The way to the client. */
    bool has_room; /* the transport has asked and got nothing */
    bool is_wanting; /* the demand that is being collected includes it */
    bool is_slow;  /* in that demand: others have a much larger budget */
    bool is_patient; /* nobody looks at it: it makes no other one slow */
    bool is_due;   /* hub->frame has something for it, and it was woken */
    int n_unacked;
    struct viewer_sent sent[VIEWER_UNACKED];
    int64_t acked_us, least_rtt_us;
    int budget; /* what the link takes in VIEWER_TARGET_US; see viewer_budget */
    int64_t burst, burst_us; /* what was left of VIEWER_BURST, and when */

    /* Pictures. */
    struct still_request *asked;
    struct bytes *picture; /* a whole record, to be sent */
    int64_t picture_id, pictured_us;

    /* Latest states that the client does not know yet. */
    bool has_welcome, has_screen, has_role, has_pong;
    uint64_t pong;
    enum viewer_role role;
    enum viewer_holder holder;
    char name[VIEWER_NAME_MAX + 1];
    uint64_t shape_hash; /* that it has */
    int cursor_x, cursor_y;
    bool cursor_visible, has_cursor;
    struct bytes *clipboard;
    enum record_type refused; /* 0: nothing */
    char why[160];
    bool has_refused_input; /* told once per time without control */

    struct viewer_input inputs[VIEWER_INPUTS]; /* injected, not yet answered; ring */
    int n_inputs, first_input;
    uint64_t answered; /* the greatest id that a frame answered */

    struct viewer_stats stats;
};

/* --- hub.c ------------------------------------------------------------------------------------ */

void hub_add(struct hub *self, struct viewer *viewer);
void hub_remove(struct hub *self, struct viewer *viewer);
/* Holds or releases the display for a viewer. */
void hub_show(struct hub *self, bool is_shown);
/* Something changed in a viewer: looks in the next turn whether there is work. */
void hub_request(struct hub *self);

/* --- hub-video.c ------------------------------------------------------------------------------ */

/* Opens and closes the region by what was coded. Lowers *due_us to when it looks again. */
void hub_check_video(struct hub *self, int64_t now_us, int64_t *due_us);
/* Notes which tiles were costly in a job. */
void hub_note_costs(struct hub *self, const struct coder *coder);
/* The display's frame changed: what was costly is heat. */
void hub_feed_heat(struct hub *self, const struct frame_update *update);
/* Whether the next unit is wanted for frame, in params. */
void hub_plan_video(struct hub *self, struct coder_params *params, int64_t now_us);
void hub_close_video(struct hub *self);
/* Whether tile i of frame lies in the region. */
bool hub_video_covers(const struct hub *self, const struct frame *frame, int i);
/* The unit for hub->frame, if this viewer can decode it after what it got; else NULL. */
const struct video_unit *hub_video_unit(const struct hub *self, const struct viewer *viewer);

/* --- viewer.c --------------------------------------------------------------------------------- */

/* Appends the cursor's shape and place, as far as the client lacks them. */
void viewer_write_cursor(struct viewer *self, struct buf *out);

/* --- viewer-frame.c --------------------------------------------------------------------------- */

/* Whether the client can be sent a frame now, and frame differs from its canvas. *due_us is lowered
 * to when a repair falls due. */
bool viewer_wants(const struct viewer *self, const struct frame *frame, int64_t now_us,
                  int64_t *due_us);
/* Whether tile i of frame must be coded for it. */
bool viewer_needs_code(const struct viewer *self, const struct frame *frame, int i, int64_t now_us);
/* Bytes that its next message may have: the link's budget, less while much is sent all the time. */
int viewer_budget(const struct viewer *self, int64_t now_us);
/* Appends hub->frame as far as the budget allows. */
void viewer_write_frame(struct viewer *self, struct buf *out);
/* Begins a new canvas. */
int viewer_set_canvas(struct viewer *self, const struct frame *frame);
void viewer_forget_canvas(struct viewer *self);
void viewer_write_head(struct viewer *self, const struct frame *frame, unsigned flags,
                       struct buf *out);
void viewer_write_code(struct viewer *self, int tile, uint64_t hash, enum tile_code code,
                       const struct bytes *data, struct buf *out);
void viewer_write_screen(const struct frame *frame, unsigned flags, struct buf *out);

/* --- viewer-picture.c ------------------------------------------------------------------------- */

/* For a viewer of pictures: asks for one when it is time; else lowers *due_us. */
void viewer_update_picture(struct viewer *self, int64_t now_us, int64_t *due_us);
