/* Frames that must be exact, for recordings. The ordinary way (viewer-frame.c) sends the newest
 * frame as far as the budget goes; here a given frame is written whole: what the canvas lacks or has
 * only lossy, from the store, the cache of the desktop, or the codes of a job. It leaves the viewer's
 * bookkeeping as an ordinary message does, so the two may follow each other in any order. */
#include "stream/hub-impl.h"

#include <errno.h>
#include <string.h>

bool viewer_is_exact(const struct viewer *self, const struct frame *frame)
{
    return self->exact_id == frame->id && self->epoch == frame->epoch;
}

static bool has_tile(const struct viewer *self, const struct frame *frame, int i)
{
    return self->cells && self->epoch == frame->epoch && self->n_cells == frame_n_tiles(frame) &&
           self->cells[i].hash == frame->tiles[i]->hash && !self->cells[i].lossy_us;
}

static const struct packet *find_packet(struct viewer *self, uint64_t hash)
{
    return self->hub->packets ? packets_find(self->hub->packets, hash) : NULL;
}

int viewer_exact_tiles(struct viewer *self, const struct frame *frame, bool is_begin, int *out)
{
    int n = 0;
    for (int i = 0; i < frame_n_tiles(frame); i++) {
        uint64_t hash = frame->tiles[i]->hash;
        bool is_here = !is_begin && (has_tile(self, frame, i) || kept_has(self->kept, hash));
        if (!is_here && !find_packet(self, hash))
            out[n++] = i;
    }
    return n;
}

static const struct coder_tile *find_code(const struct coder *codes, int tile)
{
    int low = 0, high = codes ? codes->n_tiles : 0;
    while (low < high) {
        int middle = (low + high) / 2;
        if (codes->tiles[middle].index < tile)
            low = middle + 1;
        else
            high = middle;
    }
    return codes && low < codes->n_tiles && codes->tiles[low].index == tile ? &codes->tiles[low]
                                                                            : NULL;
}

static void write_solid(struct buf *out, int tile, uint32_t colour)
{
    uint8_t *at = record_begin(out, RECORD_SOLID, 0, (unsigned)tile, 4);
    if (at)
        record_put_u32(at, colour & 0xffffff);
}

static bool write_tile(struct viewer *self, const struct frame *frame, int i,
                       const struct coder *codes, struct buf *out)
{
    uint64_t hash = frame->tiles[i]->hash;
    const struct coder_tile *code = find_code(codes, i);
    const struct packet *packet = code ? NULL : find_packet(self, hash);
    if (code ? code->code == TILE_SOLID : packet && packet->code == TILE_SOLID) {
        write_solid(out, i, code ? code->colour : packet->colour);
    } else if (kept_has(self->kept, hash)) {
        uint8_t *at = record_begin(out, RECORD_KEPT, 0, (unsigned)i, 8);
        if (at)
            record_put_u64(at, hash);
        kept_use(self->kept, hash);
    } else if (code ? !code->data : !packet) {
        return false;
    } else {
        viewer_write_code(self, i, hash, code ? code->code : packet->code,
                          code ? code->data : packet->data, out);
    }
    return true;
}

/* What the client has is forgotten. */
static int begin_anew(struct viewer *self, const struct frame *frame, struct buf *out)
{
    struct kept *kept = kept_new(self->n_kept);
    if (!kept || viewer_set_canvas(self, frame) < 0) {
        kept_free(kept);
        return -ENOMEM;
    }
    kept_free(self->kept);
    self->kept = kept;
    self->video_id = 0;
    self->video_seq = 0;
    self->shape_hash = 0;
    self->has_cursor = false;
    viewer_write_screen(frame, RECORD_SCREEN_BEGIN, out);
    viewer_write_cursor(self, out);
    return 0;
}

int viewer_write_exact(struct viewer *self, const struct frame *frame, const struct coder *codes,
                       bool is_begin, struct buf *out)
{
    size_t start = out->size;
    bool is_whole = true, is_new = !self->cells || self->epoch != frame->epoch ||
                                   self->n_cells != frame_n_tiles(frame);
    int r = 0;
    if (is_begin)
        r = begin_anew(self, frame, out);
    else if (is_new && (r = viewer_set_canvas(self, frame)) == 0)
        viewer_write_screen(frame, 0, out);
    if (r < 0)
        return r;
    viewer_write_head(self, frame, RECORD_FRAME_EXACT, out);
    for (int i = 0; i < self->n_cells && is_whole; i++) {
        if (has_tile(self, frame, i))
            continue;
        is_whole = write_tile(self, frame, i, codes, out);
        self->cells[i] = (struct viewer_cell){ frame->tiles[i]->hash, 0 };
    }
    if (!is_whole || out->failed) {
        out->size = start;
        viewer_forget_canvas(self);
        return -ENOMEM;
    }
    self->exact_id = self->floor_id = frame->id;
    self->stats.n_frames++;
    return 0;
}
