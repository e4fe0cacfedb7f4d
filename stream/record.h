/* The records of the stream (docs/stream.md): what a viewer is sent, what it sends, and what a
 * recording holds. Pure; everything little-endian. */
#pragma once

#include "base/buf.h"

#define RECORD_VERSION 1
#define RECORD_HEADER 8
#define RECORD_PAYLOAD_MAX ((uint32_t)64 << 20)

enum record_type {
    /* From the server. */
    RECORD_WELCOME = 1, RECORD_SCREEN, RECORD_FRAME, RECORD_SOLID, RECORD_PALETTE, RECORD_TRUE,
    RECORD_KEPT, RECORD_JPEG, RECORD_COPY, RECORD_VIDEO, RECORD_VIDEO_END, RECORD_CURSOR_SHAPE,
    RECORD_CURSOR, RECORD_ROLE, RECORD_PONG, RECORD_CLIPBOARD, RECORD_PICTURE, RECORD_REFUSED,
    /* From the client. */
    RECORD_HELLO = 64, RECORD_ACK, RECORD_KEY, RECORD_MOVE, RECORD_BUTTON, RECORD_WHEEL,
    RECORD_RELEASE, RECORD_PASTE, RECORD_RESIZE, RECORD_WISH, RECORD_PING, RECORD_REFRESH,
    RECORD_SHOW, RECORD_TEXT,
    /* In recordings only (docs/stream.md, "In a recording"). */
    RECORD_META = 128, RECORD_ACTION, RECORD_EVENT, RECORD_MARK, RECORD_PASSED,
};

/* Flags by type. */
enum {
    RECORD_FRAME_EXACT = 1,
    RECORD_PALETTE_GREY = 1,
    RECORD_VIDEO_KEY = 1,
    RECORD_CURSOR_VISIBLE = 1,
    RECORD_SCREEN_BEGIN = 128, /* in recordings */
    RECORD_HELLO_VIDEO = 1, RECORD_HELLO_CLIPBOARD = 2, RECORD_HELLO_PICTURES = 4,
    RECORD_DOWN = 1,
};

struct record {
    uint8_t type, flags;
    uint16_t number;
    uint32_t size;
    const uint8_t *payload; /* size bytes, borrowed */
};

/* Takes the first record off *data. RECORD_END: nothing is left. -EPROTO: cut short, or larger than
 * RECORD_PAYLOAD_MAX. */
enum { RECORD_END = 1 };
int record_next(const uint8_t **data, size_t *size, struct record *ret);

/* --- Numbers ---------------------------------------------------------------------------------- */

static inline uint16_t record_get_u16(const uint8_t *at)
{
    return (uint16_t)(at[0] | at[1] << 8);
}

static inline uint32_t record_get_u32(const uint8_t *at)
{
    return record_get_u16(at) | (uint32_t)record_get_u16(at + 2) << 16;
}

static inline uint64_t record_get_u64(const uint8_t *at)
{
    return record_get_u32(at) | (uint64_t)record_get_u32(at + 4) << 32;
}

static inline uint8_t *record_put_u16(uint8_t *at, unsigned value)
{
    at[0] = (uint8_t)value;
    at[1] = (uint8_t)(value >> 8);
    return at + 2;
}

static inline uint8_t *record_put_u32(uint8_t *at, uint32_t value)
{
    return record_put_u16(record_put_u16(at, value), value >> 16);
}

static inline uint8_t *record_put_u64(uint8_t *at, uint64_t value)
{
    return record_put_u32(record_put_u32(at, (uint32_t)value), (uint32_t)(value >> 32));
}

/* --- Writing ---------------------------------------------------------------------------------- */

/* Appends a header and room for size bytes, and returns where they go; NULL when out has failed. */
uint8_t *record_begin(struct buf *out, enum record_type type, unsigned flags, unsigned number,
                      size_t size);
/* Appends a whole record. */
void record_write(struct buf *out, const struct record *record);

/* --- Recordings ------------------------------------------------------------------------------- */

#define RECORD_FILE_HEADER 16
#define RECORD_ENTRY_OVERHEAD (8 + RECORD_HEADER + 4)
/* Of one frame in RECORD_PASSED: u64 id, u64 captured. */
#define RECORD_PASSED_SIZE 16

/* Begins a recording. */
void record_write_file_header(struct buf *out);
/* Appends an entry: time, record, CRC-32C. */
void record_write_entry(struct buf *out, int64_t time_us, const struct record *record);
/* Takes the file's header off; -EPROTO when it is none of this version. */
int record_read_file_header(const uint8_t **data, size_t *size);
/* Takes the first entry off. RECORD_END: nothing good is left; the writer ended, or was killed,
 * here. */
int record_read_entry(const uint8_t **data, size_t *size, int64_t *ret_time_us, struct record *ret);
