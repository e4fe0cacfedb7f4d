/* What stands where in one segment of a recording: made in one pass over the segment, kept beside it
 * in a file that may be thrown away at any time.
 *
 * A damaged segment is indexed up to the first wrong entry. All offsets are of entries, from the
 * beginning of the file. */
#pragma once

#include "base/error.h"
#include "stream/record.h"

#define SEGMENT_SUFFIX ".dfr"
#define INDEX_SUFFIX ".dfi"
#define SEGMENT_BYTES_MAX ((int64_t)128 << 20) /* a larger file is none of ours */

/* Only records that somebody looks for: FRAME, SCREEN with RECORD_SCREEN_BEGIN, and those from
 * RECORD_META on. RECORD_PASSED has one for each frame that it names. */
struct index_entry {
    int64_t time_us; /* of FRAME and PASSED: when it was captured; else of the entry */
    int64_t frame;   /* FRAME, PASSED: its id; SCREEN: width << 32 | height; else 0 */
    uint32_t offset;
    uint8_t type, flags; /* of the record */
};

struct index {
    struct index_entry *entries;
    size_t n, capacity;
    int64_t size;               /* bytes that are good, header included; 0: not even that */
    int64_t first_us, last_us;  /* of its entries; 0: none */
    bool failed;                /* memory was short */
};

void index_deinit(struct index *self);
static inline void index_deinit_ptr(struct index *self)
{
    index_deinit(self);
}
#define auto_index __attribute__((cleanup(index_deinit_ptr)))

/* The whole segment as bytes. Never fails on what it finds; self->size says how far it is good. */
void index_scan(struct index *self, const uint8_t *data, size_t size);
/* The file's form and back. -EPROTO: not whole, or of a segment of another size. */
void index_write(const struct index *self, struct buf *out);
int index_read(struct index *self, const uint8_t *data, size_t size, int64_t segment_size);

/* Appends bytes of a segment's file from offset on: size of them, or as many as there are; size < 0:
 * all. Read, not mapped: a writer may cut the file at any time. For workers. */
int segment_read(const char *path, int64_t offset, int64_t size, struct buf *out,
                 struct error *err);

/* The index of the segment at path (…/N.dfr): from the file beside it, else by a pass. For workers.
 * -errno when the segment cannot be read; not_found for one that is not there. */
int index_load(struct index *self, const char *path, struct error *err);
/* Makes the file beside a segment that is complete. */
int index_save(const char *path, struct error *err);
