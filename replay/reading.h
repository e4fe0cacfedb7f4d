/* A recording on disk, opened for reading: its segments and what stands where. Made anew for each
 * question, on a worker; a recording that is being written may be opened at any time.
 *
 * Frames and notes are named by their place: segment and entry, ascending in time. */
#pragma once

#include "base/json.h"
#include "replay/canvas.h"
#include "stream/index.h"

#define READING_SEGMENTS_MAX 65536

struct reading_segment {
    int number;
    int64_t file_size;
    struct index index;
};

struct reading {
    char *dir;
    struct reading_segment *segments; /* ascending */
    int n_segments;
};

struct place {
    int segment; /* of reading->segments */
    size_t entry;
};

/* not_found when there is no segment. */
int reading_open(struct reading *self, const char *dir, struct error *err);
void reading_close(struct reading *self);
static inline void reading_close_ptr(struct reading *self)
{
    reading_close(self);
}
#define auto_reading __attribute__((cleanup(reading_close_ptr)))

const struct index_entry *reading_entry(const struct reading *self, struct place place);

/* Goes on to the next entry; false at the end. */
bool reading_next(const struct reading *self, struct place *place);
struct place reading_first(const struct reading *self);

/* Path of a segment's file, allocated. */
char *reading_path(const struct reading *self, int segment);
int64_t reading_first_us(const struct reading *self);
int64_t reading_last_us(const struct reading *self);

/* Frame by id. READING_EXACT: place is where it stands, exact. READING_LOSSY: it was shown and is
 * recorded lossy (place), or only listed (place of the next frame in the file); *ret_next is the id of
 * the next exact one, 0 when there is none. READING_UNKNOWN: never seen. */
enum { READING_EXACT, READING_LOSSY, READING_UNKNOWN };
int reading_find_frame(const struct reading *self, int64_t id, struct place *ret, int64_t *ret_next);
/* The last frame captured at or before time_us, the first one when all are later. READING_UNKNOWN:
 * there is none. */
int reading_find_time(const struct reading *self, int64_t time_us, struct place *ret);

/* Paints canvas up to the frame at place: from the place to begin at before it, or from where canvas
 * is (from not NULL: the place of its last frame) when that is nearer. */
int reading_paint(const struct reading *self, struct canvas *canvas, const struct place *from,
                  struct place place, struct error *err);
/* The JSON of an ACTION, EVENT, MARK or META entry; NULL when it cannot be read. New reference. */
json_t *reading_note(const struct reading *self, struct place place);
