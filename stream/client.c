#include "stream/client.h"

#include <errno.h>

/* Largest number that a browser's doubles count to. */
#define ID_MAX_VALUE ((uint64_t)1 << 53)
#define BUTTONS 5

/* Smallest and largest payload, flags that may be set, by type. */
static const struct {
    uint32_t min, max;
    uint8_t flags;
} rows[] = {
    [RECORD_HELLO - RECORD_HELLO] = { 8, 8, 7 },
    [RECORD_ACK - RECORD_HELLO] = { 8, 8, 0 },
    [RECORD_KEY - RECORD_HELLO] = { 10, 10, 1 },
    [RECORD_MOVE - RECORD_HELLO] = { 12, 12, 0 },
    [RECORD_BUTTON - RECORD_HELLO] = { 13, 13, 1 },
    [RECORD_WHEEL - RECORD_HELLO] = { 16, 16, 0 },
    [RECORD_RELEASE - RECORD_HELLO] = { 8, 8, 0 },
    [RECORD_PASTE - RECORD_HELLO] = { 0, CLIENT_MESSAGE_MAX, 0 },
    [RECORD_RESIZE - RECORD_HELLO] = { 4, 4, 0 },
    [RECORD_WISH - RECORD_HELLO] = { 0, 0, 3 },
    [RECORD_PING - RECORD_HELLO] = { 8, 8, 0 },
    [RECORD_REFRESH - RECORD_HELLO] = { 0, 0, 0 },
    [RECORD_SHOW - RECORD_HELLO] = { 0, 0, 1 },
    [RECORD_TEXT - RECORD_HELLO] = { 9, 8 + CLIENT_TEXT_MAX, 0 },
};

static bool has_id(enum record_type type)
{
    return type == RECORD_ACK || (type >= RECORD_KEY && type <= RECORD_RELEASE) ||
           type == RECORD_PING || type == RECORD_TEXT;
}

static bool has_point(enum record_type type)
{
    return type >= RECORD_MOVE && type <= RECORD_WHEEL;
}

static void parse_hello(const uint8_t *at, struct client_record *ret)
{
    ret->version = record_get_u16(at);
    ret->kept = record_get_u16(at + 2);
    ret->width = record_get_u16(at + 4);
    ret->height = record_get_u16(at + 6);
}

/* What follows the id and the point. */
static void parse_rest(const struct record *record, const uint8_t *at, struct client_record *ret)
{
    switch (ret->type) {
    case RECORD_HELLO:
        parse_hello(at, ret);
        break;
    case RECORD_KEY:
        ret->code = record_get_u16(at);
        break;
    case RECORD_BUTTON:
        ret->code = *at;
        break;
    case RECORD_WHEEL:
        ret->dx = (int16_t)record_get_u16(at);
        ret->dy = (int16_t)record_get_u16(at + 2);
        break;
    case RECORD_RESIZE:
        ret->width = record_get_u16(at);
        ret->height = record_get_u16(at + 2);
        break;
    case RECORD_PASTE:
    case RECORD_TEXT:
        ret->text = at;
        ret->n_text = (size_t)(record->payload + record->size - at);
        break;
    default:
        break;
    }
}

int client_next(const uint8_t **data, size_t *size, struct client_record *ret)
{
    struct record record;
    int r = record_next(data, size, &record);
    if (r != 0)
        return r;
    unsigned row = (unsigned)record.type - RECORD_HELLO;
    if (record.type < RECORD_HELLO || row >= ARRAY_LEN(rows) || record.size < rows[row].min ||
        record.size > rows[row].max || record.flags & ~rows[row].flags)
        return -EPROTO;
    *ret = (struct client_record){ .type = (enum record_type)record.type, .flags = record.flags,
                                   .is_down = record.flags & RECORD_DOWN };
    const uint8_t *at = record.payload;
    if (has_id(ret->type)) {
        ret->id = record_get_u64(at);
        at += 8;
    }
    if (has_point(ret->type)) {
        ret->x = record_get_u16(at);
        ret->y = record_get_u16(at + 2);
        at += 4;
    }
    parse_rest(&record, at, ret);
    ret->wish = (enum client_wish)(record.flags & 3);
    bool is_bad = ret->id > ID_MAX_VALUE || (ret->type == RECORD_BUTTON && ret->code >= BUTTONS) ||
                  (ret->type == RECORD_WISH && ret->wish >= CLIENT_WISH_COUNT);
    return is_bad ? -EPROTO : 0;
}
