/* Coding what changed in a frame, on workers: the tiles lossless, as JPEG too when they are many
 * bytes, and what merely scrolled. Input and output are immutable; nothing of a viewer is known
 * here. */
#pragma once

#include "base/worker.h"
#include "stream/scroll.h"
#include "stream/tile-code.h"
#include "stream/video.h"

#include "base/buf.h"

/* At this quality text is readable and its edges are clean (4:4:4). */
#define CODER_JPEG_QUALITY 80
/* Neighbouring tiles in one JPEG: its header is 600 bytes. */
#define CODER_JPEG_TILES 8
#define CODER_SLICES_MAX 4

struct coder_tile {
    int index;          /* of the frame's tiles */
    enum tile_code code;
    uint32_t colour;    /* TILE_SOLID: 0xffRRGGBB */
    struct bytes *data; /* else; NULL when memory was short */
};

struct coder_jpeg {
    int first, n_columns; /* tiles of one row */
    struct bytes *data;
};

/* A job, and what came of it. Counted by its owner and the workers; see coder_start. */
struct coder {
    struct frame *frame;
    struct frame *base;  /* the frame coded before, when a scroll may lie in between; or NULL */
    int n_tiles;
    struct coder_tile *tiles;  /* ascending by index */
    size_t budget;       /* more bytes than this want JPEGs beside */
    /* The rest is set when it is done. */
    int n_jpegs;
    struct coder_jpeg *jpegs;
    int n_copies;
    struct scroll_copy copies[SCROLL_COPIES_MAX];
    bool *is_moved;      /* per tile of the frame: the copies make it whole; NULL without copies */
    struct video_unit unit; /* of video; data NULL: none */
    int64_t video_seq;   /* as in the params */
    int64_t us;          /* from the start to the end */
};

/* Runs on the loop when all is done. The result is self's owner's. */
typedef void (*coder_fn)(void *data, struct coder *self);

struct coder_params {
    struct frame *frame, *base; /* base may be NULL */
    bool is_shared;   /* all who want frame show base: what scrolled needs no code */
    const int *tiles; /* n ascending numbers of tiles of frame */
    int n;
    size_t budget;
    struct video *video; /* NULL: nothing of it is to be encoded */
    bool wants_key;
    int64_t video_seq;   /* the owner's number of the access unit */
};

/* Begins coding. The answer never comes from within this call. NULL when memory is short. */
struct coder *coder_start(struct worker_pool *pool, const struct coder_params *params, coder_fn fn,
                          void *data);
/* Frees it; one that is under way is forgotten, fn will not run. Takes NULL, returns NULL. */
struct coder *coder_free(struct coder *self);
