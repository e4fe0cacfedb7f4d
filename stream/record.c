#include "stream/record.h"

#include <errno.h>
#include <isa-l.h>
#include <string.h>

static const uint8_t magic[8] = { 'D', 'F', 'R', 'E', 'C' };

int record_next(const uint8_t **data, size_t *size, struct record *ret)
{
    if (*size == 0)
        return RECORD_END;
    if (*size < RECORD_HEADER)
        return -EPROTO;
    const uint8_t *at = *data;
    *ret = (struct record){ at[0], at[1], record_get_u16(at + 2), record_get_u32(at + 4),
                            at + RECORD_HEADER };
    if (ret->size > RECORD_PAYLOAD_MAX || ret->size > *size - RECORD_HEADER)
        return -EPROTO;
    *data += RECORD_HEADER + ret->size;
    *size -= RECORD_HEADER + ret->size;
    return 0;
}

uint8_t *record_begin(struct buf *out, enum record_type type, unsigned flags, unsigned number,
                      size_t size)
{
    uint8_t *at = buf_reserve(out, RECORD_HEADER + size);
    if (!at)
        return NULL;
    out->size += RECORD_HEADER + size;
    at[0] = (uint8_t)type;
    at[1] = (uint8_t)flags;
    return record_put_u32(record_put_u16(at + 2, number), (uint32_t)size);
}

void record_write(struct buf *out, const struct record *record)
{
    uint8_t *at = record_begin(out, record->type, record->flags, record->number, record->size);
    if (at && record->size > 0)
        memcpy(at, record->payload, record->size);
}

/* --- Recordings ------------------------------------------------------------------------------- */

static uint32_t checksum(const uint8_t *data, size_t size)
{
    return ~crc32_iscsi((unsigned char *)(uintptr_t)data, (int)size, ~0u);
}

void record_write_file_header(struct buf *out)
{
    uint8_t header[RECORD_FILE_HEADER] = { 0 };
    memcpy(header, magic, sizeof magic);
    record_put_u16(header + sizeof magic, RECORD_VERSION);
    buf_append(out, header, sizeof header);
}

void record_write_entry(struct buf *out, int64_t time_us, const struct record *record)
{
    size_t start = out->size;
    uint8_t word[8];
    record_put_u64(word, (uint64_t)time_us);
    buf_append(out, word, sizeof word);
    record_write(out, record);
    if (out->failed)
        return;
    record_put_u32(word, checksum(out->data + start, out->size - start));
    buf_append(out, word, 4);
}

int record_read_file_header(const uint8_t **data, size_t *size)
{
    if (*size < RECORD_FILE_HEADER || memcmp(*data, magic, sizeof magic) != 0 ||
        record_get_u16(*data + sizeof magic) != RECORD_VERSION)
        return -EPROTO;
    *data += RECORD_FILE_HEADER;
    *size -= RECORD_FILE_HEADER;
    return 0;
}

int record_read_entry(const uint8_t **data, size_t *size, int64_t *ret_time_us, struct record *ret)
{
    if (*size < RECORD_ENTRY_OVERHEAD)
        return RECORD_END;
    const uint8_t *at = *data + 8;
    size_t left = *size - 8;
    if (record_next(&at, &left, ret) != 0 || left < 4)
        return RECORD_END;
    if (checksum(*data, (size_t)(at - *data)) != record_get_u32(at))
        return RECORD_END;
    *ret_time_us = (int64_t)record_get_u64(*data);
    *data = at + 4;
    *size = left - 4;
    return 0;
}
