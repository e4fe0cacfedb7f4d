#include "stream/vnc/shape.h"

#include <rfb/rfb.h>
#include <string.h>

#define OPAQUE 0x80

/* The whole cursor is freed by rfbFreeCursor, which also frees one that is not complete. */
static rfbCursorPtr new(unsigned width, unsigned height)
{
    size_t row_bytes = (width + 7) / 8;
    rfbCursorPtr cursor = calloc(1, sizeof *cursor);
    if (!cursor)
        return NULL;
    cursor->cleanup = cursor->cleanupSource = cursor->cleanupMask = cursor->cleanupRichSource = TRUE;
    cursor->width = (unsigned short)width;
    cursor->height = (unsigned short)height;
    cursor->source = calloc(height, row_bytes);
    cursor->mask = calloc(height, row_bytes);
    cursor->richSource = calloc((size_t)width * height, 4);
    if (cursor->source && cursor->mask && cursor->richSource)
        return cursor;
    rfbFreeCursor(cursor);
    return NULL;
}

/* Viewers with two colours get black on white by brightness. */
static bool is_dark(uint32_t pixel)
{
    return (pixel >> 16 & 0xff) * 2 + (pixel >> 8 & 0xff) * 5 + (pixel & 0xff) < 0x80 * 8;
}

static void fill(rfbCursorPtr cursor, const uint8_t *pixels)
{
    size_t row_bytes = (cursor->width + 7u) / 8;
    for (size_t i = 0; i < (size_t)cursor->width * cursor->height; i++) {
        size_t x = i % cursor->width, y = i / cursor->width;
        uint8_t bit = (uint8_t)(0x80 >> x % 8);
        uint32_t pixel;
        memcpy(&pixel, pixels + 4 * i, sizeof pixel);
        uint32_t colour = pixel & 0xffffff;
        memcpy(cursor->richSource + 4 * i, &colour, sizeof colour);
        if (pixel >> 24 >= OPAQUE)
            cursor->mask[y * row_bytes + x / 8] |= bit;
        if (pixel >> 24 >= OPAQUE && is_dark(pixel))
            cursor->source[y * row_bytes + x / 8] |= bit;
    }
    cursor->backRed = cursor->backGreen = cursor->backBlue = 0xffff;
}

void shape_set(rfbScreenInfoPtr screen, const struct vnc_message *m)
{
    rfbCursorPtr cursor = m->width && m->height ? new(m->width, m->height) : NULL;
    if (cursor) {
        fill(cursor, m->payload);
        cursor->xhot = (unsigned short)CLAMP(m->x, 0, m->width - 1);
        cursor->yhot = (unsigned short)CLAMP(m->y, 0, m->height - 1);
    }
    rfbSetCursor(screen, cursor);
}
